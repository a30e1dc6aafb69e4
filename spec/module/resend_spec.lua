-- SPDX-License-Identifier: MIT
-- resend.lib.lua: when what is not acked is delivered again (rule G1), with a clock of our own.

local paths = require "spec.support.paths";
local elements, lib = paths.lib("elements"), paths.lib("resend");
local st = require "util.stanza";

describe("resend", function ()
	local timers, delivered, told, state, clients, resend;
	local function start(attempts)
		timers, delivered, told, state, clients = {}, {}, {}, "pending", { "b@h/1" };
		resend = lib.new(attempts, 10, {
			later = function (seconds, callback)
				local timer = { seconds, callback };
				function timer.stop()
					for i, other in ipairs(timers) do
						if other == timer then return table.remove(timers, i); end
					end
				end
				table.insert(timers, timer);
				return timer;
			end;
			state = function () return state; end;
			capable = function () return clients; end;
			deliver = function (stanza) table.insert(delivered, { stanza.attr.to, stanza }); end;
			told = function (content) table.insert(told, content.attr.id); end;
		});
	end
	local function keep(id, body)
		resend:keep(st.message({ from = "a@h/r", to = "b@h", id = id }, body or "hi"), "2026-01-01T00:00:00Z");
	end
	-- Runs the next timer, and returns after how long it came.
	local function tick()
		local timer = table.remove(timers, 1);
		timer[2]();
		return timer[1];
	end

	it("G1 delivers as often as allowed, each time later, and then forgets", function ()
		start(3);
		keep("1");
		assert.same({ 10, 20, 40 }, { tick(), tick(), tick() });
		assert.same({}, timers);
		assert.equal(3, #delivered);
		local jid, stanza = table.unpack(delivered[1]);
		assert.equal("b@h/1", jid);
		assert.equal("b@h/1", stanza.attr.to);
		assert.equal("1", stanza.attr.id);
		assert.equal("2026-01-01T00:00:00Z", stanza:get_child("delay", "urn:xmpp:delay").attr.stamp);
		for name, xmlns in pairs { ["no-store"] = "urn:xmpp:hints", ["no-copy"] = "urn:xmpp:hints", private = "urn:xmpp:carbons:2" } do
			assert.is_table(stanza:get_child(name, xmlns), name.." archives and other devices have the first one");
		end
		assert.same({ 0, {} }, { resend.count, resend.kept });
	end);

	it("G1 says by one hint alone what archives are to do, whatever the first one said", function ()
		start(1);
		resend:keep(st.message({ from = "a@h/r", to = "b@h", id = "1" }, "hi"):tag("store", { xmlns = "urn:xmpp:hints" }):up(), "2026-01-01T00:00:00Z");
		tick();
		local copy = delivered[1][2];
		assert.is_nil(copy:get_child("store", "urn:xmpp:hints"), "an archive may look for it first");
		assert.is_table(copy:get_child("no-store", "urn:xmpp:hints"));
	end);

	it("G1 E6 knows the bounce of each copy, whoever the requester's client is, and no other", function ()
		start(2);
		keep("1");
		clients = { "b@h/1", "b@h/2" };
		tick();
		clients = { "b@h/1" };
		tick();
		local function bounced(from, id)
			return resend:bounced(st.message { type = "error", from = from, to = "a@h/other", id = id or "1" });
		end
		assert.same({ false, false, false }, { bounced("b@h"), bounced("b@h/3"), bounced("b@h/1", "2") });
		assert.is_false(resend:bounced(st.message { type = "error", to = "a@h" }));
		assert.same({ true, false }, { bounced("b@h/2"), bounced("b@h/2") });
		assert.same({ true, true, false }, { bounced("b@h/1"), bounced("b@h/1"), bounced("b@h/1") });
		keep("2");
		tick();
		local attr = { from = "a@h/r", to = "b@h", id = "2" };
		resend:passed(attr, false); -- it is asked once more, while it is awaited
		assert.is_true(bounced("b@h/1", "2"));
		for _, later in ipairs { true, false } do -- one that asks, or does not
			tick();
			state = later and "pending" or "delivered";
			resend:passed(attr, later);
			assert.is_false(bounced("b@h/1", "2"), "it is that of a later message");
			state = "pending";
			keep("2");
		end
	end);

	it("G1 E6 knows the bounce of a copy, though somebody else is asked with the same id since", function ()
		start(2);
		keep("1");
		tick();
		resend:keep(st.message({ from = "a@h/r", to = "c@h", id = "1" }, "hi"), "2026-01-01T00:00:00Z");
		assert.is_true(resend:bounced(st.message { type = "error", from = "b@h/1", to = "a@h/r", id = "1" }));
	end);

	it("G1 F0 what a client sends to its own user is not the bounce of a copy", function ()
		start(1);
		assert.is_false(resend:bounced(st.message { type = "error", from = "a@h/r", id = "1" }));
	end);

	it("G1 stops when there is an ack or a bounce, or the ask has expired", function ()
		for _, reason in ipairs { "delivered", "failed", false } do
			start(3);
			keep("1");
			tick();
			state = reason or nil;
			tick();
			assert.equal(1, #delivered);
			assert.same({}, timers);
			assert.equal(0, resend.count);
		end
	end);

	it("G1 keeps no room for what has come to something", function ()
		start(3);
		for i = 1, 100 do keep(tostring(i)); end
		resend:settled("a@h", "1"); -- said of another device's message with this id, perhaps: this one is awaited
		assert.equal(100, resend.count);
		state = "delivered";
		resend:settled("a@h", "1");
		resend:settled("a@h", "never kept");
		state = "pending";
		assert.equal(99, resend.count);
		keep("room again");
		assert.equal(100, resend.count);
		assert.equal(100, #timers);
	end);

	it("G1 keeps ten thousand messages of all users at the most", function ()
		start(1);
		for user = 1, 101 do
			for id = 1, 100 do
				resend:keep(st.message({ from = "u"..user.."@h/r", to = "b@h", id = tostring(id) }, "hi"), "2026-01-01T00:00:00Z");
			end
		end
		assert.same({ 10000, 10000 }, { resend.count, #timers });
		assert.is_nil(resend.kept["u101@h"]);
		resend:keep(st.message({ from = "u100@h/r", to = "b@h", id = "new" }, "hi"), "2026-01-01T00:00:00Z");
		assert.equal(10000, resend.count, "a user's oldest makes room, and nobody else's");
		for message in pairs(resend.kept["u100@h"]) do assert.not_equal("1", message.content.attr.id); end
		resend:forget("u1@h");
		keep("1");
		assert.equal(9901, resend.count);
	end);

	it("G1 waits while no client can ack, and loses no attempt by it", function ()
		start(1);
		keep("1");
		clients = {};
		assert.same({ 10, 10 }, { tick(), tick() });
		assert.equal(0, #delivered);
		clients = { "b@h/1", "b@h/2" };
		tick();
		assert.equal(2, #delivered);
		assert.same({}, timers);
	end);

	it("G1 F2 goes to a few of very many clients: who makes up a hundred of them gets no hundred copies", function ()
		start(2);
		keep("1");
		clients = {};
		for i = 1, 100 do clients[i] = "b@h/"..i; end
		tick();
		assert.equal(5, #delivered);
		tick();
		assert.equal(10, #delivered);
	end);

	it("G1 forgets what a user sent who is gone, and nobody else's", function ()
		start(3);
		for id, from in ipairs { "a@h/r", "a@h/s", "c@h/r" } do
			resend:keep(st.message({ from = from, to = "b@h", id = tostring(id) }, "hi"), "2026-01-01T00:00:00Z");
		end
		resend:forget("a@h");
		assert.same({ 1, 1 }, { resend.count, #timers }, "nor is it held by a timer");
		assert.is_nil(resend.kept["a@h"]);
		tick();
		assert.equal(1, #delivered);
		assert.equal("c@h/r", delivered[1][2].attr.from);
	end);

	it("G1 F1 forgets what was sent to a user who is gone: a namesake gets nothing of it", function ()
		start(3);
		for id, to in ipairs { "b@h", "b@h/1", "c@h" } do
			resend:keep(st.message({ from = "a@h/r", to = to, id = tostring(id) }, "hi"), "2026-01-01T00:00:00Z");
		end
		resend:forget("b@h");
		assert.same({ 1, 1 }, { resend.count, #timers });
		clients = { "c@h/1" };
		tick();
		assert.equal("3", delivered[1][2].attr.id);
	end);

	it("A3 G1 leaves no timer behind, nor what it would have sent", function ()
		start(3);
		for i = 1, 5 do keep(tostring(i)); end
		resend:stop();
		assert.same({ {}, 0, {} }, { timers, resend.count, resend.kept });
	end);

	it("G1 delivers nothing that has come to something while it was looked for clients, or while another client got it", function ()
		local function acked()
			state = "delivered";
			resend:settled("a@h", "1");
		end
		for during, expected in pairs { capable = 0, deliver = 1 } do
			start(3);
			clients = { "b@h/1", "b@h/2" };
			keep("2");
			keep("1");
			local other, message = timers[1], timers[2];
			other.stop();
			local action = resend.actions[during];
			resend.actions[during] = function (...)
				acked();
				return action(...);
			end;
			timers = {};
			message[2]();
			assert.equal(expected, #delivered, during);
			assert.same({ 1, {} }, { resend.count, timers }, during);
		end
	end);

	it("G1 gives up after a day", function ()
		start(1);
		keep("1");
		clients = {};
		for _ = 1, 8639 do tick(); end
		assert.equal(1, resend.count);
		tick();
		assert.same({ 0, {} }, { resend.count, timers });
		start(20);
		keep("1");
		local age = 0;
		while timers[1] do age = age + tick(); end
		assert.equal(86400, age, "however many attempts are left");
		assert.same({ 14, 0 }, { #delivered, resend.count });
	end);

	it("G1 keeps the latest message with an id, and of that only one", function ()
		start(2);
		keep("1", "old");
		state = "delivered";
		keep("1", "new");
		state = "pending";
		assert.equal(1, resend.count);
		while timers[1] do tick(); end
		local bodies = {};
		for i, one in ipairs(delivered) do bodies[i] = one[2]:get_child_text("body"); end
		assert.same({ "new", "new" }, bodies);
		start(2);
		keep("1", "old");
		keep("1", ("x"):rep(20000));
		assert.same({ {}, {}, 0, {} }, { timers, delivered, resend.count, resend.kept });
	end);

	it("G1 forgets what has corrected a message before, of which one has gone to each of a person's clients", function ()
		local function correct(id, to)
			local stanza = st.message({ from = "a@h/r", to = to, id = id }, "hi"):tag("replace", { xmlns = "urn:xmpp:message-correct:0", id = "first" }):up();
			resend:overtake(stanza.attr, "first");
			resend:keep(stanza, "2026-01-01T00:00:00Z");
		end
		start(1);
		correct("second", "b@h/1");
		correct("second", "b@h/2");
		correct("other", "c@h");
		assert.equal(3, resend.count);
		tick(); -- the first of them is not sent again any more
		correct("third", "b@h");
		assert.same({ 2, 2 }, { resend.count, #timers });
		while timers[1] do tick(); end
		local ids = {};
		for i, one in ipairs(delivered) do ids[i] = one[2].attr.id; end
		assert.same({ "second", "other", "third" }, ids);
	end);

	it("G1 D4 knows copies, also those of another server, and takes no message for one that was delayed by something else", function ()
		start(1);
		keep("1");
		tick();
		local copy = delivered[1][2];
		assert.is_true(elements.is_copy(copy));
		assert.is_false(elements.is_copy(st.message({ from = "a@h/r" }, "hi")));
		local function delayed(from, by)
			local stanza = st.clone(copy);
			stanza.attr.from, stanza:get_child("delay", "urn:xmpp:delay").attr.from = from, by;
			return stanza;
		end
		assert.is_true(elements.is_copy(delayed("a@x/r", "x")));
		for from, host in pairs { ["a@h/r"] = "x", ["b@x/r"] = "h" } do
			assert.is_false(elements.is_copy(delayed(from, host)), from.." "..host);
		end
		assert.is_false(elements.is_copy(delayed(nil, nil)), "some module's");
		local stored = st.clone(copy);
		stored:maptags(function (tag) if tag.name ~= "delay" then return tag; end end);
		stored:tag("delay", { xmlns = "urn:xmpp:delay", from = "h", stamp = "2026-01-01T00:00:00Z" });
		assert.is_false(elements.is_copy(stored));
	end);

	it("G1 F4 tells of it once, to however many clients it goes", function ()
		start(2);
		clients = { "b@h/1", "b@h/2", "c@h/3" };
		keep("1");
		tick();
		clients = {};
		tick();
		assert.same({ 3, { "1" } }, { #delivered, told });
	end);

	it("G1 keeps no more and no larger messages than it may", function ()
		start(1);
		keep("1");
		keep("large", ("x"):rep(20000));
		assert.equal(1, #timers);
		for i = 2, 200 do keep(tostring(i)); end
		assert.equal(100, resend.count);
		for _ = 1, 100 do tick(); end
		assert.same({ "101", "200" }, { delivered[1][2].attr.id, delivered[100][2].attr.id });
		start(1);
		resend:keep(st.message({ from = "a@h/r", id = "to oneself" }, "hi"), "h", "2026-01-01T00:00:00Z");
		assert.same({ 0, {} }, { resend.count, timers });
	end);
end);
