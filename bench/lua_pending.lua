-- SPDX-License-Identifier: MIT
-- The peer of prosody-memory: the pending table in Lua, with what the module needs of it, and as small as can be: records in a log, which
-- is cut into strings of some kilobytes; those are written anew when something changes in them. JIDs are numbers.
--
--   numbers  bare JID --> n       names  n --> bare JID; the numbers that are free are chained
--   states   n --> in how many records it is, and where the last is that it asked for
--   log      block --> string of records, in order of time; the last block is a table of records yet, by their place
--   record   time and flags, who asked, whom, bytes back to the same user's last record before (0: none), id
--
-- An add or a match takes 10 µs for a user with ten entries, and up to 500 with a thousand, which is the limit. No more than 16 million
-- JIDs.

local jid_bare = require "util.jid".bare;
local pack, unpack = string.pack, string.unpack;

local TICKS <const>, FLAG_BITS <const> = 64, 8; -- of a second; below the time, which counts from the first entry's: for two years
local DELIVERED <const>, INJECTED <const>, UUID <const>, LONG <const>, GONE <const> = 8, 16, 32, 64, 128; -- flags, above the type
local types = { normal = 0, chat = 1, headline = 2 };
local HEAD <const>, SHORT_ID <const>, LONG_ID <const> = "<I5I3I3I4", "<s1", "<s2";
local BLOCK <const>, USES <const> = 4096, 24; -- bytes; bits of a state, below the place
local USE_MASK <const> = (1 << USES) - 1;

local methods = {};
local mt = { __index = methods };

-- Places count from BLOCK, so that 0 is none.
local function new(limits)
	return setmetatable({
		limits = limits, numbers = {}, names = {}, states = {}, free = 0;
		log = {}, tail = {}, block = 1, first = BLOCK, next = BLOCK, count_all = 0;
	}, mt);
end

-- A UUID in sixteen bytes, where they say all that its text does; else the id. And the flag for it.
local function packed(id)
	local digits, more = id:gsub("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$", "%1%2%3%4%5");
	if more == 1 and #digits == 32 then
		local high, low = tonumber(digits:sub(1, 16), 16), tonumber(digits:sub(17), 16);
		if ("%08x-%04x-%04x-%04x-%012x"):format(high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffff) == id then
			return pack("<i8i8", high, low), UUID;
		end
	end
	return id, #id > 255 and LONG or 0;
end

