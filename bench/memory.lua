-- SPDX-License-Identifier: MIT
-- prosody-memory: MiB by which the resident set of a real Prosody grows with 100,000 pending receipts of 10,000 users in the module's
-- table; the peer is the same server with them in the smallest table in Lua that we found (lua_packed.lua), which is some thirty times slower.
-- prosody-memory-vs-tables: beside Lua tables that are as fast as ours, with the same rules (pure_lua.lua, the peer of message-path).
-- prosody-memory-floor: what has to be kept at all (bare_entries.c), held against the first one's peer.
-- Each time in a server of its own. Higher is better: peer against ours. Ids are UUIDs, as most are. Garbage is collected as entries are
-- added, so that nobody pays for strings that are not kept.

require "spec.support.paths";
local figures = require "bench.figures";
local process = require "spec.support.process";
local servers = require "spec.support.server";

local ROUNDS = arg[1] == "quick" and 1 or 5;
local ENTRIES, REQUESTERS, ASKED = 100000, 10000, 5000;

-- Lua that returns a function that adds an entry, one that acks it, and one that counts.
local limits = ("{ capacity = %d, per_user = 1000, ttl = 7 * 86400, remember = 3600 }"):format(2 * ENTRIES);
local from_here = ("dofile(%q..%%q)"):format(process.output("pwd").."/bench/");
local methods = [[
		local pending = %s;
		local chat = { type = "chat" };
		return function (from, to, id) pending:add(from, to, id, os.time(), chat); end,
			function (from, to, id) return (pending:match(from, to, id, os.time())); end,
			function () return pending:count(); end]];
local makers = {
	ours = methods:format("prosody.hosts.localhost.modules.receipts.module.save().pending");
	packed = methods:format(("%s.new(%s)"):format(from_here:format("lua_packed.lua"), limits));
	tables = ([[
		local pending = %s.new(%s);
		local st = require "util.stanza";
		local function message(from, to, id, name)
			return st.message({ from = from, to = to, id = id, type = "chat" }):tag(name, { xmlns = "urn:xmpp:receipts", id = id }):up();
		end
		return function (from, to, id) pending.outgoing(message(from, to, id, "request"), os.time()); end,
			function (from, to, id) return select(2, pending.incoming(message(to, from, id, "received"), os.time())); end,
			pending.count]]):format(from_here:format("pure_lua.lua"), limits);
};

local fill = [[
	local function resident()
		collectgarbage();
		collectgarbage();
		return tonumber(io.open("/proc/self/status"):read("a"):match("VmRSS:%%s*(%%d+)"));
	end
	local before = resident();
	local add, match, count = (function () %s end)();
	for i = 1, %d do
		local user = i %% %d;
		add(("user%%d@example.org/phone"):format(user), ("friend%%d@example.net"):format(user * 7 %% %d),
			("%%08x-0000-4000-8000-%%012x"):format(user, i));
		if i %% 500 == 0 then collectgarbage(); end
	end
	assert(count() == %d);
	assert(match("user471@example.org", "friend3297@example.net/x", "000001d7-0000-4000-8000-0000000001d7") == "delivered");
	return resident() - before]];

local grown = {};
for name in pairs(makers) do grown[name] = {}; end
for round = 1, ROUNDS do
	for name, maker in pairs(makers) do
		local server = servers.start { options = "receipts_flush_interval = '1h'" };
		grown[name][round] = tonumber(server:run(fill:format(maker, ENTRIES, REQUESTERS, ASKED, ENTRIES))) / 1024;
		server:stop();
	end
end
local function report(name, ours, peer)
	figures.report(name, ours, peer, peer / ours, ">=3.00");
end
local ours, packed = figures.median(grown.ours), figures.median(grown.packed);
report("prosody-memory", ours, packed);
report("prosody-memory-vs-tables", ours, figures.median(grown.tables));
local floor = process.output(("build/bench/bare_entries %d %d %d %d"):format(ENTRIES, REQUESTERS, ASKED, #"user5000@example.org"));
report("prosody-memory-floor", tonumber(floor), packed);
os.exit(figures.missed == 0);
