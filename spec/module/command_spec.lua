-- SPDX-License-Identifier: MIT
-- command.lib.lua: subcommands of prosodyctl mod_receipts.

local command = require "spec.support.paths".lib("command");

describe("F5 command", function ()
	local ran;
	local subcommands = {
		count = { usage = "THING…", summary = "Counts things", run = function (arguments) ran = arguments; return #arguments; end };
		add = { usage = "", summary = "Adds", run = function () return nil, "nothing to add"; end };
		look = { usage = "", summary = "Looks", can_do_without = true, run = function () return 1; end };
		fail = { usage = "", summary = "Fails", run = function () error("no luck"); end };
	};

	local function run(problem, ...)
		local out, err = assert(io.tmpfile()), assert(io.tmpfile());
		local code = command.new(subcommands, problem, out, err)({ ... });
		out:seek("set");
		err:seek("set");
		return code, out:read("a"), err:read("a");
	end

	it("runs a subcommand with its arguments", function ()
		assert.equal(2, (run(nil, "count", "a", "-")));
		assert.same({ "a", "-" }, ran);
	end);

	it("lists them all", function ()
		for _, word in ipairs { "help", "--help", "-h" } do
			local code, out, err = run(nil, word);
			assert.same({ 0, "" }, { code, err });
			assert.truthy(out:find("add\n.*Adds.*count THING…\n.*Counts things.*fail\n"));
		end
		local code, out = run(nil, "count", "--help");
		assert.equal(0, code);
		assert.equal("Usage: prosodyctl mod_receipts count THING…\nCounts things\n", out);
	end);

	it("answers what it does not know with the list, and code 2", function ()
		for _, arguments in ipairs { {}, { "multiply" } } do
			local code, out, err = run(nil, table.unpack(arguments));
			assert.same({ 2, "" }, { code, out });
			assert.truthy(err:find("count THING…", 1, true));
		end
	end);

	it("answers wrong arguments with what is wrong and the usage, and code 2", function ()
		assert.same({ 2, "", "nothing to add\nUsage: prosodyctl mod_receipts add\n" }, { run(nil, "add") });
	end);

	it("takes an error for no verdict", function ()
		local code, _, err = run(nil, "fail");
		assert.equal(2, code);
		assert.truthy(err:find("^mod_receipts fail: .*no luck"));
	end);

	it("says why it can do nothing, in one line", function ()
		assert.same({ 2, "", "no engine\n" }, { run("no engine", "count") });
		assert.same({ 1, "", "" }, { run("no engine", "look") });
		for _, words in ipairs { { "help" }, { "count", "--help" }, { "multiply" }, {} } do
			assert.same({ run(nil, table.unpack(words)) }, { run("no engine", table.unpack(words)) });
		end
	end);
end);
