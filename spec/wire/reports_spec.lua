-- SPDX-License-Identifier: MIT
-- Rules F3, F4 on the wire: whatever way somebody asks what became of messages, the answer is what the clients did, to the last one.

local paths = require "spec.support.paths";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local adhoc = require "spec.support.adhoc";
local http = require "socket.http";
local socket = require "socket";

local xmlns = stanzas.xmlns;

local function error_to(to, id)
	return stanzas.chat({ to = to, id = id, type = "error" }, false)
		:tag("error", { type = "cancel" }):tag("service-unavailable", { xmlns = "urn:ietf:params:xml:ns:xmpp-stanzas" }):up():up();
end

describe("reports", function ()
	local server, alice, bob, legacy, expected;

	local function count(what, n)
		expected[what] = (expected[what] or 0) + (n or 1);
	end

	-- All that clients do. Returns the largest share of a timer's time that passed before what must precede it was done.
	local function play()
		local slowest, began = 0;
		local function asked() began = socket.gettime(); end
		-- @param seconds  optional: the timer's, where it is not one
		local function done(seconds) slowest = math.max(slowest, (socket.gettime() - began) / (seconds or 1)); end
		expected = {};
		server = servers.start {
			modules = { "receipts", "receipts_log", "smacks", "http_openmetrics", "admin_shell" };
			plugin_paths = { paths.root, paths.root.."/examples" };
			http = true;
			options = [[
				admins = { "admin@localhost" }
				statistics = "internal"
				statistics_interval = "manual"
				receipts_request = "always"
				receipts_answer = "opt-out"
				receipts_unknown = "drop"
				receipts_groupchat_requests = "strip"
				receipts_max_pending_per_user = 10
				receipts_overdue_after = "4s"
				receipts_expire_after = "6s"
				receipts_resend_attempts = 1
				receipts_resend_after = "1s"
			]];
		};
		local capable = { features = { xmlns } };
		alice, bob = server:connect("alice", capable), server:connect("bob", capable);
		legacy = server:connect("legacy", { managed = true, features = { "jabber:iq:version" } });
		local mallory, flood = server:connect("mallory", capable), server:connect("flood", capable);
		for _, name in ipairs { "bob", "mallory", "legacy" } do server:roster(name, "alice@localhost", "both"); end
		server:roster("alice", "legacy@localhost", "both");
		server:roster("alice", "bob@localhost", "both");
		local function known(jid, as)
			servers.wait(function ()
				return server:support_of(jid) == as;
			end);
		end
		for _, one in ipairs { alice, bob, mallory, flood } do known(one.jid, "capable"); end
		known(legacy.jid, "incapable");

		local function ask(id, to)
			alice:send(stanzas.ask { to = to or "bob@localhost/bob", id = id });
			alice:sync();
			count("Asked for by clients");
		end
		local function ack(from, id)
			from:send(stanzas.ack("alice@localhost/alice", id));
			from:sync();
		end

		asked();
		local first = began;
		ask("one");
		ack(bob, "one");
		done();
		count("Delivered");
		for _ = 1, 2 do
			ack(bob, "one");
			count("Duplicate acks");
		end
		ack(bob, "never asked");
		count("Acks of unknown messages");
		count("Removed: unknown");

		asked();
		ask("two");
		for _ = 1, 3 do
			ack(mallory, "two");
			count("Forged acks");
			count("Removed: forged");
		end
		bob:send(error_to("alice@localhost/alice", "two"));
		bob:sync();
		done();
		count("Failed (bounced)");
		ack(bob, "two"); -- a late ack still wins
		count("Delivered");

		-- A message to oneself, which needs no address.
		asked();
		alice:send(stanzas.ask { id = "self" });
		alice:sync();
		count("Asked for by clients");
		ack(alice, "self");
		done();
		count("Delivered");

		-- The server asks for a client that can't, and its client never sees the ack.
		asked();
		legacy:send(stanzas.chat { to = "alice@localhost/alice", id = "three" });
		legacy:sync();
		count("Asked for by the server");
		legacy:send(stanzas.chat { to = "alice@localhost/alice", id = "three" }); -- once more: it is one that is awaited
		legacy:sync();
		alice:send(stanzas.ack("legacy@localhost/legacy", "three"));
		alice:sync();
		done();
		count("Delivered");

		-- The server answers for a client that doesn't.
		ask("four", "legacy@localhost/legacy");
		legacy:sync();
		legacy:acknowledge();
		legacy:sync();
		alice:sync();
		count("Answered for clients");
		count("Delivered");

		-- Acks that nobody may see, and what is malformed.
		bob:send(stanzas.ack("flood@localhost/flood", "hidden"));
		bob:sync();
		count("Removed: hidden");
		local function malformed(problem, stanza)
			bob:send(stanza);
			bob:sync();
			count("Removed: "..problem);
		end
		malformed("request-without-id", stanzas.ask { to = "alice@localhost/alice" });
		malformed("request-in-ack", stanzas.ack("alice@localhost/alice", "one", { id = "m" }):tag("request", { xmlns = xmlns }):up());
		count("Duplicate acks");
		malformed("request-not-empty", stanzas.chat({ to = "alice@localhost/alice", id = "m" })
			:tag("request", { xmlns = xmlns }):tag("x"):up():up());
		malformed("request-in-groupchat", stanzas.ask { to = "alice@localhost/alice", id = "m", type = "groupchat" });
		malformed("request-in-error", error_to("alice@localhost/alice", "m"):tag("request", { xmlns = xmlns }):up());
		malformed("received-in-error", error_to("alice@localhost/alice", "m"):tag("received", { xmlns = xmlns, id = "x" }):up());
		malformed("received-not-empty", stanzas.chat({ to = "alice@localhost/alice" }, false)
			:tag("received", { xmlns = xmlns, id = "one" }):text("x"):up());
		malformed("several-received", stanzas.ack("alice@localhost/alice", "one"):tag("received", { xmlns = xmlns, id = "two" }):up());
		count("Duplicate acks");
		malformed("received-without-id", stanzas.chat({ to = "alice@localhost/alice" }, false):tag("received", { xmlns = xmlns }):up());
		count("Acks of unknown messages");

		began = first; -- "one" is remembered for six seconds
		done(6);

		-- More than the quota; the rest is overdue, and expires.
		server:connect("silent");
		asked();
		for i = 1, 14 do
			flood:send(stanzas.ask { to = "silent@localhost", id = "f"..i });
			count("Asked for by clients");
		end
		flood:sync();
		done();
		count("Evicted: over a limit", 4);
		count("Overdue", 10);
		count("Expired", 10);

		-- One that is sent again, and acked then.
		asked();
		ask("again");
		local copies = -1; -- the first is no copy
		servers.wait(function ()
			for _, message in ipairs(bob:messages()) do copies = copies + (message.attr.id == "again" and 1 or 0); end
			return copies > 0;
		end);
		count("Sent again");
		ack(bob, "again");
		done(4);
		count("Delivered");
		servers.wait(function ()
			asked();
			local none = server:run("return prosody.hosts.localhost.modules.receipts.module.save().pending:count()") == "0";
			done();
			return none;
		end);
		return slowest;
	end

	setup(function ()
		for _ = 1, 5 do
			if play() < 0.8 then return; end
			server:stop();
		end
		error("this machine is too busy for timers of a second");
	end);
	teardown(function () server:stop(); end);

	-- Every line that has to do with counts.
	local ALWAYS = { "Asked for by clients", "Asked for by the server", "Delivered", "Failed (bounced)", "Overdue", "Expired",
		"Evicted: over a limit", "Duplicate acks", "Acks of unknown messages", "Forged acks", "Answered for clients",
		"Sent again", "Errors caught", "Failures of the store" };
	local function compare(read, text)
		for _, label in ipairs(ALWAYS) do assert.equal(expected[label] or 0, read(label), label.." in\n"..text); end
		for label, n in pairs(expected) do assert.equal(n, read(label), label.." in\n"..text); end
	end

	it("F4 the shell counts what the clients did", function ()
		local text = server:prosodyctl("shell", "receipts", "stats", "localhost");
		compare(function (label) return tonumber(text:match("\n"..label:gsub("%p", "%%%0").." *| *(%d+)")); end, text);
	end);

	it("F4 the ad-hoc command counts the same", function ()
		local text = adhoc(server, "admin@localhost", "run", "localhost", "receipts#statistics");
		compare(function (label) return tonumber(text:match(label:gsub("%p", "%%%0")..": (%d+)")); end, text);
	end);

	local METRICS = {
		["Asked for by clients"] = 'requests_total{host="localhost",by="client"}';
		["Asked for by the server"] = 'requests_total{host="localhost",by="server"}';
		["Delivered"] = 'outcomes_total{host="localhost",outcome="delivered"}';
		["Failed (bounced)"] = 'outcomes_total{host="localhost",outcome="failed"}';
		["Overdue"] = 'outcomes_total{host="localhost",outcome="overdue"}';
		["Expired"] = 'outcomes_total{host="localhost",outcome="expired"}';
		["Evicted: over a limit"] = 'outcomes_total{host="localhost",outcome="evicted"}';
		["Duplicate acks"] = 'outcomes_total{host="localhost",outcome="duplicate"}';
		["Acks of unknown messages"] = 'outcomes_total{host="localhost",outcome="unknown"}';
		["Forged acks"] = 'outcomes_total{host="localhost",outcome="forged"}';
		["Answered for clients"] = 'answers_total{host="localhost"}';
		["Sent again"] = 'resent_total{host="localhost"}';
		["Errors caught"] = 'errors_total{host="localhost",kind="hook"}';
		["Failures of the store"] = 'errors_total{host="localhost",kind="store"}';
	};

	it("F4 the metrics count the same", function ()
		local text = http.request(("http://127.0.0.1:%d/metrics"):format(server.http_port));
		local samples = {};
		for name, value in text:gmatch("\nprosody_mod_receipts__(%S+) ([%d.]+)") do samples[name] = tonumber(value); end
		compare(function (label)
			local reason = label:match("^Removed: (.*)");
			return samples[reason and ('rejected_total{host="localhost",reason="%s"}'):format(reason) or METRICS[label]];
		end, text);
		assert.equal(expected["Delivered"], samples['delivery_seconds_count{host="localhost"}']);
		assert.equal(expected["Delivered"], samples['delivery_seconds_bucket{host="localhost",le="5"}']);
		assert.equal(0, samples['pending{host="localhost"}']);
	end);

	it("F3 the events are the same, one for each", function ()
		local told = {};
		for name in server:log():gmatch("localhost:receipts_log%s+info%s+(%a+): message") do told[name] = (told[name] or 0) + 1; end
		local rejected = 0;
		for label, n in pairs(expected) do
			if label:find("^Removed") then rejected = rejected + n; end
		end
		assert.same({
			requested = expected["Asked for by clients"] + expected["Asked for by the server"];
			delivered = expected["Delivered"], failed = expected["Failed (bounced)"], overdue = expected["Overdue"];
			expired = expected["Expired"] + expected["Evicted: over a limit"];
			rejected = rejected;
		}, told);
	end);

	it("F3 an event says who, whom, which, how old, by whom and why", function ()
		local log = server:log();
		local function says(text) assert(log:find(text, 1, true), text); end
		says("requested: message one from alice@localhost to bob@localhost, after 0.0 s, by alice@localhost/alice (-)");
		says("requested: message three from legacy@localhost to alice@localhost, after 0.0 s, by legacy@localhost/legacy (-)");
		says("requested: message self from alice@localhost to alice@localhost, after 0.0 s, by alice@localhost/alice (-)");
		assert.truthy(log:find("delivered: message one from alice@localhost to bob@localhost, after [%d.]+ s, by bob@localhost/bob %(%-%)"));
		assert.truthy(log:find("failed: message two from alice@localhost to bob@localhost, after [%d.]+ s, by bob@localhost/bob %(%-%)"));
		assert.truthy(log:find("overdue: message f14 from flood@localhost to silent@localhost, after [45]%.%d s, by nobody %(%-%)"));
		assert.truthy(log:find("expired: message f1 from flood@localhost to silent@localhost, after 0%.%d s, by nobody %(room%)"));
		assert.truthy(log:find("expired: message f14 from flood@localhost to silent@localhost, after [67]%.%d s, by nobody %(time%)"));
		says("rejected: message two from alice@localhost to mallory@localhost/mallory, after 0.0 s, by mallory@localhost/mallory (forged)");
		says("rejected: message hidden from flood@localhost to bob@localhost/bob, after 0.0 s, by bob@localhost/bob (hidden)");
		says("rejected: message m from bob@localhost to alice@localhost/alice, after 0.0 s, by bob@localhost/bob (request-not-empty)");
	end);
end);

