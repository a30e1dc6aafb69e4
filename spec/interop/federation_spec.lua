-- SPDX-License-Identifier: MIT
-- Receipts between servers: two versions of Prosody and an ejabberd, each with certificates that the others verify.

local ejabberd = require "spec.interop.ejabberd";
local note = require "spec.interop.seen";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local st = require "util.stanza";
local stanzas = require "spec.support.stanzas";

local R = stanzas.xmlns;

local row = note.part("Other servers", [[Prosody and ejabberd as Debian packages them, on loopback, over TLS; each verifies the other's certificate
(no dialback). "mod_receipts" is a Prosody that has it, with `receipts_answer = "opt-out"`. Two Prosodys are of different versions: a "Prosody
alone" is 0.12 as the first server, 13.0 as the second. Alice, on the first server, and Bob, on the second, see each other's presence.
Mallory is another user of Bob's server. Carol is one of Alice's server whom Bob does not know.]]);

-- Addresses at which servers take connections from others; ejabberd looks for all at one port.
local addresses = { old = "127.0.0.2", new = "127.0.0.3" };
local hosts = {
	["old.test"] = { server = "old", module = true };
	["plain.old.test"] = { server = "old" };
	["new.test"] = { server = "new", module = true };
	["plain.new.test"] = { server = "new" };
	["ejabberd.test"] = { server = "ejabberd" };
};
local pairs_of_hosts = {
	{ "old.test", "new.test" };
	{ "new.test", "old.test" };
	{ "old.test", "plain.new.test" };
	{ "plain.old.test", "new.test" };
	{ "plain.old.test", "plain.new.test" };
	{ "old.test", "ejabberd.test" };
	{ "new.test", "ejabberd.test" };
	{ "ejabberd.test", "old.test" };
	{ "ejabberd.test", "new.test" };
};

-- A CA, and for each host a key and a certificate: HOST.key and HOST.crt for Prosody, both in HOST.pem for ejabberd.
local function certify(dir)
	local function run(command)
		assert(os.execute(("cd '%s' && %s >>openssl.log 2>&1"):format(dir, command)), "openssl failed: "..process.read(dir.."/openssl.log"));
	end
	run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=CA of a test' -keyout ca.key -out ca.pem");
	for host in pairs(hosts) do
		run(("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=%s -keyout %s.key -out %s.csr"):format(host, host, host));
		process.write(dir.."/extensions", "subjectAltName=DNS:"..host.."\nextendedKeyUsage=serverAuth,clientAuth\n");
		run(("openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out %s.crt"):format(host, host));
		process.write(dir.."/"..host..".pem", process.read(dir.."/"..host..".crt")..process.read(dir.."/"..host..".key"));
	end
end

local function prosody(version, name, dir, ports)
	local neighbours, virtual = {}, {};
	for host, its in pairs(hosts) do
		if its.server == name then
			table.insert(virtual, ('VirtualHost %q'):format(host));
			if not its.module then table.insert(virtual, 'modules_disabled = { "receipts", "offline" }'); end
		else
			table.insert(neighbours, ("[%q] = { %q, %d }"):format(host, addresses[its.server] or "127.0.0.1", ports[its.server] or ports.prosody));
		end
	end
	return servers.start {
		version = version, modules = { "receipts", "smacks", "tls", "neighbours" };
		options = ([[
			modules_disabled = { "offline" } -- what the template disables, but for s2s
			certificates = "%s"
			ssl = { cafile = "%s/ca.pem" }
			s2s_secure_auth = true
			s2s_require_encryption = true
			s2s_interfaces = { "%s" }
			s2s_ports = { %d }
			s2s_direct_tls_ports = {}
			neighbours = { %s }
			receipts_answer = "opt-out"
		]]):format(dir, dir, addresses[name], ports.prosody, table.concat(neighbours, ", "));
		hosts = table.concat(virtual, "\n");
	};
end

-- What came to a client, of which nothing is lost while waiting.
local function come(client)
	client.got = client.got or {};
	for _, stanza in ipairs(client:stanzas()) do table.insert(client.got, stanza); end
	return client.got;
