-- SPDX-License-Identifier: MIT
-- prosody-cpu: CPU time of the Prosody process per message, with the module against without it; and what it adds against what
-- plugins/mod_id_match.lua adds. One server has the module loaded, the peer, or neither, in turn: two servers, even of the same kind,
-- differ by more than what is measured here. The peer's lines are in its file.

local paths = require "spec.support.paths";
local figures = require "bench.figures";
local load = require "bench.load";
local process = require "spec.support.process";
local servers = require "spec.support.server";

local QUICK = arg[1] == "quick";
local SERVERS = QUICK and 1 or 3;
local ROUNDS = { [2] = QUICK and 6 or 54, [100] = QUICK and 6 or 36, [1000] = 18 }; -- of each server, by sessions
local MESSAGES = 6000; -- in a round, about
local EACH = 400; -- of one session, at most: more would await acks than receipts_max_pending_per_user allows

local MODULES = { without = nil, with = "receipts", peer = "id_match" };
local TURNS = { { "without", "with", "peer" }, { "peer", "with", "without" }, { "with", "peer", "without" }, { "without", "peer", "with" },
	{ "peer", "without", "with" }, { "with", "without", "peer" } };

local MODULE = [[
	local manager = require "core.modulemanager";
	assert(manager.%s("localhost", %q));
	collectgarbage();
	collectgarbage();]];

-- How many acks have each found what they are for.
local DELIVERED = {
	receipts = [[
		local reports = prosody.hosts.localhost.modules.receipts.module.save().reports;
		reports:settle();
		return reports.counts.outcomes.delivered;]];
	id_match = "return (prosody.hosts.localhost.modules.id_match.module.counts())";
};

-- They are in each other's rosters, or no receipt would pass.
local ROSTERS = [[
	local rostermanager = require "core.rostermanager";
	for i = 1, %d do
		local roster = rostermanager.load_roster("load"..i, "localhost");
		roster["load"..(i %% 2 == 1 and i + 1 or i - 1).."@localhost"] = { subscription = "both", groups = {} };
		rostermanager.save_roster("load"..i, "localhost", roster);
	end]];

-- Nanoseconds that the process has been running on a CPU.
local function cpu(server)
	return tonumber(process.read(("/proc/%d/schedstat"):format(server.process:pid())):match("^%d+"));
end

local function start(sessions)
	local server = servers.start { modules = { "smacks", "csi_simple", "offline", "posix" };
		plugin_paths = { paths.root, paths.root.."/bench/plugins" }, options = 'log = { warn = "/dev/null" }' };
	server:run(ROSTERS:format(sessions));
	-- Clients as they are today: they know receipts, and say so by a hash that this one has the server learn.
	server:run(MODULE:format("load", "receipts"));
	local first = server:connect("first", { features = { "urn:xmpp:receipts", "http://jabber.org/protocol/chatstates" } });
	servers.wait(function ()
		first:sync();
		return (first.queries or 0) > 0;
	end);
	server:run(MODULE:format("unload", "receipts"));
	return server, load.new(server.port, sessions, tostring(first:presence()));
end

for _, sessions in ipairs(QUICK and { 2, 100 } or { 2, 100, 1000 }) do
	local each = math.min(EACH, math.max(2, MESSAGES // 3 * 2 // sessions));
	local times, ratio, added = { without = {}, with = {}, peer = {} }, {}, { with = {}, peer = {} };
	for _ = 1, SERVERS do
		local server, traffic = start(sessions);
		for round = 1, ROUNDS[sessions] do
			local now = {};
			for _, name in ipairs(TURNS[round % #TURNS + 1]) do
				if MODULES[name] then server:run(MODULE:format("load", MODULES[name])); end
				local _, warm_acks = traffic:round(math.max(2, each // 4)); -- whatever is done once is done
				server:run("collectgarbage(); collectgarbage();");
				local before = cpu(server);
				local messages, acks = traffic:round(each);
				now[name] = (cpu(server) - before) / messages / 1000;
				table.insert(times[name], now[name]);
				if MODULES[name] then
					assert(tonumber(server:run(DELIVERED[MODULES[name]])) == warm_acks + acks, name.." did not match every ack");
					server:run(MODULE:format("unload", MODULES[name]));
				end
			end
			-- Those of one round were measured right after one another: noise hits all.
			table.insert(ratio, now.with / now.without);
			for name, list in pairs(added) do table.insert(list, now[name] - now.without); end
		end
		traffic:close();
		server:stop();
	end
	figures.report(("prosody-cpu-%d-sessions"):format(sessions), figures.median(times.with), figures.median(times.without),
		figures.median(ratio), "<=1.03");
	local ours, peers = figures.median(added.with), figures.median(added.peer);
	-- Noise can make a peer that costs next to nothing seem to save time: half of that would be no goal.
	figures.report(("prosody-cpu-added-%d-sessions"):format(sessions), ours, peers, ours / math.max(peers, 0.01), "<=0.50");
end
os.exit(figures.missed == 0);
