-- SPDX-License-Identifier: MIT
-- The peer of bench/messages.lua says what the engine says: otherwise their times could not be compared.

require "spec.support.paths";
local corpus = require "bench.corpus";
local pure_lua = require "bench.pure_lua";
local receipts = require "receipts";
local st = require "util.stanza";
local parse = require "util.xml".parse;

local R = "urn:xmpp:receipts";
local MUC_USER = "http://jabber.org/protocol/muc#user";
local LONG = ("l"):rep(3072);

-- The bits that outgoing() and incoming() are asked for; others are the engine's own affair.
local named = 0;
for name, bit in pairs(receipts.bits) do
	if name ~= "body" and name ~= "encrypted" then named = named | bit; end
end

local function without_others(bits, ...)
	return bits and bits & named, ...;
end

local function ours_of(limits)
	local pending = receipts.pending(limits);
	return {
		outgoing = function (...) return without_others(pending:outgoing(...)); end;
		incoming = function (...) return without_others(pending:incoming(...)); end;
		expire = function (now) return (pending:expire(now, 1000000)); end;
		count = function () return pending:count(); end;
	};
end

local function peer_of(limits)
	return pure_lua.new(limits);
end

-- What an ack has beside it, and whether it is an occupant's, is left out of a plain one.
local LEFT_OUT = receipts.bits.more | receipts.bits.occupant;

-- A function that has both do the same, and returns what they both return.
local function both(limits)
	local ours, peer = ours_of(limits), peer_of(limits);
	return function (what, stanza, ...)
		local expected, got = table.pack(ours[what](stanza, ...)), table.pack(peer[what](stanza, ...));
		if what == "incoming" and got[1] == receipts.bits.received | receipts.bits.acks then expected[1] = expected[1] & ~LEFT_OUT; end
		for i = 1, math.max(expected.n, got.n) do
			if expected[i] ~= got[i] then error(("%s %s: %s, not %s at %d"):format(what, stanza, got[i], expected[i], i)); end
		end
		return table.unpack(got, 1, got.n);
	end;
end

-- Random messages, of few people and ids, so that they meet; each rare thing is in some.

