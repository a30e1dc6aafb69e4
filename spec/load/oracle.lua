-- SPDX-License-Identifier: MIT
-- An oracle outside of the server, for random walks: it is told what people send, and what comes to them, and raises an error at what
-- should not have happened. It knows nothing of the module but what people are promised.
--
--   message  by, asked: who sent it (full JID), and to whom: an account or a room's occupant; stanza: as it left; asks: by its client's will;
--            is_private: it goes through a room; by_able: that client asks by itself; was_visible: its user saw whom it went to; is_first: of
--            that client's with this id; injected: the server asked; came: device that got it -> how often that had changed what it
--            can; at: set of their JIDs; proven: of those that have said so on the stream; told, acked, ticked: the steps in which the server's ack,
--            a client's own, and any came; bounced; excused: nobody need get it; forgotten: the server may know nothing of it
--   key      what acks are matched on, a requester's account, an id and who was asked: messages; acks, answers: how many clients sent, and how
--            many of the server's came; ticks: client -> how many acks of clients came there; awaited: none has been sent

require "spec.support.paths";
local jid_bare = require "util.jid".bare;
local st = require "util.stanza";
local stanzas = require "spec.support.stanzas";

local HINTS, AGAIN = "urn:xmpp:hints", "^Sent again";

local oracle = {};
local methods = {};
local mt = { __index = methods };

--- @param rules  request, unknown, proof, protect, resend: as the server's options have them
-- @param world   what is or was a moment ago: sees(bare JID, device): may they see that device's presence? can(device): does its client
--                know receipts? able(device): it is there, and its client does, and did; has_able(account): is there one of theirs that does?
--                And device(full JID): the latest there
function oracle.new(rules, world)
	return setmetatable({ rules = rules, world = world, step = 0, by_body = {}, list = {}, keys = {} }, mt);
end

local function blame(what, stanza)
	error(what..": "..tostring(stanza), 0);
end

-- What an account has asked with this id: whom was asked -> key.
local function keys_of(self, account, id)
	local name = account.."\0"..id;
	self.keys[name] = self.keys[name] or {};
	return self.keys[name];
end

-- From now on the message is known by this id.
local function note_id(self, message, id)
	local keys = keys_of(self, jid_bare(message.by), id);
	keys[message.asked] = keys[message.asked] or { messages = {}, acks = 0, answers = 0, ticks = {} };
	message.key, message.is_first = keys[message.asked], true;
	for _, other in ipairs(message.key.messages) do message.is_first = message.is_first and other.by ~= message.by; end
	table.insert(message.key.messages, message);
end

--- Somebody sends a message.
-- @param asked  an account, or a room's occupant
function methods:sent(by, stanza, asked)
	local message = { by = by, asked = asked, stanza = st.clone(stanza), asks = stanzas.asks(stanza), came = {}, at = {}, proven = {} };
	message.stanza.attr.from, message.stanza.attr["xml:lang"] = by, "en"; -- as the server does
	self.by_body[stanza:get_child_text("body")] = message;
	table.insert(self.list, message);
	if stanza.attr.id then note_id(self, message, stanza.attr.id); end
	if message.asks then message.key.awaited = true; end
	return message;
end

-- Has the server put the request in by right?
local function judge_injection(self, message, stanza)
	if self.rules.request == "never" or not stanza.attr.id then blame("C1 C4: nobody asked", stanza); end
	message.injected = true;
	if not message.stanza.attr.id then
		message.stanza.attr.id = stanza.attr.id;
		note_id(self, message, stanza.attr.id);
	end
	if self.rules.request ~= "auto" or message.is_private then return; end
	if message.by_able then blame("C1: its client asks by itself", stanza); end
	if not message.was_visible then blame("B4: who may not see the recipient was asked for", stanza); end
end

local function same(message, stanza)
	local function leave_out(element)
		local name = element.name;
		return name == "delay" or name == "stanza-id" or name == "request" and not message.asks;
	end
	return stanzas.canonical(message.stanza, leave_out) == stanzas.canonical(stanza, leave_out);
end

local function is_copy(stanza)
	for delay in stanza:childtags("delay", "urn:xmpp:delay") do
		if delay:get_text():find(AGAIN) then return true; end
	end
	return false;
end

--- A message with a body has come to a device.
-- @return the message
function methods:came(device, stanza)
	local message = self.by_body[stanza:get_child_text("body")];
	if not message or not message.is_private and message.asked ~= device.bare then blame("nobody sent this to "..device.jid, stanza); end
	if stanzas.asks(stanza) then
		if not message.asks and not message.injected then judge_injection(self, message, stanza); end
	elseif message.asks then
		blame("its request is gone", stanza);
	end
	if is_copy(stanza) then
		if message.ticked and message.ticked < self.step - 1 then blame("G1: sent again after the ack", stanza); end
		if message.is_private or not self.rules.resend or not self.world.can(device) then blame("G1: sent again to "..device.jid, stanza); end
		message.at[device.jid] = true;
		return message;
	end
	if not message.is_private and not same(message, stanza) then blame("it was sent as "..tostring(message.stanza), stanza); end
	if message.came[device] then blame("it has come to "..device.jid.." before", stanza); end
	message.came[device], message.at[device.jid] = device.changes, true;
	return message;
