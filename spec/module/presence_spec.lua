-- SPDX-License-Identifier: MIT
-- presence.lib.lua: who may know that a session is online.

local lib = require "spec.support.paths".lib("presence");
local jid_bare = require "util.jid".bare;

describe("presence", function ()
	it("D3 B4 is visible to who got it directly, for as long as that holds, whatever else was sent", function ()
		math.randomseed(42);
		for _ = 1, 50 do
			local session = { username = "u", host = "h" };
			local function jid() return ("x%d@far/%d"):format(math.random(4), math.random(3)); end
			for _ = 1, 100 do
				local to, what = jid(), math.random(20);
				if what <= 9 then
					lib.directed(session, to);
					session.directed = session.directed or {};
					session.directed[to] = true;
				elseif what <= 15 then
					lib.directed(session, to, ({ "unavailable", "error" })[math.random(2)]);
					session.directed = session.directed or {};
					session.directed[to] = nil;
				elseif what == 16 then
					session.directed = nil; -- unavailable
				elseif what == 17 then
					lib.directed(session, to, "subscribe"); -- to which mod_presence does nothing of that
				end
				local who = jid();
				local expected = false;
				for directed in pairs(session.directed or {}) do expected = expected or jid_bare(directed) == jid_bare(who); end
				assert.equal(expected, lib.visible(session, who));
			end
		end
	end);

	it("F2 costs no more after much directed presence than after little", function ()
		local directed = {};
		for i = 1, 5000 do directed["x"..i.."@far"] = true; end
		local session = { username = "u", host = "h", directed = directed };
		assert.is_false(lib.visible(session, "other@far/1"));
		local steps = 0;
		debug.sethook(function () steps = steps + 1; end, "", 1);
		assert.is_false(lib.visible(session, "other@far/1"));
		debug.sethook();
		assert.is_true(steps < 500, steps);
		assert.is_true(lib.visible(session, "x5000@far/1"));
	end);
end);
