-- SPDX-License-Identifier: MIT
-- What the documents list is what is there: rules and their specs, options, metrics, events, files, stores, words in the log.

local paths = require "spec.support.paths";
local docs = require "spec.support.docs";
local stanzas = require "spec.support.stanzas";
local titles = require "spec.support.titles";
local process = require "spec.support.process";
local parse_xml = require "util.xml".parse;
local path_encode = require "util.datamanager".path_encode;

local OPERATORS, DEVELOPERS, RULES = "docs/operators.md", "docs/developers.md", "docs/rules.md";

local ALL_RULES = "A1 A2 A3 B1 B2 B3 B4 C1 C2 C3 C4 C5 C6 D1 D2 D3 D4 D5 D6 D7 D8 E1 E2 E3 E4 E5 E6 E7 E8 F0 F1 F2 F3 F4 F5 G1";

local function set(list)
	local result = {};
	for _, item in ipairs(list) do result[item] = true; end
	return result;
end

local function sorted(map)
	local list = {};
	for key in pairs(map) do table.insert(list, key); end
	table.sort(list);
	return list;
end

-- The sources of the module: name -> text.
local sources = {};
for name in assert(io.popen("cd "..paths.root.." && ls mod_receipts/*.lua")):lines() do
	sources[name:match("[^/]+$")] = process.read(paths.root.."/"..name);
end

-- Every piece of text that the module's sources have between double quotes, that is, all they can say; and what the engine says to it.
local literals = {};
local function read_literals(source)
	for line in source:gmatch("[^\n]+") do
		for text in line:gsub("\\\"", "\1"):gmatch('"([^"]*)"') do table.insert(literals, (text:gsub("\1", '"'))); end
	end
end
for _, source in pairs(sources) do read_literals(source); end
read_literals(process.read(paths.root.."/csrc/lua_pending.c"));
local said = "\0"..table.concat(literals, "\0").."\0";

-- Is this text put together of at most three such pieces?
local function can_be_said(text, pieces)
	if text == "" then return true; end
	if pieces == 3 then return false; end
	for length = #text, 1, -1 do
		if said:find(text:sub(1, length), 1, true) and can_be_said(text:sub(length + 1), (pieces or 0) + 1) then return true; end
	end
	return false;
end

-- Every decision that `why` can show of a message, but for the addresses in it: a set. What comes after a colon explains it already.
local function decisions()
	local found = {};
	local function note(why)
		for decision in ((why or "").."; "):gmatch("(.-); ") do
			if decision ~= "" then found[decision] = true; end
		end
	end
	-- Those that are whole in the sources, with their rule's name.
	for _, text in ipairs(literals) do
		local decision = text:match("%f[%w][A-G]%d %l[^:]*");
		if decision then note((decision:gsub("[%s,]+$", ""))); end
	end
	-- Those that are put together.
	local strict = paths.lib("options").read(function (name)
		return ({ receipts_unknown = "drop", receipts_groupchat_requests = "strip" })[name];
	end, error);
	local checks = paths.lib("checks");
	local function never() return false; end
	for name in pairs(require "receipts".bits) do
		note(checks.outgoing({ [name] = true, received = true }, never, strict).why);
		note(checks.incoming({ [name] = true, bounce = true, request = true, received = true }, nil, false, never, strict).why);
		for _, verdict in ipairs { "delivered", "duplicate", "forged", "unknown", "failed" } do
			note(checks.incoming({ [name] = true, received = true }, verdict, false, never, strict).why);
			note(checks.incoming({ [name] = true, received = true }, verdict, true, never, strict).why);
		end
	end
	-- A capable sender is not noted, nor is anybody while the server never asks.
	local requests = paths.lib("requests");
	for _, mode in ipairs { "auto", "always" } do
		for _, sender in ipairs { "incapable", "unknown", "silent" } do
			for _, recipient in ipairs { "capable", "incapable", "unknown" } do
				local yes, why = requests.decide(mode, sender, function () return recipient; end);
				note(yes and "C1 asked for" or "C1 not asked for, "..why);
			end
		end
	end
	local answers = paths.lib("answers");
	for _, client in ipairs { "capable", "incapable", "unknown", "silent" } do
		for _, fate in ipairs { { outcome = "answered" }, { outcome = "acked" }, { outcome = "refused" }, { waits = { phone = true } }, false } do
			for _, visible in ipairs { true, false } do note((select(2, answers.decide(fate, client, visible)))); end
		end
	end
	local pending = require "receipts".pending { capacity = 1 };
	assert(pending:add("a@x", "b@x", "1", 0));
	for id, from in pairs { ["2"] = "c@x", [("x"):rep(2000)] = "a@x" } do
		local _, problem = pending:add(from, "b@x", id, 0);
		note("C1 not asked for, "..problem);
		note("F2 not tracked: "..problem);
	end
	pending:close();
	return found;
