-- SPDX-License-Identifier: MIT
-- prosodyctl mod_receipts …, as operators type it. No server runs.

local paths = require "spec.support.paths";
local process = require "spec.support.process";
local json = require "util.json";

local version = os.getenv("PROSODY") or "0.12";
local LIMIT = 16 * 1024; -- KiB that lint may use above what prosodyctl needs to do nothing

local R = "xmlns='urn:xmpp:receipts'";

local write, read = process.write, process.read;

describe("F5 prosodyctl mod_receipts", function ()
	local dir;
	setup(function () dir = process.temp_dir(); end);
	teardown(function () os.execute("rm -rf '"..dir.."'"); end);

	local config = [[
run_as_root = true
data_path = %q
plugin_paths = { %q }
certificates = %q
%s
]];

	before_each(function ()
		write(dir.."/prosody.cfg.lua", config:format(dir, paths.root, dir, "VirtualHost \"localhost\""));
	end);

	-- Runs it in `dir`. Returns the exit code, standard output and standard error. Prosody may print warnings of its own first.
	local function run(arguments, how)
		how = how or {};
		local command = ("cd %s && %s LUA_CPATH='%s;;' %s lua5.4 %s/usr/bin/prosodyctl --config %s/prosody.cfg.lua %s %s >out 2>err %s")
			:format(dir, how.before or "", how.cpath or paths.engine, how.environment or "", paths.prosody[version], dir,
				how.command or "mod_receipts", arguments, how.after or "");
		local _, _, code = os.execute(command);
		return code, read(dir.."/out"), read(dir.."/err");
	end

	local function ends_with(expected, text)
		assert.equal(expected, text:sub(-#expected));
	end

	describe("lint", function ()
		it("finds nothing wrong with what is clean", function ()
			write(dir.."/clean.xml", "<message id='1' from='a@x' to='b@x'><request "..R.."/></message>");
			local code, out, err = run("lint clean.xml");
			assert.equal(0, code);
			ends_with("\nmessages    1\nviolations  0\nasked       1\ndelivered   0\nduplicates  0\nunanswered  1\nforged      0\nunknown     0\n", out);
			assert.equal("", err);
		end);

		it("reads files where they were named, and standard input", function ()
			write(dir.."/bad.xml", "\n<message><request "..R.."/></message>");
			local line = ":2: E3 request-without-id: a message that asks for a receipt has no id (XEP-0184 §7)\n";
			local code, out = run("lint bad.xml "..dir.."/bad.xml - < bad.xml");
			assert.equal(1, code);
			assert.truthy(out:find("bad.xml"..line..dir.."/bad.xml"..line.."-"..line.."messages    3\n", 1, true), out);
		end);

		it("says where it could read no further", function ()
			write(dir.."/broken.xml", "<message><request "..R.."/></message>\n<message></x>");
			local code, out, err = run("lint broken.xml missing.xml");
			assert.equal(2, code);
			assert.truthy(out:find("broken.xml:1: E3 request-without-id", 1, true));
			assert.truthy(out:find("\nmessages    1\n", 1, true));
			ends_with("broken.xml:2:12: mismatched tag\nmissing.xml: No such file or directory\n", err);
		end);

		it("says that it does not know the folder, which sudo does not tell", function ()
			local code, _, err = run("lint elsewhere.xml", { environment = "env -u PWD" });
			assert.equal(2, code);
			ends_with("elsewhere.xml: No such file or directory (prosodyctl was not told in which folder; give it the file as its input: "
				.."lint - < elsewhere.xml)\n", err);
		end);

		it("speaks JSON", function ()
			write(dir.."/bad.xml", "<message><request "..R.."/></message>");
			local code, out = run("lint --format=json bad.xml");
			assert.equal(1, code);
			local object = assert(json.decode(out:match("\n({.*)$") or out));
			assert.equal("request-without-id", object.violations[1].problem);
			assert.equal(1, object.summary.messages);
		end);

		it("gives up in one line when nobody reads what it says", function ()
			write(dir.."/bad.xml", "<message><request "..R.."/></message>");
			local code, _, err = run("lint bad.xml", { after = ">/dev/full" });
			assert.equal(2, code);
			ends_with("mod_receipts lint: cannot write: No space left on device\n", err);
		end);

		it("wants a file", function ()
			local code, _, err = run("lint");
			assert.equal(2, code);
			ends_with("lint wants a file\nUsage: prosodyctl mod_receipts lint [--format=text|json] FILE…\n", err);
		end);

		it("reads 1 GiB in under 16 MiB, and gets it right", function ()
			local function peak(arguments, how)
				how.environment = ("LUA_INIT=@%s/spec/support/peak.lua PEAK=%s/peak"):format(paths.root, dir);
				local code, out = run(arguments, how);
				return tonumber(read(dir.."/peak")), code, out;
			end
			local idle = peak("help", {});
			local used, code, out = peak("lint -", { before = ("lua5.4 %s/spec/support/capture.lua %d %s/expected |"):format(paths.root, 1 << 30, dir) });
			assert.equal(1, code);
			local expected = read(dir.."/expected");
			for name in pairs(paths.lib("lint").meanings) do assert.truthy(expected:find(name, 1, true), name); end
			assert.is_true(expected == out:sub(-#expected), "lint says something else than is expected: "..out:sub(-400));
			assert.is_true(used - idle < LIMIT, ("%d KiB above the %d of prosodyctl"):format(used - idle, idle));
		end);
	end);

	describe("check", function ()
		local function check(text)
			write(dir.."/prosody.cfg.lua", config:format(dir, paths.root, dir, text));
			local code, out = run("check");
			return code, out;
		end

		it("finds nothing wrong with a whole setup", function ()
			local code, out = check [[
				modules_enabled = { "receipts", "smacks", "carbons" }
				receipts_request = "always"
				VirtualHost "one.example"
				VirtualHost "two.example"
					receipts_request = "never"
				VirtualHost "three.example"
					modules_disabled = { "receipts" }
				VirtualHost "four.example"
					enabled = false
				Component "rooms.example" "muc"
					modules_enabled = { "receipts" }
			]];
			assert.equal(0, code);
			assert.truthy(out:find("one%.example\n.-receipts_request +\"always\" +configured\n.*two%.example\n.-receipts_request +\"never\" +configured"));
			assert.truthy(out:find("receipts_forged +\"drop\" +default"));
			for _, host in ipairs { "three", "four", "rooms" } do assert.falsy(out:find(host..".example", 1, true)); end
		end);

		it("says what is wrong, and what is idle, on which host", function ()
			local code, out = check [[
				modules_enabled = { "receipts", "smacks", "carbons" }
				VirtualHost "one.example"
				VirtualHost "two.example"
					modules_disabled = { "smacks", "carbons" }
					receipts_forged = "bounce"
					storage = { receipts = "memory" }
			]];
			assert.equal(1, code);
			local one, two = out:match("(one%.example\n.*)(two%.example\n.*)$");
			assert.falsy(one:find("idle", 1, true) or one:find("wrong", 1, true));
			assert.truthy(two:find("wrong: Option receipts_forged = \"bounce\" is not valid", 1, true));
			for _, word in ipairs { "mod_smacks", "mod_carbons", "\"memory\"" } do assert.truthy(two:find("idle: [^\n]*"..word), word); end
		end);

		it("says where Prosody has no such storage", function ()
			for driver, there in pairs { memmory = false, internal = true, sql = true } do
				local code, out = check(([[
					modules_enabled = { "receipts", "smacks", "carbons" }
					storage = %q
					VirtualHost "one.example"
				]]):format(driver));
				assert.equal(there and 0 or 1, code);
				local said = out:find("idle: the storage of \"receipts\" is \""..driver.."\": Prosody has no such storage", 1, true);
				assert.equal(there, said == nil, out);
			end
		end);

		it("says where the module of a storage cannot be loaded", function ()
			os.execute("mkdir -p "..dir.."/plugins");
			write(dir.."/plugins/mod_storage_broken.lua", "error('No SQL library available')");
			local code, out = check(([[
				modules_enabled = { "receipts", "smacks", "carbons" }
				plugin_paths = { %q, %q }
				storage = { receipts = "broken" }
				VirtualHost "one.example"
			]]):format(paths.root, dir.."/plugins"));
			assert.equal(1, code);
			assert.truthy(out:find("idle: the storage of \"receipts\" is \"broken\": Prosody cannot load it", 1, true), out);
			assert.falsy(out:find("receipts_preferences", 1, true));
		end);

		it("says where the storage does not take our stores, so that the module does not load", function ()
			local code, out = check [[
				modules_enabled = { "receipts", "smacks", "carbons" }
				storage = "xep0227"
				VirtualHost "one.example"
				VirtualHost "two.example"
					storage = "internal"
				VirtualHost "four.example"
					storage = 5
			]];
			assert.equal(1, code);
			local four, one, two = out:match("\n(four%.example\n.-)\n(one%.example\n.-)\n(two%.example\n.*)$");
			assert.truthy(one:find("\n  wrong: the storage cannot keep \"receipts\" (unsupported-datastore): set another one, "
				.."default_storage = \"xep0227\"; storage = { ", 1, true), out);
			for _, other in ipairs { four, two } do assert.falsy(other:find("wrong:", 1, true) or other:find("idle:", 1, true), other); end
		end);

		it("says where ad-hoc commands are switched off", function ()
			local code, out = check [[
				modules_enabled = { "receipts", "smacks", "carbons" }
				modules_disabled = { "adhoc" }
				VirtualHost "four.example"
					modules_enabled = { "adhoc" }
				VirtualHost "one.example"
				VirtualHost "two.example"
					modules_disabled = { "ping" }
			]];
			assert.equal(0, code);
			for host in pairs { one = true, two = true } do
				assert.truthy(out:match(host.."%.example\n(.*)"):match("^.-off: ad%-hoc[^\n]*"), host);
			end
			assert.falsy(out:match("four%.example\n(.-)\n\n"):find("off: ad-hoc", 1, true));
			out = select(2, check [[
				modules_enabled = { "receipts", "smacks", "carbons" }
				VirtualHost "one.example"
			]]);
			assert.falsy(out:find("off: ad-hoc", 1, true));
		end);

		it("knows names that are misspelt, components, and modules that are loaded for all hosts", function ()
			local code, out = check [[
				modules_enabled = { "receipts", "smacks", "carbons" }
				statistics = "internal"
				receipts_anwser = "opt-out"
				receipts_answer_components = { "sms.example", "rooms.example", "two.example", "off.example" }
				VirtualHost "one.example"
				VirtualHost "two.example"
					modules_enabled = { "admin_shell", "http_openmetrics" }
					receipts_always = true
				Component "rooms.example" "muc"
					receipts_muc = true
				Component "sms.example"
					component_secret = "x"
				Component "off.example"
					component_secret = "x"
					enabled = false
			]];
			assert.equal(1, code);
			local one, two = out:match("(one%.example\n.*)(two%.example\n.*)\nrooms%.example\n");
			for _, host in ipairs { one, two } do
				assert.truthy(host:find("wrong: mod_receipts has no option receipts_anwser\n", 1, true));
				assert.falsy(host:find("off:", 1, true), host);
				for _, name in ipairs { "rooms", "two", "off" } do assert.truthy(host:find("idle: "..name..".example of", 1, true), name); end
				assert.falsy(host:find("idle: sms", 1, true) or host:find("receipts_muc", 1, true));
			end
			assert.truthy(two:find("no option receipts_always", 1, true) and not one:find("receipts_always", 1, true));
			out = select(2, check("modules_enabled = { \"receipts\", \"smacks\", \"carbons\" }\nVirtualHost \"one.example\""));
			assert.truthy(out:find("off: prosodyctl shell", 1, true) and out:find("off: metrics", 1, true), out);
		end);

		it("tells of options that are set where the module is not", function ()
			local code, out = check [[
				modules_enabled = { "smacks", "carbons" }
				VirtualHost "one.example"
					modules_enabled = { "receipts" }
				VirtualHost "two.example"
					receipts_request = "always"
				VirtualHost "four.example"
					enabled = false
					receipts_request = "always"
				Component "rooms.example" "muc"
					modules_enabled = { "receipts" }
				receipts_answer = "opt-out"
				receipts_anwser = "opt-out"
			]];
			assert.equal(1, code);
			local no_effect = " has no effect here, because mod_receipts is not at work on this host: "
				.."set it above the first VirtualHost, or below the one that it is for\n";
			ends_with("\n\nrooms.example\n  wrong: receipts_answer"..no_effect.."  wrong: mod_receipts has no option receipts_anwser\n"
				.."\ntwo.example\n  wrong: receipts_request"..no_effect, out);
			assert.falsy(out:find("four", 1, true));
		end);

		it("says when no host has the module", function ()
			local code, out = check "VirtualHost \"one.example\"";
			assert.equal(1, code);
			ends_with("No VirtualHost has \"receipts\" in its modules_enabled\n", out);
		end);
	end);

	it("pending says where the module is not, and that there is no such user, rather than that nobody waits", function ()
		write(dir.."/prosody.cfg.lua", config:format(dir, paths.root, dir, [[
			VirtualHost "one.example"
				modules_enabled = { "receipts" }
			VirtualHost "two.example"
			Component "rooms.example" "muc"
				modules_enabled = { "receipts" }
		]]));
		assert.equal(0, (run("romeo one.example secret", { command = "register" })));
		local code, out = run("pending romeo@one.example");
		assert.equal(0, code);
		ends_with("0 messages\n", out);
		local missing, _, problem = run("pending nobody@one.example");
		assert.equal(2, missing);
		ends_with("There is no user nobody@one.example\n", problem);
		for _, host in ipairs { "two.example", "rooms.example" } do
			local failed, _, err = run("pending romeo@"..host);
			assert.equal(2, failed);
			ends_with("mod_receipts is not on "..host.."\n", err);
		end
	end);

	it("pending refuses nobody of whom the kind of authentication cannot tell, or not at once", function ()
		write(dir.."/mod_auth_mute.lua", "module:provides('auth', {});");
		write(dir.."/mod_auth_far.lua", [[
			local wait = require "util.async".waiter;
			module:provides("auth", { user_exists = function () wait()(); end });
		]]);
		write(dir.."/prosody.cfg.lua", config:format(dir, paths.root, dir, [[
			plugin_paths = { %q, %q }
			modules_enabled = { "receipts" }
			VirtualHost "mute.example"
				authentication = "mute"
			VirtualHost "far.example"
				authentication = "far"
			VirtualHost "guests.example"
				authentication = "anonymous"
		]]):format(paths.root, dir));
		for _, host in ipairs { "mute.example", "far.example", "guests.example" } do
			local code, out = run("pending romeo@"..host);
			assert.equal(0, code, host);
			ends_with("0 messages\n", out);
		end
	end);

	it("lists its subcommands", function ()
		local code, out = run("help");
		assert.equal(0, code);
		for _, name in ipairs { "check", "lint" } do assert.truthy(out:find("\n  "..name, 1, true)); end
		local wrong, _, err = run("repair");
		assert.equal(2, wrong);
		assert.truthy(err:find("There is no subcommand \"repair\"\nUsage: ", 1, true));
	end);

	it("without its engine says so in one line", function ()
		for _, arguments in ipairs { "lint -", "pending romeo@localhost" } do
			local code, out, err = run(arguments, { cpath = "" });
			assert.equal(2, code);
			assert.truthy(err:find("^the C library receipts.so is missing or of no use[^\n]*\n$"), err);
			assert.falsy(out:find("traceback", 1, true));
		end
	end);

	it("without its engine has its help all the same, and checks the configuration, in which the library is missing", function ()
		write(dir.."/prosody.cfg.lua", config:format(dir, paths.root, dir,
			"modules_enabled = { \"receipts\", \"smacks\", \"carbons\" }\nVirtualHost \"localhost\""));
		assert.equal(0, (run("check")));
		local code, out, err = run("help", { cpath = "" });
		assert.same({ 0, "" }, { code, err });
		assert.truthy(out:find("\n  check\n", 1, true), out);
		code, out, err = run("check", { cpath = "" });
		assert.same({ 1, "" }, { code, err });
		assert.truthy(out:find("\nlocalhost\n  receipts_answer .*\n\nwrong: the C library receipts.so is missing or of no use[^\n]*\n$"), out);
	end);

	it("cannot say anything where it is not found, or the configuration cannot be read: prosodyctl ends with 1", function ()
		local good = read(dir.."/prosody.cfg.lua");
		for bad, said in pairs {
			[good:gsub("plugin_paths[^\n]*", "")] = "Unable to load module 'receipts'";
			[good.."}"] = "A problem occurred while reading the config file";
		} do
			write(dir.."/prosody.cfg.lua", bad);
			local code, out = run("lint - </dev/null");
			assert.equal(1, code);
			assert.truthy(out:find(said, 1, true), out);
			assert.falsy(out:find("messages ", 1, true));
		end
	end);
end);
