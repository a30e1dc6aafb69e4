-- SPDX-License-Identifier: MIT
-- A Debian machine that is empty but for what Debian installs, as far as a chroot can be one: files, processes and, when it has got its
-- packages, the network are its own, and are gone with it.

local paths = require "spec.support.paths";
local process = require "spec.support.process";

local machine = {};
machine.__index = machine;

local function run(command)
	local pipe = assert(io.popen("{ "..command.."\n} 2>&1 </dev/null"));
	local output = pipe:read("a");
	return output, pipe:close();
end

local function must(command)
	local output, ok = run(command);
	assert(ok, command.."\n"..output);
	return output;
end

-- No service is started by its package's installation. `systemctl restart prosody` does what systemd does with Debian's unit; Debian's
-- init script does not stop a Prosody of 12 before it starts another. That it asks again is ours: see spec/support/tethered.
local PROGRAMS = {
	["usr/sbin/policy-rc.d"] = "exit 101";
	["usr/local/bin/systemctl"] = [[
set -eu
[ "$*" = "restart prosody" ]
pid=$(cat /run/prosody/prosody.pid 2>/dev/null || true)
if [ -n "$pid" ]; then
	while kill "$pid"; do
		n=50
		while [ $n -gt 0 ] && [ -e "/proc/$pid" ]; do
			sleep 0.1
			n=$((n - 1))
		done
	done 2>/dev/null
fi
install -d -o prosody -g prosody /run/prosody
cd /
setsid setpriv --reuid=prosody --regid=prosody --init-groups prosody -F >/dev/null 2>&1 </dev/null &]];
};

--- Starts one.
-- @param codename      of the Debian release
-- @param architecture  optional: other than this machine's, which can run it all the same
-- @return the machine; the source of this checkout is under /root/mod_receipts
function machine.start(codename, architecture)
	local name = codename..(architecture and "-"..architecture or "");
	must(("%s/spec/interop/debian-root %s %s"):format(paths.root, codename, architecture or ""));
	local self = setmetatable({ dir = process.temp_dir() }, machine);
	self.root = self.dir.."/root";
	must(("mkdir '%s' && tar -C '%s' -xf '%s/.deps/debian-%s.tar' && cp -L /etc/resolv.conf /etc/hosts '%s/etc/'")
		:format(self.root, self.root, paths.root, name, self.root));
	for program, line in pairs(PROGRAMS) do
		process.write(self.root.."/"..program, "#!/bin/sh\n"..line.."\n");
		must("chmod 755 '"..self.root.."/"..program.."'");
	end
	must(("mkdir '%s/root/mod_receipts' && cd '%s' && git ls-files -z | tar -c --null -T - | tar -C '%s/root/mod_receipts' -x")
		:format(self.root, paths.root, self.root));
	-- All that runs in it ends with the first of its processes, which takes in orphans; and what is mounted goes too.
	self.first = process.start(self.dir,
		("unshare --mount --pid --net --fork --kill-child --mount-proc='%s/proc' sh -c 'sleep infinity & wait'"):format(self.root), "KILL");
	local outer = self.first:pid();
	self.pid = process.wait(function ()
		return tonumber(process.read(("/proc/%d/task/%d/children"):format(outer, outer)):match("%d+"));
	end);
	process.wait(function () return process.read(("/proc/%d/comm"):format(self.pid)) == "sh\n"; end, function ()
		return "no namespaces for a machine of its own:\n"..process.read(self.dir.."/output");
	end);
	must(("nsenter -t %d --net ip link set lo up"):format(self.pid));
	return self;
end

-- Runs a command as root, in the folder of the source.
-- @param namespaces  options for nsenter
local function inside(self, namespaces, command)
	local file = self.root.."/root/command";
	process.write(file, "cd /root/mod_receipts\n"..command.."\n");
	return run(("nsenter -t %d --mount --pid %s env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "
		.."DEBIAN_FRONTEND=noninteractive chroot '%s' bash -e /root/command"):format(self.pid, namespaces, self.root));
end

--- Runs a command with nothing but loopback, and default ports that nobody else has. Returns its output; raises an error when it fails.
function machine:run(command)
	local output, ok = inside(self, "--net", command);
	assert(ok, command.."\n"..output);
	return output;
end

--- The same with this machine's network, from which packages come.
function machine:online(command)
	local output, ok = inside(self, "", command);
	assert(ok, command.."\n"..output);
	return output;
end

--- Runs a program of this machine's, on that one's loopback.
function machine:visit(command)
	return must(("nsenter -t %d --net %s"):format(self.pid, command));
end

--- The contents of a file; empty when there is none.
function machine:read(path)
	return process.read(self.root..path);
end

function machine:write(path, text)
	process.write(self.root..path, text);
end

function machine:stop()
	self.first:stop();
	must("rm -rf --one-file-system '"..self.dir.."'");
end

return machine;
