-- SPDX-License-Identifier: MIT
-- Writes into the last column of the table in docs/rules.md which spec files have the rule in their titles.

local titles = require "spec.support.titles";
local PATH = os.getenv("PWD").."/docs/rules.md";

local files = titles.by_rule();
local file = assert(io.open(PATH));
local text = file:read("a");
file:close();
text = text:gsub("\n(| ([A-G]%d) |[^\n]*|) [^|\n]* |%f[\n]", function (row, rule)
	return "\n"..row.." "..table.concat(files[rule] or {}, ", ").." |";
end);
file = assert(io.open(PATH, "w"));
file:write(text);
file:close();
