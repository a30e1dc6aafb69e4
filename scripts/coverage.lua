-- SPDX-License-Identifier: MIT
-- Sums up what scripts/coverage has noted: for each file the share of lines and branches that were executed, and what was not.
--   scripts/coverage.lua OBJECTS LINES UNCOVERED    folder with gcov's files, lines met in Lua, where to write what is left

package.path = "./?.lua;"..package.path;
require "spec.support.paths";
local json = require "util.json";
local sorted_pairs = require "util.iterators".sorted_pairs;

local objects, lines_file, uncovered_file = ...;
local GOALS = { c_lines = 97, c_branches = 90, lua_lines = 95 }; -- percent

local function output(command)
	local pipe = assert(io.popen(command));
	local text = pipe:read("a");
	assert(pipe:close(), command);
	return text;
end

local function source_lines(path)
	local list = {};
	for line in io.lines(path) do table.insert(list, line); end
	return list;
end

-- C: file -> line -> { count, branches = { count … } }

local function read_gcov()
	local files = {};
	for data in output("ls "..objects.."/*.gcno"):gmatch("[^\n]+") do
		local found = json.decode(output("gcov --json-format --branch-probabilities --stdout "..data));
		for _, file in ipairs(found.files) do
			if file.file:match("^csrc/[%w_]+%.c$") then
				local lines = files[file.file] or {};
				files[file.file] = lines;
				for _, line in ipairs(file.lines) do
					local seen = lines[line.line_number] or { count = 0, branches = {} };
					lines[line.line_number] = seen;
					seen.count = seen.count + line.count;
					for i, branch in ipairs(line.branches) do seen.branches[i] = (seen.branches[i] or 0) + branch.count; end
				end
			end
		end
	end
	return files;
end

-- Lua: file -> line -> { count = 0 or 1, branches = {} }

-- Lines with code, as the compiler says; what only closes something is no code to a reader.
local function code_lines(path)
	local lines, text = {}, source_lines(path);
	for number, opcode in output("luac5.4 -l -p "..path):gmatch("\n\t%d+\t%[(%d+)%]\t(%u[%u%d]*)") do
		number = tonumber(number);
		if opcode ~= "VARARGPREP" and not text[number]:gsub("%-%-.*", ""):match("^[%s%(%)%[%]{},;]*e?n?d?[%s%(%)%[%]{},;]*$")
			and not text[number]:match("^%s*else%s*$") then
			lines[number] = { count = 0, branches = {} };
		end
	end
	return lines;
end

local function read_lines()
	local files = {};
	for path in output("ls mod_receipts/*.lua"):gmatch("[^\n]+") do files[path] = code_lines(path); end
	for met in io.lines(lines_file) do
		local name, number = met:match("^(.*):(%d+)$");
		local line = files["mod_receipts/"..name] and files["mod_receipts/"..name][tonumber(number)];
		if line then line.count = 1; end
	end
	return files;
end

-- The report

local uncovered = assert(io.open(uncovered_file, "w"));

local function share(hit, all)
	return all == 0 and 100 or 100 * hit / all;
end

local function row(name, total)
	print(("%-36s %5d lines %6.1f %%   %s"):format(name, total.lines, share(total.lines_hit, total.lines),
		total.branches > 0 and ("%5d branches %6.1f %%"):format(total.branches, share(total.branches_hit, total.branches)) or ""));
end

local function sum_up(what, files)
	local all = { lines = 0, lines_hit = 0, branches = 0, branches_hit = 0 };
	for path, lines in sorted_pairs(files) do
		local text = source_lines(path);
		local own = { lines = 0, lines_hit = 0, branches = 0, branches_hit = 0 };
		for number, line in sorted_pairs(lines) do
			own.lines = own.lines + 1;
			if line.count > 0 then own.lines_hit = own.lines_hit + 1; end
			local left = {};
			for i, count in ipairs(line.branches) do
				own.branches = own.branches + 1;
				if count > 0 then own.branches_hit = own.branches_hit + 1; else table.insert(left, i); end
			end
			if line.count == 0 then
				uncovered:write(path, ":", number, ": ", text[number], "\n");
			elseif left[1] then
				uncovered:write(path, ":", number, ": [branch ", table.concat(left, " "), " of ", #line.branches, "] ", text[number], "\n");
			end
		end
		row(path, own);
		for key, value in pairs(own) do all[key] = all[key] + value; end
	end
	row(what, all);
	return all;
end

local c, lua = sum_up("C", read_gcov()), sum_up("Lua", read_lines());
uncovered:close();

local missed = false;
for _, goal in ipairs {
	{ "lines of C", share(c.lines_hit, c.lines), GOALS.c_lines };
	{ "branches of C", share(c.branches_hit, c.branches), GOALS.c_branches };
	{ "lines of Lua", share(lua.lines_hit, lua.lines), GOALS.lua_lines };
} do
	local ok = goal[2] >= goal[3];
	missed = missed or not ok;
	print(("%-14s %.1f %%, goal %d %%: %s"):format(goal[1], goal[2], goal[3], ok and "reached" or "missed"));
end
os.exit(not missed);
