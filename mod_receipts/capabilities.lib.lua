-- SPDX-License-Identifier: MIT
-- Chapter B: who supports receipts, learned from presence caps (XEP-0115) and disco#info (XEP-0030).
--
--   by_hash   ver (sha-1) -> true | false        verified: true for every client that shows this ver. Of those that clients here show;
--   by_hash_elsewhere                            the same of others, so that these crowd out none of the former
--   here      full JID -> client                 of this host: all of them, so that nobody elsewhere can crowd them out
--   shapes    ver -> client                      one for all clients of this host that show a verified ver
--   people    of people elsewhere, in bounded memory (people.lib.lua): what each client shows, and what only holds for it
--   able      full JID -> true                   what `of` has said of this host's clients, and would again
--   turns     who is asked, and when (turns.lib.lua)
--
-- A client is a table:
--   ver, node          what its caps say
--   key                the ver once more, where it can be verified: key into by_hash, by_hash_elsewhere
--   own                true | false: what was learned of this client alone
--   asked              when it was sent a query about what it shows, and its answer, if any, is not good for its ver
--   asked_before       when it was sent one about what it showed before
--   is_local           it is of this host; is_shape: it is one of `shapes`
--   room               it is a room's occupant
--   shown, asker       of a client elsewhere: set of the accounts that its presence goes to, and the latest of them whose presence it
--                      may see, or another one when that has gone. It is asked in that name, if it may see that presence by then: else
--                      it would be told who is online.
--
-- A server has many sessions, and the garbage collector walks over what is kept for each again and again. So those of this host that show
-- the same verified ver have one client between them, and there is no list of each user's clients: Prosody has it.
--
-- Nothing here sends or waits, or reads what disco#info says (disco.lib.lua does): `new` is given functions for that.

local new_cache = require "util.cache".new;

local bounded = module:require "bounded";
local people_lib = module:require "people";
local turns_lib = module:require "turns";
local bare_of = (module:require "jids").bare;

local xmlns_caps = "http://jabber.org/protocol/caps";
local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

local MAX_HASHES = 10000; -- verified vers kept of clients here, and of others
local MAX_JID, MAX_VER, MAX_NODE = 800, 128, 512; -- bytes; longer ones are not looked at

local capabilities = {};

local methods = {};
local mt = { __index = methods };

local function client_of(self, jid)
	return self.here[jid] or self.people:client(jid, bare_of(jid));
end

-- A person's clients, wherever they are, or the one that has this full JID: full JID -> client.
local function clients_at(self, jid)
	if jid ~= bare_of(jid) then return { [jid] = client_of(self, jid) }; end
	local clients = self.people:of(jid);
	if clients then return clients; end
	clients = {};
	for _, session in next, self.actions.sessions(jid) do
		if session.full_jid then clients[session.full_jid] = self.here[session.full_jid]; end
	end
	return clients;
end

-- What this ver stands for: true | false, nil where it is not known. What is known from elsewhere counts as known here once it is shown here.
local function meaning(self, key, is_local)
	local capable = self.by_hash:get(key);
	if capable ~= nil then return capable; end
	capable = self.by_hash_elsewhere:get(key);
	if is_local then self.by_hash:set(key, capable); end
	return capable;
end

local function known(self, client)
	if client.own ~= nil then return client.own; end
	return meaning(self, client.key, client.is_local);
end

-- A client of this host that shows this: the one that all are, while it is known what the ver stands for.
local function client_here(self, ver, node, key)
	local is_shape = meaning(self, key, true) ~= nil;
	local shape = is_shape and self.shapes.at[key];
	if shape and shape.node == node then return shape; end
	local client = { key = key, ver = ver, node = node, is_local = true, is_shape = is_shape };
	if is_shape then self.shapes:set(key, client); end
	return client;
end

