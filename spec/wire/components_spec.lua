-- SPDX-License-Identifier: MIT
-- receipts_answer_components on the wire: a gateway that knows no receipts is answered for.

local client = require "spec.support.client";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local STATE = "local r = prosody.hosts.localhost.modules.receipts.module.save(); ";

describe("a component", function ()
	local server, port, alice, gateway;

	local function start(options)
		port = process.free_port();
		server = servers.start {
			options = ("component_ports = { %d }\ncomponent_interfaces = { \"127.0.0.1\" }\n"):format(port)..options;
			hosts = 'VirtualHost "elsewhere.localhost"\nComponent "sms.localhost"\n\tcomponent_secret = "secret"\n'
				..'Component "other.localhost"\n\tcomponent_secret = "secret"\n'..servers.rooms;
		};
		alice = server:connect("alice");
	end
	local function activate_anew(host)
		server:run(([[
			local hostmanager, configmanager = require "core.hostmanager", require "core.configmanager";
			hostmanager.deactivate(%q);
			hostmanager.activate(%q, configmanager.getconfig()[%q]);]]):format(host, host, host));
	end
	-- The gateway gets a message for this component, and nobody answers for it.
	local function is_left_alone(host)
		alice:send(stanzas.ask { to = "+1555@"..host, id = "unanswered" });
		alice:sync();
		assert.equal("unanswered", gateway:messages()[1].attr.id);
		alice:sync(); -- what is done a moment later is done
		assert.same({}, alice:messages());
	end
	before_each(function () start 'receipts_answer_components = { "sms.localhost", "not.there" }'; end);
	after_each(function ()
		if gateway then gateway:drop(); end
		gateway = nil;
		server:stop();
	end);

	it("D1 is answered for once it has taken the message, D5 as if it had answered itself", function ()
		gateway = client.component(port, "sms.localhost");
		for _, to in ipairs { "+1555@sms.localhost", "+1555@sms.localhost/x", "sms.localhost" } do
			local ask = stanzas.ask { to = to, id = "id of "..to };
			alice:send(ask);
			local answer = alice:expect(function (stanza) return stanza.name == "message"; end);
			assert.equal("id of "..to, gateway:messages()[1].attr.id);
			assert.equal("id of "..to, stanzas.acked(answer));
			assert.same({ to, "alice@localhost/alice", "chat" }, { answer.attr.from, answer.attr.to, answer.attr.type });
			assert.truthy(answer.attr.id and answer.attr.id ~= "id of "..to);
			assert.truthy(answer:get_child("store", "urn:xmpp:hints"));
			assert.equal(2, #answer.tags);
		end
		assert.equal("3 3", server:run(STATE.."r.reports:settle(); return r.reports.counts.answers[false]..' '..r.reports.counts.outcomes.delivered"));
		assert.equal("answered for +1555@sms.localhost, which the component sms.localhost has taken",
			server:why("alice@localhost", "id of +1555@sms.localhost"));
	end);

	it("D6 is not answered for what matters for a moment only", function ()
		gateway = client.component(port, "sms.localhost");
		alice:send(stanzas.ask({ to = "+1555@sms.localhost", id = "call" }, false):tag("propose", { xmlns = "urn:xmpp:jingle-message:0" }):up());
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "text" });
		assert.equal("text", stanzas.acked(alice:expect(function (stanza) return stanza.name == "message"; end)));
		assert.equal(2, #gateway:messages());
	end);

	it("D4 is answered for once, however its name is written, and though it is written twice", function ()
		server:stop();
		start 'receipts_answer_components = { "SMS.localhost", "sms.localhost" }';
		server:reload(); -- now that the component is there
		gateway = client.component(port, "sms.localhost");
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "1" });
		assert.equal("1", stanzas.acked(alice:expect(function (stanza) return stanza.name == "message"; end)));
		gateway:messages();
		assert.same({}, alice:messages());
		assert.equal("1", server:run(STATE.."return r.reports.counts.answers[false]"));
	end);

	it("D2 is not answered for while it is not connected", function ()
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "1" });
		local bounce = alice:expect(function (stanza) return stanza.name == "message"; end);
		assert.equal("error", bounce.attr.type);
		alice:sync();
		assert.same({}, alice:messages());
		gateway = client.component(port, "sms.localhost");
		gateway:close();
		gateway = nil;
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "2" });
		bounce = alice:expect(function (stanza) return stanza.name == "message"; end);
		assert.equal("error", bounce.attr.type);
		assert.equal("0", server:run(STATE.."return r.reports.counts.answers[false]"));
	end);

	it("D2 is not answered for when it is gone before it can have taken the message", function ()
		gateway = client.component(port, "sms.localhost");
		server:run([[
			prosody.core_post_stanza(prosody.full_sessions["alice@localhost/alice"], require "util.stanza".message(
				{ from = "alice@localhost/alice", to = "+1555@sms.localhost", id = "1", type = "chat" }, "hi")
				:tag("request", { xmlns = "urn:xmpp:receipts" }):up(), true);
			prosody.hosts["sms.localhost"].modules.component.connected = false;
		]]);
		gateway:messages();
		assert.same({}, alice:messages());
		assert.equal("0", server:run(STATE.."return r.reports.counts.answers[false]"));
	end);

	it("D6 is not answered for where nothing asks, or nothing is to be answered", function ()
		gateway = client.component(port, "sms.localhost");
		alice:send(stanzas.chat { to = "+1555@sms.localhost", id = "1" });
		alice:send(stanzas.ask { to = "+1555@sms.localhost" });
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "3", type = "groupchat" });
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "4", type = "error" });
		alice:send(stanzas.ack("+1555@sms.localhost", "5"));
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = ("x"):rep(1024) });
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "last" });
		assert.equal("last", stanzas.acked(alice:expect(function (stanza) return stanza.name == "message"; end)));
		assert.same({}, alice:messages());
	end);

	it("is left alone where it is not in the list, and so are rooms, and users of other hosts", function ()
		gateway = client.component(port, "other.localhost");
		alice:send(stanzas.ask { to = "+1555@other.localhost", id = "1" });
		alice:send(st.presence { to = "room@rooms.localhost/alice" }:tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		alice:sync();
		alice:send(stanzas.ask { to = "room@rooms.localhost", id = "2", type = "groupchat" });
		alice:sync();
		for _, message in ipairs(alice:messages()) do assert.is_nil(stanzas.acked(message)); end
		assert.equal("1", gateway:messages()[1].attr.id);
		local listed = client.component(port, "sms.localhost");
		local stranger = client.connect(server.port, "carol@elsewhere.localhost/r");
		stranger:send(stanzas.ask { to = "+1555@sms.localhost", id = "3" });
		assert.equal("3", stanzas.acked(stranger:expect(function (stanza) return stanza.name == "message"; end)), "by their own host");
		assert.equal("3", listed:messages()[1].attr.id);
		assert.same({}, stranger:messages());
		stranger:close();
		listed:drop();
		assert.equal("0", server:run(STATE.."return r.reports.counts.answers[false]"));
	end);

	it("D8 does not get the bounce of an answer that nobody took", function ()
		gateway = client.component(port, "sms.localhost");
		alice:send(stanzas.ask { to = "+1555@sms.localhost", id = "1" });
		local answer = alice:expect(function (stanza) return stanza.name == "message"; end);
		gateway:messages();
		for _, id in ipairs { answer.attr.id, "another" } do
			alice:send(st.message { to = "+1555@sms.localhost", type = "error", id = id }:tag("error", { type = "cancel" })
				:tag("service-unavailable", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up():up());
		end
		alice:sync();
		local got = gateway:messages();
		assert.equal(1, #got);
		assert.equal("another", got[1].attr.id);
	end);

	it("F0 is watched, as all else is, by functions that catch their own errors", function ()
		assert.equal("guard.lib.lua hooks.lib.lua", server:run [[
			local files = {};
			for _, events in ipairs { prosody.events, prosody.hosts.localhost.events, prosody.hosts["sms.localhost"].events } do
				for _, handlers in pairs(events._event_map) do
					for handler in pairs(handlers) do
						local file = debug.getinfo(handler, "S").source:match("/mod_receipts/([^/]*)$");
						if file then files[file] = true; end
					end
				end
			end
			return require "util.array".collect(require "util.iterators".keys(files)):sort():concat(" ");
		]]);
	end);

	it("is left alone where it is not in the list, though it comes later, and what is in the list and not there is not watched", function ()
		assert.equal("nil", server:run "return tostring(prosody.events.get_handlers('message/bare'))"); -- what hooks of unknown hosts end as
		activate_anew("other.localhost");
		gateway = client.component(port, "other.localhost");
		is_left_alone("other.localhost");
	end);

	it("A3 is answered for again after its host or the module was loaded anew, and no more once the module is unloaded", function ()
		activate_anew("sms.localhost");
		gateway = client.component(port, "sms.localhost");
		for i = 1, 2 do
			alice:send(stanzas.ask { to = "+1555@sms.localhost", id = tostring(i) });
			assert.equal(tostring(i), stanzas.acked(alice:expect(function (stanza) return stanza.name == "message"; end)));
			server:reload();
		end
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		gateway:messages();
		is_left_alone("sms.localhost");
	end);
end);
