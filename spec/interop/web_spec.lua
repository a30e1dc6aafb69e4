-- SPDX-License-Identifier: MIT
-- Web clients over WebSocket: the library stanza in node, and Converse in a browser, where the mark of a delivered message is looked at.
-- With PICTURES=FOLDER in the environment pictures of that chat go there; docs/converse.png is 13.0-before.png.

local servers = require "spec.support.server";
local paths = require "spec.support.paths";
local process = require "spec.support.process";
local stanzas = require "spec.support.stanzas";
local seen = require "spec.interop.seen";
local socket = require "socket";
local json = require "util.json";

local NODE_MODULES = paths.root.."/.deps/web/node_modules";
local RECEIPTS, NOTHING = { stanzas.xmlns }, { "urn:example:nothing" };
local PATIENCE = 120; -- seconds: a browser on a busy machine takes its time
local OPTIONS = [[
receipts_answer = "opt-out"
consider_websocket_secure = true
http_host = "localhost"
http_default_host = "localhost"
http_cors_override = { websocket = { enabled = true, origins = { "*" } } }
cross_domain_websocket = true
]];

local note = seen.part("Clients", "stanza (a library, in node) and Converse (a page in headless Chromium) come in over `mod_websocket`, with the "
	.."same `receipts_answer`. An old client is one that does not have receipts and uses stream management.");

-- The program that does what the clients do (web.js).
local function start_web()
	local web = { dir = process.temp_dir(), port = process.free_port() };
	web.process = process.start(web.dir, ("env NODE_PATH=%s node %s/spec/interop/web.js %d"):format(NODE_MODULES, paths.root, web.port));
	local function said() return process.read(web.dir.."/output"); end
	process.wait(function () return process.listening(web.port); end, function () return "web.js did not start: "..said(); end);
	web.conn = assert(socket.connect("127.0.0.1", web.port));
	web.conn:settimeout(PATIENCE);
	return setmetatable(web, { __index = function (_, name)
		return function (...)
			assert(web.conn:send(json.encode({ name, ... }).."\n"));
			local line, err = web.conn:receive("*l");
			local answer = assert(line and json.decode(line), name..": "..tostring(err).."\n"..said());
			if answer.error then error(name..": "..answer.error.."\n"..said(), 2); end
			return answer.result;
		end
	end });
end

local function stop_web(web)
	web.conn:close();
	web.process:stop();
	os.execute("rm -rf '"..web.dir.."'");
end

