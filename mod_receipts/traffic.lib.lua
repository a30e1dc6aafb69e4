-- SPDX-License-Identifier: MIT
-- Chapters C and E, as they meet Prosody: what happens to a message that a local client sends, and to one that comes to a local user.
--
-- Every message of the server passes hooks.lib.lua. The ordinary ones end there: they are counted, and need neither a change nor a record.
-- The others come here. Each gets a plan of its own (checks.lib.lua), and is recorded for `why`; of ordinary ones the pending table tells.

local st = require "util.stanza";
local new_id = require "util.id".medium;
local datetime = require "util.datetime".datetime;
local jid_resource = require "util.jid".resource;
local time_now = require "util.time".now;

local is_awake = module:require "asleep".is_awake;
local checks = module:require "checks";
local elements = module:require "elements";
local hooks = module:require "hooks";
local jids = module:require "jids";
local presence = module:require "presence";
local requests = module:require "requests";

local full_sessions = prosody.full_sessions;
local bare_of, account_of = jids.bare, jids.account_of;

local traffic = {};

-- May the user with this address see the presence of that client? (rule B4)
local function sees(by, jid, client)
	local theirs = full_sessions[jid];
	if theirs and theirs.host == module.host then
		return presence.visible(theirs, by);
	end
	return client.shown ~= nil and client.shown[bare_of(by)] == true;
end
traffic.sees = sees;

local function everybody() return true; end

local NOT_ASKED = setmetatable({}, { __index = function (self, why)
	self[why] = "C1 not asked for, "..why;
	return self[why];
end });

local function changes(plan)
	return plan.request ~= "keep" or plan.received ~= "keep" or plan.type ~= nil;
end

