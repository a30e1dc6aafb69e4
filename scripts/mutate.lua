-- SPDX-License-Identifier: MIT
-- One of the workers of scripts/mutate, in a copy of the sources that it may break. Prints a line for each condition, of an `if` or
-- before a `?`: what became of it when it was inverted, where it is, and what caught it.
--   scripts/mutate.lua N OF [FILE[:LINE] …]    does every OF-th, starting with the Nth
--   scripts/mutate.lua list [FILE[:LINE] …]    only says which there are

-- Seconds, and MB: an endless loop is caught. `fast` runs many, and beside whatever else the machine does.
local TIMEOUT, FAST_TIMEOUT, WIRE_TIMEOUT = 60, 240, 240;
local MEMORY = 4000;

-- Specs that have most to say about a file come first; then `fast`, all that start no Prosody. Those in spec/wire are named for libs
-- that make no sense without one. `engine` is spec/engine in one go.
local C_FILES = {
	["csrc/facts.c"] = { "test_xml", "engine" };
	["csrc/lhash.c"] = { "test_pending", "test_check" };
	["csrc/namespaces.c"] = { "test_namespaces" };
	["csrc/pending.c"] = { "test_pending" };
	["csrc/pending_check.c"] = { "test_check", "test_pending" };
	["csrc/pending_find.c"] = { "test_pending" };
	["csrc/pending_journal.c"] = { "test_pending" };
	["csrc/pending_table.c"] = { "test_pending" };
	["csrc/pending_table.h"] = { "test_pending" };
	["csrc/pending_walk.c"] = { "test_pending" };
	["csrc/tags.c"] = { "test_xml", "engine" };
	["csrc/lines.c"] = { "test_xml", "engine" };
	["csrc/uuid.c"] = { "test_uuid" };
	["csrc/slab.c"] = { "test_pending", "test_check" };
	["csrc/single.c"] = { "test_single", "spec/engine/parse_spec.lua" };
	["csrc/lua_entries.c"] = { "engine", "test_binding" };
	["csrc/lua_facts.c"] = { "engine", "test_binding" };
	["csrc/lua_parse.c"] = { "engine", "test_binding" };
	["csrc/lua_pending.c"] = { "engine", "test_binding" };
	["csrc/lua_scanner.c"] = { "engine", "test_binding" };
	["csrc/lua_stanza.c"] = { "engine", "test_binding" };
	["csrc/lua_values.c"] = { "engine", "test_binding" };
	["csrc/messages.c"] = { "test_xml", "engine", "test_edges" };
	["csrc/parser.c"] = { "test_xml", "test_salt", "engine", "test_single" };
	["csrc/xml.c"] = { "test_xml", "test_salt", "engine", "test_single", "test_edges" };
	["csrc/xml_handlers.c"] = { "test_xml", "engine", "test_single", "test_edges" };
};
local LUA_FILES = {
	["accounts.lib"] = "wire/store wire/lifetime wire/privacy wire/resend";
	["answering.lib"] = "wire/answers wire/lifetime wire/privacy wire/reports wire/remote";
	["answers.lib"] = "module/answers wire/answers";
	["asleep.lib"] = "module/asleep wire/advertise wire/adhoc";
	["blocks.lib"] = "module/blocks wire/privacy wire/answers wire/checks";
	["bounded.lib"] = "module/bounded";
	["capabilities.lib"] = "module/capabilities module/capabilities_walk wire/capabilities wire/requests wire/remote";
	["carbons.lib"] = "wire/checks";
	["checks.lib"] = "module/checks wire/checks wire/reports";
	["command.lib"] = "module/command";
	["components.lib"] = "wire/components";
	["decisions.lib"] = "module/decisions wire/reports";
	["disco.lib"] = "module/capabilities wire/capabilities";
	["elements.lib"] = "module/elements module/resend wire/checks wire/requests wire/answers";
	["engine.lib"] = "module/engine";
	["forms.lib"] = "wire/adhoc";
	["fates.lib"] = "module/fates module/answers";
	["guard.lib"] = "module/guard";
	["hiding.lib"] = "wire/privacy module/presence wire/lifetime";
	["hooks.lib"] = "module/hooks wire/transparency wire/checks wire/requests";
	["inspection.lib"] = "module/inspection wire/shell wire/adhoc wire/reports";
	["learning.lib"] = "wire/capabilities wire/privacy wire/remote wire/checks wire/answers wire/lifetime";
	["lint.lib"] = "module/lint wire/command";
	["manual.lib"] = "wire/shell";
	["mod_receipts"] = "wire/advertise wire/requests wire/checks wire/capabilities wire/lifetime wire/answers wire/resend wire/reports "
		.."wire/transparency wire/limits wire/remote wire/privacy wire/command wire/metrics wire/adhoc wire/components";
	["offers.lib"] = "wire/adhoc wire/shell";
	["options.lib"] = "module/options";
	["outlet.lib"] = "wire/checks wire/answers";
	["people.lib"] = "module/people module/capabilities wire/capabilities";
	["preferences.lib"] = "module/answers wire/adhoc wire/answers wire/lifetime";
	["presence.lib"] = "module/presence wire/checks wire/answers wire/privacy";
	["proof.lib"] = "module/proof wire/answers wire/lifetime wire/async";
	["prosodyctl.lib"] = "wire/command";
	["queries.lib"] = "module/queries wire/capabilities";
	["records.lib"] = "module/store module/stored";
	["reports.lib"] = "module/reports wire/metrics wire/reports";
	["requests.lib"] = "module/requests";
	["resend.lib"] = "module/resend wire/resend";
	["retries.lib"] = "module/retries module/store";
	["routing.lib"] = "wire/requests wire/capabilities wire/answers";
	["rooms.lib"] = "module/rooms wire/checks wire/answers wire/capabilities wire/privacy";
	["setup.lib"] = "module/setup wire/command";
	["shell.lib"] = "wire/shell";
	["store.lib"] = "module/store wire/lifetime";
	["stored.lib"] = "module/stored wire/command";
	["tracker.lib"] = "module/lint";
	["traffic.lib"] = "wire/requests wire/checks wire/reports wire/resend wire/privacy wire/transparency wire/answers wire/remote "
		.."wire/lifetime wire/limits";
	["turns.lib"] = "module/capabilities module/capabilities_walk wire/capabilities wire/remote";
	["upkeep.lib"] = "module/upkeep wire/limits";
	["views.lib"] = "module/views";
	["waiting.lib"] = "module/waiting wire/checks";
};

