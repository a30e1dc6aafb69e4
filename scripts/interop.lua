-- SPDX-License-Identifier: MIT
-- Writes docs/interop.md from what the specs under spec/interop/ have noted (spec/interop/seen.lua), when none has failed.
--   lua5.4 scripts/interop.lua NOTES [DOCUMENT]

package.path = "./?.lua;"..package.path;
require "spec.support.paths";
local array = require "util.array";

-- Versions of Prosody; limits.
local INTRODUCTION = [[
# With other people's programs

mod_receipts was tried on Prosody %s with the clients, components, servers, modules, versions of Lua and machines below,
installed as people install them. Nothing failed: this file is written only when every check has passed.

These limits were found:

- %s

```sh
make interop
```

tries all of it again, and writes this file. Each row is what specs under `spec/interop/` have checked, with everybody in its first column,
on the Prosody versions in the second. A Prosody in brackets is the only one on which that was tried.
]];
local HEAD = "| who | Prosody | what was done | what was seen |\n|---|---|---|---|";

local parts, rows = array(), array();
assert(loadfile(arg[1], "t", {
	part = function (note) parts:push { title = note[1], text = note[2] }; end;
	row = function (note)
		local title, who, version, server, done, what, limit = table.unpack(note);
		local name = version == "" and who or who.." "..version;
		rows:push { title = title, name = name, server = server, action = done.."\0"..what, done = done, what = what, limit = limit };
	end;
}))();

local function where(list, key, value) return array.filter(list, function (item) return item[key] == value; end); end
local function each(list, key) return (list / function (item) return item[key]; end):unique(); end -- what they have there, each once
local function sentence(text) return (text:gsub("^%l", string.upper)); end
local function short(servers) return (servers:concat(", "):gsub("Prosody ", "")); end

-- One line for all rows that have the same done and seen.
local function merged(same)
	local servers = each(same, "server");
	local names = each(same, "name"):map(function (name)
		local its = each(where(same, "name", name), "server");
		return #its == #servers and name or ("%s (%s)"):format(name, its:concat(", "));
	end);
	local cells = array { names:concat(", "), short(servers), sentence(same[1].done), sentence(same[1].what) };
	return "| "..cells:map(function (cell) return (cell:gsub("|", "\\|")); end):concat(" | ").." |";
end

local prosodys = each(rows, "server"):filter(function (server) return server:find("^Prosody "); end);
local out = array { INTRODUCTION:format(short(prosodys):gsub(", ([^,]*)$", " and %1"), each(rows, "limit"):concat("\n- ")) };
for _, title in ipairs(each(parts, "title")) do
	local here = where(rows, "title", title);
	local lines = each(here, "action"):map(function (action) return merged(where(here, "action", action)); end);
	-- A file of specs that is loaded twice says its text twice.
	out:push(("## %s\n\n%s\n\n%s\n%s\n"):format(title, each(where(parts, "title", title), "text"):concat("\n\n"), HEAD, lines:concat("\n")));
end

local file = assert(io.open(arg[2] or "docs/interop.md", "w"));
file:write(out:concat("\n"));
file:close();
