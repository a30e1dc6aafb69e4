-- SPDX-License-Identifier: MIT
-- inspection.lib.lua: what people may ask about one host (rule F4).

local paths = require "spec.support.paths";
local lib = paths.lib("inspection");

describe("inspection", function ()
	local parts, inspection;

	before_each(function ()
		local nothing = function () end;
		parts = {
			drain = nothing, exists = function () return true; end;
			store = { load = function () return true; end };
			pending = { export = function () return {}; end };
			preferences = { answers_for = function () return false; end };
			blocks = { has = function () return false; end };
			decisions = { about = function () return {}; end };
		};
		inspection = lib.new("h", function () return 100; end, parts);
	end);

	it("F1 what cannot be read can be forgotten", function ()
		local forgotten = {};
		parts.pending.count = function () return 0; end;
		function parts.store.load() return false; end
		function parts.store.forget(_, user) forgotten.store = user; return true; end
		function parts.decisions.forget(_, jid) forgotten.decisions = jid; end
		assert.is_nil(inspection:pending("a@h"));
		assert.same({ 0, false }, { inspection:forget("a@h") });
		assert.same({ store = "a", decisions = "a@h" }, forgotten);
		function parts.store.load() return true; end
		parts.pending.count = function () return 2; end;
		assert.same({ 2, true }, { inspection:forget("a@h") });
		function parts.store.forget() return false; end
		assert.same({ nil, "What is stored of a@h cannot be removed now: see the log" }, { inspection:forget("a@h") });
		assert.same({ nil, "b@x is not a user of h" }, { inspection:forget("b@x") });
		assert.same({ nil, "\"h\" is not the JID of a user, like romeo@h" }, { inspection:forget("h") });
	end);

	it("F4 nobody is unknown where authentication cannot tell who exists", function ()
		local why;
		function parts.exists() return nil, why; end
		assert.same({ nil, "There is no user a@h" }, { inspection:user("a@h") });
		why = "method not implemented";
		assert.same({ "a", "a@h" }, { inspection:user("a@h") });
	end);

	it("F4 what cannot be read is not taken for nothing, and why not is told where it is known", function ()
		local problem;
		function parts.store.load() return false, problem; end
		for why, told in pairs { ["see the log"] = false, ["no room"] = "no room" } do
			problem = told or nil;
			local expected = { nil, "What is stored of a@h cannot be read now: "..why };
			assert.same(expected, { inspection:pending("a@h") });
			assert.same(expected, { inspection:why("a@h", "1") });
		end
		function parts.decisions.about() return { { time = 1, id = "1" } }; end
		assert.same({ { { time = 1, id = "1" } }, 100 }, { inspection:why("a@h", "1") });
	end);

	it("F4 why says of a local recipient whether the server answers, or that this cannot be known now", function ()
		parts.pending.export = function () return { { time = 5, id = "1", from = "a@h", to = "b@h", state = "pending" } }; end;
		for _, case in ipairs {
			{ "D2 the server answers when there is proof, unless a client does", true };
			{ "D1 the server does not answer for this user", false };
			{ "D1 the user's choice cannot be read now", false, "disk on fire" };
		} do
			parts.preferences.answers_for = function () return table.unpack(case, 2); end;
			assert.equal("asked for by the client, and awaited; "..case[1], inspection:why("a@h")[1].why);
		end
	end);

	it("F4 why says of a local recipient that the sender is blocked, whatever the server would answer", function ()
		parts.pending.export = function () return { { time = 5, id = "1", from = "a@h", to = "b@h", state = "pending" } }; end;
		parts.blocks.has = function (user, jid) return user == "b" and jid == "a@h"; end;
		for _, answers in ipairs { true, false } do
			parts.preferences.answers_for = function () return answers; end;
			assert.equal("asked for by the client, and awaited; D3 this user has blocked the requester", inspection:why("a@h")[1].why);
		end
	end);

	it("F4 why keeps the order of what happened at one time, and begins with the asking", function ()
		local noted, asked = {}, { { time = 5, id = "asked", from = "a@h", to = "x@h", state = "pending" } };
		for i = 1, 40 do noted[i] = { time = i <= 4 and 9 - i or 5, id = ("%02d"):format(i), from = "a@h", to = "x@h", why = "" }; end
		parts.decisions.about = function () return noted; end;
		parts.pending.export = function () return asked; end;
		local expected = { "asked", "04" };
		for i = 5, 40 do table.insert(expected, ("%02d"):format(i)); end
		for _, id in ipairs { "03", "02", "01" } do table.insert(expected, id); end
		local seen = {};
		for i, decision in ipairs(inspection:why("a@h")) do seen[i] = decision.id; end
		assert.same(expected, seen);
	end);

	it("F4 why has the ack behind what came in the same 1/64 s, to which the table keeps times", function ()
		parts.decisions.about = function () return { { time = 5.01, id = "forged", from = "c@h/r", to = "a@h", why = "" } }; end;
		parts.pending.export = function ()
			local asked = { time = 5, id = "asked", from = "a@h", to = "b@h", state = "pending" };
			return { asked, { time = 5, id = "acked", from = "a@h", to = "b@h", state = "delivered" } };
		end;
		local seen = {};
		for i, decision in ipairs(inspection:why("a@h")) do seen[i] = decision.id; end
		assert.same({ "asked", "forged", "acked" }, seen);
	end);
end);
