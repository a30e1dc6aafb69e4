-- SPDX-License-Identifier: MIT
-- Changes to the receipt elements of a stanza, all in place: callers clone first where the stanza is not theirs.

local st = require "util.stanza";

local xmlns_receipts = "urn:xmpp:receipts";

local elements = {};

--- Puts a <request/> in. The message must have an id (rule C4).
function elements.ask(stanza)
	return stanza:add_direct_child(st.stanza("request", { xmlns = xmlns_receipts }));
end

--- Is this a receipt?
function elements.is_received(tag)
	return tag.name == "received" and tag.attr.xmlns == xmlns_receipts;
end

--- The id that an ack message names: its first <received/>'s, or in revision 1.0 the message's own.
function elements.acked(stanza)
	local received = stanza:get_child("received", xmlns_receipts);
	local id = received and received.attr.id;
	if id == nil or id == "" then id = stanza.attr.id; end
	return id;
end

--- Carries out a plan of checks.lib.lua on a stanza.
function elements.apply(plan, stanza)
	local first = true;
	if plan.type then
		stanza.attr.type = plan.type ~= "normal" and plan.type or nil;
	end
	stanza:maptags(function (tag)
		if tag.attr.xmlns ~= xmlns_receipts then return tag; end
		if tag.name == "request" and plan.request == "take" then return nil; end
		if tag.name ~= "received" or plan.received == "keep" then return tag; end
		if plan.received == "take" or not first then return nil; end
		first = false;
		if plan.received == "mend" then
			tag.attr.id = stanza.attr.id;
		end
		return tag;
	end);
	return stanza;
end

return elements;
