-- SPDX-License-Identifier: MIT
-- answers.lib.lua: what proves a delivery, and whether it is answered.

local paths = require "spec.support.paths";
local lib = paths.lib("answers");
local smqueue = require "util.smqueue";

describe("answers", function ()
	describe("take for proof", function ()
		local queue;
		before_each(function ()
			queue = smqueue.new(4);
			for i = 1, 3 do queue:push("stanza "..i); end
			queue:ack(1);
		end);

		it("D2 a plain number of stanzas that were sent", function ()
			assert.same({ "stanza 2" }, lib.proven(queue, "2"));
			assert.same({ "stanza 2", "stanza 3" }, lib.proven(queue, "3"));
			assert.same({ "stanza 2" }, lib.proven(queue, "0002"));
		end);

		it("D2 nothing else", function ()
			for _, h in ipairs { "0", "1", "4", "99999999999999999999999", "0x2", "2.0", "2 ", "-2", "", "2e0", "two" } do
				assert.same({}, lib.proven(queue, h), h);
			end
			assert.same({}, lib.proven(queue, nil));
			assert.same({}, lib.proven(queue, 2));
		end);

		it("D2 what a queue that ran over still has", function ()
			for i = 4, 7 do queue:push("stanza "..i); end -- 2 and 3 are lost
			assert.same({}, lib.proven(queue, "3"));
			assert.same({ "stanza 4" }, lib.proven(queue, "4"));
			assert.same({ "stanza 4", "stanza 5", "stanza 6", "stanza 7" }, lib.proven(queue, "7"));
			assert.same({}, lib.proven(queue, "8"));
		end);
	end);

	it("D3 D4 are given when nothing speaks against it", function ()
		assert.is_true((lib.decide(nil, "incapable", true)));
		assert.is_true((lib.decide({ waiting = {} }, "incapable", true)));
		for _, client in ipairs { "capable", "unknown", "silent" } do
			assert.is_false((lib.decide(nil, client, true)), client);
		end
		assert.is_false((lib.decide(nil, "incapable", false)));
		assert.is_false((lib.decide("answered", "incapable", true)));
		assert.is_false((lib.decide("acked", "incapable", true)));
		assert.is_false((lib.decide({ waiting = { phone = true } }, "incapable", true)));
	end);
end);

describe("preferences", function ()
	local preferences = paths.lib("preferences");

	it("D1 say who is answered for", function ()
		for mode, expected in pairs {
			["opt-in"] = { yes = true, no = false, default = false };
			["opt-out"] = { yes = true, no = false, default = true };
			never = { yes = false, no = false, default = false };
		} do
			for wanted, answered in pairs(expected) do
				assert.equal(answered, preferences.answers(mode, { answer = wanted }), mode.." "..wanted);
			end
			assert.is_false(preferences.answers(mode, nil), "nothing is done for a user whose choice cannot be read");
		end
	end);

	it("D1 say who is asked for", function ()
		assert.is_true(preferences.asks { ask = "default" });
		assert.is_true(preferences.asks { ask = "yes" });
		assert.is_false(preferences.asks { ask = "no" });
		assert.is_false(preferences.asks(nil));
	end);

	it("D1 are kept, and what is stored wrongly is the default", function ()
		local data = { bob = { answer = "maybe", ask = "no" }, eve = "rubbish" };
		local broken = false;
		local store = {};
		function store.get(_, user) if broken then return nil, "disk on fire"; end return data[user]; end
		function store.set(_, user, value) if broken then return nil, "disk on fire"; end data[user] = value; return true; end
		local users = preferences.new(store);
		assert.same({ answer = "default", ask = "no" }, users:get("bob"));
		assert.same({ answer = "default", ask = "default" }, users:get("eve"));
		assert.same({ answer = "default", ask = "default" }, users:get("nobody"));
		assert.is_true(users:set("bob", { answer = "yes", ask = "yes" }));
		assert.same({ answer = "yes", ask = "yes" }, users:get("bob"));
		broken = true;
		assert.same({ nil, "disk on fire" }, { users:get("somebody") });
		assert.same({ nil, "disk on fire" }, { users:set("bob", {}) });
		broken = false;
		data.bob = nil;
		users:forget("bob");
		assert.same({ answer = "default", ask = "default" }, users:get("bob"));
	end);
end);
