-- SPDX-License-Identifier: MIT
-- On machines with nothing on them but Debian: README.md's commands as they are there, from `make demo` to removal.
--
-- `make test` there takes its ten minutes; with MACHINE_TEST=fast it is `make test-fast`.

local docs = require "spec.support.docs";
local machines = require "spec.interop.machine";
local paths = require "spec.support.paths";
local process = require "spec.support.process";
local seen = require "spec.interop.seen";
local socket = require "socket";

local note = seen.part("Debian", [[Empty machines, as debootstrap makes them, with processes and loopback of their own. Commands are typed as
README.md and docs/operators.md have them. Prosody is Debian's package as it is configured there, with a certificate; where it says none,
demo and tests unpack their own. There is no systemd in a chroot: `systemctl restart prosody` is a program that starts Prosody as systemd
would, as the user prosody.]]);

local CLIENT = paths.root.."/spec/interop/first-receipt.py";

-- The lines of the first block of shell commands of a document that has this in it.
local function commands(name, words)
	for _, block in ipairs(docs.blocks(name)) do
		if block.kind == "sh" and table.concat(block.lines, "\n"):find(words, 1, true) then return block.lines; end
	end
	error(name.." has no commands with "..words);
end

-- Prints "<" once Prosody answers: it listens before all modules are loaded, and answers after that.
local GREET = [[(exec 3<>/dev/tcp/127.0.0.1/5222 && printf "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ]]
	..[[to='localhost' version='1.0'>" >&3 && timeout 5 head -c 1 <&3) 2>&1 || true]];

-- Types commands; apt-get alone has the network. Returns what they printed.
local function type_in(machine, lines)
	local outputs = {};
	for _, line in ipairs(lines) do
		local run = line:find("^apt%-get") and machine.online or machine.run;
		table.insert(outputs, run(machine, line));
		if line:find("^systemctl restart") then
			process.wait(function () return machine:run(GREET) == "<"; end, function ()
				return "Prosody does not answer:\n"..machine:read("/var/log/prosody/prosody.log");
			end, 0.2);
		end
	end
	return table.concat(outputs);
end

local function says_yes(machine) -- and tries again, where the network fails for a moment
	machine:write("/etc/apt/apt.conf.d/yes", 'APT::Get::Assume-Yes "true";\nAPT::Update::Error-Mode "any";\nAcquire::Retries "5";\n');
end

-- "12.13" for Debian.
local function release(machine)
	return (machine:read("/etc/debian_version"):gsub("%s+", ""));
end

local FAST = os.getenv("MACHINE_TEST") == "fast";

-- @param architecture  as machines.start has it
-- @param name          of that, for the title and the table
local function source_alone(architecture, name)
	describe("with make and git, an empty Debian 12"..name, function ()
		local machine;
		setup(function ()
			machine = machines.start("bookworm", architecture);
			says_yes(machine);
			machine:online("apt-get -qq update && apt-get -qq install --no-install-recommends make git");
		end);
		teardown(function () if machine then machine:stop(); end end);

		it("runs the demo", function ()
			assert.truthy(commands("README.md", "make demo")[1]:find("^make demo "));
			local output = machine:online("make demo");
			assert.truthy(output:find("Installing Debian packages: ", 1, true), output);
			assert.truthy(output:find("%d+ checks right, 0 wrong\n$"), output);
			assert.truthy(machine:run("dpkg-query -W prosody 2>&1 || true"):find("no packages found", 1, true));
			note("Debian", release(machine)..name, "none", "With make, git and this source: `make demo`",
				"It says which packages it installs and what happened, every scene came out right, and no Prosody is installed after it");
		end);

		it("runs the tests", function ()
			local target = FAST and "test-fast" or "test";
			local output = machine:online("make "..target);
			local passed, failed = output:match("\n(%d+) passed, (%d+) failed\n$");
			assert.truthy(passed and tonumber(passed) > 100, output);
			assert.equal("0", failed, output);
			note("Debian", release(machine)..name, "none", "Then `make "..target.."`", "All passed, none skipped");
		end);
	end);
end

source_alone(nil, "");
-- Of 32 bits, as small computers have it; where there is little time, lint's compiler has to do.
if not FAST then source_alone("i386", " for 32 bits"); end

-- The configuration with what README.md adds: to the list that is there, and above the first VirtualHost.
local function with_receipts(config)
	local modules, above = {}, {};
	for _, block in ipairs(docs.blocks("README.md")) do
		for _, line in ipairs(block.kind == "lua config" and block.lines or {}) do
			local module = line:match('^\t"([%w_]+)";');
			if module and not config:find('\n%s*"'..module..'"') then table.insert(modules, line); end
			if line:find("^%w+ = [^{]") then table.insert(above, line); end
		end
	end
	config = config:gsub("\nmodules_enabled = {\n", function (head) return head..table.concat(modules, "\n").."\n"; end, 1);
	return (config:gsub("\nVirtualHost ", "\n"..table.concat(above, "\n").."%0", 1));
end

-- The source of a later version of ours, for an upgrade.
local LATER = [[
cp -r /root/mod_receipts /root/later
cd /root/later
mv mod_receipts-0.1.0-1.rockspec mod_receipts-0.1.1-1.rockspec
sed -i 's/0\.1\.0/0.1.1/g' mod_receipts-0.1.1-1.rockspec csrc/receipts.c mod_receipts/*.lua
rm -rf /root/mod_receipts
mv /root/later /root/mod_receipts
]];

local CONFIG = "/etc/prosody/prosody.cfg.lua";

-- @param debian  name, codename; prosody: the series that it has; backports: it comes from there
local function own_prosody(debian)
	describe("with its own Prosody, Debian "..debian.name, function ()
		local machine, server;

		-- romeo asks juliet; what his client shows.
		local function receipt(id)
			local output = machine:visit(CLIENT.." "..id.." "..machine.root.."/etc/prosody/certs/localhost.crt");
			assert.equal("receipt for "..id.." from juliet@localhost/balcony\n", output);
		end

		local function row(done, what) note("Debian", release(machine), server, done, what); end

		local function installed()
			return machine:run("prosodyctl list 2>&1");
		end

		setup(function ()
			machine = machines.start(debian.codename);
			says_yes(machine);
			local from = "";
			if debian.backports then
				machine:run("sed 's/ "..debian.codename.." / "..debian.codename.."-backports /' /etc/apt/sources.list >/etc/apt/sources.list.d/backports.list");
				from = "-t "..debian.codename.."-backports ";
			end
			machine:online("apt-get -qq update && apt-get -qq install "..from.."prosody openssl");
			server = "Prosody "..machine:run("dpkg-query -W -f '${Version}' prosody"):match("^[%d.]+");
			assert.equal("Prosody "..debian.prosody, server:match("^Prosody %d+%.%d+"));
			machine:run([[
				cd /etc/prosody/certs
				openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost \
					-keyout localhost.key -out localhost.crt
				chgrp prosody localhost.key
				chmod 640 localhost.key
				prosodyctl register romeo localhost secret
				prosodyctl register juliet localhost secret]]);
			type_in(machine, { "systemctl restart prosody" });
		end);
		teardown(function () if machine then machine:stop(); end end);

		it("takes the rock, and counts the first receipt", function ()
			assert.truthy(type_in(machine, commands("README.md", "make rock")):find("mod_receipts 0.1.0-1 is now installed in /", 1, true));
			machine:write(CONFIG, with_receipts(machine:read(CONFIG)));
			local checks = commands("README.md", "systemctl restart");
			local output = type_in(machine, checks);
			assert.truthy(output:find("no complaint about receipts", 1, true), output);
			assert.equal("prosody\n", machine:run("stat -c %U /proc/$(cat /run/prosody/prosody.pid)"));
			receipt("first");
			output = type_in(machine, { checks[#checks - 1], checks[#checks] });
			assert.truthy(output:find("\nAsked for by clients +| +1 *\n"), output);
			assert.truthy(output:find("\nDelivered +| +1 *\n"), output);
			local deadline = os.time() + 120; -- Prosody's statistics_interval is a minute
			while not output:find('prosody_mod_receipts__outcomes_total{host="localhost",outcome="delivered"} 1\n', 1, true) do
				assert(os.time() < deadline, output);
				socket.sleep(1);
				output = machine:run(checks[#checks]);
			end
			row("README.md's Install, on an empty machine with Debian's prosody; a message to a contact (both with slixmpp)",
				"Installed as it says; Prosody, as its own user, has no complaint; the sender gets the tick, `stats` counts it at once, the metrics soon after");
		end);

		it("takes an upgrade while Prosody runs", function ()
			machine:run(LATER);
			local lines = commands("README.md", "make rock");
			for i, line in ipairs(lines) do lines[i] = line:gsub("0%.1%.0", "0.1.1"); end
			local output = type_in(machine, lines);
			assert.truthy(output:find("mod_receipts 0.1.1-1 is now installed in /", 1, true), output);
			receipt("between");
			assert.truthy(machine:run("prosodyctl shell receipts stats"):find("\nDelivered +| +2 *\n"));
			type_in(machine, { "systemctl restart prosody" });
			receipt("after");
			assert.truthy(installed():find("0.1.1-1", 1, true));
			assert.falsy(installed():find("0.1.0-1", 1, true));
			assert.truthy(machine:run("prosodyctl shell receipts stats"):find("\nDelivered +| +1 *\n"));
			assert.falsy(machine:read("/var/log/prosody/prosody.log"):find("\terror\t"));
			row("The same commands with a later version's source while Prosody runs, then a restart",
				"Receipts go on before and after the restart; `prosodyctl list` has the new version alone; no error in the log");
		end);

		it("is as before when it has been removed", function ()
			local removal = commands("docs/operators.md", "prosodyctl remove");
			machine:write(CONFIG, (machine:read(CONFIG):gsub('\n\t"receipts";', "")));
			type_in(machine, { "systemctl restart prosody" });
			type_in(machine, removal);
			assert.falsy(installed():find("receipts", 1, true));
			receipt("without");
			local left = machine:run([[find /etc /usr /var -path /var/lib/dpkg -prune -o -name '*receipts*' -print | sort]]);
			for path in left:gmatch("[^\n]+") do
				assert.truthy(path:find("^/usr/local/src/mod_receipts%-0%.1%.[01]%-1%.src%.rock$") or path:find("^/var/lib/prosody/localhost/receipts"), left);
			end
			row("Removed as docs/operators.md says",
				"Messages and clients' own receipts pass; what is left are the source rocks and what was stored");
		end);
	end);
end

own_prosody { name = "12", codename = "bookworm", prosody = "0.12" };
own_prosody { name = "13 with backports", codename = "trixie", prosody = "13.0", backports = true };
-- Its 13.0.1 is the one that all other specs run on.
if not FAST then own_prosody { name = "13", codename = "trixie", prosody = "13.0" }; end
