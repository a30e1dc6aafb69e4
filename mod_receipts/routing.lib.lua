-- SPDX-License-Identifier: MIT
-- Which sessions of a local account a message goes to, as mod_message has it (RFC 6121 §8.5).

local bare_of = (module:require "jids").bare;

local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;

local routing = {};

--- The sessions that mod_message will hand a message to. What is for a client that is gone goes to the account, but for headlines.
-- @param to    bare or full JID of a local account
-- @param type  the message's type attribute
-- @return array
function routing.recipients(to, type)
	local session = full_sessions[to];
	if session then return { session }; end
	local account, list = bare_of(to), {};
	local online = bare_sessions[account];
	if type ~= "headline" then return online and online.top_resources or list; end
	if to ~= account then return list; end
	for _, one in pairs(online and online.sessions or {}) do
		if one.priority and one.priority >= 0 then table.insert(list, one); end
	end
	return list;
end

--- The highest priority of an account's sessions; nil where none is available.
function routing.top_priority(account)
	local online = bare_sessions[account];
	local top = online and online.top_resources and online.top_resources[1];
	return top and top.priority;
end

return routing;
