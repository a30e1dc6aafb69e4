-- SPDX-License-Identifier: MIT
-- Rule F1: what is awaited outlives a restart, in the store "receipts" of Prosody's storage.
--
-- Each user has one record for each awaited receipt (records.lib.lua). They are read when something is first asked of that user's, and
-- written behind, in batches: the pending table's journal tells which. While the store fails nothing is lost but what a crash would lose:
-- the journal grows no longer than the table, and waits.
--
-- A storage may let others run before it answers (util.async). Then everything may have changed, but for that user's records: nobody else
-- deals with those meanwhile.

local async = require "util.async";
local jid_node = require "util.jid".node;
local jid_join = require "util.jid".join;

local bounded = module:require "bounded";
local records = module:require "records";
local retries = module:require "retries";

local MAX_KNOWN = 100000; -- users of whom it is known that their records have been read
local MAX_WITHOUT_ROOM = 1000; -- users whose records did not fit into the table, and
local RETRY_AFTER = retries.AFTER; -- seconds until they are read again
local MAX_WAITING = 100; -- stanzas that wait for the records of one user to be read
local GIVE_UP_AFTER = 3; -- users in a row who cannot be served: the store is down, and nobody's records are read for that time
local PATIENCE = 5; -- seconds for which all are tried nevertheless, when it is the last time
local PAUSE = 1; -- seconds until that is tried again, when Prosody stops
local MUCH = 1000; -- entries of one user, who has very many
local REST, MIN_REST, MAX_REST = 20, 0.1, 60; -- how many times as long as their writing took their records rest; seconds
local DOOMSDAY = 2^38 - 1; -- the last time that the table knows: all has expired by then
local MAX_OF_ONE = 1000000; -- entries that the table shows at once
local NO_ROOM = "there is no room for it in memory (receipts_max_pending)";

local store = {};
local methods = {};
local mt = { __index = methods };

--- @param host     whose users these are
-- @param pending  the pending table
-- @param stores   { keyval =, map = } of the store's name: two views of the same data
-- @param actions  ttl: seconds for which records are kept; now(): seconds since the epoch; monotonic(): seconds, that nobody sets;
--                 cpu(): seconds of CPU time so far; log(level, format, ...);
--                 failed(what, err): called for each failure;
--                 drain(): deals with the entries that the table has evicted; it calls dropped(). What is gone must be known to be
--                 before anything is read, written, or forgotten;
--                 expired(entry): what only the store knew of is over its time, and removed;
--                 is_deleted(user): has another process deleted the account?
--                 deleted(user): it has. It is to call forget()
function store.new(host, pending, stores, actions)
	pending:journal();
	return setmetatable({
		host = host, pending = pending, keyval = stores.keyval, map = stores.map, actions = actions;
		known = bounded.new(MAX_KNOWN); -- set of users whose records have been read
		others = bounded.new(MAX_KNOWN); -- set of those of them who had records that are none of ours
		put_off = retries.new(actions.monotonic); -- users whose records could not be read or written
		no_room = bounded.new(MAX_WITHOUT_ROOM); -- user -> when the table was too full for their records
		busy = {}; -- set of users with whose records a storage is dealing; set and cleared by read(), save(), look_up() and forget()
		loading = {}; -- user whose records it reads -> functions that have those go on who wait for that
		gone = {}; -- user -> set of keys whose records are to be removed
		purged = {}; -- set of users all of whose records are to be removed
		forgotten = { times = 0 }; -- how often somebody was; a table, since the store before a reload counts in it too
		going = {}; -- users of `gone` and `purged` who have not had their turn
		damaged = {}; -- set of users whose data are none: to be replaced
		restored = {}, at = 1; -- users with entries that came from the store, and whose turn it is, see `restored_user`
		is_restored = {}; -- the same as a set
		rests = {}; -- user -> until when their records are not written, as they take long
		tried = {}; -- set of users who have had their turn in write_changed() in this round, which goes on while flush() says "more"
		began = nil; -- when it said so first
		-- What it fails at, as a full disk can still be read: failures = how many users in a row could not be served; user = the last of
		-- them; down = when it was last found to be down, nil while it is not
		reading = { failures = 0 }, writing = { failures = 0 };
		patient_until = -math.huge; -- until when all are tried though it is
	}, mt);