local function read(path)
	local file = assert(io.open(path));
	local text = file:read("a");
	file:close();
	return text;
end

local function write(path, text)
	local file = assert(io.open(path, "w"));
	file:write(text);
	file:close();
end

-- Finding conditions: { first, last } positions in the text.

-- The text with comments and strings blanked out, so that positions stay.
local function code_of(text, is_c)
	local patterns = is_c and { "^/%*.-%*/", "^//[^\n]*", '^"[^"\\\n]*"', "^'\\?.'", "^#[^\n]*" }
		or { "^%-%-%[(=*)%[.-%]%1%]", "^%-%-[^\n]*", "^%[(=*)%[.-%]%1%]", '^"[^"\\\n]*"', "^'[^'\\\n]*'" };
	local strings = is_c and { ['"'] = true } or { ['"'] = true, ["'"] = true };
	local out, at = {}, 1;
	while at <= #text do
		local char, last = text:sub(at, at), nil;
		for _, pattern in ipairs(patterns) do
			local _, found = text:find(pattern, at);
			last = last or found;
		end
		if not last and strings[char] then -- one with escapes
			last = at;
			repeat
				last = last + (text:sub(last, last) == "\\" and 2 or 1);
			until text:sub(last, last) == char;
		end
		table.insert(out, last and text:sub(at, last):gsub("[^\n]", " ") or char);
		at = (last or at) + 1;
	end
	return table.concat(out);
