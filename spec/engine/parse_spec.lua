-- SPDX-License-Identifier: MIT
-- receipts.parse: one message as bytes.

require "spec.support.paths";
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
		collectgarbage("generational");
		for i = 1, 3000 do
			setmetatable({}, { __gc = function () receipts.parse("<message from='"..("i"):rep(i).."' id='inner'/>"); end });
			facts = receipts.parse(xml);
			assert(facts.from == "outer" and facts.id == "outer" and facts.type == "outer" and facts.received_id == ("o"):rep(600));
		end
		collectgarbage("incremental");
	end);

	it("still parses in a finalizer that runs as Lua ends", function ()
		local pipe = io.popen([[lua5.4 -e '
			local kept = setmetatable({}, { __gc = function () print(receipts.parse("<message id=\"1\"/>").id); end });
			package.cpath = "build/?.so";
			receipts = require "receipts";
			receipts.parse("<message/>");' 2>&1]]);
		local output = pipe:read("a");
		assert.is_true(pipe:close(), output);
		assert.equal("1\n", output);
	end);

	it("has one table of problems for all messages that have none, and nobody can change it", function ()
		local facts = receipts.parse("<message/>");
		assert.same({}, facts.problems);
		assert.equal(facts.problems, receipts.parse("<message id='1'/>").problems);
		assert.has_error(function () facts.problems[1] = "received-in-error"; end);
		assert.has_error(function () table.insert(facts.problems, "received-in-error"); end);
		assert.is_false(getmetatable(facts.problems));
		assert.is_nil(next(facts.problems));
	end);

	it("throws when it is misused", function ()
		assert.has_error(function () receipts.parse(nil); end);
		assert.has_error(function () receipts.parse(1); end);
		assert.has_error(function () receipts.parse({}); end);
	end);
end);
