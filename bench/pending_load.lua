-- SPDX-License-Identifier: MIT
-- The load of the pending benches: for each message that is asked one is acked, of those asked a quarter of the table ago, in no
-- order; once `entries` are in the table, each ask makes the oldest that is delivered go. So a quarter is awaited, the rest is
-- remembered, and what is acked or goes has not been touched for long. Ten entries a user; from and to are 25 bytes, ids are UUIDs.

local jid = require "bench.corpus".jid;

local load = {};
local methods = {};
local mt = { __index = methods };

local BATCH = 250; -- asks and as many acks
local STRIDE = 514229; -- a prime: multiples of it visit a block of messages in an order that no processor foresees

load.UUID = "%08x-5eed-4184-a%03x-%012x";
load.NO_UUID = "%08x.5eed.4184.a%03x.%012x"; -- as long

--- A load on a table that has methods add and match, and room for `entries`.
-- @param ids  optional: the form of ids
function load.new(pending, entries, ids)
	local batch = { from = {}, to = {}, id = {}, acked_from = {}, acked_to = {}, acked_id = {} };
	local self = setmetatable({ pending = pending, ids = ids or load.UUID, users = entries // 10, asked = 0, batch = batch }, mt);
	self:acks_after(entries // 4);
	return self;
end

--- From now on acks come about `lag` messages after what they ack. All messages so far have to be a multiple of it.
function methods:acks_after(lag)
	assert(self.asked % lag == 0);
	self.lag, self.settled = lag, self.asked + lag;
end

-- What message n is, always the same.
function methods:message(n)
	local mixed = n * 0x9E3779B97F4A7C15;
	return jid((mixed >> 33) % self.users), jid((mixed >> 17 & 0x7fffffff) % self.users),
		self.ids:format(mixed >> 32, mixed & 0xfff, n);
end

-- The message that is acked after the n-th ask: every one of the block before, once.
function methods:acked(n)
	local lag = self.lag;
	return (n // lag - 1) * lag + n % lag * STRIDE % lag;
end

function methods:prepare()
	local batch, asked = self.batch, self.asked;
	for i = 1, BATCH do
		batch.from[i], batch.to[i], batch.id[i] = self:message(asked + i - 1);
		batch.acked_from[i], batch.acked_to[i], batch.acked_id[i] = self:message(self:acked(asked + i - 1));
	end
end

--- Asks and acks one batch. Returns the seconds of CPU that it took, the making of addresses and ids not included.
function methods:step()
	self:prepare();
	local batch, pending, asked, settled = self.batch, self.pending, self.asked, self.settled;
	local from, to, id = batch.from, batch.to, batch.id;
	local acked_from, acked_to, acked_id = batch.acked_from, batch.acked_to, batch.acked_id;
	local began = os.clock();
	for i = 1, BATCH do
		local n = asked + i - 1;
		local now = n / 1000;
		assert(pending:add(from[i], to[i], id[i], now));
		local verdict = pending:match(acked_from[i], acked_to[i], acked_id[i], now);
		assert(verdict == "delivered" or n < settled);
	end
	local took = os.clock() - began;
	self.asked = asked + BATCH;
	return took;
end

--- Goes on as if so many messages had been asked and acked.
function methods:skip(asks)
	self.asked = self.asked + asks;
end

--- Asks and acks `asks` messages. Returns the microseconds of an add or a match in the mean, and the seconds of the worst batch.
function methods:run(asks)
	local total, worst, batches = 0, 0, asks // BATCH;
	for _ = 1, batches do
		local took = self:step();
		total = total + took;
		if took > worst then worst = took; end
	end
	return total / (2 * batches * BATCH) * 1e6, worst;
end

return load;
