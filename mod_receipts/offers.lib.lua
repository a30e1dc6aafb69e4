-- SPDX-License-Identifier: MIT
-- Rules D1, F4: the ways in which people get at the module: `prosodyctl shell receipts …`, for all hosts together, and ad-hoc commands.
-- Here is what they are called and who may; what they do (shell.lib.lua, forms.lib.lua) sleeps until then.

local offers = {};

local DESCRIPTION = "Delivery receipts (mod_receipts)";

local SHELL = {
	stats = {
		args = { { name = "host", type = "string" } };
		desc = "Show what became of messages: of a host, or of all and in total";
	};
	pending = {
		args = { { name = "jid", type = "string" } };
		desc = "Show a user's messages whose receipt is awaited";
	};
	why = {
		args = { { name = "jid", type = "string" }, { name = "id", type = "string" } };
		desc = "Show which rules decided about a user's recent messages: about one, or about all";
	};
	caps = {
		args = { { name = "jid", type = "string" } };
		desc = "Show what is known of a person's clients: whether they support receipts";
	};
	expire = {
		args = { { name = "host", type = "string" } };
		desc = "Drop what has been pending for longer than receipts_expire_after, without waiting for the timer";
	};
	forget = {
		args = { { name = "jid", type = "string" } };
		desc = "Forget what is pending of a user, in memory and in the store";
	};
};

-- Node, name, who may, and which of forms.lib.lua's.
local ADHOC = {
	{ "receipts#preference", "Delivery receipts", "local_user", "preference" };
	{ "receipts#mine", "My undelivered messages", "local_user", "mine" };
	{ "receipts#statistics", "Delivery receipts: statistics", "admin", "statistics" };
	{ "receipts#pending", "Delivery receipts: undelivered messages of a user", "admin", "pending" };
};

-- The hosts that the module is on: host -> { inspection =, register = adds the commands of that instance }
local hosts = module:shared("/*/receipts/hosts");
-- Prosody 0.12 has its commands here, and 13.0 keeps there those it was told of.
local environment = module:shared("/*/admin_shell/env");

-- Prosody 13.0 takes commands as items. Those of a host must name one in their arguments, and these are for all hosts: so they are
-- items of the server as a whole, offered anew when the shell is loaded.
local function offer(event)
	for name, command in pairs(SHELL) do
		prosody.events.fire_event(event, { source = module, item = {
			section = "receipts", section_desc = DESCRIPTION, name = name, desc = command.desc, args = command.args, handler = command.run;
		} });
	end
end

local function register()
	offer("item-added/shell-command");
	if not environment.receipts then -- 0.12, or no shell yet
		local section = {};
		for name, command in pairs(SHELL) do section[name] = command.run; end
		environment.receipts = section;
	end
end

local function offer_in_shell(inspection, host, shell)
	for name, command in pairs(SHELL) do
		command.run = function (...) return shell[name](...); end;
	end
	hosts[host] = { inspection = inspection, register = register };
	register();
	module:hook_global("module-loaded", function (event)
		if event.module == "admin_shell" then register(); end
	end);
end

local function leave_shell(host)
	hosts[host] = nil;
	offer("item-removed/shell-command");
	environment.receipts = nil;
	local _, other = next(hosts);
	if other then other.register(); end
end

local function offer_adhoc(inspection, preferences, options, forms)
	module:depends("adhoc");
	local new_command = module:require "adhoc".new;
	for _, command in ipairs(ADHOC) do
		local node, name, permission, form = table.unpack(command);
		local handler;
		module:provides("adhoc", new_command(name, node, function (...)
			handler = handler or forms[form](inspection, preferences, options);
			return handler(...);
		end, permission));
	end
end

--- Makes the offers for this host.
-- @param inspection   inspection.lib.lua's; preferences: preferences.lib.lua's; options: those in force
-- @param shell        shell.lib.lua, forms: forms.lib.lua
-- @return function that takes those away which Prosody does not take away by itself
function offers.make(inspection, host, preferences, options, shell, forms)
	offer_in_shell(inspection, host, shell);
	offer_adhoc(inspection, preferences, options, forms);
	return function () leave_shell(host); end;
end

return offers;
