-- SPDX-License-Identifier: MIT
-- Rule F1: what starting up costs with a million stored entries of 100,000 users. The peer is the same Prosody with nothing stored.
-- Time: from the start of the process until a client has logged in and got an answer, in seconds. Memory: its resident set then, in KiB.

require "spec.support.paths";
local figures = require "bench.figures";
local process = require "spec.support.process";
local servers = require "spec.support.server";
local sha256 = require "util.hashes".sha256;
local serialize = require "util.serialization".serialize;
local json = require "util.json".encode;
local socket = require "socket";
local DBI = require "DBI";

local QUICK = arg[1] == "quick"; -- a hundredth of the entries
local USERS, ENTRIES = QUICK and 1000 or 100000, 10;
local RUNS = QUICK and 3 or 31;

-- The records of a user, as records.lib.lua makes them.
local function records(user)
	local set = {};
	for i = 1, ENTRIES do
		local to, id = ("peer%d@example.org"):format(user % 5000), ("%08x-0000-4000-8000-%012x"):format(user, i);
		set[sha256(to.."\0"..id, true):sub(1, 32)] = { to = to, id = id, time = os.time() - i, type = "chat" };
	end
	return set;
end

local fill = {};

function fill.internal(server)
	local dir = server.dir.."/data/localhost/receipts";
	assert(os.execute("mkdir -p "..dir));
	for user = 1, USERS do process.write(("%s/user%d.dat"):format(dir, user), "return "..serialize(records(user))..";\n"); end
end

function fill.sqlite(server)
	local db = assert(DBI.Connect("SQLite3", server.dir.."/data/prosody.sqlite"));
	db:autocommit(false);
	local insert = assert(db:prepare("INSERT INTO prosody (host, user, store, key, type, value) VALUES ('localhost', ?, 'receipts', ?, 'json', ?)"));
	for user = 1, USERS do
		for key, record in pairs(records(user)) do assert(insert:execute("user"..user, key, json(record))); end
	end
	assert(db:commit());
	db:close();
end

local function resident(server)
	return tonumber(process.read(("/proc/%d/status"):format(server.process:pid())):match("VmRSS:%s*(%d+)"));
end

-- Starts it again, and tells how long that took and how large it is then.
local function start(server)
	server:halt();
	local began = socket.gettime();
	server:restart();
	server:run("return 'ready'");
	local took = socket.gettime() - began;
	return took, resident(server);
end

for _, name in ipairs { "internal", "sqlite" } do
	local storage = require "spec.support.storages"[name]();
	local function new() return servers.start { options = storage.options }; end
	local empty, full = new(), new();
	full:run("return 'ready'");
	fill[name](full);
	local time, memory = { empty = {}, full = {} }, { empty = {}, full = {} };
	for run = 1, RUNS do
		for which, server in pairs { empty = empty, full = full } do
			time[which][run], memory[which][run] = start(server);
		end
	end
	local found = full:run("local r = prosody.hosts.localhost.modules.receipts.module.save(); assert(r.store:load('user471')); "
		.."return r.pending:count('user471@localhost')");
	assert(found == tostring(ENTRIES), "the entries are not there");
	empty:stop();
	full:stop();
	for what, of in pairs { time = time, memory = memory } do
		local ours, peer = figures.median(of.full), figures.median(of.empty);
		figures.report("startup-"..what.."-"..name, ours, peer, ours / peer, "<=1.10");
	end
end
os.exit(figures.missed == 0);
