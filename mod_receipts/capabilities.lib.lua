-- SPDX-License-Identifier: MIT
-- Chapter B: who supports receipts, learned from presence caps (XEP-0115) and disco#info (XEP-0030).
--
--   by_hash   "sha-1:<ver>" -> true | false      verified: true for every client that shows this ver
--   people    bare JID -> full JID -> client      what each client shows, and what only holds for it
--   locals    the same for this host's users      apart and complete, so that nobody elsewhere can crowd them out
--   flight    key -> the query under way, and who else shows the same
--
-- A client is { key, node, ver | silent, own, asked, room, shown }: key into by_hash when it shows verifiable caps, own = true | false
-- for what was learned of this client alone, shown = the local users that its presence goes to.
--
-- Nothing here sends or waits: `new` is given functions for that.

local st = require "util.stanza";
local new_cache = require "util.cache".new;
local jid_bare = require "util.jid".bare;
local calculate_hash = require "util.caps".calculate_hash;

local xmlns_caps = "http://jabber.org/protocol/caps";
local xmlns_disco = "http://jabber.org/protocol/disco#info";
local xmlns_receipts = "urn:xmpp:receipts";
local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

local MAX_HASHES = 10000; -- verified vers kept
local MAX_PEOPLE = 20000; -- bare JIDs kept
local MAX_CLIENTS = 100; -- of one bare JID; rooms have many occupants
local MAX_FLIGHT = 100; -- queries at once
local MAX_WAITING = 20; -- clients with the same ver that are asked next when an answer is not of use

local capabilities = {};

--- Does a disco#info result list receipts?
local function lists_receipts(query)
	return query:get_child_with_attr("feature", nil, "var", xmlns_receipts) ~= nil;
end

--- Is this disco#info result one that its hash stands for? (rule B2)
-- Not where something is listed twice, or where a value has the separator of the hash in it: "a<b" hashes like "a", "b".
local function hash_is_safe(query)
	local seen = {};
	local function once(text)
		if text:find("<", 1, true) or seen[text] then return false; end
		seen[text] = true;
		return true;
	end
	for _, tag in ipairs(query.tags) do
		if tag.name == "identity" then
			local attr = tag.attr;
			if not once(("identity\0%s\0%s\0%s\0%s"):format(attr.category or "", attr.type or "", attr["xml:lang"] or "", attr.name or "")) then
				return false;
			end
		elseif tag.name == "feature" then
			if not once("feature\0"..(tag.attr.var or "")) then return false; end
		elseif tag.name == "x" then
			local form_type;
			for field in tag:childtags("field") do
				if (field.attr.var or ""):find("<", 1, true) then return false; end
				for value in field:childtags("value") do
					local text = value:get_text() or "";
					if text:find("<", 1, true) then return false; end
					if field.attr.var == "FORM_TYPE" then form_type = form_type or text; end
				end
			end
			if not once("form\0"..(form_type or "")) then return false; end
		end
	end
	return true;
end

local methods = {};
local mt = { __index = methods };

--- @param send  function (jid, to, node, done): sends a disco#info query for `node` (may be nil) to `jid`, from the user `to` (bare JID,
--               nil: from the host), and calls done(query) with the answer's <query/>, or done(nil) on error or time-out, once
-- @param later function (callback): calls back when whoever else asks the same has had time to
function capabilities.new(send, later)
	return setmetatable({
		by_hash = new_cache(MAX_HASHES), people = new_cache(MAX_PEOPLE), locals = {}, flight = {}, in_flight = 0, send = send, later = later,
	}, mt);
end

local function clients_of(self, bare)
	return self.locals[bare] or self.people:get(bare);
end

local function client_of(self, jid)
	local clients = clients_of(self, jid_bare(jid));
	return clients and clients[jid];
end

local function known(self, client)
	if client.own ~= nil then return client.own; end
	return client.key and self.by_hash:get(client.key);
end

local function settle(self, client, query)
	local capable = lists_receipts(query);
	if client.key and "sha-1:"..calculate_hash(query) == client.key and hash_is_safe(query) then
		self.by_hash:set(client.key, capable);
	else
		client.own = capable;
	end
end

-- Asks `jid`; the others in `flight` that show the same wait for the answer, and are asked in turn when it is of no use to them.
local function ask(self, flight, jid)
	local client = client_of(self, jid);
	local function next_one()
		while #flight.waiting > 0 do
			local other = table.remove(flight.waiting, 1);
			local waiting = client_of(self, other);
			if waiting and known(self, waiting) == nil and not waiting.asked then
				return ask(self, flight, other);
			end
		end
		self.flight[flight.key] = nil;
		self.in_flight = self.in_flight - 1;
	end
	if not client or known(self, client) ~= nil then return next_one(); end
	client.asked = true;
	self.send(jid, client.asker, client.ver and client.node and client.node.."#"..client.ver, function (query)
		-- Whoever has this address by now is not who was asked.
		if query and client_of(self, jid) == client then settle(self, client, query); end
		next_one();
	end);
end

