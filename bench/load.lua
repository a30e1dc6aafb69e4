-- SPDX-License-Identifier: MIT
-- The load: sessions in pairs that write to each other, half of their messages asking for a receipt, and each of those acked. It does
-- not parse what comes back, it counts: so it costs less than the server, which has a core of its own.

require "spec.support.paths";
local socket = require "socket";
local poll = require "util.poll";
local base64 = require "util.encodings".base64.encode;
local corpus = require "bench.corpus";

local load = {};
local methods = {};
local mt = { __index = methods };

-- socket.select() knows the first 1,024 descriptors only.
local function wait(poller, seconds)
	local fd, readable = poller:wait(seconds);
	return readable and fd;
end

local function read_until(conn, text, what)
	local data = "";
	local poller = poll.new();
	poller:add(conn:getfd(), true, false);
	local deadline = socket.gettime() + 20;
	repeat
		local chunk, err, partial = conn:receive(8192);
		data = data..(chunk or partial or "");
		if err == "closed" or socket.gettime() > deadline then error(what..": "..tostring(err)..": "..data); end
		if not data:find(text, 1, true) then wait(poller, 1); end
	until data:find(text, 1, true);
end

local function log_in(host, port, domain, user, presence)
	local conn = assert(socket.connect(host, port));
	conn:settimeout(0);
	conn:setoption("tcp-nodelay", true);
	local open = ("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>"):format(domain);
	conn:send(open);
	read_until(conn, "</stream:features>", "stream");
	conn:send(("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>"):format(base64("\0"..user.."\0secret")));
	read_until(conn, "<success", "login");
	conn:send(open);
	read_until(conn, "</stream:features>", "stream");
	conn:send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>load</resource></bind></iq>");
	read_until(conn, "</iq>", "bind");
	conn:send(presence.."<iq type='get' id='up'><ping xmlns='urn:xmpp:ping'/></iq>");
	read_until(conn, "id='up'", "presence");
	return conn;
end

--- Sessions that are logged in.
-- @param conns  array of sockets with no timeout: an even number, each two after another are a pair
function load.over(conns, domain)
	return setmetatable({ conns = conns, domain = domain, sessions = #conns }, mt);
end

--- Logs sessions in. Users are load1, load2 …, and their password is "secret".
-- @param sessions  an even number
-- @param presence  optional: the <presence/> that they send, as text
function load.new(port, sessions, presence, host, domain)
	domain = domain or "localhost";
	local conns = {};
	for i = 1, sessions do conns[i] = log_in(host or "127.0.0.1", port, domain, "load"..i, presence or "<presence/>"); end
	return load.over(conns, domain);
end

-- Reads from all until each has got so many messages.
local function await(self, wanted)
	local waiting, left = {}, 0;
	local poller = poll.new();
	for i, conn in ipairs(self.conns) do
		if wanted[i] > 0 then
			poller:add(conn:getfd(), true, false);
			waiting[conn:getfd()] = { conn = conn, left = wanted[i], rest = "" };
			left = left + 1;
		end
	end
	local deadline = socket.gettime() + 60;
	while left > 0 do
		local fd = wait(poller, 1);
		assert(socket.gettime() < deadline, "messages or acks are missing: are the accounts in each other's rosters?");
		if fd then
			local one = waiting[fd];
			local data = one.rest;
			repeat -- till nothing is left: of what the socket's library has read ahead, no poll tells
				local chunk, err, partial = one.conn:receive(65536);
				assert(err ~= "closed", "the server closed a connection");
				data = data..(chunk or partial);
			until err;
			one.left = one.left - select(2, data:gsub("</message>", ""));
			one.rest = data:match("<[^>]*$") or "";
			if one.left <= 0 then
				poller:del(fd);
				left = left - 1;
			end
		end
	end
end

local function send(conn, text)
	local at = 1;
	while at <= #text do
		local sent, err, partial = conn:send(text, at);
		at = (sent or partial) + 1;
		if err == "timeout" then socket.sleep(0.001); elseif err then error(err); end
	end
end

--- One round: each session sends so many messages to its partner, and acks what asked for it.
-- @return number of messages, acks included; and how many of them are acks
function methods:round(each)
	local batches, acks, wanted, wanted_acks = {}, {}, {}, {};
	for i = 1, self.sessions do
		local to = ("load%d@%s/load"):format(i % 2 == 1 and i + 1 or i - 1, self.domain);
		local out, back = {}, {};
		for n = 1, each do
			local id = corpus.id();
			local asks = n % 2 == 1;
			out[n] = ("<message to='%s' type='chat' id='%s'><body>The bell has rung, come to the orchard and bring the letter</body>"
				.."<active xmlns='http://jabber.org/protocol/chatstates'/>%s<origin-id xmlns='urn:xmpp:sid:0' id='%s'/></message>")
				:format(to, id, asks and "<request xmlns='urn:xmpp:receipts'/>" or "", id);
			if asks then
				table.insert(back, ("<message to='load%d@%s/load' type='chat' id='%s'><received xmlns='urn:xmpp:receipts' id='%s'/></message>")
					:format(i, self.domain, corpus.id(), id));
			end
		end
		local partner = i % 2 == 1 and i + 1 or i - 1;
		batches[i], acks[partner] = table.concat(out), table.concat(back);
		wanted[partner], wanted_acks[i] = each, #back;
	end
	for i, conn in ipairs(self.conns) do send(conn, batches[i]); end
	await(self, wanted);
	for i, conn in ipairs(self.conns) do send(conn, acks[i]); end
	await(self, wanted_acks);
	local acked = self.sessions * ((each + 1) // 2);
	return self.sessions * each + acked, acked;
end

function methods:close()
	for _, conn in ipairs(self.conns) do conn:close(); end
end

return load;
