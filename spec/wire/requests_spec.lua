-- SPDX-License-Identifier: MIT
-- Chapter C on the wire: requests put in for clients that did not ask.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

describe("requests put in", function ()
	local server, alice, bob;
	setup(function ()
		server = servers.start { modules = { "receipts", "mam" }, options = [[
			receipts_request = "always"
			default_archive_policy = true
			archive_expires_after = "never"
		]], hosts = servers.rooms };
	end);
	teardown(function () server:stop(); end);
	before_each(function ()
		alice, bob = server:connect("alice"), server:connect("bob");
		server:roster("bob", "alice@localhost", "both");
		server:roster("alice", "bob@localhost", "both");
	end);
	after_each(function () server:disconnect_all(); end);

	-- What bob gets when alice sends this.
	local function sent(stanza)
		alice:send(stanza);
		alice:sync();
		local got = bob:messages();
		assert.equal(1, #got);
		return got[1];
	end

	local function count_requests(stanza)
		local n = 0;
		for _ in stanza:childtags("request", stanzas.xmlns) do n = n + 1; end
		return n;
	end

	it("C2 go into chat and normal messages with a body or an encrypted payload", function ()
		for _, type in ipairs { "chat", "normal", "none" } do
			assert.equal(1, count_requests(sent(stanzas.chat { to = "bob@localhost", id = "1"..type, type = type })));
			assert.equal(type == "chat" and "chat" or "normal", server:run(([[
				for _, entry in ipairs(prosody.hosts.localhost.modules.receipts.module.save().pending:list("alice@localhost")) do
					if entry.id == %q then return entry.type; end
				end
			]]):format("1"..type)), "E7 which its ack is to have");
		end
		assert.equal(1, count_requests(sent(stanzas.chat { to = "bob@localhost/bob", id = "2" })));
		assert.equal(1, count_requests(sent(stanzas.chat({ to = "bob@localhost", id = "3" }, false):tag("encryption", { xmlns = "urn:xmpp:eme:0" }))));
		assert.equal(1, count_requests(sent(stanzas.chat({ to = "bob@localhost", id = "4" }, false)
			:tag("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }))));
	end);

	it("C1 go into what a client sends, too, that can ask by itself and has not", function ()
		alice = server:connect("alice@localhost/capable", { features = { stanzas.xmlns } });
		servers.wait(function () alice:sync(); return server:support_of(alice.jid) == "capable"; end);
		for i = 1, 2 do assert.equal(1, count_requests(sent(stanzas.chat { to = "bob@localhost", id = "capable"..i })), i); end
	end);

	it("C1 do not go into what a gateway sends in a user's name (XEP-0356), who has sent it elsewhere", function ()
		local function from(origin)
			server:run(([[
				local st = require "util.stanza";
				prosody.core_post_stanza(%s, st.message({ from = "alice@localhost", to = "bob@localhost", type = "chat", id = "elsewhere" },
					"typed on another network"), true);]]):format(origin));
			return count_requests(bob:messages()[1]);
		end
		assert.equal(0, from("{ type = 'c2s', username = 'alice', host = 'localhost', log = module._log }"));
		assert.equal(1, from("prosody.full_sessions['alice@localhost/alice']"));
	end);

	it("C2 do not go into headlines, errors, chat states, acks, or where there is one", function ()
		assert.equal(0, count_requests(sent(stanzas.chat { to = "bob@localhost", id = "1", type = "headline" })));
		assert.equal(0, count_requests(sent(stanzas.chat { to = "bob@localhost/bob", id = "2", type = "error" })));
		assert.equal(0, count_requests(sent(stanzas.chat({ to = "bob@localhost", id = "3" }, false)
			:tag("composing", { xmlns = "http://jabber.org/protocol/chatstates" }))));
		assert.equal(0, count_requests(sent(stanzas.chat({ to = "bob@localhost", id = "4" }):tag("received", { xmlns = stanzas.xmlns, id = "x" }))));
		assert.equal(1, count_requests(sent(stanzas.ask { to = "bob@localhost", id = "5" })));
	end);

	it("C2 do not go into messages to oneself or to a host", function ()
		local phone = server:connect("alice@localhost/phone");
		alice:send(stanzas.chat { to = "alice@localhost/phone", id = "1" });
		alice:send(stanzas.chat { to = "alice@localhost", id = "2" });
		alice:send(stanzas.chat { id = "3" });
		alice:sync();
		local got = phone:messages();
		assert.is_true(#got >= 2);
		for _, message in ipairs(got) do assert.equal(0, count_requests(message)); end
		alice:send(stanzas.chat { to = "localhost", id = "4" });
		alice:sync();
		assert.equal("nil", server:run("local state = prosody.hosts.localhost.modules.receipts.module.save().pending"
			..":state('alice@localhost', 'localhost', '4'); return tostring(state)"));
	end);

	it("C2 do not go into groupchat", function ()
		for _, who in ipairs { alice, bob } do
			who:send(st.presence({ to = "room@rooms.localhost/"..who.bare:match("^%w+") }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			who:messages();
		end
		assert.equal(0, count_requests(sent(stanzas.chat { to = "room@rooms.localhost", id = "1", type = "groupchat" })));
	end);

	it("are counted and told of once, however often a message is sent", function ()
		local function told()
			return server:run("return prosody.hosts.localhost.modules.receipts.module.save().reports.counts.requests.server").." "
				..server:why("alice@localhost", "again");
		end
		sent(stanzas.chat { to = "bob@localhost", id = "before" });
		local before = tonumber(told():match("^%d+"));
		for _ = 1, 2 do assert.equal(1, count_requests(sent(stanzas.chat { to = "bob@localhost", id = "again" }))); end
		local count, first, second = told():match("^(%d+) (C1 .-); (C1 .-)$");
		assert.equal(before + 1, tonumber(count), told());
		assert.truthy(first:find("C1 asked for, ", 1, true) and second:find("C1 asked for again, ", 1, true), told());
	end);

	it("C4 come with an id where the message has none", function ()
		for _, id in ipairs { false, "" } do
			local got = sent(stanzas.chat { to = "bob@localhost", id = id or nil });
			assert.is_true(#got.attr.id > 10);
			assert.equal(1, count_requests(got));
		end
		local got = sent(stanzas.chat { to = "bob@localhost", id = "mine" });
		assert.equal("mine", got.attr.id);
	end);

	it("C4 do not go into a message whose id is too long to be kept", function ()
		assert.equal(0, count_requests(sent(stanzas.chat { to = "bob@localhost", id = ("x"):rep(2000) })));
	end);

	it("D1 do not go into messages of a user who does not want it", function ()
		local function prefers(ask)
			server:run(([[prosody.hosts.localhost.modules.receipts.module:open_store("receipts_preferences"):set("alice", { ask = %q })]])
				:format(ask));
			server:reload();
		end
		prefers("no");
		assert.equal(0, count_requests(sent(stanzas.chat { to = "bob@localhost", id = "no" })));
		assert.equal("C1 not asked for, the user does not want it", server:why("alice@localhost", "no"));
		prefers("yes");
		assert.equal(1, count_requests(sent(stanzas.chat { to = "bob@localhost", id = "yes" })));
	end);

	local function archive(client)
		client:send(st.stanza("iq", { type = "set", id = "mam" }):tag("query", { xmlns = "urn:xmpp:mam:2" })
			:tag("set", { xmlns = "http://jabber.org/protocol/rsm" }):tag("before"):up():up()); -- the latest
		local list = {};
		for _, stanza in ipairs(client:stanzas()) do
			local result = stanza:get_child("result", "urn:xmpp:mam:2");
			if result then
				table.insert(list, result:get_child("forwarded", "urn:xmpp:forward:0"):get_child("message", "jabber:client"));
			end
		end
		return list;
	end

	it("C5 are the same in both archives, in carbons, and at the recipient", function ()
		local phone = server:connect("alice@localhost/phone", { carbons = true });
		local got = sent(stanzas.chat({ to = "bob@localhost" }, "the same everywhere"));
		local id = got.attr.id;
		assert.is_string(id);
		local carbon = phone:messages()[1]:get_child("sent", "urn:xmpp:carbons:2"):get_child("forwarded", "urn:xmpp:forward:0").tags[1];
		assert.equal(id, carbon.attr.id);
		assert.is_true(stanzas.asks(carbon));
		for _, client in ipairs { alice, bob } do
			local list = archive(client);
			local last = list[#list];
			assert.equal("the same everywhere", last:get_child_text("body"));
			assert.equal(id, last.attr.id);
			assert.is_true(stanzas.asks(last));
		end
	end);

	it("C6 have their acks kept from a client that did not ask, and those count as delivered", function ()
		local got = sent(stanzas.chat { to = "bob@localhost" });
		for _ = 1, 2 do
			bob:send(stanzas.ack("alice@localhost/alice", got.attr.id));
			bob:sync();
			assert.same({}, alice:messages());
		end
		assert.truthy(server:log():find("E1 delivered; C6 the request was ours", 1, true));
		assert.truthy(server:log():find("E1 duplicate; C6 the request was ours", 1, true));
	end);

	it("C6 E2 have no ack in the archive that was kept from all clients, nor has anybody one that was forged", function ()
		local got = sent(stanzas.chat { to = "bob@localhost" });
		bob:send(stanzas.ack("alice@localhost/alice", got.attr.id)):sync();
		sent(stanzas.ask { to = "bob@localhost", id = "to be forged" });
		server:connect("mallory"):send(stanzas.ack("alice@localhost/alice", "to be forged")):sync();
		assert.same({}, alice:messages());
		local function archived()
			local acks = {};
			for _, message in ipairs(archive(alice)) do acks[stanzas.acked(message) or ""] = true; end
			return acks;
		end
		assert.same({ true, nil, nil }, { archived()[""], archived()[got.attr.id], archived()["to be forged"] });
		bob:send(stanzas.ack("alice@localhost/alice", "to be forged")):sync();
		assert.is_true(archived()["to be forged"]);
	end);

	it("C6 lose only the ack from a message that carries more", function ()
		local got = sent(stanzas.chat { to = "bob@localhost" });
		bob:send(stanzas.chat({ to = "alice@localhost/alice", id = "more" }, "and another thing")
			:tag("received", { xmlns = stanzas.xmlns, id = got.attr.id }));
		bob:sync();
		local answer = alice:messages()[1];
		assert.equal("and another thing", answer:get_child_text("body"));
		assert.is_nil(stanzas.acked(answer));
	end);

	it("C6 still pass the ack of a client that did ask", function ()
		local got = sent(stanzas.ask { to = "bob@localhost", id = "own" });
		bob:send(stanzas.ack("alice@localhost/alice", got.attr.id));
		bob:sync();
		assert.equal("own", stanzas.acked(alice:messages()[1]));
	end);

	it("E1 C6 to a room occupant match that occupant only", function ()
		local mallory = server:connect("mallory");
		for name, one in pairs { alice = alice, bob = bob, mallory = mallory } do
			one:send(st.presence({ to = "pm@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			one:messages();
		end
		for _, mark in ipairs { st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" }), st.stanza("thread") } do
			alice:send(stanzas.chat({ to = "pm@rooms.localhost/bob" }):add_child(mark));
			alice:sync();
			local got = bob:messages()[1];
			assert.equal(1, count_requests(got));
			server:reload();
			mallory:send(stanzas.ack("pm@rooms.localhost/alice", got.attr.id));
			mallory:sync();
			assert.truthy(server:why("alice@localhost", got.attr.id):find("E1 forged", 1, true));
			bob:send(stanzas.ack("pm@rooms.localhost/alice", got.attr.id));
			bob:sync();
			assert.same({}, alice:messages());
			assert.truthy(server:why("alice@localhost", got.attr.id):find("E1 delivered", 1, true));
		end
	end);

	it("C6 pass the ack to whom it is addressed, or to who gets a copy: of a private message in a room nobody does", function ()
		local capable;
		local function connect(resource, carbons)
			capable = server:connect("alice@localhost/"..resource, { features = { stanzas.xmlns }, carbons = carbons });
			servers.wait(function () capable:sync(); return server:support_of(capable.jid) == "capable"; end);
		end
		-- How many acks the capable one has got, or copies, when they come to this address.
		local function acks(to, mark, type)
			local got = sent(stanzas.chat { to = "bob@localhost" });
			capable:messages();
			local ack = stanzas.ack(to, got.attr.id, { type = type });
			if mark then ack:add_child(mark); end
			bob:send(ack):sync();
			local count = 0;
			for _, message in ipairs(capable:messages()) do
				if tostring(message):find(got.attr.id, 1, true) then count = count + 1; end
			end
			local others = #alice:messages();
			assert.is_true(count > 0 or others == 0, "a mute client gets none that a capable one does not get");
			return count;
		end
		connect("plain");
		assert.equal(1, acks("alice@localhost"));
		assert.equal(1, acks("alice@localhost/plain"));
		assert.equal(0, acks("alice@localhost/alice"));
		assert.equal(1, acks("alice@localhost/gone"), "Prosody takes that for the account's");
		alice:send(alice:presence():text_tag("priority", "5")):sync();
		for _, to in ipairs { "alice@localhost", "alice@localhost/gone" } do assert.equal(0, acks(to), "to who has a higher priority alone"); end
		assert.equal(0, acks("alice@localhost", nil, "headline"), "which would become one of type chat");
		alice:send(alice:presence()):sync();
		capable:close();
		connect("copies", true);
		assert.equal(1, acks("alice@localhost/alice"));
		for name, xmlns in pairs { ["no-copy"] = "urn:xmpp:hints", private = "urn:xmpp:carbons:2", x = "http://jabber.org/protocol/muc#user" } do
			assert.equal(0, acks("alice@localhost/alice", st.stanza(name, { xmlns = xmlns })), name);
		end
		alice:send(alice:presence():text_tag("priority", "5")):sync();
		assert.equal(0, acks("alice@localhost", st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" })), "to a bare JID, too");
		alice:send(alice:presence()):sync();
		capable:iq(st.stanza("iq", { type = "set" }):tag("disable", { xmlns = "urn:xmpp:carbons:2" }));
		assert.equal(0, acks("alice@localhost/alice"));
		capable:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
		for name, one in pairs { alice = alice, bob = bob } do
			one:send(st.presence({ to = "c6@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			one:messages();
		end
		local private = sent(stanzas.chat { to = "c6@rooms.localhost/bob" });
		bob:send(stanzas.ack("c6@rooms.localhost/alice", private.attr.id));
		bob:sync();
		assert.same({}, alice:messages());
	end);

	it("C6 does not pass a second ack that Prosody gives nobody, and of which a client that did not ask would get a copy", function ()
		local able = server:connect("alice@localhost/able", { features = { stanzas.xmlns }, carbons = true });
		servers.wait(function () able:sync(); return server:support_of(able.jid) == "capable"; end);
		alice:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" }));
		able:send(able:presence():text_tag("priority", "5")):sync();
		local got = sent(stanzas.chat { to = "bob@localhost" });
		for _, type in ipairs { "chat", "headline" } do bob:send(stanzas.ack("alice@localhost/gone", got.attr.id, { type = type })):sync(); end
		local shown = 0;
		for _, message in ipairs(able:messages()) do shown = shown + (stanzas.acked(message) and 1 or 0); end
		assert.equal(1, shown, "the first one");
		local copies = 0;
		for _, message in ipairs(alice:messages()) do copies = copies + (tostring(message):find("<received ", 1, true) and 1 or 0); end
		assert.equal(1, copies);
	end);

	it("C6 does not pass a second ack of type groupchat to a client that did not ask, as nobody gets a copy", function ()
		local able = server:connect("alice@localhost/able", { features = { stanzas.xmlns }, carbons = true });
		servers.wait(function () able:sync(); return server:support_of(able.jid) == "capable"; end);
		local got = sent(stanzas.chat { to = "bob@localhost" });
		local function acks(type)
			bob:send(stanzas.ack("alice@localhost/alice", got.attr.id, { type = type })):sync();
			alice:sync();
			return #alice:messages();
		end
		assert.same({ 1, 0 }, { acks("chat"), acks("groupchat") });
	end);

	it("C6 E1 an ack to who has gone offline is taken, and says so", function ()
		local got = sent(stanzas.chat { to = "bob@localhost" });
		alice:close();
		bob:send(stanzas.ack("alice@localhost/alice", got.attr.id)):sync();
		assert.same({}, bob:messages(), "no bounce");
		assert.truthy(server:why("alice@localhost", got.attr.id):find("E1 delivered", 1, true));
	end);

	it("C6 is remembered over a reload", function ()
		local got = sent(stanzas.chat { to = "bob@localhost" });
		server:reload();
		bob:send(stanzas.ack("alice@localhost/alice", got.attr.id));
		bob:sync();
		assert.same({}, alice:messages());
	end);
end);

describe("by default", function ()
	it("C1 nobody is asked while nothing is known", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		local alice, bob = server:connect("alice"), server:connect("bob");
		alice:send(stanzas.chat { to = "bob@localhost", id = "1" });
		alice:sync();
		assert.is_false(stanzas.asks(bob:messages()[1]));
	end);

	it("F4 C1 it is noted why nobody is asked, whatever the user wants, of what has no id too", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		server:run("prosody.hosts.localhost.modules.receipts.module:open_store('receipts_preferences'):set('alice', { ask = 'no' })");
		local alice = server:connect("alice");
		for _, id in ipairs { "1", false } do alice:send(stanzas.chat { to = "bob@localhost", id = id or nil }); end
		alice:sync();
		local unknown = "C1 not asked for, the recipient is not known to support receipts";
		assert.equal(unknown.."; "..unknown, server:why("alice@localhost", nil));
	end);
end);
