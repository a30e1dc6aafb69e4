-- SPDX-License-Identifier: MIT
-- Who may see whose presence (rules B4, D3; XEP-0184 §8).

local blocks = module:require "blocks";
local hiding = module:require "hiding";
local jids = module:require "jids";

local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;

-- session.directed has the JIDs that directed presence was sent to and not taken back, thousands perhaps. Of sessions that were asked
-- about: bare JID -> set of those there. What is not in session.directed any more does not count.
local index = setmetatable({}, { __mode = "k" });

local presence = { index = index };

--- What another one knew, after a reload.
function presence.take_over(other)
	for session, bares in next, other.index do index[session] = bares; end
end

local function note(bares, jid)
	local bare = jids.bare(jid);
	bares[bare] = bares[bare] or {};
	bares[bare][jid] = true;
end

local function index_of(session)
	local bares = index[session];
	if not bares then
		bares = {};
		for jid in next, session.directed do note(bares, jid); end
		index[session] = bares;
	end
	return bares;
end

--- Directed presence is on its way.
function presence.directed(session, jid, type)
	if not session.directed then
		index[session] = nil; -- it has been unavailable
		return;
	end
	if type ~= "unavailable" and not index[session] then return; end
	local bares, bare = index_of(session), jids.bare(jid);
	if not type then
		if not presence.subscribed(session, bare) then note(bares, jid); end -- as mod_presence does
	elseif type == "unavailable" or type == "error" then
		local set = bares[bare];
		if not set then return; end
		set[jid] = nil;
		-- At a bare JID it takes back what was sent to any JID there, and at a full one what was sent to all there: of neither mod_presence
		-- knows. A subscription is cancelled so, too.
		if type == "unavailable" then set[bare] = nil; end
		if next(set) == nil or type == "unavailable" and jid == bare then bares[bare] = nil; end
	end
end

-- Directed presence to this person, or to the room that they speak from.
local function directed_to(session, bare)
	local directed = session.directed;
	if not directed or next(directed) == nil then return false; end
	local set = index_of(session)[bare];
	if not set then return false; end
	for jid in next, set do
		if directed[jid] then return true; end
		set[jid] = nil;
	end
	return false;
end

--- May this person (bare JID) see the presence of the session's user, when there is any? Who is online has their roster with them.
function presence.subscribed(session, bare)
	local item = session.roster and session.roster[bare];
	return item and (item.subscription == "from" or item.subscription == "both");
end

-- Is what this session sends shown to that person? What `subscribed` says is the same for all sessions of a user.
local function shown_to(session, bare, subscribed)
	return session.presence and subscribed and not hiding.is_from(session, bare) or directed_to(session, bare);
end

-- Is it the same account, or its server?
local function knows_anyway(bare, account)
	return not bare or bare == account or bare == module.host;
end

--- May `jid` know that this session is online?
-- @param session  the session of a local user
-- @param jid      any JID; nil stands for the user's own
function presence.visible(session, jid)
	local bare = jids.bare(jid);
	if knows_anyway(bare, jids.account_of(session)) then return true; end
	return shown_to(session, bare, presence.subscribed(session, bare)) and not blocks.has(session.username, jid);
end

--- May `jid` know that anybody of an account is online? It may have very many sessions.
function presence.account_visible(account, jid)
	local online, bare = bare_sessions[account], jids.bare(jid);
	local _, one = next(online and online.sessions or {});
	if not one then return false; end
	if knows_anyway(bare, account) then return true; end
	local subscribed = presence.subscribed(one, bare);
	for _, session in next, online.sessions do
		if shown_to(session, bare, subscribed) then return not blocks.has(one.username, jid); end
	end
	return false;
end

--- May this user of the host see the presence of that client, wherever it is? (rule B4)
-- @param by      any JID of the user's
-- @param client  as capabilities.lib.lua has it
function presence.sees(by, jid, client)
	local theirs = full_sessions[jid];
	if theirs and theirs.host == module.host then return presence.visible(theirs, by); end
	return client.shown ~= nil and client.shown[jids.bare(by)] == true;
end

return presence;
