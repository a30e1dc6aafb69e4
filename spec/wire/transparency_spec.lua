-- SPDX-License-Identifier: MIT
-- The module costs nobody a message: odd messages are delivered exactly as without it, but for receipt elements, and so are all
-- messages when something in it breaks (rule F0).

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local R = stanzas.xmlns;
local HOSTS = servers.rooms;

-- Every message that alice sends. Each begins with a body that tells which it is.
local function script()
	local list = {};
	local function add(attr, ...)
		local body = #list + 1 .." "..(attr.type or "no type").." to "..(attr.to or "nobody");
		local stanza = st.message(attr):tag("body"):text(body):up();
		for _, child in ipairs { ... } do stanza:add_child(child); end
		table.insert(list, stanza);
	end
	local request = st.stanza("request", { xmlns = R });
	local function received(id) return st.stanza("received", { xmlns = R, id = id }); end
	local addresses = { "bob@localhost", "bob@localhost/bob", "bob@localhost/gone", "alice@localhost", "alice@localhost/alice",
		"alice@localhost/phone", "localhost", "localhost/resource", "nobody@localhost", "room@rooms.localhost", "room@rooms.localhost/bob",
		"rooms.localhost", "elsewhere.example" };
	local types = { "chat", "normal", "groupchat", "headline", "error", "odd", false };
	for _, to in ipairs(addresses) do
		for _, type in ipairs(types) do
			add({ to = to, type = type or nil, id = "plain" });
			add({ to = to, type = type or nil, id = "asks" }, request);
			add({ to = to, type = type or nil, id = "acks" }, received("x"));
			add({ to = to, type = type or nil }, request, received(nil), received("y"));
		end
	end
	for _, type in ipairs(types) do
		add({ type = type or nil, id = "1" }); -- to nobody, which is oneself
		add({ type = type or nil, id = "2" }, request);
	end
	for _, id in ipairs { "", "\"quotes\" & 'apostrophes' <>", "\u{1F600}\u{10FFFF}", ("x"):rep(65536), ("\u{1F600}"):rep(16384), " spaces ", "a\nb" } do
		add({ to = "bob@localhost", type = "chat", id = id });
		add({ to = "bob@localhost", type = "chat", id = id }, request);
		add({ to = "bob@localhost/bob", type = "chat", id = "acks" }, received(id));
	end
	return list;
end

local function is_receipt(element)
	return element.attr.xmlns == R and (element.name == "request" or element.name == "received");
end

-- Ids that a room or the archive makes up differ from run to run.
local function leave_out(element)
	return is_receipt(element) or element.name == "stanza-id" or element.name == "occupant-id";
end

-- Ids that the script does not give go: where the module sets one (rule C4) the message had none, or an empty one.
local function without_other_ids(element, ids)
	if element.name == "message" and not ids[element.attr.id] then element.attr.id = nil; end
	for _, child in ipairs(element.tags) do without_other_ids(child, ids); end
	return element;
end

local function shown(messages, ids)
	local list = {};
	for i, stanza in ipairs(messages) do
		list[i] = stanzas.canonical(without_other_ids(st.clone(stanza), ids), leave_out);
	end
	return list;
end