-- Is this answer what the client's ver stands for? Then it is noted for all that show it.
local function verified(self, client, query)
	if not client.key or self.disco.hash(query) ~= client.key or not self.disco.hash_is_safe(query) then return false; end
	local before, capable = meaning(self, client.key), self.disco.lists_receipts(query);
	local hashes = client.is_local and self.by_hash or self.by_hash_elsewhere;
	hashes:set(client.key, capable);
	if before ~= capable then self.actions.learned(); end
	return true;
end

-- A client has answered.
local function learn(self, jid, client, query)
	if verified(self, client, query) then
		client.asked = nil; -- it is to be asked again should that be forgotten
		return;
	end
	-- An answer names what was asked about. If it doesn't, it may be one to an earlier question, where there was one.
	local node = query.attr.node;
	if node ~= turns_lib.node_of(client) and (node or client.asked_before) then return; end
	client.own = self.disco.lists_receipts(query);
	self.actions.learned(jid);
end

-- Has this client asked, where there is something to learn of it.
local function want(self, jid, client)
	self = self.actions.newest(); -- a client may show itself here after a reload, having waited
	if client.room or known(self, client) ~= nil then return; end
	if client.is_shape then -- what its ver stands for has been forgotten: this one is to be asked
		client = client_here(self, client.ver, client.node, client.key);
		self.here[jid] = client;
	end
	self.turns:want(jid, client);
end

-- The same of whoever has this address by now.
local function want_again(self, jid)
	local client = client_of(self, jid);
	if client then want(self, jid, client); end
end

--- @param disco    disco.lib.lua
-- @param actions  send(jid, from, node, done): sends a disco#info query for `node` (may be nil) to `jid`, from the account `from`
--                 (nil: from the host), and calls done(query) with the answer's <query/>, or done(nil) on error or time-out, once;
--                 later(callback): calls back when whoever else asks the same has had time to;
--                 soon(callback): calls back when what is being done is over;
--                 may_see(account, jid): may the client there know that somebody of this account is online?
--                 is_contact(account, bare): does its roster have that bare JID?
--                 is_shown_all(account, bare): is it subscribed to that one's presence, so that all clients there show themselves?
--                 sessions(account): its sessions, by resource; an empty table where there are none
--                 hibernates(jid): is that client of this host away until its session is taken up again (XEP-0198)?
--                 monotonic(): seconds, that nobody sets;
--                 newest(): the one that there is by now, as after a reload;
--                 learned(jid): something is known that was not, of this client, or (jid is nil) of all that show some ver
function capabilities.new(disco, actions)
	local function is_stranger(account, bare, jid)
		return not actions.is_contact(account, bare) and not actions.may_see(account, jid);
	end
	local self = setmetatable({
		by_hash = new_cache(MAX_HASHES), by_hash_elsewhere = new_cache(MAX_HASHES);
		people = people_lib.new(is_stranger), here = {}, shapes = bounded.new(MAX_HASHES), able = {};
		disco = disco, actions = actions,
	}, mt);
	self.turns = turns_lib.new(actions, {
		of = function (jid) return client_of(self, jid); end;
		is_known = function (client) return known(self, client) ~= nil; end;
		answered = function (jid, client, query) learn(self, jid, client, query); end;
		want = function (jid) want_again(self, jid); end;
	});
	return self;
end

-- What a client of this host has shown until now, it shows no more: it does not wait for its turn in that.
local function withdraw(self, jid)
	local client = self.here[jid];
	if client then self.turns:withdraw(jid, client); end
end

-- What caps a presence has: whether it has any, their ver, their node, and the ver once more where it can be verified.
-- Caps without a hash are as they once were (XEP-0115 1.3): node and ver stand for some of what a client can do, each word of ext for more.
-- A client that is asked about no node tells all.
local function caps_of(stanza)
	local c = stanza:get_child("c", xmlns_caps);
	if not c then return false; end
	local ver, node, hash, ext = c.attr.ver, c.attr.node, c.attr.hash, c.attr.ext;
	if #(ver or "") > MAX_VER or #(node or "") > MAX_NODE or #(ext or "") > MAX_NODE then return false; end
	if not hash then return true, ver and ext and ver.." "..ext or ver; end
	return true, ver, node, hash == "sha-1" and ver or nil;
