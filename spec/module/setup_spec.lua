-- SPDX-License-Identifier: MIT
-- setup.lib.lua: what prosodyctl mod_receipts check says of a configuration.

local paths = require "spec.support.paths";
local setup = paths.lib("setup");
local options = paths.lib("options");

local function getter(config)
	return function (name) return config[name]; end;
end

-- What is said of a host with these modules and this configuration.
local function check(config, ...)
	local modules = {};
	for _, name in ipairs { ... } do modules[name] = true; end
	local lines, well = setup.host("example.org", options, function (name) return modules[name] or false; end, getter(config));
	return table.concat(lines, "\n"), well;
end

describe("F5 setup", function ()
	it("lists every option, by name, with its value and where that comes from", function ()
		local list = setup.options(options, getter { receipts_request = "always", receipts_expire_after = "1d", receipts_forged = 5 });
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
		local text, well = check({}, "receipts", "smacks", "carbons");
		assert.is_true(well);
		assert.truthy(text:find("^example.org\n"));
		assert.truthy(text:find("receipts_request +\"auto\" +default"));
		assert.falsy(text:find("idle", 1, true));
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

	it("knows storage that forgets", function ()
		for _, config in ipairs { { storage = "memory" }, { storage = "none" }, { storage = { receipts = "null" } }, { default_storage = "memory" },
			{ storage = { accounts = "sql" }, default_storage = "memory" } } do
			local text, well = check(config, "smacks", "carbons");
			assert.is_false(well);
			assert.truthy(text:find("idle: the storage of \"receipts\"", 1, true));
		end
		for _, config in ipairs { { storage = "sql" }, { storage = { accounts = "memory" } },
			{ storage = { receipts = "sql" }, default_storage = "memory" } } do
			assert.is_true(select(2, check(config, "smacks", "carbons")));
		end
	end);
end);
