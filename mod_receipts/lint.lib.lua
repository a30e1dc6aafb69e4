-- SPDX-License-Identifier: MIT
-- `prosodyctl mod_receipts lint`: which messages of a capture or an export break the rules of XEP-0184, and what became of those
-- that ask for a receipt.
--
-- The first half is pure: facts of messages in, violations and a summary out. The second reads files and prints. Whatever the length
-- of the input, memory is bounded: of the messages that await an ack the latest KEPT are known, and latencies are kept as counts.

local json = require "util.json".encode;
local jid_prep, jid_resource = require "util.jid".prep, require "util.jid".resource;
local isatty = require "util.pposix".isatty;
local time_now = require "util.time".now;
local new_bounded = module:require "bounded".new;
local shown = module:require "views".shown; -- nothing of a message is printed, but files have names

local lint = {};

local KEPT = 32768; -- messages that await an ack
local KEPT_BYTES = 8 * 1024 * 1024; -- or fewer, when their ids and addresses are long
local ADDRESSES = 4096; -- whose prepared form is known
local ADDRESS_MAX = 3071; -- bytes (RFC 7622 §3.1); what is longer is no address, and the table does not take it

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

--- Seconds since the epoch of an XEP-0082 DateTime; nil when it is none. (util.datetime drops fractions in 0.12.)
function lint.seconds(stamp)
	local year, month, day, hour, min, sec, zone = stamp:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)(.*)$");
	local sign, zone_hour, zone_min = "+", 0, 0;
	if year and zone ~= "Z" then
		sign, zone_hour, zone_min = zone:match("^([+-])(%d%d):(%d%d)$");
	end
	if not year or not sign then return nil; end
	-- Years that begin in March have their odd day at the end; 719,468 of their days came before 1970.
	local march_year = month + 0 < 3 and year - 1 or year + 0;
	local days = 365 * march_year + march_year // 4 - march_year // 100 + march_year // 400
		+ (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468;
	local offset = tonumber(sign.."1") * (zone_hour * 60 + zone_min) * 60;
	return days * 86400 + hour * 3600 + min * 60 + sec - offset;
end

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

-- What becomes of the messages that ask.

local OWNER = "."; -- stands for an address that is left out: clients leave out their own

-- What is kept with an ask. The table's mark for what the server asked says here that the time is a stamp's.
local hows = {};
for _, stamped in ipairs { true, false } do
	hows[stamped] = {};
	for _, occupant in ipairs { true, false } do hows[stamped][occupant] = { injected = stamped, occupant = occupant }; end
end

local tracker = {};
tracker.__index = tracker;

--- Follows asks and acks through the input.
-- @param engine  the C engine
function lint.tracker(engine)
	return setmetatable({
		bits = engine.bits;
		pending = engine.pending { capacity = KEPT, per_user = 2 * KEPT, ttl = 0, remember = 0 };
		clock = 0; -- the latest stamp, for what has none
		counts = { asked = 0, delivered = 0, duplicate = 0, forged = 0, unknown = 0, forgotten = 0 };
		latencies = {}; -- seconds -> how many
		addresses = new_bounded(ADDRESSES); -- as written -> as compared
	}, tracker);
end

-- A client's own capture has addresses as the client writes them, and answers to them as servers do. What is no JID stays as it is.
function tracker:address(text)
	if not text or #text > ADDRESS_MAX then return text; end
	local known = self.addresses.at[text];
	if not known then
		known = jid_prep(text) or text;
		self.addresses:set(text, known);
	end
	return known;
end

function tracker:time(stamp)
	local time = stamp and lint.seconds(stamp);
	if not time or time < 0 then return self.clock, false; end
	self.clock = math.max(self.clock, time);
	return time, true;
end

-- Room for one more. The oldest go first, whosever they are: they are the least likely to be acked.
function tracker:make_room()
	if self.pending:count() < KEPT and self.pending:bytes() < KEPT_BYTES then return; end
	local _, gone = self.pending:expire(self.clock, 2);
	for _, entry in ipairs(gone) do
		if entry.state == "pending" then self.counts.forgotten = self.counts.forgotten + 1; end
	end
end

function tracker:ask(facts)
	local from, to = self:address(facts.from) or OWNER, self:address(facts.to) or self.owner or OWNER;
	if not facts.from then
		self.left_out = true;
	else
		self.owner = to;
		-- The very message was seen on its way to the server, which has put the address in.
		if self.left_out and self.pending:state(OWNER, to, facts.id) == "pending" then return; end
	end
	self:make_room();
	local time, stamped = self:time(facts.stamp);
	local occupant = facts.bits & self.bits.occupant ~= 0 and jid_resource(to) ~= nil;
	local added, known = self.pending:add(from, to, facts.id, time, hows[stamped][occupant]);
	if added and not known then
		self.counts.asked = self.counts.asked + 1;
	elseif not added then
		self.counts.asked = self.counts.asked + 1;
		self.counts.forgotten = self.counts.forgotten + 1; -- too long to be kept
	end
end

local function found(verdict)
	return verdict == "delivered" or verdict == "duplicate";
end

function tracker:ack(facts)
	local requester, acker = self:address(facts.to) or OWNER, self:address(facts.from) or self.owner or OWNER;
	local id = facts.received_id;
	if not id or id == "" then id = facts.id or ""; end -- revision 1.0
	local time, stamped = self:time(facts.stamp);
	local verdict, age, ask_stamped = self.pending:match(requester, acker, id, time);
	if not found(verdict) and self.left_out then
		local second, second_age, second_stamped = self.pending:match(OWNER, acker, id, time);
		if found(second) then verdict, age, ask_stamped = second, second_age, second_stamped; end
	end
	if verdict == "forged" and not (facts.to and facts.from) then verdict = "unknown"; end -- nobody is accused on a guess
	self.counts[verdict] = self.counts[verdict] + 1;
	if verdict == "delivered" and stamped and ask_stamped then
		local rounded = tonumber(("%.3g"):format(age));
		self.latencies[rounded] = (self.latencies[rounded] or 0) + 1;
	end
end

--- Takes note of one message.
function tracker:message(facts)
	if facts.bits & self.bits.asks ~= 0 then self:ask(facts); end
	if facts.bits & self.bits.acks ~= 0 then self:ack(facts); end
end

-- The smallest value that has at least this share of all at or below it.
local function percentile(values, latencies, total, share)
	local seen = 0;
	for _, value in ipairs(values) do
		seen = seen + latencies[value];
		if seen >= share * total then return value; end
	end
end

--- What all the messages so far come to.
-- @return table of counts; `latency` has pairs (how many), p50, p90, p99, max in seconds, and is nil when no pair has two stamps
function tracker:summary()
	local counts = self.counts;
	local values, total = {}, 0;
	for value, count in pairs(self.latencies) do
		table.insert(values, value);
		total = total + count;
	end
	table.sort(values);
	return {
		asked = counts.asked;
		delivered = counts.delivered;
		duplicates = counts.duplicate;
		unanswered = counts.asked - counts.delivered;
		forgotten = counts.forgotten;
		forged = counts.forged;
		unknown = counts.unknown;
		latency = total > 0 and {
			pairs = total;
			p50 = percentile(values, self.latencies, total, 0.5);
			p90 = percentile(values, self.latencies, total, 0.9);
			p99 = percentile(values, self.latencies, total, 0.99);
			max = values[#values];
		} or nil;
	};
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

function text:fault(fault)
	must(self.out:flush()); -- both may go to one place
	self.err:write(lint.fault_text(fault), "\n");
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

--- Where an input could not be read, and why, as compilers say it.
-- @param fault  { file, reason }, and where there is one line and column
function lint.fault_text(fault)
	local where = fault.line and (":%d:%d"):format(fault.line, fault.column) or "";
	return shown(fault.file..where..": "..fault.reason);
end

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
	if self.terminal == nil then self.terminal = self.is_terminal(self.err); end
	if not self.terminal then return; end
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
	local tracked = lint.tracker(engine);
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
