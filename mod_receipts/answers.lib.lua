-- SPDX-License-Identifier: MIT
-- Chapter D: answering on behalf of clients that don't.
--
-- Proof is XEP-0198's: mod_smacks keeps what it sent to a client in a queue until the client says, with a number, how far it has
-- got. So the queue itself tells, at the moment of <a/> or <resume/>, which messages have arrived (proof.lib.lua): nothing else has to be
-- counted or remembered. What is remembered (fates.lib.lua) is what has become of a message that asks, by account, the requester's full JID,
-- and id: { waits = { resource -> … }, proven = { { session, content } … }, outcome }; or one of SETTLED, of which nothing else matters any more.
--
-- waits: the clients that it goes to, and whether one may answer by itself: "capable", "has it" (capable, and it has arrived there),
-- "unknown" (nothing is known of it), or false. While one may, nobody is answered for.
-- proven: where it has arrived, and as what: what an answer needs. It is decided on again when there is nobody to wait for.
-- earlier: resource -> how many earlier messages with this id have not been proven there: theirs comes first, and proves nothing of this one.
-- again: of an earlier message with this id nobody has been told that it arrived; nor is anybody by what becomes of this one.
-- outcome: "answered", "acked" or "refused", in the moment in which a room may send it to another device yet, or where it is `again`.
-- direct_at: when it came, to a full JID, as what a room sends does.

local st = require "util.stanza";
local base64 = require "util.encodings".base64.encode;
local hmac_sha256 = require "util.hashes".hmac_sha256;
local long_id, short_id = require "util.id".long, require "util.id".short;
local jid_bare = require "util.jid".bare;
local monotonic = require "util.time".monotonic;

local account_of = (module:require "jids").account_of;
local elements = module:require "elements";
local fates_lib = module:require "fates";
local proof = module:require "proof";

local xmlns_receipts = "urn:xmpp:receipts";
local xmlns_hints = "urn:xmpp:hints";
local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

local AT_ONCE = 1; -- seconds in which a room sends a message to all devices with a nick
local MAX_PROVEN = 5; -- sessions; one of them will answer
local MAX_ID = 1023; -- bytes in an id, as in the engine; longer ones are not answered

-- One each for all accounts, and so not to be changed.
local SETTLED = { answered = { outcome = "answered" }, acked = { outcome = "acked" }, refused = { outcome = "refused" } };

local answers = { MAX_ID = MAX_ID };
local methods = {};
local mt = { __index = methods };

--- @param asks    optional: function (stanza): is it a message that asks?
-- @param stored  function (stanza): was it in offline storage, and so has gone to nobody else?
function answers.new(asks, stored)
	-- An answer's id tells us that it is one, so that until a restart a bounce is known however late it comes, and there is no list of them.
	-- prefix: of most ids, for that is the cheapest. Who gets one knows it, and can make up bounces: they end with us.
	-- secret: of those for room occupants, to whom two answers shall not tell that they come from one server. The second half is a hash of the first.
	-- sending: ids of answers that are being sent -> "sent" | "bounced"
	return setmetatable({ asks = asks, stored = stored, fates = fates_lib.new(), prefix = short_id(), secret = long_id(), sending = {} }, mt);
end

--- What another one remembered, after a reload.
-- @param same  answers were given for the same users: else some of what it remembers of messages may be of earlier ones
function methods:take_over(other, same)
	if same then self.fates:take_over(other.fates); end
	self.prefix, self.secret, self.sending = other.prefix, other.secret, other.sending;
end

--- The user is gone.
function methods:forget(account)
	self.fates:forget(account);
end

local function is_open(fate)
	return fate ~= nil and not fate.outcome;
end

local function is_moment(fate)
	return fate.direct_at ~= nil and monotonic() - fate.direct_at <= AT_ONCE;
end

local function settle(self, account, requester, id, outcome)
	local fate = self.fates:at(account, requester, id);
	if is_open(fate) and (fate.again or is_moment(fate)) then
		fate.outcome, fate.proven = outcome, {};
	else
		self.fates:set(account, requester, id, SETTLED[outcome]);
	end
