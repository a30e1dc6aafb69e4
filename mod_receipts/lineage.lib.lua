-- SPDX-License-Identifier: MIT
-- Rule A3: who holds on to what was before a reload, as a stanza that waits does, finds what there is now.
--
-- All that have taken over one from the other have one table between them, which leads to the newest. They do not lead to each other: else
-- whatever holds one of them would hold all that have come since, and with each the module that it was part of.

local lineage = {};

--- The first of its line.
-- @param one  table; its field `line` is ours
-- @return one
function lineage.first(one)
	one.line = { __index = one };
	return one;
end

--- After a reload: one takes over from another. What that one lacks is from now on the newest's.
-- @param one, other  what first() returned; other's metatable is replaced
function lineage.take_over(one, other)
	one.line = other.line;
	one.line.__index = one;
	setmetatable(other, one.line);
end

--- What there is by now.
-- @param one  what first() returned
-- @return the last that has taken over; one itself, if none has
function lineage.newest(one)
	return one.line.__index;
end

return lineage;
