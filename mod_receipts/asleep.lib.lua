-- SPDX-License-Identifier: MIT
-- Code that is seldom used sleeps. Half of Prosody's time is the garbage collector's, which walks over all that lives in Lua's memory
-- again and again, functions included; so a lib is one string here until it is first used.
--
-- It is read when the module is loaded: what wakes later is of the same version as what is awake, whatever has been installed since.

local asleep = {};

-- What was asleep becomes what was made: with its fields, and its metatable.
local function become(self, made)
	for name, value in next, made do rawset(self, name, value); end
	setmetatable(self, getmetatable(made));
end

--- Something that is made when it is first used.
-- @param make  function (self): returns a table
-- @return a table that becomes what `make` returned, as soon as it is looked into: whoever keeps it is to keep this one, `self`
function asleep.until_used(make)
	return setmetatable({}, {
		asleep = true;
		__index = function (self, key)
			become(self, make(self));
			return self[key];
		end;
	});
end

--- Has this been looked into?
function asleep.is_awake(thing)
	local mt = getmetatable(thing);
	return not (mt and mt.asleep);
end

--- Makes it now, where it has not been looked into.
function asleep.wake(thing)
	local _ = thing.made;
end

--- Libs of the module's that sleep. Those they require sleep as well, and are to be named too, or are given.
-- @param names  array
-- @param libs   table from the name to the lib, of those that are awake
-- @return the same table, with those that sleep
function asleep.libs(names, libs)
	local loader = require "core.modulemanager".loader; -- here: outside Prosody there is none
	-- What a lib takes for Prosody's `module`.
	local api = setmetatable({ require = function (_, name) return libs[name]; end }, { __index = module });
	local environment = setmetatable({ module = api }, { __index = module.environment });
	-- One for all libs, each of which has its code at 1: the collector has fewer to look at.
	local mt = { asleep = true };
	function mt:__index(key)
		become(self, load(rawget(self, 1), nil, "b", environment)());
		rawset(self, 1, nil); -- last: until nothing can fail it may be tried again
		return self[key];
	end
	for _, name in ipairs(names) do
		local code, err = loader:load_code_ext(module.name, name, "lib.lua", environment);
		if not code then error(name..": "..err); end
		libs[name] = setmetatable({ string.dump(code) }, mt);
	end
	return libs;
end

return asleep;
