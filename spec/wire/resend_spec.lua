-- SPDX-License-Identifier: MIT
-- Rule G1 on the wire: what is not acked is delivered again, to clients that can ack.

local servers = require "spec.support.server";
local socket = require "socket";
local stanzas = require "spec.support.stanzas";
local array = require "util.array";
local st = require "util.stanza";

local RECEIPTS, NONE = { stanzas.xmlns }, { "urn:example:nothing" };

describe("sending again", function ()
	local server, alice, bob;
	setup(function ()
		server = servers.start { options = 'receipts_resend_attempts = 2 receipts_resend_after = "1s"', disabled = { "pep" },
			modules = { "receipts", "smacks" }, hosts = servers.rooms };
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
	end);
	teardown(function () server:stop(); end);
	after_each(function () server:disconnect_all(); end);

	local function client(name, features, managed)
		local one = server:connect(name, { features = features, managed = managed });
		servers.wait(function ()
			one:sync();
			return server:support_of(one.jid) ~= "unknown";
		end);
		return one;
	end

	-- Everything bob gets until `done`.
	-- @param done  function (list of what has come so far)
	local function until_(done)
		local got = {};
		servers.wait(function ()
			local is_done = done(got);
			for _, message in ipairs(bob:messages()) do table.insert(got, message); end
			return is_done;
		end);
		return got;
	end
	local function within(seconds)
		local deadline = socket.gettime() + seconds;
		return until_(function () return socket.gettime() > deadline; end);
	end

	-- Of messages, those with this id.
	local function with_id(id, list)
		local out = {};
		for _, message in ipairs(list) do
			if message.attr.id == id then table.insert(out, message); end
		end
		return out;
	end
	-- Less than the second after which a message is sent again.
	local SOON = 0.8;

	local function says(code) return server:run("local saved = prosody.hosts.localhost.modules.receipts.module.save(); return "..code); end

	it("G1 forgets it as soon as an ack or a bounce has come", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		for _, to in ipairs { "bob@localhost", "nobody@localhost" } do
			alice:send(stanzas.ask { to = to, id = "settled" });
			alice:sync();
		end
		assert.equal("1", says("saved.resend.count"), "the bounce came at once");
		bob:send(stanzas.ack("alice@localhost/alice", "settled"));
		bob:sync();
		assert.equal("0", says("saved.resend.count"));
	end);

	it("G1 forgets what its sender corrects or retracts", function ()
		alice = client("alice", RECEIPTS);
		local function with(name, attr) return stanzas.chat({ to = "bob@localhost", id = "later" }):tag(name, attr); end
		local CORRECT, RETRACT, FASTEN = "urn:xmpp:message-correct:0", "urn:xmpp:message-retract:", "urn:xmpp:fasten:0";
		local function correct(to)
			local stanza = with("replace", { xmlns = CORRECT, id = "wrong" });
			stanza.attr.to = to;
			return stanza;
		end
		local FORGETTING = {
			correct("bob@localhost"), correct("bob@localhost/1");
			(with("retract", { xmlns = RETRACT.."1", id = "wrong" }));
			(with("apply-to", { xmlns = FASTEN, id = "wrong" }):tag("retract", { xmlns = RETRACT.."0" }));
		};
		local KEEPING = {
			correct("carol@localhost"), (with("replace", { xmlns = CORRECT, id = "another" }));
			(with("retract", { xmlns = CORRECT, id = "wrong" }));
			(with("apply-to", { xmlns = FASTEN, id = "wrong" }):tag("external", { xmlns = FASTEN }));
		};
		for expected, list in pairs { ["0"] = FORGETTING, ["1"] = KEEPING } do
			for _, other in ipairs(list) do
				bob = server:connect("bob@localhost/1"); -- else it would bounce
				alice:send(stanzas.ask { to = "bob@localhost", id = "wrong" });
				alice:send(other);
				alice:sync();
				assert.equal(expected, says("saved.resend.count"), tostring(other));
				bob:send(stanzas.ack("alice@localhost/alice", "wrong"));
				bob:close();
				servers.wait(function () return says("saved.resend.count") == "0"; end);
			end
		end
	end);

	it("G1 forgets with a message what has corrected it before: each correction names the first one", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		local function say(id, name, xmlns, to)
			local stanza = stanzas.ask({ to = to or "bob@localhost", id = id });
			if name then stanza:tag(name, { xmlns = xmlns, id = "first" }):up(); end
			alice:send(stanza);
			alice:sync();
		end
		local CORRECT, RETRACT = "urn:xmpp:message-correct:0", "urn:xmpp:message-retract:1";
		say("first");
		say("second", "replace", CORRECT);
		say("third", "replace", CORRECT, bob.jid);
		assert.equal("1", says("saved.resend.count"));
		bob:messages();
		assert.same({ "third" }, array(within(SOON + 0.7)):map(function (message) return message.attr.id; end));
		say("last", "retract", RETRACT);
		bob:send(stanzas.ack("alice@localhost/alice", "last"));
		bob:sync();
		assert.equal("0", says("saved.resend.count"));
	end);

	it("G1 keeps a correction that its client sends once more, as after a lost connection", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		for _ = 1, 2 do
			alice:send(stanzas.ask({ to = "bob@localhost", id = "corrected" }):tag("replace", { xmlns = "urn:xmpp:message-correct:0", id = "first" }):up());
			alice:sync();
			assert.equal("1", says("saved.resend.count"));
		end
		bob:send(stanzas.ack("alice@localhost/alice", "corrected"));
		bob:sync();
		assert.equal("0", says("saved.resend.count"));
	end);

	it("G1 keeps nothing that is not to be stored, not even for a while", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		for _, hint in ipairs { "no-store", "no-permanent-store" } do
			alice:send(stanzas.ask({ to = "bob@localhost", id = hint }):tag(hint, { xmlns = "urn:xmpp:hints" }):up());
		end
		alice:sync();
		assert.equal("1", says("saved.resend.count"));
		bob:send(stanzas.ack("alice@localhost/alice", "no-permanent-store"));
		bob:sync();
	end);

	it("G1 keeps no headline, nor a reaction, which its sender may have changed by then", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "news", type = "headline" }));
		alice:send(stanzas.ask({ to = "bob@localhost", id = "thumb" }):tag("reactions", { xmlns = "urn:xmpp:reactions:0", id = "m" })
			:tag("reaction"):text("thumb"):up():up():tag("fallback", { xmlns = "urn:xmpp:fallback:0", ["for"] = "urn:xmpp:reactions:0" }):up());
		alice:sync();
		assert.equal("0", says("saved.resend.count"));
		assert.equal("pending", says("saved.pending:state('alice@localhost', 'bob@localhost', 'thumb')"));
	end);

	it("G1 does not keep what matters for a moment only", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		local function ask(name, xmlns, body)
			alice:send(stanzas.ask({ to = "bob@localhost", id = name }, body):tag(name, { xmlns = xmlns }):up());
			alice:sync();
		end
		ask("propose", "urn:xmpp:jingle-message:0", false);
		ask("invite", "urn:xmpp:call-invites:0", false);
		ask("composing", "http://jabber.org/protocol/chatstates", false);
		assert.equal("0", says("saved.resend.count"));
		ask("active", "http://jabber.org/protocol/chatstates");
		ask("reading", "urn:example:sensor", false);
		assert.equal("2", says("saved.resend.count"));
		bob:send(stanzas.ack("alice@localhost/alice", "active"));
		bob:send(stanzas.ack("alice@localhost/alice", "reading"));
		bob:sync();
	end);

	it("G1 delivers it with its id and a delay, as often as allowed and ever later", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		-- At 0, 1 and 3 seconds, and not at 7.
		local began, got;
		local id = servers.swiftly(1.8, function (n)
			began = socket.gettime();
			alice:send(stanzas.ask({ to = "bob@localhost", id = "g1-"..n }));
			alice:sync();
			got = until_(function (list) return #with_id("g1-"..n, list) == 2; end);
			return "g1-"..n;
		end);
		table.move(until_(function () return says("saved.resend.count") == "0"; end), 1, 100, #got + 1, got);
		assert.is_true(socket.gettime() >= began + 3);
		got = with_id(id, got);
		assert.equal(3, #got);
		assert.is_nil(got[1]:get_child("delay", "urn:xmpp:delay"));
		for i = 2, 3 do
			assert.is_true(stanzas.asks(got[i]));
			assert.equal("hello", got[i]:get_child_text("body"));
			assert.is_table(got[i]:get_child("delay", "urn:xmpp:delay"));
		end
	end);

	it("G1 not once it is acked, nor after a bounce", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		local acked, bounced, came;
		servers.swiftly(SOON, function (n)
			acked, bounced = "acked-"..n, "bounced-"..n;
			alice:send(stanzas.ask({ to = "bob@localhost", id = acked }));
			alice:send(stanzas.ask({ to = "bob@localhost", id = bounced }));
			alice:sync();
			came = bob:messages();
			bob:send(stanzas.ack("alice@localhost/alice", acked));
			bob:send(st.message({ to = "alice@localhost/alice", id = bounced, type = "error" }):tag("error", { type = "cancel" }));
			bob:sync();
		end);
		assert.equal(1, #with_id(acked, came));
		assert.equal(1, #with_id(bounced, came));
		local more = within(1.5);
		assert.same({}, with_id(acked, more));
		assert.same({}, with_id(bounced, more));
	end);

	it("G1 the latest message with an id, when an earlier one has been acked", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		local id = servers.swiftly(SOON, function (n)
			alice:send(stanzas.ask({ to = "bob@localhost", id = tostring(n) }, "old"));
			alice:sync();
			bob:messages();
			bob:send(stanzas.ack("alice@localhost/alice", tostring(n)));
			bob:sync();
			return tostring(n);
		end);
		alice:send(stanzas.ask({ to = "bob@localhost", id = id }, "new"));
		alice:sync();
		local bodies = {}; -- a copy of the old one would come before that of the new one
		for _, message in ipairs(until_(function (got) return #with_id(id, got) >= 2; end)) do
			if message.attr.id == id then table.insert(bodies, message:get_child_text("body")); end
		end
		assert.same({ "new", "new" }, { bodies[1], bodies[2] }, "once, and again");
		bob:send(stanzas.ack("alice@localhost/alice", id));
		bob:sync();
	end);

	it("G1 not to a client that can't ack, and to one that can once it comes", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", NONE);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "later" }));
		alice:sync();
		assert.equal(1, #within(1.5));
		local first = bob;
		bob = client("bob@localhost/new", RECEIPTS);
		local got = {};
		servers.wait(function ()
			for _, message in ipairs(bob:messages()) do table.insert(got, message); end
			return #got > 0;
		end);
		assert.equal("later", got[1].attr.id);
		assert.same({}, first:messages());
	end);

	it("G1 not what a user writes to themselves, though mod_carbons puts in the address", function ()
		local before = says "saved.resend.count or 0";
		local one, other = client("alice@localhost/one", RECEIPTS), server:connect("alice@localhost/other", { features = RECEIPTS, carbons = true });
		for _, to in ipairs { "alice@localhost", "" } do
			local ask = stanzas.ask { to = to, id = "to myself "..to };
			ask.attr.to = to ~= "" and to or nil;
			one:send(ask):sync();
		end
		assert.equal(before, says "saved.resend.count or 0");
		assert.is_true(#other:messages() > 0);
	end);

	it("G1 not what another module has stopped on its way out", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		server:run([[
			module:hook("pre-message/bare", function (event)
				if event.stanza:get_child("body"):get_text() == "stop" then return true; end
			end, 5);
		]]);
		for _, body in ipairs { "stop", "go on" } do alice:send(stanzas.ask({ to = "bob@localhost", id = body }, body)); end
		alice:sync();
		local got = until_(function (list) return #with_id("go on", list) == 2; end);
		assert.same({}, with_id("stop", got));
	end);

	it("G1 also when the client that sent it has gone", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "sent and gone" }));
		alice:close();
		assert.equal(2, #with_id("sent and gone", until_(function (got) return #with_id("sent and gone", got) == 2; end)));
	end);

	it("G1 C1 also what the server has asked for", function ()
		alice, bob = client("alice", NONE), client("bob", RECEIPTS);
		alice:send(stanzas.chat { to = "bob@localhost", id = "asked for" });
		alice:sync();
		local got = with_id("asked for", until_(function (list) return #with_id("asked for", list) == 2; end));
		assert.is_nil(got[1]:get_child("delay", "urn:xmpp:delay"));
		assert.is_table(got[2]:get_child("delay", "urn:xmpp:delay"));
		for _, message in ipairs(got) do assert.is_true(stanzas.asks(message)); end
		bob:send(stanzas.ack("alice@localhost/alice", "asked for"));
		bob:sync();
	end);

	it("G1 not to a session that sleeps, or that stream management will deliver it to", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS, true);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "unacked" }));
		alice:sync();
		assert.equal(1, #with_id("unacked", within(1.5)), "not acked on the stream");
		bob:acknowledge();
		bob:sync();
		local handled = bob.handled;
		bob:drop(); -- "unacked" is acked on the stream by now, but there is no receipt for it
		servers.wait(function () return server:run("return prosody.full_sessions['bob@localhost/bob'].hibernating and true") == "true"; end);
		local before = says("saved.reports.counts.resent[false]");
		alice:send(stanzas.ask({ to = "bob@localhost", id = "asleep" }));
		alice:sync();
		local deadline = socket.gettime() + 1.5;
		servers.wait(function () alice:sync(); return socket.gettime() > deadline; end);
		assert.equal(before, says("saved.reports.counts.resent[false]"));
		bob = server:resume(bob, handled);
		local got = bob:messages(); -- with what is due now, of other specs too
		assert.equal(1, #with_id("asleep", got));
		assert.equal(0, #with_id("unacked", got));
	end);

	it("G1 to a session that has acked it on the stream, whatever else it has not acked there", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS, true);
		local carol = client("carol", NONE);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "streamed" }));
		alice:sync();
		bob:messages();
		bob:acknowledge();
		-- What it does not ack: another message of hers, one of somebody else's with that id, and the replies to its pings.
		for id, one in pairs { another = alice, streamed = carol } do one:send(stanzas.chat { to = bob.jid, id = id }):sync(); end
		until_(function (got)
			for _, message in ipairs(with_id("streamed", got)) do
				if message.attr.from == alice.jid then return true; end
			end
		end);
	end);

	it("G1 E6 a copy that has not arrived bounces to nobody", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS, true);
		local other = client("bob@localhost/other", RECEIPTS);
		alice:send(stanzas.ask({ to = bob.jid, id = "dies" }));
		alice:sync();
		bob:sync();
		bob:acknowledge();
		servers.wait(function ()
			for _, message in ipairs(bob:messages()) do
				if message.attr.id == "dies" and message:get_child("delay", "urn:xmpp:delay") then return true; end
			end
		end);
		bob:close(); -- without having acked the copy
		other:sync();
		assert.same({}, alice:messages());
		assert.truthy(server:why("alice@localhost", "dies"):find("G1 what was sent again has not arrived", 1, true));
		assert.equal("pending", server:run([[
			return prosody.hosts.localhost.modules.receipts.module.save().pending:state("alice@localhost", "bob@localhost", "dies");
		]]));
	end);

	-- alice asks bob, who is a user of another host, gets a copy, and loses his connection without having acked that.
	-- @param meanwhile  optional: function () that is called when the copy is on its way
	local function loses_a_copy(other, host, id, meanwhile)
		local contact = "bob@"..host;
		other:roster("alice", contact, "both");
		other:roster(contact, "alice@localhost", "both");
		alice = other:connect("alice", { features = RECEIPTS });
		bob = other:connect(contact.."/bob", { features = RECEIPTS, managed = "once" });
		local second = other:connect(contact.."/second", { features = NONE });
		servers.wait(function ()
			for _, one in ipairs { alice, bob, second } do one:sync(); end
			return other:support_of(bob.jid) == "capable";
		end);
		alice:sync();
		alice:send(stanzas.ask({ to = bob.jid, id = id }));
		alice:sync();
		bob:sync();
		bob:acknowledge();
		until_(function (got) return got[#got] and got[#got]:get_child("delay", "urn:xmpp:delay"); end);
		if meanwhile then meanwhile(); end
		bob:close();
		second:sync();
	end

	it("G1 E6 a copy to a user of another host of this server bounces to nobody either", function ()
		local other = servers.start { options = 'receipts_resend_attempts = 2 receipts_resend_after = "1s"', disabled = { "pep" },
			modules = { "receipts", "smacks" }, hosts = 'VirtualHost "elsewhere.localhost"' };
		finally(function () other:stop(); end);
		loses_a_copy(other, "elsewhere.localhost", "dies elsewhere");
		assert.same({}, alice:messages());
	end);

	-- With a host that is as on another server: it has no receipts.
	local function start_beside_far(attempts)
		return servers.start { disabled = { "pep" }, modules = { "smacks" }, hosts = ([[
			modules_enabled = { "receipts" }
			receipts_resend_attempts = %d
			receipts_resend_after = "1s"
			VirtualHost "far.example"
		]]):format(attempts) };
	end

	it("G1 E6 a copy that another server bounces is not the client's, which hears of its own message alone", function ()
		local other = start_beside_far(2);
		finally(function () other:stop(); end);
		loses_a_copy(other, "far.example", "far");
		assert.same({}, alice:messages());
		assert.truthy(other:why("alice@localhost", "far"):find("G1 what was sent again has not arrived", 1, true));
		local function state()
			return other:run([[
				return prosody.hosts.localhost.modules.receipts.module.save().pending:state("alice@localhost", "bob@far.example", "far");
			]]);
		end
		assert.equal("pending", state());
		bob = other:connect("bob@far.example/bob", { features = NONE });
		bob:send(st.message({ type = "error", to = alice.jid, id = "far" }):tag("error", { type = "cancel" })
			:tag("service-unavailable", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up():up());
		bob:sync();
		assert.equal(1, #alice:messages());
		assert.equal("failed", state());
	end);

	it("G1 E6 A3 nor is one that bounces after a reload", function ()
		local other = start_beside_far(2);
		finally(function () other:stop(); end);
		loses_a_copy(other, "far.example", "far", function () other:reload(); end);
		assert.same({}, alice:messages());
		assert.truthy(other:why("alice@localhost", "far"):find("G1 what was sent again has not arrived", 1, true));
	end);

	it("G1 E6 a message that is lost with a link to another server bounces and is failed, though its copy was lost there too", function ()
		local other = start_beside_far(1);
		finally(function () other:stop(); end);
		other:roster("alice", "bob@far.example", "both");
		other:roster("bob@far.example", "alice@localhost", "both");
		alice = other:connect("alice", { features = RECEIPTS });
		bob = other:connect("bob@far.example/bob", { features = RECEIPTS });
		servers.wait(function ()
			for _, one in ipairs { alice, bob } do one:sync(); end
			return other:support_of(bob.jid) == "capable";
		end);
		-- As a link to it has them, which goes down before the other server has acked them.
		other:run([[
			local link = { type = "s2sout", from_host = "localhost", to_host = "far.example", smacks = "urn:xmpp:sm:3", log = function () end };
			link.outgoing_stanza_queue = require "util.smqueue".new(10);
			prosody.spec_link = link;
			prosody.hosts["far.example"].events.add_handler("message/full", function (event)
				link.outgoing_stanza_queue:push(require "util.stanza".clone(event.stanza));
				return true;
			end, 1000);
		]]);
		alice:send(stanzas.ask { to = bob.jid, id = "linked" });
		servers.wait(function () alice:sync(); return other:run("return #prosody.spec_link.outgoing_stanza_queue") == "2"; end);
		other:run("module:fire_event('s2sout-destroyed', { session = prosody.spec_link })");
		local bounces = alice:messages();
		assert.equal(1, #bounces);
		assert.same({ "error", "linked" }, { bounces[1].attr.type, bounces[1].attr.id });
		assert.equal("failed", other:run([[
			return prosody.hosts.localhost.modules.receipts.module.save().pending:state("alice@localhost", "bob@far.example", "linked");
		]]));
	end);

	it("G1 E6 what a message that was sent again leaves behind is not taken for a later one with its id", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		alice:send(stanzas.ask({ to = bob.jid, id = "1" }));
		alice:sync();
		until_(function (got) return #with_id("1", got) == 2; end);
		bob:send(stanzas.ack(alice.jid, "1"));
		bob:sync();
		assert.equal(1, #alice:messages());
		alice:send(stanzas.ask({ to = bob.jid, id = "1" }));
		alice:sync();
		bob:send(st.message({ type = "error", to = alice.jid, id = "1" }):tag("error", { type = "cancel" }):up());
		bob:sync();
		assert.equal(1, #alice:messages());
	end);

	it("G1 E6 nor for one that does not ask, or is not kept, with its id", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		for id, later in pairs { plain = stanzas.chat, headline = function (how) how.type = "headline"; return stanzas.ask(how); end } do
			alice:send(stanzas.ask({ to = bob.jid, id = id }));
			alice:sync();
			until_(function (got) return #with_id(id, got) == 2; end);
			bob:send(stanzas.ack(alice.jid, id));
			bob:sync();
			assert.equal(1, #alice:messages());
			alice:send(later { to = bob.jid, id = id });
			alice:sync();
			bob:send(st.message({ type = "error", to = alice.jid, id = id }):tag("error", { type = "cancel" }):up());
			bob:sync();
			assert.equal(1, #alice:messages(), id);
		end
	end);

	it("G1 not to a client that has only shown itself to the sender, for which messages to the bare JID are not", function ()
		local function offline(action) server:run(("assert(require 'core.modulemanager'.%s('localhost', 'offline'))"):format(action)); end
		offline("load");
		finally(function () offline("unload"); end);
		alice = client("alice", RECEIPTS);
		bob = server:connect("bob", { features = RECEIPTS, presence = false });
		bob:send(bob:presence { to = alice.jid });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "capable"; end);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "stored" }));
		alice:sync();
		assert.same({}, within(1.5));
		bob:send(bob:presence());
		until_(function (got) return #with_id("stored", got) > 0; end);
		bob:send(stanzas.ack(alice.jid, "stored")):sync();
	end);

	it("G1 F0 an error that a client sends to its own user is no error of ours", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "wakes" }));
		for _, to in ipairs { false, alice.bare } do
			alice:send(st.message({ type = "error", to = to or nil, id = "q" }, "hello"));
			alice:sync();
		end
		assert.equal("0", says("saved.reports.counts.errors.hook"));
	end);

	it("G1 not to a client of negative priority, for which messages to the bare JID are not", function ()
		local function offline(action) server:run(("assert(require 'core.modulemanager'.%s('localhost', 'offline'))"):format(action)); end
		offline("load"); -- else what nobody gets bounces
		finally(function () offline("unload"); end);
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		bob:send(bob:presence():tag("priority"):text("-1"):up());
		bob:sync();
		for id, to in pairs { bare = "bob@localhost", full = bob.jid } do
			alice:send(stanzas.ask({ to = to, id = id }));
			alice:sync();
		end
		local got = within(1.5);
		assert.same({}, with_id("bare", got));
		assert.equal(2, #with_id("full", got));
		bob:send(bob:presence());
		bob:sync();
	end);

	it("G1 not to who has blocked the sender, nor to whom the sender has blocked", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		for one, other in pairs { [bob] = alice, [alice] = bob } do
			local function set(action)
				return one:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = other.bare }));
			end
			local id = servers.swiftly(SOON, function (n)
				if n > 1 then set("unblock"); end
				alice:send(stanzas.ask({ to = "bob@localhost", id = "blocked by "..one.bare..n }));
				alice:sync();
				set("block");
				return "blocked by "..one.bare..n;
			end);
			bob:send(bob:presence());
			assert.equal(1, #with_id(id, within(1.5)));
			assert.falsy(server:why("alice@localhost", id):find("G1 sent again", 1, true));
			set("unblock");
		end
	end);

	it("G1 F0 what a client sends is no bounce of a copy, though it has the copy's id", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		alice:send(stanzas.ask { to = bob.jid, id = "theirs" }):sync();
		until_(function (got) return #with_id("theirs", got) == 2; end);
		bob:send(stanzas.chat({ to = alice.jid, id = "theirs" }, "mine")):sync();
		assert.equal("mine", alice:messages()[1]:get_child_text("body"));
	end);

	it("G1 nor to whom the sender may not see", function ()
		alice, bob = client("carol", RECEIPTS), client("bob", RECEIPTS);
		local id = servers.swiftly(SOON, function (n)
			alice:send(stanzas.ask { to = "bob@localhost", id = "stranger-"..n }):sync();
			return "stranger-"..n;
		end);
		assert.equal(1, #with_id(id, within(1.5)));
		assert.falsy(server:why("carol@localhost", id):find("G1 sent again", 1, true));
	end);

	it("G1 not to who has taken the nick of a room's occupant", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		local mallory = client("mallory", RECEIPTS);
		local function occupies(one, room, nick, type)
			one:send(one:presence({ to = room..nick, type = type }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
			one:sync();
		end
		local first = bob;
		for _, known in ipairs { true, false } do
			bob = first;
			local id = servers.swiftly(SOON, function (n)
				local id = ("private-%d-%s"):format(n, known);
				local room = ("room%d%s@rooms.localhost/"):format(n, known);
				occupies(alice, room, "alice");
				occupies(bob, room, "bob");
				alice:sync();
				if not known then server:run("local saved = prosody.hosts.localhost.modules.receipts.module.save(); "
					.."saved.rooms.of_session[prosody.full_sessions['alice@localhost/alice']] = nil"); end -- joined before the module came
				alice:send(stanzas.ask({ to = room.."bob", id = id }));
				alice:sync();
				assert.equal(1, #with_id(id, bob:messages()));
				occupies(bob, room, "bob", "unavailable");
				occupies(mallory, room, "bob");
				return id;
			end);
			bob = mallory;
			assert.same({}, with_id(id, within(1.5)));
		end
	end);

	it("G1 nor is what is asked of an occupant kept, in place of what could be sent again", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", RECEIPTS);
		for nick, one in pairs { alice = alice, bob = bob } do
			one:send(one:presence({ to = "kept@rooms.localhost/"..nick }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up()):sync();
		end
		alice:sync();
		local KEPT = "require 'util.iterators'.count(pairs(saved.resend.kept['alice@localhost'] or {}))";
		local before = says(KEPT);
		alice:send(stanzas.ask { to = "kept@rooms.localhost/bob", id = "private" }):sync();
		assert.equal(before, says(KEPT));
		alice:send(stanzas.ask { to = "bob@localhost", id = "public" }):sync();
		assert.equal(tonumber(before) + 1, tonumber(says(KEPT)));
	end);

	-- bob, of that host, is answered for, though a copy has gone to his other client, which has not got it.
	local function answers_for_first(at, host)
		local contact = "bob@"..host;
		alice = at:connect("alice", { features = RECEIPTS });
		for i, when in ipairs { "before", "after" } do
			local id = "first one "..when;
			local first = at:connect(contact.."/bob", { managed = true, presence = false });
			first:show { "urn:example:nothing", "urn:example:"..when };
			first.held = {};
			first:send("<presence/>");
			first:sync();
			alice:send(stanzas.ask { to = contact, id = id });
			alice:sync();
			servers.wait(function () return #with_id(id, first:messages()) == 1; end);
			if when == "before" then first:acknowledge(); end
			first:sync();
			bob = at:connect(contact.."/"..i, { features = RECEIPTS, managed = true });
			servers.wait(function ()
				for _, one in ipairs { alice, bob } do one:sync(); end -- either may be the one that is asked
				return at:support_of(bob.jid) == "capable" and at:support_of(bob.jid, host) == "capable";
			end);
			until_(function (got) return #with_id(id, got) == 1; end);
			bob:close(); -- without having acked the copy
			servers.wait(function () first:sync(); return first.queries; end);
			first:answer_held();
			servers.wait(function () first:sync(); return at:support_of(first.jid, host) == "incapable"; end);
			if when == "after" then first:acknowledge(); end
			local acks = {};
			servers.wait(function ()
				first:sync();
				for _, message in ipairs(alice:messages()) do table.insert(acks, stanzas.acked(message)); end
				return #acks > 0;
			end);
			assert.same({ id }, acks);
			first:close();
		end
	end

	it("G1 D4 a copy that has not arrived either keeps nobody from being answered for, who has the first one", function ()
		server:run("prosody.hosts.localhost.modules.receipts.module.save().preferences:set('bob', { answer = 'yes' })");
		finally(function () server:run("prosody.hosts.localhost.modules.receipts.module.save().preferences:set('bob', { answer = 'default' })"); end);
		answers_for_first(server, "localhost");
	end);

	it("G1 D4 nor does a copy that comes from a host that sends again to one that does not", function ()
		local other = servers.start { options = 'receipts_answer = "opt-out"', disabled = { "pep" }, modules = { "receipts", "smacks" }, hosts = [[
			receipts_resend_attempts = 2
			receipts_resend_after = "1s"
			VirtualHost "elsewhere.localhost"
		]] };
		finally(function () other:stop(); end);
		other:roster("alice", "bob@elsewhere.localhost", "both");
		other:roster("bob@elsewhere.localhost", "alice@localhost", "both");
		answers_for_first(other, "elsewhere.localhost");
	end);

	it("G1 F1 not to the namesake of a user of another host who is gone", function ()
		local other = servers.start { options = 'receipts_resend_attempts = 1 receipts_resend_after = "1s"', disabled = { "pep" },
			hosts = 'VirtualHost "elsewhere.localhost"' };
		finally(function () other:stop(); end);
		alice = other:connect("alice", { features = RECEIPTS });
		local function befriended(name, resource)
			local contact = name.."@elsewhere.localhost";
			other:roster("alice", contact, "both");
			other:roster(contact, "alice@localhost", "both");
			local one = other:connect(contact.."/"..resource, { features = RECEIPTS });
			servers.wait(function ()
				for _, each in ipairs { alice, one } do each:sync(); end
				return other:support_of(one.jid) == "capable";
			end);
			return one;
		end
		local carol = befriended("carol", "r");
		bob = befriended("bob", "r");
		alice:send(stanzas.ask { to = bob.bare, id = "for him who goes" });
		alice:sync();
		assert.equal(1, #bob:messages());
		other:run("prosody.events.fire_event('user-deleted', { username = 'bob', host = 'elsewhere.localhost' })");
		bob = befriended("bob", "another");
		alice:send(stanzas.ask { to = carol.bare, id = "a second ago" });
		local got = {};
		servers.wait(function ()
			table.move(carol:messages(), 1, 100, #got + 1, got);
			return #got == 2;
		end);
		assert.same({}, bob:messages());
	end);

	it("A3 G1 nothing that waits is kept in memory when the module goes", function ()
		alice, bob = client("alice", RECEIPTS), client("bob", NONE);
		alice:send(stanzas.ask({ to = "bob@localhost", id = "waits" }));
		alice:sync();
		assert.equal("1 0", server:run([[
			local kept = setmetatable({}, { __mode = "k" });
			local function count()
				collectgarbage();
				collectgarbage();
				local n = 0;
				for _ in pairs(kept) do n = n + 1; end
				return n;
			end;
			(function () -- so that no variable of ours holds on to it
				for _, theirs in pairs(prosody.hosts.localhost.modules.receipts.module.save().resend.kept) do
					for message in pairs(theirs) do
						if message.content.attr.id == "waits" then kept[message.content] = true; end
					end
				end
			end)();
			local before = count();
			require "core.modulemanager".unload("localhost", "receipts");
			local after = count();
			require "core.modulemanager".load("localhost", "receipts");
			return before.." "..after;
		]]));
	end);

	it("G1 a copy that is lost with the last session of its user is not stored for the next, nor by a host that does not send again", function ()
		local other = servers.start { disabled = { "pep" }, modules = { "receipts", "smacks", "offline" }, hosts = [[
			receipts_resend_attempts = 2
			receipts_resend_after = "1s"
			VirtualHost "elsewhere.localhost"
		]] };
		finally(function () other:stop(); end);
		for _, host in ipairs { "localhost", "elsewhere.localhost" } do
			local contact = "bob@"..host;
			other:roster("alice", contact, "both");
			other:roster(contact, "alice@localhost", "both");
			alice = other:connect("alice", { features = RECEIPTS });
			bob = other:connect(contact.."/bob", { features = RECEIPTS, managed = "once" });
			servers.wait(function ()
				for _, one in ipairs { alice, bob } do one:sync(); end -- either may be the one that is asked
				return other:support_of(bob.jid) == "capable";
			end);
			alice:sync();
			alice:send(stanzas.ask { to = contact, id = "last" });
			alice:sync();
			bob:sync();
			bob:acknowledge();
			until_(function (got) return got[#got] and got[#got]:get_child("delay", "urn:xmpp:delay"); end);
			bob:close();
			alice:sync();
			bob = other:connect(contact.."/bob", { presence = false });
			bob:send("<presence/>");
			assert.same({}, with_id("last", bob:messages()), host);
			bob:close();
		end
	end);

	it("G1 F0 a copy from another server is stored: its first one may have been lost on the way", function ()
		local other = servers.start { options = "receipts_resend_attempts = 2", modules = { "receipts", "smacks", "offline" } };
		finally(function () other:stop(); end);
		bob = other:connect("bob", { managed = "once" });
		local copy = stanzas.ask({ from = "alice@far.example/a", to = bob.jid, id = "from afar" })
			:tag("delay", { xmlns = "urn:xmpp:delay", from = "far.example", stamp = "2026-01-01T00:00:00Z" })
			:text("Sent again: no receipt has come"):up();
		other:run(([[
			local copy = require "util.xml".parse(%q);
			copy.attr.xmlns = nil;
			module:send(copy);
		]]):format(tostring(copy)));
		assert.equal(1, #with_id("from afar", bob:messages()));
		bob:close(); -- without having acked it
		bob = other:connect("bob", { presence = false });
		bob:send("<presence/>");
		assert.equal(1, #with_id("from afar", bob:messages()));
	end);

	it("G1 F0 no message that has waited in offline storage is taken for a copy, and lost with a session that dies", function ()
		local other = servers.start { options = "receipts_resend_attempts = 2", modules = { "receipts", "smacks", "offline" } };
		finally(function () other:stop(); end);
		other:connect("bob"):close();
		local hints = stanzas.chat { to = "bob@localhost", id = "hints" };
		for _, hint in ipairs { "no-store", "no-copy" } do hints:tag(hint, { xmlns = "urn:xmpp:hints" }):up(); end
		other:connect("alice"):send(hints):sync();
		for _, how in ipairs { "and dies without having acked it", "once more" } do
			local one = other:connect("bob", { managed = "once", presence = false });
			one:send("<presence/>");
			local got = one:messages();
			assert.equal("hints", got[1] and got[1].attr.id, how);
			one:close();
		end
	end);
end);
