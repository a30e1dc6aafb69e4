-- SPDX-License-Identifier: MIT
-- Runs in a server before Prosody does (LUA_INIT), and counts the instructions of Lua's virtual machine, in the main thread and in others:
-- what a module adds to them is the same on a slow machine as on a quick one, and beside any other program. What C does is not in it.

local EVERY = 100; -- a thread is looked at after so many; what is left over at its end is not counted

local create, count = coroutine.create, 0;

local function tick()
	count = count + EVERY;
end

function coroutine.create(f) -- luacheck: ignore 122
	local thread = create(f);
	debug.sethook(thread, tick, "", EVERY);
	return thread;
end

debug.sethook(tick, "", EVERY);
package.loaded["spec.load.instructions"] = function () return count; end;
