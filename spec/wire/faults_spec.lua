-- SPDX-License-Identifier: MIT
-- Rule F0 on the wire: memory runs out in every message hook, at every allocation, and messages go on. Prosody itself runs under
-- sanitizers meanwhile, or under Valgrind where MEMCHECK says so, which must find nothing in the engine.

local memcheck = require "spec.support.memcheck";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";

local TOOL = os.getenv("MEMCHECK") or "sanitize";
local ROUNDS, MOST = 4, 100; -- of all kinds: sent at once; until all has failed
local FAULTS, SAVED = "prosody.hosts.localhost.modules.faults.module.faults", "prosody.hosts.localhost.modules.receipts.module.save()";

describe("memory that runs out in a real Prosody", function ()
	it("F0 costs no message, is counted, and is logged once a minute at most", function ()
		local check, began = memcheck.new(TOOL), os.time();
		local server = servers.start { errors = true, modules = { "faults" }, options = 'receipts_request = "always"',
			cpath = check.engine, under = check.words };
		local stopped;
		finally(function () if not stopped then server:stop(); end end);
		local alice, bob = server:connect("alice"), server:connect("bob");
		server:roster("alice", "bob@localhost", "both");
		server:roster("bob", "alice@localhost", "both");
		server:run(FAULTS..".started = true");

		-- Alice asks, leaves that to the server, with an id and without, or acks what nobody knows. Bob acks what asks; what Alice asked for
		-- comes to her.
		local kinds = {
			function (to, id, body) return stanzas.ask({ to = to, id = id }, "asks "..body); end,
			function (to, id, body) return stanzas.chat({ to = to, id = id }, "chats "..body); end,
			function (to, _, body) return stanzas.chat({ to = to }, "anonymous "..body); end,
			function (to, id, body) return stanzas.chat({ to = to, id = id }, "acks "..body):tag("received", { xmlns = stanzas.xmlns, id = "?" }); end,
		};
		local sent = 0;
		local function exchange()
			local asked, acked, bodies = {}, {}, {};
			for _ = 1, ROUNDS do
				for i, kind in ipairs(kinds) do
					for _, to in ipairs { "bob@localhost", bob.jid } do
						sent = sent + 1;
						local stanza = kind(to, "m"..sent, tostring(sent));
						asked["m"..sent] = i == 1 or nil;
						table.insert(bodies, stanza:get_child_text("body"));
						alice:send(stanza);
					end
				end
			end
			alice:sync();
			local got = {};
			for i, stanza in ipairs(bob:messages()) do
				got[i] = stanza:get_child_text("body");
				if stanzas.asks(stanza) then
					assert.truthy(stanza.attr.id, "C4 a request without id");
					bob:send(stanzas.ack(i % 2 == 0 and "alice@localhost" or alice.jid, stanza.attr.id));
				end
			end
			assert.same(bodies, got);
			bob:sync();
			for _, stanza in ipairs(alice:messages()) do
				local id = stanzas.acked(stanza);
				if id then acked[id] = (acked[id] or 0) + 1; end
			end
			for id in pairs(asked) do assert.equal(1, acked[id], "the ack of "..id); end
		end
		local left;
		for _ = 1, MOST do
			exchange();
			left = server:run("return "..FAULTS..".left()");
			if left == "" then break; end
		end
		assert.equal("", left);
		assert.equal("", server:run("return table.concat("..FAULTS..".raised, '\\n')"));
		assert.equal("true", server:run("return "..SAVED..".pending:check()"));
		assert.is_true(tonumber(server:run("return "..SAVED..".reports.counts.errors.hook")) > 3);
		local lines = select(2, server:log():gsub("Error in [^\n]*the stanza goes on without us", ""));
		assert.is_true(lines >= 1 and lines <= math.max(2, 1 + (os.time() - began) // 60), lines.." lines");
		local failing = tonumber(server:run("return "..FAULTS..".failing"));
		assert.is_true(failing > 300, failing.." failures");

		-- Blocks are lost on purpose, in one place: that and nothing else is reported.
		assert.equal("true", server:run("return require 'receipts.faults'.leak()"));
		stopped = true;
		server:stop();
		local reports = check.reports();
		assert.truthy(#reports == 1 and reports[1]:find("l_leak", 1, true), #reports.." reports:\n"..table.concat(reports, "\n"));
	end);
end);
