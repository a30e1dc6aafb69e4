-- SPDX-License-Identifier: MIT
-- Chapter D, as it meets Prosody: sessions, stream management's queues and events on one side, the decisions of answers.lib.lua on
-- the other.

local st = require "util.stanza";
local jid_join = require "util.jid".join;

local answers_lib = module:require "answers";
local account_of = (module:require "jids").account_of;
local is_awake = module:require "asleep".is_awake;
local elements = module:require "elements";
local in_thread = (module:require "guard").in_thread;
local presence = module:require "presence";
local proof = module:require "proof";
local routing = module:require "routing";

local full_sessions = prosody.full_sessions;

local MOMENT = 0.1; -- seconds

local answering = {};
local methods = {};
local mt = { __index = methods };

local answer;

-- Is this a content message that asks, and from whom?
local function asks(self, stanza)
	local what = self.parts.engine.examine(stanza);
	return what and what & self.parts.engine.bits.asks ~= 0 and stanza.attr.from ~= nil and not elements.is_passing(stanza);
end

-- Was it in offline storage? mod_offline says so.
local function is_stored(content)
	return content:get_child_with_attr("delay", "urn:xmpp:delay", "from", module.host) ~= nil;
end

--- @param parts  options, engine, preferences, capabilities, rooms, waiting, reports, late, own (see hooks.lib.lua); record (function (stanza, why)):
--                takes note of a decision
-- @param guard  of guard.lib.lua, and later
function answering.new(parts, guard, later)
	local self = setmetatable({
		parts = parts, guard = guard, later = later;
		answer = guard("an answer", function (...) answer(...); end); -- each by itself: one that cannot be sent costs no other
		sent_at_hibernation = setmetatable({}, { __mode = "k" }); -- session that hibernates -> how many stanzas of its queue were sent before
		resuming = setmetatable({}, { __mode = "k" }); -- session -> stanzas that a resumption proves, until it has come about
		unsure = setmetatable({}, { __mode = "k" }); -- set of sessions that are waited for, of whose clients nothing is known yet
		left = setmetatable({}, { __mode = "k" }); -- set of sessions that sleep for ever, and that nobody waits for any more
		resumption_tokens = module:shared("/*/smacks/resumption-tokens");
	}, mt);
	self.answers = answers_lib.new(function (stanza) return asks(self, stanza); end, is_stored);
	return self;
end

--- What another one remembered, after a reload.
-- @param options  what they were for that one
function methods:take_over(other, options)
	self.answers:take_over(other.answers, self.parts.options.answer == options.answer);
	self.sent_at_hibernation, self.unsure = other.sent_at_hibernation, other.unsure;
end

-- The answer takes the way of the client's own stanzas. Like those it is not sent again when another module fails on that way: that may
-- have been behind those that stored or sent it.
local function send_answer(self, session, content, why)
	local account, client = account_of(session), session.full_jid; -- it may end while another module waits
	local made, own = self.answers:make(client, content, self.parts.rooms:has(session, content.attr.from)), self.parts.own;
	own[made] = true;
	self.answers:watch(made);
	local ok, err = pcall(prosody.core_post_stanza, session, made, true);
	own[made] = nil;
	local refused = self.answers:refused(made);
	if not ok then
		self.answers:not_sent(account, content);
		self.parts.record(content, "not answered for "..client..", F0 the answer could not be sent");
		error(err, 0);
	end
	if refused then -- a block, no such user
		self.parts.record(content, "not answered for "..client..", D8 the answer was refused at once");
	else
		self.parts.record(content, "answered for "..client..", "..why);
		self.parts.reports:count("answers");
	end
end

-- What is known of a session's client; where that is nothing, it matters once it is learned, for what has arrived until then. A client whose
-- ack would be held back (rule E4) can't ack: to wait for it would tell the requester that it is there.
local function support_of(self, session, requester)
	local support = self.parts.capabilities:of(session.full_jid);
	if support == "incapable" then return support; end
	if support ~= "capable" then self.unsure[session] = true; end
	return self.parts.options.protect_presence and not presence.visible(session, requester) and "incapable" or support;
end

-- Does a session get what it has sent itself, to the user's bare JID, say? That proves nothing, and its client won't ack it.
local function is_own(session, content)
	return session.full_jid == content.attr.from and session.full_jid ~= content.attr.to;
end

-- A content message that asks has arrived at a session.
function answer(self, session, content)
	if is_own(session, content) then return; end
	local user = session.username; -- none any more of one that has ended, as it may while either of these reads a store
	if not user or not self.parts.preferences:answers_for(user) or session.destroyed then return; end
	local visible = presence.visible(session, content.attr.from);
	if session.destroyed then return; end
	local waiting = self.parts.waiting;
	if is_awake(waiting) and waiting:keeps(session, content) then return; end -- its client has acked it, and is just not available yet
	local yes, why = self.answers:arrived(session, content, support_of(self, session, content.attr.from), visible);
	if yes then
		send_answer(self, session, content, content.written and "D2 written to the connection" or why);
	else
		self.parts.record(content, "not answered for "..session.full_jid..", "..why);
	end
end

--- A stanza has arrived at a session.
function methods:arrived(session, stanza)
	if asks(self, stanza) then self:answer(session, stanza); end
end

-- What has arrived, and waited, is looked at again.
local function answer_all(self, list)
	if #list == 0 then return; end
	in_thread(function ()
		for _, one in ipairs(list) do self:answer(one.session, one.content); end
	end);
end

-- Is by now known of a session's client what it was waited for?
local function look_again(self, session)
	if not self.unsure[session] then return; end -- it has ended since
	self.unsure[session] = nil; -- unless it is still not known
	answer_all(self, self.answers:learned(session, support_of(self, session)));
end

