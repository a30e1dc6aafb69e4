-- SPDX-License-Identifier: MIT
-- `prosodyctl mod_receipts lint`: which messages of a capture or an export break the rules of XEP-0184, and what became of those
-- that ask for a receipt (tracker.lib.lua). Whatever the length of the input, memory is bounded.

local json = require "util.json".encode;
local isatty = require "util.pposix".isatty;
local time_now = require "util.time".now;
local new_tracker = module:require "tracker".new;
local shown = module:require "views".shown; -- nothing of a message is printed, but files have names

local lint = {};

-- What is wrong, and the section of XEP-0184 that says so. All of them are rule E3.
local RULE = "E3";
local meanings = {
	["request-without-id"] = { "a message that asks for a receipt has no id", "7" };
	["request-in-ack"] = { "a message that acks asks for a receipt itself", "5.4" };
	["request-not-empty"] = { "<request/> has something in it", "11" };
	["request-in-groupchat"] = { "asking a whole room for receipts is not recommended", "5.3" };
	["request-in-error"] = { "an error asks for a receipt", "5" };
	["received-without-id"] = { "<received/> does not say which message it acks", "7" };
	["received-not-empty"] = { "<received/> has something in it", "11" };
	["received-in-error"] = { "an error acks a message", "7" };
	["several-received"] = { "an ack message has more than one <received/>", "7" };
};
lint.meanings = meanings;

--- The violations in a message.
-- @param facts  of the message, as the engine's scanner gives them
-- @param file   name of the input
-- @return array of { file, line, rule, problem, text, section }
function lint.violations(facts, file)
	local list = {};
	for i, problem in ipairs(facts.problems) do
		local text, section = table.unpack(meanings[problem]);
		list[i] = { file = file, line = facts.line, rule = RULE, problem = problem, text = text, section = section };
	end
	return list;
end

-- Printing

-- Prints, or gives up: an error object, because that nobody reads what we print is no reason for a traceback.
local function must(ok, err)
	if not ok then error(setmetatable({}, { __tostring = function () return "cannot write: "..tostring(err); end })); end
end

local text = {};
text.__index = text;

function text:violation(violation)
	must(self.out:write(("%s:%d: %s %s: %s (XEP-0184 §%s)\n"):format(
		shown(violation.file), violation.line, violation.rule, violation.problem, violation.text, violation.section)));
end

-- Where an input could not be read, and why, as compilers say it.
-- @param fault  { file, reason }, and where there is one line and column
function text:fault(fault)
	local where = fault.line and (":%d:%d"):format(fault.line, fault.column) or "";
	must(self.out:flush()); -- both may go to one place
	self.err:write(shown(fault.file..where..": "..fault.reason), "\n");
end

function text:finish(summary)
	local lines = {};
	for _, name in ipairs { "messages", "violations", "asked", "delivered", "duplicates", "unanswered", "forged", "unknown" } do
		table.insert(lines, ("%-11s %d"):format(name, summary[name]));
	end
	if summary.forgotten > 0 then
		table.insert(lines, ("%-11s %d (of the unanswered; an ack would count as unknown)"):format("forgotten", summary.forgotten));
	end
	local latency = summary.latency;
	table.insert(lines, latency and ("%-11s p50 %.14g s, p90 %.14g s, p99 %.14g s, max %.14g s (of %d with stamps)"):format(
		"latency", latency.p50, latency.p90, latency.p99, latency.max, latency.pairs) or nil);
	must(self.out:write(table.concat(lines, "\n"), "\n"));
end

-- One object, a violation a line, so that nothing has to be kept.
local as_json = {};
as_json.__index = as_json;

local function item(self, object)
	for name, value in pairs(object) do -- JSON is UTF-8, and the name of a file need not be
		if type(value) == "string" and not utf8.len(value) then object[name] = shown(value); end
	end
	must(self.out:write(self.some and ",\n" or "\n", json(object)));
	self.some = true;
end

function as_json:violation(violation)
	if not self.some then must(self.out:write("{\"violations\":[")); end
	item(self, violation);
end

function as_json:fault(fault)
	table.insert(self.faults, fault);
end

function as_json:finish(summary)
	must(self.out:write(self.some and "\n" or "{\"violations\":[", "],\n\"faults\":["));
	self.some = false;
	for _, fault in ipairs(self.faults) do item(self, fault); end
	must(self.out:write("],\n\"summary\":", json(summary), "}\n"));
end

local printers = { text = text, json = as_json };

-- Progress, for long inputs on a terminal.

local SHOWN_AFTER = 32 * 1024 * 1024; -- bytes
local SHOWN_EVERY = 16 * 1024 * 1024;

local progress = {};
progress.__index = progress;

--- @param err          where it is shown
--- @param is_terminal  function (file)
--- @param now          function (): seconds
function lint.progress(err, is_terminal, now)
	return setmetatable({ err = err, now = now, is_terminal = is_terminal }, progress);
end