local function enter(client)
	client:send(st.presence({ to = "room@rooms.localhost/"..client.bare:match("^%w+") }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
	client:sync();
end

-- What each client receives when alice sends the script.
local function transcript(server)
	local clients = {
		alice = server:connect("alice"), phone = server:connect("alice@localhost/phone", { carbons = true }),
		bob = server:connect("bob"),
		tablet = server:connect("bob@localhost/tablet", { carbons = true, presence = "<presence><priority>-1</priority></presence>" }),
	};
	server:roster("alice", "bob@localhost", "both");
	server:roster("bob", "alice@localhost", "both");
	enter(clients.alice);
	enter(clients.bob);
	for _, client in pairs(clients) do client:sync(); end
	local ids = {};
	local received = { alice = {}, phone = {}, bob = {}, tablet = {} };
	local list = script();
	for i, stanza in ipairs(list) do
		if stanza.attr.id and stanza.attr.id ~= "" then ids[stanza.attr.id] = true; end
		clients.alice:send(stanza);
		if i % 20 == 0 or i == #list then
			for _, name in ipairs { "alice", "phone", "bob", "tablet" } do
				for _, message in ipairs(clients[name]:messages()) do table.insert(received[name], message); end
			end
		end
	end
	for name, messages in pairs(received) do received[name] = shown(messages, ids); end
	server:disconnect_all();
	return received;
end

describe("messages", function ()
	local expected;
	setup(function ()
		local server = servers.start { modules = {}, hosts = HOSTS };
		expected = transcript(server);
		server:stop();
		assert.is_true(#expected.bob > 50 and #expected.alice > 50 and #expected.phone > 50 and #expected.tablet > 10);
	end);

	local function same(server)
		local received = transcript(server);
		for name, list in pairs(expected) do
			for i = 1, math.max(#list, #received[name]) do
				assert.equal(list[i], received[name][i], name.." gets the same, message "..i);
			end
		end
	end

	for name, options in pairs {
		["by default"] = "";
		["when everybody is asked"] = 'receipts_request = "always"';
		["when all that can be dropped is"] = 'receipts_request = "always" receipts_unknown = "drop" receipts_groupchat_requests = "strip"';
	} do
		it("are delivered as without the module "..name, function ()
			local server = servers.start { options = options, hosts = HOSTS };
			finally(function () server:stop(); end);
			same(server);
			assert.falsy(server:log():find("Error in ", 1, true));
		end);
	end

	-- Each breaks something that one of our hooks needs, and counts how often it was reached.
	local breaks = {
		["the engine's look at a message"] = [[
			prosody.hosts.localhost.modules.receipts.module.save().pending:close();
			reached.bare, reached.full = 1, 1;]];
		["a message that asks"] = [[
			local reports = prosody.hosts.localhost.modules.receipts.module.save().reports;
			reports.listening = function () error("forced"); end
			reports.requested = function () reached.bare, reached.full = 1, 1; error("forced"); end]];
		["a message with an ack"] = [[
			local reports = prosody.hosts.localhost.modules.receipts.module.save().reports;
			reports.outcome = function () reached.bare, reached.full = 1, 1; error("forced"); end]];
		["putting in a request"] = [[
			local methods = debug.getmetatable(require "receipts".pending()).__index;
			methods.add = function () reached.bare = (reached.bare or 0) + 1; reached.full = 1; error("forced"); end]];
		["what is learned from presence"] = [[
			prosody.hosts.localhost.modules.receipts.module.save().capabilities.presence = function ()
				reached.bare, reached.full = 1, 1;
				error("forced");
			end]],
		["the look at what is copied to other devices"] = [[
			require "receipts".examine = function ()
				reached.bare, reached.full = 1, 1;
				error("forced");
			end]],
		["the look at the rooms that a session has joined"] = [[
			setmetatable(prosody.hosts.localhost.modules.receipts.module.save().rooms.of_session, { __index = function ()
				reached.bare, reached.full = 1, 1;
				error("forced");
			end })]];
	};
	for name, code in pairs(breaks) do
		it("F0 are delivered as without the module when there is an error in "..name, function ()
			local began = os.time();
			local server = servers.start { errors = true, options = 'receipts_request = "always" receipts_protect_presence = false', hosts = HOSTS };
			finally(function () server:stop(); end);
			server:run("local reached = {}; prosody.spec_reached = reached; "..code);
			same(server);
			local reached = server:run("local n = {}; for kind in pairs(prosody.spec_reached) do table.insert(n, kind); end "
				.."table.sort(n); return table.concat(n, ' ')");
			assert.truthy(reached:find("bare", 1, true) and reached:find("full", 1, true), reached);
			local lines = select(2, server:log():gsub("Error in [^\n]*the stanza goes on without us", ""));
			assert.is_true(lines >= 1 and lines <= 1 + (os.time() - began) // 60, lines.." lines, one a minute at most");
		end);
	end

	it("F0 stream management goes on when there is an error in <a/>, <resume/> or the death of a session", function ()
		local server = servers.start { errors = true, modules = { "receipts", "smacks" }, options = 'receipts_answer = "opt-out"' };
		finally(function () server:stop(); end);
		server:run([[
			local reached = {};
			prosody.spec_reached = reached;
			require "receipts".examine = function () reached.examine = true; error("forced"); end;
			debug.getmetatable(require "util.smqueue".new(1)).__index.table = function () reached.table = true; error("forced"); end;
		]]);
		local alice, bob = server:connect("alice"), server:connect("bob", { managed = true });
		local function exchange(id)
			alice:send(stanzas.ask { to = "bob@localhost", id = id });
			alice:sync();
			local got = bob:messages();
			assert.equal(id, got[#got].attr.id);
		end
		exchange("before");
		bob:acknowledge();
		bob:sync();
		exchange("unacked");
		bob:close();
		for _, message in ipairs(alice:messages()) do assert.equal("unacked", message.attr.id); end
		assert.equal("true", server:run("return tostring(prosody.spec_reached.examine)"));
		assert.truthy(server:log():find("the stanza goes on without us", 1, true));
	end);

	it("F0 presence that joins a room goes on when there is an error in pre-presence/full", function ()
		local server = servers.start { errors = true, hosts = HOSTS };
		finally(function () server:stop(); end);
		server:run([[setmetatable(prosody.hosts.localhost.modules.receipts.module.save().rooms.of_session,
			{ __index = function () error("forced"); end })]]);
		local alice = server:connect("alice");
		alice:send(st.presence({ to = "room@rooms.localhost/alice" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }));
		local joined = false;
		for _, stanza in ipairs(alice:stanzas()) do joined = joined or stanza.attr.from == "room@rooms.localhost/alice"; end
		assert.is_true(joined);
		assert.truthy(server:log():find("Error in pre-presence/full", 1, true));
	end);
end);
