-- SPDX-License-Identifier: MIT
-- The peer of prosody-memory: the pending table as one would write it in Lua, with what the module needs of it and with care for
-- memory. An entry is a number, and its fields are in arrays, which take less than a table for each. A requester's entries are found
-- by id, and are in a list, oldest first; so are all entries, to expire.
--
--   users[from] = { first, last, count, from, [id] = entry or, where one id was asked of several, the latest of them }

local jid_bare = require "util.jid".bare;

local FIRST, LAST, COUNT, JID = 1, 2, 3, 4; -- of a user
local TICKS = 64; -- a second
local types = { normal = 0, chat = 1, headline = 2 };
local DELIVERED, INJECTED, FLAGS = 8, 16, 32; -- flags, above the type; and their room below the time

local methods = {};
local mt = { __index = methods };

local function new(limits)
	return setmetatable({
		users = {}, limits = limits, count_all = 0, oldest = 0, newest = 0, free = 0, numbers = 0;
		asked = {}, ids = {}, owner = {}, newer = {}, older = {}, next_of_user = {};
		when = {}; -- time in ticks, and flags
		same_id = {}; -- has the few that share their requester and id with an earlier one
	}, mt);
end

-- Who was asked, below the entries with the same id.
local function find(self, user, to, id)
	local n = user and user[id];
	while n and self.asked[n] ~= to do n = self.same_id[n]; end
	return n;
end

-- Takes out a user's oldest entry.
local function remove_first(self, user)
	local n = user[FIRST];
	local id, older, newer = self.ids[n], self.older[n], self.newer[n];
	if older ~= 0 then self.newer[older] = newer; else self.oldest = newer; end
	if newer ~= 0 then self.older[newer] = older; else self.newest = older; end
	user[FIRST] = self.next_of_user[n];
	local same = user[id];
	if same == n then
		user[id] = self.same_id[n];
	else
		while self.same_id[same] ~= n do same = self.same_id[same]; end
		self.same_id[same] = self.same_id[n];
	end
	self.same_id[n], self.asked[n], self.ids[n], self.owner[n] = nil, false, false, false;
	self.newer[n], self.free = self.free, n;
	user[COUNT], self.count_all = user[COUNT] - 1, self.count_all - 1;
	if user[COUNT] == 0 then self.users[user[JID]] = nil; end
end

function methods:add(from, to, id, now, how)
	from, to = jid_bare(from), jid_bare(to);
	local user = self.users[from];
	if find(self, user, to, id) then return true, "known"; end
	if user and user[COUNT] >= self.limits.per_user then remove_first(self, user); end
	if not self.users[from] then
		user = { 0, 0, 0, from };
		self.users[from] = user;
	end
	local n = self.free;
	if n ~= 0 then
		self.free = self.newer[n];
	else
		n = self.numbers + 1;
		self.numbers = n;
	end
	local flags = types[how and how.type or "normal"] + (how and how.injected and INJECTED or 0);
	self.asked[n], self.ids[n], self.owner[n], self.same_id[n] = to, id, user, user[id];
	self.when[n], self.newer[n], self.older[n], self.next_of_user[n] = now * TICKS // 1 * FLAGS + flags, 0, self.newest, 0;
	if self.newest ~= 0 then self.newer[self.newest] = n; else self.oldest = n; end
	if user[COUNT] > 0 then self.next_of_user[user[LAST]] = n; else user[FIRST] = n; end
	self.newest, user[LAST], user[id] = n, n, n;
	user[COUNT], self.count_all = user[COUNT] + 1, self.count_all + 1;
	return true;
end

function methods:match(from, to, id, now)
	local user = self.users[jid_bare(from)];
	local n = find(self, user, jid_bare(to), id);
	if not n then return user and user[id] and "forged" or "unknown"; end
	local age = now - self.when[n] // FLAGS / TICKS;
	if self.when[n] // DELIVERED % 2 == 1 then return "duplicate", age; end
	self.when[n] = self.when[n] + DELIVERED;
	return "delivered", age;
end

-- The oldest of all is the oldest of its user.
function methods:expire(now, max)
	local done = 0;
	while done < max and self.oldest ~= 0 and now - self.when[self.oldest] // FLAGS / TICKS > self.limits.ttl do
		remove_first(self, self.owner[self.oldest]);
		done = done + 1;
	end
	return done;
end

function methods:count()
	return self.count_all;
end

return { new = new };
