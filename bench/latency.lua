-- SPDX-License-Identifier: MIT
-- answer-latency: the time from the <a/> of a client that doesn't know receipts until the requester has the answer that the server
-- gives on its behalf; the peer is a plain message between the same two, through the same server. In microseconds, by a client that
-- looks for the end of a message and does not parse. They take turns, with so many other sessions logged in.

require "spec.support.paths";
local figures = require "bench.figures";
local load = require "bench.load";
local servers = require "spec.support.server";
local socket = require "socket";

local QUICK = arg[1] == "quick";
local SESSIONS, SAMPLES = QUICK and 100 or 1000, QUICK and 300 or 2000;

-- A client whose bytes are read as they are. Everything sent to it so far has been read.
local function raw(client)
	client:sync();
	client.conn:settimeout(10);
	local rest, receive = "", client.conn.receive;
	return {
		send = function (text) assert(client.conn:send(text)); end;
		-- The next message.
		message = function ()
			while true do
				local message, after = rest:match("(<message.-</message>)(.*)");
				if message then
					rest = after;
					return message;
				end
				client.conn:settimeout(0);
				local chunk, _, partial = receive(client.conn, 65536);
				chunk = chunk or partial;
				if chunk == "" then assert(socket.select({ client.conn }, nil, 10)[1], "nothing came"); end
				rest = rest..chunk;
			end
		end;
	};
end

local server = servers.start {
	modules = { "receipts", "smacks", "csi_simple" };
	options = 'receipts_answer = "opt-out"; receipts_request = "never"; log = { warn = "/dev/null" }';
};
server:roster("juliet", "romeo@localhost", "both");
server:roster("romeo", "juliet@localhost", "both");
local romeo = server:connect("romeo", { features = { "urn:xmpp:receipts" } });
local juliet = server:connect("juliet", { features = { "urn:example:nothing" }, managed = true });
servers.wait(function ()
	juliet:sync();
	return server:run(("return prosody.hosts.localhost.modules.receipts.module.save().capabilities:of(%q)"):format(juliet.jid)) == "incapable";
end);
local others = load.new(server.port, SESSIONS); -- the last to come: select() knows the first 1,024 descriptors only

local requester, recipient = raw(romeo), raw(juliet);
local handled = juliet.handled;

-- Romeo sends something to Juliet first, so that TCP has nothing left to wait for on either connection. Then the time counts.
local function sample(id, request, reply, expected)
	requester.send(("<message to='juliet@localhost/juliet' type='chat' id='%s'><body>The bell has rung</body>%s</message>"):format(id, request));
	assert(recipient.message():find(id, 1, true));
	handled = handled + 1;
	local began = socket.gettime();
	recipient.send(reply);
	local message = requester.message();
	local took = socket.gettime() - began;
	assert(message:find(expected, 1, true) and message:find(id, 1, true), message);
	return took * 1e6;
end

local function answer(i)
	return sample("ask"..i, "<request xmlns='urn:xmpp:receipts'/>", ("<a xmlns='urn:xmpp:sm:3' h='%d'/>"):format(handled + 1), "<received");
end

local function plain(i)
	return sample("say"..i, "",
		("<message to='romeo@localhost/romeo' type='chat' id='say%d'><body>I hear it</body></message>"):format(i), "I hear it");
end

local times = { answer = {}, plain = {} };
for i = 1, SAMPLES + 50 do
	local n = i > 50 and i - 50 or 1; -- the first ones warm up
	times.answer[n], times.plain[n] = answer(i), plain(i);
end
local ours, peer = figures.median(times.answer), figures.median(times.plain);
figures.report("answer-latency", ours, peer, ours / peer, "<=1.50");
others:close();
server:stop();
os.exit(figures.missed == 0);
