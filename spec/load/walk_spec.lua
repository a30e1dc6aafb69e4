-- SPDX-License-Identifier: MIT
-- Random walks: Alice asks, Bob's devices come and go, sleep, show and hide what they can, ack on the stream or by themselves, block and
-- join rooms, and the module is reloaded, in any order. Whatever happens, nobody is told twice, nor of what has not arrived, and the
-- module catches no error (stop() sees to that). WALKS=100 takes some minutes; WALK=7 does the seventh alone.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";
local socket = require "socket";

local R = stanzas.xmlns;
local WALKS, STEPS = tonumber(os.getenv("WALKS") or 4), 150;
local ONLY = tonumber(os.getenv("WALK"));

-- What a device can do; "" shows no caps.
local KINDS = { "urn:example:1", "urn:example:2", R, R.." urn:example:3", "" };
local ROOM = "room@rooms.localhost/";

local function pick(list)
	return list[math.random(#list)];
end

local function can(kind)
	return kind:sub(1, #R) == R;
end

local function features(kind)
	local list = {};
	for feature in kind:gmatch("%S+") do table.insert(list, feature); end
	return list;
end

describe("a random walk", function ()
	local server, alice, devices, came, answers, asked;

	-- Alice's mail: acks that the server sent, by the message's id, and by whom.
	local function read_alice()
		for _, message in ipairs(alice:messages()) do
			local id = stanzas.acked(message);
			if id and message.attr.id and not message.attr.id:find("^own") then
				answers[id] = answers[id] or {};
				table.insert(answers[id], message.attr.from);
			end
		end
	end

	local function read(device)
		local list, inbox = device:sync(), device.inbox;
		table.move(inbox, 1, #inbox, #list + 1, list); -- what followed the reply has been counted as handled, too
		device.inbox = {};
		for _, message in ipairs(list) do
			if message.name == "message" and stanzas.asks(message) and message.attr.type ~= "error" then
				came[message.attr.id..device.jid] = true;
				if can(device.kind) and math.random(3) > 1 then
					device:send(stanzas.ack(message.attr.from, message.attr.id, { id = "own"..math.random(1 << 40), type = message.attr.type }));
				end
			end
		end
	end

	local function show(device, kind)
		device.kind = kind;
		device:show(features(kind));
		device:send(kind == "" and "<presence/>" or device:presence());
		read(device);
	end

	local function ask(to)
		asked = asked + 1;
		alice:send(stanzas.ask { to = to, id = "m"..asked });
		read_alice();
	end

	local function join(one, nick)
		one:send(one:presence({ to = ROOM..nick }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
	end

	local function block(device, action)
		device:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "alice@localhost" }));
	end

	local free = { -- what needs no device
		function ()
			local name = "bob@localhost/r"..math.random(3);
			if devices[name] then return; end
			local device = server:connect(name, { managed = math.random(4) > 1 or nil, presence = false });
			device.mute = math.random(3) == 1;
			devices[name] = device;
			show(device, pick(KINDS));
		end;
		function () ask(pick { "bob@localhost", "bob@localhost", "bob@localhost/r"..math.random(3) }); end;
		function () server:reload(); end;
	};
	local function acknowledge(device)
		read(device);
		if not device.managed then return; end
		device:acknowledge();
		read(device);
	end
	local function drop(device)
		read(device);
		device:drop();
		devices[device.jid] = nil;
		if not device.managed or math.random(2) == 1 then return; end
		servers.wait(function () -- else what is written to it now counts as sent
			return server:run(("local session = prosody.full_sessions[%q]; return tostring(not session or session.hibernating)"):format(device.jid)) ~= "nil";
		end);
		if math.random(2) == 1 then ask("bob@localhost"); end
		local ok, again, resumed = pcall(server.resume, server, device, device.handled + math.random(0, 1)); -- some miscount
		if not ok then return; end -- and the server may have cut them off for it
		if not resumed then return again:drop(); end
		again.kind, again.mute = device.kind, device.mute;
		devices[again.jid] = again;
		read(again);
	end
	local of_devices = {
		acknowledge, acknowledge, acknowledge, drop;
		function (device)
			device:close();
			devices[device.jid] = nil;
		end;
		function (device)
			device:send("<presence type='unavailable'/>");
			read(device);
		end;
		function (device) show(device, device.kind); end;
		function (device) show(device, pick(KINDS)); end;
		function (device) device.mute = not device.mute; end;
		function (device) block(device, "block"); end;
		function (device) block(device, "unblock"); end;
		function (device) block(device, "unblock"); end;
		function (device)
			device:send(st.presence { to = pick { "alice@localhost", "eve@localhost", ROOM.."x" }, type = math.random(2) == 1 and "unavailable" or nil });
			read(device);
		end;
		function (device)
			join(device, "bob");
			read(device);
			if math.random(3) == 1 then join(alice, "alice"); end
			ask(ROOM.."bob");
		end;
	};

	-- The devices in an order that is the same each time.
	local function present()
		local list = {};
		for _, device in pairs(devices) do table.insert(list, device); end
		table.sort(list, function (a, b) return a.jid < b.jid; end);
		return list;
	end

	for seed = ONLY or 1, ONLY or WALKS do
		it("D2 D4 F0 tells nobody twice, and only what is true: "..seed, function ()
			math.randomseed(seed);
			devices, came, answers, asked = {}, {}, {}, 0;
			local proof = pick { "ack", "ack", "sent" };
			server = servers.start { hosts = servers.rooms, disabled = pick { {}, { "pep" } };
				modules = { "receipts", "smacks", "offline", math.random(2) == 1 and "mam" or nil };
				options = ('receipts_answer = "opt-out" receipts_answer_proof = %q smacks_hibernation_time = 1'):format(proof) };
			finally(function () server:stop(); end);
			server:roster("alice", "bob@localhost", "both");
			server:roster("bob", "alice@localhost", "both");
			alice = server:connect("alice", { features = { R } });
			for _ = 1, STEPS do
				local list = present();
				local step = math.random(3 + 4 * #list);
				if step <= 3 then
					free[step]();
				else
					pick(of_devices)(pick(list));
				end
			end
			local deadline = socket.gettime() + 0.3; -- what is looked at in a moment
			servers.wait(function () return socket.gettime() > deadline; end);
			read_alice();
			for _, device in ipairs(present()) do read(device); end
			for id, by in pairs(answers) do
				assert.equal(1, #by, id.." was answered by "..table.concat(by, ", "));
				-- A room's occupant acks under the room's name.
				local from = by[1]:find(ROOM, 1, true) and "" or by[1];
				local arrived = from == "" or came[id..from];
				assert(arrived or proof == "sent", id.." was answered by "..by[1]..", which has not got it");
			end
			assert.equal("0", server:run([[
				local answers, n = prosody.hosts.localhost.modules.receipts.module.save().answering.answers, 0;
				for _, fates in answers.fate:items() do n = n + fates:count(); end
				return n - answers.fates;
			]]));
		end);
	end
end);
