-- SPDX-License-Identifier: MIT
-- stored.lib.lua: what `prosodyctl mod_receipts pending` says where there is nothing to read. What it reads is in
-- spec/wire/command_spec.lua.

local paths = require "spec.support.paths";
local lib = paths.lib;
local receipts = require "receipts";
local new_set = require "util.set".new;

local FAILED = 2;
local key_of = lib("records").key;

describe("prosodyctl mod_receipts pending", function ()
	-- Runs it for a user of the host "h"; its exit code, and what it wrote.
	local may_exist;
	before_each(function () may_exist = true; end);
	local function pending(config, open, arguments, elsewhere)
		local written = { "", "" };
		local function file(i) return { write = function (_, ...) written[i] = written[i]..table.concat { ... }; end }; end
		local configmanager = { getconfig = function () return { h = config }; end, get = function (_, name) return config[name]; end };
		local modulemanager = { get_modules_for_host = function () return new_set { not elsewhere and "receipts" or nil }; end };
		local function exists(user, host)
			assert.same({ "a", "h" }, { user, host });
			return may_exist;
		end
		local command = lib("stored").command(receipts, {
			configmanager = configmanager, modulemanager = modulemanager, open = open, may_exist = exists, now = function () return 1000000; end;
			out = file(1), err = file(2);
		});
		local code, usage = command.run(arguments or { "a@h" });
		return code, usage or written[1]..written[2];
	end

	local function opens(data, err)
		return function (host, name)
			assert.same({ "h", "receipts" }, { host, name });
			return { get = function (_, user)
				assert.equal("a", user);
				return data, err;
			end };
		end;
	end

	it("says that a storage that forgets is known to the server only", function ()
		local code, text = pending({ storage = { receipts = "memory" } }, error);
		assert.equal(FAILED, code);
		assert.truthy(text:find('"memory": only the running server knows (prosodyctl shell receipts pending a@h)', 1, true), text);
	end);

	it("says where the module is not", function ()
		assert.same({ FAILED, "mod_receipts is not on h\n" }, { pending({}, error, nil, true) });
	end);

	it("says what cannot be opened, read, or understood", function ()
		assert.same({ FAILED, "The store of h cannot be read: no driver\n" }, { pending({}, function () return nil, "no driver"; end) });
		assert.same({ FAILED, "The store of h cannot be read: disk\n" }, { pending({}, opens(nil, "disk")) });
		assert.same({ FAILED, "What is stored of a@h is damaged\n" }, { pending({}, opens("rubbish")) });
	end);

	it("finds no messages where nothing is stored", function ()
		assert.same({ 0, "0 messages\n" }, { pending({}, opens(nil)) });
		assert.same({ 0, "0 messages\n" }, { pending({}, opens {}) });
	end);

	it("says that there is no such user, unless there are messages of one who was", function ()
		may_exist = false;
		assert.same({ FAILED, "There is no user a@h\n" }, { pending({}, opens(nil)) });
		local records = { [key_of("b@h", "one")] = { to = "b@h", id = "one", time = 999990 } };
		local code, text = pending({}, opens(records));
		assert.equal(0, code);
		assert.truthy(text:find("\n1 message\n$"), text);
	end);

	it("shows what is stored, what of it has expired, and how much is damaged", function ()
		local key, records = key_of, {};
		for id, state in pairs { one = false, two = "failed", three = "delivered" } do
			records[key("b@h", id)] = { to = "b@h", id = id, time = 999990, state = state or nil };
		end
		records[key("b@h", "four")] = { to = "b@h", id = "four", time = 1000000 - 60 };
		local code, text = pending({ receipts_expire_after = 60 }, opens(records));
		assert.equal(0, code);
		local function state(id) return text:match("\n[^\n]*| "..id.." +|[^|]*| (%w+)"); end
		assert.same({ "pending", "bounced", "delivered", "expired" }, { state("one"), state("two"), state("three"), state("four") }, text);
		assert.truthy(text:find("\n4 messages\n$"), text);
		records.rubbish = true;
		code, text = pending({}, opens(records));
		assert.equal(0, code);
		assert.truthy(text:find("\n4 messages\n1 record damaged, or not of this version\n$"), text);
		records = { [key("b@h", "one")] = records[key("b@h", "one")] };
		assert.truthy(select(2, pending({}, opens(records))):find("\n1 message\n$"));
	end);

	it("takes for damaged what the server does", function ()
		local records = { [key_of("b@h", "sound")] = { to = "b@h", id = "sound", time = 999990 } };
		for id, record in pairs {
			["1"] = { time = -1e300 }, ["2"] = { state = 5 }, ["3"] = { state = "lost" }, ["4"] = { type = {} }, ["5"] = { to = "" }, ["6"] = { time = 0/0 };
			old = { time = 1 };
		} do
			record.to, record.id, record.time = record.to or "b@h", id, record.time or 999990;
			records[key_of(record.to, id)] = record;
		end
		local code, text = pending({}, opens(records));
		assert.equal(0, code);
		assert.truthy(text:find("\n2 messages\n6 records damaged, or not of this version\n$"), text);
	end);

	it("wants one user of a host that there is", function ()
		for _, arguments in ipairs { {}, { "h" }, { "a@h", "b@h" } } do
			local code, usage = pending({}, error, arguments);
			assert.is_nil(code);
			assert.equal("Say which user, like romeo@example.org", usage);
		end
		assert.equal("The configuration has no host elsewhere", (select(2, pending({}, error, { "a@elsewhere" }))));
		assert.equal("The configuration has no host *", (select(2, pending({}, error, { "a@*" }))));
	end);
end);
