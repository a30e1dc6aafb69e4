-- SPDX-License-Identifier: MIT
-- Chapter B: who is asked what they support, and when: one question for all that show the same, and so many at once.
--
--   flight    key -> the query under way, and who else shows the same; asking: full JID -> the flight in which it is asked, or will be
--   in_flight owner -> how many queries are under way; backlog: owner -> who is asked when there is room, in turn. A client's owner is
--             its person; those elsewhere have another one between them
--
-- Clients are those of capabilities.lib.lua. Their field `asked` is set here, and taken back there.

local new_cache = require "util.cache".new;

local bare_of = (module:require "jids").bare;

local ELSEWHERE = ""; -- the owner that clients elsewhere have between them
-- Of one owner: queries at once, and clients that are asked when there is room. A thousand clients of one person, none of which answers,
-- are not to keep the server busy, nor the others waiting.
local LIMITS_ELSEWHERE, LIMITS_PERSON = { flight = 100, backlog = 200 }, { flight = 20, backlog = 1000 };
local MAX_WAITING = 20; -- clients elsewhere with the same ver that are asked next when an answer is not of use
local PATIENCE = 600; -- seconds before a client elsewhere that has not answered is asked again: its server may not have been to be reached

local turns = {};

local methods = {};
local mt = { __index = methods };

--- @param actions  send, later, soon, may_see, hibernates, monotonic: as of capabilities.lib.lua
-- @param clients   of(jid): the client at a full JID, or nil; is_known(client): is it known what it supports?
--                  answered(jid, client, query): it has answered, and has shown nothing else since;
--                  want(jid): it is to be asked, where there is something to learn of who is there by now
function turns.new(actions, clients)
	return setmetatable({ flight = {}, in_flight = {}, asking = {}, backlog = {}, actions = actions, clients = clients }, mt);
end

local function limits_of(owner)
	return owner == ELSEWHERE and LIMITS_ELSEWHERE or LIMITS_PERSON;
end

local function owners_of(jid, client)
	return { bare_of(jid), not client.is_local and ELSEWHERE or nil };
end

local function is_busy(self, owner)
	return (self.in_flight[owner] or 0) >= limits_of(owner).flight;
end

-- The first of these owners that is busy.
local function busy_one(self, owners)
	for _, owner in ipairs(owners) do
		if is_busy(self, owner) then return owner; end
	end
end

-- Queues of full JIDs. Who has a place keeps it.

local function enqueue(queue, jid)
	if not queue:get(jid) then queue:set(jid, true); end
end

local function dequeue(queue)
	local jid = queue:tail();
	queue:set(jid, nil);
	return jid;
end

local function put_off(self, owner, jid)
	local backlog = self.backlog[owner] or new_cache(limits_of(owner).backlog, false);
	self.backlog[owner] = backlog;
	enqueue(backlog, jid);
end

-- There is room: whoever was put off has their turn. Who has another owner that is busy is put off there.
local function catch_up(self, owner)
	while self.backlog[owner] and not is_busy(self, owner) do
		local backlog = self.backlog[owner];
		local jid = dequeue(backlog);
		if backlog:count() == 0 then self.backlog[owner] = nil; end
		self.clients.want(jid);
	end
end

local function landed(self, flight)
	self.flight[flight.key] = nil;
	for _, owner in ipairs(flight.owners) do self.in_flight[owner] = self.in_flight[owner] > 1 and self.in_flight[owner] - 1 or nil; end
	for _, owner in ipairs(flight.owners) do catch_up(self, owner); end
end

-- Has this client been asked, and is not to be asked again? What has not come back from a client here is not to be had.
local function was_asked(self, client)
	return client.asked and (client.is_local or self.actions.monotonic() - client.asked < PATIENCE);
end

-- May this client be asked now, in this flight?
local function may_be_asked(self, flight, jid, client)
	if self.asking[jid] and self.asking[jid] ~= flight then return false; end
	if not client or client.is_shape or client.room or was_asked(self, client) or self.clients.is_known(client) then return false; end
	-- What is sent to a client that hibernates may have its phone woken; it is asked when it is back.
	if client.is_local then return not self.actions.hibernates(jid); end
	return self.actions.may_see(client.asker, jid);
