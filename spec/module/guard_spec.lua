-- SPDX-License-Identifier: MIT
-- guard.lib.lua: an error of ours never costs a message (rule F0).

local guards = require "spec.support.paths".lib("guard");
local async = require "util.async";

describe("guard", function ()
	local lines, time, guard, tell, count;
	before_each(function ()
		lines, time, count = {}, 1000, 0;
		local function log(level, format, ...) table.insert(lines, level..": "..format:format(...)); end
		guard, tell = guards.new(guards.throttled(log, function () return time; end), function () count = count + 1; end);
	end);

	it("F0 passes arguments and result through", function ()
		assert.equal(3, guard("sum", function (a, b) return a + b; end)(1, 2));
		assert.is_nil(guard("nothing", function () end)());
		assert.same({}, lines);
	end);

	it("F0 catches an error, counts it and returns nil", function ()
		assert.is_nil(guard("hook", function () error("broken"); end)());
		assert.equal(1, count);
		assert.truthy(lines[1]:find("^error: Error in hook, .*broken\nstack traceback:"));
	end);

	it("F0 tells of an error that was caught elsewhere as it is, and counts it", function ()
		tell("hook", "file:1: broken");
		assert.equal(1, count);
		assert.truthy(lines[1]:find("^error: Error in hook, .*: file:1: broken$"));
	end);

	it("F0 catches what goes wrong while it tells", function ()
		local fails = true;
		local function log(level) if fails then error("not enough memory"); end table.insert(lines, level); end
		guard = guards.new(guards.throttled(log, function () return time; end), function () count = count + 1; end);
		local hook = guard("hook", function () error("broken"); end);
		assert.is_nil(hook());
		assert.same({ 1, 0 }, { count, #lines });
		fails = false;
		assert.is_nil(hook());
		assert.same({ 2, 1 }, { count, #lines });
	end);

	it("F0 lets the work of timers wait for others, and catches its errors too", function ()
		local start, goes_on;
		local later = guards.timers(function (seconds, callback, ...)
			local arguments = table.pack(...);
			start = function () callback(time + seconds, table.unpack(arguments)); end;
			return "a timer";
		end, nil, guard);
		local wait;
		assert.equal("a timer", later(5, "work", function ()
			wait, goes_on = async.waiter();
			wait();
			error("broken");
		end));
		start();
		assert.same({}, lines);
		goes_on();
		assert.truthy(lines[1]:find("^error: Error in work, .*broken\nstack traceback:"));
		assert.equal(1, count);
	end);

	it("A3 F0 does what is due at once, all of it and each once, when the next moment or the end of the module comes", function ()
		local done, moments = {}, {};
		local later, catch_up = guards.timers(nil, function (_, callback) table.insert(moments, callback); end, guard);
		for i = 1, 2 do later(0, "work", function () table.insert(done, i); end); end
		moments[1]();
		assert.same({ 1, 2 }, done);
		later(0, "work", function () table.insert(done, 3); end);
		catch_up();
		later(0, "work", function () table.insert(done, 4); end);
		assert.same({ 1, 2, 3 }, done);
		for i = 2, 3 do moments[i](); end
		assert.same({ { 1, 2, 3, 4 }, 3 }, { done, #moments });
	end);

	it("F0 lets work wait for others wherever it falls due", function ()
		local done = {};
		local function work(name)
			return function ()
				local wait, go_on = async.waiter();
				done[name] = go_on;
				wait();
				table.insert(done, name);
			end;
		end
		guards.in_thread(work("event of a connection"));
		async.runner():run(function ()
			guards.in_thread(work("event of a stanza"));
			table.insert(done, "and what follows it");
		end);
		assert.same({}, { table.unpack(done) });
		done["event of a connection"]();
		done["event of a stanza"]();
		assert.same({ "event of a connection", "event of a stanza", "and what follows it" }, { table.unpack(done) });
	end);

	it("F0 gives back what work in a thread returns, unless that has to wait, for which nothing else does", function ()
		local go_on;
		assert.same({ n = 2, nil, true }, table.pack(guards.in_thread(function ()
			local wait;
			wait, go_on = async.waiter();
			wait();
			return "too late";
		end)));
		local result, waits = guards.in_thread(function (...) return table.concat({ ... }, ", "); end, "one", 2);
		assert.same({ "one, 2", false }, { result, waits });
		go_on();
	end);

	it("F0 logs once a minute at most, and says how many it left out", function ()
		local hook = guard("hook", function () error("broken"); end);
		for _ = 1, 5 do hook(); end
		time = 1059;
		hook();
		assert.equal(1, #lines);
		time = 1060;
		hook();
		assert.equal(2, #lines);
		assert.truthy(lines[2]:find("(5 more since the last such line)", 1, true));
		assert.equal(7, count);
	end);
end);
