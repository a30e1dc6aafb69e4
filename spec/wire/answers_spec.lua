-- SPDX-License-Identifier: MIT
-- Chapter D on the wire: answers for clients that don't, with proof of delivery, to those who may know.

local servers = require "spec.support.server";
local socket = require "socket";
local stanzas = require "spec.support.stanzas";
local storages = require "spec.support.storages";
local st = require "util.stanza";

local R = stanzas.xmlns;
local NONE = { "urn:example:nothing" };
local RECEIPTS = { R };

local function suite(name, how, body)
	describe("answers "..name, function ()
		local on = {};
		setup(function ()
			how.modules = how.modules or { "receipts", "smacks" };
			how.hosts = how.hosts or servers.rooms;
			how.disabled = how.disabled or { "pep" };
			on.server = servers.start(how);
		end);
		teardown(function () on.server:stop(); end);
		after_each(function () on.server:disconnect_all(); end);

		function on.friends(a, b)
			on.server:roster(a, b.."@localhost", "both");
			on.server:roster(b, a.."@localhost", "both");
		end

		-- A client that says what it can do, and whose answer has been heard; features = false: it shows no caps and answers nothing.
		function on.client(jid, features, options)
			options = options or {};
			options.features = features or nil;
			if options.managed == nil then options.managed = true; end
			local one = on.server:connect(jid, options);
			if features then
				local expected = features[1] == R and "capable" or "incapable";
				servers.wait(function () one:sync(); return on.server:support_of(one.jid) == expected; end);
			end
			return one;
		end

		-- Alice asks, the others get it.
		function on.ask(to, id, attr)
			attr = attr or {};
			attr.to, attr.id = to, id;
			on.alice:send(stanzas.ask(attr));
			on.alice:sync();
		end

		-- The ids that alice has had acked since the last time.
		function on.acks(who)
			local ids = {};
			for _, stanza in ipairs((who or on.alice):messages()) do
				local id = stanzas.acked(stanza);
				if id then table.insert(ids, id); end
			end
			return ids;
		end

		-- The next that comes to alice is the bounce of this message.
		function on.bounces(id)
			local got;
			servers.wait(function () got = on.alice:messages()[1]; return got; end);
			assert.same({ "error", id }, { got.attr.type, got.attr.id });
		end

		function on.proves(one, h)
			one:sync();
			one:acknowledge(h);
			one:sync();
		end
		body(on);
	end);
end

