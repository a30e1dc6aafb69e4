-- SPDX-License-Identifier: MIT
-- upkeep.lib.lua: what is done from time to time (rules F1, F2, F3). Timers are ours here, and so is time; the clock may be set back.

local paths = require "spec.support.paths";
local async = require "util.async";
local lib = paths.lib("upkeep");
local receipts = require "receipts";

describe("upkeep", function ()
	local now, timers, pending, told, counted, noted, dropped, restored, visited, flushes, waited, swept, parts, expire_now, failing, lines, set_back;
	local add_timer, drain, listening;

	local function log(level, format, ...) table.insert(lines, level..": "..format:format(...)); end
	local function guard(_, handler)
		return function ()
			if failing then return nil; end
			return handler();
		end;
	end

	-- Time passes, and timers do what they do.
	local function pass(seconds)
		local till = now + seconds;
		while true do
			local first;
			for _, timer in ipairs(timers) do
				if timer.at and timer.at <= till and (not first or timer.at < first.at) then first = timer; end
			end
			if not first then break; end
			now = math.max(now, first.at);
			local again = first.callback();
			first.at = first.at and again and now + again;
		end
		now = till;
	end

	before_each(function ()
		now, timers, told, counted, noted, dropped, restored, flushes, swept, failing = 1764000000, {}, {}, 0, {}, {}, {}, {}, 0, false;
		waited, lines, set_back, visited, listening = 0, {}, 0, 0, false;
		pending = receipts.pending { per_user = 1000, ttl = 1000, remember = 500 };
		pending:journal();
		function add_timer(delay, callback)
			local timer = { at = now + delay, callback = callback };
			function timer:reschedule(after) self.at = now + after; end
			table.insert(timers, timer);
			return timer;
		end
		parts = {
			options = { expire_after = 1000, overdue_after = 100, flush_interval = 5 };
			pending = pending;
			reports = {
				outcome = function (_, outcome, from, to, id, age) table.insert(told, { outcome, from, to, id, age }); end;
				listening = function (event) return listening and event == "receipts/expired"; end;
				count = function (_, name, value, more) counted = counted + (name == "outcomes" and value == "evicted" and more or 1e9); end;
			};
			decisions = { note = function (_, user, time, id, _, _, why) table.insert(noted, { user, time, id, why }); end };
			store = {
				dropped = function (_, entry) table.insert(dropped, entry.id); end;
				restored_user = function ()
					visited = visited + 1;
					local user = restored[visited];
					if not user then visited = 0; end
					return user;
				end;
				flush = function (_, ...) table.insert(flushes, { now, ... }); return #flushes == 1 and "more" or "done", waited; end;
				sweep = function ()
					local left = 3;
					return function ()
						swept, left = swept + 1, left - 1;
						return left > 0 and "user" or nil;
					end;
				end;
			};
		};
		expire_now = lib.start(add_timer, log, guard, function () return now - set_back; end, function () return now; end, parts);
		drain = lib.drain(parts);
	end);

	it("F3 tells once what is overdue, at most a tenth late", function ()
		pending:add("a@h", "x@h", "1", now);
		pass(99);
		assert.same({}, told);
		pass(11);
		assert.equal(1, #told);
		assert.same({ "overdue", "a@h", "x@h", "1" }, { table.unpack(told[1], 1, 4) });
		assert.is_true(told[1][5] >= 100 and told[1][5] <= 110);
		assert.truthy(noted[1][4]:find("^F3 overdue"));
		pass(500);
		assert.equal(1, #told);
	end);

	it("F2 expires what is over its time, and tells of what was still awaited", function ()
		for _, id in ipairs { "1", "2", "3" } do pending:add("a@h", "x@h", id, now); end
		pending:fail("a@h", "x@h", "2", now);
		pending:match("a@h", "x@h", "3", now);
		pass(1020);
		local expired = {};
		for _, one in ipairs(told) do
			if one[1] == "expired" then table.insert(expired, one[4]); end
		end
		assert.same({ "1" }, expired);
		table.sort(dropped);
		assert.same({ "1", "2", "3" }, dropped, "the store hears of all");
		assert.equal(0, pending:count());
	end);

	it("F2 F3 tells of what has expired in the store, once it was awaited", function ()
		lib.expired({ from = "a@h", to = "x@h", id = "1", time = now - 1000, state = "pending" }, now, parts);
		lib.expired({ from = "a@h", to = "x@h", id = "2", time = now - 1000, state = "failed" }, now, parts);
		assert.same({ { "expired", "a@h", "x@h", "1", 1000 } }, told);
		assert.truthy(noted[1][4]:find("^F2 expired"));
	end);

	it("F2 goes on at once where there is more than one step's work", function ()
		for user = 1, 3 do
			for i = 1, 400 do pending:add("u"..user.."@h", "x@h", tostring(i), now); end
		end
		pass(1011);
		assert.equal(0, pending:count());
		assert.equal(1200, #dropped);
	end);

	it("F3 goes on at once where more is overdue than is told of in one step", function ()
		for i = 1, 750 do pending:add("u"..(i % 3).."@h", "x@h", tostring(i), now); end
		pass(109.8); -- the first step is at 100 or 110
		local before = #told;
		pass(0.4);
		assert.same({ 0, 750 }, { before % 750, #told });
	end);

	it("F2 expires what came from the store in its own time, whatever is before it in the table", function ()
		pending:add("new@h", "x@h", "new", now);
		pending:import("old@h", { { to = "x@h", id = "old", time = now - 950, state = "pending" } }, now);
		restored = { "old@h", "other@h" };
		pass(61);
		assert.equal(0, pending:count("old@h"));
		assert.equal(1, pending:count("new@h"));
		assert.same({ "overdue", "expired" }, { told[1][1], told[2][1] });
	end);

	it("F3 tells what is overdue of many who came from the store as late as of others", function ()
		pending:add("new@h", "x@h", "new", now); -- holds up all that is behind it in the table
		for i = 1, 1000 do
			pending:import("u"..i.."@h", { { to = "x@h", id = "old", time = now - 50, state = "pending" } }, now);
			table.insert(restored, "u"..i.."@h");
		end
		pass(61);
		assert.equal(1000, #told);
		timers = {};
		told, restored = {}, { "late@h" };
		pending:forget("new@h");
		pending:add("new@h", "x@h", "newer", now);
		pending:import("late@h", { { to = "x@h", id = "old", time = now - 5, state = "pending" } }, now);
		parts.options.overdue_after = 10;
		local function time() return now; end
		lib.start(add_timer, log, guard, time, time, parts);
		pass(6.1);
		assert.equal("late@h", told[1][2]);
	end);

	it("F2 F3 tells of many who came from the store in steps", function ()
		pending:add("new@h", "x@h", "new", now);
		for user = 1, 20 do
			local entries = {};
			for i = 1, 400 do table.insert(entries, { to = "x@h", id = tostring(i), time = now - (user % 2 == 0 and 95 or 995), state = "pending" }); end
			pending:import("u"..user.."@h", entries, now);
			table.insert(restored, "u"..user.."@h");
		end
		pass(10.05);
		assert.is_true(#told > 0 and #told <= 1500, #told);
		pass(2);
		assert.equal(8000, #told);
	end);

	it("F1 writes what is no longer young, in steps, so often that nothing waits for longer", function ()
		local start = now;
		pass(6);
		assert.same({ { start + 2.5, 100, 0.02, 2 }, { start + 2.6, 100, 0.02, 2 } }, { flushes[1], flushes[2] });
		assert.is_true(math.abs(flushes[3][1] - start - 5) < 0.001, "counted from the first step");
		parts.store.flush = function ()
			table.insert(flushes, { now });
			set_back = 3600;
			return "done", 0;
		end;
		pass(4.5);
		assert.equal(5, #flushes, "though the clock is set back");
	end);

	it("F1 makes no pauses when what is written is late, and tells of it once a minute when that does not help", function ()
		local flush = parts.store.flush;
		function parts.store.flush(...)
			flush(...);
			now = now + 0.02;
			return "more", waited;
		end
		pass(2.1);
		waited = 4.5;
		pass(60);
		assert.is_true(#flushes > 60 / 0.021, #flushes.." steps");
		assert.same({}, lines);
		waited = 7;
		pass(70);
		assert.equal(2, #lines);
		assert.equal("warn: The store of what is pending is too slow for what is asked: what has just been written had waited for 7 s, and a "
			.."crash would lose as much (receipts_flush_interval is 5 s)", lines[1]);
		waited = 4.4;
		pass(0.1);
		local before = #flushes;
		pass(12);
		assert.is_true(#flushes - before <= 101, #flushes - before);
		pass(60);
		waited = 7;
		pass(4.9);
		assert.equal(2, #lines, "not at once");
		pass(0.2);
		assert.equal(3, #lines);
		set_back = 3600;
		pass(1);
		assert.equal(3, #lines, "whatever the clock says");
	end);

	it("F1 waits for a storage that lets others run, and does nothing twice meanwhile", function ()
		local go_on;
		function parts.store.flush()
			table.insert(flushes, now);
			local wait, done = async.waiter();
			go_on = done;
			wait();
			return "done", 0;
		end
		pass(10);
		assert.equal(1, #flushes);
		go_on();
		pass(0.25);
		assert.equal(2, #flushes);
		go_on();
		pass(2);
		assert.equal(2, #flushes);
		pass(0.5);
		assert.equal(3, #flushes);
		go_on();
		local swept_in = {};
		function parts.store.sweep()
			return function () table.insert(swept_in, (async.ready())); end;
		end
		pass(3600);
		assert.same({ true }, swept_in);
	end);

	it("F1 sweeps the store after an hour, and daily", function ()
		pass(3599);
		assert.equal(0, swept);
		pass(10);
		assert.equal(3, swept);
		pass(86400);
		assert.equal(6, swept);
	end);

	it("F4 expires when it is told to, in steps, and sweeps the store", function ()
		for user = 1, 3 do
			for i = 1, 400 do pending:add("u"..user.."@h", "x@h", tostring(i), now); end
		end
		restored = { "u1@h" };
		pending:match("u1@h", "x@h", "1", now);
		now = now + 1000;
		-- The first user's, then a step; the rest in the background.
		assert.equal(399 + 500, expire_now());
		pass(1);
		assert.equal(0, pending:count());
		pass(10);
		assert.equal(3, swept);
	end);

	it("F4 expires the rest at once when it is told to, and not when it would have", function ()
		pass(3); -- the timer comes every ten seconds
		for i = 1, 1200 do pending:add("u"..(i % 3).."@h", "x@h", tostring(i), now); end
		pass(999);
		now = now + 1;
		assert.equal(500, expire_now());
		pass(1);
		assert.equal(0, pending:count());
	end);

	it("F0 goes on after an error", function ()
		pending:add("a@h", "x@h", "1", now);
		failing = true;
		pass(500);
		failing = false;
		pass(600);
		assert.equal(0, pending:count());
	end);

	it("F4 tells of what made room, and when it did", function ()
		pending:limit { per_user = 1, ttl = 1000, remember = 500 };
		drain();
		pending:add("a@h", "x@h", "1", now);
		pending:add("a@h", "x@h", "2", now + 5);
		now = now + 60;
		drain();
		assert.same({ { "evicted", "a@h", "x@h", "1", 5 } }, told);
		assert.equal(now - 55, noted[1][2]);
		assert.truthy(noted[1][4]:find("receipts_max_pending_per_user", 1, true));
		assert.same({ "1" }, dropped);
	end);

	it("F0 goes on with what made room after an error", function ()
		pending:limit { per_user = 1, ttl = 1000, remember = 500 };
		for i = 1, 4 do pending:add("a@h", "x@h", "m"..i, now); end
		local note = parts.decisions.note;
		parts.decisions.note = function ()
			parts.decisions.note = note;
			error("no memory");
		end;
		assert.has_error(drain);
		drain();
		assert.same({ "m1", "m2", "m3" }, dropped);
		assert.equal(2, #noted);
		assert.equal(3, #told);
		pending:add("a@h", "x@h", "m5", now);
		drain();
		assert.equal(4, #told);
	end);

	it("F3 tells of what made room, each once, where who is told makes more room, and has that told", function ()
		pending:limit { per_user = 1, ttl = 1000, remember = 500 };
		for i = 1, 3 do pending:add("a@h", "x@h", "m"..i, now); end
		local outcome = parts.reports.outcome;
		function parts.reports.outcome(...)
			parts.reports.outcome = outcome;
			outcome(...);
			pending:add("a@h", "x@h", "m4", now);
			drain();
			drain();
		end
		drain();
		assert.same({ "m1", "m2", "m3" }, dropped);
		assert.equal(3, #told);
	end);

	it("F4 counts what made room in a flood, and tells of the last; of all where somebody listens", function ()
		pending:limit { per_user = 1, ttl = 1000, remember = 500 };
		for i = 1, 101 do pending:add("a@h", "x@h", "m"..i, now); end
		drain();
		assert.same({ 32, 68 }, { #told, counted });
		assert.same({ "m69", "m100" }, { told[1][4], told[32][4] });
		for i = 102, 201 do pending:add("a@h", "x@h", "m"..i, now); end
		listening = true;
		drain();
		assert.same({ 132, 68 }, { #told, counted });
	end);
end);
