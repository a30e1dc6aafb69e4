-- SPDX-License-Identifier: MIT
-- Run by LUA_INIT before a program: when that ends, the most memory that it ever held (VmHWM, in KiB) is in the file that PEAK names.

local keep = setmetatable({}, { __gc = function ()
	local status = assert(io.open("/proc/self/status"));
	local peak = status:read("a"):match("VmHWM:%s*(%d+) kB");
	status:close();
	local file = assert(io.open(os.getenv("PEAK"), "w"));
	file:write(peak);
	file:close();
end });
debug.getregistry()[keep] = true;
