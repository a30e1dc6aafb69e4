-- SPDX-License-Identifier: MIT
-- xml-vs-expat: `receipts.parse`, the table of facts included, against Expat without handlers (bare_expat.c); xml-vs-lxp: against
-- what a Prosody module would do, util.xml.parse and get_child; xml-vs-least-reader: against Expat with the least handlers that
-- somebody needs who makes the same table; "-floor" is that one, held against each goal. The input is 1,000 messages as they are on
-- the wire (corpus.lua). Values are microseconds for a message, medians; ratios are medians of those of each round. The garbage
-- collector runs as Lua sets it. Rounds are of several processes, one after another: the ratio of two contestants differs by some
-- percent between processes, as where memory lies is drawn anew with each.

require "spec.support.paths";
package.cpath = "./build/bench/?.so;"..package.cpath;
local figures = require "bench.figures";
local corpus = require "bench.corpus";
local bare = require "bare_expat";
local receipts = require "receipts";
local parse_xml = require "util.xml".parse;

local QUICK = arg[1] == "quick";
local PROCESSES = QUICK and 3 or 8;
local WARM_UP = QUICK and 5 or 20; -- rounds of each process that do not count, as the allocator has given out nothing before
local ROUNDS = QUICK and 15 or 150; -- that do; short, 4 to 55 ms a turn: a machine that is slow for a moment is so for a whole round
local NAMES <const> = { "ours", "long_lived", "least", "reset_each", "lxp" };
local messages = corpus.messages(1000);

local function with_lxp(text)
	local stanza = parse_xml(text);
	local received = stanza:get_child("received", "urn:xmpp:receipts");
	return {
		id = stanza.attr.id, from = stanza.attr.from, to = stanza.attr.to, type = stanza.attr.type;
		body = stanza:get_child("body") ~= nil, request = stanza:get_child("request", "urn:xmpp:receipts") ~= nil;
		received = received ~= nil, received_id = received and received.attr.id;
	};
end

local function each(parse)
	return function ()
		for i = 1, #messages do parse(messages[i]); end
	end;
end

local least_reader = bare.least_reader();

local contestants = {
	ours = each(receipts.parse);
	long_lived = function () bare.long_lived(messages); end;
	least = each(least_reader);
	reset_each = function () bare.reset_each(messages); end;
	lxp = each(with_lxp);
};

-- All make the same of a message; and lxp, which knows of no problems, but for those.
for _, text in ipairs(messages) do
	local expected = receipts.parse(text);
	local function compare(found)
		found.problems = expected.problems;
		for key, value in pairs(expected) do assert(found[key] == value, key); end
		for key in pairs(found) do assert(expected[key] ~= nil, key); end
	end
	compare(least_reader(text));
	compare(with_lxp(text));
end

-- In a process of its own: prints the microseconds of each contestant, a line a round. Each round in another order: what one leaves in
-- the allocator's lists and the caches costs the next.
local function child()
	for round = 1 - WARM_UP, ROUNDS do
		local took = {};
		for _, name in ipairs(figures.shuffled(NAMES)) do
			collectgarbage();
			local before = os.clock();
			contestants[name]();
			took[name] = (os.clock() - before) / #messages * 1e6;
		end
		if round > 0 then
			for _, name in ipairs(NAMES) do io.write(took[name], " "); end
			io.write("\n");
		end
	end
end

if arg[2] == "child" then return child(); end

local times = {};
for _, name in ipairs(NAMES) do times[name] = {}; end
for _ = 1, PROCESSES do
	local pipe = assert(io.popen(("lua5.4 bench/xml.lua %s child"):format(QUICK and "quick" or "full")));
	for _ = 1, ROUNDS do
		for _, name in ipairs(NAMES) do
			local took = assert(pipe:read("n"), "a process has failed");
			table.insert(times[name], took);
		end
	end
	assert(pipe:close());
end

-- Of the times of two contestants, in each round.
local function ratio(a, b)
	local list = {};
	for round, time in ipairs(times[a]) do list[round] = time / times[b][round]; end
	return figures.median(list);
end

local function held_against(figure, peer, goal)
	for _, line in ipairs { { figure, "ours" }, { figure.."-floor", "least" } } do
		local name, contestant = line[1], line[2];
		local of = goal:match("^>") and ratio(peer, contestant) or ratio(contestant, peer);
		figures.report(name, figures.median(times[contestant]), figures.median(times[peer]), of, goal);
	end
end
held_against("xml-vs-expat-long-lived", "long_lived", "<=1.25");
held_against("xml-vs-expat-reset-each", "reset_each", "<=1.00");
held_against("xml-vs-lxp", "lxp", ">=12");
figures.report("xml-vs-least-reader", figures.median(times.ours), figures.median(times.least), ratio("ours", "least"), "<=1.10");
os.exit(figures.missed == 0);
