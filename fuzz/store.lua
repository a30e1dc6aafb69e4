-- SPDX-License-Identifier: MIT
-- What a storage returns when it was damaged, or written by somebody else: nothing is raised, and what is sound is taken in.

local paths = require "spec.support.paths";
local lib, records = paths.lib("store"), paths.lib("records");
local bytes = require "fuzz.bytes";
local receipts = require "receipts";

local TTL = 1000;
local TO = { "x@h", "x@h/r", "r@muc/n", "r@muc", "" };
local IDS = { "1", "2", "3", "", ("i"):rep(1023), ("i"):rep(1024) };
local TYPES = { "normal", "chat", "error", "headline", "groupchat" };
local STATES = { "pending", "failed", "delivered" };

-- A field: mostly as given, or absent, or anything.
local function field(input, value)
	local kind = input:number(8);
	if kind == 7 then return input:storable(1); end
	if kind == 6 then return nil; end
	return value;
end

local function record(input, now)
	return {
		to = field(input, input:pick(TO)), id = field(input, input:pick(IDS)), time = field(input, now - input:number(256) * 5);
		type = field(input, input:pick(TYPES)), state = field(input, input:pick(STATES)), injected = field(input, true);
		occupant = field(input, input:number(2) == 1 or nil), overdue = field(input, true);
	};
end

local function user_data(input, now)
	if input:number(16) == 15 then return input:storable(2); end
	local data = {};
	for _ = 1, input:number(12) do
		local one = record(input, now);
		local key = type(one.to) == "string" and type(one.id) == "string" and records.key(one.to, one.id) or "";
		if input:number(16) == 15 then key = input:storable(0); end
		if key ~= nil and key == key then data[key] = input:number(16) == 15 and input:storable(2) or one; end
	end
	return data;
end

local function is_one_of(value, list)
	for _, item in ipairs(list) do
		if value == item then return true; end
	end
	return false;
end

-- Should this record be in the table once it is read?
local function sound(key, one, now)
	return type(one) == "table" and type(one.to) == "string" and type(one.id) == "string" and math.type(one.time) ~= nil
		and key == records.key(one.to, one.id) and one.time >= 0 and one.time < 1e15 and now - one.time < TTL
		and (one.occupant and one.to or one.to:match("^[^/]*")) ~= "" and one.id ~= "" and #one.id <= 1023 and #one.to <= 3071
		and (one.type == nil or is_one_of(one.type, TYPES)) and (not one.state or is_one_of(one.state, STATES));
end

-- Is this entry of the table in the store? Somebody else may have written a resource, which the table leaves out.
local function is_written(stored, entry)
	for key, one in pairs(stored) do
		if type(one) == "table" and one.id == entry.id and one.time == entry.time and type(one.to) == "string"
			and key == records.key(one.to, one.id) and (one.to == entry.to or one.to:match("^[^/]*") == entry.to) then
			return true;
		end
	end
	return false;
end

return function (data)
	local input = bytes.new(data);
	local now = 1764000000;
	local pending = receipts.pending { ttl = TTL, remember = TTL };
	local stored = { a = user_data(input, now), b = user_data(input, now) };
	local keyval, map = {}, { remove = {} };
	function keyval.get(_, user) return stored[user]; end
	function keyval.set(_, user, value) stored[user] = value; return true; end
	function keyval.users() return pairs(stored); end
	function map.set_keys(_, user, keys)
		if type(stored[user]) ~= "table" then stored[user] = {}; end
		for key, value in pairs(keys) do stored[user][key] = value ~= map.remove and value or nil; end
		return true;
	end
	local store;
	local function log(_, format, ...) return format:format(...); end
	local function failed(what, err) error(what..": "..tostring(err)); end
	local function dropped(entries)
		for _, entry in ipairs(entries) do store:dropped(entry); end
	end
	local function drain() dropped(pending:evicted() or {}); end
	local gone = { a = input:number(8) == 7, b = input:number(8) == 7 }; -- accounts that another process has deleted
	store = lib.new("h", pending, { keyval = keyval, map = map }, {
		ttl = TTL, now = function () return now; end, monotonic = function () return now; end, cpu = os.clock;
		log = log, failed = failed, drain = drain;
		expired = function (entry) assert(type(entry.from) == "string" and type(entry.id) == "string" and entry.time < now); end;
		is_deleted = function (user) return gone[user]; end;
		deleted = function (user)
			assert(gone[user], "taken for deleted");
			store:forget(user);
		end;
	});

	for user in pairs { a = true, b = true } do
		assert(store:load(user));
		for key, one in pairs(type(stored[user]) == "table" and stored[user] or {}) do
			assert(not sound(key, one, now) or pending:state(user.."@h", one.to, one.id), "a sound record is not taken in");
		end
	end
	pending:add("a@h", "x@h", input:pick(IDS), now);
	pending:match("b@h", "x@h", input:pick(IDS), now);
	now = now + input:number(256) * 10;
	dropped(select(2, pending:expire(now, 100)));
	assert(pending:check());
	for _ in store:sweep() do end -- luacheck: ignore 542
	assert(store:flush_all());
	for user in pairs(gone) do
		for _, entry in ipairs(pending:list(user.."@h")) do
			assert(is_written(stored[user], entry), "what is awaited is not written");
		end
	end
	pending:close();
end;