end

-- Waits for a stanza that `match` accepts, and takes it out.
local function await(client, what, match)
	return process.wait(function ()
		for i, stanza in ipairs(come(client)) do
			if match(stanza) then return table.remove(client.got, i); end
		end
	end, function ()
		local out = {};
		for i, stanza in ipairs(client.got) do out[i] = tostring(stanza); end
		return client.jid.." got no "..what..", but:\n"..table.concat(out, "\n");
	end);
end

local function message(id)
	return function (stanza) return stanza.name == "message" and stanza.attr.id == id; end;
end

local function presence_of(jid, kind)
	return function (stanza) return stanza.name == "presence" and stanza.attr.type == kind and stanza.attr.from == jid; end;
end

local serial = 0;
-- The messages that came to `to` before one that `from` sends now: servers keep the order of what goes from one to the other.
local function until_now(from, to)
	serial = serial + 1;
	local id = "marker-"..serial;
	from:send(stanzas.chat({ to = to.jid, id = id }, "all that went before has come"));
	await(to, "marker", message(id));
	local before = {};
	for _, stanza in ipairs(to.got) do
		if stanza.name == "message" then table.insert(before, stanza); end
	end
	to.got = {};
	return before;
end

local function acks(list)
	local ids = {};
	for _, stanza in ipairs(list) do
		if stanzas.acked(stanza) then table.insert(ids, stanzas.acked(stanza)); end
	end
	return ids;
end

