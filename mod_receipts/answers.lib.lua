-- SPDX-License-Identifier: MIT
-- Chapter D: answering on behalf of clients that don't.
--
-- Proof is XEP-0198's: mod_smacks keeps what it sent to a client in a queue until the client says, with a number, how far it has
-- got. So the queue itself tells, at the moment of <a/> or <resume/>, which messages have arrived: nothing else has to be counted
-- or remembered. What is remembered, bounded, is what has become of a message:
--
--   fate[account, requester, id] = "answered" | "acked" | { waiting = { capable resource -> true }, proven = session }

local st = require "util.stanza";
local new_cache = require "util.cache".new;
local jid_bare = require "util.jid".bare;

local xmlns_receipts = "urn:xmpp:receipts";
local xmlns_hints = "urn:xmpp:hints";

local MAX_FATES = 20000; -- messages whose fate is remembered
local MAX_SENT = 5000; -- answers whose bounces are recognised

local answers = {};
local methods = {};
local mt = { __index = methods };

function answers.new()
	return setmetatable({ fate = new_cache(MAX_FATES), sent = new_cache(MAX_SENT) }, mt);
end

--- What another one remembered, after a reload.
function methods:take_over(other)
	self.fate, self.sent = other.fate, other.sent;
end

local function key(account, requester, id)
	return account.."\0"..jid_bare(requester).."\0"..id;
end

local function key_of(session, content)
	return key(session.username.."@"..session.host, content.attr.from, content.attr.id);
end

--- The stanzas that an acknowledged count proves (rule D2), oldest first; none where the count is not to be believed.
-- @param queue  mod_smacks' queue of a session
-- @param text   the attribute h
function answers.proven(queue, text)
	if type(text) ~= "string" or not text:find("^%d+$") then return {}; end
	local h, acked = tonumber(text), queue:count_acked();
	local last = acked + queue:count_unacked();
	if h <= acked or h > last then return {}; end
	local list = queue:table(); -- a queue that ran over has lost its oldest
	return table.move(list, 1, h - (last - #list), 1, {});
end

--- A content message that asks goes to these sessions of an account. Where one of them can answer by itself, the others wait for it.
-- What became of an earlier message with this id no longer matters: clients count 1, 2, 3.
-- @param capable  function (session)
function methods:delivering(account, sessions, content, capable)
	local waiting;
	for _, session in ipairs(sessions) do
		if #sessions > 1 and capable(session) then
			waiting = waiting or {};
			waiting[session.resource] = true;
		end
	end
	self.fate:set(key(account, content.attr.from, content.attr.id), waiting and { waiting = waiting } or nil);
end

--- A client acks by itself.
function methods:acked(account, requester, id)
	self.fate:set(key(account, requester, id), "acked");
end

--- Decides whether a message that has arrived is answered (rules D3, D4).
-- @param fate     what has become of it
-- @param client   what is known of the client that got it
-- @param visible  may the requester see the user's presence?
function answers.decide(fate, client, visible)
	if fate == "answered" or fate == "acked" then
		return false, "D4 "..fate.." already";
	elseif client ~= "incapable" then
		return false, "D4 the client is "..client;
	elseif not visible then
		return false, "D3 the requester may not see the user's presence";
	elseif fate and next(fate.waiting) then
		return false, "D4 another client of the account can answer by itself";
	end
	return true, "D2 proven";
end

--- A message has arrived at a session. Returns whether to answer it, and why.
function methods:arrived(session, content, client, visible)
	local k = key_of(session, content);
	local fate = self.fate:get(k);
	local yes, why = answers.decide(fate, client, visible);
	if yes then
		self.fate:set(k, "answered");
	elseif type(fate) == "table" and client == "incapable" and visible then
		fate.proven = fate.proven or session;
	end
	return yes, why;
end

--- A session died with this message unacked. Returns the session that is to answer it instead, if one is.
function methods:lost(session, content)
	local k = key_of(session, content);
	local fate = self.fate:get(k);
	if type(fate) ~= "table" then return nil; end
	fate.waiting[session.resource] = nil;
	local proven = fate.proven;
	if next(fate.waiting) or not proven or proven.destroyed then return nil; end
	self.fate:set(k, "answered");
	return proven;
end

--- Makes the answer (rule D5).
function methods:make(session, content, id)
	self.sent:set(id, true);
	return st.message({ from = session.full_jid, to = content.attr.from, type = content.attr.type, id = id })
		:tag("received", { xmlns = xmlns_receipts, id = content.attr.id }):up()
		:tag("store", { xmlns = xmlns_hints }):up();
end

--- Is this the bounce of an answer of ours? (rule D8)
function methods:bounced(stanza)
	return stanza.attr.type == "error" and stanza.attr.id ~= nil and self.sent:get(stanza.attr.id) == true;
end

return answers;
