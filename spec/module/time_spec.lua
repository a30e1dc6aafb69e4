-- SPDX-License-Identifier: MIT
-- Time, as it can go on a real machine: a week of it in fast-forward, with a clock that is set while it runs; and counters at the ends of
-- what they can count. The pending table, the store and the timers are the real ones; clock, timers' queue and storage are ours.

local paths = require "spec.support.paths";
local receipts = require "receipts";
local smqueue = require "util.smqueue";
local proof = paths.lib("proof");
local store_lib = paths.lib("store");
local upkeep_lib = paths.lib("upkeep");

local HOUR, DAY = 3600, 86400;
local function is_deleted() return false; end
local EXPIRE_AFTER, OVERDUE_AFTER = 3 * DAY, 1.25 * HOUR; -- the clock is set on the hour, when some are not overdue yet
local ROUND = 10; -- upkeep looks for what is overdue so often

describe("a week", function ()
	-- Runs it. The clock on the wall tells the module of times; spans, and timers, go by another one, which nobody sets.
	-- @param set  function (hour): seconds by which the clock is set forwards (or, negative, back) in that hour; and by which it is
	--             ahead (or, negative, behind) for the moment in which they ask
	-- @return messages by id: { asked =, outcomes = { name = count }, overdue = seconds after which it was told for that }; the pending
	--         table, the store's data, and the time
	local function week(set)
		local uptime, wall = 0, 1764000000;
		local timers, data, messages = {}, {}, {};
		local function now() return wall; end
		local function monotonic() return uptime; end
		local function add_timer(delay, callback)
			local timer = { at = uptime + delay, callback = callback };
			function timer:reschedule(after) self.at = uptime + after; end
			table.insert(timers, timer);
			return timer;
		end
		local pending = receipts.pending { ttl = EXPIRE_AFTER, remember = DAY };
		local keyval, map = {}, { remove = {} };
		function keyval.get(_, user) return data[user]; end
		function keyval.set(_, user, value) data[user] = value; return true; end
		function keyval.users() return pairs(data); end
		function map.set_keys(_, user, changes)
			data[user] = data[user] or {};
			for key, value in pairs(changes) do
				if value == map.remove then data[user][key] = nil; else data[user][key] = value; end
			end
			return true;
		end
		local parts = {
			options = { expire_after = EXPIRE_AFTER, overdue_after = OVERDUE_AFTER, flush_interval = 60 };
			pending = pending, decisions = { note = function () end };
		};
		function parts.drain() end
		parts.store = store_lib.new("h", pending, { keyval = keyval, map = map }, {
			ttl = EXPIRE_AFTER, now = now, monotonic = monotonic, cpu = os.clock, failed = error, drain = parts.drain, is_deleted = is_deleted;
			expired = function (entry) upkeep_lib.expired(entry, now(), parts); end;
		});
		local function count(outcome, id)
			local outcomes = messages[id].outcomes;
			outcomes[outcome] = (outcomes[outcome] or 0) + 1;
			if outcome == "overdue" then messages[id].overdue = uptime - messages[id].asked * HOUR; end
		end
		parts.reports = { outcome = function (_, outcome, _, _, id, age)
			assert(age >= 0, "age "..age);
			count(outcome, id);
		end };
		upkeep_lib.start(add_timer, nil, function (_, handler) return handler; end, now, monotonic, parts);

		for hour = 0, 7 * 24 - 1 do
			local by, ahead = 0, nil;
			if set then by, ahead = set(hour); end
			wall = wall + by + (ahead or 0);
			-- Ten ask; of three the ack comes at once, of three in two hours, of one never.
			for n = 1, 10 do
				local id = hour.."."..n;
				messages[id] = { asked = hour, outcomes = {} };
				assert(parts.store:load("u"..n));
				assert(pending:add("u"..n.."@h/r", "x@h", id, now()));
			end
			wall = wall - (ahead or 0);
			local function ack(of, from, to)
				for n = from, to do
					local id = of.."."..n;
					local verdict, age = pending:match("u"..n.."@h", "x@h/r", id, now());
					if verdict == "delivered" then assert(age >= 0); end
					count(verdict, id);
				end
			end
			ack(hour, 1, 3);
			if hour >= 2 then ack(hour - 2, 4, 6); end
			local till = uptime + (hour == 7 * 24 - 1 and HOUR / 2 or HOUR); -- in the end nothing is just due
			while true do
				local first;
				for _, timer in ipairs(timers) do
					if timer.at and timer.at <= till and (not first or timer.at < first.at) then first = timer; end
				end
				if not first then break; end
				wall, uptime = wall + first.at - uptime, first.at;
				local again = first.callback();
				first.at = first.at and again and uptime + again;
			end
			wall, uptime = wall + till - uptime, till;
		end
		parts.store:flush_all();
		assert.is_true(pending:check());
		return messages, pending, data, wall;
	end

	local function records(data)
		local n = 0;
		for _, of in pairs(data) do
			for _ in pairs(of) do n = n + 1; end
		end
		return n;
	end

	it("F2 F3 tells of each message what has become of it, once, and leaves what is still awaited", function ()
		local messages, pending, data = week();
		local left = 0;
		for id, message in pairs(messages) do
			local n = tonumber(id:match("%d+$"));
			local age = 7 * 24 - 0.5 - message.asked;
			if n <= 3 then
				assert.same({ delivered = 1 }, message.outcomes, id);
			elseif n <= 6 then
				assert.same(age > 2 and { overdue = 1, delivered = 1 } or { overdue = age > 1.25 and 1 or nil }, message.outcomes, id);
				if age <= 2 then left = left + 1; end
			else
				assert.same({ overdue = age > 1.25 and 1 or nil, expired = age > 72 and 1 or nil }, message.outcomes, id);
				if age <= 72 then left = left + 1; end
			end
			if message.overdue then assert.is_true(message.overdue >= OVERDUE_AFTER and message.overdue <= OVERDUE_AFTER + ROUND, id); end
		end
		assert.equal(left, pending:count());
		assert.equal(left, records(data));
	end);

	-- Of each: by how much it makes late what is told for overdue, at the most; in which hour the clock is wrong for a moment.
	for name, case in pairs {
		["is set back by an hour each day"] = { late = HOUR, set = function (hour) return hour % 24 == 23 and -HOUR or 0; end };
		["is set forward by an hour each day"] = { late = 0, set = function (hour) return hour % 24 == 23 and HOUR or 0; end };
		["jumps to and fro"] = { late = 0.75 * HOUR, set = function (hour) return ({ 600, -7 * HOUR, 5 * HOUR, -60, 2 * HOUR - 540 })[hour % 5 + 1]; end };
		["was a year behind, and is set right"] = { late = 0, expires = true, set = function (hour) return hour == 30 and 365 * DAY or 0; end };
		["was a year ahead, and is set right"] = { late = HOUR, set = function (hour) return hour == 30 and -365 * DAY or 0; end };
		["is ahead by two days for a moment"] = { late = 0, moment = 40, set = function (hour) return 0, hour == 40 and 2 * DAY or 0; end };
		["is behind by two days for a moment"] = { late = 0, moment = 40, set = function (hour) return 0, hour == 40 and -2 * DAY or 0; end };
	} do
		it("F2 F3 loses nothing and tells nothing twice when the clock "..name, function ()
			local messages, pending, data, wall = week(case.set);
			for id, message in pairs(messages) do
				local n, outcomes = tonumber(id:match("%d+$")), message.outcomes;
				for outcome, count in pairs(outcomes) do assert.equal(1, count, id.." "..outcome); end
				assert.falsy(outcomes.delivered and outcomes.expired, id);
				if n <= 3 then assert.equal(1, outcomes.delivered, id); end
				if n > 3 and n <= 6 and message.asked < 7 * 24 - 2 then
					assert.truthy(outcomes.delivered or outcomes.expired and outcomes.unknown, id.." is acked, or expired before");
				end
				if n > 6 and message.asked < 7 * 24 - 3 then
					assert.truthy(message.overdue or case.expires and outcomes.expired, id.." is told for overdue");
				end
				if message.overdue and message.asked ~= case.moment then
					assert.is_true(message.overdue <= OVERDUE_AFTER + case.late + ROUND, id.." is told after "..message.overdue.." s");
				end
			end
			assert.equal(pending:count(), records(data), "the store has what is awaited");
			-- Whatever the clock did, in time all goes.
			wall = wall + 365 * DAY;
			while select(2, pending:expire(wall, 500))[1] do end
			assert.equal(0, pending:count());
			assert.is_true(pending:check());
		end);
	end
end);

