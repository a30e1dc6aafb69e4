-- SPDX-License-Identifier: MIT
-- What the specs of this folder have seen with other people's programs, for the tables of docs/interop.md: `make interop` writes those
-- from a file of lines of Lua, named by the environment. A spec notes a row when all that it says has been checked, so behind its asserts.
-- Rows that say the same of several programs or Prosodys become one there.

local FILE = os.getenv("INTEROP_SEEN");

-- One line for each thing noted.
local function line(kind, values)
	if not FILE then return; end
	local text = {};
	for _, value in ipairs(values) do table.insert(text, ("%q"):format((value:gsub("%s+", " ")))); end
	local file = assert(io.open(FILE, "a"));
	file:write(kind, " { ", table.concat(text, ", "), " }\n");
	file:close();
end

local seen = {};

--- A part of the document: a heading, a paragraph, and a table of what is noted with what this returns.
-- @param title  the heading; parts that share one have one table
-- @param text   how it was tried: what runs, how it is set up
-- @return function of who (a program's name), version (may be empty), server ("Prosody 0.12.3", or "none"), done (what was done),
--         what (what people or programs saw), and optionally limit (a sentence, where that is less than people might wish)
function seen.part(title, text)
	line("part", { title, text });
	return function (who, version, server, done, what, limit) line("row", { title, who, version, server, done, what, limit or nil }); end
end

--- The version of an installed Debian package, as people write it: "1.8.3", not "1:1.8.3-1".
function seen.package_version(name)
	local pipe = assert(io.popen("dpkg-query -W -f '${Version}' "..name));
	local version = pipe:read("a");
	pipe:close();
	return assert(version:gsub("^%d+:", ""):match("^[^-+~]+"), name.." is not installed");
end

return seen;
