-- SPDX-License-Identifier: MIT
-- Writes into the tables of docs/rules.md which spec files have each rule in their titles (the last column), and an anchor for each rule,
-- so that a link can lead to it: docs/rules.md#d4.
--   lua5.4 scripts/rules.lua [FILE]

local titles = require "spec.support.titles";
local PATH = arg[1] or os.getenv("PWD").."/docs/rules.md";

local files = titles.by_rule();
local file = assert(io.open(PATH));
local text = file:read("a");
file:close();
text = text:gsub("\n| [^|\n]-([A-G]%d) |([^\n]*|)[^|\n]*|%f[\n]", function (rule, row)
	return ('\n| <a id="%s"></a>%s |%s %s |'):format(rule:lower(), rule, row, table.concat(files[rule] or {}, ", "));
end);
file = assert(io.open(PATH, "w"));
file:write(text);
file:close();