describe("a storage that takes its time", function ()
	-- Users ask, one message each, and some are acked in time. The storage takes so long for each user, and nobody else anything.
	-- @param rate     users a second
	-- @param cost     seconds that writing one takes
	-- @param seconds  for so long
	-- @return { oldest = age of what was written last, or never, in seconds; written = users, twice = of whom so many more than once,
	--         early = acked before they were 0.4 of receipts_flush_interval old, and written; busy = longest time without a turn for
	--         others; lines = the log }
	local function load_it(rate, cost, seconds)
		local began = 1764000000;
		local clock, asked, acked = began, 0, 0;
		local timers, writes = {}, {};
		local seen = { oldest = 0, written = 0, twice = 0, early = 0, busy = 0, lines = {} };
		local function now() return clock; end
		local function add_timer(delay, callback)
			local timer = { at = clock + delay, callback = callback };
			table.insert(timers, timer);
			return timer;
		end
		local function log(level, format, ...) table.insert(seen.lines, level..": "..format:format(...)); end
		local pending = receipts.pending {};
		-- The nth asks at began + n / rate; every other one is acked 1.9 seconds later.
		local function catch_up()
			while asked + 1 <= (clock - began) * rate do
				asked = asked + 1;
				pending:add("u"..asked.."@h/r", "x@h", "1", began + asked / rate);
			end
			while acked + 1 <= (clock - began - 1.9) * rate do
				acked = acked + 1;
				if acked % 2 == 0 then pending:match("u"..acked.."@h", "x@h", "1", began + acked / rate + 1.9); end
			end
		end
		local keyval, map = {}, { remove = {} };
		function map.set_keys(_, user)
			local n = tonumber(user:match("%d+"));
			seen.oldest = math.max(seen.oldest, clock - began - n / rate);
			seen[writes[n] and "twice" or "written"] = seen[writes[n] and "twice" or "written"] + 1;
			if n % 2 == 0 then seen.early = seen.early + 1; end
			writes[n] = true;
			clock = clock + cost;
			return true;
		end
		local parts = { options = { expire_after = 7 * DAY, overdue_after = HOUR, flush_interval = 5 }, pending = pending };
		function parts.drain() end
		parts.store = store_lib.new("h", pending, { keyval = keyval, map = map }, {
			ttl = 7 * DAY, now = now, monotonic = now, cpu = os.clock, failed = error, drain = parts.drain, expired = error, is_deleted = is_deleted;
		});
		upkeep_lib.start(add_timer, log, function (_, handler) return handler; end, now, now, parts);
		while clock < began + seconds do
			local first = timers[1];
			for _, timer in ipairs(timers) do
				if timer.at < first.at then first = timer; end
			end
			clock = math.max(clock, first.at) + 0.001; -- others have had a turn
			catch_up();
			local turn = clock;
			first.at = first.callback();
			seen.busy = math.max(seen.busy, clock - turn);
			first.at = clock + first.at;
		end
		for n = 1, asked, 2 do -- the rest has been acked
			if not writes[n] then seen.oldest = math.max(seen.oldest, clock - began - n / rate); end
		end
		return seen;
	end

	for _, case in ipairs { { 20, 0.005 }, { 60, 0.005 }, { 90, 0.005 }, { 200, 0.005 }, { 4000, 0.0001 }, { 12, 0.1 } } do
		local rate, cost = case[1], case[2];
		it(("F1 nothing waits for longer than receipts_flush_interval: %d users a second, %g s for each"):format(rate, cost), function ()
			local seen = load_it(rate, cost, 120);
			assert.is_true(seen.oldest <= 5, seen.oldest.." s");
			assert.is_true(seen.written > 110 * rate / 2, seen.written);
			assert.same({ 0, 0 }, { seen.twice, seen.early });
			assert.is_true(seen.busy <= 0.02 + cost + 0.001, seen.busy.." s");
			assert.same({}, seen.lines);
		end);
	end

	it("F1 what is more than it can bear has its turn all the same, oldest first, and the log says so once a minute", function ()
		local seen = load_it(600, 0.005, 150); -- 300 are to be written in each second, and 200 are
		assert.is_true(seen.written > 0.8 * 150 / 0.005, seen.written);
		assert.is_true(seen.oldest < 150 / 3 + 10, seen.oldest.." s");
		assert.same({ 0, 0 }, { seen.twice, seen.early });
		assert.is_true(seen.busy <= 0.02 + 0.005 + 0.001, seen.busy.." s");
		assert.is_true(#seen.lines == 2 or #seen.lines == 3, #seen.lines);
		assert.truthy(seen.lines[1]:find("^warn: The store of what is pending is too slow for what is asked: "), seen.lines[1]);
	end);
end);

describe("counters", function ()
	it("F1 ages are told across the end of what 32 bits of ticks can count", function ()
		-- The table counts 64ths of seconds, modulo 2^32: every 776 days.
		local wrap = 2 ^ 32 / 64;
		for _, around in ipairs { wrap, 26 * wrap, 27 * wrap } do
			local pending = receipts.pending { ttl = 1000, remember = 1000 };
			pending:add("a@h", "b@h", "1", around - 10);
			pending:add("a@h", "b@h", "2", around - 5);
			local verdict, age = pending:match("a@h", "b@h", "1", around + 10);
			assert.same({ "delivered", 20 }, { verdict, age });
			assert.equal(0, (pending:expire(around + 990)));
			assert.equal(1, (pending:expire(around + 996)));
			assert.equal(0, pending:count());
			assert.is_true(pending:check());
		end
	end);

	it("F2 expiry keeps up while the table grows", function ()
		local pending = receipts.pending { capacity = 1000000, per_user = 1000000, ttl = 100, remember = 0 };
		local added, gone = 0, 0;
		for second = 1, 400 do
			for i = 1, second do
				assert(pending:add("u"..i % 50 .."@h", "x@h", second.."."..i, second));
				added = added + 1;
			end
			gone = gone + #select(2, pending:expire(second, 500));
			assert.equal(added - gone, pending:count());
		end
		-- 100 seconds' worth is left: 301 … 400, and 500 at most a second were taken away.
		assert.equal((301 + 400) * 100 / 2, pending:count());
		assert.is_true(pending:check());
	end);

	it("D2 a stanza count beyond 32 bits proves what it says, and one that has begun anew proves nothing", function ()
		local queue = smqueue.new(10);
		queue._head, queue._tail = 2 ^ 32 - 2, 2 ^ 32 - 2;
		for i = 1, 4 do queue:push(i); end
		assert.same({ 1, 2, 3 }, proof.of(queue, "4294967297"));
		for _, h in ipairs { "0", "1", "2", "4294967294", "4294967299" } do assert.same({}, proof.of(queue, h), h); end
	end);
end);
