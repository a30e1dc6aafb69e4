-- SPDX-License-Identifier: MIT
-- What attackers send, in bursts: the same to every server, whether it has the module or not.
--
-- A flood is a function (world, size) that sends a burst of about so many stanzas, and returns the lines that it went over, which are
-- to be waited for. The world has `component`, a line of another domain;
-- `mallory`, a line of this one; `resources`, lines of Mallory's other clients; `victims`, ordinary users' full JIDs;
-- and `pending`, which the attackers have found out: { from =, to =, id = } of receipts that others await.

local gettime = require "socket".gettime;

local floods = {};

local RECEIPTS = "urn:xmpp:receipts";
floods.FRIENDS = 100; -- x1, x2, … of the other domain, who may see the presence of the ordinary users, and so are asked what they support
local SLOW = 35; -- seconds that an answer may take; Prosody waits for 30
local serial = 0;

local function random_id()
	serial = serial + 1;
	return ("%08x-%x"):format(math.random(0, 0xffffffff), serial);
end

local function one_of(list)
	return list[math.random(#list)];
end

local function burst(size, make)
	local parts = {};
	for i = 1, size do parts[i] = make(i); end
	return table.concat(parts);
end

local function ack(from, to, id)
	return ("<message from='%s' to='%s' type='chat' id='%s'><received xmlns='%s' id='%s'/></message>"):format(from, to, random_id(), RECEIPTS, id);
end

local function elsewhere()
	return ("x%d@evil.example/%s"):format(math.random(100000), random_id());
end

--- Acks of what nobody asked.
function floods.unknown(world, size)
	world.component:send(burst(size, function () return ack(elsewhere(), one_of(world.victims), random_id()); end));
	return { world.component };
end

--- Acks of what others have been asked.
function floods.forged(world, size)
	local function forge(from)
		return function ()
			local entry = one_of(world.pending);
			return ack(from or elsewhere(), entry.from, entry.id);
		end;
	end
	world.component:send(burst(size // 2, forge()));
	world.mallory:send(burst(size // 2, forge(world.mallory.jid)));
	return { world.component, world.mallory };
end

--- One message asked of the component, acked again and again.
function floods.duplicate(world, size)
	local id = random_id();
	world.mallory:send(("<message to='echo@evil.example' type='chat' id='%s'><body>x</body><request xmlns='%s'/></message>"):format(id, RECEIPTS));
	world.component:send(burst(size, function () return ack("echo@evil.example/r", world.mallory.jid, id); end));
	return { world.component, world.mallory };
end

--- Requests with ids that are never acked, more than anybody may await.
function floods.requests(world, size)
	world.mallory:send(burst(size, function ()
		return ("<message to='sink@evil.example' type='chat' id='%s'><body>x</body><request xmlns='%s'/></message>"):format(random_id(), RECEIPTS);
	end));
	return { world.mallory };
end

local function caps(from, to, ver)
	return ("<presence%s to='%s'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:evil' ver='%s'/></presence>")
		:format(from and (" from='%s'"):format(from) or "", to, ver);
end

local function friend()
	return ("x%d@evil.example/%s"):format(math.random(floods.FRIENDS), random_id());
end

--- Presence with a ver that was never seen, by strangers without number and by friends. How they answer: see `answer`.
function floods.caps(world, size)
	world.component:send(burst(size, function (i) return caps((i % 2 == 0 and friend or elsewhere)(), one_of(world.victims), random_id()); end));
	return { world.component };
end

-- Presence of one friend, from so many clients, each time with a new ver.
local function show_themselves(world, size, friend_jid, clients)
	world.component:send(burst(size, function ()
		return caps(friend_jid.."/"..math.random(clients), one_of(world.victims), random_id());
	end));
	return { world.component };
end

--- One friend with a thousand clients.
function floods.crowd(world, size)
	return show_themselves(world, size, "crowd@evil.example", 1000);
end

--- Ten clients of one friend, each of which shows itself again and again, and never the same.
function floods.restless(world, size)
	return show_themselves(world, size, "restless@evil.example", 10);
end

--- Mallory's own clients, each with a new ver and an ask. Nobody answers.
function floods.resources(world, size)
	local used = {};
	for i = 1, size // 2 do
		local client, to = one_of(world.resources), one_of(world.victims);
		used[i] = client;
		client:send(caps(nil, to, random_id())..("<message to='sink@evil.example' type='chat' id='%s'><body>x</body><request xmlns='%s'/></message>")
			:format(random_id(), RECEIPTS));
	end
	return used;
end

local function features(count)
	return burst(count, function (i) return ("<feature var='urn:evil:%d'/>"):format(i * 7919 % 3001); end);
end

local function result(from, to, id, content)
	return ("<iq type='result' from='%s' to='%s' id='%s'><query xmlns='http://jabber.org/protocol/disco#info'>%s</query></iq>")
		:format(from, to, id, content);
end

local many = features(30);

--- Long answers to what nobody has asked; their ids are those that Prosody's own questions have.
function floods.answers(world, size)
	world.component:send(burst(size, function () return result(elsewhere(), one_of(world.victims):match("^[^/]+"), "disco", many); end));
	return { world.component };
end

--- How the component answers questions: lies (the features have another hash than it showed), answers for others, is slow, or silent.
function floods.answer(iq, component)
	local late = component.late or {};
	component.late = late;
	while late[1] and late[1].at <= gettime() do component:send(table.remove(late, 1).answer); end
	local from, to, id = iq:match(" from='([^']*)'"), iq:match(" to='([^']*)'"), iq:match(" id='([^']*)'");
	if not iq:find("disco#info", 1, true) or not iq:find(" type='get'", 1, true) then return; end
	local kind = math.random(20);
	if kind <= 5 then return; end -- never
	local answer = result(kind == 7 and "other@evil.example/r" or to, from, id, kind == 6 and many or "<feature var='urn:xmpp:receipts'/>");
	if kind < 14 then return component:send(answer); end
	table.insert(late, { at = gettime() + math.random() * SLOW, answer = answer });
	table.sort(late, function (a, b) return a.at < b.at; end);
end

floods.all = { "unknown", "forged", "duplicate", "requests", "caps", "crowd", "restless", "answers", "resources" };

return floods;