end

local ask;

-- Nothing more is to come of this flight for `jid`; the next one has its turn.
local function ask_next(self, flight, jid)
	if self.asking[jid] == flight then self.asking[jid] = nil; end
	local another = dequeue(flight.here) or dequeue(flight.elsewhere);
	if not another then return landed(self, flight); end
	return ask(self, flight, another);
end

--- Which node a client is asked about (XEP-0115 §6.2); nil where it shows none.
function turns.node_of(client)
	return client.ver and client.node and client.node.."#"..client.ver;
end

-- Asks `jid`; the others in `flight` that show the same wait for the answer, and are asked in turn when it is of no use to them.
function ask(self, flight, jid)
	local client = self.clients.of(jid);
	if not may_be_asked(self, flight, jid, client) then return ask_next(self, flight, jid); end
	client.asked, flight.is_sent = self.actions.monotonic(), true;
	self.asking[jid] = flight;
	self.actions.send(jid, client.asker, turns.node_of(client), function (query)
		if query and client.asked then self.clients.answered(jid, client, query); end -- else it has shown something else since
		-- Where a server has gone, questions come back while they are sent. The next is not sent from within that, and so on.
		self.actions.soon(function ()
			ask_next(self, flight, jid);
			self.clients.want(jid);
		end);
	end);
end

--- A client is to be asked.
-- @param client  it is neither known what it supports, nor one of `shapes`
function methods:want(jid, client)
	if was_asked(self, client) then return; end
	local key = client.key or client; -- what only holds for one client is asked for by itself
	local flight = self.flight[key];
	if flight then return enqueue(client.is_local and flight.here or flight.elsewhere, jid); end
	if self.asking[jid] then return; end -- one question at a time; the answer to it brings us back here
	local owners = owners_of(jid, client);
	local busy = busy_one(self, owners);
	if busy then return put_off(self, busy, jid); end
	-- Those of this host, who may be very many, are asked first.
	flight = { key = key, owners = owners, here = new_cache(math.huge), elsewhere = new_cache(MAX_WAITING, false) };
	self.flight[key], self.asking[jid] = flight, flight;
	for _, owner in ipairs(owners) do self.in_flight[owner] = (self.in_flight[owner] or 0) + 1; end
	self.actions.later(function () ask(self, flight, jid); end);
end

--- A client of this host shows no more what it has shown until now: it does not wait for its turn in that.
function methods:withdraw(jid, client)
	local flight = self.flight[client.key or client];
	if flight then flight.here:set(jid, nil); end
end

--- The client is gone. Whoever goes before the question is sent keeps the place, for whatever is shown there by then.
function methods:left(jid)
	local flight = self.asking[jid];
	if flight and flight.is_sent then self.asking[jid] = nil; end
end

--- Is somebody asked what this ver stands for?
-- @param ver  nil: none
function methods:is_under_way(ver)
	return self.flight[ver] ~= nil;
end

--- Is the client at this full JID being asked, or about to be?
function methods:is_asking(jid)
	return self.asking[jid] ~= nil;
end

--- Does an answer of this client count that it gives to others while it is being asked, or about to be? It may show something else by then, and
-- be asked about that by them: so one does.
function methods:takes_another(jid)
	local flight = self.asking[jid];
	if not flight or flight.took_another == jid then return false; end
	flight.took_another = jid;
	return true;
end

--- Is this client being asked, or about to be, or put off until there is room? Then it will be, about whatever it shows by then.
-- @param bare  its bare JID
function methods:has(jid, bare)
	local theirs, everybodys = self.backlog[bare], self.backlog[ELSEWHERE];
	return self:is_asking(jid) or theirs and theirs:get(jid) or everybodys and everybodys:get(jid);
end

--- Are there so many to be asked that nothing would be learned of another one elsewhere? Then nobody is kept of whom nothing is known: in a
-- flood they would only cost memory.
function methods:is_crowded()
	local backlog = self.backlog[ELSEWHERE];
	return backlog ~= nil and backlog:count() >= LIMITS_ELSEWHERE.backlog;
end

return turns;
