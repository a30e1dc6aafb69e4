-- SPDX-License-Identifier: MIT
-- What the documents tell people to type is typed here, line by line and in their order, on a throw-away server that README.md's own
-- commands install the module on. What they show as output is compared with what came out.
--
-- Stand-ins for what a spec must not touch: folders of the system are folders of ours, `systemctl restart` restarts our server,
-- `apt-get` looks up the packages and installs none.

local paths = require "spec.support.paths";
local docs = require "spec.support.docs";
local process = require "spec.support.process";
local prometheus = require "spec.support.prometheus";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local storages = require "spec.support.storages";
local DBI = require "DBI";
local st = require "util.stanza";
local json = require "util.json";
local socket = require "socket";

local version = os.getenv("PROSODY") or "0.12";

local RECEIPTS = stanzas.xmlns;

-- Commands that are not run here, and who runs them.
local ELSEWHERE = {
	["make test"] = function () return docs.read("Makefile"):find("\ntest:[^\n]*\n\tscripts/test\n"); end; -- it is running
	["make test-fast"] = function () return docs.read("Makefile"):find("\ntest%-fast:[^\n]*\n\tscripts/test %-%-fast\n"); end; -- a part of that
	["make bench"] = function () return docs.read("Makefile"):find("\nbench:[^\n]*\n\t@%$%(call run_benches,%)\n"); end; -- what bench_spec runs
	["make bench-quick"] = function () return docs.read("spec/bench/bench_spec.lua"):find("make bench%-quick"); end;
	["lua5.4 bench/against.lua 127.0.0.1 5222 localhost 100 20"] = function ()
		return docs.read("spec/bench/bench_spec.lua"):find("lua5.4 bench/against.lua 127.0.0.1", 1, true);
	end;
	["make fuzz"] = function () return docs.read(".ci/run"):find("\nmake fuzz FUZZ_SECONDS=30\n"); end;
	["build/test/test_edges"] = function () return docs.read("scripts/test"):find("for test in csrc/test/test_*.c", 1, true); end;
	["make coverage"] = function () return docs.read("Makefile"):find("\ncoverage:[^\n]*\n\tscripts/coverage\n"); end; -- too slow for a test
	["make mutation"] = function () return docs.read("Makefile"):find("\nmutation:[^\n]*\n\tscripts/mutate %$%(FILE%)\n"); end; -- hours
	["make mutation FILE=csrc/facts.c"] = function () return docs.read("spec/module/mutation_spec.lua"):find("csrc/facts%.c"); end;
	["make attack"] = function () return docs.read("Makefile"):find("\n\tATTACK=long busted [^\n]*spec/load/attack_spec%.lua\n"); end; -- short there
	["WALKS=60 busted --lua=/usr/bin/lua5.4 spec/load/walk_spec.lua"] = function ()
		return docs.read("scripts/test"):find(" spec/load;", 1, true); -- short there
	end;
	["make soak SOAK_SECONDS=600"] = function () return docs.read("Makefile"):find("spec/load/soak_spec%.lua spec/load/reload_spec%.lua\n"); end;
	["make interop"] = function () return docs.read(".ci/run"):find("\nMACHINE_TEST=fast make interop "); end;
	["prosodyctl shell watch stanzas romeo@example.org > capture.xml"] = function () -- which ends by Ctrl+C, and is not in 0.12
		return docs.read("spec/wire/shell_spec.lua"):find("prosodyctl --config %s shell watch stanzas alice@localhost", 1, true);
	end;
	["make lint"] = function () return docs.read(".ci/run"):find("\nmake lint\n"); end;
};

-- Commands that say with another exit code than 0 what they have found.
local function allowed(command, code)
	return code == 0 or code == 1 and command:find("mod_receipts lint", 1, true) ~= nil;
end

-- Numbers and the width of columns are not what is compared.
local function plain(text)
	return (text:gsub("[%d.]*%d", "0"):gsub("[ \t]+", " "):gsub(" \n", "\n"));
end

-- Is the sample in the output? A line with "…" alone stands for any lines.
local function shows(output, sample)
	output = "\n"..plain(output).."\n";
	local at = 1;
	for part in (plain(sample.."\n").."…\n"):gmatch("(.-)…\n") do
		local first, last = output:find("\n"..part, at, true);
		if not first then return false; end
		at = last;
	end
	return true;
end

