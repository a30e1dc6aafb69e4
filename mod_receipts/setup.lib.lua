-- SPDX-License-Identifier: MIT
-- `prosodyctl mod_receipts check`: the options in force on each host, and what in the configuration makes a feature idle.
--
-- It reads the configuration only, as Prosody will when it starts: what a running Prosody was told later it does not know. It opens the
-- stores that are named there, and reads nothing in them.

local it = require "util.iterators";
local new_set = require "util.set".new;

local options = module:require "options";

local setup = {};

--- The options in force.
-- @param get  function (name): the value in the configuration
-- @return array of { name, value, configured (boolean), problem (one line, where the configured value is wrong) }, by name;
--         and as options.read returns them
function setup.options(get)
	local list, problems = {}, {};
	local values = options.read(get, function (text, name) problems[name] = text; end);
	for name in it.sorted_pairs(options.definitions) do
		table.insert(list, {
			name = name;
			value = values[name:gsub("^receipts_", "")];
			configured = get(name) ~= nil and not problems[name];
			problem = problems[name];
		});
	end
	return list, values;
end

--- The name of the driver of a store of ours, as Prosody will have it (core.storagemanager has no function that tells and opens nothing).
function setup.driver(get, store)
	local storage = get("storage");
	if type(storage) == "table" then storage = storage[store]; elseif type(storage) ~= "string" then storage = nil; end
	return storage or get("default_storage") or "internal";
end

--- Drivers that keep nothing for another process, or after a restart.
setup.forgetful = { memory = true, none = true, null = true };

local UNWRITTEN = "nothing can be written, which counts as a failure each time, and forged acks pass; \"memory\" keeps it off the disk";

-- What comes of those, for each store whose loss is felt. A driver that there is not is the same as "null".
local LOSSES = {
	{ "receipts", { memory = "what is pending does not survive a restart", none = UNWRITTEN, null = UNWRITTEN } };
	{ "receipts_preferences", {
		memory = "what users choose does not survive a restart";
		none = "users can choose nothing";
		null = "it is not known what users chose, so nobody is answered or asked for";
	} };
};

-- Our stores, in the order in which the module opens them.
local STORES = { "receipts", "receipts_preferences", "receipts_caps" };

-- What is said below of a host gets its configuration as a table:
--   get        function (name): the value of an option
--   names      array of the names of all options that are set for it
--   global     function (name): the value of an option in the global section
--   enabled    function (module name): does this host have the module?
--   anywhere   function (module name): does any?
--   disabled   function (module name): is it in modules_disabled, so that this host does not have it?
--   exists     function (module name): does Prosody find such a module?
--   open       function (store name): a store; or nil and why not
--   loads      function (store name): can the module of its storage be loaded? Else "null" stands in for it
--   component  function (host): the name of the Component's module; nil where there is none that is enabled

local function is_there(config, driver)
	return config.exists(("storage_%s"):format(driver));
end

-- Does Prosody keep statistics that mod_http_openmetrics can show? What statsd gets it does not keep.
local function measures(config)
	local provider = config.global("statistics");
	if not provider then return tonumber(config.global("statistics_interval")) ~= nil; end
	return provider == "internal" or tostring(provider):sub(1, 1) == ":"; -- this is a module of Lua's, which may do what it likes
end