--- A new input: its name, and its size in bytes where it has one.
function progress:start(file, size)
	self.file, self.size, self.began, self.read, self.next = shown(file), size, self.now(), 0, SHOWN_AFTER;
end

function progress:add(bytes)
	self.read = self.read + bytes;
	if self.read < self.next then return; end
	self.next = self.read + SHOWN_EVERY;
	if not self.is_terminal(self.err) then return; end
	local mib = self.read / 1048576;
	local done = self.size and self.size > 0 and ("%d %%"):format(100 * self.read // self.size) or ("%d MiB"):format(mib // 1);
	self.err:write(("\r%s: %s, %.0f MiB/s\27[K"):format(self.file, done, mib / math.max(self.now() - self.began, 0.001)));
	self.shown = true;
end

--- Makes way for other output.
function progress:hide()
	if self.shown then self.err:write("\r\27[K"); end
	self.shown = false;
end

-- Reading

local CHUNK = 65536;

local EACCES = 13;

-- prosodyctl has gone to the data folder; what was typed is meant from where it was typed, which sudo does not tell.
local function open(path, system)
	if path == "-" then return system.input; end
	local absolute = path:sub(1, 1) == "/";
	local file, err, code = io.open(absolute and path or (system.directory or ".").."/"..path, "rb");
	if file then return file; end
	local reason, obstacle = err:gsub("^.*: ", ""), nil;
	if code == EACCES then
		obstacle = "prosodyctl becomes Prosody's user";
	elseif not (absolute or system.directory) then
		obstacle = "prosodyctl was not told in which folder";
	end
	return nil, reason..(obstacle and (" (%s; give it the file as its input: lint - < %s)"):format(obstacle, path) or "");
end

-- Reads one input to its end, or to the fault that is returned.
local function read(path, system, engine, take)
	local file, err = open(path, system);
	if not file then return { file = path, reason = err }; end
	local size = path ~= "-" and file:seek("end");
	if size then file:seek("set"); end
	system.progress:start(path, size);
	local scanner = engine.scanner { only_receipts = true, comments = true };
	local fault;
	repeat
		local chunk, read_err = file:read(CHUNK);
		if read_err then
			fault = { file = path, reason = read_err };
			break;
		end
		system.progress:add(chunk and #chunk or 0);
		local list, reason, where, before;
		if chunk then
			list, reason, where, before = scanner:feed(chunk);
		else
			list, reason, where, before = scanner:finish();
		end
		for _, facts in ipairs(list or before) do take(facts); end
		if not list then fault = { file = path, line = where.line, column = where.column, reason = reason }; end
	until not chunk or fault
	local messages = scanner:summary().messages;
	scanner:close();
	if path ~= "-" then file:close(); end
	return fault, messages;
end

--- Checks files, prints, and gives the verdict.
-- @param paths   array of file names, "-" for the input
-- @param format  "text" or "json"
-- @param system  { input, out, err: files; directory: what relative names are relative to, nil if unknown; progress }
-- @param engine  the C engine
-- @return exit code: 0 clean, 1 violations, 2 something could not be read
function lint.check(paths, format, system, engine)
	local printer = setmetatable({ out = system.out, err = system.err, faults = {} }, printers[format]);
	local tracked = new_tracker(engine);
	local messages, violations, code = 0, 0, 0;
	for _, path in ipairs(paths) do
		local fault, read_messages = read(path, system, engine, function (facts)
			tracked:message(facts);
			for _, violation in ipairs(lint.violations(facts, path)) do
				system.progress:hide();
				printer:violation(violation);
				violations = violations + 1;
			end
		end);
		system.progress:hide();
		messages = messages + (read_messages or 0);
		if fault then
			printer:fault(fault);
			code = 2;
		end
	end
	local summary = tracked:summary();
	summary.messages, summary.violations = messages, violations;
	printer:finish(summary);
	must(system.out:flush());
	return math.max(code, violations > 0 and 1 or 0);
end

--- The subcommand, see command.lib.lua.
-- @param engine  the C engine
function lint.command(engine)
	return {
		usage = "[--format=text|json] FILE…";
		summary = "Checks captures of streams, stanzas, or XEP-0227 exports (- is standard input) for what XEP-0184 does not allow";
		run = function (arguments)
			local paths, format = {}, "text";
			for _, argument in ipairs(arguments) do
				local option, value = argument:match("^%-%-(%w+)=?(.*)$");
				if option == "format" and printers[value] then
					format = value;
				elseif argument:sub(1, 1) == "-" and argument ~= "-" then
					return nil, "lint does not know "..shown(argument);
				else
					table.insert(paths, argument);
				end
			end
			if #paths == 0 then return nil, "lint wants a file"; end
			io.stdout:setvbuf("full");
			collectgarbage("incremental", 150, 200); -- Prosody's own setting spends half the time on garbage
			return lint.check(paths, format, {
				input = io.stdin;
				out = io.stdout;
				err = io.stderr;
				directory = os.getenv("PWD");
				progress = lint.progress(io.stderr, isatty, time_now);
			}, engine);
		end;
	};
end

return lint;
