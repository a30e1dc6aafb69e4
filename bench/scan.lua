-- SPDX-License-Identifier: MIT
-- scan-rate: MB/s at which `receipts.scanner` reads a capture of 256 MiB, its summary and the facts of messages with receipt elements
-- included, against Expat without handlers (bare_expat.c); scan-rate-namespaces: against Expat that does namespaces, as the scanner
-- needs them, still without handlers; scan-rate-floor: that one, held against the goal. The capture is one stream of the messages of
-- corpus.lua, four in five with a receipt element; 16 MiB of them, told over and over, in chunks of 64 KiB.
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

function readers.ours()
	local scanner = receipts.scanner { only_receipts = true };
	return function (chunk) assert(scanner:feed(chunk)); end, function ()
		local summary = scanner:summary();
		scanner:close();
		return summary;
	end;
end

local function expat(namespaces)
	return function ()
		local parser = bare.streamer(namespaces);
		return function (chunk) bare.feed(parser, chunk); end, function () bare.close(parser); end;
	end;
end
readers.expat, readers.namespaces = expat(false), expat(true);

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
	local text = table.concat(corpus.messages(QUICK and 2000 or 28000), "\n").."\n"; -- 600 bytes each
	for at = 1, #text, 65536 do table.insert(chunks, text:sub(at, at + 65535)); end
end

local function rate(new, bytes)
	local feed, close = new();
	local done = 0;
	collectgarbage();
	local before = os.clock();
	feed(OPEN);
	repeat
		for i = 1, #chunks do
			feed(chunks[i]);
			done = done + #chunks[i];
		end
	until done >= bytes;
	local summary = close();
	local took = os.clock() - before;
	assert(not summary or (summary.requests > 0 and summary.acks > 0 and not next(summary.problems)));
	return done / took / 1e6;
end

local rates, ratio, floor = {}, { expat = {}, namespaces = {} }, {};
for round = 1, 5 do
	for name, new in pairs(readers) do
		rates[name] = rates[name] or {};
		rates[name][round] = rate(new, (QUICK and 16 or 256) * MIB);
	end
	for peer, list in pairs(ratio) do list[round] = rates.ours[round] / rates[peer][round]; end
	floor[round] = rates.namespaces[round] / rates.expat[round];
end
for name, peer in pairs { ["scan-rate"] = "expat", ["scan-rate-namespaces"] = "namespaces" } do
	figures.report(name, figures.median(rates.ours), figures.median(rates[peer]), figures.median(ratio[peer]), ">=0.90");
end
figures.report("scan-rate-floor", figures.median(rates.namespaces), figures.median(rates.expat), figures.median(floor), ">=0.90");

local function grown(name)
	return process.output(("lua5.4 bench/scan.lua grow %s %d"):format(name, QUICK and 200000 or 500000)) / 1024;
end
local ours, peer = grown("ours"), grown("expat");
figures.report("scan-memory", ours, peer, ours / peer, "<=0.10");
os.exit(figures.missed == 0);
