-- SPDX-License-Identifier: MIT
-- Random walks. Two clients of Alice's, her namesake on another host, and Eve, whom nobody knows, write to Bob, on both hosts, with ids that
-- they all count up from 1. Bob's devices come and go, sleep, show and hide what they can, ack on the stream or by themselves, block and
-- subscribe, join rooms under this nick or that; Eve forges acks; the module is reloaded, Prosody restarted and killed, in any order.
-- Whatever happens, the oracle finds nothing wrong, and the module catches no error (stop() sees to that). WALKS=100 takes a quarter of an
-- hour; FIRST=50 begins with the fiftieth; WALK=7 does the seventh alone. A walk that fails says which way it went.

local new_oracle = require "spec.load.oracle".new;
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local jid_bare, jid_host = require "util.jid".bare, require "util.jid".host;
local st = require "util.stanza";
local socket = require "socket";

local R = stanzas.xmlns;
local ONLY = tonumber(os.getenv("WALK"));
local FIRST, WALKS, STEPS = ONLY or tonumber(os.getenv("FIRST") or 1), ONLY or tonumber(os.getenv("WALKS") or 4), 200;

-- What a client can do; "" shows no caps.
local KINDS = { "urn:example:1", "urn:example:1", "urn:example:2", R, R.." urn:example:3", "" };
local WRITERS = { "alice@localhost/a", "alice@localhost/b", "alice@far.example/a", "eve@localhost/e" };
local FRIENDS_KINDS = { R, R, R, R, R.." urn:example:3", "urn:example:1", "" };
local FRIENDS = { "alice@localhost", "alice@far.example" }; -- of Bob's, in the beginning
local ACCOUNTS = { "bob@localhost", "bob@far.example" };
local ROOM, NICKS = "room@rooms.localhost/", { "bob", "bob2" };

