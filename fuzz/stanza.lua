-- SPDX-License-Identifier: MIT
-- Stanzas as no parser makes them: the engine raises no error, whoever asks it tells the same, and the pending table stays whole.

local new_hooks = require "spec.support.paths".lib("hooks").new;
local bytes = require "fuzz.bytes";
local receipts = require "receipts";
local bits = receipts.bits;

local NAMES = { "message", "request", "received", "body", "encrypted", "encryption", "x", "thread", "delay", "iq", "" };
local NAMESPACES = { "urn:xmpp:receipts", "jabber:client", "jabber:server", "", "http://jabber.org/protocol/muc#user", "urn:xmpp:omemo:2",
	"urn:xmpp:eme:0", "urn:xmpp:hints", "urn:xmpp:carbons:2" };
local JIDS = { "a@h", "a@h/1", "b@h", "b@h/2", "r@muc/n", "r@muc", "h", "", "/" };
local IDS = { "1", "2", "3", "", "1\0" };
local TYPES = { "chat", "normal", "groupchat", "error", "headline", "other", "" };

local function attributes(input, ns)
	local attr = {};
	if input:number(4) > 0 then attr.xmlns = input:mostly(ns or input:pick(NAMESPACES)); end
	if input:number(4) > 0 then attr.id = input:mostly(input:pick(IDS)); end
	return attr;
end

local function element(input, depth)
	local child = { name = input:mostly(input:pick(NAMES)), attr = input:mostly(attributes(input)), tags = {} };
	for i = 1, input:number(3) do
		child[i] = input:mostly(input:number(2) == 0 and input:text() or depth > 0 and element(input, depth - 1) or nil);
	end
	return child;
end

local function message(input)
	local attr = attributes(input, "jabber:client");
	if input:number(4) > 0 then attr.from = input:mostly(input:pick(JIDS)); end
	if input:number(4) > 0 then attr.to = input:mostly(input:pick(JIDS)); end
	if input:number(4) > 0 then attr.type = input:mostly(input:pick(TYPES)); end
	local stanza = { name = input:mostly("message"), attr = input:mostly(attr), tags = {} };
	for _ = 1, input:number(9) do
		local child = input:mostly(element(input, 1));
		table.insert(stanza, child);
		table.insert(stanza.tags, child);
	end
	stanza.tags = input:mostly(stanza.tags);
	return input:mostly(stanza);
end

local function session(input)
	return input:mostly {
		username = input:mostly(input:pick { "a", "b" }), full_jid = input:mostly(input:pick(JIDS)), presence = input:mostly {};
		roster = input:mostly { ["b@h"] = input:mostly { subscription = input:mostly("both") } };
	};
end

-- A function that returns this, and at times raises an error instead.
local function sometimes(input, result)
	local raises = input:number(8) == 7;
	return function ()
		if raises then error(result); end
		return result;
	end;
end

local function same_facts(stanza)
	local facts, found = receipts.inspect(stanza), receipts.examine(stanza);
	assert((facts ~= nil) == (found ~= nil), "one of inspect and examine takes it for a message");
	if not facts then return nil; end
	assert(facts.request == (found & bits.request ~= 0) and facts.received == (found & bits.received ~= 0), "other elements");
	for _, problem in ipairs(facts.problems) do
		assert(found & bits[problem] ~= 0, problem);
		found = found & ~bits[problem];
	end
	assert(found >> 16 == 0, "problems that inspect does not name");
	return receipts.examine(stanza);
end

local COMMON = bits.request | bits.received | bits.occupant | bits.asks | bits.acks | bits.bounce | ~0xffff;

-- Those who look for less than everything find the same, as far as they look.
local function agrees(found, all, what)
	if not found then return; end
	assert(all, what.." takes it for a message");
	assert(found & COMMON & ~bits.occupant == all & COMMON & ~bits.occupant, what.." has other bits");
end

local function hooks(input, pending)
	local options = {
		pending = pending, now = sometimes(input, input:mostly(1764000000)), listening = sometimes(input, input:number(2) == 1);
		known = { a = true, b = input:value(1) }, no_answers = { a = input:value(1) }, capable = { ["a@h/1"] = input:value(1) };
		rooms = {}, hiding = {}, own = {};
		asks = input:number(2) == 1, protect = input:number(2) == 1, handlers = {};
		sample = function (age) assert(age >= 0 and age < 1e9); end;
	};
	for _, name in ipairs { "content", "outgoing", "incoming", "evicted", "other_ack", "failed" } do options[name] = sometimes(input, name); end
	return new_hooks(receipts, setmetatable(options, { __index = function (_, name) error("hooks also take "..name); end }));
end

return function (data)
	local input = bytes.new(data);
	local pending = receipts.pending { per_user = 3, capacity = 7 };
	local outgoing, incoming, uncounted = hooks(input, pending);
	local now = 1764000000;
	while input:left() do
		local stanza = message(input);
		local all = same_facts(stanza);
		local way = input:number(6);
		if way == 0 then
			agrees(pending:outgoing(stanza, now, input:mostly { ["r@muc"] = true }), all, "outgoing");
		elseif way == 1 and input:number(3) == 0 then
			pending:ask(input:mostly(input:pick(JIDS)), input:mostly(input:pick(JIDS)), input:mostly(input:pick(IDS)), now,
				input:mostly(input:pick(TYPES)), input:mostly { ["r@muc"] = true });
		elseif way == 1 then
			agrees(pending:incoming(stanza, now), all, "incoming");
		elseif way < 4 then
			outgoing(input:mostly { stanza = stanza, origin = session(input) });
		else
			incoming(input:mostly { stanza = stanza, origin = session(input) });
		end
		assert(pending:check());
		now = now + 1;
	end
	local _, delivered = uncounted();
	assert(math.type(delivered) == "integer");
	pending:close();
end;
