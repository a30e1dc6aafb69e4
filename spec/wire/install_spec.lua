-- SPDX-License-Identifier: MIT
-- Installed as operators install it, the module finds its engine and does its work; without the engine it says so and Prosody
-- goes on. Nothing of this checkout is on that Prosody's paths.

local docs = require "spec.support.docs";
local paths = require "spec.support.paths";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";

local version = os.getenv("PROSODY") or "0.12";

-- Runs a command; its output where it fails.
local function run(format, ...)
	local command = format:format(...);
	local pipe = assert(io.popen("("..command..") 2>&1"));
	local output = pipe:read("*a");
	local ok = pipe:close();
	assert(ok, command.."\n"..output);
	return (output:gsub("%s+$", ""));
end

local function acks_are_matched(server)
	local alice, bob = server:connect("alice"), server:connect("bob");
	server:roster("bob", "alice@localhost", "both");
	alice:send(stanzas.ask { to = "bob@localhost", id = "1" });
	alice:sync();
	bob:send(stanzas.ack("alice@localhost/alice", "1"));
	bob:sync();
	assert.equal("1", stanzas.acked(alice:messages()[1]));
	assert.equal("delivered", server:run("return (prosody.hosts.localhost.modules.receipts.module.save().pending"
		..":state('alice@localhost', 'bob@localhost', '1'))"));
end

