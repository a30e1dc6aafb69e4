-- SPDX-License-Identifier: MIT
-- prosody-cpu: CPU time of the Prosody process per message, with the module against without it; and what it adds against what
-- plugins/mod_id_match.lua adds. Three servers run side by side and take turns.

local paths = require "spec.support.paths";
local figures = require "bench.figures";
local load = require "bench.load";
local process = require "spec.support.process";
local servers = require "spec.support.server";

local QUICK = arg[1] == "quick";
local ROUNDS = QUICK and 5 or 15;
local MESSAGES = 4000; -- in a round, about
local EACH = 400; -- of one session, at most: more would await acks than receipts_max_pending_per_user allows

local names = { "without", "with", "peer" };
local modules = { without = {}, with = { "receipts" }, peer = { "id_match" } };

-- Nanoseconds that the process has been running on a CPU.
local function cpu(server)
	return tonumber(process.read(("/proc/%d/schedstat"):format(server.process:pid())):match("^%d+"));
end

for _, sessions in ipairs(QUICK and { 2, 100 } or { 2, 100, 1000 }) do
	local running = {};
	for _, name in ipairs(names) do
		local list = { "smacks", "csi_simple", "offline", "posix", table.unpack(modules[name]) };
		local server = servers.start { modules = list, plugin_paths = { paths.root, paths.root.."/bench/plugins" },
			options = 'log = { warn = "/dev/null" }' };
		-- They are in each other's rosters, or no receipt would pass.
		server:run(([[
			local rostermanager = require "core.rostermanager";
			for i = 1, %d do
				local roster = rostermanager.load_roster("load"..i, "localhost");
				roster["load"..(i %% 2 == 1 and i + 1 or i - 1).."@localhost"] = { subscription = "both", groups = {} };
				rostermanager.save_roster("load"..i, "localhost", roster);
			end]]):format(sessions));
		-- Clients as they are today: they know receipts, and say so by a hash that this one has the server learn.
		local first = server:connect("first", { features = { "urn:xmpp:receipts", "http://jabber.org/protocol/chatstates" } });
		servers.wait(function ()
			first:sync();
			return (first.queries or 0) > 0 or name ~= "with";
		end);
		running[name] = { server = server, load = load.new(server.port, sessions, tostring(first:presence())), times = {} };
		for _ = 1, 2 do running[name].load:round(math.min(EACH, math.max(2, MESSAGES // 2 // sessions))); end
	end
	for round = 1, ROUNDS do
		for _, name in ipairs(names) do
			local one = running[name];
			local before = cpu(one.server);
			local messages = one.load:round(math.min(EACH, math.max(2, MESSAGES // sessions)));
			one.times[round] = (cpu(one.server) - before) / messages / 1000;
		end
	end
	-- The pairs of one round were measured right after one another: noise hits both.
	local with, added = {}, {};
	for round = 1, ROUNDS do
		local without = running.without.times[round];
		with[round] = running.with.times[round] / without;
		added[round] = { running.with.times[round] - without, running.peer.times[round] - without };
	end
	local function middle(i)
		local list = {};
		for round = 1, ROUNDS do list[round] = added[round][i]; end
		return figures.median(list);
	end
	figures.report(("prosody-cpu-%d-sessions"):format(sessions), figures.median(running.with.times), figures.median(running.without.times),
		figures.median(with), "<=1.03");
	figures.report(("prosody-cpu-added-%d-sessions"):format(sessions), middle(1), middle(2), middle(1) / middle(2), "<=0.50");
	for _, one in pairs(running) do
		one.load:close();
		one.server:stop();
	end
end
os.exit(figures.missed == 0);
