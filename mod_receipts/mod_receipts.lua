-- SPDX-License-Identifier: MIT
-- mod_receipts: Message Delivery Receipts (XEP-0184) done by the server.
--
-- This file wires Prosody's events to the libs beside it, one a chapter of the rulebook, and to the C engine. It decides nothing:
-- the engine says what a message is, a lib says what is to become of it, and here that is done and logged.

local VERSION = "0.1.0";

if module.host == "*" then return; end -- prosodyctl looks in
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

local filters = require "util.filters";
local datetime = require "util.datetime".datetime;
local st = require "util.stanza";
local new_id = require "util.id".medium;
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_join = require "util.jid".join;
local jid_node = require "util.jid".node;
local jid_resource = require "util.jid".resource;
local time_now = require "util.time".now;

local answers_lib = module:require "answers";
local capabilities_lib = module:require "capabilities";
local checks = module:require "checks";
local elements = module:require "elements";
local guards = module:require "guard";
local options_lib = module:require "options";
local preferences_lib = module:require "preferences";
local presence = module:require "presence";
local requests = module:require "requests";
local resend_lib = module:require "resend";

local bits = engine.bits;
local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;

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

local guard = guards.new(function (...) module:log(...); end, time_now);

local limits = {
	capacity = options.max_pending;
	per_user = options.max_pending_per_user;
	ttl = options.expire_after;
	remember = math.min(options.expire_after, 86400); -- a second device may come online the next day
};
local pending = engine.pending(limits);
local rooms_of = setmetatable({}, { __mode = "k" }); -- session -> set of the rooms (bare JIDs) it has joined
local answers = answers_lib.new();
local preferences = preferences_lib.new(module:open_store("receipts_preferences"));

local QUERY_TIMEOUT = 30; -- seconds
local GRACE = 1; -- seconds that mod_pep's own question gets to be answered, before we ask the same

local function send_query(jid, from, node, done)
	local answered = guard("a disco#info answer", done);
	module:send_iq(capabilities_lib.query(jid, from or module.host, node, new_id()), nil, QUERY_TIMEOUT):next(
		function (event) answered(capabilities_lib.result(event.stanza)); end,
		function () answered(nil); end);
end

local function later(callback)
	if not prosody.hosts[module.host].modules.pep then return callback(); end
	module:add_timer(GRACE, guard("a disco#info query", callback));
end

local capabilities = capabilities_lib.new(send_query, later);

local function log_decision(stanza, why)
	module:log("debug", "Message %s from %s to %s: %s", stanza.attr.id, stanza.attr.from, stanza.attr.to, why);
end

local function changes(plan)
	return plan.request ~= "keep" or plan.received ~= "keep" or plan.type ~= nil;
end

-- Chapter B: who supports receipts

-- May the user of this session see the presence of that client? (rule B4)
local function sees(session)
	return function (jid, client)
		local theirs = full_sessions[jid];
		if theirs and theirs.host == module.host then
			return (presence.visible(theirs, session.full_jid));
		end
		return client.shown[session.username.."@"..session.host] == true;
	end;
end

local function presence_out(event)
	local stanza = event.stanza;
	if stanza.attr.to and not stanza.attr.type then
		capabilities:presence(stanza, nil, true);
	end
end

local function presence_in(event)
	local stanza = event.stanza;
	local to, from = stanza.attr.to, stanza.attr.from;
	if not to then
		capabilities:presence(stanza, nil, true);
	elseif jid_host(from) ~= module.host and bare_sessions[jid_bare(to)] then
		-- Who is not online is shown nothing; and of clients of this host all is known by what they broadcast.
		capabilities:presence(stanza, jid_bare(to), false);
	end
end

local function overheard(event)
	local query = capabilities_lib.result(event.stanza);
	if query then capabilities:overheard(event.stanza.attr.from, query); end
end

local function unbound(event)
	if event.session.full_jid then capabilities:forget(event.session.full_jid); end
end

local function is_incapable(session)
	return capabilities:of(session.full_jid) == "incapable";
end

local function has_capable_client(account)
	local user = bare_sessions[account];
	for _, session in pairs(user and user.sessions or {}) do
		if capabilities:of(session.full_jid) == "capable" then return true; end
	end
	return false;
end

-- What was learned by hash outlives a restart: it is small, and spares asking everybody anew.

local hashes = module:open_store("receipts_caps");

local function save_hashes()
	local ok, err = hashes:set(nil, capabilities:export());
	if not ok then module:log("warn", "What is known of clients could not be stored: %s", err); end
end

