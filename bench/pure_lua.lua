-- SPDX-License-Identifier: MIT
-- The peer of messages.lua: what the engine's calls outgoing() and incoming() do, in Lua alone, written to be fast.
--
-- It does: verdicts (delivered, duplicate, forged, unknown) by the rules of chapter E, ids kept verbatim, requests and acks that do not
-- count left alone, acks of revision 1.0, the order in which entries expire, the limits of a user and of the table.
-- It does not: ask whether a stanza is a message and in what namespace, find content messages without a request (rule C2) and bounces,
-- say what is malformed or what an ack has beside it, room occupants, the journal for a store. No key guards it against provoked hash
-- collisions. All of that the engine does in the same calls.
--
-- For speed: one loop over the tags; bare JIDs cached; an entry is a number, and its fields are in arrays; lists are rings through a
-- number that stands for their ends, so that linking has no branches; functions that run for each message are written out in place.

local XMLNS = "urn:xmpp:receipts";
local BARE_MAX = 10000; -- in each of two generations

local pure_lua = {};

-- Nothing between an element's tags but white space.
local function is_empty(tag)
	for i = 1, #tag do
		if type(tag[i]) ~= "string" or tag[i]:find("[^ \t\r\n]") then return false; end
	end
	return true;
end

--- @param limits  as of receipts.pending, all of them required
-- @return an object with the methods outgoing(stanza, now), incoming(stanza, now), expire(now), count()
function pure_lua.new(limits)
	local capacity, per_user, ttl, remember = limits.capacity, limits.per_user, limits.ttl, limits.remember;

	local young, old, young_count = {}, {}, 0; -- bare JIDs by full ones
	-- By bare JID: { number of their ring of open entries, of that of done ones, count, bare JID, [id] = number of an entry about it }
	local users = {};
	-- An entry's fields. `same` has the next entry of that user about that id, or false.
	local owner, asked, ids, times, done, same = {}, {}, {}, {}, {}, {};
	-- The rings: of the table (1 open, 2 done), and of users.
	local next, prev = { 1, 2 }, { 1, 2 };
	local user_next, user_prev = { false, false }, { false, false };
	for n = 1, 2 do owner[n], asked[n], ids[n], times[n], done[n], same[n] = false, false, false, false, false, false; end
	local free, numbers, count = 0, 2, 0; -- free numbers are chained by `next`

	local function bare(jid)
		local known = young[jid] or old[jid] or jid:match("^[^/]*");
		if young_count == BARE_MAX then old, young, young_count = young, {}, 0; end
		young[jid], young_count = known, young_count + 1;
		return known;
	end

	local function new_number()
		local n = free;
		if n ~= 0 then
			free = next[n];
			return n;
		end
		n = numbers + 1;
		numbers = n;
		owner[n], asked[n], ids[n], times[n], done[n], same[n], next[n], prev[n], user_next[n], user_prev[n] =
			false, false, false, false, false, false, n, n, n, n;
		return n;
	end

	local function new_user(jid)
		local open, acked = new_number(), new_number();
		user_next[open], user_prev[open], user_next[acked], user_prev[acked] = open, open, acked, acked;
		local user = { open, acked, 0, jid };
		users[jid] = user;
		return user;
	end

	-- Forgets an entry, and its user with the last one, unless that is the one to keep.
	local function drop(n, keep)
		local user, id = owner[n], ids[n];
		local first = user[id];
		if first == n then
			user[id] = same[n] or nil;
		else
			while same[first] ~= n do first = same[first]; end
			same[first] = same[n];
		end
		local before, after = prev[n], next[n];
		next[before], prev[after] = after, before;
		before, after = user_prev[n], user_next[n];
		user_next[before], user_prev[after] = after, before;
		next[n], free, count = free, n, count - 1;
		local left = user[3] - 1;
		user[3] = left;
		if left == 0 and user ~= keep then
			next[user[1]], next[user[2]], free = user[2], free, user[1];
			users[user[4]] = nil;
		end
	end

	-- The entry goes to the young end of the rings of its new state.
	local function move(n, user, ring, now)
		local before, after = prev[n], next[n];
		next[before], prev[after] = after, before;
		before = prev[ring];
		next[before], prev[n], next[n], prev[ring] = n, before, ring, n;
		before, after = user_prev[n], user_next[n];
		user_next[before], user_prev[after] = after, before;
		local own = user[ring];
		before = user_prev[own];
		user_next[before], user_prev[n], user_next[n], user_prev[own] = n, before, own, n;
		times[n], done[n] = now, ring == 2;
	end

	-- Room for one more entry of this user, if there is one to be had.
	local function make_room(user)
		if user and user[3] >= per_user then
			local open, acked = user_next[user[1]], user_next[user[2]];
			if open == user[1] or acked ~= user[2] and times[acked] < times[open] then open = acked; end
			drop(open, user);
		end
		if count < capacity then return true; end
		local victim = next[2];
		if victim == 2 then
			victim = user and user_next[user[1]];
			if not victim or victim == user[1] then return false; end
		end
		drop(victim, user);
		return true;
	end

	local pending = {};

	function pending.outgoing(_, stanza, now)
		local tags, request = stanza.tags, nil;
		for i = 1, #tags do
			local tag = tags[i];
			local name = tag.name;
			if name == "request" then
				if tag.attr.xmlns == XMLNS then
					if #tag > 0 and not is_empty(tag) then return; end
					request = true;
				end
			elseif name == "received" and tag.attr.xmlns == XMLNS then
				return;
			end
		end
		if not request then return; end
		local attr = stanza.attr;
		local kind, id = attr.type, attr.id;
		if not id or id == "" or kind == "groupchat" or kind == "error" then return; end
		if #id > 1023 then return "id or address too long or empty"; end
		local from, to = attr.from, attr.to;
		from = young[from] or bare(from);
		to = to and (young[to] or bare(to)) or from;
		local user, first = users[from], false;
		if user then
			first = user[id] or false;
			local n = first;
			while n do
				if asked[n] == to then
					if not done[n] then return "known"; end
					move(n, user, 1, now);
					return "asked";
				end
				n = same[n];
			end
		end
		if count >= capacity or user and user[3] >= per_user then
			if not make_room(user) then return "full"; end
			first = first and user[id] or false; -- it may have been what made room
		end
		user = user or new_user(from);
		local n = free;
		if n == 0 then n = new_number(); else free = next[n]; end
		owner[n], asked[n], ids[n], times[n], done[n], same[n] = user, to, id, now, false, first;
		user[id] = n;
		local before, own = prev[1], user[1];
		next[before], prev[n], next[n], prev[1] = n, before, 1, n;
		before = user_prev[own];
		user_next[before], user_prev[n], user_next[n], user_prev[own] = n, before, own, n;
		user[3], count = user[3] + 1, count + 1;
		return "asked";
	end

	function pending.incoming(_, stanza, now)
		local tags, received = stanza.tags, nil;
		for i = 1, #tags do
			local tag = tags[i];
			if tag.name == "received" and tag.attr.xmlns == XMLNS then
				if #tag > 0 and not is_empty(tag) then return; end
				received = received or tag;
			end
		end
		if not received then return; end
		local attr = stanza.attr;
		if attr.type == "error" then return; end
		local id = received.attr.id;
		if not id or id == "" then id = attr.id; end
		local from, to = attr.from, attr.to;
		from = young[from] or bare(from);
		to = to and (young[to] or bare(to)) or from;
		local user = users[to];
		local n, about = user and id and user[id], false;
		while n do
			if asked[n] == from then
				local age = now - times[n];
				if done[n] then return "duplicate", id, age; end
				-- move(), in place
				local before, after = prev[n], next[n];
				next[before], prev[after] = after, before;
				before = prev[2];
				next[before], prev[n], next[n], prev[2] = n, before, 2, n;
				before, after = user_prev[n], user_next[n];
				user_next[before], user_prev[after] = after, before;
				local own = user[2];
				before = user_prev[own];
				user_next[before], user_prev[n], user_next[n], user_prev[own] = n, before, own, n;
				times[n], done[n] = now, true;
				return "delivered", id, age;
			end
			about = about or not done[n];
			n = same[n];
		end
		return about and "forged" or "unknown", id;
	end

	--- Drops what is over its time. Returns how many.
	function pending.expire(_, now)
		local before = count;
		while next[1] ~= 1 and now - times[next[1]] >= ttl do drop(next[1]); end
		while next[2] ~= 2 and now - times[next[2]] >= remember do drop(next[2]); end
		return before - count;
	end

	--- Entries not answered.
	function pending.count()
		local n, open = next[1], 0;
		while n ~= 1 do n, open = next[n], open + 1; end
		return open;
	end

	return pending;
end

return pure_lua;
