-- SPDX-License-Identifier: MIT
-- The load of prosody-cpu, against a server of your own: prints what it takes, to be compared with the module on and off.
--   lua5.4 bench/against.lua HOST PORT DOMAIN SESSIONS [ROUNDS]
-- The server needs accounts load1, load2, … with the password "secret", pairs of them (1 and 2, 3 and 4, …) in each other's rosters,
-- and has to take PLAIN without encryption: a server for tests, therefore. On the server's own machine its CPU time is shown, too.

require "spec.support.paths";
local socket = require "socket";
local figures = require "bench.figures";
local load = require "bench.load";

local host, port, domain, sessions, rounds = arg[1], tonumber(arg[2]), arg[3], tonumber(arg[4]), tonumber(arg[5] or 10);
if not (host and port and domain and sessions and rounds) or sessions < 2 or sessions % 2 ~= 0 or rounds < 1 then
	io.stderr:write("Usage: lua5.4 bench/against.lua HOST PORT DOMAIN SESSIONS [ROUNDS]\n  SESSIONS is even\n");
	os.exit(2);
end

-- The process that listens on the port here, if it may be looked at.
local function server_pid()
	if host ~= "127.0.0.1" and host ~= "localhost" then return nil; end
	local pipe = io.popen(("ss -Hltnp 'sport = :%d' 2>/dev/null"):format(port));
	local pid = (pipe:read("a") or ""):match("pid=(%d+)");
	pipe:close();
	return pid;
end

local function cpu(pid)
	local file = pid and io.open("/proc/"..pid.."/schedstat");
	if not file then return nil; end
	local nanoseconds = tonumber(file:read("a"):match("^%d+"));
	file:close();
	return nanoseconds;
end

local pid = server_pid();
local traffic = load.new(port, sessions, nil, host, domain);
local each = math.max(2, math.min(400, 4000 // sessions));
traffic:round(each); -- what is done once is done
local times, cpus, messages = {}, {}, 0;
for round = 1, rounds do
	local start, before = socket.gettime(), cpu(pid);
	messages = traffic:round(each);
	times[round] = (socket.gettime() - start) / messages * 1e6;
	if before then cpus[round] = (cpu(pid) - before) / messages / 1000; end
end
traffic:close();
print(("%d sessions, %d rounds of %d messages, half of them asking for a receipt, and their acks"):format(sessions, rounds, messages));
print(("%.0f µs a message, the median of the rounds (%.0f messages a second)"):format(figures.median(times), 1e6 / figures.median(times)));
if #cpus > 0 then print(("%.0f µs of the server's CPU a message"):format(figures.median(cpus))); end
