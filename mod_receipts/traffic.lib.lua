-- SPDX-License-Identifier: MIT
-- Chapters C and E, as they meet Prosody: what happens to a message that a local client sends, and to one that comes to a local user.
--
-- Every message of the server passes hooks.lib.lua. The ordinary ones end there: they are counted, and need neither a change nor a record.
-- The others come here. Each gets a plan of its own (checks.lib.lua), and is recorded for `why`; of ordinary ones the pending table tells.
--
-- They are given the parts of the module: options, engine, odd, own (see hooks.lib.lua), pending, store, rooms, capabilities, preferences,
-- answering, resend, waiting, reports, decisions; record (function (stanza, why, id, due)): takes note of what was decided; drain (function):
-- deals with what the table has evicted; late: set of events whose message has gone on, while this waits; exists (function (user)): is there
-- such a user? other_ack (function): as of hooks.lib.lua.

local st = require "util.stanza";
local new_id = require "util.id".medium;
local set = require "util.set";
local datetime = require "util.datetime".datetime;
local time_now = require "util.time".now;

local is_awake = module:require "asleep".is_awake;
local checks = module:require "checks";
local elements = module:require "elements";
local jids = module:require "jids";
local presence = module:require "presence";
local requests = module:require "requests";
local routing = module:require "routing";

local full_sessions = prosody.full_sessions;
local bare_of, account_of = jids.bare, jids.account_of;

local traffic = {};

-- Which clients of an account get this ack, or a copy of it?
-- @param type  that it will have
-- @return function (by, full JID): does that one?
local function getting(stanza, account, type)
	local recipients = set.new(routing.recipients(stanza.attr.to or account, type));
	local is_copied = type ~= "groupchat" and elements.may_be_copied(stanza); -- see also carbons.lib.lua
	local top = full_sessions[stanza.attr.to] == nil and routing.top_priority(account); -- whom mod_carbons leaves to mod_message
	return function (_, jid)
		local session = full_sessions[jid];
		return session ~= nil and (recipients:contains(session) or is_copied and session.want_carbons and session.priority ~= top);
	end;
end

-- Each text is made once: the rings of decisions.lib.lua keep it for very many messages.
local NOT_ASKED = setmetatable({}, { __index = function (self, why)
	self[why] = "C1 not asked for, "..why;
	return self[why];
end });

local function may_see(parts, origin, jid)
	if not parts.options.protect_presence then return true; end
	if full_sessions[origin.full_jid] ~= origin then -- a module's, in a user's name (XEP-0356)
		return presence.account_visible(account_of(origin), jid);
	end
	return presence.visible(origin, jid);
end

-- Elements of this stanza were thrown away. A <received/> concerns the message of whom it is sent to.
local function rejected(parts, plan, has, stanza, to)
	if not plan.rejected then return; end
	local from, by, id = stanza.attr.from, stanza.attr.from, stanza.attr.id;
	if has.received then
		from, to, id = to, from, elements.acked(stanza);
	end
	parts.reports:rejected(plan.rejected, bare_of(from), to, id, by);
end

-- An ack has come, or a bounce: what the pending table says of it.
local function tell_outcome(parts, account, stanza, verdict, id, age, injected, occupant)
	if parts.options.resend_attempts > 0 and (verdict == "delivered" or verdict == "failed") then parts.resend:settled(account, id); end
	local by = stanza.attr.from or account;
	parts.reports:outcome(verdict, account, occupant and by, id, age, by, injected);
end

-- Is a room occupant addressed, if it is a full JID?
local function to_occupant(parts, origin, to, what)
	return what & parts.engine.bits.occupant ~= 0 or parts.rooms:has(origin, to);
end

-- Rule G1. To a room occupant nothing is sent again.
local function keep(parts, event, what)
	if parts.options.resend_attempts == 0 or to_occupant(parts, event.origin, event.stanza.attr.to, what) then return; end
	parts.resend:keep_after(event, datetime());
end

-- A receipt has been asked for: what is over a limit has made room for it.
local function asked(parts, origin, stanza, what, injected, evicted)
	local to = stanza.attr.to;
	parts.reports:requested(account_of(origin), to, stanza.attr.id, origin.full_jid or stanza.attr.from, injected, to_occupant(parts, origin, to, what));
	parts.store:load(origin.username);
	if evicted then parts.drain(); end
