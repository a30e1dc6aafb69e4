-- SPDX-License-Identifier: MIT
-- The peer of prosody-cpu: what somebody writes in an afternoon, who only wants to know which messages have come. It remembers the
-- ids of messages that ask, and forgets them when they are acked, by whomever. No rules, no limits but one, nothing kept over a restart.
-- Written to be fast: one loop over the children, plain tables in two generations, no string and no table made for a message.

local xmlns_receipts = "urn:xmpp:receipts";
local MAX = 50000; -- ids in each generation

local young, old, count = {}, {}, 0;
local delivered, unknown = 0, 0;
function module.counts() return delivered, unknown; end

local function child(stanza, name)
	local tags = stanza.tags;
	for i = 1, #tags do
		local tag = tags[i];
		if tag.name == name and tag.attr.xmlns == xmlns_receipts then return tag; end
	end
end

local function outgoing(event)
	local stanza = event.stanza;
	local id = stanza.attr.id;
	if not id or not child(stanza, "request") then return; end
	if count == MAX then young, old, count = {}, young, 0; end
	young[id], count = true, count + 1;
end

local function incoming(event)
	local received = child(event.stanza, "received");
	local id = received and received.attr.id;
	if not id then return; end
	if young[id] then
		young[id], count = nil, count - 1;
	elseif old[id] then
		old[id] = nil;
	else
		unknown = unknown + 1;
		return;
	end
	delivered = delivered + 1;
end

for _, kind in ipairs { "bare", "full" } do
	module:hook("pre-message/"..kind, outgoing, 20);
	module:hook("message/"..kind, incoming, 20);
end
module:add_feature(xmlns_receipts);
