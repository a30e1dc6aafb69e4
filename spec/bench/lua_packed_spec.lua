-- SPDX-License-Identifier: MIT
-- The peer of prosody-memory does the job: held against a list of entries that is walked over from end to end.

require "spec.support.paths";
local lua_packed = require "bench.lua_packed";
local bare = require "util.jid".bare;

local LIMITS = { per_user = 7, ttl = 100 };

local naive = {};
naive.__index = naive;

function naive:find(from, to, id)
	local other;
	for i, e in ipairs(self) do
		if e.from == from and e.id == id then
			if e.to == to then return e, i; end
			other = other or not e.delivered;
		end
	end
	return nil, other;
end

-- What makes room for another entry: one that was delivered, or else the first. And how many there are.
function naive:expendable(from)
	local first, delivered, count = nil, nil, 0;
	for i, e in ipairs(self) do
		if e.from == from then
			first, count = first or i, count + 1;
			delivered = delivered or e.delivered and i;
		end
	end
	return delivered or first, count;
end

function naive:add(from, to, id, now)
	from, to = bare(from), bare(to);
	local e, i = self:find(from, to, id);
	if e and not e.delivered then return true, "known"; end
	local victim, count = self:expendable(from);
	if e then table.remove(self, i); elseif count >= LIMITS.per_user then table.remove(self, victim); end
	table.insert(self, { from = from, to = to, id = id, time = now });
	return true;
end

function naive:match(from, to, id, now)
	local e, other = self:find(bare(from), bare(to), id);
	if not e then return other and "forged" or "unknown"; end
	local verdict = e.delivered and "duplicate" or "delivered";
	e.delivered = true;
	return verdict, now - e.time;
end

function naive:expire(now)
	local done = 0;
	while self[1] and now - self[1].time > LIMITS.ttl do
		table.remove(self, 1);
		done = done + 1;
	end
	return done;
end

local ids = { "1", ("x"):rep(255), ("x"):rep(256), ("x"):rep(1023), "5eed0000-0000-4184-a000-00000000000g" };
for n = 1, 9 do
	local uuid = ("%08x-5eed-4184-a%03x-ffffffffff%02x"):format(n, n, n);
	local digits = uuid:gsub("-", "");
	table.insert(ids, uuid);
	table.insert(ids, uuid:upper());
	table.insert(ids, (string.pack("<i8i8", tonumber(digits:sub(1, 16), 16), tonumber(digits:sub(17), 16)))); -- the bytes that it is kept as
end

describe("the pending table in Lua", function ()
	it("says what a plain list says", function ()
		local random = 184;
		local function pick(n)
			random = (random * 1103515245 + 12345) % 2147483648;
			return random // 65536 % n + 1;
		end
		local ours, model = lua_packed.new(LIMITS), setmetatable({}, naive);
		local now, seen = 1700000000, {};
		for step = 1, 10000 do
			now = now + pick(64) / 64; -- what a table counts in
			local from, to = ("u%d@a.example/r"):format(pick(5)), ("u%d@a.example/%d"):format(pick(4), pick(3));
			local what = ({ "add", "add", "add", "match", "match", "expire" })[pick(6)];
			local a, b;
			if what == "expire" then
				a, b = { ours:expire(now, math.huge) }, { model:expire(now) };
			else
				local id = ids[pick(#ids)];
				a, b = { ours[what](ours, from, to, id, now) }, { model[what](model, from, to, id, now) };
			end
			assert.same(b, a, ("step %d, %s"):format(step, what));
			assert.equal(#model, ours:count());
			seen[a[2] == "known" and "known" or type(a[1]) == "string" and a[1] or what] = true;
		end
		assert.same({ add = true, known = true, delivered = true, duplicate = true, forged = true, unknown = true, expire = true }, seen);
		local left = ours:count();
		assert.is_true(left > 10 and ours:expire(now, 1) == 0 and ours:expire(now + LIMITS.ttl + 1, 1) < left); -- as many as are in a bucket
		ours:expire(now + LIMITS.ttl + 1, math.huge);
		assert.equal("0 ", ours:count().." "..table.concat(ours.requesters)..table.concat(ours.asked));
	end);
end);
