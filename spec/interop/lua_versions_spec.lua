-- SPDX-License-Identifier: MIT
-- The engine outside Prosody, on the other Luas that Debian has: all of its specs, none left out, and the example of its document.

local seen = require "spec.interop.seen";
local paths = require "spec.support.paths";
local process = require "spec.support.process";

local note = seen.part("Other versions of Lua", [[The engine, for Lua programs outside Prosody, built with `make LUA_VERSION=…`. Debian's Lua of
that version runs the specs under `spec/engine/`, all that Lua 5.4 runs. Of Prosody they use `util.stanza`, from Prosody 0.12.]]);

-- Runs a command; its output. The specs' errors are in it.
local function run(format, ...)
	local command = format:format(...);
	local pipe = assert(io.popen("cd "..paths.root.." && ("..command..") 2>&1"));
	local output = pipe:read("a");
	return output, pipe:close();
end

local function must(...)
	local output, ok = run(...);
	assert(ok, output);
	return output;
end

-- How many specs of the engine succeed with a Lua; all do, or this fails.
local function engine_specs(program, engine)
	local output, ok = run("RECEIPTS_ENGINE='%s/%s' nice busted --lua=/usr/bin/%s --output=plainTerminal spec/engine", paths.root, engine, program);
	local passed = output:match("(%d+) successes / 0 failures / 0 errors / 0 pending");
	assert(ok and passed, output);
	return tonumber(passed);
end

-- The first sample of docs/lua-api.md.
local example = assert(process.read(paths.root.."/docs/lua-api.md"):match("```lua\n(.-)```"));

describe("the engine", function ()
	local expected;
	setup(function ()
		must("make all build/test/test_edges");
		expected = engine_specs("lua5.4", "build/?.so");
	end);

	for _, lua in ipairs {
		{ program = "lua5.2", version = "5.2", name = "Lua", package = "lua5.2" },
		{ program = "lua5.3", version = "5.3", name = "Lua", package = "lua5.3" },
		{ program = "luajit", version = "jit", name = "LuaJIT (Lua 5.1)", package = "luajit" },
	} do
		it("passes its specs on "..lua.program, function ()
			local engine = "build/lua"..lua.version.."/?.so";
			must("make LUA_VERSION=%s all build/lua%s/test/test_binding", lua.version, lua.version);
			must("build/lua%s/test/test_binding", lua.version);
			local file = os.tmpname();
			finally(function () os.remove(file); end);
			process.write(file, example..'print(("it is %s"):format(jit and "jit" or _VERSION:match("[%d.]+$")), receipts.version)\n');
			assert.truthy(must("LUA_CPATH='%s/%s' %s %s", paths.root, engine, lua.program, file):find("it is "..lua.version.."\t", 1, true));
			assert.equal(expected, engine_specs(lua.program, engine));
			note(lua.name, seen.package_version(lua.package), "none", "The example of docs/lua-api.md, and the engine's specs",
				"The same as with Lua 5.4: every spec passes");
		end);
	end
end);
