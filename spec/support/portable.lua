-- SPDX-License-Identifier: MIT
-- What the engine's specs need and Lua 5.2, 5.3 or LuaJIT has not, or has under another name: those specs run with all of them.

local portable = {};

-- The program that runs us, by Debian's name.
portable.lua = jit and "luajit" or "lua".._VERSION:match("[%d.]+$"); -- luacheck: ignore 113/jit

--- Does table.insert() heed metatables, so that a table can be one that nobody changes?
portable.read_only = not pcall(table.insert, setmetatable({}, { __newindex = error }), 1);

portable.unpack = table.unpack or unpack; -- luacheck: ignore 113/unpack

--- Is this bit, one of receipts.bits, in a sum of them?
function portable.has(sum, bit)
	return sum % (2 * bit) >= bit;
end

--- Is it an integer, as far as this Lua tells those from other numbers?
function portable.is_integer(number)
	return math.type and math.type(number) == "integer" or not math.type and number % 1 == 0;
end

--- Calls `finalizer` when the garbage collector meets what this returns; LuaJIT's collector looks at userdata alone.
function portable.finalized(finalizer)
	local made = newproxy and newproxy(true) or setmetatable({}, { __gc = finalizer }); -- luacheck: ignore 113/newproxy
	getmetatable(made).__gc = finalizer;
	return made;
end

--- How many KiB of garbage a function makes when it is called again; what LuaJIT compiles would count as well.
function portable.garbage(f)
	if jit then jit.off(); end -- luacheck: ignore 113/jit
	collectgarbage();
	collectgarbage("stop");
	f(); -- the stack grows
	local before = collectgarbage("count");
	f();
	local made = collectgarbage("count") - before;
	collectgarbage("restart");
	if jit then jit.on(); end -- luacheck: ignore 113/jit
	return made;
end

--- Garbage is collected in generations, where this Lua can.
function portable.generational()
	pcall(collectgarbage, "generational");
end

--- Garbage is collected in many small steps: each allocation may take one.
function portable.eager()
	portable.incremental();
	collectgarbage("setpause", 10);
	collectgarbage("setstepmul", 1000);
end

--- As Lua does by itself.
function portable.incremental()
	pcall(collectgarbage, "incremental");
	collectgarbage("setpause", 200);
	collectgarbage("setstepmul", 100);
end

return portable;