end

--- What another one knew, after a reload. That one may still be at work with a storage, for the same pending table.
function methods:take_over(other)
	self.known:take_over(other.known);
	self.others:take_over(other.others);
	self.busy, self.loading, self.gone, self.purged = other.busy, other.loading, other.gone, other.purged;
	self.restored, self.is_restored, self.damaged = other.restored, other.is_restored, other.damaged;
	self.forgotten = other.forgotten;
end

local function complain(self, what, user, err)
	local writing = what ~= "read";
	local trouble = writing and self.writing or self.reading;
	if user ~= trouble.user then trouble.failures = trouble.failures + 1; end
	trouble.user = user;
	if trouble.failures >= GIVE_UP_AFTER then
		trouble.down = self.actions.monotonic();
	else
		self.put_off:failed(user, err, writing);
	end
	self.actions.failed("What is pending of "..user.." cannot be "..what..", and is tried again later", err);
end

-- Is this user not to be dealt with now? While the store is down for all, whoever is next may find out that it works again.
-- @param trouble  self.reading or self.writing
local function is_put_off(self, user, trouble)
	return self.busy[user] or not trouble.down and self.put_off:why(user, trouble == self.writing) ~= nil;
end

-- Is it too soon after that to try again?
local function is_recent(self, since)
	return since ~= nil and self.actions.monotonic() - since < RETRY_AFTER;
end

local function forgive(trouble)
	trouble.failures, trouble.user, trouble.down = 0, nil, nil;
end

-- What can be written can be read, but not the other way round.
local function worked(self, user, writing)
	self.put_off:worked(user, writing);
	local was_down = self.reading.down or self.writing.down;
	forgive(self.reading);
	if writing then forgive(self.writing); end
	if was_down and not self.writing.down then self.actions.log("info", "The store of what is pending works again"); end
end

local function remove_key(self, user, key)
	self.gone[user] = self.gone[user] or {};
	self.gone[user][key] = true;
end

local function remove_record(self, user, entry)
	remove_key(self, user, records.key(entry.to, entry.id));
end

-- A record that is not in the table is over its time.
local function expire(self, user, entry)
	remove_record(self, user, entry);
	entry.from = jid_join(user, self.host);
	self.actions.expired(entry);
end

-- What is no record of ours is left alone, be it of another version, or of a host that has got another name. But nothing is kept for longer
-- than a record is.
-- @param times  as records.entries() returns them
local function expire_others(self, user, times)
	for key, time in pairs(times) do
		if self.actions.now() - time >= self.actions.ttl then remove_key(self, user, key); end
	end
end

local function is_gone(self, user, entry)
	return self.gone[user] ~= nil and self.gone[user][records.key(entry.to, entry.id)] ~= nil;
end