end

-- Is this a message that a room has just sent to another device with the same nick?
local function goes_on(fate, sessions, direct)
	if not fate or not direct or not is_moment(fate) then return false; end
	for _, session in ipairs(sessions) do
		if fate.waits[session.resource] ~= nil then return false; end
	end
	return true;
end

-- A message goes to this client, or has arrived there. A client that can is waited for also when that is forgotten, and one that can't is
-- not when it shows nothing any more, as one does that is not available.
local function await(fate, resource, support)
	local waits = fate.waits;
	if support == "incapable" then
		waits[resource] = false;
	elseif support == "capable" and waits[resource] ~= "has it" then
		waits[resource] = support;
	elseif waits[resource] == nil or support == "unknown" then
		waits[resource] = waits[resource] or "unknown";
	end
end

--- A content message that asks goes to these sessions of an account.
-- What became of an earlier message with this id no longer matters: clients count 1, 2, 3. But a room sends the same message to each
-- of the devices that share a nick by itself.
-- @param support_of  function (session): what is known of its client: "capable", "incapable", or else
-- @param is_copy     it went to others before, and is sent again (rule G1)
-- @param late        it has gone there already: so it is itself in their queues
function methods:delivering(account, sessions, content, support_of, is_copy, late)
	local from, to, id = content.attr.from, content.attr.to, content.attr.id;
	if #id > MAX_ID then return; end
	local before = self.fates:get(account, from, id);
	local fate = before;
	if is_copy and not is_open(fate) then return; end
	local direct = to ~= nil and to ~= jid_bare(to);
	if not is_copy and not goes_on(fate, sessions, direct) then
		local again = before and (not before.outcome or before.again);
		fate = { waits = {}, proven = {}, direct_at = direct and monotonic() or nil, again = again or nil };
	end
	for _, session in ipairs(sessions) do
		await(fate, session.resource, support_of(session));
		local unproven = proof.unproven(session, content, self.asks) - (late and 1 or 0);
		if unproven > 0 then
			fate.earlier, fate.again = fate.earlier or {}, fate.again or before == nil or nil;
			fate.earlier[session.resource] = unproven;
		end
	end
	self.fates:set(account, from, id, nil); -- so that it is the latest
	self.fates:set(account, from, id, fate);
end

--- A content message that asks goes to nobody who could be answered for now.
function methods:not_delivering(account, content)
	local from, id = content.attr.from, content.attr.id;
	self.fates:set(account, from, id, nil);
	self.fates:set(account, jid_bare(from), id, nil);
end

--- A client acks by itself, or refuses the message. The requester may be addressed by the bare JID.
-- @param outcome  optional: "refused"
function methods:acked(account, requester, id, outcome)
	outcome = outcome or "acked";
	if #id > MAX_ID then return; end
	-- What comes from storage has no fate yet, and is acked before it is proved.
	settle(self, account, requester, id, outcome);
	if requester ~= jid_bare(requester) then return; end
	for _, from in ipairs(self.fates:addresses(account, requester, id)) do settle(self, account, from, id, outcome); end
end

local function waits(fate)
	for _, yes in next, fate.waits do
		if yes then return true; end
	end
	return false;
end

--- Decides whether a message that has arrived is answered (rules D3, D4).
-- @param fate     what has become of it
-- @param support  what is known of the client that got it
-- @param visible  may the requester see the user's presence?
-- @param stored   it was in offline storage; of interest only where nothing is known of it
function answers.decide(fate, support, visible, stored)
	local outcome = fate and fate.outcome;
	if outcome then
		return false, "D4 "..outcome.." already";
	elseif support ~= "incapable" then
		return false, "D4 the client is "..support;
	elseif not visible then
		return false, "D3 the requester may not see the user's presence";
	elseif not fate and not stored then
		return false, "D4 it is not known to whom else it went";
	elseif fate and waits(fate) then
		return false, "D4 another client of the account may answer by itself";
	end
	return true, "D2 proven";
end