end

-- Presence without caps, as it is sent to rooms, does not unsay what other presence has said.
local function shows_other(client, has_caps, ver, node, key)
	return has_caps and (client.ver ~= ver or client.node ~= node or client.key ~= key);
end

-- What was learned of it was of what it has shown before.
local function show_other(client, ver, node, key)
	client.ver, client.node, client.key = ver, node, key;
	client.asked_before = client.asked_before or client.asked;
	client.own, client.asked = nil, nil;
end

-- A client of this host shows itself.
local function shown_here(self, stanza, jid)
	local client = self.here[jid];
	local has_caps, ver, node, key = caps_of(stanza);
	if not client or shows_other(client, has_caps, ver, node, key) then
		withdraw(self, jid);
		local before = client;
		client = client_here(self, ver, node, key);
		if before and not client.is_shape then client.asked_before = before.asked_before or before.asked; end
		self.here[jid], self.able[jid] = client, nil;
		if known(self, client) ~= nil then self.actions.learned(jid); end
	end
	want(self, jid, client); -- without caps too (rule D4)
end

-- Does a room show its occupant themselves (XEP-0045 §7.2.2)? Each of several clients with one nick is shown its own presence, and others that
-- of one of them: what it says is not what others are shown.
local function is_self(stanza)
	local x = stanza:get_child("x", xmlns_muc_user);
	return x ~= nil and x:get_child_with_attr("status", nil, "code", "110") ~= nil;
end

-- Is this presence from elsewhere dealt with when no more has been looked at than what is at hand? It is where it shows nothing new, as most
-- does that contacts send; in a crowd; and while the client is asked or has to wait for that: whoever shows another ver with each presence
-- would only cost time.
local function is_glance_enough(self, stanza, jid, bare, to)
	local client = self.people:client(jid, bare);
	if not client then
		if not self.people:has_room(bare) then return true; end -- it is not kept
		if not self.turns:is_crowded() then return false; end -- a new one, which may be asked
		local _, _, _, key = caps_of(stanza);
		if meaning(self, key) ~= nil or self.turns:is_under_way(key) then return false; end -- it needs no question of its own
		-- In a crowd nothing would be learned of it.
		if self.actions.is_shown_all(to, bare) then self.people:miss(bare); end -- of others not all are known in any case (rule C3)
		return true;
	end
	-- It is shown to one more user, or turns out to be a room's occupant.
	if not client.shown[to] or not client.room and stanza:get_child("x", xmlns_muc_user) then return false; end
	local has_caps, ver, node, key = caps_of(stanza);
	local is_new = shows_other(client, has_caps, ver, node, key) and not is_self(stanza);
	if self.turns:has(jid, bare) then
		if is_new then show_other(client, ver, node, key); end
		return true; -- its turn comes, for what it shows by then
	end
	-- Nothing is new, it is known what that stands for, and a user knows this person. A stranger may have become known to one.
	return not is_new and meaning(self, key) ~= nil and self.people:seen_again(bare);
end

-- A client elsewhere shows itself to a user of this host. Nobody is kept who has nothing to do with that user, and of whom nothing is known,
-- or who comes after so many others: in a flood they would only cost time. (Rule C3: to that user, not all of theirs are known in any case.)
local function shown_to(self, stanza, jid, bare, to)
	if is_self(stanza) then return; end
	local client = self.people:client(jid, bare);
	local has_caps, ver, node, key = caps_of(stanza);
	local unknown = meaning(self, key) == nil;
	if client then
		if shows_other(client, has_caps, ver, node, key) then show_other(client, ver, node, key); end
	elseif (unknown and not self.turns:is_under_way(key) or self.people:has_enough(to)) and self.people.is_stranger(to, bare, jid) then
		return;
	else
		client = { key = key, ver = ver, node = node };
	end
	client = self.people:seen(jid, bare, client, to);
	if stanza:get_child("x", xmlns_muc_user) then client.room = true; end
	if unknown and not client.room and self.actions.may_see(to, jid) then client.asker = to; end
	if has_caps and client.asker then want(self, jid, client); end
