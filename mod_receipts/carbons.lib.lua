-- SPDX-License-Identifier: MIT
-- Rule E7: all of the requester's devices show the tick. mod_carbons copies acks of type chat, and not of others.

local elements = module:require "elements";

local carbons = {};

-- Is this an ack that mod_carbons leaves out for its type alone? What it leaves out for a reason it still does, and what is a content
-- message besides is its own to judge. (To wrap its event, and so hear what it says, would make garbage for every message.)
local function should_copy(stanza, engine)
	local what, bits = engine.examine(stanza), engine.bits;
	if not what or what & bits.acks == 0 or what & (bits.body | bits.encrypted) ~= 0 then return false; end
	return elements.may_be_copied(stanza) and stanza.attr.type ~= "groupchat";
end

--- From now on such acks are copied.
-- @param guard  of guard.lib.lua
function carbons.copy_acks(engine, guard, priority)
	local copy = guard("carbons-should-copy", function (event)
		if not should_copy(event.stanza, engine) then return; end
		event.reason = "receipt";
		return true;
	end);
	module:hook("carbons-should-copy", function (event)
		if event.stanza.attr.type ~= "chat" then return copy(event); end
	end, priority);
end

return carbons;