local function pick(list)
	return list[math.random(#list)];
end

local function once_in(n)
	return math.random(n) == 1;
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
	-- clients: full JID -> who is online; latest: the same of all who ever were; friends, blocked: sets of both(account, person); due: message ->
	-- set of the devices that it has come to, where its sender is told as soon as one acks it on the stream; trail: the steps, as text.
	local server, oracle, rules, clients, latest, friends, blocked, due, trail, serial;

	local function note(...)
		local words = table.pack(oracle.step, ...);
		for i = 1, words.n do words[i] = tostring(words[i]); end
		table.insert(trail, table.concat(words, " "));
	end

	local function both(account, person)
		return account.." "..person;
	end

	-- May they see that device's presence?
	local function sees(person, device)
		local pair = both(device.bare, person);
		local subscribed = device.available and friends[pair] and not device.hidden[person];
		return not blocked[pair] and (subscribed or next(device.shown[person] or {}) ~= nil);
	end

	-- Clients for which that holds, in an order that is the same each time.
	local function those(which)
		local list = {};
		for _, one in pairs(clients) do
			if which(one) then table.insert(list, one); end
		end
		table.sort(list, function (a, b) return a.jid < b.jid; end);
		return list;
	end
	local function is_device(one) return one.bare:find("^bob@") ~= nil; end
	local function is_writer(one) return not is_device(one); end
	local function of(account) return function (one) return one.bare == account; end; end

	local function some_writer()
		return pick(those(is_writer));
	end

	local function some_account()
		return ACCOUNTS[once_in(4) and 2 or 1];
	end

	-- What comes is told to the oracle.

	local function judge(one, stanza)
		local type = stanza.attr.type;
		if stanza.name ~= "message" or type == "groupchat" or stanza:get_child(nil, "urn:xmpp:carbons:2") then
			return;
		elseif type == "error" then
			if is_writer(one) then return oracle:bounced(one, stanza); end
			if not one.sent[stanza.attr.id or ""] then error("D8: "..one.jid.." has sent no such thing: "..tostring(stanza), 0); end
		elseif stanzas.acked(stanza) ~= nil then
			oracle:ticked(one, stanza);
		elseif stanza:get_child("body") then
			local message = oracle:came(one, stanza);
			if stanza.nth then table.insert(one.got, { message = message, nth = stanza.nth }); end
			local other = due[message] and not due[message][one]; -- it was sent again (rule G1)
			if other and server:support_of(one.jid, jid_host(one.jid)) ~= "incapable" then due[message] = nil; end -- that one may ack it
			if stanzas.asks(stanza) and not one.asked[message] then
				one.asked[message] = true;
				table.insert(one.todo, { message = message, stanza = stanza });
			end
		end
	end

	local function read(one)
		one.client:sync();
		local list = one.client.inbox; -- with what followed the reply, which has been counted as handled, too
		one.client.inbox = {};
		for _, stanza in ipairs(list) do judge(one, stanza); end
	end

	-- A device says how many stanzas it has got.
	local function proves(one, h)
		one.acked = h;
		for _, got in ipairs(one.got) do
			if got.nth <= h then got.message.proven[one.jid] = true; end
		end
	end

	-- Everybody reads what has come. What was so before counts until then.
	local function settle()
		for _, one in ipairs(those(is_device)) do read(one); end
		for _, one in ipairs(those(is_writer)) do read(one); end
		for _, one in pairs(latest) do
			one.had_kind, one.was_online = one.kind, clients[one.jid] == one;
			for _, jid in ipairs(WRITERS) do one.seen_by[jid_bare(jid)] = sees(jid_bare(jid), one); end
		end
		oracle.step = oracle.step + 1;
	end

	local world = {
		sees = function (person, device) return device.seen_by[person] or sees(person, device); end;
		can = function (device) return can(device.kind) or can(device.had_kind); end;
		able = function (device) return clients[device.jid] == device and can(device.kind) and can(device.had_kind); end;
		has_able = function (account)
			for _, one in pairs(latest) do
				if one.bare == account and (clients[one.jid] == one or one.was_online) and can(one.kind) then return true; end
			end
			return false;
		end;
		device = function (jid) return latest[jid]; end;
	};

	-- Prosody shows that person the presence of devices again for which `which` holds, whatever they did, and though they sleep: to a new
	-- subscriber, to who is blocked no more, or comes.
	local function shown_anew(person, which)
		for _, one in pairs(latest) do
			if which(one) then one.hidden[person] = nil; end
		end
	end

	-- It is not certain any more that the senders of what has come to this account are told.
	local function disturb(account)
		for message, devices in pairs(due) do
			if next(devices).bare == account then due[message] = nil; end
		end
	end

	-- Who comes and goes

	local function show(one, kind)
		one.available, one.hidden = true, {};
		if kind == "" and one.client.info then -- which unsays nothing
			one.client:send("<presence/>");
			return;
		end
		if kind ~= one.kind then
			one.changes = one.changes + 1;
			disturb(one.bare);
		end
		one.kind, one.client.mute = kind, one.mute;
		one.client:show(features(kind));
		one.client:send(kind == "" and "<presence/>" or one.client:presence());
	end

	local function come(jid, kind, how)
		note("come", jid, kind, how.managed and "managed");
		local one = { jid = jid, bare = jid_bare(jid), kind = kind, had_kind = kind, managed = how.managed, mute = how.mute;
			changes = 0, shown = {}, hidden = {}, seen_by = {}, sent = {}, asked = {}, todo = {}, got = {}, acked = 0;
			count = latest[jid] and latest[jid].count or 0 };
		how.presence = false;
		one.client = server:connect(jid, how);
		clients[jid], latest[jid] = one, one;
		show(one, kind);
		if is_writer(one) then shown_anew(one.bare, is_device); end
		return one;
	end

	local function device_comes()
		local jid = some_account().."/r"..math.random(3);
		if clients[jid] then return; end
		come(jid, pick(KINDS), { managed = not once_in(6) or nil, carbons = once_in(2) or nil, mute = once_in(8) });
	end

	local function writers_come()
		for _, jid in ipairs(WRITERS) do
			if not clients[jid] then
				local forges = jid:find("^eve@") ~= nil;
				local one = come(jid, pick(forges and KINDS or FRIENDS_KINDS), { carbons = once_in(2) or nil });
				one.forges = forges;
				for _, friend in ipairs(forges and FRIENDS or {}) do one.client:send(one.client:presence { to = friend }); end
			end
		end
	end

	local function gone(one)
		if clients[one.jid] == one then clients[one.jid] = nil; end
		one.available, one.shown, one.nick = false, {}, nil;
	end

	local function writer_goes()
		local one = some_writer();
		note("goes", one.jid);
		one.client:close();
		gone(one);
		oracle:excuse(function (message) return message.by == one.jid; end, true);
		for message in pairs(due) do
			if message.by == one.jid then due[message] = nil; end
		end
		writers_come();
	end

	local function restart(how)
		note("restart", how);
		server:restart(how);
		for _, one in pairs(latest) do gone(one); end
		oracle:excuse(function () return true; end, how == "kill");
		due = {};
		writers_come();
	end

	-- Messages

	-- How many sessions the server has of an account, and whether it has one with this address.
	local function at_server(account, jid)
		local count, there = server:run(([[
			local user, count = prosody.bare_sessions[%q], 0;
			for _ in pairs(user and user.sessions or {}) do count = count + 1; end
			return count.." "..tostring(prosody.full_sessions[%q] ~= nil);]]):format(account, jid)):match("(%d+) (%a+)");
		return tonumber(count), there == "true";
	end

	-- Will its sender be told as soon as a device acks it on the stream? Then all that got it can't ack, and say so.
	local function is_due(message)
		if not (message.asks and message.is_first and next(message.came)) then return false; end
		local person = jid_bare(message.by);
		for device in pairs(message.came) do
			local visible = message.is_private or device.available and friends[both(device.bare, person)] and sees(person, device);
			if not visible or not device.managed or can(device.kind) or server:support_of(device.jid, jid_host(device.jid)) ~= "incapable" then
				return false;
			end
		end
		return true;
	end

	-- The devices that get what is sent to this address, and whether all that the account has are awake.
	local function recipients(by, to)
		local account, list = jid_bare(to), {};
		local count, there = at_server(account, to);
		local devices = those(of(account));
		if not blocked[both(account, by.bare)] and (not there or clients[to]) then
			for _, device in ipairs(devices) do
				if there and device.jid == to or not there and device.available then table.insert(list, device); end
			end
		end
		return list, count == #devices;
	end

	-- @param asleep  it is not certain which devices get it
	local function ask(by, to, asleep)
		local account, is_private = jid_bare(to), to:sub(1, #ROOM) == ROOM;
		serial, by.count = serial + 1, by.count + 1;
		local id = not once_in(10) and tostring(once_in(6) and math.random(by.count) or by.count) or nil;
		local make = id and can(by.kind) and not once_in(5) and stanzas.ask or stanzas.chat;
		local stanza = make({ to = to, id = id, type = pick { "chat", "none" } }, "body "..serial);
		note("write", by.jid, stanza, asleep);
		local message = oracle:sent(by.jid, stanza, is_private and to or account);
		message.is_private, message.by_able = is_private, can(by.kind);
		message.excused = blocked[both(account, by.bare)]; -- not all of that bounces
		for _, one in pairs(latest) do
			message.was_visible = message.was_visible or one.bare == account and sees(by.bare, one);
		end
		local expected, all_awake = recipients(by, to);
		by.client:send(stanza);
		read(by); -- so the server has dealt with it
		settle();
		if is_private or asleep then return; end
		local left = #expected;
		for _ in pairs(message.came) do left = left - 1; end
		for _, device in ipairs(expected) do
			if not message.came[device] then error("it has not come to "..device.jid..": "..tostring(stanza), 0); end
		end
		if left ~= 0 then error("it has come to too many: "..tostring(stanza), 0); end
		if not all_awake or not is_due(message) then return; end
		due[message] = {};
		for device in pairs(message.came) do due[message][device] = true; end
	end

	local function forge()
		local eve, message = clients["eve@localhost/e"], pick(oracle.list);
		local id = message and message.stanza.attr.id;
		if not id then return; end
		local to = pick { message.by, jid_bare(message.by) };
		local ack = once_in(4) and st.message({ to = to, id = id }):tag("received", { xmlns = R }):up()
			or stanzas.ack(to, id, { id = "forged", type = pick { "chat", "normal" } });
		note("forge", ack);
		eve.client:send(ack);
	end

	local function acknowledge(device)
		if not device.managed then return; end
		local h = once_in(3) and math.random(device.acked, device.client.handled) or device.client.handled;
		note("acknowledge", device.jid, h);
		proves(device, h);
		device.client:acknowledge(h);
		settle();
		for message, devices in pairs(due) do
			if devices[device] and message.proven[device.jid] then
				due[message] = nil;
				if not message.told then error("D2: who sent this was not told: "..tostring(message.stanza), 0); end
			end
		end
	end

	-- The client acks by itself, in one of the ways that clients do.
	local function ack(device, message, content)
		local from, id, type, form = content.attr.from, content.attr.id, content.attr.type, math.random(6);
		local stanza = form == 1 and st.message({ to = from, id = id, type = type }):tag("received", { xmlns = R }):up() -- revision 1.0
			or stanzas.ack(form == 2 and not message.is_private and jid_bare(from) or from, id,
				{ id = form ~= 3 and "own"..math.random(1 << 40) or nil, type = type });
		note("ack", device.jid, stanza);
		oracle:acks(message);
		device.sent[stanza.attr.id or ""] = true;
		local writer = clients[message.by];
		local certain = writer and not message.is_private and message.asks and not message.excused
			and device.available and friends[both(device.bare, writer.bare)] and sees(writer.bare, device);
		local ticks = certain and message.key.ticks[writer] or 0;
		device.client:send(stanza);
		settle();
		if certain and (message.key.ticks[writer] or 0) == ticks then error("it was lost: "..tostring(stanza), 0); end
	end

	local function ack_all(device)
		local todo = device.todo;
		device.todo = {};
		for _, one in ipairs(todo) do
			if can(device.kind) and not once_in(3) then
				for _ = 1, once_in(8) and 2 or 1 do ack(device, one.message, one.stanza); end
			end
		end
	end

	-- Connections that fail

	local function resume(device)
		if once_in(2) then ask(some_writer(), device.bare, true); end
		local miscount = math.random(0, 1); -- some do
		if miscount == 1 then
			disturb(device.bare);
			oracle:excuse(function (message) return message.asked == device.bare and not next(message.at); end);
		end
		proves(device, device.client.handled + miscount);
		local ok, again, resumed = pcall(server.resume, server, device.client, device.client.handled + miscount);
		note("resume", ok and resumed, miscount);
		if not resumed then -- the server may have cut them off for it
			if ok then again:drop(); end
			-- A session whose resumption has failed may sleep for ever: a namesake ends it.
			local namesake = come(device.jid, device.kind, {});
			settle();
			namesake.client:close();
			return gone(namesake);
		end
		again.mute = device.mute;
		device.client, clients[device.jid] = again, device;
	end

	local function drop(device)
		note("drop", device.jid);
		device.client:drop();
		clients[device.jid] = nil;
		servers.wait(function () -- else what is written to it now counts as sent
			return server:run(("local session = prosody.full_sessions[%q]; return tostring(not session or session.hibernating)"):format(device.jid)) ~= "nil";
		end);
		if not device.managed then
			gone(device);
		elseif once_in(2) then
			resume(device);
		end
	end

	-- Who sees whom

	local function block(device, action)
		local jid = pick(FRIENDS);
		note(action, device.bare, jid);
		disturb(device.bare);
		device.client:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = jid }));
		blocked[both(device.bare, jid)] = action == "block" or nil;
		if action == "unblock" then shown_anew(jid, of(device.bare)); end
	end

	local function direct_presence(device)
		local jid = pick(WRITERS);
		local person = jid_bare(jid);
		local to, pair, type = pick { jid, person }, both(device.bare, person), once_in(2) and "unavailable" or nil;
		-- The first goes nowhere; of the second Prosody takes no note, so that it is never taken back.
		if blocked[pair] or friends[pair] and not device.available then return; end
		note("directed presence", device.jid, to, type);
		disturb(device.bare); -- it may show caps for the first time
		device.client:send(device.client:presence({ to = to, type = type }));
		device.hidden[person] = type;
		if type and to == person then
			device.shown[person] = nil;
		elseif type or not friends[pair] then
			device.shown[person] = device.shown[person] or {};
			device.shown[person][to] = not type or nil;
		end
	end

	local function subscription(device)
		local writer = some_writer();
		local pair, cancels = both(device.bare, writer.bare), once_in(4);
		if blocked[pair] then return; end -- it goes nowhere
		note(cancels and "unsubscribed" or "subscribed", pair);
		disturb(device.bare);
		if not cancels then
			writer.client:send(st.presence { to = device.bare, type = "subscribe" });
			writer.client:sync();
		end
		device.client:send(st.presence { to = writer.bare, type = cancels and "unsubscribed" or "subscribed" });
		if not cancels then shown_anew(writer.bare, of(device.bare)); end
		for _, one in ipairs(cancels and friends[pair] and those(of(device.bare)) or {}) do
			if one.available then one.shown[writer.bare] = nil; end
		end
		friends[pair] = not cancels or nil;
	end

	local function join(one, nick)
		one.nick = nick;
		one.client:send(one.client:presence({ to = ROOM..nick }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
		one.client:sync();
	end

	local free = { -- what needs no device
		device_comes, device_comes, device_comes, device_comes, forge;
		function ()
			if once_in(2) then return; end
			local host = pick { "localhost", "localhost", "far.example" };
			note("reload", host);
			assert(server:run(("return require 'core.modulemanager'.reload(%q, 'receipts') ~= nil"):format(host)) == "true");
		end;
		function ()
			if once_in(6) then writer_goes(); end
			if once_in(10) then restart(once_in(2) and "kill" or nil); end
			if rules.resend and once_in(5) then socket.sleep(1); end
		end;
	};
	for _ = 1, 6 do
		table.insert(free, function () ask(some_writer(), some_account()..pick { "", "", "/r"..math.random(3) }); end);
	end

	local of_devices = {
		acknowledge, acknowledge, acknowledge, acknowledge, acknowledge, acknowledge, ack_all, ack_all, ack_all, ack_all, ack_all, ack_all;
		drop, direct_presence, subscription;
		function (device)
			note("close", device.jid);
			device.client:close();
			gone(device);
		end;
		function (device)
			if once_in(2) then return; end
			note("unavailable", device.jid);
			disturb(device.bare);
			device.client:send("<presence type='unavailable'/>");
			device.available, device.shown, device.nick = false, {}, nil;
		end;
		function (device)
			note("again", device.jid);
			show(device, device.kind);
		end;
		function (device)
			local kind = pick(KINDS);
			note("shows", device.jid, kind);
			show(device, kind);
		end;
		function (device)
			device.mute = once_in(4);
			device.client.mute = device.mute;
		end;
		function (device)
			if once_in(2) then block(device, "block"); end
		end;
		function (device) block(device, "unblock"); end;
		function (device) block(device, "unblock"); end;
		function (device)
			local nick, writer = pick(NICKS), some_writer();
			note("room", device.jid, nick, writer.jid);
			disturb(device.bare);
			join(device, nick);
			if once_in(2) then join(writer, (writer.jid:gsub("%W", ""))); end
			ask(writer, ROOM..nick);
		end;
		function (device)
			local one = once_in(2) and some_writer() or device;
			if not one.nick then return; end
			note("leave", one.jid);
			due = {};
			one.client:send(st.presence { to = ROOM..one.nick, type = "unavailable" });
			one.nick = nil;
		end;
	};

	local function start()
		rules = { request = pick { "auto", "auto", "always" }, unknown = pick { "pass", "drop" }, proof = pick { "ack", "ack", "sent" };
			protect = not once_in(4), resend = once_in(3) };
		server = servers.start { hosts = 'VirtualHost "far.example"\n'..servers.rooms, disabled = pick { {}, { "pep" } };
			modules = { "receipts", "smacks", "offline", once_in(2) and "mam" or nil };
			options = ([[
				receipts_answer = "opt-out" receipts_answer_proof = %q smacks_hibernation_time = 1
				receipts_request = %q receipts_unknown = %q receipts_protect_presence = %s
				receipts_resend_attempts = %d receipts_resend_after = "1s"
			]]):format(rules.proof, rules.request, rules.unknown, rules.protect, rules.resend and 2 or 0) };
	end

	local function walk()
		for _, account in ipairs(ACCOUNTS) do
			for _, friend in ipairs(FRIENDS) do
				friends[both(account, friend)] = true;
				server:roster(account, friend, "both");
				server:roster(friend, account, "both");
			end
		end
		writers_come();
		for _ = 1, STEPS do
			settle();
			local devices = those(is_device);
			local step = math.random(#free + 4 * #devices);
			if step <= #free then free[step](); else pick(of_devices)(pick(devices)); end
		end
		settle();
		-- All devices go, and one comes for what has waited.
		for _, device in ipairs(those(is_device)) do
			device.client:close();
			gone(device);
		end
		servers.wait(function () return at_server(ACCOUNTS[1], "") == 0 and at_server(ACCOUNTS[2], "") == 0; end);
		for _, account in ipairs(ACCOUNTS) do come(account.."/last", R, {}); end
		settle();
		oracle:close();
	end

	for seed = FIRST, WALKS do
		it("D2 D4 F0 tells nobody twice, and only what is true: "..seed, function ()
			math.randomseed(seed);
			start();
			finally(function () server:stop(); end);
			clients, latest, friends, blocked, due, trail, serial = {}, {}, {}, {}, {}, {}, 0;
			oracle = new_oracle(rules, world);
			local ok, err = pcall(walk);
			if not ok then error(tostring(err).."\n"..table.concat(trail, "\n"), 0); end
			for _, host in ipairs { "localhost", "far.example" } do
				assert.equal("0", server:run(([[
					local answers, n = prosody.hosts[%q].modules.receipts.module.save().answering.answers, 0;
					for account in answers.fates.accounts:items() do answers.fates:each(account, function () n = n + 1; end); end
					return n - answers.fates.count;
				]]):format(host)));
			end
		end);
	end
end);
