-- SPDX-License-Identifier: MIT
-- `prosodyctl mod_receipts pending USER@HOST`: what the store has, read without a running server.

local jid_split = require "util.jid".prepped_split;

local options = module:require "options";
local records = module:require "records";
local setup = module:require "setup";
local views = module:require "views";

local stored = {};

local FAILED = 2; -- exit code

-- A user's records as entries, and how many records are none: the engine reads them, as it does for the server.
local function entries_of(engine, account, data, now)
	local all, damaged = records.entries(data);
	local _, _, why = engine.pending {}:import(account, all, now);
	local entries = {};
	for i, entry in ipairs(all) do
		if why[i] and why[i] ~= "expired" then damaged = damaged + 1; else table.insert(entries, entry); end
	end
	return entries, damaged;
end

-- What is said of a user.
-- @param ttl  seconds after which an entry expires
-- @return array of lines
local function lines_of(entries, damaged, now, ttl)
	local rows = views.pending(entries, now);
	for i, entry in ipairs(entries) do
		if entry.state == "delivered" then rows[i][4] = "delivered"; end -- kept for rule C6
		if now - entry.time >= ttl then rows[i][4] = "expired"; end
	end
	local lines = #rows > 0 and views.table(views.PENDING, rows) or {};
	table.insert(lines, views.count(#rows, "message"));
	if damaged > 0 then table.insert(lines, views.count(damaged, "record").." damaged, or not of this version"); end
	return lines;
end

--- The subcommand, see command.lib.lua.
-- @param engine  receipts
-- @param system  configmanager, modulemanager: core's; out, err: files; now (function (): seconds);
--                open (function (host, store name)): a keyval store; or nil and why not;
--                may_exist (function (user, host)): is there such a user, or may there be one?
function stored.command(engine, system)
	local configmanager, modulemanager = system.configmanager, system.modulemanager;
	local function fail(...)
		system.err:write(string.format(...), "\n");
		return FAILED;
	end
	local function run(arguments)
		local user, host = jid_split(arguments[1]);
		if not user or arguments[2] then return nil, "Say which user, like romeo@example.org"; end
		if host == "*" or not rawget(configmanager.getconfig(), host) then return nil, "The configuration has no host "..host; end
		local modules, component = modulemanager.get_modules_for_host(host);
		if component or not modules:contains("receipts") then return fail("mod_receipts is not on %s", host); end
		local function get(name) return configmanager.get(host, name); end
		local driver = setup.driver(get, "receipts");
		if setup.forgetful[driver] then
			return fail("The storage of \"receipts\" on %s is %q: only the running server knows (prosodyctl shell receipts pending %s)",
				host, driver, arguments[1]);
		end
		local store, problem = system.open(host, "receipts");
		local data;
		if store then data, problem = store:get(user); end
		if not data and problem then return fail("The store of %s cannot be read: %s", host, problem); end
		if data and type(data) ~= "table" then return fail("What is stored of %s is damaged", arguments[1]); end
		if data == nil and not system.may_exist(user, host) then return fail("There is no user %s@%s", user, host); end
		local now, ttl = system.now(), options.read(get, function () end).expire_after;
		local entries, damaged = entries_of(engine, arguments[1], data or {}, now);
		system.out:write(table.concat(lines_of(entries, damaged, now, ttl), "\n"), "\n");
		return 0;
	end
	return { usage = "USER@HOST", summary = "Shows what is stored of a user's messages that await a receipt; no server has to run", run = run };
end

return stored;
