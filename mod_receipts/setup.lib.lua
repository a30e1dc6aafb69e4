-- SPDX-License-Identifier: MIT
-- `prosodyctl mod_receipts check`: the options in force on each host, and what in the configuration makes a feature idle.
--
-- It reads the configuration only, as Prosody will when it starts: what a running Prosody was told later it does not know.

local setup = {};

local function sorted_keys(map)
	local list = {};
	for key in pairs(map) do table.insert(list, key); end
	table.sort(list);
	return list;
end

--- The options in force.
-- @param options  options.lib.lua
-- @param get      function (name): the value in the configuration
-- @return array of { name, value, configured (boolean), problem (one line, where the configured value is wrong) }, by name
function setup.options(options, get)
	local list = {};
	for i, name in ipairs(sorted_keys(options.definitions)) do
		local problem;
		local function only_this(other)
			if other == name then return get(name); end
		end
		local values = options.read(only_this, function (text) problem = text; end);
		list[i] = {
			name = name;
			value = values[name:gsub("^receipts_", "")];
			configured = get(name) ~= nil and not problem;
			problem = problem;
		};
	end
	return list;
end

--- The name of the driver that Prosody will keep a store with (core.storagemanager has it in no function that opens nothing).
function setup.storage(store, get)
	local storage = get("storage");
	local driver = storage;
	if type(storage) == "table" then driver = storage[store]; end
	return driver or get("default_storage") or "internal";
end

--- Drivers that keep nothing for another process, or after a restart.
setup.forgetful = { memory = true, none = true, null = true };

--- Features that are on and can do nothing.
-- @param values   option name without "receipts_" -> value in force
-- @param enabled  function (module name): boolean
-- @param get      function (name): the value in the configuration
-- @return array of one line each
function setup.idle(values, enabled, get)
	local list = {};
	if values.answer ~= "never" and values.answer_proof == "ack" and not enabled("smacks") then
		table.insert(list, "no receipt is ever sent on behalf of a user: that needs mod_smacks (\"smacks\" in modules_enabled), "
			.."or receipts_answer_proof = \"sent\", or receipts_answer = \"never\" if none is wanted");
	end
	if not enabled("carbons") then
		table.insert(list, "receipts show on one of a user's devices only: for all of them add mod_carbons (\"carbons\" in modules_enabled)");
	end
	local driver = setup.storage("receipts", get);
	if setup.forgetful[driver] then
		table.insert(list, ("the storage of \"receipts\" is %q: what is pending does not survive a restart"):format(driver));
	end
	return list;
end

--- What there is to say of one host.
-- @return array of lines, and whether all is well
function setup.host(host, options, enabled, get)
	local lines, values, well = { host }, {}, true;
	for _, option in ipairs(setup.options(options, get)) do
		values[option.name:gsub("^receipts_", "")] = option.value;
		table.insert(lines, ("  %-30s %-10s %s"):format(option.name,
			options.shown(option.value, options.definitions[option.name]), option.configured and "configured" or "default"));
		if option.problem then
			table.insert(lines, "    wrong: "..option.problem);
			well = false;
		end
	end
	for _, line in ipairs(setup.idle(values, enabled, get)) do
		table.insert(lines, "  idle: "..line);
		well = false;
	end
	return lines, well;
end

--- The subcommand, see command.lib.lua.
-- @param options        options.lib.lua
-- @param configmanager  core.configmanager
-- @param modulemanager  core.modulemanager
-- @param out            file
function setup.command(options, configmanager, modulemanager, out)
	local function run(arguments)
		if arguments[1] then return nil, "check takes no arguments"; end
		local found, all_well = false, true;
		for _, host in ipairs(sorted_keys(configmanager.getconfig())) do
			local function get(name) return configmanager.get(host, name); end
			-- The modules of "*" are those of no host; a component may have them, and they do nothing there.
			local modules, component = modulemanager.get_modules_for_host(host);
			if host ~= "*" and get("enabled") ~= false and not component and modules:contains("receipts") then
				local lines, well = setup.host(host, options, function (name) return modules:contains(name); end, get);
				out:write(found and "\n" or "", table.concat(lines, "\n"), "\n");
				found, all_well = true, all_well and well;
			end
		end
		if not found then
			out:write("No VirtualHost has \"receipts\" in its modules_enabled\n");
			return 1;
		end
		return all_well and 0 or 1;
	end
	return { usage = "", summary = "Shows the options in force on each host, and what in the configuration keeps a feature from working", run = run };
end

return setup;
