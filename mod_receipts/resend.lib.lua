-- SPDX-License-Identifier: MIT
-- Rule G1: a content message without an ack is delivered again, while a client that can ack is online. Off by default: XEP-0184 §4
-- advises against it without an agreement, and a client known to support receipts is taken for one.
--
-- kept[requester: a bare JID] = set of { content; from, person: bare JIDs, of the requester and of who was asked; corrects: id of the message that
-- it corrects, if any; left: attempts; delay until the next look; age; timer: of that; number }. In memory only.
-- copies[requester, id, who was asked: a bare JID] = { client's full JID -> how many were sent there that have not bounced }, also when
-- nothing is kept any more.

local new_cache = require "util.cache".new;
local count = require "util.iterators".count;
local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local jid_node = require "util.jid".node;

local is_awake = module:require "asleep".is_awake;
local blocks = module:require "blocks";
local elements = module:require "elements";
local presence = module:require "presence";
local proof = module:require "proof";

local full_sessions = prosody.full_sessions;

local xmlns_hints = "urn:xmpp:hints";

local MAX_KEPT = 10000; -- messages
local MAX_KEPT_OF = 100; -- of one user
local MAX_AGE = 86400; -- seconds
local MAX_SIZE = 16384; -- bytes of one message
local MAX_CLIENTS = 5; -- to which it goes at once: anybody may have a hundred, or make them up

local resend = {};
local methods = {};
local mt = { __index = methods };

--- @param attempts  how often
-- @param after     seconds until the first time; each later one takes twice as long
-- @param actions   later(seconds, callback): returns a timer, with stop();
--                  state(from, to, id): the pending table's; capable(content): array of full JIDs of clients
--                  that can ack, that the requester may know of, and that will not get it anyway; deliver(stanza);
--                  told(content): it is delivered again, to one or more of them
function resend.new(attempts, after, actions)
	return setmetatable({
		attempts = attempts, after = after, actions = actions, kept = {}, count = 0, numbers = 0;
		copies = new_cache(MAX_KEPT);
		passing = setmetatable({}, { __mode = "k" }); -- event that a message passes -> function () that keeps it
	}, mt);
end

-- The id of the message that this one corrects (XEP-0308) or retracts (XEP-0424, of now and of before); nil where there is none.
local function overtaken(stanza)
	for _, tag in ipairs(stanza.tags) do
		local name, xmlns = tag.name, tag.attr.xmlns;
		if name == "replace" and xmlns == "urn:xmpp:message-correct:0" or name == "retract" and xmlns == "urn:xmpp:message-retract:1"
			or name == "apply-to" and xmlns == "urn:xmpp:fasten:0" and tag:get_child("retract", "urn:xmpp:message-retract:0") then
			return tag.attr.id;
		end
	end
end

--- Listens from now on. What another module stops on its way out is not kept. And the client has not sent the copies: what becomes of one
-- is not what becomes of its message.
-- @param parts     resend, see start; it may sleep
-- @param hook      function (event name, handler, priority): hooks an event of the host, guarded
-- @param priority  that of the handler of messages that come, which has bounces of messages be failed
-- @param lost      function (stanza): takes note of a copy that has not arrived, and returns true
function resend.listen(parts, hook, priority, lost)
	for _, kind in ipairs { "bare", "full", "host" } do
		hook("pre-message/"..kind, function (event)
			local self = parts.resend; -- after a reload, that of the module by which the message was looked at
			if not is_awake(self) then return; end
			local attr, keep, earlier = event.stanza.attr, self.passing[event], overtaken(event.stanza);
			if earlier then self:overtake(attr, earlier); end
			self:passed(attr, keep ~= nil);
			if keep then keep(); end
		end, -1000);
	end
	for _, kind in ipairs { "bare", "full" } do
		hook("message/"..kind, function (event)
			local stanza = event.stanza;
			local self = parts.resend;
			if stanza.attr.type == "error" and is_awake(self) and self:bounced(stanza) then return lost(stanza); end
		end, priority + 1);
	end
end

local function key_between(requester, id, asked)
	return jid_bare(requester).."\0"..id.."\0"..jid_bare(asked);
end

local function count_copy(self, attr, jid)
	local key = key_between(attr.from, attr.id, jid);
	local copies = self.copies:get(key) or {};
	copies[jid] = (copies[jid] or 0) + 1;
	self.copies:set(key, copies);
end

--- Is this the bounce of a copy, from another server? Where the message itself went to the same client, any bounce but the last is taken
-- for that of a copy.
function methods:bounced(stanza)
	local attr = stanza.attr;
	local copies = attr.from and attr.to and attr.id and self.copies:get(key_between(attr.to, attr.id, attr.from));
	if not copies or not copies[attr.from] then return false; end
	copies[attr.from] = copies[attr.from] > 1 and copies[attr.from] - 1 or nil;
	return true;
end

--- A message passes on its way out. If an earlier one had its id, a bounce is that one's copy's no longer: but for what is asked once more
-- while it is awaited.
-- @param is_new  it asks, and was not awaited before
function methods:passed(attr, is_new)
	if not attr.from or not attr.to or not attr.id then return; end
	if is_new or self.actions.state(attr.from, attr.to, attr.id) ~= "pending" then self.copies:set(key_between(attr.from, attr.id, attr.to), nil); end
end

local function forget(self, message)
	local theirs = self.kept[message.from];
	message.timer:stop();
	theirs[message] = nil;
	if next(theirs) == nil then self.kept[message.from] = nil; end
	self.count = self.count - 1;
end

-- Forgets those of a requester's messages for which `which` holds. They are so few that all are looked at.
-- @param which  function (message): neither waits nor keeps another one
local function forget_of(self, requester, which)
	for message in pairs(self.kept[requester] or {}) do
		if which(message) then forget(self, message); end
	end
end

-- The same of all requesters'.
local function forget_all_those(self, which)
	for requester in pairs(self.kept) do forget_of(self, requester, which); end
end

--- What another one knew, after a reload: what it has sent again may still bounce. What was still to be sent again is not taken over.
function methods:take_over(other)
	self.copies = other.copies;
end

--- Nothing is sent again any more.
function methods:stop()
	forget_all_those(self, function () return true; end);
end

--- The user is gone, and what they sent, or were sent, is not sent again: a namesake is somebody else.
function methods:forget(account)
	forget_all_those(self, function (message) return message.from == account or message.person == account; end);
end

local function is_pending(self, message)
	local attr = message.content.attr;
	return self.actions.state(attr.from, attr.to, attr.id) == "pending";
end

--- Something has come of a message with this id: if it is not awaited any more it makes room for others.
function methods:settled(requester, id)
	forget_of(self, requester, function (message) return message.content.attr.id == id and not is_pending(self, message); end);
end

local function is_kept(self, message)
	local theirs = self.kept[message.from];
	return theirs ~= nil and theirs[message] ~= nil;
end

local function look(self, message)
	message.age = message.age + message.delay;
	if not is_pending(self, message) then return forget(self, message); end
	local clients = self.actions.capable(message.content);
	if not is_kept(self, message) then return; end -- a store was read for that, and so others may have run
	if #clients > 0 then
		message.left = message.left - 1;
		message.delay = message.delay * 2;
	end
	message.delay = math.min(message.delay, MAX_AGE - message.age);
	if message.left == 0 or message.delay <= 0 then
		forget(self, message);
	else
		message.timer = self.actions.later(message.delay, function () look(self, message); end);
	end
	for i = 1, math.min(#clients, MAX_CLIENTS) do
		local jid = clients[i];
		if not is_pending(self, message) then return; end -- since the one before was sent
		if i == 1 then self.actions.told(message.content); end
		local copy = st.clone(message.content);
		copy.attr.to = jid;
		count_copy(self, copy.attr, jid); -- first: it may bounce at once
		self.actions.deliver(copy);
	end
end

--- Keeps a content message that asks once it has passed this event, if it does; see keep.
function methods:keep_after(event, stamp)
	local stanza = event.stanza;
	self.passing[event] = function () self:keep(stanza, stamp); end;
end

-- Is this of no use later? A headline is kept for nobody who is offline (RFC 6121 §8.5.2.2.1), what is not to be stored not even for a while
-- (XEP-0334). And a reaction that its sender has changed would come after what has taken its place (XEP-0444).
local function is_fleeting(stanza)
	return stanza.attr.type == "headline" or elements.is_passing(stanza) or stanza:get_child("no-store", xmlns_hints) ~= nil
		or stanza:get_child("reactions", "urn:xmpp:reactions:0") ~= nil;
end

-- The first that came, of a requester's messages; nil if there is none.
local function oldest(theirs)
	local first;
	for message in pairs(theirs) do
		if not first or message.number < first.number then first = message; end
	end
	return first;
end

--- Keeps a content message that asks, as it is sent, in place of an earlier one with the same id, which has come to something by now.
-- One that is too large is not kept. Where there are too many, their sender's oldest makes room: nobody may ever be able to get that.
-- @param stanza  the message
-- @param stamp   when, as XEP-0082 has it
function methods:keep(stanza, stamp)
	local attr = stanza.attr;
	local from = jid_bare(attr.from);
	if not attr.to or attr.to == from or is_fleeting(stanza) then return; end -- to oneself; mod_carbons puts in the address
	forget_of(self, from, function (message)
		local earlier = message.content.attr;
		return earlier.id == attr.id and earlier.to == attr.to;
	end);
	local theirs = self.kept[from] or {};
	if #tostring(stanza) > MAX_SIZE then return; end
	if self.count >= MAX_KEPT or count(pairs(theirs)) >= MAX_KEPT_OF then
		local first = oldest(theirs);
		if not first then return; end
		forget(self, first);
	end
	local content = st.clone(stanza);
	content:remove_children("store", xmlns_hints);
	content:reset():tag("delay", { xmlns = "urn:xmpp:delay", from = module.host, stamp = stamp }):text(elements.SENT_AGAIN):up()
		-- Archives and other devices have the first one.
		:tag("no-store", { xmlns = xmlns_hints }):up():tag("no-copy", { xmlns = xmlns_hints }):up()
		:tag("private", { xmlns = "urn:xmpp:carbons:2" }):up();
	self.numbers = self.numbers + 1;
	local message = { number = self.numbers, content = content, from = from, person = jid_bare(attr.to), corrects = overtaken(stanza) };
	message.left, message.delay, message.age = self.attempts, self.after, 0;
	theirs[message] = true;
	self.kept[from] = theirs;
	self.count = self.count + 1;
	message.timer = self.actions.later(self.after, function () look(self, message); end);
end

--- What this sender has said by an earlier message to the same person is no longer so: that is not sent again, nor what has corrected it
-- before, since each correction names the first message (XEP-0308 §3).
function methods:overtake(attr, id)
	if not attr.from or not attr.to then return; end
	local person = jid_bare(attr.to);
	forget_of(self, jid_bare(attr.from), function (message)
		local earlier = message.content.attr.id;
		return message.person == person and (earlier == id or message.corrects == id and earlier ~= attr.id); -- it may be sent once more
	end);
end

-- Stream management will deliver it to this session by itself.
local function still_has(session, content)
	return session.hibernating or proof.unproven(session, content) > 0;
end

-- Does a client of this server get what is sent to that address? To a bare JID, one that is not available, or of negative priority, does not
-- (RFC 6121 §8.5.2.1.1). One that comes has its presence first, and its priority when all else has been done about that.
local function is_for(session, jid, to)
	return jid == to or session.priority ~= nil and session.priority >= 0;
end

-- May the client's user see it, and will it not get the message anyway? Who has an occupant's nick may be somebody else by now.
local function lacks(content)
	return function (from, jid, client)
		local theirs = full_sessions[jid];
		if theirs and (not is_for(theirs, jid, content.attr.to) or still_has(theirs, content)) then return false; end
		return not client.room and presence.sees(from, jid, client);
	end;
end

--- Sends again what this host's users have sent.
-- @param parts  options, pending, capabilities, reports; record (function (stanza, why)): takes note of a decision
-- @param later  of guard.lib.lua
function resend.start(parts, later)
	return resend.new(parts.options.resend_attempts, parts.options.resend_after, {
		later = function (seconds, callback) return later(seconds, "sending again", callback); end;
		state = function (from, to, id) return (parts.pending:state(from, to, id)); end;
		capable = function (content)
			local from, to = content.attr.from, content.attr.to;
			if blocks.has(jid_node(from), to) then return {}; end -- the sender has blocked them since
			return parts.capabilities:capable_clients(to, lacks(content), from);
		end;
		told = function (content) parts.record(content, "G1 sent again"); end;
		deliver = function (stanza)
			parts.reports:count("resent");
			module:send(stanza);
		end;
	});
end

return resend;
