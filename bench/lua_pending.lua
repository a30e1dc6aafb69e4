-- SPDX-License-Identifier: MIT
-- The peer of prosody-memory: the pending table as one would write it in Lua, with what the module needs of it and with care for
-- memory. An entry is an array, without a hash part; a requester's entries are found by id, and are in a list, oldest first; so are
-- all entries, to expire.
--
--   users[from] = { ids = { [id] = entry or, where one id was asked of several, the first of them }, first, last, count }

local jid_bare = require "util.jid".bare;

local TO, ID, TIME, FLAGS, NEXT_OF_USER, OLDER, NEWER, OWNER, SAME_ID = 1, 2, 3, 4, 5, 6, 7, 8, 9;
local types = { normal = 0, chat = 1 };
local DELIVERED, INJECTED = 8, 16; -- flags, above the type

local methods = {};
local mt = { __index = methods };

local function new(limits)
	return setmetatable({ users = {}, count_all = 0, oldest = nil, newest = nil, limits = limits }, mt);
end

-- Who was asked, below the entries with the same id.
local function find(user, to, id)
	local entry = user and user.ids[id];
	while entry and entry[TO] ~= to do entry = entry[SAME_ID]; end
	return entry;
end

function methods:remove(entry)
	local user, older, newer = entry[OWNER], entry[OLDER] or nil, entry[NEWER] or nil;
	if older then older[NEWER] = newer or false; else self.oldest = newer; end
	if newer then newer[OLDER] = older or false; else self.newest = older; end
	local before, at = nil, user.first;
	while at ~= entry do before, at = at, at[NEXT_OF_USER]; end
	local after = entry[NEXT_OF_USER] or nil;
	if before then before[NEXT_OF_USER] = after or false; else user.first = after; end
	if user.last == entry then user.last = before; end
	local same = user.ids[entry[ID]];
	if same == entry then
		user.ids[entry[ID]] = entry[SAME_ID] or nil;
	else
		while same[SAME_ID] ~= entry do same = same[SAME_ID]; end
		same[SAME_ID] = entry[SAME_ID];
	end
	user.count, self.count_all = user.count - 1, self.count_all - 1;
	if user.count == 0 then self.users[user.jid] = nil; end
end

function methods:add(from, to, id, now, how)
	from, to = jid_bare(from), jid_bare(to);
	local user = self.users[from];
	if find(user, to, id) then return true, "known"; end
	if not user then
		user = { jid = from, ids = {}, first = nil, last = nil, count = 0 };
		self.users[from] = user;
	elseif user.count >= self.limits.per_user then
		self:remove(user.first);
	end
	local flags = types[how and how.type or "normal"] + (how and how.injected and INJECTED or 0);
	local entry = { to, id, now, flags, false, self.newest or false, false, user, user.ids[id] or false };
	if self.newest then self.newest[NEWER] = entry; else self.oldest = entry; end
	if user.last then user.last[NEXT_OF_USER] = entry; else user.first = entry; end
	self.newest, user.last, user.ids[id] = entry, entry, entry;
	user.count, self.count_all = user.count + 1, self.count_all + 1;
	return true;
end

function methods:match(from, to, id, now)
	local user = self.users[jid_bare(from)];
	local entry = find(user, jid_bare(to), id);
	if not entry then return user and user.ids[id] and "forged" or "unknown"; end
	local verdict = entry[FLAGS] & DELIVERED ~= 0 and "duplicate" or "delivered";
	entry[FLAGS] = entry[FLAGS] | DELIVERED;
	return verdict, now - entry[TIME];
end

function methods:expire(now, max)
	local done = 0;
	while done < max and self.oldest and now - self.oldest[TIME] > self.limits.ttl do
		self:remove(self.oldest);
		done = done + 1;
	end
	return done;
end

function methods:count()
	return self.count_all;
end

return { new = new };
