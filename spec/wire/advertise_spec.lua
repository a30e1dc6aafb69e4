-- SPDX-License-Identifier: MIT
-- Chapter A on the wire: the feature is there while the module is, and nothing of it afterwards.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local function features(client, jid)
	local answer = client:iq(st.stanza("iq", { type = "get", to = jid }):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
	local set = {};
	for feature in answer.tags[1]:childtags("feature") do set[feature.attr.var] = true; end
	return set;
end

local function caps_hash(server, name)
	local client = server:connect(name);
	local hash = client.features:get_child("c", "http://jabber.org/protocol/caps").attr.ver;
	client:close();
	return hash;
end

-- Everything of a host that hooks and wrappers can be seen in, and the fields of every session. Ids of queries are made anew at each load.
local SURVEY = [[
	local host = prosody.hosts.localhost;
	local list = {};
	for where, events in pairs { host = host.events, global = prosody.events } do
		local i, name, wrappers = 0;
		repeat i = i + 1; name, wrappers = debug.getupvalue(events.add_wrapper, i); until name == "wrappers";
		for event, all in pairs(wrappers) do
			for _ in ipairs(all) do table.insert(list, where.." wrapper "..event); end
		end
		for event, handlers in pairs(events._event_map) do
			for _ in pairs(handlers) do table.insert(list, where.." hook "..event:gsub("^(iq%-%a+/%a+/)[%w_-]+$", "%1…")); end
		end
	end
	for name, items in pairs(host._items or {}) do
		for _ in ipairs(items) do table.insert(list, "item "..name); end
	end
	for jid, session in pairs(prosody.full_sessions) do
		for field in pairs(session) do
			if field ~= "last_presence" then table.insert(list, "field "..jid.." "..tostring(field)); end
		end
	end
	table.sort(list);
	return table.concat(list, "\n");
]];

describe("advertising", function ()
	local server, alice, bob;
	setup(function () server = servers.start { hosts = 'Component "part.localhost" "pubsub"\nmodules_enabled = { "receipts" }\n' }; end);
	teardown(function () server:stop(); end);
	before_each(function ()
		alice, bob = server:connect("alice"), server:connect("bob");
		server:roster("bob", "alice@localhost", "both");
	end);
	after_each(function () server:disconnect_all(); end);

	local function module(action)
		assert.equal("true", server:run("return require 'core.modulemanager'."..action.."('localhost', 'receipts') and true"));
	end

	it("A1 lists the feature in the host's disco#info", function ()
		assert.is_true(features(alice, "localhost")["urn:xmpp:receipts"]);
	end);

	it("A1 A3 changes Prosody's own caps hash, and back", function ()
		local with = caps_hash(server, "carol");
		module("unload");
		local without = caps_hash(server, "carol");
		assert.not_equal(with, without);
		assert.is_nil(features(alice, "localhost")["urn:xmpp:receipts"]);
		module("load");
		assert.equal(with, caps_hash(server, "carol"));
	end);

	it("A3 leaves no hook, item or session field behind", function ()
		local function exchange(id, type)
			alice:send(stanzas.ask({ to = "bob@localhost", id = id }));
			alice:sync();
			bob:send(stanzas.ack("alice@localhost/alice", id, { type = type }));
			bob:sync();
		end
		module("unload");
		local before = server:run(SURVEY);
		-- Clients of which nothing is known are asked a second after it is loaded; that puts in hooks, so surveys come first.
		local loaded = servers.swiftly(0.8, function (n)
			if n > 1 then module("unload"); end
			module("load");
			exchange("a3-"..n);
			return server:run(SURVEY);
		end);
		assert.not_equal(before, loaded, "the survey sees hooks");
		local again = servers.swiftly(0.8, function ()
			for _ = 1, 3 do module("reload"); end
			return server:run(SURVEY);
		end);
		assert.equal(loaded, again);
		exchange("a3-other", "none");
		assert.not_equal(loaded, server:run(SURVEY), "the hook that such an ack puts in");
		module("unload");
		assert.equal(before, server:run(SURVEY));
		module("load");
	end);

	it("A3 stops its timers", function ()
		local code = [[
			local timer, modulemanager = require "util.timer", require "core.modulemanager";
			local add_task, stop = timer.add_task, timer.stop;
			local started, running = 0, {};
			function timer.add_task(delay, ...)
				local id = add_task(delay, ...);
				started, running[id] = started + 1, true;
				return id;
			end
			function timer.stop(id)
				running[id] = nil;
				return stop(id);
			end
			modulemanager.reload("localhost", "receipts");
			modulemanager.unload("localhost", "receipts");
			timer.add_task, timer.stop = add_task, stop;
			modulemanager.load("localhost", "receipts");
			return started.." started, "..require "util.iterators".count(pairs(running)).." left running";
		]];
		-- Five of its own; and clients of which nothing is known are asked anew, in a second.
		local started, left = server:run(code):match("^(%d+) started, (%d+) left running$");
		assert.is_true(tonumber(started) >= 5);
		assert.equal("0", left);
	end);

	it("A3 when it cannot be loaded, leaves no timer, and the shell does not know it", function ()
		assert.equal("false, 0 timers, not in the shell", server:run([[
			local timer, modulemanager, moduleapi = require "util.timer", require "core.modulemanager", require "core.moduleapi";
			modulemanager.unload("localhost", "receipts");
			local hooks, added, hook_tag = {}, 0, moduleapi.hook_tag;
			local add_task, hook_object_event = timer.add_task, moduleapi.hook_object_event;
			function timer.add_task(...) added = added + 1; return add_task(...); end
			function moduleapi.hook_object_event(self, object, event, handler, priority)
				table.insert(hooks, { object, event, handler });
				return hook_object_event(self, object, event, handler, priority);
			end
			function moduleapi.hook_tag() error("forced", 0); end
			local loaded = modulemanager.load("localhost", "receipts") and true or false;
			timer.add_task, moduleapi.hook_object_event, moduleapi.hook_tag = add_task, hook_object_event, hook_tag;
			for _, hook in ipairs(hooks) do hook[1].remove_handler(hook[2], hook[3]); end -- Prosody does not
			local known = module:shared("/*/receipts/hosts").localhost;
			modulemanager.load("localhost", "receipts");
			return tostring(loaded)..", "..added.." timers, "..(known and "in the shell" or "not in the shell");
		]]));
	end);

	it("A3 keeps pending entries over a reload", function ()
		alice:send(stanzas.ask({ to = "bob@localhost", id = "kept" }));
		alice:sync();
		module("reload");
		local mallory = server:connect("mallory");
		server:roster("mallory", "alice@localhost", "both");
		mallory:send(stanzas.ack("alice@localhost/alice", "kept"));
		mallory:sync();
		assert.same({}, alice:messages());
		bob:send(stanzas.ack("alice@localhost/alice", "kept"));
		bob:sync();
		assert.equal("kept", stanzas.acked(alice:messages()[1]));
	end);

	it("A3 says on a component that it does nothing there, and hooks nothing", function ()
		local lines = 0;
		for line in server:log():gmatch("[^\n]+") do
			if line:find("part.localhost:receipts", 1, true) then
				lines = lines + 1;
				assert.truthy(line:find("mod_receipts does nothing on a component", 1, true));
			end
		end
		assert.equal(1, lines);
		assert.is_nil(features(alice, "part.localhost")["urn:xmpp:receipts"]);
		assert.equal("0", server:run([[
			local n = 0;
			for _ in pairs(prosody.hosts["part.localhost"].modules.receipts.module.event_handlers.data or {}) do n = n + 1; end
			return n;
		]]));
	end);
end);
