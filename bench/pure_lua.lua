-- SPDX-License-Identifier: MIT
-- The peer of messages.lua and memory.lua: what the engine's calls outgoing() and incoming() do, in Lua alone, written to be fast.
--
-- It has the engine's rules and return values: requests and acks that count and those that are malformed, acks of revision 1.0, what an
-- ack has beside it, content messages without a request (C2), room occupants, bounces (E6), verdicts (E1), the limits of lengths, of a
-- user and of the table, the order in which entries expire, a clock that steps back.
-- What a plain ack has beside it is left to who wants to know, as our hooks leave it.
-- It does not: take what is no stanza, put requests in by itself (so nothing is `injected`), keep a journal (so nothing is there for
-- evicted() to tell). No key guards it against provoked hash collisions. Tables grow in one step.
--
-- For speed: a message that has nothing to do with receipts is passed by in one short loop; bare JIDs are cached; users and entries are
-- numbers, and their fields are in arrays, which the garbage collector walks over fast; lists are rings through a number that stands for
-- their ends, so that linking has no branches; functions that run for each message are written out in place.

local RECEIPTS <const> = "urn:xmpp:receipts";
local MUC_USER <const> = "http://jabber.org/protocol/muc#user";
local BARE_MAX <const> = 10000; -- in each of two generations
local ID_MAX <const>, JID_MAX <const>, TOO_LONG <const> = 1023, 3071, "id or address too long or empty";
local ENTRY_BYTES <const> = 256; -- of who was asked and the id, for each entry that a user may have

-- Bits, of receipts.bits
local REQUEST <const>, RECEIVED <const>, OCCUPANT <const>, MORE <const> = 0x4, 0x8, 0x10, 0x20;
local ASKS <const>, ACKS <const>, CONTENT <const>, BOUNCE <const> = 0x40, 0x80, 0x100, 0x200;
local REQUEST_WITHOUT_ID <const>, REQUEST_IN_ACK <const>, REQUEST_NOT_EMPTY <const> = 0x10000, 0x20000, 0x40000;
local REQUEST_IN_GROUPCHAT <const>, REQUEST_IN_ERROR <const>, NO_REQUEST <const> = 0x80000, 0x100000, 0x1f0000;
local RECEIVED_WITHOUT_ID <const>, RECEIVED_NOT_EMPTY <const> = 0x200000, 0x400000;
local RECEIVED_IN_ERROR <const>, NO_ACK <const>, SEVERAL_RECEIVED <const> = 0x800000, 0xc00000, 0x1000000;

local next_key = next;
local stanza_ns = { [""] = true, ["jabber:client"] = true, ["jabber:server"] = true, ["jabber:component:accept"] = true };
-- Namespaces of what says nothing by itself
local meta_ns = {
	["urn:xmpp:hints"] = true, ["urn:xmpp:sid:0"] = true, ["urn:xmpp:occupant-id:0"] = true, ["urn:xmpp:delay"] = true, ["jabber:x:delay"] = true;
	["http://jabber.org/protocol/nick"] = true;
};
-- Names of children of a message that somebody sends, which are looked at
local SEES_BODY <const>, SEES_REQUEST <const>, SEES_RECEIVED <const>, SEES_X <const>, SEES_ENCRYPTED <const> = 1, 2, 3, 4, 5;
local sees = {
	body = SEES_BODY, request = SEES_REQUEST, received = SEES_RECEIVED, x = SEES_X, encrypted = SEES_ENCRYPTED, encryption = SEES_ENCRYPTED;
};

-- How an entry stands: its type, and FAILED or DELIVERED; below FAILED it is pending, below DELIVERED open.
local type_names = { "chat", "normal", "headline" };
local CHAT <const>, NORMAL <const>, HEADLINE <const>, TYPE <const>, FAILED <const>, DELIVERED <const> = 1, 2, 3, 3, 4, 8;
local types = { chat = CHAT, headline = HEADLINE, groupchat = false, error = false }; -- any other is normal; false: is not asked in

local pure_lua = {};