describe("installed", function ()
	local dir;
	setup(function ()
		dir = run("mktemp -d");
		run("mkdir %s/source && cd %s && cp -r csrc mod_receipts mod_receipts-*.rockspec README.md CHANGELOG.md LICENSE %s/source/",
			dir, paths.root, dir);
	end);
	teardown(function () run("rm -rf %s", dir); end);

	it("with luarocks make into a tree of its own", function ()
		run("cd %s/source && luarocks --lua-version=5.4 make --tree=%s/tree", dir, dir);
		local server = servers.start { modules = { "receipts", "admin_shell" }, plugin_paths = { dir.."/tree/share/lua/5.4" }, cpath = "" };
		finally(function () server:stop(); end);
		acks_are_matched(server);
		local installed = dir.."/tree/share/lua/5.4/mod_receipts";
		assert.equal(installed, server:run("return prosody.hosts.localhost.modules.receipts.module:get_directory()"));
		local function says(text, exit_code)
			local said, code = server:prosodyctl("shell", "receipts", "version");
			assert.truthy(said:find(text, 1, true), said);
			assert.equal(exit_code, code);
		end
		says("OK: 0.1.0 runs, and is installed\n", 0);
		run("sed -i 's/VERSION = \"0.1.0\"/VERSION = \"0.2.0\"/' %s/mod_receipts.lua", installed);
		says("0.1.0 runs, and 0.2.0 is installed: restart Prosody\n", 1);
		run("rm -r %s", installed);
		says("0.1.0 runs, and nothing is installed where it came from\n", 1);
	end);

	it("with prosodyctl install from the source rock, whatever else LuaRocks knows of that name", function ()
		local config = dir.."/install.cfg.lua";
		local file = assert(io.open(config, "w"));
		file:write(([[
			plugin_server = "none"
			installer_plugin_path = %q
			data_path = %q
			run_as_root = true
			VirtualHost "localhost"
		]]):format(dir.."/plugins", dir));
		file:close();
		-- As a public server may have one; that luarocks asks it is seen from what it does with a name alone.
		local public = dir.."/public";
		run("mkdir %s %s/plugins && cd %s/source && sed 's/0\\.1\\.0/9.9.9/' mod_receipts-0.1.0-1.rockspec >%s/mod_receipts-9.9.9-1.rockspec"
			.." && luarocks-admin --lua-version=5.4 make-manifest %s", public, dir, dir, public, public);
		local luarocks = dir.."/luarocks.lua";
		file = assert(io.open(luarocks, "w"));
		file:write(("rocks_servers = { %q }\n"):format(public));
		file:close();
		assert.truthy(run("LUAROCKS_CONFIG=%s luarocks --lua-version=5.4 search mod_receipts", luarocks):find("9.9.9", 1, true));
		run("cd %s && LUAROCKS_CONFIG=%s lua5.4 %s/usr/bin/prosodyctl --config %s install %s/build/rocks/mod_receipts-0.1.0-1.src.rock", dir, luarocks,
			paths.prosody[version], config, paths.root);
		local server = servers.start { plugin_paths = {}, cpath = "", options = ("installer_plugin_path = %q"):format(dir.."/plugins") };
		finally(function () server:stop(); end);
		acks_are_matched(server);
	end);

	it("twice, of which Prosody would mix the files, it says so, and Prosody goes on", function ()
		-- What `make install` leaves has x.lib.lua, which Prosody looks for everywhere before it looks for the rock's x.lua.
		run("mkdir -p %s/made && cp -r %s/mod_receipts %s/made/", dir, paths.root, dir);
		local server = servers.start { modules = { "receipts", "admin_shell" }, plugin_paths = { dir.."/made" }, cpath = "";
			options = ("installer_plugin_path = %q"):format(dir.."/plugins") };
		finally(function () server:stop(); end);
		local twice = ("mod_receipts is installed twice, in %s/plugins/share/lua/5.4/mod_receipts and in %s/made/mod_receipts: remove one of them")
			:format(dir, dir);
		server:connect("alice");
		local log, said = server:log(), server:prosodyctl("mod_receipts", "check");
		assert.truthy(log:find(twice, 1, true), log);
		assert.truthy(said:find(twice, 1, true), said);
		assert.falsy((log..said):find("traceback", 1, true));
	end);

	it("once, with the libs in a folder of the module's name beside it, it is loaded", function ()
		run("mkdir -p %s/flat/mod_receipts && cp %s/mod_receipts/*.lib.lua %s/flat/mod_receipts/ && cp %s/mod_receipts/mod_receipts.lua %s/flat/",
			dir, paths.root, dir, paths.root, dir);
		local server = servers.start { plugin_paths = { dir.."/flat" } };
		finally(function () server:stop(); end);
		acks_are_matched(server);
	end);

	it("on another Lua than 5.4, it is not loaded, and Prosody 13.0 says why", function ()
		local server = servers.start();
		finally(function () server:stop(); end);
		-- What Prosody compares with; 0.12 does not.
		assert.equal(version == "0.12" and "true" or "false", server:run([[
			local modulemanager = require "core.modulemanager";
			local filter, i = modulemanager.loader._options.load_filter_cb, 0;
			repeat
				i = i + 1;
				local name = debug.getupvalue(filter, i);
				if name == "lua_version" then debug.setupvalue(filter, i, "5.3"); end
			until not name;
			modulemanager.unload("localhost", "receipts");
			return modulemanager.load("localhost", "receipts") ~= nil;
		]]));
		assert.equal(version ~= "0.12", server:log():find("we have Lua 5.3 but the module requires one of (5.4)", 1, true) ~= nil);
	end);

	it("where Prosody does not find it, the log says what docs/operators.md quotes", function ()
		local server = servers.start { plugin_paths = {}, modules = { "receipts", "mod_receipts" }, cpath = "" };
		finally(function () server:stop(); end);
		server:connect("alice"); -- it listens before all modules are loaded
		for _, name in ipairs { "receipts", "mod_receipts" } do
			local line = "Unable to load module '"..name.."'";
			assert.truthy(server:log():find(line..": ", 1, true), server:log());
			assert.truthy(docs.read("docs/operators.md"):find("\n- `"..line.."`", 1, true));
		end
	end);

	it("without its engine, it fails to load with one line, and Prosody goes on", function ()
		local server = servers.start { plugin_paths = { paths.root }, cpath = "" };
		finally(function () server:stop(); end);
		local alice, bob = server:connect("alice"), server:connect("bob");
		alice:send(stanzas.chat { to = "bob@localhost", id = "1" });
		alice:sync();
		assert.equal(1, #bob:messages());
		local lines = {};
		for line in server:log():gmatch("[^\n]+") do
			if line:find("receipts", 1, true) and not line:find("debug", 1, true) then table.insert(lines, line); end
		end
		assert.equal(1, #lines, table.concat(lines, "\n"));
		assert.truthy(lines[1]:find("receipts.so is missing or of no use", 1, true));
		assert.truthy(lines[1]:find("nor where Lua looks): install it for Lua 5.4 as README.md says, or run 'make'", 1, true));
		assert.falsy(server:log():find("stack traceback", 1, true));
		local hooks = server:run("local n = 0; for e, h in pairs(prosody.hosts.localhost.events._event_map) do "
			.."for f in pairs(h) do if debug.getinfo(f).source:find('/mod_receipts/[^/]*$') then n = n + 1 end end end return n");
		assert.equal("0", hooks);
		local told = server:run("return select(2, pcall(module.depends, module, 'receipts'))"); -- as a module that needs this one
		assert.truthy(told:find("Unable to load required module, mod_receipts: the C library receipts.so is missing or of no use", 1, true), told);
	end);
end);
