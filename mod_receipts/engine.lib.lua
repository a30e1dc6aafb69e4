-- SPDX-License-Identifier: MIT
-- Finds the C engine: the one place where `receipts` is required.
--
-- `prosodyctl install` puts C libraries under <installer>/lib/lua/5.4, where Prosody 0.12 and 13.0 do not look for them; LuaRocks
-- into a tree of its own does the same. So the places that belong to where this module lies are tried too. Fedora's LuaRocks says
-- lib64 for lib.

local lua_version = _VERSION:match("%d+%.%d+");

--- Files that may be the engine, most specific first.
-- @param directory  where the module's files are, e.g. "/srv/plugins/share/lua/5.4/mod_receipts"
-- @param installer  Prosody's installer path, or nil
local function candidates(directory, installer)
	local list = {};
	local function in_tree(tree)
		for _, lib in ipairs { "lib", "lib64" } do table.insert(list, ("%s/%s/lua/%s/receipts.so"):format(tree, lib, lua_version)); end
	end
	if directory then
		table.insert(list, directory.."/receipts.so");
		local tree = directory:match("^(.*)/share/lua/[%d.]+/mod_receipts/?$");
		if tree then in_tree(tree); end
	end
	if installer then in_tree(installer); end
	return list;
end

local ENOENT, ENOTDIR = 2, 20;

-- One that may not be read is there all the same: loading it will say so.
local function is_file(path)
	local file, _, problem = io.open(path, "rb");
	if file then file:close(); end
	return problem ~= ENOENT and problem ~= ENOTDIR;
end

-- The engine from the first of these files that can be loaded; or nil and, if there is one, why the first is of no use.
local function from_file(paths)
	local problem;
	for _, path in ipairs(paths) do
		if is_file(path) then
			local open, err = package.loadlib(path, "luaopen_receipts");
			local ok, engine = false, err;
			if open then ok, engine = pcall(open); end
			if ok then return engine; end
			problem = problem or path.." cannot be loaded: "..tostring(engine):gsub("%s+", " ");
		end
	end
	return nil, problem;
end

-- The one that `require` finds; or nil and, if there is one, why it is of no use.
local function required()
	local ok, engine = pcall(require, "receipts");
	if ok then return engine; end
	if not tostring(engine):find("module 'receipts' not found", 1, true) then return nil, (tostring(engine):gsub("%s+", " ")); end
end

--- Loads the engine. The module's own tree comes before package.cpath: that may have one of another version, which was installed in
--- another way.
-- @param version    the version that the module needs: engine and module come from one release
-- @param directory  see candidates
-- @param installer  see candidates
-- @return the engine; or nil and one line that says what is wrong and what to do
local function load_engine(version, directory, installer)
	local engine, reason = package.loaded["receipts"], nil;
	for _, find in ipairs {
		function () return from_file(candidates(directory, nil)); end;
		required;
		function () return from_file(candidates(nil, installer)); end;
	} do
		if engine then break; end
		local problem;
		engine, problem = find();
		reason = reason or problem;
	end
	if not engine then
		return nil, "the C library receipts.so is missing or of no use ("..(reason or "it is neither with the module nor where Lua looks")
			.."): install it for Lua "..lua_version.." as README.md says, or run 'make' in the source and put build/receipts.so beside mod_receipts.lua";
	end
	package.loaded["receipts"] = engine;
	local found = type(engine) == "table" and engine.version or "unknown";
	if found ~= version then
		return nil, "the C library receipts.so is version "..tostring(found).." and the module is "..version
			..": install both from one release, then restart Prosody (a reload does not load a C library anew)";
	end
	return engine;
end

return { load = load_engine; candidates = candidates };
