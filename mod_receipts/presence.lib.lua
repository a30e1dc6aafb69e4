-- SPDX-License-Identifier: MIT
-- Who may see a user's presence (rule D3; XEP-0184 §8).

local jid_bare = require "util.jid".bare;

local presence = {};

-- Directed presence that the session has sent and not taken back: to this person, or to the room that they speak from.
local function directed_to(session, bare)
	for jid in pairs(session.directed or {}) do
		if jid_bare(jid) == bare then return true; end
	end
	return false;
end

-- The session of somebody who is online holds their roster.
local function subscribed(session, bare)
	local item = session.roster and session.roster[bare];
	return item and (item.subscription == "from" or item.subscription == "both");
end

--- May `jid` know that this session is online?
-- @param session  the session of a local user
-- @param jid      any JID; nil stands for the user's own
-- @return boolean, and why in words
function presence.visible(session, jid)
	local bare = jid_bare(jid);
	if bare and session.presence and subscribed(session, bare) then
		return true, "subscribed";
	elseif not bare or bare == session.username.."@"..session.host then
		return true, "the same account";
	elseif directed_to(session, bare) then
		return true, "directed presence";
	end
	return false, "not subscribed";
end

return presence;
