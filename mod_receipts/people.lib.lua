-- SPDX-License-Identifier: MIT
-- Chapter B: the clients of people elsewhere, in bounded memory: whose they are, and which accounts of this host they are shown to.
--
--   known     bare JID -> full JID -> client    who was not seen for the longest goes first
--   strangers the same for who has nothing to do with the user that they were first shown to, and for those by whom a user has more than
--             their share, unless another user sees them who has not: they go before all others
--   full      set of bare JIDs with MAX_CLIENTS clients
--   missed    set of bare JIDs of whom not all clients may be kept
--   seen_by   account -> set of full JIDs that are shown to it; seen_count: account -> how many those are
--   kept      what all this takes, in slots: so many for each client, and for each account that it is shown to
--
-- A client is the caller's table; its fields `shown`, the set of accounts that its presence goes to, and `shown_count` are set here.
--
-- Sets are counted as they change. To ask `next` whether one is empty takes the longer the more has been removed from it.

local new_cache = require "util.cache".new;
local count = require "util.iterators".count;

local bare_of = (module:require "jids").bare;

local MAX_PEOPLE = 20000; -- bare JIDs, strangers included
local MAX_CLIENTS = 100; -- of one bare JID; rooms have many occupants
local MAX_KEPT = 700000; -- slots; who was not seen for the longest goes first
local ENOUGH = 1000; -- clients that are shown to one account, before strangers come to it in vain
local SHARE = 2000; -- the same, before others that are first shown to it go before what is known of other accounts' contacts
local FEW = MAX_PEOPLE // SHARE; -- accounts; so many together may have all the room
local CLIENT, SHOWN = 12, 2; -- slots for a client, and for each account that it is shown to

local people = {};
local methods = {};
local mt = { __index = methods };

--- @param is_stranger  function (account, bare, jid): has this person elsewhere nothing to do with the user of that account?
function people.new(is_stranger)
	return setmetatable({
		known = new_cache(MAX_PEOPLE + 1), strangers = new_cache(MAX_PEOPLE + 1), kept = 0, full = {};
		seen_by = {}, seen_count = {}, missed = new_cache(MAX_PEOPLE), is_stranger = is_stranger;
	}, mt);
end

--- What another one knew, after a reload.
function methods:take_over(other)
	self.known, self.strangers, self.kept, self.full, self.missed = other.known, other.strangers, other.kept, other.full, other.missed;
	self.seen_by, self.seen_count = other.seen_by, other.seen_count;
end

--- Somebody's clients: full JID -> client; nil where none is known.
function methods:of(bare)
	return self.known:get(bare) or self.strangers:get(bare);
end

--- The client at a full JID; nil where it is not known.
function methods:client(jid, bare)
	local clients = self:of(bare);
	return clients and clients[jid];
end

--- Is there room for one more client of theirs?
function methods:has_room(bare)
	return not self.full[bare];
end

--- One of theirs is not kept, or there may be such.
function methods:miss(bare)
	self.missed:set(bare, true);
end

--- Are all of theirs kept that have shown themselves?
function methods:has_all(bare)
	return not self.full[bare] and not self.missed:get(bare);
end

local function show(self, jid, client, to)
	if client.shown[to] then return; end
	client.shown[to], client.shown_count = true, client.shown_count + 1;
	self.seen_by[to], self.seen_count[to] = self.seen_by[to] or {}, (self.seen_count[to] or 0) + 1;
	self.seen_by[to][jid] = true;
	self.kept = self.kept + SHOWN;
end

local function unshow(self, jid, client, to)
	if not client.shown[to] then return; end
	client.shown[to], client.shown_count = nil, client.shown_count - 1;
	self.seen_by[to][jid], self.seen_count[to] = nil, self.seen_count[to] - 1;
	if self.seen_count[to] == 0 then self.seen_by[to], self.seen_count[to] = nil, nil; end
	self.kept = self.kept - SHOWN;
end

-- The client is no longer kept.
local function drop(self, jid, client)
	for to in next, client.shown do unshow(self, jid, client, to); end
	self.kept = self.kept - CLIENT;
