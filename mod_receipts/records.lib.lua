-- SPDX-License-Identifier: MIT
-- What the store has of an awaited receipt: a record. Its key is made of whom was asked and of the message's id.

local sha256 = require "util.hashes".sha256;

local records = {};

--- The key of a record. PostgreSQL takes keys up to 2.7 kB only, an id may be longer than a file name: so a hash.
function records.key(to, id)
	return sha256(to.."\0"..id, true):sub(1, 32);
end

--- The record of an entry of the pending table: without what is as usual.
function records.from(entry)
	return {
		to = entry.to, id = entry.id, time = entry.time;
		type = entry.type ~= "normal" and entry.type or nil;
		state = entry.state ~= "pending" and entry.state or nil;
		injected = entry.injected or nil, occupant = entry.occupant or nil, overdue = entry.overdue or nil;
	};
end

--- A user's records as entries, oldest first.
-- @param data  what the keyval store holds
-- @return array of entries; the number of records that are none; and of those the times, by key, where they have one
function records.entries(data)
	local entries, damaged, times = {}, 0, {};
	for key, record in pairs(data) do
		if type(record) == "table" and type(record.time) == "number" and type(record.to) == "string" and type(record.id) == "string"
			and records.key(record.to, record.id) == key then
			table.insert(entries, {
				to = record.to, id = record.id, time = record.time, type = record.type, state = record.state or "pending";
				injected = record.injected, occupant = record.occupant, overdue = record.overdue;
			});
		else
			damaged = damaged + 1;
			if type(key) == "string" and type(record) == "table" and type(record.time) == "number" then times[key] = record.time; end
		end
	end
	table.sort(entries, function (a, b)
		if a.time ~= b.time then return a.time < b.time; end
		return a.id < b.id;
	end);
	return entries, damaged, times;
end

return records;