end

-- It is not shown to a user of this host any more.
local function hidden_from(self, jid, client, to)
	if self.people:hide(jid, client, to) then
		self.turns:left(jid);
	elseif client.asker == to then
		client.asker = next(client.shown);
	end
end

--- Takes note of presence.
-- @param stanza  <presence/> with `from` a full JID
-- @param to      the account that it goes to, from elsewhere; nil when a client of this host broadcasts it
function methods:presence(stanza, to)
	local jid, type = stanza.attr.from, stanza.attr.type;
	if not jid or #jid > MAX_JID then return; end
	local bare = bare_of(jid);
	-- Where a server has gone, what is sent to its users comes back, in the name of the person. An error of a client is its own, as that of a
	-- nick which is taken.
	if type == "unavailable" or type == "error" and jid == bare then
		if not to then
			self:forget(jid);
		elseif jid == bare then
			self:hidden(bare, to);
		else
			local client = client_of(self, jid);
			if client then hidden_from(self, jid, client, to); end
		end
	elseif type or jid == bare then
		return;
	elseif to then
		if not is_glance_enough(self, stanza, jid, bare, to) then shown_to(self, stanza, jid, bare, to); end
	else
		shown_here(self, stanza, jid);
	end
end

--- Takes note of presence from elsewhere when nothing has to be waited for.
-- @return true where it is dealt with; else `presence` is to be called
function methods:glance(stanza, to)
	local jid, type = stanza.attr.from, stanza.attr.type;
	if not jid or type or #jid > MAX_JID then return false; end
	local bare = bare_of(jid);
	return jid ~= bare and is_glance_enough(self, stanza, jid, bare, to);
end

--- Takes note of presence that a client of this host sends to somebody. While that client is being asked, this can wait: whoever shows
-- another ver with each would only cost time.
function methods:directed(stanza)
	if not self.turns:is_asking(stanza.attr.from) then self:presence(stanza); end
end

--- A client of this host that has hibernated is back.
function methods:resumed(jid)
	want_again(self, jid);
end

--- Nothing of this person (or room) is shown to that account any more.
function methods:hidden(bare, to)
	for jid, client in pairs(self.people:of(bare) or {}) do hidden_from(self, jid, client, to); end
end

--- The user of an account has gone offline. Who was shown to them goes without their being told, and shows itself anew when they come again.
function methods:gone(account)
	for jid in next, self.people:shown_to(account) do hidden_from(self, jid, client_of(self, jid), account); end
end

--- The client is gone.
function methods:forget(jid)
	withdraw(self, jid);
	self.here[jid], self.able[jid] = nil, nil;
	self.people:forget(jid);
	self.turns:left(jid);
end

--- Takes note of a disco#info answer to somebody else's question: it counts only by its hash, and for who shows that hash. And only while
-- somebody is to be asked the same, or this client has not answered that: it is of no other use, and who answers what nobody has asked could
-- do so for one ver after the other.
function methods:overheard(jid, query)
	local client = client_of(self, jid);
	if not client then return; end
	local turns = self.turns;
	local is_wanted = turns:is_under_way(client.key) or client.is_local and turns:takes_another(jid) or client.asked and known(self, client) == nil;
	if is_wanted then verified(self, client, query); end
end

--- A client has answered when that was not expected any more: it had hibernated.
function methods:late(jid, query)
	local client = client_of(self, jid);
	if client and client.asked and known(self, client) == nil then learn(self, jid, client, query); end
end

-- What is known of a client, for who needs to know. What has been forgotten of one here is asked for again; when it is back, if it hibernates.
local function recall(self, jid, client)
	local capable = known(self, client);
	if capable == nil and client.is_local and not self.actions.hibernates(jid) then want(self, jid, client); end
	return capable;
end

