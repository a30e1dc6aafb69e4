-- SPDX-License-Identifier: MIT
-- Nothing of ours ever costs a message (rule F0): every function that Prosody calls is wrapped here, and nowhere else.

local traceback = debug.traceback;

local LOG_INTERVAL = 60; -- seconds between two lines about errors

--- A guard for functions that others call.
-- @param log  function (level, format, ...)
-- @param now  function (): seconds
-- @return guard(name, handler): a function that does what handler does, and returns nil when that raises an error;
--         and count(): the number of errors so far
local function new(log, now)
	local errors, unlogged, last_logged = 0, 0, -math.huge;

	local function complain(name, err)
		errors = errors + 1;
		local time = now();
		if time >= last_logged and time - last_logged < LOG_INTERVAL then
			unlogged = unlogged + 1;
			return;
		end
		log("error", "Error in %s, the stanza goes on without us (%d more since the last such line): %s", name, unlogged, err);
		last_logged, unlogged = time, 0;
	end

	local function guard(name, handler)
		return function (...)
			local ok, result = xpcall(handler, traceback, ...);
			if ok then return result; end
			complain(name, result);
		end;
	end

	return guard, function () return errors; end;
end

return { new = new };
