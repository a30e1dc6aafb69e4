-- SPDX-License-Identifier: MIT
-- Rule F4: what inspection.lib.lua finds, as people read it. Pure: text in, text out.

local format_units = require "util.human.units".format;
local new_table = require "util.human.io".table;
local sorted_pairs = require "util.iterators".sorted_pairs;

local views = {};

local NAMED = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" };

-- C0, DEL and C1 steer a terminal; the others turn the direction of writing, or break lines.
local function steers(code)
	return code < 0x20 or code >= 0x7F and code <= 0x9F or code == 0x61C or code == 0x200E or code == 0x200F
		or code >= 0x2028 and code <= 0x202E or code >= 0x2066 and code <= 0x2069;
end

--- Text that strangers have chosen, such that a terminal shows it and does nothing else with it: "\n", "\u{9b}". Whoever wants to know
-- what it looks like on the wire can tell; a backslash stays as it is, for ids and addresses are copied.
function views.shown(text)
	if not utf8.len(text) then return (text:gsub("[^\x20-\x7E]", function (byte) return NAMED[byte] or ("\\x%02x"):format(byte:byte()); end)); end
	return (text:gsub("[%c\xC2-\xF4][\x80-\xBF]*", function (char)
		local code = utf8.codepoint(char);
		if steers(code) then return NAMED[char] or ("\\u{%x}"):format(code); end
	end));
end

local UNITS = { { 1, "s" }, { 60, "min" }, { 3600, "h" }, { 86400, "d" } };

--- A span of time in one unit: "0.4 s", "12 s", "5 min", "3 h", "2 d".
-- @param seconds  not negative
function views.span(seconds)
	if seconds < 9.95 then return ("%.1f s"):format(seconds); end
	local unit = UNITS[1];
	for _, larger in ipairs(UNITS) do
		if seconds >= 2 * larger[1] then unit = larger; end
	end
	return ("%.0f %s"):format(seconds / unit[1], unit[2]);
end

-- The time within which a share of the deliveries came, as far as their classes tell.
local function within(delivery, bounds, share)
	local all, sum = 0, 0;
	for _, count in ipairs(delivery) do all = all + count; end
	if all == 0 then return "-"; end
	for class, count in ipairs(delivery) do
		sum = sum + count;
		if sum >= share * all then
			return bounds[class] and "within "..views.span(bounds[class]) or "more than "..views.span(bounds[#bounds]);
		end
	end
end

--- Statistics, line by line.
-- @param all     see inspection: statistics of one host, or `views.sum` of several
-- @return array of { label, text }
function views.statistics(all)
	local counts, delivery, bounds = all.counts, all.delivery, all.bounds;
	local outcomes = counts.outcomes;
	local lines = {
		{ "Asked for by clients", counts.requests.client };
		{ "Asked for by the server", counts.requests.server };
		{ "Delivered", outcomes.delivered };
		{ "  half of them", within(delivery, bounds, 0.5) };
		{ "  nine in ten", within(delivery, bounds, 0.9) };
		{ "  99 in a hundred", within(delivery, bounds, 0.99) };
		{ "Failed (bounced)", outcomes.failed };
		{ "Overdue", outcomes.overdue };
		{ "Expired", outcomes.expired };
		{ "Evicted: over a limit", outcomes.evicted };
		{ "Not tracked", outcomes.untracked };
		{ "Pending now, in memory", all.pending };
		{ "Duplicate acks", outcomes.duplicate };
		{ "Acks of unknown messages", outcomes.unknown };
		{ "Forged acks", outcomes.forged };
		{ "Answered for clients", counts.answers[false] };
		{ "Sent again", counts.resent[false] };
	};
	for reason, count in sorted_pairs(counts.rejected) do
		if count > 0 then table.insert(lines, { "Removed: "..reason, count }); end
	end
	table.insert(lines, { "Errors caught", counts.errors.hook });
	table.insert(lines, { "Failures of the store", counts.errors.store });
	table.insert(lines, { "Memory used", format_units(all.bytes, "B", "b") });
	for _, line in ipairs(lines) do line[2] = tostring(line[2]); end
	return lines;
end

local function add(sum, one)
	for key, value in pairs(one) do
		if type(value) == "table" then
			sum[key] = add(sum[key] or {}, value);
		elseif type(value) == "number" then
			sum[key] = (sum[key] or 0) + value;
		end
	end
	return sum;
end

--- The statistics of several hosts together, as those of "all".
function views.sum(list)
	local sum = {};
	for _, one in ipairs(list) do add(sum, one); end
	sum.host, sum.bounds = "all", list[1].bounds;
	return sum;
end

--- So many of something: "1 message", "2 messages".
function views.count(count, noun)
	return ("%d %s%s"):format(count, noun, count == 1 and "" or "s");
end

views.PENDING = { "To", "Message id", "Age", "State", "Asked by" };

--- Entries of a pending table, one line each.
-- @return array of arrays of what views.PENDING says
function views.pending(entries, now)
	local lines = {};
	for i, entry in ipairs(entries) do
		lines[i] = {
			views.shown(entry.to), views.shown(entry.id), views.span(math.max(0, now - entry.time));
			entry.state == "failed" and "bounced" or entry.overdue and "overdue" or "pending";
			entry.injected and "the server" or "the client";
		};
	end
	return lines;
end

--- Decisions, one line each.
-- @return array of { how long ago, message id, from, to, decision }
function views.decisions(list, now)
	local lines = {};
	for i, decision in ipairs(list) do
		lines[i] = {
			views.span(math.max(0, now - decision.time));
			views.shown(decision.id or "-"), views.shown(decision.from), views.shown(decision.to or "-");
			views.shown(decision.why);
		};
	end
	return lines;
end

--- A table, with columns as wide as what is in them: an id that is cut is of no use.
-- @param titles  array of the columns' titles; numbers = true: all but the first are aligned to the right
-- @param rows    array of arrays of text
-- @return array of lines, the first with the titles
function views.table(titles, rows)
	local columns = {};
	for i, title in ipairs(titles) do
		columns[i] = { title = title, width = #title, align = i > 1 and titles.numbers and "right" or nil };
		for _, cells in ipairs(rows) do columns[i].width = math.max(columns[i].width, utf8.len(cells[i]) or #cells[i]); end
	end
	local row = new_table(columns, 0);
	local lines = { row() };
	for _, cells in ipairs(rows) do table.insert(lines, row(cells)); end
	return lines;
end

return views;
