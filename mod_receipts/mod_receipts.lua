-- SPDX-License-Identifier: MIT
-- mod_receipts: Message Delivery Receipts (XEP-0184) done by the server.
--
-- This file wires Prosody's events to the libs beside it, and to the C engine. It decides nothing: the engine says what a message is, a lib
-- says what is to become of it, and one that meets Prosody does that (traffic.lib.lua, answering.lib.lua).
--
-- For Prosody, which since 13.0 loads it on no other Lua and says so:
--% lua: 5.4

local VERSION = "0.1.0";

if module:get_host_type() == "component" then
	module:log("info", "mod_receipts does nothing on a component: enable it on the VirtualHost of the users it is for");
	return;
end

-- The module cannot be loaded. An error object keeps Prosody from adding a traceback to what is one clear line. For a module that depends
-- on this one Prosody takes it for a string.
local function refuse(why)
	error(setmetatable({ gsub = function (_, ...) return why:gsub(...); end }, { __tostring = function () return why; end }));
end

if module.host == "*" and prosody.process_type == "prosody" then -- which would keep us from every host
	refuse("mod_receipts is for VirtualHosts, not for \"*\": without a host it is loaded on all of them");
end

-- Prosody loads a lib anew for each who requires it. Here those that are awake share theirs: the collector has fewer to look at.
local require_anew, loaded = module.require, setmetatable({}, { __mode = "v" });
function module:require(name)
	local lib = loaded[name] or require_anew(self, name);
	loaded[name] = lib;
	return lib;
end

local engine_lib, directory = module:require "engine", module:get_directory();
local engine, problem = engine_lib.load(VERSION, directory, prosody.paths.installer);
local libs = debug.getinfo(engine_lib.load, "S").source:match("^@(.*)/"); -- where module:require finds them: not only beside this file
if libs and libs ~= directory and libs ~= directory.."/mod_receipts" then
	engine, problem = nil, "mod_receipts is installed twice, in "..directory.." and in "..libs..": remove one of them, then restart Prosody";
end

if module.host == "*" then -- prosodyctl mod_receipts …
	module.command = module:require "prosodyctl".new(engine, problem);
	return;
end

if not engine then refuse(problem); end

local sleep = require "socket".sleep;
local jid_join = require "util.jid".join;
local st = require "util.stanza";
-- What is told or kept of times is the clock's. Spans are measured by what nobody sets.
local time_now, monotonic = require "util.time".now, require "util.time".monotonic;
local add_task = require "util.timer".add_task;

local accounts = module:require "accounts";
local asleep = module:require "asleep";
local capabilities_lib = module:require "capabilities";
local guards = module:require "guard";
local hiding = module:require "hiding";
local hooks = module:require "hooks";
local jids = module:require "jids";
local learning = module:require "learning";
local offers = module:require "offers";
local options_lib = module:require "options";
local outlet = module:require "outlet";
local preferences_lib = module:require "preferences";
local proof = module:require "proof";
local reports_lib = module:require "reports";
local retries = module:require "retries";
local rooms_lib = module:require "rooms";
local store_lib = module:require "store";
local upkeep_lib = module:require "upkeep";
local sleeping = asleep.libs({
	"answering", "answers", "blocks", "carbons", "checks", "components", "decisions", "disco", "elements", "fates", "forms",
	"inspection", "manual", "presence", "queries", "requests", "resend", "routing", "shell", "traffic", "views", "waiting",
}, { asleep = asleep, guard = guards, hiding = hiding, jids = jids, proof = proof, retries = retries });

local xmlns_receipts = "urn:xmpp:receipts";
local full_sessions, bare_sessions = prosody.full_sessions, prosody.bare_sessions;

local function open_store(name, kind)
	local store, why = module:open_store(name, kind);
	if not store then refuse(options_lib.unkept(name, why, module:get_option("storage"))); end
	return store;
end

-- Options

local options = options_lib.read(
	function (name) return module:get_option(name); end,
	function (text) module:log("error", "%s", text); end
);

if options.unknown == "drop" then
	module:log("warn", "receipts_unknown = \"drop\" also drops true receipts for messages in group chat, sent before this module was loaded, "
		.."or forgotten since (receipts_max_pending, receipts_max_pending_per_user, receipts_expire_after)");
