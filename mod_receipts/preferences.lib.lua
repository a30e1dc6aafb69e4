-- SPDX-License-Identifier: MIT
-- What each user wants done for them (rule D1), kept in Prosody's storage.

local bounded = module:require "bounded";
local retries = module:require "retries";

local preferences = {};
local methods = {};
local mt = { __index = methods };

local MAX_CACHED = 100000; -- users

methods.CHOICES = { yes = true, no = true, default = true };

-- What nearly all want is one table for all.
local NOTHING_SAID = { answer = "default", ask = "default" };

--- @param store    a keyval store
-- @param mode     the option receipts_answer
-- @param exists   function (user): is there such a user?
-- @param monotonic  as of retries.lib.lua
-- @param changed  function (user): from now on the server answers for that user, or no longer does
-- @param failed   function (what, err): called for each failure to read
-- @param newest   function (): these preferences; once we have been reloaded, those that came with it
function preferences.new(store, mode, exists, monotonic, changed, failed, newest)
	return setmetatable({
		store = store, mode = mode, exists = exists, changed = changed, newest = newest;
		retries = retries.new(monotonic, function (user, err) failed("What "..user.." chose cannot be read, and is tried again later", err); end);
		wanted = bounded.new(MAX_CACHED);
		no_answers = bounded.new(MAX_CACHED); -- set of users for whom the server is known not to answer
	}, mt);
end

--- { answer = "yes" | "no" | "default", ask = likewise } of a user; nil and the reason when the store fails, or there is no such user:
-- strangers write to whatever names they like, and of those nothing is read or kept.
function methods:get(user)
	local wanted = self.wanted.at[user];
	if wanted then return wanted; end
	if not self.exists(user) then return nil, "There is no user "..user; end
	local stored, err = self.retries:read(self.store, user);
	if err then return nil, err; end
	wanted = NOTHING_SAID;
	if type(stored) == "table" then
		wanted = {};
		for name in pairs(NOTHING_SAID) do wanted[name] = self.CHOICES[stored[name]] and stored[name] or "default"; end
	end
	self.wanted:set(user, wanted);
	return wanted;
end

--- Returns true; or nil and the reason when the store fails. It is read again: some storage says that it keeps what it does not, as Prosody's
-- files do for anonymous users.
function methods:set(user, wanted)
	local before = self:answers_for(user);
	local ok, err = retries.attempt(self.store, "set", user, wanted);
	if not ok then return nil, err; end
	local newest = self.newest(); -- who may have read it while it was written
	newest:forget(user);
	local kept, unread = newest:get(user);
	if newest:answers_for(user) ~= before then newest.changed(user); end
	if not kept then return nil, unread; end
	if kept.answer ~= wanted.answer or kept.ask ~= wanted.ask then return nil, "the storage has not kept it"; end
	return true;
end

--- What is stored is to be read again.
function methods:forget(user)
	self.retries:forget(user);
	self.wanted:set(user, nil);
	self.no_answers:set(user, nil);
end

--- The user is gone, perhaps by another process, which does not reach what is kept in memory.
function methods:remove(user)
	retries.attempt(self.store, "set", user, nil);
	self.newest():forget(user);
end

--- Does the server answer for this user? (rule D1) Returns false and the reason when that cannot be read now.
function methods:answers_for(user)
	if self.no_answers.at[user] then return false; end
	if self.mode == "never" then
		if not self.exists(user) then return false; end -- see get()
	else
		local wanted = self:get(user);
		if not wanted then return false, self.retries:why(user); end -- no reason: there is no such user
		if wanted.answer == "yes" or wanted.answer == "default" and self.mode == "opt-out" then return true; end
	end
	self.no_answers:set(user, true);
	return false;
end

--- May it be that the server answers for this user? Reads nothing.
function methods:may_answer_for(user)
	return self.mode ~= "never" and not self.no_answers.at[user];
end

--- Does the server ask for this user, where receipts_request says so? Returns false and the reason when that cannot be read now.
function methods:asks_for(user)
	local wanted = self:get(user);
	if not wanted then return false, self.retries:why(user); end
	return wanted.ask ~= "no";
end

return preferences;
