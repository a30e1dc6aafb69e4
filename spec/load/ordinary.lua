-- SPDX-License-Identifier: MIT
-- Ordinary users in pairs: one asks, the other acks, and each message must come, once. It is told how long each took.

local line = require "spec.load.line";
local socket = require "socket";

local ordinary = {};
local methods = {};
local mt = { __index = methods };

local RECEIPTS = "urn:xmpp:receipts";

local function is_from(stanza, who)
	return stanza:find(" from='"..who.jid.."'", 1, true);
end

-- One message has come of an exchange under way, { at = when it was sent, asked = the ask has come }.
local function came(self, exchange)
	local now = socket.gettime();
	table.insert(self.times, now - exchange.at);
	exchange.at = now;
end

-- A pair: Romeo asks, Juliet acks.
local function pair_up(self, romeo, juliet)
	juliet:listen("message", function (stanza)
		if not is_from(stanza, romeo) then return; end
		local id = stanza:match(" id='([^']*)'");
		local exchange = self.open[id];
		if not exchange or exchange.asked then return table.insert(self.wrong, stanza); end
		came(self, exchange);
		exchange.asked = true;
		juliet:send(("<message to='%s' type='chat' id='a%s'><received xmlns='%s' id='%s'/></message>"):format(romeo.jid, id, RECEIPTS, id));
	end);
	romeo:listen("message", function (stanza)
		if not is_from(stanza, juliet) then return; end
		local id = stanza:match("<received [^>]*id='([^']*)'");
		local exchange = id and self.open[id];
		if not exchange or not exchange.asked then return table.insert(self.wrong, stanza); end
		came(self, exchange);
		self.open[id] = nil;
	end);
	return { romeo = romeo, juliet = juliet };
end

--- Logs them in. They must be in each other's rosters.
-- @param presence  what they send, as text
-- @return { times = how long each message took, in seconds; wrong = messages that should not have come, as text }
function ordinary.new(port, pairs_of_users, presence)
	local self = setmetatable({ pairs = {}, open = {}, times = {}, wrong = {}, count = 0 }, mt);
	for i = 1, pairs_of_users do
		self.pairs[i] = pair_up(self, line.client(port, "romeo"..i, "orchard", presence), line.client(port, "juliet"..i, "chamber", presence));
	end
	return self;
end

function methods:jids()
	local list = {};
	for i, pair in ipairs(self.pairs) do list[i] = pair.romeo.jid; end
	return list;
end

--- The next pair begins an exchange.
function methods:ask()
	self.count = self.count + 1;
	local pair = self.pairs[self.count % #self.pairs + 1];
	local id = ("ask-%d-%x"):format(self.count, math.random(1 << 30));
	self.open[id] = { at = socket.gettime(), asked = false };
	pair.romeo:send(("<message to='%s' type='chat' id='%s'><body>The bell has rung, come to the orchard</body><request xmlns='%s'/></message>")
		:format(pair.juliet.jid, id, RECEIPTS));
end

--- Has all come that was sent?
function methods:are_done()
	return next(self.open) == nil;
end

--- They log out.
function methods:leave()
	for _, pair in ipairs(self.pairs) do
		pair.romeo:drop();
		pair.juliet:drop();
	end
end

return ordinary;
