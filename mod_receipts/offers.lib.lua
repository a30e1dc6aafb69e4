-- SPDX-License-Identifier: MIT
-- Rules D1, F4: the ways in which people get at the module: `prosodyctl shell receipts …`, for all hosts together, and ad-hoc commands.
-- Here is what they are called and who may; what they do (shell.lib.lua, forms.lib.lua) sleeps until then.

local modulemanager = require "core.modulemanager";

local offers = {};

-- Node, name, who may, and which of forms.lib.lua's.
local ADHOC = {
	{ "receipts#preference", "Delivery receipts", "local_user", "preference" };
	{ "receipts#mine", "My undelivered messages", "local_user", "mine" };
	{ "receipts#statistics", "Delivery receipts: statistics", "admin", "statistics" };
	{ "receipts#pending", "Delivery receipts: undelivered messages of a user", "admin", "pending" };
};

-- The hosts that the module is on: host -> { inspection =, register = adds the commands of that instance }
local hosts = module:shared("/*/receipts/hosts");
-- The commands of Prosody's shell, section by section.
local environment = module:shared("/*/admin_shell/env");

-- Prosody 13.0 takes commands as items. Those of a host must name one in their arguments, and these are for all hosts: so they are
-- items of the server as a whole, offered anew when the shell is loaded. 0.12 has no such items.
local function register(shell, manual)
	local event = "item-added/shell-command";
	if prosody.events.get_handlers(event) then
		for name, command in pairs(manual.commands) do
			prosody.events.fire_event(event, { source = module, item = {
				section = "receipts", section_desc = manual.section, name = name, desc = command.desc, args = command.args;
				handler = function (...) return shell[name](...); end;
			} });
		end
	elseif modulemanager.is_loaded("*", "admin_shell") then
		environment.receipts = shell;
	end
end

local function offer_in_shell(inspection, libs, guard)
	local function register_ours() register(libs.shell, libs.manual); end
	hosts[module.host] = { inspection = inspection, register = register_ours };
	register_ours();
	module:hook_global("module-loaded", guard("module-loaded", function (event)
		if event.module == "admin_shell" then register_ours(); end
	end));
end

local function leave_shell()
	hosts[module.host], environment.receipts = nil, nil;
	local _, other = next(hosts);
	if other then other.register(); end
end

local function adhoc_commands(inspection, parts, forms)
	local new_command = module:require "adhoc".new;
	local list = {};
	for i, command in ipairs(ADHOC) do
		local node, name, permission, form = table.unpack(command);
		local handler;
		list[i] = new_command(name, node, function (self, data, state)
			handler = handler or forms[form](inspection, parts);
			-- Who goes on without the form gets it again: util.adhoc would raise an error.
			return handler(self, data, (data.form or data.action == "cancel") and state);
		end, permission);
	end
	return list;
end

-- mod_adhoc finds what modules provide whenever it is loaded, and we need nothing of it. So it is no module:depends(), with which the
-- whole module would go where it is disabled or unloaded. What keeps it from loading, Prosody logs by itself.
local function load_adhoc()
	if not module:get_option_inherited_set("modules_disabled", {}):contains("adhoc") then modulemanager.load(module.host, "adhoc"); end
end

--- Makes the offers for this host.
-- @param inspection  inspection.lib.lua's; parts: as forms.lib.lua takes them
-- @param libs        shell, manual and forms: the libs; guard: of guard.lib.lua
-- @return function that takes those away which Prosody does not take away by itself
function offers.make(inspection, parts, libs, guard)
	local commands = adhoc_commands(inspection, parts, libs.forms); -- first: it may fail
	offer_in_shell(inspection, libs, guard);
	for _, command in ipairs(commands) do module:provides("adhoc", command); end
	load_adhoc();
	return leave_shell;
end

return offers;
