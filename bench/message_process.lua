-- SPDX-License-Identifier: MIT
-- A process of messages.lua: it reads messages as a server does, and shows them to one contestant (tables.lua) after the other.
--
--     lua5.4 bench/message_process.lua
--
-- For each line of its input, "ours", "peer", "floor" or "none" and the name of a file of messages, one a line, it makes that contestant
-- anew, with its entries that are never answered, and prints the microseconds of CPU that the file took.
--
-- What the collector takes, and so what a contestant's tables cost, hangs on what else is in Lua's memory: here it is what a small server
-- has, Prosody's libraries and 100 sessions that are read from in turn. But the more bytes are in it, the less often the collector goes
-- round, so that whoever holds idle megabytes seems to make everybody else's work cheaper. That is a setting of the collector's by other
-- means, and not what is to be measured: so each contestant's memory is filled up to the same size, by a string.

require "spec.support.paths";
local corpus = require "bench.corpus";
local tables = require "bench.tables";
local st = require "util.stanza";
local xmppstream = require "util.xmppstream";

local SESSIONS <const> = 100;
local MEMORY <const> = 8 * 1024 * 1024; -- bytes: about twice of what a server with so many sessions has
local LIBRARIES <const> = "adhoc array async cache caps dataforms datamanager datetime dependencies error events filters format hashes helpers "
	.."hmac http id import indexedbheap interpolation ip iterators jid json jsonschema jwt logger multitable openmetrics openssl paths pposix "
	.."presence promise pubsub queue random rsm sasl serialization session set sql sslconfig stanza startup statistics termcolours throttle "
	.."time uuid vcard x509 xml";

collectgarbage("incremental", 105, 500); -- as Prosody sets it

for name in LIBRARIES:gmatch("%S+") do require("util."..name); end

local contestant, now, seen;

local function show(way, stanza)
	now = now + 0.001;
	contestant.set_time(now);
	local event = { origin = tables.session, stanza = stanza };
	contestant[way](contestant.takes == "event" and event or event.stanza, now);
end

local function take_turn(name)
	contestant, now, seen = tables[name](), 0, 0;
	for i = 1, tables.LIVE do
		local from, to, id = corpus.jid(i * 7 % 1000), corpus.jid(i * 11 % 1000), ("%08x-0184-4184-8184-%012x"):format(i, i);
		show("outgoing", st.message({ from = from, to = to, id = id, type = "chat" }):tag("request", { xmlns = "urn:xmpp:receipts" }):up());
	end
	collectgarbage();
	collectgarbage();
	contestant.filling = ("x"):rep(MEMORY - collectgarbage("count") * 1024 // 1);
	collectgarbage();
	collectgarbage();
end

-- Batches that ask, and batches that ack.
local callbacks = {
	default_ns = "jabber:client", streamopened = function (session) session.notopen = nil; end;
	handlestanza = function (_, stanza)
		show(seen % (2 * tables.BATCH) < tables.BATCH and "outgoing" or "incoming", stanza);
		seen = seen + 1;
	end;
};
local streams = {};
for i = 1, SESSIONS do
	streams[i] = xmppstream.new({ notopen = true }, callbacks);
	assert(streams[i]:feed("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"));
end

for line in io.lines() do
	local name, path = line:match("^(%l+) (.+)$");
	take_turn(name);
	local file, turn = assert(io.open(path)), 0;
	local before = os.clock();
	for message in file:lines() do
		turn = turn % SESSIONS + 1;
		assert(streams[turn]:feed(message));
	end
	print((os.clock() - before) * 1e6);
	io.stdout:flush();
	file:close();
	assert(contestant.count() == tables.LIVE, "not every ack was matched");
end