suite("with receipts_answer = \"opt-out\"", { options = 'receipts_answer = "opt-out"' }, function (on)
	before_each(function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
	end);

	it("D2 come after the <a/> that covers the message, and not before", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "d2");
		bob:sync();
		local before = bob.handled;
		assert.same({}, on.acks());
		on.proves(bob, before - 1 - 1); -- the message, then the ping's reply: short of the message
		assert.same({}, on.acks());
		on.proves(bob);
		assert.same({ "d2" }, on.acks());
		on.proves(bob);
		assert.same({}, on.acks());
		for _, user in ipairs { "alice@localhost", "bob@localhost" } do
			assert.equal("answered for bob@localhost/bob, D2 proven", on.server:why(user, "d2"));
		end
	end);

	it("D2 do not come of a number that is none, or lies beyond what was sent", function ()
		for _, h in ipairs { "0x7f", "7.0", " 9", "1e1", "-1", "99999" } do
			local bob = on.client("bob", NONE);
			on.ask("bob@localhost", "bogus"..h);
			bob:sync();
			pcall(function () on.proves(bob, h); end);
			assert.same({}, on.acks(), h);
			pcall(bob.close, bob);
		end
	end);

	it("D4 E6 do not come of what the client has refused, whatever it proves after that", function ()
		for what, quoted in pairs { ["an error"] = false, ["an error that quotes what was asked"] = true } do
			local bob = on.client("bob", NONE);
			on.ask("bob@localhost", what);
			local refusal = st.error_reply(bob:messages()[1], "cancel", "not-acceptable");
			if quoted then refusal:tag("request", { xmlns = R }):up():tag("received", { xmlns = R, id = "another" }):up(); end
			bob:send(refusal);
			on.bounces(what);
			on.proves(bob);
			assert.same({}, on.acks());
			assert.truthy(on.server:why("bob@localhost", what):find("not answered for bob@localhost/bob, D4 refused already", 1, true));
			on.ask("bob@localhost", what);
			on.proves(bob);
			assert.same({ what }, on.acks(), "asked again");
			bob:close();
		end
	end);

	it("D6 do not come of what matters for a moment only: that a call rings, that somebody types", function ()
		local bob = on.client("bob", NONE);
		local function ask(id, xmlns, body)
			on.alice:send(stanzas.ask({ to = "bob@localhost", id = id }, body):tag(id, { xmlns = xmlns }):up());
			on.alice:sync();
		end
		ask("propose", "urn:xmpp:jingle-message:0", false);
		ask("composing", "http://jabber.org/protocol/chatstates", false);
		ask("active", "http://jabber.org/protocol/chatstates");
		ask("encrypted", "eu.siacs.conversations.axolotl", false);
		ask("reading", "urn:example:sensor", false);
		on.proves(bob);
		assert.same({ "active", "encrypted", "reading" }, on.acks());
	end);

	it("D5 are for archives where what they answer is", function ()
		local function hints(answer)
			local list = {};
			for hint in answer:childtags(nil, "urn:xmpp:hints") do table.insert(list, hint.name); end
			return table.concat(list, " ");
		end
		local EXPECTED = { ["no-store"] = "no-permanent-store", ["no-permanent-store"] = "no-permanent-store", ["store"] = "store" };
		for hint, expected in pairs(EXPECTED) do
			for _, waits in ipairs { false, true } do
				local bob, other = on.client("bob", NONE), waits and on.client("bob@localhost/2", RECEIPTS, { managed = "once" });
				on.alice:send(stanzas.ask({ to = "bob@localhost", id = hint }):tag(hint, { xmlns = "urn:xmpp:hints" }):up());
				on.alice:sync();
				on.proves(bob);
				if other then other:drop(); end -- which might have acked it
				local answer;
				servers.wait(function () answer = on.alice:messages()[1]; return answer; end);
				assert.equal(hint, stanzas.acked(answer));
				assert.equal(expected, hints(answer));
				bob:close();
			end
		end
	end);

	it("D2 do not come without stream management", function ()
		local bob = on.client("bob", NONE, { managed = false });
		on.ask("bob@localhost", "none");
		bob:sync();
		assert.same({}, on.acks());
	end);

	it("D2 come of a resumption that proves it, on the new connection", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "resumed");
		bob:sync();
		bob:drop();
		assert.same({}, on.acks());
		local again, ok = on.server:resume(bob, bob.handled);
		assert.is_true(ok);
		again:sync();
		assert.same({ "resumed" }, on.acks());
	end);

	it("D2 come of a resumption on a new connection while the server still takes the old one for alive", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "moved");
		bob:sync();
		assert.equal("nil", on.server:run(("return tostring(prosody.full_sessions[%q].hibernating)"):format(bob.jid)));
		local again, ok = on.server:resume(bob, bob.handled);
		assert.is_true(ok);
		again:sync();
		assert.same({ "moved" }, on.acks());
	end);

	it("D2 come once for what arrived while the session slept, and was resumed and acked", function ()
		local bob = on.client("bob", NONE);
		bob:sync();
		local handled = bob.handled;
		bob:drop();
		on.ask("bob@localhost", "asleep");
		assert.same({}, on.acks());
		local again = on.server:resume(bob, handled);
		assert.same({}, on.acks());
		on.proves(again);
		assert.same({ "asleep" }, on.acks());
	end);

	it("D2 do not come of a resumption with a number beyond what was sent", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "beyond");
		bob:sync();
		bob:drop();
		pcall(on.server.resume, on.server, bob, 999);
		assert.same({}, on.acks());
	end);

	it("D2 do not come of a resumption that counts what was queued while the session slept", function ()
		local function falls_asleep(one)
			one:drop();
			servers.wait(function () return on.server:run(("return tostring(prosody.full_sessions[%q].hibernating)"):format(one.jid)) ~= "nil"; end);
		end
		local function reload() on.server:reload(); end
		local function load_anew() -- it has not seen how many were sent before
			for _, what in ipairs { "unload", "load" } do
				on.server:run(("assert(require 'core.modulemanager'.%s('localhost', 'receipts'))"):format(what));
			end
		end
		for _, case in ipairs { {}, { afterwards = reload }, { before = load_anew } } do
			local bob = on.client("bob", NONE);
			bob:sync();
			local handled = bob.handled;
			falls_asleep(bob);
			if case.before then case.before(); end
			on.ask("bob@localhost", "never sent");
			if case.afterwards then case.afterwards(); end
			local again = on.server:resume(bob, handled + 1);
			assert.same({}, on.acks());
			pcall(again.close, again);
		end
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "sent");
		bob:sync();
		falls_asleep(bob);
		on.ask("bob@localhost", "not yet");
		on.server:reload();
		local again = on.server:resume(bob, bob.handled);
		assert.same({ "sent" }, on.acks(), "what had been sent before counts");
		on.proves(again);
		assert.same({ "not yet" }, on.acks());
	end);

	it("D5 mirror type and id, have an id of their own, and nothing but the ack and a hint", function ()
		local bob = on.client("bob", NONE);
		for _, type in ipairs { "chat", "normal", "none", "headline" } do
			local id = "d5 '\"\u{1F600}"..type;
			on.ask("bob@localhost/bob", id, { type = type });
			bob:sync();
			on.proves(bob);
			local answer = on.alice:messages()[1];
			assert.equal(id, stanzas.acked(answer));
			assert.equal(type ~= "none" and type or nil, answer.attr.type);
			assert.equal("bob@localhost/bob", answer.attr.from);
			assert.equal("alice@localhost/alice", answer.attr.to);
			assert.is_true(#answer.attr.id > 10 and answer.attr.id ~= id);
			assert.equal(2, #answer.tags);
			assert.is_table(answer:get_child("store", "urn:xmpp:hints"));
		end
	end);

	it("D5 come to a headline, from each account that it reaches", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "headline", { type = "headline" });
		on.proves(bob);
		assert.same({ "headline" }, on.acks());
	end);

	it("D4 wait for the clients that get a headline: those that want no chat do, those that want nothing do not", function ()
		local function prioritised(resource, features, priority)
			local one = on.client("bob@localhost/"..resource, features);
			one:send(one:presence():tag("priority"):text(tostring(priority)):up());
			one:sync();
			return one;
		end
		local cannot = prioritised("cannot", NONE, 5);
		prioritised("nothing", RECEIPTS, -1);
		on.client("bob@localhost/not yet available", false, { presence = false });
		for _, type in ipairs { "chat", "headline" } do
			on.ask("bob@localhost", type, { type = type });
			on.proves(cannot);
			assert.same({ type }, on.acks());
		end
		local can = prioritised("can", RECEIPTS, 0);
		on.ask("bob@localhost", "chat to the first", { type = "chat" });
		on.proves(cannot);
		assert.same({ "chat to the first" }, on.acks());
		on.alice:send(stanzas.ask { to = "bob@localhost", id = "headline to all", type = "headline" });
		on.alice:sync();
		assert.equal("headline to all", can:messages()[1].attr.id);
		on.proves(cannot);
		assert.same({}, on.acks());
	end);

	it("D4 are spared by a client's own ack, whatever else is in that message", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "spared");
		bob:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "spared", { id = "both" }):tag("request", { xmlns = R }):up());
		bob:sync();
		assert.same({ "spared" }, on.acks());
		on.proves(bob);
		assert.same({}, on.acks());
	end);

	it("D4 do not come of what arrived where a client could answer by itself, though its sender could not be told so then", function ()
		local carol = on.client("carol", RECEIPTS);
		on.client("bob@localhost/able", RECEIPTS);
		local bob = on.client("bob@localhost/unable", NONE);
		carol:send(stanzas.ask { to = "bob@localhost", id = "befriended" });
		carol:sync();
		bob:sync();
		bob:send(bob:presence { to = "carol@localhost/carol" });
		on.proves(bob);
		assert.same({}, on.acks(carol));
	end);

	it("D4 come of what has arrived beside a client of which nothing was known, once that is gone", function ()
		local unknown = on.client("bob@localhost/unknown", false, { managed = false });
		unknown.mute = true;
		local bob = on.client("bob@localhost/unable", NONE);
		on.ask("bob@localhost", "beside");
		unknown:sync();
		on.proves(bob);
		assert.same({}, on.acks());
		unknown:close();
		bob:sync();
		assert.same({ "beside" }, on.acks());
	end);

	it("D4 are spared by an ack of one's own to one's own bare JID", function ()
		local phone = on.client("alice@localhost/phone", false);
		phone.mute = true;
		on.ask("alice@localhost/phone", "own");
		phone:sync();
		phone:send(stanzas.ack("alice@localhost", "own"));
		phone:sync();
		assert.equal("acked", on.server:run("return prosody.hosts.localhost.modules.receipts.module.save().answering.answers.fates"
			..":get('alice@localhost', 'alice@localhost/alice', 'own').outcome"));
	end);

	it("D4 are no acks of the client's own, of whichever shape they are, and held up or not", function ()
		local bob = on.client("bob", NONE);
		local function subscription(what)
			on.server:run(("prosody.full_sessions['bob@localhost/bob'].roster['alice@localhost'].subscription = %q"):format(what));
		end
		local function fate(id)
			return on.server:run(("return prosody.hosts.localhost.modules.receipts.module.save().answering.answers.fates"
				..":get('bob@localhost', %q, %q).outcome"):format(on.alice.jid, id));
		end
		for id, ask in pairs {
			plain = stanzas.ask({ to = "bob@localhost", id = "plain" }), headline = stanzas.ask({ to = "bob@localhost", id = "headline", type = "headline" });
			private = stanzas.ask({ to = "bob@localhost", id = "private" }):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up();
		} do
			for _, held_up in ipairs { false, true } do
				on.alice:send(ask);
				on.alice:sync();
				on.server:run(([[
					local async = require "util.async";
					local parts, events = prosody.hosts.localhost.modules.receipts.module.save(), prosody.hosts.localhost.events;
					local function hold_up(event)
						if not event.stanza:get_child("received", %q) then return; end
						events.remove_handler("pre-message/full", hold_up);
						local wait, done = async.waiter();
						module:add_timer(0.1, done);
						local roster = event.origin.roster["alice@localhost"];
						roster.subscription = %q; -- then what is judged is judged by what the roster says by now
						wait();
					end
					events.add_handler("pre-message/full", hold_up, 50);
				]]):format(R, held_up and "none" or "both"));
				on.proves(bob);
				socket.sleep(0.2);
				assert.same(not held_up and { id } or {}, on.acks(), "E4");
				assert.equal("answered", fate(id));
				subscription("both");
			end
		end
		subscription("none");
		bob:send(bob:presence { to = on.alice.jid });
		bob:sync();
		on.ask("bob@localhost", "directed");
		on.proves(bob);
		assert.same({ "directed" }, on.acks());
		assert.equal("answered", fate("directed"));
		subscription("both");
		assert.equal("nil", on.server:run("return tostring(next(prosody.hosts.localhost.modules.receipts.module.save().own))"), "what comes is judged");
	end);

	it("D3 D5 come to oneself, on the session that asked", function ()
		local bob = on.client("bob", NONE);
		bob:send(stanzas.ask { to = bob.jid, id = "self" });
		bob:sync();
		bob:acknowledge();
		assert.same({ "self" }, on.acks(bob));
	end);

	it("D2 D4 of a message to oneself do not come from the session that sent it, nor is that waited for", function ()
		local sender, other = on.client("bob@localhost/sender", NONE), on.client("bob@localhost/other", NONE);
		for id, to in pairs { note = "bob@localhost", gone = "bob@localhost/gone" } do
			sender:send(stanzas.ask { to = to, id = id });
			sender:sync();
			sender:acknowledge();
			assert.same({}, on.acks(sender), id);
			on.proves(other);
			assert.same({ id }, on.acks(sender));
		end
		sender:close();
		local able = on.client("bob@localhost/able", RECEIPTS);
		able:send(stanzas.ask { to = "bob@localhost", id = "able" });
		able:sync();
		on.proves(other);
		assert.same({ "able" }, on.acks(able));
	end);

	it("D6 do not come for errors, group chat, acks, requests without id or inside something else", function ()
		local bob = on.client("bob", NONE);
		local inside = st.message { to = "bob@localhost/bob", id = "carbon" }
			:tag("sent", { xmlns = "urn:xmpp:carbons:2" }):tag("forwarded", { xmlns = "urn:xmpp:forward:0" })
			:add_child(stanzas.ask { id = "nested", to = "bob@localhost", from = "alice@localhost/x" });
		for _, stanza in ipairs {
			stanzas.ask { to = "bob@localhost/bob", id = "error", type = "error" }, stanzas.ask { to = "bob@localhost/bob", id = "gc", type = "groupchat" },
			stanzas.ask { to = "bob@localhost" }, inside,
			stanzas.ask({ to = "bob@localhost", id = "ack" }):tag("received", { xmlns = R, id = "x" }),
		} do
			on.alice:send(stanza);
		end
		on.alice:sync();
		on.proves(bob);
		assert.same({}, on.acks());
	end);

	it("D6 F0 do not come for what a module sends in nobody's name, and that is no error", function ()
		local bob = on.client("bob", NONE);
		on.server:run([[module:send(require "util.stanza".message({ to = "bob@localhost", id = "nobody", type = "chat" })
			:tag("request", { xmlns = "urn:xmpp:receipts" }))]]);
		assert.equal("nobody", bob:messages()[1].attr.id);
		on.proves(bob);
		assert.equal("0", on.server:run("return prosody.hosts.localhost.modules.receipts.module.save().reports.counts.errors.hook"));
	end);

	it("D4 come once for three clients that can't, whoever proves it first", function ()
		local clients = {};
		for i = 1, 3 do clients[i] = on.client("bob@localhost/"..i, NONE); end
		on.ask("bob@localhost", "three");
		for _, one in ipairs(clients) do one:sync(); end
		on.proves(clients[2]);
		assert.same({ "three" }, on.acks());
		on.proves(clients[1]);
		on.proves(clients[3]);
		assert.same({}, on.acks());
	end);

	it("D4 come again for a new message with an old id: clients count 1, 2, 3", function ()
		local bob = on.client("bob", NONE);
		for _ = 1, 2 do
			on.ask("bob@localhost", "1");
			on.proves(bob);
			assert.same({ "1" }, on.acks());
		end
	end);

	it("D2 D4 E6 of an earlier message with the same id prove nothing of a later one, which bounces when it is lost", function ()
		local bob = on.client("bob@localhost/1", NONE, { managed = "once" });
		on.client("bob@localhost/2", NONE);
		on.ask(bob.jid, "1");
		bob:sync();
		local first = bob.handled - 1; -- the ping's reply came after it
		on.ask(bob.jid, "1");
		on.proves(bob, first);
		assert.same({}, on.acks());
		on.proves(bob);
		assert.same({ "1" }, on.acks());
		on.ask(bob.jid, "2");
		bob:sync();
		first = bob.handled - 1;
		on.ask(bob.jid, "2");
		on.proves(bob, first);
		bob:drop();
		on.bounces("2");
	end);

	it("D4 E6 are no word of an earlier message with the same id, which bounces when it is lost", function ()
		local bob, other = on.client("bob@localhost/1", NONE, { managed = "once" }), on.client("bob@localhost/2", NONE);
		on.ask(bob.jid, "1");
		socket.sleep(1.1); -- else it could be the same one, from a room
		on.ask(other.jid, "1");
		on.proves(other);
		assert.same({ "1" }, on.acks());
		bob:drop();
		on.bounces("1");
	end);

	it("D4 come for a message whose id a chat state or a call has too", function ()
		local bob = on.client("bob", NONE);
		on.ask(bob.jid, "state");
		on.proves(bob);
		assert.same({ "state" }, on.acks());
		on.alice:send(st.message({ to = bob.jid, id = "state", type = "chat" }):tag("composing", { xmlns = "http://jabber.org/protocol/chatstates" }));
		on.ask(bob.jid, "state");
		on.proves(bob);
		assert.same({ "state" }, on.acks());
		on.ask(bob.jid, "call");
		on.alice:send(stanzas.ask({ to = bob.jid, id = "call" }, false):tag("propose", { xmlns = "urn:xmpp:jingle-message:0" }):up());
		on.proves(bob);
		assert.same({ "call" }, on.acks());
	end);

	it("D4 E6 who has been told that it arrived is not told that it didn't, when the last session dies too and nothing is stored", function ()
		for id, how in pairs { chat = {}, headline = { type = "headline" } } do
			local one, two = on.client("bob@localhost/1", NONE, { managed = "once" }), on.client("bob@localhost/2", NONE, { managed = "once" });
			on.ask("bob@localhost", id, how);
			two:sync();
			on.proves(one);
			assert.same({ id }, on.acks());
			one:close();
			two:close();
			assert.same({}, on.alice:messages());
		end
	end);

	it("D4 come for a message with an id that an earlier one had, which went to a client that can and is gone", function ()
		local can = on.client("bob@localhost/can", RECEIPTS);
		on.ask("bob@localhost", "1");
		can:sync();
		can:acknowledge();
		can:close();
		local cannot = on.client("bob@localhost/cannot", NONE);
		on.ask("bob@localhost", "1");
		on.proves(cannot);
		assert.same({ "1" }, on.acks());
	end);

	it("D4 leave it to a client that can", function ()
		local can = on.client("bob@localhost/can", RECEIPTS);
		local cannot = on.client("bob@localhost/cannot", NONE);
		on.ask("bob@localhost", "mixed");
		on.proves(cannot);
		assert.same({}, on.acks());
		can:sync();
		can:send(stanzas.ack("alice@localhost/alice", "mixed"));
		can:sync();
		assert.same({ "mixed" }, on.acks());
	end);

	it("D4 come after all when the client that could dies without having got it", function ()
		local can = on.client("bob@localhost/can", RECEIPTS);
		local cannot = on.client("bob@localhost/cannot", NONE);
		on.ask("bob@localhost", "dies");
		on.proves(cannot);
		assert.same({}, on.acks());
		can:close(); -- without having acked
		cannot:sync();
		assert.same({ "dies" }, on.acks());
	end);

	it("D4 come from whoever has got it and is still there", function ()
		local can = on.client("bob@localhost/can", RECEIPTS);
		local first, second = on.client("bob@localhost/1", NONE), on.client("bob@localhost/2", NONE);
		on.ask("bob@localhost", "second");
		on.proves(first);
		on.proves(second);
		first:close();
		assert.same({}, on.acks());
		can:close();
		second:sync();
		local got = on.alice:messages();
		assert.equal("bob@localhost/2", got[1].attr.from);
		assert.equal("second", stanzas.acked(got[1]));
		for _, stanza in ipairs(got) do assert.not_equal("error", stanza.attr.type, "D4 who is told that it arrived is not told that it didn't"); end
		assert.equal(1, #got);
	end);

	describe("D4 E4 where a client's own ack waits until that is available", function ()
		local fresh;
		before_each(function ()
			on.client("bob@localhost/other", NONE);
			fresh = on.server:connect("bob@localhost/fresh", { managed = "once", presence = false });
			fresh:show(NONE);
			on.ask(fresh.jid, "waits");
			fresh:sync();
			fresh:send(stanzas.ack("alice@localhost/alice", "waits"));
			fresh:sync();
			assert.same({}, on.acks());
		end);

		it("do not come besides", function ()
			fresh:send(tostring(fresh:presence()).."<a xmlns='urn:xmpp:sm:3' h='"..fresh.handled.."'/>"); -- at once
			servers.wait(function ()
				return on.server:run("return tostring(next(prosody.hosts.localhost.modules.receipts.module.save().waiting.acks))") == "nil";
			end);
			assert.same({ "waits" }, on.acks());
		end);

		it("nobody has been told yet, and is when it goes without having acked the message on the stream", function ()
			fresh:close();
			local got = on.alice:messages();
			assert.equal(1, #got);
			assert.same({ "error", "waits" }, { got[1].attr.type, got[1].attr.id });
		end);
	end);

	it("D4 do not wait for a client that can't, and has said that it goes before it has proved that it got the message", function ()
		local phone, laptop = on.client("bob@localhost/phone", NONE), on.client("bob@localhost/laptop", NONE);
		on.ask("bob@localhost", "goes");
		phone:sync();
		phone:send("<presence type='unavailable'/>");
		on.proves(phone);
		assert.same({}, on.acks(), "nobody may know of it any more");
		on.proves(laptop);
		assert.same({ "goes" }, on.acks());
	end);

	it("D3 D4 come from a client that was not available for a moment, in which it has proved that it got the message", function ()
		local phone = on.client("bob@localhost/phone", NONE);
		on.ask("bob@localhost", "moment");
		phone:sync();
		phone:send("<presence type='unavailable'/>");
		on.proves(phone);
		assert.same({}, on.acks());
		phone:send(phone:presence());
		phone:sync();
		servers.wait(function () return on.acks()[1] == "moment"; end);
	end);

	it("D4 wait for a client of which nothing is known yet", function ()
		local cannot = on.client("bob@localhost/cannot", NONE);
		local fresh = on.client("bob@localhost/fresh", false);
		fresh.mute = true;
		on.ask("bob@localhost", "fresh");
		on.proves(cannot);
		assert.same({}, on.acks());
		fresh:sync();
		fresh:send(stanzas.ack("alice@localhost/alice", "fresh"));
		fresh:sync();
		assert.same({ "fresh" }, on.acks());
		on.proves(cannot);
		assert.same({}, on.acks());
	end);

	it("D1 D3 are looked at again when an answer comes late", function ()
		for i, change in ipairs { "open_store('receipts_preferences'):set('bob', { answer = 'no' })", "log('debug', 'unsubscribed')" } do
			local can = on.client("bob@localhost/can", RECEIPTS);
			local cannot = on.client("bob@localhost/cannot", NONE);
			on.ask("bob@localhost", "late"..i);
			on.proves(cannot);
			on.server:run("local m = prosody.hosts.localhost.modules.receipts.module; m:"..change);
			if i == 1 then on.server:reload(); end
			if i == 2 then on.server:roster("bob", "alice@localhost", "none"); end
			can:close();
			cannot:sync();
			assert.same({}, on.acks(), change);
			on.server:run("prosody.hosts.localhost.modules.receipts.module:open_store('receipts_preferences'):set('bob', nil)");
			on.server:reload();
			on.server:roster("bob", "alice@localhost", "both");
			on.server:disconnect_all();
			on.alice = on.client("alice", RECEIPTS);
		end
	end);

	it("D4 tell the requester's devices, and a room's occupants, apart", function ()
		local bob = on.client("bob", NONE);
		local phone = on.client("alice@localhost/phone", RECEIPTS);
		for _, one in ipairs { on.alice, phone } do
			one:send(stanzas.ask { to = "bob@localhost", id = "1" });
			one:sync();
		end
		on.proves(bob);
		assert.same({ "1" }, on.acks());
		assert.same({ "1" }, on.acks(phone));
	end);

	it("D4 still come once the user has blocked somebody else", function ()
		local bob = on.client("bob", NONE);
		on.friends("bob", "dave");
		on.server:connect("dave");
		for _, action in ipairs { "block", "unblock" } do
			bob:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "dave@localhost" }));
			bob:sync();
			on.ask("bob@localhost", action.."ed");
			on.proves(bob);
			assert.same({ action.."ed" }, on.acks());
		end
	end);

	it("D4 come though the client sent a malformed request with the same id, which is no ack", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "same");
		bob:sync();
		bob:send(stanzas.chat({ to = "alice@localhost/alice", id = "same" }):tag("request", { xmlns = R }):text("x"):up());
		on.proves(bob);
		assert.same({ "same" }, on.acks());
	end);

	it("D4 do not come when the client acked by itself", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "itself");
		bob:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "itself"));
		bob:sync();
		assert.same({ "itself" }, on.acks());
		on.proves(bob);
		assert.same({}, on.acks());
	end);

	it("D4 do not come for a client of which nothing is known", function ()
		local bob = on.client("bob", false);
		bob.mute = true;
		on.ask("bob@localhost", "unknown");
		on.proves(bob);
		assert.same({}, on.acks());
	end);

	it("D4 F2 come of what has arrived beside a client that is waited for, though a stranger has asked for more than is remembered", function ()
		local unknown = on.client("bob@localhost/unknown", false, { managed = false });
		unknown.mute = true;
		local bob = on.client("bob@localhost/unable", NONE);
		on.ask("bob@localhost", "beside");
		on.proves(bob);
		local stranger = on.server:connect("stranger");
		for i = 1, 600 do stranger:send(stanzas.ask { to = "bob@localhost", id = "flood"..i }); end
		stranger:sync();
		assert.same({}, on.acks());
		unknown:close();
		bob:sync();
		assert.same({ "beside" }, on.acks());
	end);

	it("D4 come for a client without caps once it has said that it can't", function ()
		local bob = on.server:connect("bob", { managed = true });
		servers.wait(function () bob:sync(); return bob.queries; end);
		bob:show(NONE);
		bob:close();
		bob = on.server:connect("bob", { managed = true, presence = false });
		bob:show(NONE);
		bob:send("<presence/>");
		servers.wait(function () bob:sync(); return bob.queries; end);
		bob:sync();
		on.ask("bob@localhost", "silent");
		on.proves(bob);
		assert.same({ "silent" }, on.acks());
	end);

	it("D6 do not come for a requester who was blocked meanwhile, and nothing bounces to the client (D8)", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "blocked");
		bob:messages();
		bob:iq(st.stanza("iq", { type = "set" }):tag("block", { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "alice@localhost" }));
		bob:acknowledge();
		for _, stanza in ipairs(bob:stanzas()) do assert.not_equal("message", stanza.name); end
		assert.same({}, on.acks());
		bob:iq(st.stanza("iq", { type = "set" }):tag("unblock", { xmlns = "urn:xmpp:blocking" }));
	end);

	it("D8 F4 that are refused at once are not told of as if they had come, and the client does not hear of it", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "refused");
		bob:messages();
		local found = on.server:run([[
			local st = require "util.stanza";
			local parts = prosody.hosts.localhost.modules.receipts.module.save();
			local events, before = prosody.hosts.localhost.events, parts.reports.counts.answers[false];
			local function refuse(event)
				if not event.stanza:get_child("received", "urn:xmpp:receipts") then return; end
				event.origin.send(st.error_reply(event.stanza, "cancel", "policy-violation"));
				return true;
			end
			events.add_handler("pre-message/full", refuse, 50);
			local session = prosody.full_sessions["bob@localhost/bob"];
			for _, content in ipairs(session.outgoing_stanza_queue:table()) do parts.answering:arrived(session, content); end
			events.remove_handler("pre-message/full", refuse);
			return parts.reports.counts.answers[false] - before;
		]]);
		assert.equal("0", found);
		assert.equal("not answered for bob@localhost/bob, D8 the answer was refused at once", on.server:why("bob@localhost", "refused"));
		assert.same({}, bob:messages());
		assert.same({}, on.acks());
	end);

	it("D8 that come back at once end with us also when a resumption has proved what is answered", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "d8 resumed");
		bob:sync();
		bob:drop();
		on.alice:close();
		local again, ok = on.server:resume(bob, bob.handled);
		assert.is_true(ok);
		assert.same({}, again:messages());
		assert.truthy(on.server:why("bob@localhost", "d8 resumed"):find("D8 the answer was refused at once", 1, true));
	end);

	it("D8 that came back and were held by another module until the session was resumed end with us, too", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "d8 held");
		on.proves(bob);
		local id = on.alice:messages()[1].attr.id;
		bob:drop();
		on.server:run(([[
			local events = prosody.hosts.localhost.events;
			local function send_held(event)
				events.remove_handler("smacks-hibernation-end", send_held);
				local bounce = { type = "error", from = "alice@localhost/alice", to = event.resumed.full_jid, id = %q };
				event.resumed.send(require "util.stanza".message(bounce):tag("error", { type = "cancel" }));
			end
			events.add_handler("smacks-hibernation-end", send_held, 1000); -- mod_csi_battery_saver's priority
		]]):format(id));
		local again, ok = on.server:resume(bob, bob.handled);
		assert.is_true(ok);
		assert.same({}, again:messages());
		assert.equal("D8 the bounce of an answer of ours", on.server:why("bob@localhost", id));
	end);

	it("D8 leave the session its own way to send, also when answers are held up on their way", function ()
		local bob = on.client("bob", NONE);
		for _, id in ipairs { "one", "two" } do on.ask("bob@localhost", id); end
		bob:sync();
		assert.equal("true", on.server:run([[
			local async = require "util.async";
			local answering = prosody.hosts.localhost.modules.receipts.module.save().answering;
			local events, session, go_on = prosody.hosts.localhost.events, prosody.full_sessions["bob@localhost/bob"], {};
			local function hold_up(event)
				local wait, done = async.waiter();
				go_on[event.stanza:get_child("received", "urn:xmpp:receipts").attr.id] = done;
				wait();
			end
			events.add_handler("pre-message/full", hold_up, 50);
			local send = session.send;
			for _, content in ipairs(session.outgoing_stanza_queue:table()) do
				async.runner(function () answering:arrived(session, content); end):run(true);
			end
			events.remove_handler("pre-message/full", hold_up);
			go_on.one();
			go_on.two();
			return session.send == send;
		]]));
		assert.same({ "one", "two" }, on.acks());
	end);

	it("D8 errors that come back for an answer end with us", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "d8");
		bob:messages();
		on.proves(bob);
		local answer = on.alice:messages()[1];
		on.alice:send(st.message({ to = answer.attr.from, id = answer.attr.id, type = "error" }):tag("error", { type = "cancel" }));
		on.alice:sync();
		assert.same({}, bob:messages());
		assert.equal("D8 the bounce of an answer of ours", on.server:why("bob@localhost", answer.attr.id));
		on.alice:send(st.message({ to = answer.attr.from, id = "another", type = "error" }):tag("error", { type = "cancel" }));
		on.alice:sync();
		assert.equal(1, #bob:messages(), "other errors pass");
		-- One that comes back at once: nobody is there any more.
		on.ask("bob@localhost", "d8 gone");
		bob:messages();
		on.alice:close();
		bob:acknowledge();
		assert.same({}, bob:messages());
	end);

	it("A2 the account says so while it holds", function ()
		local function listed()
			local answer = on.alice:iq(st.stanza("iq", { type = "get", to = "bob@localhost" })
				:tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
			return answer.tags[1]:get_child_with_attr("feature", nil, "var", R) ~= nil;
		end
		local bob = on.client("bob", NONE);
		assert.is_true(listed());
		local function prefer(answer)
			local xmlns = "http://jabber.org/protocol/commands";
			local form = st.stanza("x", { xmlns = "jabber:x:data", type = "submit" })
				:tag("field", { var = "FORM_TYPE" }):text_tag("value", "urn:xmpp:receipts#preference"):up()
				:tag("field", { var = "answer" }):text_tag("value", answer):up()
				:tag("field", { var = "ask" }):text_tag("value", "default"):up();
			local start = bob:iq(st.stanza("iq", { type = "set", to = "localhost" }):tag("command", { xmlns = xmlns, node = "receipts#preference" }));
			local command = start:get_child("command", xmlns);
			assert.equal("executing", command.attr.status);
			assert.is_table(command:get_child("x", "jabber:x:data"));
			local done = bob:iq(st.stanza("iq", { type = "set", to = "localhost" })
				:tag("command", { xmlns = xmlns, node = "receipts#preference", sessionid = command.attr.sessionid, action = "complete" })
				:add_child(form));
			assert.equal("completed", done:get_child("command", xmlns).attr.status);
			return done:get_child("command", xmlns):get_child("note");
		end
		prefer("no");
		assert.is_false(listed());
		on.ask("bob@localhost", "d1 no");
		on.proves(bob);
		assert.same({}, on.acks());
		assert.equal("error", prefer("rubbish").attr.type);
		prefer("yes");
		assert.is_true(listed());
		on.ask("bob@localhost", "d1 yes");
		on.proves(bob);
		assert.same({ "d1 yes" }, on.acks());
		prefer("default");
	end);

	describe("D3 follow who may see the user's presence", function ()
		local function block(action)
			return function (_, bob)
				assert.equal("result", bob:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" })
					:tag("item", { jid = "carol@localhost" })).attr.type);
			end;
		end
		local function removes(carol, bob, subscription)
			bob:send(bob:presence { to = carol.jid });
			bob:sync();
			on.server:roster("bob", "carol@localhost", subscription);
			local query = st.stanza("iq", { type = "set" }):tag("query", { xmlns = "jabber:iq:roster" });
			bob:iq(query:tag("item", { jid = "carol@localhost", subscription = "remove" }));
		end
		local cases = {
			{ "both", true }, { "from", true }, { "to", false }, { "none", false },
			{ "directed presence", true, function (carol, bob) bob:send(bob:presence { to = carol.jid }); bob:sync(); end },
			{ "directed presence, after others had some and it was looked for", true, function (carol, bob)
				bob:send(bob:presence { to = "zoe@localhost" }); -- in nobody's roster
				bob:send(stanzas.ack(carol.jid, "looks for it"));
				bob:sync();
				bob:send(bob:presence { to = carol.jid });
				bob:sync();
			end },
			{ "directed presence taken back", false, function (carol, bob)
				bob:send(bob:presence { to = carol.jid });
				bob:send("<presence to='"..carol.jid.."' type='unavailable'/>");
				bob:sync();
			end },
			{ "directed presence taken back from the bare JID, before a reload too", false, function (carol, bob)
				bob:send(bob:presence { to = carol.jid });
				bob:send("<presence to='carol@localhost' type='unavailable'/>");
				bob:sync();
				on.server:reload();
			end },
			{ "directed presence of before a subscription that was cancelled", false, function (carol, bob)
				bob:send(bob:presence { to = carol.jid });
				bob:sync();
				on.server:roster("bob", "carol@localhost", "both");
				bob:send("<presence to='carol@localhost' type='unsubscribed'/>");
				bob:sync();
			end },
			{ "directed presence of before a subscription that went with the roster item", false, function (carol, bob) removes(carol, bob, "from"); end },
			{ "directed presence, and a roster item without subscription that goes", true, function (carol, bob) removes(carol, bob, "none"); end },
			{ "directed presence that is sent anew after that was taken back from the bare JID", true, function (carol, bob)
				bob:send(bob:presence { to = carol.jid });
				bob:send("<presence to='carol@localhost' type='unavailable'/>");
				bob:send(bob:presence { to = carol.jid });
				bob:sync();
			end },
			{ "directed presence of before the subscription was cancelled, after others had some and it was looked for", false, function (carol, bob)
				bob:send(bob:presence { to = "zoe@localhost" }); -- in nobody's roster
				bob:send(stanzas.ack("erin@localhost/erin", "looks for it"));
				bob:send(bob:presence { to = carol.jid });
				bob:send("<presence to='carol@localhost' type='unsubscribed'/>");
				bob:sync();
			end, "both" },
			{ "both, and the session is not available", false, function (_, bob) bob:send("<presence type='unavailable'/>"); bob:sync(); end, "both" },
			{ "both, and blocked once the message has come", false, nil, "both", block("block"), block("unblock") },
		};
		for _, case in ipairs(cases) do
			local name, allowed, prepare, subscription, meanwhile, afterwards = table.unpack(case, 1, 6);
			it(name..": "..(allowed and "answered, and a client's own ack gets out" or "not answered, and a client's own ack is held back"), function ()
				on.server:roster("bob", "carol@localhost", subscription or (prepare and "none") or name);
				local bob = on.client("bob", NONE);
				local carol = on.server:connect("carol");
				if prepare then prepare(carol, bob); end
				carol:send(stanzas.ask { to = "bob@localhost/bob", id = "d3 "..name });
				carol:sync();
				bob:sync();
				if meanwhile then meanwhile(carol, bob); end
				on.proves(bob);
				assert.same(allowed and { "d3 "..name } or {}, on.acks(carol), "the server's answer (D3)");
				carol:send(stanzas.ask { to = "bob@localhost/bob", id = "e4" });
				carol:sync();
				bob:sync();
				bob:send(stanzas.ack(carol.jid, "e4"));
				bob:sync();
				assert.same(allowed and { "e4" } or {}, on.acks(carol), "the client's own ack (E4)");
				if afterwards then afterwards(carol, bob); end
			end);
		end

		it("the same account: answered, and a client's own ack gets out", function ()
			local bob = on.client("bob", NONE);
			local phone = on.client("bob@localhost/phone", RECEIPTS);
			phone:send(stanzas.ask { to = "bob@localhost/bob", id = "own" });
			phone:sync();
			on.proves(bob);
			assert.same({ "own" }, on.acks(phone));
			bob:send(stanzas.ack(phone.jid, "own2"));
			bob:sync();
			assert.same({ "own2" }, on.acks(phone));
		end);

		it("a room that both are in: answered to the occupant, and a client's own ack gets out", function ()
			on.server:roster("bob", "carol@localhost", "none");
			local bob = on.client("bob", NONE);
			local carol = on.server:connect("carol");
			for name, one in pairs { carol = carol, bob = bob } do
				one:send(one:presence({ to = "d3@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
				one:sync();
			end
			carol:sync();
			carol:send(stanzas.ask { to = "d3@rooms.localhost/bob", id = "pm" });
			carol:sync();
			local elsewhere = on.client("bob@localhost/elsewhere", NONE, { carbons = true });
			on.proves(bob);
			local function answer(one)
				local got;
				for _, message in ipairs(one:messages()) do got = stanzas.acked(message) and message or got; end
				return got;
			end
			local private = answer(carol);
			assert.equal("pm", stanzas.acked(private));
			assert.same({}, elsewhere:messages(), "D5 E7 a device that is not in the room has no part in it");
			on.ask("bob@localhost/bob", "directly");
			on.proves(bob);
			assert.not_equal(private.attr.id:sub(1, 12), answer(on.alice).attr.id:sub(1, 12), "D5 by which carol could tell who the occupant is");
			carol:send(stanzas.ask { to = "d3@rooms.localhost/bob", id = "pm2" });
			carol:sync();
			bob:sync();
			bob:send(stanzas.ack("d3@rooms.localhost/carol", "pm2"));
			bob:sync();
			assert.same({ "pm2" }, on.acks(carol));
		end);

		it("D5 a room that marks no private messages: the answer's id tells nothing", function ()
			local bob = on.client("bob", NONE);
			local function says(code) return on.server:run("local r = prosody.hosts.localhost.modules.receipts.module.save(); return "..code); end
			local prefix = says("r.answering.answers.prefix");
			local function begins_alike(id)
				on.ask(bob.jid, id);
				on.proves(bob);
				for _, message in ipairs(on.alice:messages()) do
					if stanzas.acked(message) == id then return message.attr.id:sub(1, #prefix) == prefix; end
				end
			end
			assert.is_true(begins_alike("no room"));
			says("r.rooms:join(prosody.full_sessions['bob@localhost/bob'], 'alice@localhost')");
			assert.is_false(begins_alike("room"));
		end);

		it("a room that was left under another nick than it was joined under: neither", function ()
			on.server:roster("bob", "carol@localhost", "none");
			local bob = on.client("bob", NONE);
			local carol = on.server:connect("carol");
			local room = "left@rooms.localhost/";
			for nick, one in pairs { carol = carol, bob = bob } do
				one:send(one:presence({ to = room..nick }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
				one:sync();
			end
			carol:send(stanzas.ask { to = room.."bob", id = "pm" });
			carol:sync();
			bob:messages();
			bob:send(bob:presence { to = room.."robert" });
			bob:send(st.presence { to = room.."robert", type = "unavailable" });
			on.proves(bob);
			assert.truthy(on.server:why("bob@localhost", "pm"):find("D3 the requester may not see", 1, true));
			bob:send(stanzas.ack(room.."carol", "pm"));
			assert.same({}, bob:messages(), "it went to the room, which said that Bob is not there");
		end);
	end);

	it("D4 leave a room's private message to the device that can, whichever of those with the nick gets it first", function ()
		for i, order in ipairs { { "can", "cannot" }, { "cannot", "can" } } do
			local nick = "d4"..i.."@rooms.localhost/";
			local devices = {};
			for _, name in ipairs(order) do
				local one = on.client("bob@localhost/"..name, name == "can" and RECEIPTS or NONE);
				one:send(one:presence({ to = nick.."bob" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
				one:sync();
				devices[name] = one;
			end
			on.alice:send(on.alice:presence({ to = nick.."alice" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
			on.alice:sync();
			on.alice:send(stanzas.ask { to = nick.."bob", id = "both" });
			on.alice:sync();
			devices.can:sync();
			on.proves(devices.cannot);
			assert.same({}, on.acks());
			devices.can:send(stanzas.ack(nick.."alice", "both"));
			devices.can:sync();
			assert.same({ "both" }, on.acks());
			for _, one in pairs(devices) do one:close(); end
		end
	end);

	it("A3 leave nothing behind when the module goes", function ()
		local bob = on.client("bob", NONE);
		on.server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		on.ask("bob@localhost", "a3");
		on.proves(bob);
		assert.same({}, on.acks());
		on.server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
	end);

	it("D4 remember over a reload what was answered", function ()
		local one, two = on.client("bob@localhost/1", NONE), on.client("bob@localhost/2", NONE);
		on.ask("bob@localhost", "reload");
		on.proves(one);
		assert.same({ "reload" }, on.acks());
		on.server:reload();
		on.proves(two);
		assert.same({}, on.acks());
	end);
end);

suite("without stream management", { options = 'receipts_answer = "opt-out"', modules = { "receipts" } }, function (on)
	it("A2 are not promised, as there are none", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS, { managed = false });
		local answer = on.alice:iq(st.stanza("iq", { type = "get", to = "bob@localhost" })
			:tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
		assert.equal("result", answer.attr.type);
		assert.is_nil(answer.tags[1]:get_child_with_attr("feature", nil, "var", R));
	end);
end);

suite("with short queues", { options = 'receipts_answer = "opt-out" smacks_max_queue_size = 5' }, function (on)
	it("D4 come after all when the client that could dies without having got it, and it was no longer in the queue", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local can = on.client("bob@localhost/can", RECEIPTS);
		local cannot = on.client("bob@localhost/cannot", NONE);
		for _, id in ipairs { "has it", "ran over" } do
			on.ask("bob@localhost", id);
			if id == "has it" then on.proves(can); end
			on.proves(cannot);
		end
		for i = 1, 5 do on.alice:send(stanzas.chat { to = can.jid, id = "over"..i }); end
		assert.same({}, on.acks());
		can:close();
		cannot:sync();
		assert.same({ "ran over" }, on.acks());
	end);
end);

suite("by default", {}, function (on)
	it("D1 come only for who said so", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "default");
		on.proves(bob);
		assert.same({}, on.acks());
		on.server:run([[prosody.hosts.localhost.modules.receipts.module:open_store("receipts_preferences"):set("bob", { answer = "yes" })]]);
		on.server:reload();
		on.ask("bob@localhost", "said yes");
		on.proves(bob);
		assert.same({ "said yes" }, on.acks());
	end);
end);

suite("with a choice that is taken back", { options = 'receipts_answer = "opt-in"' }, function (on)
	local function choose(what)
		on.server:run(("prosody.hosts.localhost.modules.receipts.module.save().preferences:set('bob', { answer = %q })"):format(what));
	end

	it("D1 E6 nobody takes a later message with the same id for the one that was answered", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		choose("yes");
		local one = on.client("bob@localhost/1", NONE);
		on.ask("bob@localhost", "1");
		on.proves(one);
		assert.same({ "1" }, on.acks());
		choose("no");
		on.client("bob@localhost/2", NONE);
		on.ask(one.jid, "1");
		one:sync();
		one:close(); -- without having acked
		local got = on.alice:messages();
		assert.equal(1, #got);
		assert.same({ "error", "1" }, { got[1].attr.type, got[1].attr.id });
	end);

	it("D4 what another server has delayed was not in offline storage, so that others may have it", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		choose("no");
		on.client("bob@localhost/can", RECEIPTS);
		local cannot = on.client("bob@localhost/cannot", NONE);
		on.alice:send(stanzas.ask({ to = "bob@localhost", id = "delayed" })
			:tag("delay", { xmlns = "urn:xmpp:delay", from = "far.example", stamp = "2026-01-01T00:00:00Z" }):up()):sync();
		choose("yes");
		on.proves(cannot);
		assert.same({}, on.acks());
	end);

	it("D1 what was answered is forgotten when receipts_answer is another, and else outlives a reload", function ()
		on.friends("alice", "carol");
		on.alice = on.client("alice", RECEIPTS);
		local function fates()
			on.server:reload();
			return on.server:run("return prosody.hosts.localhost.modules.receipts.module.save().answering.answers.fates.count");
		end
		on.server:run("prosody.hosts.localhost.modules.receipts.module.save().preferences:set('carol', { answer = 'yes' })");
		local carol = on.client("carol", NONE);
		on.ask("carol@localhost", "d1");
		on.proves(carol);
		assert.same({ "d1" }, on.acks());
		assert.equal("1", fates());
		on.server:run("require 'core.configmanager'.set('localhost', 'receipts_answer', 'opt-out')");
		assert.equal("0", fates());
	end);
end);

suite("with receipts_answer = \"never\"", { options = 'receipts_answer = "never"' }, function (on)
	it("D1 come for nobody", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local bob = on.client("bob", NONE);
		on.server:run([[prosody.hosts.localhost.modules.receipts.module:open_store("receipts_preferences"):set("bob", { answer = "yes" })]]);
		on.ask("bob@localhost", "never");
		on.proves(bob);
		assert.same({}, on.acks());
	end);
end);

suite("without the guard over clients' own acks", { options = 'receipts_answer = "opt-out" receipts_protect_presence = false' }, function (on)
	it("D3 are still not given to who may not see the user's presence", function ()
		local bob = on.client("bob", NONE);
		local carol = on.server:connect("carol");
		carol:send(stanzas.ask { to = "bob@localhost", id = "d3" });
		carol:sync();
		on.proves(bob);
		assert.same({}, on.acks(carol));
		bob:send(stanzas.ack(carol.jid, "d3"));
		bob:sync();
		assert.same({ "d3" }, on.acks(carol));
		bob:send(bob:presence { to = carol.jid }):sync();
		carol:send(stanzas.ask { to = "bob@localhost", id = "meanwhile" }):sync();
		bob:sync();
		bob:send(st.presence { to = carol.jid, type = "unavailable" }):sync();
		on.proves(bob);
		assert.same({}, on.acks(carol), "not even when that has changed since the message came");
	end);
end);

suite("beside a module that fails", { options = 'receipts_answer = "opt-out"', errors = true }, function (on)
	it("D4 come of the next client that has the message, and once", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local clients = {};
		for i = 1, 3 do clients[i] = on.client("bob@localhost/"..i, NONE); end
		on.ask("bob@localhost", "next");
		on.server:run([[
			module:hook("pre-message/full", function (event)
				if event.stanza.attr.from == "bob@localhost/1" then error("forced"); end
			end, -10); -- others have seen it by then
		]]);
		on.proves(clients[1]);
		assert.same({}, on.acks());
		assert.equal("not answered for bob@localhost/1, F0 the answer could not be sent", on.server:why("alice@localhost", "next"));
		on.proves(clients[2]);
		assert.same({ "next" }, on.acks());
		on.proves(clients[3]);
		assert.same({}, on.acks());
	end);

	it("D2 E4 F0 come of all that is proved, and acks that waited go out, but for the one that cannot be sent", function ()
		on.friends("alice", "bob");
		on.friends("carol", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local carol = on.client("carol", RECEIPTS);
		on.server:run([[
			module:hook("pre-message/full", function (event)
				if event.stanza.attr.to == "alice@localhost/alice" then error("forced"); end
			end, -10);
		]]);
		local bob = on.client("bob", NONE);
		for _, one in ipairs { on.alice, carol } do one:send(stanzas.ask { to = "bob@localhost", id = "both" }):sync(); end
		on.proves(bob);
		assert.same({ "both" }, on.acks(carol));
		bob:close();
		bob = on.server:connect("bob", { presence = false });
		for _, one in ipairs { on.alice, carol } do bob:send(stanzas.ack(one.jid, "waited")); end
		bob:send("<presence/>");
		bob:sync();
		servers.wait(function () return on.acks(carol)[1] == "waited"; end);
		assert.same({}, on.acks());
	end);
end);

suite("with receipts_answer_proof = \"sent\"", { options = 'receipts_answer = "opt-out" receipts_answer_proof = "sent"' }, function (on)
	it("D2 come for what was written to a client without stream management, and for others with proof only", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local bob = on.client("bob", NONE, { managed = false });
		on.alice:send(stanzas.ask { to = "bob@localhost", id = "sent" }); -- the answer may be faster than a sync()
		local got = {};
		servers.wait(function ()
			for _, id in ipairs(on.acks()) do table.insert(got, id); end
			return #got > 0;
		end);
		assert.same({ "sent" }, got);
		bob:close();
		bob = on.client("bob", NONE);
		on.ask("bob@localhost", "managed");
		bob:sync();
		assert.same({}, on.acks());
		on.proves(bob);
		assert.same({ "managed" }, on.acks());
	end);

	it("D2 F4 are told apart by why: what was written, and what is proven", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local bob = on.client("bob", NONE, { managed = false });
		on.alice:send(stanzas.ask { to = "bob@localhost", id = "written" });
		servers.wait(function ()
			return on.server:why("alice@localhost", "written") == "answered for bob@localhost/bob, D2 written to the connection";
		end);
		bob:close();
		bob = on.client("bob", NONE);
		on.ask("bob@localhost", "proven");
		bob:sync();
		on.proves(bob);
		assert.equal("answered for bob@localhost/bob, D2 proven", on.server:why("alice@localhost", "proven"));
	end);

	it("D2 F4 are told for what was written, though it is learned only then that the client can't", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		local bob = on.server:connect("bob", { presence = false });
		bob:show { "urn:example:late" };
		bob.held = {};
		bob:send(bob:presence());
		servers.wait(function () bob:sync(); return bob.queries; end);
		on.ask("bob@localhost", "late");
		servers.wait(function () return on.server:why("alice@localhost", "late"):find("not answered", 1, true); end);
		bob:send("<enable xmlns='urn:xmpp:sm:3'/>"):sync(); -- which proves nothing of what came before
		bob:answer_held();
		servers.wait(function () return on.acks()[1] == "late"; end);
		assert.truthy(on.server:why("alice@localhost", "late"):find("; answered for bob@localhost/bob, D2 written to the connection", 1, true));
	end);

	it("A3 leave no filter behind", function ()
		on.client("bob", NONE, { managed = false });
		local count = [[
			local n = 0;
			for _, session in pairs(prosody.full_sessions) do
				for _, filter in ipairs(session.filters and session.filters["stanzas/out"] or {}) do
					if debug.getinfo(filter).source:find("/mod_receipts/[^/]*$") then n = n + 1; end
				end
			end
			return n;
		]];
		local before = tonumber(on.server:run(count));
		assert.is_true(before >= 1);
		on.server:reload();
		assert.equal(before, tonumber(on.server:run(count)));
		on.server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		assert.equal(0, tonumber(on.server:run(count)));
		on.server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
	end);
end);

suite("with receipts_answer_proof = \"sent\", and offline storage", { options = 'receipts_answer = "opt-out" receipts_answer_proof = "sent"',
	modules = { "receipts", "smacks", "offline" } }, function (on)
	it("D2 F4 are told for what was written, though the client begins to manage its stream right after that", function ()
		on.friends("alice", "bob");
		on.client("bob", NONE):close(); -- so that its ver is known
		on.alice = on.client("alice", RECEIPTS);
		on.alice:send(stanzas.ask { to = "bob@localhost", id = "both" }):sync();
		local bob = on.server:connect("bob", { presence = false });
		bob:show(NONE);
		bob:send(tostring(bob:presence()).."<enable xmlns='urn:xmpp:sm:3'/>");
		servers.wait(function () return on.server:why("alice@localhost", "both"):find("answered for", 1, true); end);
		assert.equal("answered for bob@localhost/bob, D2 written to the connection", on.server:why("alice@localhost", "both"));
	end);
end);

-- With mod_pep, as it is by default: what it asks the clients itself, we ask a second later.
suite("for a client of which nothing is known yet", { options = 'receipts_answer = "opt-out" smacks_hibernation_time = 1', disabled = {},
	modules = { "receipts", "smacks", "offline" } }, function (on)
	before_each(function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		on.alice:messages(); -- what the last spec's has not acked on the stream comes from storage
	end);

	-- It acks on the stream whatever comes, at once, as clients do; what it is asked it answers once it settles.
	local function fresh(jid, features)
		local one = on.server:connect(jid, { managed = true, presence = false });
		one:show(features);
		one.held = {};
		one:send("<presence/>");
		return one;
	end

	local function prove(one, count)
		local n = 0;
		servers.wait(function ()
			for _, stanza in ipairs(one:stanzas()) do
				if stanza.name == "message" then n = n + 1; end
			end
			one:acknowledge();
			return n >= count;
		end);
		one:sync();
	end

	-- It is asked; and what it answers has been looked at.
	local function settle(one)
		servers.wait(function () one:sync(); return one.queries; end);
		one:answer_held();
		one:sync();
		servers.wait(function ()
			return on.server:run("return tostring(prosody.hosts.localhost.modules.receipts.module.save().answering.looks_soon)") == "nil";
		end);
	end

	-- What alice has had acked, in order of the ids, once that is so many.
	-- @param asked  optional: a client that may be asked again meanwhile
	local function come(count, asked)
		local ids = {};
		servers.wait(function ()
			if asked then asked:sync(); end
			for _, id in ipairs(on.acks()) do table.insert(ids, id); end
			return #ids >= count;
		end);
		table.sort(ids);
		return ids;
	end

	it("D4 D7 come once it has said that it can't, of what arrived before, from storage too", function ()
		on.ask("bob@localhost", "stored");
		local bob = fresh("bob", NONE);
		prove(bob, 1);
		on.ask("bob@localhost", "at once");
		prove(bob, 1);
		assert.same({}, on.acks());
		settle(bob);
		assert.same({ "at once", "stored" }, come(2));
		bob:acknowledge();
		bob:sync();
		assert.same({}, on.acks(), "once");
	end);

	-- Two devices that can't, of one of which nothing is known: the other one has proved that a message arrived.
	local function proved_beside_fresh(id)
		local cannot = on.client("bob@localhost/cannot", NONE);
		local bob = fresh("bob@localhost/fresh", NONE);
		bob:sync();
		on.ask("bob@localhost", id);
		on.proves(cannot);
		return bob;
	end

	it("D4 come once, from one of them, when it is the second that turns out not to", function ()
		local bob = proved_beside_fresh("two");
		prove(bob, 1);
		assert.same({}, on.acks());
		settle(bob);
		assert.same({ "two" }, come(1));
	end);

	it("D4 come from the one that has proved it, though the other one, which can't either, has proved nothing", function ()
		local bob = proved_beside_fresh("one");
		assert.same({}, on.acks());
		settle(bob);
		assert.same({ "one" }, come(1));
	end);

	it("D4 do not come once it is gone, if it has said by then that it can", function ()
		local cannot = on.client("bob@localhost/cannot", NONE);
		local bob = on.server:connect("bob@localhost/fresh", { presence = false });
		bob:show { R, "urn:example:gone" };
		bob.held = {};
		bob:send("<presence/>");
		bob:sync();
		on.ask("bob@localhost", "gone");
		on.proves(cannot);
		settle(bob);
		for _, quit in ipairs { bob:presence { type = "unavailable" }, "</stream:stream>" } do bob:send(quit); end
		servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/fresh'])") == "nil"; end);
		cannot:sync();
		assert.same({}, on.acks());
	end);

	it("D4 do not come when it says that it can, nor when it has acked by itself", function ()
		local bob = fresh("bob@localhost/fresh", RECEIPTS);
		on.ask("bob@localhost", "can");
		prove(bob, 1);
		settle(bob);
		assert.same({}, on.acks());
		bob:close();
		bob = fresh("bob@localhost/itself", { "urn:example:nothing", "urn:example:itself" });
		on.ask("bob@localhost", "itself");
		prove(bob, 1);
		bob:send(stanzas.ack("alice@localhost/alice", "itself"));
		bob:sync();
		settle(bob);
		assert.same({ "itself" }, on.acks());
	end);

	it("D4 D7 come of what was queued for a session that has died, and then went to a client without caps", function ()
		local bob = on.server:connect("bob@localhost/phone", { managed = true, presence = false });
		bob:show(NONE);
		bob.held = {};
		bob:send("<presence/>");
		settle(bob);
		bob:drop();
		on.ask("bob@localhost", "outlived");
		servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/phone'])") == "nil"; end);
		bob = fresh("bob@localhost/phone", NONE);
		prove(bob, 1);
		assert.same({}, on.acks());
		settle(bob);
		assert.same({ "outlived" }, come(1));
	end);

	it("D4 come of what has arrived before the client showed caps that are known", function ()
		on.client("carol", { "urn:example:nothing", "urn:example:known" });
		local bob = on.server:connect("bob", { managed = true, presence = false });
		bob:show { "urn:example:nothing", "urn:example:known" };
		bob.mute = true;
		bob:send("<presence/>");
		on.ask("bob@localhost", "before");
		prove(bob, 1);
		assert.same({}, on.acks());
		bob:send("<presence type='unavailable'/>");
		bob:send(bob:presence());
		bob:sync();
		assert.same({ "before" }, come(1));
	end);

	it("D4 D7 do not come of what was in storage and the client, which does not say that it can, has acked by itself", function ()
		for _, to in ipairs { "alice@localhost/alice", "alice@localhost" } do
			on.ask("bob@localhost", "by itself");
			local bob = on.client("bob", NONE);
			bob:send(stanzas.ack(to, "by itself"));
			bob:sync();
			assert.same({ "by itself" }, on.acks());
			on.proves(bob);
			assert.same({}, on.acks());
			bob:close();
		end
		on.ask("bob@localhost", "by itself");
		on.proves(on.client("bob", NONE));
		assert.same({ "by itself" }, on.acks(), "a new message with that id");
	end);

	it("D4 of a client that has gone since are not kept in memory", function ()
		local bob = fresh("bob", NONE);
		bob.mute = true;
		on.ask("bob@localhost", "gone");
		prove(bob, 1);
		local function kept()
			return on.server:run([[
				local n = 0;
				prosody.hosts.localhost.modules.receipts.module.save().answering.answers.fates:each("bob@localhost", function (fate)
					n = n + #(fate.proven or {});
				end);
				return n;
			]]);
		end
		assert.equal("1", kept());
		bob:close();
		assert.equal("0", kept());
	end);

	-- The session ends when that is asked for.
	for what, ends in pairs {
		["what its user wants"] = [[
			local preferences = prosody.hosts.localhost.modules.receipts.module.save().preferences;
			function preferences.answers_for()
				preferences.answers_for = nil;
				go();
				return true;
			end
		]];
		["whom its user has blocked"] = [[
			local modules = prosody.hosts.localhost.modules;
			local blocklist = modules.blocklist;
			modules.blocklist = nil;
			setmetatable(modules, { __index = function (_, name)
				if name ~= "blocklist" then return nil; end
				setmetatable(modules, nil);
				modules.blocklist = blocklist;
				go();
				return blocklist;
			end });
		]];
	} do
		it("D4 come from another one where a session ends while it is read "..what, function ()
			local devices = {};
			for i, name in ipairs { "goes", "stays" } do devices[i] = on.client("bob@localhost/"..name, NONE); end
			local bob = fresh("bob@localhost/fresh", { "urn:example:nothing", "urn:example:ends"..what });
			bob:sync();
			on.ask("bob@localhost", "ends");
			for _, one in ipairs(devices) do on.proves(one); end
			servers.wait(function () bob:sync(); return bob.queries; end);
			on.server:run([[local function go() prosody.full_sessions["bob@localhost/goes"]:close("conflict"); end]]..ends);
			bob:answer_held();
			assert.same({ "ends" }, come(1));
			assert.is_nil(on.server:log():match("Error in [^\n]*the stanza goes on without us[^\n]*"));
		end);
	end

	it("D4 come for others of whom something is learned in the moment in which one of them goes", function ()
		on.friends("alice", "carol");
		local stays = {};
		for i = 1, 5 do stays[i] = fresh("carol@localhost/"..i, { "urn:example:nothing", "urn:example:stays"..i }); end
		local goes = fresh("bob", { "urn:example:nothing", "urn:example:goes" });
		for i, one in ipairs(stays) do
			on.ask(one.jid, "stays"..i);
			prove(one, 1);
		end
		on.ask("bob@localhost", "goes");
		prove(goes, 1);
		for _, one in ipairs { goes, table.unpack(stays) } do servers.wait(function () one:sync(); return one.queries; end); end
		for _, one in ipairs { goes, table.unpack(stays) } do one:answer_held(); end
		goes:send("</stream:stream>");
		assert.same({ "stays1", "stays2", "stays3", "stays4", "stays5" }, come(5));
		assert.is_nil(on.server:log():match("Error in [^\n]*the stanza goes on without us[^\n]*"));
	end);

	it("D4 B1 are decided on again, when it is learned what a ver stands for, for the clients that show it", function ()
		local all = {};
		for i = 1, 3 do
			all[i] = fresh("bob@localhost/"..i, { "urn:example:nothing", "urn:example:ver"..i });
			all[i]:send(all[i]:presence()):sync();
			on.ask(all[i].jid, "ver"..i);
			prove(all[i], 1);
		end
		on.server:run([[
			local answering = prosody.hosts.localhost.modules.receipts.module.save().answering;
			local answers, looked_at = answering.answers, {};
			local learned = answers.learned;
			function answers:learned(session, ...)
				table.insert(looked_at, session.resource);
				return learned(self, session, ...);
			end
			prosody.spec_looked_at = looked_at;
		]]);
		on.server:run("prosody.hosts.localhost.modules.receipts.module.save().answering:learned()");
		for i, one in ipairs(all) do
			servers.wait(function () one:sync(); return one.queries; end);
			one:answer_held();
			assert.same({ "ver"..i }, come(1, one));
		end
		assert.equal("1 2 3", on.server:run("return table.concat(prosody.spec_looked_at, ' ')"));
	end);

	it("D4 are not forgotten for another one that arrives in the moment after it has answered", function ()
		local bob = fresh("bob", { "urn:example:nothing", "urn:example:follows" });
		bob:send(bob:presence()); -- with caps: what they stand for is learned of all that show them
		on.ask("bob@localhost", "before");
		prove(bob, 1);
		servers.wait(function () bob:sync(); return bob.queries; end);
		on.ask("bob@localhost", "just after");
		bob:sync();
		bob:answer_held();
		bob:acknowledge();
		assert.same({ "before", "just after" }, come(2));
		assert.equal("nil", on.server:run([[
			local unsure = prosody.hosts.localhost.modules.receipts.module.save().answering.unsure;
			local session = prosody.full_sessions["bob@localhost/bob"];
			return tostring(unsure[session]);
		]]), "waited for on");
	end);

	it("D4 are not lost to a reload while it is asked", function ()
		local bob = fresh("bob", { "urn:example:nothing", "urn:example:reload" });
		on.ask("bob@localhost", "reloaded");
		prove(bob, 1);
		on.server:reload();
		settle(bob);
		assert.same({ "reloaded" }, come(1, bob));
	end);

	it("D4 are not lost to a reload in the moment after it has answered", function ()
		local bob = fresh("bob", { "urn:example:nothing", "urn:example:moment" });
		on.ask("bob@localhost", "moment");
		prove(bob, 1);
		on.server:run([[
			local capabilities = prosody.hosts.localhost.modules.receipts.module.save().capabilities;
			local learned = capabilities.actions.learned;
			function capabilities.actions.learned(...)
				learned(...);
				require "core.modulemanager".reload("localhost", "receipts");
			end
		]]);
		settle(bob);
		assert.same({ "moment" }, come(1));
	end);
end);

suite("with offline storage", { options = 'receipts_answer = "opt-out"',
	modules = { "receipts", "smacks", "offline" } }, function (on)
	before_each(function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		on.alice:messages(); -- what the last spec's has not acked on the stream comes from storage
	end);

	it("D2 D4 E6 prove nothing of a message whose id one had that has come from there and is not proven either", function ()
		on.ask("bob@localhost", "1");
		local bob = on.client("bob@localhost/1", NONE, { managed = "once" });
		bob:sync();
		local first = bob.handled;
		on.client("bob@localhost/2", NONE);
		on.ask(bob.jid, "1");
		on.proves(bob, first);
		assert.same({}, on.acks());
		bob:drop();
		on.bounces("1");
	end);

	it("D7 come when what waited is delivered, once, and not when it is stored", function ()
		on.ask("bob@localhost", "waited");
		assert.same({}, on.acks());
		local bob = on.client("bob", NONE);
		assert.same({}, on.acks());
		on.proves(bob);
		assert.same({ "waited" }, on.acks());
		bob:close();
		bob = on.client("bob", NONE);
		on.proves(bob);
		assert.same({}, on.acks());
	end);

	-- As after a restart: nothing is in memory.
	local function load_anew()
		for _, what in ipairs { "unload", "load" } do
			on.server:run(("require 'core.modulemanager'.%s('localhost', 'receipts')"):format(what));
		end
	end

	it("D7 come when what waited is delivered by a module that has answered nobody yet", function ()
		on.ask("bob@localhost", "waited longer");
		load_anew();
		local bob = on.client("bob", NONE);
		on.proves(bob);
		assert.same({ "waited longer" }, on.acks());
	end);

	it("D2 D7 come when it is a resumption that proves so", function ()
		on.ask("bob@localhost", "slept upon");
		load_anew();
		local bob = on.client("bob", NONE);
		bob:sync();
		bob:drop();
		servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/bob'].hibernating)") ~= "nil"; end);
		assert.same({}, on.acks());
		on.server:resume(bob, bob.handled);
		assert.same({ "slept upon" }, on.acks());
	end);

	it("D2 D7 do not come from a client that is killed before its <a/>, but from the one that gets it later, once", function ()
		local bob = on.client("bob", NONE, { managed = "once" });
		on.ask("bob@localhost", "killed");
		bob:sync();
		bob:drop();
		servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/bob'])") == "nil"; end);
		assert.same({}, on.acks());
		local later = on.client("bob@localhost/later", NONE);
		on.proves(later);
		assert.same({ "killed" }, on.acks());
		on.proves(later);
		later:close();
		later = on.client("bob@localhost/later", NONE);
		on.proves(later);
		assert.same({}, on.acks());
	end);

	it("D4 D7 of the last session are followed by the message from storage: nobody else has it", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "acked and lost");
		bob:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "acked and lost"));
		bob:sync();
		assert.same({ "acked and lost" }, on.acks());
		bob:close(); -- without <a/>
		assert.same({}, on.alice:messages());
		local later = on.server:connect("bob@localhost/later", { presence = false });
		later:send("<presence/>");
		assert.equal("acked and lost", later:messages()[1].attr.id);
	end);

	it("D2 D7 do not come from a session that dies with it unacked, but from the one that then gets it", function ()
		local bob = on.client("bob", NONE);
		on.ask("bob@localhost", "died");
		bob:sync();
		bob:close();
		assert.same({}, on.acks());
		local later = on.client("bob@localhost/later", NONE);
		assert.same({}, on.acks());
		on.proves(later);
		local got = {};
		for _, stanza in ipairs(on.alice:messages()) do
			if stanzas.acked(stanza) then table.insert(got, stanza.attr.from.." "..stanzas.acked(stanza)); end
		end
		assert.same({ "bob@localhost/later died" }, got);
	end);
end);

suite("where a session that sleeps is left behind", { options = 'receipts_answer = "opt-out"\nsmacks_hibernation_time = 1\n' }, function (on)
	local web, phone;
	before_each(function ()
		on.friends("alice", "bob");
		on.alice, phone, web = on.client("alice", RECEIPTS), on.client("bob@localhost/phone", NONE), on.client("bob@localhost/web", RECEIPTS);
	end);
	local function goes_to_both(id)
		web:sync();
		on.ask("bob@localhost", id);
		on.proves(phone);
		assert.same({}, on.acks(), "the other one can ack it");
	end

	it("D4 do not wait for one that 13.0 leaves asleep for ever, once it has refused to resume it", function ()
		goes_to_both("before");
		web:drop();
		servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/web'].hibernating)") ~= "nil"; end);
		local _, _, resumed = pcall(on.server.resume, on.server, web, web.handled + 100);
		assert.is_not_true(resumed);
		local acks = {};
		servers.wait(function ()
			on.ask("bob@localhost", "later");
			on.proves(phone);
			table.move(on.acks(), 1, 9, #acks + 1, acks);
			return #acks >= 2;
		end);
		table.sort(acks);
		assert.same({ "before", "later" }, { acks[1], acks[2] });
	end);

	it("D4 B1 do not wait for one whose resource somebody else binds, of whom nothing is known, though Prosody has let go of it without a word",
		function ()
			goes_to_both("both");
			-- As mod_websocket's of 0.12 is once the connection is lost.
			on.server:run("prosody.full_sessions['bob@localhost/web'].close = function () end");
			web:drop();
			servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/web'].hibernating)") ~= "nil"; end);
			local again = on.server:connect("bob@localhost/web", { presence = false });
			assert.equal("silent", on.server:support_of(again.jid));
			assert.same({ "both" }, on.acks());
		end);
end);

local slow = storages.slow();
suite("where users' choices are in a storage that lets others run", { options = slow.options..'receipts_answer = "opt-out"',
	modules = { "receipts", "smacks", "offline" } }, function (on)
	-- 13.0 no longer reads from a connection where something waited for a storage while the session was resumed on it.
	it("D2 D7 come of a resumption, and of what follows it, though a choice must be read for it", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		on.ask("bob@localhost", "slept upon");
		local bob = on.client("bob", NONE); -- whose choice is read anew from here on
		bob:sync();
		slow.take(on.server, 0.1);
		bob:drop();
		servers.wait(function () return on.server:run("return tostring(prosody.full_sessions['bob@localhost/bob'].hibernating)") ~= "nil"; end);
		local again = on.server:resume(bob, bob.handled);
		again:sync();
		local acks = {};
		servers.wait(function ()
			table.move(on.acks(), 1, 2, #acks + 1, acks);
			return #acks > 0;
		end);
		slow.take(on.server);
		on.ask("bob@localhost", "wide awake");
		on.proves(again);
		table.move(on.acks(), 1, 2, #acks + 1, acks);
		assert.same({ "slept upon", "wide awake" }, acks);
	end);

	it("D2 F0 come of an <a/>, and it costs no session, though that is resumed while a choice is read for it", function ()
		on.friends("alice", "bob");
		on.alice = on.client("alice", RECEIPTS);
		on.alice:messages(); -- what the last spec's has not acked on the stream comes from storage
		local bob = on.client("bob", NONE); -- whose choice is read anew from here on
		on.ask("bob@localhost", "acked");
		servers.wait(function () return bob:messages()[1]; end);
		on.server:run("prosody.hosts.localhost.modules.receipts.module.save().preferences:forget('bob')");
		slow.take(on.server, 0.3);
		bob:acknowledge(bob.handled - 1):drop();
		local again, resumed = on.server:resume(bob, bob.handled);
		assert.is_true(resumed);
		servers.wait(function () again:sync(); return on.acks()[1] == "acked"; end);
		slow.take(on.server);
		again:sync();
	end);
end);
