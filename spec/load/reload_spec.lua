-- SPDX-License-Identifier: MIT
-- A thousand reloads leave nothing behind (rule A3): `make soak` does as many, `make test` fewer.

local servers = require "spec.support.server";
local vitals = require "spec.load.vitals";

local RELOADS = os.getenv("SOAK_SECONDS") and 1000 or 100;
local HEAP, RESIDENT = 128, 1024; -- KiB that they may add

describe("reloads", function ()
	it("A3 leave no hooks, no entries in Lua's registry and no memory behind", function ()
		local server = servers.start { modules = { "receipts", "smacks" }, options = 'log = { error = "/dev/null" }\nreceipts_answer = "opt-out"' };
		finally(function () server:stop(); end);
		local alice = server:connect("alice", { managed = true, features = { "urn:xmpp:receipts" } });
		local function reload(times)
			assert(server:run(("for _ = 1, %d do assert(require 'core.modulemanager'.reload('localhost', 'receipts')); end return 'done'")
				:format(times)) == "done");
			server:reloaded();
			alice:sync();
		end
		reload(20);
		local before = vitals.of(server);
		for _ = 1, RELOADS // 50 do reload(50); end
		local after = vitals.of(server);
		if os.getenv("SOAK_SECONDS") then
			local parts = {};
			for i, field in ipairs { "hooks", "registry", "loaded", "timers", "heap", "resident" } do
				parts[i] = ("%s %d to %d"):format(field, before[field], after[field]);
			end
			print(("RELOADS %d: %s (the last two in KiB)"):format(RELOADS, table.concat(parts, ", ")));
		end
		for _, field in ipairs { "hooks", "registry", "loaded", "sessions" } do assert.equal(before[field], after[field], field); end
		assert.is_true(after.timers <= before.timers, "timers"); -- some are Prosody's, and end
		assert(after.heap <= before.heap + HEAP, ("heap grows from %d to %d KiB"):format(before.heap, after.heap));
		assert(after.resident <= before.resident + RESIDENT, ("resident memory grows from %d to %d KiB"):format(before.resident, after.resident));
	end);
end);