end

-- State

local log = module._log;

local reports;
local guard, tell_error = guards.new(guards.throttled(log, monotonic), function () reports:count("errors", "hook"); end);
local get_handlers = prosody.hosts[module.host].events.get_handlers;
-- Timers that have not run out hold on to what they are for: an unload stops them.
local timers, unloaded = setmetatable({}, { __mode = "k" }), false;
local function add_timer(...)
	local timer = module:add_timer(...);
	timers[timer] = true;
	if unloaded then timer:stop(); end -- whatever has waited for a storage goes on
	return timer;
end
local later, catch_up = guards.timers(add_timer, add_task, guard);
reports = reports_lib.new(
	function (...) return module:metric(...); end,
	function (event) return get_handlers(event) ~= nil; end,
	guard("a listener to our events", function (event, data) module:fire_event(event, data); end)
);

-- Behind mod_blocklist (100), before mod_mam (0), mod_carbons (-0.5) and mod_message (-1): rule C5.
local PRIORITY = 20;

local function hook(name, handler, priority)
	module:hook(name, guard(name, handler), priority or PRIORITY);
end

-- The same for what may have to read a store, or sends a stanza, on whichever occasion. Guarded twice: the handler may go on when this is
-- over, and a thread may not be had.
-- @param key      optional: function (event): those with the same key are done in turn; false: there is nothing to do
-- @param at_once  optional: function (event): does what needs no thread, where none has the turn; returns whether that was all
local function hook_in_thread(name, handler, priority, key, at_once)
	handler = guard(name, handler);
	hook(name, function (event)
		local turn = key and key(event);
		if turn == false then return; end
		if turn and guards.waits(turn) then
			event = { origin = event.origin, stanza = st.clone(event.stanza) }; -- Prosody addresses one object to everybody, in turn
		elseif at_once and at_once(event) then
			return;
		end
		return guards.in_turn(turn, handler, event);
	end, priority);
end

local limits = {
	capacity = options.max_pending;
	per_user = options.max_pending_per_user;
	ttl = options.expire_after;
	remember = math.min(options.expire_after, 86400); -- a second device may come online the next day
};
-- What the libs take of each other: each says which of these. A reload keeps the table itself: what has begun before that, and waits, goes on
-- in the code that was, and finds here what there is by then.
local parts = module.saved_state or {};
-- So many fewer rounds of the collector make up for what we take: its walks over our objects, our handlers (docs/performance.md).
local pending = parts.pending or engine.pending { told = 1048576 };
pending:limit(limits);

-- Deals with the entries that were evicted to make room.
local drain = guard("what made room", upkeep_lib.drain(parts));
local function complaint() -- one for each store: what is said of one is not to hide what there is to say of the other
	local complain = guards.throttled(log, monotonic);
	return function (...)
		reports:count("errors", "store");
		complain(...);
	end;
end
local store = store_lib.new(module.host, pending, { keyval = open_store("receipts"), map = open_store("receipts", "map") }, {
	ttl = options.expire_after, now = time_now, monotonic = monotonic, cpu = os.clock, log = log;
	drain = drain, is_deleted = accounts.is_deleted;
	failed = complaint();
	expired = guard("what expired in the store", function (entry) upkeep_lib.expired(entry, time_now(), parts); end);
	deleted = function (user) accounts.deleted(parts, user); end;
});
local rooms = rooms_lib.new();
local answering;
local preferences = preferences_lib.new(open_store("receipts_preferences"), options.answer, accounts.exists, monotonic, function (user)
	if asleep.is_awake(answering) then answering:forget(jid_join(user, module.host)); end
end, complaint(), function () return parts.preferences; end);
local decisions = asleep.until_used(function ()
	return sleeping.decisions.new(function (account) return bare_sessions[account] ~= nil; end);
end);

local GRACE = 1; -- seconds that mod_pep's own question gets to be answered, before we ask the same

local capabilities;

local query_id; -- that of queries before a reload
local queries = asleep.until_used(function (self)
	return sleeping.queries.start(self, query_id, hook_in_thread, later, function (jid, query) capabilities:late(jid, query); end);
end);

