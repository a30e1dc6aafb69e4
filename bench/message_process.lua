-- SPDX-License-Identifier: MIT
-- A process of messages.lua: it reads messages as a server does, and shows them to one contestant (tables.lua) after the other.
--
--     lua5.4 bench/message_process.lua
--
-- For each line of its input, "ours", "peer", "floor" or "none", 0 or bytes, and the name of a file of messages, one a line, it makes that
-- contestant anew, with its entries that are never answered, and prints the microseconds of CPU that the file took.
--
-- What the collector takes, and so what a contestant's tables cost, hangs on what else is in Lua's memory. Here that is as much as in a
-- server with 100 sessions: Prosody's libraries, a reader for each session's stream, which are fed in turn, and stanzas that wait. And the
-- more bytes there are, the less often the collector goes round, so that whoever holds idle megabytes makes everybody's work cheaper:
-- with `bytes`, memory is filled up to so many by one string, and the collector's pace is the same for all.

require "spec.support.paths";
local corpus = require "bench.corpus";
local tables = require "bench.tables";
local st = require "util.stanza";
local parse = require "util.xml".parse;
local xmppstream = require "util.xmppstream";

local SESSIONS <const> = 100;
local MEMORY <const> = 4000; -- KiB
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

local function take_turn(name, bytes)
	contestant, now, seen = tables[name](), 0, 0;
	for i = 1, tables.LIVE do
		local from, to = corpus.jid(i * 7 % 1000).."/gajim.RU3R8QMB", corpus.jid(i * 11 % 1000).."/phone";
		local ask = st.message { from = from, to = to, id = ("%08x-0184-4184-8184-%012x"):format(i, i), type = "chat" };
		show("outgoing", ask:tag("request", { xmlns = "urn:xmpp:receipts" }):up());
	end
	collectgarbage();
	collectgarbage();
	if bytes > 0 then contestant.filling = ("x"):rep(bytes - collectgarbage("count") * 1024 // 1); end
	collectgarbage();
	collectgarbage();
	assert(bytes == 0 or #contestant.filling > 0);
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

local waiting = {};
repeat
	for _ = 1, SESSIONS do table.insert(waiting, parse(corpus.ask(corpus.parties()))); end
	collectgarbage();
until collectgarbage("count") >= MEMORY;

for line in io.lines() do
	local name, bytes, path = line:match("^(%l+) (%d+) (.+)$");
	take_turn(name, tonumber(bytes));
	local file, turn = assert(io.open(path)), 0;
	local before = os.clock();
	for message in file:lines() do
		turn = turn % SESSIONS + 1;
		assert(streams[turn]:feed(message));
	end
	local took = (os.clock() - before) * 1e6;
	file:close();
	assert(contestant.count() == tables.LIVE, "not every ack was matched");
	print(took);
	io.stdout:flush();
end
