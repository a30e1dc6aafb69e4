-- SPDX-License-Identifier: MIT
-- capabilities.lib.lua: random walks. Clients here and elsewhere come, show one thing and another, hide, sleep and go; questions are
-- sent, answered, and run out, in any order. A plain model of the clients says whom the lib may ask, and what may be known of them.

local paths = require "spec.support.paths";
local lib = paths.lib("capabilities");
local st = require "util.stanza";
local calculate_hash = require "util.caps".calculate_hash;

local R = "urn:xmpp:receipts";
local HERE = { "u@h/1", "u@h/2", "u@h/3", "v@h/1", "v@h/2" };
local ELSEWHERE = { "a@far/1", "a@far/2", "a@far/3", "b@far/1", "c@far/1", "room@far/1" };
local ACCOUNTS = { "u@h", "v@h" };
local LONG_AGO = -math.huge;

local function info(...)
	local query = st.stanza("query", { xmlns = "http://jabber.org/protocol/disco#info" });
	for _, var in ipairs { ... } do query:tag("feature", { var = var }):up(); end
	return query;
end

-- What a client may show: its caps; the node that it is asked about then; its answer, and what follows from that. False shows none.
local NONE = { query = info(R), support = "capable" };
local SHOWS = { NONE, { caps = { node = "n", ver = "old" }, query = info("urn:old"), support = "incapable" },
	{ caps = { node = "n", ver = "md5", hash = "md5" }, node = "n#md5", query = info(R, "urn:md5"), support = "capable" } };
for i = 1, 5 do
	local query = i % 2 == 1 and info(R, "urn:"..i) or info("urn:"..i);
	local ver = calculate_hash(query.tags);
	table.insert(SHOWS, { caps = { node = "n", ver = ver, hash = "sha-1" }, node = "n#"..ver, query = query,
		support = i % 2 == 1 and "capable" or "incapable" });
end