-- Puts a user's records into the table. Returns whether there was room for all.
local function take_in(self, user, data)
	local entries, damaged, times = records.entries(data);
	expire_others(self, user, times);
	local account, alive, others = jid_join(user, self.host), {}, {};
	-- First those that the table has: what makes room for the others is not to come back with its own record.
	for _, entry in ipairs(entries) do
		if not is_gone(self, user, entry) then
			table.insert(self.pending:state(account, entry.to, entry.id) and alive or others, entry);
		end
	end
	table.move(others, 1, #others, #alive + 1, alive);
	local _, _, why = self.pending:import(account, alive, self.actions.now());
	local complete = true;
	for i, reason in pairs(why) do
		if reason == "expired" then
			expire(self, user, alive[i]);
		elseif reason == "full" or reason == "out of memory" then
			complete = false;
		else
			damaged = damaged + 1;
			if self.actions.now() - alive[i].time >= self.actions.ttl then remove_record(self, user, alive[i]); end
		end
	end
	if damaged > 0 then
		self.others:set(user, true);
		self.actions.log("warn", "%d stored records of what is pending of %s are damaged, or not of this version: they are left alone", damaged, user);
	end
	if #alive > 0 and not self.is_restored[user] then
		table.insert(self.restored, user);
		self.is_restored[user] = true;
	end
	return complete;
end

--- Have a user's records been read?
function methods:knows(user)
	return self.known.at[user] == true;
end

-- Deals with what the storage has of a user, as load() does.
local function loaded(self, user, data, err)
	if not data and err then
		complain(self, "read", user, err);
		return false;
	end
	worked(self, user);
	if self.purged[user] then data = nil; end -- they are still to be removed
	self.others:set(user, nil);
	if data and type(data) ~= "table" then
		self.actions.log("warn", "What is stored as pending of %s is damaged altogether: it is replaced when there is something to store", user);
		self.damaged[user] = true;
	elseif data then
		self.actions.drain();
		local complete = take_in(self, user, data);
		self.actions.drain();
		if not complete then
			self.no_room:set(user, self.actions.monotonic());
			return false, NO_ROOM;
		end
	end
	self.known:set(user, true);
	self.no_room:set(user, nil);
	return true;
end

-- Reads a user's records. Whoever waits for that goes on when they have been dealt with.
-- @param deal  function (self, user, data, err)
-- @return what deal returned
local function read(self, user, deal)
	local waiting = {};
	self.busy[user], self.loading[user] = true, waiting;
	local data, err = retries.attempt(self.keyval, "get", user);
	self.busy[user], self.loading[user] = nil, nil; -- first: who is told of what has expired may come here again
	local sound, result, why = pcall(deal, self, user, data, err);
	for _, done in ipairs(waiting) do done(); end
	if not sound then error(result, 0); end
	return result, why;
end

--- Makes sure that a user's records are in the pending table. Whoever comes while they are read waits for that, where something may wait.
-- @return true; false when they cannot be read now, so that what the table says is not all there is; and why, where that is not logged
function methods:load(user)
	if self.known.at[user] then return true; end
	local waiting = self.loading[user];
	if waiting and #waiting < MAX_WAITING and coroutine.isyieldable() then
		local wait, done = async.waiter();
		table.insert(waiting, done);
		wait();
		return self:load(user);
	end
	if is_recent(self, self.no_room.at[user]) then return false, NO_ROOM; end
	if is_recent(self, self.reading.down) or is_put_off(self, user, self.reading) then return false; end
	return read(self, user, loaded);
end

--- This entry is no longer in the table.
-- @param entry  as the engine's expire() and evicted() return it
function methods:dropped(entry)
	local user = entry.stored and jid_node(entry.from);
	if user then remove_record(self, user, entry); end
end

-- Removes all that is stored of a user. Returns whether that worked.
local function purge(self, user)
	local ok, err = retries.attempt(self.keyval, "set", user, nil);
	if not ok then
		complain(self, "removed", user, err);
		return false;
	end
	worked(self, user, true);
	self.purged[user], self.damaged[user] = nil, nil;
	return true;
end

local function is_deleted(self, user)
	local ok, deleted = pcall(self.actions.is_deleted, user);
	return ok and deleted;
end

-- Of one that this process has deleted there is nothing to tell.
local function take_for_deleted(self, user)
	if self.pending:count(jid_join(user, self.host)) > 0 then
		self.actions.log("info", "The account %s was deleted by another process: what was pending of it is forgotten", user);
	end
	self.actions.deleted(user);
end

--- Forgets the user if another process has deleted the account. Returns whether it has. While a storage is at work for the user, that is not
-- asked: before anything is written it is in any case.
function methods:look_up(user)
	if self.busy[user] then return false; end
	self.busy[user] = true;
	local deleted = is_deleted(self, user);
	self.busy[user] = nil;
	if deleted then take_for_deleted(self, user); end
	return deleted;
end

-- A user's changes: what is to become of which record; and whether something is to be written, and not only to be removed.
local function changes_of(self, user, entries)
	local changes, any_kept = {}, false;
	for key in pairs(self.gone[user] or {}) do changes[key] = self.map.remove; end
	for _, entry in ipairs(entries) do
		changes[records.key(entry.to, entry.id)] = entry.keep and records.from(entry) or self.map.remove;
		any_kept = any_kept or entry.keep;
	end
	return changes, any_kept;
end

-- Brings one user's changes to the store. Returns whether that worked.
local function write(self, user, changes, any_kept)
	local any, forgotten = next(changes) ~= nil, self.forgotten.times;
	if any_kept and is_deleted(self, user) then
		take_for_deleted(self, user);
		return purge(self, user); -- which forget() leaves to who has the user's records in hand
	end
	if (self.purged[user] or any and self.damaged[user]) and not purge(self, user) then return false; end
	if self.forgotten.times ~= forgotten then return false; end -- meanwhile, and this may be the user
	local ok, err = true, nil;
	if any then ok, err = retries.attempt(self.map, "set_keys", user, changes); end
	if not ok then
		complain(self, "written", user, err);
		return false;
	end
	worked(self, user, true);
	return true;
end

-- What was taken for written is not: what is still in the table is to be written again.
local function take_back(self, user, entries, gone)
	local account, left = jid_join(user, self.host), {};
	for _, entry in ipairs(entries) do
		if not entry.keep then
			remove_record(self, user, entry);
		elseif self.pending:state(account, entry.to, entry.id) then
			table.insert(left, entry);
		end
	end
	self.pending:import(account, left, self.actions.now()); -- those that it has: so they only count as changed
	for key in pairs(gone or {}) do remove_key(self, user, key); end
end

-- Prosody's files are written anew for each change, and nothing else is done meanwhile: a user of whom very much is pending would hold up all
-- others with each message. Of others it is not to be measured: where a storage lets others run, the time is that of all.
local function is_resting(self, user)
	local till = self.rests[user];
	return till ~= nil and self.actions.monotonic() < till;
end

-- Have this user's records to wait, be it that they could not be written?
local function has_to_wait(self, user)
	return is_put_off(self, user, self.writing) or is_resting(self, user);
end

local function rest(self, user, cpu)
	local seconds = math.min(MAX_REST, REST * cpu);
	local rests = seconds > MIN_REST and self.pending:count(jid_join(user, self.host)) > MUCH;
	self.rests[user] = rests and self.actions.monotonic() + seconds or nil;
end

-- Writes one user's changes, which the journal takes for written already. Returns whether that worked; else it is as if nobody had tried.
local function save(self, user, entries, ...)
	local gone, cpu = self.gone[user], self.actions.cpu();
	self.gone[user] = nil; -- what goes while the storage is at work is there for the next time
	self.busy[user] = true;
	local sound, ok = pcall(write, self, user, ...);
	self.busy[user] = nil;
	rest(self, user, self.actions.cpu() - cpu);
	if not sound or not ok then take_back(self, user, entries, gone); end
	if not sound then error(ok, 0); end
	return ok;
end

-- Is nobody to be tried any more?
local function gives_up(self)
	return self.writing.down ~= nil and self.actions.monotonic() >= self.patient_until;
end

-- For how long the oldest of these entries has waited. Those that were in the store already, with the same time, do not tell.
local function waited(entries, now)
	local longest = 0;
	for _, entry in ipairs(entries) do
		if not entry.stored or entry.state == "delivered" then longest = math.max(longest, now - entry.time); end
	end
	return longest;
end

-- A user has had their turn. Says whether to go on.
-- @param round  { left = how many more may have theirs, deadline = until when, failing = has any failed? longest = for how many seconds
--               had waited what was written }
local function goes_on(self, round, ok)
	round.left = round.left - 1;
	round.failing = round.failing or not ok;
	return round.left > 0 and self.actions.monotonic() < round.deadline and not gives_up(self);
end

-- Writes what the table says has changed, as flush() does, until somebody's second turn would come: everybody has had theirs. Returns
-- whether to go on.
local function write_changed(self, round, young)
	while true do
		local time = self.actions.now();
		local account, entries = self.pending:changed(time, young);
		local user = account and jid_node(account);
		if not account or user and self.tried[user] then return true; end
		local ok = not user; -- the server itself has no records
		if user and not has_to_wait(self, user) then
			local changes, any_kept = changes_of(self, user, entries);
			self.pending:saved(true); -- now: the table may change while the storage is at work
			ok = save(self, user, entries, changes, any_kept);
		else
			self.pending:saved(ok);
		end
		if user then self.tried[user] = true; end
		if ok and user then round.longest = math.max(round.longest, waited(entries, time)); end
		if not goes_on(self, round, ok) then return false; end
	end
end

-- The same for what is to be removed of who has nothing to be written.
local function remove_gone(self, round)
	if #self.going == 0 then
		for user in pairs(self.gone) do table.insert(self.going, user); end
		for user in pairs(self.purged) do table.insert(self.going, user); end
	end
	while #self.going > 0 do
		local user = table.remove(self.going);
		if (self.gone[user] or self.purged[user]) and not self.tried[user] then
			local ok = not has_to_wait(self, user) and save(self, user, {}, (changes_of(self, user, {})));
			if not goes_on(self, round, ok) then return false; end
		end
	end
	return true;
end

--- Writes what has changed, user by user, but for those who are put off. Until all have had their turn nobody has a second one: one
-- user who asks without end, and whose records take long to write, would have the store written all the time. When that takes longer
-- than what is young may wait, a new turn begins, so that nobody waits for all records that are to be removed.
-- @param max      users at the most
-- @param seconds  optional: time that this may take, about
-- @param young    optional: what was asked less than so many seconds ago may wait, for most is acked before it is older
-- @return "done", "more" (there are more users), or "failing": some are to be tried again later; and for how many seconds had waited
--         what was written and waited longest
function methods:flush(max, seconds, young)
	self.actions.drain();
	local started = self.actions.monotonic();
	if self.began and young and started - self.began >= young then self.tried, self.began = {}, nil; end
	local round = { left = max, deadline = seconds and started + seconds or math.huge, failing = false, longest = 0 };
	local all = write_changed(self, round, young) and remove_gone(self, round);
	if not all and not gives_up(self) then
		self.began = self.began or started;
		return "more", round.longest;
	end
	self.tried, self.began = {}, nil;
	return round.failing and "failing" or "done", round.longest;
end

local function write_all(self)
	self.tried, self.going, self.began, self.rests = {}, {}, nil, {};
	self.put_off:forget();
	return self:flush(math.huge) == "done";
end

--- Writes everything, unless the store fails. It is the last time: so also what was put off, and though some cannot be written.
-- @return whether all is written
function methods:flush_all()
	self.patient_until = self.actions.monotonic() + PATIENCE;
	return write_all(self);
end

--- The same when Prosody stops. What fails is tried again, as a database may be locked for a moment, by a backup perhaps.
-- @param began  when the first host began with that, by monotonic(): its time is that of all, so that Prosody stops no later where there are
--               many
-- @param sleep  function (seconds): nobody else runs meanwhile, nor has to any more
-- @return whether all is written
function methods:flush_at_stop(began, sleep)
	self.patient_until = began + PATIENCE;
	while not write_all(self) do
		if self.actions.monotonic() + PAUSE >= self.patient_until then return false; end
		sleep(PAUSE);
	end
	return true;
end

--- The user is gone, and nothing of theirs is to come back.
function methods:forget(user)
	self.actions.drain();
	self.pending:forget(jid_join(user, self.host));
	self.gone[user], self.rests[user] = nil, nil;
	self.put_off:forget(user);
	self.no_room:set(user, nil);
	self.purged[user] = true;
	self.forgotten.times = self.forgotten.times + 1;
	self.known:set(user, true); -- there is nothing to be read any more
	if self.busy[user] then return false; end
	self.busy[user] = true;
	local done = purge(self, user);
	self.busy[user] = nil;
	return done;
end

--- The user is gone, and never comes back. What is stored of theirs is removed with the next writing: so nothing is done to the storage
-- for a user of whom it has nothing, and nothing waits for it. Hence an expiry at the end of time: it shows each entry, as the table's
-- forget() does not, and so whether the store has any.
function methods:leave(user)
	self.actions.drain();
	local _, entries = self.pending:expire(DOOMSDAY, MAX_OF_ONE, jid_join(user, self.host));
	local has_records = self.gone[user] ~= nil;
	for _, entry in ipairs(entries) do has_records = has_records or entry.stored; end
	if has_records then self.purged[user] = true; end -- as a whole: some storage keeps an empty table for who has no records left
	self.known:set(user, nil);
	self.gone[user], self.rests[user] = nil, nil;
end

--- One user after the other of those with entries from the store. In the table as a whole these are not in the order of their times.
-- @return their account; or nil when all have had their turn, which then begins anew
function methods:restored_user()
	local user = self.restored[self.at];
	if not user then
		self.at = 1;
		return nil;
	end
	local account = jid_join(user, self.host);
	if self.pending:count(account) > 0 then
		self.at = self.at + 1;
	else
		self.is_restored[user] = nil;
		self.restored[self.at] = self.restored[#self.restored];
		table.remove(self.restored);
	end
	return account;
end

--- Removes the expired records of users who have not been seen since the start, what is none of ours and would have expired, and what is
-- kept of who has been deleted since; one user a call.
-- @return iterator: a function that deals with one user and returns that user's name; nil when all are dealt with
function methods:sweep()
	local function expire_old(_, user, data, err)
		if not data and err then return complain(self, "read", user, err); end
		worked(self, user);
		self.actions.drain(); -- what has made room is not told of as expired
		if type(data) ~= "table" or self.known.at[user] then return; end
		local entries, _, times = records.entries(data);
		expire_others(self, user, times);
		local last = entries[#entries];
		if last and last.time > self.actions.now() then return loaded(self, user, data); end -- a clock was ahead: the table sets it right
		for _, entry in ipairs(entries) do
			local is_over = self.actions.now() - entry.time >= self.actions.ttl and not is_gone(self, user, entry);
			if is_over and not self.pending:state(jid_join(user, self.host), entry.to, entry.id) then expire(self, user, entry); end
		end
	end
	local users = {};
	for user in pairs(self.known.at) do table.insert(users, user); end
	local ok, next_user, state, first = pcall(self.keyval.users, self.keyval);
	if not ok or type(next_user) ~= "function" then next_user = function () end; end -- a storage that cannot list them
	for user in next_user, state, first do
		if type(user) == "string" and not self.known.at[user] then table.insert(users, user); end
	end
	return function ()
		local user = table.remove(users);
		if user and self.known.at[user] then
			if self:look_up(user) then
				self.known:set(user, nil);
			elseif self.others.at[user] and not self.busy[user] and not self.purged[user] then
				read(self, user, loaded); -- they may be over their time by now
			end
		elseif user and not self.busy[user] and not self.purged[user] and not is_recent(self, self.reading.down) then
			read(self, user, expire_old);
		end
		return user;
	end;
end

return store;
