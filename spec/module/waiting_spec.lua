-- SPDX-License-Identifier: MIT
-- waiting.lib.lua: acks that wait until their client is available (rule E4).

local paths = require "spec.support.paths";
local lib = paths.lib("waiting");
local stanzas = require "spec.support.stanzas";

describe("acks that wait", function ()
	local waiting, sent, timers;
	local function clock() return 0; end
	local function later(seconds, _, work) table.insert(timers, { seconds = seconds, work = work }); end
	before_each(function ()
		sent, timers = {}, {};
		waiting = lib.new(function (session, stanza)
			table.insert(sent, stanza.attr.id or true);
			if session.dies then session.destroyed = true; end
		end, later, clock);
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
		session.username, session.host = session.username or "u", "h";
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
		local session, got = { username = "u", host = "h" }, nil;
		waiting = lib.new(function (_, stanza) got = stanza; end, later, clock);
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
		local other = lib.new(function (_, stanza) table.insert(sent_by_other, stanza.attr.id); end, later, clock);
		other:take_over(waiting);
		available(session, other);
		assert.same({ {}, { "1" } }, { sent, sent_by_other });
	end);

	it("E4 that were about to be sent are, though a reload comes between", function ()
		local session = {};
		keep(session, 1);
		waiting:available(session, 0);
		timers = {}; -- as an unload stops them
		local other = lib.new(function (_, stanza) table.insert(sent, stanza.attr.id); end, later, clock);
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

	it("E4 F2 are so many bytes at most, of one user and of all, until they have been sent or their session has gone", function ()
		local time = 0;
		waiting = lib.new(function () end, later, function () return time; end);
		local function large(n) return stanzas.ack("a@h/1", ("x"):rep(3900)..n); end
		local function fill(session)
			local n = 0;
			while waiting:keep(session, large(n)) do n = n + 1; end
			return n;
		end
		local users, kept = {}, 0;
		local function user(i)
			local account = { sessions = { {}, {} } };
			for _, session in ipairs(account.sessions) do session.username, session.host = "u"..i, "h"; end
			paths.bare_sessions["u"..i.."@h"] = account;
			return account.sessions;
		end
		finally(function () for i in pairs(users) do paths.bare_sessions["u"..i.."@h"] = nil; end end);
		for i = 1, 100 do
			users[i] = user(i);
			kept = kept + fill(users[i][1]) + fill(users[i][2]);
		end
		assert.same({ 16, nil }, { #waiting.acks[users[1][1]], waiting.acks[users[1][2]] }, "a user's other session has no more");
		assert.is_true(kept > 1000 and kept * 3900 < 4194304, kept);
		assert.equal(0, fill(users[100][1]));
		available(users[1][1]);
		assert.equal(16, fill(users[100][1]));
		users[2][1].destroyed = true;
		assert.equal(0, fill(users[1][1]), "that was looked at a moment ago");
		time = 1;
		assert.equal(16, fill(users[1][1]));
		paths.bare_sessions["u3@h"], users[3] = nil, {}; -- as a WebSocket's may go
		collectgarbage();
		collectgarbage();
		time = 2;
		assert.equal(16, fill(users[2][2]));
		local other = lib.new(nil, later, function () return time; end);
		other:take_over(waiting);
		assert.same({ waiting.bytes, false }, { other.bytes, other:keep(users[4][2], large(1)) });
	end);

	it("E4 are of four kilobytes at most, without what does not wait", function ()
		local session = { username = "u", host = "h" };
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
