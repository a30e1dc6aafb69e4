-- SPDX-License-Identifier: MIT
-- A real Prosody on loopback for specs and the demo: own port, own data in a folder of its own, gone when we are.

local paths = require "spec.support.paths";
local process = require "spec.support.process";
local client = require "spec.support.client";
local st = require "util.stanza";

local server = {};
server.__index = server;

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
component_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "insecure"
insecure_open_authentication = "Yes please, I know what I'm doing!"
storage = "internal"
modules_enabled = { "roster", "saslauth", "disco", "ping", "carbons", "pep", "blocklist", "control", %(modules) }
modules_disabled = { "s2s", %(disabled) }
%(http)
%(options)
VirtualHost "localhost"
%(hosts)
]];

local http_template = [[
http_ports = { %d }
http_interfaces = { "127.0.0.1" }
https_ports = {}
]];

-- Waits until it answers.
local function launch(self)
	self.process = process.start(self.dir, ("env LUA_CPATH='%s;;' %s lua5.4 %s/usr/bin/prosody -F --config %s")
		:format(self.cpath, self.under, paths.prosody[self.version], self.config));
	process.wait(function ()
		return process.listening(self.port) and (not self.http_port or process.listening(self.http_port));
	end, function () return "Prosody did not start:\n"..self:log()..process.read(self.dir.."/output"); end, 0.002);
end

--- Starts a Prosody and waits until it answers.
-- @param how  version ("0.12", "13.0"; default: environment PROSODY, else "0.12"), modules (list, default { "receipts" }),
--             disabled (list; "offline" is off unless it is in modules),
--             options (Lua text for the global section), hosts (Lua text after the VirtualHost line),
--             plugin_paths (list, default this checkout), cpath (LUA_CPATH, default this checkout's build/),
--             under (words in front of the program: variables, a command),
--             http (true: a port for HTTP, in the field http_port),
--             errors (true: the module is made to catch errors; else stop() raises one that it has caught)
local function start(how)
	how = how or {};
	local self = setmetatable({ version = how.version or os.getenv("PROSODY") or "0.12", dir = process.temp_dir() }, server);
	self.port, self.http_port, self.cpath = process.free_port(), how.http and process.free_port(), how.cpath or paths.engine;
	self.under, self.errors = how.under or "", how.errors;
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
		http = self.http_port and http_template:format(self.http_port) or "";
		options = how.options or "";
		hosts = how.hosts or "";
	};
	self.config = self.dir.."/prosody.cfg.lua";
	os.execute("mkdir "..self.dir.."/data");
	process.write(self.config, (template:gsub("%%%((%w+_?%w*)%)", values)));
	launch(self);
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
function server:resume(old, h, inline)
	local resumed, ok = client.resume(old, h, inline);
	table.insert(self.clients, resumed);
	return resumed, ok;
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

--- What the module knows of a client, by its full JID.
-- @param host  optional: the one to ask, instead of localhost
function server:support_of(jid, host)
	return self:run(("return prosody.hosts[%q].modules.receipts.module.save().capabilities:of(%q)"):format(host or "localhost", jid));
end

--- Why a message became what it did: all that was decided about it, as the module's `decisions` have it for that user.
function server:why(user, id)
	return self:run(("local why = {}; for _, one in ipairs(prosody.hosts.localhost.modules.receipts.module.save()"
		..".decisions:about(%q, %q)) do table.insert(why, tostring(one.why)); end return table.concat(why, '; ')"):format(user, id));
end

--- Sets the subscription of `contact` in the roster of `user`, a name, or a JID where that is on another host.
function server:roster(user, contact, subscription)
	local name, host = user:match("^(.*)@(.*)$");
	self:run(("rostermanager = require 'core.rostermanager'; local name, host = %q, %q; local r = rostermanager.load_roster(name, host);"
		.."r[%q] = { subscription = %q, groups = {} }; rostermanager.save_roster(name, host, r)")
		:format(name or user, host or "localhost", contact, subscription));
end

--- Runs prosodyctl with these words, as an operator would, with this server's configuration.
-- @return what it prints, and its exit code
function server:prosodyctl(...)
	return process.run(("LUA_CPATH='%s;;' lua5.4 %s/usr/bin/prosodyctl --config %s"):format(self.cpath, paths.prosody[self.version], self.config), ...);
end

function server:log()
	return process.read(self.dir.."/prosody.log");
end

-- Cuts every connection to it.
local function abandon(self)
	for _, connected in ipairs(self.clients or {}) do connected:drop(); end
	if self.controller then self.controller:drop(); end
	self.clients, self.controller = nil, nil;
end

--- Stops Prosody as an operator would; its data stay.
function server:halt()
	self.process:stop();
	abandon(self);
end

--- Stops Prosody as a crash would: kill -9.
function server:kill()
	self.process:kill();
	abandon(self);
end

--- Starts Prosody again with the same port, configuration and data; stops it first when it runs.
-- @param how  "kill": by kill -9
function server:restart(how)
	if how == "kill" then self:kill(); else self:halt(); end
	launch(self);
end

--- Waits until a reload is over: ours looks a moment later whether what was handed over was taken, and lets go of the module that was.
function server:reloaded()
	process.wait(function ()
		return self:run("return tostring(prosody.hosts.localhost.modules.receipts.module.save().handed_over.is_due)") ~= "true";
	end);
end

--- Reloads a module on the host, and waits until that is over.
-- @param name  optional: instead of "receipts"
function server:reload(name)
	assert(self:run(("return require 'core.modulemanager'.reload('localhost', %q) ~= nil"):format(name or "receipts")) == "true");
	if not name then self:reloaded(); end
end

--- Stops Prosody, and removes its data.
function server:stop()
	local complaint = not self.errors and self:log():match("Error in [^\n]*the stanza goes on without us.*");
	if os.getenv("KEEP_LOG") then process.write(os.getenv("KEEP_LOG").."."..self.port, self:log()); end
	abandon(self);
	self.process:stop();
	os.execute("rm -rf '"..self.dir.."'");
	if complaint then error("The module has caught an error: "..complaint:sub(1, 800), 0); end
end

-- For `hosts`: multi-user chat, with rooms that are open at once.
local rooms = [[
Component "rooms.localhost" "muc"
	restrict_room_creation = false
	muc_room_locking = false
]];

-- For `hosts`: an external component (XEP-0114), to which nothing need connect.
local gateway = [[
Component "gateway.localhost"
	component_secret = "secret"
]];

return { start = start, rooms = rooms, gateway = gateway, wait = process.wait, swiftly = process.swiftly };