describe("a message that comes to nothing while its sender is offline", function ()
	it("F4 is told of by why: overdue, expired, forgotten, and what has expired in the store", function ()
		local server = servers.start { modules = { "receipts", "admin_shell" },
			options = "receipts_overdue_after = 1\nreceipts_expire_after = 3\nreceipts_max_pending_per_user = 1" };
		finally(function () server:stop(); end);
		local function why(user, id)
			return (server:prosodyctl("shell", "receipts", "why", user.."@localhost", id));
		end
		local alice = server:connect("alice");
		server:connect("bob");
		for _, id in ipairs { "first", "second" } do alice:send(stanzas.ask { to = "bob@localhost", id = id }); end
		alice:close();
		for _, outcome in ipairs { "F3 overdue: ", "F2 expired: " } do
			servers.wait(function () return why("alice", "second"):find(outcome, 1, true); end);
		end
		assert.truthy(why("alice", "first"):find("F2 forgotten: ", 1, true));
		local key = paths.lib("records").key("bob@localhost", "third");
		server:run(("prosody.hosts.localhost.modules.receipts.module.save().store.keyval:set('carol', "
			.."{ [%q] = { to = 'bob@localhost', id = 'third', time = os.time() - 60 } })"):format(key));
		assert.truthy(why("carol", "third"):find("F2 expired: ", 1, true));
	end);
end);
