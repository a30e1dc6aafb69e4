-- SPDX-License-Identifier: MIT
-- Rule F2 on the wire: what is remembered is bounded, and one user's flood costs nobody else.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

describe("limits", function ()
	local server, alice, bob, flood;
	setup(function ()
		server = servers.start { options = [[
			receipts_max_pending = 8
			receipts_max_pending_per_user = 5
			receipts_expire_after = "1h"
			receipts_flush_interval = "1h"
			receipts_unknown = "drop"
		]] };
	end);
	teardown(function () server:stop(); end);
	before_each(function ()
		alice, bob, flood = server:connect("alice"), server:connect("bob"), server:connect("flood");
		for _, name in ipairs { "alice", "flood" } do server:roster("bob", name.."@localhost", "both"); end
	end);
	after_each(function ()
		server:disconnect_all();
		server:run("prosody.hosts.localhost.modules.receipts.module.save().pending:expire(require 'util.time'.now() + 7200, 1000)");
	end);

	local function acked(who, id)
		bob:send(stanzas.ack(who.jid, id));
		bob:sync();
		local got = who:messages();
		return got[1] ~= nil;
	end

	it("F2 a user over the quota loses their own oldest, and nobody else's", function ()
		alice:send(stanzas.ask { to = "bob@localhost", id = "before" });
		alice:sync();
		for i = 1, 20 do flood:send(stanzas.ask { to = "bob@localhost", id = "f"..i }); end
		flood:sync();
		assert.is_true(acked(alice, "before"));
		assert.is_false(acked(flood, "f15"));
		assert.is_true(acked(flood, "f16"));
		assert.is_true(acked(flood, "f20"));
	end);

	it("F2 of directed presence no more is kept than Prosody keeps", function ()
		local function kept()
			return server:run([[
				local r, session = prosody.hosts.localhost.modules.receipts.module.save(), prosody.full_sessions["bob@localhost/bob"];
				local function count(set)
					local n = 0;
					for _, value in pairs(set or {}) do n = n + (value == true and 1 or count(value)); end
					return n;
				end
				return count(session.directed).." directed, "..count(r.presence.index[session]).." in the index, "..count(r.rooms.of_session[session]).." rooms";
			]]);
		end
		bob:send(bob:presence { to = "carl@localhost" }):send(stanzas.ack("carl@localhost", "carl's")):sync();
		for i = 1, 3 do
			bob:send(st.presence { to = "alice@localhost/"..i });
			bob:send(st.presence({ to = "room"..i.."@localhost/bob" }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
			bob:send(st.presence({ to = "room"..i.."@localhost/bob", type = "error" }):tag("error", { type = "cancel" }));
		end
		bob:sync();
		assert.equal("1 directed, 1 in the index, 0 rooms", kept());
	end);

	it("F2 what has made room does not pile up, though requests are out of the ordinary because somebody hears of them", function ()
		local function evicted(first)
			return tonumber(server:run("local reports = prosody.hosts.localhost.modules.receipts.module.save().reports; "..first
				.."return reports.counts.outcomes.evicted"));
		end
		server:run("function module.spec_hears() end; module:hook('receipts/requested', module.spec_hears)");
		finally(function () server:run("module:unhook('receipts/requested', module.spec_hears)"); end);
		local before = evicted("reports:settle(); ");
		for i = 1, 5 + 600 do flood:send(stanzas.ask { to = "bob@localhost", id = "r"..i }); end
		flood:sync();
		assert.equal(2 * 256, evicted("") - before);
		assert.equal(600, evicted("reports:settle(); ") - before, "F4 all of it, once somebody asks");
	end);

	it("F2 what was delivered makes room before what is awaited", function ()
		flood:send(stanzas.ask { to = "bob@localhost", id = "waits" });
		flood:sync();
		for i = 1, 20 do
			flood:send(stanzas.ask { to = "bob@localhost", id = "g"..i });
			flood:sync();
			assert.is_true(acked(flood, "g"..i));
		end
		assert.is_true(acked(flood, "waits"));
	end);

	it("F2 a full table takes nothing new from others, and messages go on", function ()
		local second = server:connect("second");
		server:roster("bob", "second@localhost", "both");
		for i = 1, 5 do flood:send(stanzas.ask { to = "bob@localhost", id = "f"..i }); end
		flood:sync();
		for i = 1, 3 do second:send(stanzas.ask { to = "bob@localhost", id = "s"..i }); end
		second:sync();
		bob:messages();
		local function counted()
			return server:run([[
				local reports = prosody.hosts.localhost.modules.receipts.module.save().reports;
				reports:settle();
				return reports.counts.requests.client.." "..reports.counts.outcomes.untracked;
			]]);
		end
		local asked, untracked = counted():match("(%d+) (%d+)");
		alice:send(stanzas.ask { to = "bob@localhost", id = "late" });
		alice:sync();
		assert.is_true(stanzas.asks(bob:messages()[1]), "delivered, request and all");
		assert.equal(("%d %d"):format(asked + 1, untracked + 1), counted(), "F4");
		assert.equal("F2 not tracked: full", server:why("alice@localhost", "late"));
		assert.is_false(acked(alice, "late"));
		assert.is_true(acked(flood, "f1"));
		assert.is_true(acked(second, "s1"));
	end);

	it("F2 what is over its time is forgotten", function ()
		alice:send(stanzas.ask { to = "bob@localhost", id = "old" });
		alice:sync();
		assert.equal("1", server:run([[
			local pending = prosody.hosts.localhost.modules.receipts.module.save().pending;
			return (pending:expire(require "util.time".now() + 3601, 100));
		]]));
		assert.is_false(acked(alice, "old"));
	end);

	it("F2 what was acked is not remembered for longer than what was not", function ()
		alice:send(stanzas.ask { to = "bob@localhost", id = "acked" });
		alice:sync();
		assert.is_true(acked(alice, "acked"));
		local function state_after(seconds)
			return server:run(([[
				local pending = prosody.hosts.localhost.modules.receipts.module.save().pending;
				pending:expire(require "util.time".now() + %d, 100);
				return tostring((pending:state("alice@localhost", "bob@localhost", "acked")));
			]]):format(seconds));
		end
		assert.same({ "delivered", "nil" }, { state_after(3500), state_after(3601) });
	end);

	it("F2 the timer sees to it", function ()
		alice:send(stanzas.ask { to = "bob@localhost", id = "timed" });
		alice:sync();
		-- Runs the module's own timer now, a day later.
		assert.equal("0", server:run([[
			local module = prosody.hosts.localhost.modules.receipts.module;
			local time = require "util.time";
			local timer = require "util.timer";
			local callbacks = {};
			local add_task = timer.add_task;
			timer.add_task = function (delay, callback, param)
				table.insert(callbacks, function () callback(time.now(), nil, param); end);
				return add_task(delay, callback, param);
			end;
			local now = time.now;
			time.now = function () return now() + 86400; end;
			require "core.modulemanager".reload("localhost", "receipts");
			time.now, timer.add_task = now, add_task;
			for _, callback in ipairs(callbacks) do callback(); end
			return prosody.hosts.localhost.modules.receipts.module.save().pending:count();
		]]));
	end);
end);
