-- SPDX-License-Identifier: MIT
-- Chapter E on the wire: acks matched, forged ones dropped, malformed ones recognised, presence protected.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local R = stanzas.xmlns;

local function suite(options, body)
	describe(options, function ()
		local server;
		local on = {};
		setup(function ()
			server = servers.start { modules = { "receipts", "smacks" }, options = options.."\nbounce_blocked_messages = true\n";
				hosts = servers.rooms..servers.gateway };
		end);
		teardown(function () server:stop(); end);
		before_each(function ()
			on.server = server;
			for _, name in ipairs { "alice", "bob", "mallory" } do
				on[name] = server:connect(name);
				if name ~= "alice" then server:roster(name, "alice@localhost", "both"); end
			end
		end);
		after_each(function () server:disconnect_all(); end);

		function on.send(from, stanza)
			on[from]:send(stanza);
			on[from]:sync();
		end
		function on.asked(id, to)
			on.send("alice", stanzas.ask { to = to or "bob@localhost", id = id });
			on.bob:sync();
		end
		-- What alice gets once `from` has sent this.
		function on.alice_gets(from, stanza)
			on.send(from, stanza);
			return on.alice:messages();
		end
		body(on);
	end);
end

suite("", function (on)
	it("E1 lets an ordinary ack through, and a second one", function ()
		on.asked("e1");
		for _ = 1, 2 do
			local got = on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e1"));
			assert.equal("e1", stanzas.acked(got[1]));
		end
	end);

	it("F4 E1 E3 what strangers can send without end keeps why from telling of nothing but such", function ()
		on.send("alice", stanzas.chat { to = "bob@localhost", id = "mine" });
		on.asked("acked");
		on.send("bob", stanzas.ack("alice@localhost/alice", "acked", { type = "normal" }));
		on.asked("bounced");
		on.send("bob", st.message { to = "alice@localhost/alice", id = "bounced", type = "error" }:tag("error", { type = "cancel" }));
		on.send("alice", stanzas.ask { to = "nobody@localhost", id = "back at once" });
		on.asked("open");
		local wanted = { mine = "C1 not asked for", acked = "E1 delivered", bounced = "E6 bounced", ["back at once"] = "E6 bounced" };
		local function told()
			for id, why in pairs(wanted) do assert.equal(why, on.server:why("alice@localhost", id):sub(1, #why)); end
		end
		told();
		for i = 1, 40 do
			on.mallory:send(stanzas.ack("alice@localhost", "made-up"..i));
			on.mallory:send(stanzas.ack("alice@localhost", "open"));
			on.mallory:send(stanzas.ack("alice@localhost", "made-up"..i, { type = "error" }));
			on.mallory:send(stanzas.ask { to = "alice@localhost", id = "made-up"..i, type = "error" });
		end
		on.mallory:sync();
		assert.truthy(on.server:why("alice@localhost", "made-up40"):find("E1 unknown", 1, true));
		told();
		on.alice:sync();
	end);

	it("E1 matches whatever resource acks, on whatever type, to the full or the bare JID", function ()
		on.bob2 = on.server:connect("bob@localhost/other");
		for i, type in ipairs { "chat", "normal", "none", "headline", "groupchat" } do
			on.asked("e1t"..i, "bob@localhost/bob");
			local got = on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "e1t"..i, { type = type }));
			assert.same({}, got, "forged as "..type);
			got = on.alice_gets("bob2", stanzas.ack("alice@localhost/alice", "e1t"..i, { type = type }));
			assert.equal("e1t"..i, stanzas.acked(got[1]), type);
		end
		on.asked("e1bare");
		assert.equal("e1bare", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost", "e1bare"))[1]));
	end);

	it("E1 takes an id for forged that is another one to the server than to the client that reads it", function ()
		on.asked("with space");
		for _, white in ipairs { "&#9;", "&#10;", "&#13;", " " } do
			local ack = "<message to='alice@localhost' type='chat'><received xmlns='%s' id='with%sspace'/></message>";
			assert.same({}, on.alice_gets("mallory", ack:format(R, white)), white);
		end
		assert.equal("with space", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost", "with space"))[1]));
	end);

	it("E1 takes an id asked of several people from each of them", function ()
		on.asked("same");
		on.asked("same", "mallory@localhost");
		on.mallory:sync();
		assert.equal("same", stanzas.acked(on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "same"))[1]));
		assert.equal("same", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "same"))[1]));
	end);

	it("E1 takes acks of what was sent to a host from whomever that has handed it to", function ()
		on.asked("multicast", "localhost");
		on.alice:messages(); -- this host does not, and bounces it
		assert.equal("multicast", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "multicast"))[1]));
		on.asked("multicast");
		assert.same({}, on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "multicast")));
	end);

	it("E1 takes an ack to a room occupant's message from that occupant only", function ()
		for _, name in ipairs { "alice", "bob", "mallory" } do
			on.send(name, st.presence({ to = "room@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		end
		on.alice:messages();
		on.send("alice", stanzas.ask { to = "room@rooms.localhost/bob", id = "pm" });
		assert.same({}, on.alice_gets("mallory", stanzas.ack("room@rooms.localhost/alice", "pm")));
		assert.equal("pm", stanzas.acked(on.alice_gets("bob", stanzas.ack("room@rooms.localhost/alice", "pm"))[1]));
	end);

	it("F3 the events of a message to a room occupant say which one, and those of others whose account", function ()
		on.server:run([[
			module.spec_told = {};
			function module.spec_hears(event) table.insert(module.spec_told, event.to); end
			for _, name in ipairs { "requested", "delivered" } do module:hook("receipts/"..name, module.spec_hears); end
		]]);
		finally(function ()
			on.server:run("for _, name in ipairs { 'requested', 'delivered' } do module:unhook('receipts/'..name, module.spec_hears); end");
		end);
		local function told() return on.server:run("local told = module.spec_told; module.spec_told = {}; return table.concat(told, ' ')"); end
		on.send("alice", stanzas.ask({ to = "events@rooms.localhost/bob", id = "outside" })
			:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up());
		assert.equal("events@rooms.localhost/bob", told());
		for _, name in ipairs { "alice", "bob" } do
			on.send(name, st.presence({ to = "events@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		end
		on.send("alice", stanzas.ask { to = "events@rooms.localhost/bob", id = "inside" });
		on.send("bob", stanzas.ack("events@rooms.localhost/alice", "inside"));
		assert.equal("events@rooms.localhost/bob events@rooms.localhost/bob", told());
		on.send("alice", stanzas.ask { to = "bob@localhost/bob", id = "neither" });
		on.send("bob", stanzas.ack("alice@localhost/alice", "neither"));
		assert.equal("bob@localhost bob@localhost", told());
	end);

	it("F3 the event of an element that is taken out of a message to oneself, which needs no address, says whose it was", function ()
		on.server:run([[
			function module.spec_hears(event) module.spec_told = table.concat({ event.from, event.to, event.id, event.by, event.reason }, " "); end
			module:hook("receipts/rejected", module.spec_hears);
		]]);
		finally(function () on.server:run("module:unhook('receipts/rejected', module.spec_hears)"); end);
		on.send("alice", stanzas.chat({}):tag("received", { xmlns = R, id = "own" }):text("x"):up());
		assert.equal("alice@localhost alice@localhost/alice own alice@localhost/alice received-not-empty", on.server:run("return module.spec_told"));
	end);

	it("E2 drops a forged ack in silence, and the true one still counts", function ()
		on.asked("e2");
		on.mallory:stanzas();
		on.mallory:send(stanzas.ack("alice@localhost/alice", "e2"));
		assert.same({}, on.mallory:stanzas(), "no error comes back");
		assert.same({}, on.alice:messages());
		assert.equal("e2", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e2"))[1]));
	end);

	it("E2 drops only the ack from a forged message that carries more", function ()
		on.asked("e2more");
		local got = on.alice_gets("mallory", stanzas.chat({ to = "alice@localhost/alice", id = "x" }, "psst")
			:tag("received", { xmlns = R, id = "e2more" }));
		assert.equal("psst", got[1]:get_child_text("body"));
		assert.is_nil(stanzas.acked(got[1]));
	end);

	it("E2 drops a forged ack with nothing but hints beside it", function ()
		on.asked("e2hints");
		assert.same({}, on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "e2hints")
			:tag("store", { xmlns = "urn:xmpp:hints" }):up():tag("origin-id", { xmlns = "urn:xmpp:sid:0", id = "o" })));
		local got = on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "e2hints")
			:tag("received", { xmlns = "urn:xmpp:chat-markers:0", id = "e2hints" }));
		assert.is_nil(stanzas.acked(got[1]));
		assert.is_table(got[1]:get_child("received", "urn:xmpp:chat-markers:0"), "a chat marker is no business of ours");
	end);

	it("E2 passes an ack that nothing is known of", function ()
		assert.equal("nobody asked", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "nobody asked"))[1]));
	end);

	describe("E3 takes out", function ()
		local function out(stanza)
			on.send("alice", stanza);
			local got = on.bob:messages();
			assert.equal(1, #got, "the rest is delivered");
			assert.equal("hello", got[1]:get_child_text("body"));
			return got[1];
		end
		it("a request without id", function ()
			assert.is_false(stanzas.asks(out(stanzas.ask { to = "bob@localhost" })));
			assert.is_false(stanzas.asks(out(stanzas.ask { to = "bob@localhost", id = "" })));
			on.asked("before"); -- from now on it is known that bob is not answered for
			on.bob:messages();
			assert.is_false(stanzas.asks(out(stanzas.chat { to = "bob@localhost" }:tag("request", { xmlns = R, id = "its own" }))));
		end);
		it("a request in an ack", function ()
			on.asked("before");
			local got = on.alice_gets("bob", stanzas.ask({ to = "alice@localhost/alice", id = "e3" }):tag("received", { xmlns = R, id = "before" }));
			assert.is_false(stanzas.asks(got[1]));
			assert.equal("before", stanzas.acked(got[1]));
		end);
		it("a request that is not empty", function ()
			assert.is_false(stanzas.asks(out(stanzas.chat({ to = "bob@localhost", id = "1" }):tag("request", { xmlns = R }):text("now!"))));
		end);
		it("a received that is not empty", function ()
			on.asked("ne");
			local got = on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice" }):tag("received", { xmlns = R, id = "ne" }):text("x"));
			assert.is_nil(stanzas.acked(got[1]));
			assert.same({}, on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice" }, false)
				:tag("received", { xmlns = R, id = "ne" }):text("x")), "nothing else in it: dropped");
		end);
		it("a received without id that matches nothing", function ()
			local got = on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice", id = "no such" }):tag("received", { xmlns = R }));
			assert.equal("hello", got[1]:get_child_text("body"));
			assert.is_nil(stanzas.acked(got[1]));
			assert.same({}, on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice", id = "no such" }, false):tag("received", { xmlns = R })));
		end);
		it("all but the first received", function ()
			on.asked("first");
			on.asked("second", "mallory@localhost");
			local got = on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "first"):tag("received", { xmlns = R, id = "second" }));
			local ids = {};
			for received in got[1]:childtags("received", R) do table.insert(ids, received.attr.id); end
			assert.same({ "first" }, ids);
		end);
	end);

	it("E1 an ack that comes again is a duplicate for a day", function ()
		local function again_after(seconds)
			return on.server:run(([[
				local pending, now = prosody.hosts.localhost.modules.receipts.module.save().pending, require "util.time".now();
				local function match(time) return (pending:match("ann@localhost", "bob@localhost", "day", time)); end
				pending:add("ann@localhost", "bob@localhost", "day", now);
				match(now);
				pending:expire(now + %d, 10, "ann@localhost");
				return match(now + %d);
			]]):format(seconds, seconds));
		end
		assert.equal("duplicate", again_after(86000));
		assert.equal("unknown", again_after(86500));
	end);

	it("E3 notes why an element was taken out of what a client sends, and nothing where none was", function ()
		on.send("alice", stanzas.chat({ to = "bob@localhost", id = "noted" }):tag("request", { xmlns = R }):text("now!"));
		for _, user in ipairs { "alice@localhost", "bob@localhost" } do
			assert.truthy(on.server:why(user, "noted"):find("E3 request-not-empty", 1, true), user);
		end
		on.send("alice", stanzas.ask({ to = "bob@localhost", id = "not noted", type = "groupchat" }));
		for _, user in ipairs { "alice@localhost", "bob@localhost" } do assert.equal("", on.server:why(user, "not noted")); end
	end);

	it("E3 takes receipt elements from errors, and takes none for an ack", function ()
		on.asked("bounced");
		local got = on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice", id = "bounced", type = "error" })
			:tag("request", { xmlns = R }):up():tag("received", { xmlns = R, id = "bounced" }):up():tag("error", { type = "cancel" }));
		assert.equal("error", got[1].attr.type);
		assert.is_table(got[1]:get_child("error"));
		assert.is_false(stanzas.asks(got[1]));
		assert.is_nil(stanzas.acked(got[1]));
		assert.same({}, on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "bounced")), "not delivered: forged is forged");
		on.asked("not bounced");
		got = on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "not bounced", { type = "error" }));
		assert.same({}, got, "an error is no way round");
		assert.equal("not bounced", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "not bounced"))[1]));
	end);

	it("E3 takes nothing but the ack: an invitation beside it arrives", function ()
		on.asked("invite");
		local got = on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "invite")
			:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):tag("invite", { from = "mallory@localhost" }):up():up());
		assert.equal(1, #got);
		assert.is_nil(stanzas.acked(got[1]));
		assert.is_table(got[1]:get_child("x", "http://jabber.org/protocol/muc#user"):get_child("invite"));
	end);

	it("F3 tells who asked also where a module sends in a user's name, and has no address of its own", function ()
		on.server:run("function module.spec_hears(event) module.spec_by = event.by; end; module:hook('receipts/requested', module.spec_hears)");
		finally(function () on.server:run("module:unhook('receipts/requested', module.spec_hears)"); end);
		on.server:run(([[
			local ask = require "util.stanza".message({ type = "chat", from = "alice@localhost", to = "bob@localhost", id = "by a gateway" }, "hi")
				:tag("request", { xmlns = %q }):up();
			prosody.core_post_stanza({ type = "c2s", username = "alice", host = "localhost", log = module._log }, ask, true);
		]]):format(stanzas.xmlns));
		assert.equal("alice@localhost", on.server:run("return module.spec_by"));
	end);

	it("E1 F3 knows whose message it is also where a module sends in a user's name to the user", function ()
		on.server:run("function module.spec_hears(event) module.spec_from = event.from; end; module:hook('receipts/delivered', module.spec_hears)");
		finally(function () on.server:run("module:unhook('receipts/delivered', module.spec_hears)"); end);
		on.server:connect("solo"); -- without carbons, for which mod_carbons puts in the address that Prosody has taken out
		local function send(elements)
			on.server:run(([[
				local message = require "util.stanza".message({ type = "chat", from = "solo@localhost", to = "solo@localhost", id = "to oneself" })
					:add_child(assert(require "util.xml".parse(%q)));
				prosody.core_post_stanza({ type = "c2s", username = "solo", host = "localhost", log = module._log }, message, true);
			]]):format(elements));
		end
		send("<request xmlns='"..R.."'/>");
		send("<received xmlns='"..R.."' id='to oneself'/>");
		assert.equal("solo@localhost", on.server:run("return module.spec_from"));
	end);

	it("E6 takes a bounce for a failure, and a later ack still wins", function ()
		on.asked("e6");
		on.alice_gets("mallory", stanzas.chat({ to = "alice@localhost/alice", id = "e6", type = "error" }):tag("error", { type = "cancel" }):up());
		local function state()
			return on.server:run("local l = prosody.hosts.localhost.modules.receipts.module.save().pending:list('alice@localhost') "
				.."for _, e in ipairs(l) do if e.id == 'e6' then return e.state end end return 'delivered'");
		end
		assert.equal("pending", state(), "not from who was asked");
		on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice", id = "e6", type = "error" }):tag("error", { type = "cancel" }):up());
		assert.equal("failed", state());
		assert.equal("e6", stanzas.acked(on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e6"))[1]));
		assert.equal("delivered", state());
		local bounce = stanzas.chat({ to = "alice@localhost/alice", id = "e6", type = "error" }):tag("error", { type = "cancel" }):up();
		assert.equal("error", on.alice_gets("bob", bounce)[1].attr.type);
		assert.equal("delivered", state());
		assert.equal("E6 bounced; E6 bounced after its ack", on.server:why("alice@localhost", "e6"));
		for _ = 1, 40 do on.send("bob", bounce); end
		on.alice:messages();
		assert.truthy(on.server:why("alice@localhost", "e6"):find("^E6 bounced; "), "F4 whoever was asked cannot displace what concerns the user");
	end);

	describe("E6 takes what Prosody itself bounces for a failure:", function ()
		local function state(id, to)
			return on.server:run(("local state = prosody.hosts.localhost.modules.receipts.module.save().pending:state("
				.."'alice@localhost/alice', %q, %q) return tostring(state)"):format(to, id));
		end
		local function bounces(id, to)
			on.alice:send(stanzas.ask { to = to, id = id });
			local got = on.alice:messages();
			assert.equal(1, #got);
			assert.same({ "error", to, id }, { got[1].attr.type, got[1].attr.from, got[1].attr.id });
			return state(id, to);
		end

		it("there is no such user", function ()
			local failed = "return prosody.hosts.localhost.modules.receipts.module.save().reports.counts.outcomes.failed";
			local before = tonumber(on.server:run(failed));
			assert.equal("failed", bounces("nobody", "nobody@localhost"));
			assert.equal("failed", bounces("nobody-there", "nobody@localhost/there"));
			assert.equal(before + 2, tonumber(on.server:run(failed)));
			assert.equal("E6 bounced", on.server:why("alice@localhost", "nobody"));
		end);

		it("a component is not connected", function ()
			assert.equal("failed", bounces("gateway", "number@gateway.localhost"));
		end);

		it("nobody of that name is in the room", function ()
			on.send("alice", st.presence({ to = "room@rooms.localhost/alice" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			on.alice:messages();
			on.server:run("function module.spec_hears(event) module.spec_to = event.to; end; module:hook('receipts/failed', module.spec_hears)");
			finally(function () on.server:run("module:unhook('receipts/failed', module.spec_hears)"); end);
			assert.equal("failed", bounces("occupant", "room@rooms.localhost/nobody"));
			assert.equal("room@rooms.localhost/nobody", on.server:run("return module.spec_to"), "F3 whom");
			assert.equal("failed", bounces("no-occupant", "nobody@localhost/there"));
			assert.equal("nobody@localhost", on.server:run("return module.spec_to"), "F3 whom");
		end);

		it("the sender is blocked", function ()
			local function block(verb)
				on.bob:iq(st.stanza("iq", { type = "set" }):tag(verb, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "alice@localhost" }));
			end
			block("block");
			finally(function () block("unblock"); end);
			on.alice:sync();
			assert.equal("failed", bounces("blocked", "bob@localhost"));
		end);

		it("it goes to oneself, and the server has no from for what it says of that", function ()
			on.server:run("function module.spec_hears(event) module.spec_to = event.to..' by '..event.by; end; "
				.."module:hook('receipts/failed', module.spec_hears)");
			finally(function () on.server:run("module:unhook('receipts/failed', module.spec_hears)"); end);
			on.alice:send("<presence type='unavailable'/>");
			on.alice:send(stanzas.ask { to = "alice@localhost", id = "self" });
			local bounce = on.alice:messages()[1];
			assert.same({ "error", nil, "self" }, { bounce.attr.type, bounce.attr.from, bounce.attr.id });
			assert.equal("failed", state("self", "alice@localhost"));
			assert.equal("alice@localhost by alice@localhost", on.server:run("return module.spec_to"), "F3 whom, and by whom");
			assert.equal("E6 bounced", on.server:why("alice@localhost", "self"));
			on.alice:send(on.alice:presence());
			on.alice:send(stanzas.ask { to = "alice@localhost", id = "self later" });
			on.alice:sync();
			on.server:run([[ -- as mod_smacks says it of what another device has died with
				local bounce = require "util.stanza".message({ type = "error", to = "alice@localhost/alice", id = "self later" });
				prosody.core_post_stanza(prosody.hosts.localhost, bounce:tag("error", { type = "cancel" }):up());
			]]);
			assert.equal("failed", state("self later", "alice@localhost"));
			assert.equal("alice@localhost by alice@localhost", on.server:run("return module.spec_to"), "F3 the same where it passes as a message");
			on.alice:sync();
		end);

		it("also after a reload, once for each, and to clients that come later", function ()
			for _ = 1, 2 do on.server:reload(); end
			assert.equal("failed", bounces("reloaded", "nobody@localhost"));
			assert.equal("1", on.server:run("return #(prosody.full_sessions['alice@localhost/alice'].filters['stanzas/out'] or {})"));
			on.server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
			assert.equal("0", on.server:run("return #prosody.full_sessions['alice@localhost/alice'].filters['stanzas/out']"));
			on.server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
		end);

		it("also after a resumption", function ()
			local old = on.server:connect("alice@localhost/phone", { managed = true });
			local handled = old.handled;
			old:drop();
			local phone, ok = on.server:resume(old, handled);
			assert.is_true(ok);
			phone:send(stanzas.ask { to = "nobody@localhost", id = "resumed" });
			phone:sync();
			assert.equal("failed", state("resumed", "nobody@localhost"));
		end);

		it("but not what somebody else asked, nor what is no message", function ()
			on.asked("not-bounced");
			on.server:run([[
				local st = require "util.stanza";
				local send = prosody.full_sessions["alice@localhost/alice"].send;
				send(st.message({ type = "error", from = "mallory@localhost/mallory", to = "alice@localhost/alice", id = "not-bounced" }));
				send(st.iq({ type = "error", from = "bob@localhost", to = "alice@localhost/alice", id = "not-bounced" }));
			]]);
			assert.equal("pending", state("not-bounced", "bob@localhost"));
		end);
	end);

	it("E7 gives an ack the type of what it acks, and copies it to the requester's other devices", function ()
		on.phone = on.server:connect("alice@localhost/phone", { carbons = true });
		for i, types in ipairs { { "chat", "none" }, { "chat", "headline" }, { "none", "chat" }, { "none", "none" } } do
			on.server:reload(); -- each is the first of its kind
			on.send("alice", stanzas.ask { to = "bob@localhost", id = "e7-"..i, type = types[1] });
			on.bob:sync();
			on.phone:messages();
			local got = on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e7-"..i, { type = types[2] }));
			assert.equal(types[1] ~= "none" and types[1] or nil, got[1].attr.type);
			local carbon = on.phone:messages()[1];
			assert.is_table(carbon, "copied, "..types[2].." for "..types[1]);
			local copy = carbon:get_child("received", "urn:xmpp:carbons:2"):get_child("forwarded", "urn:xmpp:forward:0").tags[1];
			assert.equal("e7-"..i, stanzas.acked(copy));
		end
	end);

	it("E7 copies acks with one hook, however many there are", function ()
		on.server:reload();
		local function hooks()
			return tonumber(on.server:run("return #(prosody.hosts.localhost.events.get_handlers('carbons-should-copy') or {})"));
		end
		local before = hooks();
		for i = 1, 3 do on.send("bob", stanzas.ack("alice@localhost/alice", "e7-hook-"..i, { type = "none" })); end
		assert.equal(before + 1, hooks());
	end);

	it("E7 makes no headline of an ack, which would be lost where the client that asked is gone", function ()
		on.send("alice", stanzas.ask { to = "bob@localhost", id = "e7-news", type = "headline" });
		on.bob:sync();
		local got = on.alice_gets("bob", stanzas.ack("alice@localhost/gone", "e7-news"));
		assert.equal("e7-news", got[1] and stanzas.acked(got[1]));
		assert.equal("chat", got[1].attr.type);
	end);

	it("E7 copies an ack of any type to the other devices of who sends it", function ()
		on.phone = on.server:connect("bob@localhost/phone", { carbons = true });
		for i, type in ipairs { "none", "headline", "chat" } do
			on.server:reload();
			on.send("alice", stanzas.ask { to = "bob@localhost/bob", id = "e7s-"..i, type = "chat" });
			on.phone:messages();
			on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e7s-"..i, { type = type }));
			local carbon = on.phone:messages()[1];
			assert.is_table(carbon, "copied, "..type);
			local copy = carbon:get_child("sent", "urn:xmpp:carbons:2"):get_child("forwarded", "urn:xmpp:forward:0").tags[1];
			assert.equal("e7s-"..i, stanzas.acked(copy));
		end
	end);

	it("E7 copies an ack that says more, and leaves its type alone", function ()
		on.phone = on.server:connect("alice@localhost/phone", { carbons = true });
		on.asked("e7-more");
		on.phone:messages();
		local got = on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e7-more", { type = "none" })
			:tag("displayed", { xmlns = "urn:xmpp:chat-markers:0", id = "earlier" }):up());
		assert.is_nil(got[1].attr.type);
		local copy = on.phone:messages()[1]:get_child("received", "urn:xmpp:carbons:2"):get_child("forwarded", "urn:xmpp:forward:0").tags[1];
		assert.equal("e7-more", stanzas.acked(copy));
		assert.is_table(copy:get_child("displayed", "urn:xmpp:chat-markers:0"));
	end);

	it("E7 copies nothing that is not to be copied", function ()
		on.phone = on.server:connect("alice@localhost/phone", { carbons = true });
		for _, name in ipairs { "alice", "bob" } do
			on.send(name, st.presence({ to = "room@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		end
		on.alice:messages();
		local occupant = st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" });
		local tablet = on.server:connect("bob@localhost/tablet", { carbons = true });
		for _, type in ipairs { "chat", "none" } do -- which a room sends to the one client that is in it
			local got = on.alice_gets("bob", stanzas.ack("room@rooms.localhost/alice", "e7pm", { type = type }):add_child(occupant));
			assert.equal("room@rooms.localhost/bob", got[#got].attr.from);
			assert.same({}, on.phone:messages());
			assert.same({}, tablet:messages(), "nor to those of the client that sends it");
		end
		for i, mark in ipairs { st.stanza("private", { xmlns = "urn:xmpp:carbons:2" }), st.stanza("no-copy", { xmlns = "urn:xmpp:hints" }) } do
			for _, type in ipairs { "chat", "none" } do
				on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e7p"..i, { type = type }):add_child(mark));
				assert.same({}, on.phone:messages());
			end
		end
	end);

	it("E3 passes a request in groupchat", function ()
		for _, name in ipairs { "alice", "bob" } do
			on.send(name, st.presence({ to = "room@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		end
		on.bob:messages();
		on.send("alice", stanzas.ask { to = "room@rooms.localhost", id = "gc", type = "groupchat" });
		assert.is_true(stanzas.asks(on.bob:messages()[1]));
	end);

	describe("E4 an ack that comes before the client's initial presence", function ()
		local function ack_early(id, from, more)
			on.early = on.server:connect("bob@localhost/early", { presence = false });
			on.send(from, stanzas.ask { to = "bob@localhost/early", id = id });
			on.early:sync();
			on.early:send(more or stanzas.ack(from.."@localhost/"..from, id));
			on.early:sync();
		end
		local function become_available()
			on.early:send(on.early:presence());
			on.early:sync();
		end
		-- What comes to alice then, soon.
		local function arrives()
			local got;
			servers.wait(function ()
				got = on.alice:messages();
				return #got > 0;
			end);
			assert.equal(1, #got);
			return got[1];
		end

		it("waits for that", function ()
			ack_early("early", "alice");
			assert.same({}, on.alice:messages());
			become_available();
			local ack = arrives();
			assert.same({ "early", "bob@localhost/early", "chat" }, { stanzas.acked(ack), ack.attr.from, ack.attr.type });
			become_available();
			assert.same({}, on.alice:messages());
		end);

		it("waits without what else is in the message, which does not", function ()
			ack_early("early-more", "alice", stanzas.chat({ to = "alice@localhost/alice", id = "both" }, "I have it")
				:tag("received", { xmlns = R, id = "early-more" }):up());
			local got = on.alice:messages();
			assert.equal("I have it", got[1]:get_child_text("body"));
			assert.is_nil(got[1]:get_child("received", R));
			become_available();
			local ack = arrives();
			assert.equal("early-more", stanzas.acked(ack));
			assert.is_nil(ack:get_child("body"));
		end);

		it("waits over a reload", function ()
			ack_early("early-reload", "alice");
			on.server:reload();
			become_available();
			assert.equal("early-reload", stanzas.acked(arrives()));
		end);

		it("does not come for a client that goes", function ()
			ack_early("early-gone", "alice");
			on.early:close();
			assert.same({}, on.alice:messages());
		end);

		it("does not come to a stranger", function ()
			on.carol = on.server:connect("carol");
			on.server:run("local r = require 'core.rostermanager'.load_roster('bob', 'localhost'); r['carol@localhost'] = nil");
			ack_early("early-stranger", "carol");
			become_available();
			assert.same({}, on.carol:messages());
		end);
	end);

	describe("E4 holds back an ack to who may not see the user's presence", function ()
		local function acked_to_carol(prepare)
			on.carol = on.server:connect("carol");
			on.server:run("local r = require 'core.rostermanager'.load_roster('bob', 'localhost'); r['carol@localhost'] = nil");
			if prepare then prepare(); end
			on.send("carol", stanzas.ask { to = "bob@localhost/bob", id = "e4" });
			on.bob:sync();
			on.bob:send(stanzas.ack("carol@localhost/carol", "e4"));
			for _, stanza in ipairs(on.bob:stanzas()) do assert.not_equal("error", stanza.attr.type); end
			local got = on.carol:messages();
			return got[1] and stanzas.acked(got[1]);
		end
		it("a stranger", function ()
			assert.is_nil(acked_to_carol());
			assert.truthy(on.server:why("bob@localhost", "e4"):find("E4 the addressee may not see the user's presence", 1, true));
		end);
		for subscription, passes in pairs { both = true, from = true, to = false, none = false } do
			it("subscription "..subscription..": "..(passes and "passes" or "held back"), function ()
				assert.equal(passes and "e4" or nil, acked_to_carol(function () on.server:roster("bob", "carol@localhost", subscription); end));
			end);
		end
		it("directed presence passes, and taken back does not", function ()
			assert.equal("e4", acked_to_carol(function () on.send("bob", "<presence to='carol@localhost/carol'/>"); end));
			assert.is_nil(acked_to_carol(function () on.send("bob", "<presence to='carol@localhost/carol' type='unavailable'/>"); end));
		end);
		it("a host that directed presence was sent to passes, after others had some and it was looked for, and taken back does not", function ()
			assert.equal("e4", acked_to_carol(function () on.send("bob", "<presence to='carol@localhost/carol'/>"); end));
			local function is_held_back(id)
				on.send("bob", stanzas.ack("rooms.localhost", id));
				return on.server:why("bob@localhost", id):find("E4", 1, true) ~= nil;
			end
			assert.is_true(is_held_back("before"));
			on.send("bob", "<presence to='rooms.localhost'/>");
			assert.is_false(is_held_back("meanwhile"));
			on.send("bob", "<presence to='rooms.localhost' type='unavailable'/>");
			assert.is_true(is_held_back("after"));
		end);
		it("a subscriber of a session that is not available does not", function ()
			assert.is_nil(acked_to_carol(function ()
				on.server:roster("bob", "carol@localhost", "both");
				on.send("bob", "<presence type='unavailable'/>");
			end));
		end);
		it("another resource of the same account passes", function ()
			on.phone = on.server:connect("bob@localhost/phone");
			on.send("phone", stanzas.ask { to = "bob@localhost/bob", id = "self" });
			on.bob:sync();
			on.send("bob", stanzas.ack("bob@localhost/phone", "self"));
			assert.equal("self", stanzas.acked(on.phone:messages()[1]));
			on.send("bob", "<presence type='unavailable'/>");
			on.phone:sync();
			on.send("bob", stanzas.ack("bob@localhost/phone", "self"));
			assert.equal("self", stanzas.acked(on.phone:messages()[1]), "available or not");
		end);
		it("an occupant of a room that both are in passes", function ()
			for _, name in ipairs { "alice", "bob" } do
				on.send(name, st.presence({ to = "e4@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			end
			on.alice:messages();
			assert.equal("pm", stanzas.acked(on.alice_gets("bob", stanzas.ack("e4@rooms.localhost/alice", "pm"))[1]));
		end);
		it("an error is no way round", function ()
			on.carol = on.server:connect("carol");
			on.server:run("local r = require 'core.rostermanager'.load_roster('bob', 'localhost'); r['carol@localhost'] = nil");
			on.send("bob", stanzas.ack("carol@localhost/carol", "probe", { type = "error" }):tag("error", { type = "cancel" }):up());
			assert.is_nil(stanzas.acked(on.carol:messages()[1]));
		end);
		it("and only the ack, when the message carries more", function ()
			on.carol = on.server:connect("carol");
			on.server:run("local r = require 'core.rostermanager'.load_roster('bob', 'localhost'); r['carol@localhost'] = nil");
			on.send("bob", stanzas.chat({ to = "carol@localhost/carol", id = "1" }, "who are you?"):tag("received", { xmlns = R, id = "e4" }));
			local got = on.carol:messages()[1];
			assert.equal("who are you?", got:get_child_text("body"));
			assert.is_nil(stanzas.acked(got));
		end);
	end);

	it("E5 mends an ack of revision 1.0", function ()
		on.asked("old");
		local got = on.alice_gets("bob", stanzas.chat({ to = "alice@localhost/alice", id = "old" }, false):tag("received", { xmlns = R }));
		assert.equal("old", stanzas.acked(got[1]));
		assert.equal("old", got[1].attr.id);
	end);

	it("E5 mends none from who was not asked", function ()
		on.asked("old2");
		assert.same({}, on.alice_gets("mallory", stanzas.chat({ to = "alice@localhost/alice", id = "old2" }, false):tag("received", { xmlns = R })));
	end);

	it("E8 goes by namespace, not by prefix or name", function ()
		on.asked("e8");
		local got = on.alice_gets("mallory", "<message to='alice@localhost/alice'><r:received xmlns:r='urn:xmpp:receipts' id='e8'/></message>");
		assert.same({}, got, "a prefix does not hide a forged ack");
		got = on.alice_gets("mallory", "<message to='alice@localhost/alice'><received xmlns='urn:xmpp:chat-markers:0' id='e8'/></message>");
		assert.equal(1, #got);
		assert.is_table(got[1]:get_child("received", "urn:xmpp:chat-markers:0"));
		got = on.alice_gets("bob", "<message to='alice@localhost/alice'><r:received xmlns:r='urn:xmpp:receipts' id='e8'/></message>");
		assert.equal("e8", stanzas.acked(got[1]));
	end);

	it("E8 looks at direct children only", function ()
		on.asked("nested");
		local got = on.alice_gets("mallory", stanzas.chat({ to = "alice@localhost/alice", id = "n" }, false)
			:tag("forwarded", { xmlns = "urn:xmpp:forward:0" }):add_child(stanzas.ack("alice@localhost/alice", "nested")));
		assert.equal(1, #got);
		assert.is_table(got[1]:get_child("forwarded", "urn:xmpp:forward:0").tags[1]:get_child("received", R));
	end);
end);

suite('receipts_forged = "pass" receipts_unknown = "drop" receipts_groupchat_requests = "strip" receipts_protect_presence = false', function (on)
	it("E2 passes a forged ack, which does not disturb the pending entry", function ()
		on.asked("e2");
		assert.equal("e2", stanzas.acked(on.alice_gets("mallory", stanzas.ack("alice@localhost/alice", "e2"))[1]));
		on.alice_gets("bob", stanzas.ack("alice@localhost/alice", "e2"));
		assert.equal("delivered", on.server:run("return (prosody.hosts.localhost.modules.receipts.module.save().pending"
			..":state('alice@localhost', 'bob@localhost', 'e2'))"));
	end);

	it("E2 drops an ack that nothing is known of, and has said so at load", function ()
		on.bob:stanzas();
		on.bob:send(stanzas.ack("alice@localhost/alice", "nobody asked"));
		assert.same({}, on.bob:stanzas());
		assert.same({}, on.alice:messages());
		assert.truthy(on.server:log():find('receipts_unknown = "drop" also drops true receipts', 1, true));
	end);

	it("E3 takes a request out of groupchat, for each occupant", function ()
		for _, name in ipairs { "alice", "bob" } do
			on.send(name, st.presence({ to = "room@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		end
		on.bob:messages();
		on.send("alice", stanzas.ask { to = "room@rooms.localhost", id = "gc", type = "groupchat" });
		local got = on.bob:messages()[1];
		assert.equal("hello", got:get_child_text("body"));
		assert.is_false(stanzas.asks(got));
	end);

	it("E4 lets acks to strangers out", function ()
		on.carol = on.server:connect("carol");
		on.send("carol", stanzas.ask { to = "bob@localhost/bob", id = "e4" });
		on.bob:sync();
		on.send("bob", stanzas.ack("carol@localhost/carol", "e4"));
		assert.equal("e4", stanzas.acked(on.carol:messages()[1]));
	end);
end);
