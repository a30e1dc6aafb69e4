-- SPDX-License-Identifier: MIT
-- Handlers for Prosody's message events: the ordinary messages end here, and what is out of the ordinary is handed over.
--
-- Every message of the server passes. Nearly all have nothing to do with receipts, or ask for one or are one as they should, and of
-- these nobody has to be told but the counters. So what runs for each is one loop in Lua, which reads its own tables faster than C
-- can, and a call of the engine for a request or an ack. None of it makes garbage. Whatever is not of the most common shape, the engine
-- reads (pending:outgoing(), pending:incoming(), examine()): the rules are there.

local jids = module:require "jids";

local pcall = pcall;
local bare_of, node_of = jids.bare, jids.node;

local RECEIPTS <const> = "urn:xmpp:receipts";
local CONTENT <const> = 0;
local AGES <const> = 256; -- acks whose ages wait to be measured together

-- Children of what a client sends that matter, by name: their namespace, or CONTENT, of which the engine is asked.
local sent_names = {
	request = RECEIPTS, received = RECEIPTS, x = "http://jabber.org/protocol/muc#user", body = CONTENT, encrypted = CONTENT, encryption = CONTENT;
};
local receipt_names = { request = true, received = true };

local hooks = {};

-- Types of messages in which a receipt element needs no second look.
local plain_types = { chat = true, normal = true };

--- The bits of a bounce and of all that is malformed, such as a request beside an ack: the engine's names of those have a dash.
function hooks.odd(bits)
	local odd = bits.bounce;
	for name, bit in pairs(bits) do
		if name:find("-", 1, true) then odd = odd | bit; end
	end
	return odd;
end

-- Is this a subscriber of the session's user, who is online? Then an ack tells nothing new (rule E4), but for those in the set `hidden`.
local function is_subscriber(session, jid, hidden)
	local roster = session.presence and session.roster;
	local bare = roster and bare_of(jid);
	local contact = bare and roster[bare];
	local subscription = contact and contact.subscription;
	return (subscription == "both" or subscription == "from") and not (hidden and hidden[bare]);
end

-- Is an ack of this type to be told of as another one? mod_carbons copies the type chat by itself; errors and groupchat are never copied.
local function is_other(type)
	return type ~= "chat" and type ~= "error" and type ~= "groupchat";
end

