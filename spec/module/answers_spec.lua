-- SPDX-License-Identifier: MIT
-- answers.lib.lua: whether a delivery is answered.

local paths = require "spec.support.paths";
local elements, lib = paths.lib("elements"), paths.lib("answers");
local st = require "util.stanza";

describe("answers", function ()
	it("D3 D4 are given when nothing speaks against it", function ()
		assert.is_true((lib.decide(nil, "incapable", true, true)));
		assert.is_false((lib.decide(nil, "incapable", true, false)), "it may have gone to others");
		assert.is_true((lib.decide({ waits = { phone = false } }, "incapable", true)));
		for _, client in ipairs { "capable", "unknown", "silent" } do
			assert.is_false((lib.decide(nil, client, true, true)), client);
		end
		assert.is_false((lib.decide(nil, "incapable", false, true)));
		assert.is_false((lib.decide({ outcome = "answered" }, "incapable", true)));
		assert.is_false((lib.decide({ outcome = "acked" }, "incapable", true)));
		assert.is_false((lib.decide({ waits = { laptop = false, phone = true } }, "incapable", true)));
	end);

	describe("of one account", function ()
		local phone, laptop = { username = "b", host = "h", resource = "phone" }, { username = "b", host = "h", resource = "laptop" };
		local all, stored;
		local function new(asks) return lib.new(asks, function () return stored; end); end
		before_each(function () all, stored = new(), true; end);

		local function content(id, from, to) return { attr = { id = id, from = from or "a@h/1", to = to }, tags = {} }; end
		local function bounce(answer) return { attr = { id = answer.attr.id, type = "error" } }; end
		local function nobody() return "silent"; end
		local function unable() return "incapable"; end
		local function arrived(session, id, client, from) return (all:arrived(session, content(id, from), client or "incapable", true)); end

		it("D4 are spared by an ack to the requester's bare JID, for that id and that requester", function ()
			for _, from in ipairs { "a@h/1", "a@h/2", "c@h/1" } do
				for _, id in ipairs { "1", "2" } do all:delivering("b@h", { phone }, content(id, from), unable); end
			end
			all:acked("b@h", "a@h", "1");
			assert.same({ false, false, true }, { arrived(phone, "1", nil, "a@h/1"), arrived(phone, "1", nil, "a@h/2"), arrived(phone, "1", nil, "c@h/1") });
			assert.same({ true, true, true }, { arrived(phone, "2", nil, "a@h/1"), arrived(phone, "2", nil, "a@h/2"), arrived(phone, "2", nil, "c@h/1") });
		end);

		it("D4 are spared by an ack to one of the requester's clients, for that one", function ()
			for _, from in ipairs { "a@h/1", "a@h/2" } do all:delivering("b@h", { phone }, content("1", from), unable); end
			all:acked("b@h", "a@h/1", "1");
			all:acked("b@h", "a@h/3", "1");
			all:acked("nobody@h", "a@h/1", "1");
			assert.same({ false, true }, { arrived(phone, "1", nil, "a@h/1"), arrived(phone, "1", nil, "a@h/2") });
		end);

		it("D4 F2 are spared by an ack to a bare JID where much is remembered, under the longest of ids and addresses", function ()
			for i = 1, 500 do
				all:delivering("b@h", { phone }, content(("x"):rep(1020)..i, "a@h/"..("r"):rep(1000)), unable);
			end
			all:acked("b@h", "a@h", "nothing");
			all:acked("b@h", "a@h", ("x"):rep(1020).."500");
			assert.is_false(arrived(phone, ("x"):rep(1020).."500", nil, "a@h/"..("r"):rep(1000)));
			assert.is_true(arrived(phone, ("x"):rep(1020).."499", nil, "a@h/"..("r"):rep(1000)));
		end);

		describe("D2 D4, where earlier messages with the same id have not been proven,", function ()
			local slow, queue;
			before_each(function ()
				queue = {};
				slow = { username = "b", host = "h", resource = "slow", smacks = true };
				slow.outgoing_stanza_queue = { resume = function () return ipairs(queue); end };
			end);
			local function send(sessions)
				all:delivering("b@h", sessions or { slow }, content("1"), unable);
				for _, what in ipairs { content("1"), content("2"), content("1", "c@h/1") } do table.insert(queue, what); end
			end

			it("come of the last one", function ()
				for _ = 1, 3 do send(); end
				assert.same({ false, false, true, false }, { arrived(slow, "1"), arrived(slow, "1"), arrived(slow, "1"), arrived(slow, "1") });
			end);

			it("come of the last one also when nothing is remembered of those", function ()
				for _ = 1, 2 do table.insert(queue, content("1")); end
				send();
				assert.same({ false, false, true }, { arrived(slow, "1"), arrived(slow, "1"), arrived(slow, "1") });
			end);

			it("come of the last one though it has gone there already", function ()
				for _ = 1, 2 do table.insert(queue, content("1")); end
				all:delivering("b@h", { slow }, content("1"), unable, false, true);
				assert.same({ false, true }, { arrived(slow, "1"), arrived(slow, "1") });
				queue = { content("2") };
				all:delivering("b@h", { slow, phone }, content("2"), unable, false, true);
				assert.is_true(arrived(slow, "2"));
			end);

			it("are not kept back by what does not ask, as a chat state with an id", function ()
				all = new(function (stanza) return stanza.asks; end);
				for _ = 1, 2 do table.insert(queue, content("1")); end
				queue[2].asks = true;
				send();
				assert.same({ false, true }, { arrived(slow, "1"), arrived(slow, "1") });
			end);

			it("E6 say nothing of those, which bounce when they are lost", function ()
				local function told(session) return all:told(session, content("1")); end
				send { phone };
				send { laptop };
				assert.is_false(told(laptop), "nor of itself before that");
				assert.is_true(arrived(laptop, "1"));
				assert.same({ false, true }, { told(phone), told(laptop) }, "it went elsewhere");
				send { laptop };
				assert.is_true(arrived(laptop, "1"));
				assert.same({ false, true }, { told(phone), told(laptop) }, "and still so");
				all, queue = new(), {};
				for _ = 1, 2 do send { slow, phone }; end
				assert.is_true(arrived(phone, "1"));
				assert.same({ false, true, true }, { told(slow), told(slow), told(phone) }, "one after the other");
				all, queue = new(), { content("1") };
				send { slow, phone };
				assert.is_true(arrived(phone, "1"));
				assert.same({ false, true }, { told(slow), told(slow) }, "of which nothing is remembered");
			end);

			it("E6 are good for those too which have been answered themselves", function ()
				send { phone, laptop };
				assert.is_true(arrived(phone, "1"));
				send { phone };
				assert.is_true(arrived(phone, "1"));
				assert.is_true(all:told(laptop, content("1")));
				all:delivering("b@h", { phone }, content("1", nil, "b@h/phone"), unable);
				assert.is_true(arrived(phone, "1"));
				assert.is_true(all:told(laptop, content("1")), "nor where a room may send it to others yet");
				all, queue = new(), {};
				for _ = 1, 2 do
					send { slow, phone };
					assert.is_true(arrived(phone, "1"));
				end
				assert.same({ true, true }, { all:told(slow, content("1")), all:told(slow, content("1")) }, "nor there");
			end);

			it("come of the last one at each client", function ()
				local other = setmetatable({ resource = "other" }, { __index = slow });
				for _ = 1, 2 do send { slow, other }; end
				assert.same({ false, false, true, false }, { arrived(slow, "1"), arrived(other, "1"), arrived(other, "1"), arrived(slow, "1") });
			end);

			it("come of the other client when the last one is lost, and not before", function ()
				local function able(session) return session == slow and "capable" or "incapable"; end
				for _ = 1, 2 do
					all:delivering("b@h", { slow, laptop }, content("1"), able);
					table.insert(queue, content("1"));
				end
				assert.is_false(arrived(laptop, "1"));
				assert.same({}, all:lost(slow, content("1")));
				assert.equal(1, #all:lost(slow, content("1")));
			end);

			it("E6 of the other client are word of the last one, which is lost at the one that was waited for, and of none before", function ()
				local function able(session) return session == slow and "capable" or "incapable"; end
				local function lost_then_told()
					for _, one in ipairs(all:lost(slow, content("1"))) do assert.is_true(arrived(one.session, "1")); end
					return all:told(slow, content("1"));
				end
				for _ = 1, 2 do
					all:delivering("b@h", { slow, laptop }, content("1"), able);
					table.insert(queue, content("1"));
				end
				assert.is_false(arrived(laptop, "1"));
				assert.same({ false, true }, { lost_then_told(), lost_then_told() });
				all, queue = new(), {};
				all:delivering("b@h", { slow }, content("1"), able);
				all:delivering("b@h", { phone, laptop }, content("1"), function (session) return session == phone and "capable" or "incapable"; end);
				assert.is_false(arrived(laptop, "1"));
				assert.is_false(lost_then_told(), "it went elsewhere");
				for _, one in ipairs(all:lost(phone, content("1"))) do assert.is_true(arrived(one.session, "1")); end
				assert.is_false(all:told(slow, content("1")), "still so");
			end);

			it("come of the first one that whoever has its resource next gets", function ()
				send();
				send { slow, phone };
				queue = {};
				all:gone(slow);
				assert.is_true(arrived({ username = "b", host = "h", resource = "slow" }, "1"));
			end);
		end);

		it("D4 come when the client that was waited for turns out to be unable", function ()
			all:delivering("b@h", { phone, laptop }, content("1"), nobody);
			assert.is_false(arrived(phone, "1", "unknown"));
			assert.is_false(arrived(phone, "1"), "there is the other one");
			assert.is_true(arrived(laptop, "1"));
			assert.is_false(arrived(phone, "1"), "once");
		end);

		it("D4 come of what had arrived, once the client that was waited for is lost", function ()
			all:delivering("b@h", { phone, laptop }, content("1"), nobody);
			arrived(phone, "1");
			local at = all:lost(laptop, content("1"));
			assert.same({ 1, phone, "1", "a@h/1" }, { #at, at[1].session, at[1].content.attr.id, at[1].content.attr.from });
			assert.same({}, all:lost(laptop, content("1")));
			assert.is_false(all:told(phone, content("1")));
			assert.is_true(arrived(phone, "1"));
			assert.is_true(all:told(phone, content("1")));
		end);

		it("D4 come of what had arrived, once the client that was waited for is known to be unable", function ()
			for i = 1, 3 do all:delivering("b@h", { phone, laptop }, content(tostring(i)), nobody); end
			all:delivering("b@h", { phone }, content("phone's"), nobody);
			arrived(phone, "1");
			arrived(laptop, "1", "unknown");
			arrived(laptop, "1", "unknown");
			arrived(laptop, "2", "silent");
			arrived(phone, "3", "unknown");
			assert.same({}, all:learned({ username = "c", host = "h", resource = "laptop" }, "incapable"));
			local at = {};
			for _, one in ipairs(all:learned(laptop, "incapable")) do table.insert(at, one.content.attr.id..one.session.resource); end
			assert.same({ "1phone", "1laptop" }, at);
			assert.same({}, all:learned(laptop, "incapable"), "once");
			at = {};
			for _, one in ipairs(all:learned(phone, "incapable")) do table.insert(at, one.content.attr.id..one.session.resource); end
			table.sort(at);
			assert.same({ "2laptop", "3phone" }, at);
		end);

		it("D4 wait for the other device to which a room sends the same message by itself", function ()
			all:delivering("b@h", { phone }, content("1", nil, "b@h/phone"), nobody);
			all:delivering("b@h", { laptop }, content("1", nil, "b@h/laptop"), unable);
			assert.is_false(arrived(laptop, "1"));
			all:delivering("b@h", { laptop }, content("1", nil, "b@h/laptop"), unable);
			assert.is_true(arrived(laptop, "1"), "a new message, for it goes there again");
			-- Other messages with an old id begin anew.
			all:delivering("b@h", { phone }, content("2", nil, "b@h/phone"), nobody);
			all:delivering("b@h", { laptop }, content("2", nil, "b@h"), unable);
			assert.is_true(arrived(laptop, "2"));
			all:delivering("b@h", { phone }, content("3"), nobody);
			all:delivering("b@h", { laptop }, content("3", nil, "b@h/laptop"), unable);
			assert.is_true(arrived(laptop, "3"));
		end);

		it("D4 come again for what a room sends to another device more than a moment later: that is a new message with an old id", function ()
			local time = require "util.time";
			local real, later = time.monotonic, 0;
			finally(function () time.monotonic = real; end);
			time.monotonic = function () return real() + later; end;
			all = paths.lib("answers").new();
			all:delivering("b@h", { phone }, content("1", nil, "b@h/phone"), unable);
			assert.is_true(arrived(phone, "1"));
			later = 1.5;
			all:delivering("b@h", { laptop }, content("1", nil, "b@h/laptop"), unable);
			assert.is_true(arrived(laptop, "1"));
		end);

		it("D4 do not come of what a room sends to another device once it is answered or acked", function ()
			for i, settle in ipairs {
				function (id) assert.is_true(arrived(phone, id)); end,
				function (id) all:acked("b@h", "a@h/1", id); end,
				function (id) all:acked("b@h", "a@h", id); end,
			} do
				local id = tostring(i);
				all:delivering("b@h", { phone }, content(id, nil, "b@h/phone"), unable);
				settle(id);
				all:delivering("b@h", { laptop }, content(id, nil, "b@h/laptop"), nobody);
				assert.is_false(arrived(laptop, id, "unknown"));
				assert.same({ {}, {}, {} }, { all:learned(laptop, "incapable"), all:lost(laptop, content(id)), all:gone(laptop) });
				assert.is_false(arrived(laptop, id));
				assert.is_true(all:told(laptop, content(id)));
				all:delivering("b@h", { phone }, content(id, nil, "b@h/phone"), unable);
				assert.is_true(arrived(phone, id), "a new message, for it goes there again");
			end
			all:not_sent("b@h", content("1"));
			all:delivering("b@h", { laptop }, content("1", nil, "b@h/laptop"), unable);
			assert.is_true(arrived(laptop, "1"), "which could not be sent from the first one");
		end);

		it("D4 G1 wait for the client to which a message is sent again, too, and for those that had it before", function ()
			local tablet = { username = "b", host = "h", resource = "tablet" };
			local function again(id) all:delivering("b@h", { tablet }, content(id), function () return "capable"; end, true); end
			all:delivering("b@h", { phone }, content("1"), unable);
			again("1");
			assert.is_false(arrived(phone, "1"));
			assert.equal(1, #all:lost(tablet, content("1")));
			assert.is_true(arrived(phone, "1"));
			again("1");
			assert.is_false(arrived(phone, "1"), "once");
			again("2");
			all:lost(tablet, content("2"));
			stored = false;
			assert.is_false((all:arrived(phone, content("2"), "incapable", true)), "it is not known to whom else the first one went");
		end);

		it("D4 do not come of what was not in storage, and may have gone to others that nobody noted down", function ()
			stored = false;
			assert.is_false((all:arrived(phone, content("1"), "incapable", true)));
			assert.is_false((all:arrived(phone, content("1"), "unknown", true)));
			assert.same({}, all:learned(phone, "incapable"));
		end);

		it("D4 come when the client that was waited for is gone, if nothing is known of it", function ()
			local function one_is(what)
				return function (session) return session == phone and "incapable" or what; end;
			end
			all:delivering("b@h", { phone, laptop }, content("1"), one_is "silent");
			all:delivering("b@h", { phone, laptop }, content("2"), one_is "capable");
			arrived(phone, "1");
			arrived(phone, "2");
			local at = all:gone(laptop);
			assert.same({ 1, phone, "1" }, { #at, at[1].session, at[1].content.attr.id });
			assert.is_true(arrived(phone, "1"));
			assert.is_false(arrived(phone, "2"), "it has got it, and can answer");
			assert.same({}, all:gone(laptop));
		end);

		it("D4 come when the client that was waited for is gone, if it can, and could have proved that it has got it and has not", function ()
			local managed = { username = "b", host = "h", resource = "laptop" };
			local function can(session) return session == phone and "incapable" or "capable"; end
			for id, client in pairs { ["never"] = false, ["it has"] = "capable", ["it has, and was not known any more"] = "silent" } do
				all:delivering("b@h", { phone, managed }, content(id), can);
				arrived(phone, id);
				if client then arrived(managed, id, client); end
				assert.same({}, all:learned(managed, "capable"));
				if client == "capable" then assert.same({}, all:lost(managed, content(id)), "a copy of it"); end
				assert.equal(client and 0 or 1, #all:gone(managed, true), id);
				assert.equal(not client, arrived(phone, id), id);
			end
			all:delivering("b@h", { phone, laptop }, content("it may have"), can);
			arrived(phone, "it may have");
			for _, session in ipairs { laptop, managed } do
				assert.same({}, all:gone(session, session == managed), "nor when another one with that resource is gone");
			end
		end);

		it("D4 do not wait for a client that can't and shows nothing any more, but for one that shows something else, or comes in its place", function ()
			for support, answered in pairs { silent = true, unknown = false, capable = false } do
				all:delivering("b@h", { phone, laptop }, content(support), unable);
				assert.is_false(arrived(phone, support, support));
				assert.equal(answered, arrived(laptop, support), support);
			end
			for _, goes in ipairs {
				function (one) all:gone(one); end;
				function (one, message)
					all:lost(one, message);
					all:gone(one, true); -- as Prosody says right after that
				end;
			} do
				all:delivering("b@h", { phone, laptop }, content("next"), unable);
				goes(phone, content("next"));
				assert.is_false(arrived(phone, "next", "silent"));
				assert.is_false(arrived(laptop, "next"));
			end
		end);

		it("D4 do not come when the client that was waited for is gone, if it was known by then that it can", function ()
			for _, known in ipairs { "capable", "unknown", "silent" } do -- what is known of a client that has gone offline is forgotten
				all:delivering("b@h", { phone, laptop }, content("1"), function (session) return session == phone and "incapable" or "unknown"; end);
				arrived(phone, "1");
				assert.same({}, all:learned(laptop, "capable"));
				assert.same({}, all:learned(laptop, known));
				assert.same({}, all:gone(laptop), known);
				assert.is_false(arrived(phone, "1"));
			end
		end);

		it("D4 do not come of what has arrived where it was not known yet, or is not any more, that the client can", function ()
			for id, known in pairs { ["1"] = { "unknown", "capable" }, ["2"] = { "capable", "silent" } } do
				all:delivering("b@h", { phone, laptop }, content(id), function (session) return session == phone and "incapable" or known[1]; end);
				assert.is_false(arrived(laptop, id, known[2]));
				assert.is_false(arrived(phone, id));
				assert.same({}, all:gone(laptop), id);
			end
		end);

		it("D4 do not wait for a client that can, when that becomes known, of what has not gone to it", function ()
			all:delivering("b@h", { phone }, content("1"), unable);
			assert.same({}, all:learned(laptop, "capable"));
			assert.is_true(arrived(phone, "1"));
		end);

		it("D7 come of what outlived a session, once the client that it goes to then is known", function ()
			all:delivering("b@h", {}, content("1"), nobody);
			assert.is_false(arrived(phone, "1", "silent"));
			assert.equal(1, #all:learned(phone, "incapable"));
			assert.is_true(arrived(phone, "1"));
		end);

		it("D4 make no garbage for each of those on which there is nothing to decide again", function ()
			for i = 1, 200 do all:delivering("b@h", { phone }, content(tostring(i)), nobody); end
			collectgarbage();
			collectgarbage("stop");
			local before = collectgarbage("count");
			all:learned(phone, "unknown");
			local made = collectgarbage("count") - before;
			collectgarbage("restart");
			assert(made < 2, made.." KiB");
		end);

		it("D4 F2 are decided on again for some of those that have got it, not for any number", function ()
			all:delivering("b@h", { phone }, content("1"), nobody);
			for i = 1, 100 do arrived({ username = "b", host = "h", resource = "r"..i }, "1"); end
			local at = all:learned(phone, "incapable");
			assert.equal("r1", at[1].session.resource);
			assert.is_true(#at < 10, #at);
		end);

		it("D4 do not keep a session in memory that is gone", function ()
			local dead, weak = { username = "b", host = "h", resource = "dead" }, setmetatable({}, { __mode = "k" });
			weak[dead] = true;
			for i = 1, 3 do
				all:delivering("b@h", { phone, laptop }, content(tostring(i)), nobody);
				for _, session in ipairs(i == 2 and { dead, phone } or { phone, dead }) do
					arrived(session, tostring(i), session == phone and "unknown" or "incapable");
				end
			end
			all:gone({ username = "nobody", host = "h", resource = "dead" });
			all:gone({ username = "b", host = "h", resource = "dead" }); -- whoever comes in its place tells as well
			dead = nil; -- luacheck: ignore 311
			collectgarbage();
			assert.is_nil(next(weak));
			all:learned(laptop, "incapable");
			assert.equal(3, #all:learned(phone, "incapable"), "others stay");
		end);

		it("D7 come of what was in storage, once its client is known, and not to who may not see the user", function ()
			assert.is_false((all:arrived(phone, content("1"), "unknown", false)));
			assert.same({}, all:learned(phone, "incapable"));
			assert.is_false((all:arrived(phone, content("1"), "unknown", true)));
			assert.is_false((all:arrived(phone, content("2"), "capable", true)));
			local at = all:learned(phone, "incapable");
			assert.same({ 1, "1" }, { #at, at[1].content.attr.id });
			assert.is_true(arrived(phone, "1"));
		end);

		it("D4 come of the next client when one could not be sent", function ()
			all:delivering("b@h", { phone, laptop }, content("1"), unable);
			assert.is_true(arrived(phone, "1"));
			assert.is_false(arrived(laptop, "1"), "while it is being sent");
			all:not_sent("b@h", content("1"));
			assert.is_false(all:told(phone, content("1")));
			assert.is_true(arrived(laptop, "1"));
		end);

		it("D5 are marked as what they answer, also where that has waited", function ()
			local marked = st.message({ id = "1", from = "a@h/1" }):tag("no-store", { xmlns = "urn:xmpp:hints" }):up()
				:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up():tag("body"):text("wherever they are in it"):up();
			all:delivering("b@h", { phone, laptop }, marked, function (session) return session == laptop and "capable" or "incapable"; end);
			assert.is_false((all:arrived(phone, marked, "incapable", true)));
			local waited = all:lost(laptop, marked)[1].content;
			for _, one in ipairs { marked, waited } do
				local answer = all:make("b@h/phone", one);
				local names = {};
				for i, tag in ipairs(answer.tags) do names[i] = tag.name.." "..tag.attr.xmlns; end
				assert.same({ "received urn:xmpp:receipts", "no-permanent-store urn:xmpp:hints", "x http://jabber.org/protocol/muc#user" }, names);
			end
		end);

		it("D5 are marked as what a copy is a copy of: that archives are not to keep it once more is not the sender's word", function ()
			for first, name in pairs { [false] = "store", ["no-permanent-store"] = "no-permanent-store" } do
				local copy = st.message({ id = "1", from = "a@h/1" }):tag("body"):text("again"):up();
				if first then copy:tag(first, { xmlns = "urn:xmpp:hints" }):up(); end
				copy:tag("delay", { xmlns = "urn:xmpp:delay", from = "h" }):text(elements.SENT_AGAIN):up()
					:tag("no-store", { xmlns = "urn:xmpp:hints" }):up();
				assert.equal(name, all:make("b@h/phone", copy).tags[2].name);
			end
		end);

		it("D4 forget what became of an earlier message with the same id, also where nobody is there to be answered for", function ()
			for _, id in ipairs { "1", ("x"):rep(1024) } do all:not_delivering("b@h", content(id)); end
			assert.is_true(arrived(phone, "1"));
			assert.is_false(arrived(phone, "1"));
			all:not_delivering("b@h", content("1"));
			assert.is_true(arrived(phone, "1"));
			for _, requester in ipairs { "a@h", "a@h/1" } do
				all:acked("b@h", requester, "2");
				all:not_delivering("b@h", content("2"));
				assert.is_true(arrived(phone, "2"), requester);
			end
			all:not_delivering("c@h", content("1"));
			all:not_delivering("b@h", content("1"));
			all:not_delivering("b@h", content("2"));
			assert.same({ 0, 0 }, { all.fates.count, all.fates.accounts:count() }, "and keep nothing of an account without any");
		end);

		it("D4 D8 outlive a reload, though what became of messages does not where others are answered for", function ()
			for _, same in ipairs { true, false } do
				all = new();
				assert.is_true((all:arrived(phone, content("1"), "incapable", true)));
				local answer, other = all:make("b@h/phone", content("1")), new();
				all:watch(answer);
				other:take_over(all, same);
				assert.is_true(other:bounced(bounce(answer)));
				assert.is_true(all:refused(answer), "though it was sent before");
				assert.same({ same, same and 1 or 0 }, { other:told(phone, content("1")), other.fates.count });
			end
		end);

		it("D8 are known by their bounces, however late and how many there are, and those are none of another message", function ()
			local first, ids = all:make("b@h/phone", content("1")), {};
			for _ = 1, 10000 do
				local answer = all:make("b@h/phone", content("1"));
				all:watch(answer);
				assert.is_false(all:refused(answer));
				ids[answer.attr.id] = true;
			end
			assert.is_nil(ids[first.attr.id]);
			assert.is_nil(next(all.sending), "nothing is remembered of them");
			assert.is_true(all:bounced(bounce(first)));
			assert.is_false(all:refused(first), "it was not sent just now");
			local id = first.attr.id;
			for _, other in ipairs { "", "another", id:sub(2), "x"..id, (id:sub(1, 1) == "A" and "B" or "A")..id:sub(2), id:sub(-12),
				new():make("b@h/phone", content("1")).attr.id } do
				assert.is_false(all:bounced { attr = { id = other, type = "error" } }, other);
			end
			for _, attr in ipairs { { type = "error" }, { id = id, type = "chat" }, { id = id } } do assert.is_false(all:bounced { attr = attr }); end
		end);

		it("D5 D8 to room occupants have ids that tell nobody that they come from one server, and are known by their bounces", function ()
			local function private(id, from)
				local made = content(id, from);
				made.tags[1] = { name = "x", attr = { xmlns = "http://jabber.org/protocol/muc#user" } };
				return made;
			end
			local made = { all:make("b@h/phone", content("1", "carol@far/1")), all:make("b@h/phone", private("2", "room@far/carol")),
				all:make("b@h/phone", private("3", "room@far/carol")), all:make("b@h/phone", content("4", "other@far/carol"), true) };
			local other, before = new(), {};
			other:take_over(all, true);
			for i, answer in ipairs(made) do
				local id = answer.attr.id;
				for _, half in ipairs { id:sub(1, 12), id:sub(13) } do
					assert.is_nil(before[half], i);
					before[half] = true;
				end
				assert.equal(#made[1].attr.id, #id);
				assert.is_true(all:bounced(bounce(answer)));
				assert.is_true(other:bounced(bounce(answer)), "after a reload");
				assert.is_false(new():bounced(bounce(answer)));
				assert.is_false(all:bounced { attr = { id = id:sub(1, 23)..(id:sub(24) == "0" and "1" or "0"), type = i > 1 and "error" or "chat" } });
			end
			local letters = "";
			for _ = 1, 50 do letters = letters..all:make("b@h/phone", private("2", "room@far/carol")).attr.id:sub(13); end
			assert.truthy(letters:find("[G-Zg-z]"), "nor that they are made, and not drawn");
			assert.falsy(letters:find("[^%w_-]"));
		end);

		it("D2 F4 that have waited know how each client's message has arrived", function ()
			local tablet = { username = "b", host = "h", resource = "tablet" };
			for _, written in ipairs { phone, laptop } do
				all = new();
				all:delivering("b@h", { phone, laptop, tablet }, content("1"), function (session) return session == tablet and "capable" or "incapable"; end);
				for _, one in ipairs { phone, laptop } do
					local came = content("1");
					came.written = one == written or nil;
					assert.is_false((all:arrived(one, came, "incapable", true)));
				end
				all:gone(phone, true);
				local list = all:gone(tablet, true);
				assert.same({ laptop, written == laptop or nil }, { list[1].session, list[1].content.written });
			end
		end);

		it("D4 that could not be sent leave it to others, unless the client has acked meanwhile", function ()
			for _, acked in ipairs { true, false } do
				all = new();
				all:delivering("b@h", { phone, laptop }, content("1"), unable);
				assert.is_true(arrived(phone, "1"));
				if acked then all:acked("b@h", "a@h/1", "1"); end
				all:not_sent("b@h", content("1"));
				assert.equal(not acked, arrived(laptop, "1"));
			end
		end);

		it("D8 that bounce while they are sent are known then, once", function ()
			local one, other = all:make("b@h/phone", content("1")), all:make("b@h/phone", content("2"));
			for _, answer in ipairs { one, other } do all:watch(answer); end
			assert.is_true(all:bounced(bounce(one)));
			assert.same({ true, false, false }, { all:refused(one), all:refused(other), all:refused(one) });
		end);

		it("do not come for ids that are too long", function ()
			local long, longest = ("x"):rep(1024), ("x"):rep(1023);
			all:delivering("b@h", { phone }, content(long), unable);
			all:acked("b@h", "a@h/1", long);
			assert.is_false(arrived(phone, long));
			assert.equal(0, all.fates.count, "F2 nor is anything remembered of them");
			all:delivering("b@h", { phone }, content(longest), unable);
			assert.is_true((all:arrived(phone, content(longest), "incapable", true)));
			all:not_delivering("b@h", content(longest));
			assert.is_true(arrived(phone, longest));
			all:delivering("b@h", { phone }, content(longest), unable);
			all:acked("b@h", "a@h/1", longest);
			assert.is_false(arrived(phone, longest));
		end);
	end);
end);

describe("preferences", function ()
	local preferences = paths.lib("preferences");
	local now, failures;
	local function exists() return true; end
	local function time() return now; end
	local function failed(what, err) table.insert(failures, what..": "..err); end
	before_each(function () now, failures = 1000, {}; end);

	it("D1 say who is answered for", function ()
		for mode, expected in pairs {
			["opt-in"] = { yes = true, no = false, default = false };
			["opt-out"] = { yes = true, no = false, default = true };
			never = { yes = false, no = false, default = false };
		} do
			for wanted, answered in pairs(expected) do
				local reads = 0;
				local users = preferences.new({ get = function () reads = reads + 1; return { answer = wanted }; end }, mode, exists, time);
				for _ = 1, 2 do assert.equal(answered, users:answers_for("bob"), mode.." "..wanted); end
				assert.equal(not answered or nil, users.no_answers.at.bob);
				assert.equal(mode == "never" and 0 or 1, reads);
			end
			local broken = preferences.new({ get = function () return nil, "disk on fire"; end }, mode, exists, time, nil, failed);
			assert.same({ false, mode ~= "never" and "disk on fire" or nil }, { broken:answers_for("bob") },
				"nothing is done for a user whose choice cannot be read");
			assert.equal(mode == "never" or nil, broken.no_answers.at.bob, "but that may change");
		end
	end);

	it("D1 say who is asked for", function ()
		for wanted, asked in pairs { default = true, yes = true, no = false } do
			assert.equal(asked, preferences.new({ get = function () return { ask = wanted }; end }, "never", exists, time):asks_for("bob"));
		end
		local broken = preferences.new({ get = function () return nil, "disk on fire"; end }, "never", exists, time, nil, failed);
		for _ = 1, 2 do assert.same({ false, "disk on fire" }, { broken:asks_for("bob") }); end
	end);

	it("F2 of who does not exist are neither read nor remembered, whatever name a stranger writes to", function ()
		for _, mode in ipairs { "opt-in", "opt-out", "never" } do
			local reads, real = 0, false;
			local users = preferences.new({ get = function () reads = reads + 1; end }, mode, function () return real; end, time);
			for i = 1, 100 do
				assert.same({ false }, { users:answers_for("nobody"..i) }, mode);
				assert.same({ false }, { users:asks_for("nobody"..i) }, mode);
				assert.same({ nil, "There is no user nobody"..i }, { users:get("nobody"..i) });
			end
			assert.same({ 0, 0, 0 }, { reads, users.wanted.count, users.no_answers.count }, mode);
			real = true;
			assert.equal(mode == "opt-out", users:answers_for("nobody1"), "who comes to be is known at once");
			assert.is_true(users:asks_for("nobody1"));
		end
	end);

	it("D1 that cannot be read are not read for each message, and read again some seconds later; each failure is told once", function ()
		for _, damaged in ipairs { function () return nil, "disk on fire"; end, function () error("disk on fire", 0); end } do
			local reads, get = 0, damaged;
			local store = { get = function () reads = reads + 1; return get(); end, set = function () return true; end };
			failures = {};
			local users;
			users = preferences.new(store, "opt-out", exists, time, function () end, failed, function () return users; end);
			for _ = 1, 200 do
				assert.is_false(users:answers_for("bob"));
				assert.same({ nil, "disk on fire" }, { users:get("bob") });
			end
			assert.equal(1, reads);
			assert.same({ "What bob chose cannot be read, and is tried again later: disk on fire" }, failures);
			get = function () return { answer = "yes" }; end;
			assert.is_false(users:answers_for("bob"));
			now = now + 5;
			assert.is_true(users:answers_for("bob"));
			assert.equal(2, reads);
			get = damaged;
			assert.is_false(users:answers_for("eve"));
			get = function () return nil; end;
			users:set("eve", { answer = "default" });
			assert.is_true(users:answers_for("eve"), "what has been replaced can be read");
			assert.equal(2, #failures);
		end
	end);

	it("D1 are kept, and what is stored wrongly is the default", function ()
		local data = { bob = { answer = "maybe", ask = "no" }, eve = "rubbish" };
		local broken = false;
		local store = {};
		function store.get(_, user) if broken then return nil, "disk on fire"; end return data[user]; end
		function store.set(_, user, value) if broken then return nil, "disk on fire"; end data[user] = value; return true; end
		local changes = {};
		local users;
		users = preferences.new(store, "opt-in", exists, time, function (user) table.insert(changes, user); end, failed,
			function () return users; end);
		assert.same({ answer = "default", ask = "no" }, users:get("bob"));
		assert.same({ answer = "default", ask = "default" }, users:get("eve"));
		assert.same({ answer = "default", ask = "default" }, users:get("nobody"));
		assert.is_false(users:answers_for("bob"));
		assert.is_true(users:set("bob", { answer = "yes", ask = "yes" }));
		assert.is_true(users:answers_for("bob"), "what is known of a user goes with their choice");
		assert.same({ answer = "yes", ask = "yes" }, users:get("bob"));
		users:set("bob", { answer = "yes", ask = "no" });
		assert.same({ "bob" }, changes);
		users:set("bob", { answer = "no", ask = "yes" });
		assert.same({ "bob", "bob" }, changes);
		users:set("bob", { answer = "yes", ask = "yes" });
		broken = true;
		assert.same({ nil, "disk on fire" }, { users:get("somebody") });
		assert.same({ nil, "disk on fire" }, { users:set("bob", {}) });
		local set = store.set;
		function store.set() error("disk on fire", 0); end
		assert.same({ nil, "disk on fire" }, { users:set("bob", {}) });
		store.set = set;
		assert.is_true(users:answers_for("bob"));
		broken = false;
		data.bob = nil;
		users:forget("bob");
		assert.same({ answer = "default", ask = "default" }, users:get("bob"));
	end);

	it("A3 D1 go with a user whose data is removed while we are reloaded", function ()
		local data, newest = { answer = "yes", ask = "yes" }, nil;
		local store = { get = function () return data; end };
		local function new()
			return preferences.new(store, "opt-in", exists, time, function () end, failed, function () return newest; end);
		end
		local users = new();
		newest = users;
		function store.set()
			newest = new();
			assert.is_true(newest:answers_for("bob")); -- who is read while the storage is at work
			data = nil;
			return true;
		end
		users:remove("bob");
		assert.is_false(newest:answers_for("bob"));
	end);

	it("D1 hold only if the store has kept them, which may say so and not do it", function ()
		local data, changes = { answer = "yes", ask = "yes" }, {};
		local store = { get = function () return data; end, set = function () return true; end };
		local users;
		users = preferences.new(store, "opt-in", exists, time, function (user) table.insert(changes, user); end, failed,
			function () return users; end);
		assert.is_true(users:set("bob", { answer = "yes", ask = "yes" }));
		for _, wanted in ipairs { { answer = "yes", ask = "no" }, { answer = "no", ask = "yes" } } do
			assert.same({ nil, "the storage has not kept it" }, { users:set("bob", wanted) });
			assert.same({ answer = "yes", ask = "yes" }, users:get("bob"));
		end
		assert.same({}, changes);
		data = nil;
		assert.same({ nil, "the storage has not kept it" }, { users:set("bob", { answer = "yes", ask = "yes" }) });
		assert.same({ "bob" }, changes, "what holds from now on is what can be read");
		function store.get() return nil, "disk on fire"; end
		assert.same({ nil, "disk on fire" }, { users:set("bob", { answer = "yes", ask = "yes" }) });
	end);
end);
