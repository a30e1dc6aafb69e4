-- SPDX-License-Identifier: MIT
-- What the elements of a stanza say, and changes to its receipt elements, all in place: callers clone first where the stanza is not theirs.

local jid_host = require "util.jid".host;
local new_set = require "util.set".new;
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

--- May other clients get copies of this message (XEP-0280 §6)? What has the mark of a room's private message mod_carbons takes for one.
function elements.may_be_copied(stanza)
	return not (stanza:get_child("private", "urn:xmpp:carbons:2") or stanza:get_child("no-copy", "urn:xmpp:hints")
		or stanza.attr.to and stanza:get_child("x", "http://jabber.org/protocol/muc#user"));
end

local CALLS = new_set { "urn:xmpp:jingle-message:0", "urn:xmpp:jingle-message:1", "urn:xmpp:call-invites:0" };
local xmlns_states = "http://jabber.org/protocol/chatstates";
-- What says nothing by itself, and so may be beside a chat state alone.
local BESIDE = new_set { xmlns_receipts, xmlns_states, "urn:xmpp:hints", "urn:xmpp:sid:0", "urn:xmpp:occupant-id:0", "urn:xmpp:delay",
	"http://jabber.org/protocol/muc#user", "http://jabber.org/protocol/nick" };

--- Does this message matter for a moment only, as a call that rings does (XEP-0353, XEP-0482), or that somebody is typing (XEP-0085)? To be
-- told that it arrived says that there is a client that rings; sent again it would ring once more.
function elements.is_passing(stanza)
	local call, state, more = false, false, false;
	for _, tag in ipairs(stanza.tags) do
		local name, xmlns = tag.name, tag.attr.xmlns;
		if name == "body" or name == "encrypted" then return false; end
		call = call or CALLS:contains(xmlns) or false;
		state = state or xmlns == xmlns_states;
		more = more or not BESIDE:contains(xmlns) and not (name == "thread" and not xmlns);
	end
	return call or state and not more;
end

elements.SENT_AGAIN = "Sent again: no receipt has come"; -- of a copy's delay: tells it from what has waited in offline storage

--- Is this a message that was sent again (rule G1), by the sender's host? That may be another server. One that says so of what was not loses
-- answers for its own messages by it, and nobody else's.
function elements.is_copy(stanza)
	local host = jid_host(stanza.attr.from);
	local delay = host and stanza:get_child_with_attr("delay", "urn:xmpp:delay", "from", host);
	return delay ~= nil and delay:get_text() == elements.SENT_AGAIN;
end

-- Takes items out of a list. (Those of util.stanza move all that follow for each, which takes seconds where very many go.)
local function take_out(list, gone)
	local kept = 0;
	for i = 1, #list do
		local item = list[i];
		list[i] = nil;
		if not gone[item] then
			kept = kept + 1;
			list[kept] = item;
		end
	end
end

--- Carries out a plan of checks.lib.lua on a stanza.
function elements.apply(plan, stanza)
	local gone, first = {}, true;
	if plan.type then
		stanza.attr.type = plan.type ~= "normal" and plan.type or nil;
	end
	for _, tag in ipairs(stanza.tags) do
		if elements.is_received(tag) then
			gone[tag] = plan.received == "take" or plan.received ~= "keep" and not first or nil;
			if first and plan.received == "mend" then tag.attr.id = stanza.attr.id; end
			first = false;
		elseif tag.name == "request" and tag.attr.xmlns == xmlns_receipts then
			gone[tag] = plan.request == "take" or nil;
		end
	end
	if next(gone) then
		take_out(stanza, gone);
		take_out(stanza.tags, gone);
	end
	return stanza;
end

return elements;
