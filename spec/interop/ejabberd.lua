-- SPDX-License-Identifier: MIT
-- An ejabberd on loopback, as scripts/deps unpacks it, with an Erlang of its own that talks to no other node: so there is no epmd.

local client = require "spec.support.client";
local paths = require "spec.support.paths";
local process = require "spec.support.process";

local ejabberd = {};
ejabberd.__index = ejabberd;

local root = paths.root.."/.deps/ejabberd";
local erlang = root.."/usr/lib/erlang";

local template = [[
hosts: [ "%(host)" ]
loglevel: info
certfiles: [ "%(dir)/%(host).pem" ]
ca_file: "%(ca)"
s2s_use_starttls: required
outgoing_s2s_port: %(remote_port)
outgoing_s2s_families: [ ipv4 ]
s2s_max_retry_delay: 1
auth_method: internal
listen:
  - { port: %(port), ip: "127.0.0.1", module: ejabberd_c2s }
  - { port: %(s2s_port), ip: "127.0.0.1", module: ejabberd_s2s_in }
modules:
  mod_caps: {}
  mod_carboncopy: {}
  mod_disco: {}
  mod_ping: {}
  mod_roster: {}
  mod_stream_mgmt: {}
]];

local function fill(text, values) return (text:gsub("%%%((%w+_?%w*)%)", values)); end

-- It asks DNS for SRV records and the system for addresses: there is no DNS here, and the system's file of hosts is another one in a
-- mount namespace.
local script = [=[
set -eu
mount --bind %(dir)/hosts /etc/hosts
export HOME=%(dir) ROOTDIR=%(erlang) BINDIR=%(erts) EMU=beam PROGNAME=erl ERL_LIBS=%(libraries)
export ERL_INETRC=%(dir)/inetrc ERL_CRASH_DUMP=%(dir)/crash
export EJABBERD_CONFIG_PATH=%(dir)/ejabberd.yml EJABBERD_LOG_PATH=%(dir)/ejabberd.log
exec %(erts)/erlexec -noinput +S 1 -mnesia dir '"%(dir)/spool"' -eval '
	{ok, _} = ejabberd:start(),
	[ejabberd_auth:try_register(User, <<"%(host)">>, <<"secret">>) || User <- [%(users)]],
	file:write_file("%(dir)/started", "yes").'
]=];

local function launch(self)
	os.remove(self.dir.."/started");
	local users = {};
	for i, user in ipairs(self.users) do users[i] = ('<<"%s">>'):format(user); end
	local values = {
		dir = self.dir, host = self.host, users = table.concat(users, ", "), erlang = erlang;
		erts = assert(process.output("echo "..erlang.."/erts-*/bin"));
		libraries = assert(process.output("dirname "..root.."/usr/lib/*/ejabberd-*"));
	};
	process.write(self.dir.."/run", fill(script, values));
	self.process = process.start(self.dir, "unshare --map-root-user --mount sh "..self.dir.."/run");
	process.wait(function () return process.read(self.dir.."/started") == "yes" and process.listening(self.port); end,
		function () return "ejabberd did not start:\n"..self:log()..process.read(self.dir.."/output"); end);
end

--- Starts one.
-- @param how  host; users (list, whose password is "secret"); s2s_port; hosts (other server's host -> IPv4 address), where
--             remote_port is the port of them all; dir (a folder that has certificate and key of the host in HOST.pem); ca (a file)
function ejabberd.start(how)
	assert(process.read(root.."/usr/lib/erlang/bin/erl") ~= "", "ejabberd is not under .deps/: run scripts/deps interop");
	local self = setmetatable({ dir = how.dir, host = how.host, users = how.users, port = process.free_port(), clients = {} }, ejabberd);
	process.write(self.dir.."/inetrc", '{lookup, [file]}.\n{resolv_conf, ""}.\n');
	local names = { "127.0.0.1 localhost" };
	for host, address in pairs(how.hosts) do table.insert(names, address.." "..host); end
	process.write(self.dir.."/hosts", table.concat(names, "\n").."\n");
	process.write(self.dir.."/ejabberd.yml", fill(template, {
		dir = self.dir, host = self.host, ca = how.ca, port = tostring(self.port), s2s_port = tostring(how.s2s_port),
		remote_port = tostring(how.remote_port),
	}));
	launch(self);
	return self;
end

function ejabberd.version()
	return assert(process.output("ls "..root.."/usr/lib/*/ | sed -n 's/^ejabberd-\\([0-9.]*\\)$/\\1/p'"));
end

--- Logs in as a full JID; see client.lua.
function ejabberd:connect(jid, how)
	local connected = client.connect(self.port, jid, how);
	table.insert(self.clients, connected);
	return connected;
end

function ejabberd:disconnect_all()
	for _, connected in ipairs(self.clients) do
		if connected.conn then pcall(connected.close, connected); end
	end
	self.clients = {};
end

function ejabberd:log() return process.read(self.dir.."/ejabberd.log"); end

--- Stops it; its data stay.
function ejabberd:halt()
	self.process:stop();
	for _, connected in ipairs(self.clients) do connected:drop(); end
	self.clients = {};
end

function ejabberd:restart()
	self:halt();
	launch(self);
end

function ejabberd:stop()
	if os.getenv("KEEP_LOG") then process.write(os.getenv("KEEP_LOG")..".ejabberd", self:log()); end
	self:halt();
end

return ejabberd;
