-- SPDX-License-Identifier: MIT
-- Whom a user of this host has blocked (XEP-0191): they may see nothing, whatever the roster says. mod_blocklist has no function that
-- tells; so its store is read, once a user.

local new_cache = require "util.cache".new;
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local time_now = require "util.time".now;

local retries = module:require "retries";

local MAX_USERS = 1000;

local blocks = {};
local lists = new_cache(MAX_USERS);
local failures = retries.new(time_now);
local store;

local function list_of(user)
	local list = lists:get(user);
	if list then return list; end
	store = store or module:open_store("blocklist");
	local stored, err = failures:read(store, user);
	if err then return {}; end
	list = type(stored) == "table" and stored or {};
	lists:set(user, list);
	return list;
end

--- Has the user blocked this JID? While the store cannot be read, nobody has been, as for mod_blocklist.
function blocks.has(user, jid)
	if not prosody.hosts[module.host].modules.blocklist then return false; end
	local list = list_of(user);
	return list[jid] ~= nil or list[jid_bare(jid)] ~= nil or list[jid_host(jid)] ~= nil;
end

--- The user changes the list.
function blocks.forget(user)
	lists:set(user, nil);
	failures:forget(user);
end

return blocks;
