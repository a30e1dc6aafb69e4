-- SPDX-License-Identifier: MIT
-- Contacts that are not users of the host: here they are users of another host, without the module, as if on another server.

local client = require "spec.support.client";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local R = stanzas.xmlns;
local SAVED = "local saved = prosody.hosts.localhost.modules.receipts.module.save(); ";

-- A server, and the port for a gateway that knows nothing of receipts.
local function start(how)
	local port = process.free_port();
	how.options = (how.options or "")..("\ncomponent_ports = { %d }\ncomponent_interfaces = { \"127.0.0.1\" }"):format(port);
	how.hosts = [[
		modules_enabled = { "receipts" }
		receipts_answer = "opt-out"
		receipts_groupchat_requests = "strip"
		VirtualHost "far.example"
		Component "rooms.example" "muc"
			restrict_room_creation = false
			muc_room_locking = false
		Component "gateway.example"
			component_secret = "secret"
	]];
	return servers.start(how), port;
end

describe("contacts elsewhere", function ()
	local server, port, alice, far;

	local function befriend()
		server:roster("alice", "far@far.example", "both");
		server:roster("far@far.example", "alice@localhost", "both");
	end

	-- Until both are known: far can ack, alice cannot.
	local function connect_far()
		far = server:connect("far@far.example/far", { features = { R, "urn:example:far" } });
		servers.wait(function ()
			far:sync();
			alice:sync();
			return server:support_of(far.jid) == "capable" and server:support_of(alice.jid) == "incapable";
		end);
	end

	setup(function ()
		server, port = start { modules = { "smacks" }, disabled = { "pep" } };
		befriend();
	end);
	teardown(function () server:stop(); end);
	after_each(function () server:disconnect_all(); end);

	it("are not served, and are as the module is not on their host", function ()
		assert.equal("nil", server:run("return tostring(prosody.hosts['far.example'].modules.receipts)"));
	end);

	it("B1 are asked once, by the user who sees their presence, and C1 asked for", function ()
		alice = server:connect("alice", { features = { "urn:example:old" } });
		connect_far();
		assert.equal(1, far.queries);
		assert.equal("alice@localhost", far.asked_by);
		alice:send(stanzas.chat { to = "far@far.example", id = "1" });
		alice:sync();
		assert.is_true(stanzas.asks(far:messages()[1]));
		local stranger = server:connect("stranger", { features = { "urn:example:old" } });
		stranger:send(stanzas.chat { to = "far@far.example", id = "2" });
		stranger:sync();
		assert.is_false(stanzas.asks(far:messages()[1]), "B4 not for who does not see that presence");
		far:send("<presence type='unavailable'/>");
		far:sync();
		alice:send(stanzas.chat { to = far.jid, id = "3" });
		alice:sync();
		assert.is_false(stanzas.asks(far:messages()[1]), "B4 nor for anybody once it is gone");
	end);

	it("B4 are not asked for by whom they have hidden from, though another user sees them", function ()
		finally(befriend);
		server:roster("carol", "far@far.example", "both");
		server:roster("far@far.example", "carol@localhost", "both");
		server:roster("far@far.example", "alice@localhost", "both");
		alice = server:connect("alice", { features = { "urn:example:old" } });
		local carol = server:connect("carol");
		connect_far();
		carol:sync();
		far:send("<presence to='alice@localhost' type='unavailable'/>"):sync();
		alice:send(stanzas.chat { to = "far@far.example", id = "hidden" }):sync();
		assert.is_false(stanzas.asks(far:messages()[1]));
		assert.equal("capable", server:support_of(far.jid));
	end);

	it("B1 a user of the host is asked, though so many elsewhere are", function ()
		server:run(SAVED.."local turns = saved.capabilities.turns; turns.is_crowded = function () return true; end");
		finally(function () server:run(SAVED.."saved.capabilities.turns.is_crowded = nil"); end);
		local late = server:connect("late", { features = { "urn:example:late" } });
		servers.wait(function () late:sync(); return server:support_of(late.jid) == "incapable"; end);
	end);

	it("E3 keep in a room what is taken out for users of the host", function ()
		local occupants = { server:connect("alice") };
		for i = 1, 5 do table.insert(occupants, server:connect("far"..i.."@far.example/r")); end
		for i, one in ipairs(occupants) do
			one:send(st.presence({ to = "all@rooms.example/nick"..i }):tag("x", { xmlns = "http://jabber.org/protocol/muc" })):sync();
		end
		for _, one in ipairs(occupants) do one:messages(); end
		occupants[2]:send(stanzas.ask { to = "all@rooms.example", id = "gc", type = "groupchat" }):sync();
		for i, one in ipairs(occupants) do assert.equal(i > 1, stanzas.asks(one:messages()[1]), i); end
	end);

	it("B4 are not asked for by who has unsubscribed from them, or has removed them from the roster", function ()
		alice = server:connect("alice", { features = { "urn:example:old" } });
		for way, ends in pairs {
			unsubscribe = function () alice:send(st.presence { to = "far@far.example", type = "unsubscribe" }); end;
			remove = function ()
				alice:iq(st.stanza("iq", { type = "set" }):query("jabber:iq:roster"):tag("item", { jid = "far@far.example", subscription = "remove" }));
			end;
		} do
			befriend();
			connect_far();
			ends();
			alice:send(stanzas.chat { to = "far@far.example", id = way });
			alice:sync();
			assert.is_false(stanzas.asks(far:messages()[1]), way);
			far:close();
		end
		befriend();
	end);

	it("B4 are not asked for once they have removed from their roster a user who does not let them see anything", function ()
		alice = server:connect("alice", { features = { "urn:example:old" } });
		finally(befriend);
		server:roster("alice", "far@far.example", "to");
		server:roster("far@far.example", "alice@localhost", "from");
		connect_far();
		far:iq(st.stanza("iq", { type = "set" }):query("jabber:iq:roster"):tag("item", { jid = "alice@localhost", subscription = "remove" }));
		alice:send(stanzas.chat { to = "far@far.example", id = "removed" }):sync();
		assert.is_false(stanzas.asks(far:messages()[1]));
	end);

	it("B4 are not asked for once they are gone, though they were blocked when they went, and are while they are there", function ()
		alice = server:connect("alice", { features = { "urn:example:old" } });
		local function set(action)
			alice:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "far@far.example" }));
		end
		connect_far();
		set("block");
		set("unblock");
		alice:send(stanzas.chat { to = "far@far.example", id = "there" });
		alice:sync();
		assert.is_true(stanzas.asks(far:messages()[1]));
		set("block");
		far:send("<presence type='unavailable'/>");
		far:sync();
		set("unblock");
		assert.equal("silent", server:support_of(far.jid));
		alice:send(stanzas.chat { to = far.jid, id = "gone" });
		alice:sync();
		assert.is_false(stanzas.asks(far:messages()[1]));
	end);

	it("B1 are asked again when the module is reloaded before they answer", function ()
		alice = server:connect("alice");
		far = server:connect("far@far.example/far", { presence = false });
		far:show { R, "urn:example:reloaded" };
		far.mute = true;
		far:send(far:presence());
		servers.wait(function () far:sync(); return far.queries == 1; end);
		far.mute = false;
		server:reload();
		servers.wait(function () far:sync(); return server:support_of(far.jid) == "capable"; end);
		assert.same({ 2, "alice@localhost" }, { far.queries, far.asked_by });
	end);

	it("B1 are unknown when the module is loaded into a running server, until their presence comes, as it does when the user logs in", function ()
		alice = server:connect("alice", { features = { "urn:example:old" } });
		connect_far();
		for _, what in ipairs { "unload", "load" } do server:run("require 'core.modulemanager'."..what.."('localhost', 'receipts')"); end
		servers.wait(function () alice:sync(); return server:support_of(alice.jid) == "incapable"; end);
		assert.equal("silent", server:support_of(far.jid));
		server:connect("alice@localhost/again");
		assert.equal("capable", server:support_of(far.jid));
	end);

	it("B3 are asked though another one has very many clients that do not answer", function ()
		alice = server:connect("alice");
		local gateway = client.component(port, "gateway.example");
		finally(function () gateway:drop(); end);
		gateway.held = {};
		for _, person in ipairs { "many@gateway.example", "other@gateway.example" } do server:roster("alice", person, "both"); end
		local function shows(person, i)
			gateway:show { R, "urn:example:"..person..i };
			gateway:send(gateway:presence { from = person.."/"..i, to = "alice@localhost" });
		end
		for i = 1, 100 do shows("many@gateway.example", i); end
		shows("other@gateway.example", 1);
		servers.wait(function ()
			gateway:sync();
			local last = gateway.held[#gateway.held];
			return last and last.attr.to == "other@gateway.example/1";
		end);
		assert.equal(21, #gateway.held);
	end);

	it("B3 are not remembered for users who are not online", function ()
		far = server:connect("far@far.example/far", { features = { R } });
		alice = server:connect("alice");
		for i = 1, 50 do far:send(far:presence { to = "nobody"..i.."@localhost" }); end
		far:send(far:presence { to = "alice@localhost" });
		far:sync();
		assert.equal("alice@localhost", server:run([[
			local capabilities = prosody.hosts.localhost.modules.receipts.module.save().capabilities;
			local shown = {};
			for to in pairs(capabilities.people:of("far@far.example")["far@far.example/far"].shown) do table.insert(shown, to); end
			return table.concat(shown, " ");
		]]));
	end);

	it("B4 are forgotten when the last of who sees them goes offline", function ()
		far = server:connect("far@far.example/far", { features = { R, "urn:example:gone" } });
		alice = server:connect("alice");
		local other, bob = server:connect("alice@localhost/other"), server:connect("bob");
		for _, to in ipairs { "alice@localhost", "bob@localhost" } do far:send(far:presence { to = to }); end
		far:sync();
		servers.wait(function () far:sync(); return server:support_of(far.jid) == "capable"; end);
		local function seen()
			return server:run([[
				local capabilities = prosody.hosts.localhost.modules.receipts.module.save().capabilities;
				local shown = {};
				for to in pairs((capabilities.people:of("far@far.example") or {})["far@far.example/far"].shown) do table.insert(shown, to); end
				table.sort(shown);
				return table.concat(shown, " ");
			]]);
		end
		other:close();
		assert.equal("alice@localhost bob@localhost", seen());
		alice:close();
		assert.equal("bob@localhost", seen());
		bob:close();
		assert.equal("silent", server:support_of(far.jid));
	end);

	it("B3 crowd out nothing that is known of clients here, by answers or by what nobody asked; what is forgotten is asked for again", function ()
		alice = server:connect("alice", { features = { "urn:example:old", "urn:example:crowd" }, managed = true });
		connect_far();
		local function resize(size)
			server:run(SAVED..("for _, at in ipairs { '', '_elsewhere' } do saved.capabilities['by_hash'..at]:resize(%d); end"):format(size));
		end
		resize(5);
		local function has_tick(id)
			far:send(stanzas.ask { to = "alice@localhost", id = id });
			far:sync();
			alice:sync();
			alice:acknowledge();
			servers.wait(function ()
				alice:sync(); -- to answer what she is asked
				local ack = far:messages()[1];
				return ack and stanzas.acked(ack) == id;
			end);
		end
		server:roster("alice", "friend@gateway.example", "both");
		local gateway = client.component(port, "gateway.example");
		finally(function () gateway:drop(); resize(10000); end);
		local function shows(from, i)
			gateway:show { "urn:example:flood:"..i };
			gateway:send(gateway:presence { from = from, to = "alice@localhost" });
		end
		for i = 1, 10 do
			shows("friend@gateway.example/1", i);
			servers.wait(function ()
				gateway:sync();
				return server:support_of("friend@gateway.example/1") == "incapable";
			end);
		end
		assert.equal(10, gateway.queries);
		shows("stranger@gateway.example/1", 10);
		shows("stranger@gateway.example/1", 11);
		gateway:send(st.iq({ type = "result", id = "disco", from = "stranger@gateway.example/1", to = "alice@localhost" }):add_child(gateway.info)):sync();
		assert.equal("unknown", server:support_of("stranger@gateway.example/1"));
		has_tick("crowd");

		server:run(SAVED.."for i = 1, 5 do saved.capabilities.by_hash:set('ver'..i, true); end");
		has_tick("forgotten");
		assert.equal(2, alice.queries);
	end);

	it("D2 are answered for users here that can't, and E1 theirs are checked", function ()
		alice = server:connect("alice", { features = { "urn:example:old" }, managed = true });
		far = server:connect("far@far.example/far", { features = { R } });
		servers.wait(function () alice:sync(); return server:support_of(alice.jid) == "incapable"; end);
		far:send(stanzas.ask { to = "alice@localhost", id = "from afar" });
		assert.same({}, far:messages());
		alice:messages();
		alice:acknowledge();
		alice:sync();
		assert.equal("from afar", stanzas.acked(far:messages()[1]));
		alice:send(stanzas.ask { to = "far@far.example", id = "to afar" });
		alice:sync();
		local mallory = server:connect("mallory@far.example/m");
		mallory:send(stanzas.ack(alice.jid, "to afar"));
		mallory:sync();
		assert.same({}, alice:messages());
		far:messages();
		far:send(stanzas.ack(alice.jid, "to afar"));
		far:sync();
		assert.equal("to afar", stanzas.acked(alice:messages()[1]));
	end);
end);

describe("contacts elsewhere whom mod_pep asks first", function ()
	local server, port, alice, gateway;

	setup(function ()
		server, port = start { modules = {} };
		server:roster("alice", "friend@gateway.example", "both");
	end);
	teardown(function () server:stop(); end);
	before_each(function ()
		alice, gateway = server:connect("alice"), client.component(port, "gateway.example");
		gateway.held = {};
	end);
	after_each(function ()
		gateway:drop();
		server:disconnect_all();
	end);

	-- Presence of somebody at the gateway, of a client of its own.
	local function shows(from, to)
		gateway:show { R, "urn:example:"..from };
		return gateway:presence { from = from, to = to };
	end

	-- Who is asked by our module, and in whose name, until somebody is.
	local function asked()
		local list = {};
		servers.wait(function ()
			gateway:sync();
			for _, query in ipairs(gateway.held) do
				if query.attr.id ~= "disco" then table.insert(list, query.attr.from.." asks "..query.attr.to); end
			end
			return list[1];
		end);
		return list;
	end

	it("B3 are not asked where they turn out to be room occupants meanwhile", function ()
		alice:send(st.presence { to = "room@gateway.example/alice" }:tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		alice:sync();
		local occupant = shows("room@gateway.example/occupant", alice.jid);
		gateway:send(occupant):send(st.clone(occupant):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }));
		gateway:send(shows("friend@gateway.example/1", "alice@localhost"));
		assert.same({ "alice@localhost asks friend@gateway.example/1" }, asked());
	end);

	it("B1 B4 are asked in the name of another one who sees them, where the one whom they were shown to last goes meanwhile", function ()
		server:roster("bob", "friend@gateway.example", "both");
		local bob = server:connect("bob");
		local friend = shows("friend@gateway.example/2", "alice@localhost");
		gateway:send(friend);
		friend.attr.to = "bob@localhost";
		gateway:send(friend):sync();
		bob:close();
		assert.same({ "alice@localhost asks friend@gateway.example/2" }, asked());
	end);
end);

