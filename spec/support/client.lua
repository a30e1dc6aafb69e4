-- SPDX-License-Identifier: MIT
-- A small XMPP client over Prosody's own util.xmppstream, for specs and the demo.
--
-- Nothing here waits for a fixed time. Prosody handles what one session sends in order, so a reply to a ping means that everything
-- sent before it has been handled; sync() is that ping, and returns what came in before its reply.

require "spec.support.paths";
local socket = require "socket";
local base64 = require "util.encodings".base64.encode;
local new_stream = require "util.xmppstream".new;
local st = require "util.stanza";

local TIMEOUT = 10; -- seconds for an answer that must come

local client = {};
client.__index = client;

local serial = 0;
local function next_id()
	serial = serial + 1;
	return "spec-"..serial;
end

local callbacks = { default_ns = "jabber:client" };
function callbacks.streamopened(self) self.notopen = nil; end
function callbacks.streamclosed(self) self.closed = true; end
function callbacks.handlestanza(self, stanza) table.insert(self.inbox, stanza); end
function callbacks.error(self, condition, stanza)
	self.failure = condition..(stanza and ": "..tostring(stanza) or "");
end

--- Sends a stanza, or text as it is.
-- Expat may put off parsing a large tag until as much again has come, and neither Prosody nor luaexpat tell it not to: so white
-- space follows what is large, and what we receive is fed to our own parser in one piece.
function client:send(what)
	local text = tostring(what);
	if #text > 4096 then text = text..(" "):rep(#text); end
	self.conn:settimeout(TIMEOUT);
	assert(self.conn:send(text));
	self.conn:settimeout(0);
	return self;
end

-- Reads from the connection until `ready` returns something true.
local function wait(self, ready)
	local deadline = socket.gettime() + TIMEOUT;
	while true do
		local result = ready();
		if result then return result; end
		if self.failure then error("stream error: "..self.failure, 2); end
		socket.select({ self.conn }, nil, 0.1);
		local data, err, partial = self.conn:receive(65536);
		data = data or partial;
		if #data > 0 then
			self.unread = self.unread..data;
			if self.unread:find(">%s*$") then
				local whole = self.unread;
				self.unread = "";
				assert(self.stream:feed(whole));
			end
		elseif err == "closed" then
			error("the server closed the connection", 2);
		elseif socket.gettime() > deadline then
			error("no answer within "..TIMEOUT.." s", 3);
		end
	end
end

--- The first stanza in the inbox that `match` accepts, taken out; waits for it.
function client:expect(match)
	return wait(self, function ()
		for i, stanza in ipairs(self.inbox) do
			if match(stanza) then return table.remove(self.inbox, i); end
		end
	end);
end

local function named(name)
	return function (stanza) return stanza.name == name; end;
end

local function open_stream(self)
	self.notopen = true;
	self.stream = new_stream(self, callbacks);
	self:send(("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>"):format(self.host));
	self.features = self:expect(named("features"));
end

--- Sends an iq and waits for its answer.
function client:iq(iq)
	local id = next_id();
	iq.attr.id = id;
	self:send(iq);
	return self:expect(function (stanza) return stanza.name == "iq" and stanza.attr.id == id; end);
end

--- Everything that came in until the server had handled all that we sent; the inbox is empty then.
function client:sync()
	local id = next_id();
	self:send(st.iq({ type = "get", to = self.host, id = id }):tag("ping", { xmlns = "urn:xmpp:ping" }));
	local before = {};
	wait(self, function ()
		while self.inbox[1] do
			local stanza = table.remove(self.inbox, 1);
			if stanza.attr.id == id then return true; end
			table.insert(before, stanza);
		end
	end);
	return before;
end

--- The messages among what sync() returns.
function client:messages()
	local list = {};
	for _, stanza in ipairs(self:sync()) do
		if stanza.name == "message" then table.insert(list, stanza); end
	end
	return list;
end

--- The session is gone when this returns.
function client:close()
	if self.conn and not self.closed then
		self:send("</stream:stream>");
		wait(self, function () return self.closed; end);
	end
	self:drop();
end

--- Cuts the connection, as a network that fails does.
function client:drop()
	if self.conn then self.conn:close(); end
	self.conn = nil;
end

--- Connects and logs in.
-- @param port  of the server, on loopback
-- @param jid   full JID; with authentication = "insecure" any user and password will do
-- @param how   optional: presence = false sends none; carbons = true enables them
local function connect(port, jid, how)
	how = how or {};
	local user, host, resource = jid:match("^(.-)@(.-)/(.*)$");
	local self = setmetatable({ inbox = {}, unread = "", host = host, jid = jid, bare = user.."@"..host }, client);
	self.conn = assert(socket.connect("127.0.0.1", port));
	self.conn:settimeout(0);
	self.conn:setoption("tcp-nodelay", true);
	open_stream(self);
	self:send(st.stanza("auth", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl", mechanism = "PLAIN" }):text(base64("\0"..user.."\0secret")));
	local answer = self:expect(function (stanza) return stanza.name == "success" or stanza.name == "failure"; end);
	assert(answer.name == "success", tostring(answer));
	open_stream(self);
	assert(self:iq(st.stanza("iq", { type = "set" }):tag("bind", { xmlns = "urn:ietf:params:xml:ns:xmpp-bind" })
		:tag("resource"):text(resource)).attr.type == "result");
	if how.carbons then
		assert(self:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" })).attr.type == "result");
	end
	if how.presence ~= false then
		self:send(how.presence or "<presence/>");
		self:sync();
	end
	return self;
end

return { connect = connect };
