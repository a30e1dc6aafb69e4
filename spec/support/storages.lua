-- SPDX-License-Identifier: MIT
-- The kinds of storage that operators choose from, each of which a spec can make fail, and recover.
--
-- A storage has `options`, Lua text for the global section of Prosody's configuration; fail(server), recover(server) and remove().

local postgres = require "spec.support.postgres";
local process = require "spec.support.process";
local DBI = require "DBI";

local storages = {};

storages.names = { "internal", "sqlite", "postgres", "slow" };

--- Prosody's own files. When it fails, Prosody can open no file: what was stored cannot be read, and nothing can be written.
-- Nor can it take new connections then, and a client that tries has it wait 10 s before it takes the next.
-- (A folder without write permission would not stop root.)
function storages.internal()
	local storage = { options = 'storage = "internal"' };
	local limit;
	local function set(server, soft)
		assert(os.execute(("prlimit --pid %d --nofile=%s:"):format(server.process:pid(), soft)));
	end
	function storage.fail(server)
		server:run("return 'connected'");
		limit = process.output(("prlimit --pid %d --nofile --output=SOFT --noheadings --raw"):format(server.process:pid()));
		set(server, 1);
	end
	function storage.recover(server) set(server, limit); end
	function storage.remove() end
	return storage;
end

--- An SQLite file beside Prosody's own. When it fails, somebody else has locked it.
function storages.sqlite()
	local storage = { options = 'storage = "sql"\nsql = { driver = "SQLite3", database = "prosody.sqlite" }' };
	local lock;
	local function execute(sql)
		local statement = assert(lock:prepare(sql));
		assert(statement:execute());
		statement:close();
	end
	function storage.fail(server)
		lock = assert(DBI.Connect("SQLite3", server.dir.."/data/prosody.sqlite"));
		lock:autocommit(true);
		execute("BEGIN EXCLUSIVE");
	end
	function storage.recover()
		if not lock then return; end
		execute("ROLLBACK"); -- closing alone would wait for the garbage collector
		lock:close();
		lock = nil;
	end
	function storage.remove() end
	return storage;
end

--- A PostgreSQL of its own. When it fails, it has stopped.
function storages.postgres()
	local database = postgres.new();
	local storage = { options = database:storage_options() };
	function storage.fail() database:stop(); end
	function storage.recover() database:start(); end
	function storage.remove() database:remove(); end
	return storage;
end

--- One that lets others run before it answers: spec/plugins/mod_storage_slow.lua. Prosody tells who calls one where that cannot be done.
-- (What is read while modules are loaded is stored elsewhere: else Prosody would take connections before it is ready for them.)
function storages.slow()
	local storage = { options = [[
		storage = { receipts = "slow", receipts_preferences = "slow", private = "slow" }
		storage_async_check = true
	]] };
	local function set(server, failing)
		server:run(("module:shared('/*/storage_slow/state').failing = %s"):format(failing));
	end
	function storage.fail(server) set(server, "true"); end
	function storage.recover(server) set(server, "false"); end
	function storage.remove() end
	--- @param seconds  what it takes to do something, and to say so; nil: a moment
	function storage.take(server, seconds)
		server:run(("module:shared('/*/storage_slow/state').seconds = %s"):format(seconds));
	end
	return storage;
end

return storages;