--- @param parts  options, engine, pending, store, rooms, capabilities, preferences, answering, resend, waiting, reports, decisions;
--               record (function (stanza, why, id)): takes note of what was decided; drain (function): deals with what the table has
--               evicted; exists (function (user name)): is there such a user? other_ack (function): as of hooks.lib.lua
-- @return { content =, outgoing =, incoming = }: what hooks.lib.lua calls; and bounced (function (stanza)), for errors on their way to a client
function traffic.new(parts)
	local options, bits, record = parts.options, parts.engine.bits, parts.record;
	local pending, store, rooms, capabilities = parts.pending, parts.store, parts.rooms, parts.capabilities;
	local preferences, answering, reports, decisions, resend =
		parts.preferences, parts.answering, parts.reports, parts.decisions, parts.resend;

	local ODD = hooks.odd(bits);
	local ODD_OR_ACK = ODD | bits.received; -- a message with none of these is an ordinary ask, or nothing

	local function may_see(origin, jid)
		return not options.protect_presence or presence.visible(origin, jid);
	end

	-- Elements of this stanza were thrown away. A <received/> concerns the message of whom it is sent to.
	local function rejected(plan, has, stanza, to)
		if not plan.rejected then return; end
		local from, by, id = stanza.attr.from, stanza.attr.from, stanza.attr.id;
		if has.received then
			from, to, id = to, from, elements.acked(stanza);
		end
		reports:rejected(plan.rejected, bare_of(from), to, id, by);
	end

	local function keep(event)
		if options.resend_attempts > 0 then resend:keep_after(event, datetime()); end
	end

	local function settled(verdict, requester, id)
		if options.resend_attempts > 0 and (verdict == "delivered" or verdict == "failed") then resend:settled(requester, id); end
	end

	-- Is a room occupant addressed?
	local function to_occupant(origin, to, what)
		local joined = rooms:of(origin);
		if what & bits.occupant == 0 and not joined or not to or not jid_resource(to) then return false; end
		return what & bits.occupant ~= 0 or joined[bare_of(to)] == true;
	end

	-- A receipt has been asked for: what is over a limit has made room for it.
	local function asked(origin, stanza, what, injected, evicted)
		local user, to = account_of(origin), stanza.attr.to;
		reports:requested(user, to or user, stanza.attr.id, origin.full_jid, injected, to_occupant(origin, to, what));
		store:load(origin.username);
		if evicted then parts.drain(); end
	end

	local function support_of(from, to)
		return capabilities:of_person(to, sees, from);
	end

	-- Chapter C: a content message that does not ask.
	local function content(event, what)
		local origin, stanza = event.origin, event.stanza;
		local attr = stanza.attr;
		local user = account_of(origin);
		local sender = capabilities:of(origin.full_jid, user);
		local yes, why = requests.decide(options.request, sender, support_of, attr.from, attr.to);
		if yes and not preferences:asks_for(origin.username) then
			yes, why = false, "the user does not want it";
		end
		if not yes then
			if attr.id and sender ~= "capable" then decisions:note(user, time_now(), attr.id, attr.from, attr.to, NOT_ASKED[why]); end
			return;
		end
		local id = attr.id;
		if not id or id == "" then id = new_id(); end
		local tracked, problem = pending:add(attr.from, attr.to, id, time_now(), {
			injected = true;
			type = attr.type == "chat" and "chat" or "normal";
			occupant = to_occupant(origin, attr.to, what);
		});
		if problem == "out of memory" then error(problem, 0); end
		if not tracked then return record(stanza, NOT_ASKED[problem]); end
		attr.id = id; -- first, should there be no memory for more
		elements.ask(stanza);
		if problem == "known" then return record(stanza, "C1 asked for again, "..why); end
		asked(origin, stanza, what, true, true);
		keep(event);
		record(stanza, "C1 asked for, "..why);
	end

	-- Chapter E. The stanza is changed in place on its way out, so that archive, carbons and recipient see the same.
	-- @param what     the message's bits
	-- @param tracked  what became of its request in the pending table; nil where it has none
	-- @param evicted  much has made room by now
	local function outgoing(event, what, tracked, evicted)
		local origin, stanza = event.origin, event.stanza;
		if tracked == "asked" then
			asked(origin, stanza, what, false, evicted);
			keep(event);
		elseif tracked and tracked ~= "known" then
			reports:untracked();
			record(stanza, "F2 not tracked: "..tracked);
		end
		if what & ODD_OR_ACK == 0 then return; end
		if what & ODD == 0 and may_see(origin, stanza.attr.to) then
			if preferences:answers_for(origin.username) then answering:acked(origin, stanza); end
			return;
		end

		local has = checks.named(what, bits);
		local plan = checks.outgoing(has, function ()
			local to = stanza.attr.to;
			if may_see(origin, to) then return true; end
			return has.acks and not origin.presence and presence.subscribed(origin, bare_of(to)) and parts.waiting:keep(origin, stanza) and "later";
		end, options);
		if plan.why then record(stanza, plan.why, has.received and elements.acked(stanza)); end
		rejected(plan, has, stanza, stanza.attr.to or origin.full_jid);
		if has.acks and plan.received ~= "take" and preferences:answers_for(origin.username) then
			answering:acked(origin, stanza);
		end
		if checks.empty(plan, has) then return true; end
		if changes(plan) then elements.apply(plan, stanza); end
	end

	-- Rule D8: is this the bounce of an answer of ours?
	local function is_bounced_answer(stanza)
		if not is_awake(answering) or not answering:bounced(stanza) then return false; end
		record(stanza, "D8 the bounce of an answer of ours");
		return true;
	end

	-- On its way in a stanza may be shared with others (rooms send one object to all), so a clone is changed.
	-- @param verdict  what the pending table says of the ack or the bounce; nil where there is none. And what it knows of the message
	local function incoming(event, what, verdict, id, age, injected, type, occupant)
		local origin, stanza = event.origin, event.stanza;
		local account = bare_of(stanza.attr.to or origin.full_jid);
		local user = jids.node(account);
		if what & bits.bounce ~= 0 and is_bounced_answer(stanza) then return true; end
		-- What the table doesn't know may still be in the store: then the stanza is looked at again. What cannot be read is not judged.
		if verdict == "unknown" or verdict == "forged" or not verdict and what & bits.bounce ~= 0 then
			if user and not store:knows(user) and parts.exists(user) then
				if store:load(user) then
					what, verdict, id, age, injected, type, occupant = pending:incoming(stanza, time_now());
				else
					verdict = nil;
				end
			end
		end
		if verdict then
			settled(verdict, account, id);
			reports:outcome(verdict, account, occupant and stanza.attr.from, id, age, stanza.attr.from, injected);
		end
		if what & ODD_OR_ACK == 0 then
			if preferences:answers_for(user) then answering:delivering(account, stanza); end
			return;
		end
		if what & ODD == 0 and not injected and (verdict == "delivered" or verdict == "duplicate")
			and (what & bits.more ~= 0 or verdict == "duplicate" or type == (stanza.attr.type or "normal")) then
			return;
		end

		if verdict == "unknown" and what & ODD == 0 and options.unknown == "pass" then -- the least for what strangers may send
			return record(stanza, "E1 unknown", elements.acked(stanza));
		end

		local has = checks.named(what, bits);
		local function wanted() return capabilities:of_person(account, everybody) == "capable"; end -- rule C6
		local plan = checks.incoming(has, verdict, injected, wanted, options);
		plan.type = checks.type(plan, has, verdict, type, stanza.attr.type);
		if plan.type then parts.other_ack(); end
		if plan.why then record(stanza, plan.why, has.received and (id or elements.acked(stanza))); end
		rejected(plan, has, stanza, account);
		if checks.empty(plan, has) then return true; end
		if changes(plan) then event.stanza = elements.apply(plan, st.clone(stanza)); end
	end

	-- Rules D8, E6: what comes back at once, from Prosody itself (no such user, blocked, no such component), goes to the session and passes
	-- no event. What has passed one is failed by now, and no longer pending.
	-- @return true where the client is not to get it
	local function bounced(stanza)
		if is_bounced_answer(stanza) then return true; end
		local _, verdict, id, age, injected, _, occupant = pending:incoming(stanza, time_now());
		if verdict ~= "failed" then return; end
		local requester, by = bare_of(stanza.attr.to), stanza.attr.from;
		settled(verdict, requester, id);
		reports:outcome(verdict, requester, occupant and by, id, age, by, injected);
		record(stanza, "E6 bounced");
	end

	return { content = content, outgoing = outgoing, incoming = incoming, bounced = bounced };
end

return traffic;
