-- SPDX-License-Identifier: MIT
-- Rule F1 on the wire: what is pending outlives reloads, restarts, crashes and a store that fails, on each kind of storage.

local servers = require "spec.support.server";
local storages = require "spec.support.storages";
local stanzas = require "spec.support.stanzas";
local process = require "spec.support.process";
local adhoc = require "spec.support.adhoc";
local socket = require "socket";
local st = require "util.stanza";

local STATE = "local r = prosody.hosts.localhost.modules.receipts.module.save(); ";

local function start(storage, options)
	return servers.start { options = storage.options.."\n"..(options or ""), modules = { "receipts", "blocklist" } };
end

local function befriend(server)
	server:roster("bob", "alice@localhost", "both");
end

-- The ids of what is pending of alice, as the module finds them when it looks.
local function pending(server)
	local text = server:run(STATE.."assert(r.store:load('alice')); local ids = {}; "
		.."for _, e in ipairs(r.pending:list('alice@localhost')) do table.insert(ids, e.id) end return table.concat(ids, ' ')");
	local set = {};
	for id in text:gmatch("%S+") do set[id] = true; end
	return set, text;
end

local function acks(client)
	local list = {};
	for _, message in ipairs(client:messages()) do table.insert(list, stanzas.acked(message)); end
	return table.concat(list, " ");
end

