-- SPDX-License-Identifier: MIT
-- scan-rate: MB/s at which `receipts.scanner` reads a capture of 256 MiB and counts what it finds (`only_summary`), against Expat
-- without handlers (bare_expat.c); scan-rate-facts: the same with a table for each message that has receipt elements;
-- scan-rate-floor, scan-rate-facts-floor: handlers that do the least that somebody must who counts, or makes such tables, held against the
-- same goal. The capture is one stream of the messages of corpus.lua, four in five with a receipt element; 4 MiB of them, told over and
-- over, in chunks of 64 KiB. All are read side by side, in turns of 4 MiB, each time in another order, and rates and ratios are medians of
-- those: a machine that is slow for a moment is so for all.
-- scan-memory: MiB by which the process grows over a capture with a million different names, half of elements and half of attributes,
-- against Expat (400,000 in the quick form). Each is measured in a process of its own. What RSS may grow by is what fits between
-- two cuts of the input (csrc/xml.c), and does not depend on its length.

require "spec.support.paths";
package.cpath = "./build/bench/?.so;"..package.cpath;
local figures = require "bench.figures";
local corpus = require "bench.corpus";
local process = require "spec.support.process";
local bare = require "bare_expat";
local receipts = require "receipts";

local QUICK = arg[1] == "quick";
local MIB = 1048576;
local OPEN = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='localhost' version='1.0'>";

-- Functions that make something to feed chunks to, and to close.
local readers = {};

local function ours(options)
	return function ()
		local scanner = receipts.scanner(options);
		return function (chunk) return assert(scanner:feed(chunk)); end, function ()
			local summary = scanner:summary();
			scanner:close();
			assert(not next(summary.problems));
			return summary.requests, summary.acks;
		end;
	end;
end
readers.summary, readers.facts = ours { only_summary = true }, ours { only_receipts = true };

local function expat(kind)
	return function ()
		local parser = bare.streamer(kind);
		return function (chunk) return bare.feed(parser, chunk); end, function () return bare.close(parser); end;
	end;
end
readers.expat, readers.least, readers.least_facts = expat "bare", expat "count", expat "facts";

-- Memory

local function status(key)
	return tonumber(process.read("/proc/self/status"):match(key..":%s*(%d+)"));
end

-- Messages that no two have a name in common, from the first to the last of these numbers.
local function strange(first, last)
	local list = {};
	for i = first, last do list[#list + 1] = ("<message id='%d'><child%07d attribute%07d=''/></message>"):format(i, i, i); end
	return table.concat(list);
end

if arg[1] == "grow" then
	local feed = readers[arg[2]]();
	feed(OPEN);
	feed(strange(1, 1000)); -- tables and buffers that anybody needs
	collectgarbage();
	local before = status("VmRSS");
	for i = 1001, arg[3] // 1, 1000 do feed(strange(i, i + 999)); end
	print(status("VmHWM") - before);
	os.exit();
end

-- Rate

local chunks = {};
do
	local text = table.concat(corpus.messages(QUICK and 2000 or 7000), "\n").."\n"; -- 600 bytes each
	for at = 1, #text, 65536 do table.insert(chunks, text:sub(at, at + 65535)); end
end

-- The tables of both who make any are the same, but for what the least puts in place of `bits`, and that it does not look for a `stamp`.
do
	local ours_open, least_open = readers.facts(), readers.least_facts();
	for _, chunk in ipairs { OPEN, chunks[1], chunks[2] } do
		local found, expected = least_open(chunk), ours_open(chunk);
		assert(#found == #expected and (chunk == OPEN or #found > 0));
		for i, message in ipairs(expected) do
			found[i].bits, found[i].problems, found[i].stamp = message.bits, message.problems, message.stamp;
			for key, value in pairs(message) do assert(found[i][key] == value, key); end
			for key in pairs(found[i]) do assert(message[key] ~= nil, key); end
		end
	end
end

-- Reads the chunks; returns the seconds that this took.
local function read(reader)
	local before = os.clock();
	for i = 1, #chunks do reader.feed(chunks[i]); end
	return os.clock() - before;
end

local size, names = 0, {};
for _, chunk in ipairs(chunks) do size = size + #chunk; end
local rates, ratio = {}, {};
for name in pairs(readers) do
	table.insert(names, name);
	rates[name], ratio[name] = {}, {};
end
for _ = 1, 5 do
	local open, found = {}, {};
	collectgarbage(); -- and then when it is due
	for _, name in ipairs(names) do
		local feed, close = readers[name]();
		open[name] = { feed = feed, close = close };
		feed(OPEN);
	end
	for _ = 1, math.ceil((QUICK and 16 or 256) * MIB / size) do
		local took = {};
		for _, name in ipairs(figures.shuffled(names)) do took[name] = read(open[name]); end
		for _, name in ipairs(names) do
			table.insert(rates[name], size / took[name] / 1e6);
			table.insert(ratio[name], took.expat / took[name]);
		end
	end
	for _, name in ipairs(names) do
		local requests, acks = open[name].close();
		found[name] = ("%d %d"):format(requests, acks);
	end
	assert(found.summary == found.facts and found.summary == found.least and found.summary == found.least_facts and found.expat == "0 0");
end
for _, line in ipairs { { "", "summary" }, { "-floor", "least" }, { "-facts", "facts" }, { "-facts-floor", "least_facts" } } do
	local name, reader = "scan-rate"..line[1], line[2];
	figures.report(name, figures.median(rates[reader]), figures.median(rates.expat), figures.median(ratio[reader]), ">=0.90");
end

local function grown(name)
	return process.output(("lua5.4 bench/scan.lua grow %s %d"):format(name, QUICK and 200000 or 500000)) / 1024;
end
local grown_by, peer = grown("facts"), grown("expat");
figures.report("scan-memory", grown_by, peer, grown_by / peer, "<=0.10");
os.exit(figures.missed == 0);
