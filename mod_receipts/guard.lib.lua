-- SPDX-License-Identifier: MIT
-- Nothing of ours ever costs a message (rule F0): every function that Prosody calls is wrapped here. Only those for each message wrap
-- themselves (hooks.lib.lua): a guard that can tell where an error came from would cost them a twentieth of their time. And what a timer
-- does may wait for others, as what is done for a stanza may.

local async = require "util.async";

local traceback, unpack = debug.traceback, table.unpack;

local LOG_INTERVAL = 60; -- seconds between two lines about errors of a kind

local guards = {};

--- A function that logs errors, but once a minute at most.
-- @param log        function (level, format, ...)
-- @param monotonic  function (): seconds, that nobody sets
-- @return complain(what, err)
function guards.throttled(log, monotonic)
	local unlogged, last_logged = 0, -math.huge;
	return function (what, err)
		local time = monotonic();
		if time - last_logged < LOG_INTERVAL then
			unlogged = unlogged + 1;
			return;
		end
		log("error", "%s (%d more since the last such line): %s", what, unlogged, err);
		last_logged, unlogged = time, 0;
	end;
end

--- A guard for functions that others call.
-- @param complain  what throttled() returns
-- @param caught    function (): called for each error
-- @return guard(name, handler): a function that does what handler does, with one result, and returns nil when that raises an error;
--         tell(name, err): takes note of an error that has been caught without that
function guards.new(complain, caught)
	local function tell(name, err)
		caught();
		complain("Error in "..name..", the stanza goes on without us", err);
	end
	return function (name, handler)
		return function (...)
			local ok, result = xpcall(handler, traceback, ...);
			if ok then return result; end
			pcall(tell, name, result); -- there may be no memory for that
		end;
	end, tell;
end

local function do_work(call) call.result = call.work(unpack(call, 1, call.n)); end -- it may outlive its module: it holds on to nothing of that

local runner; -- that of the last work, unless that waits
guards.waiting = setmetatable({}, { __mode = "v" }); -- key -> runner whose work waits; a reload keeps it

--- Does work that may let others run before it is done. What a connection that is lost or a component brings about runs in no thread of
-- util.async's, so that nothing there may wait: the work gets one of its own.
-- @param key  optional: what has the same key is done in turn, so that nothing overtakes what waits. Clients' stanzas are in any case
-- @return what it returned; or nil and true where it waits, and is done later
function guards.in_turn(key, work, ...)
	if coroutine.isyieldable() then return work(...); end -- async.ready() makes an error and its text each time that it isn't
	return guards.apart(key, work, ...);
end

--- The same, and who calls this does not wait for it in any case.
function guards.apart(key, work, ...)
	local call = { n = select("#", ...), work = work, ... };
	local one = guards.waiting[key] or runner or async.runner(do_work);
	local _, state = one:run(call);
	local waits = state ~= "ready";
	if not waits then
		runner = one;
	elseif one == runner then
		runner = nil;
	end
	if key then guards.waiting[key] = waits and one or nil; end
	return call.result, waits;
end

--- Does work wait that has this key?
function guards.waits(key)
	return guards.waiting[key] ~= nil;
end

--- The same for what may be overtaken.
function guards.in_thread(...)
	return guards.in_turn(nil, ...);
end

local function run(_, work) guards.in_thread(work); end

--- Timers for work that may let others run before it is done (util.async), as whatever reads a store or sends a stanza does: storages and
-- other modules may have to wait for something.
-- @param add       function (seconds, callback, ...): as module:add_timer
-- @param add_task  util.timer's: what is due at once is done though the module be unloaded by then, for a stanza may still be with it
-- @param guard     what new() returns
-- @return later(seconds, name, work): returns a timer, with stop(), but for 0 seconds;
--         catch_up(): does now what is due at once
function guards.timers(add, add_task, guard)
	local due = {}; -- work that is
	local function catch_up()
		local list = due;
		due = {};
		for _, work in ipairs(list) do guards.apart(nil, work); end
	end
	return function (seconds, name, work)
		work = guard(name, work);
		if seconds > 0 then return add(seconds, run, work); end
		if #due == 0 then add_task(0, catch_up); end
		table.insert(due, work);
	end, catch_up;
end

return guards;