--- Something was learned about a client: perhaps about one that is waited for. Those of which it is known by then are looked at in a moment,
-- when presence that it was learned from has come about, once for all that is learned till then.
-- @param jid  its full JID; nil when it may be any
function methods:learned(jid)
	local matters = jid == nil or self.unsure[full_sessions[jid]];
	if not matters or self.looks_soon or next(self.unsure) == nil then return; end
	self.looks_soon = true;
	self.later(MOMENT, "what was learned", function ()
		self.looks_soon = nil;
		local list = {};
		for session in pairs(self.unsure) do
			if self.parts.capabilities:knows(session.full_jid) then table.insert(list, session); end
		end
		for _, session in ipairs(list) do look_again(self, session); end
	end);
end

-- Prosody 13.0 lets go of what would end a session that sleeps before it refuses to resume it, for a queue that ran over, say.
local function sleeps_for_ever(session)
	return session.hibernating and not session.hibernating_watchdog;
end

--- A content message that asks is on its way to an account for which the server answers. To who may not see that anybody
-- of it is online there will be no answer: so strangers cannot fill what is remembered.
-- @param event  that it passes; late, as of traffic.lib.lua, tells whether it has gone there already
function methods:delivering(account, content, event)
	if not content.attr.from or elements.is_passing(content) then return; end -- some module's, or will not be answered
	if not presence.account_visible(account, content.attr.from) then return self.answers:not_delivering(account, content); end
	local is_copy, sessions = elements.is_copy(content), {};
	for _, session in ipairs(routing.recipients(content.attr.to or account, content.attr.type)) do
		if sleeps_for_ever(session) then
			if not self.left[session] then self:gone(session); end
			self.left[session] = true;
		elseif not is_own(session, content) then
			table.insert(sessions, session);
		end
	end
	self.answers:delivering(account, sessions, content, function (session)
		return support_of(self, session, content.attr.from);
	end, is_copy, self.parts.late[event]); -- by now: a block list may have been read
end

--- A client of an account for which the server answers acks a message by itself, or refuses it with an error.
-- @param id       the message's; nil: none
-- @param outcome  optional: "refused"
function methods:acked(account, stanza, id, outcome)
	if id then self.answers:acked(account, stanza.attr.to or account, id, outcome); end
end

--- The user is gone, or chooses anew whether they are answered for: messages that came while they were not have passed unnoticed.
function methods:forget(account)
	self.answers:forget(account);
end

-- Events

--- From now on it is heard what becomes of what is remembered. The events that prove something are heard without that, in
-- proof.lib.lua: what comes from offline storage is remembered by nobody before it is proven.
-- @param self  what this is going to be, see asleep.lib.lua
-- @param hook  function (event name, handler): hooks an event of the host, guarded
function answering.listen(self, hook)
	hook("resource-unbind", function (event) self:gone(event.session); end);
	hook("resource-bind", function (event) self:bound(event.session); end);
	hook("delivery/failure", function (event) self:delivery_failed(event); end);
	hook("delivery/failure", function (event) return self:has_told(event); end, -1); -- behind mod_smacks, which may store it: then all is well
	hook("smacks-hibernation-end", function (event) self:stream_resumed(event); end);
end

--- resource-unbind
function methods:gone(session)
	self.unsure[session] = nil;
	answer_all(self, self.answers:gone(session, session.smacks ~= nil)); -- false: it is about to end
end

--- resource-bind: whoever had this resource is gone, also where Prosody has not said so, as of one that slept and had come by WebSocket or BOSH.
function methods:bound(session)
	answer_all(self, self.answers:gone(session, true));
end

--- smacks-hibernation-start
function methods:hibernating(session, queue)
	self.sent_at_hibernation[session] = proof.sent(queue);
end

--- <resume/> (XEP-0198 §5) proves as much, but may still fail.
function methods:stream_resuming(session, stanza)
	if session.full_jid or not session.username or not stanza.attr.previd then return; end
	local original = self.resumption_tokens[jid_join(session.username, session.host, stanza.attr.previd)];
	local queue = original and original.outgoing_stanza_queue;
	if not queue then return; end
	self.resuming[original] = proof.of(queue, stanza.attr.h, original.hibernating and (self.sent_at_hibernation[original] or 0));
end

--- smacks-hibernation-end
function methods:stream_resumed(event)
	local session = event.resumed;
	local proven = self.resuming[session];
	self.resuming[session], self.sent_at_hibernation[session], self.left[session] = nil, nil, nil;
	for _, content in ipairs(proven or {}) do self:arrived(session, content); end
end

-- Of a stanza that a session died with: is it a content message that asks?
local function has_lost(self, event)
	return event.session.username and event.stanza.name == "message" and asks(self, event.stanza);
end

--- delivery/failure: a session died with this stanza unacked.
function methods:delivery_failed(event)
	if has_lost(self, event) then answer_all(self, self.answers:lost(event.session, event.stanza)); end
end

--- Who has been told that it arrived is not to be told that it didn't.
-- @return true if that is so
function methods:has_told(event)
	return has_lost(self, event) and self.answers:told(event.session, event.stanza) or nil;
end

--- With receipts_answer_proof = "sent", what was written to a client without stream management counts as arrived.
-- @return function (stanza, session): the filter of what goes out
function methods:sent()
	local sent = self.guard("a stanza that goes out", function (stanza, session)
		if session.smacks or not st.is_stanza(stanza) or stanza.name ~= "message" or not asks(self, stanza) then return; end
		local content = st.clone(stanza);
		content.written = true; -- whatever has become of the session when it is answered for
		self.later(0, "an answer for what was sent", function () self:answer(session, content); end);
	end);
	return function (stanza, session)
		sent(stanza, session);
		return stanza;
	end;
end

return answering;
