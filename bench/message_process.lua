-- SPDX-License-Identifier: MIT
-- A process of messages.lua: it reads messages as a server does, and shows them to one contestant (tables.lua) after the other.
--
--     lua5.4 bench/message_process.lua
--
-- For each line of its input, "ours", "peer", "floor" or "none" and the name of a file of messages, it makes that contestant anew, with
-- its entries that are never answered, and prints the microseconds of CPU that the file took.

require "spec.support.paths";
local corpus = require "bench.corpus";
local tables = require "bench.tables";
local st = require "util.stanza";
local xmppstream = require "util.xmppstream";

local CHUNK = 8192; -- what a server reads at once from a connection

collectgarbage("incremental", 105, 500); -- as Prosody sets it

local contestant, now, seen;

local function show(way, stanza)
	now = now + 0.001;
	contestant.set_time(now);
	contestant[way](contestant.takes == "event" and { origin = tables.session, stanza = stanza } or stanza, now);
end

local function take_turn(name)
	contestant, now, seen = tables[name](), 0, 0;
	for i = 1, tables.LIVE do
		local from, to, id = corpus.jid(i * 7 % 1000), corpus.jid(i * 11 % 1000), ("%08x-0184-4184-8184-%012x"):format(i, i);
		show("outgoing", st.message({ from = from, to = to, id = id, type = "chat" }):tag("request", { xmlns = "urn:xmpp:receipts" }):up());
	end
	collectgarbage();
	collectgarbage();
end

-- Batches that ask, and batches that ack.
local stream = xmppstream.new({ notopen = true }, {
	default_ns = "jabber:client", streamopened = function (session) session.notopen = nil; end;
	handlestanza = function (_, stanza)
		show(seen % (2 * tables.BATCH) < tables.BATCH and "outgoing" or "incoming", stanza);
		seen = seen + 1;
	end;
});
assert(stream:feed("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"));

for line in io.lines() do
	local name, path = line:match("^(%l+) (.+)$");
	take_turn(name);
	local file = assert(io.open(path));
	local before = os.clock();
	repeat
		local chunk = file:read(CHUNK);
		if chunk then assert(stream:feed(chunk)); end
	until not chunk;
	print((os.clock() - before) * 1e6);
	io.stdout:flush();
	file:close();
	assert(contestant.count() == tables.LIVE, "not every ack was matched");
end
