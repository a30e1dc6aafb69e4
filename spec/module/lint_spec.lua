-- SPDX-License-Identifier: MIT
-- lint.lib.lua and tracker.lib.lua: facts in, violations and a summary out; and what is printed of a file.

local paths = require "spec.support.paths";
local process = require "spec.support.process";
local engine = require "receipts";
local json = require "util.json";
local lint, trackers = paths.lib("lint"), paths.lib("tracker");
local cases = require "spec.support.messages";

local R = "xmlns='urn:xmpp:receipts'";

local function facts_of(xml)
	local scanner = engine.scanner {};
	local list = assert(scanner:feed(xml));
	for _, facts in ipairs(assert(scanner:finish())) do table.insert(list, facts); end
	return list;
end

local function summary_of(...)
	local tracker = trackers.new(engine);
	for _, facts in ipairs(facts_of(table.concat({ ... }))) do tracker:message(facts); end
	return tracker:summary();
end

local function message(from, to, id, inner, stamp)
	local attr = (from and " from='"..from.."'" or "")..(to and " to='"..to.."'" or "")..(id and " id='"..id.."'" or "");
	local delay = stamp and "<delay xmlns='urn:xmpp:delay' stamp='"..stamp.."'/>" or "";
	return ("<message%s>%s%s</message>"):format(attr, inner, delay);
end
local function ask(from, to, id, stamp) return message(from, to, id, "<body/><request "..R.."/>", stamp); end
local function ack(from, to, id, stamp) return message(from, to, nil, "<received "..R.." id='"..id.."'/>", stamp); end

local function temporary(text)
	local name = os.tmpname();
	process.write(name, text);
	return name;
end