local function load_hashes()
	local stored, err = hashes:get(nil);
	if type(stored) == "table" then
		capabilities:import(stored);
	elseif err then
		module:log("warn", "What was known of clients could not be read: %s", err);
	end
end

-- Rule G1: send again

-- Stream management will deliver it to this session by itself.
local function still_has(session, content)
	local queue = session.smacks and session.outgoing_stanza_queue;
	if session.hibernating then return true; end
	for _, stanza in ipairs(queue and queue:table() or {}) do
		if stanza.attr.id == content.attr.id and stanza.attr.from == content.attr.from then return true; end
	end
	return false;
end

local resend = resend_lib.new(options.resend_attempts, options.resend_after, {
	later = function (seconds, callback) module:add_timer(seconds, guard("sending again", callback)); end;
	state = function (from, to, id) return (pending:state(from, to, id)); end;
	capable = function (content)
		local user = bare_sessions[jid_bare(content.attr.from)];
		local _, session = next(user and user.sessions or {});
		local seen = session and sees(session);
		return session and capabilities:capable_clients(content.attr.to, function (jid, client)
			local theirs = full_sessions[jid];
			return seen(jid, client) and not (theirs and still_has(theirs, content));
		end) or {};
	end;
	deliver = function (stanza)
		log_decision(stanza, "G1 sent again");
		module:send(stanza);
	end;
});

local function keep(stanza)
	resend:keep(stanza, module.host, datetime());
end

-- Chapter C: ask on behalf of clients that can't

local function ask(origin, stanza, what)
	local attr = stanza.attr;
	local yes, why = requests.decide(options.request, capabilities:of(origin.full_jid), function ()
		return capabilities:of_person(attr.to, sees(origin));
	end);
	if not yes or not preferences_lib.asks(preferences:get(origin.username)) then return; end
	local id = attr.id;
	if not id or id == "" then
		id = new_id();
	end
	local in_room = what & bits.occupant ~= 0 or rooms_of[origin] and rooms_of[origin][jid_bare(attr.to)];
	local tracked, problem_tracking = pending:add(attr.from, attr.to, id, time_now(), {
		injected = true;
		type = attr.type == "chat" and "chat" or "normal";
		occupant = in_room and jid_resource(attr.to) ~= nil;
	});
	if not tracked then
		log_decision(stanza, "not asked for, "..problem_tracking);
		return;
	end
	elements.ask(stanza);
	attr.id = id;
	keep(stanza);
	log_decision(stanza, "C1 asked for, "..why);
end

-- Chapter D: answer on behalf of clients that don't

local function answers_for(user)
	return options.answer ~= "never" and preferences_lib.answers(options.answer, preferences:get(user));
end

-- The answer takes the way of the client's own stanzas. What comes back at once (a block, no such user) is not for the client.
local function send_answer(session, content, why)
	if session.destroyed then return; end
	local id = new_id();
	local answer = answers:make(session, content, id);
	log_decision(content, "answered for "..session.full_jid..", "..why);
	local send = session.send;
	local function without_bounces(stanza)
		if st.is_stanza(stanza) and answers:bounced(stanza) then return true; end
		return send(stanza);
	end
	session.send = without_bounces;
	local ok, err = pcall(prosody.core_post_stanza, session, answer, true);
	if session.send == without_bounces then session.send = send; end
	if not ok then error(err, 0); end
end

local function arrived(session, content)
	local what = engine.examine(content);
	if not what or what & bits.asks == 0 or not content.attr.from or not answers_for(session.username) then return; end
	local yes, why = answers:arrived(session, content, capabilities:of(session.full_jid), (presence.visible(session, content.attr.from)));
	if yes then
		send_answer(session, content, why);
	else
		log_decision(content, "not answered for "..session.full_jid..", "..why);
	end
end

local function online_besides(session)
	local user = bare_sessions[session.username.."@"..session.host];
	for _, other in pairs(user and user.sessions or {}) do
		if other ~= session then return true; end
	end
	return false;
end

local function stream_acked(session, stanza)
	local queue = session.smacks and session.username and session.outgoing_stanza_queue;
	if not queue then return; end
	for _, content in ipairs(answers_lib.proven(queue, stanza.attr.h)) do arrived(session, content); end
end

-- A resumption proves as much, but may still fail: what it proves is kept until it has come about.
local resuming = setmetatable({}, { __mode = "k" }); -- session -> proven stanzas
local resumption_tokens = module:shared("/*/smacks/resumption-tokens");

