-- SPDX-License-Identifier: MIT
-- What is done from time to time, in small steps: expiring (rule F2), telling what is overdue (F3), writing to the store (F1).

local runner = require "util.async".runner;

local upkeep = {};

local STEP = 500; -- entries dealt with in one step
local USERS = 100; -- users dealt with in one step
local BUDGET = 0.02; -- seconds that a step of writing may take, about
local SOON = 0.1; -- seconds until the next step, when there is more to do
-- Parts of receipts_flush_interval. What is young is not written: what is acked at once, or soon makes room in a flood, never is. It is
-- written next time, which is before the interval is over: a tenth of it is left for the writing itself. What is written later than that
-- is late. More time between two writings leaves less for being young; but all that a user awaits is written each time, in some storages.
local YOUNG, FLUSH_EVERY, LATE = 0.4, 0.5, 0.9;
local TELL_EVERY = 60; -- seconds between two lines about a store that is too slow
local SWEEP_AFTER, SWEEP_EVERY = 3600, 86400; -- seconds
local TOLD = 32; -- evicted entries of one user in a row that are told of by name when nobody listens: decisions.lib.lua keeps no more

local WHY = {
	expired = "F2 expired: nothing came back in receipts_expire_after";
	evicted = "F2 forgotten: more was awaited than receipts_max_pending or receipts_max_pending_per_user allow";
	overdue = "F3 overdue: nothing came back in receipts_overdue_after";
};

-- One entry of the table has come to something, without a stanza.
local function tell(entry, outcome, now, parts)
	parts.reports:outcome(outcome, entry.from, entry.to, entry.id, now - entry.time, nil, entry.injected);
	parts.decisions:note(entry.from, now, entry.id, entry.from, entry.to, WHY[outcome], "host", outcome == "evicted");
end

-- An entry has left the table. When it had come to something before, nothing is told. Returns whether it was.
local function dropped(entry, outcome, now, parts)
	parts.store:dropped(entry);
	if entry.state ~= "pending" then return false; end
	tell(entry, outcome, now, parts);
	return true;
end

--- What only the store knew of has expired.
function upkeep.expired(entry, now, parts)
	if entry.state == "pending" then tell(entry, "expired", now, parts); end
end

--- Deals with what the table has evicted. That may wait, and many at once cost less than one by one.
-- @param parts  pending, store, reports, decisions
-- @return function to be called for that. After an error the next call goes on with the rest
function upkeep.drain(parts)
	local unfinished;
	return function ()
		local list = unfinished;
		if not list then
			local entries, counted = parts.pending:evicted(parts.reports.listening("receipts/expired") and 0 or TOLD);
			if not entries then return; end
			list = { entries = entries, at = 0 };
			unfinished = list;
			parts.reports:count("outcomes", "evicted", counted);
		end
		while list.at < #list.entries do -- whoever is told may call this again
			list.at = list.at + 1;
			local entry = list.entries[list.at];
			dropped(entry, "evicted", entry.gone, parts);
		end
		if unfinished == list then unfinished = nil; end
	end;
end

-- Expires what is over its time.
-- @param account  optional: of whose user; else of all
-- @return how many entries were dealt with; STEP when there may be more; and how many were told of
local function expire(now, parts, account)
	local done, gone = parts.pending:expire(now, STEP, account);
	local told = 0;
	for _, entry in ipairs(gone) do
		if dropped(entry, "expired", now, parts) then told = told + 1; end
	end
	return done, told;
end

-- Tells what is overdue, likewise.
local function tell_overdue(now, parts, account)
	local done, late = parts.pending:overdue(now, parts.options.overdue_after, STEP, account);
	for _, entry in ipairs(late) do tell(entry, "overdue", now, parts); end
	return done;
end

-- Expires and tells what is overdue of what has come from the store, user by user: it is in order among a user's entries, and not among all.
-- @return how many have expired, and whether there are users who have not had their turn
local function look_at_restored(now, parts)
	local sum, left, users = 0, STEP, USERS;
	while left > 0 and users > 0 do
		local account = parts.store:restored_user();
		if not account then return sum, false; end
		local done, told = expire(now, parts, account);
		sum, left = sum + told, left - done - tell_overdue(now, parts, account);
		users = users - 1;
	end
	return sum, true;