-- What the roster of an account that is online has of a bare JID.
local function contact_of(account, bare)
	local online = bare_sessions[account];
	return online and online.roster and online.roster[bare];
end

capabilities = capabilities_lib.new(sleeping.disco, {
	send = function (jid, from, node, done) queries:ask(jid, from or module.host, node, done); end;
	later = function (callback) -- never at once: a message may bring it about
		later(prosody.hosts[module.host].modules.pep and GRACE or 0, "a disco#info query", callback);
	end;
	soon = function (callback) later(0, "the next disco#info query", callback); end;
	may_see = function (account, jid) return sleeping.presence.account_visible(account, jid); end;
	is_contact = function (account, bare) return contact_of(account, bare) ~= nil; end;
	is_shown_all = function (account, bare)
		local item = contact_of(account, bare);
		return item ~= nil and (item.subscription == "to" or item.subscription == "both");
	end;
	sessions = function (account)
		local online = bare_sessions[account];
		return online and online.sessions or {};
	end;
	hibernates = function (jid)
		local session = full_sessions[jid];
		return session ~= nil and session.hibernating ~= nil;
	end;
	monotonic = monotonic;
	newest = function () return parts.capabilities; end;
	learned = guard("what was learned", function (jid)
		if asleep.is_awake(answering) then answering:learned(jid); end
	end);
});

-- What was decided about a message, for the users of this host that it is from or to.
-- @param id   the content message's, where that is not the stanza's own
-- @param due  the stanza tells the user that it is to what became of a message of theirs. Of others anybody may send as many as they like
local function record(stanza, why, id, due)
	local from, to = stanza.attr.from or stanza.attr.to, stanza.attr.to or stanza.attr.from; -- no address stands for oneself
	id = id or stanza.attr.id;
	module:log("debug", "Message %s from %s to %s: %s", id, from, to, why);
	if not from then return; end
	local time, one, other = time_now(), jids.bare(from), jids.bare(to);
	if jids.host_of_bare(one) == module.host then decisions:note(one, time, id, from, to, why); end
	if other ~= one and jids.host_of_bare(other) == module.host then decisions:note(other, time, id, from, to, why, not due and "others" or nil); end
end

answering = asleep.until_used(function (self)
	local made = sleeping.answering.new(parts, guard, later);
	sleeping.answering.listen(self, hook);
	return made;
end);

-- Rule A2: the account's disco#info has the feature while the server answers for it, which takes proof.
local function account_disco(event)
	local user = jids.node(event.reply.attr.from);
	local can_answer = options.answer_proof == "sent" or prosody.hosts[module.host].modules.smacks ~= nil;
	if user and can_answer and preferences:answers_for(user) then event.reply:tag("feature", { var = xmlns_receipts }):up(); end
end

-- Rule G1: send again

local resend = asleep.until_used(function ()
	return sleeping.resend.start(parts, later);
end);

-- Chapters C and E

local waiting = asleep.until_used(function ()
	local send = guard("an ack that has waited", function (session, stanza) prosody.core_post_stanza(session, stanza, true); end);
	return sleeping.waiting.new(send, later, monotonic);
end);

local function available(event)
	if asleep.is_awake(waiting) then waiting:available(event.origin, 0); end
end

local hashes = open_store("receipts_caps"); -- the last: until all can be opened, the parts are those that were

local before, now = {}, {
	options = options, engine = engine, odd = hooks.odd(engine.bits), pending = pending, reports = reports, drain = drain, guards = guards;
	exists = accounts.exists, is_missing = accounts.is_missing, record = record;
	store = store, decisions = decisions, rooms = rooms, capabilities = capabilities, queries = queries, preferences = preferences;
	answering = answering, resend = resend, waiting = waiting, presence = sleeping.presence, blocks = sleeping.blocks, hiding = hiding;
	own = parts.own or setmetatable({}, { __mode = "k" }); -- set of answers of ours that are on their way
	late = parts.late or setmetatable({}, { __mode = "k" }); -- set of events whose message has gone on, while what we do about it waits
	handed_over = parts.handed_over or {}; -- is_due = in a moment it is looked whether somebody has taken it over
};
for name, part in pairs(parts) do before[name], parts[name] = part, nil; end
for name, part in pairs(now) do parts[name] = part; end

