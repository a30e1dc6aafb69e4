-- SPDX-License-Identifier: MIT
-- Rules F3, F4: what happened is told here once, and here it is counted, measured for Prosody's metrics, and fired as an event, so
-- that all of them agree.

local jid_bare = require "util.jid".bare;

local reports = {};
local methods = {};
local mt = { __index = methods };

-- Upper bounds, in seconds, of the classes in which times to delivery are counted.
local BUCKETS = { 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 21600, 86400, 604800 };
reports.BUCKETS, methods.BUCKETS = BUCKETS, BUCKETS;

-- What is counted: name of the metric, help, its label and that label's values.
local FAMILIES = {
	requests = { help = "Receipts asked for, by clients or by the server for them", label = "by", values = { "client", "server" } };
	outcomes = {
		help = "What became of asked messages, and of acks", label = "outcome";
		values = { "delivered", "duplicate", "forged", "unknown", "failed", "overdue", "expired", "evicted", "untracked" };
	};
	answers = { help = "Receipts that the server sent for clients" };
	rejected = {
		help = "Receipt elements thrown away", label = "reason";
		values = { "forged", "unknown", "hidden", "request-without-id", "request-in-ack", "request-not-empty", "request-in-groupchat",
			"request-in-error", "received-without-id", "received-not-empty", "received-in-error", "several-received" };
	};
	resent = { help = "Messages delivered again, because no receipt came" };
	errors = { help = "Errors caught: the stanza went on, or the store is tried again", label = "kind", values = { "hook", "store" } };
};
local ALL = { false }; -- the one value of a family without a label
reports.FAMILIES = FAMILIES;

-- The event that goes with an outcome. The others are answers to nothing that is awaited, or tell nothing new.
local EVENTS = {
	delivered = "receipts/delivered", failed = "receipts/failed", overdue = "receipts/overdue",
	expired = "receipts/expired", evicted = "receipts/expired",
};

--- @param metric     function (type, name, unit, help, labels, options): as module:metric
-- @param listening   function (event name): does anybody listen?
-- @param fire        function (event name, table)
function reports.new(metric, listening, fire)
	local self = setmetatable({ listening = listening, fire = fire, counts = {}, measured = {}, delivery = {}, counters = {} }, mt);
	for name, family in pairs(FAMILIES) do
		local counter = metric("counter", name, "", family.help, family.label and { family.label } or {});
		self.counts[name], self.measured[name], self.counters[name] = {}, {}, {};
		for _, value in ipairs(family.values or ALL) do
			self.counts[name][value], self.measured[name][value] = 0, 0;
			self.counters[name][value] = value and counter:with_labels(value) or counter:with_labels();
			self.counters[name][value]:add(0); -- so that it is shown from the start on
		end
	end
	for i = 1, #BUCKETS + 1 do self.delivery[i] = 0; end
	self.loaded = metric("gauge", "loaded", "", "1 while the module is loaded", {}):with_labels();
	self.pending = metric("gauge", "pending", "", "Receipts awaited, as far as they are in memory", {}):with_labels();
	self.capacity = metric("gauge", "capacity", "", "Receipts awaited at most: receipts_max_pending", {}):with_labels();
	self.memory = metric("gauge", "memory", "bytes", "Memory of the table of receipts awaited", {}):with_labels();
	self.seconds = metric("histogram", "delivery", "seconds", "Time from the request to the first ack", {}, { buckets = BUCKETS })
		:with_labels();
	local bounds = table.move(BUCKETS, 1, #BUCKETS, 1, { [#BUCKETS + 1] = math.huge });
	function self.sample(age)
		local class = 1;
		while age > bounds[class] do class = class + 1; end
		self.delivery[class] = self.delivery[class] + 1;
		self.seconds:sample(age);
	end
	return self;
end

--- The message hooks deal with what is ordinary by themselves, and count it: uncounted() tells that, once somebody has set it. To be called
-- before counts are looked at.
function methods:settle()
	if not self.uncounted then return; end
	local asked, delivered, duplicate = self.uncounted();
	self:count("requests", "client", asked);
	self:count("outcomes", "delivered", delivered);
	self:count("outcomes", "duplicate", duplicate);
end

--- What another one has counted, after a reload; its last was measure(). Metrics keep their values by themselves.
function methods:take_over(other)
	self.counts, self.measured, self.delivery = other.counts, other.measured, other.delivery;
end

--- Counts one more, or several.
-- @param name   of the family, see above
-- @param value  its label's; nil where the family has none
-- @param more   optional: how many
function methods:count(name, value, more)
	value = value or false;
	local counts = self.counts[name];
	counts[value] = counts[value] + (more or 1);
end

-- Events make garbage, so only those are made that somebody wants.
local function tell(self, event, from, to, id, age, by, reason, injected)
	if not self.listening(event) then return; end
	self.fire(event, { from = from, to = to or by and jid_bare(by), id = id, age = age, by = by, reason = reason, injected = injected or false });
end

--- Somebody asked for a receipt.
-- @param from      the requester, bare JID; to: the address that is asked, nil for the requester's own; id: of the message
-- @param by        full JID of the client that asks, or for which the server does
-- @param occupant  the address is a room occupant's
function methods:requested(from, to, id, by, injected, occupant)
	self:count("requests", injected and "server" or "client");
	if not self.listening("receipts/requested") then return; end
	tell(self, "receipts/requested", from, occupant and to or jid_bare(to), id, 0, by, nil, injected);
end

--- Somebody asked for a receipt that will not be known when it comes: the table is full, or an id or address too long.
function methods:untracked()
	self:count("requests", "client");
	self:count("outcomes", "untracked");
end

--- Something became of a message, or an ack came.
-- @param outcome  "delivered", "duplicate", "forged", "unknown", "failed", "overdue", "expired" or "evicted"
-- @param to       who was asked; nil for the bare JID of `by`
-- @param age      seconds since it was asked, nil when that is not known
-- @param by       JID of who brought it about, nil for the passing of time
function methods:outcome(outcome, from, to, id, age, by, injected)
	self:count("outcomes", outcome);
	if outcome == "delivered" then self.sample(age); end
	local event = EVENTS[outcome];
	if event then
		local reason = outcome == "expired" and "time" or outcome == "evicted" and "room" or nil;
		tell(self, event, from, to, id, age, by, reason, injected);
	end
end

--- Receipt elements of a message were thrown away.
-- @param reasons  array, see checks.lib.lua
-- @param by       who sent them
function methods:rejected(reasons, from, to, id, by)
	for _, reason in ipairs(reasons) do
		self:count("rejected", reason);
		tell(self, "receipts/rejected", from, to, id, nil, by, reason);
	end
end

--- Brings the metrics up to date: the counters too, so that counting one more costs next to nothing.
function methods:measure(pending, capacity, bytes)
	self:settle();
	for name, counts in pairs(self.counts) do
		local measured = self.measured[name];
		for value, count in pairs(counts) do
			if count > measured[value] then self.counters[name][value]:add(count - measured[value]); end
			measured[value] = count;
		end
	end
	self.pending:set(pending);
	self.capacity:set(capacity);
	self.memory:set(bytes);
end

--- The module is loaded.
function methods:start()
	self.loaded:set(1);
end

--- The module is unloaded. Prosody goes on showing its metrics as they were.
function methods:stop()
	self.loaded:set(0);
end

return reports;