local function one_in(n) return math.random(n) == 1; end
local function one_of(list) return list[math.random(#list)]; end

local types = { "chat", "chat", "chat", "normal", "odd", "groupchat", "error", "error", "headline" };
local namespaces = { "", "jabber:client", "jabber:server", "jabber:component:accept", "urn:x" };
local others = {
	{ "thread" }, { "thread", "urn:x" }, { "active", "http://jabber.org/protocol/chatstates" }, { "store", "urn:xmpp:hints" },
	{ "body", "urn:xmpp:hints" }, { "stanza-id", "urn:xmpp:sid:0" }, { "occupant-id", "urn:xmpp:occupant-id:0" }, { "delay", "urn:xmpp:delay" },
	{ "x", "jabber:x:delay" }, { "x", "jabber:x:data" }, { "x" }, { "private", "urn:xmpp:carbons:2" }, { "sent", "urn:xmpp:carbons:2" },
	{ "received", "urn:xmpp:chat-markers:0" }, { "request", "urn:x" }, { "received" }, { "encryption", "urn:xmpp:eme:0" },
	{ "encryption", "urn:x" }, { "encrypted", "eu.siacs.conversations.axolotl" }, { "encrypted", "urn:xmpp:omemo:2" },
	{ "encrypted", "urn:x" }, { "encrypted" }, { "seen", R }, { "subject" },
};

local function jid()
	if one_in(12) then return one_of { "h", "h/r", "h/r@s", "", "/r", LONG, LONG.."@h", "a@h/"..LONG }; end
	return one_of { "a@h", "b@h", "c@h", "d@h", "room@muc" }..one_of { "", "/r", "/nick" };
end

local function id()
	if one_in(20) then return one_of { "", ("i"):rep(1023), ("i"):rep(1024) }; end
	if one_in(4) then return ("i"):rep(250 * math.random(3)); end -- of which a user's limit has room for few
	return not one_in(12) and tostring(math.random(6)) or nil;
end

local function add_inside(stanza)
	if one_in(15) then stanza:text(one_of { " \n", "x" }); end
	if one_in(30) then stanza:tag("y"):up(); end
	return stanza:up();
end

local function random_message(asks, acks)
	local stanza = st.stanza(one_in(50) and "iq" or "message", { xmlns = one_in(6) and one_of(namespaces) or nil, from = not one_in(40) and jid() or nil,
		to = not one_in(20) and jid() or nil, type = not one_in(8) and one_of(types) or nil, id = id() });
	local children = {};
	local function child(make) table.insert(children, math.random(#children + 1), make); end
	if one_in(3) then child(function () stanza:text_tag("body", "hi", { xmlns = one_in(4) and one_of(namespaces) or nil }); end); end
	if one_in(8) then child(function () add_inside(stanza:tag("x", { xmlns = MUC_USER })); end); end
	for _ = 1, math.random(0, 2) do
		local name, ns = table.unpack(one_of(others));
		child(function () stanza:tag(name, { xmlns = ns }):up(); end);
	end
	for _ = 1, asks do child(function () add_inside(stanza:tag("request", { xmlns = R })); end); end
	for _ = 1, acks do child(function () add_inside(stanza:tag("received", { xmlns = R, id = id() })); end); end
	for _, make in ipairs(children) do make(); end
	return stanza;
end

local function some(n) return not one_in(n) and 0 or one_in(8) and 2 or 1; end

describe("the benches' peer in Lua alone", function ()
	it("matches the corpus, and knows what is acked twice, by somebody else, or was never asked", function ()
		local same = both { capacity = 1000, per_user = 100, ttl = 1000, remember = 100 };
		local function verdict(...) return (select(2, same(...))); end
		for i = 1, 300 do
			local from, to, ask_id = corpus.parties();
			local other = corpus.jid(1000 + i);
			assert.equal(from ~= to and receipts.bits.content or nil, (same("outgoing", parse(corpus.idle(from, to, ask_id)), i)));
			assert.is_nil((same("incoming", parse(corpus.idle(from, to, ask_id)), i)));
			assert.equal("unknown", verdict("incoming", parse(corpus.ack(to, from, ask_id)), i));
			assert.equal("asked", verdict("outgoing", parse(corpus.ask(from, to, ask_id)), i));
			assert.equal("known", verdict("outgoing", parse(corpus.ask(from, to, ask_id)), i));
			assert.equal("forged", verdict("incoming", parse(corpus.ack(other, from, ask_id)), i));
			assert.equal("delivered", verdict("incoming", parse(corpus.ack(to, from, ask_id)), i + 1));
			assert.equal("duplicate", verdict("incoming", parse(corpus.ack(to, from, ask_id)), i + 3));
			assert.equal("unknown", verdict("incoming", parse(corpus.ack(other, from, ask_id)), i + 3));
		end
	end);

	it("agrees on whatever comes, with limits that are reached, times that run out and a clock that steps back", function ()
		math.randomseed(184);
		local seen, bits_seen = {}, 0;
		for _, limits in ipairs {
			{ capacity = 12, per_user = 1000, ttl = 1000, remember = 1000 }, { capacity = 1000, per_user = 3, ttl = 40, remember = 10 },
			{ capacity = 20, per_user = 4, ttl = 60, remember = 30 }, { capacity = 12, per_user = 3, ttl = 1000, remember = 1000 },
			{ capacity = 1000, per_user = 1000, ttl = 1000, remember = 500 },
		} do
			local same = both(limits);
			local steps_back = limits.per_user == 1000; -- the order of a user's entries is not one of times then
			local now = 1000000;
			for step = 1, 10000 do
				now = now + 0.25;
				if steps_back and one_in(200) then now = now - math.random(100); end
				local what = one_in(2) and "incoming" or "outgoing";
				local incoming = what == "incoming";
				local stanza = random_message(some(incoming and 8 or 2), one_in(incoming and 3 or 2) and 0 or some(incoming and 1 or 5));
				local bits, verdict = same(what, stanza, now, what == "outgoing" and one_in(4) and { ["room@muc"] = true } or nil);
				bits_seen = bits_seen | (bits or 0);
				seen[verdict or bits and "bits" or "nothing"] = true;
				if step % 50 == 0 then same("expire", now); end
				if step % 100 == 0 then same("count"); end
			end
		end
		for _, verdict in ipairs { "nothing", "bits", "asked", "known", "full", "id or address too long or empty", "delivered", "duplicate",
			"forged", "unknown", "failed" } do
			assert.is_true(seen[verdict], verdict.." did not come up");
		end
		assert.equal(named, bits_seen);
	end);
end);
