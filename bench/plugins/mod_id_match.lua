-- SPDX-License-Identifier: MIT
-- The peer of prosody-cpu: what somebody writes in an afternoon, who only wants to know whose receipts have come. It remembers the
-- ids of messages that ask, and forgets them when they are acked. No rules, no limits but one, nothing kept over a restart.

local jid_bare = require "util.jid".bare;
local new_cache = require "util.cache".new;

local xmlns_receipts = "urn:xmpp:receipts";
local waiting = new_cache(100000);
local delivered, unknown = 0, 0;

local function outgoing(event)
	local stanza = event.stanza;
	if stanza.attr.id and stanza:get_child("request", xmlns_receipts) then
		waiting:set(jid_bare(stanza.attr.from).."\n"..jid_bare(stanza.attr.to).."\n"..stanza.attr.id, os.time());
	end
end

local function incoming(event)
	local stanza = event.stanza;
	local received = stanza:get_child("received", xmlns_receipts);
	if not received or not received.attr.id then return; end
	local key = jid_bare(stanza.attr.to).."\n"..jid_bare(stanza.attr.from).."\n"..received.attr.id;
	if waiting:get(key) then
		waiting:set(key, nil);
		delivered = delivered + 1;
	else
		unknown = unknown + 1;
	end
end

for _, kind in ipairs { "bare", "full" } do
	module:hook("pre-message/"..kind, outgoing, 20);
	module:hook("message/"..kind, incoming, 20);
end
module:add_feature(xmlns_receipts);