end

local function forget_person(self, bare)
	self.known:set(bare, nil);
	self.strangers:set(bare, nil);
	self.full[bare] = nil;
	self.missed:set(bare, nil);
end

-- Is any of these clients shown to an account that has no more than its share?
local function are_within_share(self, clients)
	for _, client in next, clients do
		if client.shown_count >= FEW then return true; end -- to go through them after each of very many is hidden would take long
		for to in next, client.shown do
			if self.seen_count[to] <= SHARE then return true; end
		end
	end
	return false;
end

-- Somebody is shown to fewer accounts, or no longer by one of their clients.
local function settle(self, bare, clients)
	if self.known:get(bare) and not are_within_share(self, clients) then
		self.known:set(bare, nil);
		self.strangers:set(bare, clients);
	end
end

-- People are dropped until the others fit.
local function make_room(self)
	while self.kept > MAX_KEPT or self.known:count() + self.strangers:count() > MAX_PEOPLE do
		local bare, clients = (self.strangers:count() > 0 and self.strangers or self.known):tail();
		for jid, client in next, clients do drop(self, jid, client); end
		forget_person(self, bare);
	end
end

--- A client was seen just now. Whom a user knows is no stranger, whoever else they are shown to; but none may have all the room.
-- @param client  as `client` has it; a new one where it has none
-- @param to      the account that it is shown to
-- @return the client that has this full JID now: while it was found out who is a stranger, others may have run
function methods:seen(jid, bare, client, to)
	local is_stranger = not self.known:get(bare) and self.is_stranger(to, bare, jid);
	local is_known = self.known:get(bare) ~= nil;
	local clients = self:of(bare) or {};
	local is_too_much = (self.seen_count[to] or 0) >= SHARE and not (is_known and clients[jid]);
	local goes_first = is_stranger and not is_known or is_too_much;
	self.strangers:set(bare, goes_first and clients or nil);
	self.known:set(bare, not goes_first and clients or nil);
	if not clients[jid] then
		clients[jid], client.shown, client.shown_count = client, {}, 0;
		self.kept = self.kept + CLIENT;
		if count(pairs(clients)) >= MAX_CLIENTS then
			self.full[bare] = true;
			self:miss(bare); -- from now on there may be others, for which there is no room
		end
	end
	show(self, jid, clients[jid], to);
	make_room(self);
	return clients[jid];
end

--- A client is seen again, and nothing is new.
-- @return is that all, since a user knows this person? A stranger may have become known to one: then `seen` is to be called
function methods:seen_again(bare)
	local clients = self.known:get(bare);
	if clients then self.known:set(bare, clients); end
	return clients ~= nil;
end

--- The client is gone.
function methods:forget(jid)
	local bare = bare_of(jid);
	local clients = self:of(bare);
	local client = clients and clients[jid];
	if not client then return; end
	drop(self, jid, client);
	clients[jid] = nil;
	self.full[bare] = nil;
	if next(clients) == nil then forget_person(self, bare); else settle(self, bare, clients); end
end

--- The client is not shown to that account any more.
-- @return whether it was shown to nobody else: then it is forgotten
function methods:hide(jid, client, to)
	unshow(self, jid, client, to);
	if client.shown_count == 0 then
		self:forget(jid);
		return true;
	end
	local bare = bare_of(jid);
	settle(self, bare, self:of(bare));
	return false;
end

--- Set of the full JIDs that are shown to that account.
function methods:shown_to(account)
	return self.seen_by[account] or {};
end

--- Are so many shown to that account that no stranger is to be kept for it any more?
function methods:has_enough(account)
	return (self.seen_count[account] or 0) >= ENOUGH;
end

--- Visits all clients, with visit(jid, client); those of whom was seen last first.
function methods:each(visit)
	for _, cache in ipairs { self.known, self.strangers } do
		for _, clients in cache:items() do
			for jid, client in next, clients do visit(jid, client); end
		end
	end
end

return people;
