-- SPDX-License-Identifier: MIT
-- mod_receipts: Message Delivery Receipts (XEP-0184) done by the server.
--
-- This file wires Prosody's events to the libs beside it, one a chapter of the rulebook, and to the C engine. It decides nothing:
-- the engine says what a message is, a lib says what is to become of it, and here that is done and logged.

local VERSION = "0.1.0";

if module:get_host_type() ~= "local" then
	module:log("info", "mod_receipts does nothing on a component: enable it on the VirtualHost of the users it is for");
	return;
end

local engine_lib = module:require "engine";
local engine, problem = engine_lib.load(VERSION, module:get_directory(), prosody.paths.installer);
if not engine then
	-- An error object keeps Prosody from adding a traceback to what is one clear line.
	error(setmetatable({}, { __tostring = function () return problem; end }));
end

local st = require "util.stanza";
local new_id = require "util.id".medium;
local jid_bare = require "util.jid".bare;
local jid_resource = require "util.jid".resource;
local time_now = require "util.time".now;

local checks = module:require "checks";
local elements = module:require "elements";
local guards = module:require "guard";
local options_lib = module:require "options";
local presence = module:require "presence";
local requests = module:require "requests";

local bits = engine.bits;

-- Options

local options = options_lib.read(
	function (name) return module:get_option(name); end,
	function (text) module:log("error", "%s", text); end
);

if options.unknown == "drop" then
	module:log("warn", "receipts_unknown = \"drop\" also drops true receipts for messages sent before this module was loaded, "
		.."or forgotten since (receipts_max_pending, receipts_max_pending_per_user, receipts_expire_after)");
end

-- State

local limits = {
	capacity = options.max_pending;
	per_user = options.max_pending_per_user;
	ttl = options.expire_after;
	remember = math.min(options.expire_after, 3600);
};
local pending = engine.pending(limits);
local rooms_of = setmetatable({}, { __mode = "k" }); -- session -> set of the rooms (bare JIDs) it has joined

function module.save()
	return { pending = pending; rooms_of = rooms_of };
end

function module.restore(saved)
	if not saved.pending then return; end
	pending, rooms_of = saved.pending, saved.rooms_of;
	pending:limit(limits);
end

local guard = guards.new(function (...) module:log(...); end, time_now);

local function log_plan(stanza, plan)
	if plan.why then
		module:log("debug", "Message %s from %s to %s: %s", stanza.attr.id, stanza.attr.from, stanza.attr.to, plan.why);
	end
end

local function changes(plan)
	return plan.request ~= "keep" or plan.received ~= "keep";
end

-- Chapter C: ask on behalf of clients that can't

local function ask(origin, stanza)
	-- Nothing is known of anybody's client yet (chapter B).
	local yes, why = requests.decide(options.request, "unknown", "unknown");
	if not yes then return; end
	local attr = stanza.attr;
	local id = attr.id;
	if not id or id == "" then
		id = new_id();
	end
	local rooms = rooms_of[origin];
	local tracked, problem_tracking = pending:add(attr.from, attr.to, id, time_now(), {
		injected = true;
		type = attr.type == "chat" and "chat" or "normal";
		occupant = rooms and rooms[jid_bare(attr.to)] and jid_resource(attr.to) ~= nil;
	});
	if not tracked then
		module:log("debug", "Message %s from %s to %s: not asked for, %s", id, attr.from, attr.to, problem_tracking);
		return;
	end
	elements.ask(stanza);
	attr.id = id;
	module:log("debug", "Message %s from %s to %s: C1 asked for, %s", id, attr.from, attr.to, why);
end

-- Chapter E: check. The stanza is changed in place on its way out, so that archive, carbons and recipient see the same; on its
-- way in it may be shared with others (rooms send one object to all), so a clone is changed.

local function outgoing(event)
	local origin, stanza = event.origin, event.stanza;
	local what = pending:outgoing(stanza, time_now(), rooms_of[origin]);
	if not what then return; end
	if what & bits.content ~= 0 then
		return ask(origin, stanza);
	end
	local has = checks.named(what, bits);
	local plan = checks.outgoing(has, function () return (presence.visible(origin, stanza.attr.to)); end, options);
	log_plan(stanza, plan);
	if checks.empty(plan, has) then return true; end
	if changes(plan) then
		elements.apply(plan, stanza);
	end
end

local function nobody_online_is_capable()
	return false; -- until chapter B
end

local function incoming(event)
	local stanza = event.stanza;
	local what, verdict, _, injected = pending:incoming(stanza, time_now());
	if not what then return; end
	local has = checks.named(what, bits);
	local plan = checks.incoming(has, verdict, injected, nobody_online_is_capable, options);
	log_plan(stanza, plan);
	if checks.empty(plan, has) then return true; end
	if changes(plan) then
		event.stanza = elements.apply(plan, st.clone(stanza));
	end
end

-- Rule E1 needs to know room occupants: whoever joins a room says so in the presence that joins it (XEP-0045 §7.2).
local function joining(event)
	local origin, stanza = event.origin, event.stanza;
	local rooms, room = rooms_of[origin], jid_bare(stanza.attr.to);
	if stanza.attr.type == nil and stanza:get_child("x", "http://jabber.org/protocol/muc") then
		if not rooms then
			rooms = {};
			rooms_of[origin] = rooms;
		end
		rooms[room] = true;
	elseif stanza.attr.type == "unavailable" and rooms then
		rooms[room] = nil;
	end
end

-- Rule F2: what is over its time goes in small steps.

local EXPIRE_EVERY, EXPIRE_STEP = 10, 500; -- seconds, entries

local expire = guard("expiry", function ()
	local done = pending:expire(time_now(), EXPIRE_STEP);
	return done == EXPIRE_STEP and 0.1 or EXPIRE_EVERY;
end);

-- Hooks

module:add_feature(elements.xmlns); -- rule A1

-- Behind mod_blocklist (100), before mod_mam (0), mod_carbons (-0.5) and mod_message (-1): rule C5.
for _, kind in ipairs { "bare", "full", "host" } do
	module:hook("pre-message/"..kind, guard("pre-message/"..kind, outgoing), 20);
end
for _, kind in ipairs { "bare", "full" } do
	module:hook("message/"..kind, guard("message/"..kind, incoming), 20);
end
module:hook("pre-presence/full", guard("pre-presence/full", joining), 20);

local timer = module:add_timer(EXPIRE_EVERY, function () return expire() or EXPIRE_EVERY; end);

function module.unload()
	timer:stop(); -- the rest Prosody takes away by itself
end