local function stream_resuming(session, stanza)
	if session.full_jid or not session.username or not stanza.attr.previd then return; end
	local original = resumption_tokens[jid_join(session.username, session.host, stanza.attr.previd)];
	local queue = original and original.outgoing_stanza_queue;
	if queue then resuming[original] = answers_lib.proven(queue, stanza.attr.h); end
end

local function stream_resumed(event)
	local session = event.resumed;
	local proven = resuming[session];
	resuming[session] = nil;
	for _, content in ipairs(proven or {}) do arrived(session, content); end
end

local function delivery_failed(event)
	local session, stanza = event.session, event.stanza;
	if not session.username or stanza.name ~= "message" then return; end
	local what = engine.examine(stanza);
	if not what or what & bits.asks == 0 or not stanza.attr.from then return; end
	for _, other in ipairs(answers:lost(session, stanza)) do
		if not other.destroyed then arrived(other, stanza); end
	end
	-- Who has been told that it arrived is not to be told that it didn't. The last session's messages go to offline storage.
	if answers:told(session, stanza) and online_besides(session) then return true; end
end

-- With receipts_answer_proof = "sent", what was written to a client without stream management counts as arrived.
local function sent(stanza, session)
	if session.host == module.host and session.full_jid and not session.smacks and st.is_stanza(stanza) and stanza.name == "message" then
		local what = engine.examine(stanza);
		if what and what & bits.asks ~= 0 then
			local content = st.clone(stanza);
			module:add_timer(0, guard("an answer for what was sent", function ()
				if not session.destroyed then arrived(session, content); end
			end));
		end
	end
end

-- The sessions that mod_message will hand this to.
local function recipients(to, type)
	local session = full_sessions[to];
	if session then return { session }; end
	local user = bare_sessions[jid_bare(to)];
	if type ~= "headline" then return user and user.top_resources or {}; end
	local list = {};
	for _, one in pairs(user and user.sessions or {}) do
		if one.presence and one.priority >= 0 then table.insert(list, one); end
	end
	return list;
end

local function account_disco(event)
	local user = jid_node(event.reply.attr.from);
	if user and answers_for(user) then
		event.reply:tag("feature", { var = elements.xmlns }):up();
	end
end

-- Chapter E: check. The stanza is changed in place on its way out, so that archive, carbons and recipient see the same; on its
-- way in it may be shared with others (rooms send one object to all), so a clone is changed.

local function outgoing(event)
	local origin, stanza = event.origin, event.stanza;
	local what, tracked = pending:outgoing(stanza, time_now(), rooms_of[origin]);
	if not what then return; end
	if what & bits.content ~= 0 then
		return ask(origin, stanza, what);
	end
	local has = checks.named(what, bits);
	local plan = checks.outgoing(has, function () return (presence.visible(origin, stanza.attr.to)); end, options);
	if plan.why then log_decision(stanza, plan.why); end
	if has.acks and plan.received ~= "take" and answers_for(origin.username) then
		local id = elements.acked(stanza);
		if id then answers:acked(origin.username.."@"..origin.host, stanza.attr.to or origin.full_jid, id); end
	end
	if checks.empty(plan, has) then return true; end
	if changes(plan) then
		elements.apply(plan, stanza);
	end
	if tracked == "asked" then keep(stanza); end
end

local function incoming(event)
	local origin, stanza = event.origin, event.stanza;
	local what, verdict, _, injected, type = pending:incoming(stanza, time_now());
	if not what then return; end
	local account = jid_bare(stanza.attr.to) or origin.full_jid and jid_bare(origin.full_jid);
	if what & bits.bounce ~= 0 and answers:bounced(stanza) then
		log_decision(stanza, "D8 the bounce of an answer of ours");
		return true;
	end
	local has = checks.named(what, bits);
	local plan = checks.incoming(has, verdict, injected, function () return has_capable_client(account); end, options);
	plan.type = checks.type(plan, has, verdict, type, stanza.attr.type);
	if plan.why then log_decision(stanza, plan.why); end
	if checks.empty(plan, has) then return true; end
	if has.asks and answers_for(jid_node(account)) then
		answers:delivering(account, recipients(stanza.attr.to or account, stanza.attr.type), stanza, is_incapable);
	end
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
		capabilities:hidden(room, jid_bare(origin.full_jid));
	end
end

-- Who had joined before the module came: known for the rooms of this server only.
local function joined_before(session)
	for jid in pairs(session.directed or {}) do
		local host = prosody.hosts[jid_host(jid)];
		if jid_resource(jid) and host and host.modules.muc then
			rooms_of[session] = rooms_of[session] or {};
			rooms_of[session][jid_bare(jid)] = true;
		end
	end
