-- SPDX-License-Identifier: MIT
-- A throw-away PostgreSQL for specs: own port on loopback, own data, with a database and a role for Prosody.

local paths = require "spec.support.paths";
local process = require "spec.support.process";
local DBI = require "DBI";

local PROGRAMS = paths.root.."/.deps/postgresql/bin/";
local PASSWORD = "throw-away";

-- For speed: nobody will miss this data when the machine fails.
local SETTINGS = "fsync=off full_page_writes=off synchronous_commit=off jit=off shared_buffers=16MB max_connections=20";

local postgres = {};
postgres.__index = postgres;

-- PostgreSQL refuses to run as root. As nobody it must still reach its programs where this checkout lies in a folder that is closed to
-- others: hence the capability, and the bit for access(), which would not look at it.
local AS_NOBODY = "setpriv --reuid=nobody --regid=nogroup --clear-groups --securebits=+no_setuid_fixup"
	.." --inh-caps=+dac_override --ambient-caps=+dac_override ";

local function run(command)
	local output = process.temp_dir();
	local ok = os.execute(("%s >%s/output 2>&1 </dev/null"):format(command, output));
	local text = process.read(output.."/output");
	os.execute("rm -rf "..output);
	assert(ok, text);
end

-- Carries out statements as PostgreSQL's own superuser; nil and the reason when there is no connection.
local function administer(self, ...)
	local connection, err = DBI.Connect("PostgreSQL", "postgres", "postgres", PASSWORD, "127.0.0.1", self.port);
	if not connection then return nil, err; end
	connection:autocommit(true);
	for _, statement in ipairs { ... } do
		assert(assert(connection:prepare(statement)):execute());
	end
	connection:close();
	return true;
end

--- Starts the server, after stop() again with the data that it had.
function postgres:start()
	if self.server then return; end
	local settings = SETTINGS:gsub("%S+", "-c %0");
	self.server = process.start(self.dir, ("%s%spostgres -D %s/data -h 127.0.0.1 -p %d -k %s %s")
		:format(self.as, PROGRAMS, self.dir, self.port, self.dir, settings), "INT");
	process.wait(function () return administer(self); end, function () return process.read(self.dir.."/output"); end);
end

--- Stops the server, whoever is connected.
function postgres:stop()
	if self.server then self.server:stop(); end
	self.server = nil;
end

function postgres:remove()
	self:stop();
	os.execute("rm -rf "..self.dir);
end

--- For the global section of Prosody's configuration.
function postgres:storage_options()
	return ([[
storage = "sql"
sql = { driver = "PostgreSQL", database = "prosody", username = "prosody", password = "%s", host = "127.0.0.1", port = %d }
]]):format(PASSWORD, self.port);
end

--- Creates a cluster and starts its server.
local function new()
	local self = setmetatable({ dir = process.temp_dir(), port = process.free_port(), as = "" }, postgres);
	process.write(self.dir.."/password", PASSWORD);
	if process.output("id -u") == "0" then
		self.as = AS_NOBODY;
		run("chown -R nobody:nogroup "..self.dir);
	end
	run(("%s%sinitdb -D %s/data -U postgres --auth=scram-sha-256 --pwfile=%s/password --encoding=UTF8 --locale=C --no-sync")
		:format(self.as, PROGRAMS, self.dir, self.dir));
	self:start();
	assert(administer(self, "CREATE ROLE prosody LOGIN PASSWORD '"..PASSWORD.."'", "CREATE DATABASE prosody OWNER prosody"));
	return self;
end

return { new = new };
