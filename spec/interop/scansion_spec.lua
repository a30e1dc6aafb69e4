-- SPDX-License-Identifier: MIT
-- Prosody's own tests of itself, played on servers with our module (all defaults) and without it: whatever clients get is the same,
-- stanza by stanza. The scripts are not ours: `scripts/deps interop` takes them from Debian's source package, and the environment's
-- SCANSION_SCRIPTS names another folder of them.

local servers = require "spec.support.server";
local paths = require "spec.support.paths";
local process = require "spec.support.process";
local stanzas = require "spec.support.stanzas";
local scansion = require "spec.interop.scansion";
local st = require "util.stanza";
local seen = require "spec.interop.seen";

local FOLDER = os.getenv("SCANSION_SCRIPTS") or paths.root.."/.deps/scansion";

-- As prosody.cfg.lua beside the scripts has it.
local MODULES = {
	"private", "vcard4", "vcard_legacy", "version", "uptime", "time", "register", "mam", "server_contact_info", "lastactivity",
	"external_services", "tombstones", "user_account_management", "offline",
	"adhoc", -- which ours brings along
};
local OPTIONS = [[
admins = { "admin@localhost" }
storage = "memory"
mam_smart_enable = true
bounce_blocked_messages = true
allow_registration = false
contact_info = {
	abuse = { "mailto:abuse@localhost", "xmpp:abuse@localhost" };
	admin = { "mailto:admin@localhost", "xmpp:admin@localhost" };
	feedback = { "http://localhost/feedback.html", "mailto:feedback@localhost", "xmpp:feedback@localhost" };
	sales = { "xmpp:sales@localhost" };
	security = { "xmpp:security@localhost" };
	status = { "gopher://status.localhost" };
	support = { "https://localhost/support.html", "xmpp:support@localhost" };
}
external_service_host = "default.example"
external_service_port = 9876
external_service_secret = "<secret>"
external_services = {
	{ type = "stun", transport = "udp" };
	{ type = "turn", transport = "udp", secret = true };
	{ type = "turn", transport = "udp", secret = "foo" };
	{ type = "ftp", transport = "tcp", port = 2121, username = "john", password = "password" };
	{ type = "ftp", transport = "tcp", host = "ftp.example.com", port = 21, username = "john", password = "password" };
}
]];
local HOSTS = [[
hide_os_type = true
Component "conference.localhost" "muc"
	admins = { "Admin@localhost" }
	modules_enabled = { "muc_mam" }
Component "pubsub.localhost" "pubsub"
	expose_publisher = true
Component "upload.localhost" "http_file_share"
	http_file_share_size_limit = 10000000
	http_file_share_allowed_file_types = { "text/plain", "image/*" }
]];

local scripts = {};
local find = assert(io.popen("ls "..FOLDER.."/*.scs 2>/dev/null"));
for path in find:lines() do table.insert(scripts, path); end
find:close();

-- The question for a client that shows no caps.
local function question(stanza)
	return stanza.name == "iq" and stanza.attr.type == "get" and stanza.attr.from == "localhost"
		and stanza:get_child("query", "http://jabber.org/protocol/disco#info");
end

-- What the module is known by: its feature, in disco, and that question, which comes a second after presence, maybe in another script.
local function ours(element)
	return element.name == "feature" and element.attr.var == stanzas.xmlns or question(element);
end

for _, version in ipairs { "0.12", "13.0" } do
	describe("Prosody's own scripts, on Prosody "..version..",", function ()
		local with, without, release;
		local played, received = 0, 0;
		setup(function ()
			assert(scripts[1], "no scripts in "..FOLDER..": run scripts/deps interop, or name a folder of them by SCANSION_SCRIPTS");
			local function start(modules)
				for _, name in ipairs(MODULES) do table.insert(modules, name); end
				return servers.start { version = version, modules = modules, options = OPTIONS, hosts = HOSTS, http = true };
			end
			with, without = start { "receipts" }, start {};
			release = with:run("return prosody.version"):match("^[%d.]+");
		end);
		teardown(function ()
			if with then with:stop(); end
			if without then without:stop(); end
		end);

		for _, path in ipairs(scripts) do
			it(path:match("([^/]+)%.scs$").." gives every client the same", function ()
				local expected, count = scansion.play(path, without.port, ours);
				local got = scansion.play(path, with.port, ours);
				assert.is_true(count > 0, "nothing was received");
				for i = 1, math.max(#expected, #got) do assert.equal(expected[i], got[i]); end
				played, received = played + 1, received + count;
			end);
		end

		it("the one thing that clients get besides is a question for what they can, when they show no caps", function ()
			for _, server in ipairs { with, without } do
				local one = server:connect("silent@localhost/silent", { presence = false });
				one.answer_disco = function () return false; end;
				one:send(st.presence());
				if server == with then
					process.wait(function ()
						for _, stanza in ipairs(one:stanzas()) do
							if question(stanza) then return true; end
						end
					end, function () return "nothing was asked"; end);
				end
				for _, stanza in ipairs(one:stanzas()) do assert.falsy(question(stanza)); end
			end
		end);

		it("all of them leave no error of ours", function ()
			assert.equal(#scripts, played);
			assert.equal("0", with:run([[local errors = prosody.hosts.localhost.modules.receipts.module.save().reports.counts.errors
				return tostring(math.tointeger(errors.hook + errors.store))]]));
			for line in with:log():gmatch("[^\n]+") do
				if line:find("receipts", 1, true) then assert.is_nil(line:match("\terror\t.*"), line); end
			end
			seen.part("Prosody's own tests", "The scripts that Prosody's authors test it with (scansion), from Debian's source package, "
				.."played on a server with mod_receipts, all defaults, and on one without it.")
				("scansion scripts", process.output("cat "..FOLDER.."/version 2>/dev/null") or "of SCANSION_SCRIPTS", "Prosody "..release,
				("%d scripts, during which clients got %d stanzas"):format(played, received),
				"every client got the same, stanza by stanza, with mod_receipts and without, but for the feature in disco "
					.."and the caps hash, and one question what it can (disco#info) to a client that shows no caps");
		end);
	end);
end
