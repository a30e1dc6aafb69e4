-- SPDX-License-Identifier: MIT
-- What messages.lua compares: the engine's pending table, and the same in Lua alone; alike in size and in what they hold.

local pure_lua = require "bench.pure_lua";
local receipts = require "receipts";

local tables = {
	LIVE = 10000; -- entries that are never answered
	BATCH = 32; -- messages that ask before the first is acked
};

-- What is acked is forgotten soon, to make room: the tables are as large from the first round to the last.
local limits = { capacity = tables.LIVE + 2 * tables.BATCH, per_user = 1000, ttl = 7 * 86400, remember = 3600 };

function tables.ours()
	return receipts.pending(limits);
end

function tables.peer()
	return pure_lua.new(limits);
end

return tables;
