-- SPDX-License-Identifier: MIT
-- setup.lib.lua: what prosodyctl mod_receipts check says of a configuration.

local paths = require "spec.support.paths";
local setup = paths.lib("setup");
local options = paths.lib("options");

local function getter(config)
	return function (name) return config[name]; end;
end

local REFUSES = "xep0227"; -- a storage that takes no store of ours

local BROKEN = "sql9"; -- one whose module cannot be loaded

local COMPONENTS = { ["sms.example.org"] = "component", ["rooms.example.org"] = "muc" };

-- What is said of a host with these modules, in a configuration like this.
local function check(options_set, ...)
	local disabled = {};
	for _, name in ipairs(options_set.modules_disabled or {}) do disabled[name] = true; end
	local modules, names = {}, {};
	for _, name in ipairs { ... } do modules[name] = true; end
	for name in pairs(options_set) do table.insert(names, name); end
	local function enabled(name) return modules[name] or false; end
	local lines, well = setup.host("example.org", {
		get = getter(options_set), enabled = enabled, anywhere = enabled, global = getter(options_set);
		disabled = function (name) return disabled[name] or false; end;
		component = function (host) return COMPONENTS[host]; end;
		exists = function (name) return name ~= "storage_memmory" and name ~= "storage_5"; end;
		loads = function (store) return setup.driver(getter(options_set), store) ~= BROKEN; end;
		open = function (store)
			local driver = setup.driver(getter(options_set), store);
			assert.not_equal("memmory", driver);
			if driver == REFUSES then return nil, "unsupported-datastore"; end
			return {};
		end;
		names = names;
	});
	return table.concat(lines, "\n"), well;
end

