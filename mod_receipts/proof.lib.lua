-- SPDX-License-Identifier: MIT
-- What stream management (XEP-0198) proves: mod_smacks' queue of a session holds what has been sent to its client, until that says how far it
-- has got.

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
	return table.move(list, 1, h - (last - #list), 1, {});
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

return proof;