-- Nothing between an element's tags but white space.
local function is_empty(tag)
	for i = 1, #tag do
		if type(tag[i]) ~= "string" or tag[i]:find("[^ \t\r\n]") then return false; end
	end
	return true;
end

local function is_encrypted(tag)
	local ns = tag.attr.xmlns;
	if tag.name == "encryption" then return ns == "urn:xmpp:eme:0"; end
	return ns and (ns == "eu.siacs.conversations.axolotl" or ns:sub(1, 15) == "urn:xmpp:omemo:");
end

-- Children that are content: names alone say no more than that there may be some.
local function has_content(tags)
	for i = 1, #tags do
		local tag = tags[i];
		local what, ns = sees[tag.name], tag.attr.xmlns;
		if what == SEES_BODY and (not ns or stanza_ns[ns]) or what == SEES_ENCRYPTED and is_encrypted(tag) then return true; end
	end
	return false;
end

-- The bits of a message that has a receipt element or is of type error, and its first <received/>; nothing for another stanza.
local function read(stanza)
	local tags, attr, bits, received = stanza.tags, stanza.attr, 0, nil;
	if stanza.name ~= "message" or attr.xmlns and not stanza_ns[attr.xmlns] then return; end
	for i = 1, #tags do
		local tag = tags[i];
		local ns = tag.attr.xmlns;
		if not meta_ns[ns] then
			local name = tag.name;
			if ns == RECEIPTS and name == "received" then
				bits = bits | (received and SEVERAL_RECEIVED or RECEIVED);
				if not received and #tag > 0 and not is_empty(tag) then bits = bits | RECEIVED_NOT_EMPTY; end
				received = received or tag;
			elseif ns == RECEIPTS and name == "request" then
				bits = bits | REQUEST;
				if #tag > 0 and not is_empty(tag) then bits = bits | REQUEST_NOT_EMPTY; end
			elseif ns == MUC_USER and name == "x" then
				bits = bits | OCCUPANT;
				if #tag > 0 and not is_empty(tag) then bits = bits | MORE; end
			elseif not (name == "thread" and (not ns or stanza_ns[ns]) or name == "private" and ns == "urn:xmpp:carbons:2") then
				bits = bits | MORE;
			end
		end
	end
	local kind = attr.type;
	if bits & REQUEST ~= 0 then
		local id = attr.id;
		if not id or id == "" then bits = bits | REQUEST_WITHOUT_ID; end
		if received then bits = bits | REQUEST_IN_ACK; end
		if kind == "groupchat" then bits = bits | REQUEST_IN_GROUPCHAT; elseif kind == "error" then bits = bits | REQUEST_IN_ERROR; end
		if bits & NO_REQUEST == 0 then bits = bits | ASKS; end
	end
	if received then
		local id = received.attr.id;
		if not id or id == "" then bits = bits | RECEIVED_WITHOUT_ID; end
		if kind == "error" then bits = bits | RECEIVED_IN_ERROR; end
		if bits & NO_ACK == 0 then bits = bits | ACKS; end
	else
		bits = bits & ~MORE;
	end
	if kind == "error" then bits = bits | BOUNCE; end
	return bits, received;
end

