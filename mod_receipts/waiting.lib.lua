-- SPDX-License-Identifier: MIT
-- Rule E4: an ack that a client sends before its user can be seen online waits until the client is available, if its addressee may see
-- that then. Clients that fetch the archive before they send presence do so, and do not send the ack again.

local new_set = require "util.set".new;
local st = require "util.stanza";

local elements = module:require "elements";
local jids = module:require "jids";

local bare_sessions = prosody.bare_sessions;
local bare_of = jids.bare;

local MAX_WAITING, MAX_SIZE = 100, 4096; -- acks of one session, and bytes in each
local MAX_BYTES, MAX_BYTES_OF = 4194304, 65536; -- in all of the host, and in those of one user

local BESIDE = new_set { "urn:xmpp:hints", "http://jabber.org/protocol/nick" }; -- what goes with an ack

local waiting = {};
local methods = {};
local mt = { __index = methods };

--- @param send       function (session, stanza): as if the client sent it now
-- @param later      of guard.lib.lua
-- @param monotonic  function (): seconds, that nobody sets
function waiting.new(send, later, monotonic)
	local WEAK = { __mode = "k" };
	-- acks: session -> array of acks, and their bytes; looking: set of sessions that are looked at in a moment; bytes: of all acks, as far as is
	-- known; counted: when it was
	return setmetatable({ send = send, later = later, acks = setmetatable({}, WEAK), looking = setmetatable({}, WEAK),
		bytes = 0, counted = -math.huge, monotonic = monotonic }, mt);
end

-- Sessions may go without a word: what they leave is the collector's, and not known until it is counted.
local function recount(self)
	self.bytes = 0;
	for session, acks in pairs(self.acks) do
		if session.destroyed then self.acks[session] = nil; else self.bytes = self.bytes + acks.bytes; end
	end
end

local function bytes_of_user(self, session)
	local online, bytes = bare_sessions[jids.account_of(session)], 0;
	for _, one in next, online and online.sessions or {} do
		local acks = self.acks[one];
		bytes = bytes + (acks and acks.bytes or 0);
	end
	return bytes;
end

-- Is there room for so many bytes more?
local function has_room(self, session, size)
	if bytes_of_user(self, session) + size > MAX_BYTES_OF then return false; end
	local time = self.monotonic();
	if self.bytes + size > MAX_BYTES and time - self.counted >= 1 then
		recount(self);
		self.counted = time;
	end
	return self.bytes + size <= MAX_BYTES;
end

--- What another one remembered, after a reload.
function methods:take_over(other)
	self.acks = other.acks;
	recount(self);
	for session in pairs(other.looking) do self:available(session, 0); end
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
	if size > MAX_SIZE or not has_room(self, session, size) then return false; end
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

local function send_all(self, session)
	local acks = self.acks[session];
	self.acks[session], self.bytes = nil, self.bytes - acks.bytes;
	for _, ack in ipairs(acks) do
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
