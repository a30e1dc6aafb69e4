-- SPDX-License-Identifier: MIT
-- What has become of messages that ask, by account, requester and id, in bounded memory. Who asks for very much displaces what is remembered
-- of their own messages, and of nobody else's.

local new_cache = require "util.cache".new;

local bare_of = (module:require "jids").bare;

local MAX_OF_ACCOUNT = 500; -- messages to an account, and
local MAX_ALL = 100000; -- to all accounts; who had none for the longest is forgotten first

local fates = {};
local methods = {};
local mt = { __index = methods };

-- accounts: account -> { count, of = { requester's bare JID -> cache of fates, by key() } }; count: of all fates
function fates.new()
	return setmetatable({ accounts = new_cache(MAX_ALL + 1), count = 0 }, mt);
end

--- What another one remembered, after a reload.
function methods:take_over(other)
	self.accounts, self.count = other.accounts, other.count;
end

local function key(requester, id)
	return requester.."\0"..id;
end

--- The account's user is gone, or what was remembered does not matter any more.
function methods:forget(account)
	local theirs = self.accounts:get(account);
	if not theirs then return; end
	self.count = self.count - theirs.count;
	self.accounts:set(account, nil);
end

-- Of the requester who has most, the oldest goes; what `latest` has just asked for stays.
local function make_room(theirs, latest)
	local who, most = nil, 0;
	for requester, list in next, theirs.of do
		local count = requester == latest and list:count() - 1 or list:count();
		if count > most then who, most = requester, count; end
	end
	local list = theirs.of[who];
	list:set(list:tail(), nil);
	if list:count() == 0 then theirs.of[who] = nil; end
end

--- @param requester  full JID, or bare where only that is known
-- @param fate       anything; nil forgets it
function methods:set(account, requester, id, fate)
	local theirs, bare = self.accounts:get(account) or { count = 0, of = {} }, bare_of(requester);
	local list = theirs.of[bare] or new_cache(MAX_OF_ACCOUNT + 1);
	local before, count = theirs.count, list:count();
	list:set(key(requester, id), fate);
	theirs.of[bare] = list:count() > 0 and list or nil;
	theirs.count = before + list:count() - count;
	if theirs.count > MAX_OF_ACCOUNT then
		make_room(theirs, bare);
		theirs.count = MAX_OF_ACCOUNT;
	end
	self.count = self.count + theirs.count - before;
	self.accounts:set(account, theirs.count > 0 and theirs or nil); -- the account is in use
	while self.count > MAX_ALL do self:forget((self.accounts:tail())); end
end

local function list_of(self, account, requester)
	local theirs = self.accounts:get(account);
	return theirs and theirs.of[bare_of(requester)];
end

--- That of a requester by just this address.
function methods:at(account, requester, id)
	local list = list_of(self, account, requester);
	return list and list:get(key(requester, id));
end

--- That of a requester by this full JID, or by the bare one.
function methods:get(account, requester, id)
	local list = list_of(self, account, requester);
	return list and (list:get(key(requester, id)) or list:get(key(bare_of(requester), id)));
end

--- The addresses of a requester by which something is remembered of this id.
-- @param requester  bare JID
-- @return array of JIDs
function methods:addresses(account, requester, id)
	local list, found, tail = list_of(self, account, requester), {}, key("", id);
	if not list then return found; end
	for k in list:items() do
		if k:find(tail, -#tail, true) then table.insert(found, k:sub(1, -#tail - 1)); end
	end
	return found;
end

--- All of an account.
-- @param visit  function (fate)
function methods:each(account, visit)
	local theirs = self.accounts:get(account);
	for _, list in next, theirs and theirs.of or {} do
		for _, fate in list:items() do visit(fate); end
	end
end

return fates;
