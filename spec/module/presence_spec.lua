-- SPDX-License-Identifier: MIT
-- presence.lib.lua: who may know that a session is online.

local paths = require "spec.support.paths";
local lib = paths.lib("presence");
local jid_bare = require "util.jid".bare;

describe("hiding", function ()
	it("F2 is noted from contacts only: others see nothing in any case", function ()
		local hiding, session = paths.lib("hiding"), { roster = { ["a@far"] = {} } };
		for i = 1, 10 do hiding.sent(session, "x"..i.."@far/1", "unavailable"); end
		hiding.sent({}, "a@far", "unavailable");
		assert.is_false(hiding.is_from(session, "x1@far"));
		hiding.sent(session, "a@far/1", "unavailable");
		assert.is_true(hiding.is_from(session, "a@far"));
	end);
end);

describe("presence", function ()
	it("D3 B4 is visible to who got it directly, for as long as that holds, whatever else was sent", function ()
		math.randomseed(42);
		for _ = 1, 50 do
			local session, withdrawn = { username = "u", host = "h" }, {};
			local function jid() return ("x%d@far%s"):format(math.random(4), ({ "", "/1", "/2" })[math.random(3)]); end
			-- Unavailable presence takes back what else they got of it, and mod_presence keeps that.
			local function withdraw(to)
				for directed in pairs(session.directed or {}) do
					if directed == jid_bare(to) or to == jid_bare(directed) then withdrawn[directed] = true; end
				end
			end
			for _ = 1, 100 do
				local to, what = jid(), math.random(20);
				if what <= 9 then
					lib.directed(session, to);
					session.directed = session.directed or {};
					session.directed[to], withdrawn[to] = true, nil;
				elseif what <= 14 then
					local type = ({ "unavailable", "error" })[math.random(2)];
					lib.directed(session, to, type);
					session.directed = session.directed or {};
					session.directed[to] = nil;
					if type == "unavailable" then withdraw(to); end
				elseif what == 15 then
					lib.directed(session, jid_bare(to), "unavailable");
					withdraw(jid_bare(to));
				elseif what == 16 then
					session.directed, withdrawn = nil, {}; -- unavailable
				elseif what == 17 then
					lib.directed(session, to, "subscribe"); -- to which mod_presence does nothing of that
				elseif what == 18 then
					session.roster = { [jid_bare(to)] = { subscription = "from" } };
					lib.directed(session, to); -- to a subscriber: mod_presence notes nothing
					session.roster = nil;
				end
				local who = jid();
				local expected = false;
				for directed in pairs(session.directed or {}) do
					expected = expected or not withdrawn[directed] and jid_bare(directed) == jid_bare(who);
				end
				assert.equal(expected, lib.visible(session, who));
			end
		end
	end);

	it("D3 is visible to who is subscribed while the session is available, and to the same account", function ()
		local roster = {};
		for _, subscription in ipairs { "both", "from", "to", "none" } do roster[subscription.."@far"] = { subscription = subscription }; end
		local session = { username = "u", host = "h", presence = {}, roster = roster };
		local function seen_by()
			local list = {};
			for _, name in ipairs { "both", "from", "to", "none", "stranger" } do
				if lib.visible(session, name.."@far/1") then table.insert(list, name); end
			end
			return list;
		end
		assert.same({ "both", "from" }, seen_by());
		session.presence = nil;
		assert.same({}, seen_by());
		for _, jid in ipairs { "u@h", "u@h/1", false } do assert.is_true(lib.visible(session, jid or nil)); end
		assert.is_true(lib.visible(session, "h"), "the server itself knows");
		assert.is_false(lib.visible(session, "far"));
		session.presence, session.roster = {}, nil;
		assert.same({}, seen_by());
		assert.truthy(lib.subscribed({ roster = roster }, "from@far"));
		assert.falsy(lib.subscribed({ roster = roster }, "to@far"));
	end);

	it("D3 B4 of an account is what one of its sessions shows, and costs one look into the roster, however many they are", function ()
		local looks, roster, sessions = 0, { ["friend@far"] = { subscription = "from" } }, {};
		local looked_into = setmetatable({}, { __index = function (_, jid)
			looks = looks + 1;
			return roster[jid];
		end });
		paths.bare_sessions["u@h"] = { sessions = sessions };
		finally(function () paths.bare_sessions["u@h"] = nil; end);
		assert.is_false(lib.account_visible("nobody@h", "u@h"));
		assert.is_false(lib.account_visible("u@h", "u@h"));
		for i = 1, 1000 do
			sessions[i] = { username = "u", host = "h", roster = looked_into, presence = {}, directed = { ["x@far/1"] = true } };
		end
		assert.is_false(lib.account_visible("u@h", "stranger@far/1"));
		assert.equal(1, looks);
		for i = 1, 1000 do sessions[i].presence = nil; end
		assert.is_false(lib.account_visible("u@h", "friend@far/1"), "nobody is available");
		sessions[500].presence = {};
		lib.directed(sessions[700], "guest@far/1");
		sessions[700].directed["guest@far/1"] = true;
		for _, jid in ipairs { "friend@far/1", "guest@far/2", "x@far", "u@h/1" } do assert.is_true(lib.account_visible("u@h", jid), jid); end
		assert.is_true(lib.account_visible("u@h"));
		assert.is_true(lib.account_visible("u@h", "h"));
		assert.is_false(lib.account_visible("u@h", "stranger@far/1"));
	end);

	it("F2 costs no more after much directed presence than after little", function ()
		local directed = {};
		for i = 1, 5000 do directed["x"..i.."@far"] = true; end
		local session = { username = "u", host = "h", directed = directed };
		assert.is_false(lib.visible(session, "other@far/1"));
		for i = 1, 2 do
			local steps = 0;
			debug.sethook(function () steps = steps + 1; end, "", 1);
			assert.is_false(lib.visible(session, "other@far/1"));
			debug.sethook();
			assert.is_true(steps < 500, steps);
			assert.is_true(lib.visible(session, "x5000@far/1"));
			lib.directed(session, "new"..i.."@far/1");
			directed["new"..i.."@far/1"] = true;
		end
		assert.is_true(lib.visible(session, "new1@far"));
	end);

	it("F2 keeps nothing of what was taken back, for its recipient or for all", function ()
		local session = { username = "u", host = "h", directed = { ["x@far/1"] = true } };
		assert.is_true(lib.visible(session, "x@far"));
		local function held()
			collectgarbage();
			collectgarbage();
			return collectgarbage("count");
		end
		local function to_many(then_)
			for i = 1, 10000 do
				local jid = "x"..i.."@far/1";
				lib.directed(session, jid);
				session.directed[jid] = true;
				if then_ then then_(jid, i); end
			end
		end
		local before = held();
		to_many(function (jid, i)
			session.directed[jid] = nil;
			lib.directed(session, jid, i % 2 == 0 and "unavailable" or "error");
		end);
		assert.is_true(held() - before < 100, "one by one");
		to_many();
		assert.is_true(held() - before > 100);
		session.directed = nil;
		lib.directed(session, "x@far/1"); -- that of who comes again
		assert.is_true(held() - before < 100, "at once");
		session.directed = { ["x@far/1"] = true };
		assert.is_true(lib.visible(session, "x@far"));
	end);
end);
