-- SPDX-License-Identifier: MIT
-- Attackers send what they can; ordinary users notice no more of it than they would without the module. Two servers, one with the
-- module and one without, get the same floods in turns, and their work is counted, in instructions. `make attack` is the long form, which
-- takes the time: twelve such pairs, one after the other, for two servers of the same kind differ by up to a quarter; the median of the
-- twelve counts.

local floods = require "spec.load.floods";
local line = require "spec.load.line";
local ordinary = require "spec.load.ordinary";
local paths = require "spec.support.paths";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local vitals = require "spec.load.vitals";
local figures = require "bench.figures";
local socket = require "socket";

local LONG = os.getenv("ATTACK") == "long";
-- Of each flood, on each server; and bursts in a turn. Short turns say little: each hits another part of the garbage collector's cycle.
local TURNS, TICKS = LONG and 15 or 6, LONG and 40 or 12;
local ROUNDS = LONG and 12 or 1; -- pairs of servers
local BURST, TICK = 10, 0.005; -- stanzas in a burst, and seconds until the next; in the long form these are measured, so that
local BUSY = 0.5; -- the server without the module needs this share of a core, however fast the machine is
local PAIRS = 5; -- of ordinary users, who write to each other all the while
local RESOURCES = LONG and 1000 or 100; -- of the attacker
local BYSTANDERS, AWAITED = 5, 20; -- users whose receipts are awaited all the while, and how many of each
local LEFT = BYSTANDERS + 3; -- sessions when the others are gone: with them are the one they wait for, the first, and the spec's own
local LATENCY, CPU = 1.2, 2; -- at most: times that of the server without the module;
local WORK, LEAST = 1.5, 100; -- and instructions, likewise; each stanza takes it so many, or they are not counted
local HEAP, RESIDENT = 4096, 16384; -- KiB that may be left behind, beyond what the other server is left with

local roster = [[
	local rostermanager = require "core.rostermanager";
	local function friends(a, b)
		local roster = rostermanager.load_roster(a, "localhost");
		roster[b.."@localhost"] = { subscription = "both", groups = {} };
		rostermanager.save_roster(a, "localhost", roster);
	end
	for i = 1, %d do
		friends("romeo"..i, "juliet"..i);
		friends("juliet"..i, "romeo"..i);
	end
	for i = 1, %d do friends("quiet", "bystander"..i); end
	-- They have made friends with some who turn out to be attackers.
	for i = 1, %d do
		for _, user in ipairs { "romeo"..i, "juliet"..i } do
			local roster = rostermanager.load_roster(user, "localhost");
			for n = 1, %d do roster["x"..n.."@evil.example"] = { subscription = "both", groups = {} }; end
			for _, name in ipairs { "crowd", "restless" } do roster[name.."@evil.example"] = { subscription = "both", groups = {} }; end
			rostermanager.save_roster(user, "localhost", roster);
		end
	end
]];

local function start(modules)
	local port = process.free_port();
	return servers.start {
		modules = modules;
		under = LONG and "" or ("LUA_INIT_5_4=@%s/spec/load/instructions.lua"):format(paths.root);
		options = ('log = { error = "/dev/null" }\nnetwork_settings = { nagle = false }\ncomponent_ports = { %d }'):format(port);
		hosts = 'Component "evil.example"\n\tcomponent_secret = "secret"\n';
	};
end

-- A server with everybody on it.
local function populate(server, has_module)
	local port = tonumber(process.read(server.config):match("component_ports = { (%d+) }"));
	process.wait(function () return process.listening(port); end);
	server:run(roster:format(PAIRS, BYSTANDERS, PAIRS, floods.FRIENDS));
	local first = server:connect("first", { features = { "urn:xmpp:receipts" } });
	process.wait(function ()
		first:sync();
		return not has_module or (first.queries or 0) > 0;
	end);
	local presence = tostring(first:presence());
	local world = { server = server, component_port = port, pending = {}, bystanders = {}, resources = {}, stolen = {} };
	world.users = ordinary.new(server.port, PAIRS, presence);
	world.victims = world.users:jids();
	world.quiet = line.client(server.port, "quiet", "r", presence);
	for i = 1, BYSTANDERS do
		local one = line.client(server.port, "bystander"..i, "r", presence);
		one.acks = {};
		one:listen("message", function (stanza)
			if not stanza:find("<received", 1, true) then return; end
			if not stanza:find(" from='quiet@localhost/r'", 1, true) then return table.insert(world.stolen, stanza); end
			table.insert(one.acks, stanza:match("<received [^>]*id='([^']*)'"));
		end);
		for n = 1, AWAITED do
			local id = ("awaited-%d-%d"):format(i, n);
			one:send(("<message to='quiet@localhost/r' type='chat' id='%s'><body>x</body><request xmlns='urn:xmpp:receipts'/></message>"):format(id));
			table.insert(world.pending, { from = one.jid, to = "quiet@localhost", id = id });
		end
		line.wait(one:ping(), "answer");
		table.insert(world.bystanders, one);
	end
	return world;
