-- SPDX-License-Identifier: MIT
-- Chapter B, as it meets Prosody: presence, answers to disco#info, and who is online already.

local jid_host = require "util.jid".host;
local jid_resource = require "util.jid".resource;

local is_awake = module:require "asleep".is_awake;
local jids = module:require "jids";
local retries = module:require "retries";

local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;
local bare_of = jids.bare;

local learning = {};

--- Reads what was learned by hash before a restart. It is small, and spares asking everybody anew.
-- @param capabilities  capabilities.lib.lua's
-- @param store         a keyval store
function learning.recall(capabilities, store)
	local stored, err = retries.attempt(store, "get", nil);
	if type(stored) == "table" then
		capabilities:import(stored);
	elseif err then
		module:log("warn", "What was known of clients could not be read: %s", err);
	end
end

--- Writes it.
function learning.save(capabilities, store)
	local ok, err = retries.attempt(store, "set", nil, capabilities:export());
	if not ok then module:log("warn", "What is known of clients could not be stored: %s", err); end
end

-- Who had joined before the module came: known for the rooms of this server only.
local function joined_before(session, rooms)
	for jid in pairs(session.directed or {}) do
		local host = prosody.hosts[jid_host(jid)];
		if jid_resource(jid) and host and host.modules.muc then rooms:join(session, bare_of(jid)); end
	end
end

--- Takes note of who is online already, when the module comes, or comes back without what it knew.
-- @param rooms  rooms.lib.lua's
function learning.look_around(capabilities, rooms)
	local sessions = {}; -- while their clients are asked, others may come and go
	for _, online in pairs(prosody.hosts[module.host].sessions) do
		for _, session in pairs(online.sessions) do
			table.insert(sessions, session);
			joined_before(session, rooms);
		end
	end
	for _, session in ipairs(sessions) do
		if session.presence and not session.destroyed then capabilities:presence(session.presence); end
	end
end

-- Is another session of the same user in a room?
local function is_another_in(room, session, rooms)
	local online = bare_sessions[bare_of(session.full_jid)]; -- none any more when this is its last session's end
	for _, other in next, online and online.sessions or {} do
		if rooms:has(other, room) then return true; end
	end
	return false;
end

local function is_ours(jid)
	local session = full_sessions[jid];
	return (session and session.host or jids.host_of_bare(bare_of(jid))) == module.host;
end

--- Listens from now on.
-- @param parts  capabilities, rooms, hiding, presence: what has waited over a reload is told to those that there are by then
-- @param disco  disco.lib.lua
-- @param hook  function (event name, handler, priority, key, at_once): hooks an event of the host, guarded, in a thread in which others may
--              run meanwhile. Those for which key(event) is the same are done in turn, and where it is false there is nothing to do; what
--              at_once(event) returns true for is done with
function learning.listen(parts, disco, hook)
	-- @param room  nil: the session is out of none
	local function out_of(room, session)
		if room and not is_another_in(room, session, parts.rooms) then parts.capabilities:hidden(room, bare_of(session.full_jid)); end
	end

	-- @param left  optional: the room that is left thereby, under whatever nick, and by an error too
	local function presence_out(event, left)
		local stanza = event.stanza;
		local to, type = left or stanza.attr.to, left and "unavailable" or stanza.attr.type;
		parts.hiding.sent(event.origin, to, type);
		if not to then return; end
		if is_awake(parts.presence) or type == "unavailable" and event.origin.directed then
			parts.presence.directed(event.origin, to, type);
		end
		if not type and not event.origin.destroyed then parts.capabilities:directed(stanza); end -- as it may be by now, if another module waited
		-- Who unsubscribes is shown nothing more, and need not be told so: a Prosody at the other end sends no unavailable presence.
		if type == "unsubscribe" then parts.capabilities:hidden(bare_of(to), bare_of(stanza.attr.from)); end
	end
	-- Cancels subscriptions by stanzas that pass none of the events below. Without one Prosody sends nothing: then nothing was taken back.
	hook("roster-item-removed", function (event)
		local account, item = event.username.."@"..module.host, event.item;
		parts.capabilities:hidden(event.jid, account);
		local online = item and item.subscription ~= "none" and bare_sessions[account];
		for _, session in next, online and online.sessions or {} do
			if session.directed then parts.presence.directed(session, event.jid, "unavailable"); end
		end
	end);
	hook("pre-presence/bare", presence_out);
	hook("pre-presence/host", presence_out);
	hook("pre-presence/full", function (event)
		local session = event.origin;
		local left = parts.rooms:presence(session, event.stanza); -- first: that a room is joined is to be known whatever fails
		out_of(left, session);
		presence_out(event, left);
	end);

	-- Of clients of this host all is known by what they broadcast: what they show to users here is the most of all presence, and is dropped first.
	local function account_of(event)
		local attr = event.stanza.attr;
		if attr.to and is_ours(attr.from) then return false; end
		return bare_of(attr.to);
	end
	local function at_once(event)
		local account = bare_of(event.stanza.attr.to);
		return account and parts.capabilities:glance(event.stanza, account);
	end
	local function presence_in(event)
		local from, account = event.stanza.attr.from, bare_of(event.stanza.attr.to);
		if not account and not event.origin.destroyed then parts.capabilities:presence(event.stanza); end -- destroyed: as above
		if not from or not bare_sessions[account] then return; end -- who is not online is shown nothing
		parts.capabilities:presence(event.stanza, account);
		-- Who cancels a subscription shows nothing more; a Prosody sends no unavailable presence when it was for one side only.
		if event.stanza.attr.type == "unsubscribed" then parts.capabilities:hidden(bare_of(from), account); end
		local session = full_sessions[event.stanza.attr.to];
		out_of(parts.rooms:told(session, event.stanza), session);
		if not bare_sessions[account] then parts.capabilities:gone(account); end -- while a block list was read
	end
	-- Before mod_blocklist (100): who is blocked goes all the same.
	hook("presence/bare", presence_in, 101, account_of, at_once);
	hook("presence/full", presence_in, 101, account_of, at_once);

	hook("iq-result/bare/disco", function (event)
		local query = disco.result(event.stanza);
		if query then parts.capabilities:overheard(event.stanza.attr.from, query); end
	end);
	hook("resource-bind", function (event) parts.capabilities:forget(event.session.full_jid); end); -- what Prosody has dropped without a word
	hook("resource-unbind", function (event)
		local jid = event.session.full_jid;
		parts.capabilities:forget(jid);
		if not bare_sessions[bare_of(jid)] then parts.capabilities:gone(bare_of(jid)); end
	end);
	hook("smacks-hibernation-end", function (event) parts.capabilities:resumed(event.resumed.full_jid); end);
end

return learning;
