-- SPDX-License-Identifier: MIT
-- Chapter E: what becomes of the receipt elements in a message.
--
-- `outgoing` and `incoming` get the names of the message's bits, and what else they may have to know as functions. They return a plan:
--   request   "keep" or "take": what to do with <request/>
--   received  "keep", "take", "first" (all but the first go) or "mend" (the first gets the message's id; the others go)
--   type      the type that the message gets, nil when it keeps its own
--   rejected  array of reasons, one for each kind of element that is thrown away, for the counters; nil when none is
--   why       the rule and the reason, for the log
-- A message of which only a <received/> was left, and is taken, is dropped: see `empty`.

local checks = {};

local MALFORMED_REQUEST = { "request-without-id", "request-in-ack", "request-not-empty" };

local function because(plan, why)
	plan.why = plan.why and plan.why.."; "..why or why;
end

-- `element` is thrown away, in the way that `how` says.
local function reject(plan, element, how, rule, reason, why)
	plan[element] = how;
	plan.rejected = plan.rejected or {};
	table.insert(plan.rejected, reason);
	because(plan, rule.." "..(why or reason));
end

-- A new plan: rule E3, for what needs no look at the pending table. Not for bounces, which carry what they bounce.
local function new_plan(has, options)
	local plan = { request = "keep"; received = "keep" };
	if has.bounce then return plan; end
	for _, problem in ipairs(MALFORMED_REQUEST) do
		if has[problem] then
			reject(plan, "request", "take", "E3", problem);
		end
	end
	if has["request-in-groupchat"] and options.groupchat_requests == "strip" then
		reject(plan, "request", "take", "E3", "request-in-groupchat");
	end
	if has["received-not-empty"] then
		reject(plan, "received", "take", "E3", "received-not-empty");
	elseif has["several-received"] then
		reject(plan, "received", "first", "E3", "several-received");
	end
	return plan;
end

--- Bits of the engine's as a table that tells of each name whether it is set.
-- @param bits   the integer
-- @param names  the engine's `bits`
function checks.named(bits, names)
	return setmetatable({}, { __index = function (_, name) return bits & names[name] ~= 0; end });
end

--- A message that a local client sends.
-- @param has      names of the message's bits
-- @param visible  function (): may the addressee see the user's presence? "later": not yet, and the ack waits for that. Asked only where
--                 it matters
-- @param options  the module's options
function checks.outgoing(has, visible, options)
	local plan = new_plan(has, options);
	if not has.received or plan.received == "take" or not options.protect_presence then return plan; end
	local seen = visible();
	if seen == "later" then
		plan.received = "take";
		because(plan, "E4 waits until the client is available");
	elseif not seen then
		reject(plan, "received", "take", "E4", "hidden", "the addressee may not see the user's presence");
	end
	return plan;
end

--- A message that comes to a local user.
-- @param has       names of the message's bits
-- @param verdict   what the pending table says of the ack or the bounce, nil when there is none
-- @param injected  the request was ours
-- @param wanted    function (): does a client of the requester's that understands receipts get this one, or a copy of it?
-- @param options   the module's options
function checks.incoming(has, verdict, injected, wanted, options)
	local plan = new_plan(has, options);
	-- Some clients take a <received/> in an error for an ack, and answer a <request/> in one: the error alone says what it has to.
	if has.bounce then
		if has.request then
			reject(plan, "request", "take", "E3", "request-in-error");
		end
		if has.received then
			reject(plan, "received", "take", "E3", "received-in-error");
		end
	end
	if verdict == "failed" then because(plan, "E6 bounced"); end
	if not verdict or verdict == "failed" then return plan; end
	local known = verdict == "delivered" or verdict == "duplicate";
	because(plan, "E1 "..verdict);
	if known and injected and not wanted() then
		plan.received = "take";
		because(plan, "C6 the request was ours");
	elseif known and has["received-without-id"] then
		plan.received = "mend";
		because(plan, "E5 the message's own id is the content message's");
	elseif has["received-without-id"] then
		reject(plan, "received", "take", "E3", "received-without-id");
	elseif options[verdict] == "drop" then -- options.forged, options.unknown: other verdicts have no option of their name
		reject(plan, "received", "take", "E2", verdict, "receipts_"..verdict.." is \"drop\"");
	end
	return plan;
end

--- The type that an ack gets: that of the content message it acks, so that whatever goes by type treats both alike (rule E7). No ack
-- becomes a headline, which is neither kept for who is offline nor given to another client of theirs.
-- @param asked  the content message's type
-- @param own    the ack's type attribute
-- @return the new type; nil where it keeps its own
function checks.type(has, verdict, asked, own)
	if verdict ~= "delivered" or has.more or asked == "headline" or asked == (own or "normal") then return nil; end
	return asked;
end

--- Is nothing left of the message that means anything, once the plan is carried out?
function checks.empty(plan, has)
	return plan.received == "take" and not has.more;
end

return checks;
