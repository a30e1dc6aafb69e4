-- SPDX-License-Identifier: MIT
-- The receipts_* options: what each may be, and what is used when the configuration has it wrong.

local prepped_split = require "util.jid".prepped_split;

-- The units of Prosody's own options, up to weeks; written out they may have an s. Here "m" can only be minutes.
local unit_seconds = {
	s = 1, m = 60, h = 3600, d = 86400, w = 604800;
	sec = 1, second = 1, min = 60, minute = 60, hour = 3600, day = 86400, week = 604800;
};

--- Seconds from a number of seconds or from text like "45s", "30 min", "7 days"; nil when it is neither.
local function parse_duration(value)
	if type(value) == "number" then return value; end
	if type(value) ~= "string" then return nil; end
	local count, unit = value:lower():match("^%s*(%d+%.?%d*)%s*(%l+)%s*$");
	local seconds = count and (unit_seconds[unit] or unit_seconds[unit:match("^(%l%l+)s$")]);
	return seconds and tonumber(count) * seconds;
end

local function one_of(default, ...)
	local allowed = { default, ... };
	local names = {};
	for i, name in ipairs(allowed) do names[i] = ("%q"):format(name); end
	return {
		default = default;
		allowed = table.concat(names, ", ");
		read = function (value)
			for _, name in ipairs(allowed) do
				if value == name then return name; end
			end
		end;
	};
end

local function yes_or_no(default)
	return {
		default = default;
		allowed = "true, false";
		read = function (value)
			if type(value) == "boolean" then return value; end
		end;
	};
end

local function whole_number(default, least, most)
	return {
		default = default;
		allowed = ("a whole number from %d to %d"):format(least, most);
		read = function (value)
			local number = type(value) == "number" and math.tointeger(value);
			if number and number >= least and number <= most then return number; end
		end;
	};
end

--- Seconds as an operator writes them: "7d", "90s", "1.5s".
local function show_duration(seconds)
	for _, unit in ipairs { "d", "h", "m" } do
		if seconds >= unit_seconds[unit] and seconds % unit_seconds[unit] == 0 then
			return ("%d%s"):format(seconds // unit_seconds[unit], unit);
		end
	end
	return ("%.14gs"):format(seconds);
end

local function duration(default, least, most)
	return {
		default = parse_duration(default);
		shown = show_duration;
		allowed = ("seconds or a text like \"45s\", \"30m\", \"12h\", \"7 days\", \"1 week\", from %s to %s"):format(least, most);
		read = function (value)
			local seconds = parse_duration(value);
			if seconds and seconds >= parse_duration(least) and seconds <= parse_duration(most) then return seconds; end
		end;
	};
end

-- A host as Prosody names it in what is sent to it; nil when it is none.
local function prepared(name)
	if type(name) ~= "string" or name:find("%s") then return nil; end
	local node, host, resource = prepped_split(name);
	return not (node or resource) and host or nil;
end

local function hosts()
	return {
		default = {};
		allowed = "a list of hosts, like { \"sms.example.org\" }";
		read = function (value)
			if type(value) == "string" then value = { value }; end -- as Prosody's own lists
			if type(value) ~= "table" then return nil; end
			local list, count = {}, 0;
			for key, name in pairs(value) do
				list[key] = prepared(name);
				if not list[key] then return nil; end
				count = count + 1;
			end
			return count == #list and list or nil;
		end;
	};
end

local definitions = {
	receipts_request = one_of("auto", "always", "never");
	receipts_answer = one_of("opt-in", "opt-out", "never");
	receipts_answer_components = hosts();
	receipts_answer_proof = one_of("ack", "sent");
	receipts_forged = one_of("drop", "pass");
	receipts_unknown = one_of("pass", "drop");
	receipts_groupchat_requests = one_of("pass", "strip");
	receipts_protect_presence = yes_or_no(true);
	receipts_resend_attempts = whole_number(0, 0, 10);
	receipts_resend_after = duration("30s", "1s", "1d");
	receipts_max_pending = whole_number(1000000, 1, 100000000);
	receipts_max_pending_per_user = whole_number(1000, 1, 100000);
	receipts_expire_after = duration("7d", "1s", "365d");
	receipts_overdue_after = duration("1h", "1s", "365d");
	receipts_flush_interval = duration("5s", "1s", "1h");
};

-- A value as Lua has it, in one line. Of what is in a table, tables are not shown: no option has such. Tables are read as they are: what
-- the configuration has from a variable of its own may be one of 13.0's, which raises errors for what it has not.
local function written(value, inside)
	if type(value) == "string" then return (("%q"):format(value):gsub("\\\n", "\\n")); end
	if type(value) ~= "table" then return tostring(value); end
	if next(value) == nil then return "{}"; end
	if inside then return "{ … }"; end
	local list, named = {}, {};
	for i = 1, rawlen(value) do list[i] = written(rawget(value, i), true); end
	for key, item in next, value do
		if not (math.type(key) == "integer" and key >= 1 and key <= #list) then
			local name = type(key) == "string" and key:find("^[%a_][%w_]*$") and key or "["..written(key, true).."]";
			table.insert(named, name.." = "..written(item, true));
		end
	end
	table.sort(named);
	table.move(named, 1, #named, #list + 1, list);
	return "{ "..table.concat(list, ", ").." }";
end

--- A value as it is written in the configuration.
-- @param definition  optional: of the option, where the value is one in force
local function shown(value, definition)
	if definition and definition.shown then value = definition.shown(value); end
	return written(value);
end

--- Reads all options.
-- @param get   function (name): the value in the configuration, nil when it is not set
-- @param warn  function (text, name): called with one line for each wrong value
-- @return table of option name without "receipts_" to value in force
local function read(get, warn)
	local options = {};
	for name, definition in pairs(definitions) do
		local configured = get(name);
		local value = definition.default;
		if configured ~= nil then
			local accepted = definition.read(configured);
			if accepted == nil then
				warn(("Option %s = %s is not valid: allowed is %s; using %s"):format(
					name, shown(configured), definition.allowed, shown(definition.default, definition)), name);
			else
				value = accepted;
			end
		end
		options[name:gsub("^receipts_", "")] = value;
	end
	return options;
end

--- What to say where a store of ours cannot be opened: what to set, such that all other stores of Prosody's stay where they are.
-- @param name     of the store
-- @param why      not
-- @param storage  Prosody's option of that name: the name of one storage for all, a table, or nil
local function unkept(name, why, storage)
	return ("the storage cannot keep %q (%s): set another one, %s%s%s"):format(name, why,
		type(storage) == "string" and ("default_storage = %q; "):format(storage) or "",
		"storage = { receipts = \"internal\", receipts_preferences = \"internal\", receipts_caps = \"internal\" }",
		type(storage) == "table" and ", in the table that you have" or "");
end

return { read = read; shown = shown; parse_duration = parse_duration; definitions = definitions; unkept = unkept };
