-- SPDX-License-Identifier: MIT
-- Rule F4: what people may ask about one host, by whatever way they ask: the shell (shell.lib.lua) and ad-hoc commands (forms.lib.lua).

local jid_join = require "util.jid".join;
local jid_split = require "util.jid".split;
local jid_prep = require "util.jid".prep;

local inspection = {};
local methods = {};
local mt = { __index = methods };

--- @param host   the host
-- @param now    function (): seconds
-- @param parts  pending (the table), preferences, blocks, store, reports, decisions, capabilities; exists (function (user)): is there such
--               a user? drain (function): deals with what the table has evicted; expire_now (function): of upkeep.lib.lua
function inspection.new(host, now, parts)
	return setmetatable({ host = host, now = now, parts = parts }, mt);
end

--- The user and the account that a JID of this host stands for; or nil and what is wrong with the JID. Not every kind of authentication can
-- tell who exists: then anybody may.
function methods:user(jid)
	local prepped = jid_prep(jid);
	local user, host = jid_split(prepped);
	if not user then return nil, ("%q is not the JID of a user, like romeo@%s"):format(tostring(jid), self.host); end
	if host ~= self.host then return nil, prepped.." is not a user of "..self.host; end
	local exists, why = self.parts.exists(user);
	if not exists and why ~= "method not implemented" then return nil, "There is no user "..jid_join(user, host); end
	return user, jid_join(user, host);
end

local function unread(account, problem)
	return "What is stored of "..account.." cannot be read now: "..(problem or "see the log");
end

--- What was counted since the server started, or the module came.
-- @return { host =, counts = see reports.lib.lua, delivery = deliveries by class of time, bounds = of the classes, pending = entries,
--           bytes = memory }
function methods:statistics()
	local pending, reports = self.parts.pending, self.parts.reports;
	reports:settle();
	return {
		host = self.host, counts = reports.counts, delivery = reports.delivery, bounds = reports.BUCKETS;
		pending = pending:count(), bytes = pending:bytes();
	};
end

--- A user's messages whose receipt is awaited, those that failed among them, oldest first: the latest, if there are many.
-- @param most  so many at the most
-- @return array of entries, now, and how many there are; or nil and what is wrong
function methods:pending(jid, most)
	local user, account = self:user(jid);
	if not user then return nil, account; end
	local complete, problem = self.parts.store:load(user);
	if not complete then return nil, unread(account, problem); end
	return self.parts.pending:list(account, most), self.now(), self.parts.pending:count(account);
end

-- What the table tells of a message, as a decision.
local function outcome(self, entry)
	local why = entry.injected and "asked for by the server" or "asked for by the client";
	local user, host = jid_split(entry.to);
	if entry.state == "delivered" then
		why = why.."; E1 delivered";
	elseif entry.state == "failed" then
		why = why.."; E6 bounced";
	elseif user and host == self.host then
		local answers, problem = self.parts.preferences:answers_for(user);
		local blocked = self.parts.blocks.has(user, entry.from); -- mod_blocklist has dropped it, mostly in silence
		why = why..", and awaited; "..(blocked and "D3 this user has blocked the requester"
			or answers and "D2 the server answers when there is proof, unless a client does"
			or problem and "D1 the user's choice cannot be read now" or "D1 the server does not answer for this user");
	else
		why = why..", and awaited";
	end
	return { time = entry.time, id = entry.id, from = entry.from, to = entry.to, why = why };
end

--- What was decided about a user's recent messages, and what the table tells of them, oldest first.
-- @param id  optional: of one message
-- @return array, see decisions.lib.lua, and now; or nil and what is wrong
function methods:why(jid, id)
	local user, account = self:user(jid);
	if not user then return nil, account; end
	local complete, problem = self.parts.store:load(user);
	self.parts.drain();
	local list, place = {}, {};
	local function put(decision)
		table.insert(list, decision);
		place[decision] = #list;
	end
	local entries = self.parts.pending:export(account);
	local function put_entries(delivered)
		for _, entry in ipairs(entries) do
			if (entry.state == "delivered") == delivered and (id == nil or entry.id == id) then put(outcome(self, entry)); end
		end
	end
	put_entries(false);
	for _, decision in ipairs(self.parts.decisions:about(account, id)) do put(decision); end
	put_entries(true);
	if #list == 0 and not complete then return nil, unread(account, problem); end
	table.sort(list, function (a, b) -- which alone would mix up what happened at one time, and that of an entry is kept to 1/64 s
		local one, other = a.time * 64 // 1, b.time * 64 // 1;
		if one ~= other then return one < other; end
		return place[a] < place[b];
	end);
	return list, self.now();
end

--- The clients of a person that this host knows, and what is known of each.
function methods:clients(jid)
	return self.parts.capabilities:clients(jid);
end

--- Drops what is over its time: at once from memory, and from the store in the background.
-- @return number of entries
function methods:expire()
	return self.parts.expire_now();
end

--- Forgets what is pending of a user, and what was decided about it, in memory and in the store.
-- @return number of entries, and whether these are all: what is stored can be removed though it cannot be read; or nil and what is wrong
function methods:forget(jid)
	local user, account = self:user(jid);
	if not user then return nil, account; end
	local complete = self.parts.store:load(user);
	local count = self.parts.pending:count(account);
	local forgotten = self.parts.store:forget(user);
	self.parts.decisions:forget(account);
	if not forgotten then return nil, "What is stored of "..account.." cannot be removed now: see the log"; end
	return count, complete;
end

return inspection;
