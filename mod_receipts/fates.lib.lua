-- SPDX-License-Identifier: MIT
-- What has become of messages that ask, by account, requester and id, in bounded memory. Of an account that has too many, the oldest of whoever
-- has asked for most goes, if that is very much; else the oldest of whoever has not asked for the longest.

local new_cache = require "util.cache".new;

local bare_of = (module:require "jids").bare;

local MAX_OF_ACCOUNT = 500; -- messages to an account, and
local MAX_ALL = 100000; -- to all accounts; who had none for the longest is forgotten first
local MUCH = 100; -- messages of one requester to an account

local fates = {};
local methods = {};
local mt = { __index = methods };

-- accounts: account -> { count, of = cache: requester's bare JID -> cache of fates by key(), most = who has most, if that is more
-- than MUCH, or had when that was last looked at; "" if nobody has }; count: of all fates
function fates.new()
	return setmetatable({ accounts = new_cache(MAX_ALL + 1), count = 0 }, mt);
end

local function new_account()
	return { count = 0, of = new_cache(MAX_OF_ACCOUNT + 1), most = "" };
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

local function remove(self, theirs, bare, list, k)
	list:set(k, nil);
	if list:count() == 0 then theirs.of:set(bare, nil); end
	theirs.count, self.count = theirs.count - 1, self.count - 1;
end

-- Who has most, of those that have very much.
local function who_has_most(theirs)
	local who, most = "", MUCH;
	for requester, list in theirs.of:items() do
		if list:count() > most then who, most = requester, list:count(); end
	end
	return who;
end

local function make_room(self, theirs)
	local list = theirs.of:get(theirs.most);
	if theirs.most ~= "" and (not list or list:count() <= MUCH) then theirs.most = who_has_most(theirs); end
	local who = theirs.most ~= "" and theirs.most or theirs.of:tail();
	list = theirs.of:get(who);
	remove(self, theirs, who, list, (list:tail()));
end

local function add(self, account, theirs, bare, list, k, fate)
	list:set(k, fate);
	theirs.of:set(bare, list); -- now the latest, and so is the account
	theirs.count, self.count = theirs.count + 1, self.count + 1;
	local most = theirs.of:get(theirs.most);
	if list:count() > math.max(MUCH, most and most:count() or 0) then theirs.most = bare; end
	if theirs.count > MAX_OF_ACCOUNT then make_room(self, theirs); end
	self.accounts:set(account, theirs);
	while self.count > MAX_ALL do self:forget((self.accounts:tail())); end
end

--- What was not remembered is now the latest; what was stays where it is.
-- @param requester  full JID, or bare where only that is known
-- @param fate       anything; nil forgets it
function methods:set(account, requester, id, fate)
	local theirs, bare, k = self.accounts:get(account), bare_of(requester), key(requester, id);
	local list = theirs and theirs.of:get(bare);
	if not list or list:get(k) == nil then
		if fate ~= nil then add(self, account, theirs or new_account(), bare, list or new_cache(MAX_OF_ACCOUNT + 1), k, fate); end
	elseif fate ~= nil then
		list:set(k, fate);
	else
		remove(self, theirs, bare, list, k);
		if theirs.count == 0 then self.accounts:set(account, nil); end
	end
end

local function list_of(self, account, requester)
	local theirs = self.accounts:get(account);
	return theirs and theirs.of:get(bare_of(requester));
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
	if not theirs then return; end
	for _, list in theirs.of:items() do
		for _, fate in list:items() do visit(fate); end
	end
end

return fates;