-- Rule E7. A hook costs every message: so there is none before an ack passes that is not of type chat.
local copying = false;
local copy_acks = guard("an ack that is not of type chat", function ()
	sleeping.carbons.copy_acks(engine, guard, PRIORITY);
	copying = true;
end);
function parts.other_ack()
	if not copying then copy_acks(); end
end

local always = function () return true; end;
local comes = guard("a message that comes", function (...) return sleeping.traffic.incoming(parts, ...); end);
local outgoing, incoming, uncounted, hand_on = hooks.new(engine, {
	pending = pending, now = time_now;
	listening = options.resend_attempts > 0 and always or get_handlers; -- what is to be sent again has to be kept
	known = store.known.at, no_answers = preferences.no_answers.at, rooms = rooms.of_session, hiding = hiding.of_session, own = parts.own;
	capable = options.request == "always" and {} or capabilities.able;
	asks = options.request ~= "never", protect = options.protect_presence;
	content = guard("putting in a request", function (...) return sleeping.traffic.content(parts, ...); end);
	outgoing = guard("a message that is sent", function (...) return sleeping.traffic.outgoing(parts, ...); end);
	incoming = function (event, what, verdict, ...)
		if verdict and store:knows(jids.node(event.stanza.attr.to)) then return comes(event, what, verdict, ...); end -- nothing is read for it
		local result, waits = guards.in_thread(comes, event, what, verdict, ...);
		if waits then parts.late[event] = true; end
		return result;
	end;
	evicted = drain, other_ack = parts.other_ack;
	failed = function (err) tell_error("a message hook", err); end;
	sample = reports.sample, handlers = parts;
});
function reports.uncounted()
	drain();
	return uncounted();
end

-- Chapter B: who supports receipts

learning.listen(parts, sleeping.disco, hook_in_thread);

local function save_hashes() learning.save(capabilities, hashes); end

local saved = false;

function module.save()
	saved = true;
	return parts;
end

-- Hooks

module:add_feature(xmlns_receipts); -- rule A1

for _, kind in ipairs { "bare", "full", "host" } do
	module:hook("pre-message/"..kind, outgoing, PRIORITY); -- those of hooks.lib.lua guard themselves
end
for _, kind in ipairs { "bare", "full" } do module:hook("message/"..kind, incoming, PRIORITY); end
local forget_blocks = guard("blocking", function (user)
	if asleep.is_awake(parts.blocks) then parts.blocks.forget(user); end -- after a reload, those that came with it
end);
-- Afterwards too: mod_blocklist changes the list in the last of all handlers, and until then it may have been looked at. It tells others
-- then, which may fail, as it does when the client has gone while the list was written.
local function blocking(handlers, name, event)
	local user = event.origin.username; -- it has none any more then
	forget_blocks(user);
	local ok, result = xpcall(handlers, debug.traceback, name, event);
	forget_blocks(user);
	if not ok then error(result, 0); end
	return result;
end
for _, name in ipairs { "block", "unblock" } do module:wrap_event("iq-set/self/urn:xmpp:blocking:"..name, blocking); end
accounts.listen(parts, hook, hook_in_thread, guard, later); -- rule F1
hook("presence/initial", available);
hook_in_thread("account-disco-info", account_disco);
local function lost(stanza)
	record(stanza, "G1 what was sent again has not arrived");
	return true;
end
-- Whichever host of this process has sent it again: its first one has come to this host, or has bounced. That of another server may have been
-- lost on the way, and what is lost with a link to that bounces, and is then known.
hook("delivery/failure", function (event)
	local stanza = event.stanza;
	local is_ours = event.session.username and prosody.hosts[jids.host_of_bare(jids.bare(stanza.attr.from))];
	if is_ours and sleeping.elements.is_copy(stanza) then return lost(stanza); end
end, 10); -- behind answering.lib.lua, before mod_smacks
if options.resend_attempts > 0 then sleeping.resend.listen(parts, hook, PRIORITY, lost); end
proof.listen(parts, hook, guard); -- rule D2

local function measure()
	reports:measure(pending:count(), options.max_pending, pending:bytes());
end
module:hook_global("stats-update", guard("stats-update", measure));

if #options.answer_components > 0 then sleeping.components.listen(parts, guard, later); end

