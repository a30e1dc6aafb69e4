-- SPDX-License-Identifier: MIT
-- What a server holds: memory, and what a module leaves behind in Prosody.

local process = require "spec.support.process";

local vitals = {};

--- KiB of the process that are in memory, and the most that ever were.
function vitals.resident(server)
	local status = process.read(("/proc/%d/status"):format(server.process:pid()));
	return tonumber(status:match("VmRSS:%s*(%d+)")), tonumber(status:match("VmHWM:%s*(%d+)"));
end

--- Seconds that the process has been running on a CPU.
function vitals.cpu(server)
	return tonumber(process.read(("/proc/%d/schedstat"):format(server.process:pid())):match("^%d+")) / 1e9;
end

--- Instructions of Lua's virtual machine that it has run; it must have been started with spec/load/instructions.lua.
function vitals.instructions(server)
	return tonumber(server:run("return package.loaded['spec.load.instructions']()"));
end

local count = [[
	collectgarbage();
	collectgarbage();
	local function size(t)
		local n = 0;
		for _ in pairs(t) do n = n + 1; end
		return n;
	end
	-- Handlers of events are upvalues of Prosody's functions.
	local function hooks(events)
		local n = 0;
		for i = 1, 20 do
			local name, value = debug.getupvalue(events.add_handler, i);
			if name == "event_map" then
				for _, handlers in pairs(value) do n = n + size(handlers); end
			end
		end
		return n;
	end
	-- And so are the heaps of timers.
	local function timers()
		local n = 0;
		for _, add in pairs { require "util.timer".add_task, require "net.server".add_task } do
			for i = 1, 20 do
				local _, value = debug.getupvalue(add, i);
				if type(value) == "table" and rawget(value, "items") then n = n + size(value.items); end
			end
		end
		return n;
	end
	local receipts = prosody.hosts.localhost.modules.receipts;
	return table.concat({ math.floor(collectgarbage "count"), receipts and receipts.module.save().pending:bytes() or 0;
		size(debug.getregistry()), hooks(prosody.hosts.localhost.events) + hooks(prosody.events), size(package.loaded);
		size(prosody.full_sessions), timers() }, " ")]];

--- Garbage is collected first.
-- @return resident, peak and heap (KiB), pending (bytes), registry (entries of Lua's registry), hooks (handlers of events), loaded (packages),
-- sessions, timers
function vitals.of(server)
	local found, values = {}, server:run(count):gmatch("%d+");
	found.resident, found.peak = vitals.resident(server);
	for _, name in ipairs { "heap", "pending", "registry", "hooks", "loaded", "sessions", "timers" } do found[name] = tonumber(values()); end
	return found;
end

return vitals;
