-- SPDX-License-Identifier: MIT
-- Rule F5: what prosodyctl has to offer, and what of Prosody's own it takes for that.

local configmanager = require "core.configmanager";
local modulemanager = require "core.modulemanager";
local storagemanager = require "core.storagemanager";
local load_resource = require "util.pluginloader".load_resource;
local user_exists = require "util.prosodyctl".user_exists;
local make_host = require "util.startup".make_host;
local time_now = require "util.time".now;

local command = module:require "command";
local lint = module:require "lint";
local setup = module:require "setup";
local stored = module:require "stored";

-- As prosodyctl itself does before it touches a host's data.
local function prepare(host)
	prosody.hosts[host] = prosody.hosts[host] or make_host(host); -- luacheck: ignore 122
	storagemanager.initialize_host(host);
end

local function open(host, name)
	prepare(host);
	return storagemanager.open(host, name);
end

-- The name of the driver that a store has in the end: "null" where the configured one cannot be loaded.
local function driver(host, name)
	prepare(host);
	return select(2, storagemanager.get_driver(host, name));
end

-- As prosodyctl's own commands look for a user. Not every kind of authentication can tell; one that asks a server would have to be waited
-- for, and that counts as a yes, as an error does.
local function may_exist(user, host)
	local _, exists, why = coroutine.resume(coroutine.create(user_exists), { user = user, host = host });
	return exists or why == "method not implemented" or prosody.hosts[host].users.name == "anonymous";
end

local function module_exists(name)
	return load_resource(name) ~= nil;
end

local prosodyctl = {};

--- The function that is called with the arguments after `prosodyctl mod_receipts`.
-- @param engine   the C engine; nil when it cannot be loaded, then
-- @param problem  why not
function prosodyctl.new(engine, problem)
	local system = {
		configmanager = configmanager, modulemanager = modulemanager, module_exists = module_exists;
		open = open, driver = driver, may_exist = may_exist, now = time_now;
		out = io.stdout, err = io.stderr;
	};
	return command.new({
		check = setup.command(system, problem);
		lint = lint.command(engine);
		pending = stored.command(engine, system);
	}, problem, io.stdout, io.stderr);
end

return prosodyctl;