for _, version in ipairs { "0.12", "13.0" } do
	describe("web clients on Prosody "..version, function ()
		local server, web, url, versions, release;

		setup(function ()
			assert(process.output("ls -d "..NODE_MODULES.." 2>/dev/null"), "there is no "..NODE_MODULES..": scripts/deps interop installs it");
			server = servers.start { version = version, modules = { "receipts", "smacks", "websocket" }, options = OPTIONS, http = true };
			url = ("ws://localhost:%d/xmpp-websocket"):format(server.http_port);
			for _, name in ipairs { "bob", "carl", "mallory" } do -- what Mallory forges is not held back for the sake of her presence
				server:roster("alice", name.."@localhost", "both");
				server:roster(name, "alice@localhost", "both");
			end
			web = start_web();
			versions = web.versions();
			release = "Prosody "..server:run("return prosody.version");
		end);
		teardown(function ()
			if web then stop_web(web); end
			if server then server:stop(); end
		end);
		after_each(function () server:disconnect_all(); end);

		local function wait_known(jid, what, settle)
			process.wait(function ()
				if settle then settle(); end
				return server:support_of(jid) == what;
			end, function () return jid.." is "..server:support_of(jid); end);
		end

		-- An old client, or one with receipts.
		local function client(name, features)
			local one = server:connect(name, { managed = true, features = features });
			wait_known(one.jid, features == RECEIPTS and "capable" or "incapable", function () one:sync(); end);
			return one;
		end

		local function message(one)
			return one:expect(function (stanza) return stanza.name == "message" and stanza:get_child("body"); end);
		end

		describe("stanza", function ()
			local open;
			local function row(done, what, limit) note("stanza", versions.stanza, release, done, what, limit); end
			local function login(name, user, how)
				web.login(name, url, user, how);
				table.insert(open, name);
				wait_known(user.."@localhost/"..name, how.advertise == false and "incapable" or "capable");
			end
			local function ask(name, to)
				return web.send(name, { to = to, type = "chat", body = "hello", receipt = { type = "request" } });
			end
			-- Waits until it has been told this; `what` is "receipts" or "messages".
			local function hears(name, what, id)
				return process.wait(function ()
					local heard = web.heard(name)[what];
					for _, one in ipairs(heard) do if one == id then return heard; end end
				end, function () return name.." never heard of "..id; end);
			end
			before_each(function () open = {}; end);
			after_each(function () for _, name in ipairs(open) do web.logout(name); end end);

			it("asks and acks", function ()
				login("ask", "alice", {});
				login("ack", "bob", {});
				local id = ask("ask", "bob@localhost");
				hears("ack", "messages", id);
				assert.same({ id }, hears("ask", "receipts", id));
				row("asks; the other side is stanza too", "The receipt arrived, once");
			end);

			it("with sendReceipts off is not answered for while it says that it has receipts", function ()
				login("ask", "alice", {});
				login("off", "bob", { sendReceipts = false });
				local id = ask("ask", "bob@localhost");
				hears("off", "messages", id);
				web.heard("off"); -- by now it has acked by stream management, too
				assert.same({}, web.heard("ask").receipts);
				row("`sendReceipts: false`, which leaves receipts among what it says that it can do", "No receipt: the server takes its word",
					"stanza with `sendReceipts: false` still says that it can do receipts, so that the server does not answer for it.");
			end);

			it("without receipts is answered for", function ()
				login("ask", "alice", {});
				login("none", "bob", { sendReceipts = false, advertise = false });
				local id = ask("ask", "bob@localhost");
				hears("none", "messages", id);
				assert.same({ id }, hears("ask", "receipts", id));
				row("`sendReceipts: false`, and receipts taken out of what it says that it can do",
					"The receipt arrived, once: the server answered for it, by stream management");
			end);

			it("hears of a message to an old client when that has acked it", function ()
				login("ask", "alice", {});
				local carl = client("carl", NOTHING);
				local id = ask("ask", "carl@localhost");
				assert.equal(id, message(carl).attr.id);
				carl:sync();
				assert.same({}, web.heard("ask").receipts);
				carl:acknowledge();
				assert.same({ id }, hears("ask", "receipts", id));
				row("asks an old client", "No receipt until that client acked by stream management, then one");
			end);

			it("does not hear forged receipts", function ()
				login("ask", "alice", {});
				local carl, mallory = client("carl", NOTHING), client("mallory", RECEIPTS);
				local id = ask("ask", "carl@localhost");
				message(carl);
				mallory:send(stanzas.ack("alice@localhost/ask", id));
				mallory:sync();
				assert.same({}, web.heard("ask").receipts);
				carl:sync();
				carl:acknowledge();
				assert.same({ id }, hears("ask", "receipts", id));
				row("asks; a contact who was not asked sends a receipt with that id", "Nothing of the forged one, then the true one");
			end);

			it("gives nothing away to a stranger", function ()
				login("online", "bob", {});
				local stranger = client("stranger", RECEIPTS);
				stranger:send(stanzas.ask { to = "bob@localhost", id = "probe" });
				stranger:sync();
				hears("online", "messages", "probe");
				for _, stanza in ipairs(stranger:messages()) do assert.is_nil(stanzas.acked(stanza)); end
				row("is asked by a stranger, and acks", "The stranger got nothing");
			end);

			it("shows receipts on both devices", function ()
				login("desk", "alice", {});
				login("phone", "alice", {});
				login("ack", "bob", {});
				local id = ask("desk", "bob@localhost");
				assert.same({ id }, hears("desk", "receipts", id));
				assert.same({ id }, hears("phone", "receipts", id));
				row("asks with two devices online, with carbons", "The receipt arrived on both, once on each");
			end);
		end);

		describe("Converse", function ()
			local function row(done, what) note("Converse", versions["converse.js"], release, done, what); end
			setup(function () web.browse(url, "alice"); end);

			-- Alice writes; `to` gets it.
			local function write(to, text)
				web.write(to.bare, text);
				local stanza = message(to);
				assert.equal(text, stanza:get_child_text("body"));
				assert.is_true(stanzas.asks(stanza));
				to:sync();
				return stanza;
			end

			-- How many acks of this message have come in, and how many marks it has.
			local function shown(stanza)
				local chat = web.chat();
				local function count(list, item)
					local n = 0;
					for _, one in ipairs(list) do if one == item then n = n + 1; end end
					return n;
				end
				return { acks = count(chat.acked, stanza.attr.id), marks = count(chat.marks, stanza:get_child_text("body")) };
			end
			local function unmarked(stanza)
				assert.same({ acks = 0, marks = 0 }, shown(stanza));
			end
			local function marked(stanza)
				web.marked(stanza:get_child_text("body"));
				assert.same({ acks = 1, marks = 1 }, shown(stanza));
			end
			local function picture(name)
				if os.getenv("PICTURES") then web.picture(os.getenv("PICTURES").."/"..version.."-"..name..".png"); end
			end

			it("shows the mark when an old client has acked by stream management", function ()
				local bob = client("bob", NOTHING);
				local first = write(bob, "Are you coming tonight?");
				bob:acknowledge();
				marked(first);
				local second = write(bob, "We start at eight.");
				unmarked(second);
				picture("before");
				bob:acknowledge();
				marked(second);
				picture("after");
				row("A person writes to an old client", "No mark until that client acked by stream management, then the mark");
			end);

			it("shows no mark for a forged receipt", function ()
				local bob, mallory = client("bob", NOTHING), client("mallory", RECEIPTS);
				local stanza = write(bob, "Bring the keys.");
				mallory:send(stanzas.ack(stanza.attr.from, stanza.attr.id));
				mallory:sync();
				unmarked(stanza);
				bob:acknowledge();
				marked(stanza);
				row("A person writes to an old client; a contact who was not asked sends a receipt with that id",
					"No mark, and nothing reached the browser; then the true one, and the mark");
			end);

			it("shows the mark when a client with receipts acks", function ()
				local bob = client("bob", RECEIPTS);
				local stanza = write(bob, "See you there.");
				bob:acknowledge();
				bob:sync();
				unmarked(stanza);
				bob:send(stanzas.ack(stanza.attr.from, stanza.attr.id));
				marked(stanza);
				row("A person writes to a client with receipts", "No mark by stream management alone; the mark when that client sent its receipt");
			end);

			it("acks what it is asked", function ()
				local bob = client("bob", RECEIPTS);
				bob:send(stanzas.ask({ to = "alice@localhost", id = "to-converse" }, "On my way."));
				bob:expect(function (stanza) return stanzas.acked(stanza) == "to-converse"; end);
				for _, stanza in ipairs(bob:messages()) do assert.is_nil(stanzas.acked(stanza)); end
				row("A client with receipts writes to the person", "Converse's receipt arrived, once");
			end);
		end);
	end);
end
