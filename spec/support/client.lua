-- SPDX-License-Identifier: MIT
-- A small XMPP client over Prosody's own util.xmppstream, for specs and the demo.
--
-- Nothing here waits for a fixed time. Prosody handles what one session sends in order, so a reply to a ping means that everything
-- sent before it has been handled; sync() is that ping, and stanzas() and messages() return what came in before its reply.

require "spec.support.paths";
local socket = require "socket";
local base64 = require "util.encodings".base64.encode;
local new_stream = require "util.xmppstream".new;
local sha1 = require "util.hashes".sha1;
local st = require "util.stanza";
local calculate_hash = require "util.caps".calculate_hash;

local TIMEOUT = 30; -- seconds for an answer that must come

local client = {};
client.__index = client;

local serial = 0;
local function next_id()
	serial = serial + 1;
	return "spec-"..serial;
end

local callbacks = { default_ns = "jabber:client" };
function callbacks.streamopened(self, attr) self.notopen, self.stream_id = nil, attr.id; end
function callbacks.streamclosed(self) self.closed = true; end
function callbacks.handlestanza(self, stanza)
	if stanza.name == "enabled" then self.managed, self.handled = true, 0; end -- what came before does not count
	if self.managed and (stanza.name == "message" or stanza.name == "presence" or stanza.name == "iq") then
		self.handled = self.handled + 1;
		stanza.nth = self.handled; -- what an `h` has to say to prove it
	end
	if not self:answer_disco(stanza) then table.insert(self.inbox, stanza); end
end
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
		if self.closed then error("the server closed the stream", 2); end
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

local component_callbacks = setmetatable({ default_ns = "jabber:component:accept" }, { __index = callbacks });

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

-- Asks for an answer that comes when the server has handled all that we sent before; returns its id.
local function ping(self)
	local id = next_id();
	self:send(st.iq({ type = "get", from = self.from, to = self.host, id = id }):tag("ping", { xmlns = "urn:xmpp:ping" }));
	return id;
end

--- Waits until the server has handled all that we sent; what came in stays in the inbox.
function client:sync()
	local id = ping(self);
	self:expect(function (stanza) return stanza.attr.id == id; end);
end

--- Everything that came in until the server had handled all that we sent, taken out of the inbox.
function client:stanzas()
	local id = ping(self);
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

--- The messages among that; as a statement it throws away what the spec itself has brought about.
function client:messages()
	local list = {};
	for _, stanza in ipairs(self:stanzas()) do
		if stanza.name == "message" then table.insert(list, stanza); end
	end
	return list;
end

--- From here on the client answers disco#info with these features, and presence() shows their caps.
-- @param claim  optional: a ver to show instead of the true one
function client:show(features, claim)
	self.info = st.stanza("query", { xmlns = "http://jabber.org/protocol/disco#info" })
		:tag("identity", { category = "client", type = "pc", name = "spec" }):up();
	for _, feature in ipairs(features) do self.info:tag("feature", { var = feature }):up(); end
	self.ver = claim or calculate_hash(self.info.tags);
	return self;
end

--- Available presence with the caps of show().
function client:presence(attr)
	local stanza = st.presence(attr or {});
	if self.info then
		stanza:tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "urn:spec", ver = self.ver }):up();
	end
	return stanza;
end

local function answer_query(self, query)
	if self.info then
		local info = st.clone(self.info);
		info.attr.node = query.tags[1].attr.node;
		self:send(st.reply(query):add_child(info));
	else
		self:send(st.error_reply(query, "cancel", "service-unavailable"));
	end
end

-- Answers a disco#info query; counts them.
function client:answer_disco(stanza)
	local query = stanza.name == "iq" and stanza.attr.type == "get" and stanza:get_child("query", "http://jabber.org/protocol/disco#info");
	if not query then return false; end
	self.queries = (self.queries or 0) + 1;
	self.asked_by = stanza.attr.from;
	if self.mute then return true; end
	if self.held then table.insert(self.held, stanza); else answer_query(self, stanza); end
	return true;
end

--- Answers the disco#info queries that are in the list `held`; those that come later are answered at once.
function client:answer_held()
	local held = self.held;
	self.held = nil;
	for _, query in ipairs(held) do answer_query(self, query); end
end

