-- SPDX-License-Identifier: MIT
-- capabilities.lib.lua: what is learned, and what is asked. The wire specs have the real presence and answers.

local paths = require "spec.support.paths";
local lib = paths.lib("capabilities");
local st = require "util.stanza";
local calculate_hash = require "util.caps".calculate_hash;

local R = "urn:xmpp:receipts";

local function info(...)
	local query = st.stanza("query", { xmlns = "http://jabber.org/protocol/disco#info" });
	for _, var in ipairs { ... } do query:tag("feature", { var = var }):up(); end
	return query;
end

local function presence(from, query, attr)
	local stanza = st.presence(attr or {});
	stanza.attr.from = from;
	if query then
		stanza:tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "urn:n", ver = calculate_hash(query.tags) }):up();
	end
	return stanza;
end

describe("capabilities", function ()
	local caps, newest, asked, hides, strangers, unsubscribed, online, sleeping, learned, of, clock;

	-- Everybody may see everybody, and is in their roster, but for whom a spec excepts.
	local function new(send, later)
		newest = lib.new(paths.lib("disco"), {
			send = send, later = later or function (callback) callback(); end;
			soon = function (callback) callback(); end;
			may_see = function (user) return user ~= nil and not hides[user]; end;
			is_contact = function (_, bare) return not strangers[bare]; end;
			is_shown_all = function (_, bare) return not (bare:find("/") or strangers[bare] or unsubscribed[bare]); end;
			sessions = function (user) return online[user] or {}; end;
			hibernates = function (jid) return sleeping[jid] == true; end;
			monotonic = function () return clock; end;
			learned = function (jid) learned, of = learned + 1, jid; end;
			newest = function () return newest; end;
		});
		return newest;
	end

	before_each(function ()
		asked, hides, strangers, unsubscribed, online, sleeping, learned, clock = {}, {}, {}, {}, {}, {}, 0, 0;
		caps = new(function (jid, from, node, done)
			local one = { jid = jid, from = from, node = node };
			-- As clients answer; another node where a spec says so.
			function one.done(query, other)
				query = query and st.clone(query);
				if query then query.attr.node = other or other == nil and node or nil; end
				done(query);
			end
			table.insert(asked, one);
		end);
	end);

	it("B1 cost one query a ver, whoever shows it, and B3 none is repeated", function ()
		local query = info(R, "urn:x");
		for i = 1, 50 do caps:presence(presence("a"..i.."@h/r", query)); end
		assert.equal(1, #asked);
		assert.equal("urn:n#"..calculate_hash(query.tags), asked[1].node);
		asked[1].done(query);
		assert.equal(1, #asked);
		for i = 1, 50 do assert.equal("capable", caps:of("a"..i.."@h/r")); end
	end);

	it("A3 B1 are asked for anew after a reload, though clients come and go while a query is sent", function ()
		for i = 1, 3 do caps:presence(presence("a"..i.."@h/r")); end
		local sent, other = {}, nil;
		other = new(function (jid)
			table.insert(sent, jid);
			if #sent > 1 then return; end
			other:forget(jid);
			for i = 1, 20 do other.here["b"..i.."@h/r"] = {}; end
		end);
		other:take_over(caps);
		assert.equal(3, #sent);
	end);

	it("A3 B1 are asked for after a reload, too, where they have waited meanwhile", function ()
		function caps.actions.may_see() return coroutine.yield(); end
		local shows = coroutine.wrap(function () caps:presence(presence("a@far/r", info(R)), "u@h"); end);
		shows();
		local again = {};
		new(function (jid) table.insert(again, jid); end):take_over(caps);
		assert.same({}, again);
		shows(true);
		assert.same({ { "a@far/r" }, {} }, { again, asked });
	end);

	it("B1 cost one query, too, where very many are online when the module comes, and no list of them is moved for each", function ()
		local query, count, moved = info(R), 2000, 0;
		local shown = presence("", query);
		local insert, remove = table.insert, table.remove;
		finally(function ()
			rawset(table, "insert", insert);
			rawset(table, "remove", remove);
		end);
		rawset(table, "insert", function (list, at, ...)
			if select("#", ...) > 0 then moved = moved + #list - at + 1; end
			return insert(list, at, ...);
		end);
		rawset(table, "remove", function (list, at)
			moved = moved + #list - (at or #list);
			return remove(list, at);
		end);
		for i = 1, count do
			shown.attr.from = "user"..i.."@h/r";
			caps:presence(shown);
		end
		asked[1].done(query);
		assert.equal(1, #asked);
		assert.equal("capable", caps:of("user"..count.."@h/r"));
		assert.is_true(moved <= count, moved);
	end);

	it("B1 of clients here that show a verified ver are kept once, and B3 asked for anew when that has been forgotten", function ()
		local query = info(R, "urn:x");
		caps:presence(presence("a@h/1", query));
		asked[1].done(query);
		for _, jid in ipairs { "b@h/1", "b@h/2", "c@h/1" } do caps:presence(presence(jid, query)); end
		assert.equal(caps.here["b@h/1"], caps.here["c@h/1"]);
		caps:forget("b@h/2");
		assert.same({ "capable", "silent" }, { caps:of("b@h/1"), caps:of("b@h/2") });
		local elsewhere = presence("d@h/1", query);
		elsewhere:get_child("c", "http://jabber.org/protocol/caps").attr.node = "urn:other";
		caps:presence(elsewhere);
		assert.same({ "urn:n", "urn:other" }, { caps.here["b@h/1"].node, caps.here["d@h/1"].node });
		assert.equal(1, #asked);

		local list = {};
		for i = 1, 10000 do list["ver"..i] = "capable"; end
		caps:import(list);
		assert.equal("unknown", caps:of("b@h/1"));
		for _ = 1, 2 do
			for _, jid in ipairs { "b@h/1", "c@h/1" } do caps:presence(presence(jid, query)); end
		end
		assert.equal("b@h/1", asked[2].jid);
		asked[2].done(info("urn:another"));
		assert.equal("c@h/1", asked[3].jid);
		asked[3].done(nil);
		assert.same({ "incapable", "unknown", 3 }, { caps:of("b@h/1"), caps:of("c@h/1"), #asked });
	end);

	it("B3 of clients here that are kept once are not asked for in the turn of what one of them showed before", function ()
		local query, other = info(R, "urn:x"), info(R, "urn:y");
		caps:presence(presence("a@h/1", query));
		asked[1].done(query);
		caps:presence(presence("b@h/1", other));
		caps:presence(presence("c@h/1", other)); -- waits for what b answers
		caps:presence(presence("c@h/1", query));
		caps:presence(presence("d@h/1", query));
		local list = {};
		for i = 1, 10000 do list["ver"..i] = "capable"; end
		caps:import(list);
		asked[2].done(nil);
		assert.equal(2, #asked);
		caps:presence(presence("d@h/1", query));
		assert.equal("d@h/1", asked[3].jid);
	end);

	it("B3 of clients here that were asked what they show now are not asked again in the turn of what they showed before", function ()
		local query, other = info(R, "urn:x"), info(R, "urn:y");
		caps:presence(presence("a@h/1", query));
		caps:presence(presence("b@h/1", query)); -- waits for what a answers
		caps:presence(presence("b@h/1", other));
		assert.equal("b@h/1", asked[2].jid);
		asked[2].done(nil);
		asked[1].done(nil);
		assert.same({ 2, {} }, { #asked, caps.turns.flight });
	end);

	it("B3 of a client that shows something else just before it is asked are asked once", function ()
		local turns, dones = {}, {};
		caps = new(function (_, _, _, done) table.insert(dones, done); end, function (callback) table.insert(turns, callback); end);
		caps:presence(presence("a@h/1", info("urn:x")));
		caps:presence(presence("a@h/1", info("urn:y")));
		turns[1]();
		dones[1](nil);
		assert.same({ 1, 1, {} }, { #turns, #dones, caps.turns.flight });
	end);

	it("B3 have one place for a client that shows one thing after the other before it is asked, and leave the others theirs", function ()
		local turns, dones = {}, {};
		caps = new(function (jid, _, node, done)
			table.insert(dones, done);
			dones[jid] = node;
		end, function (callback) table.insert(turns, callback); end);
		for _, to in ipairs { "u@h", false } do
			for i = 1, 200 do caps:presence(presence(to and "a@far/r" or "a@h/r", info("urn:"..i..tostring(to))), to or nil); end
		end
		caps:presence(presence("b@far/r", info("urn:b")), "u@h");
		caps:presence(presence("b@h/r", info("urn:b")));
		for _, turn in ipairs(turns) do turn(); end
		assert.equal(3, #dones, "b here and elsewhere show the same");
		assert.truthy(dones["b@far/r"]);
		for i, jid in ipairs { "a@far/r", "a@h/r" } do
			assert.equal("urn:n#"..calculate_hash(info("urn:200"..(i == 1 and "u@h" or "false")).tags), dones[jid], "what it shows by now");
		end
		for at = 1, 3 do dones[at](nil); end
		for at = 4, #dones do dones[at](nil); end
		assert.same({ {}, {}, {}, {} }, { caps.turns.flight, caps.turns.in_flight, caps.turns.asking, caps.turns.backlog });
	end);

	it("B3 have one place for a client elsewhere that comes and goes before it is asked, and shows something else each time", function ()
		local turns, nodes = {}, {};
		caps = new(function (_, _, node) table.insert(nodes, node); end, function (callback) table.insert(turns, callback); end);
		for i = 1, 10 do
			caps:presence(presence("a@far/r", nil, { type = "unavailable" }), "u@h");
			caps:presence(presence("a@far/r", info("urn:"..i)), "u@h");
		end
		assert.same({ 1, 1 }, { #turns, caps.turns.in_flight[""] });
		turns[1]();
		assert.same({ "urn:n#"..calculate_hash(info("urn:10").tags) }, nodes, "what it shows by now");
		caps:presence(presence("b@far/r", info("urn:b")), "u@h");
		caps:presence(presence("b@far/r", nil, { type = "unavailable" }), "u@h");
		local again = {};
		local other = new(function (jid) table.insert(again, jid); end);
		other:take_over(caps);
		assert.same({ "a@far/r" }, again, "of who was away when the module was reloaded nothing is asked");
	end);

	it("B3 have one place for a client here that comes and goes before it is asked, and shows something else each time", function ()
		local turns, nodes = {}, {};
		caps = new(function (_, _, node) table.insert(nodes, node); end, function (callback) table.insert(turns, callback); end);
		for i = 1, 10 do
			caps:presence(presence("a@h/r", info("urn:"..i)));
			caps:forget("a@h/r");
		end
		assert.same({ 1, 1 }, { #turns, caps.turns.in_flight["a@h"] });
		caps:presence(presence("a@h/r", info("urn:11")));
		turns[1]();
		assert.same({ "urn:n#"..calculate_hash(info("urn:11").tags) }, nodes, "what it shows by now");
		caps:forget("a@h/r");
		caps:presence(presence("a@h/r", info("urn:12")));
		assert.equal(2, #turns, "an answer that nobody gives any more is not waited for");
	end);

	it("B1 of a client that is gone before it is asked, or before it answers, end the query and no more", function ()
		local query, waiting = info(R), nil;
		caps:presence(presence("a@h/1", query));
		caps:forget("a@h/1");
		asked[1].done(query);
		assert.same({ 1, {}, "silent" }, { #asked, caps.turns.flight, caps:of("a@h/1") });
		local other = new(function () error("asked"); end, function (callback) waiting = callback; end);
		other:presence(presence("a@h/1", query));
		other:forget("a@h/1");
		waiting();
		assert.same({ {}, "silent" }, { other.turns.flight, other:of("a@h/1") });
	end);

	it("B1 of a client that shows other caps are asked for anew, whichever part of them is another", function ()
		local query = info(R);
		local function show(jid, attr, to)
			local stanza = st.presence { from = jid };
			attr.xmlns = "http://jabber.org/protocol/caps";
			caps:presence(stanza:tag("c", attr):up(), to);
		end
		local ver = calculate_hash(query.tags);
		for _, one in ipairs { { "a@h/1" }, { "a@far/1", "u@h" } } do
			local jid, to = table.unpack(one);
			local before = #asked;
			for i, attr in ipairs { { ver = "1", node = "n", hash = "md5" }, { ver = "2", node = "n", hash = "md5" },
				{ ver = "2", node = "m", hash = "md5" }, { ver = ver, node = "m", hash = "md5" }, { ver = ver, node = "m", hash = "sha-1" },
				{ ver = "3" }, { ver = ver, node = "m" }, { ver = ver, node = "m", ext = "e" }, { ver = ver, node = "m", ext = "e f" },
				{ ver = "3", ext = "e f" }, { node = "m", hash = "md5" }, { ext = "e" } } do
				show(jid, attr, to);
				assert.equal(before + i, #asked, jid..i);
				show(jid, attr, to);
				asked[#asked].done(info("urn:x"), attr.hash and attr.ver and attr.node.."#"..attr.ver);
				assert.equal(before + i, #asked, jid..i);
				assert.equal("incapable", caps:of(jid));
			end
		end
	end);

	it("B1 of a client whose caps have no hash are asked of the client, and not of its ver, which leaves out what ext stands for", function ()
		local attr = { xmlns = "http://jabber.org/protocol/caps", node = "urn:old", ver = "0.12", ext = "cs mr" };
		caps:presence(st.presence { from = "a@h/1" }:tag("c", attr):up());
		assert.is_nil(asked[1].node);
		assert.equal("unknown", caps:of("a@h/1"));
		asked[1].done(info("urn:x"), "urn:old#0.12");
		assert.equal("unknown", caps:of("a@h/1"));
		caps:late("a@h/1", info("urn:x", R));
		assert.equal("capable", caps:of("a@h/1"));
	end);

	it("B1 of a client elsewhere whose caps have no hash do not hold for what it has shown since it was asked", function ()
		local function show(ver)
			caps:presence(st.presence { from = "a@far/1" }:tag("c", { xmlns = "http://jabber.org/protocol/caps", node = "urn:old", ver = ver }), "u@h");
		end
		show("1");
		show("2");
		asked[1].done(info(R));
		assert.same({ "unknown", 2 }, { caps:of("a@far/1"), #asked });
		asked[2].done(info("urn:x"));
		assert.equal("incapable", caps:of("a@far/1"));
	end);

	it("B1 of a client that has shown something else since it was asked hold for its ver all the same", function ()
		local query = info(R);
		for _, jid in ipairs { "a@h/1", "b@h/1" } do caps:presence(presence(jid, query)); end
		caps:presence(presence("a@h/1", info("urn:x")));
		asked[1].done(query);
		assert.same({ "unknown", "capable" }, { caps:of("a@h/1"), caps:of("b@h/1") });
		assert.same({ 2, "a@h/1" }, { #asked, asked[2].jid });
	end);

	it("B3 begin no query for who is known, or cannot be asked", function ()
		local query, begun = info(R), 0;
		caps:presence(presence("a@far/1", query), "u@h");
		asked[1].done(query);
		function caps.actions.later() begun = begun + 1; end
		for _, jid in ipairs { "a@far/1", "b@far/1" } do caps:presence(presence(jid, query), "u@h"); end
		caps:presence(presence("b@h/1", query));
		hides = { ["shy@h"] = true };
		caps:presence(presence("c@far/1", info("urn:x")), "shy@h");
		assert.equal(0, begun);
		caps:presence(presence("c@far/1", info("urn:x")), "u@h");
		assert.equal(1, begun);
	end);

	it("B1 of strangers are kept where they show what somebody else is being asked", function ()
		local query = info(R);
		hides, strangers = { ["shy@h"] = true }, { ["b@far"] = true };
		caps:presence(presence("a@far/1", query), "u@h");
		caps:presence(presence("b@far/1", query), "shy@h");
		asked[1].done(query);
		assert.same({ 1, "capable" }, { #asked, caps:of("b@far/1") });
	end);

	it("B3 are not read from caps of unusual length, nor from what is no presence of a client", function ()
		local function show(ver, node, jid, attr, ext)
			attr = attr or {};
			attr.from = jid or "a@far/1";
			local c = { xmlns = "http://jabber.org/protocol/caps", hash = not ext and "sha-1" or nil, ver = ver, node = node, ext = ext };
			caps:presence(st.presence(attr):tag("c", c), "u@h");
			return #asked;
		end
		assert.equal(0, show(("v"):rep(129), "n"));
		assert.equal(0, show("v", ("n"):rep(513)));
		assert.equal(0, show("v", "n", nil, nil, ("e"):rep(513)));
		for _, type in ipairs { "subscribe", "probe", "error" } do assert.equal(0, show("v", "n", nil, { type = type })); end
		assert.equal(0, show("v", "n", "b@far"));
		assert.equal("silent", caps:of("b@far"));
		caps:presence(st.presence());
		assert.equal(1, show(("v"):rep(128), ("n"):rep(512)));
		assert.equal(2, show("v", "n", "a@far/"..("r"):rep(794)));
		assert.equal(2, show("v", "n", "a@far/"..("s"):rep(795)));
	end);

	it("B3 of room occupants are not asked for, and are what their ver says where that is known", function ()
		local query = info(R);
		local function occupant(jid) return presence(jid, query):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(); end
		caps:presence(occupant("room@far/1"), "u@h");
		assert.same({ 0, "unknown" }, { #asked, caps:of("room@far/1") });
		caps:presence(presence("a@far/1", query), "u@h");
		asked[1].done(query);
		caps:presence(occupant("room@far/2"), "u@h");
		assert.same({ 1, "capable", "capable" }, { #asked, caps:of("room@far/1"), caps:of("room@far/2") });
		caps:presence(presence("gateway@far/1", info("urn:x")), "u@h");
		asked[2].done(nil);
		caps:presence(occupant("gateway@far/1"), "u@h");
		caps:presence(presence("gateway@far/1", info("urn:y")), "u@h");
		assert.equal(2, #asked, "nor of who has turned out to be one");
		local turn;
		caps = new(function (jid) table.insert(asked, jid); end, function (callback) turn = callback; end);
		caps:presence(presence("room@far/3", info("urn:z")), "u@h");
		caps:presence(occupant("room@far/3"), "u@h");
		turn();
		assert.same({ 2, {} }, { #asked, caps.turns.flight }, "before it was asked");
	end);

	it("B4 of a room's occupant are what others are shown, and not what each of the occupant's own clients is", function ()
		local able, unable = info(R), info("urn:x");
		for i, shown in ipairs { able, unable } do
			caps:presence(presence("teacher@far/"..i, shown), "u@h");
			asked[i].done(shown);
		end
		local function shows(shown, to, own)
			local stanza = presence("room@far/bob", shown):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" });
			if own then stanza:tag("status", { code = "110" }):up(); end
			stanza:up();
			if not caps:glance(stanza, to) then caps:presence(stanza, to); end
		end
		local never = info("urn:y");
		for _, own in ipairs { unable, never } do
			shows(own, "bob@h", true);
			shows(able, "alice@h");
			for _ = 1, 2 do
				shows(able, "bob@h", true);
				shows(own, "bob@h", true);
				assert.equal("capable", caps:of("room@far/bob"));
			end
			shows(unable, "alice@h");
			assert.equal("incapable", caps:of("room@far/bob"));
			caps:hidden("room@far", "alice@h");
		end
	end);

	it("C1 of clients here that can ask by themselves are at hand, once they have been told", function ()
		local query, other = info(R), info("urn:x");
		for jid, what in pairs { ["able@h/1"] = query, ["unable@h/1"] = other } do caps:presence(presence(jid, what)); end
		caps:presence(presence("able@far/1", query), "u@h");
		for _, one in ipairs(asked) do one.done(one.jid == "able@h/1" and query or other); end
		for _, jid in ipairs { "able@h/1", "unable@h/1", "able@far/1", "nobody@h/1" } do caps:of(jid); end
		assert.same({ ["able@h/1"] = true }, caps.able);
		caps:presence(presence("able@h/1", other));
		assert.same({}, caps.able);
		caps:presence(presence("able@h/1", query));
		caps:of("able@h/1");
		caps:forget("able@h/1");
		assert.same({}, caps.able);
	end);

	it("B1 ask the next one when an answer is of no use, each once", function ()
		local query = info(R, "urn:x");
		for i = 1, 3 do caps:presence(presence("a"..i.."@h/r", query), "u@h"); end
		asked[1].done(nil);
		assert.equal("a2@h/r", asked[2].jid);
		asked[2].done(info("urn:lie"));
		asked[3].done(query);
		assert.same({ "capable", "incapable", "capable" }, { caps:of("a1@h/r"), caps:of("a2@h/r"), caps:of("a3@h/r") });
		caps:presence(presence("a1@h/r", query), "u@h");
		assert.equal(3, #asked);
	end);

	it("B1 ask people here first", function ()
		local query = info(R, "urn:x");
		for i = 1, 30 do caps:presence(presence("a"..i.."@far/r", query), "u@h"); end
		caps:presence(presence("b@h/r", query));
		asked[1].done(nil);
		assert.equal("b@h/r", asked[2].jid);
	end);

	it("B3 ask a client one question at a time", function ()
		for i = 1, 10 do caps:presence(presence("a@h/r", info(R, "urn:"..i))); end
		assert.equal(1, #asked);
		asked[1].done(info(R, "urn:1"));
		assert.equal(2, #asked, "what it shows by now");
		asked[2].done(info(R, "urn:10"));
		assert.equal("capable", caps:of("a@h/r"));
		assert.equal(2, #asked);
	end);

	it("B3 look at no other directed presence of a client while it is being asked", function ()
		local first, second = info(R, "urn:1"), info("urn:2");
		caps:directed(presence("a@h/r", first, { to = "b@h" }));
		caps:directed(presence("a@h/r", second, { to = "b@h" }));
		asked[1].done(first);
		assert.equal(1, #asked);
		assert.equal("capable", caps:of("a@h/r"));
		caps:directed(presence("a@h/r", second, { to = "b@h" }));
		asked[2].done(second);
		assert.equal("incapable", caps:of("a@h/r"), "it shows another ver now");
	end);

	it("B3 of a client elsewhere that is being asked keep what it shows by now, and look at it when it has answered", function ()
		local looked, may_see = 0, caps.actions.may_see;
		caps.actions.may_see = function (...)
			looked = looked + 1;
			return may_see(...);
		end;
		caps:presence(presence("a@far/r", info(R, "urn:0")), "u@h");
		looked = 0;
		local first = caps.people:client("a@far/r", "a@far");
		for i = 1, 10 do caps:presence(presence("a@far/r", info(R, "urn:"..i)), "u@h"); end
		assert.same({ 0, 1, "unknown" }, { looked, #asked, caps:of("a@far/r") });
		assert.equal(first, caps.people:client("a@far/r", "a@far"), "nothing new is made of it");
		asked[1].done(info(R, "urn:0"));
		assert.same({ 2, "unknown" }, { #asked, caps:of("a@far/r") }, "what it has shown before does not count");
		assert.equal("urn:n#"..calculate_hash(info(R, "urn:10").tags), asked[2].node);
		asked[2].done(info(R, "urn:10"));
		looked = 0;
		caps:presence(presence("a@far/r", info(R, "urn:10")), "u@h");
		assert.same({ 0, 2, "capable" }, { looked, #asked, caps:of("a@far/r") });
	end);

	it("B3 of a client elsewhere need no more than a glance while it is being asked, or where many are", function ()
		unsubscribed = setmetatable({}, { __index = function () return true; end });
		local function glance(jid, query, to, attr) return caps:glance(presence(jid, query, attr), to or "u@h"); end
		assert.is_false(glance("a@far/r", info(R, "urn:0")));
		caps:presence(presence("a@far/r", info(R, "urn:0")), "u@h");
		assert.is_true(glance("a@far/r", info(R, "urn:1")));
		assert.is_false(glance("a@far/r", info(R, "urn:2"), "v@h"), "it is shown to somebody else");
		assert.is_false(glance("a@far/r", nil, nil, { type = "unavailable" }));
		local joined = presence("a@far/r", info(R, "urn:2"));
		joined:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up();
		assert.is_false(caps:glance(joined, "u@h"), "it is a room's occupant");
		asked[1].done(info(R, "urn:0"));
		assert.equal("urn:n#"..calculate_hash(info(R, "urn:1").tags), asked[2].node, "what it has shown at a glance");
		asked[2].done(info(R, "urn:1"));
		assert.is_false(glance("a@far/r", info(R, "urn:2")), "it is to be asked");

		local last = #asked;
		for i = 1, 299 do caps:presence(presence("b"..i.."@far/r", info(R, "urn:b"..i)), "u@h"); end
		assert.is_false(glance("c@far/r", info(R, "urn:c")));
		caps:presence(presence("b300@far/r", info(R, "urn:b300")), "u@h");
		assert.equal(last + 100, #asked);
		assert.is_true(glance("c@far/r", info(R, "urn:c")));
		assert.is_true(glance("b300@far/r", info(R, "urn:b")), "it has to wait for its turn");
		assert.is_false(glance("c@far/r", info(R, "urn:1")), "what it shows is known");
		assert.is_false(glance("c@far/r", info(R, "urn:b1")), "and this will be");
		assert.is_false(glance("c@far", info(R, "urn:c")), "no client");
		for i = 1, 100 do caps:presence(presence("d@far/"..i, info(R, "urn:1")), "u@h"); end
		assert.is_true(glance("d@far/101", info(R, "urn:1")), "no room");
		assert.is_false(glance("d@far/100", info(R, "urn:2")));
	end);

	it("B3 of a client elsewhere need no more than a glance while others of the same person are asked", function ()
		for i = 1, 21 do caps:presence(presence("a@far/"..i, info(R, "urn:"..i)), "u@h"); end
		assert.equal(20, #asked);
		assert.is_true(caps:glance(presence("a@far/21", info(R, "urn:other")), "u@h"));
		asked[1].done(info(R, "urn:1"));
		assert.equal("urn:n#"..calculate_hash(info(R, "urn:other").tags), asked[21].node, "what it has shown by then");
	end);

	it("B1 B3 of a client elsewhere need no more than a glance where it shows nothing new, and it was seen just now", function ()
		local query = info(R);
		local function show(jid, shown, to) caps:presence(presence(jid, shown), to or "u@h"); end
		local function glance(jid, shown, to) return caps:glance(presence(jid, shown), to or "u@h"); end
		local function occupant(jid) return presence(jid, query):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(); end
		local other = info("urn:other");
		for i, shown in ipairs { other, query } do
			show("a@far/r", shown);
			asked[i].done(shown);
		end
		show("b@far/r", query);
		assert.is_true(glance("a@far/r", query));
		assert.equal("b@far", (caps.people.known:tail()));
		assert.is_false(glance("a@far/r", query, "v@h"), "to somebody else");
		assert.is_false(glance("a@far/r", other), "something else");
		assert.is_false(glance("a@far/r"), "no caps");
		assert.is_false(glance("a@far/other", query), "another client");
		assert.is_false(caps:glance(occupant("a@far/r"), "u@h"), "as a room's occupant, for the first time");
		caps:presence(occupant("a@far/r"), "u@h");
		assert.is_true(caps:glance(occupant("a@far/r"), "u@h"));

		strangers = { ["c@far"] = true };
		hides = { ["u@h"] = true };
		show("c@far/r", query);
		assert.is_false(glance("c@far/r", query), "a stranger");
		strangers = {};
		show("c@far/r", query);
		assert.same({ true, 0 }, { glance("c@far/r", query), caps.people.strangers:count() });

		for i = 1, 10000 do caps.by_hash_elsewhere:set("ver"..i, true); end
		assert.is_false(glance("b@far/r", query), "what has been forgotten");
		hides = {};
		show("b@far/r", query);
		assert.same({ 3, "b@far/r" }, { #asked, asked[3].jid });
	end);

	it("B1 of a client elsewhere that is being asked are at hand where it shows what is known", function ()
		local query = info(R);
		caps:presence(presence("b@far/r", query), "u@h");
		asked[1].done(query);
		caps:presence(presence("a@far/r", info("urn:1")), "u@h");
		caps:presence(presence("a@far/r", query), "u@h");
		assert.equal("capable", caps:of("a@far/r"));
		asked[2].done(info("urn:1"));
		assert.same({ 2, "capable" }, { #asked, caps:of("a@far/r") });
		caps:presence(presence("a@far/r", info("urn:1")), "u@h");
		assert.same({ 2, "unknown" }, { #asked - 1, caps:of("a@far/r") }, "its answer came too late for that one");
	end);

	it("B4 of a client elsewhere that is being asked are for all that it shows itself to meanwhile", function ()
		caps:presence(presence("a@far/r", info("urn:1")), "u@h");
		caps:presence(presence("a@far/r", info("urn:1")), "v@h");
		caps:presence(presence("a@far/r", nil, { type = "unavailable" }), "u@h");
		asked[1].done(info("urn:1"));
		assert.equal("incapable", caps:of("a@far/r"), "v sees it still");
		caps:presence(presence("a@far/r", nil, { type = "unavailable" }), "v@h");
		assert.equal("silent", caps:of("a@far/r"));
	end);

	it("B1 of a client elsewhere that has answered for itself do not hold for what it shows afterwards", function ()
		local lie = info(R, "urn:lie");
		caps:presence(presence("a@far/r", info("urn:1")), "u@h");
		asked[1].done(lie);
		assert.equal("capable", caps:of("a@far/r"));
		caps:presence(presence("a@far/r", info("urn:2")), "u@h");
		assert.same({ 2, "unknown" }, { #asked, caps:of("a@far/r") });
		caps:presence(presence("a@far/r", info("urn:3")), "u@h");
		asked[2].done(lie);
		assert.same({ 3, "unknown" }, { #asked, caps:of("a@far/r") });
	end);

	it("B1 ask who shows the same as somebody who is asked once, however often it is shown", function ()
		local query = info(R, "urn:x");
		for _ = 1, 10 do
			for _, jid in ipairs { "a@h/r", "b@h/r", "c@h/r" } do caps:presence(presence(jid, query)); end
		end
		asked[1].done(nil);
		caps:presence(presence("c@h/r", query));
		assert.equal(1, caps.turns.flight[calculate_hash(query.tags)].here:count(), "those that wait are in it once");
		asked[2].done(nil);
		asked[3].done(query);
		assert.equal(3, #asked);
		assert.equal("capable", caps:of("a@h/r"));
	end);

	it("B3 of who shows one thing and then another, over and over, are asked for once, and of what is shown by now", function ()
		local query, other = info(R, "urn:x"), info(R, "urn:y");
		caps:presence(presence("a@h/r", query));
		for _ = 1, 10 do
			for _, shown in ipairs { query, other } do caps:presence(presence("b@h/r", shown)); end
		end
		assert.equal(0, caps.turns.flight[calculate_hash(query.tags)].here:count(), "it shows the other one by now");
		asked[1].done(nil);
		caps:presence(presence("b@h/r", query));
		asked[2].done(nil);
		assert.same({ "b@h/r", "b@h/r", 3 }, { asked[2].jid, asked[3].jid, #asked }, "and ask what it shows now");
		asked[3].done(query);
		assert.equal("capable", caps:of("a@h/r"));
	end);

	it("B1 ask who waited and could not be asked then, or found no place to wait, when they show themselves again", function ()
		local query = info(R, "urn:x");
		caps:presence(presence("a@far/1", query), "u@h");
		caps:presence(presence("b@far/1", query), "shy@h");
		hides["shy@h"] = true;
		asked[1].done(nil);
		assert.equal(1, #asked);
		hides["shy@h"] = nil;
		caps:presence(presence("b@far/1", query), "shy@h");
		assert.equal("b@far/1", asked[2].jid);
		for i = 1, 21 do caps:presence(presence("c"..i.."@far/1", query), "u@h"); end
		for i = 2, 22 do asked[i].done(nil); end
		assert.equal(22, #asked);
		caps:presence(presence("c21@far/1", query), "u@h");
		assert.equal("c21@far/1", asked[23].jid);
	end);

	it("B1 ask who waited and could not be asked then, or found no place to wait, when they show themselves again before the turn is over", function ()
		local query = info(R, "urn:x");
		local function come(name, to) caps:presence(presence(name.."@far/1", query), to or "u@h"); end
		come "a";
		come("b", "shy@h");
		for i = 1, 20 do come("c"..i); end -- of whom the last finds none
		hides["shy@h"] = true;
		asked[1].done(nil);
		assert.equal("c1@far/1", asked[2].jid);
		hides["shy@h"] = nil;
		come("b", "shy@h");
		asked[2].done(nil);
		come "c20";
		for i = 3, 22 do asked[i].done(nil); end
		assert.same({ "c19@far/1", "b@far/1", "c20@far/1", 22 }, { asked[20].jid, asked[21].jid, asked[22].jid, #asked });
	end);

	it("B1 ask who waited before a reload, in turn again", function ()
		local again = {};
		local other = new(function (jid, _, _, done) table.insert(again, { jid = jid, done = done }); end);
		for _, jid in ipairs { "a@h/r", "b@h/r" } do caps:presence(presence(jid, info(R))); end
		other:take_over(caps);
		assert.equal(1, #again);
		again[1].done(nil);
		assert.equal(2, #again);
	end);

	it("B3 of clients here that have gone, or show something else, do not wait for their turn any more", function ()
		local query = info(R, "urn:x");
		for i = 1, 3 do caps:presence(presence("a@h/"..i, query)); end
		for i = 4, 1000 do
			caps:presence(presence("a@h/"..i, query));
			if i % 2 == 0 then caps:presence(presence("a@h/"..i, info(R, "urn:y"))); end
			caps:forget("a@h/"..i);
		end
		assert.equal(2, caps.turns.flight[calculate_hash(query.tags)].here:count());
		asked[1].done(nil);
		assert.equal("a@h/2", asked[#asked].jid, "the others keep theirs");
	end);

	it("B1 presence without caps does not unsay them", function ()
		caps:presence(presence("a@h/r", info(R)));
		asked[1].done(info(R));
		caps:presence(presence("a@h/r"));
		assert.equal("capable", caps:of("a@h/r"));
		assert.equal(1, #asked);
	end);

	it("B4 what is shown to a user ends with unavailable presence, of the client or of the person", function ()
		local function shown(jid) return caps:of_person(jid, function (_, _, client) return client.shown["u@h"]; end); end
		local query = info(R);
		for _, jid in ipairs { "a@far/1", "a@far/2", "b@far/1" } do caps:presence(presence(jid, query), "u@h"); end
		asked[1].done(query);
		caps:presence(presence("b@far/1", query), "other@h");
		assert.equal("capable", shown("a@far"));
		caps:presence(presence("a@far/1", nil, { type = "unavailable" }), "u@h");
		assert.same({ "silent", "capable" }, { caps:of("a@far/1"), caps:of("a@far/2") });
		caps:presence(presence("a@far", nil, { type = "unavailable" }), "u@h");
		assert.equal("silent", caps:of("a@far/2"));
		caps:presence(presence("b@far", nil, { type = "unavailable" }), "u@h");
		assert.equal("unknown", shown("b@far"));
		assert.equal("capable", caps:of("b@far/1"), "still shown to another");
	end);

	it("B4 what is shown to a user ends with an error from the person, whose server has gone, and not with one from a client, or to others", function ()
		local function shown(to, jid) return (caps:of_person(jid or "a@far", function (_, _, client) return client.shown[to]; end)); end
		local query, failed = info(R), { type = "error" };
		for i = 1, 2 do
			for _, to in ipairs { "u@h", "v@h" } do caps:presence(presence("a@far/"..i, query), to); end
		end
		asked[1].done(query);
		caps:presence(presence("a@far/1", nil, failed), "u@h");
		assert.equal("capable", shown("u@h", "a@far/1"));
		caps:presence(presence("a@far", nil, failed), "u@h");
		assert.same({ "unknown", "capable" }, { shown "u@h", shown "v@h" });
		caps:presence(presence("a@far/1", query), "u@h");
		assert.equal("capable", shown "u@h", "it is back");
	end);

	it("B1 B3 of a client elsewhere that did not answer are asked for again when it shows itself ten minutes later, and of one here never", function ()
		local query = info(R, "urn:x");
		local function come(jid, to) caps:presence(presence(jid, query), to); end
		come("a@h/1");
		come("b@far/1", "u@h");
		for _ = 1, 2 do asked[#asked].done(nil); end
		assert.same({ "b@far/1", 2 }, { asked[2].jid, #asked });
		for minutes = 1, 19 do
			clock = minutes * 60;
			come("a@h/1");
			for _ = 1, 3 do come("b@far/1", "u@h"); end
			assert.equal(minutes < 10 and 2 or 3, #asked, minutes);
			if minutes == 10 then asked[3].done(nil); end
		end
		clock = 1200;
		come("c@far/1", "u@h");
		come("b@far/1", "u@h"); -- in the turn of another one
		asked[4].done(nil);
		asked[5].done(query);
		assert.same({ "c@far/1", "b@far/1", "capable" }, { asked[4].jid, asked[5].jid, caps:of("b@far/1") });
		clock = 1800;
		come("b@far/1", "u@h");
		assert.equal(5, #asked);
	end);

	it("B1 of a client that comes again do not wait for the answer of the one that went", function ()
		caps:presence(presence("a@h/r"));
		caps:forget("a@h/r");
		caps:presence(presence("a@h/r"));
		assert.equal(2, #asked);
		asked[2].done(info(R));
		assert.equal("capable", caps:of("a@h/r"));
		asked[1].done(info("urn:x"));
		assert.equal("capable", caps:of("a@h/r"), "and are not changed by it");
	end);

	it("B1 of a client elsewhere do not either, once it is shown to nobody any more", function ()
		local function goes(to) caps:presence(presence("a@far/r", nil, { type = "unavailable" }), to); end
		for _, to in ipairs { "u@h", "v@h" } do caps:presence(presence("a@far/r", info(R)), to); end
		goes("u@h");
		caps:presence(presence("a@far/r", info("urn:x")), "v@h");
		assert.equal(1, #asked, "asked already");
		goes("v@h");
		caps:presence(presence("a@far/r", info("urn:x")), "v@h");
		assert.equal(2, #asked);
	end);

	it("B3 B4 are asked only in the name of a user whose presence the client may see, as it is when they are asked", function ()
		hides = { ["shy@h"] = true };
		local query = info(R);
		caps:presence(presence("a@far/1", query), "shy@h");
		assert.same({}, asked);
		assert.equal("unknown", caps:of("a@far/1"), "a contact is kept all the same");
		caps:presence(presence("a@far/1", query), "open@h");
		caps:presence(presence("a@far/1", query), "shy@h");
		assert.equal("open@h", asked[1].from);
		assert.equal(1, #asked);
		caps:presence(presence("b@far/1", query), "open@h");
		caps:presence(presence("c@far/1", query), "late@h");
		hides["open@h"] = true;
		asked[1].done(nil);
		assert.same({ "c@far/1", "late@h" }, { asked[2].jid, asked[2].from });
		hides["late@h"] = true;
		local waiting;
		caps = new(function (jid) table.insert(asked, jid); end, function (callback) waiting = callback; end);
		caps:presence(presence("a@far/1", query), "u@h");
		hides["u@h"] = true;
		waiting();
		assert.equal(2, #asked);
		assert.same({}, caps.turns.in_flight);
		hides["u@h"] = nil;
		local from;
		caps = new(function (_, by) from = by; end, function (callback) waiting = callback; end);
		caps:presence(presence("a@far/1", query), "u@h");
		caps:presence(presence("a@far/1", query), "shy@h");
		waiting();
		assert.equal("u@h", from, "not in the name of who is hidden from it, though that was the latest");
		for number, goes in ipairs {
			function (to) caps:presence(presence("a@far/1", nil, { type = "unavailable" }), to); end;
			function (to) caps:hidden("a@far", to); end;
			function (to) caps:gone(to); end;
		} do
			caps = new(function (_, by) from = by; end, function (callback) waiting = callback; end);
			for i = 1, 3 do caps:presence(presence("a@far/1", query), "u"..i.."@h"); end
			goes("u3@h");
			goes("u1@h");
			from = nil;
			waiting();
			assert.equal("u2@h", from, "in the name of who is left, "..number);
		end
	end);

	it("B3 are not kept of strangers of whom nothing is known and who cannot be asked", function ()
		hides = { ["shy@h"] = true };
		strangers = { ["a@far"] = true, ["b@far"] = true };
		local common = info(R);
		caps:presence(presence("a@far/1", info("urn:x")), "shy@h");
		caps:presence(presence("b@far/1"), "shy@h");
		assert.same({ 0, 0 }, { caps.people.known:count(), caps.people.strangers:count() });
		caps:presence(presence("c@far/1"), "shy@h");
		assert.equal(1, caps.people.known:count(), "no stranger");
		caps:presence(presence("a@far/1", common), "open@h");
		asked[1].done(common);
		caps:presence(presence("b@far/1", common), "shy@h");
		assert.equal("capable", caps:of("b@far/1"));
	end);

	it("B3 of clients here are asked for again after a reload, where the answer was awaited", function ()
		caps:presence(presence("a@h/1"));
		caps:presence(presence("b@h/1", info(R)));
		asked[2].done(info(R));
		local again = {};
		local other = new(function (jid) table.insert(again, jid); end);
		other:take_over(caps);
		assert.same({ "a@h/1" }, again);
	end);

	it("B3 of clients here that have not answered are not asked for again by reloads", function ()
		local query = info(R);
		caps:presence(presence("mute@h/1"));
		asked[1].done(nil);
		caps:presence(presence("liar@h/1", query));
		caps:presence(presence("patient@h/1", query));
		asked[2].done(nil);
		assert.equal("patient@h/1", asked[3].jid);
		local again = {};
		for _ = 1, 3 do
			local other = new(function (jid) table.insert(again, jid); end);
			other:take_over(caps);
			caps = other;
		end
		assert.same({ "patient@h/1", "patient@h/1", "patient@h/1" }, again, "whose answer is awaited each time");
		caps:late("mute@h/1", query);
		assert.equal("capable", caps:of("mute@h/1"));
	end);

	it("B1 of clients elsewhere are asked for again after a reload, where the answer was awaited", function ()
		local query, known = info(R), info("urn:known");
		caps:presence(presence("known@far/1", known), "u@h");
		asked[1].done(known);
		caps:presence(presence("mute@far/1", info("urn:mute")), "u@h");
		asked[2].done(nil);
		caps:presence(presence("nocaps@far/1"), "u@h");
		hides["shy@h"] = true;
		caps:presence(presence("unasked@far/1", info("urn:unasked")), "shy@h");
		for _, jid in ipairs { "a@far/1", "b@far/1" } do caps:presence(presence(jid, query), "u@h"); end
		assert.equal("a@far/1", asked[3].jid);
		local again = {};
		local other = new(function (jid, from, _, done) table.insert(again, { jid = jid, from = from, done = done }); end);
		other:take_over(caps);
		assert.same({ 1, "u@h" }, { #again, again[1].from });
		again[1].done(nil);
		assert.equal(2, #again);
		assert.same({ ["a@far/1"] = true, ["b@far/1"] = true }, { [again[1].jid] = true, [again[2].jid] = true });
		again[2].done(query);
		assert.same({ "capable", "unknown", 2 }, { other:of("a@far/1"), other:of("unasked@far/1"), #again });
	end);

	it("B3 of clients elsewhere are asked for after a reload as many as before", function ()
		for i = 1, 400 do caps:presence(presence("a"..i.."@far/r", info("urn:"..i)), "u@h"); end
		local again = {};
		local other = new(function (jid, _, _, done) table.insert(again, { jid = jid, done = done }); end);
		other:take_over(caps);
		assert.same({ 100, 200 }, { #again, other.turns.backlog[""]:count() });
		for i = 1, 300 do again[i].done(nil); end
		assert.equal(300, #again);
	end);

	it("B3 are not asked of a client that hibernates, but once it is awake", function ()
		local query = info(R);
		sleeping["phone@h/1"] = true;
		caps:presence(presence("phone@h/1", query));
		assert.same({}, asked);
		caps:presence(presence("phone@h/1", query));
		caps.actions.later = spy.new(caps.actions.later);
		assert.equal("unknown", caps:of("phone@h/1"));
		assert.spy(caps.actions.later).was_not_called();
		assert.same({ 0, {} }, { #asked, caps.turns.flight });
		sleeping["phone@h/1"] = nil;
		caps:resumed("phone@h/1");
		assert.equal("phone@h/1", asked[1].jid);
		caps:resumed("phone@h/1");
		caps:resumed("nobody@h/1");
		assert.equal(1, #asked);
		asked[1].done(nil);
		caps:resumed("phone@h/1");
		assert.equal(1, #asked, "once");
	end);

	it("B3 are asked of the next one in place of a client that hibernates", function ()
		local query = info(R);
		for _, jid in ipairs { "a@h/1", "phone@h/1", "b@h/1" } do caps:presence(presence(jid, query)); end
		sleeping["phone@h/1"] = true; -- whose turn would be next
		asked[1].done(nil);
		assert.equal("b@h/1", asked[2].jid);
		asked[2].done(query);
		caps:resumed("phone@h/1");
		assert.same({ 2, "capable" }, { #asked, caps:of("phone@h/1") });
	end);

	it("B3 are not asked again of a client that hibernates by a reload: the question waits for it", function ()
		caps:presence(presence("phone@h/1"));
		sleeping["phone@h/1"] = true;
		local other = new(function () error("asked"); end);
		other:take_over(caps);
		sleeping["phone@h/1"] = nil;
		other:resumed("phone@h/1");
		other:late("phone@h/1", info(R));
		assert.equal("capable", other:of("phone@h/1"));
	end);

	it("are told of when something is learned, and of which client", function ()
		local query = info(R);
		caps:presence(presence("a@h/1"));
		caps:presence(presence("b@h/1", query));
		assert.equal(0, learned);
		for _, jid in ipairs { "a@h/1", "b@h/1", "nobody@h/1" } do assert.is_false(caps:knows(jid)); end
		asked[1].done(info(R));
		assert.same({ 1, "a@h/1" }, { learned, of });
		assert.same({ true, false }, { caps:knows("a@h/1"), caps:knows("b@h/1") });
		asked[2].done(query);
		assert.same({ 2 }, { learned, of });
		assert.is_true(caps:knows("b@h/1"));
		caps:presence(presence("b@h/1", info("urn:x")));
		assert.is_false(caps:knows("b@h/1"));
		caps:overheard("b@h/1", info("urn:x"));
		caps:overheard("b@h/1", info("urn:x"));
		assert.same({ 3 }, { learned, of }, "once");
		assert.is_true(caps:knows("b@h/1"), "incapable");
		caps:presence(presence("a@h/1", query));
		assert.same({ 4, "a@h/1" }, { learned, of });
		caps:presence(presence("a@h/1", query));
		caps:presence(presence("a@far/1", query), "u@h");
		assert.equal(4, learned);
	end);

	it("B2 of a client are not learned from its answer to an earlier question", function ()
		local first, second = info("urn:first"), info(R, "urn:second");
		caps:presence(presence("a@h/1", first));
		caps:forget("a@h/1");
		caps:presence(presence("a@h/1", second));
		asked[2].done(first, asked[1].node);
		assert.equal("unknown", caps:of("a@h/1"));
		caps:late("a@h/1", second);
		assert.equal("capable", caps:of("a@h/1"));
	end);

	it("B2 of a client are learned from an answer that names nothing, where there was no earlier question", function ()
		for _, to in ipairs { false, "u@h" } do
			local jid = to and "a@far/1" or "a@h/1";
			local function show(query) caps:presence(presence(jid, query), to or nil); end
			local function answer(query) asked[#asked].done(query, false); end
			show(info("urn:first"));
			answer(info(R)); -- which is not what it shows
			assert.equal("capable", caps:of(jid));
			show(info("urn:second"));
			answer(info("urn:x"));
			assert.equal("unknown", caps:of(jid), "that may be of before");
			caps:late(jid, info("urn:x"));
			assert.equal("unknown", caps:of(jid));
			caps:forget(jid);

			local known = info("urn:known");
			caps:presence(presence("b@h/1", known));
			if asked[#asked].jid == "b@h/1" then asked[#asked].done(known); end
			show(info("urn:first"));
			asked[#asked].done(nil);
			sleeping[jid] = true; -- one of this host is not asked then
			show(to and known or info("urn:second"));
			sleeping[jid] = nil;
			local questions = #asked;
			show(info("urn:third"));
			assert.equal(questions + 1, #asked);
			answer(info("urn:x"));
			assert.equal("unknown", caps:of(jid), "though it was not asked about what it showed between");
			caps:forget(jid);
		end
	end);

	it("B3 of a client that answers late are learned all the same, while it is what was asked", function ()
		local query = info(R);
		caps:presence(presence("a@h/1"));
		asked[1].done(nil);
		caps:late("b@h/1", query);
		caps:late("a@h/1", query);
		assert.equal("capable", caps:of("a@h/1"));
		caps:late("a@h/1", info("urn:x"));
		assert.equal("capable", caps:of("a@h/1"));
		caps:presence(presence("c@far/1", query), "u@h");
		caps:presence(presence("c@far/1", info("urn:y")), "u@h");
		caps:late("c@far/1", query);
		assert.equal("unknown", caps:of("c@far/1"));
		sleeping["d@h/1"] = true;
		caps:presence(presence("d@h/1"));
		caps:late("d@h/1", query);
		assert.equal("silent", caps:of("d@h/1"), "not asked yet");
	end);

	it("B3 of people here are not crowded out by others", function ()
		caps:presence(presence("here@h/r", info(R)));
		asked[1].done(info(R));
		for i = 1, 20100 do caps:presence(presence("there"..i.."@far/r"), "here@h"); end
		assert.equal("capable", caps:of("here@h/r"));
		assert.equal("silent", caps:of("there1@far/r"));
		assert.equal(20000, caps.people.known:count() + caps.people.strangers:count());
	end);

	it("B3 by ver of clients here are not crowded out by what others elsewhere show, whoever showed it first; both are bounded", function ()
		local unable, able, shared, awaited = info("urn:old"), info(R), info(R, "urn:shared"), info(R, "urn:awaited");
		caps:presence(presence("friend@far/1", shared), "u@h");
		caps:presence(presence("friend@far/2", awaited), "u@h");
		for jid, query in pairs { ["old@h/r"] = unable, ["new@h/r"] = able, ["awaits@h/r"] = awaited } do caps:presence(presence(jid, query)); end
		for _, one in ipairs(asked) do
			for _, query in ipairs { unable, able, shared, awaited } do
				if one.node == "urn:n#"..calculate_hash(query.tags) then one.done(query); end
			end
		end
		caps:presence(presence("shared@h/r", shared));
		assert.is_true(caps.here["shared@h/r"].is_shape);
		assert.equal(4, #asked);
		for i = 1, 10010 do
			caps:presence(presence("mallory@far/r", info("urn:"..i)), "u@h");
			asked[#asked].done(info("urn:"..i));
		end
		assert.same({ "incapable", "capable", "capable", "capable" },
			{ caps:of("old@h/r"), caps:of("new@h/r"), caps:of("shared@h/r"), caps:of("awaits@h/r") });
		assert.same({ 4, 10000 }, { caps.by_hash:count(), caps.by_hash_elsewhere:count() });
		caps:presence(presence("friend@far/1", able), "u@h");
		assert.same({ 10014, "capable" }, { #asked, caps:of("friend@far/1") }, "and hold for others all the same");
	end);

	for how, looks in pairs {
		["that client"] = function () caps:of("a@h/r"); end;
		["that person"] = function () caps:of_person("a@h", function () return true; end); end;
		["who can get it"] = function () caps:capable_clients("a@h", function () return true; end); end;
	} do
		it("B3 by ver of clients here are asked for again when they are forgotten, once somebody would know: "..how, function ()
			local query = info(R, "urn:x");
			local function forget() for i = 1, 10000 do caps.by_hash:set("ver"..#asked..i, true); end end
			online["a@h"] = { r = { full_jid = "a@h/r" } };
			caps:presence(presence("a@h/r", query));
			asked[1].done(query);
			forget();
			looks();
			assert.same({ 2, "a@h/r" }, { #asked, asked[#asked].jid }, "which has answered");
			asked[2].done(query);
			caps:forget("a@h/r");
			caps:presence(presence("a@h/r", query));
			forget();
			looks();
			assert.same({ 3, "a@h/r" }, { #asked, asked[#asked].jid }, "which shows what was known");
			asked[3].done(nil);
			looks();
			assert.equal(3, #asked, "who does not answer is not asked again");
		end);
	end

	it("B3 by ver of clients elsewhere are asked for again when they are forgotten and shown", function ()
		local query = info(R, "urn:x");
		caps:presence(presence("a@far/r", query), "u@h");
		asked[1].done(query);
		for i = 1, 10000 do caps.by_hash_elsewhere:set("ver"..i, true); end
		caps:of("a@far/r");
		assert.equal(1, #asked);
		caps:presence(presence("a@far/r", query), "u@h");
		assert.equal(2, #asked);
	end);

	it("B3 of people whom a user knows are not crowded out by strangers, whatever those show", function ()
		local common = info(R);
		hides = setmetatable({}, { __index = function (_, user) return user ~= "open@h"; end });
		strangers = setmetatable({}, { __index = function (_, bare) return bare:find("^stranger") ~= nil; end });
		local function come(bare) -- of strangers, one user is shown so many at the most
			caps:presence(presence(bare.."/r", common), bare:find("^open") and "open@h" or ("shy%d@h"):format((bare:match("%d+") or 0) % 30));
		end
		come("open@far");
		asked[1].done(common);
		come("friend@far");
		for i = 1, 20100 do come("stranger"..i.."@far"); end
		assert.same({ "capable", "capable" }, { caps:of("friend@far/r"), caps:of("stranger20100@far/r") });
		assert.equal(20000, caps.people.known:count() + caps.people.strangers:count());
		strangers["stranger20099@far"] = false;
		come("stranger20099@far");
		local again = new(function () end, function () end);
		again:take_over(caps);
		caps = again;
		for i = 1, 19997 do come("friend"..i.."@far"); end
		assert.same({ "capable", "silent", "capable", "capable" }, { caps:of("friend@far/r"), caps:of("stranger20100@far/r"),
			caps:of("stranger20099@far/r"), caps:of("friend1@far/r") }, "strangers go first");
		come("stranger1@far");
		assert.equal("silent", caps:of("stranger1@far/r"));
		assert.equal(20000, caps.people.known:count() + caps.people.strangers:count());
	end);

	it("B3 what strangers have shown is forgotten with them", function ()
		local common = info(R);
		hides = { ["shy@h"] = true };
		caps:presence(presence("a@far/r", common), "open@h");
		asked[1].done(common);
		local before = caps.people.kept;
		strangers = { ["b@far"] = true };
		caps:presence(presence("b@far/r", common), "shy@h");
		assert.equal("capable", caps:of("b@far/r"));
		caps:presence(presence("b@far/r", nil, { type = "unavailable" }), "shy@h");
		assert.same({ "silent", before, 0 }, { caps:of("b@far/r"), caps.people.kept, caps.people.strangers:count() });
	end);

	it("B3 are bounded: in queries at once, and in clients of one person", function ()
		for i = 1, 300 do caps:presence(presence("a"..i.."@far/r", info("urn:"..i)), "u@h"); end
		assert.equal(100, #asked);
		caps:presence(presence("b@h/r", info("urn:here")));
		assert.equal(101, #asked, "people here do not wait for others");
		asked[101].done(nil);
		assert.equal(101, #asked, "nor make room for them");
		for i = 1, 301 do
			if i ~= 101 then asked[i].done(nil); end
		end
		assert.equal(301, #asked, "and the others' time comes");
		for i = 1, 300 do caps:presence(presence("room@h/"..i, info(R)), "u@h"); end
		assert.equal("unknown", caps:of("room@h/100"));
		assert.equal("silent", caps:of("room@h/101"));
		local function others()
			for i = 101, 300 do caps:presence(presence("room@h/"..i, info(R)), "u@h"); end
			local n = 0;
			for i = 101, 300 do n = n + (caps:of("room@h/"..i) == "silent" and 0 or 1); end
			return n;
		end
		local again = new(function () end, function () end);
		again:take_over(caps);
		caps = again;
		assert.equal(0, others(), "nor after a reload");
		caps:forget("room@h/7");
		assert.equal(1, others(), "one for each that has gone");
	end);

	it("B3 are bounded in queries at once to the clients of one user here, the others follow in turn", function ()
		for i = 1, 1050 do caps:presence(presence("many@h/"..i)); end
		assert.equal(20, #asked);
		caps:presence(presence("a@h/r"));
		assert.equal("a@h/r", asked[21].jid, "other users do not wait for them");
		caps:forget("many@h/21");
		caps:presence(presence("many@h/22")); -- keeps its place
		asked[5].done(info(R));
		assert.same({ 22, "many@h/22", "capable" }, { #asked, asked[22].jid, caps:of("many@h/5") });
		asked[21].done(nil);
		assert.equal(22, #asked, "others make no room for them");
		local at = 1;
		while asked[at] do
			if at ~= 5 and at ~= 21 then asked[at].done(nil); end
			at = at + 1;
		end
		assert.equal(1020, #asked, "those that there was room to put off: all but one that went"); -- 1 is of somebody else
		assert.same({ {}, {}, {} }, { caps.turns.in_flight, caps.turns.backlog, caps.turns.flight });
		caps:presence(presence("many@h/1050"));
		assert.equal("many@h/1050", asked[1021].jid, "and the rest when they show themselves again");
	end);

	it("B3 are bounded in queries at once to the clients of one person elsewhere, and leave the others their places", function ()
		for i = 1, 90 do caps:presence(presence("many@far/"..i, info("urn:"..i)), "u@h"); end
		assert.equal(20, #asked);
		for i = 1, 79 do caps:presence(presence("a"..i.."@far/r", info("urn:a"..i)), "u@h"); end
		assert.same({ 99, "a79@far/r" }, { #asked, asked[99].jid }, "others do not wait for them");
		asked[1].done(nil);
		assert.same({ 100, "many@far/21" }, { #asked, asked[100].jid }, "those who were put off follow in turn");
		caps:presence(presence("b@far/r", info("urn:b")), "u@h");
		for i = 91, 100 do caps:presence(presence("many@far/"..i, info("urn:"..i)), "u@h"); end
		assert.is_nil(caps.turns.backlog[""], "nor has their list those who wait for their own");
		caps:presence(presence("c@far/r", info("urn:c")), "u@h");
		assert.equal("b@far/r", asked[101].jid);
		asked[2].done(nil);
		assert.equal("many@far/22", asked[102].jid);
		asked[21].done(nil);
		assert.equal("c@far/r", asked[103].jid);
		local at = 1;
		while asked[at] do
			if at > 2 and at ~= 21 then asked[at].done(nil); end
			at = at + 1;
		end
		assert.equal(181, #asked, "all in the end");
		assert.same({ {}, {}, {} }, { caps.turns.in_flight, caps.turns.backlog, caps.turns.flight });
	end);

	it("B3 are not asked from within one another where the questions come back at once: of those put off, and of those with the same ver", function ()
		local dones, turns, depth, deepest, comes_back = {}, {}, 0, 0, false;
		caps = new(function (_, _, _, done)
			depth = depth + 1;
			deepest = math.max(deepest, depth);
			table.insert(dones, done);
			if comes_back then done(nil); end
			depth = depth - 1;
		end);
		function caps.actions.soon(callback) table.insert(turns, callback); end
		for i = 1, 300 do caps:presence(presence("a"..i.."@far/r", info("urn:"..i)), "u@h"); end
		for i = 1, 50 do caps:presence(presence("b"..i.."@h/r", info("urn:same"))); end
		assert.equal(101, #dones);
		comes_back = true;
		for i = 1, 101 do dones[i](nil); end
		for _, turn in ipairs(turns) do turn(); end
		assert.same({ 350, 1 }, { #dones, deepest });
		assert.same({ {}, {}, {}, {} }, { caps.turns.flight, caps.turns.in_flight, caps.turns.asking, caps.turns.backlog });
	end);

	it("B3 put off who elsewhere waits for others, and then for their own: all are asked in turn", function ()
		for i = 1, 100 do caps:presence(presence("a"..i.."@far/r", info("urn:a"..i)), "u@h"); end
		for i = 1, 30 do caps:presence(presence("many@far/"..i, info("urn:"..i)), "u@h"); end
		for i = 1, 30 do asked[i].done(nil); end
		assert.same({ 120, 20 }, { #asked, caps.turns.in_flight["many@far"] });
		for i = 31, 100 do asked[i].done(nil); end
		assert.equal(120, #asked);
		for i = 101, 130 do asked[i].done(nil); end
		assert.same({ 130, {}, {}, {} }, { #asked, caps.turns.in_flight, caps.turns.backlog, caps.turns.flight });
	end);

	it("B3 are bounded anew, when a person who had the most clients is dropped for others", function ()
		for i = 1, 100 do caps:presence(presence("room@h/"..i, info(R)), "u@h"); end
		for i = 1, 20000 do caps:presence(presence("there"..i.."@far/r"), ("u%d@h"):format(i % 100)); end
		assert.equal("silent", caps:of("room@h/1"));
		caps:presence(presence("room@h/1", info(R)), "u@h");
		assert.equal("unknown", caps:of("room@h/1"));
	end);

	-- Clients elsewhere that are kept, and how many users they are shown to in all.
	local function kept()
		local clients_kept, shown = 0, 0;
		caps.people:each(function (_, client)
			clients_kept = clients_kept + 1;
			for _ in pairs(client.shown) do shown = shown + 1; end
		end);
		return clients_kept, shown;
	end

	it("B3 are bounded: in clients of all people elsewhere, and the longest unseen go first", function ()
		local plain = info(R);
		for i = 1, 600 do
			for n = 1, 100 do caps:presence(presence("a"..i.."@far/"..n), ("u%d@h"):format(i % 100)); end
		end
		assert.is_true(kept() <= 50000 and kept() > 40000, kept());
		assert.is_nil(caps.people:of("a1@far"));
		assert.truthy(caps.people:of("a600@far"));
		caps:presence(presence("b@far/1", plain), "u@h");
		asked[1].done(plain);
		assert.equal("capable", caps:of("b@far/1"));
	end);

	it("B3 are not kept of strangers in a flood of whom nothing will be learned", function ()
		unsubscribed = setmetatable({}, { __index = function () return true; end });
		local common = info(R, "urn:common");
		caps:presence(presence("a@h/r", common));
		asked[1].done(common);
		for i = 1, 3000 do caps:presence(presence("a"..i.."@far/r", info("urn:x:"..i)), "u@h"); end
		assert.is_true(kept() < 1500, kept());
		caps:presence(presence("friend@far/r", common), "u@h");
		caps:presence(presence("a1@far/r", info("urn:other")), "u@h");
		caps:presence(presence("b@h/r", info("urn:new")));
		assert.equal("capable", caps:of("friend@far/r"));
		assert.truthy(caps.people:of("a1@far")["a1@far/r"]);
		assert.equal("unknown", caps:of("b@h/r"));
		assert.equal("b@h/r", asked[#asked].jid);
	end);

	it("B3 are kept of a thousand clients that are shown to a user, and then of no stranger, though it is known what they show", function ()
		hides = { ["shy@h"] = true, ["other@h"] = true };
		strangers = setmetatable({}, { __index = function (_, bare) return not bare:find("^friend"); end });
		local common = info(R);
		caps:presence(presence("a@h/r", common));
		asked[1].done(common);
		local function come(jid, to) caps:presence(presence(jid, common), to or "shy@h"); end
		for i = 1, 1200 do come("a"..i % 20 .."@far/"..i); end
		assert.same({ 1000, 1000 }, { kept() });
		come("friend@far/1");
		come("b@far/1", "other@h");
		come("c@far/1", "open@h");
		come("b@far/1");
		for _, jid in ipairs { "friend@far/1", "b@far/1", "c@far/1" } do assert.equal("capable", caps:of(jid), jid); end
		assert.is_true(caps.people:client("b@far/1", "b@far").shown["shy@h"], "of whom is kept it is known who sees them");
		come("a1@far/1001");
		assert.equal("silent", caps:of("a1@far/1001"));
		caps:hidden("a0@far", "shy@h");
		come("a1@far/1001");
		assert.same({ "capable", 1 }, { caps:of("a1@far/1001"), #asked }, "there is room again");
		assert.equal(0, caps.people.missed:count());
	end);

	it("C3 B3 of a stranger whose clients are not all kept, since so many others are shown to the user, are not taken for none", function ()
		hides = { ["shy@h"] = true };
		local old, new_one = info("urn:old"), info(R);
		for i, query in ipairs { old, new_one } do
			caps:presence(presence("a"..i.."@h/r", query));
			asked[i].done(query);
		end
		local function support() return caps:of_person("b@far", function () return true; end, "shy@h/r"); end
		strangers = { ["b@far"] = true };
		caps:presence(presence("b@far/old", old), "shy@h");
		for i = 1, 10 do
			for n = 1, 100 do caps:presence(presence("a"..i.."@far/"..n, old), "shy@h"); end
		end
		caps:presence(presence("b@far/new", new_one), "shy@h");
		assert.same({ "silent", "unknown" }, { caps:of("b@far/new"), support() });
		strangers = {}; -- who is subscribed is shown all of them anew
		caps:presence(presence("b@far/new", new_one), "shy@h");
		assert.same({ "capable", "capable" }, { caps:of("b@far/new"), support() });
	end);

	it("B3 are bounded: in users that they are shown to", function ()
		for i = 1, 40 do
			local stanza = presence("a"..i.."@far/1");
			for n = 1, 10000 do caps:presence(stanza, "u"..n.."@h"); end
		end
		local _, shown = kept();
		assert.is_true(shown <= 350000 and shown > 300000, shown);
	end);

	it("B3 are bounded: in users that all clients of one person are shown to", function ()
		for i = 1, 40 do
			local stanza = presence("a@far/"..i);
			for n = 1, 10000 do caps:presence(stanza, "u"..n.."@h"); end
		end
		local _, shown = kept();
		assert.is_true(shown <= 350000, shown);
	end);

	it("B3 what is gone makes room", function ()
		local function come(i) caps:presence(presence("a@far/"..i), "u@h"); end
		for i = 1, 100 do come(i); end
		local before = caps.people.kept;
		for i = 1, 100 do
			caps:presence(presence("a@far/"..i, nil, { type = "unavailable" }), i % 2 == 0 and "u@h" or nil);
		end
		assert.same({ 0, {} }, { caps.people.kept, caps.people.seen_by });
		caps:gone("u@h");
		caps:hidden("a@far", "u@h");
		for i = 1, 100 do
			come(i);
			come(i);
		end
		assert.equal(before, caps.people.kept);
		caps:presence(presence("a@far/1"), "v@h");
		caps:gone("u@h");
		assert.same({ 1, 1 }, { kept() });
		local other = new(function () end, function () end);
		other:take_over(caps);
		other:gone("v@h");
		assert.equal(0, other.people.kept);
		caps:presence(presence(("x"):rep(1000).."@far/1"), "u@h");
		assert.same({ 0, 0 }, { kept() }, "addresses of unusual length are left alone");
	end);

	it("B2 B1 count what is overheard by its hash alone", function ()
		local query = info(R, "urn:x");
		caps:presence(presence("a@h/r", query));
		caps:overheard("a@h/r", info(R));
		assert.equal("unknown", caps:of("a@h/r"));
		caps:overheard("b@h/r", query);
		assert.equal("unknown", caps:of("a@h/r"), "not from who does not show it");
		caps:overheard("a@h/r", query);
		assert.equal("capable", caps:of("a@h/r"));
	end);

	it("B1 count what is overheard of a client that has not answered, and of none that has answered for itself", function ()
		local query, lie = info(R, "urn:x"), info("urn:y");
		for i, jid in ipairs { "a@far/1", "b@far/1" } do
			caps:presence(presence(jid, i == 1 and query or lie), "u@h");
			asked[i].done(i == 2 and info(R) or nil);
			caps:overheard(jid, i == 1 and query or lie);
		end
		assert.same({ "capable", "capable" }, { caps:of("a@far/1"), caps:of("b@far/1") });
		caps:presence(presence("c@far/1", lie), "u@h");
		assert.equal("c@far/1", asked[3].jid, "what one of them has said otherwise is not known of the ver");
	end);

	it("B3 count what is overheard only while the same is to be asked: nobody may answer on and on", function ()
		local query, common = info(R, "urn:x"), info("urn:common");
		hides, strangers = { ["shy@h"] = true }, { ["stranger@far"] = true };
		caps:presence(presence("a@h/r", common));
		caps:overheard("a@h/r", common);
		for _, shown in ipairs { common, query } do caps:presence(presence("stranger@far/r", shown), "shy@h"); end
		caps:overheard("stranger@far/r", query);
		assert.same({ 1, "unknown" }, { #asked, caps:of("stranger@far/r") });
		caps:presence(presence("friend@far/r", query), "u@h");
		for _ = 1, 2 do caps:overheard("stranger@far/r", query); end
		assert.same({ "capable", 2 }, { caps:of("friend@far/r"), learned });
		caps:presence(presence("b@h/r"));
		caps:presence(presence("friend@far/2", info(R, "urn:1")), "u@h");
		for jid, to in pairs { ["b@h/r"] = false, ["friend@far/2"] = "u@h" } do
			caps:presence(presence(jid, info(R, jid)), to or nil);
			caps:overheard(jid, info(R, jid));
		end
		assert.same({ "capable", "unknown" }, { caps:of("b@h/r"), caps:of("friend@far/2") }, "one elsewhere could go on until it is asked");
	end);

	it("B3 no user makes what is known of other users' contacts go, however many contacts they have", function ()
		local common = info(R);
		for i = 1, 1000 do caps:presence(presence("room"..i % 10 .."@far/"..i, common), "alice@h"); end
		caps:presence(presence("friend@far/r", common), "alice@h");
		asked[1].done(common);
		local another = info(R, "urn:another");
		caps:presence(presence("friend@far/r", another), "alice@h");
		asked[2].done(another);
		for i = 1, 25000 do
			for _ = 1, 2 do caps:presence(presence("x"..i.."@evil/r", common), "mallory@h"); end
			if i == 5000 then caps:presence(presence("x1@evil/r", another), "mallory@h"); end
		end
		assert.equal("capable", caps:of("friend@far/r"));
		assert.equal("capable", caps:of("x1@evil/r"), "who came first stays");
		assert.equal("capable", caps:of("x25000@evil/r"), "for who has very many the latest are known");
	end);

	it("B3 no user makes what is known of other users' contacts go, however many clients a contact has", function ()
		local common = info(R);
		caps:presence(presence("friend@far/r", common), "alice@h");
		asked[1].done(common);
		caps:presence(presence("both@far/1", common), "alice@h");
		for n = 1, 51 do
			for i = 1, 1000 do caps:presence(presence("x"..i.."@evil/"..n, common), "mallory@h"); end
		end
		assert.equal("capable", caps:of("friend@far/r"));
		for _, to in ipairs { "mallory@h", "alice@h" } do caps:presence(presence("both@far/2", common), to); end
		for _, to in ipairs { "alice@h", "mallory@h" } do caps:presence(presence("other@far/1", common), to); end
		for i = 1, 20000 do caps:presence(presence("y"..i.."@evil/r", common), "mallory@h"); end
		for _, jid in ipairs { "both@far/1", "both@far/2", "other@far/1" } do
			assert.equal("capable", caps:of(jid), "whom another user knows as well stays: "..jid);
		end
	end);

	it("B3 nor do several users together, unless they are many; nor one, with people who show one of their clients to another", function ()
		local common = info(R);
		caps:presence(presence("friend@far/r", common), "alice@h");
		asked[1].done(common);
		for n = 1, 9 do
			for i = 1, 4000 do caps:presence(presence("x"..n.."-"..i.."@evil/r", common), "mallory"..n.."@h"); end
		end
		assert.equal("capable", caps:of("friend@far/r"));
		for i = 1, 600 do caps:presence(presence("y"..i.."@evil/1", common), "accomplice@h"); end
		for n = 2, 99 do
			for i = 1, 600 do caps:presence(presence("y"..i.."@evil/"..n, common), "mallory@h"); end
		end
		assert.equal("capable", caps:of("friend@far/r"));
	end);

	it("B3 nor do two together, where people show themselves to one until the other has seen them", function ()
		local common = info(R);
		local function show(jid, to) caps:presence(presence(jid, common), to); end
		local function hide(jid, from) caps:presence(presence(jid, nil, { type = "unavailable" }), from); end
		show("friend@far/r", "alice@h");
		asked[1].done(common);
		for i = 1, 2000 do show("b"..i.."@far/r", "bob@h"); end
		show("b1@far/r", "alice@h");
		hide("b1@far/r", "alice@h");
		for i = 1, 25000 do
			local jid = "x"..i.."@evil/r";
			show(jid, "accomplice@h");
			show(jid, "mallory@h");
			hide(jid, "accomplice@h");
		end
		assert.equal("capable", caps:of("friend@far/r"));
		assert.equal("capable", caps:of("b1@far/r"), "bob has his share, and no more");
		assert.equal("capable", caps:of("x25000@evil/r"), "the latest are known");
		for i = 1, 25000 do
			local bare = "y"..i.."@evil";
			show(bare.."/1", "accomplice@h");
			show(bare.."/2", "mallory@h");
			show(bare.."/1", "accomplice@h");
			hide(bare.."/1", "accomplice@h");
		end
		assert.equal("capable", caps:of("friend@far/r"));
		show("z@evil/r", "mallory@h");
		show("z@evil/r", "alice@h");
		show("z@evil/r", "accomplice@h");
		hide("z@evil/r", "accomplice@h");
		for i = 1, 25000 do show("w"..i.."@evil/r", "mallory@h"); end
		assert.equal("capable", caps:of("z@evil/r"), "alice sees them");
	end);

	it("B3 what clients stand for is not pushed out by one that answers on and on while it leaves a question of ours unanswered", function ()
		caps:presence(presence("a@h/r", info(R)));
		asked[1].done(info(R));
		caps:presence(presence("mallory@h/r", info("urn:0")));
		for i = 1, 10000 do
			local query = info("urn:"..i);
			caps:presence(presence("mallory@h/r", query));
			caps:overheard("mallory@h/r", query);
		end
		assert.equal("capable", caps:of("a@h/r"));
	end);

	it("B2 are not shared from answers with anything twice, or with the hash's own separator", function ()
		for _, query in ipairs {
			info(R, R), info("urn:x<"..R),
			info(R):tag("identity", { category = "a<b", type = "c" }):up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "a" }):tag("value"):text("b<c"):up():up():up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):up():tag("x", { xmlns = "jabber:x:data" }):up(),
			-- "urn:x", then what reads like features: a form's type and its fields.
			info("urn:x"):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text(R):up():up()
				:tag("field", { var = "urn:y" }):up():up(),
			info("urn:x"):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("t"):up():up()
				:tag("field", { var = R }):up():up(),
			info("urn:x"):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("t"):up():up()
				:tag("field", { var = "v" }):tag("value"):text(R):up():up():up(),
			info("urn:x"):tag("feature", { xmlns = "urn:evil", var = R }):up(),
			info(R):tag("odd"):up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("t"):up():up()
				:tag("field", { var = "v" }):tag("odd", { xmlns = "urn:evil" }):text("a<b"):up():up():up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("a"):up()
				:tag("value"):text("b"):up():up():up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("t"):up():up():tag("odd"):up():up(),
			-- Two forms of one type (XEP-0115 §5.4).
			info(R):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("t"):up():up():up()
				:tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "FORM_TYPE" }):tag("value"):text("t"):up():up():up(),
		} do
			local one = new(function (_, _, _, done) done(query); end);
			one:presence(presence("a@h/r", query));
			one:presence(presence("room@h/r", query):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(), "u@h");
			assert.not_equal("silent", one:of("a@h/r"));
			assert.equal("unknown", one:of("room@h/r"));
		end
	end);

	it("B2 are shared from answers as real clients give them", function ()
		local query = info(R, "urn:x"):tag("identity", { category = "client", type = "pc", ["xml:lang"] = "en", name = "Gajim" }):up()
			:tag("x", { xmlns = "jabber:x:data", type = "result" })
			:tag("field", { var = "FORM_TYPE", type = "hidden" }):tag("value"):text("urn:xmpp:dataforms:softwareinfo"):up():up()
			:tag("field", { var = "os" }):tag("value"):text("Linux"):up():tag("value"):text("Debian"):up():up():up();
		caps:presence(presence("a@h/r", query));
		asked[1].done(query);
		caps:presence(presence("b@h/r", query));
		assert.equal("capable", caps:of("b@h/r"));
		assert.equal(1, #asked);
		-- Whatever an identity leaves out
		for i, attr in ipairs { { category = "client", type = "pc" }, { category = "client" }, { name = "Gajim" }, {} } do
			query = info(R, "urn:y"..i):tag("identity", attr):up();
			caps:presence(presence("c@h/"..i, query));
			asked[#asked].done(query);
			caps:presence(presence("d@h/"..i, query));
			assert.same({ i + 1, "capable" }, { #asked, caps:of("d@h/"..i) });
		end
	end);

	it("C3 of a person are those of the clients that may be seen", function ()
		local function all() return true; end
		online["a@h"] = { ["1"] = { full_jid = "a@h/1" }, ["2"] = { full_jid = "a@h/2" }, unbound = {} };
		assert.equal("unknown", caps:of_person("a@h", all));
		caps:presence(presence("a@h/1", info("urn:no")));
		assert.equal("unknown", caps:of_person("a@h", all));
		asked[1].done(info("urn:no"));
		assert.equal("incapable", caps:of_person("a@h", all));
		caps:presence(presence("a@h/2", info(R)));
		assert.equal("unknown", caps:of_person("a@h", all), "one of them is not known");
		asked[2].done(info(R));
		assert.equal("capable", caps:of_person("a@h", all));
		assert.equal("incapable", caps:of_person("a@h/1", all));
		assert.equal("incapable", caps:of_person("a@h", function (by, jid) return by == "me" and jid == "a@h/1"; end, "me"));
		assert.equal("unknown", caps:of_person("a@h", function () return false; end));
		assert.same({ "a@h/2" }, caps:capable_clients("a@h", all));
		assert.same({ "a@h/2" }, caps:capable_clients("a@h/2", all));
		assert.same({}, caps:capable_clients("a@h/1", all));
		assert.same({}, caps:capable_clients("a@h", function (by, jid) return by ~= "me" or jid == "a@h/1"; end, "me"));
		caps:forget("a@h/2");
		assert.equal("incapable", caps:of_person("a@h", all));
	end);

	it("C3 B3 of a person elsewhere are not taken for none where there may be clients that are not kept: only who is subscribed sees all", function ()
		local function all() return true; end
		local function support(jid) return caps:of_person(jid, all, "shy@h/r"); end
		local old, other = info("urn:old"), info(R, "urn:new");
		caps:presence(presence("a@h/r", old));
		asked[1].done(old);
		hides = { ["shy@h"] = true };
		strangers = { ["stranger@far"] = true };
		for _, bare in ipairs { "stranger@far", "friend@far" } do
			caps:presence(presence(bare.."/new", other), "shy@h");
			caps:presence(presence(bare.."/old", old), "shy@h");
			assert.equal("unknown", support(bare));
			assert.equal("incapable", support(bare.."/old"), "a full JID is what is known of it");
		end
		caps:presence(presence("friend@far/new", old), "shy@h");
		assert.equal("incapable", support("friend@far"));
		for i = 1, 101 do caps:presence(presence("many@far/"..i, old), "shy@h"); end
		assert.equal("unknown", support("many@far"));
		caps:presence(presence("many@far/1", nil, { type = "unavailable" }), "shy@h");
		assert.equal("unknown", support("many@far"), "the one that there was no room for is still there");
		for i = 2, 100 do caps:presence(presence("many@far/"..i, nil, { type = "unavailable" }), "shy@h"); end
		caps:presence(presence("many@far/1", old), "shy@h");
		assert.equal("incapable", support("many@far"), "in another time");
	end);

	it("C3 B3 of a person elsewhere are not taken for none in a crowd in which nobody else is kept", function ()
		local old = info("urn:old");
		caps:presence(presence("a@h/r", old));
		asked[1].done(old);
		unsubscribed = setmetatable({}, { __index = function (_, bare) return bare:find("^crowd") ~= nil; end });
		for i = 1, 400 do caps:presence(presence("crowd"..i.."@far/r", info("urn:"..i)), "u@h"); end
		local function support(bare) return caps:of_person(bare, function () return true; end, "u@h/r"); end
		for _, bare in ipairs { "juliet@far", "crowd@far" } do
			assert.is_true(caps:glance(presence(bare.."/new", info(R, "urn:new")), "u@h"));
			caps:presence(presence(bare.."/old", old), "u@h");
			assert.same({ "unknown", "silent" }, { support(bare), caps:of(bare.."/new") });
		end
		assert.is_nil(caps.people.missed:get("crowd@far"), "who takes no room of others'");
		local heir = new(function () end);
		heir:take_over(caps);
		caps = heir;
		assert.equal("unknown", support("juliet@far"), "after a reload too");
		for _, attr in ipairs { { type = "unavailable" }, {} } do caps:presence(presence("juliet@far/old", old, attr), "u@h"); end
		assert.equal("incapable", support("juliet@far"), "in another time");
	end);

	it("C3 of a user with very many clients are found without asking for each who may see it", function ()
		local looks = 0;
		local function all()
			looks = looks + 1;
			return true;
		end
		online["a@h"] = {};
		local function comes(n, query)
			online["a@h"][n] = { full_jid = "a@h/"..n };
			caps:presence(presence("a@h/"..n, query));
		end
		for n = 1, 1000 do comes(n, info("urn:no")); end
		asked[1].done(info("urn:no"));
		assert.same({ "incapable", 1 }, { caps:of_person("a@h", all), looks });
		for n = 1001, 1100 do comes(n, info("urn:unknown")); end
		assert.equal("unknown", caps:of_person("a@h", all));
		assert.is_true(looks <= 3, looks);
		comes(1101, info(R));
		asked[3].done(info(R));
		assert.equal("capable", caps:of_person("a@h", all));
		assert.is_true(looks <= 6, looks);
	end);

	it("C3 of a room's occupants are not the room's, which acks nothing", function ()
		local query = info(R);
		caps:presence(presence("a@far/1", query), "u@h");
		asked[1].done(query);
		caps:presence(presence("room@far/1", query):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(), "u@h");
		local function all() return true; end
		assert.equal("unknown", caps:of_person("room@far", all));
		assert.equal("capable", caps:of_person("room@far/1", all));
	end);

	it("are listed for a person, or for one client", function ()
		local query = info(R);
		online["a@h"] = { ["1"] = { full_jid = "a@h/1" }, ["2"] = { full_jid = "a@h/2" } };
		caps:presence(presence("a@h/2", query));
		caps:presence(presence("a@h/1"));
		asked[1].done(query);
		local one, two = { jid = "a@h/1", support = "silent" }, { jid = "a@h/2", support = "capable", ver = calculate_hash(query.tags) };
		assert.same({ one, two }, caps:clients("a@h"));
		assert.same({ two }, caps:clients("a@h/2"));
		assert.same({}, caps:clients("a@h/3"));
		assert.same({}, caps:clients("b@h"));
	end);

	it("B1 outlive a restart by ver, and B3 damaged records are left out", function ()
		local query, unable = info(R), info("urn:x");
		local far, far_unable = info(R, "urn:far"), info("urn:far:x");
		for jid, shown in pairs { ["a@h/r"] = query, ["unable@h/r"] = unable } do
			caps:presence(presence(jid, shown));
			asked[#asked].done(shown);
		end
		for jid, shown in pairs { ["a@far/r"] = far, ["unable@far/r"] = far_unable } do
			caps:presence(presence(jid, shown), "u@h");
			asked[#asked].done(shown);
		end
		caps:presence(presence("also@far/r", query), "u@h");
		caps:presence(presence("b@h/r", far)); -- counts as shown here from now on
		local function ver(shown) return calculate_hash(shown.tags); end
		local list = caps:export();
		assert.same({ [ver(query)] = "capable", [ver(unable)] = "incapable", [ver(far)] = "capable", [ver(far_unable)] = "incapable elsewhere" }, list);
		list.other = "capable elsewhere";
		list[5], list.x = "capable", "yes";
		local other = new(function () error("asked"); end);
		other:import(list);
		list[5], list.x = nil, nil;
		assert.same(list, other:export());
		assert.same({ 3, 2 }, { other.by_hash:count(), other.by_hash_elsewhere:count() });
		other:presence(presence("b@h/r", query));
		assert.equal("capable", other:of("b@h/r"));
	end);

	it("A3 B3 outlive a reload by ver, those of clients here and the others", function ()
		for i, shown in ipairs { info(R), info("urn:far") } do
			caps:presence(presence(i == 1 and "a@h/r" or "a@far/r", shown), i == 2 and "u@h" or nil);
			asked[i].done(shown);
		end
		local other = new(function () error("asked"); end);
		other:take_over(caps);
		assert.same(caps:export(), other:export());
	end);
end);
