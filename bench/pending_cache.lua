-- SPDX-License-Identifier: MIT
-- The peer of the pending table: what a module in Lua would take, Prosody's util.cache with the three strings joined to one key. It
-- is given bare JIDs, so that it need not look for a resource, and it does less than the table does: a forged ack is unknown to it, a
-- request asked twice is not noticed, nothing is counted, listed or evicted by user, and what is too old stays until it is the oldest
-- of all. A value is the time of the ask, or, when the ack has come, less than 0: a number, which costs no memory beyond its slot.

local new_cache = require "util.cache".new;

local cache_table = {};
local methods = {};
local mt = { __index = methods };

function cache_table.new(capacity)
	return setmetatable({ cache = new_cache(capacity) }, mt);
end

function methods:add(from, to, id, now)
	return self.cache:set(from.."\0"..to.."\0"..id, now);
end

function methods:match(from, to, id, now)
	local key = from.."\0"..to.."\0"..id;
	local asked = self.cache:get(key);
	if not asked then return "unknown"; end
	if asked < 0 then return "duplicate", now + asked; end
	self.cache:set(key, -now);
	return "delivered", now - asked;
end

return cache_table;