-- As text with its keys in order.
local function canonical(value)
	if type(value) ~= "table" then return ("%q"):format(value); end
	local parts = {};
	for key, item in pairs(value) do table.insert(parts, tostring(key).." = "..canonical(item)); end
	table.sort(parts);
	return "{ "..table.concat(parts, ", ").." }";
end

-- What an output or a block has of JSON.
local function object(text)
	return canonical(assert(json.decode(("\n"..text):match("\n({.*)$") or "")));
end

describe("documents", function ()
	local dir, server, played, outputs;

	local function execute(command)
		local ok, _, code = os.execute("cd '"..dir.."/source' && { "..command.."; } >'"..dir.."/out' 2>&1");
		return ok and 0 or code, process.read(dir.."/out");
	end

	local function program(name, text)
		process.write(dir.."/bin/"..name, "#!/bin/sh\n"..text.."\n");
		assert(os.execute("chmod +x "..dir.."/bin/"..name));
	end

	-- The first block of a document that is of this kind.
	local function first(name, kind)
		for _, block in ipairs(docs.blocks(name)) do
			if block.kind == kind then return table.concat(block.lines, "\n").."\n"; end
		end
	end

	-- What the configuration that README.md shows sets.
	local function readme_config()
		local env = {};
		assert(load(first("README.md", "lua config"), "README.md", "t", env))();
		return env;
	end

	setup(function ()
		dir = process.temp_dir();
		assert(os.execute(("cd '%s' && mkdir -p bin source plugins src srv root source/export && cd '%s' && "
			.."cp -a .busted .luacheckrc *.md *.rockspec LICENSE Makefile build csrc docs doap.xml examples mod_receipts scripts spec '%s/source'"
			.." && rm -rf '%s/source/build/rocks' && ln -s '%s/.deps' '%s/source/.deps'"):format(dir, paths.root, dir, dir, paths.root, dir)));
		local config = readme_config();
		assert.equal("internal", config.statistics);
		server = servers.start {
			modules = config.modules_enabled, http = true, plugin_paths = {}, cpath = "";
			options = ('statistics = "internal"\ninstaller_plugin_path = %q\nplugin_server = "none"\nreceipts_flush_interval = "1s"\n')
				:format(dir.."/plugins");
			hosts = 'modules_disabled = { "receipts" }\nVirtualHost "example.org"';
		};
		program("prosodyctl", ("exec lua5.4 %s/usr/bin/prosodyctl --config %s \"$@\""):format(paths.prosody[version], server.config));
		program("systemctl", ('[ "$*" = "restart prosody" ] && touch %s/restart'):format(dir));
		program("apt-get", 'if [ "$1" = update ]; then exec /usr/bin/apt-get --print-uris "$@"; else exec /usr/bin/apt-get --simulate "$@"; fi');
		played = false;
	end);
	teardown(function ()
		if server then server:stop(); end
		if dir then os.execute("rm -rf '"..dir.."'"); end
	end);

	-- Commands as they are in the documents, with the system's places turned to ours.
	local function filled_in(command)
		return (command:gsub("/usr/local/src/", dir.."/src/"):gsub("/srv/receipts", dir.."/srv/receipts")
			:gsub("/usr/local/share", dir.."/root/usr/local/share"):gsub("/var/lib/prosody/", server.dir.."/data/")
			:gsub("/var/log/prosody/prosody%.log", server.dir.."/prosody.log"):gsub("127%.0%.0%.1:5280", "127.0.0.1:"..server.http_port));
	end

	local function trusts(user, contact)
		server:run(("rostermanager = require 'core.rostermanager'; local r = rostermanager.load_roster(%q, 'example.org');"
			.."r[%q] = { subscription = 'both', groups = {} }; rostermanager.save_roster(%q, 'example.org', r)"):format(user, contact, user));
	end

	local function module_says(code)
		return server:run("local saved = prosody.hosts['example.org'].modules.receipts.module.save(); return "..code);
	end

	-- What the samples of output show.
	local function play()
		if played then return; end
		played = true;
		server:disconnect_all();
		for _, user in ipairs { "juliet", "paris", "benvolio" } do trusts(user, "romeo@example.org"); end
		local capable = { features = { RECEIPTS } };
		local romeo, juliet = server:connect("romeo@example.org/orchard", capable), server:connect("juliet@example.org/chamber", capable);
		local paris, tybalt = server:connect("paris@example.org/street", capable), server:connect("tybalt@example.org/street", capable);
		server:connect("benvolio@example.org/square", capable);
		servers.wait(function ()
			romeo:sync();
			juliet:sync();
			return module_says("tostring(saved.capabilities:of('juliet@example.org/chamber'))") == "capable"
				and module_says("tostring(saved.capabilities:of('romeo@example.org/orchard'))") == "capable";
		end);
		local function ask(to, id)
			romeo:send(stanzas.ask { to = to, id = id });
			romeo:sync();
		end
		local function ack(from, id)
			from:send(stanzas.ack("romeo@example.org/orchard", id));
			from:sync();
		end
		ask("juliet@example.org", "balcony-1");
		ask("juliet@example.org", "balcony-2");
		ack(paris, "balcony-2");
		ack(juliet, "balcony-1");
		local time = socket.gettime();
		servers.wait(function () return socket.gettime() > time + 0.1; end); -- so that one is the older
		ask("benvolio@example.org", "square-1");
		ack(tybalt, "duel-1"); -- Romeo is not in Tybalt's roster
		servers.wait(function () return process.read(server.dir.."/data/example%2eorg/receipts/romeo.dat"):find("square-1", 1, true); end);
	end

	local function run(command)
		if ELSEWHERE[command] then
			assert.truthy(ELSEWHERE[command](), command.." is not run by whom it should be");
			return;
		end
		local line = filled_in(command);
		if line:find("^prosodyctl shell") or line:find("^prosodyctl mod_receipts pending") or line:find("^curl") then play(); end
		local code, output = execute(("export PATH='%s/bin':\"$PATH\" PREFIX=/usr/local DESTDIR='%s/root'; unset PROSODY; bash -o pipefail -c '%s'")
			:format(dir, dir, line:gsub("'", "'\\''")));
		assert(allowed(command, code), ("%s\nended with %d:\n%s"):format(command, code, output));
		table.insert(outputs, output);
		if os.remove(dir.."/restart") then
			server:restart();
			played = false;
		end
		if command:find("receipts forget", 1, true) then played = false; end
	end

	-- A Prosody with this in its configuration starts, has the module, and complains of nothing.
	local function configures(text)
		local env = {};
		assert(load(text, "configuration", "t", env))();
		local own_paths = text:find("plugin_paths", 1, true);
		local other = servers.start {
			modules = env.modules_enabled or { "receipts" };
			options = filled_in(text):gsub("modules_enabled = %b{}", "");
			cpath = own_paths and "" or nil;
			http = text:find("http_openmetrics", 1, true) ~= nil; -- then it listens where nobody else does
		};
		finally(function () if other then other:stop(); end end);
		local client = other:connect("romeo");
		local answer = client:iq(st.stanza("iq", { type = "get", to = "localhost" }):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
		assert.truthy(answer.tags[1]:get_child_with_attr("feature", nil, "var", RECEIPTS), "the module is not there with\n"..text);
		client:send(stanzas.ask { to = "juliet@localhost", id = "1" });
		client:sync();
		for line in other:log():gmatch("[^\n]+") do
			local bad = line:find("\terror\t", 1, true) or line:find("\twarn\t", 1, true);
			-- What the spec's own configuration has as well; and its plugins, which are not in plugin_paths of one's own.
			assert(not bad or line:find("Duplicate option", 1, true) or own_paths and line:find("control", 1, true), line.."\nwith\n"..text);
		end
		other:halt();
		for store, driver in pairs(env.storage or {}) do
			assert.equal("memory", driver);
			assert.is_nil(process.output(("ls -d '%s/data/localhost/%s' '%s/data/localhost/%s.dat' 2>/dev/null"):format(other.dir, store, other.dir, store)),
				store.." is on disk with\n"..text);
		end
	end

	local does = {};

	function does.sh(block)
		for _, line in ipairs(block.lines) do
			local command = line:gsub("%s+#.*$", ""):gsub("^#.*$", "");
			if command ~= "" then run(command); end
		end
	end

	does["lua config"] = function (block) configures(table.concat(block.lines, "\n")); end;

	function does.text(block)
		local sample = table.concat(block.lines, "\n");
		for _, output in ipairs(outputs) do
			if shows(output, sample) then return; end
		end
		error("no command before it printed\n"..sample.."\nbut\n"..table.concat(outputs, "\n----\n"), 0);
	end

	function does.json(block)
		assert.equal(object(table.concat(block.lines, "\n")), object(outputs[#outputs]));
	end

	-- A statement for Prosody's database: what the module has stored is gone after it, and nothing else.
	function does.sql(block)
		local other = servers.start { options = storages.sqlite().options };
		finally(function () if other then other:stop(); end end);
		other:run("local storagemanager = require 'core.storagemanager'; local saved = prosody.hosts.localhost.modules.receipts.module.save();"
			.."for _, name in ipairs { 'receipts_preferences', 'roster' } do storagemanager.open('localhost', name):set('romeo', { answer = 'yes' }); end "
			.."saved.capabilities:import { ver = 'capable' };"
			.."return (saved.pending:add('romeo@localhost', 'juliet@localhost', '1', os.time()))");
		other:halt(); -- which writes the rest
		local database = assert(DBI.Connect("SQLite3", other.dir.."/data/prosody.sqlite"));
		database:autocommit(true);
		local function stores()
			local query, found = assert(database:prepare("SELECT DISTINCT store FROM prosody")), {};
			assert(query:execute());
			for row in query:rows() do found[row[1]] = true; end
			query:close();
			return found;
		end
		local expected = stores();
		for _, name in ipairs { "receipts", "receipts_preferences", "receipts_caps" } do
			assert.is_true(expected[name], "nothing is stored in "..name);
			expected[name] = nil;
		end
		local statement = assert(database:prepare(table.concat(block.lines, "\n")));
		assert(statement:execute());
		statement:close();
		assert.same(expected, stores());
		assert.is_true(expected.roster);
		database:close();
	end

	function does.xml() end -- captures, see below

	-- A program, or a piece of an example that other specs run.
	function does.lua(block)
		local text = table.concat(block.lines, "\n").."\n";
		if text:find("module:", 1, true) then
			assert.truthy(docs.read("examples/mod_receipts_log.lua"):find(text, 1, true), "not in the example:\n"..text);
			return;
		end
		process.write(dir.."/program.lua", text);
		local code, output = execute(("LUA_CPATH='%s;;' lua5.4 %s/program.lua"):format(paths.engine, dir));
		assert.equal(0, code, output);
	end

	function does.yaml(block)
		process.write(dir.."/prometheus.yml", table.concat(block.lines, "\n").."\n");
		assert(os.execute(("cp '%s'/examples/*.yml '%s'"):format(paths.root, dir)));
		local ok, said = prometheus.promtool("check config "..dir.."/prometheus.yml");
		assert(ok, said);
		assert.truthy(said:find("rules found", 1, true), said);
	end

	for _, name in ipairs(docs.files) do
		it(name.." tells no more than what works", function ()
			outputs = {};
			local capture = first(name, "xml");
			if capture then
				process.write(dir.."/source/capture.xml", capture);
				assert(os.execute(("cd '%s/source' && cp capture.xml export/ && gzip -k capture.xml"):format(dir)));
			end
			for _, block in ipairs(docs.blocks(name)) do
				local go = assert(does[block.kind], ("%s:%d: nobody knows what to do with a block of %q"):format(name, block.line, block.kind));
				local ok, err = pcall(go, block);
				assert(ok, ("%s:%d: %s"):format(name, block.line, type(err) == "table" and tostring(err.message) or tostring(err)));
			end
		end);
	end

	it("docs/operators.md explains what its command shows where there are no metrics", function ()
		local section = docs.read("docs/operators.md"):match("\n### No metrics\n(.-)\n##");
		local command = section:match("```sh\n(.-)\n```");
		for said, how in pairs {
			["Failed to connect"] = { modules = { "receipts" } };
			["404 Not Found"] = { modules = { "receipts", "bosh" }, http = true, options = 'statistics = "internal"' };
			["No statistics provider configured"] = { modules = { "receipts", "http_openmetrics" }, http = true };
		} do
			local other = servers.start(how);
			local _, output = execute((command:gsub("5280", tostring(other.http_port or process.free_port()))));
			other:stop();
			assert.truthy(output:find(said, 1, true), output);
			assert.truthy(section:find("\n- `"..said.."`", 1, true), "it does not explain "..said);
		end
	end);

	it("a sample that is not so is noticed", function ()
		assert.is_true(shows("x\na |  1\nb | 2 s\nc\n", "a | 17\n…\nc"));
		assert.is_false(shows("x\na |  1\nb | 2 s\nc\n", "a | 17\nc"));
		assert.is_false(shows("x\na |  1\n", "x\nb | 1"));
	end);
end);