end

-- Is the store late? Then there are no pauses, and only between two steps do others have their turn. If that has not helped in a whole
-- interval it is told.
-- @return function (waited): says so, given for how long has waited what was just written
local function new_lateness(flush_interval, log, monotonic)
	local late_since, told_at = nil, -math.huge;
	return function (waited)
		if waited < flush_interval * LATE then
			late_since = nil;
			return false;
		end
		local now = monotonic();
		late_since = late_since or now;
		if waited > flush_interval and now - late_since >= flush_interval and now - told_at >= TELL_EVERY then
			log("warn", "The store of what is pending is too slow for what is asked: what has just been written had waited for %.0f s, "
				.."and a crash would lose as much (receipts_flush_interval is %g s)", waited, flush_interval);
			told_at = now;
		end
		return true;
	end;
end

-- What is to happen after so many seconds is late by a tenth of that, ten seconds at the most.
local function interval(after)
	return math.max(0.5, math.min(10, after / 10));
end

-- @return every(first, name, work): does work after so many seconds, and then each time after as many as it returned, or else `first`;
--         every_async: the same for work with the storage, which may let others run before it answers: until then there is no second time
local function new_timers(add_timer, guard)
	local function every(first, name, work)
		local guarded = guard(name, work);
		return add_timer(first, function () return guarded() or first; end);
	end
	local function every_async(first, name, work)
		local guarded = guard(name, work);
		local pause;
		local thread = runner(function () pause = guarded() or first; end);
		return every(first, name, function ()
			if thread.state == "ready" and not pause then thread:run(true); end
			if thread.state ~= "ready" then return SOON; end
			local after = pause;
			pause = nil;
			return after;
		end);
	end
	return every, every_async;
end

--- Starts the timers.
-- @param add_timer  function (seconds, callback): as module:add_timer
-- @param log        function (level, format, ...)
-- @param time_now   function (): seconds since the epoch; monotonic: seconds, that nobody sets
-- @param parts      options, pending, store, reports, decisions
-- @param was_reloaded  what is to be written may have waited, and the time to write begins anew: so the first is at once
-- @return expire_now: function (): number of entries that expired at once; the rest follows
function upkeep.start(add_timer, log, guard, time_now, monotonic, parts, was_reloaded)
	local options, every, every_async = parts.options, new_timers(add_timer, guard);
	local expire_every, overdue_every = interval(options.expire_after), interval(options.overdue_after);
	local expiry = every(expire_every, "expiry", function ()
		return (expire(time_now(), parts)) == STEP and SOON or expire_every;
	end);
	every(overdue_every, "looking for what is overdue", function ()
		return tell_overdue(time_now(), parts) == STEP and SOON or overdue_every;
	end);
	local restored_every = math.min(expire_every, overdue_every);
	every(restored_every, "looking at what was stored", function ()
		return select(2, look_at_restored(time_now(), parts)) and SOON or restored_every;
	end);
	local young, flush_every = options.flush_interval * YOUNG, options.flush_interval * FLUSH_EVERY;
	local is_late = new_lateness(options.flush_interval, log, monotonic);
	local next_flush = nil; -- counted from the first step of the last time, however long that took
	local writer = every_async(flush_every, "writing to the store", function ()
		next_flush = next_flush or monotonic() + flush_every;
		local result, waited = parts.store:flush(USERS, BUDGET, young);
		local pause = is_late(waited) and 0 or SOON;
		if result == "more" then return pause; end
		local left = next_flush - monotonic();
		next_flush = nil;
		return math.max(pause, left);
	end);
	local sweep;
	local sweeper = every_async(SWEEP_AFTER, "sweeping the store", function ()
		sweep = sweep or parts.store:sweep();
		if sweep() then return SOON; end
		sweep = nil;
		return SWEEP_EVERY;
	end);

	if was_reloaded then writer:reschedule(0); end

	return function ()
		local sum = (look_at_restored(time_now(), parts)) + select(2, expire(time_now(), parts));
		expiry:reschedule(0);
		sweeper:reschedule(0);
		return sum;
	end;
end

return upkeep;
