-- SPDX-License-Identifier: MIT
-- Whom a user of this host has blocked (XEP-0191): they may see nothing, whatever the roster says. mod_blocklist has no function that
-- tells; so its store is read, once a user.

local new_cache = require "util.cache".new;
local monotonic = require "util.time".monotonic;

local jids = module:require "jids";
local retries = module:require "retries";

local MAX_USERS = 1000;

local blocks = {};
local lists = new_cache(MAX_USERS);
local failures = retries.new(monotonic);
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
	local bare = jids.bare(jid);
	return list[jid] ~= nil or list[bare] ~= nil or list[jids.host_of_bare(bare)] ~= nil;
end

--- The user changes the list.
function blocks.forget(user)
	lists:set(user, nil);
	failures:forget(user);
end

return blocks;
