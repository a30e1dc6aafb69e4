-- SPDX-License-Identifier: MIT
-- Rule F4: what was decided about a user's recent messages, and by which rule: the answer to "why is there no tick?".
--
-- Each user has a ring of the last few decisions, and another one of those that others brought about: strangers send what they like, and are
-- not to displace what concerns the user's own messages. The strings in it are the stanzas' own, so that noting one down makes no new ones.
-- Stanzas come from strangers, too: so rings are begun for users who are online only, and of what is unusually long they have the beginning.
-- What the host itself has found out begins one for others as well, while there is room: a restart after a long time may find that much has
-- expired, and that is not to displace what users who are online may ask about.

local new_cache = require "util.cache".new;

local MAX_USERS = 1000;
local MAX_DECISIONS = 32; -- in one ring
local MAX_TEXT = 300; -- bytes in an id or an address
local FIELDS = 5; -- time, id, from, to, why

local decisions = {};
local methods = {};
local mt = { __index = methods };

--- @param online  function (account): is its user online?
function decisions.new(online)
	return setmetatable({ rings = new_cache(MAX_USERS), online = online }, mt);
end

--- Of a text that is longer than so many bytes, the beginning.
function decisions.beginning(text, most)
	if #text <= most then return text; end
	return text:sub(1, utf8.offset(text, 0, most + 1) - 1).."…";
end

local function beginning(text)
	return type(text) == "string" and #text > MAX_TEXT and decisions.beginning(text, MAX_TEXT) or text;
end

--- What another one remembered, after a reload.
function methods:take_over(other)
	self.rings = other.rings;
end

--- Notes down a decision.
-- @param account  to whose user it matters
-- @param id       the content message's id; nil where it has none
-- @param from     requester, as in the stanza; and so is `to`, who is asked
-- @param why      the rule and the reason
-- @param by       optional: who has brought it about: "others", who can as often as they like; "host", which has found it out
-- @param late     optional: it is noted after others that came later, and does not displace those
function methods:note(account, time, id, from, to, why, by, late)
	local ring = self.rings:get(account);
	if not ring then
		if not self.online(account) and not (by == "host" and self.rings:count() < MAX_USERS) then return; end
		ring = { count = 0 };
	end
	self.rings:set(account, ring); -- now it is the latest
	if by == "others" then
		ring.theirs = ring.theirs or { count = 0 };
		ring = ring.theirs;
	end
	local at = ring.count % MAX_DECISIONS * FIELDS;
	if late and ring[at + 1] and ring[at + 1] > time then return; end
	ring[at + 1], ring[at + 2], ring[at + 3], ring[at + 4], ring[at + 5] =
		time, beginning(id), beginning(from), beginning(to), why;
	ring.count = ring.count + 1;
end

-- What a ring has about the message with this id, or about all of them; oldest first.
local function found(ring, id)
	local list = {};
	for n = math.max(0, ring.count - MAX_DECISIONS), ring.count - 1 do
		local at = n % MAX_DECISIONS * FIELDS;
		if id == nil or ring[at + 2] == id then
			table.insert(list, { time = ring[at + 1], id = ring[at + 2], from = ring[at + 3], to = ring[at + 4], why = ring[at + 5] });
		end
	end
	return list;
end

--- Decisions about a user's messages: about the one with this id, or about all of them; oldest first.
-- @return array of { time =, id =, from =, to =, why = }
function methods:about(account, id)
	local ring = self.rings:get(account);
	if not ring then return {}; end
	id = beginning(id);
	local list, at = found(ring, id), 1;
	for _, one in ipairs(ring.theirs and found(ring.theirs, id) or {}) do
		while list[at] and list[at].time <= one.time do at = at + 1; end
		table.insert(list, at, one);
	end
	return list;
end

--- The user is gone.
function methods:forget(account)
	self.rings:set(account, nil);
end

return decisions;
