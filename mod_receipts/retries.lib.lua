-- SPDX-License-Identifier: MIT
-- What the storage fails with is tried again after some seconds, and not for each message: every attempt costs time and a line in
-- Prosody's log.

local bounded = module:require "bounded";

local MAX = 1000; -- users
local AFTER = 5; -- seconds until it is tried again; when it fails again,
local LONGER, LONGEST = 10, 600; -- so many times longer, and at the most: one user's damaged file is not to look like a store that fails

local retries = { AFTER = AFTER };
local methods = {};
local mt = { __index = methods };

--- @param monotonic  function (): seconds, that nobody sets
-- @param unread     optional: function (user, err): told each time that read() has tried and failed
function retries.new(monotonic, unread)
	return setmetatable({
		monotonic = monotonic, unread = unread;
		put_off = bounded.new(MAX); -- user -> { since = time, wait = seconds that this is put off for, err = why, writing = was it that?
		-- served, written = as below }
		served = 0; -- how often the store has done what it was asked for,
		written = 0; -- and how often that was to write
		reading = {}; -- user -> { readers = how many read now }; to who finds another one there when done, what was read may be old
	}, mt);
end

--- Calls a storage's method. Some raise errors where they should return them.
function retries.attempt(storage, method, ...)
	local ok, result, err = pcall(storage[method], storage, ...);
	if ok then return result, err; end
	return nil, result;
end

--- Why it failed for this user; nil when it may be tried.
-- @param writing  optional: is it to be written? Who could not be can be read
function methods:why(user, writing)
	local last = self.put_off.at[user];
	if not last or last.writing and not writing then return nil; end
	return self.monotonic() - last.since < last.wait and last.err or nil;
end

--- @param writing  optional: was it that which failed? A full disk can still be read. Who cannot be read can hardly be written, though
function methods:failed(user, err, writing)
	local last = self.put_off.at[user];
	writing = writing and not (last and not last.writing);
	-- Longer only while others are served: else it may well be the store.
	local served = writing and "written" or "served";
	local wait = last and last[served] ~= self[served] and math.min(last.wait * LONGER, LONGEST) or AFTER;
	self.put_off:set(user, {
		since = self.monotonic(), wait = wait, err = err or "no reason given", writing = writing, served = self.served, written = self.written;
	});
end

--- @param writing  optional: was it that which worked? Else it says nothing of whether that does
function methods:worked(user, writing)
	local last = self.put_off.at[user];
	if writing or not (last and last.writing) then self.put_off:set(user, nil); end
	self.served = self.served + 1;
	if writing then self.written = self.written + 1; end
end

--- It may be tried at once: of this user, or of all. What is being read is read again, as the store may have changed.
function methods:forget(user)
	if user then
		self.put_off:set(user, nil);
		self.reading[user] = nil;
	else
		self.put_off:clear();
		self.reading = {};
	end
end

--- What a keyval store has of a user; nil and the reason when it cannot be read, or could not a moment ago.
function methods:read(store, user)
	local data, err, is_old;
	repeat
		local why = self:why(user);
		if why then return nil, why; end
		local reading = self.reading[user] or { readers = 0 };
		self.reading[user] = reading;
		reading.readers = reading.readers + 1;
		data, err = retries.attempt(store, "get", user);
		reading.readers = reading.readers - 1;
		is_old = self.reading[user] ~= reading;
		if reading.readers == 0 and not is_old then self.reading[user] = nil; end
	until not is_old;
	if not data and err then
		self:failed(user, err);
		if self.unread then self.unread(user, err); end
		return nil, err;
	end
	self:worked(user);
	return data;
end

return retries;
