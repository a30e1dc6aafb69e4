-- SPDX-License-Identifier: MIT
-- Rule D2: what stream management (XEP-0198) proves. mod_smacks' queue of a session holds what has been sent to its client, until that says
-- how far it has got.

local proof = {};

--- How many stanzas have gone into a queue. What goes in while the session hibernates is not sent.
function proof.sent(queue)
	return queue:count_acked() + queue:count_unacked();
end

--- The stanzas that an acknowledged count proves (rule D2), oldest first; none where the count is not to be believed.
-- @param queue  mod_smacks' queue of a session
-- @param text   the attribute h
-- @param sent   how many of what has gone into the queue have been sent, if not all
function proof.of(queue, text, sent)
	if type(text) ~= "string" or not text:find("^%d+$") then return {}; end
	local h, acked, last = tonumber(text), queue:count_acked(), proof.sent(queue);
	if h <= acked or h > (sent or last) then return {}; end
	local list = queue:table(); -- a queue that ran over has lost its oldest
	return table.move(list, 1, h - (last - #list), 1, {}); -- its last one is number `last`, and so number h is there
end

--- How many stanzas with this sender and id a session's client has not acknowledged.
-- @param counts  optional: function (stanza): does it count?
function proof.unproven(session, content, counts)
	local queue, count = session.smacks and session.outgoing_stanza_queue, 0;
	if not queue then return 0; end
	for _, stanza in queue:resume() do
		local attr = stanza.attr;
		if attr.id == content.attr.id and attr.from == content.attr.from and (not counts or counts(stanza)) then count = count + 1; end
	end
	return count;
end

--- Listens from now on to what proves something. Whether a resumption has come about answering.lib.lua hears.
-- @param parts  preferences, answering: of those libs; once we have been reloaded, those that came with it
-- @param hook   function (event name, handler, priority): hooks an event of the host, guarded
-- @param guard  of guard.lib.lua
function proof.listen(parts, hook, guard)
	local proven_by = guard("<a/>", function (session, stanza)
		local user, queue = session.username, session.smacks and session.outgoing_stanza_queue;
		return user and queue and parts.preferences:may_answer_for(user) and proof.of(queue, stanza.attr.h) or nil;
	end);
	local arrived = guard("what has arrived", function (session, stanzas)
		if not parts.preferences:answers_for(session.username) then return; end -- also of those who have got nothing to answer: it is known then
		for _, content in ipairs(stanzas) do parts.answering:arrived(session, content); end
	end);
	-- Answers come after mod_smacks' turn. They may wait, and meanwhile the session may be resumed: an <a/> from before that would end it.
	local function acked(handlers, name, event)
		local session, proven = event.origin, proven_by(event.origin, event.stanza);
		local result = handlers(name, event);
		if proven and session.username then arrived(session, proven); end -- an <a/> that is wrong ends it
		return result;
	end

	-- Nothing may wait while a connection is lost, which no thread deals with, nor while a session is resumed: 13.0 reads no more from a
	-- connection on which something did. What users want, where it must be read for that, is read when there is something to answer.
	hook("smacks-hibernation-start", function (event)
		local session = event.origin;
		local user, queue = session.username, session.outgoing_stanza_queue;
		if user and queue and parts.preferences:may_answer_for(user) then parts.answering:hibernating(session, queue); end
	end);
	local function resumes(session, stanza)
		local user = session.username;
		if user and parts.preferences:may_answer_for(user) then parts.answering:stream_resuming(session, stanza); end
	end
	local resume = guard("<resume/>", resumes);
	for _, xmlns in ipairs { "urn:xmpp:sm:2", "urn:xmpp:sm:3" } do
		module:wrap_event("stanza/"..xmlns..":a", acked);
		module:hook_tag(xmlns, "resume", resume, 10);
	end
	-- A resumption while logging in (XEP-0388) passes no such event. mod_sasl2 says at 1000 whose session it is, mod_sasl2_sm resumes at 110.
	hook("sasl2/c2s/success", function (event)
		local request = event.session.sasl2_sm_request;
		if request and request.name == "resume" then resumes(event.session, request); end
	end, 115);
end

return proof;
