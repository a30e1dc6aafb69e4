-- SPDX-License-Identifier: MIT
-- asleep.lib.lua: what sleeps wakes when it is looked into, and if that fails, another time.

local paths = require "spec.support.paths";

describe("What sleeps", function ()
	local codes, asleep, had;

	setup(function ()
		had = package.loaded["core.modulemanager"];
		package.loaded["core.modulemanager"] = { loader = { load_code_ext = function (_, _, name, _, environment)
			return load(codes[name], "="..name, "t", environment);
		end } };
	end);
	teardown(function () package.loaded["core.modulemanager"] = had; end);

	before_each(function ()
		codes = {};
		local environment = setmetatable({}, { __index = _G });
		environment.module = { name = "receipts", environment = environment };
		asleep = assert(loadfile(paths.root.."/mod_receipts/asleep.lib.lua", "t", environment))();
	end);

	it("is not there before it is looked into, and is what was made from then on", function ()
		local made = 0;
		local itself;
		local thing = asleep.until_used(function (self)
			itself, made = self, made + 1;
			return setmetatable({ field = "own" }, { __index = { method = function () return "inherited"; end } });
		end);
		assert.is_false(asleep.is_awake(thing));
		assert.equal(0, made);
		assert.equal("own", thing.field);
		assert.equal("inherited", thing:method());
		assert.is_true(asleep.is_awake(thing));
		assert.equal(1, made);
		assert.equal(thing, itself);
		assert.is_nil(thing.nothing);
	end);

	it("is woken once without being looked into", function ()
		local made = 0;
		local thing = asleep.until_used(function ()
			made = made + 1;
			return {};
		end);
		for _ = 1, 2 do asleep.wake(thing); end
		assert.is_true(asleep.is_awake(thing));
		assert.equal(1, made);
	end);

	it("may be libs, that find each other", function ()
		codes.one = "local two = module:require 'two'; return { name = function () return 'one and '..two.name(); end }";
		codes.two = "return setmetatable({}, { __index = { name = function () return module:require('given').name; end } })";
		local libs = asleep.libs({ "one", "two" }, { given = { name = "two" } });
		assert.is_false(asleep.is_awake(libs.one) or asleep.is_awake(libs.two));
		assert.equal("one and two", libs.one.name());
		assert.is_true(asleep.is_awake(libs.one) and asleep.is_awake(libs.two));
		assert.is_nil(libs.one[1]);
	end);

	it("wakes at another time where it could not", function ()
		codes.one = "if not module:require('given').works then error('not now') end return { name = 'one' }";
		local given = {};
		local libs = asleep.libs({ "one" }, { given = given });
		for _ = 1, 2 do
			assert.has_error(function () return libs.one.name; end, "not now");
			assert.is_false(asleep.is_awake(libs.one));
		end
		given.works = true;
		assert.equal("one", libs.one.name);
	end);

	it("is told of at once where a lib cannot be read", function ()
		codes.one = "not Lua";
		assert.has_error(function () asleep.libs({ "one" }, {}); end);
	end);
end);
