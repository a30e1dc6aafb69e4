-- SPDX-License-Identifier: MIT
-- decisions.lib.lua: a bounded memory of what was decided (rule F4).

local lib = require "spec.support.paths".lib("decisions");

describe("decisions", function ()
	local decisions;
	local offline;
	local function online(user) return user ~= offline; end
	before_each(function ()
		offline = nil;
		decisions = lib.new(online);
	end);

	it("F4 are found by user and message, oldest first", function ()
		decisions:note("a@h", 1, "x", "a@h/r", "b@h", "first");
		decisions:note("a@h", 2, "y", "a@h/r", "b@h", "other");
		decisions:note("b@h", 2, "x", "a@h/r", "b@h", "of b");
		decisions:note("a@h", 3, "x", "b@h/r", "a@h", "second");
		assert.same({
			{ time = 1, id = "x", from = "a@h/r", to = "b@h", why = "first" };
			{ time = 3, id = "x", from = "b@h/r", to = "a@h", why = "second" };
		}, decisions:about("a@h", "x"));
		assert.equal(3, #decisions:about("a@h"));
		assert.same({}, decisions:about("nobody@h"));
		assert.same({}, decisions:about("a@h", "z"));
	end);

	it("F4 may be about a message that has no id", function ()
		decisions:note("a@h", 1, nil, "a@h/r", "b@h", "first");
		decisions:note("a@h", 2, "x", "a@h/r", "b@h", "second");
		assert.same({
			{ time = 1, from = "a@h/r", to = "b@h", why = "first" };
			{ time = 2, id = "x", from = "a@h/r", to = "b@h", why = "second" };
		}, decisions:about("a@h"));
		assert.equal(1, #decisions:about("a@h", "x"));
	end);

	it("F4 are the latest of each user, and one user's flood displaces nobody else's", function ()
		decisions:note("b@h", 0, "kept", "b@h/r", "a@h", "why");
		for i = 1, 1000 do decisions:note("a@h", i, tostring(i), "a@h/r", "b@h", "why"); end
		local list = decisions:about("a@h");
		assert.equal(32, #list);
		assert.equal("969", list[1].id);
		assert.equal("1000", list[32].id);
		assert.equal(1, #decisions:about("b@h", "kept"));
	end);

	it("F4 that others brought about displace only such", function ()
		decisions:note("a@h", 1, "mine", "a@h/r", "b@h", "why");
		for i = 2, 1000 do decisions:note("a@h", i, "x"..i, "s@x/r", "a@h", "E1 unknown", "others"); end
		for i = 1001, 1031 do decisions:note("a@h", i, "mine", "a@h/r", "b@h", "why"); end
		assert.equal(32, #decisions:about("a@h", "mine"));
		local all = decisions:about("a@h");
		assert.equal(64, #all);
		for i, one in ipairs(all) do
			assert.equal(i == 1 and 1 or 967 + i, one.time, "oldest first");
		end
		decisions:note("b@h", 1, "x", "s@x/r", "b@h", "E1 unknown", "others");
		decisions:note("b@h", 1, "x", "b@h/r", "s@x", "why");
		decisions:note("b@h", 2, "x", "s@x/r", "b@h", "E1 unknown", "others");
		local why = {};
		for _, one in ipairs(decisions:about("b@h")) do table.insert(why, one.why); end
		assert.same({ "why", "E1 unknown", "E1 unknown" }, why);
		decisions:forget("a@h");
		assert.same({}, decisions:about("a@h"));
	end);

	it("F4 that are noted late displace nothing that came later", function ()
		decisions:note("a@h", 50, "kept", "a@h/r", "b@h", "why");
		for i = 1, 40 do decisions:note("a@h", i, tostring(i), "a@h/r", "b@h", "why", nil, true); end
		assert.equal(1, #decisions:about("a@h", "kept"));
		assert.equal(32, #decisions:about("a@h"));
		decisions:note("a@h", 60, "later", "a@h/r", "b@h", "why", nil, true);
		assert.equal(1, #decisions:about("a@h", "later"));
		-- The clock may go back all the same.
		for i = 1, 32 do decisions:note("a@h", i, "again", "a@h/r", "b@h", "why"); end
		assert.equal(32, #decisions:about("a@h", "again"));
	end);

	it("F4 are of so many users, those of whom something was decided last", function ()
		for i = 1, 1000 do decisions:note("u"..i, i, "x", "f", "t", "why"); end
		decisions:note("u1", 1001, "y", "f", "t", "why");
		decisions:note("new", 1002, "x", "f", "t", "why");
		assert.equal(2, #decisions:about("u1"));
		assert.equal(0, #decisions:about("u2"));
		assert.equal(1, #decisions:about("u3"));
	end);

	it("F4 are not of users who were never online", function ()
		offline = "stranger@h";
		decisions:note("stranger@h", 1, "x", "f", "t", "why");
		assert.equal(0, #decisions:about("stranger@h"));
		offline = nil;
		decisions:note("stranger@h", 1, "x", "f", "t", "why");
		offline = "stranger@h"; -- by now they are
		decisions:note("stranger@h", 2, "x", "f", nil, "why");
		assert.equal(2, #decisions:about("stranger@h"));
	end);

	it("F4 are also of users who are offline, where the host itself has found it out, and displace nobody's", function ()
		offline = "away@h";
		decisions:note("away@h", 1, "x", "away@h", "b@h", "overdue", "host");
		decisions:note("away@h", 2, "y", "away@h", "b@h", "expired");
		assert.equal(2, #decisions:about("away@h"));
		for i = 2, 1000 do decisions:note("u"..i, i, "x", "f", "t", "why"); end
		offline = "late@h";
		decisions:note("late@h", 1001, "x", "late@h", "b@h", "overdue", "host");
		assert.equal(0, #decisions:about("late@h"));
		assert.equal(2, #decisions:about("away@h"));
		decisions:note("new", 1002, "x", "f", "t", "why");
		assert.equal(0, #decisions:about("away@h"), "nor do they keep anybody's out");
		assert.equal(1, #decisions:about("new"));
	end);

	it("F4 have no more than the beginning of what is unusually long", function ()
		local id, from, to = "1"..("é"):rep(400), ("f"):rep(301), ("t"):rep(300);
		decisions:note("a@h", 1, id, from, to, "why");
		local shown = { time = 1, id = "1"..("é"):rep(149).."…", from = ("f"):rep(300).."…", to = to, why = "why" };
		assert.same({ shown }, decisions:about("a@h"));
		assert.same({ shown }, decisions:about("a@h", id));
		assert.same({}, decisions:about("a@h", "1"));
		assert.same({}, decisions:about("a@h", 1));
	end);

	it("F1 go with their user, and survive a reload", function ()
		decisions:note("a@h", 1, "x", "f", "t", "why");
		decisions:forget("a@h");
		decisions:note("a@h", 2, "x", "f", "t", "why");
		assert.equal(1, #decisions:about("a@h"));
		decisions:note("b@h", 1, "x", "f", "t", "why");
		decisions:forget("a@h");
		local other = lib.new(online);
		other:note("b@h", 2, "y", "f", "t", "before there was anything to take over");
		other:take_over(decisions);
		other:note("b@h", 3, "z", "f", "t", "why");
		assert.equal(1, #other:about("b@h", "z"));
		assert.equal(0, #other:about("a@h"));
		assert.equal(1, #other:about("b@h", "x"));
	end);
end);
