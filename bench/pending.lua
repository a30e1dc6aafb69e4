-- SPDX-License-Identifier: MIT
-- The pending table beside pending_cache.lua, from Lua, under the load of pending_load.lua, with Prosody's settings of the garbage
-- collector.
--   pending-rate            microseconds for an add or a match in the mean
--   pending-stall           milliseconds of the worst batch of 500
--   pending-bytes           resident bytes an entry: the ratio is ours alone. pending-bytes-vs-cache: beside the peer's;
--                           pending-bytes-no-uuids: with ids that are as long as UUIDs, and are none
--   pending-growth          microseconds for an add or a match on a table of ten million entries, beside one of ten thousand;
--                           pending-growth-floor: were it only longer by what memory_floor.c takes longer
--   pending-pause           the most that one operation touches (the ratio, again, is ours alone), beside the mean: a count, made by
--                           pending_pause.c
-- Rate, stall and bytes come from processes that have one table each and take turns: a collector has nothing of the other's to walk.

require "spec.support.paths";
package.cpath = "./build/bench/?.so;"..package.cpath;
local figures = require "bench.figures";
local load = require "bench.pending_load";
local receipts = require "receipts";

require "util.gc".configure({}, { mode = "incremental", threshold = 105, speed = 500 });

local QUICK = arg[1] == "quick";
local ENTRIES = QUICK and 20000 or 1000000;
local ROUNDS = 3;
local LARGE, SMALL = QUICK and 100000 or 10000000, 10000;

local new = {
	ours = function (entries) return receipts.pending { capacity = entries }; end;
	cache = function (entries) return require "bench.pending_cache".new(entries); end;
	floor = function (entries) return require "memory_floor".new(entries); end;
};
new.no_uuids = new.ours;

local function resident()
	for line in io.lines("/proc/self/status") do
		local kib = line:match("^VmRSS:%s*(%d+)");
		if kib then return tonumber(kib) * 1024; end
	end
end

-- In a process of its own: fills one table, and goes on for half as long again. Prints microseconds, seconds, bytes.
local function child(which, entries)
	load.new(new[which](1000), 1000):run(1000); -- what is loaded or grows once is no entry's
	collectgarbage();
	local before = resident();
	local one = load.new(new[which](entries), entries, which == "no_uuids" and load.NO_UUID);
	one:run(entries);
	collectgarbage();
	collectgarbage();
	local bytes = (resident() - before) / entries;
	local rate, worst = one:run(entries // 2);
	print(rate, worst, bytes);
end

local function measure(which)
	local pipe = assert(io.popen(("lua5.4 bench/pending.lua child %s %d"):format(which, ENTRIES)));
	local rate, worst, bytes = pipe:read("n", "n", "n");
	assert(pipe:close(), which);
	return { rate = rate, worst = worst, bytes = bytes };
end

local function beside_cache()
	local results = { ours = {}, cache = {} };
	for round = 1, ROUNDS do
		for which, list in pairs(results) do list[round] = measure(which); end
	end
	local function median(which, what)
		local list = {};
		for round = 1, ROUNDS do list[round] = results[which][round][what]; end
		return figures.median(list);
	end
	local rate, worst, bytes = median("ours", "rate"), median("ours", "worst"), median("ours", "bytes");
	local cache_rate, cache_worst, cache_bytes = median("cache", "rate"), median("cache", "worst"), median("cache", "bytes");
	figures.report("pending-rate", rate, cache_rate, cache_rate / rate, ">=8");
	figures.report("pending-stall", worst * 1e3, cache_worst * 1e3, cache_worst / worst, ">=100");
	figures.report("pending-bytes", bytes, cache_bytes, bytes, "<=88");
	figures.report("pending-bytes-vs-cache", bytes, cache_bytes, cache_bytes / bytes, ">=4");
	local as_they_are = measure("no_uuids").bytes;
	figures.report("pending-bytes-no-uuids", as_they_are, cache_bytes, as_they_are, "<=88");
end

-- Microseconds of an operation, in tables of LARGE and of SMALL entries. One process, since neither is in Lua's memory.
-- @param fill  the load's method that fills a table
local function grown(make, fill)
	local large, small = load.new(make(LARGE), LARGE), load.new(make(SMALL), SMALL);
	large[fill](large, LARGE);
	small[fill](small, SMALL);
	local large_times, small_times = {}, {};
	for round = 1, 3 * ROUNDS do
		large_times[round], small_times[round] = large:run(SMALL), small:run(SMALL);
	end
	return figures.median(large_times), figures.median(small_times);
end

local function growth()
	local ours, peer = grown(new.ours, "run");
	figures.report("pending-growth", ours, peer, ours / peer, "<=3");
	collectgarbage(); -- the tables go
	local floor_large, floor_small = grown(new.floor, "skip");
	local floor = peer + floor_large - floor_small; -- what the small table's operation would take, were waiting all that grows
	figures.report("pending-growth-floor", floor, peer, floor / peer, "<=3");
end

local function pause()
	local pipe = assert(io.popen("build/bench/pending_pause "..LARGE));
	local most, mean = pipe:read("n", "n");
	assert(pipe:close());
	figures.report("pending-pause", most, mean, most, "<=64");
end

if arg[1] == "child" then return child(arg[2], tonumber(arg[3])); end
beside_cache();
growth();
pause();
os.exit(figures.missed == 0);
