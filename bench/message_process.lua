-- SPDX-License-Identifier: MIT
-- One of the processes that messages.lua compares: it reads messages as a server does, and shows them to one contestant (tables.lua).
--
--     lua5.4 bench/message_process.lua ours|peer|floor|none
--
-- For each line of its input, the name of a file of messages, it prints the microseconds of CPU that the file took.

require "spec.support.paths";
local tables = require "bench.tables";
local xmppstream = require "util.xmppstream";

local CHUNK = 8192; -- what a server reads at once from a connection

collectgarbage("incremental", 105, 500); -- as Prosody sets it

local pending = tables[arg[1]]();
local now, seen = 0, 0;

-- The first LIVE messages ask. After them come batches that ask, and batches that ack.
local function show(_, stanza)
	now, seen = now + 0.001, seen + 1;
	local event = { origin = tables.session, stanza = stanza };
	pending.set_time(now);
	local message = pending.takes == "event" and event or stanza;
	if seen <= tables.LIVE or (seen - tables.LIVE - 1) % (2 * tables.BATCH) < tables.BATCH then
		pending.outgoing(message, now);
	else
		pending.incoming(message, now);
	end
end

local stream = xmppstream.new({ notopen = true }, {
	default_ns = "jabber:client", streamopened = function (session) session.notopen = nil; end, handlestanza = show;
});
assert(stream:feed("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"));
for path in io.lines() do
	local file = assert(io.open(path));
	local before = os.clock();
	repeat
		local chunk = file:read(CHUNK);
		if chunk then assert(stream:feed(chunk)); end
	until not chunk;
	print((os.clock() - before) * 1e6);
	io.stdout:flush();
	file:close();
	assert(pending.count() == tables.LIVE, "not every ack was matched");
end
