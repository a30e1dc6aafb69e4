-- SPDX-License-Identifier: MIT
-- scripts/mutate.lua: which conditions it inverts. What becomes of them takes hours, and is told in docs/reliability.md.

local process = require "spec.support.process";

describe("make mutation", function ()
	local function conditions(...)
		local pipe = assert(io.popen("lua5.4 scripts/mutate.lua list "..table.concat({ ... }, " ")));
		local list = {};
		for line in pipe:lines() do table.insert(list, line); end
		assert(pipe:close());
		return list;
	end

	-- The same of a text, without the file's name.
	local function of(name, text)
		local dir = process.temp_dir();
		finally(function () os.execute("rm -r "..dir); end);
		process.write(dir.."/"..name, text);
		local list = conditions(dir.."/"..name);
		for i, line in ipairs(list) do list[i] = line:sub(#dir + #name + 3); end
		return list;
	end

	it("finds conditions in Lua, and none in comments and strings", function ()
		assert.same({ "4: a and b", "6: (function () if c then return d; end end)()", "6: c" }, of("sample.lua", [=[
-- if a comment then
local s, q = "if x \" then", 'if y then'; -- if
local l = [[ if long then ]]; --[[ if long then ]] local notify, gif;
if a
	and b then -- why
elseif (function () if c then return d; end end)() then notify(gif, s, q, l); end
]=]));
	end);

	it("knows specs for every file of the module", function ()
		local found = table.concat(conditions(), "\n");
		for _, name in ipairs { "csrc/pending%.c", "mod_receipts/blocks%.lib%.lua", "mod_receipts/mod_receipts%.lua" } do
			assert.truthy(found:find(name..":%d"), name);
		end
	end);

	it("finds conditions in C", function ()
		assert.same({ "5: (a && (b || c))", "7: (d)" }, of("sample.c", [[
/* if (x) { */
#if defined(A)
char *s = "if (\"y\")"; char c = '"'; char e = '\'';
int notif(int x);
if (a && (b
	|| c))
	x(); else if (d) { }
#endif
]]));
	end);

	it("finds conditions before a question mark, which C alone has", function ()
		assert.same({ "1: a == 1", "2: b || f(c, d)", "2: *e", "3: g <= h", "3: i[(j)]", "4: (k)", "4: l", "4: m == '?'" }, of("sample.c", [[
x = a == 1 ? "?" : 'y'; /* why? */
f(x, b || f(c, d) ? 1 : *e ? 2 : 3);
return g <= h ? i[(j)] ? 4 : 5 : 6;
if (k) x += l ? 1 : 2; struct s t = {m == '?' ? 1 : 2};
]]));
		assert.same({}, of("sample.lua", "local a = b and c or d; -- e ? f : g"));
	end);

	it("finds those of the sources", function ()
		local all = conditions("csrc/facts.c");
		assert.is_true(#all > 20);
		assert.same({ all[2] }, conditions((all[2]:match("^.-:%d+"))));
		assert.is_true(#conditions("mod_receipts/*.lua") > 300);
		assert.is_true(#conditions("csrc/lua_*.c", "csrc/xml*.c") > 170);
	end);
end);