end

--- A device is about to ack what has come.
function methods:acks(message) -- luacheck: ignore 212/self
	message.key.acks = message.key.acks + 1;
	message.key.awaited = false;
end

-- The messages of this key that an ack is about, by whom it is addressed to.
local function about(key, to)
	local list = {};
	for _, message in ipairs(key.messages) do
		if to == message.by or to == jid_bare(message.by) then table.insert(list, message); end
	end
	return list;
end

-- Is there a client that got it, and may ack it by itself?
local function waits(self, key)
	local message = key.messages[1];
	if key.messages[2] or message.excused or message.is_private then return false; end
	for device, changes in pairs(message.came) do
		local heard = not self.rules.protect or self.world.sees(jid_bare(message.by), device);
		if changes == device.changes and self.world.able(device) and heard then return true; end
	end
	return false;
end

local function judge_answer(self, key, list, stanza, late)
	local device = self.world.device(stanza.attr.from);
	key.answers, key.awaited = key.answers + 1, false;
	local arrived = 0;
	for _, message in ipairs(key.messages) do
		if next(message.proven) or self.rules.proof == "sent" then arrived = arrived + 1; end
	end
	if key.answers > arrived then blame("D4: told too often", stanza); end
	local there, acked = self.rules.proof == "sent" or not device, #list > 0;
	for _, message in ipairs(list) do
		there = there or message.proven[device.jid];
		acked = acked and message.acked and message.acked < self.step and not message.excused;
		message.told = message.told or self.step;
	end
	if not there then blame("D2: it is not proven that it has arrived there", stanza); end
	if acked and not late then blame("D4: the client has acked it by itself", stanza); end
	if not device then return; end
	if self.world.able(device) then blame("D4: that client acks by itself", stanza); end
	if waits(self, key) then blame("D4: another client may ack by itself", stanza); end
	if not late and not self.world.sees(jid_bare(stanza.attr.to), device) then blame("D3: who may not see that presence was told", stanza); end
end

--- An ack has come to somebody.
-- @param client  the one that it came to
function methods:ticked(client, stanza)
	local from, to, id = stanza.attr.from, stanza.attr.to, stanzas.acked(stanza);
	if not id then blame("E3: it has no id", stanza); end
	local late = stanza:get_child("delay", "urn:xmpp:delay") ~= nil; -- it was in offline storage
	local keys = keys_of(self, client.bare, id);
	local key = keys[from] or keys[jid_bare(from)];
	if not key then
		if self.rules.unknown == "drop" then blame("E2: nobody was asked that", stanza); end
		for _, other in pairs(keys) do
			if other.awaited then blame("E2: forged", stanza); end
		end
		return;
	end
	local list, asks = about(key, to), false;
	for _, message in ipairs(key.messages) do asks = asks or message.asks or message.forgotten; end
	if not asks and not late and not self.world.has_able(client.bare) then blame("C6: its client has not asked", stanza); end
	if stanza:get_child("store", HINTS) or stanza:get_child("no-permanent-store", HINTS) then -- one of the server's has either
		judge_answer(self, key, list, stanza, late);
	else
		key.ticks[client] = (key.ticks[client] or 0) + 1;
		if key.ticks[client] > key.acks then blame("an ack has come too often", stanza); end
		local device = self.world.device(from);
		local seen = not self.rules.protect or late or not device or self.world.sees(client.bare, device);
		if not seen then blame("E4: who may not see that presence got an ack", stanza); end
		for _, message in ipairs(list) do message.acked = message.acked or self.step; end
	end
	for _, message in ipairs(list) do message.ticked = message.ticked or self.step; end
end

-- Was this what bounced? The id may be the server's, that of a message that had none.
local function has_bounced(message, client, stanza)
	local from, id = stanza.attr.from, message.stanza.attr.id;
	return message.by == client.jid and (message.asked == from or message.asked == jid_bare(from)) and (not id or id == stanza.attr.id);
end

--- A bounce has come to who sent messages.
function methods:bounced(client, stanza)
	local any = false;
	for _, message in ipairs(self.list) do
		if has_bounced(message, client, stanza) then
			any, message.bounced = true, true;
			local told = message.told and message.told < self.step - 1 and #message.key.messages == 1;
			if told and not message.is_private and not message.excused then blame("who was told that it arrived is told that it did not", stanza); end
		end
	end
	if not any and not client.forges then blame("D8: "..client.jid.." has sent nothing with that id", stanza); end
end

--- From now on nothing is sure of what was sent before.
-- @param which  function (message)
-- @param crash  what was awaited may be forgotten
function methods:excuse(which, crash)
	for _, message in ipairs(self.list) do
		if which(message) then
			message.excused = true;
			if message.key then
				message.key.answers = 0;
				if crash then message.forgotten = true; end
				-- What is proven may be answered as the server stops, and nobody reads that.
				if crash or next(message.proven) then message.key.awaited = false; end
			end
		end
	end
end

--- When all is done: has everything come to somebody?
function methods:close()
	for _, message in ipairs(self.list) do
		if not (next(message.at) or message.bounced or message.excused or message.is_private) then blame("it has come to nobody", message.stanza); end
	end
end

return oracle;
