-- SPDX-License-Identifier: MIT
-- queries.lib.lua: disco#info queries that are under way.

local lib = require "spec.support.paths".lib("queries");

describe("queries", function ()
	local queries, sent, timers, late, answers;
	before_each(function ()
		sent, timers, late, answers = {}, {}, {}, {};
		queries = lib.new("id", {
			send = function (...) table.insert(sent, table.concat({ ... }, " ")); end;
			later = function (_, callback)
				local timer = { callback = callback };
				function timer:stop() self.stopped = true; end
				table.insert(timers, timer);
				return timer;
			end;
			late = function (jid, query) table.insert(late, jid.." "..query); end;
		});
	end);

	local function ask(jid, name)
		queries:ask(jid, "u@h", "node", function (query) table.insert(answers, name.." "..(query or "none")); end);
	end

	it("B3 are answered once, by who was asked", function ()
		ask("a@h/1", "first");
		ask("b@h/1", "second");
		assert.same({ "a@h/1 u@h node id", "b@h/1 u@h node id" }, sent);
		queries:came("c@h/1", "lie");
		assert.same({ "c@h/1 lie" }, late);
		queries:came("b@h/1", "answer");
		queries:came("a@h/1", nil);
		assert.same({ "second answer", "first none" }, answers);
		assert.is_true(timers[1].stopped and timers[2].stopped);
		queries:came("a@h/1", nil);
		assert.equal(1, #late, "an error that is late tells nothing");
	end);

	it("B3 end when their time has come, and a late answer is told of as that", function ()
		ask("a@h/1", "first");
		timers[1].callback();
		assert.same({ "first none" }, answers);
		timers[1].callback();
		queries:came("a@h/1", "answer");
		assert.same({ { "first none" }, { "a@h/1 answer" } }, { answers, late });
	end);

	it("B3 make way for another to the same client, whose predecessor is gone", function ()
		ask("a@h/1", "first");
		ask("a@h/1", "second");
		timers[1].callback();
		assert.same({ "first none" }, answers);
		queries:came("a@h/1", "answer");
		assert.same({ "first none", "second answer" }, answers);
		assert.is_nil(next(queries.waiting));
	end);
end);
