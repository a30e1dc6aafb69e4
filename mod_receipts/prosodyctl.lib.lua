-- SPDX-License-Identifier: MIT
-- Rule F5: what prosodyctl has to offer, and what of Prosody's own it takes for that.

local configmanager = require "core.configmanager";
local modulemanager = require "core.modulemanager";
local storagemanager = require "core.storagemanager";
local user_exists = require "util.prosodyctl".user_exists;
local make_host = require "util.startup".make_host;
local time_now = require "util.time".now;

local libs = {};
for _, name in ipairs { "command", "lint", "options", "records", "setup", "stored", "views" } do libs[name] = module:require(name); end

-- As prosodyctl itself does before it touches a host's data.
local function open(host, name)
	prosody.hosts[host] = prosody.hosts[host] or make_host(host); -- luacheck: ignore 122
	storagemanager.initialize_host(host);
	return storagemanager.open(host, name);
end

-- As prosodyctl's own commands look for a user. Not every kind of authentication can tell; one that asks a server would have to be waited
-- for, and that counts as a yes, as an error does.
local function may_exist(user, host)
	local _, exists, why = coroutine.resume(coroutine.create(user_exists), { user = user, host = host });
	return exists or why == "method not implemented" or prosody.hosts[host].users.name == "anonymous";
end

local prosodyctl = {};

--- The function that is called with the arguments after `prosodyctl mod_receipts`.
-- @param engine   the C engine; nil when it cannot be loaded, then
-- @param problem  why not
function prosodyctl.new(engine, problem)
	return libs.command.new({
		check = libs.setup.command(libs.options, configmanager, modulemanager, io.stdout);
		lint = libs.lint.command(engine);
		pending = libs.stored.command(libs, configmanager, modulemanager, open, may_exist, time_now, io.stdout, io.stderr);
	}, problem, io.stdout, io.stderr);
end

return prosodyctl;
