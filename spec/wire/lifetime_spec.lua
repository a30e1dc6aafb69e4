-- SPDX-License-Identifier: MIT
-- Rules A3, F0, F1 on the wire: what a reload keeps, what goes with a user, and what other people's errors cannot do.

local socket = require "socket";
local client = require "spec.support.client";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local storages = require "spec.support.storages";
local st = require "util.stanza";

local STATE = "local r = prosody.hosts.localhost.modules.receipts.module.save(); ";
local R = stanzas.xmlns;

describe("a reload", function ()
	local server, alice, bob;
	before_each(function ()
		server = servers.start {
			modules = { "receipts", "smacks" }, hosts = servers.rooms;
			options = 'receipts_flush_interval = 1\nreceipts_unknown = "drop"\nreceipts_max_pending_per_user = 5\nreceipts_answer = "opt-out"';
		};
		alice, bob = server:connect("alice"), server:connect("bob");
		server:roster("bob", "alice@localhost", "both");
	end);
	after_each(function () server:stop(); end);

	local function ask(id)
		alice:send(stanzas.ask { to = "bob@localhost", id = id });
		alice:sync();
	end
	local function ack(id)
		bob:send(stanzas.ack("alice@localhost", id));
		bob:sync();
		local got = alice:messages()[1];
		return got and stanzas.acked(got);
	end

	it("F1 goes on writing to the store, and removing from it", function ()
		ask("before");
		server:reload();
		ask("after");
		servers.wait(function ()
			return server:run(STATE.."local n = 0; for _ in pairs(r.store.keyval:get('alice') or {}) do n = n + 1; end return n") == "2";
		end);
		assert.equal("before", ack("before"));
		server:reload();
		servers.wait(function ()
			return server:run(STATE.."local n = 0; for _ in pairs(r.store.keyval:get('alice') or {}) do n = n + 1; end return n") == "1";
		end);
		server:restart("kill");
		alice, bob = server:connect("alice"), server:connect("bob");
		assert.is_nil(ack("before"));
		assert.equal("after", ack("after"));
	end);

	it("A3 keeps counts, decisions, rooms and what was answered", function ()
		ask("counted");
		ack("counted");
		alice:send(stanzas.chat { to = "bob@localhost", id = "noted" });
		alice:sync();
		server:run(STATE.."assert(#r.decisions:about('alice@localhost', 'noted') > 0)");
		alice:send(st.presence({ to = "room@rooms.localhost/alice" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		alice:sync();
		local answer = "return r.answering.answers:make('alice@localhost/alice', { attr = { id = '1' }, tags = {} }).attr.id";
		local id = server:run(STATE..answer);
		server:reload();
		assert.equal("1 1", server:run(STATE.."return r.reports.counts.requests.client..' '..r.reports.counts.outcomes.delivered"));
		assert.equal("true", server:run(STATE.."return #r.decisions:about('alice@localhost', 'noted') > 0"));
		assert.equal("true", server:run(STATE..("return r.answering.answers:bounced { attr = { type = 'error', id = %q } }"):format(id)));
		assert.equal("true", server:run(STATE.."local rooms = r.rooms.of_session[prosody.full_sessions['alice@localhost/alice']];"
			.."return rooms['room@rooms.localhost']"));
	end);

	it("A3 F0 keeps the rest where some of it cannot be taken over, as after an upgrade", function ()
		local other = servers.start { errors = true };
		finally(function () other:stop(); end);
		other:connect("alice"):send(stanzas.chat { to = "bob@localhost", id = "noted" }):sync();
		other:run(STATE.."assert(#r.decisions:about('alice@localhost', 'noted') > 0); r.rooms = { of_session = 5 }; r.answering = 5; "
			.."r.guards, r.hiding, r.presence, r.queries = nil");
		other:reload();
		assert.equal("true 1", other:run(STATE.."return tostring(#r.decisions:about('alice@localhost', 'noted') > 0)..' '"
			.."..#r.capabilities:clients('alice@localhost')"));
	end);

	-- Reloads, and tells how many of the modules that there have been are still in memory: the one that there is, and whatever is held.
	local function kept_after_reloads()
		for _ = 1, 4 do
			server:run("prosody.spec_kept = prosody.spec_kept or setmetatable({}, { __mode = 'k' }); "
				.."prosody.spec_kept[prosody.hosts.localhost.modules.receipts] = true");
			server:reload();
		end
		return server:run("collectgarbage(); collectgarbage(); local n = 1; for _ in pairs(prosody.spec_kept) do n = n + 1; end return n");
	end

	it("A3 leaves nothing of the module that was with a session that has been taken up again", function ()
		local carl = server:connect("carl", { managed = true });
		carl:sync();
		carl:drop();
		carl = server:resume(carl, carl.handled);
		assert.equal("1", kept_after_reloads());
		carl:sync();
	end);

	it("A3 keeps of the modules that were only the one with which a stanza waits", function ()
		server:run([[
			local waiter = require "util.async".waiter;
			module:hook("pre-message/bare", function (event)
				if event.stanza.attr.id ~= "waits" then return; end
				local wait, goes_on = waiter();
				prosody.spec_goes_on = goes_on;
				wait();
			end, 1000);
		]]);
		alice:send(stanzas.ask { to = "bob@localhost", id = "waits" });
		servers.wait(function () return server:run("return prosody.spec_goes_on ~= nil") == "true"; end);
		assert.equal("2", kept_after_reloads());
		server:run("prosody.spec_goes_on()");
		alice:sync();
		assert.equal("waits", ack("waits"));
		assert.equal("1", kept_after_reloads());
	end);

	it("tells Lua's collector of a mebibyte, so that it costs no time", function ()
		server:reload();
		assert.near(1500, tonumber(server:run([[
			local manager = require "core.modulemanager";
			local function known()
				collectgarbage();
				collectgarbage();
				return collectgarbage("count");
			end
			local before = known();
			assert(manager.unload("localhost", "receipts"));
			local less = before - known();
			assert(manager.load("localhost", "receipts"));
			return less;]])), 400); -- without it no more than 900, and twice as much were too much
	end);

	it("has one of each lib that several use", function ()
		assert.equal("true", server:run([[
			local module = prosody.hosts.localhost.modules.receipts.module;
			return module:require "hiding" == module:require "hiding";]]));
	end);

	it("F2 takes up new limits", function ()
		for i = 1, 5 do ask("m"..i); end
		server:run("require 'core.configmanager'.set('*', 'receipts_max_pending_per_user', 2)");
		server:reload();
		for i = 6, 8 do ask("m"..i); end -- two go for each that comes
		assert.equal("2", server:run(STATE.."return r.pending:count('alice@localhost')"));
	end);
end);

describe("a module that comes late", function ()
	-- What is known of a client that is online, as the shell shows it: save() is for Prosody to call, when it reloads.
	local function known_of(server, jid)
		return server:run(("return module:shared('/*/receipts/hosts').localhost.inspection:clients(%q)[1].support"):format(jid));
	end

	it("knows the rooms of this server that its users are in already", function ()
		local server = servers.start { hosts = servers.rooms };
		finally(function () server:stop(); end);
		local modulemanager = "require 'core.modulemanager'";
		server:run(modulemanager..".unload('localhost', 'receipts')");
		local alice = server:connect("alice");
		for _, jid in ipairs { "room@rooms.localhost/alice", "bare@rooms.localhost", "bob@localhost/bob", "other@elsewhere.example/alice" } do
			alice:send(st.presence({ to = jid }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			alice:sync();
		end
		assert.equal("true", server:run("return "..modulemanager..".load('localhost', 'receipts') ~= nil"));
		assert.equal("room@rooms.localhost", server:run(STATE.."local list = {}; for room in pairs(r.rooms.of_session[prosody.full_sessions["
			.."'alice@localhost/alice']]) do table.insert(list, room); end return table.concat(list, ' ')"));
	end);

	it("A3 knows clients and rooms also after a reload that was forced where it could not save", function ()
		local server = servers.start { hosts = servers.rooms, options = "force_module_reload = true" };
		finally(function () server:stop(); end);
		local alice = server:connect("alice", { features = { R } });
		local function known() return known_of(server, "alice@localhost/alice"); end
		servers.wait(function () alice:sync(); return known() == "capable"; end);
		alice:send(st.presence({ to = "room@rooms.localhost/alice" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		alice:send(stanzas.ask { to = "bob@localhost", id = "1" });
		alice:messages(); -- the room's subject, and a bounce: bob is not there yet
		server:run("prosody.hosts.localhost.modules.receipts.module.save = function () error('no memory'); end");
		server:reload();
		assert.equal("capable", known());
		assert.equal("true", server:run(STATE.."return r.rooms.of_session[prosody.full_sessions['alice@localhost/alice']]['room@rooms.localhost']"));
		local bob = server:connect("bob");
		server:roster("bob", "alice@localhost", "both");
		bob:send(stanzas.ack("alice@localhost/alice", "1"));
		bob:sync();
		assert.equal("1", stanzas.acked(alice:messages()[1]));
		assert.equal("delivered", server:run(STATE.."return (r.pending:state('alice@localhost', 'bob@localhost', '1'))"), "from the store");
	end);

	it("A3 reads what was known of clients' software, and writes it when it goes; a reload hands it over, and does neither", function ()
		local server = servers.start { options = "force_module_reload = true" };
		finally(function () server:stop(); end);
		server:run([[
			local storagemanager = require "core.storagemanager";
			local open = storagemanager.open;
			function storagemanager.open(host, name, ...)
				if name ~= "receipts_caps" then return open(host, name, ...); end
				local store, counted = open(host, name, ...), {};
				for _, method in ipairs { "get", "set" } do
					counted[method] = function (_, ...)
						table.insert(prosody.spec_asked, method);
						return store[method](store, ...);
					end
				end
				return counted;
			end
		]]);
		local function asked_by(how)
			server:run(("prosody.spec_asked = {}; assert(require 'core.modulemanager'.%s('localhost', 'receipts'))"):format(how));
			if how == "reload" then server:reloaded(); end
			return server:run("return table.concat(prosody.spec_asked, ' ')");
		end
		asked_by("unload");
		assert.equal("get", asked_by("load"));
		local bob = server:connect("bob", { features = { R } });
		local function known() return known_of(server, "bob@localhost/bob"); end
		servers.wait(function () bob:sync(); return known() == "capable"; end);
		bob.mute = true;
		for _ = 1, 2 do
			assert.equal("", asked_by("reload"));
			assert.equal("capable", known());
		end
		for _, how in ipairs { "unload", "load" } do asked_by(how); end -- nobody has called this one's save()
		server:run("prosody.hosts.localhost.modules.receipts.module.save = function () error('no memory'); end");
		assert.equal("set get", asked_by("reload"));
		assert.equal("capable", known());
		assert.equal("set", asked_by("unload"));
		assert.equal("get", asked_by("load"));
		assert.equal("capable", known());
	end);

	it("says so when it cannot store what is known of clients, and not when it can", function ()
		local server = servers.start {};
		finally(function () server:stop(); end);
		local COMPLAINT = "What is known of clients could not be stored: ";
		local bob = server:connect("bob", { features = { R } });
		servers.wait(function ()
			bob:sync();
			return server:run(STATE.."return r.capabilities:of('bob@localhost/bob')") == "capable";
		end);
		local function unload() server:run("assert(require 'core.modulemanager'.unload('localhost', 'receipts'))"); end
		unload();
		assert.is_nil(server:log():find(COMPLAINT, 1, true));
		server:run("assert(require 'core.modulemanager'.load('localhost', 'receipts'))");
		local file = server.dir.."/data/localhost/receipts_caps.dat";
		assert(os.remove(file));
		assert(os.execute("mkdir "..file));
		unload();
		assert.truthy(server:log():find(COMPLAINT, 1, true));
	end);

	it("says so, too, when the store raises errors", function ()
		local server = servers.start {};
		finally(function () server:stop(); end);
		server:run([[
			local storagemanager = require "core.storagemanager";
			local open = storagemanager.open;
			local function fail() error("disk on fire", 0); end
			function storagemanager.open(host, name, ...)
				if name == "receipts_caps" then return { get = fail, set = fail }; end
				return open(host, name, ...);
			end
		]]);
		for _, how in ipairs { "unload", "load", "unload" } do
			server:run(("assert(require 'core.modulemanager'.%s('localhost', 'receipts'))"):format(how));
		end
		assert.truthy(server:log():find("What was known of clients could not be read: disk on fire", 1, true));
		assert.truthy(server:log():find("What is known of clients could not be stored: disk on fire", 1, true));
		assert.is_nil(server:log():match("error[^\n]*disk on fire[^\n]*"));
	end);

	it("says so when it cannot read what was known of clients, and begins anew", function ()
		local server = servers.start {};
		finally(function () server:stop(); end);
		server:connect("bob", { features = { R } }):sync();
		assert.is_nil(server:log():find("could not be read", 1, true), "nothing was known yet");
		server:halt();
		process.write(server.dir.."/data/localhost/receipts_caps.dat", "rubbish");
		server:restart();
		servers.wait(function () return server:log():find("What was known of clients could not be read: ", 1, true); end);
		local bob = server:connect("bob", { features = { R } });
		servers.wait(function ()
			bob:sync();
			return server:run(STATE.."return r.capabilities:of('bob@localhost/bob')") == "capable";
		end);
	end);
end);

describe("the ordinary end", function ()
	it("F0 of a session in a room, and of the module that is reloaded, is no error", function ()
		local server = servers.start { modules = { "receipts", "smacks" }, hosts = servers.rooms };
		finally(function () server:stop(); end);
		for i, quit in ipairs { "close", "drop" } do
			local alice = server:connect("alice@localhost/"..i);
			alice:send(alice:presence({ to = "room@rooms.localhost/alice" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
			alice:sync();
			alice[quit](alice);
			servers.wait(function () return server:run("return tostring(prosody.bare_sessions['alice@localhost'])") == "nil"; end);
		end
		server:reload();
		assert.equal("0", server:run(STATE.."return r.reports.counts.errors.hook"));
	end);
end);

describe("the module", function ()
	it("A3 refuses to be loaded for \"*\", where it does nothing but keep itself from every host", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		assert.equal("mod_receipts is for VirtualHosts, not for \"*\": without a host it is loaded on all of them",
			server:run("return tostring(select(2, require 'core.modulemanager'.load('*', 'receipts')))"));
		server:reload();
	end);

	it("A3 leaves no timer behind, nor what that is for", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		assert.equal("1 0", server:run([[
			local tables = setmetatable({}, { __mode = "k" });
			local function count()
				for _ = 1, 3 do collectgarbage(); end
				local n = 0;
				for _ in pairs(tables) do n = n + 1; end
				return n;
			end
			(function () tables[prosody.hosts.localhost.modules.receipts.module.save().pending] = true; end)();
			local before = count();
			require "core.modulemanager".unload("localhost", "receipts");
			return before.." "..count();
		]]));
	end);
end);

describe("a reload before what is due at once", function ()
	local server, port, alice;
	setup(function ()
		port = process.free_port();
		server = servers.start { modules = { "receipts", "smacks" }, disabled = { "pep" }, hosts = servers.gateway, options = ([[
			component_ports = { %d }
			component_interfaces = { "127.0.0.1" }
			receipts_answer = "opt-out"
			receipts_answer_proof = "sent"
			receipts_answer_components = { "gateway.localhost" }
		]]):format(port) };
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
	end);
	teardown(function () server:stop(); end);
	before_each(function () alice = server:connect("alice", { features = { stanzas.xmlns } }); end);
	after_each(function () server:disconnect_all(); end);

	-- Nothing else happens between these two.
	local function send_and_reload(one, stanza)
		one:send(tostring(stanza)..tostring(st.stanza("iq", { type = "set", id = "reload", to = "localhost" })
			:tag("run", { xmlns = "urn:spec:control" }):text("require 'core.modulemanager'.reload('localhost', 'receipts')")));
	end

	local function is_told(id)
		servers.wait(function ()
			for _, message in ipairs(alice:messages()) do
				if stanzas.acked(message) == id then return true; end
			end
		end);
	end

	it("A3 E4 does not keep back acks that wait for presence", function ()
		local bob = server:connect("bob", { presence = false });
		alice:send(stanzas.ask { to = bob.jid, id = "waits" });
		servers.wait(function () return bob:messages()[1]; end);
		bob:send(stanzas.ack(alice.jid, "waits")):sync();
		send_and_reload(bob, bob:presence());
		is_told("waits");
	end);

	it("A3 D2 costs no answer of what was sent", function ()
		local bob = server:connect("bob", { features = { "urn:example:nothing" } });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		send_and_reload(alice, stanzas.ask { to = "bob@localhost", id = "sent" });
		is_told("sent");
	end);

	it("A3 D1 costs no answer for a gateway", function ()
		local gateway = client.component(port, "gateway.localhost");
		finally(function () gateway:drop(); end);
		send_and_reload(alice, stanzas.ask { to = "+1555@gateway.localhost", id = "gateway" });
		is_told("gateway");
	end);

	it("A3 F0 waits for nothing that this may have to wait for: so there are never two of us, though another comes meanwhile", function ()
		local HANDLERS = "return tostring(#prosody.hosts.localhost.events.get_handlers('pre-message/full'))";
		local handlers, bob = server:run(HANDLERS), server:connect("bob", { features = { "urn:example:nothing" } });
		servers.wait(function () bob:sync(); return server:support_of(bob.jid) == "incapable"; end);
		server:run([[
			local sleep = require "util.async".sleep;
			module:hook("pre-message/full", function () sleep(0.3); end, 10); -- an answer of ours, that is
		]]);
		send_and_reload(alice, stanzas.ask { to = "bob@localhost", id = "slow" });
		socket.sleep(0.1);
		server:run("require 'util.async'.runner(function () require 'core.modulemanager'.reload('localhost', 'receipts'); end):run(true)");
		is_told("slow");
		socket.sleep(0.3);
		assert.equal(handlers + 1, tonumber(server:run(HANDLERS)));
	end);
end);

describe("a module that is unloaded while it waits for a storage", function ()
	it("A3 hooks nothing any more when it goes on", function ()
		local server = servers.start { modules = { "receipts", "smacks" }, options = storages.slow().options..'receipts_answer = "opt-out"' };
		finally(function () server:stop(); end);
		server:connect("bob", { managed = true });
		assert.equal("nothing else", server:run([[
			local session, events = prosody.full_sessions["bob@localhost/bob"], prosody.hosts.localhost.events;
			local function hooked() return #(events.get_handlers("delivery/failure") or {}); end
			local sleep = require "util.async".sleep;
			local ask = require "util.stanza".message({ from = "alice@elsewhere", to = "bob@localhost", id = "1" }, "whose choice is read for that")
				:tag("request", { xmlns = "urn:xmpp:receipts" }):up();
			require "util.async".runner(function () events.fire_event("message/bare", { origin = session, stanza = ask }); end):run(true);
			require "core.modulemanager".unload("localhost", "receipts");
			local before = hooked();
			sleep(0.1);
			return hooked() == before and "nothing else" or hooked() - before;
		]]));
	end);
end);

describe("a host that is deactivated", function ()
	it("F1 loses nothing of what is pending, though its authentication may be unloaded before us", function ()
		local server = servers.start { hosts = 'VirtualHost "elsewhere.localhost"\n', options = 'receipts_flush_interval = "1h"' };
		finally(function () server:stop(); end);
		local HOST = "elsewhere.localhost";
		local alice, bob = server:connect("alice@"..HOST.."/r"), server:connect("bob@"..HOST.."/r");
		alice:send(stanzas.ask { to = bob.bare, id = "1" });
		alice:sync();
		server:run(([[
			require "core.modulemanager".unload(%q, "auth_insecure");
			local hostmanager = require "core.hostmanager";
			assert(hostmanager.deactivate(%q));
			assert(hostmanager.activate(%q));
		]]):format(HOST, HOST, HOST));
		assert.equal("pending", server:run(([[
			local r = prosody.hosts[%q].modules.receipts.module.save();
			assert(r.store:load("alice"));
			return (r.pending:state("alice@elsewhere.localhost", "bob@elsewhere.localhost", "1"));
		]]):format(HOST)));
	end);
end);

describe("a user's deletion", function ()
	it("F1 takes along all that is known of them, and leaves others, and other hosts, alone", function ()
		local server = servers.start {
			modules = { "receipts", "smacks" }, hosts = 'VirtualHost "elsewhere.localhost"\n';
			options = 'receipts_answer = "opt-out"\nreceipts_resend_attempts = 3\nreceipts_resend_after = "1h"';
		};
		finally(function () server:stop(); end);
		server:roster("alice", "bob@localhost", "from");
		for _, user in ipairs { "alice", "bob" } do server:roster(user, "friend@elsewhere", "both"); end
		local alice, bob, carol = server:connect("alice"), server:connect("bob"), server:connect("carol");
		for _, one in ipairs { alice, carol } do
			one:send(stanzas.ask { to = "bob@localhost", id = "x" });
			one:send(stanzas.chat { to = "bob@localhost", id = "z" });
			one:sync();
		end
		for id, to in pairs { y = "alice@localhost", w = "carol@localhost" } do bob:send(stanzas.ask { to = to, id = id }); end
		bob:sync();
		server:run(STATE..[[
			r.preferences:set("alice", { answer = "yes", ask = "no" });
			r.preferences:get("alice");
			local presence = require "util.stanza".presence;
			r.capabilities:presence(presence { from = "friend@elsewhere/a" }, "alice@localhost");
			r.capabilities:presence(presence { from = "friend@elsewhere/b" }, "bob@localhost");
		]]);
		local SURVEY = STATE..[[
			local user = ...;
			local jid = user.."@localhost";
			local kept, seen = 0, 0;
			for _ in pairs(r.resend.kept[jid] or {}) do kept = kept + 1; end
			r.capabilities.people:each(function (_, client) if client.shown[jid] then seen = seen + 1; end end);
			return table.concat({ r.pending:count(jid), #r.decisions:about(jid), r.answering.answers.fates.accounts:get(jid) and 1 or 0, kept, seen,
				r.preferences.wanted.at[user] and 1 or 0 }, " ");
		]];
		local function survey(user) return server:run(SURVEY:gsub("%.%.%.;", ("%q;"):format(user))); end
		assert.truthy(survey("alice"):match("^1 [1-9]%d* 1 1 1 1$"), survey("alice"));
		local bobs, carols = survey("bob"), survey("carol");
		server:run("prosody.events.fire_event('user-deleted', { username = 'alice', host = 'elsewhere.localhost' })");
		assert.truthy(survey("alice"):match("^1 [1-9]%d* 1 1 1 1$"));
		server:run("prosody.events.fire_event('user-deleted', { username = 'alice', host = 'localhost' })");
		assert.equal("0 0 0 0 0 0", survey("alice"));
		local without, kept = bobs:gsub("^(%d+ %d+ %d+) 2 ", "%1 1 "); -- what he has sent to her is not sent again to a namesake
		assert.equal(1, kept, bobs);
		assert.equal(without, survey("bob"));
		assert.equal(carols, survey("carol"));
	end);
end);

describe("the end of an anonymous user's last session", function ()
	local GUESTS = "local r = prosody.hosts['guests.localhost'].modules.receipts.module.save(); ";
	local server, bob;
	local function start(options, authentication)
		server = servers.start { modules = { "receipts", "smacks" };
			options = "receipts_flush_interval = 1\nreceipts_max_pending = 2\nreceipts_protect_presence = false";
			hosts = 'VirtualHost "guests.localhost"\n\t'..(authentication or 'authentication = "anonymous"').."\n"..(options or "") };
		bob = server:connect("bob@guests.localhost/r", { anonymous = true });
	end
	after_each(function () server:stop(); end);

	local function guest(how)
		return server:connect("guest@guests.localhost/r", { anonymous = true, managed = how });
	end
	local function ask(one, ...)
		for _, id in ipairs { ... } do one:send(stanzas.ask { to = bob.jid, id = id }); end
		one:sync();
	end
	local function pending() return server:run(GUESTS.."return r.pending:count()"); end
	local function why(one)
		return server:run((GUESTS.."local list = r.decisions:about(%q); return #list > 0 and list[1].why or ''"):format(one.bare));
	end
	-- How often the stores of what is pending were written.
	local function count_writes()
		server:run(GUESTS..[[
			module.spec_writes = 0;
			for _, one in ipairs { { r.store.keyval, "set" }, { r.store.map, "set_keys" } } do
				local storage, name = table.unpack(one);
				local write = storage[name];
				storage[name] = function (...) module.spec_writes = module.spec_writes + 1; return write(...); end;
			end
		]]);
		return function () return server:run("return module.spec_writes"); end;
	end

	it("F1 F2 makes room for others, who could not be tracked: nobody comes back to what is pending of that one", function ()
		start();
		local first, second = guest(), guest();
		ask(first, "1", "2");
		ask(second, "3");
		assert.equal("F2 not tracked: full", why(second));
		first:close();
		assert.equal("0", pending());
		second:close();
		assert.equal("", why(second));
		local third = guest();
		ask(third, "4");
		bob:send(stanzas.ack(third.jid, "4"));
		bob:sync();
		assert.equal("4", stanzas.acked(third:messages()[1]));
		assert.equal("", why(third));
	end);

	it("F1 is that of the session, and not that of its connection, which hibernates", function ()
		start();
		local one = guest(true);
		ask(one, "1");
		one:drop();
		servers.wait(function () return server:run(("return tostring(full_sessions[%q].hibernating ~= nil)"):format(one.jid)) == "true"; end);
		assert.equal("1", pending());
		server:run(("require 'core.sessionmanager'.destroy_session(full_sessions[%q])"):format(one.jid));
		assert.equal("0", pending());
	end);

	it("F1 is that of the last one, where a module has such users log in again under their names", function ()
		start();
		local one = guest();
		ask(one, "1");
		server:run(([[
			local session = full_sessions[%q];
			prosody.hosts[session.host].events.fire_event("resource-unbind", { session = setmetatable({
				resource = "other", full_jid = session.username.."@"..session.host.."/other";
			}, { __index = session }) });
		]]):format(one.jid));
		assert.equal("1", pending());
	end);

	for _, storage in ipairs { "internal", "memory" } do it("F1 removes what was written, with the next writing, and nothing from a store that has "
		.."nothing of them: "..storage, function ()
		start(("\tallow_anonymous_storage = true\n\tstorage = %q\n"):format(storage));
		local writes = count_writes();
		local one, other = guest(), guest();
		local function stored()
			return server:run((GUESTS.."return tostring(r.store.keyval:get(%q) ~= nil)"):format(one.bare:match("^[^@]*")));
		end
		ask(one, "1");
		servers.wait(function () return stored() == "true"; end);
		assert.equal("1", writes());
		one:close();
		assert.equal("1", writes(), "nothing waits for that");
		servers.wait(function () return stored() == "false"; end);
		assert.equal("2", writes());
		ask(other, "2");
		other:close();
		assert.equal("0", pending());
		server:run(GUESTS.."r.store:flush_all()");
		assert.equal("2", writes());
	end); end

	it("F1 F2 is noticed where they are let in in the old way", function ()
		start(nil, "anonymous_login = true");
		local one = guest();
		ask(one, "1");
		one:close();
		assert.equal("0", pending());
	end);

	it("F1 is no end of users of another kind, who come back", function ()
		start();
		local alice = server:connect("alice");
		alice:send(stanzas.ask { to = "carol@localhost", id = "1" });
		alice:sync();
		alice:close();
		assert.equal("1", server:run(STATE.."return r.pending:count()"));
	end);
end);

describe("errors of others", function ()
	it("F0 a listener that fails costs neither a message nor a rule", function ()
		local server = servers.start { errors = true, options = 'receipts_request = "always"' };
		finally(function () server:stop(); end);
		server:run([[
			for _, name in ipairs { "requested", "delivered", "failed", "overdue", "expired", "rejected" } do
				module:hook("receipts/"..name, function () error("forced"); end);
			end]]);
		local alice, bob, mallory = server:connect("alice"), server:connect("bob"), server:connect("mallory");
		for _, name in ipairs { "bob", "mallory" } do server:roster(name, "alice@localhost", "both"); end
		alice:send(stanzas.ask { to = "bob@localhost/bob", id = "1" });
		alice:send(stanzas.chat { to = "bob@localhost/bob", id = "2" });
		alice:sync();
		local got = bob:messages();
		assert.equal(2, #got);
		assert.is_true(stanzas.asks(got[2]), "C1");
		mallory:send(stanzas.ack("alice@localhost/alice", "1"));
		mallory:sync();
		assert.same({}, alice:messages(), "E2");
		bob:send(st.message({ to = "alice@localhost/alice", id = "1", type = "chat" }):tag("received", { xmlns = R }):up());
		bob:send(stanzas.ack("alice@localhost/alice", "2"));
		bob:sync();
		got = alice:messages();
		assert.equal("1", stanzas.acked(got[1]), "E5");
		assert.is_nil(got[2], "C6");
		bob:send(stanzas.ack("mallory@localhost/mallory", "1"));
		bob:sync();
		assert.same({}, mallory:messages(), "E4");
		server:run(STATE.."for i = 1, 3 do r.pending:add('alice@localhost', 'bob@localhost', 'old'..i, os.time() - 8 * 86400); end");
		assert.equal("3", server:run(STATE.."r.expire_now(); return r.reports.counts.outcomes.expired"), "F2: all are told of");
		assert.truthy(server:log():find("a listener to our events", 1, true));
	end);

	it("F0 an error in a message hook is logged as it was raised, with no traceback of what caught it", function ()
		local server = servers.start { errors = true };
		finally(function () server:stop(); end);
		local alice, bob = server:connect("alice"), server:connect("bob");
		local SESSION = "local session = prosody.full_sessions['alice@localhost/alice']; ";
		server:run(SESSION.."session.had, session.roster = session.roster, true"); -- no session has such a one
		alice:send(stanzas.ack("bob@localhost/bob", "1"));
		alice:sync();
		server:run(SESSION.."session.roster = session.had");
		assert.equal(1, #bob:messages());
		local found = server:log():match("Error in a message hook, the stanza goes on without us [^\n]*\n[^\n]*");
		assert.truthy(found:find("hooks.lib.lua:%d+: "), found);
		assert.falsy(found:find("traceback", 1, true), found);
	end);

	it("D1 a preference that cannot be read is no answer, and read again", function ()
		local server = servers.start { modules = { "receipts", "smacks" }, options = 'receipts_answer = "opt-out"' };
		finally(function () server:stop(); end);
		local alice, bob = server:connect("alice"), server:connect("bob", { managed = true, features = { "jabber:iq:version" } });
		server:roster("bob", "alice@localhost", "both");
		servers.wait(function ()
			bob:sync();
			return server:run(STATE.."return r.capabilities:of('bob@localhost/bob')") == "incapable";
		end);
		local function answered(id)
			alice:send(stanzas.ask { to = "bob@localhost/bob", id = id });
			alice:sync();
			bob:sync();
			bob:acknowledge();
			bob:sync();
			local got = alice:messages()[1];
			return got ~= nil and stanzas.acked(got) == id;
		end
		server:run(STATE.."local store = r.preferences.store; "
			.."prosody.spec_get = store.get; store.get = function () return nil, 'down'; end");
		assert.is_false(answered("down"));
		server:run(STATE.."local preferences = r.preferences; preferences.store.get = prosody.spec_get; "
			.."local monotonic = preferences.retries.monotonic; preferences.retries.monotonic = function () return monotonic() + 10; end");
		assert.is_true(answered("up"));
		server:run(STATE.."assert(r.preferences:set('bob', { answer = 'no', ask = 'default' }))");
		assert.is_false(answered("no longer wanted"));
	end);

	it("D1 a damaged preference or block list is not read, and complained of, for each message", function ()
		local server = servers.start { options = 'receipts_answer = "opt-out"' };
		finally(function () server:stop(); end);
		local alice = server:connect("alice");
		for store, user in pairs { receipts_preferences = "bob", blocklist = "carol" } do
			server:roster(user, "alice@localhost", "both");
			server:connect(user);
			os.execute(("mkdir -p %s/data/localhost/%s"):format(server.dir, store));
			process.write(("%s/data/localhost/%s/%s.dat"):format(server.dir, store, user), "rubbish");
			for i = 1, 50 do alice:send(stanzas.ask { to = user.."@localhost", id = user..i }); end
			alice:sync();
			local _, lines = server:log():gsub("error[^\n]*"..store.."[^\n]*"..user, "");
			assert.equal(1, lines, store); -- mod_blocklist has read its list before
		end
		assert(os.remove(server.dir.."/data/localhost/receipts_preferences/bob.dat"));
		server:connect("bob@localhost/other");
		assert.equal("default", server:run(STATE.."return r.preferences:get('bob').answer"));
	end);

	it("C1 D1 F4 a choice that cannot be read is a failure of the store, and why does not blame the user", function ()
		local server = servers.start { modules = { "receipts", "admin_shell" }, options = 'receipts_answer = "opt-out"\nreceipts_request = "always"' };
		finally(function () server:stop(); end);
		local folder = server.dir.."/data/localhost/receipts_preferences";
		os.execute("mkdir -p "..folder);
		process.write(folder.."/juliet.dat", "return {");
		local romeo, juliet = server:connect("romeo"), server:connect("juliet");
		romeo:send(stanzas.ask { to = "juliet@localhost", id = "to" }):sync();
		juliet:send(stanzas.chat { to = "romeo@localhost", id = "from" }):sync();
		local function why(user, id)
			return (server:prosodyctl("shell", "receipts", "why", user.."@localhost", id));
		end
		local text = why("romeo", "to");
		assert.truthy(text:find("asked for by the client, and awaited; D1 the user's choice cannot be read now", 1, true), text);
		text = why("juliet", "from");
		assert.truthy(text:find("C1 not asked for, the user's choice cannot be read now", 1, true), text);
		assert.truthy(server:log():find("error\tWhat juliet chose cannot be read, and is tried again later (0 more since the last such line): "
			.."Error reading storage", 1, true));
		assert.is_true(tonumber(server:run(STATE.."return r.reports.counts.errors.store")) >= 1);
		assert(os.remove(folder.."/juliet.dat"));
		server:run(STATE.."r.preferences:forget('juliet')");
		text = why("romeo", "to");
		assert.truthy(text:find("asked for by the client, and awaited; D2 the server answers when there is proof", 1, true), text);
		romeo:send(stanzas.ask { to = "nobody@localhost", id = "nobody" }):sync();
		text = why("romeo", "nobody");
		assert.is_nil(text:find("cannot be read", 1, true), text);
	end);

	it("F2 strangers cannot fill our memory, nor have users looked up who do not exist", function ()
		for _, mode in ipairs { "opt-in", "opt-out", "never" } do
			local server = servers.start { options = ('receipts_protect_presence = false\nreceipts_answer = %q'):format(mode) };
			local _ <close> = setmetatable({}, { __close = function () server:stop(); end });
			server:run("require 'core.usermanager'.user_exists = function (name) return name == 'alice'; end");
			server:reload();
			assert.equal("0", server:run(STATE..[[
				local st = require "util.stanza";
				local preferences, n = r.preferences, 0;
				preferences.store = { get = function () n = n + 1; end };
				local function send(to, name, id)
					prosody.core_post_stanza(prosody.hosts.localhost, st.message({ from = "a@elsewhere/r", to = to, type = "chat", id = "1" })
						:tag("body"):text("hi"):up():tag(name, { xmlns = "urn:xmpp:receipts", id = id }):up());
				end
				for i = 1, 200 do
					for _, to in ipairs { "nobody"..i.."@localhost", "nobody"..i.."@localhost/x" } do
						send(to, "received", ("x"):rep(100000));
						send(to, "request");
					end
				end
				for _ in r.decisions.rings:items() do n = n + 1; end
				for i = 1, 200 do if r.store:knows("nobody"..i) then n = n + 1; end end
				return n + preferences.wanted.count + preferences.no_answers.count;
			]]), mode);
		end
	end);
end);
