-- SPDX-License-Identifier: MIT
-- Two Prosodys, one with the module and one without, get the same random traffic: messages that nobody asks a receipt for, so that the server
-- does, and acks of those, from clients that come and go, with carbons or without, of all priorities. With the module
--   texts are shown to the same clients as without it;
--   acks are shown to all clients online that understand them and are shown them without it, none twice to one;
--   and to a client that does not understand them only where another one of its account that does is shown them, too (rule C6).
-- WALKS=50 takes a quarter of an hour; FIRST=20 begins with the twentieth.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local jid_bare = require "util.jid".bare;
local st = require "util.stanza";

local R = stanzas.xmlns;
local FIRST, WALKS, STEPS = tonumber(os.getenv("FIRST") or 1), tonumber(os.getenv("WALKS") or 2), 150;

local ROOM = "room@rooms.localhost/";
local USERS = {
	["alice@localhost/able"] = { features = { R }, nick = "alice" };
	["alice@localhost/copies"] = { features = { R }, carbons = true };
	["alice@localhost/mute"] = { features = { "urn:example:1" }, carbons = true };
	["bob@localhost/able"] = { features = { R }, carbons = true, managed = true, nick = "bob" };
	["bob@localhost/mute"] = { features = { "urn:example:2" }, managed = true };
};
local JIDS = {};
for jid in pairs(USERS) do table.insert(JIDS, jid); end
table.sort(JIDS);
local ADDRESSES = { "alice@localhost", "bob@localhost", "alice@localhost/gone", "bob@localhost/gone", ROOM.."alice", ROOM.."bob" };
table.move(JIDS, 1, #JIDS, #ADDRESSES + 1, ADDRESSES);

local function pick(list)
	return list[math.random(#list)];
end

-- What may be in an ack that is not to be copied.
local MARKS = { { "private", "urn:xmpp:carbons:2" }, { "no-copy", "urn:xmpp:hints" }, { "x", "http://jabber.org/protocol/muc#user" } };

local function once_in(n)
	return math.random(n) == 1;
end

-- The message that a carbon copy is of; a message that is none is its own. And how it has come.
local function original(message)
	for _, way in ipairs { "sent", "received" } do
		local copy = message:get_child(way, "urn:xmpp:carbons:2");
		if copy then return copy:get_child("forwarded", "urn:xmpp:forward:0").tags[1], way; end
	end
	return message, "directly";
end

describe("beside a Prosody without the module", function ()
	local with, without, online, awaited, trail;
	local count; -- of acks: sent, shown to an able or a mute client, kept from a mute one

	local function both(action)
		for _, world in ipairs { with, without } do action(world); end
	end

	local function connect(jid)
		local how = USERS[jid];
		both(function (world)
			local one = world.server:connect(jid, how);
			world.clients[jid] = one;
			if how.nick then one:send(one:presence({ to = ROOM..how.nick }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up()); end
		end);
		table.insert(online, jid);
	end

	local function disconnect(at)
		local jid = table.remove(online, at);
		both(function (world) world.clients[jid]:close(); end);
	end

	-- All that clients have sent has come to whom it goes to.
	local function settle()
		both(function (world)
			for _ = 1, 2 do
				for _, jid in ipairs(online) do world.clients[jid]:sync(); end
			end
		end);
	end

	-- What a client is shown: of texts a list, of acks how often each is. What asks is to be acked.
	local function shown(world, jid)
		local texts, acks = {}, {};
		for _, message in ipairs(world.clients[jid]:messages()) do
			local stanza, way = original(message);
			local text, id = stanza:get_child_text("body"), stanzas.acked(stanza);
			local from, to, type = stanza.attr.from, stanza.attr.to or "", stanza.attr.type or "";
			if text then table.insert(texts, table.concat({ way, from, to, type, text }, " ")); end
			local stored = stanza:get_child("delay", "urn:xmpp:delay"); -- an ack that no client online is to have is not kept for later
			if id and type ~= "error" and not stored then acks[way.." "..id] = (acks[way.." "..id] or 0) + 1; end
			if way == "directly" and stanzas.asks(stanza) and type ~= "error" then
				table.insert(awaited, { by = jid, from = from, id = stanza.attr.id, type = stanza.attr.type });
			end
		end
		table.sort(texts);
		return texts, acks;
	end

	local function check()
		settle();
		local is_shown, mute = {}, {}; -- accounts and acks that one of its clients is shown that understands them, and that another one is
		for _, jid in ipairs(online) do
			local able = USERS[jid].features[1] == R;
			local texts, acks = shown(with, jid);
			local expected_texts, expected_acks = shown(without, jid);
			assert.same(expected_texts, texts, jid);
			for ack in pairs(expected_acks) do count.kept = count.kept + (acks[ack] and 0 or 1); end
			for ack, times in pairs(acks) do
				assert.equal(1, times, jid.." "..ack);
				if not ack:find("^sent") then
					(able and is_shown or mute)[jid_bare(jid)..ack:match(" .*")] = true;
					count[able and "able" or "mute"] = count[able and "able" or "mute"] + 1;
				end
			end
			for ack in pairs(able and expected_acks or {}) do assert.equal(1, acks[ack], jid.." lacks "..ack); end
		end
		for ack in pairs(mute) do assert.is_true(is_shown[ack], "mute alone: "..ack); end
	end

	-- One thing that clients do.
	local function step(n)
		local roll, jid = math.random(100), pick(online);
		local function note(...) table.insert(trail, table.concat({ n, ... }, " ")); end
		local function send(stanza)
			note(jid, tostring(stanza));
			both(function (world) world.clients[jid]:send(st.clone(stanza)); end);
		end
		if roll <= 5 then
			local other, at = pick(JIDS), nil;
			for i, one in ipairs(online) do at = one == other and i or at; end
			note(other, at and "goes" or "comes");
			if not at then connect(other); elseif #online > 3 then disconnect(at); end
		elseif roll <= 9 then
			local priority = pick { "-1", "0", "5" };
			note(jid, "priority", priority);
			both(function (world) world.clients[jid]:send(world.clients[jid]:presence():text_tag("priority", priority)); end);
		elseif roll <= 12 then
			local what = pick { "enable", "disable" };
			note(jid, what);
			both(function (world) world.clients[jid]:iq(st.stanza("iq", { type = "set" }):tag(what, { xmlns = "urn:xmpp:carbons:2" })); end);
		elseif roll <= 14 then
			note("reload");
			with.server:reload();
		elseif roll <= 20 then
			both(function (world)
				for _, one in ipairs(online) do
					if USERS[one].managed then world.clients[one]:acknowledge(); end
				end
			end);
		elseif roll <= 60 or #awaited == 0 then
			send(stanzas.chat({ to = pick(ADDRESSES), id = "m"..n, type = pick { "chat", "chat", "normal" } }, "text "..n));
		else
			local one = table.remove(awaited, math.random(#awaited));
			if once_in(5) then table.insert(awaited, one); end -- for another time
			local is_online = false;
			for _, other in ipairs(online) do is_online = is_online or other == one.by; end
			if not is_online then return; end
			jid = one.by;
			local is_room, to = one.from:sub(1, #ROOM) == ROOM, one.from;
			if not is_room and once_in(4) then to = jid_bare(to); elseif not is_room and once_in(6) then to = jid_bare(to).."/gone"; end
			count.sent = count.sent + 1;
			local types = { one.type, "chat", "normal" };
			if to ~= jid_bare(to) then table.insert(types, "headline"); end -- to an account it goes to all: as chat (E7) to those of the highest priority
			local ack = stanzas.ack(to, one.id, { id = "a"..n, type = pick(types) });
			local mark = not is_room and once_in(5) and pick(MARKS);
			if mark then ack:tag(mark[1], { xmlns = mark[2] }):up(); end
			send(ack);
		end
	end

	it("A3 C6 E7 the same is shown to all, but for acks that nobody asked for", function ()
		count = { sent = 0, able = 0, mute = 0, kept = 0 };
		for walk = FIRST, FIRST + WALKS - 1 do
			online, awaited, trail = {}, {}, {};
			with = { clients = {}, server = servers.start { modules = { "receipts", "smacks", "offline" }, hosts = servers.rooms } };
			local _ <close> = setmetatable({}, { __close = function () with.server:stop(); end });
			without = { clients = {}, server = servers.start { modules = { "smacks", "offline" }, hosts = servers.rooms } };
			local _ <close> = setmetatable({}, { __close = function () without.server:stop(); end });
			both(function (world)
				world.server:roster("alice", "bob@localhost", "both");
				world.server:roster("bob", "alice@localhost", "both");
			end);
			for _, jid in ipairs(JIDS) do connect(jid); end
			for _, jid in ipairs(JIDS) do
				local expected = USERS[jid].features[1] == R and "capable" or "incapable";
				servers.wait(function () settle(); return with.server:support_of(jid) == expected; end);
			end
			check();
			math.randomseed(walk);
			for n = 1, STEPS do
				local ok, err = xpcall(function () step(n); check(); end, debug.traceback);
				if not ok then error(("walk %d\n%s\n%s"):format(walk, table.concat(trail, "\n", math.max(1, #trail - 10)), tostring(err)), 0); end
			end
		end
		for what, times in pairs(count) do assert.is_true(times > 0, "no ack was "..what); end -- else the walks tell nothing
	end);
end);