end

describe("the rules in docs/rules.md", function ()
	local table_of, titles_of = {}, nil;
	setup(function ()
		for _, cells in ipairs(docs.rows(RULES, "rule")) do
			assert.is_nil(table_of[cells[1]], cells[1].." is there twice");
			table_of[cells[1]] = { what = cells[2], specs = {} };
			for spec in cells[4]:gmatch("[^,%s]+") do table_of[cells[1]].specs[spec] = true; end
		end
		titles_of = titles.by_rule();
	end);

	it("are all of them", function ()
		local expected = {};
		for rule in ALL_RULES:gmatch("%S+") do expected[rule] = true; end
		assert.same(sorted(expected), sorted(table_of));
		for rule, row in pairs(table_of) do assert.is_true(#row.what > 20, rule.." says nothing"); end
	end);

	it("have specs with their names in the titles, in just the files that are named", function ()
		for rule, row in pairs(table_of) do
			assert.is_true(next(row.specs) ~= nil, rule.." has no spec");
			assert.same(titles_of[rule] or {}, sorted(row.specs), rule..": the titles have it in other files than the row in "..RULES
				.." says: if those are right, `make rules` mends the row");
		end
	end);

	it("get the names of their specs by `make rules`, also a new one that has none yet", function ()
		local file = os.tmpname();
		finally(function () os.remove(file); end);
		process.write(file, "\n| A1 | what | §6 | |\n| C4 | what | | engine/old |\n");
		assert(os.execute(docs.read("Makefile"):match("\nrules:[^\n]*\n\t([^\n]+)").." "..file));
		local function row(rule, section)
			return ('| <a id="%s"></a>%s | what |%s| %s |\n'):format(rule:lower(), rule, section, table.concat(titles_of[rule], ", "));
		end
		assert.equal("\n"..row("A1", " §6 ")..row("C4", " "), process.read(file));
	end);

	it("are those that the titles name", function ()
		for rule in pairs(titles_of) do assert.truthy(table_of[rule], "a title names "..rule..", of which "..RULES.." knows nothing"); end
	end);

	it("name each malformed element", function ()
		local listed = {};
		for _, cells in ipairs(docs.rows(RULES, "name")) do listed[docs.quoted(cells[1])[1]] = true; end
		local reasons = set(paths.lib("reports").FAMILIES.rejected.values);
		for _, other in ipairs { "forged", "unknown", "hidden" } do reasons[other] = nil; end
		assert.same(sorted(reasons), sorted(listed));
	end);
end);

describe("the options", function ()
	local lib = paths.lib("options");

	-- The default that a cell shows is the one in the code.
	local function check_default(name, cell)
		local text = docs.quoted(cell)[1];
		local value = load("return "..text)();
		local default = lib.definitions[name].default;
		if type(default) == "number" then value = lib.parse_duration(value); end
		assert.same(default, value, name.." has another default than "..cell);
	end

	it("are all in the table of docs/operators.md, with their values and defaults", function ()
		local listed = {};
		for _, cells in ipairs(docs.rows(OPERATORS, "option")) do
			local name = docs.quoted(cells[1])[1];
			local definition = assert(lib.definitions[name], "no option "..name);
			listed[name] = true;
			check_default(name, cells[3]);
			local least, most = definition.allowed:match("from (%S+) to (%S+)$");
			if least then
				assert.equal(least.." to "..most, (cells[2]:gsub("[`\"]", "")), name);
			else
				assert.equal(definition.allowed, (cells[2]:gsub("`", "")), name);
			end
			assert.is_true(#cells[4] > 60, name.." has no when and why");
		end
		assert.same(sorted(lib.definitions), sorted(listed));
	end);

	it("have the same defaults in README.md", function ()
		for _, cells in ipairs(docs.rows("README.md", "option")) do check_default(docs.quoted(cells[1])[1], cells[3]); end
	end);

	it("are as many as README.md says", function ()
		local words = { [12] = "twelve", [13] = "thirteen", [14] = "fourteen", [15] = "fifteen", [16] = "sixteen" };
		assert.truthy(docs.read("README.md"):find("has all "..words[#sorted(lib.definitions)], 1, true));
	end);

	it("that any document names are there", function ()
		local others = set { "receipts_preferences", "receipts_caps", "receipts_log" }; -- stores, and the example module
		for _, name in ipairs(docs.files) do
			for option in docs.read(name):gmatch("%f[%w_]receipts_[%l_]+") do
				assert.truthy(lib.definitions[option] or others[option], name.." names "..option..", which is no option");
			end
		end
	end);

	it("are each read by the code, and no others are", function ()
		local calls = 0;
		local all = {};
		for file, source in pairs(sources) do
			if file ~= "options.lib.lua" then table.insert(all, source); end
			local ours = source;
			for _, prosodys in ipairs { "modules_disabled", "storage", "authentication" } do
				ours = ours:gsub('get_option[%w_]*%("'..prosodys..'"', "");
			end
			calls = calls + select(2, ours:gsub("get_option[%w_]*%(", ""));
		end
		assert.equal(1, calls, "options are read in more than one place");
		all = table.concat(all);
		for name in pairs(lib.definitions) do
			local short = name:gsub("^receipts_", "");
			local how = short == "forged" and "options[verdict]" or "options."..short; -- checks.lib.lua: "forged" and "unknown" are verdicts
			local found = all:find(how, 1, true);
			assert.truthy(found, name.." is read by nobody");
		end
	end);
end);

describe("docs/operators.md", function ()
	it("has all metrics, with labels and their values", function ()
		local expected = {};
		local suffix = { counter = "_total", gauge = "", histogram = "" };
		local function metric(kind, name, unit, _, labels)
			local full = "prosody_mod_receipts__"..name..(unit ~= "" and "_"..unit or "")..suffix[kind];
			expected[full] = labels[1] and { [labels[1]] = true } or {};
			local sink = { add = function () end };
			return { with_labels = function (_, value) if value then expected[full][value] = true; end return sink; end };
		end
		paths.lib("reports").new(metric, function () end, function () end);
		local listed = {};
		for _, cells in ipairs(docs.rows(OPERATORS, "metric")) do
			listed[docs.quoted(cells[1])[1]] = set(docs.quoted(cells[2]));
			assert.is_true(#cells[3] > 10, cells[1]);
		end
		assert.same(expected, listed);
	end);

	it("has all stores, and the fields of a record", function ()
		local stores, fields = {}, {};
		for name in sources["mod_receipts.lua"]:gmatch('[^:]open_store%("([^"]+)"') do stores[name] = true; end -- module:open_store: another's
		for name in sources["records.lib.lua"]:match("function records.from(.-)\nend"):gmatch("(%l+) = ") do fields[name] = true; end
		local listed = {};
		for _, cells in ipairs(docs.rows(OPERATORS, "store")) do listed[docs.quoted(cells[1])[1]] = true; end
		assert.same(stores, listed);
		listed = {};
		for _, cells in ipairs(docs.rows(OPERATORS, "field")) do listed[docs.quoted(cells[1])[1]] = true; end
		assert.same(fields, listed);
	end);

	it("says of a record which types it can have, and when its time is another", function ()
		local told, types = {}, {};
		for _, cells in ipairs(docs.rows(OPERATORS, "field")) do told[docs.quoted(cells[1])[1]] = set(docs.quoted(cells[2])); end
		for _, name in ipairs { "normal", "chat", "headline", "groupchat", "error" } do
			local pending = require "receipts".pending {};
			pending:outgoing(stanzas.ask { from = "a@x/r", to = "b@x", id = "1", type = name }, 10);
			pending:match("a@x", "b@x", "1", 20);
			for _, entry in ipairs(pending:export("a@x")) do
				local record = paths.lib("records").from(entry);
				if record.type then types[("%q"):format(record.type)] = true; end
				assert.equal(record.time == 20, told.time[("%q"):format(record.state)]);
			end
		end
		assert.same(types, told.type);
	end);

	it("says what stands in paths for the characters of a host's name", function ()
		for code in path_encode("my-host.example"):gmatch("%%%x%x") do
			assert.truthy(docs.read(OPERATORS):find("`"..code.."`", 1, true), code);
		end
	end);

	it("has all commands, of the shell, of prosodyctl and ad hoc", function ()
		local text = docs.read(OPERATORS);
		for name in sources["shell.lib.lua"]:gmatch("\nfunction shell%.(%l+)%(") do
			assert.truthy(text:find("\nprosodyctl shell receipts "..name, 1, true), name);
		end
		for name in sources["prosodyctl.lib.lua"]:match("command%.new%(({.-})"):gmatch("\n\t+(%l+) = ") do
			assert.truthy(text:find("prosodyctl mod_receipts "..name, 1, true), name);
		end
		local nodes, listed = {}, {};
		for node in sources["offers.lib.lua"]:gmatch('\n\t{ "(receipts#%l+)"') do nodes[node] = true; end
		for _, cells in ipairs(docs.rows(OPERATORS, "command")) do listed[docs.quoted(cells[2])[1]] = true; end
		assert.same(nodes, listed);
	end);

	it("quotes what the module says, in decisions and in the log", function ()
		local samples = {};
		for _, block in ipairs(docs.blocks(OPERATORS)) do
			if block.kind == "text" then table.insert(samples, table.concat(block.lines, "\n")); end -- compared in spec/wire/docs_spec.lua
		end
		samples = table.concat(samples, "\n");
		local count, all = 0, decisions();
		for _, title in ipairs { "`why` says", "the log says" } do
			for _, cells in ipairs(docs.rows(OPERATORS, title)) do
				for _, text in ipairs(docs.quoted(cells[1])) do
					count = count + 1;
					assert.is_true(samples:find(text, 1, true) ~= nil or all[text] or can_be_said(text), "nobody says "..text);
				end
			end
		end
		assert.is_true(count > 30);
		assert.is_false(can_be_said("C1 not asked for, it is Sunday"));
	end);

	it("explains every decision", function ()
		local explained = {};
		for _, cells in ipairs(docs.rows(OPERATORS, "`why` says")) do table.insert(explained, cells[1]); end
		explained = table.concat(explained, "\n");
		local count = 0;
		for decision in pairs(decisions()) do
			assert.truthy(explained:find(decision, 1, true), "no row has "..decision);
			count = count + 1;
		end
		assert.is_true(count > 35, "only "..count);
	end);

	it("has every line of the log, with its level", function ()
		local rows, count = docs.rows(OPERATORS, "the log says"), 0;
		for name, source in pairs(sources) do
			for level, text in source:gsub('\\"', "\1"):gmatch('log%("(%l+)", "([^"]*)"') do
				local found;
				for _, cells in ipairs(rows) do
					local quoted = docs.quoted(cells[1])[1];
					if quoted and text:gsub("\1", '"'):find(quoted, 1, true) then found = cells; end
				end
				if found then
					assert.equal(level, found[2], text);
					count = count + 1;
				else
					assert.truthy(text:find("^%%s"), name.." writes "..text); -- what others have said: guard.lib.lua, options.lib.lua
				end
			end
		end
		assert.is_true(count > 7, "only "..count);
	end);
end);

describe("docs/developers.md", function ()
	it("has a row for each file of the module and of the engine", function ()
		local listed, expected = {}, {};
		for _, cells in ipairs(docs.rows(DEVELOPERS, "file")) do listed[docs.quoted(cells[1])[1]] = true; end
		for name in pairs(sources) do expected[name] = true; end
		for name in assert(io.popen("cd "..paths.root.."/csrc && ls *.c")):lines() do expected[name] = true; end
		assert.same(sorted(expected), sorted(listed));
	end);

	it("has all events and all their fields", function ()
		local events, fields = {}, {};
		local sink = { add = function () end, sample = function () end };
		local reports = paths.lib("reports").new(function () return { with_labels = function () return sink; end }; end,
			function () return true; end, function (event, data)
				events[event] = true;
				for name in pairs(data) do fields[name] = true; end
			end);
		reports:requested("a@x", "b@x", "1", "a@x/1", true);
		for _, outcome in ipairs(paths.lib("reports").FAMILIES.outcomes.values) do
			reports:outcome(outcome, "a@x", "b@x", "1", 1, "b@x/1", false);
		end
		reports:rejected({ "forged" }, "a@x", "b@x", "1", "b@x/1");
		local listed = {};
		for _, cells in ipairs(docs.rows(DEVELOPERS, "event")) do listed[docs.quoted(cells[1])[1]] = true; end
		assert.same(sorted(events), sorted(listed));
		listed = {};
		for _, cells in ipairs(docs.rows(DEVELOPERS, "field")) do listed[docs.quoted(cells[1])[1]] = true; end
		assert.same(sorted(fields), sorted(listed));
		local example = process.read(paths.root.."/examples/mod_receipts_log.lua");
		for event in pairs(events) do assert.truthy(example:find('"'..event:match("%l+$")..'"', 1, true), "the example leaves out "..event); end
	end);
end);

describe("doap.xml", function ()
	local doap, project;
	local NS, XMPP = "http://usefulinc.com/ns/doap#", "https://linkmauve.fr/ns/xmpp-doap#";
	local RESOURCE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#\1resource";
	setup(function ()
		doap = assert(parse_xml((docs.read("doap.xml"):gsub("^<%?xml.-%?>%s*", ""))));
		project = doap:get_child("Project", NS);
	end);

	it("has the version of the module", function ()
		local version = sources["mod_receipts.lua"]:match('local VERSION = "([^"]+)"');
		assert.equal(version, project:get_child("release", NS):get_child("Version", NS):get_child_text("revision", NS));
	end);

	it("says for each XEP how far and since when", function ()
		local seen, last = {}, "";
		for implements in project:childtags("implements", NS) do
			local xep = implements:get_child("SupportedXep", XMPP);
			if xep then
				local number = assert(xep:get_child("xep", XMPP).attr[RESOURCE]:match("^https://xmpp%.org/extensions/xep%-(%d%d%d%d)%.html$"));
				assert.is_true(number > last, "XEPs are not in order: "..number);
				last, seen[number] = number, true;
				assert.truthy(({ complete = true, partial = true })[xep:get_child_text("status", XMPP)], number);
				assert.truthy(xep:get_child_text("version", XMPP):find("^%d"), number);
				assert.truthy(xep:get_child_text("since", XMPP):find("^%d"), number);
			end
		end
		for number in ("0030 0050 0115 0184 0198 0280 0313 0334"):gmatch("%S+") do assert.is_true(seen[number], number); end
	end);
end);

describe("commands in running text", function ()
	-- Those in blocks are run by spec/wire/docs_spec.lua.
	local known = {
		["make (%l[%l-]*)"] = function (target) return docs.read("Makefile"):find("\n"..target:gsub("%-", "%%-")..":[^=]"); end;
		["prosodyctl shell receipts (%l+)"] = function (name) return sources["shell.lib.lua"]:find("\nfunction shell%."..name.."%("); end;
		["prosodyctl mod_receipts (%l+)"] = function (name)
			return name == "help" or sources["prosodyctl.lib.lua"]:find("\n\t+"..name.." = %l+%.command%(");
		end;
	};

	it("are there", function ()
		local count = 0;
		for _, name in ipairs(docs.files) do
			for _, text in ipairs(docs.quoted((docs.read(name):gsub("```.-\n```", "")))) do
				for pattern, is_there in pairs(known) do
					local word = text:match("^"..pattern);
					if word then
						assert.truthy(is_there(word), name.." has `"..text.."`");
						count = count + 1;
					end
				end
			end
		end
		assert.is_true(count > 10, "only "..count);
	end);

	it("of the example alerts take what docs/operators.md says", function ()
		local text, count = docs.read(OPERATORS), 0;
		for command in docs.read("examples/prometheus-alerts.yml"):gmatch("`prosodyctl shell receipts ([^`]+)`") do
			assert.truthy(text:find("| `"..command.."`", 1, true) or text:find("| `"..command.." [", 1, true), command);
			count = count + 1;
		end
		assert.is_true(count > 0);
	end);
end);

describe("links", function ()
	-- As GitHub makes them of headings; and those that are written.
	local function anchors(name)
		local found = {};
		for heading in ("\n"..docs.read(name)):gmatch("\n#+ ([^\n]+)") do
			found[heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")] = true;
		end
		for id in docs.read(name):gmatch('<a id="([^"]+)"></a>') do found[id] = true; end
		return found;
	end

	it("at the top of a document lead to all its chapters", function ()
		local count = 0;
		for _, name in ipairs(docs.files) do
			local contents = docs.read(name):match("\n(%[[^\n]+%]%(#[^\n]+ ·\n.-)\n\n");
			for heading in (contents and docs.read(name) or ""):gmatch("\n## ([^\n]+)") do
				assert.truthy(contents:gsub("\n", " "):find("["..heading.."](#", 1, true), name.." leaves out "..heading);
				count = count + 1;
			end
		end
		assert.is_true(count > 20, "only "..count);
	end);

	it("lead to files and headings that are there", function ()
		for _, name in ipairs(docs.files) do
			local folder = name:match("^(.*/)") or "";
			for target in docs.read(name):gmatch("%]%(([^)]+)%)") do
				if not target:find("^https?:") then
					local file, anchor = target:match("^([^#]*)#?(.*)$");
					local path = file == "" and name or folder..file;
					while path:find("[^/]+/%.%./") do path = path:gsub("[^/]+/%.%./", "", 1); end
					assert.truthy(os.execute("test -e '"..paths.root.."/"..path.."'"), name.." links to "..target);
					if anchor ~= "" then assert.truthy(anchors(path)[anchor], name.." links to "..target); end
				end
			end
		end
	end);
end);