describe("F5 setup", function ()
	it("lists every option, by name, with its value and where that comes from", function ()
		local list = setup.options(getter { receipts_request = "always", receipts_expire_after = "1d", receipts_forged = 5 });
		local by_name, count = {}, 0;
		for i, option in ipairs(list) do
			assert.is_true(i == 1 or list[i - 1].name < option.name);
			by_name[option.name] = option;
		end
		for name, definition in pairs(options.definitions) do
			count = count + 1;
			assert.is_table(by_name[name], name);
			if name ~= "receipts_request" and name ~= "receipts_expire_after" and name ~= "receipts_forged" then
				assert.same({ name = name, value = definition.default, configured = false }, by_name[name]);
			end
		end
		assert.equal(count, #list);
		assert.same({ name = "receipts_request", value = "always", configured = true }, by_name.receipts_request);
		assert.same({ name = "receipts_expire_after", value = 86400, configured = true }, by_name.receipts_expire_after);
		local wrong = by_name.receipts_forged;
		assert.same({ "drop", false }, { wrong.value, wrong.configured });
		assert.truthy(wrong.problem:find("receipts_forged = 5 is not valid: allowed is \"drop\", \"pass\"", 1, true));
	end);

	it("finds nothing wrong with a whole setup", function ()
		local text, well = check({ statistics = "internal" }, "receipts", "smacks", "carbons", "admin_shell", "http_openmetrics");
		assert.is_true(well);
		assert.truthy(text:find("^example.org\n"));
		assert.truthy(text:find("receipts_request +\"auto\" +default"));
		for _, kind in ipairs { "idle", "wrong", "off" } do assert.falsy(text:find("\n  +"..kind..":")); end
	end);

	it("says what is off for want of another module, which is no fault", function ()
		local text, well = check({}, "smacks", "carbons");
		assert.is_true(well);
		assert.truthy(text:find("off: prosodyctl shell receipts …: that needs mod_admin_shell (\"admin_shell\" in modules_enabled)", 1, true));
		assert.truthy(text:find('off: metrics: .*"http_openmetrics".*statistics = "internal"'));
		text, well = check({ statistics = "statsd" }, "smacks", "carbons", "admin_shell");
		assert.is_true(well);
		assert.falsy(text:find("off:", 1, true), "they go elsewhere");
		text, well = check({ modules_disabled = { "adhoc" } }, "smacks", "carbons");
		assert.is_true(well);
		assert.truthy(text:find("off: ad-hoc commands, and with them users' own choice: \"adhoc\" is in modules_disabled", 1, true), text);
		text = check({ statistics = "internal" }, "smacks", "carbons", "admin_shell");
		assert.falsy(text:find("off: ad-hoc", 1, true), "it is loaded with the module");
		assert.truthy(text:find("off: metrics", 1, true), "they go nowhere");
	end);

	it("says that anonymous users can choose nothing where Prosody keeps nothing of theirs, which is no fault", function ()
		local off = "off: users' own choice: of anonymous users this storage keeps nothing, but with allow_anonymous_storage = true";
		for _, config in ipairs { {}, { storage = "internal" }, { storage = { receipts = "sql" } }, { anonymous_login = true } } do
			if not config.anonymous_login then config.authentication = "anonymous"; end
			local text, well = check(config, "smacks", "carbons");
			assert.is_true(well);
			assert.truthy(text:find(off, 1, true), text);
		end
		for _, config in ipairs { { authentication = "internal_hashed" }, {}, { authentication = "anonymous", storage = "sql" },
			{ authentication = "anonymous", allow_anonymous_storage = true } } do
			assert.falsy(check(config, "smacks", "carbons"):find("off: users' own choice", 1, true));
		end
	end);

	it("knows what metrics need", function ()
		local text, well = check({}, "smacks", "carbons", "http_openmetrics");
		assert.is_false(well);
		assert.truthy(text:find('idle: metrics are not shown: .*statistics = "internal"'));
		assert.falsy(text:find("off: metrics", 1, true));
		for provider, why in pairs { statsd = "it gets them, and keeps none to be shown", prometheus = "Prosody has no such provider" } do
			assert.is_false(select(2, check({ statistics = provider, statistics_interval = 30 }, "smacks", "carbons", "http_openmetrics")), why);
		end
		for _, config in ipairs { { statistics = "internal" }, { statistics_interval = 30 }, { statistics = ":mine" },
			{ statistics = false, statistics_interval = 30 } } do
			assert.is_true(select(2, check(config, "smacks", "carbons", "http_openmetrics")));
		end
	end);

	it("lists options that there are not", function ()
		local text, well = check({ receipts_anwser = "opt-out", receipts_requests = "never", receipts_request = "never", other = 1,
			receipt_request = "never" }, "smacks", "carbons");
		assert.is_false(well);
		assert.truthy(text:find("wrong: mod_receipts has no option receipt_request\n", 1, true), text);
		assert.truthy(text:find("wrong: mod_receipts has no option receipts_anwser\n.*wrong: mod_receipts has no option receipts_requests"));
		assert.falsy(text:find("no option receipts_request\n") or text:find("no option other", 1, true));
	end);

	it("knows which components can be answered for", function ()
		local listed = { "sms.example.org", "rooms.example.org", "nowhere.example" };
		local text, well = check({ receipts_answer_components = listed }, "smacks", "carbons");
		assert.is_false(well);
		local not_answered = " of receipts_answer_components is not answered for: ";
		assert.truthy(text:find("idle: rooms.example.org"..not_answered.."it is Component \"muc\", and not a gateway", 1, true));
		assert.truthy(text:find("idle: nowhere.example"..not_answered.."the configuration has no such Component, or not enabled", 1, true));
		assert.falsy(text:find("idle: sms", 1, true));
	end);

	it("knows that nothing is overdue that has expired", function ()
		for overdue, works in pairs { ["1d"] = false, ["2d"] = false, ["1h"] = true } do
			local text, well = check({ receipts_overdue_after = overdue, receipts_expire_after = "1d" }, "smacks", "carbons");
			assert.equal(works, well, text);
			assert.equal(not works, text:find("idle: nothing is ever overdue: receipts_overdue_after is not less than", 1, true) ~= nil);
		end
	end);

	it("shows and judges what may be written in several ways as what is in force", function ()
		local text, well = check({ receipts_answer_components = "sms.example.org", receipts_expire_after = "2 weeks", receipts_overdue_after = "1 week" },
			"smacks", "carbons");
		assert.is_true(well, text);
		assert.truthy(text:find('receipts_answer_components +{ "sms.example.org" } +configured'), text);
		assert.truthy(text:find('receipts_expire_after +"14d" +configured'), text);
		text, well = check({ receipts_answer_components = "nowhere.example", receipts_overdue_after = "7 days" }, "smacks", "carbons");
		assert.is_false(well);
		assert.truthy(text:find("idle: nowhere.example of receipts_answer_components", 1, true), text);
		assert.truthy(text:find("idle: nothing is ever overdue", 1, true), text);
	end);

	it("repeats what is wrong with an option", function ()
		local text, well = check({ receipts_forged = true }, "smacks", "carbons");
		assert.is_false(well);
		assert.truthy(text:find("wrong: Option receipts_forged = true is not valid", 1, true));
	end);

	it("knows what answering needs", function ()
		local text, well = check({}, "carbons");
		assert.is_false(well);
		assert.truthy(text:find("idle: .*mod_smacks"));
		for _, config in ipairs { { receipts_answer = "never" }, { receipts_answer_proof = "sent" } } do
			text, well = check(config, "carbons");
			assert.is_true(well, text);
		end
	end);

	it("knows what copies to all devices need", function ()
		local text, well = check({}, "smacks");
		assert.is_false(well);
		assert.truthy(text:find("idle: .*mod_carbons"));
	end);

	it("knows storage that does not take our stores, with which the module does not load", function ()
		for name, storage in pairs { receipts = REFUSES, receipts_preferences = { receipts_preferences = REFUSES, receipts_caps = REFUSES },
			receipts_caps = { receipts_caps = REFUSES } } do
			local text, well = check({ storage = storage }, "smacks", "carbons");
			assert.is_false(well);
			assert.truthy(text:find("\n  wrong: "..options.unkept(name, "unsupported-datastore", storage), 1, true), text);
			assert.equal(1, select(2, text:gsub("wrong:", "")), "once: it says what to do for all of them");
		end
	end);

	it("takes what is no name of a storage for nothing, as Prosody does", function ()
		for _, storage in ipairs { 5, true } do
			assert.is_true(select(2, check({ storage = storage }, "smacks", "carbons")));
			assert.truthy(check({ storage = storage, default_storage = "memory" }, "smacks", "carbons"):find("\"receipts\" is \"memory\"", 1, true));
		end
		assert.truthy(check({ storage = { receipts = 5 } }, "smacks", "carbons"):find("\"receipts\" is 5: Prosody has no such storage", 1, true));
	end);

	it("knows storage that forgets", function ()
		for _, config in ipairs { { storage = "memory" }, { storage = "none" }, { storage = { receipts = "null" } }, { default_storage = "memory" },
			{ storage = { accounts = "sql" }, default_storage = "memory" } } do
			local text, well = check(config, "smacks", "carbons");
			assert.is_false(well);
			assert.truthy(text:find("idle: the storage of \"receipts\"", 1, true));
		end
		for _, config in ipairs { { storage = "sql" }, { storage = { accounts = "memory" } }, { storage = { receipts_caps = "memory" } },
			{ storage = { receipts = "sql", receipts_preferences = "sql" }, default_storage = "memory" } } do
			assert.is_true(select(2, check(config, "smacks", "carbons")));
		end
	end);

	it("tells storage that forgets from storage that fails, or that there is not", function ()
		local pending, chosen = "what is pending does not survive a restart", "what users choose does not survive a restart";
		local unwritten, unknown = "nothing can be written", "it is not known what users chose, so nobody is answered or asked for";
		for driver, wanted in pairs {
			memory = { pending, chosen }, none = { unwritten, "users can choose nothing" }, null = { unwritten, unknown };
			memmory = { "Prosody has no such storage, so "..unwritten, "Prosody has no such storage, so "..unknown };
			[BROKEN] = { "Prosody cannot load it, as it says above, so "..unwritten, "Prosody cannot load it, as it says above, so "..unknown };
		} do
			for i, store in ipairs { "receipts", "receipts_preferences" } do
				local text = check({ storage = { [store] = driver } }, "smacks", "carbons");
				assert.truthy(text:find(("idle: the storage of %q is %q: %s"):format(store, driver, wanted[i]), 1, true), text);
				assert.equal(1, select(2, text:gsub("idle: ", "")), text);
			end
		end
	end);

	it("says at its end, of whichever hosts, that the module cannot be loaded at all", function ()
		for module, count in pairs { receipts = 1, ping = 0 } do
			local said = {};
			local command = setup.command({
				configmanager = { getconfig = function () return { ["*"] = {}, ["one.example"] = {} }; end, get = function () end };
				modulemanager = { get_modules_for_host = function () return require "util.set".new { module, "smacks", "carbons" }; end };
				module_exists = function () return true; end, open = function () return {}; end, driver = function () return "internal"; end;
				out = { write = function (_, ...) table.insert(said, table.concat { ... }); end };
			}, "no engine");
			assert.equal(1, command.run {});
			said = table.concat(said);
			assert.equal(count, select(2, said:gsub("^one%.example\n", "")));
			assert.truthy(said:find("\n\nwrong: no engine\n$"), said);
		end
	end);

	it("has Prosody tell the modules of each host but twice, however many there are", function ()
		local sections, asked = { ["*"] = {} }, 0;
		for i = 1, 20 do sections[i..".example"] = {}; end
		local function get() end
		local said = {};
		local command = setup.command {
			configmanager = { getconfig = function () return sections; end, get = get };
			modulemanager = { get_modules_for_host = function ()
				asked = asked + 1;
				return require "util.set".new { "receipts" };
			end };
			module_exists = function () return true; end, open = function () return {}; end, driver = function () return "internal"; end;
			out = { write = function (_, ...) table.insert(said, table.concat { ... }); end };
		};
		command.run {};
		assert.equal(40, asked);
		assert.equal(20, select(2, table.concat(said):gsub("off: metrics", "")));
	end);
end);
