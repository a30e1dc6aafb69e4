-- SPDX-License-Identifier: MIT
-- engine.lib.lua: finding the C engine.

local paths = require "spec.support.paths";
local lib = paths.lib("engine");

describe("engine", function ()
	local cpath, loaded = package.cpath, nil;
	before_each(function ()
		loaded = package.loaded.receipts;
		package.loaded.receipts = nil;
	end);
	after_each(function ()
		package.cpath = cpath;
		package.loaded.receipts = loaded;
	end);

	it("looks in the tree that the module lies in, and in the installer's", function ()
		assert.same({
			"/srv/t/share/lua/5.4/mod_receipts/receipts.so";
			"/srv/t/lib/lua/5.4/receipts.so";
			"/srv/t/lib64/lua/5.4/receipts.so";
			"/var/lib/prosody/custom_plugins/lib/lua/5.4/receipts.so";
			"/var/lib/prosody/custom_plugins/lib64/lua/5.4/receipts.so";
		}, lib.candidates("/srv/t/share/lua/5.4/mod_receipts", "/var/lib/prosody/custom_plugins"));
		assert.same({ "/opt/mod_receipts/receipts.so" }, lib.candidates("/opt/mod_receipts", nil));
	end);

	it("is found on package.cpath", function ()
		assert.equal("0.1.0", lib.load("0.1.0", nil, nil).version);
	end);

	it("is found beside the module", function ()
		package.cpath = "";
		local engine = lib.load("0.1.0", paths.root.."/build", nil);
		assert.equal("0.1.0", engine.version);
		assert.equal(engine, package.loaded.receipts);
	end);

	it("is taken from the tree that the module lies in, though another can be required", function ()
		local dir = os.tmpname();
		os.remove(dir);
		os.execute(("mkdir %s && cp %s/build/receipts.so %s/"):format(dir, paths.root, dir));
		finally(function ()
			package.preload.receipts = nil;
			os.execute("rm -r "..dir);
		end);
		package.preload.receipts = function () return { version = "0.0.9" }; end;
		assert.equal("0.1.0", lib.load("0.1.0", dir, nil).version);
		package.loaded.receipts = { version = "0.0.9" };
		local engine, problem = lib.load("0.1.0", dir, nil);
		assert.is_nil(engine, "the one that runs stays until Prosody ends");
		assert.truthy(problem:find("version 0.0.9 and the module is 0.1.0", 1, true));
	end);

	it("that is there and cannot be read is not called missing", function ()
		local dir = os.tmpname();
		os.remove(dir);
		os.execute(("mkdir %s && ln -s receipts.so %s/receipts.so"):format(dir, dir)); -- root can read all but that
		finally(function () os.execute("rm -r "..dir); end);
		package.cpath = "";
		local engine, problem = lib.load("0.1.0", dir, nil);
		assert.is_nil(engine);
		assert.truthy(problem:find(dir.."/receipts.so cannot be loaded: ", 1, true), problem);
		local tree = dir.."/share/lua/5.4/mod_receipts";
		os.execute(("mkdir -p %s %s/lib/lua/5.4 && ln -s receipts.so %s/receipts.so && cp %s/build/receipts.so %s/lib/lua/5.4/")
			:format(tree, dir, tree, paths.root, dir));
		assert.is_table(lib.load("0.1.0", tree, nil), "nor is it in the way of one that can");
		package.loaded.receipts = nil;
		engine, problem = lib.load("0.1.0", paths.root.."/README.md/none", "/dev/null");
		assert.is_nil(engine);
		assert.truthy(problem:find("it is neither with the module nor where Lua looks", 1, true), problem);
	end);

	it("of the installer's is taken where no other is", function ()
		local dir = os.tmpname();
		os.remove(dir);
		os.execute(("mkdir -p %s/lib/lua/5.4 && cp %s/build/receipts.so %s/lib/lua/5.4/"):format(dir, paths.root, dir));
		finally(function () os.execute("rm -r "..dir); end);
		package.cpath = "";
		assert.equal("0.1.0", lib.load("0.1.0", "/nowhere", dir).version);
	end);

	it("is missed in one line that says what to do", function ()
		package.cpath = "";
		local engine, problem = lib.load("0.1.0", "/nowhere", "/nowhere");
		assert.is_nil(engine);
		assert.truthy(problem:find("receipts.so is missing or of no use", 1, true));
		assert.truthy(problem:find("it is neither with the module nor where Lua looks): install it for Lua 5.4 as README.md says, or run 'make'", 1, true));
		assert.falsy(problem:find("\n"));
	end);

	it("must be of the module's version", function ()
		local engine, problem = lib.load("0.2.0", nil, nil);
		assert.is_nil(engine);
		assert.truthy(problem:find("version 0.1.0 and the module is 0.2.0", 1, true));
		assert.truthy(problem:find("restart Prosody", 1, true));
	end);

	it("that cannot be loaded says why in one line", function ()
		package.cpath = "";
		local dir = os.tmpname();
		os.remove(dir);
		os.execute("mkdir "..dir.." && echo rubbish > "..dir.."/receipts.so");
		local engine, problem = lib.load("0.1.0", dir, nil);
		os.execute("rm -r "..dir);
		assert.is_nil(engine);
		assert.truthy(problem:find("cannot be loaded", 1, true));
		assert.falsy(problem:find("\n"));
	end);
end);