end

-- Rule F2: what is over its time goes in small steps.

local EXPIRE_EVERY, EXPIRE_STEP = 10, 500; -- seconds, entries

local expire = guard("expiry", function ()
	local done = pending:expire(time_now(), EXPIRE_STEP);
	return done == EXPIRE_STEP and 0.1 or EXPIRE_EVERY;
end);

-- Rule E7: all of the requester's devices show the tick. mod_carbons copies acks of type chat, and not of others; what it leaves out
-- for a reason it still does.
local function copy_acks(event)
	local stanza, session = event.stanza, event.session;
	if stanza.attr.type == "chat" then return; end -- nearly all: mod_carbons looks after them
	local what = engine.examine(stanza);
	if not what or what & bits.acks == 0 or what & bits.more ~= 0 then return; end
	local to = stanza.attr.to;
	if stanza:get_child("private", "urn:xmpp:carbons:2") or stanza:get_child("no-copy", "urn:xmpp:hints") then return; end
	local incoming_pm = to and jid_resource(to) and not (session and session.full_jid == stanza.attr.from)
		and stanza:get_child("x", "http://jabber.org/protocol/muc#user");
	if incoming_pm or stanza.attr.type == "groupchat" then return; end
	event.reason = "receipt";
	return true;
end

-- Rule D1: users say themselves.

module:depends("adhoc");
local new_command = module:require "adhoc".new;
module:provides("adhoc", new_command("Delivery receipts", "receipts#preference", preferences:command(jid_node), "local_user"));

-- A reload keeps what is pending and known. What was to be sent again is not.

function module.save()
	return { pending = pending, rooms_of = rooms_of, answers = answers, capabilities = capabilities, resend = resend };
end

function module.restore(saved)
	if not saved.pending then return; end
	pending, rooms_of = saved.pending, saved.rooms_of;
	answers:take_over(saved.answers);
	capabilities:take_over(saved.capabilities);
	pending:limit(limits);
end

-- Hooks

module:add_feature(elements.xmlns); -- rule A1

-- Behind mod_blocklist (100), before mod_mam (0), mod_carbons (-0.5) and mod_message (-1): rule C5.
local PRIORITY = 20;
local function hook(name, handler)
	module:hook(name, guard(name, handler), PRIORITY);
end
for _, kind in ipairs { "bare", "full", "host" } do
	hook("pre-message/"..kind, outgoing);
	hook("pre-presence/"..kind, presence_out);
end
for _, kind in ipairs { "bare", "full" } do
	hook("message/"..kind, incoming);
	hook("presence/"..kind, presence_in);
end
hook("pre-presence/full", joining);
hook("iq-result/bare/disco", overheard);
hook("resource-unbind", unbound);
hook("carbons-should-copy", copy_acks);
hook("account-disco-info", account_disco);
hook("delivery/failure", delivery_failed);
hook("smacks-hibernation-end", stream_resumed);
hook("user-deleted", function (event) preferences:forget(event.username); end);
for _, xmlns in ipairs { "urn:xmpp:sm:2", "urn:xmpp:sm:3" } do
	module:hook_tag(xmlns, "a", guard("<a/>", stream_acked), 10);
	module:hook_tag(xmlns, "resume", guard("<resume/>", stream_resuming), 10);
end

local timer = module:add_timer(EXPIRE_EVERY, function () return expire() or EXPIRE_EVERY; end);

load_hashes();
if not module.reloading then -- else restore() brings it
	for _, user in pairs(prosody.hosts[module.host].sessions) do
		for _, session in pairs(user.sessions) do
			if session.presence then capabilities:presence(session.presence, nil, true); end
			joined_before(session);
		end
	end
end

local unfilter;
if options.answer_proof == "sent" then
	local filter = guard("stanzas/out", sent);
	local function passing(stanza, session) filter(stanza, session); return stanza; end
	local watched = setmetatable({}, { __mode = "k" });
	local function watch(session)
		watched[session] = true;
		filters.add_filter(session, "stanzas/out", passing, -1000);
	end
	filters.add_filter_hook(watch);
	for _, session in pairs(full_sessions) do
		if session.filters then watch(session); end
	end
	function unfilter()
		filters.remove_filter_hook(watch);
		for session in pairs(watched) do filters.remove_filter(session, "stanzas/out", passing); end
	end
end

function module.unload()
	timer:stop(); -- the rest Prosody takes away by itself
	if unfilter then unfilter(); end
	save_hashes();
end
module:hook_global("server-stopping", guard("server-stopping", save_hashes));
