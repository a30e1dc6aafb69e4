-- SPDX-License-Identifier: MIT
-- Documents as specs read them: their blocks of code and their tables.

local paths = require "spec.support.paths";
local process = require "spec.support.process";

local docs = {};

--- The documents, as paths below the root, README.md first.
docs.files = { "README.md" };
for name in assert(io.popen("cd "..paths.root.." && ls CONTRIBUTING.md CHANGELOG.md SECURITY.md docs/*.md")):lines() do
	table.insert(docs.files, name);
end

function docs.read(name)
	local text = process.read(paths.root.."/"..name);
	assert(text ~= "", name.." is empty or missing");
	return text;
end

--- The fenced blocks of a document, in order.
-- @return array of { line, kind = what stands after the fence, lines = array }
function docs.blocks(name)
	local list, block, number = {}, nil, 0;
	for line in (docs.read(name).."\n"):gmatch("(.-)\n") do
		number = number + 1;
		local fence = line:match("^%s*```(.*)$");
		if block and fence then
			assert(fence == "", name..":"..number.." closes a block with "..fence);
			block = nil;
		elseif block then
			table.insert(block.lines, line);
		elseif fence then
			block = { line = number, kind = fence, lines = {} };
			table.insert(list, block);
		else
			assert(not line:find("^    %S") and not line:find("^\t"), name..":"..number.." is indented code: say with a fence what it is");
		end
	end
	assert(not block, name.." ends in a block of code");
	return list;
end

--- The rows of all tables with this first column title: arrays of cells, without the anchors in them.
function docs.rows(name, title)
	local rows, inside = {}, false;
	for line in (docs.read(name):gsub('<a id="[^"]*"></a>', "").."\n"):gmatch("(.-)\n") do
		local cells = {};
		for cell in line:gmatch("|%s*([^|]-)%s*%f[|]") do table.insert(cells, cell); end
		if not line:find("^|") then
			inside = false;
		elseif cells[1] == title then
			inside = true;
		elseif inside and not line:find("^|%-") then
			table.insert(rows, cells);
		end
	end
	assert(#rows > 0, name.." has no table whose first column is "..title);
	return rows;
end

--- What is between backquotes in a text, in order.
function docs.quoted(text)
	local list = {};
	for word in text:gmatch("`([^`]+)`") do table.insert(list, word); end
	return list;
end

return docs;