-- What a local client sends.
-- @param env  see hooks.new
-- @return the handler; and a function that tells how many have asked since it was last called
local function new_outgoing(engine, env)
	local pending, now, listening, asks, protect = env.pending, env.now, env.listening, env.asks, env.protect;
	local known, no_answers, capable, rooms, hiding, own = env.known, env.no_answers, env.capable, env.rooms, env.hiding, env.own;
	local ask, examine = pending.ask, engine.examine;
	local bits, ODD = engine.bits, hooks.odd(engine.bits);
	local BIT_CONTENT, BIT_RECEIVED, BIT_BOUNCE, PLAIN_ASK = bits.content, bits.received, bits.bounce, bits.request | bits.asks;
	local asked = 0;

	-- A message that asks, or acks, or has something odd.
	-- @param what    its bits; or PLAIN_ASK for short
	-- @param status  what became of its request, and whether much has made room by now
	local function sends(event, what, status, evicted)
		local origin = event.origin;
		local user = origin.username;
		if status == "out of memory" then error(status, 0); end
		local to_tell = status and status ~= "known" and (status ~= "asked" or not known[user] or listening("receipts/requested"));
		local ordinary = not to_tell and what & ODD == 0
			and (what & BIT_RECEIVED == 0 or (not protect or is_subscriber(origin, event.stanza.attr.to, hiding[origin])) and no_answers[user]);
		if not ordinary then return env.outgoing(event, what, status, evicted); end
		if status == "asked" then
			asked = asked + 1;
			if evicted then env.evicted(); end
		end
	end

	-- The engine's turn, to read it.
	local function read(event)
		local origin = event.origin;
		if not origin.username then return; end -- some module's own, not a client's
		local stanza = event.stanza;
		local what, status, evicted = pending:outgoing(stanza, now(), rooms[origin]);
		if not what then return; end
		if what & BIT_RECEIVED ~= 0 and is_other(stanza.attr.type) then env.other_ack(); end
		return sends(event, what, status, evicted);
	end

	local function outgoing(event)
		local stanza = event.stanza;
		local names, tags = sent_names, stanza.tags;
		local found, occupant, content;
		for i = 1, #tags do
			local tag = tags[i];
			local ns = names[tag.name];
			if ns and (ns == CONTENT or tag.attr.xmlns == ns) then
				if ns == CONTENT then
					content = asks;
				elseif ns ~= RECEIPTS then
					occupant = true;
				elseif found or tag[1] then -- a second one, or one with something in it
					return read(event);
				else
					found = tag;
				end
			end
		end
		local origin = event.origin;
		local user = origin.username;
		if not found then
			if stanza.attr.type == "error" and user and not no_answers[user] then return env.outgoing(event, BIT_BOUNCE); end
			if not content or capable[origin.full_jid] or not user then return; end
			local what = examine(stanza);
			if what and what & BIT_CONTENT ~= 0 then return env.content(event, what); end
			return;
		end
		local attr = stanza.attr;
		if own[stanza] and (not protect or is_subscriber(origin, attr.to, hiding[origin])) then
			if is_other(attr.type) then env.other_ack(); end
			return;
		end
		local request = found.name == "request";
		local id = (request and attr or found.attr).id;
		if not id or id == "" or occupant or not user or not plain_types[attr.type or "normal"] or attr.xmlns or stanza.name ~= "message" then
			return read(event);
		end
		if request then
			local status, evicted = ask(pending, attr.from, attr.to, id, now(), attr.type, rooms[origin]);
			if status == "asked" and not evicted and known[user] and not listening("receipts/requested") then -- as sends() finds: spares a call
				asked = asked + 1;
				return;
			end
			return sends(event, PLAIN_ASK, status, evicted);
		end
		if not no_answers[user] or protect and not is_subscriber(origin, attr.to, hiding[origin]) then return read(event); end
		if attr.type ~= "chat" then env.other_ack(); end
	end

	return outgoing, function ()
		local count = asked;
		asked = 0;
		return count;
	end;
end

-- What comes to a local user.
-- @param env  see hooks.new
-- @return the handler; and a function that tells how many were delivered and were duplicates since it was last called
local function new_incoming(engine, env)
	local pending, now, listening, no_answers, sample = env.pending, env.now, env.listening, env.no_answers, env.sample;
	local match, examine = pending.match, engine.examine;
	local ODD, BIT_RECEIVED, BIT_MORE = hooks.odd(engine.bits), engine.bits.received, engine.bits.more;
	local delivered, sampled, duplicate, ages = 0, 0, 0, {};

	-- Has the ages measured. Where that fails the rest waits for the next time.
	local function measure()
		while delivered > 0 do
			local age = ages[delivered];
			delivered, sampled = delivered - 1, sampled + 1;
			sample(age);
		end
	end

	-- A message that acks, asks, bounces, or has something odd.
	-- @param what  its bits; nil where it has an ack as it should be, and they have not been read
	local function comes(event, what, verdict, id, age, injected, kind, occupant)
		local stanza = event.stanza;
		local type = stanza.attr.type;
		if (not what or what & BIT_RECEIVED ~= 0) and is_other(type) then env.other_ack(); end
		if (verdict == "delivered" or verdict == "duplicate") and not injected and (not what or what & ODD == 0) then
			if verdict == "duplicate" then
				duplicate = duplicate + 1;
				return;
			end
			if not listening("receipts/delivered")
				and (kind == (type or "normal") or (what or examine(stanza)) & BIT_MORE ~= 0) then
				delivered = delivered + 1;
				ages[delivered] = age;
				return;
			end
		end
		return env.incoming(event, what or examine(stanza), verdict, id, age, injected, kind, occupant);
	end

	local function asks_user(event, what)
		local attr = event.stanza.attr;
		if no_answers[node_of(attr.to or attr.from)] then return; end
		return env.incoming(event, what or examine(event.stanza));
	end

	-- The engine's turn, to read it.
	local function read(event)
		if delivered == AGES then measure(); end
		local stanza = event.stanza;
		local what, verdict, id, age, injected, kind, occupant = pending:incoming(stanza, now());
		if not what then return; end
		if what & (ODD | BIT_RECEIVED) == 0 then return asks_user(event, what); end
		return comes(event, what, verdict, id, age, injected, kind, occupant);
	end

	local function incoming(event)
		local stanza = event.stanza;
		local attr, names, tags, found = stanza.attr, receipt_names, stanza.tags, nil;
		for i = 1, #tags do
			local tag = tags[i];
			if names[tag.name] and tag.attr.xmlns == RECEIPTS then
				if found or tag[1] then return read(event); end -- a second one, or one with something in it
				found = tag;
			end
		end
		if not found then
			if attr.type == "error" then return read(event); end
			return;
		end
		local request = found.name == "request";
		local id = (request and attr or found.attr).id;
		local from, to = attr.from, attr.to;
		if not id or id == "" or not from or not to or not plain_types[attr.type or "normal"] or attr.xmlns or stanza.name ~= "message" then
			return read(event);
		end
		if request then return asks_user(event); end
		if delivered == AGES then measure(); end
		local verdict, age, injected, kind, occupant = match(pending, to, from, id, now());
		if verdict == "delivered" and not injected and kind == "chat" and attr.type == kind and not listening("receipts/delivered") then -- as comes()
			delivered = delivered + 1;
			ages[delivered] = age;
			return;
		end
		return comes(event, nil, verdict, id, age, injected, kind, occupant);
	end

	return incoming, function ()
		measure();
		local had_sampled, had_duplicate = sampled, duplicate;
		sampled, duplicate = 0, 0;
		return had_sampled, had_duplicate;
	end;
