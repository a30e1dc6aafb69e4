-- SPDX-License-Identifier: MIT
-- An oracle outside of the server: the clients note down what they send and what comes, and here it is judged. It knows nothing of the
-- module but what people are promised: each true ack arrives once, and no other ever does.

require "spec.support.paths";
local jid_bare = require "util.jid".bare;
local stanzas = require "spec.support.stanzas";

local book = {};
local methods = {};
local mt = { __index = methods };

-- entries: id -> { from =, to = (bare JIDs), asks = the client asked, seen = times it came, acks = true acks sent,
-- ticks = acks that came back }; wrong: array of texts, what should not have happened.
function book.new()
	return setmetatable({ entries = {}, order = {}, wrong = {}, count = 0, acks = 0, ticks = 0 }, mt);
end

local function blame(self, text, stanza)
	table.insert(self.wrong, text..": "..tostring(stanza));
end

--- A new message; returns its id.
function methods:sent(from, to, asks)
	self.count = self.count + 1;
	local id = ("soak-%d-%x"):format(self.count, math.random(1 << 30));
	self.entries[id] = { id = id, from = from, to = to, asks = asks, seen = 0, acks = 0, ticks = 0 };
	table.insert(self.order, id);
	return id;
end

--- A true ack is sent.
function methods:acked(id)
	local entry = self.entries[id];
	entry.acks = entry.acks + 1;
	self.acks = self.acks + 1;
end

--- An id that somebody could have found out; nil before the first message.
function methods:some_id()
	local n = #self.order;
	return self.order[math.random(math.max(1, n - 50), math.max(1, n))];
end

--- A message came to this user.
-- @return the entry that it is the content message of, where it is one
function methods:came(user, stanza)
	local by, received = jid_bare(stanza.attr.from), stanzas.acked(stanza);
	if stanza.attr.type == "error" then
		return nil;
	elseif received ~= nil then
		local entry = self.entries[received];
		if not entry then return blame(self, "an ack of what was never sent", stanza); end
		if entry.from ~= user or not entry.asks then return blame(self, "an ack of what "..user.." has not asked for", stanza); end
		if entry.to ~= by then return blame(self, "a forged ack", stanza); end
		if entry.seen == 0 then return blame(self, "an ack of what was not delivered", stanza); end
		entry.ticks = entry.ticks + 1;
		self.ticks = self.ticks + 1;
		if entry.ticks > math.max(1, entry.acks) then return blame(self, "an ack too many", stanza); end
	elseif stanza:get_child("body") then
		local entry = self.entries[stanza.attr.id];
		if not entry or entry.to ~= user or entry.from ~= by then return blame(self, "a message that nobody sent to "..user, stanza); end
		entry.seen = entry.seen + 1;
		return entry;
	end
end

--- When all is done: what has not come.
-- @param exact     function (entry): came this entry's message, and its acks, for certain?
-- @param answered  function (entry): does the server answer it?
function methods:close(exact, answered)
	for _, id in ipairs(self.order) do
		local entry = self.entries[id];
		if exact(entry) then
			local due = answered(entry) and 1 or entry.asks and entry.acks or 0;
			if not entry.asks then due = 0; end
			if entry.seen ~= 1 or entry.ticks ~= due then
				table.insert(self.wrong, ("%s from %s to %s came %d times, and %d acks of %d"):format(id, entry.from, entry.to, entry.seen, entry.ticks, due));
			end
		end
	end
end

return book;
