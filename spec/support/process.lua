-- SPDX-License-Identifier: MIT
-- Programs that specs run in the background: on loopback, in a folder of their own, gone when we are.

local paths = require "spec.support.paths";
local socket = require "socket";

local TIMEOUT = 30; -- seconds for what must come about
local ATTEMPTS = 10; -- at what must be done swiftly

local process = {};
local methods = {};
local mt = { __index = methods };

-- Below those that the kernel gives to clients; and other ones for each version, whose specs run at the same time.
local FIRST_PORT, PORTS = os.getenv("PROSODY") == "13.0" and 22000 or 12000, 10000;
local given = {};

--- A port on loopback that nobody listens on; never the same one twice.
function process.free_port()
	local port, listener;
	repeat
		port = FIRST_PORT + math.random(0, PORTS - 1);
		listener = not given[port] and socket.bind("127.0.0.1", port);
	until listener;
	listener:close();
	given[port] = true;
	return port;
end

--- The first line that a shell command prints; nil when it prints none.
function process.output(command)
	local pipe = assert(io.popen(command));
	local line = pipe:read("*l");
	pipe:close();
	return line;
end

--- Runs a shell command with these words after it, until it ends.
-- @return what it prints, and its exit code
function process.run(command, ...)
	local words = { command };
	for _, word in ipairs { ... } do table.insert(words, "'"..word:gsub("'", "'\\''").."'"); end
	local pipe = assert(io.popen(table.concat(words, " ").." 2>&1"));
	local text = pipe:read("*a");
	return text, select(3, pipe:close());
end

function process.temp_dir()
	return assert(process.output("mktemp -d"));
end

function process.write(path, text)
	local file = assert(io.open(path, "w"));
	file:write(text);
	file:close();
end

--- The contents of a file; empty when there is none.
function process.read(path)
	local file = io.open(path);
	if not file then return ""; end
	local text = file:read("*a");
	file:close();
	return text;
end

--- Calls `done` until it returns something true, and returns that.
-- @param complaint  optional: function returning what to say when it takes too long
-- @param interval   optional: seconds between two calls
function process.wait(done, complaint, interval)
	local deadline = socket.gettime() + TIMEOUT;
	while true do
		local result = done();
		if result then return result; end
		if socket.gettime() > deadline then error(complaint and complaint() or "it did not come about", 2); end
		socket.sleep(interval or 0.02);
	end
end

--- Calls `attempt`, and again whenever that took longer than `seconds`: for what has to be done before a timer of the server's comes,
-- which a busy machine may not let be done. Asserts on what came of it are to follow this, since they can fail in an attempt that took
-- too long.
-- @param seconds  how long it may take
-- @param attempt  function (n): n is 1, then 2, and so on
-- @return what the attempt in time returned
function process.swiftly(seconds, attempt)
	for n = 1, ATTEMPTS do
		local began = socket.gettime();
		local result = attempt(n);
		if socket.gettime() - began < seconds then return result; end
	end
	error(("%d times it took longer than %g s"):format(ATTEMPTS, seconds), 2);
end

--- Does somebody listen on this port?
function process.listening(port)
	local probe = socket.connect("127.0.0.1", port);
	if probe then probe:close(); end
	return probe ~= nil;
end

--- Starts a program. What it prints is added to the file "output" in `dir`.
-- @param command  shell words; a program that it starts must be run with exec
-- @param signal   what asks it to stop ("TERM" by default)
function process.start(dir, command, signal)
	local self = setmetatable({ pidfile = dir.."/pid", output = dir.."/output" }, mt);
	os.remove(self.pidfile);
	self.lifeline = assert(io.popen(("exec %s/spec/support/tethered %s %s %s >>%s/output 2>&1")
		:format(paths.root, signal or "TERM", self.pidfile, command, dir), "w"));
	return self;
end

function methods:pid()
	return process.wait(function () return tonumber(process.read(self.pidfile):match("%d+\n")); end);
end

-- Waits until it has ended.
local function await(self)
	self.lifeline:close();
	self.lifeline = nil;
end

-- Exit statuses of programs that end by SIGILL, SIGABRT, SIGBUS, SIGFPE or SIGSEGV.
local CRASHES = { [132] = true, [134] = true, [135] = true, [136] = true, [139] = true };

--- Asks it to stop, and waits until it has. A program that has ended by itself, or crashed, is an error.
function methods:stop()
	if not self.lifeline then return; end
	local state = process.read(("/proc/%d/stat"):format(self:pid())):match("%) (%a) ");
	await(self);
	local status = tonumber(process.read(self.pidfile..".status"):match("%d+"));
	if not state or state == "Z" or CRASHES[status] then
		error(("the program ended by itself, with status %s:\n%s"):format(status, process.read(self.output)));
	end
end

--- As a crash does: kill -9.
function methods:kill()
	if not self.lifeline then return; end
	os.execute("kill -KILL "..self:pid());
	await(self);
end

return process;
