-- SPDX-License-Identifier: MIT
-- The peer of prosody-memory: the smallest pending table in Lua that we found, whatever it costs in time. All is in a few thousand strings,
-- by the hash of a JID; a string is written anew when something in it changes.
--
--   requesters   bucket of groups: bare JID, bytes, records, oldest first      record = time and flags, number of who was asked, id
--   asked        bucket of: slot, uses, bare JID                               number = bucket and slot
--
-- An add or a match takes 10 µs for a user with ten entries, and some 150 with a thousand, which is the limit. It knows pending and
-- delivered entries, and those of a user in order; not the order of all, a time of their own for delivered ones, what has failed or is
-- overdue, a capacity, a limit of a user's bytes, that a host may have others answer, or a store.

local jid_bare = require "util.jid".bare;
local pack, unpack = string.pack, string.unpack;

local REQUESTERS <const>, ASKED <const>, SLOTS <const> = 8192, 1024, 256; -- buckets, and slots in one
local GROUP <const>, NAME <const>, RECORD <const> = "<s2I3", "<I1I3s2", "<I5I3";
local TICKS <const>, TIME <const> = 64, 7; -- of a second; shift, the time counts from the first entry's: for four years
local DELIVERED <const>, INJECTED <const>, UUID <const> = 8, 16, 32; -- flags, above the type
local types = { normal = 0, chat = 1, headline = 2 };

local methods = {};
local mt = { __index = methods };

local function buckets(count)
	local list = {};
	for i = 1, count do list[i] = ""; end
	return list;
end

local function new(limits)
	return setmetatable({ limits = limits, requesters = buckets(REQUESTERS), asked = buckets(ASKED), count_all = 0, swept = 1 }, mt);
end

local function hash(jid)
	local h = 5381;
	for i = 1, #jid do h = h * 33 ~ jid:byte(i); end
	return (h ~ h >> 17) * 0x9E3779B97F4A7C15 >> 40;
end

-- An id as it is kept, and its flag: a UUID in sixteen bytes where they say all that its text does.
local function packed(id)
	local digits, more = id:gsub("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$", "%1%2%3%4%5");
	if more == 1 and #digits == 32 then
		local high, low = tonumber(digits:sub(1, 16), 16), tonumber(digits:sub(17), 16);
		if ("%08x-%04x-%04x-%04x-%012x"):format(high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffff) == id then
			return pack("<i8i8", high, low), UUID;
		end
	end
	return pack("<s2", id), 0;
end

-- The number of who was asked; or nil, the bucket, and the slots in use.
local function number_of(self, jid)
	local bucket, at, used = hash(jid) % ASKED, 1, {};
	local names = self.asked[bucket + 1];
	while at <= #names do
		local slot, _, name, next_at = unpack(NAME, names, at);
		if name == jid then return bucket * SLOTS + slot; end
		used[slot], at = true, next_at;
	end
	return nil, bucket, used;
end

-- The number is used so much more, or less. What has no use any more goes.
local function use(self, number, more)
	local bucket, at = number // SLOTS + 1, 1;
	local names = self.asked[bucket];
	while true do
		local slot, uses, name, next_at = unpack(NAME, names, at);
		if slot == number % SLOTS then
			local left = uses + more > 0 and pack(NAME, slot, uses + more, name) or "";
			self.asked[bucket] = names:sub(1, at - 1)..left..names:sub(next_at);
			return;
		end
		at = next_at;
	end
end

local function hold(self, jid)
	local number, bucket, used = number_of(self, jid);
	if not number then
		local slot = 0;
		while used[slot] do slot = slot + 1; end
		assert(slot < SLOTS, "too many JIDs");
		self.asked[bucket + 1] = self.asked[bucket + 1]..pack(NAME, slot, 0, jid);
		number = bucket * SLOTS + slot;
	end
	use(self, number, 1);
	return number;
end

-- A requester's bucket, and where their records begin and end there.
local function group_of(self, jid)
	local bucket, at = hash(jid) % REQUESTERS + 1, 1;
	local groups = self.requesters[bucket];
	while at <= #groups do
		local name, bytes, first = unpack(GROUP, groups, at);
		if name == jid then return bucket, first, first + bytes; end
		at = first + bytes;
	end
	return bucket, nil, nil;
end

-- A record: its meta, who was asked, and where its id begins and the next record does.
local function record_at(groups, at)
	local meta, asked, id_at = unpack(RECORD, groups, at);
	local next_at = id_at + (meta & UUID ~= 0 and 16 or 2 + unpack("<I2", groups, id_at));
	return meta, asked, id_at, next_at;
end

