-- SPDX-License-Identifier: MIT
-- What goes out to the clients of the host passes here, stanza by stanza: Prosody's "stanzas/out" filters, on each session of the host.

local filters = require "util.filters";

local FIRST = 1001; -- before modules that send, at 1000, what they have held back, and before the module's other handlers

local outlet = {};

--- Listens to every stanza on its way to a client, from now on until the module is unloaded.
-- @param hook      function (event name, handler [, priority]): hooks an event of the host, guarded
-- @param filter    function (stanza, session): returns the stanza, or nil if it is not to go out, and raises no errors
-- @param priority  higher ones come first: stream management has -999
-- @param type      optional: only at those of this type; all others cost no more than being asked for it
-- @return function that takes the filters away again
function outlet.listen(hook, filter, priority, type)
	local function pass(stanza, session)
		local attr = type and stanza.attr; -- text may go out as well
		if type and not (attr and attr.type == type) or not filter then return stanza; end
		return filter(stanza, session);
	end
	local function listen_to(session) filters.add_filter(session, "stanzas/out", pass, priority); end
	hook("resource-bind", function (event) listen_to(event.session); end);
	-- A resumption replaces the filters. Then answering.lib.lua answers for what it proves, and an answer may bounce at once.
	hook("smacks-hibernation-end", function (event) listen_to(event.resumed); end, FIRST);

	local function each(visit)
		for _, online in pairs(prosody.hosts[module.host].sessions) do
			for _, session in pairs(online.sessions) do visit(session); end
		end
	end
	each(listen_to);
	return function ()
		each(function (session) filters.remove_filter(session, "stanzas/out", pass); end);
		filter = nil; -- Prosody holds on to the filters that a resumption has replaced, for as long as the session lives
	end;
end

return outlet;
