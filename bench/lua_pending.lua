-- SPDX-License-Identifier: MIT
-- The peer of prosody-memory: the pending table as one would write it in Lua, with what the module needs of it, and small. (A packed
-- string for each user would be smaller still, and be written anew with each change.) An entry is a number, and so is a user; their fields
-- are in arrays, several small ones in one integer, since a slot takes 16 bytes whatever it has, and an id that is a UUID is two integers,
-- as a string would take 96 bytes with its slot. The arrays of entries are in blocks: one large array doubles when it grows, and half of
-- it is empty then.
--
--   entries  ids  lows (of UUIDs)  asked  meta = time and flags | user << 42        list = newer | older << 21 | the user's next << 42
--   users    jids        ends = first | last << 21 | count << 42   free numbers are chained by `list` and `ends`
--
-- An entry is looked for among all of its user's, so there is no index to keep: a match takes 3 µs for ten entries of a user, and 60
-- for a thousand, which is the limit. No more than two million entries.

local jid_bare = require "util.jid".bare;

local TICKS <const>, FLAGS <const> = 64, 32; -- of a second; room for the flags, below the time
local DELIVERED <const>, INJECTED <const> = 8, 16; -- flags, above the type
local LOW <const>, MIDDLE <const>, HIGH <const>, MASK <const> = 0, 21, 42, 0x1fffff;
local BLOCK_BITS <const>, BLOCK_MASK <const> = 10, 1023;
local types = { normal = 0, chat = 1, headline = 2 };

local methods = {};
local mt = { __index = methods };

local function new(limits)
	return setmetatable({
		limits = limits, users = {}, jids = {}, ends = {}, user_numbers = 0, free_user = 0;
		ids = {}, lows = {}, asked = {}, meta = {}, list = {}, numbers = 0, free = 0;
		count_all = 0, oldest = 0, newest = 0;
	}, mt);
end

local function get(field, n)
	return field[(n >> BLOCK_BITS) + 1][(n & BLOCK_MASK) + 1];
end

local function set(field, n, value)
	local i = (n >> BLOCK_BITS) + 1;
	local block = field[i];
	if not block then
		block = {};
		field[i] = block;
	end
	block[(n & BLOCK_MASK) + 1] = value;
end

-- One of the three numbers in an integer, and the integer with another there.
local function part(packed, shift) return packed >> shift & MASK; end
local function with(packed, shift, n) return packed & ~(MASK << shift) | n << shift; end

local function time_of(meta)
	return (meta & (1 << HIGH) - 1) // FLAGS / TICKS;
end

-- The two halves of a UUID, where they say all that its text does; else the id, and 0.
local function halves(id)
	local digits, more = id:gsub("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$", "%1%2%3%4%5");
	if more == 0 or #digits ~= 32 then return id, 0; end
	local high, low = tonumber(digits:sub(1, 16), 16), tonumber(digits:sub(17), 16);
	if ("%08x-%04x-%04x-%04x-%012x"):format(high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffffffffffff) ~= id then
		return id, 0;
	end
	return high, low;
end

-- An entry; or nil, and whether somebody else was asked about that id.
local function find(self, user, to, high, low)
	local n, other = user and part(self.ends[user], LOW) or 0, false;
	while n ~= 0 do
		if get(self.ids, n) == high and get(self.lows, n) == low then
			if get(self.asked, n) == to then return n; end
			other = true;
		end
		n = part(get(self.list, n), HIGH);
	end
	return nil, other;
end

-- Takes out a user's oldest entry.
local function remove_first(self, user)
	local ends, list = self.ends[user], self.list;
	local n = part(ends, LOW);
	local links = get(list, n);
	local newer, older, next_one, count = part(links, LOW), part(links, MIDDLE), part(links, HIGH), part(ends, HIGH) - 1;
	if older ~= 0 then set(list, older, with(get(list, older), LOW, newer)); else self.oldest = newer; end
	if newer ~= 0 then set(list, newer, with(get(list, newer), MIDDLE, older)); else self.newest = older; end
	set(self.ids, n, false);
	set(self.asked, n, false);
	set(list, n, self.free);
	self.free, self.count_all = n, self.count_all - 1;
	if count > 0 then
		self.ends[user] = with(with(ends, LOW, next_one), HIGH, count);
	else
		self.users[self.jids[user]], self.jids[user], self.ends[user], self.free_user = nil, false, self.free_user, user;
	end
end

local function new_user(self, jid)
	local user = self.free_user;
	if user ~= 0 then
		self.free_user = self.ends[user];
	else
		user = self.user_numbers + 1;
		self.user_numbers = user;
	end
	self.users[jid], self.jids[user], self.ends[user] = user, jid, 0;
	return user;
end

local function new_number(self)
	local n = self.free;
	if n ~= 0 then
		self.free = get(self.list, n);
	else
		n = self.numbers + 1;
		self.numbers = n;
	end
	return n;
end

function methods:add(from, to, id, now, how)
	from, to = jid_bare(from), jid_bare(to);
	local user, list = self.users[from], self.list;
	local high, low = halves(id);
	if find(self, user, to, high, low) then return true, "known"; end
	if user and part(self.ends[user], HIGH) >= self.limits.per_user then
		remove_first(self, user);
		user = self.users[from];
	end
	user = user or new_user(self, from);
	local n = new_number(self);
	local flags = types[how and how.type or "normal"] + (how and how.injected and INJECTED or 0);
	set(self.ids, n, high);
	set(self.lows, n, low);
	set(self.asked, n, to);
	set(self.meta, n, math.tointeger(now * TICKS // 1) * FLAGS + flags | user << HIGH);
	set(list, n, self.newest << MIDDLE);
	if self.newest ~= 0 then set(list, self.newest, with(get(list, self.newest), LOW, n)); else self.oldest = n; end
	local ends = self.ends[user];
	local first, last, count = part(ends, LOW), part(ends, MIDDLE), part(ends, HIGH);
	if count > 0 then set(list, last, with(get(list, last), HIGH, n)); else first = n; end
	self.ends[user] = first | n << MIDDLE | count + 1 << HIGH;
	self.newest, self.count_all = n, self.count_all + 1;
	return true;
end

function methods:match(from, to, id, now)
	local n, other = find(self, self.users[jid_bare(from)], jid_bare(to), halves(id));
	if not n then return other and "forged" or "unknown"; end
	local meta = get(self.meta, n);
	local age = now - time_of(meta);
	if meta & DELIVERED ~= 0 then return "duplicate", age; end
	set(self.meta, n, meta | DELIVERED);
	return "delivered", age;
end

-- The oldest of all is the oldest of its user.
function methods:expire(now, max)
	local done = 0;
	while done < max and self.oldest ~= 0 do
		local meta = get(self.meta, self.oldest);
		if now - time_of(meta) <= self.limits.ttl then break; end
		remove_first(self, meta >> HIGH);
		done = done + 1;
	end
	return done;
end

function methods:count()
	return self.count_all;
end

return { new = new };
