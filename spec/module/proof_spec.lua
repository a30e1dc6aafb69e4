-- SPDX-License-Identifier: MIT
-- proof.lib.lua: what stream management proves to have arrived.

local proof = require "spec.support.paths".lib("proof");
local smqueue = require "util.smqueue";

describe("stream management proves", function ()
	local queue;
	before_each(function ()
		queue = smqueue.new(4);
		for i = 1, 3 do queue:push("stanza "..i); end
		queue:ack(1);
	end);

	it("D2 a plain number of stanzas that were sent", function ()
		assert.same({ "stanza 2" }, proof.of(queue, "2"));
		assert.same({ "stanza 2", "stanza 3" }, proof.of(queue, "3"));
		assert.same({ "stanza 2" }, proof.of(queue, "0002"));
	end);

	it("D2 nothing else", function ()
		for _, h in ipairs { "0", "1", "4", "99999999999999999999999", "0x2", "2.0", "2 ", "-2", "", "2e0", "two" } do
			assert.same({}, proof.of(queue, h), h);
		end
		assert.same({}, proof.of(queue, nil));
		assert.same({}, proof.of(queue, 2));
	end);

	it("D2 nothing that has gone into the queue and not out", function ()
		assert.same({ "stanza 2" }, proof.of(queue, "2", 2));
		assert.same({}, proof.of(queue, "3", 2));
		assert.same({}, proof.of(queue, "2", 0));
	end);

	it("D2 what a queue that ran over still has", function ()
		for i = 4, 7 do queue:push("stanza "..i); end -- 2 and 3 are lost
		assert.same({}, proof.of(queue, "3"));
		assert.same({ "stanza 4" }, proof.of(queue, "4"));
		assert.same({ "stanza 4", "stanza 5", "stanza 6", "stanza 7" }, proof.of(queue, "7"));
		assert.same({}, proof.of(queue, "8"));
	end);
end);