--- Features that are on and can do nothing.
-- @param values  option name without "receipts_" -> value in force
-- @param config  see above
-- @return array of one line each
function setup.idle(values, config)
	local list = {};
	if values.answer ~= "never" and values.answer_proof == "ack" and not config.enabled("smacks") then
		table.insert(list, "no receipt is ever sent on behalf of a user: that needs mod_smacks (\"smacks\" in modules_enabled), "
			.."or receipts_answer_proof = \"sent\", or receipts_answer = \"never\" if none is wanted");
	end
	if not config.enabled("carbons") then
		table.insert(list, "receipts show on one of a user's devices only: for all of them add mod_carbons (\"carbons\" in modules_enabled)");
	end
	for _, loss in ipairs(LOSSES) do
		local store, outcomes = table.unpack(loss);
		local driver = setup.driver(config.get, store);
		local outcome = outcomes[driver] or not is_there(config, driver) and "Prosody has no such storage, so "..outcomes.null
			or not config.loads(store) and "Prosody cannot load it, as it says above, so "..outcomes.null;
		if outcome then table.insert(list, ("the storage of %q is %q: %s"):format(store, driver, outcome)); end
	end
	if values.overdue_after >= values.expire_after then
		table.insert(list, "nothing is ever overdue: receipts_overdue_after is not less than receipts_expire_after");
	end
	for _, host in ipairs(values.answer_components) do
		local kind = config.component(host);
		if kind ~= "component" then
			table.insert(list, ("%s of receipts_answer_components is not answered for: %s"):format(host,
				kind and ("it is Component %q, and not a gateway that connects (XEP-0114)"):format(kind)
					or "the configuration has no such Component, or not enabled"));
		end
	end
	if config.anywhere("http_openmetrics") and not measures(config) then
		table.insert(list, "metrics are not shown: that needs statistics = \"internal\" in the global section");
	end
	return list;
end

--- What is not to be had for want of other modules, or by the kind of authentication. Not everybody wants it: so it is no fault.
-- @return array of one line each
function setup.off(config)
	local list = {};
	if not config.anywhere("admin_shell") then
		table.insert(list, "prosodyctl shell receipts …: that needs mod_admin_shell (\"admin_shell\" in modules_enabled)");
	end
	if config.disabled("adhoc") then
		table.insert(list, "ad-hoc commands, and with them users' own choice: \"adhoc\" is in modules_disabled");
	end
	local anonymous = config.get("authentication") == "anonymous" or config.get("anonymous_login"); -- that is the old way
	if anonymous and not config.get("allow_anonymous_storage") and setup.driver(config.get, "receipts_preferences") == "internal" then
		table.insert(list, "users' own choice: of anonymous users this storage keeps nothing, but with allow_anonymous_storage = true");
	end
	local provider = config.global("statistics");
	if not config.anywhere("http_openmetrics") and (not provider or provider == "internal") then
		table.insert(list, "metrics: they need mod_http_openmetrics (\"http_openmetrics\" in modules_enabled) and statistics = \"internal\"");
	end
	return list;
end

local NO_OPTION = "  wrong: mod_receipts has no option ";

-- Names of options that look like ours, and are not.
local function misspelt(names)
	local found = {};
	for _, name in ipairs(names) do
		if name:find("^receipts?_") and not options.definitions[name] then found[name] = true; end
	end
	return it.to_array(it.sorted_pairs(found));
end

--- What there is to say of a host on which the module does nothing: of options that belong elsewhere. Who writes at the end of the file
-- writes below its last host or component.
-- @param names  array of the names of the options that are set below this host
-- @return array of lines; empty when there is nothing to say
function setup.elsewhere(host, names)
	local lines, set = { host }, new_set(names);
	for name in it.sorted_pairs(options.definitions) do
		if set:contains(name) then
			table.insert(lines, ("  wrong: %s has no effect here, because mod_receipts is not at work on this host: "
				.."set it above the first VirtualHost, or below the one that it is for"):format(name));
		end
	end
	for _, name in ipairs(misspelt(names)) do table.insert(lines, NO_OPTION..name); end
	return lines[2] and lines or {};
end