describe("contacts elsewhere whose server could not be reached when they were asked", function ()
	local server, port, alice, gateway;

	-- The friend shows itself, and what it is asked comes back, all of it.
	local function start_with(how)
		server, port = start(how);
		server:roster("alice", "friend@gateway.example", "both");
		alice, gateway = server:connect("alice", { features = { "urn:example:old" } }), client.component(port, "gateway.example");
		gateway:show { R, "urn:example:friend" };
		gateway.held = {};
		gateway:send(gateway:presence { from = "friend@gateway.example/1", to = "alice@localhost" });
		servers.wait(function ()
			alice:sync();
			gateway:sync();
			local last = gateway.held[#gateway.held];
			return last and last.attr.id ~= "disco" and server:support_of(alice.jid) == "incapable";
		end);
		for _, query in ipairs(gateway.held) do gateway:send(st.error_reply(query, "cancel", "remote-server-not-found")); end
		gateway.held = nil;
		gateway:sync();
	end
	after_each(function () server:stop(); end);

	local function shows() gateway:send(gateway:presence { from = "friend@gateway.example/1", to = "alice@localhost" }):sync(); end

	local function expect_asked_for()
		servers.wait(function ()
			gateway:sync();
			return server:support_of("friend@gateway.example/1") == "capable";
		end);
		alice:send(stanzas.chat { to = "friend@gateway.example", id = "1" }):sync();
		assert.is_true(stanzas.asks(gateway:messages()[1]));
	end

	it("B1 B3 are asked again when they show themselves ten minutes later, and C1 asked for", function ()
		start_with { modules = {}, disabled = { "pep" } };
		shows();
		assert.same({ 1, "unknown" }, { gateway.queries, server:support_of("friend@gateway.example/1") });
		server:run(SAVED.."local actions = saved.capabilities.actions; local monotonic = actions.monotonic; "
			.."actions.monotonic = function () return monotonic() + 601; end");
		shows();
		expect_asked_for();
		assert.equal(2, gateway.queries);
	end);

	it("B1 are known from what they answer mod_pep, and C1 asked for", function ()
		start_with { modules = {} };
		local before = gateway.queries;
		shows();
		expect_asked_for();
		assert.same({ before + 1, "alice@localhost" }, { gateway.queries, gateway.asked_by });
	end);
end);

describe("contacts elsewhere whose server has gone", function ()
	it("B4 C1 are not asked for once presence to them comes back", function ()
		local server, port = start { modules = {}, disabled = { "pep" } };
		finally(function () server:stop(); end);
		server:roster("alice", "friend@gateway.example", "both");
		local alice = server:connect("alice", { features = { "urn:example:old" } });
		local gateway = client.component(port, "gateway.example");
		gateway:show { R, "urn:example:friend" };
		gateway:send(gateway:presence { from = "friend@gateway.example/1", to = "alice@localhost" });
		servers.wait(function ()
			gateway:sync();
			alice:sync();
			return server:support_of("friend@gateway.example/1") == "capable" and server:support_of(alice.jid) == "incapable";
		end);
		local function asked_for(id)
			alice:send(stanzas.chat { to = "friend@gateway.example", id = id }):sync();
			return stanzas.asks(gateway:messages()[1]);
		end
		assert.is_true(asked_for("1"));
		alice:send(alice:presence()):sync();
		local sent;
		for _, stanza in ipairs(gateway:stanzas()) do
			if stanza.name == "presence" and not stanza.attr.type then sent = stanza; end
		end
		gateway:send(st.error_reply(sent, "cancel", "remote-server-not-found")):sync(); -- in the name of who it was sent to
		assert.same({ "silent", false }, { server:support_of("friend@gateway.example/1"), asked_for("2") });
	end);

	it("B3 are asked in turn where questions come back at once", function ()
		local server, port = start { modules = {}, disabled = { "pep" } };
		finally(function () server:stop(); end);
		server:connect("alice");
		local gateway = client.component(port, "gateway.example");
		gateway.held = {};
		for p = 1, 6 do server:roster("alice", "crowd"..p.."@gateway.example", "both"); end
		for i = 1, 300 do
			gateway:show { R, "urn:example:crowd:"..i };
			gateway:send(gateway:presence { from = ("crowd%d@gateway.example/%d"):format(i % 6 + 1, i), to = "alice@localhost" });
		end
		servers.wait(function ()
			gateway:sync();
			return #gateway.held == 100;
		end);
		gateway:close();
		servers.wait(function () -- until those that were put off have been asked, and came back, one in place of the other
			return server:run(SAVED..[[
				saved.queries:came((next(saved.queries.waiting))); -- as when its time has run out
				return tostring(next(saved.capabilities.turns.backlog));
			]]) == "nil";
		end);
	end);
end);

describe("strangers elsewhere", function ()
	it("C3 B3 are asked for in \"always\" though one of their clients is incapable, as are contacts who show a user nothing: of another one "
		.."nothing is known; other contacts are not", function ()
		local server, port = start { modules = {}, disabled = { "pep" }, options = 'receipts_request = "always"' };
		finally(function () server:stop(); end);
		for contact, subscription in pairs { friend = "both", idol = "to", fan = "from", former = "none" } do
			server:roster("alice", contact.."@gateway.example", subscription);
		end
		local alice = server:connect("alice", { features = { "urn:example:old" } });
		local gateway = client.component(port, "gateway.example");
		servers.wait(function () alice:sync(); return server:support_of(alice.jid) == "incapable"; end);
		local function asked_for(from)
			gateway:send(gateway:presence { from = from, to = "alice@localhost" }):sync();
			alice:send(stanzas.chat { to = from:match("^[^/]*"), id = from }):sync();
			return stanzas.asks(gateway:messages()[1]);
		end
		gateway:show { R, "urn:example:new" };
		assert.is_true(asked_for("stranger@gateway.example/new"));
		gateway:show { "urn:example:old" };
		assert.is_true(asked_for("stranger@gateway.example/old"));
		for _, contact in ipairs { "friend", "idol" } do assert.is_false(asked_for(contact.."@gateway.example/old"), contact); end
		for _, contact in ipairs { "fan", "former" } do assert.is_true(asked_for(contact.."@gateway.example/old"), contact); end
	end);
end);
