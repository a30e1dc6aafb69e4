-- SPDX-License-Identifier: MIT
-- Writes docs/interop.md from what the specs under spec/interop/ have noted (spec/interop/seen.lua).
--   lua5.4 scripts/interop.lua NOTES

local INTRODUCTION = [[
# With other people's programs

```sh
make interop
```

tries mod_receipts with the clients, servers and modules that people use, installed as people install them, and writes this file. Each
row is what a spec under `spec/interop/` has checked in that run.
]];

local parts, rows = {}, {};
local function cell(text) return (text:gsub("|", "\\|")); end
local notes = setmetatable({}, { __index = {
	part = function (part)
		if rows[part[1]] then return; end -- a file of specs that is loaded twice
		table.insert(parts, part);
		rows[part[1]] = {};
	end;
	row = function (row) table.insert(rows[row[1]], row); end;
} });
assert(loadfile(arg[1], "t", notes))();

local out = { INTRODUCTION };
for _, part in ipairs(parts) do
	table.insert(out, ("\n## %s\n\n%s\n\n| who | version | server | what was done | what was seen |\n|---|---|---|---|---|\n"):format(part[1], part[2]));
	for _, row in ipairs(rows[part[1]]) do
		table.insert(out, ("| %s | %s | %s | %s | %s |\n"):format(cell(row[2]), cell(row[3]), cell(row[4]), cell(row[5]), cell(row[6])));
	end
end
local file = assert(io.open("docs/interop.md", "w"));
file:write(table.concat(out));
file:close();
