-- SPDX-License-Identifier: MIT
-- The floor of prosody-cpu: the least that a module can do with our rules. It is called for every message on its way out and in, lets no
-- error reach Prosody (F0), looks for receipt elements by name and namespace (E8), has the engine add what is asked and match what is
-- acked (E1, F2), and sees what goes out to clients (E6). It knows of nobody's clients, rosters or wishes, writes and counts nothing,
-- answers and asks for nobody, and takes what is malformed for what it looks like.

local filters = require "util.filters";
local receipts = require "receipts";
local now = require "util.time".now;

local pcall = pcall;
local pending = receipts.pending();
local ask, match = pending.ask, pending.match;

local function child(stanza, name)
	local tags = stanza.tags;
	for i = 1, #tags do
		local tag = tags[i];
		if tag.name == name and tag.attr.xmlns == "urn:xmpp:receipts" then return tag; end
	end
end

local function outgoing(event)
	local stanza = event.stanza;
	if not child(stanza, "request") then return; end
	local attr = stanza.attr;
	ask(pending, attr.from, attr.to, attr.id, now(), attr.type);
end

local function incoming(event)
	local stanza = event.stanza;
	local received = child(stanza, "received");
	if not received then return; end
	local attr = stanza.attr;
	match(pending, attr.to, attr.from, received.attr.id, now());
end

local function guarded(handler)
	return function (event)
		local ok, result = pcall(handler, event);
		if ok then return result; end
	end;
end

for _, kind in ipairs { "bare", "full" } do
	module:hook("pre-message/"..kind, guarded(outgoing), 20);
	module:hook("message/"..kind, guarded(incoming), 20);
end

local function passing(stanza) return stanza; end
local function each(visit)
	for _, user in pairs(prosody.hosts[module.host].sessions) do
		for _, session in pairs(user.sessions) do visit(session, "stanzas/out", passing); end
	end
end
each(filters.add_filter);
function module.unload() each(filters.remove_filter); end