--- What there is to say of one host.
-- @param config  its configuration, see above
-- @return array of lines, and whether all is well
function setup.host(host, config)
	local lines, well = { host }, true;
	local list, values = setup.options(config.get);
	for _, option in ipairs(list) do
		table.insert(lines, ("  %-30s %-10s %s"):format(option.name,
			options.shown(option.value, options.definitions[option.name]), option.configured and "configured" or "default"));
		if option.problem then
			table.insert(lines, "    wrong: "..option.problem);
			well = false;
		end
	end
	for _, name in ipairs(misspelt(config.names)) do
		table.insert(lines, NO_OPTION..name);
		well = false;
	end
	for _, name in ipairs(STORES) do
		if is_there(config, setup.driver(config.get, name)) then -- else "null" opens it, and Prosody complains here, too
			local store, why = config.open(name);
			if not store then
				table.insert(lines, "  wrong: "..options.unkept(name, why, config.get("storage")));
				well = false;
				break; -- the line is for all of them
			end
		end
	end
	for _, line in ipairs(setup.idle(values, config)) do
		table.insert(lines, "  idle: "..line);
		well = false;
	end
	for _, line in ipairs(setup.off(config)) do table.insert(lines, "  off: "..line); end
	return lines, well;
end

local function hosts_of(configmanager)
	local hosts = {};
	for host in it.sorted_pairs(configmanager.getconfig()) do -- the section "*" is no host
		if host ~= "*" and configmanager.get(host, "enabled") ~= false then table.insert(hosts, host); end
	end
	return hosts;
end

-- A host's configuration, see above.
-- @param hosts       array of all hosts
-- @param modules_of  function (host): its modules
local function config_of(host, hosts, modules_of, names, system)
	local get = system.configmanager.get;
	local modules = modules_of(host);
	local disabled = new_set(get(host, "modules_disabled")) + new_set(get("*", "modules_disabled"));
	return {
		get = function (name) return get(host, name); end;
		names = names;
		global = function (name) return get("*", name); end;
		enabled = function (name) return modules:contains(name); end;
		anywhere = function (name)
			for _, other in ipairs(hosts) do
				if modules_of(other):contains(name) then return true; end
			end
			return false;
		end;
		disabled = function (name) return disabled:contains(name) and not modules:contains(name); end;
		exists = system.module_exists;
		open = function (name) return system.open(host, name); end;
		loads = function (name) return system.driver(host, name) == setup.driver(function (option) return get(host, option); end, name); end;
		component = function (other) return new_set(hosts):contains(other) and get(other, "component_module") or nil; end;
	};
end

--- The subcommand, see command.lib.lua.
-- @param system   configmanager, modulemanager: core's; module_exists: see above; open: see stored.lib.lua; out: file
--                 driver: function (host, store name): the name of the driver that it has in the end
-- @param problem  optional: why the module cannot be loaded, whatever the configuration says
function setup.command(system, problem)
	local configmanager, modulemanager, out = system.configmanager, system.modulemanager, system.out;
	local function run(arguments)
		if arguments[1] then return nil, "check takes no arguments"; end
		local sections, hosts, found, said, all_well = configmanager.getconfig(), hosts_of(configmanager), false, nil, true;
		local known = {};
		local function modules_of(host) -- which Prosody puts together anew each time, and each host may ask for those of all
			known[host] = known[host] or modulemanager.get_modules_for_host(host);
			return known[host];
		end
		local function say(lines, well)
			if lines[1] then out:write(said and "\n" or "", table.concat(lines, "\n"), "\n"); end
			said, all_well = said or lines[1], all_well and well;
		end
		local others = {};
		for _, host in ipairs(hosts) do
			local modules, component = modulemanager.get_modules_for_host(host);
			local names = it.to_array(it.keys(sections[host]));
			if component or not modules:contains("receipts") then -- a component may have it, and it does nothing there
				table.insert(others, setup.elsewhere(host, names));
			else
				found = true;
				for name in pairs(sections["*"]) do table.insert(names, name); end
				say(setup.host(host, config_of(host, hosts, modules_of, names, system)));
			end
		end
		for _, lines in ipairs(others) do say(lines, not lines[1]); end
		if not found then say({ "No VirtualHost has \"receipts\" in its modules_enabled" }, false); end
		if problem then say({ "wrong: "..problem }, false); end
		return all_well and 0 or 1;
	end
	return {
		usage = "", summary = "Shows the options of each host, and what in the configuration keeps a feature from working";
		can_do_without = true, run = run;
	};
end

return setup;