-- Is this message not for archives (XEP-0334)? A copy is not, but what it is a copy of may have been (rule G1). And is it a private one in a
-- room (XEP-0045 §7.5)?
local function marks(content)
	local unarchived, private = false, false;
	for _, tag in ipairs(content.tags) do
		local name, xmlns = tag.name, tag.attr.xmlns;
		unarchived = unarchived or xmlns == xmlns_hints and (name == "no-permanent-store" or name == "no-store" and not elements.is_copy(content));
		private = private or xmlns == xmlns_muc_user and name == "x";
	end
	return unarchived, private;
end

local function mark(stanza, unarchived, private)
	stanza:tag(unarchived and "no-permanent-store" or "store", { xmlns = xmlns_hints }):up();
	if private then stanza:tag("x", { xmlns = xmlns_muc_user }):up(); end
	return stanza;
end

-- What an answer needs; and whether its proof is that it was written.
local function brief(content)
	local attr = content.attr;
	local made = mark(st.message { from = attr.from, to = attr.to, type = attr.type, id = attr.id }, marks(content));
	made.written = content.written;
	return made;
end

local function prove(fate, session, content)
	for _, one in ipairs(fate.proven) do
		if one.session == session then return; end
	end
	if #fate.proven < MAX_PROVEN then table.insert(fate.proven, { session = session, content = brief(content) }); end
end

-- Is what has arrived or died at this session an earlier message with the same id?
local function is_earlier(fate, session)
	local earlier, resource = fate and fate.earlier, session.resource;
	if not earlier or not earlier[resource] then return false; end
	earlier[resource] = earlier[resource] > 1 and earlier[resource] - 1 or nil;
	return true;
end

--- A message has arrived at a session. Returns whether to answer it, and why.
-- @param support, visible  as for answers.decide
function methods:arrived(session, content, support, visible)
	local account, from, id = account_of(session), content.attr.from, content.attr.id;
	if #id > MAX_ID then return false, "the id is too long"; end
	local fate = self.fates:get(account, from, id);
	if is_earlier(fate, session) then return false, "D4 a later message has its id"; end
	if is_open(fate) then await(fate, session.resource, support); end
	local stored = not fate and self.stored(content);
	local yes, why = answers.decide(fate, support, visible, stored);
	if yes then
		settle(self, account, from, id, "answered");
	elseif support == "capable" then
		if is_open(fate) then fate.waits[session.resource] = "has it"; end
	else
		-- What waited in storage has no fate yet, or that of when it went to nobody, or to another session.
		if visible and stored then
			fate = { waits = {}, proven = {} };
			await(fate, session.resource, support);
			self.fates:set(account, from, id, fate);
		end
		if is_open(fate) then prove(fate, session, content); end
	end
	return yes, why;
end

--- The answer that was decided on could not be sent: the next client at which the message arrives may be answered for.
-- @param account  of the client that it was decided on for
function methods:not_sent(account, content)
	local from, id = content.attr.from, content.attr.id;
	local fate = self.fates:get(account, from, id);
	if fate and fate.outcome == "answered" then self.fates:set(account, from, id, { waits = {}, proven = {} }); end
end

-- This client is not waited for any more. Returns what is to be decided on again, now that there are none.
-- @param now  false: it is known that it can't, or hasn't got it; nil: it is gone, and whoever has its resource next is another one
local function stop_waiting(fate, resource, now)
	fate.waits[resource] = now;
	if waits(fate) then return {}; end
	local list = fate.proven;
	fate.proven = {};
	return list;
end

--- A session died with this message unacked.
-- @return where it has arrived, and was waiting for this one: array of { session =, content = }
function methods:lost(session, content)
	local fate = self.fates:get(account_of(session), content.attr.from, content.attr.id);
	if not is_open(fate) or is_earlier(fate, session) then return {}; end
	local waiting = fate.waits[session.resource];
	if waiting == nil or waiting == "has it" then return {}; end -- that was an earlier message, which went elsewhere; or a copy (rule G1)
	return stop_waiting(fate, session.resource, false); -- it went there: told() is asked of that. gone() deals with who has the resource next
end

