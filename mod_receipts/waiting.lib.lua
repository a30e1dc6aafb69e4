-- SPDX-License-Identifier: MIT
-- Rule E4: an ack that a client sends before its user can be seen online waits until the client is available, if its addressee may see
-- that then. Clients that fetch the archive before they send presence do so, and do not send the ack again.

local new_set = require "util.set".new;
local st = require "util.stanza";

local elements = module:require "elements";
local bare_of = (module:require "jids").bare;

local MAX_WAITING, MAX_SIZE = 100, 4096; -- acks of one session, and bytes in each
local MAX_BYTES, MAX_BYTES_OF = 4194304, 32768; -- in all of the host, and in those of one session

local BESIDE = new_set { "urn:xmpp:hints", "http://jabber.org/protocol/nick" }; -- what goes with an ack

local waiting = {};
local methods = {};
local mt = { __index = methods };

--- @param send   function (session, stanza): as if the client sent it now
-- @param later  of guard.lib.lua
function waiting.new(send, later)
	local WEAK = { __mode = "k" };
	-- acks: session -> array of acks, and their bytes; looking: set of sessions that are looked at in a moment; bytes: of all acks
	return setmetatable({ send = send, later = later, acks = setmetatable({}, WEAK), looking = setmetatable({}, WEAK), bytes = 0 }, mt);
end

--- What another one remembered, after a reload.
function methods:take_over(other)
	self.acks, self.bytes = other.acks, other.bytes;
	for session in pairs(other.looking or {}) do self:available(session, 0); end
end

--- Keeps an ack back. Returns false when there are too many, or it is too large.
-- @param stanza  the message; nothing of it but the ack waits, and what says how to treat it, or who sends it
function methods:keep(session, stanza)
	local acks = self.acks[session] or { bytes = 0 };
	if #acks == MAX_WAITING then return false; end
	local attr = stanza.attr;
	local ack = st.message({ from = attr.from, to = attr.to, id = attr.id, type = attr.type });
	for _, tag in ipairs(stanza.tags) do
		if elements.is_received(tag) or BESIDE:contains(tag.attr.xmlns) then ack:add_child(st.clone(tag)); end
	end
	local size = #tostring(ack);
	if size > MAX_SIZE or acks.bytes + size > MAX_BYTES_OF or self.bytes + size > MAX_BYTES then return false; end
	table.insert(acks, ack);
	self.acks[session], acks.bytes, self.bytes = acks, acks.bytes + size, self.bytes + size;
	return true;
end

--- Is an ack of this content message kept back?
function methods:keeps(session, content)
	for _, ack in ipairs(self.acks[session] or {}) do
		if elements.acked(ack) == content.attr.id and bare_of(ack.attr.to) == bare_of(content.attr.from) then return true; end
	end
	return false;
end

-- Nothing of this session waits any more.
local function take(self, session)
	local acks = self.acks[session];
	self.acks[session] = nil;
	if acks then self.bytes = self.bytes - acks.bytes; end
	return acks;
end

--- A session has ended.
function methods:gone(session)
	take(self, session);
end

local function send_all(self, session)
	for _, ack in ipairs(take(self, session)) do
		if session.destroyed then return; end
		self.send(session, ack);
	end
end

--- The client becomes available: what waits is sent. Prosody sets session.presence after that event, whose other handlers may wait.
-- @param seconds  until that is looked at
function methods:available(session, seconds)
	if self.looking[session] then return; end -- it comes and goes
	self.looking[session] = true;
	self.later(seconds, "acks that wait", function ()
		self.looking[session] = nil;
		if not self.acks[session] or session.destroyed then return; end
		if session.presence then send_all(self, session); else self:available(session, 1); end
	end);
end

return waiting;
