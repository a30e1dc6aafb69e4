-- SPDX-License-Identifier: MIT
-- What messages cost: the engine's outgoing() and incoming() against the same in Lua alone (pure_lua.lua), with 10,000 live entries.
--   message-path      added to a process that reads messages (message_process.lua), by an ask and its ack, collector running; µs of CPU
--   message-path-equal-heap   the same where Lua's memory has the same size for all
--   message-path-hot  the calls alone, of an ask and its ack that were read before, collector stopped; µs
--   message-idle      the same of a message without receipt elements: a call on its way out, and one on its way in
--   …-floor           the same four with the least that finds out from C what was acked (bare_matcher.c) in place of ours
--   message-garbage   Lua memory that the calls make, for an idle message and for an ask and its ack; bytes

require "spec.support.paths";
local corpus = require "bench.corpus";
local figures = require "bench.figures";
local process = require "spec.support.process";
local tables = require "bench.tables";
local parse = require "util.xml".parse;

local QUICK = arg[1] == "quick";
local BATCH = tables.BATCH;

-- What is never answered.
local function asks(count)
	local list = {};
	for i = 1, count do list[i] = corpus.ask(corpus.parties()); end
	return list;
end

-- So many pairs, a multiple of BATCH: batches of asks, and then of their acks.
local function pairs_of_messages(count)
	local list = {};
	for _ = 1, count, BATCH do
		local acks = {};
		for i = 1, BATCH do
			local from, to, id = corpus.parties();
			table.insert(list, corpus.ask(from, to, id));
			acks[i] = corpus.ack(to, from, id);
		end
		table.move(acks, 1, BATCH, #list + 1, list);
	end
	return list;
end

local CONTESTANTS = { "none", "ours", "peer", "floor" };

-- In one process after another, for where memory lies and how strings are hashed is drawn anew with each, contestants take turns, and what
-- one adds is reckoned in each round from what the messages take without it. Rounds differ in length, so that the collector is not always
-- as far when they end.
-- @param bytes  as of message_process.lua
local function path(figure, bytes)
	local PROCESSES, ROUNDS = QUICK and 1 or 8, QUICK and 4 or 8;
	local added = { ours = {}, peer = {}, floor = {} };
	local dir = process.temp_dir();
	local file, fifo = dir.."/messages", dir.."/output";
	assert(os.execute("mkfifo "..fifo));
	for _ = 1, PROCESSES do
		local input = assert(io.popen("exec lua5.4 bench/message_process.lua >"..fifo, "w"));
		local output = assert(io.open(fifo));
		for round = 0, ROUNDS do -- the first is for warming up
			local pairs_sent = (40 + 3 * round) * BATCH;
			process.write(file, table.concat(pairs_of_messages(pairs_sent), "\n"));
			local took = {};
			for _, name in ipairs(figures.shuffled(CONTESTANTS)) do
				input:write(name, " ", bytes, " ", file, "\n");
				input:flush();
				took[name] = assert(output:read("n"), name.." has failed") / pairs_sent;
			end
			for name, list in pairs(added) do
				if round > 0 then table.insert(list, took[name] - took.none); end
			end
		end
		assert(input:close());
		output:close();
	end
	os.execute("rm -r "..dir);
	local function median(name) return math.max(figures.median(added[name]), 0.01); end -- what seems to save time adds next to nothing
	local ours, peer, floor = median("ours"), median("peer"), median("floor");
	figures.report(figure, ours, peer, peer / ours, ">=8");
	figures.report(figure.."-floor", floor, peer, peer / floor, ">=8");
end

-- Messages as those take them who take stanzas, and as those who take events.
local function messages(texts)
	local lists = { stanza = {}, event = {} };
	for i, text in ipairs(texts) do
		lists.stanza[i] = parse(text);
		lists.stanza[i].attr.xmlns = nil; -- as Prosody has them
		lists.event[i] = { origin = tables.session, stanza = lists.stanza[i] };
	end
	return lists;
end

-- Calls for asks and acks in batches; and below for idle messages. Both return for how many pairs or messages they were.
local function exchange(contestant, lists, now)
	local list, outgoing, incoming = lists[contestant.takes], contestant.outgoing, contestant.incoming;
	for at = 0, #list - 1, 2 * BATCH do
		for i = at + 1, at + BATCH do outgoing(list[i], now); end
		for i = at + BATCH + 1, at + 2 * BATCH do incoming(list[i], now); end
	end
	return #list / 2;
end

local function pass_by(contestant, lists, now)
	local list, outgoing, incoming = lists[contestant.takes], contestant.outgoing, contestant.incoming;
	for i = 1, #list do
		outgoing(list[i], now);
		incoming(list[i], now);
	end
	return #list;
end

-- Medians of microseconds, and bytes, for each contestant.
local function measure(run, lists, contestants)
	local ROUNDS, REPEATS = QUICK and 15 or 101, 20;
	local names, times, bytes = {}, {}, {};
	for name, contestant in pairs(contestants) do
		table.insert(names, name);
		times[name] = {};
		run(contestant, lists, 1);
		collectgarbage();
		run(contestant, lists, 1); -- a collection takes what Lua keeps for calls, and the next call makes it anew
		local before = collectgarbage("count");
		local count = 0;
		for _ = 1, 2 * REPEATS do count = count + run(contestant, lists, 1); end
		bytes[name] = (collectgarbage("count") - before) * 1024 / count;
	end
	for round = 1, ROUNDS do
		for _, name in ipairs(figures.shuffled(names)) do
			local contestant = contestants[name];
			collectgarbage();
			contestant.set_time(round);
			local count = 0;
			local before = os.clock();
			for _ = 1, REPEATS do count = count + run(contestant, lists, round); end
			times[name][round] = (os.clock() - before) / count * 1e6;
		end
	end
	local median = {};
	for name, rounds in pairs(times) do median[name] = figures.median(rounds); end
	return median, bytes;
end

local function hot()
	collectgarbage("stop");
	local contestants = { ours = tables.ours(), peer = tables.peer(), floor = tables.floor() };
	local live, texts = messages(asks(tables.LIVE)), {};
	for _, contestant in pairs(contestants) do
		for _, message in ipairs(live[contestant.takes]) do contestant.outgoing(message, 0); end
	end
	for i = 1, 100 do texts[i] = corpus.idle(corpus.parties()); end
	local exchanged, idle = messages(pairs_of_messages(8 * BATCH)), messages(texts);
	local pair, bytes_pair = measure(exchange, exchanged, contestants);
	local one, bytes_one = measure(pass_by, idle, contestants);
	for _, name in ipairs { "ours", "peer", "floor" } do
		assert(contestants[name].count() == tables.LIVE, name.." did not match every ack");
	end
	figures.report("message-path-hot", pair.ours, pair.peer, pair.peer / pair.ours, ">=2.5");
	figures.report("message-path-hot-floor", pair.floor, pair.peer, pair.peer / pair.floor, ">=2.5");
	figures.report("message-idle", one.ours, one.peer, one.peer / one.ours, ">=0.95");
	figures.report("message-idle-floor", one.floor, one.peer, one.peer / one.floor, ">=0.95");
	-- There may be no garbage at all, so the goal is one for ours itself, not for a ratio.
	figures.report("message-garbage-idle", bytes_one.ours, bytes_one.peer, bytes_one.ours, "<=0");
	figures.report("message-garbage-pair", bytes_pair.ours, bytes_pair.peer, bytes_pair.ours, "<=0");
end

path("message-path", 0);
path("message-path-equal-heap", 8 * 1024 * 1024);
hot();
os.exit(figures.missed == 0);