-- Where the entry is, its meta, and where the next one is; or nil, and whether an answer about that id is awaited from somebody else. Last,
-- how many entries there are.
local function find(groups, first, last, asked, id, flag)
	local other, count, at = false, 0, first;
	while at and at < last do
		local meta, its_asked, id_at, next_at = record_at(groups, at);
		if meta & UUID == flag and groups:sub(id_at, next_at - 1) == id then
			if its_asked == asked then return at, meta, next_at; end
			other = other or meta & DELIVERED == 0;
		end
		count, at = count + 1, next_at;
	end
	return nil, other, nil, count;
end

-- The record that can be missed first, and where the next one is: one that was delivered, or else the first.
local function expendable(groups, first, last)
	local at = first;
	while at < last do
		local meta, _, _, next_at = record_at(groups, at);
		if meta & DELIVERED ~= 0 then return at, next_at; end
		at = next_at;
	end
	return first, (select(4, record_at(groups, first)));
end

-- Takes out a record of a group whose records begin at `first`.
local function remove(self, bucket, first, at, next_at)
	local groups = self.requesters[bucket];
	local bytes = unpack("<I3", groups, first - 3) - (next_at - at);
	local _, asked = record_at(groups, at);
	self.requesters[bucket] = groups:sub(1, first - 4)..pack("<I3", bytes)..groups:sub(first, at - 1)..groups:sub(next_at);
	self.count_all = self.count_all - 1;
	use(self, asked, -1);
end

function methods:add(from, to, id, now, how)
	from, to = jid_bare(from), jid_bare(to);
	local kept, flag = packed(id);
	local bucket, first, last = group_of(self, from);
	local at, meta, next_at, count = find(self.requesters[bucket], first, last, (number_of(self, to)), kept, flag);
	if at and meta & DELIVERED == 0 then return true, "known"; end
	if at then
		remove(self, bucket, first, at, next_at); -- it starts anew
	elseif count >= self.limits.per_user then
		remove(self, bucket, first, expendable(self.requesters[bucket], first, last));
	end
	self.epoch = self.epoch or now;
	meta = types[how and how.type or "normal"] + (how and how.injected and INJECTED or 0) + flag
		+ (math.tointeger(math.max(0, now - self.epoch) * TICKS // 1) << TIME);
	local record = pack(RECORD, meta, hold(self, to))..kept;
	self.count_all = self.count_all + 1;
	local groups = self.requesters[bucket];
	if not first then
		self.requesters[bucket] = groups..pack(GROUP, from, #record)..record;
		return true;
	end
	local bytes = unpack("<I3", groups, first - 3);
	last = first + bytes;
	self.requesters[bucket] = groups:sub(1, first - 4)..pack("<I3", bytes + #record)..groups:sub(first, last - 1)..record..groups:sub(last);
	return true;
end

function methods:match(from, to, id, now)
	local bucket, first, last = group_of(self, jid_bare(from));
	local groups = self.requesters[bucket];
	local at, meta = find(groups, first, last, (number_of(self, jid_bare(to))), packed(id));
	if not at then return meta and "forged" or "unknown"; end
	local age = now - self.epoch - (meta >> TIME) / TICKS;
	if meta & DELIVERED ~= 0 then return "duplicate", age; end
	self.requesters[bucket] = groups:sub(1, at - 1)..pack("<I5", meta | DELIVERED)..groups:sub(at + 5);
	return "delivered", age;
end

-- Those of one bucket. Returns how many.
local function expire_bucket(self, bucket, now)
	local groups, left, at, done = self.requesters[bucket], {}, 1, 0;
	while at <= #groups do
		local name, bytes, first = unpack(GROUP, groups, at);
		local stay, last = first, first + bytes;
		while stay < last do
			local meta, asked, _, next_at = record_at(groups, stay);
			if now - self.epoch - (meta >> TIME) / TICKS <= self.limits.ttl then break; end
			use(self, asked, -1);
			stay, done = next_at, done + 1;
		end
		if stay < last then table.insert(left, pack(GROUP, name, last - stay)..groups:sub(stay, last - 1)); end
		at = last;
	end
	if done > 0 then self.requesters[bucket] = table.concat(left); end
	self.count_all = self.count_all - done;
	return done;
end

--- Expires entries, bucket after bucket, until it has been round once, or has taken out `max` or some more.
function methods:expire(now, max)
	local done = 0;
	for _ = 1, REQUESTERS do
		if done >= max then break; end
		done = done + expire_bucket(self, self.swept, now);
		self.swept = self.swept % REQUESTERS + 1;
	end
	return done;
end

function methods:count()
	return self.count_all;
end

return { new = new };
