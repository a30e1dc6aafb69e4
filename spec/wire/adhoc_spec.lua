-- SPDX-License-Identifier: MIT
-- Rules D1 and F4 on the wire: users and administrators find the commands and understand them. The client is not of our making.

local servers = require "spec.support.server";
local adhoc = require "spec.support.adhoc";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local XMLNS = "http://jabber.org/protocol/commands";
local STATE = "local r = prosody.hosts.localhost.modules.receipts.module.save(); ";

describe("ad-hoc commands", function ()
	local server;
	setup(function ()
		server = servers.start {
			modules = { "receipts", "adhoc" }, options = 'admins = { "admin@localhost" }';
			hosts = 'VirtualHost "never-answers.localhost"\n\treceipts_answer = "never"\n'
				..'VirtualHost "never-asks.localhost"\n\treceipts_answer = "opt-out"\n\treceipts_request = "never"\n'
				..'VirtualHost "never.localhost"\n\treceipts_answer = "never"\n\treceipts_request = "never"\n'
				..'VirtualHost "guests.localhost"\n\tauthentication = "anonymous"\n';
		};
	end);
	teardown(function () server:stop(); end);

	local function preference(user, ...)
		return adhoc(server, user.."@localhost", "run", "localhost", "receipts#preference", ...);
	end

	local function says(text, wanted)
		assert(text:find(wanted, 1, true), ("%q is not in:\n%s"):format(wanted, text));
	end

	it("D1 the server's list of commands has it", function ()
		local text, ok = adhoc(server, "alice@localhost", "list", "localhost");
		assert.is_true(ok, text);
		says(text, "receipts#preference: Delivery receipts");
	end);

	it("D1 the form says what it is about, and what holds now", function ()
		local text, ok = preference("alice");
		assert.is_true(ok, text);
		says(text, "# Delivery receipts\nWhat the server does for you");
		says(text, "have reached me: As the server does by default: no [answer: default|yes|no, required]\n");
		says(text, "for the messages I send: As the server does by default: yes [ask: default|yes|no, required]\n");
	end);

	it("D1 the form leaves out what a choice would change nothing about, and keeps the choice", function ()
		local function on(host, ...)
			return adhoc(server, "alice@"..host..".localhost", "run", host..".localhost", "receipts#preference", ...);
		end
		local function choices(host)
			return server:run(("local store = require 'core.storagemanager'.open('%s.localhost', 'receipts_preferences');"
				.."local wanted = store:get('alice'); return wanted.answer..' '..wanted.ask"):format(host));
		end
		local text = on("never-answers");
		says(text, "[ask: ");
		assert.is_nil(text:find("[answer: ", 1, true), text);
		text = on("never-asks");
		says(text, "As the server does by default: yes [answer: "); -- there it is "opt-out"
		assert.is_nil(text:find("[ask: ", 1, true), text);
		server:run("prosody.hosts['never-asks.localhost'].modules.receipts.module.save().preferences:set('alice', { answer = 'yes', ask = 'no' })");
		text = on("never-asks", "answer=no");
		says(text, "Your choice holds from now on.");
		assert.equal("no no", choices("never-asks"), "of what is not asked, too");
		local ok;
		text, ok = on("never");
		assert.is_true(ok, text);
		says(text, "There is nothing to choose: this server neither answers nor asks for receipts on behalf of its users.");
	end);

	it("D1 a choice is kept, for that user alone, and the other question keeps its answer", function ()
		local text, ok = preference("bob", "answer=yes");
		assert.is_true(ok, text);
		says(text, "info: Your choice holds from now on.\n");
		preference("bob", "ask=no");
		text = preference("bob");
		says(text, "have reached me: Yes [");
		says(text, "for the messages I send: No [");
		says(preference("carol"), "have reached me: As the server does by default: no [");
	end);

	it("D1 a choice that the storage says it keeps, and does not, is not said to hold: as of anonymous users", function ()
		local text, ok = adhoc(server, "guests.localhost", "run", "guests.localhost", "receipts#preference", "answer=yes");
		assert.is_false(ok, text);
		says(text, "It could not be stored: the storage has not kept it");
		assert.is_nil(text:find("holds from now on", 1, true), text);
		text, ok = adhoc(server, "guests.localhost", "run", "guests.localhost", "receipts#preference", "answer=default");
		assert.is_true(ok, text);
	end);

	it("D1 what is no choice is refused in plain words, and nothing changes", function ()
		preference("dave", "answer=no");
		local text, ok = preference("dave", "answer=maybe");
		assert.is_false(ok, text);
		says(text, 'error: Choose "yes", "no" or "default" for "answer".\n');
		says(preference("dave"), "have reached me: No [");
	end);

	it("D1 F4 who goes on without the form gets it again, and may cancel", function ()
		for user, node in pairs { alice = "receipts#preference", admin = "receipts#pending" } do
			local client = server:connect(user);
			local function answer(action)
				local iq = client:iq(st.iq { type = "set", to = "localhost", id = "" }
					:tag("command", { xmlns = XMLNS, node = node, sessionid = user, action = action }));
				local command = iq:get_child("command", XMLNS);
				return command.attr.status, command:get_child("x", "jabber:x:data") ~= nil;
			end
			for _, action in ipairs { "execute", "complete", "next" } do assert.same({ "executing", true }, { answer(action) }); end
			assert.same({ "canceled", false }, { answer("cancel") });
		end
		server:disconnect_all();
	end);

	it("D1 that a choice cannot be read is told in plain words", function ()
		server:run(STATE.."r.preferences:forget('erin'); prosody.spec_get = r.preferences.store.get; "
			.."r.preferences.store.get = function () return nil, 'no disk'; end");
		local text, ok = preference("erin");
		server:run(STATE.."r.preferences.store.get = prosody.spec_get");
		assert.is_false(ok);
		says(text, "Your choice could not be read: no disk");
	end);

	it("F4 users see their undelivered messages, and nobody else's", function ()
		local text, ok = adhoc(server, "alice@localhost", "run", "localhost", "receipts#mine");
		assert.is_true(ok, text);
		says(text, "None is waiting for a receipt now."); -- whether all have got one is more than is known
		local alice, bob = server:connect("alice"), server:connect("bob");
		server:roster("bob", "alice@localhost", "both");
		for _, id in ipairs { "one", "two" } do alice:send(stanzas.ask { to = "bob@localhost", id = id }); end
		alice:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "one"));
		bob:sync();
		text = adhoc(server, "alice@localhost", "run", "localhost", "receipts#mine");
		says(text, "# My undelivered messages");
		assert.truthy(text:find("To bob@localhost: pending, sent [%d.]+ s ago %(message two%)"), text);
		assert.is_nil(text:find("message one", 1, true), text);
		says(adhoc(server, "bob@localhost", "run", "localhost", "receipts#mine"), "None");
	end);

	it("F4 administrators see statistics, and what is pending of a user", function ()
		local text, ok = adhoc(server, "admin@localhost", "run", "localhost", "receipts#statistics");
		assert.is_true(ok, text);
		says(text, "# Delivery receipts on localhost");
		says(text, "Asked for by clients: 2\n");
		says(text, "Delivered: 1\n");
		text, ok = adhoc(server, "admin@localhost", "run", "localhost", "receipts#pending", "user=alice@localhost");
		assert.is_true(ok, text);
		says(text, "# Undelivered messages of alice@localhost");
		says(text, "(message two)");
		text, ok = adhoc(server, "admin@localhost", "run", "localhost", "receipts#pending", "user=alice@elsewhere.example");
		assert.is_false(ok, text);
		says(text, "error: alice@elsewhere.example is not a user of localhost");
	end);

	it("F4 an id with a line break in it makes no line of its own", function ()
		local bob = server:connect("bob");
		bob:send((tostring(stanzas.ask { to = "alice@localhost", id = "x&#10;y" }):gsub("&amp;", "&")));
		bob:sync();
		says(adhoc(server, "bob@localhost", "run", "localhost", "receipts#mine"), "(message x\\ny)\n");
	end);

	it("F4 of very many messages, and of long ids and addresses, what is shown is bounded", function ()
		server:run(STATE..[[
			r.pending:forget("bob@localhost");
			for i = 1, 150 do
				r.pending:add("bob@localhost", ("\u{9b}"):rep(500)..i.."@localhost", ("\u{9b}"):rep(250)..i, os.time());
			end
			r.pending:add("bob@localhost", "alice@localhost", "the last", os.time());
		]]);
		local text = adhoc(server, "bob@localhost", "run", "localhost", "receipts#mine");
		server:run(STATE.."r.pending:forget('bob@localhost')");
		says(text, "The latest 100 of 151:");
		says(text, "(message the last)");
		local lines = select(2, text:gsub("To ", ""));
		assert.equal(100, lines);
		assert.is_true(#text < 100000, #text);
		says(text, ("\\u{9b}"):rep(50).."…");
	end);

	it("F4 others are refused what is for administrators", function ()
		for _, node in ipairs { "receipts#statistics", "receipts#pending" } do
			local text, ok = adhoc(server, "alice@localhost", "run", "localhost", node);
			assert.is_false(ok, text);
			says(text, "forbidden");
			assert.is_nil(text:find("Delivered", 1, true), text);
		end
		local text = adhoc(server, "alice@localhost", "list", "localhost");
		says(text, "receipts#mine");
		assert.is_nil(text:find("receipts#statistics", 1, true), text);
		says(adhoc(server, "admin@localhost", "list", "localhost"), "receipts#statistics");
	end);

	it("A3 the command goes with the module", function ()
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		local text, ok = preference("alice");
		assert.is_false(ok);
		says(text, "error: service-unavailable");
		server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
		assert.is_true(select(2, preference("alice")));
	end);
end);

