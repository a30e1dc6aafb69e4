-- SPDX-License-Identifier: MIT
-- Connections for load: they do not parse what comes, they look for the ends of stanzas. So one process can be many clients at once,
-- and costs less than the server.

require "spec.support.paths";
local socket = require "socket";
local poll = require "util.poll";
local base64 = require "util.encodings".base64.encode;
local sha1 = require "util.hashes".sha1;

local TIMEOUT = 60; -- seconds for what must come

local line = {};
local methods = {};
local mt = { __index = methods };

local poller = poll.new(); -- socket.select() knows the first 1,024 descriptors only
local by_fd = {};
local serial = 0;

-- Hands over the stanzas that are whole; returns what is left.
local function split(self, data)
	local at = 1;
	while true do
		local first, last, name = data:find("^%s*<([%a:]+)[^>]*>", at);
		if first and data:byte(last - 1) ~= ("/"):byte() then last = select(2, data:find("</"..name..">", last, true)); end
		if not last then return data:sub(at); end
		local stanza = data:sub(first, last);
		if name == "iq" then self.awaited[stanza:match(" id='([^']*)'") or ""] = nil; end
		if self.on[name] then self.on[name](stanza, self); end
		at = last + 1;
	end
end

local function read(self)
	repeat -- till nothing is left: of what the socket's library has read ahead, no poll tells
		local chunk, err, partial = self.conn:receive(65536);
		chunk = chunk or partial;
		if err == "closed" then self:drop(); end
		if chunk ~= "" then self.rest = split(self, self.rest..chunk); end
	until err or not self.conn;
end

-- Sends on, as far as the network takes it.
local function write(self)
	local sent, err, partial = self.conn:send(self.unsent, self.at);
	self.at = (sent or partial or self.at - 1) + 1;
	if err == "closed" then return self:drop(); end
	if self.at > #self.unsent then
		self.unsent, self.at = "", 1;
		poller:set(self.fd, true, false);
	end
end

--- Reads and writes what can be, on all connections.
-- @param seconds  to wait for something to do
-- @return was there something?
function line.turn(seconds)
	local fd, readable, writable = poller:wait(seconds);
	local self = fd and by_fd[fd];
	if not self then return false; end
	if readable then read(self); end
	if writable and self.conn then write(self); end
	return true;
end

--- Turns until that time has come.
function line.run_until(time)
	repeat
		local left = time - socket.gettime();
		line.turn(math.max(0, left));
	until left <= 0;
end

--- Turns until `done` says so.
function line.wait(done, what)
	local deadline = socket.gettime() + TIMEOUT;
	while not done() do
		line.turn(0.1);
		if socket.gettime() > deadline then error("no "..what.." within "..TIMEOUT.." s", 2); end
	end
end

function methods:send(text)
	self.unsent = self.unsent:sub(self.at)..text;
	self.at = 1;
	poller:set(self.fd, true, true);
end

--- From here on each stanza of this name goes to the handler as text, with the line.
function methods:listen(name, handler)
	self.on[name] = handler;
end

--- A ping; returns a function that says whether all sent before has been handled.
function methods:ping()
	serial = serial + 1;
	local token = "sync-"..serial;
	self.awaited[token] = true;
	self:send(("<iq type='get' id='%s'%s to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
		:format(token, self.domain and (" from='%s'"):format(self.domain) or ""));
	return function () return not self.awaited[token] or not self.conn; end;
end

function methods:drop()
	if not self.conn then return; end
	poller:del(self.fd);
	by_fd[self.fd] = nil;
	self.conn:close();
	self.conn = nil;
end

-- Sends, and waits for an answer that has this text in it.
local function exchange(conn, text, expected)
	conn:settimeout(TIMEOUT);
	assert(conn:send(text));
	conn:settimeout(0);
	local data = "";
	local deadline = socket.gettime() + TIMEOUT;
	local own = poll.new();
	own:add(conn:getfd(), true, false);
	repeat
		local chunk, err, partial = conn:receive(8192);
		data = data..(chunk or partial or "");
		if err == "closed" or socket.gettime() > deadline then error("instead of "..expected..": "..data, 3); end
		if not data:find(expected, 1, true) then own:wait(1); end
	until data:find(expected, 1, true);
	return data;
end

local function connect(port)
	local conn = assert(socket.connect("127.0.0.1", port));
	conn:setoption("tcp-nodelay", true);
	return conn;
end

local function new(conn, fields)
	conn:settimeout(0);
	local self = setmetatable(fields, mt);
	self.conn, self.fd, self.rest, self.unsent, self.at, self.on, self.awaited = conn, conn:getfd(), "", "", 1, {}, {};
	by_fd[self.fd] = self;
	poller:add(self.fd, true, false);
	return self;
end

local open = "<stream:stream xmlns='%s' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>";

--- A client of localhost.
-- @param presence  what it sends, as text; nil for none
function line.client(port, user, resource, presence)
	local conn = connect(port);
	local header = open:format("jabber:client", "localhost");
	exchange(conn, header, "</stream:features>");
	exchange(conn, ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>"):format(base64("\0"..user.."\0secret")), "<success");
	exchange(conn, header, "</stream:features>");
	exchange(conn, ("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%s</resource></bind></iq>"):format(resource),
		"</iq>");
	exchange(conn, (presence or "").."<iq type='get' id='up'><ping xmlns='urn:xmpp:ping'/></iq>", "id='up'");
	return new(conn, { jid = user.."@localhost/"..resource, bare = user.."@localhost" });
end

--- An external component (XEP-0114): what it says comes from another domain.
function line.component(port, domain)
	local conn = connect(port);
	local header = exchange(conn, open:format("jabber:component:accept", domain), "id=");
	local id = header:match("<stream:stream[^>]* id='([^']*)'");
	exchange(conn, ("<handshake>%s</handshake>"):format(sha1(id.."secret", true)), "<handshake");
	return new(conn, { domain = domain });
end

return line;