local function pick(list) return list[math.random(#list)]; end
local function bare_of(jid) return (jid:match("^[^/]*")); end

describe("capabilities, whatever comes when,", function ()
	local caps, newest, clients, hides, turns, questions, at_once, trail, clock;

	local function note(...) table.insert(trail, table.concat({ ... }, " ")); end

	local function send(jid, from, node, done)
		note(" asks", jid, from or "", node or "");
		local client, earlier = clients[jid], questions[jid];
		assert(client and not client.sleeps and bare_of(jid) ~= "room@far", "who is not to be asked");
		assert(client.shown == nil or from and not hides[from], "in the name of who is hidden from it");
		assert(node == client.shows.node, "about something else");
		assert(not earlier or earlier.client ~= client, "while it is being asked");
		assert((client.asked[client.shows] or LONG_AGO) <= clock - 600, "again");
		questions[jid] = { client = client, about = client.shows, done = done };
		client.asked[client.shows] = clock;
		if earlier then earlier.done(nil); end -- as queries.lib.lua does
	end

	local function new()
		newest = lib.new(paths.lib("disco"), {
			send = send;
			later = function (turn)
				if at_once then return turn(); end
				table.insert(turns, turn);
			end;
			soon = function (turn)
				if at_once then return turn(); end
				table.insert(turns, turn);
			end;
			may_see = function (account) return account ~= nil and not hides[account]; end;
			is_contact = function () return true; end;
			sessions = function () return {}; end;
			hibernates = function (jid) return clients[jid] ~= nil and clients[jid].sleeps; end;
			monotonic = function () return clock; end;
			learned = function () end;
			newest = function () return newest; end;
		});
		return newest;
	end

	-- What happens.

	local function show(jid, shows, to)
		note("shows", jid, to or "", shows.caps and shows.caps.ver or "");
		local client = clients[jid] or { shows = NONE, asked = {}, shown = to and {} };
		clients[jid] = client;
		if shows ~= NONE and shows ~= client.shows then client.shows, client.asked = shows, {}; end
		if to then client.shown[to] = true; end
		local stanza = st.presence { from = jid };
		if shows.caps then
			stanza:tag("c", { xmlns = "http://jabber.org/protocol/caps", node = shows.caps.node, ver = shows.caps.ver, hash = shows.caps.hash }):up();
		end
		if bare_of(jid) == "room@far" then stanza:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(); end
		caps:presence(stanza, to);
	end

	-- The clients elsewhere of which that holds are no longer shown to an account.
	local function hide(to, which)
		for _, jid in ipairs(ELSEWHERE) do
			local client = clients[jid];
			if client and which(jid) then
				client.shown[to] = nil;
				if next(client.shown) == nil then clients[jid] = nil; end
			end
		end
	end

	local function some_question()
		local jids = {};
		for jid in pairs(questions) do table.insert(jids, jid); end
		table.sort(jids);
		return jids[1] and pick(jids);
	end

	local function finish(jid, query)
		local question = questions[jid];
		questions[jid] = nil;
		note("answers", jid, query and query.attr.node or "");
		question.done(query);
	end

	local function answer(jid)
		local query = st.clone(questions[jid].about.query);
		query.attr.node = questions[jid].about.node;
		finish(jid, query);
	end

	local function shows_here() show(pick(HERE), pick(SHOWS)); end
	local function shows_elsewhere() show(pick(ELSEWHERE), pick(SHOWS), pick(ACCOUNTS)); end

	local events = {
		shows_here, shows_here, shows_here, shows_here, shows_elsewhere, shows_elsewhere, shows_elsewhere, shows_elsewhere, shows_elsewhere;
		function () -- a client says that it goes
			local jid, to = pick(ELSEWHERE), pick(ACCOUNTS);
			note("goes", jid, to);
			hide(to, function (other) return other == jid; end);
			caps:presence(st.presence { from = jid, type = "unavailable" }, to);
		end;
		function () -- a person, or a room, does
			local person, to = bare_of(pick(ELSEWHERE)), pick(ACCOUNTS);
			note("goes", person, to);
			hide(to, function (jid) return bare_of(jid) == person; end);
			caps:presence(st.presence { from = person, type = "unavailable" }, to);
		end;
		function ()
			if math.random(3) > 1 then return; end
			local account = pick(ACCOUNTS);
			note("offline", account);
			hide(account, function () return true; end);
			caps:gone(account);
		end;
		function () -- a session ends
			local jid = pick(HERE);
			note("ends", jid);
			clients[jid] = nil;
			caps:forget(jid);
			if questions[jid] then finish(jid, nil); end
		end;
		function ()
			local jid = pick(HERE);
			local client = clients[jid];
			if not client then return; end
			client.sleeps = not client.sleeps;
			note("sleeps", jid, tostring(client.sleeps));
			if not client.sleeps then caps:resumed(jid); end
		end;
		function ()
			local account = pick(ACCOUNTS);
			hides[account] = not hides[account];
			note("hides", account, tostring(hides[account]));
		end;
		function ()
			if turns[1] then table.remove(turns, 1)(); end
		end;
		function ()
			local jid = some_question();
			if jid then finish(jid, nil); end
		end;
		function ()
			local jid = some_question();
			if jid then answer(jid); end
		end;
		function () clock = clock + math.random(300); end;
		function () -- a reload, with which questions are lost
			if math.random(10) > 1 then return; end
			note("reload");
			for _, question in pairs(questions) do
				if not question.client.sleeps then question.client.asked = {}; end
			end
			turns, questions = {}, {};
			for _, client in pairs(clients) do -- among them may be one whose answer was not dealt with
				for shows in pairs(client.asked) do client.asked[shows] = LONG_AGO; end
			end
			local other = new();
			other:take_over(caps);
			caps = other;
		end;
	};

	-- What is to be so.

	local function check()
		local flights = {};
		for _, flight in pairs(caps.turns.flight) do
			for _, owner in ipairs(flight.owners) do flights[owner] = (flights[owner] or 0) + 1; end
		end
		assert.same(flights, caps.turns.in_flight);
		for _, flight in pairs(caps.turns.asking) do assert.equal(flight, caps.turns.flight[flight.key]); end
		for _, list in ipairs { HERE, ELSEWHERE } do
			for _, jid in ipairs(list) do
				local support = caps:of(jid);
				if support ~= "unknown" and support ~= "silent" then assert.equal(clients[jid] and clients[jid].shows.support, support, jid); end
			end
		end
	end

	local function finish_all(how)
		while turns[1] or next(questions) do
			if turns[1] then
				table.remove(turns, 1)();
			else
				how(some_question());
			end
			check();
		end
		assert.same({ {}, {}, {}, {} }, { caps.turns.flight, caps.turns.in_flight, caps.turns.asking, caps.turns.backlog });
	end

	local function walk()
		clients, hides, turns, questions, trail, clock, at_once = {}, {}, {}, {}, {}, 0, math.random(3) == 1;
		caps = new();
		for _ = 1, 300 do
			pick(events)();
			check();
		end
		finish_all(function (jid) finish(jid, nil); end);
		-- Whoever shows the same again is asked by now, or known.
		hides = {};
		for jid, client in pairs(clients) do
			client.sleeps = false;
			if not client.shown then show(jid, client.shows); end
			for to in pairs(client.shown or {}) do show(jid, client.shows, to); end
		end
		finish_all(answer);
		for jid, client in pairs(clients) do
			local may_be_silent = bare_of(jid) == "room@far" or client.shown and client.shows == NONE;
			assert(may_be_silent or client.asked[client.shows] or caps:of(jid) == client.shows.support, jid.." was not asked");
		end
	end

	it("B3 ask each client one question at a time, about what it shows, and all in the end; B1 and know of each what it has said", function ()
		for seed = 1, 30 do
			math.randomseed(seed);
			local ok, err = pcall(walk);
			assert(ok, ok or ("seed %d: %s\n%s"):format(seed, tostring(type(err) == "table" and err.message or err), table.concat(trail, "\n")));
		end
	end);
end);
