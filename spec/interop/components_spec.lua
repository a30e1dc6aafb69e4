-- SPDX-License-Identifier: MIT
-- A gateway that knows no receipts, and somebody who writes through it: both made with slixmpp.

local paths = require "spec.support.paths";
local person = require "spec.interop.slixmpp";
local process = require "spec.support.process";
local seen = require "spec.interop.seen";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local DOMAIN = "sms.localhost";

local note = seen.part("Components", [[The gateway, to a network without receipts, is an external component (XEP-0114) made with slixmpp. Who
writes through it uses a client made with slixmpp, with receipts. The server has `receipts_answer_components = { "sms.localhost" }`. A host
for multi-user chat is beside it.]]);

-- A gateway that runs until it is stopped.
local function start_gateway(port)
	local dir = process.temp_dir();
	local input = assert(io.popen(("exec /usr/bin/python3 %s/spec/interop/slixmpp-gateway.py %d %s >%s/output 2>&1")
		:format(paths.root, port, DOMAIN, dir), "w"));
	local function output() return process.read(dir.."/output"); end
	local function shows(line) return ("\n"..output()):find("\n"..line.."\n", 1, true) ~= nil; end
	process.wait(function () return shows("ready"); end, output);
	return {
		got = function (text)
			process.wait(function () return shows("got alice@localhost "..text); end, output);
		end;
		stop = function ()
			input:close();
			os.execute("rm -rf '"..dir.."'");
		end;
	};
end

for _, version in ipairs { "0.12", "13.0" } do
	describe("a gateway on Prosody "..version, function ()
		local server, port, release, alice, gateway, library;

		setup(function ()
			library = seen.package_version("python3-slixmpp");
			port = process.free_port();
			server = servers.start {
				version = version;
				options = ('component_ports = { %d }\ncomponent_interfaces = { "127.0.0.1" }\nreceipts_answer_components = { "sms.localhost" }'):format(port);
				hosts = ('Component "%s"\n\tcomponent_secret = "secret"\n'):format(DOMAIN)..servers.rooms;
			};
			release = server:run("return prosody.version");
			process.wait(function () return process.listening(port); end);
			alice = person.start(server, "alice@localhost/phone", { receipts = true });
		end);
		teardown(function ()
			if alice then alice:stop(); end
			if server then server:stop(); end
		end);
		after_each(function ()
			if gateway then gateway.stop(); end
			gateway = nil;
		end);

		local function row(done, what) note("a gateway with slixmpp", library, "Prosody "..release, done, what); end

		it("is answered for once it has taken the message", function ()
			gateway = start_gateway(port);
			alice:say("+1555@"..DOMAIN, "by text message");
			gateway.got("by text message");
			process.wait(function () return alice:ticked("by text message"); end, function () return alice:screen(); end);
			assert.equal(1, alice:receipts());
			row("Somebody writes to a number of the gateway's", "The gateway has the message, and the message has a tick");
		end);

		it("is not answered for while it is away, and is when it comes back", function ()
			alice:say("+1555@"..DOMAIN, "while it is away");
			process.wait(function () return alice:bounced("while it is away"); end, function () return alice:screen(); end);
			gateway = start_gateway(port);
			alice:say("+1555@"..DOMAIN, "when it is back");
			gateway.got("when it is back");
			process.wait(function () return alice:ticked("when it is back"); end, function () return alice:screen(); end);
			assert.is_true(alice:waiting("while it is away"));
			row("The same while the gateway is not connected, and again when it is", "The first bounces and has no tick; the second has one");
		end);

		it("has a multi-user chat host beside it that is left alone", function ()
			local bob = server:connect("bob");
			bob:send(st.presence({ to = "den@rooms.localhost/bob" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
			bob:sync();
			bob:send(stanzas.ask { to = "den@rooms.localhost", id = "to the room", type = "groupchat" });
			local said = bob:expect(function (stanza) return stanza.name == "message" and stanza.attr.id == "to the room"; end);
			assert.is_true(stanzas.asks(said));
			for _, stanza in ipairs(bob:messages()) do assert.is_nil(stanzas.acked(stanza)); end
			note("mod_muc", "", "Prosody "..release, "Somebody asks in a room", "The room passes it on as it is; nobody answers for it",
				"In rooms (multi-user chat) the server answers for nobody.");
		end);
	end);
end