end

-- Rule F0: an error is told, and the message goes on.
-- @param which  "outgoing" | "incoming"
-- @return the handler, guarded; and a function (): what comes to it from now on goes to the one that there is by then
local function guarded(which, handler, env)
	local handlers, failed = env.handlers, env.failed;
	handlers[which] = handler;
	return function (event)
		local ok, result = pcall(handler, event);
		if ok then return result; end
		pcall(failed, result);
	end, function ()
		function handler(event) return handlers[which](event); end
	end;
end

--- @param engine  receipts
-- @param env     pending (table of receipts.pending); now (function (): seconds since the epoch)
--                listening (function (event): does somebody listen to this event of ours?)
--                known (set of names of users whose records have been read), no_answers (of those for whom the server does not answer)
--                capable (set of full JIDs that ask by themselves), rooms (session -> set of bare JIDs it is in)
--                hiding (session -> set of bare JIDs that it has hidden from, though they are subscribed)
--                own (set of answers of ours, as stanzas, that are on their way)
--                asks (content messages matter), protect (rule E4)
--                content (function (event, bits)): a content message of who may not ask by itself
--                outgoing (function (event, bits [, status, evicted])), incoming (function (event, bits [, what pending:incoming() said]))
--                evicted (function (): much has made room by now, that pending:evicted() tells of)
--                other_ack (function (): an ack passes that is not of type chat, so that mod_carbons does not copy it by itself)
--                sample (function (age)): called for each that was delivered, some at a time; failed (function (error))
--                handlers (table, kept over a reload): its fields `outgoing` and `incoming` are set here
-- @return outgoing (function (event)), for what a local client sends; incoming, for what comes to a local user;
--         uncounted (function ()): how many asked, were delivered and were duplicates since the last call;
--         hand_on (function ()): what comes here from now on, as it has waited in another module's handler while ours was reloaded, goes to
--         the handlers that there are by then
function hooks.new(engine, env)
	local outgoing, asked = new_outgoing(engine, env);
	local incoming, acked = new_incoming(engine, env);
	local guarded_outgoing, hand_on_outgoing = guarded("outgoing", outgoing, env);
	local guarded_incoming, hand_on_incoming = guarded("incoming", incoming, env);
	return guarded_outgoing, guarded_incoming, function ()
		local delivered, duplicate = acked(); -- first: it may fail, and then nothing has been told
		return asked(), delivered, duplicate;
	end, function ()
		hand_on_outgoing();
		hand_on_incoming();
	end;
end

return hooks;