for _, name in ipairs(storages.names) do
	describe("what is pending, in storage "..name, function ()
		local server, storage;
		setup(function ()
			storage = storages[name]();
			server = start(storage, 'receipts_flush_interval = "1h"\nreceipts_unknown = "drop"\nreceipts_request = "always"');
			befriend(server);
		end);
		teardown(function ()
			if server then server:stop(); end
			if storage then storage.remove(); end
		end);
		after_each(function () server:disconnect_all(); end);

		local function ask(id)
			server:connect("bob@localhost/reader"); -- else it would bounce
			local alice = server:connect("alice");
			alice:send(stanzas.ask { to = "bob@localhost", id = id });
			alice:sync();
			return alice;
		end
		local function ack(id)
			local bob = server:connect("bob");
			bob:send(stanzas.ack("alice@localhost", id));
			bob:sync();
		end
		-- As the timer does, over and over: LuaDBI's SQLite says once more that it is locked when it is no longer.
		local function flush()
			servers.wait(function () return server:run(STATE.."return tostring(r.store:flush_all())") == "true"; end);
		end

		it("F1 outlives a restart, though it was never time to write", function ()
			ask("clean");
			server:restart();
			local alice = server:connect("alice");
			ack("clean");
			assert.equal("clean", acks(alice));
		end);

		it("F5 prosodyctl reads it from the store, without a server", function ()
			local alice = ask("on disk");
			local function prosodyctl(...) return server:prosodyctl("mod_receipts", "pending", ...); end
			alice:send(stanzas.chat { to = "bob@localhost", id = "expired" });
			alice:sync();
			server:halt();
			finally(function () server:restart(); end);
			local text, code = prosodyctl("alice@localhost");
			assert.equal(0, code, text);
			assert.truthy(text:find("\nbob@localhost | on disk +| [%d.]+ s +| pending | the client"), text);
			assert.truthy(text:find("\nbob@localhost | expired +| [%d.]+ s +| pending | the server"), text);
			assert.truthy(prosodyctl("nobody@localhost"):find("\n0 messages\n"));
			text, code = prosodyctl("nobody@nowhere.example");
			assert.equal(2, code);
			assert.truthy(text:find("The configuration has no host nowhere.example", 1, true), text);
			assert.equal(2, select(2, prosodyctl()));
		end);

		it("F1 outlives kill -9 once it is written, and is written when the module is unloaded, or reloaded where it has waited", function ()
			ask("unloaded");
			server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
			server:restart("kill");
			server:run(STATE.."r.pending:add('alice@localhost', 'bob@localhost', 'reloaded', require 'util.time'.now() - 1800)");
			server:reload();
			servers.wait(function ()
				return server:run(STATE.."return require 'util.serialization'.serialize((r.store.keyval:get('alice')))"):find("reloaded", 1, true);
			end);
			server:restart("kill");
			local alice = server:connect("alice");
			ack("unloaded");
			ack("reloaded");
			assert.equal("unloaded reloaded", acks(alice));
			server:restart();
			ack("unloaded");
			assert.equal("", acks(server:connect("alice")), "and what was delivered is no longer pending");
		end);

		it("C6 remembers over a restart that a request was ours", function ()
			local alice, bob = server:connect("alice"), server:connect("bob");
			alice:send(stanzas.chat { to = "bob@localhost", id = "ours" });
			alice:sync();
			assert.is_true(stanzas.asks(bob:messages()[1]));
			server:restart();
			alice = server:connect("alice");
			ack("ours");
			assert.equal("", acks(alice));
			assert.truthy(server:log():find("C6 the request was ours", 1, true));
		end);

		it("B1 what is known of software outlives a restart: which supports receipts, and which does not", function ()
			local FEATURES = { capable = stanzas.xmlns, incapable = "urn:example:nothing" };
			for support, feature in pairs(FEATURES) do
				local one = server:connect(support, { features = { feature } });
				servers.wait(function ()
					one:sync();
					return server:support_of(one.jid) == support;
				end);
			end
			server:restart();
			for support, feature in pairs(FEATURES) do
				local one = server:connect(support, { features = { feature }, presence = false });
				one.mute = true;
				one:send(one:presence()):sync();
				assert.equal(support, server:support_of(one.jid));
			end
		end);

		it("F1 F2 is read when its user asks again, so that quota, expiry and overdue hold for it", function ()
			ask("stored");
			server:restart();
			ask("new");
			assert.equal("pending", server:run(STATE.."return tostring(r.pending:state('alice@localhost', 'bob@localhost', 'stored'))"));
		end);

		it("E1 E6 an answer about an id that memory knows, and one about an id that only the store knows, are told apart", function ()
			ask("same");
			server:restart();
			local alice = server:connect("alice");
			alice:send(stanzas.ask { to = "carol@localhost", id = "same" });
			alice:sync();
			ack("same");
			assert.equal("same", acks(alice), "not forged");
			ask("bounced");
			server:restart();
			alice = server:connect("alice");
			local bob = server:connect("bob");
			bob:send(stanzas.chat({ to = "alice@localhost/alice", id = "bounced", type = "error" }, false)
				:tag("error", { type = "cancel" }):tag("service-unavailable", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up():up());
			bob:sync();
			alice:sync();
			assert.equal("failed", server:run(STATE.."return (r.pending:state('alice@localhost', 'bob@localhost', 'bounced'))"));
		end);

		it("F1 a store that fails costs no message, is told of once a minute, and catches up", function ()
			local alice, bob = ask("before"), server:connect("bob");
			flush();
			local errors = select(2, server:log():gsub("What is pending of", ""));
			storage.fail(server);
			finally(function () storage.recover(server); end);
			for i = 1, 3 do
				alice:send(stanzas.ask { to = "bob@localhost", id = "during"..i });
				alice:sync();
				server:run(STATE.."r.store:flush(10)");
			end
			bob:send(stanzas.ack("alice@localhost", "before"));
			bob:send(stanzas.ack("alice@localhost", "during1"));
			assert.equal(3, #bob:messages());
			assert.equal("before during1", acks(alice));
			assert.equal(errors + 1, (select(2, server:log():gsub("What is pending of", ""))), "one line");
			storage.recover(server);
			flush();
			server:restart("kill");
			local now = pending(server);
			assert.is_nil(now.before or now.during1);
			assert.is_true(now.during2 and now.during3);
		end);

		it("F1 what cannot be written in the end, when the module goes or Prosody stops, is told of", function ()
			local function told() return select(2, server:log():gsub("Not all that is pending could be written", "")); end
			ask("written");
			server:reload();
			server:restart();
			assert.equal(0, told());
			ask("unwritten");
			server:run("return 'connected'"); -- which nobody can be later
			storage.fail(server);
			server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
			storage.recover(server);
			assert.equal(1, told());
			server:restart("kill");
			ask("unwritten");
			storage.fail(server);
			server:halt();
			assert.equal(2, told());
			if name == "sqlite" or name == "postgres" then storage.recover(); end -- what is the process's own has ended with it
			server:restart();
		end);

		it("F1 what fails when Prosody stops is tried again before it ends, as a file is locked for a moment", function ()
			ask("locked");
			local lost = select(2, server:log():gsub("Not all that is pending", ""));
			server:run(STATE..[[
				local map, tries = r.store.map, 0;
				local set_keys = map.set_keys;
				function map.set_keys(...)
					tries = tries + 1;
					if tries > 2 then return set_keys(...); end
					return nil, "database is locked";
				end
			]]);
			server:restart();
			assert.is_true(pending(server).locked);
			assert.equal(lost, (select(2, server:log():gsub("Not all that is pending", ""))));
		end);

		it("E2 while the store cannot be read, no true ack is taken for unknown or forged", function ()
			ask("unread");
			server:restart();
			local alice, bob = server:connect("alice"), server:connect("bob");
			storage.fail(server);
			bob:send(stanzas.ack("alice@localhost", "unread"));
			bob:sync();
			assert.equal("unread", acks(alice));
			storage.recover(server);
			server:restart("kill"); -- LuaDBI 0.7.2 crashes when it collects statements of a PostgreSQL connection that is gone
		end);

		it("F1 a user's deletion takes all of theirs along, and a namesake starts clean", function ()
			ask("gone");
			flush();
			ask("unwritten");
			server:run("require 'core.usermanager'.create_user('alice', 'x', 'localhost')");
			server:run("prosody.events.fire_event('user-deleted', { username = 'alice', host = 'localhost' })");
			assert.same({}, (pending(server)));
			flush();
			assert.equal("nil", server:run(STATE.."return (r.store.keyval:get('alice'))"));
			server:restart();
			assert.same({}, (pending(server)));
		end);
	end);
end

describe("what is pending of many users, when writing it takes long,", function ()
	local USERS = 12;

	it("A3 F1 is handed over by a reload, which writes what has waited, in small steps; an unload takes its time, and writes all", function ()
		local server = servers.start { options = 'receipts_flush_interval = "1h"' };
		finally(function () server:stop(); end);
		local function written() return tonumber(server:run("return prosody.spec_writes")); end
		server:run((STATE..[[
			local map, set_keys = r.store.map, r.store.map.set_keys;
			local mt = getmetatable(map); -- the new module opens the same store
			prosody.spec_writes = 0;
			function mt.__index.set_keys(...)
				prosody.spec_writes = prosody.spec_writes + 1;
				require "socket".sleep(0.1);
				return set_keys(...);
			end
			local function ask(user, ago)
				r.pending:add(user..'@localhost', 'bob@localhost', '1', require 'util.time'.now() - ago);
			end
			for i = 1, %d do ask('user'..i, 1800); end
			ask('young', 0);
		]]):format(USERS));
		server:run("require 'core.modulemanager'.reload('localhost', 'receipts')");
		local first = written();
		assert(first < USERS, first.." users were written before anything else was done");
		servers.wait(function () return written() == USERS; end);
		assert.equal(tostring(USERS + 1), server:run(STATE.."return r.pending:count()"));
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		assert.equal(USERS + 1, written());
		server:restart("kill");
		assert.equal(tostring(USERS + 1), server:run((STATE..[[
			for i = 1, %d do assert(r.store:load('user'..i)); end
			assert(r.store:load('young'));
			return r.pending:count()
		]]):format(USERS)));
	end);
end);

describe("the end of a server with several hosts whose storage fails", function ()
	it("F1 takes as long as with one, and each tells once what is lost", function ()
		local hosts = { "localhost", "second.localhost", "third.localhost" };
		local server = servers.start { hosts = ('VirtualHost "%s"\nVirtualHost "%s"\n'):format(hosts[2], hosts[3]) };
		finally(function () server:stop(); end);
		for _, host in ipairs(hosts) do
			server:connect("alice@"..host.."/r"):send(stanzas.ask { to = "bob@"..host, id = "1" }):sync();
			server:run(("local store = prosody.hosts[%q].modules.receipts.module.save().store; "
				.."store.flush = function () return 'failing', 0; end"):format(host));
		end
		local seconds = tonumber(server:run([[ -- 0.12 may stop twice
			local now = require "util.time".now;
			local began = now();
			for _ = 1, 2 do prosody.events.fire_event("server-stopped"); end
			return now() - began;
		]]));
		assert.is_true(seconds < 6, seconds);
		assert.equal(#hosts, (select(2, server:log():gsub("Not all that is pending could be written", ""))));
	end);
end);

describe("storage for those who want nothing on disk", function ()
	it("F1 memory works like the others, until a restart", function ()
		local server = servers.start { options = 'storage = { receipts = "memory" }\nreceipts_flush_interval = 1' };
		finally(function () server:stop(); end);
		local alice = server:connect("alice");
		alice:send(stanzas.ask { to = "bob@localhost", id = "1" });
		alice:sync();
		server:reload();
		assert.is_true(pending(server)["1"]);
		assert.equal("", process.output("find "..server.dir.."/data -path '*receipts/*'") or "");
		server:restart();
		assert.same({}, (pending(server)));
		assert.is_nil(server:log():find("cannot be", 1, true));
	end);
end);

describe("what is kept in memory alone of an account that another process deletes", function ()
	it("F1 D1 goes with it all the same, and a namesake starts clean", function ()
		local server = servers.start { options = 'authentication = "internal_plain"\n'
			..'storage = { receipts = "memory", receipts_preferences = "memory" }\nreceipts_flush_interval = "1h"' };
		finally(function () server:stop(); end);
		for _, user in ipairs { "controller", "alice" } do server:prosodyctl("register", user, "localhost", "secret"); end
		local alice = server:connect("alice");
		local function ask(id)
			alice:send(stanzas.ask { to = "bob@localhost", id = id }):sync();
			return server:run(STATE.."r.store:flush_all(); return tostring(r.pending:count('alice@localhost'))");
		end
		assert.equal("1", ask("1"));
		server:run(STATE.."assert(r.preferences:set('alice', { answer = 'yes', ask = 'no' }))");
		assert.equal(0, (select(2, server:prosodyctl("unregister", "alice", "localhost"))));
		assert.equal("0", ask("2"));
		server:run([[
			require "core.usermanager".create_user("alice", "secret", "localhost");
			prosody.hosts.localhost.events.fire_event("user-registered", { username = "alice", host = "localhost" });
		]]);
		assert.equal("default default", server:run(STATE.."local wanted = r.preferences:get('alice'); return wanted.answer..' '..wanted.ask"));
	end);
end);

describe("an account that Prosody knows nothing of while its authentication cannot be reached", function ()
	it("F1 is not taken for deleted", function ()
		local server = servers.start { options = 'receipts_flush_interval = "1h"' };
		finally(function () server:stop(); end);
		local alice = server:connect("alice");
		alice:send(stanzas.ask { to = "bob@localhost", id = "1" }):sync();
		alice:close();
		server:run("prosody.hosts.localhost.users.user_exists = function () return false; end;"
			.."assert(module:open_store('accounts'):set('controller', { password = 'of a time with other authentication' }))");
		servers.wait(function () return server:run("return tostring(prosody.bare_sessions['alice@localhost'])") == "nil"; end);
		server:run(STATE.."for _ in r.store:sweep() do end; assert(r.store:flush_all())");
		assert.equal("1", server:run(STATE.."return tostring(r.pending:count('alice@localhost'))"));
		assert.falsy(server:log():find("another process", 1, true));
	end);
end);

describe("a storage that refuses a store", function ()
	it("F1 keeps the module from loading, with a line that says what to do, and costs no message", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		local function why(storage)
			return server:run(([[
				local modulemanager = require "core.modulemanager";
				modulemanager.unload("localhost", "receipts");
				require "core.configmanager".set("localhost", "storage", %s);
				local _, why = modulemanager.load("localhost", "receipts");
				return why;
			]]):format(storage));
		end
		local another = "storage = { receipts = \"internal\", receipts_preferences = \"internal\", receipts_caps = \"internal\" }";
		for _, name in ipairs { "receipts", "receipts_caps", "receipts_preferences" } do
			assert.equal("the storage cannot keep \""..name.."\" (unsupported-datastore): set another one, "..another
				..", in the table that you have", why("{ "..name.." = \"xep0227\" }"));
		end
		-- Who types that line keeps accounts and rosters where they are.
		assert.equal("the storage cannot keep \"receipts\" (unsupported-datastore): set another one, default_storage = \"xep0227\"; "..another,
			why("\"xep0227\""));
		server:run("require 'core.configmanager'.set('localhost', 'default_storage', 'xep0227')");
		assert.equal("nil", why(another:match("{.*}")));
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts'); local set = require 'core.configmanager'.set; "
			.."for _, name in ipairs { 'storage', 'default_storage' } do set('localhost', name, nil); end");
		assert.falsy(server:log():find("stack traceback", 1, true));
		assert.equal("0", server:run("local n = 0; for _, handlers in pairs(prosody.hosts.localhost.events._event_map) do "
			.."for f in pairs(handlers) do if debug.getinfo(f).source:find('/mod_receipts/[^/]*$') then n = n + 1; end end end return n"));
		local alice, bob = server:connect("alice"), server:connect("bob");
		alice:send(stanzas.chat { to = "bob@localhost", id = "1" });
		alice:sync();
		assert.equal(1, #bob:messages());
	end);
end);

describe("an account that another process deletes", function ()
	it("F1 D1 takes along what is pending of it, and what it wanted: a namesake starts clean", function ()
		local server = servers.start { options = 'authentication = "internal_plain"\nreceipts_flush_interval = 1' };
		finally(function () server:stop(); end);
		local function account(what, user, ...)
			local text, code = server:prosodyctl(what, user, "localhost", ...);
			assert.equal(0, code, text);
		end
		local function preference(...)
			local text = adhoc(server, "alice@localhost", "run", "localhost", "receipts#preference", ...);
			return text:match("have reached me: ([^%[]-) %[");
		end
		local function has_records()
			return process.output("find "..server.dir.."/data -path '*receipts/alice.dat'") ~= nil;
		end
		for _, user in ipairs { "controller", "alice", "bob" } do account("register", user, "secret"); end
		server:connect("bob");
		local alice = server:connect("alice");
		alice:send(stanzas.ask { to = "bob@localhost", id = "1" });
		alice:sync();
		preference("answer=yes");
		assert.truthy(preference():find("^Yes"));
		servers.wait(has_records);
		alice:close();

		account("unregister", "alice");
		assert.is_false(has_records());
		server:run(STATE.."r.pending:overdue(require 'util.time'.now() + 3600, 3600); r.store:flush_all()");
		assert.is_false(has_records());
		assert.equal("0", server:run(STATE.."return tostring(r.pending:count('alice@localhost'))"));
		account("register", "alice", "secret");
		assert.truthy(preference():find("^As the server does by default"));

		-- Where the namesake comes before anything is to be written of the other.
		preference("answer=yes");
		account("unregister", "alice");
		account("register", "alice", "secret");
		assert.truthy(preference():find("^As the server does by default"));
	end);
end);

describe("an account that another process deletes while its user is online", function ()
	local server, alice, bob;
	before_each(function ()
		server = servers.start {
			options = 'authentication = "internal_plain"\nreceipts_flush_interval = "1h"\n'
				..'receipts_resend_attempts = 1\nreceipts_resend_after = "1h"';
		};
		for _, user in ipairs { "controller", "alice", "bob" } do server:prosodyctl("register", user, "localhost", "secret"); end
		alice, bob = server:connect("alice"), server:connect("bob");
	end);
	after_each(function () server:stop(); end);

	local function write() return server:run(STATE.."return tostring(r.store:flush_all())"); end
	local function ask(one, to, id) one:send(stanzas.ask { to = to.."@localhost", id = id }):sync(); end
	local function has_data() return process.output("find "..server.dir.."/data -name 'alice.dat'") ~= nil; end
	local function unregister()
		local text, code = server:prosodyctl("unregister", "alice", "localhost");
		assert.equal(0, code, text);
		assert.is_false(has_data());
	end
	local function go(one)
		one:close();
		servers.wait(function () return server:run(("return tostring(prosody.bare_sessions[%q])"):format(one.bare)) == "nil"; end);
	end
	-- What is pending of alice, and how many messages from or to her may be sent again.
	local function kept()
		return server:run(STATE..[[
			local n = 0;
			for from, theirs in pairs(r.resend.kept) do
				for message in pairs(theirs) do
					if from == "alice@localhost" or message.content.attr.to == "alice@localhost" then n = n + 1; end
				end
			end
			return r.pending:count("alice@localhost").." "..n;
		]]);
	end

	-- What a user is told who chooses by ad-hoc command.
	local function chooses(one)
		local command = st.stanza("iq", { type = "set", to = "localhost" })
			:tag("command", { xmlns = "http://jabber.org/protocol/commands", node = "receipts#preference", action = "execute" });
		local form = one:iq(command):get_child("command", "http://jabber.org/protocol/commands");
		command.tags[1].attr.sessionid, command.tags[1].attr.action = form.attr.sessionid, "complete";
		command:tag("x", { xmlns = "jabber:x:data", type = "submit" });
		for name, value in pairs { FORM_TYPE = "urn:xmpp:receipts#preference", answer = "yes", ask = "no" } do
			command:tag("field", { var = name }):text_tag("value", value):up();
		end
		return tostring(one:iq(command));
	end

	it("F1 has nothing of it written again, whatever the user still does", function ()
		ask(alice, "bob", "before");
		assert.equal("true", write());
		assert.is_true(has_data());
		unregister();
		for i = 1, 2 do
			ask(alice, "bob", "after"..i);
			write();
			assert.equal("0 0", kept());
			assert.is_false(has_data());
		end
		write(); -- what is to be removed
		assert.is_false(has_data());
	end);

	it("F1 D1 takes along what is in memory when the user goes, and a namesake starts clean", function ()
		ask(alice, "bob", "before");
		ask(bob, "alice", "to her");
		write();
		unregister();
		local answer = chooses(alice);
		assert.truthy(answer:find("There is no user alice", 1, true), answer);
		assert.equal("1 2", kept());
		alice:close();
		servers.wait(function () return kept() == "0 0"; end);
		server:prosodyctl("register", "alice", "localhost", "secret");
		local mine = adhoc(server, "alice@localhost", "run", "localhost", "receipts#mine");
		assert.truthy(mine:find("None is waiting", 1, true), mine);
		write();
		assert.equal("", process.output("find "..server.dir.."/data -path '*receipts*/alice.dat'") or "");
	end);

	it("D1 F1 chooses nothing for a namesake, though it was the last account of the host", function ()
		for _, user in ipairs { "controller", "bob" } do server:prosodyctl("unregister", user, "localhost"); end
		assert.truthy(chooses(alice):find("Your choice holds from now on", 1, true));
		unregister();
		local answer = chooses(alice);
		assert.truthy(answer:find("There is no user alice", 1, true), answer);
	end);

	it("F1 takes along what is in memory when a client makes the account anew, however it was deleted", function ()
		ask(alice, "bob", "before");
		ask(bob, "alice", "to her");
		write();
		go(alice);
		unregister();
		assert.equal("1 2", kept());
		server:run([[
			require "core.usermanager".create_user("alice", "secret", "localhost");
			prosody.hosts.localhost.events.fire_event("user-registered", { username = "alice", host = "localhost" });
		]]);
		assert.equal("0 0", kept());
		ask(server:connect("alice"), "bob", "a namesake's");
		assert.equal("true", write());
		assert.is_true(has_data());
		assert.equal("1 1", kept());
	end);

	it("F1 is told from a folder that is gone for a while, as with a mount that is lost: then nothing is forgotten", function ()
		local function sh(command) assert(os.execute("cd "..server.dir.." && "..command)); end
		local function told() return select(2, server:log():gsub("The account alice was deleted", "")); end
		ask(alice, "bob", "before");
		write();
		sh "mv data away && mkdir data";
		ask(alice, "bob", "while it is away");
		write();
		assert.equal("2 2", kept());
		go(alice);
		assert.equal("2 2", kept());
		sh "rm -r data && mv away data";
		assert.equal(0, told());
		alice = server:connect("alice");
		ask(alice, "bob", "after");
		write();
		assert.equal("3 3", kept());
		unregister();
		ask(alice, "bob", "forgotten");
		write();
		assert.equal("0 0", kept());
		assert.equal(1, told());
		ask(bob, "alice", "again");
		write();
		sh "mv data away && mkdir data";
		ask(bob, "alice", "and again");
		write();
		assert.equal("2", server:run(STATE.."return tostring(r.pending:count('bob@localhost'))"));
		sh "rm -r data && mv away data";
	end);

	it("F1 leaves alone the user of an account that is there, or that cannot be looked up", function ()
		ask(alice, "bob", "1");
		assert.equal("true", write());
		assert.is_true(has_data());
		process.write(server.dir.."/data/localhost/accounts/alice.dat", "return {");
		os.remove(server.dir.."/data/localhost/receipts/alice.dat");
		ask(alice, "bob", "2");
		assert.equal("true", write());
		assert.equal("2 2", kept());
		go(alice);
		assert.equal("2 2", kept());
	end);
end);

describe("an account that Prosody itself deletes while its user is online", function ()
	it("F1 is not taken for one that another process has deleted", function ()
		local server = servers.start { options = 'authentication = "internal_plain" receipts_resend_attempts = 1 receipts_resend_after = "1h"' };
		finally(function () server:stop(); end);
		for _, user in ipairs { "controller", "alice" } do server:prosodyctl("register", user, "localhost", "secret"); end
		local alice = server:connect("alice");
		alice:send(stanzas.ask { to = "controller@localhost", id = "1" }):sync();
		server:run("require 'core.usermanager'.delete_user('alice', 'localhost')");
		servers.wait(function () return server:run("return tostring(prosody.bare_sessions['alice@localhost'])") == "nil"; end);
		server:run("return 'and a moment later'");
		assert.falsy(server:log():find("another process", 1, true));
		assert.equal("0", server:run(STATE.."return r.pending:count('alice@localhost')"));
	end);
end);

describe("an account that another process deletes while its user is online, and who then goes,", function ()
	-- Whether something is pending of alice, or may be sent again to her.
	local KEPT = STATE..[[
		return tostring(r.pending:count("alice@localhost") > 0 or (rawget(r.resend, "count") or 0) > 0);
	]];
	for what, case in pairs {
		["F1 takes along what is pending, where nothing is sent again, and passwords are hashed, as by default"] = { "internal_hashed", 0, "alice", "bob" };
		["G1 takes along what would be sent again to a namesake, though nothing is pending"] = { "internal_plain", 1, "bob", "alice" };
	} do
		it(what, function ()
			local authentication, attempts, from, to = table.unpack(case);
			local server = servers.start { options = ("authentication = %q receipts_resend_attempts = %d receipts_resend_after = '1h' "
				.."receipts_flush_interval = '1h'"):format(authentication, attempts) };
			finally(function () server:stop(); end);
			for _, user in ipairs { "controller", "alice", "bob" } do server:prosodyctl("register", user, "localhost", "secret"); end
			local users = { alice = server:connect("alice"), bob = server:connect("bob") };
			users[from]:send(stanzas.ask { to = to.."@localhost", id = "1" }):sync();
			assert.equal(0, (select(2, server:prosodyctl("unregister", "alice", "localhost"))));
			assert.equal("true", server:run(KEPT));
			users.alice:close();
			servers.wait(function () return server:run(KEPT) == "false"; end);
		end);
	end
end);

-- Each storage is killed this often; all of them at once, to save time.
local KILLS = 20;

describe("kill -9 in the middle of traffic", function ()
	local all = {};

	-- Events go to a file line by line: the last lines before a crash are there too. So do the times at which the server began to write
	-- what had changed, once it has written all of that.
	local function log_in(one)
		one.server:run((STATE..[[
			local function open(name)
				local file = io.open(%q..name, "a");
				file:setvbuf("line");
				return file;
			end
			local events, turns = open("/events"), open("/turns");
			module:hook("receipts/delivered", function (event) events:write(event.id, "\n"); end);
			local flush, time_now, began = r.store.flush, require "util.time".now, nil;
			function r.store.flush(...)
				began = began or time_now();
				local result, waited = flush(...);
				if result == "done" then
					turns:write(("%%.6f\n"):format(began));
					began = nil;
				end
				return result, waited;
			end
		]]):format(one.server.dir));
		one.alice, one.bob = one.server:connect("alice"), one.server:connect("bob");
	end

	setup(function ()
		for _, name in ipairs(storages.names) do
			local storage = storages[name]();
			local one = { name = name, storage = storage, sent = {}, got = {}, resent = {}, later = {} };
			one.server = start(storage, "receipts_flush_interval = 1");
			befriend(one.server);
			log_in(one);
			table.insert(all, one);
		end
		math.randomseed(20261122); -- now: ports are random, too
	end);
	teardown(function ()
		for _, one in ipairs(all) do
			one.server:stop();
			one.storage.remove();
		end
	end);

	local function send(one, id)
		one.alice:send(stanzas.ask { to = "bob@localhost", id = id });
	end
	local function ack(one, id)
		one.bob:send(stanzas.ack("alice@localhost", id));
	end
	-- Bob takes in what has come: he acks some of it at once, and the rest after the next crash.
	local function receive(one)
		for _, message in ipairs(one.bob:messages()) do
			local id = message.attr.id;
			one.got[id] = true;
			if tonumber(id:match("%d+$")) % 2 == 0 then ack(one, id); else table.insert(one.later, id); end
		end
	end

	-- A while of traffic. What alice's messages() covers has been handled by the server; what she sent after it she sends again.
	local function traffic(one, round, seconds)
		local until_then = socket.gettime() + seconds;
		local n = 0;
		one.unhandled = {};
		while socket.gettime() < until_then do
			for _ = 1, 3 do
				n = n + 1;
				local id = ("r%d-%d"):format(round, n);
				send(one, id);
				table.insert(one.unhandled, id);
			end
			if math.random() < 0.9 or n < 10 then
				one.alice:messages();
				for _, id in ipairs(one.unhandled) do one.sent[id] = socket.gettime(); end
				one.unhandled = {};
			end
			receive(one);
			coroutine.yield();
		end
	end

	local function together(work)
		local threads = {};
		for i, one in ipairs(all) do threads[i] = coroutine.create(function () work(one); end); end
		repeat
			local alive = false;
			for _, thread in ipairs(threads) do
				if coroutine.status(thread) ~= "dead" then
					assert(coroutine.resume(thread));
					alive = true;
				end
			end
		until not alive;
	end

	it("F1 loses nothing that had waited for 0.4 of receipts_flush_interval when the last writing began, "..KILLS.." times on each storage",
	function ()
		local pending_seen, enough = 0, KILLS * #all * 10;
		for round = 1, 3 * KILLS do
			if round > KILLS and pending_seen > enough then break; end -- a slow machine sees less in a round
			together(function (one) traffic(one, round, 1.3 + math.random() * 0.4); end);
			local waiting = {};
			for _, one in ipairs(all) do
				for _ = 1, math.random(0, 5) do -- in flight
					local id = ("r%d-x%d"):format(round, #one.unhandled + 1001);
					send(one, id);
					table.insert(one.unhandled, id);
				end
				one.server:kill();
				one.written = tonumber(process.read(one.server.dir.."/turns"):match("([%d.]+)\n$")) or 0;
				waiting[one] = {};
				for _, id in ipairs(one.later) do
					if one.sent[id] and one.sent[id] < one.written - 0.4 then table.insert(waiting[one], id); end
				end
			end
			for _, one in ipairs(all) do
				one.server:restart();
				local found, text = pending(one.server);
				for _, id in ipairs(waiting[one]) do
					pending_seen = pending_seen + 1;
					assert(found[id], ("%s: %s, sent %.2f s before the last writing began, is not among: %s"):format(one.name, id,
						one.written - one.sent[id], text));
				end
			end
			together(log_in);
			for _, one in ipairs(all) do
				for _, id in ipairs(one.unhandled) do
					send(one, id);
					one.resent[id] = true; -- asked twice, so it may be delivered twice
				end
				one.alice:sync();
				receive(one);
				for _, id in ipairs(one.later) do ack(one, id); end
				one.bob:sync();
				local came = {};
				for id in acks(one.alice):gmatch("%S+") do came[id] = true; end
				for _, id in ipairs(one.later) do assert(came[id], one.name..": the ack of "..id.." is missing"); end
				local told, events = {}, process.read(one.server.dir.."/events");
				for id in events:gmatch("[^\n]+") do
					assert(not told[id] or one.resent[id], one.name..": "..id.." was delivered twice");
					told[id] = true;
				end
				for _, id in ipairs(waiting[one]) do assert(told[id], one.name..": "..id.." was not delivered"); end
				for id in pairs(one.sent) do assert(one.got[id], one.name..": message "..id.." is lost"); end
				one.later, one.sent = {}, {};
			end
		end
		assert.is_true(pending_seen > enough, pending_seen.." were awaited");
		for _, one in ipairs(all) do assert.is_nil(one.server:log():match("ASYNC%-01[^\n]*"), "the storage cannot let others run then"); end
	end);
end);