end

-- Where the condition begins that a `?` ends: behind what opens the expression, or takes its value.
local function behind_opening(code, mark)
	local depth = 0;
	for at = mark - 1, 1, -1 do
		local char = code:sub(at, at);
		if char:match("[%)%]]") then
			depth = depth + 1;
		elseif depth > 0 then
			depth = depth - (char:match("[%(%[]") and 1 or 0);
		elseif char:match("[%(%[{},;:?]") or char == "=" and not code:sub(at - 1, at + 1):match("^[=!<>]=") and code:sub(at + 1, at + 1) ~= "="
			or code:sub(at - 6, at):match("%f[%w_]return$") then
			return at + 1;
		end
	end
end

local function c_conditions(code)
	local list = {};
	for mark in code:gmatch("()%?") do
		table.insert(list, { code:match("()%S", behind_opening(code, mark)), mark - 1 });
	end
	for open in code:gmatch("%f[%w_]if%s*()%(") do
		local _, close = code:find("^%b()", open);
		table.insert(list, { open, close });
	end
	table.sort(list, function (a, b) return a[1] < b[1]; end);
	return list;
end

local function lua_conditions(code)
	local list, waiting = {}, {};
	for start, word, after in code:gmatch("()%f[%w_]([%a_][%w_]*)()") do
		if word == "if" or word == "elseif" then
			table.insert(waiting, after);
		elseif word == "then" then
			table.insert(list, { table.remove(waiting), start - 1 });
		end
	end
	table.sort(list, function (a, b) return a[1] < b[1]; end);
	return list;
end