--- Enables stream management (XEP-0198). From here on `handled` counts stanzas; nothing is acked unless acknowledge() is called.
-- @param how  "once": without the right to resume
function client:enable_management(how)
	self:send(st.stanza("enable", { xmlns = "urn:xmpp:sm:3", resume = how ~= "once" and "true" or nil }));
	self.token = self:expect(named("enabled")).attr.id;
	return self;
end

--- Acks the stanzas received so far, or says `h`.
function client:acknowledge(h)
	self:send(st.stanza("a", { xmlns = "urn:xmpp:sm:3", h = tostring(h or self.handled) }));
	return self;
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

local function open_connection(port, jid)
	local user, host = jid:match("^(.-)@(.-)/(.*)$");
	local self = setmetatable({ inbox = {}, unread = "", host = host, jid = jid, bare = user.."@"..host, port = port }, client);
	self.conn = assert(socket.connect("127.0.0.1", port));
	self.conn:settimeout(0);
	self.conn:setoption("tcp-nodelay", true);
	open_stream(self);
	self.credentials = base64("\0"..user.."\0secret");
	return self;
end

local function log_in(self, anonymous)
	self:send(st.stanza("auth", { xmlns = "urn:ietf:params:xml:ns:xmpp-sasl", mechanism = anonymous and "ANONYMOUS" or "PLAIN" })
		:text(anonymous and "" or self.credentials));
	local answer = self:expect(function (stanza) return stanza.name == "success" or stanza.name == "failure"; end);
	assert(answer.name == "success", tostring(answer));
	open_stream(self);
end

--- Connects and logs in.
-- @param port  of the server, on loopback
-- @param jid   full JID; with authentication = "insecure" any user and password will do
-- @param how   optional: presence = false sends none, or what to send instead; carbons = true enables them; managed = true enables
--              stream management, "once" without resumption; features = list of disco#info features that it shows caps for and answers with;
--              anonymous = true: the server says what the user's name is
local function connect(port, jid, how)
	how = how or {};
	local self = open_connection(port, jid);
	log_in(self, how.anonymous);
	local bound = self:iq(st.stanza("iq", { type = "set" }):tag("bind", { xmlns = "urn:ietf:params:xml:ns:xmpp-bind" })
		:tag("resource"):text(jid:match("/(.*)$")));
	assert(bound.attr.type == "result");
	if how.anonymous then
		self.jid = bound.tags[1]:get_child_text("jid");
		self.bare = self.jid:match("^[^/]*");
	end
	if how.managed then self:enable_management(how.managed); end
	if how.carbons then
		assert(self:iq(st.stanza("iq", { type = "set" }):tag("enable", { xmlns = "urn:xmpp:carbons:2" })).attr.type == "result");
	end
	if how.features then self:show(how.features); end
	if how.presence ~= false then
		self:send(how.presence or self:presence());
		self:sync();
	end
	return self;
end

--- Takes up a session whose connection was lost (XEP-0198 §5), having handled `h` stanzas of it.
-- @param inline  optional: true to do so while logging in (XEP-0388)
-- @return the new connection, and whether the server agreed
local function resume(old, h, inline)
	local self = open_connection(old.port, old.jid);
	self.token, self.info = old.token, old.info;
	local request = st.stanza("resume", { xmlns = "urn:xmpp:sm:3", previd = old.token, h = tostring(h) });
	if not inline then log_in(self); end
	self.managed, self.handled = true, h;
	if not inline then
		self:send(request);
		return self, self:expect(function (stanza) return stanza.name == "resumed" or stanza.name == "failed"; end).name == "resumed";
	end
	self:send(st.stanza("authenticate", { xmlns = "urn:xmpp:sasl:2", mechanism = "PLAIN" })
		:text_tag("initial-response", self.credentials):add_child(request));
	return self, self:expect(named("success")):get_child("resumed", "urn:xmpp:sm:3") ~= nil;
end

--- Connects as an external component (XEP-0114), whose stanzas need a from.
-- @param domain  of the component; its secret is "secret"
local function component(port, domain)
	local self = setmetatable({ inbox = {}, unread = "", host = "localhost", from = domain, port = port, notopen = true }, client);
	self.conn = assert(socket.connect("127.0.0.1", port));
	self.conn:settimeout(0);
	self.stream = new_stream(self, component_callbacks);
	self:send(("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>"):format(domain));
	wait(self, function () return self.stream_id; end);
	self:send(("<handshake>%s</handshake>"):format(sha1(self.stream_id.."secret", true)));
	self:expect(named("handshake"));
	return self;
end

return { connect = connect, resume = resume, component = component };
