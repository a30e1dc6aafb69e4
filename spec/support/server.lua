-- SPDX-License-Identifier: MIT
-- A real Prosody on loopback for specs and the demo: own port, own data in a folder of its own, gone when we are.

local paths = require "spec.support.paths";
local socket = require "socket";
local client = require "spec.support.client";
local st = require "util.stanza";

local START_TIMEOUT = 30; -- seconds

local server = {};
server.__index = server;

local function free_port()
	local listener = assert(socket.bind("127.0.0.1", 0));
	local _, port = listener:getsockname();
	listener:close();
	return tonumber(port);
end

local function temp_dir()
	local pipe = assert(io.popen("mktemp -d"));
	local dir = pipe:read("*l");
	pipe:close();
	return dir;
end

local function write(path, text)
	local file = assert(io.open(path, "w"));
	file:write(text);
	file:close();
end

local function read(path)
	local file = io.open(path);
	if not file then return ""; end
	local text = file:read("*a");
	file:close();
	return text;
end

local template = [[
run_as_root = true
daemonize = false
pidfile = "%(dir)/prosody.pid"
data_path = "%(dir)/data"
plugin_paths = { %(plugin_paths) }
certificates = "%(dir)"
log = { debug = "%(dir)/prosody.log" }
interfaces = { "127.0.0.1" }
local_interfaces = { "127.0.0.1" }
c2s_ports = { %(port) }
c2s_direct_tls_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "insecure"
insecure_open_authentication = "Yes please, I know what I'm doing!"
storage = "internal"
modules_enabled = { "roster", "saslauth", "disco", "ping", "carbons", "pep", "blocklist", "control", %(modules) }
modules_disabled = { "s2s", %(disabled) }
%(options)
VirtualHost "localhost"
%(hosts)
]];

--- Starts a Prosody and waits until it answers.
-- @param how  version ("0.12", "13.0"; default: environment PROSODY, else "0.12"), modules (list, default { "receipts" }),
--             disabled (list; "offline" is off unless it is in modules),
--             options (Lua text for the global section), hosts (Lua text after the VirtualHost line),
--             plugin_paths (list, default this checkout), cpath (LUA_CPATH, default this checkout's build/)
local function start(how)
	how = how or {};
	local self = setmetatable({ version = how.version or os.getenv("PROSODY") or "0.12", dir = temp_dir(), port = free_port() }, server);
	local function quoted(list)
		local out = {};
		for i, item in ipairs(list) do out[i] = ("%q"):format(item); end
		return table.concat(out, ", ");
	end
	local disabled = { table.unpack(how.disabled or {}) };
	if not table.concat(how.modules or {}, " "):find("offline", 1, true) then table.insert(disabled, "offline"); end
	local plugin_paths = how.plugin_paths or { paths.root };
	table.insert(plugin_paths, paths.root.."/spec/plugins");
	local values = {
		dir = self.dir;
		port = tostring(self.port);
		plugin_paths = quoted(plugin_paths);
		modules = quoted(how.modules or { "receipts" });
		disabled = quoted(disabled);
		options = how.options or "";
		hosts = how.hosts or "";
	};
	self.config = self.dir.."/prosody.cfg.lua";
	write(self.config, (template:gsub("%%%((%w+_?%w*)%)", values)));
	local command = ("exec env LUA_CPATH='%s;;' %s/spec/support/run-prosody %s/pid lua5.4 %s/usr/bin/prosody -F --config %s >%s/output 2>&1")
		:format(how.cpath or paths.engine, paths.root, self.dir, paths.prosody[self.version], self.config, self.dir);
	self.lifeline = assert(io.popen(command, "w"));
	local deadline = socket.gettime() + START_TIMEOUT;
	while true do
		local probe = socket.connect("127.0.0.1", self.port);
		if probe then
			probe:close();
			break;
		end
		if socket.gettime() > deadline then
			error("Prosody did not start:\n"..self:log()..read(self.dir.."/output"));
		end
		socket.sleep(0.02);
	end
	return self;
end

--- Logs in as a full JID, or as a name that stands for name@localhost/<name>.
function server:connect(jid, how)
	if not jid:find("@") then jid = jid.."@localhost/"..jid; end
	local connected = client.connect(self.port, jid, how);
	self.clients = self.clients or {};
	table.insert(self.clients, connected);
	return connected;
end

--- Takes up a session again on a new connection; see client.lua.
function server:resume(old, h)
	local resumed, ok = client.resume(old, h);
	table.insert(self.clients, resumed);
	return resumed, ok;
end

--- Calls `done` until it returns something true: for what the server does after a time of its own.
function server.wait(done)
	local deadline = socket.gettime() + START_TIMEOUT;
	while true do
		local result = done();
		if result then return result; end
		assert(socket.gettime() < deadline, "it did not come about");
		socket.sleep(0.05);
	end
end

--- Ends every session that a spec has opened.
function server:disconnect_all()
	for _, connected in ipairs(self.clients or {}) do
		if connected.conn then pcall(connected.close, connected); end
	end
	self.clients = {};
end

--- Runs Lua inside the server, in the environment of spec/plugins/mod_control.lua, and returns its result as text.
function server:run(code)
	if not (self.controller and self.controller.conn) then
		self.controller = client.connect(self.port, "controller@localhost/spec", { presence = false });
	end
	local answer = self.controller:iq(st.stanza("iq", { type = "set", to = "localhost" }):tag("run", { xmlns = "urn:spec:control" }):text(code));
	local result = answer:get_child("run", "urn:spec:control");
	assert(answer.attr.type == "result", result and result:get_text() or tostring(answer));
	return result:get_text() or "";
end

--- Sets the subscription of `contact` in the roster of `user`.
function server:roster(user, contact, subscription)
	self:run(("rostermanager = require 'core.rostermanager'; local r = rostermanager.load_roster(%q, 'localhost');"
		.."r[%q] = { subscription = %q, groups = {} }; rostermanager.save_roster(%q, 'localhost', r)"):format(user, contact, subscription, user));
end

function server:log()
	return read(self.dir.."/prosody.log");
end

--- Stops Prosody as an operator would, and removes its data.
function server:stop()
	if os.getenv("KEEP_LOG") then write(os.getenv("KEEP_LOG").."."..self.port, self:log()); end
	for _, connected in ipairs(self.clients or {}) do connected:drop(); end
	if self.controller then self.controller:drop(); end
	if self.lifeline then self.lifeline:close(); end
	self.lifeline = nil;
	os.execute("rm -rf '"..self.dir.."'");
end

-- For `hosts`: multi-user chat, with rooms that are open at once.
local rooms = [[
Component "rooms.localhost" "muc"
	restrict_room_creation = false
	muc_room_locking = false
]];

return { start = start, rooms = rooms, wait = server.wait };