--- What is known of the client at a full JID: "capable", "incapable", "unknown", or "silent" when it shows no caps.
function methods:of(jid)
	local client = client_of(self, jid);
	if not client then return "silent"; end
	local capable = recall(self, jid, client);
	if capable == nil then return client.ver and "unknown" or "silent"; end
	if capable and client.is_local then self.able[jid] = true; end
	return capable and "capable" or "incapable";
end

--- Is it known of the client at a full JID whether it is capable?
function methods:knows(jid)
	local client = client_of(self, jid);
	return client ~= nil and known(self, client) ~= nil;
end

-- Are all clients of this person, or the one that has this full JID, known of to the one that asks? Of strangers elsewhere, and where there
-- are too many, not all are kept.
local function has_all(self, jid, by)
	return not self.people:of(jid) or self.people:has_all(jid) and self.actions.is_shown_all(bare_of(by), jid);
end

--- Of whom it is known, of all a person's clients together (rule C3). A room's occupants are people of their own.
-- @param visible  function (by, full JID, client): may the one that asks see this client's presence?
-- @param by       the one that asks
function methods:of_person(jid, visible, by)
	local any, all = false, true;
	for full, client in next, clients_at(self, jid) do
		local capable = recall(self, full, client);
		local matters = capable or all and (capable == nil or not any); -- who may see whom takes the longest to find out
		if matters and (full == jid or not client.room) and visible(by, full, client) then
			if capable then return "capable"; end
			any, all = true, capable == false;
		end
	end
	return any and all and has_all(self, jid, by) and "incapable" or "unknown";
end

--- What another one knew, after a reload. Queries under way are lost with it: who was asked, or waited for that, is asked again. For a
-- client that hibernates the question is kept where it will find it.
function methods:take_over(other)
	self.here, self.by_hash, self.by_hash_elsewhere = other.here, other.by_hash, other.by_hash_elsewhere;
	self.people:take_over(other.people);
	for jid in next, other.turns.asking do
		local client = client_of(self, jid);
		if client and not self.actions.hibernates(jid) then client.asked = nil; end
	end
	local all = {}; -- while they are asked, others may come and go
	for jid in next, self.here do table.insert(all, jid); end
	self.people:each(function (jid, client)
		if client.ver and client.asker then table.insert(all, jid); end
	end);
	for _, jid in ipairs(all) do want_again(self, jid); end
end

--- The full JIDs of a person's clients that are known to be capable.
-- @param visible  as for of_person, and by
function methods:capable_clients(jid, visible, by)
	local list = {};
	for full, client in pairs(clients_at(self, jid)) do
		if visible(by, full, client) and recall(self, full, client) then table.insert(list, full); end
	end
	table.sort(list);
	return list;
end

--- All that is known of a person's clients, or of one: for administrators.
-- @return array of { jid =, support = as `of` says it, ver = of its caps, nil when it shows none }
function methods:clients(jid)
	local list = {};
	for full, client in pairs(clients_at(self, jid)) do
		table.insert(list, { jid = full, support = self:of(full), ver = client.ver });
	end
	table.sort(list, function (a, b) return a.jid < b.jid; end);
	return list;
end

local CAPABLE = { capable = true, incapable = false };
local CAPABLE_ELSEWHERE = { ["capable elsewhere"] = true, ["incapable elsewhere"] = false };

--- Verified vers, to be kept over a restart; and back. As words: Prosody's SQL storage loses what is false.
function methods:export()
	local list = {};
	for key, capable in self.by_hash_elsewhere:items() do list[key] = capable and "capable elsewhere" or "incapable elsewhere"; end
	for key, capable in self.by_hash:items() do list[key] = capable and "capable" or "incapable"; end
	return list;
end

function methods:import(list)
	for key, support in pairs(list) do
		if type(key) == "string" then
			self.by_hash:set(key, CAPABLE[support]);
			self.by_hash_elsewhere:set(key, CAPABLE_ELSEWHERE[support]);
		end
	end
end

return capabilities;