-- The record at a place: meta, who asked, whom, how far back the one before is, id, and its length in bytes.
local function read(self, place)
	local records, at = self.log[place // BLOCK], place % BLOCK + 1;
	if not records then records, at = self.tail[place], 1; end
	local meta, from, asked, back, after = unpack(HEAD, records, at);
	local id, end_at = unpack(meta & LONG ~= 0 and LONG_ID or SHORT_ID, records, after);
	return meta, from, asked, back, id, end_at - at;
end

local function set_meta(self, place, meta)
	local records, at = self.log[place // BLOCK], place % BLOCK + 1;
	local new_meta = pack("<I5", meta);
	if records then
		self.log[place // BLOCK] = records:sub(1, at - 1)..new_meta..records:sub(at + 5);
	else
		self.tail[place] = new_meta..self.tail[place]:sub(6);
	end
end

-- Adds a record at the end.
local function append(self, bytes)
	if self.next - self.block * BLOCK + #bytes > BLOCK then -- the block is full: the next one begins
		local places, list = {}, {};
		for place in pairs(self.tail) do table.insert(places, place); end
		table.sort(places);
		for i, place in ipairs(places) do list[i] = self.tail[place]; end
		self.log[self.block], self.tail, self.block = table.concat(list), {}, self.block + 1;
		self.next = self.block * BLOCK;
	end
	local place = self.next;
	self.tail[place], self.next = bytes, place + #bytes;
	return place;
end

-- A JID's number, which the caller uses once more.
local function hold(self, jid)
	local n = self.numbers[jid];
	if not n then
		n = self.free;
		if n ~= 0 then self.free = self.names[n]; else n = #self.names + 1; end
		self.numbers[jid], self.names[n], self.states[n] = n, jid, 0;
	end
	self.states[n] = self.states[n] + 1;
	return n;
end

local function release(self, n)
	local state = self.states[n] - 1;
	self.states[n] = state;
	if state & USE_MASK == 0 then
		self.numbers[self.names[n]], self.names[n], self.free = nil, self.free, n;
	end
end

-- The entry: its place and meta. Or nil, and whether somebody else was asked about that id. Then how many entries the user has, and the
-- oldest one's place.
local function find(self, n, asked, id, flag)
	local place, other, count, oldest = n and self.states[n] >> USES or 0, false, 0, nil;
	while place >= self.first do
		local meta, _, its_asked, back, its_id = read(self, place);
		if meta & GONE == 0 then
			count, oldest = count + 1, place;
			if its_id == id and meta & UUID == flag & UUID then
				if its_asked == asked then return place, meta; end
				other = true;
			end
		end
		if back == 0 then break; end
		place = place - back;
	end
	return nil, other, count, oldest;
end

-- The entry is no more; its record's turn is to come.
local function remove(self, place)
	set_meta(self, place, read(self, place) | GONE);
	self.count_all = self.count_all - 1;
end

function methods:add(from, to, id, now, how)
	from, to = jid_bare(from), jid_bare(to);
	local kept, flag = packed(id);
	local place, _, count, oldest = find(self, self.numbers[from], self.numbers[to], kept, flag);
	if place then return true, "known"; end
	if count >= self.limits.per_user then remove(self, oldest); end
	self.epoch = self.epoch or now;
	local n, asked = hold(self, from), hold(self, to);
	local meta = types[how and how.type or "normal"] + (how and how.injected and INJECTED or 0) + flag
		+ (math.tointeger((now - self.epoch) * TICKS // 1) << FLAG_BITS);
	local bytes = pack(flag & LONG ~= 0 and LONG_ID or SHORT_ID, kept);
	place = append(self, pack(HEAD, meta, n, asked, 0)..bytes);
	local last = self.states[n] >> USES;
	if last >= self.first and place - last < 1 << 32 then
		self.tail[place] = pack(HEAD, meta, n, asked, place - last)..bytes;
	end
	self.states[n] = self.states[n] & USE_MASK | place << USES;
	self.count_all = self.count_all + 1;
	return true;
end

function methods:match(from, to, id, now)
	local place, meta = find(self, self.numbers[jid_bare(from)], self.numbers[jid_bare(to)], packed(id));
	if not place then return meta and "forged" or "unknown"; end
	local age = now - self.epoch - (meta >> FLAG_BITS) / TICKS;
	if meta & DELIVERED ~= 0 then return "duplicate", age; end
	set_meta(self, place, meta | DELIVERED);
	return "delivered", age;
end

-- The log's first record goes.
local function advance(self, from, asked, bytes)
	release(self, asked);
	release(self, from);
	local block = self.first // BLOCK;
	self.tail[self.first] = nil;
	self.first = self.first + bytes;
	if self.log[block] and self.first % BLOCK >= #self.log[block] or self.first // BLOCK > block then
		self.log[block], self.first = nil, (block + 1) * BLOCK;
	end
end

function methods:expire(now, max)
	local done = 0;
	while done < max and self.first < self.next do
		local meta, from, asked, _, _, bytes = read(self, self.first);
		if meta & GONE == 0 then
			if now - self.epoch - (meta >> FLAG_BITS) / TICKS <= self.limits.ttl then break; end
			done, self.count_all = done + 1, self.count_all - 1;
		end
		advance(self, from, asked, bytes);
	end
	return done;
end

function methods:count()
	return self.count_all;
end

return { new = new };