--- The conditions of a file, or of one line of it, each with its line and the text of the file with it inverted.
local function mutants(name)
	local path, only = name:match("^(.-):?(%d*)$");
	local text, is_c = read(path), path:match("%.[ch]$");
	local code = code_of(text, is_c);
	assert(#code == #text, path);
	local list = {};
	for _, found in ipairs(is_c and c_conditions(code) or lua_conditions(code)) do
		local first, last = found[1], found[2];
		local _, line = text:sub(1, first):gsub("\n", "\n");
		if only == "" or tonumber(only) == line + 1 then
			table.insert(list, {
				path = path, line = line + 1, condition = text:sub(first, last):gsub("%s+", " "):match("^%s*(.-)%s*$");
				text = text:sub(1, first - 1)..(is_c and "(!(" or " not (")..text:sub(first, last)..(is_c and "))" or ") ")..text:sub(last + 1);
			});
		end
	end
	return list;
end

-- Running specs

-- Does it pass? If not: was that because it took too long? What it has started ends with it.
local function run(command, seconds)
	local ok, _, code = os.execute(("timeout -k 5 %d %s >log 2>&1 </dev/null"):format(seconds, command));
	return ok == true, code == 124 or code == 137;
end

-- Sanitizers take more of the address space than they use, so there the limit is another.
local SANITIZED = ("ASAN_OPTIONS=hard_rss_limit_mb=%d "):format(MEMORY);
local BUSTED = "lua5.4 /usr/bin/busted --output=plainTerminal --no-keep-going ";
local LIMITED = ("ulimit -v %d && "):format(MEMORY * 1000)..BUSTED;

local left_out = {
	["spec/module/docs_spec.lua"] = true, ["spec/module/mutation_spec.lua"] = true; -- any change of the sources' text may be odd to them
	["spec/engine/edges_spec.lua"] = true; -- its program has sanitizers
};

local function expand(pattern)
	local list, pipe = {}, assert(io.popen("ls "..pattern));
	for path in pipe:lines() do
		if not left_out[path] then table.insert(list, path); end
	end
	pipe:close();
	return table.concat(list, " ");
end

local suites = setmetatable({}, { __index = function (self, name)
	local command, seconds = LIMITED..name, TIMEOUT;
	if name:match("^test_") then
		command = SANITIZED.."build/test/"..name;
	elseif name == "engine" then
		command = LIMITED..expand("spec/engine/*_spec.lua");
	elseif name == "fast" then
		local parts = {};
		for path in expand("csrc/test/test_*.c"):gmatch("[^%s]+") do
			table.insert(parts, SANITIZED.."build/test/"..path:match("([^/]+)%.c$"));
		end
		table.insert(parts, SANITIZED..BUSTED.."spec/engine/edges_spec.lua");
		table.insert(parts, LIMITED..expand("spec/engine/*_spec.lua spec/module/*_spec.lua"));
		command, seconds = table.concat(parts, " && "), FAST_TIMEOUT;
	elseif name:match("^spec/wire") then
		command, seconds = BUSTED..name, WIRE_TIMEOUT;
	end
	self[name] = function () return run(("bash -c '%s'"):format(command), seconds); end;
	return self[name];
end });

local function suites_of(path)
	local list = {};
	if path:match("%.[ch]$") then
		for _, name in ipairs(C_FILES[path]) do table.insert(list, name); end
		table.insert(list, "fast");
	else
		local wire = {};
		for name in assert(LUA_FILES[path:match("([^/]+)%.lua$")], "no specs are named for "..path):gmatch("%S+") do
			table.insert(name:match("^wire") and wire or list, "spec/"..name.."_spec.lua");
		end
		if list[1] then table.insert(list, "fast"); end
		for _, name in ipairs(wire) do table.insert(list, name); end
	end
	return list;
end

-- What a suite needs and no more: linking takes longer than many a suite.
local function build_for(name)
	local goals = name:match("^test_") and "build/test/"..name or name == "fast" and "all c-tests-build" or "all";
	assert(os.execute("make WARN=-w "..goals.." >log 2>&1"), "the sources do not build:\n"..read("log"));
end

-- The first suite that fails.
local function caught_by(names)
	for _, name in ipairs(names) do
		build_for(name);
		local passes, too_long = suites[name]();
		if not passes then return too_long and name..", out of time" or name; end
	end
end

local function default_files()
	local list = {};
	for path in pairs(C_FILES) do table.insert(list, path); end
	local pipe = assert(io.popen("ls mod_receipts/*.lua"));
	for path in pipe:lines() do table.insert(list, path); end
	pipe:close();
	table.sort(list);
	return list;
end

if arg[1] == "list" then
	for _, name in ipairs(arg[2] and { table.unpack(arg, 2) } or default_files()) do
		for _, mutant in ipairs(mutants(name)) do
			assert(mutant.path:match("%.[ch]$") or load(mutant.text));
			assert(arg[2] or suites_of(mutant.path));
			print(("%s:%d: %s"):format(mutant.path, mutant.line, mutant.condition));
		end
	end
	os.exit(true);
end

local worker, workers = tonumber(arg[1]), tonumber(arg[2]);
local files = #arg > 2 and { table.unpack(arg, 3) } or default_files();
io.stdout:setvbuf("line");

local sound = {}; -- suites that pass when nothing is changed
local count = 0;
for _, name in ipairs(files) do
	for _, mutant in ipairs(mutants(name)) do
		local path = mutant.path;
		local names, original = suites_of(path), read(path);
		count = count + 1;
		if count % workers == worker % workers then
			for _, suite in ipairs(names) do
				if not sound[suite] then
					build_for(suite);
					sound[suite] = suites[suite]() or suites[suite](); -- a busy machine gets a second try
					assert(sound[suite], suite.." fails without any change:\n"..read("log"));
				end
			end
			write(path, mutant.text);
			local by = caught_by(names);
			print(("%s %s:%d: %s%s"):format(by and "caught  " or "survived", path, mutant.line, mutant.condition, by and " ("..by..")" or ""));
			write(path, original);
		end
	end
end
