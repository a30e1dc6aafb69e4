-- SPDX-License-Identifier: MIT
-- The floor of prosody-cpu: no module that holds to our rules costs less. It is called for every message on its way out and in, lets no
-- error reach Prosody (F0), looks for receipt elements by name and namespace (E8), and sees what goes out to clients (E6) and what is
-- copied to their other devices (E7). It keeps nothing, decides nothing and calls nothing.

local filters = require "util.filters";

local pcall = pcall;
local names = { request = true, received = true };

local function look(event)
	local tags = event.stanza.tags;
	for i = 1, #tags do
		local tag = tags[i];
		if names[tag.name] and tag.attr.xmlns == "urn:xmpp:receipts" then return; end
	end
end

local function guarded(event)
	local ok, result = pcall(look, event);
	if ok then return result; end
end

for _, kind in ipairs { "bare", "full" } do
	module:hook("pre-message/"..kind, guarded, 20);
	module:hook("message/"..kind, guarded, 20);
end
module:hook("carbons-should-copy", function () end, 20);

local function passing(stanza) return stanza; end
local function each(visit)
	for _, user in pairs(prosody.hosts[module.host].sessions) do
		for _, session in pairs(user.sessions) do visit(session, "stanzas/out", passing); end
	end
end
each(filters.add_filter);
function module.unload() each(filters.remove_filter); end