describe("receipts between servers", function ()
	local dir, ports;
	local at, versions = {}, {};
	setup(function ()
		dir = process.temp_dir();
		certify(dir);
		ports = { prosody = process.free_port(), ejabberd = process.free_port() };
		at.old = prosody("0.12", "old", dir, ports);
		at.new = prosody("13.0", "new", dir, ports);
		at.ejabberd = ejabberd.start {
			dir = dir, host = "ejabberd.test", ca = dir.."/ca.pem", users = { "alice", "bob", "carol", "mallory" };
			s2s_port = ports.ejabberd, remote_port = ports.prosody;
			hosts = { ["old.test"] = addresses.old, ["new.test"] = addresses.new };
		};
		versions.old, versions.new = at.old:run("return prosody.version"), at.new:run("return prosody.version");
		versions.ejabberd = ejabberd.version();
	end);
	teardown(function ()
		for _, server in pairs(at) do server:stop(); end
		os.execute("rm -rf '"..dir.."'");
	end);
	local down; -- the server that a spec has stopped
	local function stop(name)
		down = name;
		at[name]:halt();
	end
	local function bring_back()
		if down then at[down]:restart(); end
		down = nil;
	end
	after_each(function ()
		bring_back();
		for _, server in pairs(at) do server:disconnect_all(); end
	end);

	local function connect(jid, how) return at[hosts[jid:match("@([^/]*)")].server]:connect(jid, how); end

	-- Alice and Bob see each other: as people come to, on first use.
	local friends = {};
	local function meet(a, b, how)
		how = how or {};
		local alice, bob = connect("alice@"..a.."/a", how.alice or { features = { R } }), connect("bob@"..b.."/b", how.bob or { features = { R } });
		if not friends[a.." "..b] then
			-- Only who asked for the roster is told how a subscription goes.
			for _, client in ipairs { alice, bob } do
				client:iq(st.stanza("iq", { type = "get" }):tag("query", { xmlns = "jabber:iq:roster" }));
			end
			for _, two in ipairs { { alice, bob }, { bob, alice } } do
				two[1]:send(st.presence { to = two[2].bare, type = "subscribe" });
				await(two[2], "subscription", presence_of(two[1].bare, "subscribe"));
				two[2]:send(st.presence { to = two[1].bare, type = "subscribed" });
				await(two[1], "agreement", presence_of(two[2].bare, "subscribed"));
			end
			friends[a.." "..b] = true;
		end
		-- The last presence of each, which the other's server probed for or got.
		alice:send(alice:presence());
		bob:send(bob:presence());
		await(alice, "presence", presence_of(bob.jid));
		await(bob, "presence", presence_of(alice.jid));
		return alice, bob;
	end

	for _, two in ipairs(pairs_of_hosts) do
		local a, b = two[1], two[2];
		local A, B = hosts[a], hosts[b];
		local function title(its)
			return its.server == "ejabberd" and "ejabberd" or (its.module and "Prosody with it" or "Prosody without it");
		end
		local function seen(done, what, limit)
			local function side(its)
				return its.server == "ejabberd" and "ejabberd "..versions.ejabberd or its.module and "mod_receipts" or "Prosody alone";
			end
			for _, its in ipairs { A, B } do -- a row for each Prosody that took part
				if its.server ~= "ejabberd" then row(side(A).." → "..side(B), "", "Prosody "..versions[its.server], done, what, limit); end
			end
		end

		-- Waits until the module at `host`, if there is one, has found out what a client can, which answers while it reads.
		local function found_out(host, client, what)
			if not hosts[host].module then return; end
			process.wait(function ()
				come(client);
				return at[hosts[host].server]:support_of(client.jid, host) == what;
			end, function () return client.jid.." was not found out to be "..what; end);
		end

		local old = { features = { "urn:example:old" } };
		local old_managed = { features = { "urn:example:old" }, managed = true };

		describe(("from %s (%s) to %s (%s):"):format(a, title(A), b, title(B)), function ()
			it("a request goes, and its ack comes back", function ()
				local alice, bob = meet(a, b);
				alice:send(stanzas.ask { to = bob.jid, id = "ask" });
				assert.is_true(stanzas.asks(await(bob, "message", message("ask"))));
				bob:send(stanzas.ack(alice.jid, "ask", { id = "ack" }));
				assert.equal("ask", stanzas.acked(await(alice, "ack", message("ack"))));
				seen("Alice asks, and Bob's client acks", "Alice has her tick");
			end);

			it("the server answers for a client that can't, and only to friends", function ()
				local alice, bob = meet(a, b, { bob = old_managed });
				local carol = connect("carol@"..a.."/c", { features = { R } });
				found_out(b, bob, "incapable");
				alice:send(stanzas.ask { to = bob.jid, id = "friend" });
				carol:send(stanzas.ask { to = bob.jid, id = "stranger" });
				await(bob, "message", message("friend"));
				await(bob, "message", message("stranger"));
				bob:acknowledge();
				assert.same(B.module and { "friend" } or {}, acks(until_now(bob, alice)));
				assert.same({}, acks(until_now(bob, carol)));
				seen("Alice asks, and Carol; Bob's client does no receipts, but acks its stream", B.module
					and "Alice has her tick, by Bob's server; Carol gets none" or "nobody answers",
					not B.module and "A server without mod_receipts (ejabberd, Prosody alone) does not answer for its users.");
			end);

			it("an ack from somebody who was not asked", function ()
				local alice, bob = meet(a, b);
				local mallory = connect("mallory@"..b.."/m", { features = { R } });
				mallory:send(mallory:presence { to = alice.jid }); -- else the own server would hold it back
				alice:send(stanzas.ask { to = bob.jid, id = "mine" });
				await(bob, "message", message("mine"));
				mallory:send(stanzas.ack(alice.jid, "mine", { id = "forged" }));
				assert.same(A.module and {} or { "mine" }, acks(until_now(mallory, alice)));
				bob:send(stanzas.ack(alice.jid, "mine", { id = "true" }));
				await(alice, "ack", message("true"));
				seen("Mallory acks what Alice asked of Bob; then Bob acks", A.module
					and "Alice sees Bob's ack alone" or "Alice gets both: her client has to find out which is true",
					not A.module and "Users of a server without mod_receipts get forged receipts too.");
			end);

			it("an ack to a stranger", function ()
				local bob = connect("bob@"..b.."/b", { features = { R } });
				local carol = connect("carol@"..a.."/c", { features = { R } });
				carol:send(stanzas.ask { to = bob.jid, id = "who" });
				await(bob, "message", message("who"));
				bob:send(stanzas.ack(carol.jid, "who", { id = "leak" }));
				assert.same(B.module and {} or { "who" }, acks(until_now(bob, carol)));
				seen("Carol asks, and Bob's client acks to her", B.module
					and "Carol gets no ack, so does not learn that Bob is there" or "Carol gets the ack: Bob is there",
					not B.module and "Users of a server without mod_receipts send receipts to strangers too, who so learn that they are there.");
			end);

			it("a request for a client that can't ask", function ()
				local alice, bob = meet(a, b, { alice = old });
				found_out(a, alice, "incapable");
				found_out(a, bob, "capable");
				if A.module then
					at[A.server]:run(("prosody.hosts[%q].events.add_handler('receipts/delivered', function (e) prosody.spec_delivered = e; end)")
						:format(a));
				end
				alice:send(stanzas.chat { to = bob.jid, id = "plain" });
				assert.equal(A.module or false, stanzas.asks(await(bob, "message", message("plain"))));
				if A.module then bob:send(stanzas.ack(alice.jid, "plain", { id = "for-the-server" })); end
				assert.same({}, acks(until_now(bob, alice)));
				if A.module then
					assert.equal("plain by "..bob.jid, at[A.server]:run("local e = prosody.spec_delivered; return e.id..' by '..e.by"));
				end
				seen("Alice's client does no receipts, Bob's shows in its caps that it does", A.module
					and "Alice's server asks; the ack counts, and does not come to her client" or "no receipt is asked for",
					not A.module and "A server without mod_receipts asks for no receipt when the client can't.");
			end);

			it("the other server is down, and comes back", function ()
				local alice = meet(a, b);
				-- Asks Bob, and again, until `watched` gets such a message, which is what comes back from here. A server may wait a little
				-- before it tries again, and what ejabberd is given in the moment in which a connection of its ends, it may lose.
				local function ask_until(watched, id, kind)
					local n = 0;
					return process.wait(function ()
						n = n + 1;
						alice:send(stanzas.ask { to = "bob@"..b.."/b", id = id.."-"..n });
						for _, stanza in ipairs(come(watched)) do
							if stanza.name == "message" and stanza.attr.type == kind and stanza.attr.id:sub(1, #id) == id then return stanza; end
						end
					end, function () return watched.jid.." got none of "..n.." messages "..id; end, 0.3);
				end
				stop(B.server);
				local bounced = ask_until(alice, "lost", "error");
				if A.server ~= "ejabberd" then assert.equal("lost-1", bounced.attr.id); end
				bring_back();
				local bob = connect("bob@"..b.."/b", { features = { R } });
				local asked = ask_until(bob, "again", "chat");
				bob:send(stanzas.ack(alice.jid, asked.attr.id, { id = "back" }));
				assert.equal(asked.attr.id, stanzas.acked(await(alice, "ack", message("back"))));
				seen("Bob's server is stopped, Alice asks; it starts, Alice asks again", "Alice gets an error while it is down, a tick once it is back");
			end);

			if B.module then
				it("the asker's server is down when the answer goes", function ()
					local alice, bob = meet(a, b, { bob = old_managed });
					found_out(b, bob, "incapable");
					alice:send(stanzas.ask { to = bob.jid, id = "unanswered" });
					await(bob, "message", message("unanswered"));
					stop(A.server);
					bob:send(stanzas.chat { to = "alice@"..a, id = "first" });
					await(bob, "bounce", message("first"));
					bob.got = {};
					local logged = #at[B.server]:log();
					bob:acknowledge();
					bob:send(stanzas.chat { to = "alice@"..a, id = "second" });
					await(bob, "bounce", message("second"));
					process.wait(function ()
						return at[B.server]:log():find("D8 the bounce of an answer of ours", logged, true);
					end, function () return "no answer of the server's came back"; end);
					for _, stanza in ipairs(come(bob)) do assert.not_equal("message", stanza.name, tostring(stanza)); end
					seen("Alice's server is stopped before Bob's server answers for him", "Bob gets errors for what he wrote himself, none for the answer");
				end);
			end
		end);
	end
end);
