-- SPDX-License-Identifier: MIT
-- prosody-memory: MiB by which the resident set of a real Prosody grows with 100,000 pending receipts of 10,000 users in the module's
-- table; the peer is the same server with them in Lua tables (lua_pending.lua). Each time in a server of its own. Higher is better:
-- peer against ours. Ids are UUIDs, as most are. Garbage is collected as entries are added, so that neither pays for strings that it does
-- not keep. prosody-memory-floor: the least that anybody could keep of them (bare_entries.c), held against the same goal.

require "spec.support.paths";
local figures = require "bench.figures";
local process = require "spec.support.process";
local servers = require "spec.support.server";

local ROUNDS = arg[1] == "quick" and 1 or 5;
local ENTRIES, REQUESTERS, ASKED = 100000, 10000, 5000;

local tables = {
	ours = "prosody.hosts.localhost.modules.receipts.module.save().pending";
	peer = ("dofile(%q).new { per_user = 1000, ttl = 7 * 86400 }"):format(process.output("pwd").."/bench/lua_pending.lua");
};

local fill = [[
	local function resident()
		collectgarbage();
		collectgarbage();
		return tonumber(io.open("/proc/self/status"):read("a"):match("VmRSS:%%s*(%%d+)"));
	end
	local pending = %s;
	local before = resident();
	for i = 1, %d do
		local user = i %% %d;
		pending:add(("user%%d@example.org/phone"):format(user), ("friend%%d@example.net"):format(user * 7 %% %d),
			("%%08x-0000-4000-8000-%%012x"):format(user, i), os.time(), { type = "chat" });
		if i %% 500 == 0 then collectgarbage(); end
	end
	assert(pending:count() == %d);
	assert(pending:match("user471@example.org", "friend3297@example.net/x", "000001d7-0000-4000-8000-0000000001d7", os.time()) == "delivered");
	return resident() - before]];

local grown = { ours = {}, peer = {} };
for round = 1, ROUNDS do
	for name, expression in pairs(tables) do
		local server = servers.start { options = "receipts_flush_interval = '1h'" };
		grown[name][round] = tonumber(server:run(fill:format(expression, ENTRIES, REQUESTERS, ASKED, ENTRIES))) / 1024;
		server:stop();
	end
end
local ours, peer = figures.median(grown.ours), figures.median(grown.peer);
figures.report("prosody-memory", ours, peer, peer / ours, ">=3.00");
local floor = tonumber(process.output(("build/bench/bare_entries %d %d %d %d"):format(ENTRIES, REQUESTERS, ASKED, #"user5000@example.org")));
figures.report("prosody-memory-floor", floor, peer, peer / floor, ">=3.00");
os.exit(figures.missed == 0);
