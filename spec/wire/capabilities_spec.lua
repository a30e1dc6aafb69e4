-- SPDX-License-Identifier: MIT
-- Chapter B on the wire, and what chapter C does with it: who supports receipts, learned from presence and disco#info.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local RECEIPTS = { stanzas.xmlns };
local NONE = { "urn:example:nothing" };

describe("capabilities", function ()
	local server;
	setup(function () server = servers.start { hosts = servers.rooms, disabled = { "pep" } }; end);
	teardown(function () server:stop(); end);
	after_each(function () server:disconnect_all(); end);

	-- Both see each other's presence.
	local function friends(a, b)
		server:roster(a, b.."@localhost", "both");
		server:roster(b, a.."@localhost", "both");
	end

	-- What the module knows of a full JID.
	local function known(jid)
		return server:support_of(jid);
	end

	-- Prosody's promises do their work when their time has come. What was to be asked before somebody else was asked and answered
	-- has been asked then.
	local fences = 0;
	local function settle(one)
		fences = fences + 1;
		local fence = server:connect("fence", { features = { stanzas.xmlns, "urn:example:fence:"..fences } });
		servers.wait(function ()
			fence:sync();
			return known(fence.jid) == "capable";
		end);
		fence:close();
		one:sync();
		one:sync();
	end

	-- A client whose disco#info has been asked for where it is to be.
	local function client(jid, features, how)
		how = how or {};
		how.features = features;
		local connected = server:connect(jid, how);
		settle(connected);
		return connected;
	end

	local function asked_for(from, to)
		from:send(stanzas.chat { to = to.bare, id = "c1" });
		from:sync();
		return stanzas.asks(to:messages()[1]);
	end

	it("B1 are learned from caps, and one ver costs one query", function ()
		local first = client("b1a", { stanzas.xmlns, "urn:example:b1" });
		assert.equal(1, first.queries);
		assert.equal("capable", known(first.jid));
		local second = client("b1b", { stanzas.xmlns, "urn:example:b1" });
		assert.is_nil(second.queries);
		assert.equal("capable", known(second.jid));
		local third = client("b1c", { "urn:example:b1" });
		assert.equal(1, third.queries);
		assert.equal("incapable", known(third.jid));
	end);

	it("B1 are asked for once when many show the same ver at once", function ()
		local clients = {};
		for i = 1, 500 do
			clients[i] = server:connect("crowd"..i, { features = { stanzas.xmlns, "urn:example:crowd" }, presence = false });
		end
		for _, one in ipairs(clients) do one:send(one:presence()); end
		for _ = 1, 2 do
			for _, one in ipairs(clients) do one:sync(); end
		end
		local queries = 0;
		for _, one in ipairs(clients) do queries = queries + (one.queries or 0); end
		assert.equal(1, queries);
		assert.equal("capable", known(clients[1].jid));
		assert.equal("capable", known(clients[500].jid));
	end);

	describe("B3 are asked of so many of one user's clients at once, and then of the others once", function ()
		for what, leave in pairs {
			["those have answered"] = function (one) one:answer_held(); end;
			["those have gone"] = function (one) one:close(); end;
			["those have said that they go"] = function (one)
				one:send("<presence type='unavailable'/>");
				one:close();
			end;
		} do
			it(what, function ()
				local clients = {};
				for i = 1, 25 do
					clients[i] = server:connect("many@localhost/"..i, { presence = false });
					clients[i].held = {};
					clients[i]:send("<presence/>");
				end
				local function asked()
					local list = {};
					for _ = 1, 2 do
						for _, one in ipairs(clients) do
							if one.conn then one:sync(); end
						end
					end
					for _, one in ipairs(clients) do
						if one.queries then table.insert(list, one); end
					end
					return list;
				end
				servers.wait(function () return #asked() == 20; end);
				local first = asked();
				for i = 1, 3 do leave(first[i]); end
				servers.wait(function () return #asked() == 23; end);
				assert.equal(23, #asked());
			end);
		end
	end);

	it("B2 of a client that lies about its ver count for that client alone", function ()
		local honest = client("honest", { stanzas.xmlns, "urn:example:b2" }, { presence = false });
		local liar = server:connect("liar", { presence = false });
		liar:show({ "urn:example:lie" }, honest.ver);
		liar:send(liar:presence());
		settle(liar);
		assert.equal("incapable", known(liar.jid));
		honest:send(honest:presence());
		settle(honest);
		assert.equal("capable", known(honest.jid));
		assert.equal("incapable", known(liar.jid));
		local third = client("third", { stanzas.xmlns, "urn:example:b2" });
		assert.is_nil(third.queries);
		assert.equal("capable", known(third.jid));
	end);

	it("B2 of a client whose ver is made up, and whose answer does not say what was asked about, are learned from that", function ()
		local sloppy = server:connect("sloppy", { presence = false });
		sloppy.held = {};
		sloppy:show({ "urn:example:sloppy" }, "made up");
		sloppy:send(sloppy:presence());
		servers.wait(function () sloppy:sync(); return #sloppy.held > 0; end);
		for _, question in ipairs(sloppy.held) do
			assert.is_string(question:get_child("query", "http://jabber.org/protocol/disco#info").attr.node);
			question:get_child("query", "http://jabber.org/protocol/disco#info").attr.node = nil;
		end
		sloppy:answer_held();
		settle(sloppy);
		assert.equal("incapable", known(sloppy.jid));
	end);

	it("B2 are not shared from an answer that was made to collide", function ()
		-- Hashes like { "urn:example:x", "urn:xmpp:receipts" }.
		local victim = client("victim", { "urn:example:x", stanzas.xmlns }, { presence = false });
		local attacker = server:connect("attacker", { presence = false });
		attacker:show({ "urn:example:x<"..stanzas.xmlns });
		assert.equal(victim.ver, attacker.ver);
		attacker:send(attacker:presence());
		settle(attacker);
		assert.equal("incapable", known(attacker.jid));
		victim:send(victim:presence());
		settle(victim);
		assert.equal("capable", known(victim.jid));
	end);

	it("B2 without a hash that can be verified hold for one client", function ()
		local legacy = server:connect("legacy", { presence = false });
		legacy:show(RECEIPTS);
		legacy:send("<presence><c xmlns='http://jabber.org/protocol/caps' node='urn:old' ver='1.0' ext='a b'/></presence>");
		settle(legacy);
		assert.equal(1, legacy.queries);
		assert.equal("capable", known(legacy.jid));
		local other = server:connect("legacy2", { presence = false });
		other:show(NONE);
		other:send("<presence><c xmlns='http://jabber.org/protocol/caps' node='urn:old' ver='1.0' ext='a b'/></presence>");
		settle(other);
		assert.equal("incapable", known(other.jid));
	end);

	it("B3 of a client that never answers stay unknown, at the cost of one query", function ()
		local mute = server:connect("mute", { presence = false });
		mute:show { stanzas.xmlns, "urn:example:mute" };
		mute.mute = true;
		for _ = 1, 5 do
			mute:send(mute:presence());
			settle(mute);
		end
		assert.equal(1, mute.queries);
		assert.equal("unknown", known(mute.jid));
	end);

	it("A3 B3 are not waited for any more when the module goes", function ()
		local mute = server:connect("mute", { presence = false });
		mute:show { stanzas.xmlns, "urn:example:goes" };
		mute.mute = true;
		mute:send(mute:presence());
		settle(mute);
		assert.equal("true", server:run([[
			local modulemanager = require "core.modulemanager";
			local query = prosody.hosts.localhost.modules.receipts.module.save().queries.waiting["mute@localhost/mute"];
			local stopped = false;
			function query.timer.stop() stopped = true; end
			modulemanager.unload("localhost", "receipts");
			modulemanager.load("localhost", "receipts");
			return tostring(stopped);
		]]));
	end);

	it("B3 are asked only of who sent presence", function ()
		local quiet = server:connect("quiet", { presence = false });
		local other = server:connect("other");
		other:send(stanzas.chat { to = quiet.jid, id = "1" });
		other:sync();
		settle(quiet);
		assert.is_nil(quiet.queries);
	end);

	it("B3 of room occupants come from known vers, and occupants are not asked", function ()
		local known_ver = client("inroom", { stanzas.xmlns, "urn:example:room" });
		local watcher, stays = server:connect("watcher"), server:connect("stays");
		local stranger_ver = server:connect("odd", { presence = false });
		stranger_ver:show { stanzas.xmlns, "urn:example:odd" };
		stranger_ver.mute = true;
		for name, one in pairs { watcher = watcher, stays = stays, inroom = known_ver, odd = stranger_ver } do
			one:send(one:presence({ to = "room@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
			one:sync();
		end
		settle(watcher);
		settle(stranger_ver);
		assert.equal("capable", known("room@rooms.localhost/inroom"));
		assert.equal("unknown", known("room@rooms.localhost/odd"));

		-- Who leaves is shown nothing any more, and is told of nobody's going.
		for _, one in ipairs { known_ver, stranger_ver } do
			one:send(st.presence { to = "room@rooms.localhost/any", type = "unavailable" });
			one:sync();
		end
		server:run("local shown = prosody.hosts.localhost.modules.receipts.module.save().capabilities.people:of('room@rooms.localhost')"
			.."['room@rooms.localhost/watcher'].shown; assert(shown['stays@localhost'] and not shown['inroom@localhost'])");
		watcher:send(st.presence { to = "room@rooms.localhost/watcher", type = "unavailable" });
		watcher:sync();
		assert.equal("silent", known("room@rooms.localhost/watcher"));
	end);

	it("B1 of room occupants stay while a user is there with another device", function ()
		local watcher, phone = server:connect("watcher"), server:connect("watcher@localhost/phone");
		local occupant = client("stays", { stanzas.xmlns, "urn:example:stays" });
		for name, one in pairs { watcher = watcher, phone = phone, stays = occupant } do
			one:send(one:presence({ to = "devices@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
			one:sync();
		end
		local function leave(one)
			one:send(st.presence { to = "devices@rooms.localhost/any", type = "unavailable" });
			one:sync();
			return server:run([[
				local people = prosody.hosts.localhost.modules.receipts.module.save().capabilities.people;
				local occupant = (people:of("devices@rooms.localhost") or {})["devices@rooms.localhost/stays"];
				return tostring(occupant and occupant.shown["watcher@localhost"]);
			]]);
		end
		assert.equal("true", leave(phone));
		assert.equal("nil", leave(watcher));
	end);

	it("B4 of room occupants are not used for who has been put out of the room with the last device there", function ()
		local MUC = "http://jabber.org/protocol/muc";
		local owner = client("owner", { stanzas.xmlns, "urn:example:owner" });
		local watcher, phone, other = server:connect("watcher"), server:connect("watcher@localhost/phone"), server:connect("other");
		local function enter(one, nick) one:send(one:presence({ to = "strict@rooms.localhost/"..nick }):tag("x", { xmlns = MUC }):up()):sync(); end
		local function rules(tag, item)
			owner:iq(st.stanza("iq", { type = "set", to = "strict@rooms.localhost" }):query(MUC.."#"..tag):add_child(item));
			return server:run([[
				local people = prosody.hosts.localhost.modules.receipts.module.save().capabilities.people;
				local occupant = (people:of("strict@rooms.localhost") or {})["strict@rooms.localhost/owner"];
				return tostring(occupant and occupant.shown["watcher@localhost"]);
			]]);
		end
		local function kick(nick) return rules("admin", st.stanza("item", { nick = nick, role = "none" })); end
		enter(owner, "owner");
		for nick, one in pairs { watcher = watcher, phone = phone, other = other } do enter(one, nick); end
		assert.equal("true", kick("other"), "somebody else");
		enter(watcher, "renamed");
		assert.equal("true", kick("phone"), "she is there with another device, under a new nick");
		assert.equal("nil", kick("renamed"));
		enter(watcher, "watcher");
		assert.equal("true", kick("nobody"), "she is back");
		assert.equal("nil", rules("owner", st.stanza("destroy")));
	end);

	it("B1 of a session that goes are forgotten", function ()
		local one = client("gone", { stanzas.xmlns, "urn:example:gone" });
		assert.equal("capable", known(one.jid));
		one:close();
		assert.equal("silent", known(one.jid));
		one = server:connect("directed", { presence = false });
		one:show({ stanzas.xmlns, "urn:example:gone" });
		one:send(one:presence { to = "somebody@localhost" });
		one:sync();
		assert.equal("capable", known(one.jid), "by directed presence alone");
		one:close();
		assert.equal("silent", known(one.jid));
	end);

	it("B1 of a client here do not go when its user blocks somebody", function ()
		friends("blocker", "blocked");
		local one = client("blocker", { stanzas.xmlns, "urn:example:blocker" });
		server:connect("blocked"):sync();
		assert.equal("result", one:iq(st.stanza("iq", { type = "set" }):tag("block", { xmlns = "urn:xmpp:blocking" })
			:tag("item", { jid = "blocked@localhost" })).attr.type);
		one:sync();
		assert.equal("capable", known(one.jid));
	end);

	it("B1 of sessions that were there before the module are known too", function ()
		local one = client("early", { stanzas.xmlns, "urn:example:early" });
		server:run("local m = require 'core.modulemanager'; m.unload('localhost', 'receipts'); m.load('localhost', 'receipts')");
		settle(one);
		assert.equal("capable", known(one.jid));
	end);

	it("B1 of clients here cost next to nothing where they show themselves to others here: all is known by what they broadcast", function ()
		friends("shown", "watching");
		local shown, watching = server:connect("shown", { features = RECEIPTS }), server:connect("watching");
		shown:sync();
		for _, to in ipairs { watching.bare, watching.jid } do
			local steps = tonumber(server:run(([[
				local steps = 0;
				debug.sethook(function ()
					if debug.getinfo(2, "S").source:find("mod_receipts", 1, true) then steps = steps + 1; end
				end, "", 1);
				prosody.core_post_stanza(prosody.full_sessions[%q], require "util.stanza".presence { from = %q, to = %q });
				debug.sethook();
				return tostring(steps);
			]]):format(shown.jid, shown.jid, to)));
			assert(steps > 0 and steps < 60, steps.." instructions of the module's for "..to);
		end
	end);

	it("B1 by ver outlive a restart of the module", function ()
		local one = client("kept", { stanzas.xmlns, "urn:example:kept" });
		one:close();
		server:run("local m = require 'core.modulemanager'; m.unload('localhost', 'receipts'); m.load('localhost', 'receipts')");
		local again = client("kept", { stanzas.xmlns, "urn:example:kept" });
		assert.is_nil(again.queries);
		assert.equal("capable", known(again.jid));
	end);

	describe("in \"auto\"", function ()
		it("C1 have a client without receipts asked for, when the recipient has them", function ()
			friends("old", "new");
			local new = client("new", RECEIPTS);
			assert.is_true(asked_for(client("old", NONE), new), "incapable");
			new:messages();
			server:disconnect_all();
			new = client("new", RECEIPTS);
			assert.is_true(asked_for(server:connect("old"), new), "no caps");
			server:disconnect_all();
			new = client("new", RECEIPTS);
			assert.is_true(asked_for(server:connect("old", { presence = false }), new), "no presence");
		end);

		it("C1 have nobody else asked for", function ()
			friends("modern", "new");
			friends("old", "older");
			assert.is_false(asked_for(client("modern", RECEIPTS), client("new", RECEIPTS)), "can ask by itself");
			assert.is_false(asked_for(client("old", NONE), client("older", NONE)), "cannot answer");
			server:disconnect_all();
			assert.is_false(asked_for(client("old", NONE), server:connect("older")), "cannot answer, and shows no caps");
		end);

		it("C3 of a bare JID: capable when any resource is", function ()
			friends("old", "new");
			local phone = client("new@localhost/phone", NONE);
			local desk = client("new", RECEIPTS);
			local old = client("old", NONE);
			old:send(stanzas.chat { to = "new@localhost", id = "1" });
			old:sync();
			assert.is_true(stanzas.asks(desk:messages()[1]));
			assert.is_true(stanzas.asks(phone:messages()[1]));
			old:send(stanzas.chat { to = "new@localhost/phone", id = "2" });
			old:sync();
			assert.is_false(stanzas.asks(phone:messages()[1]), "a full JID is what is known of it");
			old:send(stanzas.chat { to = "new@localhost/new", id = "3" });
			old:sync();
			assert.is_true(stanzas.asks(desk:messages()[1]));
		end);

		it("B4 serve only who may see that presence", function ()
			local new = client("newcomer", RECEIPTS);
			local old = client("old", NONE);
			for subscription, asks in pairs { none = false, to = false, from = true, both = true } do
				server:roster("newcomer", "old@localhost", subscription);
				assert.equal(asks, asked_for(old, new), subscription);
			end
			server:roster("newcomer", "old@localhost", "none");
			new:send(new:presence { to = "old@localhost" });
			new:sync();
			assert.is_true(asked_for(old, new), "directed presence");
			new:send("<presence to='old@localhost' type='unavailable'/>");
			new:sync();
			assert.is_false(asked_for(old, new), "taken back");
		end);

		it("C6 has an ack passed on when another client of the account understands it", function ()
			friends("old", "new");
			local new = client("new", RECEIPTS);
			local old = client("old", NONE);
			assert.is_true(asked_for(old, new));
			new:send(stanzas.ack("old@localhost/old", "c1"));
			new:sync();
			assert.same({}, old:messages());
			client("old@localhost/alone", RECEIPTS);
			old:send(stanzas.chat { to = "new@localhost", id = "alone" });
			old:sync();
			new:send(stanzas.ack("old@localhost/old", "alone"));
			new:sync();
			assert.same({}, old:messages(), "of which that one would have no copy");
			local modern = client("old@localhost/modern", RECEIPTS, { carbons = true });
			old:send(stanzas.chat { to = "new@localhost", id = "c6" });
			old:sync();
			new:send(stanzas.ack("old@localhost/old", "c6", { type = "normal" }));
			new:sync();
			local ack = old:messages()[1];
			assert.same({ "c6", "chat" }, { stanzas.acked(ack), ack.attr.type }, "E7 of the content message's type");
			local carbons = modern:messages();
			assert.truthy(tostring(carbons[#carbons]):find("c6", 1, true));
		end);
	end);

	it("C1 \"always\" leaves out who is known to be incapable", function ()
		local always = servers.start { options = 'receipts_request = "always"', disabled = { "pep" } };
		finally(function () always:stop(); end);
		always:roster("old", "alice@localhost", "both");
		always:roster("alice", "old@localhost", "both");
		local old = always:connect("old", { features = NONE });
		servers.wait(function () old:sync(); return old.queries; end);
		old:sync();
		local alice = always:connect("alice");
		assert.is_false(asked_for(alice, old));
	end);
end);

describe("capabilities beside mod_pep", function ()
	it("B1 are overheard from the answer to its question, and not asked for again", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		-- Our own question would come a second after the presence.
		local one = servers.swiftly(0.8, function (n)
			local new = server:connect("one"..n, { features = { stanzas.xmlns, "http://jabber.org/protocol/mood+notify", "urn:example:"..n } });
			new:sync();
			servers.wait(function ()
				new:sync();
				return server:support_of(new.jid) == "capable";
			end);
			return new;
		end);
		assert.equal(1, one.queries);
		assert.equal(one.bare, one.asked_by, "mod_pep's, not ours");
		servers.wait(function () -- our turn has come, and is over
			return server:run("return next(prosody.hosts.localhost.modules.receipts.module.save().capabilities.turns.flight) == nil") == "true";
		end);
		one:sync();
		assert.equal(1, one.queries);
	end);

	it("B1 are asked for where it is silent", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		local one = server:connect("one");
		servers.wait(function () one:sync(); return one.queries == 1; end);
		assert.equal("localhost", one.asked_by);
	end);
end);

describe("capabilities of clients whose connection is lost", function ()
	local server, one;
	before_each(function () server = servers.start { modules = { "receipts", "smacks" }, disabled = { "pep" } }; end);
	after_each(function () server:stop(); end);

	local function known() return server:support_of(one.jid); end
	local function session(what) return server:run(("local session = prosody.full_sessions[%q]; return tostring(%s)"):format(one.jid, what)); end
	local function sent() return session("session.outgoing_stanza_queue:count_acked() + session.outgoing_stanza_queue:count_unacked()"); end
	local function fall_asleep()
		one:drop();
		servers.wait(function () return session("session.hibernating") ~= "nil"; end);
	end

	it("B3 are asked once of a client that answers with an error, however often the module is reloaded", function ()
		one = server:connect("mute", { presence = false });
		local presence = one:show(RECEIPTS):presence();
		one.info = nil;
		one:send(presence);
		servers.wait(function ()
			one:sync();
			return one.queries;
		end);
		one:sync();
		for _ = 1, 3 do server:reload(); end
		one:sync();
		assert.equal(1, one.queries);
	end);

	it("B3 are asked when they are back, and nothing is sent to them before", function ()
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		one = server:connect("phone", { managed = true, features = RECEIPTS });
		fall_asleep();
		local before = sent();
		server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
		server:reload();
		assert.equal(before, sent());
		one = server:resume(one, one.handled);
		servers.wait(function ()
			one:sync();
			return known() == "capable";
		end);
		assert.equal(1, one.queries);
	end);

	it("B3 are learned from the answer to what was asked before, though the module has been reloaded since", function ()
		one = server:connect("phone", { managed = true, presence = false });
		one:show(RECEIPTS);
		one.held = {};
		one:send(one:presence());
		servers.wait(function ()
			one:sync();
			return one.queries;
		end);
		fall_asleep();
		server:reload();
		local held = one.held;
		one = server:resume(one, one.handled);
		one.held = held;
		one:answer_held();
		one:sync();
		assert.same({ "capable" }, { known(), one.queries });
	end);
end);