end

local function support_of(parts, from, to)
	return parts.capabilities:of_person(to, presence.sees, from);
end

--- Chapter C: a content message that does not ask.
function traffic.content(parts, event, what)
	local origin, stanza = event.origin, event.stanza;
	local attr, user = stanza.attr, origin.username;
	if not origin.full_jid then return; end -- no client's: a gateway's, in its user's name (XEP-0356), which asks where it wants to
	local sender = parts.capabilities:of(origin.full_jid);
	local yes, why = requests.decide(parts.options.request, sender, support_of, parts, attr.from, attr.to);
	if yes then
		local wanted, unread = parts.preferences:asks_for(user);
		if not wanted then yes, why = false, unread and "the user's choice cannot be read now" or "the user does not want it"; end
	end
	if origin.destroyed then return; end -- while a store was read for that
	if not yes then
		if sender ~= "capable" then
			parts.decisions:note(account_of(origin), time_now(), attr.id, attr.from, attr.to, NOT_ASKED[why]);
		end
		return;
	end
	local id = attr.id;
	if not id or id == "" then id = new_id(); end
	local tracked, problem = parts.pending:add(attr.from, attr.to, id, time_now(), {
		injected = true;
		type = attr.type == "chat" and "chat" or "normal";
		occupant = to_occupant(parts, origin, attr.to, what);
	});
	if problem == "out of memory" then error(problem, 0); end
	if not tracked then return parts.record(stanza, NOT_ASKED[problem]); end
	attr.id = id; -- first, should there be no memory for more
	elements.ask(stanza);
	if problem == "known" then return parts.record(stanza, "C1 asked for again, "..why); end
	asked(parts, origin, stanza, what, true, true);
	keep(parts, event, what);
	parts.record(stanza, "C1 asked for, "..why);
end

--- Chapter E. The stanza is changed in place on its way out, so that archive, carbons and recipient see the same.
-- @param what     the message's bits
-- @param tracked  what became of its request in the pending table; nil where it has none
-- @param evicted  much has made room by now
function traffic.outgoing(parts, event, what, tracked, evicted)
	local origin, stanza = event.origin, event.stanza;
	local user, account = origin.username, account_of(origin); -- which it has no more if it ends while a store is read
	local bits = parts.engine.bits;
	if tracked == "asked" then
		asked(parts, origin, stanza, what, false, evicted);
		keep(parts, event, what);
	elseif tracked and tracked ~= "known" then
		parts.reports:untracked();
		parts.record(stanza, "F2 not tracked: "..tracked);
	end
	if what & (parts.odd | bits.received) == 0 then return; end -- an ordinary ask, or nothing
	local function acked()
		if not parts.own[stanza] and parts.preferences:answers_for(user) then parts.answering:acked(account, stanza, elements.acked(stanza)); end
	end
	if what & parts.odd == 0 and may_see(parts, origin, stanza.attr.to) then return acked(); end
	if what & bits.bounce ~= 0 and parts.preferences:answers_for(user) then parts.answering:acked(account, stanza, stanza.attr.id, "refused"); end

	local has = checks.named(what, bits);
	local plan = checks.outgoing(has, function ()
		local to = stanza.attr.to;
		if may_see(parts, origin, to) then return true; end
		return has.acks and not origin.presence and presence.subscribed(origin, bare_of(to)) and parts.waiting:keep(origin, stanza) and "later";
	end, parts.options);
	if plan.why then parts.record(stanza, plan.why, elements.acked(stanza)); end
	rejected(parts, plan, has, stanza, stanza.attr.to or origin.full_jid);
	if has.acks and plan.received ~= "take" then acked(); end
	if checks.empty(plan, has) then return true; end
	elements.apply(plan, stanza);
end

-- Does Prosody refuse this with an error, whoever is online? Silence in its place would tell what is pending, or who can ack.
local function is_refused(stanza)
	return stanza.attr.type == "groupchat" and not full_sessions[stanza.attr.to];
end

