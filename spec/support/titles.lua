-- SPDX-License-Identifier: MIT
-- The titles of all specs, as busted has them, without running any: each file is loaded where `it` only notes down.

local paths = require "spec.support.paths";

local titles = {};

--- All of them.
-- @return array of { file = "wire/checks", title = of the outermost describe to the it, in one text }
function titles.all()
	local list = {};
	local find = assert(io.popen("cd "..paths.root.."/spec && ls */*_spec.lua"));
	for path in find:lines() do
		local words = {};
		local env = setmetatable({}, { __index = _G });
		local function inside(name, body)
			table.insert(words, name);
			body();
			table.remove(words);
		end
		local function noted(name)
			table.insert(list, { file = path:gsub("_spec%.lua$", ""), title = table.concat(words, " ").." "..name });
		end
		env.describe, env.context, env.insulate, env.expose = inside, inside, inside, inside;
		env.it, env.spec, env.test = noted, noted, noted;
		for _, name in ipairs { "setup", "teardown", "before_each", "after_each", "lazy_setup", "lazy_teardown", "strict_setup",
			"strict_teardown", "pending", "finally", "randomize" } do
			env[name] = function () end;
		end
		-- This one would look for titles again.
		if not path:find("docs_spec", 1, true) then assert(loadfile(paths.root.."/spec/"..path, "t", env))(); end
	end
	find:close();
	return list;
end

--- Which files have which rules in their titles.
-- @return rule -> sorted array of files
function titles.by_rule()
	local files, seen = {}, {};
	for _, spec in ipairs(titles.all()) do
		for rule in spec.title:gmatch("%f[%w][A-G]%d%f[%W]") do
			files[rule] = files[rule] or {};
			if not seen[rule.." "..spec.file] then table.insert(files[rule], spec.file); end
			seen[rule.." "..spec.file] = true;
		end
	end
	for _, list in pairs(files) do table.sort(list); end
	return files;
end

return titles;