--- @param limits  as of receipts.pending, all of them required
-- @param capable  set of full JIDs that ask by themselves, so that their content messages do not matter (C2); or none
-- @return a table of functions, outgoing(stanza, now, rooms), incoming(stanza, now), expire(now), count()
function pure_lua.new(limits, capable)
	capable = capable or {};
	local capacity, per_user, ttl, remember = limits.capacity, limits.per_user, limits.ttl, limits.remember;
	local bytes_max = per_user * ENTRY_BYTES;

	local young, old, young_count = {}, {}, 0; -- bare JIDs by full ones
	local users = {}; -- numbers by bare JID
	local by_id = {}; -- the latest entry about an id; or, where several users have asked about the same, a table of these by user
	-- An entry's fields. `same` has the one before it of that user about that id, or false, as it has of numbers that are free.
	local owner, asked, ids, times, how, same = {}, {}, {}, {}, {}, {};
	-- The rings of pending, of done and of failed entries: of the table, 1, 2 and 3, and of a user, user, user + 1 and user + 2.
	-- Of a user, `asked` has the bare JID, `times` how many entries there are, and `how` how many bytes they have.
	local next, prev, user_next, user_prev = {}, {}, {}, {};
	local numbers, count, free, free_user = 0, 0, 0, 0; -- free numbers are chained by `next`

	local function new_number()
		local n = numbers + 1;
		numbers = n;
		owner[n], asked[n], ids[n], times[n], how[n], same[n] = 0, "", "", 0, 0, false;
		next[n], prev[n], user_next[n], user_prev[n] = n, n, n, n;
		return n;
	end
	for _ = 1, 3 do new_number(); end

	local function new_user(jid)
		local user = free_user;
		if user ~= 0 then
			free_user = next[user];
		else
			user = new_number();
			new_number();
			new_number();
		end
		users[jid], asked[user], times[user], how[user] = user, jid, 0, 0;
		return user;
	end

	-- The bare form, and whether it can be kept. Those of hosts, which have no local part, do not come into `young`.
	local function bare(jid)
		local known = old[jid] or jid:match("^[^/]*");
		if known == "" or #known > JID_MAX then return known, false; end
		if not known:find("@", 1, true) then return known, true; end
		if young_count == BARE_MAX then old, young, young_count = young, {}, 0; end
		young[jid], young_count = known, young_count + 1;
		return known, true;
	end

	-- The latest entry of a user about an id, where by_id[id], which is another's, may have it.
	local function among(several, user)
		return type(several) == "table" and several[user] or false;
	end

	-- Makes an entry, or none, the latest of a user about an id.
	local function set_latest(id, user, n)
		local there = by_id[id];
		if type(there) == "table" then
			there[user] = n;
			if not next_key(there) then by_id[id] = nil; end
		elseif not there or owner[there] == user then
			by_id[id] = n;
		else
			by_id[id] = { [owner[there]] = there, [user] = n };
		end
	end

	-- Forgets an entry, and its user with the last one, unless that is the one to keep.
	local function drop(n, keep)
		local user, id = owner[n], ids[n];
		local latest = by_id[id];
		if latest == n and not same[n] then
			by_id[id] = nil;
		else
			if owner[latest] ~= user then latest = among(latest, user); end
			if latest == n then
				set_latest(id, user, same[n] or nil);
			else
				while same[latest] ~= n do latest = same[latest]; end
				same[latest] = same[n];
			end
			same[n] = false;
		end
		local before, after = prev[n], next[n];
		next[before], prev[after] = after, before;
		before, after = user_prev[n], user_next[n];
		user_next[before], user_prev[after] = after, before;
		next[n], free, count = free, n, count - 1;
		local left = times[user] - 1;
		times[user], how[user] = left, how[user] - #asked[n] - #id;
		if left == 0 and user ~= keep then
			users[asked[user]], next[user], free_user = nil, free_user, user;
		end
	end

	-- The entry goes to the young end of two rings.
	local function move(n, ring, user_ring, now)
		local before, after = prev[n], next[n];
		next[before], prev[after] = after, before;
		before = prev[ring];
		next[before], prev[n], next[n], prev[ring] = n, before, ring, n;
		before, after = user_prev[n], user_next[n];
		user_next[before], user_prev[after] = after, before;
		before = user_prev[user_ring];
		user_next[before], user_prev[n], user_next[n], user_prev[user_ring] = n, before, user_ring, n;
		times[n] = now;
	end

	-- Room for one more entry of this user, of so many bytes, if there is one to be had.
	local function make_room(user, bytes)
		while user and times[user] > 0 and (times[user] >= per_user or how[user] + bytes > bytes_max) do
			local victim = user_next[user + 1];
			if victim == user + 1 then victim = user_next[user + 2]; end
			if victim == user + 2 then victim = user_next[user]; end
			drop(victim, user);
		end
		if count < capacity then return true; end
		local victim = next[2];
		if victim == 2 then victim = next[3]; end
		if victim == 3 then
			victim = user and user_next[user];
			if not victim or victim == user then return false; end
		end
		drop(victim, user);
		return true;
	end

	local pending = {};

	function pending.outgoing(stanza, now, rooms)
		local tags, bits, content = stanza.tags, 0, false;
		for i = 1, #tags do
			local tag = tags[i];
			local what = sees[tag.name];
			if what then
				if what == SEES_BODY then
					content = true;
				elseif what == SEES_REQUEST then
					if tag.attr.xmlns == RECEIPTS then
						if tag[1] and not is_empty(tag) then return (read(stanza)); end
						bits = bits | REQUEST;
					end
				elseif what == SEES_RECEIVED then
					if tag.attr.xmlns == RECEIPTS then return (read(stanza)); end
				elseif what == SEES_X then
					if tag.attr.xmlns == MUC_USER then bits = bits | OCCUPANT; end
				else
					content = true;
				end
			end
		end
		local attr = stanza.attr;
		if bits & REQUEST == 0 then
			if not content or capable[attr.from] or not has_content(tags) then return; end
			bits = bits | CONTENT;
		end
		local ns = attr.xmlns;
		if stanza.name ~= "message" or ns and not stanza_ns[ns] then return; end
		local from, to, kind = attr.from, attr.to, types[attr.type or "normal"];
		if bits & REQUEST == 0 then
			if not to or kind == HEADLINE or kind == false then return; end
			local user = young[to];
			if not user then
				user = bare(to);
				if not user:find("@", 1, true) then return; end
			end
			if from and user == (young[from] or bare(from)) then return; end
			return bits;
		end
		local id = attr.id;
		if not id or id == "" or kind == false then return (read(stanza)); end
		bits = bits & OCCUPANT | REQUEST | ASKS;
		if #id > ID_MAX or not from then return bits, TOO_LONG, false; end
		local requester, full, ok = young[from], to or from, true;
		if not requester then
			requester, ok = bare(from);
			if not ok then return bits, TOO_LONG, false; end
		end
		to = young[full];
		if not to then to, ok = bare(full); end
		if (bits & OCCUPANT ~= 0 or rooms and rooms[to]) and full ~= to then to, ok = full, #full <= JID_MAX; end
		if not ok then return bits, TOO_LONG, false; end
		kind = kind or NORMAL;
		local user, latest = users[requester], false;
		if user then
			latest = by_id[id] or false;
			if latest and owner[latest] ~= user then latest = among(latest, user); end
			local n = latest;
			while n do
				if asked[n] == to then
					local was = how[n];
					how[n] = kind;
					if was < FAILED then return bits, "known", false; end
					move(n, 1, user, now);
					return bits, "asked", false;
				end
				n = same[n];
			end
		end
		local n, bytes = free, #to + #id;
		local over = user and (times[user] >= per_user or how[user] + bytes > bytes_max);
		if over or count >= capacity then
			n = next[2];
			local whose, what = owner[n], ids[n];
			if not over and n ~= 2 and by_id[what] == n and not same[n] and times[whose] > 1 then
				-- The number of the oldest entry that is done changes hands; drop(), in place
				by_id[what] = nil;
				local after = next[n];
				next[2], prev[after] = after, 2;
				local before;
				before, after = user_prev[n], user_next[n];
				user_next[before], user_prev[after] = after, before;
				times[whose], how[whose], count = times[whose] - 1, how[whose] - #asked[n] - #what, count - 1;
			else
				if not make_room(user, bytes) then return bits, "full", false; end
				n, free = free, next[free];
			end
			if latest then -- it may have been what made room
				latest = by_id[id] or false;
				if latest and owner[latest] ~= user then latest = among(latest, user); end
			end
		elseif n ~= 0 then
			free = next[n];
		else
			n = new_number();
		end
		user = user or new_user(requester);
		owner[n], asked[n], ids[n], times[n], how[n] = user, to, id, now, kind;
		if latest then same[n] = latest; end
		if by_id[id] then set_latest(id, user, n); else by_id[id] = n; end
		local before = prev[1];
		next[before], prev[n], next[n], prev[1] = n, before, 1, n;
		before = user_prev[user];
		user_next[before], user_prev[n], user_next[n], user_prev[user] = n, before, user, n;
		times[user], how[user], count = times[user] + 1, how[user] + bytes, count + 1;
		return bits, "asked", false;
	end

	function pending.incoming(stanza, now)
		local tags, attr = stanza.tags, stanza.attr;
		local kind = attr.type;
		local matters, plain = kind == "error", kind == "chat" or not kind or kind == "normal";
		local received, bits;
		for i = 1, #tags do
			local tag = tags[i];
			local name = tag.name;
			if (name == "received" or name == "request") and tag.attr.xmlns == RECEIPTS then
				if matters or name == "request" or #tag > 0 or not tag.attr.id or tag.attr.id == "" then plain = false; end
				matters, received = true, tag;
			end
		end
		if not matters then return; end
		if plain and not attr.xmlns and stanza.name == "message" then
			bits = RECEIVED | ACKS;
		else
			bits, received = read(stanza);
			if not bits or bits & (ACKS | BOUNCE) == 0 then return bits; end
		end
		local id, full, to = attr.id, attr.from, attr.to or attr.from;
		if bits & BOUNCE == 0 then
			local own = received.attr.id;
			if own and own ~= "" then id = own; end
			if id == "" then id = nil; end
		else
			full = full or attr.to; -- no address stands for oneself
		end
		local from = full and (young[full] or bare(full));
		local user = to and users[young[to] or bare(to)];
		local n, about = user and id and by_id[id], false;
		if n and owner[n] ~= user then n = among(n, user); end
		while n do
			local whom = asked[n];
			if whom == from or whom == full then
				local was, age = how[n], now - times[n];
				if age < 0 then age = 0; end -- the clock has stepped back
				local verdict = "delivered";
				if bits & BOUNCE ~= 0 then
					if was >= FAILED then return bits; end
					move(n, 3, user + 2, times[n]);
					how[n], verdict = was | FAILED, "failed";
				elseif was >= DELIVERED then
					verdict = "duplicate";
				else
					-- move(), in place
					local before, after = prev[n], next[n];
					next[before], prev[after] = after, before;
					before = prev[2];
					next[before], prev[n], next[n], prev[2] = n, before, 2, n;
					before, after = user_prev[n], user_next[n];
					user_next[before], user_prev[after] = after, before;
					local ring = user + 1;
					before = user_prev[ring];
					user_next[before], user_prev[n], user_next[n], user_prev[ring] = n, before, ring, n;
					times[n], how[n] = now, was | DELIVERED;
				end
				return bits, verdict, id, age, false, type_names[was & TYPE], whom ~= from;
			end
			about = about or how[n] < DELIVERED and n;
			n = same[n];
		end
		if bits & BOUNCE ~= 0 then return bits; end
		-- A host may have others answer
		while about and (how[about] >= DELIVERED or not asked[about]:match("^[^/]*"):find("@", 1, true)) do about = same[about]; end
		return bits, about and "forged" or "unknown", id;
	end

	-- Drops what is over its time, oldest first. What a clock that stepped back has left in the future goes to the end, once.
	local function expire(ring, span, now)
		local done, last, n = 0, prev[ring], next[ring];
		while n ~= ring do
			local age, after = now - times[n], next[n];
			if age >= 0 and age < span then break; end
			done = done + 1;
			if age < 0 then move(n, ring, owner[n] + ring - 1, now); else drop(n); end
			if n == last then break; end
			n = after;
		end
		return done;
	end

	--- Returns how many entries were dealt with.
	function pending.expire(now)
		return expire(1, ttl, now) + expire(3, ttl, now) + expire(2, remember, now);
	end

	--- Entries not answered.
	function pending.count()
		local open = 0;
		for ring = 1, 3, 2 do
			local n = next[ring];
			while n ~= ring do n, open = next[n], open + 1; end
		end
		return open;
	end

	return pending;
end

return pure_lua;
