-- SPDX-License-Identifier: MIT
-- A module of somebody else's that lets others run before it goes on with a stanza (util.async), as one does that keeps archives on another
-- server. It may do so wherever Prosody handles a client's stanza; in a plain timer it would raise an error, and what we send is lost.

local socket = require "socket";
local client = require "spec.support.client";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local storages = require "spec.support.storages";
local st = require "util.stanza";

local STATE = "local r = prosody.hosts.localhost.modules.receipts.module.save(); ";
local RECEIPTS, NONE = { stanzas.xmlns }, { "urn:example:nothing" };

-- What comes to a client, once something that `match` accepts has.
local function comes(one, match)
	local found;
	servers.wait(function ()
		for _, message in ipairs(one:messages()) do found = found or match(message) and message; end
		return found;
	end);
	return found;
end

describe("beside a module that lets others run,", function ()
	local server, port, alice;
	setup(function ()
		port = process.free_port();
		server = servers.start {
			modules = { "receipts", "smacks" }, disabled = { "pep" };
			options = ([[
				component_ports = { %d }
				component_interfaces = { "127.0.0.1" }
				receipts_answer = "opt-out"
				receipts_answer_proof = "sent"
				receipts_answer_components = { "gateway.localhost" }
				receipts_resend_attempts = 1
				receipts_resend_after = "1s"
			]]):format(port);
			hosts = servers.gateway;
		};
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
		server:run([[
			local sleep = require "util.async".sleep;
			for _, event in ipairs { "pre-message/bare", "pre-message/full", "pre-message/host", "message/bare", "message/full", "iq/full" } do
				module:hook(event, function () sleep(0.005); end, 10);
			end
		]]);
	end);
	teardown(function () server:stop(); end);
	before_each(function () alice = server:connect("alice", { features = RECEIPTS }); end);
	after_each(function () server:disconnect_all(); end);

	local function ack_of(id)
		return function (message) return stanzas.acked(message) == id; end;
	end

	-- Has us reloaded before a stanza with this id, or that acks it, comes to our handlers of these events.
	local function reload_before(id, host, ...)
		for _, event in ipairs { ... } do
			server:run(([[
				local sleep, reload = require "util.async".sleep, require "core.modulemanager".reload;
				module:context(%q):hook(%q, function (event)
					local stanza = event.stanza;
					if stanza.attr.id ~= %q and not stanza:get_child_with_attr("received", "urn:xmpp:receipts", "id", %q) then return; end
					sleep(0.05);
					reload("localhost", "receipts");
				end, 1000);
			]]):format(host, event, id, id));
		end
	end

	it("B1 clients are asked, and D4 answers come of what is learned later", function ()
		local bob = server:connect("bob", { managed = true, presence = false });
		bob:show(NONE);
		bob.held = {};
		bob:send(bob:presence());
		servers.wait(function () bob:sync(); return bob.queries; end);
		alice:send(stanzas.ask { to = "bob@localhost", id = "learned" });
		servers.wait(function () return bob:messages()[1]; end);
		bob:acknowledge();
		bob:sync();
		bob:answer_held();
		comes(alice, ack_of("learned"));
	end);

	it("D4 answers come when another client loses its connection without having got it", function ()
		local able = server:connect("bob@localhost/able", { features = RECEIPTS, managed = "once" });
		local unable = server:connect("bob@localhost/unable", { features = NONE, managed = true });
		servers.wait(function ()
			for _, one in ipairs { able, unable } do one:sync(); end
			return server:support_of(able.jid) == "capable" and server:support_of(unable.jid) == "incapable";
		end);
		alice:send(stanzas.ask { to = "bob@localhost", id = "lost" });
		servers.wait(function () return unable:messages()[1]; end);
		unable:acknowledge();
		unable:sync();
		assert.same({}, alice:messages());
		able:drop();
		comes(alice, ack_of("lost"));
	end);

	it("D2 answers come of what was sent", function ()
		local bob = server:connect("bob", { features = NONE });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		alice:send(stanzas.ask { to = "bob@localhost", id = "sent" });
		comes(alice, ack_of("sent"));
	end);

	it("A3 D4 an answer that waits on its way is known for ours, though we are reloaded meanwhile", function ()
		reload_before("ours", "localhost", "pre-message/full");
		local bob = server:connect("bob", { features = NONE });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		alice:send(stanzas.ask { to = "bob@localhost", id = "ours" });
		comes(alice, ack_of("ours"));
		assert.equal("answered", server:run(STATE.."local fate = r.answering.answers.fates:get('bob@localhost', 'alice@localhost/alice', 'ours'); "
			.."return fate.outcome"));
	end);

	it("F0 F4 of a client that goes while its answer is on the way this is told, and counted", function ()
		server:run([[
			local sleep = require "util.async".sleep;
			module:hook("pre-message/full", function (event)
				if event.stanza:get_child_with_attr("received", "urn:xmpp:receipts", "id", "and goes") then sleep(0.2); end
			end, 1000);
		]]);
		local bob = server:connect("bob", { features = NONE, managed = "once" });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		local function answers() return tonumber(server:run(STATE.."return r.reports.counts.answers[false]")); end
		local before = answers();
		alice:send(stanzas.ask { to = "bob@localhost", id = "and goes" });
		comes(bob, stanzas.asks);
		bob:acknowledge();
		bob:drop();
		comes(alice, ack_of("and goes"));
		servers.wait(function () return answers() == before + 1; end);
		assert.truthy(server:why("alice@localhost", "and goes"):find("answered for bob@localhost/bob", 1, true));
	end);

	it("D1 answers come for a gateway", function ()
		local gateway = client.component(port, "gateway.localhost");
		finally(function () gateway:drop(); end);
		alice:send(stanzas.ask { to = "+1555@gateway.localhost", id = "gateway" });
		comes(alice, ack_of("gateway"));
	end);

	it("E4 acks that wait are sent when the client is available", function ()
		local bob = server:connect("bob", { presence = false });
		alice:send(stanzas.ask { to = bob.jid, id = "waits" });
		servers.wait(function () return bob:messages()[1]; end);
		bob:send(stanzas.ack(alice.jid, "waits"));
		bob:sync();
		assert.same({}, alice:messages());
		bob:send(bob:presence());
		comes(alice, ack_of("waits"));
	end);

	it("E4 acks that wait are sent when the client is available, also where another module waits before Prosody takes note of that", function ()
		server:run([[
			local sleep = require "util.async".sleep;
			local function slowly(event)
				if event.stanza.attr.id == "slowly" then sleep(0.2); end
			end
			module:hook("presence/initial", slowly, -10);
		]]);
		local bob = server:connect("bob", { presence = false });
		alice:send(stanzas.ask { to = bob.jid, id = "waits longer" });
		servers.wait(function () return bob:messages()[1]; end);
		bob:send(stanzas.ack(alice.jid, "waits longer")):sync();
		assert.same({}, alice:messages());
		bob:send(bob:presence { id = "slowly" });
		comes(alice, ack_of("waits longer"));
	end);

	for what, to in pairs { ["that it sent to somebody"] = "somebody@localhost/here", ["to all"] = false } do
		it("B1 nothing is kept of a client that has gone while presence "..what.." waited before it came to us", function ()
			server:run([[
				local sleep = require "util.async".sleep;
				for _, name in ipairs { "pre-presence/full", "presence/bare" } do
					module:hook(name, function (event)
						if event.stanza.attr.id == "too late" then sleep(0.2); end
					end, 150);
				end
			]]);
			local bob = server:connect("bob", { presence = false });
			bob:send(bob:presence { to = to or nil, id = "too late" }):drop();
			socket.sleep(0.4);
			assert.equal("nil", server:run(STATE.."return tostring(r.capabilities.here['bob@localhost/bob'])"));
		end);
	end

	it("A3 E1 a request or an ack that waits before it comes to us is looked at, though we are reloaded meanwhile", function ()
		server:run([[
			local sleep = require "util.async".sleep;
			local function wait(event)
				local id = event.stanza.attr.id;
				if id == "asks late" or id == "acks late" then sleep(0.2); end
			end
			for _, event in ipairs { "pre-message/bare", "message/bare" } do module:hook(event, wait, 1000); end
		]]);
		local bob = server:connect("bob", { features = RECEIPTS });
		local function counts()
			return server:run(STATE.."r.reports:settle(); local counts = r.reports.counts; return counts.requests.client..' '..counts.outcomes.delivered");
		end
		local asked, delivered = counts():match("^(%d+) (%d+)$");
		alice:send(stanzas.ask { to = "bob@localhost", id = "asks late" });
		socket.sleep(0.1);
		server:reload();
		comes(bob, stanzas.asks);
		bob:send(stanzas.ack("alice@localhost", "asks late", { id = "acks late" }));
		socket.sleep(0.3); -- it is on its way in
		server:reload();
		comes(alice, ack_of("asks late"));
		assert.equal("delivered", server:run(STATE.."return r.pending:state('alice@localhost', 'bob@localhost', 'asks late')"));
		assert.equal(("%d %d"):format(asked + 1, delivered + 1), counts(), "F4");
	end);

	it("A3 D3 E1 who joins a room, or hides, by presence that waits before it comes to us has done so, though we are reloaded meanwhile", function ()
		reload_before("late", "localhost", "pre-presence/full", "pre-presence/bare");
		local ALICE = STATE.."local alice = prosody.full_sessions['alice@localhost/alice']; ";
		alice:send(alice:presence({ to = "room@gateway.localhost/alice", id = "late" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
		alice:sync();
		assert.equal("true", server:run(ALICE.."return r.rooms:has(alice, 'room@gateway.localhost')"));
		alice:send(alice:presence { to = "bob@localhost", type = "unavailable", id = "late" }):sync();
		assert.equal("true", server:run(ALICE.."return r.hiding.is_from(alice, 'bob@localhost')"));
	end);

	it("A3 D1 E4 what is due at once is done for what has waited in another module, though we were reloaded meanwhile", function ()
		reload_before("due at once", "localhost", "presence/initial");
		reload_before("due at once", "gateway.localhost", "message/bare");
		local gateway = client.component(port, "gateway.localhost");
		finally(function () gateway:drop(); end);
		alice:send(stanzas.ask { to = "+1555@gateway.localhost", id = "due at once" });
		comes(alice, ack_of("due at once"));
		local bob = server:connect("bob", { presence = false });
		alice:send(stanzas.ask { to = bob.jid, id = "kept back" });
		comes(bob, stanzas.asks);
		bob:send(stanzas.ack(alice.jid, "kept back")):sync();
		bob:send(bob:presence { id = "due at once" });
		comes(alice, ack_of("kept back"));
	end);

	it("A3 B1 whoever was being asked is asked anew when we are reloaded where nothing may wait", function ()
		local bob = server:connect("bob", { presence = false });
		bob:show { "urn:example:anew" };
		bob.held = {};
		bob:send(bob:presence());
		for i = 1, 2 do
			servers.wait(function () bob:sync(); return bob.held[i]; end);
			if i == 1 then server:run("module:add_timer(0, function () require 'core.modulemanager'.reload('localhost', 'receipts'); end)"); end
		end
	end);

	it("G1 messages are sent again", function ()
		local bob = server:connect("bob", { features = RECEIPTS });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "capable"; end);
		alice:send(stanzas.ask { to = "bob@localhost", id = "again" });
		for _ = 1, 2 do comes(bob, stanzas.asks); end
	end);

	it("A3 G1 a message that waits before it comes to us is sent again, though we are reloaded meanwhile", function ()
		reload_before("kept", "localhost", "pre-message/bare");
		local bob = server:connect("bob", { features = RECEIPTS });
		servers.wait(function ()
			for _, one in ipairs { alice, bob } do one:sync(); end
			return server:support_of(bob.jid) == "capable";
		end);
		alice:send(stanzas.ask { to = "bob@localhost", id = "kept" });
		comes(bob, function (message) return message.attr.id == "kept" and message:get_child("no-copy", "urn:xmpp:hints"); end);
	end);

	it("G1 messages are sent again to who has come meanwhile, though another module waits before Prosody takes note of that", function ()
		server:roster("alice", "carl@localhost", "both");
		server:roster("carl", "alice@localhost", "both");
		server:run([[
			local sleep = require "util.async".sleep;
			module:hook("message/offline/broadcast", function (event)
				if event.origin.resource == "new" then sleep(1.2); end
			end, 1000);
		]]);
		local old = server:connect("carl@localhost/old", { presence = false });
		old:show { "urn:example:held" };
		old.held = {};
		old:send(old:presence()):sync();
		alice:send(stanzas.ask { to = "carl@localhost", id = "has come" }):sync();
		socket.sleep(0.5);
		local new = server:connect("carl@localhost/new", { features = RECEIPTS });
		comes(new, function (message) return message.attr.id == "has come" and message:get_child("no-copy", "urn:xmpp:hints"); end);
	end);
end);

describe("beside such a module, and mod_pep, which asks clients before us,", function ()
	it("A3 B1 a client is asked whose presence waits before it comes to us, though we are reloaded meanwhile", function ()
		local server = servers.start { modules = { "receipts" } };
		finally(function () server:stop(); end);
		server:run([[
			local sleep, reload = require "util.async".sleep, require "core.modulemanager".reload;
			module:hook("presence/bare", function (event)
				if event.stanza.attr.id ~= "waits" then return; end
				sleep(0.05);
				reload("localhost", "receipts");
			end, 1000);
		]]);
		local bob = server:connect("bob", { presence = false });
		bob:send(bob:presence { id = "waits" });
		servers.wait(function () bob:sync(); return bob.queries; end);
	end);
end);

describe("beside such a module, and mod_offline, where it could not be read a moment ago what a user chose,", function ()
	it("A3 D2 D4 what is proven by an <a/> that waits is answered by the new parts, though we are reloaded meanwhile", function ()
		local storage = storages.slow();
		local server = servers.start { modules = { "receipts", "smacks", "offline" }, disabled = { "pep" }, options = storage.options.."\n"..[[
			receipts_answer = "opt-out"
		]] };
		finally(function () server:stop(); end);
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
		server:connect("alice"):send(stanzas.ask { to = "bob@localhost", id = "stored" }):sync();
		server:restart(); -- nothing is remembered, and so no reload hands it over
		server:run([[
			local sleep, reload = require "util.async".sleep, require "core.modulemanager".reload;
			module:hook("stanza/urn:xmpp:sm:3:a", function ()
				sleep(0.05);
				reload("localhost", "receipts");
			end, 1000);
		]]);
		local alice, bob = server:connect("alice"), server:connect("bob", { managed = true, presence = false });
		bob:show(NONE);
		bob.held = {};
		bob:send(bob:presence());
		comes(bob, stanzas.asks);
		servers.wait(function () bob:sync(); return bob.held[1]; end);
		storage.fail(server);
		local info = st.stanza("iq", { type = "get", to = "bob@localhost" }):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" });
		assert.is_nil(tostring(alice:iq(info)):find(stanzas.xmlns, 1, true), "A2"); -- and the old parts would not try again for seconds
		storage.recover(server);
		bob:acknowledge():sync();
		assert.same({}, alice:messages());
		bob:answer_held();
		comes(alice, function (message) return stanzas.acked(message) == "stored"; end);
	end);
end);

describe("beside such a module, where ordinary requests and acks are told of to nobody,", function ()
	it("A3 F4 they are counted, though they wait before they come to us, and we are reloaded meanwhile", function ()
		local server = servers.start { modules = { "receipts" } };
		finally(function () server:stop(); end);
		server:roster("bob", "alice@localhost", "both");
		local alice, bob = server:connect("alice"), server:connect("bob", { features = RECEIPTS });
		server:run([[
			local sleep, reload = require "util.async".sleep, require "core.modulemanager".reload;
			local function wait(event)
				if event.stanza.attr.id ~= "late" then return; end
				sleep(0.05);
				reload("localhost", "receipts");
			end
			module:hook("pre-message/bare", wait, 1000);
			module:hook("message/full", wait, 1000);
		]]);
		for _, id in ipairs { "first", "late" } do
			alice:send(stanzas.ask { to = "bob@localhost", id = id });
			comes(bob, function (message) return message.attr.id == id; end);
			bob:send(stanzas.ack(alice.jid, id, { id = id, type = "chat" }));
			comes(alice, function (message) return stanzas.acked(message) == id; end);
		end
		assert.equal("2 2", server:run(STATE.."r.reports:settle(); local counts = r.reports.counts; "
			.."return counts.requests.client..' '..counts.outcomes.delivered"));
	end);
end);

describe("beside such a module, where we are reloaded and cannot be loaded,", function ()
	it("A3 F0 what waits goes on as if we were there still, and what was asked is in the store when we can be", function ()
		local server = servers.start { modules = { "receipts" }, errors = true };
		finally(function () server:stop(); end);
		server:roster("bob", "alice@localhost", "both");
		local alice, bob = server:connect("alice"), server:connect("bob");
		server:run([[
			local sleep, storagemanager = require "util.async".sleep, require "core.storagemanager";
			module:hook("pre-message/bare", function (event)
				if event.stanza.attr.id == "waits" then sleep(0.2); end
			end, 1000);
			prosody.spec_open = storagemanager.open;
			function storagemanager.open(host, name, ...)
				if name == "receipts_caps" then return nil, "gone"; end
				return prosody.spec_open(host, name, ...);
			end
		]]);
		alice:send(stanzas.ask { to = "bob@localhost", id = "before" }):sync();
		alice:send(stanzas.ask { to = "bob@localhost", id = "waits" });
		socket.sleep(0.1);
		assert.equal("false", server:run("return tostring((require 'core.modulemanager'.reload('localhost', 'receipts')))"));
		for _, id in ipairs { "before", "waits" } do comes(bob, function (message) return message.attr.id == id; end); end
		assert.is_nil(server:log():find("Error in a message hook", 1, true));
		server:run("require 'core.storagemanager'.open = prosody.spec_open; assert(require 'core.modulemanager'.load('localhost', 'receipts'))");
		bob:send(stanzas.ack("alice@localhost", "before")):sync();
		assert.equal("delivered", server:run(STATE.."return r.pending:state('alice@localhost', 'bob@localhost', 'before')"));
	end);
end);

describe("where block lists are in a storage that lets others run,", function ()
	it("F0 a client that goes while one is read, for what it has just sent, is no error", function ()
		local server = servers.start { modules = { "receipts" }, disabled = { "pep" }, options = [[
			storage = { blocklist = "slow" }
			receipts_answer = "opt-out"
		]] };
		finally(function () server:stop(); end);
		for _, user in ipairs { "carl", "dora" } do
			server:roster(user, "bob@localhost", "both");
			server:roster("bob", user.."@localhost", "both");
		end
		local bob = server:connect("bob", { features = RECEIPTS });
		local carl, dora = server:connect("carl", { features = NONE }), server:connect("dora", { features = RECEIPTS });
		servers.wait(function ()
			for _, one in ipairs { bob, carl, dora } do one:sync(); end
			return server:support_of(bob.jid) == "capable" and server:support_of(carl.jid) == "incapable";
		end);
		server:reload(); -- no list has been read
		carl:send(stanzas.chat { to = "bob@localhost", id = "content" }):drop();
		comes(bob, function (message) return message.attr.id == "content"; end);
		server:reload();
		dora:send(stanzas.chat({ to = "bob@localhost", id = "ack" }):tag("received", { xmlns = stanzas.xmlns, id = "1" }):up()):drop();
		comes(bob, stanzas.acked);
	end);
end);

describe("where all stores of ours are in a storage that lets others run, a component, whose stanzas are handled in no thread,", function ()
	local GATEWAY = "someone@gateway.localhost";
	local server, gateway, port;
	setup(function ()
		port = process.free_port();
		server = servers.start { modules = { "receipts", "smacks" }, disabled = { "pep" }, hosts = servers.gateway, options = ([[
			component_ports = { %d }
			component_interfaces = { "127.0.0.1" }
			storage = { blocklist = "slow", receipts = "slow", receipts_preferences = "slow" }
			receipts_answer = "opt-out"
		]]):format(port) };
		server:roster("bob", GATEWAY, "both");
	end);
	teardown(function () server:stop(); end);
	before_each(function () gateway = client.component(port, "gateway.localhost"); end);
	after_each(function ()
		gateway:drop();
		server:disconnect_all();
	end);

	-- Until the spec is over, each reading takes so long that much can be sent meanwhile.
	local function slow_down()
		local take = storages.slow().take;
		take(server, 0.1);
		finally(function () take(server, nil); end);
	end

	-- The first one's client is known not to support receipts, the second one's to do so.
	local function connect_friends(first, second)
		for _, names in ipairs { { first, second }, { second, first } } do server:roster(names[1], names[2].."@localhost", "both"); end
		local one, other = server:connect(first, { features = NONE }), server:connect(second, { features = RECEIPTS });
		servers.wait(function ()
			for _, client_of in ipairs { one, other } do client_of:sync(); end
			return server:support_of(one.jid) == "incapable" and server:support_of(other.jid) == "capable";
		end);
		return one, other;
	end

	it("D1 is answered", function ()
		local bob = server:connect("bob", { features = NONE, managed = true });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		gateway:send(stanzas.ask { from = GATEWAY, to = "bob@localhost", id = "first" });
		servers.wait(function () return bob:messages()[1]; end);
		servers.wait(function () return server:run(STATE.."return r.answering.answers.fates.accounts:get('bob@localhost') ~= nil") == "true"; end);
		bob:acknowledge();
		comes(gateway, function (message) return stanzas.acked(message) == "first"; end);
	end);

	it("D2 D4 is answered though the message has gone on while a block list was read", function ()
		local bob = server:connect("bob", { features = NONE, managed = true });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		for _, id in ipairs { "all is read", "a list is not" } do
			gateway:send(stanzas.ask { from = GATEWAY, to = "bob@localhost", id = id });
			servers.wait(function () return bob:messages()[1]; end);
			servers.wait(function ()
				return server:run(STATE..("return r.answering.answers.fates:get('bob@localhost', %q, %q) ~= nil"):format(GATEWAY, id)) == "true";
			end);
			bob:acknowledge();
			comes(gateway, function (message) return stanzas.acked(message) == id; end);
			server:run(STATE.."r.blocks.forget('bob')"); -- as when he changes it
		end
	end);

	it("A3 D2 D4 is answered though the message has gone on while something was read, and we were reloaded", function ()
		local bob = server:connect("bob", { features = NONE, managed = true });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		slow_down();
		gateway:send(stanzas.ask { from = GATEWAY, to = "bob@localhost", id = "reloaded" });
		socket.sleep(0.05);
		server:reload();
		servers.wait(function () return bob:messages()[1]; end);
		servers.wait(function ()
			return server:run(STATE..("return r.answering.answers.fates:get('bob@localhost', %q, 'reloaded') ~= nil"):format(GATEWAY)) == "true";
		end);
		bob:acknowledge();
		comes(gateway, function (message) return stanzas.acked(message) == "reloaded"; end);
	end);

	it("A2 is told what the server does for a user", function ()
		local bob = server:connect("bob", { features = NONE }); -- whose choice is read anew from here on
		servers.wait(function ()
			local info = gateway:iq(st.stanza("iq", { type = "get", from = GATEWAY, to = "bob@localhost" })
				:tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
			return tostring(info):find(stanzas.xmlns, 1, true);
		end);
		bob:close();
	end);

	it("B1 B4 has the next of its clients asked that may see a user, where an answer is not of use and a block list must be read for that", function ()
		local bob = server:connect("bob", { features = NONE });
		gateway.held = {};
		gateway:show { "urn:example:three" };
		for i = 1, 3 do gateway:send(gateway:presence { from = GATEWAY.."/"..i, to = "bob@localhost" }); end
		local function asked(i)
			return servers.wait(function ()
				gateway:sync();
				return gateway.held[i];
			end);
		end
		local first = asked(1);
		bob:iq(st.stanza("iq", { type = "set" }):tag("block", { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = GATEWAY.."/2" }));
		gateway:send(st.error_reply(first, "cancel", "service-unavailable"));
		assert.same({ GATEWAY.."/1", GATEWAY.."/3" }, { first.attr.to, asked(2).attr.to });
	end);

	it("E1 delivers what was asked before a restart", function ()
		server:connect("alice", { features = RECEIPTS }):send(stanzas.ask { to = GATEWAY, id = "before" }):sync();
		gateway:drop();
		server:restart();
		servers.wait(function () return process.listening(port); end);
		gateway = client.component(port, "gateway.localhost");
		local alice = server:connect("alice", { features = RECEIPTS });
		gateway:send(stanzas.ack("alice@localhost", "before", { from = GATEWAY }));
		comes(alice, stanzas.acked);
		servers.wait(function () return server:run(STATE.."return r.pending:state('alice@localhost', '"..GATEWAY.."', 'before')") == "delivered"; end);
		assert.falsy(server:log():find("cannot be read", 1, true));
	end);

	it("E1 delivers all that is acked while what was asked before a restart is read", function ()
		local alice = server:connect("alice", { features = RECEIPTS });
		for i = 1, 3 do alice:send(stanzas.ask { to = GATEWAY, id = "at once "..i }):sync(); end
		gateway:drop();
		server:restart();
		servers.wait(function () return process.listening(port); end);
		gateway = client.component(port, "gateway.localhost");
		server:connect("alice", { features = RECEIPTS }); -- mod_blocklist needs her list
		local acks = {};
		for i = 1, 3 do acks[i] = tostring(stanzas.ack("alice@localhost", "at once "..i, { from = GATEWAY })); end
		gateway:send(table.concat(acks));
		for i = 1, 3 do
			servers.wait(function ()
				return server:run((STATE.."return r.pending:state('alice@localhost', '%s', 'at once %d')"):format(GATEWAY, i)) == "delivered";
			end);
		end
	end);

	it("A3 C1 asks though we are reloaded, and again, while a choice is read for that", function ()
		local alice, bob = connect_friends("alice", "bob");
		slow_down();
		alice:send(stanzas.chat { to = "bob@localhost", id = "choice" });
		socket.sleep(0.05);
		for _ = 1, 2 do server:reload(); end
		comes(bob, stanzas.asks);
		assert.equal("pending", server:run(STATE.."return r.pending:state('alice@localhost', 'bob@localhost', 'choice')"));
	end);

	-- Somebody who is not in bob's roster, and sees him by directed presence: whether he has blocked them is to be read.
	local STRANGER = "stranger@gateway.localhost/client";
	local CLIENTS = STATE.."return #r.capabilities:clients('stranger@gateway.localhost')";

	local function shows_a_stranger()
		local bob = server:connect("bob", { features = NONE });
		bob:send(bob:presence { to = STRANGER }):sync();
		server:reload(); -- no list has been read
		gateway:show { "urn:example:four" };
		return bob;
	end

	it("B4 takes nobody for online who has gone while a block list was read", function ()
		shows_a_stranger();
		gateway:send(tostring(gateway:presence { from = STRANGER, to = "bob@localhost" })
			..tostring(st.presence { from = STRANGER, to = "bob@localhost", type = "unavailable" }));
		local info = st.stanza("iq", { type = "get", from = GATEWAY, to = "bob@localhost" });
		gateway:iq(info:tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
		socket.sleep(0.1);
		assert.equal("0", server:run(CLIENTS));
	end);

	it("B4 knows to whom presence was shown that had to wait, though Prosody addresses it to others meanwhile", function ()
		slow_down();
		shows_a_stranger();
		gateway:send(gateway:presence { from = STRANGER, to = "bob@localhost" });
		socket.sleep(0.05);
		-- As mod_presence does for a client that has lost its connection.
		server:run(([[
			require "util.timer".add_task(0, function ()
				local stanza = require "util.stanza".presence { from = %q, to = "bob@localhost", type = "unavailable" };
				prosody.core_post_stanza(prosody.hosts["gateway.localhost"], stanza);
				stanza.attr.to = "carl@localhost";
			end);
		]]):format(STRANGER));
		socket.sleep(0.4);
		assert.equal("0", server:run(CLIENTS));
	end);

	it("A3 B4 takes nobody for online who has gone while a block list was read, and we were reloaded", function ()
		slow_down();
		shows_a_stranger();
		gateway:send(gateway:presence { from = STRANGER, to = "bob@localhost" });
		socket.sleep(0.05);
		server:reload();
		gateway:send(st.presence { from = STRANGER, to = "bob@localhost", type = "unavailable" });
		socket.sleep(0.3);
		servers.wait(function () return server:run(CLIENTS) == "0"; end);
	end);

	it("B4 has nobody shown to a user who has gone while a block list was read", function ()
		slow_down();
		local bob = shows_a_stranger();
		gateway:send(gateway:presence { from = STRANGER, to = "bob@localhost" });
		socket.sleep(0.05);
		bob:drop();
		socket.sleep(0.4);
		assert.equal("0", server:run(CLIENTS));
	end);

	it("B4 has nobody shown to whom they have blocked", function ()
		local alice, bob = connect_friends("alice", "bob");
		alice:send(stanzas.ask { to = "bob@localhost", id = "not blocked" }):sync(); -- for which bob's choice is read
		bob:iq(st.stanza("iq", { type = "set" }):tag("block", { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "alice@localhost" }));
		bob:messages();
		gateway:send(stanzas.ask { from = GATEWAY, to = "bob@localhost", id = "second" });
		servers.wait(function () return bob:messages()[1]; end);
		alice:send(stanzas.chat { to = "bob@localhost", id = "blocked" }):sync();
		assert.equal("C1 not asked for, the recipient is not known to support receipts", server:why("alice@localhost", "blocked"));
	end);

	-- Has something written, and us reloaded before it is; what is read meanwhile is what was stored before.
	local function reloaded_while(write, read)
		local take = storages.slow().take;
		finally(function () take(server, nil); end);
		take(server, 0.3);
		write();
		server:reload();
		take(server, 0.005);
		read();
	end

	it("A3 B4 has nobody shown to whom they block while we are reloaded", function ()
		local kate, liam = connect_friends("kate", "liam");
		reloaded_while(function ()
			local item = st.stanza("iq", { type = "set", id = "blocks" }):tag("block", { xmlns = "urn:xmpp:blocking" });
			liam:send(item:tag("item", { jid = "kate@localhost" }));
			socket.sleep(0.05);
		end, function ()
			kate:send(stanzas.chat { to = "liam@localhost", id = "not yet" }):sync();
			assert.equal("C1 asked for, the recipient supports receipts and the sender's client does not", server:why("kate@localhost", "not yet"));
		end);
		liam:expect(function (stanza) return stanza.attr.id == "blocks"; end);
		kate:send(stanzas.chat { to = "liam@localhost", id = "by now" }):sync();
		assert.equal("C1 not asked for, the recipient is not known to support receipts", server:why("kate@localhost", "by now"));
	end);

	it("A3 D1 holds for who has chosen otherwise while we were reloaded", function ()
		server:connect("carol");
		local function in_thread(code)
			server:run(STATE..("require 'util.async'.runner(function () %s end):run(true)"):format(code));
		end
		reloaded_while(function ()
			in_thread("r.preferences:set('carol', { answer = 'no', ask = 'default' })");
		end, function ()
			in_thread("prosody.spec_answers = r.preferences:answers_for('carol')");
			servers.wait(function () return server:run("return tostring(prosody.spec_answers)") == "true"; end);
		end);
		servers.wait(function () return server:run(STATE.."return tostring(r.preferences:may_answer_for('carol'))") == "false"; end);
	end);
end);

describe("where what is pending is in a storage that lets others run,", function ()
	local server, storage, alice, carol, bob;
	before_each(function ()
		storage = storages.slow();
		server = servers.start { modules = { "receipts" }, disabled = { "pep" }, options = [[
			storage = { receipts = "slow" }
			receipts_answer = "opt-out"
			receipts_answer_proof = "sent"
			receipts_resend_attempts = 1
			receipts_resend_after = "4s"
			receipts_flush_interval = "1h"
		]] };
		for _, name in ipairs { "alice", "carol" } do
			server:roster(name, "bob@localhost", "both");
			server:roster("bob", name.."@localhost", "both");
		end
		alice, carol = server:connect("alice", { features = RECEIPTS }), server:connect("carol", { features = RECEIPTS });
		bob = server:connect("bob", { features = NONE });
		servers.wait(function ()
			for _, one in ipairs { alice, carol, bob } do one:sync(); end
			return server:support_of(alice.jid) == "capable" and server:support_of(bob.jid) == "incapable";
		end);
	end);
	after_each(function () server:stop(); end);

	local function ask(one, id) one:send(stanzas.ask { to = "nobody@elsewhere.example", id = id }):sync(); end

	-- While the module goes: alice's records are written, and after those carol's.
	local function goes(meanwhile)
		ask(alice, "alice's");
		ask(carol, "carol's");
		storage.take(server, "0.3");
		server:run([[require "util.async".runner(function ()
			require "core.modulemanager".unload("localhost", "receipts");
			prosody.spec_gone = true;
		end):run(true)]]);
		socket.sleep(0.4);
		assert.equal("nil", server:run("return tostring(prosody.spec_gone)"));
		meanwhile();
		servers.wait(function () return server:run("return prosody.spec_gone") == "true"; end);
		storage.take(server, "0");
	end

	it("F1 what is asked while the module is unloaded is stored", function ()
		goes(function () ask(alice, "meanwhile"); end);
		server:run("assert(require 'core.modulemanager'.load('localhost', 'receipts'))");
		assert.equal("alice's meanwhile", server:run(STATE.."r.store:load('alice'); local ids = {}; "
			.."for _, entry in ipairs(r.pending:list('alice@localhost')) do table.insert(ids, entry.id); end table.sort(ids); return table.concat(ids, ' ')"));
	end);

	it("F1 when Prosody stops while it writes, it is told that the rest is lost", function ()
		ask(alice, "alice's");
		storage.take(server, "30");
		server:run([[require "util.async".runner(function () prosody.hosts.localhost.modules.receipts.module.save().store:flush(1); end):run(true)]]);
		ask(alice, "meanwhile");
		server:halt();
		assert.truthy(server:log():find("Not all that is pending could be written", 1, true));
	end);

	it("A3 F0 a reload waits for nothing that is to be written: so there are never two of us, though another comes at once", function ()
		local HANDLERS = "return tostring(#prosody.hosts.localhost.events.get_handlers('pre-message/full'))";
		local handlers = server:run(HANDLERS);
		ask(alice, "alice's");
		storage.take(server, "0.3");
		server:run([[
			local async, manager = require "util.async", require "core.modulemanager";
			for _ = 1, 2 do async.runner(function () manager.reload("localhost", "receipts"); end):run(true); end]]);
		alice:send(stanzas.ask { to = "bob@localhost", id = "meanwhile" }); -- the answer may be faster than a sync()
		comes(bob, function (message) return message.attr.id == "meanwhile"; end);
		comes(alice, function (message) return stanzas.acked(message) == "meanwhile"; end);
		storage.take(server, "0");
		socket.sleep(0.7); -- for what still waits
		assert.equal(handlers, server:run(HANDLERS));
	end);

	it("F1 B3 what was asked is stored, and caps, though the module is reloaded and cannot be loaded", function ()
		ask(alice, "alice's");
		storage.take(server, "0.1");
		server:run([[
			local manager = require "core.storagemanager";
			local open = manager.open;
			function manager.open(host, name, ...)
				if name == "receipts_caps" then return nil, "gone"; end
				return open(host, name, ...);
			end
			assert(not require "core.modulemanager".reload("localhost", "receipts"));
			manager.open = open;]]);
		servers.wait(function ()
			local file = io.open(server.dir.."/data/localhost/receipts/alice.dat");
			return file and file:close();
		end);
		storage.take(server, "0");
		server:restart("kill");
		assert.equal("alice's", server:run(STATE.."r.store:load('alice'); return r.pending:list('alice@localhost')[1].id"));
		server:disconnect_all();
		local again = server:connect("alice", { features = RECEIPTS });
		again:sync();
		assert.equal("capable", server:support_of(again.jid));
		assert.falsy(again.queries);
	end);

	it("A3 G1 nothing that comes while the module is unloaded is sent again after that", function ()
		local able = server:connect("bob@localhost/able", { features = RECEIPTS });
		servers.wait(function () able:sync(); return server:support_of(able.jid) == "capable"; end);
		goes(function () alice:send(stanzas.ask { to = "bob@localhost", id = "meanwhile" }):sync(); end);
		assert.equal(1, #able:messages());
		socket.sleep(4.2);
		assert.equal(0, #able:messages());
	end);
end);