local bounced = guard("a bounce", function (stanza) return sleeping.traffic.bounced(parts, stanza); end);
local stop_listening = { outlet.listen(hook, function (stanza)
	if stanza.name == "message" and bounced(stanza) then return nil; end
	return stanza;
end, 1000, "error") };
if options.answer_proof == "sent" then table.insert(stop_listening, outlet.listen(hook, answering:sent(), -1000)); end

-- Last, when nothing can fail any more: from a module that could not be loaded nobody takes these away.

-- Rules D1, F4: users say what they want, and people ask what has become of messages.
local inspection = asleep.until_used(function () return sleeping.inspection.new(module.host, time_now, parts); end);
local withdraw = offers.make(inspection, parts, sleeping, guard);
-- Rules F2, F1: what happens without a stanza
parts.expire_now = upkeep_lib.start(add_timer, log, guard, time_now, monotonic, parts, module.saved_state ~= nil);
reports:start();

local function tell_lost()
	module:log("error", "Not all that is pending could be written to the store: what is missing there is lost");
end

-- What was handed over is written where the new module could not be loaded.
local function write_alone()
	parts.handed_over.is_due = false;
	if prosody.hosts[module.host].modules[module.name] then return; end
	save_hashes();
	if not store:flush_all() then tell_lost(); end
end

function module.unload()
	-- A reload is over before anybody else runs: while it waited there could be another, and Prosody would have two of us.
	local handed_over = module.reloading and saved;
	-- First: while a storage is at work others may run, and all of us is still there for them.
	local works = handed_over or store:flush_all();
	if not handed_over then save_hashes(); end -- in SQL a row each, while all wait. Of what is lost clients can be asked again
	catch_up(); -- before what it needs goes
	unloaded = true;
	hand_on();
	function module.hook() end -- what waits for a storage goes on later, and nobody would take away what it hooks then
	for timer in pairs(timers) do timer:stop(); end
	if asleep.is_awake(resend) then resend:stop(); end -- Prosody may hold on to the module for a while, and need not to messages
	withdraw();
	for _, stop in ipairs(stop_listening) do stop(); end
	if not handed_over then
		if not (works and store:flush_all()) then tell_lost(); end -- once more, for what has come meanwhile
	elseif not parts.handed_over.is_due then -- of many reloads at once the first will do: what is due holds on to its module
		parts.handed_over.is_due = true;
		later(0, "what was handed over", write_alone);
	end
	measure();
	reports:stop();
	-- Hooks Prosody takes away by itself.
end
module:hook_global("server-stopping", guard("server-stopping", save_hashes));
local stopped = false;
module:hook_global("server-stopped", guard("server-stopped", function ()
	if stopped then return; end -- 0.12 stops once more when it is told so meanwhile
	stopped = true;
	local all_hosts = module:shared("/*/receipts/stop");
	all_hosts.began = all_hosts.began or monotonic();
	if not store:flush_at_stop(all_hosts.began, sleep) then tell_lost(); end
end));

-- A reload keeps what is pending and known, unless save() has failed (force_module_reload). What was to be sent again is not kept.

-- Each part by itself: what cannot be taken over, as before an upgrade, is not to cost the others, nor us.
local function from(name, take_over)
	if asleep.is_awake(before[name]) then guard("what was before the reload: "..name, take_over)(before[name]); end
end
if module.saved_state then
	from("guards", function (old) guards.waiting = old.waiting or guards.waiting; end); -- what comes now is not to overtake it
	for _, name in ipairs { "store", "rooms", "answering", "reports", "decisions", "waiting", "resend" } do
		from(name, function (old) parts[name]:take_over(old, before.options); end);
	end
	from("hiding", hiding.take_over);
	from("presence", function (old) sleeping.presence.take_over(old); end);
	from("queries", function (old)
		query_id = old.id;
		asleep.wake(queries); -- to hear the answers that are still to come
	end);
	guards.in_thread(guard("asking anew", capabilities.take_over), capabilities, before.capabilities);
	if asleep.is_awake(answering) then answering:learned(); end -- for what was learned a moment ago
else
	learning.recall(capabilities, hashes);
	guards.in_thread(guard("looking around", learning.look_around), capabilities, rooms);
end