local function want(self, jid, client)
	if client.room or client.asked or known(self, client) ~= nil then return; end
	local key = client.key or client; -- what only holds for one client is asked for by itself
	local flight = self.flight[key];
	if flight then
		if #flight.waiting < MAX_WAITING then table.insert(flight.waiting, jid); end
		return;
	end
	if self.in_flight >= MAX_FLIGHT then return; end
	flight = { key = key, waiting = {} };
	self.flight[key] = flight;
	self.in_flight = self.in_flight + 1;
	self.later(function () ask(self, flight, jid); end);
end

local function count(clients)
	local n = 0;
	for _ in pairs(clients) do n = n + 1; end
	return n;
end

--- Takes note of presence.
-- @param stanza    <presence/> with `from` a full JID
-- @param to        the local user (bare JID) it goes to, nil when a local client broadcasts it
-- @param is_local  it comes from a client of this host
function methods:presence(stanza, to, is_local)
	local jid, type = stanza.attr.from, stanza.attr.type;
	local bare = jid_bare(jid);
	if not jid or jid == bare then return; end
	local clients = clients_of(self, bare);
	local client = clients and clients[jid];
	if type == "unavailable" then
		if not client then return; end
		if to then client.shown[to] = nil; end
		if not to or (not is_local and next(client.shown) == nil) then self:forget(jid); end
		return;
	elseif type then
		return;
	end
	if not clients then
		clients = {};
		if is_local then
			self.locals[bare] = clients;
		else
			self.people:set(bare, clients);
		end
	end
	local c = stanza:get_child("c", xmlns_caps);
	local key = c and c.attr.hash == "sha-1" and c.attr.ver and "sha-1:"..c.attr.ver or nil;
	local ver, node = c and c.attr.ver, c and c.attr.node;
	if not client or client.ver ~= ver or client.node ~= node or client.key ~= key then
		if not client and count(clients) >= MAX_CLIENTS then return; end
		client = { key = key, ver = ver, node = node, shown = client and client.shown or {} };
		clients[jid] = client;
	end
	client.room = client.room or stanza:get_child("x", xmlns_muc_user) ~= nil;
	if to and not is_local then
		client.shown[to] = true;
		client.asker = to;
	end
	-- A local client without caps is asked too (rule D4); a remote one is left alone.
	if c or is_local then want(self, jid, client); end
end

--- The client is gone.
function methods:forget(jid)
	local bare = jid_bare(jid);
	local clients = clients_of(self, bare);
	if not clients then return; end
	clients[jid] = nil;
	if next(clients) ~= nil then return; end
	self.locals[bare] = nil;
	self.people:set(bare, nil);
end

--- Takes note of a disco#info answer to somebody else's question: it counts only by its hash, and for who shows that hash.
function methods:overheard(jid, query)
	local client = client_of(self, jid);
	if client and client.key and "sha-1:"..calculate_hash(query) == client.key and hash_is_safe(query) then
		self.by_hash:set(client.key, lists_receipts(query));
	end
end

--- What is known of the client at a full JID: "capable", "incapable", "unknown", or "silent" when it shows no caps.
function methods:of(jid)
	local client = client_of(self, jid);
	if not client then return "silent"; end
	local capable = known(self, client);
	if capable == nil then return client.ver and "unknown" or "silent"; end
	return capable and "capable" or "incapable";
end

--- Of whom it is known, of all a person's clients together (rule C3).
-- @param visible  function (full JID, client): may the one that asks see this client's presence?
function methods:of_person(jid, visible)
	local bare = jid_bare(jid);
	local clients = clients_of(self, bare);
	local any, all = false, true;
	for full, client in pairs(clients or {}) do
		if (jid == bare or jid == full) and visible(full, client) then
			local capable = known(self, client);
			if capable then return "capable"; end
			any, all = true, all and capable == false;
		end
	end
	return any and all and "incapable" or "unknown";
end

--- What another one knew, after a reload. Queries under way are lost with it.
function methods:take_over(other)
	self.people, self.locals, self.by_hash = other.people, other.locals, other.by_hash;
	local function ask_again(clients)
		for _, client in pairs(clients) do client.asked = known(self, client) ~= nil; end
	end
	for _, clients in self.people:items() do ask_again(clients); end
	for _, clients in pairs(self.locals) do ask_again(clients); end
end

--- The full JIDs of a person's clients that are known to be capable.
-- @param visible  as for of_person
function methods:capable_clients(jid, visible)
	local list = {};
	local bare = jid_bare(jid);
	for full, client in pairs(clients_of(self, bare) or {}) do
		if (jid == bare or jid == full) and visible(full, client) and known(self, client) then table.insert(list, full); end
	end
	table.sort(list);
	return list;
end

--- Verified vers, to be kept over a restart; and back.
function methods:export()
	local list = {};
	for key, capable in self.by_hash:items() do list[key] = capable; end
	return list;
end

function methods:import(list)
	for key, capable in pairs(list) do
		if type(key) == "string" and type(capable) == "boolean" then self.by_hash:set(key, capable); end
	end
end

--- The question, as it goes over the wire.
function capabilities.query(jid, from, node, id)
	return st.iq({ type = "get", to = jid, from = from, id = id }):tag("query", { xmlns = xmlns_disco, node = node });
end

--- The <query/> of an answer, nil where the stanza is none.
function capabilities.result(stanza)
	return stanza.attr.type == "result" and stanza:get_child("query", xmlns_disco) or nil;
end

return capabilities;
