-- SPDX-License-Identifier: MIT
-- For specs only: loads mod_receipts, and lets memory run out in its hooks. Each call of a hook fails at the allocation after the one
-- that the call before it failed at: once, twice in a row (which Lua's own second attempt does not survive), and until it returns.

local faults = require "receipts.faults";
local modulemanager = require "core.modulemanager";

local TIMES = { 1, 2, -1 };
local IDLE = 4; -- calls in a row without a failure: there is nothing left to fail. Ordinary messages take no memory

-- Event and kind of stanza -> { mode, after, idle }: where it fails next.
local progress = {};
-- failing: calls in which an allocation failed; raised: those that did not catch that.
local sum = { failing = 0, raised = {}, progress = progress };
module.faults = sum;

local busy = false; -- an event within another is part of it

-- The kind is the first word of a message's body.
local function key_of(event, data)
	local body = type(data) == "table" and data.stanza and data.stanza:get_child_text("body");
	return event.." "..(body and body:match("^%a+") or "");
end

local function step(event, handler, data)
	local key = key_of(event, data);
	local at = progress[key] or { mode = 1, after = 0, idle = 0 };
	progress[key] = at;
	local times = TIMES[at.mode];
	if not times or busy or not sum.started then return handler(data); end
	busy = true;
	local failed, ok, result = faults.call(at.after, times, handler, data);
	busy = false;
	if failed > 0 then
		at.after, at.idle = at.after + 1, 0;
		sum.failing = sum.failing + 1;
	elseif at.idle < IDLE then
		at.idle = at.idle + 1;
	else
		at.mode, at.after, at.idle = at.mode + 1, 0, 0;
	end
	if ok then return result; end
	table.insert(sum.raised, ("%s, %d at %d: %s"):format(key, times, at.after - 1, result));
	error(result, 0);
end

function module.load()
	local api = require "core.moduleapi";
	local hook_object_event = api.hook_object_event;
	function api:hook_object_event(object, event, handler, priority)
		if self.name ~= "receipts" then return hook_object_event(self, object, event, handler, priority); end
		return hook_object_event(self, object, event, function (data) return step(event, handler, data); end, priority);
	end
	modulemanager.load(module.host, "receipts");
	api.hook_object_event = hook_object_event;
end

--- The kinds of messages that have not failed in every way, one a line.
function sum.left()
	local list = {};
	for key, at in pairs(progress) do
		if key:find("message/", 1, true) and TIMES[at.mode] then table.insert(list, ("%s, %d at %d"):format(key, TIMES[at.mode], at.after)); end
	end
	return table.concat(list, "\n");
end
