-- SPDX-License-Identifier: MIT
-- Lua values made of the bytes of an input, one after the other.

local bytes = {};
local methods = {};
local mt = { __index = methods };

--- @param data  the input: a string
function bytes.new(data)
	return setmetatable({ data = data, at = 0 }, mt);
end

--- A number from 0 to n - 1, for n up to 256; 0 when the input is used up.
function methods:number(n)
	self.at = self.at + 1;
	return (self.data:byte(self.at) or 0) % n;
end

function methods:pick(list)
	return list[self:number(#list) + 1];
end

--- Is there more?
function methods:left()
	return self.at < #self.data;
end

--- Some of the input as it is.
function methods:text()
	local length = self:number(32);
	local text = self.data:sub(self.at + 1, self.at + length);
	self.at = self.at + length;
	return text;
end

local function raise() error("a metamethod was called"); end
local trap = { __index = raise, __newindex = raise, __len = raise, __pairs = raise, __eq = raise, __tostring = raise, __call = raise };

local numbers = { 0, 1, -1, 0.5, 1e300, -1e300, 1/0, -1/0, 0/0, math.maxinteger, math.mininteger, 1e15, 1764000000, 2^53 };

local plain = {
	function () return nil; end;
	function () return true; end;
	function () return false; end;
	function (self) return self:pick(numbers); end;
	function (self) return self:number(256); end;
	function (self) return self:text(); end;
	function (self) return ("x"):rep(2^(self:number(14))); end;
};
local tables = {
	function (self, depth, inner)
		local result = {};
		for i = 1, self:number(4) do result[i] = self[inner](self, depth - 1); end
		return result;
	end;
	function (self, depth, inner)
		local result = {};
		for _ = 1, self:number(4) do result[self:text()] = self[inner](self, depth - 1); end
		return result;
	end;
};
local others = {
	function () return setmetatable({}, trap); end;
	function () local cycle = {}; cycle[1], cycle.attr, cycle.tags = cycle, cycle, cycle; return cycle; end;
	function () return raise; end;
	function () return io.stdout; end;
	function () return coroutine.create(raise); end;
};

--- What a storage can hold: no metatables, cycles or functions.
function methods:storable(depth)
	local kind = self:number(depth > 0 and #plain + #tables or #plain) + 1;
	return (plain[kind] or tables[kind - #plain])(self, depth, "storable");
end

--- Anything at all.
function methods:value(depth)
	local kind = self:number(#plain + #tables + #others) + 1;
	if kind > #plain + #tables then return others[kind - #plain - #tables](); end
	if depth <= 0 and kind > #plain then return nil; end
	return (plain[kind] or tables[kind - #plain])(self, depth, "value");
end

--- Mostly the value that is given, and at times anything.
function methods:mostly(value)
	if self:number(8) == 7 then return self:value(2); end
	return value;
end

return bytes;
