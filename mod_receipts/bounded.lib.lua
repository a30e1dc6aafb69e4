-- SPDX-License-Identifier: MIT
-- Plain tables of bounded size, for what can be found out again: full, they are emptied. util.cache keeps what was used last, and
-- takes a table and four slots for each; here it is one slot, read without a call.

local bounded = {};
local methods = {};
local mt = { __index = methods };

--- @param max  keys at the most
-- @return { at = the table, to be read by anybody and changed by set() only }
function bounded.new(max)
	return setmetatable({ at = {}, count = 0, max = max }, mt);
end

--- @param value  nil removes the key
function methods:set(key, value)
	local at = self.at;
	local was = at[key];
	if was == nil and value ~= nil then
		if self.count >= self.max then self:clear(); end
		self.count = self.count + 1;
	elseif was ~= nil and value == nil then
		self.count = self.count - 1;
	end
	at[key] = value;
end

function methods:clear()
	for key in next, self.at do self.at[key] = nil; end
	self.count = 0;
end

--- What another one holds, too.
function methods:take_over(other)
	for key, value in next, other.at do self:set(key, value); end
end

return bounded;
