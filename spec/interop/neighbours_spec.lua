-- SPDX-License-Identifier: MIT
-- Modules that people run beside ours: Prosody's own and those of Debian's package prosody-modules, each loaded and unloaded at runtime,
-- before ours and after it, with receipts tried after each of these steps.

local servers = require "spec.support.server";
local paths = require "spec.support.paths";
local process = require "spec.support.process";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";
local seen = require "spec.interop.seen";

local COMMUNITY = paths.root.."/.deps/prosody-modules";
local RECEIPTS, NOTHING = { stanzas.xmlns }, { "urn:example:nothing" };

-- Modules that touch messages, presence or what sessions are sent.
-- inactive: the client whose answers come from us says that nobody looks at it (XEP-0352).
-- lost_with_it: what an exchange without the module cannot have.
local OWN = {
	{ "mam" }, { "carbons" }, { "smacks", lost_with_it = "answers" }, { "csi_simple", inactive = true }, { "blocklist" }, { "offline" },
	{ "pep" }, { "bosh" }, { "websocket" }, { "admin_adhoc" }, { "limits" }, { "motd" }, { "groups" }, { "scansion_record" },
	{ "cloud_notify", only = "13.0" }, { "account_activity", only = "13.0" },
};
local OTHERS = {
	{ "cloud_notify", only = "0.12" }, { "filter_chatstates", inactive = true }, { "throttle_presence", inactive = true },
	{ "csi_battery_saver", inactive = true }, { "block_strangers" }, { "carbons_copies" }, { "stanza_counter" },
	{ "lastlog" }, { "lastlog2" }, { "firewall" }, { "privacy_lists" }, { "reload_modules" }, { "mam_adhoc" },
	{ "broadcast", only = "0.12" }, { "delegation" }, { "privilege" }, { "seclabels" },
	{ "unified_push" }, { "default_bookmarks" }, { "track_muc_joins" }, { "sasl2", only = "13.0" }, { "sasl2_sm", only = "13.0" },
};
local LEFT_OUT = "Not tried: mod_require_otr, which refuses ordinary messages; mod_onions and mod_ipcheck, which need another network or server; "
	.."mod_carbons_adhoc, mod_bob and mod_watch_spam_reports, which do not load, with mod_receipts or without (the last two need what Debian "
	.."does not package); mod_broadcast on Prosody 13.0, where messages to bare JIDs do not arrive with it, with mod_receipts or without.";

local OPTIONS = [[
receipts_answer = "opt-out"
statistics = "internal"
admins = { "admin@localhost" }
block_strangers_hosts = { "localhost" }
broadcast_senders = { "admin@localhost" }
firewall_scripts = { "%s" }
unified_push_secret = "a secret for specs only"
motd_text = "today"
welcome_message = "welcome"
csi_battery_saver_aggressive = false
]];

-- A firewall that looks at each message, and lets it go on.
local FIREWALL = "::preroute\nKIND: message\nLOG=[debug] seen\n\n::deliver\nKIND: message\nLOG=[debug] seen\n";

local USERS = { "alice", "bob", "carl", "dora", "mallory" };

