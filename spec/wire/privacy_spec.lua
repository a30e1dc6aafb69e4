-- SPDX-License-Identifier: MIT
-- What a stranger sees of a user: the same whether that user is online with receipts, online without, or offline. And where answers go
-- that are nobody's secret: into archives and to other devices.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local R = stanzas.xmlns;
local RECEIPTS, NONE = { R }, { "urn:example:nothing" };

local function client(server, jid, features, how)
	how = how or {};
	how.features = features;
	local one = server:connect(jid, how);
	servers.wait(function () one:sync(); return server:support_of(one.jid) == (features[1] == R and "capable" or "incapable"); end);
	return one;
end

describe("a stranger", function ()
	-- Everything that both of the requester's devices receive, without what is fresh each time.
	local function view(requester, bob_is)
		local server = servers.start { modules = { "receipts", "smacks", "offline" }, disabled = { "pep" }, options = [[
			receipts_answer = "opt-out"
			receipts_resend_attempts = 1
			receipts_resend_after = "1s"
		]] };
		finally(function () server:stop(); end);
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
		local bob;
		if bob_is == "with receipts" then
			bob = client(server, "bob", RECEIPTS, { managed = true });
		elseif bob_is == "without receipts" then
			bob = client(server, "bob", NONE, { managed = true });
		end
		local devices = {
			client(server, requester, NONE, { carbons = true }),
			client(server, requester.."@localhost/phone", NONE, { carbons = true }),
		};
		for _, one in ipairs(devices) do one:sync(); end
		local sender = devices[1];
		local seen = {};
		local function look()
			for i, one in ipairs(devices) do
				for _, stanza in ipairs(one:stanzas()) do
					if stanza.name ~= "presence" then
						for element in stanza:childtags("received", R) do element.attr.id = element.attr.id and "some" or nil; end
						stanza.attr.id = nil;
						table.insert(seen, i.." "..stanzas.canonical(stanza));
					end
				end
			end
		end
		for _, to in ipairs { "bob@localhost", "bob@localhost/bob" } do
			for _, stanza in ipairs {
				stanzas.chat { to = to, id = "plain"..to }, stanzas.ask { to = to, id = "asks"..to }, stanzas.ack(to, "whatever"),
				stanzas.chat { to = to, id = "normal"..to, type = "normal" }, stanzas.ask { to = to, id = "asks normal"..to, type = "normal" },
				stanzas.ack(to, "whatever", { type = "normal" }), stanzas.ask { to = to }, stanzas.ask { to = to, id = "err"..to, type = "error" },
			} do
				sender:send(stanza);
				sender:sync();
				if bob then
					for _, got in ipairs(bob:stanzas()) do
						if bob_is == "with receipts" and got.name == "message" and stanzas.asks(got) then
							bob:send(stanzas.ack(got.attr.from, got.attr.id, { type = got.attr.type or "none" }));
						end
					end
					bob:acknowledge();
					bob:sync();
				end
				look();
			end
		end
		-- Sending again would come now.
		local deadline = require "socket".gettime() + 1.5;
		servers.wait(function () look(); return require "socket".gettime() > deadline; end);
		server:disconnect_all();
		return table.concat(seen, "\n");
	end

	it("B4 D3 sees the same of a user with receipts, one without, and one who is offline", function ()
		local offline = view("stranger", "offline");
		assert.truthy(offline:find("urn:xmpp:carbons:2", 1, true), "that is something");
		assert.equal(offline, view("stranger", "with receipts"));
		assert.equal(offline, view("stranger", "without receipts"));
	end);

	it("B4 who is blocked is known, though whoever has blocked them was gone when Prosody had written that", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		assert.equal("false true", server:run([[
			local name, before, after = "iq-set/self/urn:xmpp:blocking:block", nil, nil;
			local blocks = prosody.hosts.localhost.modules.receipts.module.save().blocks;
			local origin = { username = "bob", host = "localhost" };
			module:hook(name, function (event)
				if event.origin ~= origin then return; end
				before = blocks.has("bob", "eve@localhost"); -- by a message that comes meanwhile
				require "core.storagemanager".open("localhost", "blocklist"):set("bob", { ["eve@localhost"] = true });
				origin.username = nil; -- as sessionmanager leaves it
				error("mod_blocklist fails then");
			end, 1000);
			pcall(prosody.hosts.localhost.events.fire_event, name, { origin = origin, stanza = require "util.stanza".iq { type = "set", id = "1" } });
			after = blocks.has("bob", "eve@localhost");
			return tostring(before).." "..tostring(after);
		]]));
	end);

	it("B4 who is blocked sees no request of the server's that comes of being online", function ()
		for _, policy in ipairs { "auto", "always" } do
			for _, features in ipairs { RECEIPTS, NONE } do
				local server = servers.start { modules = { "receipts", "smacks", "offline" }, disabled = { "pep" },
					options = ('receipts_request = %q'):format(policy) };
				local _ <close> = setmetatable({}, { __close = function () server:stop(); end });
				server:roster("eve", "bob@localhost", "both");
				server:roster("bob", "eve@localhost", "both");
				local eve, other = client(server, "eve", NONE), client(server, "eve@localhost/other", NONE, { carbons = true });
				local function asked(id)
					eve:send(stanzas.chat { to = "bob@localhost", id = id });
					eve:sync();
					for _, message in ipairs(other:messages()) do
						local sent = message:get_child("sent", "urn:xmpp:carbons:2");
						if sent then return stanzas.asks(sent:get_child("forwarded", "urn:xmpp:forward:0").tags[1]); end
					end
				end
				local offline = asked("offline");
				local bob = client(server, "bob", features);
				local function set(action)
					bob:iq(st.stanza("iq", { type = "set" }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "eve@localhost" }));
					bob:sync();
				end
				assert.equal(features == RECEIPTS, asked("friends"));
				set("block");
				assert.equal(offline, asked("blocked"));
				set("unblock");
				assert.equal(features == RECEIPTS, asked("friends again"));
				set("block");
				assert.equal(offline, asked("blocked again"));
				bob:close();
				assert.equal(offline, asked("gone"));
				-- A namesake has blocked nobody.
				server:run("prosody.hosts.localhost.modules.blocklist.module:open_store('blocklist'):set('bob', nil) "
					.."prosody.events.fire_event('user-deleted', { username = 'bob', host = 'localhost' })");
				client(server, "bob", features);
				assert.equal(features == RECEIPTS, asked("namesake"));
			end
		end
	end);

	-- Eve and bob are contacts: he can ack, and she is asked for.
	-- @param hooks  Lua, to be run in the server, in which look() has eve write to bob
	-- @return { server =; change (action): bob blocks eve, or no longer does; write(): eve writes to him;
	--         asked_when (work, …): how often eve is asked for while that is done }
	local function contacts(hooks)
		local server = servers.start { disabled = { "pep" } };
		finally(function () server:stop(); end);
		for user, contact in pairs { eve = "bob", bob = "eve" } do server:roster(user, contact.."@localhost", "both"); end
		local eve, bob = client(server, "eve", NONE), client(server, "bob", RECEIPTS);
		server:run([[
			local function look()
				local stanza = require "util.stanza".message({ from = "eve@localhost/eve", to = "bob@localhost", type = "chat" }, "hi");
				prosody.core_post_stanza(prosody.full_sessions["eve@localhost/eve"], stanza, true);
			end
		]]..hooks);
		local function count_asked()
			return tonumber(server:run("return prosody.hosts.localhost.modules.receipts.module.save().reports.counts.requests.server"));
		end
		return {
			server = server;
			change = function (action)
				bob:send(st.iq({ type = "set", id = action }):tag(action, { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "eve@localhost" }));
				bob:sync();
			end;
			write = function ()
				eve:send(stanzas.chat { to = "bob@localhost" });
				eve:sync();
			end;
			asked_when = function (work, ...)
				local before = count_asked();
				work(...);
				return count_asked() - before;
			end;
		};
	end

	it("B4 who is being blocked, or no longer is, counts as that once it is so, whoever looks at the list while it changes", function ()
		local on = contacts [[
			for _, name in ipairs { "block", "unblock" } do module:hook("iq-set/self/urn:xmpp:blocking:"..name, look); end
		]];
		for _, action in ipairs { "block", "unblock", "block" } do
			on.change(action);
			assert.equal(action == "unblock" and 1 or 0, on.asked_when(on.write), action);
		end
	end);

	it("B4 who has been blocked counts as that while others are told of it, and though that fails", function ()
		local on = contacts [[
			module:hook("iq-set/self/urn:xmpp:blocking:block", function () if module.spec_fails then look(); end end, 1);
			module:hook("presence/bare", function (event)
				if event.stanza.attr.type ~= "unavailable" then return; end
				if module.spec_fails then error("forced"); end
				look();
			end, 1000);
		]];
		assert.equal(1, on.asked_when(on.write));
		assert.equal(0, on.asked_when(on.change, "block"));
		on.change("unblock");
		on.server:run("module.spec_fails = true");
		assert.equal(1, on.asked_when(on.change, "block"), "not yet");
		assert.equal(0, on.asked_when(on.write));
		assert.truthy(on.server:log():find("forced", 1, true));
	end);

	for name, disabled in pairs { ["mod_pep, which asks as well"] = {}, ["only us"] = { "pep" } } do
		it("B3 B4 who shows caps that nobody knows is not asked about them, whether the user is there or not: with "..name, function ()
			local server = servers.start { modules = { "smacks" }, disabled = disabled, hosts = [[
				modules_enabled = { "receipts" }
				VirtualHost "far.example"
			]] };
			finally(function () server:stop(); end);
			server:roster("bob", "friend@far.example", "from");
			server:roster("bob", "idol@far.example", "to");
			local bob = server:connect("bob", { features = RECEIPTS });
			-- Who of those has been asked that send presence with a new ver?
			local senders = {};
			local function send(jid, to)
				local one = server:connect(jid, { presence = false });
				one:show { "urn:example:"..jid };
				one:send(one:presence { to = to });
				senders[jid] = one;
			end
			for i, to in ipairs { "bob@localhost", "bob@localhost/bob", "bob@localhost/none", "offline@localhost" } do
				send("eve@far.example/"..i, to);
			end
			send("idol@far.example/i", "bob@localhost");
			-- In time: our question comes a second after mod_pep's that has not been answered by then.
			local friend = servers.swiftly(0.8, function (n)
				local jid = "friend@far.example/"..n;
				senders["friend@far.example/"..(n - 1)] = nil;
				send(jid, "bob@localhost");
				servers.wait(function () senders[jid]:sync(); return senders[jid].queries; end);
				senders[jid]:sync();
				return jid;
			end);
			servers.wait(function () -- whoever is to be asked has been, and has answered
				bob:sync();
				for _, one in pairs(senders) do one:sync(); end
				return server:run("return next(prosody.hosts.localhost.modules.receipts.module.save().capabilities.turns.flight) == nil") == "true";
			end);
			local asked = {};
			for jid, one in pairs(senders) do
				one:sync();
				asked[jid] = one.queries;
			end
			assert.equal("false true", server:run("local people = prosody.hosts.localhost.modules.receipts.module.save().capabilities.people "
				.."return tostring(people:of('eve@far.example') ~= nil)..' '..tostring(people:of('idol@far.example') ~= nil)"), "kept");
			assert.same({ [friend] = 1 }, asked);
		end);
	end

	it("E4 gets no ack once presence is taken back from the bare JID, or was sent to that and is taken back from a client, though nobody has "
		.."asked who may see it until then", function ()
		local server = servers.start { disabled = { "pep" } };
		finally(function () server:stop(); end);
		local carol = server:connect("carol");
		for sent, taken_back in pairs { [carol.jid] = carol.bare, [carol.bare] = carol.jid } do
			local bob = server:connect("bob");
			local function acked(id)
				bob:send(stanzas.ack(carol.jid, id));
				bob:sync();
				return #carol:messages();
			end
			bob:send(bob:presence { to = sent });
			bob:send(st.presence { to = taken_back, type = "unavailable" });
			assert.equal(0, acked("1"), taken_back);
			bob:send(bob:presence { to = sent });
			assert.equal(1, acked("2"));
			bob:close();
		end
	end);

	it("E4 the user's own server gets acks: it shows their presence to others", function ()
		local server = servers.start { disabled = { "pep" } };
		finally(function () server:stop(); end);
		local bob = server:connect("bob");
		server:run([[
			prosody.hosts.localhost.events.add_handler("message/host", function (event)
				prosody.spec_acked = event.stanza:get_child("received", "urn:xmpp:receipts").attr.id;
				return true;
			end, 1000);
		]]);
		bob:send(stanzas.ack("localhost", "announcement"));
		bob:sync();
		assert.equal("announcement", server:run("return tostring(prosody.spec_acked)"));
	end);

	it("E4 gets no ack that another module sends in the name of a user whose presence they may not see, and a contact gets it", function ()
		local server = servers.start { disabled = { "pep" } };
		finally(function () server:stop(); end);
		server:roster("bob", "alice@localhost", "both");
		local bob, alice, carol = server:connect("bob"), server:connect("alice"), server:connect("carol");
		for _, one in ipairs { bob, alice, carol } do one:sync(); end
		-- As mod_privilege does, and mod_rest, whose origin has an address of its own.
		local function ack(to, id, full_jid)
			server:run(([[
				local ack = require "util.stanza".message({ type = "chat", from = "bob@localhost", to = %q })
					:tag("received", { xmlns = %q, id = %q });
				local origin = { type = "c2s", username = "bob", host = "localhost", full_jid = %s, log = module._log };
				prosody.core_post_stanza(origin, ack, true);
			]]):format(to, R, tostring(id), full_jid and ("%q"):format(full_jid) or "nil"));
		end
		for id, full_jid in ipairs { false, "bob@localhost", "bob@localhost/rest", bob.jid } do
			for _, to in ipairs { alice.jid, carol.jid } do ack(to, id, full_jid); end
			assert.equal(1, #alice:messages(), full_jid);
			assert.equal(0, #carol:messages(), full_jid);
		end
		bob:close();
		for id, full_jid in ipairs { false, "bob@localhost/rest" } do
			ack(alice.jid, id + 10, full_jid);
			assert.equal(0, #alice:messages());
		end
	end);

	it("E2 C6 who acks in group chat is refused alike, whatever is pending and whoever is online", function ()
		local server = servers.start { modules = { "smacks", "offline" }, disabled = { "pep" }, hosts = [[
			modules_enabled = { "receipts" }
			VirtualHost "far.example"
		]] };
		finally(function () server:stop(); end);
		local far = server:connect("eve@far.example/far", { presence = false, features = RECEIPTS });
		local alice = client(server, "alice", NONE);
		server:roster("eve", "alice@localhost", "from");
		local eve = client(server, "eve", RECEIPTS);
		server:roster("alice", "eve@localhost", "to");
		for _, one in ipairs { eve, alice } do one:sync(); end
		local function ack(one, id, to)
			one:send(stanzas.ack(to or "alice@localhost", id, { type = "groupchat", id = "ack" }));
			local got = one:messages();
			return #got == 1 and got[1].attr.type or #got;
		end
		local function ask(id)
			alice:send(stanzas.chat { to = "eve@localhost", id = id }):sync();
			assert.is_true(stanzas.asks(eve:messages()[1]));
		end
		ask("1");
		assert.equal("error", ack(far, "2"), "unknown");
		assert.equal("error", ack(far, "1"), "forged");
		assert.equal("error", ack(eve, "1"), "delivered");
		assert.equal("error", ack(eve, "1"), "duplicate");
		assert.equal("error", ack(eve, "1", "alice@localhost/none"));
		ask("2");
		local phone = client(server, "alice@localhost/phone", RECEIPTS);
		assert.equal("error", ack(eve, "1"), "there is a client that can ack");
		assert.equal("error", ack(eve, "2"));
		assert.same({}, phone:messages());
		ask("3");
		assert.equal(0, ack(far, "3", phone.jid), "which Prosody would deliver, and we drop");
		assert.same({}, phone:messages());
	end);

	it("sees less than a contact does", function ()
		local offline = view("alice", "offline");
		assert.not_equal(offline, view("alice", "with receipts"));
		assert.not_equal(offline, view("alice", "without receipts"));
	end);
end);

describe("somebody to whom one client of a user has shown itself, by presence to them alone,", function ()
	-- What carol gets for what she asks while another client of bob's is online, which she may not see, and after that has gone.
	-- @param features  of the other client; nil: there is none, false: it does not say
	-- @param first     which of the two says first that it has got the message: "other" | "bob"
	local function answers(features, first, options)
		local server = servers.start { modules = { "receipts", "smacks" }, disabled = { "pep" },
			options = 'receipts_answer = "opt-out"\n'..(options or "") };
		local _ <close> = setmetatable({}, { __close = function () server:stop(); end });
		local carol, bob = server:connect("carol"), client(server, "bob", NONE, { managed = true });
		bob:send(bob:presence { to = "carol@localhost" }):sync();
		local devices, other = { bob = bob }, nil;
		if features then
			other = client(server, "bob@localhost/other", features, { managed = true });
		elseif features == false then
			other = server:connect("bob@localhost/other", { presence = false, managed = true });
			other.mute = true;
			other:show { "urn:example:new" }:send(other:presence()):sync();
		end
		devices.other = other;
		carol:sync();
		carol:send(stanzas.ask { to = "bob@localhost", id = "1" }):sync();
		for _, name in ipairs(first == "other" and { "other", "bob" } or { "bob", "other" }) do
			local one = devices[name];
			for _, message in ipairs(one and one:messages() or {}) do
				if features and features[1] == R and one == other then one:send(stanzas.ack(message.attr.from, message.attr.id)); end
			end
			if one then one:acknowledge():sync(); end
		end
		local acks = #carol:messages();
		if other then other:close(); end
		bob:sync();
		return acks.." "..#carol:messages();
	end

	it("D4 is answered for that one the same, whatever other clients are online that they may not see", function ()
		assert.equal("1 0", answers());
		for _, first in ipairs { "other", "bob" } do
			assert.equal("1 0", answers(RECEIPTS, first), first);
			assert.equal("1 0", answers(NONE, first), first);
			assert.equal("1 0", answers(false, first), first);
		end
		assert.equal("1 0", answers(RECEIPTS, "bob", "receipts_protect_presence = false"), "it acks, and is waited for");
	end);
end);

describe("a contact from whom a user has hidden, by unavailable presence to them alone,", function ()
	local server, alice, bob, carol;
	before_each(function ()
		server = servers.start { modules = { "receipts", "smacks" }, disabled = { "pep" }, options = 'receipts_answer = "opt-in"' };
		for _, contact in ipairs { "alice@localhost", "carol@localhost" } do server:roster("bob", contact, "both"); end
		server:roster("alice", "bob@localhost", "both");
		alice, carol = server:connect("alice"), server:connect("carol");
		bob = client(server, "bob", NONE, { managed = true });
		bob:send("<presence to='alice@localhost' type='unavailable'/>");
		bob:sync();
	end);
	after_each(function () server:stop(); end);

	local number = 0;
	local function next_id()
		number = number + 1;
		return tostring(number);
	end
	local function acks(one)
		bob:send(stanzas.ack(one.jid, next_id())):sync();
		return #one:messages() == 1;
	end
	local function is_answered(one)
		one:send(stanzas.ask { to = "bob@localhost", id = next_id() }):sync();
		bob:sync();
		bob:acknowledge();
		bob:sync();
		return #one:messages() == 1;
	end

	it("E4 gets no ack, until the user is shown again, and other contacts do", function ()
		assert.is_false(acks(alice));
		assert.is_true(acks(carol));
		server:reload();
		assert.is_false(acks(alice));
		for _, type in ipairs { "probe", "error" } do -- which show nothing
			bob:send(st.presence { to = "alice@localhost", type = type }):sync();
			assert.is_false(acks(alice), type);
		end
		bob:send(bob:presence { to = "alice@localhost" }):sync();
		assert.is_true(acks(alice));
		bob:send("<presence to='alice@localhost/alice' type='unavailable'/>"):sync();
		assert.is_false(acks(alice));
		bob:send(bob:presence()):sync();
		assert.is_true(acks(alice));
	end);

	it("D3 gets no answer either", function ()
		server:run("require 'core.configmanager'.set('*', 'receipts_answer', 'opt-out')");
		server:reload();
		assert.is_false(is_answered(alice));
		assert.is_true(is_answered(carol));
		assert.is_false(acks(alice));
		bob:send(bob:presence()):sync();
		assert.is_true(is_answered(alice));
		assert.is_true(acks(alice));
	end);
end);

describe("an answer", function ()
	local server, alice, bob;
	setup(function ()
		server = servers.start { modules = { "receipts", "smacks", "mam" }, disabled = { "pep" }, options = [[
			receipts_answer = "opt-out"
			default_archive_policy = true
			archive_expires_after = "never"
		]] };
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
	end);
	teardown(function () server:stop(); end);
	before_each(function () alice, bob = client(server, "alice", RECEIPTS), client(server, "bob", NONE, { managed = true }); end);
	after_each(function () server:disconnect_all(); end);

	-- The acks in somebody's archive, by id.
	local function archived(one)
		one:send(st.stanza("iq", { type = "set", id = "mam" }):tag("query", { xmlns = "urn:xmpp:mam:2" }));
		local ids = {};
		for _, stanza in ipairs(one:stanzas()) do
			local result = stanza:get_child("result", "urn:xmpp:mam:2");
			local id = result and stanzas.acked(result:get_child("forwarded", "urn:xmpp:forward:0"):get_child("message", "jabber:client"));
			if id then ids[id] = (ids[id] or 0) + 1; end
		end
		return ids;
	end

	for _, type in ipairs { "chat", "normal" } do
		it("D5 E7 to a "..type.." message is in both archives, and reaches the requester's other devices", function ()
			local phone = client(server, "alice@localhost/phone", RECEIPTS, { carbons = true });
			alice:send(stanzas.ask { to = "bob@localhost", id = "archived "..type, type = type });
			alice:sync();
			bob:sync();
			bob:acknowledge();
			bob:sync();
			assert.equal("archived "..type, stanzas.acked(alice:messages()[1]));
			local copied = false;
			for _, message in ipairs(phone:messages()) do
				local carbon = message:get_child("received", "urn:xmpp:carbons:2");
				copied = copied or carbon and stanzas.acked(carbon:get_child("forwarded", "urn:xmpp:forward:0").tags[1]) == "archived "..type;
			end
			assert.is_true(copied);
			assert.equal(1, archived(alice)["archived "..type]);
			assert.equal(1, archived(bob)["archived "..type]);
		end);
	end

	it("D7 does not come of what is fetched from the archive, nor of carbon copies", function ()
		local tablet = client(server, "bob@localhost/tablet", NONE, { managed = true, carbons = true });
		alice:send(stanzas.ask { to = "bob@localhost/bob", id = "nested" });
		alice:sync();
		assert.equal(1, #tablet:messages());
		tablet:acknowledge();
		tablet:sync();
		assert.same({}, alice:messages(), "a carbon copy proves nothing");
		bob:sync();
		bob:close(); -- without having acked; the archive has it
		bob = client(server, "bob", NONE, { managed = true });
		alice:messages();
		archived(bob);
		bob:acknowledge();
		bob:sync();
		assert.same({}, alice:messages(), "nor does the archive");
	end);
end);

describe("two clients that do receipts themselves", function ()
	-- Everything on every connection but disco, without what is fresh each time.
	local function transcript(modules)
		local server = servers.start { modules = modules };
		finally(function () server:stop(); end);
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
		local clients = {};
		for _, jid in ipairs { "alice@localhost/alice", "alice@localhost/phone", "bob@localhost/bob", "bob@localhost/phone" } do
			clients[jid] = server:connect(jid, { features = { R, "http://jabber.org/protocol/caps" }, carbons = true, managed = true });
		end
		local lines = {};
		local function look()
			local order = {};
			for jid in pairs(clients) do table.insert(order, jid); end
			table.sort(order);
			for _, jid in ipairs(order) do
				for _, stanza in ipairs(clients[jid]:stanzas()) do
					local is_stanza = stanza.name == "message" or stanza.name == "presence" or stanza.name == "iq";
					if is_stanza and not stanza:get_child("query", "http://jabber.org/protocol/disco#info") then
						table.insert(lines, jid.." "..stanzas.canonical(stanza, function (element) return element.name == "stanza-id"; end));
					end
				end
				clients[jid]:acknowledge();
			end
		end
		for _, one in pairs(clients) do one:stanzas(); end -- what logging in brings, in any order
		local function chat(from, to, id)
			from:send(stanzas.ask({ to = to, id = id }):tag("active", { xmlns = "http://jabber.org/protocol/chatstates" }):up()
				:tag("markable", { xmlns = "urn:xmpp:chat-markers:0" }):up());
			from:sync();
		end
		local alice, bob = clients["alice@localhost/alice"], clients["bob@localhost/bob"];
		for i = 1, 3 do
			chat(alice, i == 2 and "bob@localhost/bob" or "bob@localhost", "a"..i);
			look();
			bob:send(stanzas.ack("alice@localhost/alice", "a"..i, { id = "r"..i }):tag("store", { xmlns = "urn:xmpp:hints" }):up());
			bob:sync();
			look();
			chat(bob, "alice@localhost/alice", "b"..i);
			look();
			alice:send(stanzas.ack("bob@localhost/bob", "b"..i, { id = "s"..i }));
			alice:send(stanzas.chat({ to = "bob@localhost/bob", id = "m"..i }, false):tag("displayed", { xmlns = "urn:xmpp:chat-markers:0", id = "b"..i }));
			alice:sync();
			look();
		end
		server:disconnect_all();
		return table.concat(lines, "\n");
	end

	it("see and send the same with all defaults as without the module, but for disco", function ()
		local without = transcript { "smacks", "mam" };
		assert.is_true(#without > 5000);
		assert.equal(without, transcript { "smacks", "mam", "receipts" });
	end);
end);
