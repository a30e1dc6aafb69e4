-- SPDX-License-Identifier: MIT
-- receipts.parse: one message as bytes.

local paths = require "spec.support.paths";
local portable = require "spec.support.portable";
local receipts = require "receipts";
local cases = require "spec.support.messages";
local refused = require "spec.support.refused";

describe("receipts.parse", function ()
	for _, case in ipairs(cases) do
		it("reads "..case.name, function ()
			assert.same(case.facts, receipts.parse(case.xml));
		end);
	end

	it("E3 knows every malformed element by name", function ()
		local seen = {};
		for _, case in ipairs(cases) do
			for _, problem in ipairs(case.facts.problems) do seen[problem] = true; end
		end
		for _, problem in ipairs { "request-without-id", "request-in-ack", "request-not-empty", "request-in-groupchat",
			"request-in-error", "received-without-id", "received-not-empty", "received-in-error", "several-received" } do
			assert.is_true(seen[problem], problem);
		end
	end);

	for name, case in pairs(refused) do
		it("refuses "..name, function ()
			local facts, reason, position = receipts.parse(case[1]);
			assert.is_nil(facts);
			assert.equal(case[2], reason);
			assert.is_number(position.byte);
			assert.is_number(position.line);
			assert.is_number(position.column);
			assert.is_table(receipts.parse("<message/>"), "the next message is not affected");
		end);
	end

	it("says where the fault is", function ()
		local _, _, position = receipts.parse("<message>\n  <body></message>");
		assert.same({ byte = 21, line = 2, column = 11 }, position);
	end);

	it("is not disturbed by a finalizer that parses meanwhile", function ()
		local facts;
		local xml = "<message from='outer' to='outer' id='outer' type='outer'><received xmlns='urn:xmpp:receipts' id='"..("o"):rep(600).."'/></message>";
		portable.generational();
		for i = 1, 3000 do
			portable.finalized(function () receipts.parse("<message from='"..("i"):rep(i).."' id='inner'/>"); end);
			facts = receipts.parse(xml);
			assert(facts.from == "outer" and facts.id == "outer" and facts.type == "outer" and facts.received_id == ("o"):rep(600));
		end
		portable.incremental();
	end);

	it("still parses in a finalizer that runs as Lua ends", function ()
		-- What that opens is not closed any more: of leaks, sanitizers are to say nothing.
		local pipe = io.popen(([[ASAN_OPTIONS=detect_leaks=0 %s -e '
			kept = require "spec.support.portable".finalized(function () print(receipts.parse("<message id=\"1\"/>").id); end);
			package.cpath = "%s";
			receipts = require "receipts";
			receipts.parse("<message/>");' 2>&1]]):format(portable.lua, paths.engine));
		local output = pipe:read("*a");
		assert.is_true(pipe:close(), output);
		assert.equal("1\n", output);
	end);

	it("has one table of problems for all messages that have none, and nobody can change it", function ()
		local facts = receipts.parse("<message/>");
		assert.same({}, facts.problems);
		local shared = facts.problems == receipts.parse("<message id='1'/>").problems;
		assert.equal(portable.read_only, shared, "where tables can be changed whatever we do, each message has its own");
		if not shared then return; end
		assert.has_error(function () facts.problems[1] = "received-in-error"; end);
		assert.has_error(function () table.insert(facts.problems, "received-in-error"); end);
		assert.is_false(getmetatable(facts.problems));
		assert.is_nil(next(facts.problems));
	end);

	it("keeps the problems of a message from what callers do to those of another", function ()
		pcall(table.insert, receipts.parse("<message/>").problems, "received-in-error");
		pcall(rawset, receipts.parse("<message><received xmlns='urn:xmpp:receipts'/></message>").problems, 2, "received-in-error");
		assert.same({}, receipts.parse("<message/>").problems);
		assert.same({ "received-without-id" }, receipts.parse("<message><received xmlns='urn:xmpp:receipts'/></message>").problems);
	end);

	it("throws when it is misused", function ()
		assert.has_error(function () receipts.parse(nil); end);
		assert.has_error(function () receipts.parse(1); end);
		assert.has_error(function () receipts.parse({}); end);
	end);
end);