for _, version in ipairs { "0.12", "13.0" } do
	describe("with neighbours, on Prosody "..version..",", function ()
		local server, dir, release, log;
		local serial = 0;

		local function manager(call)
			return server:run("return tostring((require 'core.modulemanager'."..call.."))");
		end
		local function loaded(name) return manager(("is_loaded('localhost', %q)"):format(name)) == "true"; end
		local function load_module(name)
			if loaded(name) then return; end
			local result = server:run(("local ok, err = require 'core.modulemanager'.load('localhost', %q); return ok and 'loaded' or tostring(err)")
				:format(name));
			assert.equal("loaded", result, name);
			assert.is_true(loaded(name), name);
		end
		local function unload_module(name)
			if loaded(name) then assert.equal("true", manager(("unload('localhost', %q)"):format(name))); end
			assert.is_false(loaded(name), name);
		end

		setup(function ()
			assert(process.read(COMMUNITY.."/version") ~= "", "Debian's prosody-modules is not there: run scripts/deps interop");
			dir = process.temp_dir();
			process.write(dir.."/script.pfw", FIREWALL);
			for _, how in ipairs(OTHERS) do -- no more of them, since some would stand in for Prosody's own
				if not how.only or how.only == version then
					assert(os.execute(("ln -s %s/usr/lib/prosody/modules/mod_%s %s/"):format(COMMUNITY, how[1], dir)));
				end
			end
			server = servers.start {
				version = version;
				modules = { "receipts", "smacks", "csi", "http" };
				options = OPTIONS:format(dir.."/script.pfw");
				hosts = servers.rooms;
				http = true;
				plugin_paths = { paths.root, dir };
			};
			log = assert(io.open(server.dir.."/prosody.log"));
			release = server:run("return prosody.version"):match("^[%d.]+");
			for _, user in ipairs(USERS) do
				for _, contact in ipairs(USERS) do
					if user ~= contact then server:roster(user, contact.."@localhost", "both"); end
				end
			end
		end);
		teardown(function ()
			if log then log:close(); end
			if server then server:stop(); end
			if dir then os.execute("rm -rf '"..dir.."'"); end
		end);
		after_each(function () server:disconnect_all(); end);

		-- Their message with these words, or nil.
		local function body(one, text)
			for _, message in ipairs(one:messages()) do
				if message:get_child_text("body") == text then return message; end
			end
		end

		local function acks(one)
			local list = {};
			for _, message in ipairs(one:messages()) do
				local id = stanzas.acked(message);
				if id then table.insert(list, id); end
			end
			return list;
		end

		-- Waits until we know what each of these clients can.
		local function known(one, what)
			process.wait(function ()
				one:sync();
				return server:support_of(one.jid) == what;
			end, function () return one.jid.." is not known to be "..what; end);
			return one;
		end

		local function no_errors(step)
			assert.equal("0", server:run([[local errors = prosody.hosts.localhost.modules.receipts.module.save().reports.counts.errors
				return tostring(math.tointeger(errors.hook + errors.store))]]), step);
			log:seek("cur");
			for line in log:lines() do
				if line:find("receipts", 1, true) then assert.is_nil(line:match("\terror\t.*"), step..": "..line); end
			end
		end

		-- The four things that people have receipts for.
		local function exchange(step, how)
			serial = serial + 1;
			local function id(name) return name..serial; end
			local answers = loaded("smacks");
			local alice, bob = server:connect("alice", { features = RECEIPTS }), server:connect("bob", { features = RECEIPTS });
			local carl = server:connect("carl", { features = NOTHING });
			local dora = server:connect("dora", { features = NOTHING, managed = answers or nil });
			local mallory = server:connect("mallory");
			known(alice, "capable");
			known(bob, "capable");
			known(carl, "incapable");
			known(dora, "incapable");
			if how.inactive then dora:send(st.stanza("inactive", { xmlns = "urn:xmpp:csi:0" })):sync(); end
			for _, one in ipairs { alice, bob, carl, dora, mallory } do one:sync(); end

			alice:send(stanzas.ask({ to = "bob@localhost", id = id "ask" }, id "asked"));
			alice:sync();
			assert.is_true(stanzas.asks(assert(body(bob, id "asked"), step)), step);
			mallory:send(stanzas.ack(alice.jid, id "ask"));
			mallory:sync();
			assert.same({}, acks(alice), step..": a forged ack");
			bob:send(stanzas.ack(alice.jid, id "ask"));
			bob:sync();
			assert.same({ id "ask" }, acks(alice), step..": the ack of who was asked");

			carl:send(stanzas.chat({ to = "bob@localhost", id = id "injected" }, id "plain"));
			carl:sync();
			assert.is_true(stanzas.asks(assert(body(bob, id "plain"), step)), step..": asked for a client that can't");
			bob:send(stanzas.ack(carl.jid, id "injected"));
			bob:sync();
			assert.same({}, acks(carl), step..": the ack to what the server asked");

			alice:send(stanzas.ask({ to = "dora@localhost", id = id "answer" }, id "to dora"));
			alice:sync();
			assert(body(dora, id "to dora"), step);
			assert.same({}, acks(alice), step..": an answer before the proof");
			if answers then
				dora:acknowledge();
				dora:sync();
				assert.same({ id "answer" }, acks(alice), step..": the answer for a client that doesn't");
			end
			no_errors(step);
			server:disconnect_all();
		end

		-- Out and in again, in this order.
		local function beside(name, how)
			local before = loaded(name);
			unload_module(name);
			load_module(name);
			exchange(name.." loaded after ours", how);
			server:reload(); -- its hooks are set anew, behind those of the other
			exchange(name.." loaded before ours", how);
			unload_module(name);
			exchange(name.." unloaded", how);
			if before then load_module(name); end
		end

		local STEPS = "One at a time, in three steps at runtime: loaded after mod_receipts, loaded before it, unloaded. After each step a client "
			.."asks and another acks, somebody forges an ack, the server asks for a client without receipts, and it answers for another once "
			.."stream management has proved that it has the message.";
		local DONE = "the three steps";
		local SAW = "each time: the ack arrives, the forged one is dropped, the server asks and answers%s; no error of ours";
		local function rows(title, text, modules)
			local row = seen.part(title, text);
			for _, how in ipairs(modules) do
				local name = how[1];
				if not how.only or how.only == version then
					it(name, function ()
						beside(name, how);
						row("mod_"..name, "", "Prosody "..release,
							how.inactive and DONE..", while the client that is answered for is inactive (XEP-0352)" or DONE,
							SAW:format(how.lost_with_it and " (no answer once it is unloaded)" or ""), how.lost_with_it
								and "Without mod_"..name.." the server answers for no client (with the default of `receipts_answer_proof`).");
					end);
				end
			end
			return row;
		end

		local own = rows("Prosody's own modules", STEPS.." mod_smacks, mod_carbons, mod_pep and mod_blocklist are on as well.", OWN);
		local others = rows("Other people's modules", ("From Debian's package prosody-modules %s, in the same way. %s")
			:format(process.read(COMMUNITY.."/version"):match("%S*"), LEFT_OUT), OTHERS);

		if version == "13.0" then
			it("sasl2_sm, a resumption while logging in", function ()
				load_module("sasl2_sm");
				local alice = known(server:connect("alice", { features = RECEIPTS }), "capable");
				local dora = known(server:connect("dora", { features = NOTHING, managed = true }), "incapable");
				alice:send(stanzas.ask { to = "dora@localhost", id = "resumed inline" });
				alice:sync();
				dora:sync();
				dora:drop();
				assert.same({}, acks(alice));
				local again, ok = server:resume(dora, dora.handled, true);
				assert.is_true(ok);
				again:sync();
				assert.same({ "resumed inline" }, acks(alice));
				unload_module("sasl2_sm");
				unload_module("sasl2");
				no_errors("a resumption while logging in");
				others("mod_sasl2_sm", "", "Prosody "..release, "a client that is answered for has a message, loses its connection, and resumes its "
					.."stream while it logs in (XEP-0388)", "the resumption proves that it has the message: the server answers");
			end);
		end

		it("muc and muc_mam", function ()
			local function room()
				local alice, bob = server:connect("alice"), server:connect("bob");
				for name, one in pairs { alice = alice, bob = bob } do
					one:send(st.presence({ to = "den@rooms.localhost/"..name }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
					one:sync();
				end
				alice:sync();
				serial = serial + 1;
				local text = "said in the room "..serial;
				alice:send(stanzas.chat({ to = "den@rooms.localhost", id = "room"..serial, type = "groupchat" }, text));
				for _, one in ipairs { alice, bob } do assert.is_false(stanzas.asks(assert(body(one, text), text))); end
				alice:send(stanzas.ask({ to = "den@rooms.localhost/bob", id = "private"..serial }, text.." in private"));
				alice:sync();
				assert.is_true(stanzas.asks(assert(body(bob, text.." in private"))));
				bob:send(stanzas.ack("den@rooms.localhost/alice", "private"..serial));
				bob:sync();
				assert.same({ "private"..serial }, acks(alice));
				server:disconnect_all();
			end
			room();
			assert.equal("true", server:run("return tostring(require 'core.modulemanager'.load('rooms.localhost', 'muc_mam') ~= nil)"));
			room();
			unload_module("receipts");
			load_module("receipts");
			room();
			assert.equal("true", server:run("return tostring(require 'core.modulemanager'.unload('rooms.localhost', 'muc_mam'))"));
			room();
			assert.equal("true", server:run("return tostring(require 'core.hostmanager'.deactivate('rooms.localhost'))"));
			exchange("no rooms", {});
			assert.equal("true", server:run("return tostring(require 'core.hostmanager'.activate('rooms.localhost') == true)"));
			room();
			exchange("rooms again", {});
			own("mod_muc with mod_muc_mam", "", "Prosody "..release,
				"a message in the room, a private message in it with a request; with mod_muc_mam loaded, mod_receipts loaded after it, "
				.."mod_muc_mam unloaded, the component taken away and back",
				"no request in the room; request and ack pass between occupants; other receipts as without rooms");
		end);
	end);
end

-- As in mod_firewall's own documentation, but for its second line.
local LIMIT = [[
%%RATE normal: 1 (burst 2)

::preroute
KIND: message
%sLIMIT: normal on $<@from|bare>
BOUNCE=policy-violation (Sending too fast!)
]];

for _, version in ipairs { "0.12", "13.0" } do
	describe("with a firewall that limits what users send, on Prosody "..version..",", function ()
		-- Three messages that the server answers for dora all at once, and then one of her own. Returns the acks, and whether hers arrived.
		local function exchange(exception)
			local dir = process.temp_dir();
			process.write(dir.."/script.pfw", LIMIT:format(exception));
			assert(os.execute(("ln -s %s/usr/lib/prosody/modules/mod_firewall %s/"):format(COMMUNITY, dir)));
			local server = servers.start {
				version = version, modules = { "receipts", "smacks", "firewall" }, plugin_paths = { paths.root, dir };
				options = OPTIONS:format(dir.."/script.pfw");
			};
			finally(function ()
				server:stop();
				os.execute("rm -rf '"..dir.."'");
			end);
			local senders = { "alice", "bob", "carl" };
			for i, name in ipairs(senders) do
				server:roster("dora", name.."@localhost", "both");
				server:roster(name, "dora@localhost", "both");
				senders[i] = server:connect(name, { features = RECEIPTS });
			end
			local dora = server:connect("dora", { features = NOTHING, managed = true });
			process.wait(function () dora:sync(); return server:support_of(dora.jid) == "incapable"; end);
			for _, one in ipairs(senders) do
				one:send(stanzas.ask { to = "dora@localhost", id = "1" });
				one:sync();
			end
			dora:sync();
			dora:acknowledge();
			dora:send(stanzas.chat({ to = "alice@localhost", id = "own" }, "hers"));
			dora:sync();
			local acks, arrived = 0, false;
			for _, one in ipairs(senders) do
				for _, message in ipairs(one:messages()) do
					if stanzas.acked(message) then acks = acks + 1; end
					arrived = arrived or message:get_child_text("body") == "hers";
				end
			end
			return { acks, arrived };
		end

		it("answers count as the user's own, unless the rule leaves acks out", function ()
			assert.same({ 2, false }, exchange(""));
			assert.same({ 3, true }, exchange("NOT INSPECT: {urn:xmpp:receipts}received\n"));
		end);
	end);
end
