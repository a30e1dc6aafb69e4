-- SPDX-License-Identifier: MIT
-- What messages.lua compares: the module's message hooks with the engine's pending table, and the same in Lua alone; alike in size and
-- in what they hold.

local corpus = require "bench.corpus";
local pure_lua = require "bench.pure_lua";
local receipts = require "receipts";
local hooks = require "spec.support.paths".lib("hooks");

local tables = {
	LIVE = 10000; -- entries that are never answered
	BATCH = 32; -- messages that ask before the first is acked
};

-- What is acked is forgotten soon, to make room: the tables are as large from the first round to the last. The collector is told of as much
-- as by mod_receipts.lua.
local limits = { capacity = tables.LIVE + 2 * tables.BATCH, per_user = 1000, ttl = 7 * 86400, remember = 3600, told = 1048576 };

-- Who sends all of it, and a set of all users.
tables.session = { username = "user0000000", full_jid = "user0000000@example.net.x/gajim.RU3R8QMB" };
local users, capable = {}, { [tables.session.full_jid] = true };
for n = 0, 999 do
	users[corpus.jid(n):match("^[^@]+")] = true;
	capable[corpus.jid(n).."/gajim.RU3R8QMB"] = true;
end

-- Both return a table of functions, outgoing(message, now) and incoming(message, now), and count(): entries not answered.
-- `takes` says what a message is to them: a stanza, or an event as Prosody's.

function tables.ours()
	local pending, time, wrong = receipts.pending(limits), 0, nil;
	local function ignored() end
	local function handed_over() error("an ordinary message was handed over"); end
	local outgoing, incoming = hooks.new(receipts, {
		pending = pending, now = function () return time; end, listening = function () return nil; end;
		known = users, no_answers = users, capable = capable, rooms = {}, hiding = {}, own = {}, asks = true, protect = true;
		content = handed_over, outgoing = handed_over, incoming = handed_over, other_ack = handed_over;
		failed = function (err) wrong = err; end, sample = ignored, handlers = {};
	});
	return {
		takes = "event", outgoing = outgoing, incoming = incoming;
		set_time = function (now) time = now; end, count = function ()
			assert(not wrong, wrong); -- the hooks themselves raise no error
			return pending:count();
		end;
	};
end

-- As ours, it lets no error out to the server (rule F0).
local function guarded(handler)
	return function (stanza, now)
		local ok, bits = pcall(handler, stanza, now);
		return ok and bits or nil;
	end;
end

function tables.peer()
	local peer = pure_lua.new(limits, capable);
	return {
		takes = "stanza", outgoing = guarded(peer.outgoing), incoming = guarded(peer.incoming);
		set_time = function () end, count = peer.count;
	};
end

-- Nothing at all, called as the others are.
function tables.none()
	local function nothing() end
	return { takes = "stanza", outgoing = nothing, incoming = nothing, set_time = nothing, count = function () return tables.LIVE; end };
end

-- The least that C can do and know what was acked (bare_matcher.c).
function tables.floor()
	package.cpath = "./build/bench/?.so;"..package.cpath;
	local matcher = require "bare_matcher";
	matcher.clear(); -- its memory is not Lua's
	return { takes = "stanza", outgoing = matcher.read, incoming = matcher.read, set_time = function () end, count = matcher.count };
end

return tables;
