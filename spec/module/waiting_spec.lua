-- SPDX-License-Identifier: MIT
-- waiting.lib.lua: acks that wait until their client is available (rule E4).

local lib = require "spec.support.paths".lib("waiting");
local stanzas = require "spec.support.stanzas";

describe("acks that wait", function ()
	local waiting, sent, timers;
	local function later(seconds, _, work) table.insert(timers, { seconds = seconds, work = work }); end
	before_each(function ()
		sent, timers = {}, {};
		waiting = lib.new(function (session, stanza)
			table.insert(sent, stanza.attr.id or true);
			if session.dies then session.destroyed = true; end
		end, later);
	end);
	local function run(seconds)
		local timer = table.remove(timers, 1);
		assert.equal(seconds, timer.seconds);
		timer.work();
	end
	-- As Prosody has it: it takes note of the presence after the event.
	local function available(session, of)
		(of or waiting):available(session, 0);
		session.presence = true;
		run(0);
	end
	local function keep(session, n)
		return waiting:keep(session, stanzas.ack("a@h/1", "x"..n, { id = tostring(n) }));
	end

	it("E4 are sent in their order, once, and nobody else's", function ()
		local session, other = {}, {};
		for n = 1, 3 do assert.is_true(keep(session, n)); end
		keep(other, 4);
		available(session);
		assert.same({ "1", "2", "3" }, sent);
		available(session);
		assert.equal(3, #sent);
	end);

	it("E4 are sent only once Prosody has taken note of the client's presence, however long that takes", function ()
		local session, other = {}, {};
		for _, one in ipairs { session, other } do
			keep(one, 1);
			waiting:available(one, 0);
		end
		run(0);
		run(0);
		assert.same({}, sent);
		session.presence, other.destroyed = true, true;
		run(1);
		assert.same({ "1" }, sent);
		run(1);
		assert.same({ { "1" }, {} }, { sent, timers });
	end);

	it("E4 F2 have one timer, of a client that comes and goes again and again too", function ()
		local session = {};
		keep(session, 1);
		for _ = 1, 3 do waiting:available(session, 0); end
		run(0);
		waiting:available(session, 0);
		assert.equal(1, #timers);
		session.presence = true;
		run(1);
		assert.same({ { "1" }, {} }, { sent, timers });
		session.presence = nil;
		keep(session, 2);
		available(session);
		assert.same({ "1", "2" }, sent);
	end);

	it("E4 are all that waits of a message, with what says how to treat it, and who sends it", function ()
		local session, got = {}, nil;
		waiting = lib.new(function (_, stanza) got = stanza; end, later);
		local message = stanzas.ack("a@h/1", "x", { from = "b@h/2", id = "1", type = "chat", ["xml:lang"] = "en" })
			:text_tag("body", "hi"):tag("store", { xmlns = "urn:xmpp:hints" }):up()
			:tag("nick", { xmlns = "http://jabber.org/protocol/nick" }):text("Bob"):up():tag("request", { xmlns = stanzas.xmlns }):up();
		local ack = message:get_child("received", stanzas.xmlns);
		waiting:keep(session, message);
		ack.attr.id = "changed later";
		available(session);
		assert.same({ from = "b@h/2", to = "a@h/1", id = "1", type = "chat" }, got.attr);
		assert.same({ "received", "store", "nick" }, { got.tags[1].name, got.tags[2].name, got.tags[3].name, got.tags[4] });
		assert.equal("x", got:get_child("received", stanzas.xmlns).attr.id);
	end);

	it("E4 D4 are known by the message that they ack: its id, and whom it came from", function ()
		local session = {};
		local function keeps(of, id, from) return waiting:keeps(of, { attr = { id = id, from = from } }); end
		assert.is_false(keeps(session, "x1", "a@h/1"));
		keep(session, 1);
		keep(session, 2);
		for _, from in ipairs { "a@h/1", "a@h/2", "a@h" } do assert.is_true(keeps(session, "x1", from), from); end
		assert.is_true(keeps(session, "x2", "a@h/1"));
		assert.is_false(keeps(session, "x3", "a@h/1"));
		assert.is_false(keeps(session, "x1", "b@h/1"));
		assert.is_false(keeps({}, "x1", "a@h/1"));
		available(session);
		assert.is_false(keeps(session, "x1", "a@h/1"));
	end);

	it("E4 wait over a reload, and then go the new way", function ()
		local session, sent_by_other = {}, {};
		keep(session, 1);
		local other = lib.new(function (_, stanza) table.insert(sent_by_other, stanza.attr.id); end, later);
		other:take_over(waiting);
		available(session, other);
		assert.same({ {}, { "1" } }, { sent, sent_by_other });
	end);

	it("E4 that were about to be sent are, though a reload comes between", function ()
		local session = {};
		keep(session, 1);
		waiting:available(session, 0);
		timers = {}; -- as an unload stops them
		local other = lib.new(function (_, stanza) table.insert(sent, stanza.attr.id); end, later);
		other:take_over(waiting);
		session.presence = true;
		run(0);
		assert.same({ { "1" }, {} }, { sent, timers });
	end);

	it("E4 are a hundred of one session at most", function ()
		local session = {};
		for n = 1, 100 do assert.is_true(keep(session, n)); end
		assert.is_false(keep(session, 101));
		assert.is_true(keep({}, 1));
	end);

	it("E4 F2 are so many bytes at most, of one session and of all that there are, until those have been sent or have gone", function ()
		local function large(n) return stanzas.ack("a@h/1", ("x"):rep(3900)..n); end
		local function fill(session)
			local n = 0;
			while waiting:keep(session, large(n)) do n = n + 1; end
			return n;
		end
		local sessions, kept = {}, 0;
		for i = 1, 500 do
			sessions[i] = {};
			kept = kept + fill(sessions[i]);
		end
		assert.equal(8, #waiting.acks[sessions[1]]);
		assert.is_true(kept > 1000 and kept * 3900 < 4194304, kept);
		waiting:gone(sessions[1]);
		waiting:gone(sessions[1]);
		assert.equal(8, fill(sessions[500]));
		assert.equal(0, fill(sessions[1]));
		available(sessions[2]);
		assert.equal(8, fill(sessions[2]));
		local other = lib.new(nil, later);
		other:take_over(waiting);
		assert.is_false(other:keep({}, large(1)));
	end);

	it("E4 are of four kilobytes at most, without what does not wait", function ()
		local session = {};
		assert.is_false(waiting:keep(session, stanzas.ack("a@h/1", ("x"):rep(4096))));
		local many = stanzas.ack("a@h/1", "x");
		for _ = 1, 100 do many:tag("received", { xmlns = stanzas.xmlns, id = "x" }):up(); end
		assert.is_false(waiting:keep(session, many));
		assert.is_nil(waiting.acks[session]);
		assert.is_true(waiting:keep(session, stanzas.ack("a@h/1", "x"):text_tag("body", ("x"):rep(4096))));
	end);

	it("E4 are not sent for a session that has gone", function ()
		local session = { dies = true };
		for n = 1, 3 do keep(session, n); end
		available(session);
		assert.same({ "1" }, sent);
	end);

	it("E4 do not keep a session in memory", function ()
		keep({}, 1);
		collectgarbage();
		collectgarbage();
		assert.is_nil(next(waiting.acks));
	end);
end);