-- Runs the check on these inputs; its exit code, and what it wrote.
local function check(format, inputs, how)
	how = how or {};
	local out, err, names, input = assert(io.tmpfile()), assert(io.tmpfile()), {}, nil;
	for i, text in ipairs(inputs) do names[i] = temporary(text); end
	if how.input then
		input = assert(io.tmpfile());
		input:write(how.input);
		input:seek("set");
		table.insert(names, "-");
	end
	table.move(how.names or {}, 1, #(how.names or {}), #names + 1, names);
	local code = lint.check(names, format, {
		input = input, out = out, err = err, directory = how.directory == nil and "/nowhere" or how.directory;
		progress = lint.progress(err, function () return how.terminal or false; end, os.clock);
	}, engine);
	out:seek("set");
	err:seek("set");
	local printed, complaints = out:read("a"), err:read("a");
	for i, name in ipairs(names) do
		if i <= #inputs then
			os.remove(name);
			printed = printed:gsub(name:gsub("%p", "%%%0"), "file"..i);
			complaints = complaints:gsub(name:gsub("%p", "%%%0"), "file"..i);
		end
	end
	return code, printed, complaints;
end

describe("F5 lint", function ()
	describe("finds violations", function ()
		for _, case in ipairs(cases) do
			it("in "..case.name, function ()
				local facts = facts_of(case.xml)[1];
				local problems = {};
				for i, violation in ipairs(lint.violations(facts, "f.xml")) do
					problems[i] = violation.problem;
					assert.equal("E3", violation.rule);
					assert.equal("f.xml", violation.file);
					assert.equal(facts.line, violation.line);
					assert.truthy(violation.text:find("%l"));
					assert.truthy(violation.section:find("^%d+"));
				end
				assert.same(case.facts.problems, problems);
			end);
		end

		it("of every kind that the engine knows", function ()
			for name, bit in pairs(engine.bits) do
				if bit >= 1 << 16 then assert.is_table(lint.meanings[name], name); end
			end
		end);
	end);

	describe("reads times", function ()
		local times = {
			["1970-01-01T00:00:00Z"] = 0;
			["1969-07-21T02:56:15Z"] = -14159025; -- XEP-0082's own example
			["1969-07-20T21:56:15-05:00"] = -14159025;
			["2000-02-29T12:00:00Z"] = 951825600;
			["2024-02-29T23:59:59.5Z"] = 1709251199.5;
			["2024-03-01T00:00:00+05:30"] = 1709231400;
			["2100-03-01T00:00:00Z"] = 4107542400; -- no leap year
		};
		for stamp, seconds in pairs(times) do
			it(stamp, function () assert.equal(seconds, trackers.seconds(stamp)); end);
		end
		it("and nothing else", function ()
			for _, stamp in ipairs { "", "now", "2024-01-01", "20240101T00:00:00", "2024-01-01T00:00:00", "2024-01-01T00:00:00+5" } do
				assert.is_nil(trackers.seconds(stamp), stamp);
			end
		end);
	end);

	describe("follows what is asked", function ()
		it("to its ack", function ()
			local summary = summary_of(ask("a@x/1", "b@x", "1"), ask("a@x/1", "c@x", "2"), ack("b@x/2", "a@x/1", "1"), ack("b@x/3", "a@x/1", "1"),
				ack("b@x/2", "a@x/1", "2"), ack("b@x/2", "a@x/1", "3"));
			assert.same({ asked = 2, delivered = 1, duplicates = 1, unanswered = 1, forged = 1, unknown = 1, forgotten = 0 }, summary);
		end);

		it("by whichever client of who was asked, and in a room by that occupant", function ()
			assert.equal(1, summary_of(ask("a@x/1", "b@x/2", "1"), ack("b@x/3", "a@x/1", "1")).delivered);
			local occupant = "<request "..R.."/><x xmlns='http://jabber.org/protocol/muc#user'/>";
			local summary = summary_of(message("a@x/1", "room@r/bob", "1", occupant), ack("room@r/eve", "a@x/1", "1"), ack("room@r/bob", "a@x/1", "1"));
			assert.same({ 1, 1 }, { summary.delivered, summary.forged });
		end);

		it("of revision 1.0 too", function ()
			assert.equal(1, summary_of(ask("a@x", "b@x", "1"), message("b@x", "a@x", "1", "<received "..R.."/>")).delivered);
		end);

		it("and counts no request that is none, and no ack", function ()
			local summary = summary_of("<message from='a@x' to='b@x'><request "..R.."/></message>",
				"<message from='a@x' to='r@x' id='1' type='groupchat'><request "..R.."/></message>",
				"<message from='b@x' to='a@x' type='error'><received "..R.." id='1'/></message>");
			assert.same({ asked = 0, delivered = 0, duplicates = 0, unanswered = 0, forged = 0, unknown = 0, forgotten = 0 }, summary);
		end);

		it("once when it is seen twice", function ()
			assert.equal(1, summary_of(ask("a@x", "b@x", "1"), ask("a@x", "b@x", "1")).asked);
		end);

		it("from a client that leaves out its own address", function ()
			-- it asks, and acks what it is asked
			local summary = summary_of(ask(nil, "b@x", "1"), ack("b@x/2", "a@x/1", "1"), ask("b@x/2", "a@x/1", "2"), ack(nil, "b@x/2", "2"));
			assert.same({ asked = 2, delivered = 2, duplicates = 0, unanswered = 0, forged = 0, unknown = 0, forgotten = 0 }, summary);
		end);

		it("on both sides of the server, by the two clients themselves: twice, whichever comes first", function ()
			local asker, asked = ask(nil, "b@x", "1")..ack("b@x/2", "a@x/1", "1"), ask("a@x/1", "b@x", "1")..ack(nil, "a@x/1", "1");
			for _, both in ipairs { { asker, asked }, { asked, asker } } do
				local summary = summary_of(table.unpack(both));
				assert.same({ 2, 2, 0, 0 }, { summary.asked, summary.delivered, summary.duplicates, summary.unanswered });
			end
		end);

		it("on both sides of the server, once", function ()
			local summary = summary_of(ask(nil, "b@x", "1"), ask("a@x/1", "b@x", "1"), ack("b@x/2", "a@x/1", "1"));
			assert.same({ 1, 1 }, { summary.asked, summary.delivered });
		end);

		it("and accuses nobody on a guess", function ()
			local summary = summary_of(ask("a@x", "b@x", "1"), ack(nil, "a@x", "2"), ask("c@x", "d@x", "7"), ack(nil, "a@x", "1"));
			assert.same({ 0, 2 }, { summary.forged, summary.unknown });
		end);

		it("of whoever it is, as clients and servers spell them", function ()
			local summary = summary_of(ask(nil, "Juliet@X", "1"), ack("juliet@x/2", "a@x/1", "1"), ask("A@X.", "straße@x", "2"),
				ack("STRASSE@x", "a@x", "2"), ask("a@x", "not@a@jid", "3"), ack("not@a@jid", "a@x", "3"), ack("Not@a@jid", "a@x", "3"),
				ask("a@x", "b@x", "Id"), ack("b@x", "a@x", "id"));
			assert.same({ asked = 4, delivered = 3, duplicates = 0, unanswered = 1, forged = 0, unknown = 2, forgotten = 0 }, summary);
		end);

		it("to a room occupant as that is spelled", function ()
			local occupant = "<x xmlns='http://jabber.org/protocol/muc#user'/><request "..R.."/>";
			local summary = summary_of(message("a@x", "R@x/Nick", "1", occupant), ack("r@x/nick", "a@x", "1"), ack("r@X/Nick", "a@x", "1"));
			assert.same({ 1, 1 }, { summary.forged, summary.delivered });
		end);

		it("what is awaited is not forgotten for what is answered", function ()
			local tracker = trackers.new(engine);
			local first, late = facts_of(ask("a@h", "b@h", "first")), facts_of(ack("b@h", "a@h", "first"));
			tracker:message(first[1]);
			for i = 1, 40000 do
				for _, facts in ipairs(facts_of(ask("a@h", "b@h", "m"..i)..ack("b@h", "a@h", "m"..i))) do tracker:message(facts); end
			end
			tracker:message(late[1]);
			local summary = tracker:summary();
			assert.same({ 40001, 0, 0, 0 }, { summary.delivered, summary.unknown, summary.unanswered, summary.forgotten });
		end);

		it("what is awaited is not forgotten for what is answered, nor where long ids fill the memory", function ()
			local tracker = trackers.new(engine);
			tracker:message(facts_of(ask("a@h", "b@h", "first"))[1]);
			for i = 1, 10000 do
				local id = ("x"):rep(1000)..i;
				for _, facts in ipairs(facts_of(ask("a@h", "b@h", id)..ack("b@h", "a@h", id))) do tracker:message(facts); end
			end
			tracker:message(facts_of(ack("b@h", "a@h", "first"))[1]);
			local summary = tracker:summary();
			assert.same({ 10001, 0, 0, 0 }, { summary.delivered, summary.unknown, summary.unanswered, summary.forgotten });
		end);

		it("what has been awaited for a month is forgotten then, and counted", function ()
			local tracker = trackers.new(engine);
			local function stamped(text, stamp) return (text:gsub("</message>", "<delay xmlns='urn:xmpp:delay' stamp='"..stamp.."'/></message>")); end
			tracker:message(facts_of(stamped(ask("a@h", "b@h", "first"), "2026-01-01T00:00:00Z"))[1]);
			for i = 1, 10000 do
				local id = ("x"):rep(1000)..i;
				local pair = stamped(ask("a@h", "b@h", id), "2026-02-01T00:00:00Z")..stamped(ack("b@h", "a@h", id), "2026-02-01T00:00:01Z");
				for _, facts in ipairs(facts_of(pair)) do tracker:message(facts); end
			end
			tracker:message(facts_of(ack("b@h", "a@h", "first"))[1]);
			local summary = tracker:summary();
			assert.same({ 10000, 1, 1, 1 }, { summary.delivered, summary.unknown, summary.unanswered, summary.forgotten });
		end);

		it("in bounded memory: the oldest are forgotten", function ()
			local tracker = trackers.new(engine);
			local facts = facts_of(ask("a@x", "b@x", "1"))[1];
			for i = 1, 100000 do
				facts.id, facts.from = "id"..i, "user"..i.."@x";
				tracker:message(facts);
			end
			local summary = tracker:summary();
			assert.equal(100000, summary.asked);
			assert.equal(100000 - 32768, summary.forgotten);
			assert.is_true(tracker.pending:bytes() < 8 * 1024 * 1024);
			local late = facts_of(ack("b@x", "user1@x", "id1")..ack("b@x", "user100000@x", "id100000"));
			tracker:message(late[1]);
			tracker:message(late[2]);
			summary = tracker:summary();
			assert.same({ 1, 1 }, { summary.unknown, summary.delivered });
		end);

		it("in bounded memory: long ids after short ones", function ()
			local tracker = trackers.new(engine);
			local facts = facts_of(ask("a@x", "b@x", "1"))[1];
			for i = 1, 45000 do
				facts.id = i <= 30000 and tostring(i) or i..("x"):rep(1000);
				tracker:message(facts);
			end
			assert.is_true(tracker.pending:bytes() <= 8.1 * 1024 * 1024, tracker.pending:bytes());
			local summary = tracker:summary();
			assert.equal(45000, summary.asked);
			assert.equal(45000, summary.forgotten + tracker.pending:count());
		end);

		it("in bounded memory: addresses that are all different", function ()
			local tracker = trackers.new(engine);
			local facts = facts_of(ask("a@x", "b@x", "1"))[1];
			local function spell(i) facts.from, facts.to = "A"..i.."@x/"..("x"):rep(1000), i.."@x/"..("x"):rep(4000); end
			for i = 1, 5000 do
				spell(i);
				tracker:message(facts);
			end
			collectgarbage();
			local before = collectgarbage("count");
			for i = 5001, 15000 do
				spell(i);
				tracker:message(facts);
			end
			collectgarbage();
			assert.is_true(collectgarbage("count") < before + 10000, before);
			assert.equal(15000, tracker:summary().asked);
		end);

		it("in bounded memory: long ids leave room for fewer", function ()
			local tracker = trackers.new(engine);
			local facts = facts_of(ask("a@x", "b@x", "1"))[1];
			for i = 1, 30000 do
				facts.id = ("x"):rep(1000)..i;
				tracker:message(facts);
			end
			assert.is_true(tracker.pending:bytes() < 9 * 1024 * 1024, tracker.pending:bytes());
			assert.is_true(tracker:summary().forgotten > 20000);
		end);

		it("none of one requester's before memory is used up, though their addressee's address is long", function ()
			local tracker = trackers.new(engine);
			local facts = facts_of(ask("a@x", ("b"):rep(3000).."@x", "1"))[1];
			for i = 1, 20000 do
				facts.id = tostring(i);
				tracker:message(facts);
			end
			assert.same({ 0, 20000 }, { tracker:summary().forgotten, tracker.pending:count() });
		end);

		it("that is too long to be kept", function ()
			local summary = summary_of(ask("a@x", "b@x", ("x"):rep(1024)));
			assert.same({ 1, 1, 1 }, { summary.asked, summary.unanswered, summary.forgotten });
		end);
	end);

	describe("tells latencies", function ()
		it("where both sides have a stamp", function ()
			local summary = summary_of(ask("a@x", "b@x", "1", "2024-01-01T10:00:00Z"), ask("a@x", "b@x", "2", "2024-01-01T10:00:00Z"),
				ask("a@x", "b@x", "3"), ack("b@x", "a@x", "1", "2024-01-01T10:00:02.5Z"), ack("b@x", "a@x", "2"),
				ack("b@x", "a@x", "3", "2024-01-01T11:00:00Z"));
			assert.equal(3, summary.delivered);
			assert.same({ pairs = 1, p50 = 2.5, p90 = 2.5, p99 = 2.5, max = 2.5 }, summary.latency);
		end);

		it("as percentiles", function ()
			local all = {};
			for i = 1, 100 do table.insert(all, ask("a@x", "b@x", i, "2024-01-01T10:00:00Z")); end
			for i = 1, 100 do table.insert(all, ack("b@x", "a@x", i, ("2024-01-01T10:%02d:%02dZ"):format(i // 60, i % 60))); end
			assert.same({ pairs = 100, p50 = 50, p90 = 90, p99 = 99, max = 100 }, summary_of(table.concat(all)).latency);
		end);

		it("of years, as of fractions of a second", function ()
			local summary = summary_of(ask("a@x", "b@x", "1", "2024-01-01T20:00:00Z"), ack("b@x", "a@x", "1", "2025-03-01T20:00:00Z"),
				ask("a@x", "b@x", "2", "2023-01-01T00:00:00Z"), ack("b@x", "a@x", "2", "2026-01-01T00:00:00Z"),
				ask("a@x", "b@x", "3", "2024-01-01T20:00:00.125Z"), ack("b@x", "a@x", "3", "2024-01-01T20:00:00.5Z"),
				ask("a@x", "b@x", "4", "0000-01-01T00:00:00Z"), ask("a@x", "b@x", "5", "1970-01-01T00:00:00Z"),
				ack("b@x", "a@x", "5", "2470-12-31T23:59:60-23:59"),
				ask("a@x", "b@x", "6", "2024-01-01T20:00:00Z"), ack("b@x", "a@x", "6", "9999-12-31T23:59:60-23:59"));
			assert.same({ pairs = 4, p50 = 36700000, p90 = 15800000000, p99 = 15800000000, max = 15800000000 }, summary.latency);
			assert.same({ 5, 1 }, { summary.delivered, summary.unanswered });
		end);

		it("to a millisecond", function ()
			for stamps, latency in pairs { ["00.10 00.20"] = 0.1, ["00.01 00.02"] = 0.01, ["00.015 00.020"] = 0.005, ["00.0004 00.0006"] = 0.001,
				["59.999 59.999"] = 0, ["00 59.9994"] = 60, ["00.001 01.002"] = 1 } do
				local first, second = stamps:match("^(%S+) (%S+)$");
				assert.equal(latency, summary_of(ask("a@x", "b@x", "1", "2026-11-29T20:00:"..first.."Z"),
					ack("b@x", "a@x", "1", "2026-11-29T20:00:"..second.."Z")).latency.max, stamps);
			end
		end);

		it("of an archive that goes back in time", function ()
			local summary = summary_of(ask("a@x", "b@x", "1", "2024-06-01T00:00:00Z"), ask("c@x", "d@x", "1", "2020-01-01T00:00:00Z"),
				ack("b@x", "a@x", "1", "2024-06-01T00:00:05Z"), ack("d@x", "c@x", "1", "2020-01-01T00:00:07Z"));
			assert.same({ pairs = 2, p50 = 5, p90 = 7, p99 = 7, max = 7 }, summary.latency);
		end);
	end);

	describe("prints", function ()
		local export = [[
<server-data xmlns='urn:xmpp:pie:0'><host jid='x'><user name='a'>
<offline-messages>
<message xmlns='jabber:client' from='b@x' to='a@x'><request xmlns='urn:xmpp:receipts'/></message>
</offline-messages>
<archive xmlns='urn:xmpp:pie:0#mam'>
<result xmlns='urn:xmpp:mam:2' id='1'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2024-01-01T10:00:00Z'/>
<message xmlns='jabber:client' from='a@x' to='b@x' id='1'><request xmlns='urn:xmpp:receipts'/></message></forwarded></result>
<result xmlns='urn:xmpp:mam:2' id='2'><forwarded xmlns='urn:xmpp:forward:0'>
<message xmlns='jabber:client' from='b@x' to='a@x'><received xmlns='urn:xmpp:receipts' id='1'>x</received></message>
<delay xmlns='urn:xmpp:delay' stamp='2024-01-01T10:00:01Z'/></forwarded></result>
<result xmlns='urn:xmpp:mam:2' id='3'><forwarded xmlns='urn:xmpp:forward:0'>
<message xmlns='jabber:client' from='b@x' to='a@x'><received xmlns='urn:xmpp:receipts' id='1'/></message>
<delay xmlns='urn:xmpp:delay' stamp='2024-01-01T10:00:09Z'/></forwarded></result>
</archive></user></host></server-data>
]];

		it("a line a violation, and a summary", function ()
			local code, printed, complaints = check("text", { export });
			assert.equal(1, code);
			assert.equal([[
file1:3: E3 request-without-id: a message that asks for a receipt has no id (XEP-0184 §7)
file1:9: E3 received-not-empty: <received/> has something in it (XEP-0184 §11)
messages    4
violations  2
asked       1
delivered   1
duplicates  0
unanswered  0
forged      0
unknown     0
latency     p50 9 s, p90 9 s, p99 9 s, max 9 s (of 1 with stamps)
]], printed);
			assert.equal("", complaints);
		end);

		it("one object as JSON", function ()
			local code, printed = check("json", { export, "<message" }, { names = { "missing" } });
			assert.equal(2, code);
			local object = assert(json.decode(printed));
			assert.same({ "request-without-id", "received-not-empty" }, { object.violations[1].problem, object.violations[2].problem });
			assert.same({ file = "file1", line = 9, rule = "E3", problem = "received-not-empty", text = lint.meanings["received-not-empty"][1],
				section = "11" }, object.violations[2]);
			assert.same({ { file = "file2", line = 1, column = 1, reason = "the input is incomplete" },
				{ file = "missing", reason = "No such file or directory" } }, object.faults);
			assert.equal(4, object.summary.messages);
			assert.equal(9, object.summary.latency.p50);
		end);

		it("empty lists as JSON too", function ()
			local code, printed = check("json", { "<message/>" });
			assert.equal(0, code);
			local object = assert(json.decode(printed));
			assert.same({ 0, 0, 1 }, { #object.violations, #object.faults, object.summary.messages });
		end);

		it("what came before a fault, where it is, and goes on to the next file", function ()
			local code, printed, complaints = check("text",
				{ ask("a@x", "b@x", "1").."\n<message><request "..R.."/></message>\n <message></body>", ack("b@x", "a@x", "1") });
			assert.equal(2, code);
			assert.truthy(printed:find("file1:2: E3 request-without-id", 1, true));
			assert.truthy(printed:find("delivered   1\n", 1, true), printed);
			assert.equal("file1:3:13: mismatched tag\n", complaints);
		end);

		it("why a file cannot be read", function ()
			local code, _, complaints = check("text", {}, { names = { "missing", "/" }, directory = "/tmp" });
			assert.equal(2, code);
			assert.equal("missing: No such file or directory\n/: Is a directory\n", complaints);
		end);

		it("what to do where Prosody's user may not read a file", function ()
			local open = io.open; -- root, whom specs may be run by, may read any
			finally(function () io.open = open; end); -- luacheck: ignore 122
			io.open = function (name) return nil, name..": Permission denied", 13; end; -- luacheck: ignore 122
			local code, _, complaints = check("text", {}, { names = { "private.xml" }, directory = "/tmp" });
			assert.equal(2, code);
			assert.equal("private.xml: Permission denied (prosodyctl becomes Prosody's user; give it the file as its input: "
				.."lint - < private.xml)\n", complaints);
		end);

		it("that a file is not found whose folder it was not told", function ()
			local _, _, complaints = check("text", {}, { names = { "missing", "/missing" }, directory = false });
			assert.equal("missing: No such file or directory (prosodyctl was not told in which folder; give it the file as its input: "
				.."lint - < missing)\n/missing: No such file or directory\n", complaints);
		end);

		it("names of files such that none of them steers the terminal", function ()
			local name = os.tmpname();
			local hostile, shown = name.."\27[2J\n\u{9b}\xff", name.."\\x1b[2J\\n\\xc2\\x9b\\xff";
			assert(os.rename(name, hostile));
			process.write(hostile, "<message><request "..R.."/></message>"..(" "):rep(33 * 1024 * 1024).."<");
			local code, printed, complaints = check("text", {}, { names = { hostile, "\u{202e}" }, terminal = true });
			os.remove(hostile);
			assert.equal(2, code);
			assert.equal(shown..":1: E3 request-without-id", printed:match("^(.-: E3 %g+):"));
			assert.equal("\r"..shown..": ", complaints:match("^(.-: )%d"));
			assert.truthy(complaints:find("\r\27[K"..shown..":1:", 1, true), complaints);
			assert.truthy(complaints:find("\n\\u{202e}: No such file or directory\n", 1, true), complaints);
			assert.equal("lint does not know -\\u{1b}", select(2, lint.command(engine).run { "-\27" }));
		end);

		it("names of files that are not UTF-8 such that JSON is", function ()
			local name = os.tmpname();
			local latin, shown = name.."\xe4", name.."\\xe4";
			assert(os.rename(name, latin));
			process.write(latin, "<message><request "..R.."/></message><");
			local _, printed = check("json", {}, { names = { latin } });
			os.remove(latin);
			assert.truthy(utf8.len(printed));
			local object = assert(json.decode(printed));
			assert.same({ shown, shown }, { object.violations[1].file, object.faults[1].file });
			object = json.decode((select(2, check("json", {}, { names = { "\xe4" }, directory = false }))));
			assert.truthy(object.faults[1].reason:find("lint - < \\xe4", 1, true), object.faults[1].reason);
		end);

		it("nothing of what is in a message: not its id, and no address", function ()
			local hostile = "\u{9b}2J\u{202e}\127&#10;";
			local _, printed, complaints = check("text", { ask(hostile, hostile, hostile)..ack(hostile, hostile, hostile)
				..("<message id='%s' from='%s'><request %s/></message><%s xmlns='%s'>"):format(hostile, hostile, R, "\u{e4}", hostile) });
			assert.is_nil((printed..complaints):find("[^\n\x20-\x7e\xc2\xa7]"), printed..complaints);
			assert.truthy(complaints:find("^file1:1:%d+: the input is incomplete\n$"), complaints);
		end);

		it("nothing of comments between stanzas, which clients' consoles write", function ()
			assert.equal(0, (check("text", { "<!-- in --><message/>\n<!-- out -->" })));
		end);

		it("nothing of what is clean, and reads standard input", function ()
			local code, printed, complaints = check("text", {}, { input = ask("a@x", "b@x", "1") });
			assert.equal(0, code);
			assert.truthy(printed:find("^messages    1\nviolations  0\n"));
			assert.equal("", complaints);
		end);

		it("and leaves standard input open", function ()
			local input = assert(io.tmpfile());
			local sink = { write = function () return true; end, flush = function () return true; end };
			local progress = lint.progress(sink, function () return false; end, os.clock);
			for _ = 1, 2 do
				assert.equal(0, lint.check({ "-" }, "text", { input = input, out = sink, err = sink, directory = "/", progress = progress }, engine));
				assert.equal("file", io.type(input));
			end
		end);

		it("how many asks were forgotten", function ()
			local asks = {};
			for i = 1, 32770 do asks[i] = ask("a@x", "b@x", "id"..i); end
			local _, printed = check("text", { table.concat(asks) });
			assert.truthy(printed:find("\nforgotten   2 (of the unanswered; an ack would count as unknown)\n", 1, true), printed);
			_, printed = check("text", { asks[1] });
			assert.is_nil(printed:find("forgotten", 1, true));
		end);

		it("how far it is, for long input on a terminal, and takes that away", function ()
			local long = "<stream>"..("<presence/>\n"):rep(64 * 1024 * 1024 // 12).."</stream>";
			local _, _, complaints = check("text", { long }, { terminal = true });
			assert.truthy(complaints:find("^\rfile1: %d+ %%, %d+ MiB/s\27%[K"), complaints);
			assert.truthy(complaints:find("\r\27%[K$"));
			_, _, complaints = check("text", { long });
			assert.equal("", complaints);
			_, _, complaints = check("text", { "<presence/>" }, { terminal = true });
			assert.equal("", complaints);
		end);

		it("and stops when nobody reads it", function ()
			local full = assert(io.open("/dev/full", "w"));
			local name = temporary(export);
			local ok, err = pcall(lint.check, { name }, "text",
				{ out = full, err = full, directory = "/", progress = lint.progress(full, error, os.clock) }, engine);
			assert.is_false(ok);
			assert.equal("cannot write: No space left on device", tostring(err));
			os.remove(name);
		end);
	end);

	it("takes files and a format", function ()
		local subcommand = lint.command(engine);
		for _, arguments in ipairs { {}, { "--format=xml", "f" }, { "--verbose", "f" }, { "-f" } } do
			local code, wrong = subcommand.run(arguments);
			assert.is_nil(code);
			assert.is_string(wrong);
		end
	end);
end);
