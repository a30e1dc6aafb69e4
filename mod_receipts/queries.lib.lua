-- SPDX-License-Identifier: MIT
-- disco#info queries that are under way. All have one id, which nobody else knows, and are told apart by who is asked.
--
-- Prosody's send_iq() would hold 256 for all of the module, give up the oldest for a further one, and not know an answer that comes
-- late: that of a session that hibernated.

local new_id = require "util.id".medium;

local disco = module:require "disco";

local queries = {};
local methods = {};
local mt = { __index = methods };

local TIMEOUT = 30; -- seconds

--- @param id       of all queries
-- @param actions  send(jid, from, node, id); later(seconds, callback): returns a timer, with stop();
--                 late(jid, query): an answer came when nobody waited for one any more
function queries.new(id, actions)
	return setmetatable({ id = id, actions = actions, waiting = {} }, mt);
end

-- Ends the query to `jid`, if there is one.
local function finish(self, jid, answer)
	local query = self.waiting[jid];
	if not query then return false; end
	self.waiting[jid] = nil;
	query.timer:stop();
	query.done(answer);
	return true;
end

--- Asks. An earlier query to the same client is given up: whoever was asked has gone.
-- @param from  in whose name
-- @param node  optional
-- @param done  function (query): called once, with the answer's <query/>, or nil on error or time-out
function methods:ask(jid, from, node, done)
	finish(self, jid, nil);
	local query = { done = done };
	query.timer = self.actions.later(TIMEOUT, function ()
		if self.waiting[jid] == query then finish(self, jid, nil); end
	end);
	self.waiting[jid] = query;
	self.actions.send(jid, from, node, self.id);
end

--- What came back.
-- @param answer  <query/>; nil for an error
function methods:came(jid, answer)
	if not finish(self, jid, answer) and answer then self.actions.late(jid, answer); end
end

--- Queries by this host, whose answers are heard from now on.
-- @param self   what this is going to be, see asleep.lib.lua
-- @param id     that of queries before a reload, whose answers may come yet; nil where there were none
-- @param hook   function (event name, handler): hooks an event of the host, guarded
-- @param later  of guard.lib.lua
-- @param late   see new
function queries.start(self, id, hook, later, late)
	local own_id = id or new_id();
	local function answered(event)
		self:came(event.stanza.attr.from, disco.result(event.stanza));
		return true;
	end
	for _, type in ipairs { "result", "error" } do
		for _, to in ipairs { "bare", "host" } do hook("iq-"..type.."/"..to.."/"..own_id, answered); end
	end
	hook("resource-unbind", function (event) self:came(event.session.full_jid); end); -- whoever is gone answers no more
	return queries.new(own_id, {
		send = function (...) module:send(disco.query(...)); end;
		later = function (seconds, callback) return later(seconds, "a disco#info query", callback); end;
		late = late;
	});
end

return queries;