-- @param visit  function (fate): returns what is to be decided on again of a message that has neither been answered nor acked, or nil
-- @return all of that for a session's account
local function each_undecided(self, session, visit)
	local list = {};
	self.fates:each(account_of(session), function (fate)
		local again = is_open(fate) and visit(fate);
		if again then table.move(again, 1, #again, #list + 1, list); end
	end);
	return list;
end

--- Something else is known of a session's client by now.
-- @param support  "capable", "incapable", or else
-- @return as lost()
function methods:learned(session, support)
	local resource = session.resource;
	return each_undecided(self, session, function (fate)
		local waiting = fate.waits[resource];
		if waiting ~= nil and support == "incapable" then return stop_waiting(fate, resource, false); end
		if waiting then await(fate, resource, support); end
	end);
end

--- A session is gone: what has arrived there is not answered from there, and the session need not be kept in memory for it. If nothing
-- is known of its client, or it has never proved that it has got a message and could have, an ack of it is not waited for any more: lost()
-- is told of what mod_smacks' queue holds, and not of what that had no room for.
-- @param managed  could it have proved that?
-- @return as lost()
function methods:gone(session, managed)
	return each_undecided(self, session, function (fate)
		local arrived = false;
		if fate.earlier then fate.earlier[session.resource] = nil; end
		for i = #fate.proven, 1, -1 do
			if fate.proven[i].session.resource == session.resource then
				table.remove(fate.proven, i);
				arrived = true;
			end
		end
		local waiting, resource = fate.waits, session.resource;
		if waiting[resource] == "capable" and (arrived or not managed) then waiting[resource] = "has it"; end -- as far as anybody knows
		if waiting[resource] == "capable" or waiting[resource] == "unknown" then return stop_waiting(fate, resource, nil); end
		if not waiting[resource] then waiting[resource] = nil; end
	end);
end

--- Has the requester been told that it arrived? Of what was lost in a session's queue this is to be asked in its order.
function methods:told(session, content)
	local fate = self.fates:get(account_of(session), content.attr.from, content.attr.id);
	if not fate or not fate.outcome then return false; end
	return not fate.again or fate.waits[session.resource] ~= nil and not is_earlier(fate, session);
end

-- Without attributes, to be cloned: that takes a third of the time of making it. By their marks.
local ANSWERS = {};
for _, unarchived in ipairs { true, false } do
	ANSWERS[unarchived] = {};
	for _, private in ipairs { true, false } do
		ANSWERS[unarchived][private] = mark(st.message():tag("received", { xmlns = xmlns_receipts }):up(), unarchived, private);
	end
end

-- As util.id writes: else it could be told from another id.
local function second_half(self, half)
	return (base64(hmac_sha256(self.secret, half)):sub(1, #half):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }));
end

--- Makes the answer (rule D5).
-- @param from      full JID that the message has arrived at
-- @param occupant  the requester is known to be a room's; the message may say so, too
function methods:make(from, content, occupant)
	local unarchived, private = marks(content);
	local made = st.clone(ANSWERS[unarchived][private]);
	local attr = made.attr;
	local random = short_id();
	attr.from, attr.to, attr.type = from, content.attr.from, content.attr.type;
	attr.id = (occupant or private) and random..second_half(self, random) or self.prefix..random;
	made.tags[1].attr.id = content.attr.id;
	return made;
end

--- Is this the bounce of an answer of ours? (rule D8)
function methods:bounced(stanza)
	local id, prefix = stanza.attr.id, self.prefix;
	if stanza.attr.type ~= "error" or not id or #id ~= 2 * #prefix then return false; end
	local first = id:sub(1, #prefix);
	if first ~= prefix and id:sub(#prefix + 1) ~= second_half(self, first) then return false; end
	if self.sending[id] then self.sending[id] = "bounced"; end
	return true;
end

--- An answer is about to be sent: refused() is to be called when it has been.
function methods:watch(answer)
	self.sending[answer.attr.id] = "sent";
end

--- Has it bounced meanwhile?
function methods:refused(answer)
	local id = answer.attr.id;
	local bounced = self.sending[id] == "bounced";
	self.sending[id] = nil;
	return bounced;
end

return answers;
