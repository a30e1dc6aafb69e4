-- SPDX-License-Identifier: MIT
-- Rule F1: an account and its data go together. Which accounts there are, and what is forgotten of one that is gone: an account of the same
-- name that comes later is somebody else's.

local user_exists = require "core.usermanager".user_exists;
local jid_join = require "util.jid".join;

local is_awake = module:require "asleep".is_awake;
local jids = module:require "jids";
local retries = module:require "retries";

local bare_sessions = prosody.bare_sessions;

local accounts = {};

--- Is there such a user? For Prosody whoever is online is one, so that anonymous users are. Not every kind of authentication can tell.
-- @return boolean; nil and "method not implemented" where that cannot be told
function accounts.exists(user)
	return user_exists(user, module.host);
end

-- The name of the host's authentication provider.
local function provider()
	return prosody.hosts[module.host].users.name;
end

-- Are accounts in Prosody's own storage? That tells when it fails; others may say of everybody then that there is no such user, and
-- hardly any of theirs can be deleted by prosodyctl.
local function are_stored()
	local name = provider();
	return name == "internal_plain" or name == "internal_hashed";
end

local store, somebody;

-- Are there any accounts? Files that are gone for a while, as with a mount that is lost, tell of nobody. SQL reads all names to tell the
-- first: so that is kept, and looked up.
local function are_any()
	if somebody and store:get(somebody) then return true; end
	local next_user, state, first = store:users();
	somebody = next_user(state, first);
	return somebody ~= nil;
end

--- Is there no such account any more, though its user may be online? Another process that deletes it, as prosodyctl does, tells nobody, and
-- ends no session. Of other authentication it is not known.
function accounts.is_missing(user)
	if not are_stored() then return false; end
	store = store or module:open_store("accounts");
	local account, err = retries.attempt(store, "get", user);
	return account == nil and err == nil;
end

--- The same, so that all that is kept of the user is to be forgotten.
function accounts.is_deleted(user)
	return accounts.is_missing(user) and are_any();
end

local to_look_up = {}; -- set of users whose last session has just ended, unless by this process's deleting them

-- Forgets what is kept in memory alone.
local function forget(parts, user)
	local account = jid_join(user, module.host);
	parts.preferences:forget(user);
	if is_awake(parts.blocks) then parts.blocks.forget(user); end
	for _, part in ipairs { parts.decisions, parts.answering, parts.resend } do
		if is_awake(part) then part:forget(account); end
	end
	parts.capabilities:gone(account);
end

--- An account is gone.
-- @param parts  store, pending, preferences, blocks, decisions, answering, resend, capabilities
function accounts.deleted(parts, user)
	to_look_up[user] = nil;
	parts.store:forget(user);
	forget(parts, user);
	parts.preferences:remove(user);
end

-- A session outlives its account when another process deletes that. With the last one at the latest goes what a namesake would get.
local function unbound(parts, session, later)
	local account, user = jids.account_of(session), session.username;
	local has_something = parts.pending:count(account) > 0 or is_awake(parts.resend);
	if bare_sessions[account] or not has_something or not are_stored() then return; end
	to_look_up[user] = true;
	later(0, "who has gone", function ()
		local due = to_look_up[user];
		to_look_up[user] = nil;
		if due and not bare_sessions[account] then parts.store:look_up(user); end
	end);
end

-- An anonymous user is gone with the last session: the next one has another name.
local function anonymous_unbound(parts, session)
	if bare_sessions[jids.account_of(session)] then return; end
	parts.store:leave(session.username);
	forget(parts, session.username);
end

--- Listens from now on.
-- @param hook            function (event name, handler, priority): hooks an event of the host, guarded
-- @param hook_in_thread  the same, in a thread in which others may run meanwhile
-- @param guard           of guard.lib.lua, and later
function accounts.listen(parts, hook, hook_in_thread, guard, later)
	module:hook_global("user-deleted", guard("user-deleted", function (event)
		if event.host == module.host then
			accounts.deleted(parts, event.username);
		elseif is_awake(parts.resend) then
			parts.resend:forget(jid_join(event.username, event.host));
		end
	end));
	-- The account is a new one. Of one of that name, which another process has deleted, something may be in memory, as may be a storage.
	hook_in_thread("user-registered", function (event) accounts.deleted(parts, event.username); end);
	-- The account may be a new one, of the name of one that another process has deleted: preferences are read anew.
	hook("resource-bind", function (event) parts.preferences:forget(event.session.username); end);
	hook("resource-unbind", function (event)
		local left = provider() == "anonymous" and anonymous_unbound or unbound;
		left(parts, event.session, later);
	end, -10); -- behind all that deals with the session's end
end

return accounts;
