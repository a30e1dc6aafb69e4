-- SPDX-License-Identifier: MIT
-- blocks.lib.lua: whom a user has blocked, from a store that may fail. The wire specs have mod_blocklist's own.

local paths = require "spec.support.paths";

describe("blocks", function ()
	local now, data, reads, broken, blocks;

	local function load_lib(modules)
		local environment = setmetatable({}, { __index = _G });
		local store = {};
		function store.get(_, user)
			reads = reads + 1;
			if broken then return nil, "disk on fire"; end
			return data[user];
		end
		environment.module = { host = "h", require = function (_, name) return paths.lib(name); end };
		function environment.module.open_store(_, name)
			assert.equal("blocklist", name);
			return store;
		end
		environment.prosody = { hosts = { h = { modules = modules or { blocklist = {} } } } };
		function environment.require(name) return name == "util.time" and { monotonic = function () return now; end } or require(name); end
		blocks = assert(loadfile(paths.root.."/mod_receipts/blocks.lib.lua", "t", environment))();
	end

	before_each(function ()
		now, reads, broken = 1000, 0, false;
		data = { bob = { ["eve@x"] = true, ["mallory@y/one"] = true, ["z"] = true, [false] = { version = 1 } } };
		load_lib();
	end);

	it("B4 D3 are of a client, a person or a whole server", function ()
		for _, jid in ipairs { "eve@x", "eve@x/any", "mallory@y/one", "z", "somebody@z", "somebody@z/any" } do
			assert.is_true(blocks.has("bob", jid), jid);
		end
		for _, jid in ipairs { "mallory@y", "mallory@y/two", "alice@x", "x", "y" } do assert.is_false(blocks.has("bob", jid), jid); end
		assert.is_false(blocks.has("alice", "eve@x"));
	end);

	it("B4 D3 are read once, of who has blocked nobody too, until the user changes them", function ()
		for _ = 1, 3 do
			assert.is_true(blocks.has("bob", "eve@x"));
			assert.is_false(blocks.has("alice", "eve@x"));
		end
		assert.equal(2, reads);
		data = { bob = {}, alice = { ["eve@x"] = true } };
		blocks.forget("bob");
		assert.is_false(blocks.has("bob", "eve@x"));
		assert.is_false(blocks.has("alice", "eve@x"));
		blocks.forget("alice");
		assert.is_true(blocks.has("alice", "eve@x"));
	end);

	it("B4 D3 that cannot be read are none, are not read for each message, and at once when the user changes them", function ()
		broken = true;
		for _ = 1, 3 do assert.is_false(blocks.has("bob", "eve@x")); end
		assert.equal(1, reads);
		broken = false;
		now = now + 4;
		assert.is_false(blocks.has("bob", "eve@x"));
		now = now + 1;
		assert.is_true(blocks.has("bob", "eve@x"));
		assert.equal(2, reads);
		broken = true;
		assert.is_false(blocks.has("alice", "eve@x"));
		broken, data.alice = false, { ["eve@x"] = true };
		blocks.forget("alice");
		assert.is_true(blocks.has("alice", "eve@x"));
	end);

	it("are none where what is stored is no list, or the host has no mod_blocklist", function ()
		data.bob = "rubbish";
		assert.is_false(blocks.has("bob", "eve@x"));
		load_lib({});
		data.bob = { ["eve@x"] = true };
		local before = reads;
		assert.is_false(blocks.has("bob", "eve@x"));
		assert.equal(before, reads, "what an earlier one has left does not count");
	end);
end);