end

local function arrive(world)
	world.component = line.component(world.component_port, "evil.example");
	world.component:listen("iq", floods.answer);
	world.mallory = line.client(world.server.port, "mallory", "one", "<presence/>");
	for i = 1, RESOURCES do world.resources[i] = line.client(world.server.port, "mallory", "r"..i); end
end

local function leave(world)
	for _, one in ipairs { world.component, world.mallory, table.unpack(world.resources) } do one:drop(); end
	world.resources = {};
end

-- So many bursts at a steady pace, whether the server keeps up or not, and ordinary users beside them. Over when all has been dealt with.
local function turn(world, flood, pace)
	local used, began = {}, socket.gettime();
	for tick = 1, TICKS do
		for _, one in ipairs(floods[flood](world, BURST)) do used[one] = true; end
		world.users:ask();
		line.run_until(began + tick * pace);
	end
	local handled = {};
	for one in pairs(used) do table.insert(handled, one:ping()); end
	line.wait(function ()
		for _, done in ipairs(handled) do
			if not done() then return false; end
		end
		return world.users:are_done();
	end, "end of the flood "..flood);
end

-- What one of so many take at most; or `times` of so many.
local function share(list, of, times)
	table.sort(list);
	return list[math.max(1, #list * (times or 1) // of)];
end

local taken = {}; -- of each flood, and each pair of servers: { latency with the module, without, ratio }

local function attackers(round)
	local with, without, before, after;
	local both;
	setup(function ()
		-- Both run before anybody connects: a program inherits what is open when it is started. Each is the first in every other pair.
		local started, worlds = { [true] = start { "receipts" }, [false] = start {} }, {};
		local order = round % 2 == 0 and { true, false } or { false, true };
		for _, has_module in ipairs(order) do worlds[has_module] = populate(started[has_module], has_module); end
		for _, has_module in ipairs(order) do arrive(worlds[has_module]); end
		with, without = worlds[true], worlds[false];
		both = { with, without };
		before = { with = vitals.of(with.server), without = vitals.of(without.server) };
	end);
	teardown(function ()
		for _, world in pairs { with, without } do world.server:stop(); end
	end);

	local function run(world, code)
		return world.server:run("local pending = prosody.hosts.localhost.modules.receipts.module.save().pending; return "..code);
	end

	-- Turns after one another, on each server, and how long they took; the first ones warm up.
	local function timed(flood)
		local middle, all, spent, took, pace = { {}, {} }, { {}, {} }, { 0, 0 }, { 0, 0 }, TICK;
		local warm = {}; -- CPU time of each server when it had warmed up: what a flood costs may come after its turn
		for i = 0, TURNS do
			for _, which in ipairs(i % 2 == 0 and { 1, 2 } or { 2, 1 }) do
				local world = both[which];
				local before_turn, began = vitals.cpu(world.server), socket.gettime();
				world.users.times = {};
				turn(world, flood, pace);
				if i == 0 then
					warm[which] = vitals.cpu(world.server);
					if world == without then pace = (warm[which] - before_turn) / TICKS / BUSY; end
				else
					table.insert(middle[which], figures.median(world.users.times));
					table.move(world.users.times, 1, #world.users.times, #all[which] + 1, all[which]);
					spent[which] = spent[which] + vitals.cpu(world.server) - before_turn;
					took[which] = took[which] + socket.gettime() - began;
				end
			end
		end
		-- Of two turns that followed on one another. Other programs hit both.
		local ratios = {};
		for i, ours in ipairs(middle[1]) do ratios[i] = ours / middle[2][i]; end
		taken[flood] = taken[flood] or {};
		table.insert(taken[flood], { share(all[1], 2) * 1e3, share(all[2], 2) * 1e3, figures.median(ratios) });
		print(("ATTACK %s: latency %.2f times, %d messages, 95 of 100 within %.1f ms (without the module %.1f), "
			.."CPU %.2f times (%.2f with what came after turns), busy for %.0f %% of the time (%.0f)")
			:format(flood, figures.median(ratios), #all[1], share(all[1], 20, 19) * 1e3, share(all[2], 20, 19) * 1e3, spent[1] / spent[2],
			(vitals.cpu(with.server) - warm[1]) / (vitals.cpu(without.server) - warm[2]), spent[1] / took[1] * 100, spent[2] / took[2] * 100));
		assert(spent[1] <= spent[2] * CPU, ("%.3f s of CPU, and %.3f without the module"):format(spent[1], spent[2]));
	end

	-- The same, and what the servers did, in instructions.
	local function counted(flood)
		local work = {};
		for which, world in ipairs(both) do
			turn(world, flood, TICK);
			local before_turns = vitals.instructions(world.server);
			for _ = 1, TURNS do turn(world, flood, TICK); end
			work[which] = vitals.instructions(world.server) - before_turns;
		end
		local told = ("%d instructions, and %d without the module"):format(work[1], work[2]);
		assert(work[2] > TURNS * TICKS * BURST * LEAST, told);
		assert(work[1] <= work[2] * WORK, told);
	end

	for _, flood in ipairs(floods.all) do
		it("cost ordinary users no message and little "..(LONG and "time" or "work")..": "..flood, function ()
			(LONG and timed or counted)(flood);
			for _, world in ipairs(both) do assert.same({}, world.users.wrong); end
			assert.same({}, with.stolen);
		end);
	end

	it("who answer without end are cut off, and ordinary users are not", function ()
		for _, world in ipairs(both) do
			world.component:send("<iq type='result' to='localhost' id='x' from='x@evil.example'><query xmlns='http://jabber.org/protocol/disco#info'>"
				..("<feature var='urn:evil:without:end'/>"):rep(30000));
			world.users:ask();
			line.wait(function () return not world.component.conn; end, "end of what has none");
			world.users:ask();
			line.wait(function () return world.users:are_done(); end, "message of an ordinary user");
			assert.same({}, world.users.wrong);
		end
	end);

	it("await no more than one user may", function ()
		assert.equal("1000", run(with, "pending:count('mallory@localhost')"));
	end);

	it("have nobody else's receipts forgotten, nor taken for another's", function ()
		for i, one in ipairs(with.bystanders) do
			assert.equal(tostring(AWAITED), run(with, ("pending:count(%q)"):format(one.bare)));
			assert.same({}, one.acks);
			for n = 1, AWAITED do
				with.quiet:send(("<message to='%s' type='chat'><received xmlns='urn:xmpp:receipts' id='awaited-%d-%d'/></message>"):format(one.jid, i, n));
			end
		end
		line.wait(with.quiet:ping(), "answer");
		for i, one in ipairs(with.bystanders) do
			line.wait(one:ping(), "answer");
			local expected = {};
			for n = 1, AWAITED do expected[n] = ("awaited-%d-%d"):format(i, n); end
			assert.same(expected, one.acks);
			assert.equal("0", run(with, ("(function () local n = 0; for _, entry in ipairs(pending:list(%q)) do "
				.."if entry.state == 'pending' then n = n + 1; end end return n end)()"):format(one.bare)));
		end
		assert.same({}, with.stolen);
	end);

	it("leave no memory behind, once they and those they wrote to are gone", function ()
		local full = { with = vitals.of(with.server), without = vitals.of(without.server) };
		for _, world in ipairs(both) do
			leave(world);
			world.users:leave();
		end
		process.wait(function ()
			after = { with = vitals.of(with.server), without = vitals.of(without.server) };
			return after.with.sessions == LEFT and after.without.sessions == LEFT;
		end);
		local function growth(of, field) return of.with[field] - before.with[field] - (of.without[field] - before.without[field]); end
		local grown = ("beyond the other server: heap %d KiB, at its height %d; resident %d KiB, at its height %d; pending table %d bytes")
			:format(growth(after, "heap"), growth(full, "heap"), growth(after, "resident"), growth(after, "peak"), after.with.pending);
		if LONG then print("ATTACK memory "..grown); end
		assert(growth(full, "heap") <= 4 * HEAP and growth(after, "heap") <= HEAP, grown);
		assert(growth(after, "peak") <= 2 * RESIDENT and growth(after, "resident") <= RESIDENT, grown);
		assert(after.with.pending <= 1 << 20, grown);
	end);
end

for round = 1, ROUNDS do
	describe("attackers", function () attackers(round); end);
end

if LONG then
	describe("attackers, of all servers", function ()
		-- The median of one of the values.
		local function middle(list, which)
			local values = {};
			for i, one in ipairs(list) do values[i] = one[which]; end
			return figures.median(values);
		end

		for _, flood in ipairs(floods.all) do
			it("cost ordinary users little time: "..flood, function ()
				local list = assert(taken[flood]);
				local ratio = middle(list, 3);
				figures.report("attack-"..flood, middle(list, 1), middle(list, 2), ratio, "<="..LATENCY);
				assert(ratio <= LATENCY, ("%.2f times the latency without the module"):format(ratio));
			end);
		end
	end);
end