describe("without mod_adhoc", function ()
	local function start(...)
		local server = servers.start { disabled = { ... }, modules = { "receipts", "admin_shell" } };
		finally(function () server:stop(); end);
		return server;
	end
	local function manage(server, action, name)
		assert.equal("true", server:run(("return require 'core.modulemanager'.%s('localhost', %q) and true"):format(action, name)));
	end
	local function offers_commands(server)
		local text, ok = adhoc(server, "alice@localhost", "run", "localhost", "receipts#mine");
		assert.is_true(ok or text:find("service-unavailable", 1, true) ~= nil, text);
		return ok;
	end
	local function works(server)
		local alice, mallory = server:connect("alice"), server:connect("mallory");
		for _, name in ipairs { "bob", "mallory" } do server:roster(name, "alice@localhost", "both"); end
		alice:send(stanzas.ask { to = "bob@localhost", id = "1" });
		alice:messages(); -- it bounces: bob is not there
		mallory:send(stanzas.ack("alice@localhost/alice", "1"));
		mallory:sync();
		assert.same({}, alice:messages());
		local text, code = server:prosodyctl("shell", "receipts", "pending", "alice@localhost");
		assert.equal(0, code, text);
		assert.truthy(text:find("1 message", 1, true), text);
		server:disconnect_all();
	end

	it("F4 it is loaded with the module, and may go and come while that stays", function ()
		local server = start();
		assert.is_true(offers_commands(server));
		manage(server, "unload", "adhoc");
		assert.is_false(offers_commands(server));
		works(server);
		manage(server, "load", "adhoc");
		assert.is_true(offers_commands(server));
		manage(server, "reload", "adhoc");
		assert.is_true(offers_commands(server));
	end);

	it("F4 which is disabled, there are no commands, and all else works", function ()
		local server = start("adhoc");
		works(server);
		server:reload();
		works(server);
		assert.is_false(offers_commands(server));
		assert.falsy(server:log():find("receipts\terror", 1, true) or server:log():find("receipts\twarn", 1, true));
		manage(server, "load", "adhoc"); -- whoever wants it after all
		assert.is_true(offers_commands(server));
	end);

	it("F4 which cannot be loaded, that is logged, and all else works", function ()
		local server = start();
		for _, name in ipairs { "receipts", "adhoc" } do manage(server, "unload", name); end
		server:run([[
			local loader = require "core.modulemanager".loader;
			local load_code = loader.load_code;
			function loader:load_code(name, ...)
				if name == "adhoc" then return nil, "it is broken"; end
				return load_code(self, name, ...);
			end]]);
		manage(server, "load", "receipts");
		assert.truthy(server:log():find("Unable to load module 'adhoc': it is broken", 1, true));
		works(server);
	end);
end);