-- Rule D8: is this the bounce of an answer of ours?
local function is_bounced_answer(parts, stanza)
	if not is_awake(parts.answering) or not parts.answering.answers:bounced(stanza) then return false; end
	parts.record(stanza, "D8 the bounce of an answer of ours");
	return true;
end

-- Has this account's message, of which this is a bounce, been acked?
local function is_delivered(parts, account, stanza)
	local attr = stanza.attr;
	return attr.id ~= nil and parts.pending:state(account, attr.from or account, attr.id) == "delivered";
end

--- On its way in a stanza may be shared with others (rooms send one object to all), so a clone is changed.
-- @param verdict  what the pending table says of the ack or the bounce; nil where there is none. And what it knows of the message
function traffic.incoming(parts, event, what, verdict, id, age, injected, type, occupant)
	local origin, stanza = event.origin, event.stanza;
	local options, bits, odd = parts.options, parts.engine.bits, parts.odd;
	local account = bare_of(stanza.attr.to or origin.full_jid or stanza.attr.from); -- to oneself; a module that sends for a user has no JID
	local user = jids.node(account);
	if what & bits.bounce ~= 0 and is_bounced_answer(parts, stanza) then return true; end
	-- What the table doesn't know may still be in the store: then the stanza is looked at again. What cannot be read is not judged.
	if verdict == "unknown" or verdict == "forged" or not verdict and what & bits.bounce ~= 0 then
		if user and not parts.store:knows(user) and parts.exists(user) then
			if parts.store:load(user) then
				what, verdict, id, age, injected, type, occupant = parts.pending:incoming(stanza, time_now());
			else
				verdict = nil;
			end
		end
	end
	-- Prosody writes white space in attributes as it is, and clients read each as a space: so they will see an id that has not been judged.
	if verdict == "unknown" and (elements.acked(stanza) or ""):find("[\t\n\r]") then verdict = "forged"; end
	if verdict then tell_outcome(parts, account, stanza, verdict, id, age, injected, occupant); end
	if what & bits.bounce ~= 0 and not verdict and is_delivered(parts, account, stanza) then
		parts.record(stanza, "E6 bounced after its ack"); -- as often as whoever was asked likes
	end
	if what & (odd | bits.received) == 0 then -- an ordinary ask
		if parts.preferences:answers_for(user) then parts.answering:delivering(account, stanza, event); end
		return;
	end
	if what & odd == 0 and not injected and (verdict == "delivered" or verdict == "duplicate")
		and (what & bits.more ~= 0 or verdict == "duplicate" or type == (stanza.attr.type or "normal")) then
		return;
	end

	if verdict == "unknown" and what & odd == 0 and options.unknown == "pass" then -- the least for what strangers may send
		return parts.record(stanza, "E1 unknown", elements.acked(stanza));
	end

	local has, refused = checks.named(what, bits), is_refused(stanza);
	local new_type = not refused and checks.type(has, verdict, type, stanza.attr.type) or nil;
	local function wanted() -- rule C6
		return parts.capabilities:of_person(account, getting(stanza, account, new_type or stanza.attr.type)) == "capable";
	end
	local plan = checks.incoming(has, verdict, injected, wanted, options);
	plan.type = plan.received ~= "take" and new_type or nil;
	if plan.type then parts.other_ack(); end
	if plan.why then parts.record(stanza, plan.why, id or elements.acked(stanza), verdict == "delivered" or verdict == "failed"); end
	rejected(parts, plan, has, stanza, account);
	if checks.empty(plan, has) and not refused then return true; end
	if plan.request ~= "keep" or plan.received ~= "keep" or plan.type then event.stanza = elements.apply(plan, st.clone(stanza)); end
end

--- Rules D8, E6: what comes back at once, from Prosody itself (no such user, blocked, no such component), goes to the session and passes
-- no event. What has passed one is failed by now, and no longer pending.
-- @return true where the client is not to get it
function traffic.bounced(parts, stanza)
	if is_bounced_answer(parts, stanza) then return true; end
	local _, verdict, id, age, injected, _, occupant = parts.pending:incoming(stanza, time_now());
	if verdict ~= "failed" then return; end
	tell_outcome(parts, bare_of(stanza.attr.to), stanza, verdict, id, age, injected, occupant);
	parts.record(stanza, "E6 bounced", id, true);
end

return traffic;
