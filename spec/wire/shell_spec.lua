-- SPDX-License-Identifier: MIT
-- Rule F4 on the wire: `prosodyctl shell receipts …` as an operator types it.

local docs = require "spec.support.docs";
local paths = require "spec.support.paths";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

describe("the shell", function ()
	local operators = docs.read("docs/operators.md");
	local server, alice, bob, mallory;
	setup(function ()
		server = servers.start {
			modules = { "receipts", "admin_shell" };
			hosts = 'modules_enabled = { "receipts" }\nVirtualHost "other.localhost"\nVirtualHost "plain.localhost"\n\tmodules_disabled = { "receipts" }';
			options = 'receipts_overdue_after = "1h"\nreceipts_request = "always"\nreceipts_max_pending_per_user = 4';
		};
		alice, bob, mallory = server:connect("alice"), server:connect("bob", { features = { "urn:xmpp:receipts" } }), server:connect("mallory");
		for _, name in ipairs { "bob", "mallory" } do server:roster(name, "alice@localhost", "both"); end
		for _, id in ipairs { "first", "second", "third" } do alice:send(stanzas.ask { to = "bob@localhost/bob", id = id }); end
		alice:sync();
		mallory:send(stanzas.ack("alice@localhost/alice", "first"));
		mallory:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "first"));
		bob:sync();
	end);
	teardown(function () server:stop(); end);

	-- What `prosodyctl shell receipts …` prints, and whether it says that all is well.
	local function shell(...)
		local text, code = server:prosodyctl("shell", "receipts", ...);
		return text, code == 0;
	end

	-- The cells of the line that begins with this label.
	local function line(text, label)
		for found in text:gmatch("[^\n]+") do
			if found:match("^%s*(.-)%s*|") == label then
				local cells = {};
				for cell in found:gmatch("|%s*([^|]-)%s*%f[|%z]") do table.insert(cells, cell); end
				return cells;
			end
		end
		error(("no line %q in:\n%s"):format(label, text));
	end

	local function says(text, wanted)
		assert(text:find(wanted, 1, true), ("%q is not in:\n%s"):format(wanted, text));
	end

	it("F4 stats counts what happened on a host", function ()
		local text, ok = shell("stats", "localhost");
		assert.is_true(ok, text);
		assert.same({ "3" }, line(text, "Asked for by clients"));
		assert.same({ "1" }, line(text, "Delivered"));
		assert.same({ "1" }, line(text, "Forged acks"));
		assert.same({ "1" }, line(text, "Removed: forged"));
		assert.same({ "2" }, line(text, "Pending now, in memory"));
		assert.truthy(line(text, "half of them")[1]:match("^within [%d.]+ s$"));
	end);

	it("F4 stats without a host has all of them, and the total, in columns of one width", function ()
		local text, ok = shell("stats");
		assert.is_true(ok, text);
		assert.same({ "localhost", "other.localhost", "all" }, line(text, ""));
		assert.same({ "1", "0", "1" }, line(text, "Delivered"));
		local width;
		for found in text:match("\n( +|.*)$"):gmatch("[^\n]+") do
			if found:find("|", 1, true) then
				assert.equal(width or #found, #found, text);
				width = #found;
			end
		end
	end);

	it("F4 stats without a host has the total alone where there are more than eight, and says how to see one", function ()
		local hosts = {};
		for i = 1, 7 do hosts[i] = ('VirtualHost "h%d.localhost"'):format(i); end
		local many = servers.start { modules = { "receipts", "admin_shell" }, hosts = table.concat(hosts, "\n") };
		finally(function () many:stop(); end);
		local asking = many:connect("alice");
		asking:send(stanzas.ask { to = "bob@localhost", id = "1" }):sync();
		many:connect("mallory"):send(stanzas.ack("alice@localhost/alice", "1")):sync(); -- who may not see her
		local text = many:prosodyctl("shell", "receipts", "stats");
		assert.equal(9, #line(text, ""), text);
		assert.truthy(text:find("Removed: hidden.*Errors caught"), "where it stands of one host, though the first has no such line:\n"..text);
		many:run("require 'core.hostmanager'.activate('h8.localhost')");
		text = many:prosodyctl("shell", "receipts", "stats");
		assert.same({ { "all" }, { "1" } }, { line(text, ""), line(text, "Asked for by clients") });
		says(text, "OK: Counted since the module was loaded, on all 9 hosts; for one of them: prosodyctl shell receipts stats h1.localhost");
		assert.same({ "h1.localhost" }, line(many:prosodyctl("shell", "receipts", "stats", "h1.localhost"), ""));
	end);

	it("F4 pending lists a user's messages without receipt", function ()
		local text, ok = shell("pending", "alice@localhost");
		assert.is_true(ok, text);
		says(text, "2 messages");
		local cells = line(text, "bob@localhost");
		assert.equal("second", cells[1]);
		assert.truthy(cells[2]:match("^[%d.]+ s$"));
		assert.equal("pending", cells[3]);
		assert.equal("the client", cells[4]);
		says(shell("pending", "bob@localhost"), "0 messages");
	end);

	it("F4 pending: the latest thousand", function ()
		server:run("local r = prosody.hosts.localhost.modules.receipts.module.save(); r.pending:limit { per_user = 2000 }; "
			.."for i = 1, 1001 do r.pending:add('many@localhost', 'bob@localhost', 'm'..i..'m', os.time()); end");
		local text = shell("pending", "many@localhost");
		server:run("local r = prosody.hosts.localhost.modules.receipts.module.save(); r.pending:forget('many@localhost'); "
			.."r.pending:limit { per_user = 4 }");
		says(text, "1001 messages, of which these are the latest 1000");
		says(text, "m1001m");
		assert.is_nil(text:find("m1m", 1, true));
	end);

	it("F4 why tells which rules decided about a message", function ()
		local text, ok = shell("why", "alice@localhost", "first");
		assert.is_true(ok, text);
		says(text, "asked for by the client");
		says(text, "E1 forged; E2 receipts_forged is \"drop\"");
		says(text, "E1 delivered");
		assert.is_nil(text:find("second", 1, true), text);
		says(server:log(), "Message first from mallory@localhost/mallory to alice@localhost/alice: E1 forged"); -- for who does not know whom to ask about
		says(shell("why", "alice@localhost"), "second");
		says(shell("why", "alice@localhost", "second"), "asked for by the client, and awaited; D1 the server does not answer for this user");
		text, ok = shell("why", "alice@localhost", "no-such-message");
		assert.is_false(ok);
		says(text, "Nothing is remembered about message no-such-message of alice@localhost");
		text, ok = shell("why", "bob@localhost", "second"); -- it did ask, and is remembered with alice
		assert.is_false(ok);
		says(text, "of bob@localhost. If it was sent to them, ask about its sender: an ordinary request is remembered with who sent it, "
			.."and not at all when it comes from elsewhere. Else it asked for nothing, went to a group chat, or too much has happened since");
	end);

	it("F4 E3 why tells of a request that was taken out of a message without id, too", function ()
		local gregory = server:connect("gregory");
		gregory:send(stanzas.ask { to = "bob@localhost" });
		gregory:sync();
		local text, ok = shell("why", "gregory@localhost");
		assert.is_true(ok, text);
		assert.same({ "-", "gregory@localhost/gregory", "bob@localhost", "E3 request-without-id" },
			{ text:match("s | (%S+) +| (%S+) +| (%S+) +| ([^\n]*)") });
	end);

	it("F4 why takes an id that is typed as a number", function ()
		alice:send(stanzas.ask { to = "bob@localhost/bob", id = "1" });
		alice:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "1"));
		bob:sync();
		says(server:prosodyctl("shell", 'receipts:why("alice@localhost", 1)'), "OK: 1 decision\n"); -- as at the shell's own prompt
	end);

	it("F4 why says that an ordinary request from elsewhere is not remembered", function ()
		local carol = server:connect("carol@plain.localhost/carol");
		carol:send(stanzas.ask { to = "bob@localhost/bob", id = "afar" });
		carol:sync();
		local text, ok = shell("why", "bob@localhost", "afar");
		assert.is_false(ok);
		says(text, "Nothing is remembered about message afar of bob@localhost.");
		says(text, "and not at all when it comes from elsewhere");
	end);

	it("F4 why says that nothing is remembered of group chat, though it asks", function ()
		local flora = server:connect("flora");
		flora:send(stanzas.ask { to = "room@rooms.localhost", type = "groupchat", id = "all" });
		flora:sync();
		says(shell("why", "flora@localhost", "all"), "Else it asked for nothing, went to a group chat, or too much has happened since");
	end);

	it("F4 why tells what has become of messages to other hosts", function ()
		server:connect("carol@other.localhost/carol");
		for id, to in pairs { bounced = "nobody@elsewhere.example", awaited = "carol@other.localhost" } do
			mallory:send(stanzas.ask { to = to, id = id });
			mallory:sync();
		end
		says(shell("why", "mallory@localhost", "bounced"), "asked for by the client; E6 bounced");
		says(shell("why", "mallory@localhost", "awaited"), "asked for by the client, and awaited\n");
	end);

	it("F4 why tells that the recipient has blocked the sender, of which Prosody says nothing to the client", function ()
		local dave = server:connect("dave");
		bob:iq(st.stanza("iq", { type = "set" }):tag("block", { xmlns = "urn:xmpp:blocking" }):tag("item", { jid = "dave@localhost" }));
		dave:send(stanzas.ask { to = "bob@localhost/bob", id = "blocked" });
		assert.same({}, dave:messages());
		says(shell("why", "dave@localhost", "blocked"), "asked for by the client, and awaited; D3 this user has blocked the requester\n");
		bob:iq(st.stanza("iq", { type = "set" }):tag("unblock", { xmlns = "urn:xmpp:blocking" }));
		says(shell("why", "dave@localhost", "blocked"), "and awaited; D1 the server does not answer for this user\n");
	end);

	it("F4 why and stats tell at once what has made room", function ()
		local flood = server:connect("flood");
		for i = 1, 6 do flood:send(stanzas.ask { to = "bob@localhost", id = "f"..i }); end
		flood:sync();
		says(shell("why", "flood@localhost", "f2"), "F2 forgotten: more was awaited than receipts_max_pending");
		says(shell("why", "flood@localhost", "f3"), "asked for by the client, and awaited");
		flood:send(stanzas.ask { to = "bob@localhost", id = "f7" });
		flood:sync();
		assert.equal("3", line(shell("stats", "localhost"), "Evicted: over a limit")[1]);
	end);

	it("F4 caps tells what is known of a person's clients", function ()
		servers.wait(function () return shell("caps", "bob@localhost"):find("| capable", 1, true); end);
		local text, ok = shell("caps", "bob@localhost/bob");
		assert.is_true(ok, text);
		assert.same({ "capable", bob.ver }, { table.unpack(line(text, "bob@localhost/bob"), 1, 2) });
		text, ok = shell("caps", "nobody@elsewhere.example");
		assert.is_false(ok);
		says(text, "No client of nobody@elsewhere.example is known to be online");
	end);

	it("F4 an id, or a client's ver, that would steer the terminal is shown as text", function ()
		local eve = server:connect("eve");
		local function send(stanza) eve:send((tostring(stanza):gsub("\n", "&#10;"))); end
		send(stanzas.ask { to = "alice@localhost", id = "x\nOK: 0 messages\n\u{9b}2J" });
		send(stanzas.ack("alice@localhost", "y\nOK: 0 decisions\n\u{202e}"));
		send(st.presence():tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "n", ver = "\u{9b}2J\nOK" }));
		eve:sync();
		says(shell("pending", "eve@localhost"), "| x\\nOK: 0 messages\\n\\u{9b}2J |");
		says(shell("why", "alice@localhost"), "| y\\nOK: 0 decisions\\n\\u{202e} |");
		says(shell("caps", "eve@localhost"), "| \\u{9b}2J\\nOK");
		eve:close();
	end);

	it("F4 expire drops what is over its time, forget what is pending of a user", function ()
		local text, ok = shell("expire", "localhost");
		assert.is_true(ok, text);
		says(text, "0 messages expired at once");
		alice:send(stanzas.ask { to = "bob@localhost/bob", id = "fourth" });
		alice:sync();
		text, ok = shell("forget", "alice@localhost");
		assert.is_true(ok, text);
		says(text, "3 messages forgotten");
		says(shell("pending", "alice@localhost"), "0 messages");
		assert.is_false(select(2, shell("why", "alice@localhost", "fourth")));
		says(shell("stats", "localhost"), "Delivered");
	end);

	it("F1 F4 forget clears what is stored of a user and cannot be read", function ()
		local path = server.dir.."/data/localhost/receipts/dora.dat";
		assert(os.execute("mkdir -p "..server.dir.."/data/localhost/receipts"));
		process.write(path, "return { no Lua");
		local dora = server:connect("dora");
		dora:send(stanzas.ask { to = "bob@localhost", id = "1" });
		dora:sync();
		local text, ok = shell("pending", "dora@localhost");
		assert.is_false(ok);
		says(text, "What is stored of dora@localhost cannot be read now: see the log");
		assert.truthy(server:log():find("datamanager\terror\t[^\n]*receipts/dora%.dat[^\n]*\n[^\n]*What is pending of dora cannot be read"), server:log());
		text, ok = shell("why", "dora@localhost", "2");
		assert.is_false(ok);
		says(text, "What is stored of dora@localhost cannot be read now: see the log");
		text, ok = shell("forget", "dora@localhost");
		assert.is_true(ok, text);
		says(text, "1 message forgotten, and what was stored, which has not been read");
		assert.is_nil(io.open(path));
		says(shell("pending", "dora@localhost"), "0 messages");
	end);

	it("F4 version says that what runs is installed, where it is", function ()
		local text, ok = shell("version");
		assert.is_true(ok, text);
		says(text, "OK: "..require "receipts".version.." runs, and is installed\n");
	end);

	it("F4 a host, as a user, may be typed in capitals", function ()
		for _, words in ipairs { { "stats", "LocalHost" }, { "expire", "LocalHost" }, { "pending", "Alice@LocalHost" } } do
			local text, ok = shell(table.unpack(words));
			assert.is_true(ok, text);
		end
	end);

	it("F4 a wrong host or user is a clear error", function ()
		for _, case in ipairs {
			{ { "stats", "nowhere.example" }, "There is no host nowhere.example" };
			{ { "stats", "plain.localhost" }, "mod_receipts is not on plain.localhost (it is on: localhost, other.localhost)" };
			{ { "stats", "alice@localhost" }, "There is no host alice@localhost" };
			{ { "stats", "@" }, "There is no host @" };
			{ { "expire" }, "Say which host, like localhost" };
			{ { "pending" }, "Say which user" };
			{ { "pending", "alice" }, "Say which user, like romeo@localhost" };
			{ { "pending", "localhost" }, "Say which user, like romeo@localhost" };
			{ { "why", "alice@nowhere.example", "1" }, "There is no host nowhere.example" };
			{ { "forget", "@" }, "Say which user" };
			{ { "caps" }, "Say of whom" };
		} do
			local text, ok = shell(table.unpack(case[1]));
			assert.is_false(ok, text);
			says(text, case[2]);
		end
	end);

	local function modules(what, host, name)
		server:run(("require 'core.modulemanager'.%s(%q, %q)"):format(what, host, name));
	end

	it("F4 what Prosody says of a command that is not there, docs/operators.md explains", function ()
		local unknown = server.version == "0.12" and "attempt to call a nil value (method " or "Command not found or necessary module not loaded";
		says(shell("explain"), unknown);
		says(operators, "`"..unknown);
	end);

	it("F4 A3 the commands are there while a host has the module, and survive a reload of the shell", function ()
		server:reload();
		says(shell("stats"), "other.localhost");
		modules("reload", "*", "admin_shell");
		says(shell("stats"), "other.localhost");
		modules("unload", "localhost", "receipts");
		local text = shell("stats");
		says(text, "other.localhost");
		assert.is_nil(text:find(" localhost", 1, true), text);
		modules("unload", "other.localhost", "receipts");
		assert.equal("nil", server:run("return module:shared('/*/admin_shell/env').receipts"));
		text = shell("stats");
		assert.is_nil(text:find("Delivered", 1, true), text);
		local missing = server.version == "0.12" and "attempt to index a nil value (global 'receipts')"
			or "Command not found. Is the necessary module loaded?";
		says(text, missing);
		says(operators, "`"..missing.."`");
		modules("load", "localhost", "receipts");
		says(shell("stats", "localhost"), "Delivered");
	end);

	it("F4 a shell that was open before the module came is told to be opened anew", function ()
		for _, command in ipairs { "stats", "why" } do -- such a shell has Prosody's table of commands, and not one of its own
			local told = server:run(("return select(2, module:shared('/*/admin_shell/env').receipts:%s('alice@localhost'))"):format(command));
			assert.equal("This shell was open before mod_receipts was loaded: leave it, and open it anew", told);
		end
	end);

	it("F4 the shell may come later than the module", function ()
		modules("unload", "localhost", "receipts");
		modules("unload", "*", "admin_shell");
		server:run("local env = module:shared('/*/admin_shell/env'); for name in pairs(env) do env[name] = nil; end");
		modules("load", "localhost", "receipts");
		modules("load", "*", "admin_shell");
		says(shell("stats", "localhost"), "Delivered");
		if server.version == "13.0" then
			assert.equal("stats", server:run("local meta = getmetatable(module:shared('/*/admin_shell/env').receipts);"
				.."return meta.help.commands.stats and 'stats'"), "and it is in the help");
		end
	end);

	it("F5 lint reads what the shell of Prosody 13.0 shows of a client's stream, as docs/lint.md says", function ()
		if server.version == "0.12" then return says((server:prosodyctl("shell", "watch", "stanzas", "alice@localhost")), "(global 'watch')"); end
		local dir = process.temp_dir();
		local watch = process.start(dir, ("env LUA_CPATH='%s;;' lua5.4 %s/usr/bin/prosodyctl --config %s shell watch stanzas alice@localhost")
			:format(server.cpath, paths.prosody[server.version], server.config));
		finally(function ()
			watch:stop();
			os.execute("rm -r "..dir);
		end);
		local function shows(text)
			process.wait(function ()
				alice:sync();
				return process.read(dir.."/output"):find(text, 1, true);
			end);
		end
		shows("<!-- received from ");
		alice:send(stanzas.ask { to = "bob@localhost/bob", id = "watched" });
		alice:sync();
		bob:send(stanzas.ack("alice@localhost/alice", "watched"));
		bob:sync();
		shows("<received ");
		process.write(dir.."/capture.xml", process.read(dir.."/output"):match("<.*>"));
		local text, code = server:prosodyctl("mod_receipts", "lint", dir.."/capture.xml");
		says(text, "\nmessages    2\nviolations  0\nasked       1\ndelivered   1\n");
		assert.equal(0, code);
	end);
end);
