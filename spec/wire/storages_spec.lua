-- SPDX-License-Identifier: MIT
-- What the specs of our own store stand on: Prosody's storage of each kind keeps what it was given, over crashes too, and says when it
-- fails. Seen with private XML (XEP-0049), which Prosody keeps in a keyval store of its own.

local servers = require "spec.support.server";
local storages = require "spec.support.storages";
local st = require "util.stanza";

for _, name in ipairs(storages.names) do
	describe("storage: "..name, function ()
		local server, storage;
		setup(function ()
			storage = storages[name]();
			server = servers.start { options = storage.options, modules = { "private" } };
		end);
		teardown(function ()
			if server then server:stop(); end
			if storage then storage.remove(); end
		end);
		after_each(function () server:disconnect_all(); end);

		local function private(kind, text)
			return st.stanza("iq", { type = kind }):tag("query", { xmlns = "jabber:iq:private" }):tag("note", { xmlns = "urn:spec" }):text(text);
		end
		local function save(client, text)
			return client:iq(private("set", text)).attr.type;
		end
		local function load(client)
			local answer = client:iq(private("get"));
			return answer.attr.type == "result" and answer.tags[1].tags[1]:get_text() or answer.attr.type;
		end

		it("keeps its data when Prosody restarts", function ()
			assert.equal("result", save(server:connect("alice"), "first"));
			server:restart();
			assert.equal("first", load(server:connect("alice")));
		end);

		it("keeps its data when Prosody is killed", function ()
			assert.equal("result", save(server:connect("alice"), "second"));
			server:restart("kill");
			assert.equal("second", load(server:connect("alice")));
			server:kill();
			server:restart();
			assert.equal("second", load(server:connect("alice")));
		end);

		it("can fail and recover while Prosody runs", function ()
			local alice, bob = server:connect("alice"), server:connect("bob");
			assert.equal("result", save(alice, "third"));
			storage.fail(server);
			assert.equal("error", save(alice, "fourth"));
			assert.equal("error", load(alice));
			assert.equal("error", save(bob, "first"));
			storage.recover(server);
			assert.equal("third", load(alice));
			assert.equal("result", save(bob, "second"));
			assert.equal("second", load(bob));
		end);
	end);
end
