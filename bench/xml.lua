-- SPDX-License-Identifier: MIT
-- xml-vs-expat: `receipts.parse`, the table of facts included, against Expat without handlers (bare_expat.c); xml-vs-lxp: against
-- what a Prosody module would do, util.xml.parse and get_child; xml-vs-least-table: against Expat without handlers and a table made
-- of strings whose places were looked up before, the least that anybody can take who returns a table; "-floor" is that one, held
-- against each goal. The input is 1,000 messages as they are on the wire (corpus.lua). Values are microseconds for a message. The
-- garbage collector runs as Lua sets it.

require "spec.support.paths";
package.cpath = "./build/bench/?.so;"..package.cpath;
local figures = require "bench.figures";
local corpus = require "bench.corpus";
local bare = require "bare_expat";
local receipts = require "receipts";
local parse_xml = require "util.xml".parse;

local QUICK = arg[1] == "quick";
local ROUNDS, REPEATS = QUICK and 5 or 15, 10;
local messages = corpus.messages(1000);
local places = bare.places(messages);

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
		for _ = 1, REPEATS do
			for i = 1, #messages do parse(messages[i]); end
		end
	end;
end

local contestants = {
	ours = each(receipts.parse);
	long_lived = function () bare.long_lived(messages, REPEATS); end;
	least_table = function () bare.with_table(messages, REPEATS, places); end;
	reset_each = function () bare.reset_each(messages, REPEATS); end;
	lxp = each(with_lxp);
};

local times = {};
for round = 1, ROUNDS do
	for name, run in pairs(contestants) do
		collectgarbage();
		local before = os.clock();
		run();
		times[name] = times[name] or {};
		times[name][round] = (os.clock() - before) / REPEATS / #messages * 1e6;
	end
end
local median = {};
for name, list in pairs(times) do median[name] = figures.median(list); end
figures.report("xml-vs-expat-long-lived", median.ours, median.long_lived, median.ours / median.long_lived, "<=1.25");
figures.report("xml-vs-expat-long-lived-floor", median.least_table, median.long_lived, median.least_table / median.long_lived, "<=1.25");
figures.report("xml-vs-least-table", median.ours, median.least_table, median.ours / median.least_table, "<=1.10");
figures.report("xml-vs-expat-reset-each", median.ours, median.reset_each, median.ours / median.reset_each, "<=1.00");
figures.report("xml-vs-expat-reset-each-floor", median.least_table, median.reset_each, median.least_table / median.reset_each, "<=1.00");
figures.report("xml-vs-lxp", median.ours, median.lxp, median.lxp / median.ours, ">=12");
figures.report("xml-vs-lxp-floor", median.least_table, median.lxp, median.lxp / median.least_table, ">=12");
os.exit(figures.missed == 0);
