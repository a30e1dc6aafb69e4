-- SPDX-License-Identifier: MIT
-- options.lib.lua: what the configuration may say.

local lib = require "spec.support.paths".lib("options");

local function read(config)
	local warnings = {};
	local options = lib.read(function (name) return config[name]; end, function (text) table.insert(warnings, text); end);
	return options, warnings;
end

describe("options", function ()
	it("have defaults", function ()
		local options, warnings = read {};
		assert.same({ request = "auto", answer = "opt-in", answer_components = {}, answer_proof = "ack",
			forged = "drop", unknown = "pass", groupchat_requests = "pass", protect_presence = true,
			resend_attempts = 0, resend_after = 30,
			max_pending = 1000000, max_pending_per_user = 1000, expire_after = 604800, overdue_after = 3600, flush_interval = 5 }, options);
		assert.same({}, warnings);
	end);

	local right = {
		receipts_request = { "auto", "always", "never" };
		receipts_answer = { "opt-in", "opt-out", "never" };
		receipts_answer_components = { {}, { "sms.example.org" }, { "a.example.org", "b" }, "sms.example.org", "SMS.Example.org" };
		receipts_answer_proof = { "ack", "sent" };
		receipts_forged = { "drop", "pass" };
		receipts_unknown = { "pass", "drop" };
		receipts_groupchat_requests = { "pass", "strip" };
		receipts_protect_presence = { true, false };
		receipts_resend_attempts = { 0, 3, 10 };
		receipts_resend_after = { 1, "1m", 86400 };
		receipts_max_pending = { 1, 50, 100000000 };
		receipts_max_pending_per_user = { 1, 50, 100000 };
		receipts_expire_after = {
			1, 3600, "7d", "12h", "30m", "45s", "1.5h", "1w", "1 week", "2 weeks", "1 day", "7 days", "1 hour", "2 hours", "1 min", "30 min", "1 minute",
			"30 minutes", "45 sec", "1 second", "45 seconds", "2 Hours", "7DAYS", " 5 d ", "1.5 weeks", "1 m", "0.5\td", 31536000;
		};
		receipts_overdue_after = { 1, "1h", 31536000 };
		receipts_flush_interval = { 1, "30s", 3600 };
	};
	local in_force = {
		["7d"] = 604800, ["12h"] = 43200, ["30m"] = 1800, ["45s"] = 45, ["1.5h"] = 5400, ["1m"] = 60, ["1h"] = 3600, ["30s"] = 30;
		["1w"] = 604800, ["1 week"] = 604800, ["2 weeks"] = 1209600, ["1 day"] = 86400, ["7 days"] = 604800, ["1 hour"] = 3600, ["2 hours"] = 7200;
		["1 min"] = 60, ["30 min"] = 1800, ["1 minute"] = 60, ["30 minutes"] = 1800, ["45 sec"] = 45, ["1 second"] = 1, ["45 seconds"] = 45;
		["2 Hours"] = 7200, ["7DAYS"] = 604800, [" 5 d "] = 432000, ["1.5 weeks"] = 907200, ["1 m"] = 60, ["0.5\td"] = 43200;
		["sms.example.org"] = { "sms.example.org" }, ["SMS.Example.org"] = { "sms.example.org" };
	};
	for name, values in pairs(right) do
		it(name.." takes what is allowed", function ()
			for _, value in ipairs(values) do
				local options, warnings = read { [name] = value };
				assert.same(in_force[value] or value, options[name:gsub("^receipts_", "")]);
				assert.same({}, warnings);
			end
		end);
	end

	local wrong = {
		receipts_request = { "sometimes", true, 1 };
		receipts_answer = { "always", true };
		receipts_answer_components = { "romeo@example.org", "a b", "", 1, { 1 }, { "romeo@example.org" }, { "a b" }, { x = "sms.example.org" }, true };
		receipts_answer_proof = { "stored", 1 };
		receipts_forged = { "bounce", false };
		receipts_unknown = { "forged", {} };
		receipts_groupchat_requests = { "drop" };
		receipts_protect_presence = { "yes", 1 };
		receipts_resend_attempts = { -1, 11, true };
		receipts_resend_after = { 0, "2d", "soon" };
		receipts_max_pending = { 0, -1, 1.5, "10", 100000001 };
		receipts_max_pending_per_user = { 0, "many", 100001 };
		receipts_expire_after = { 0, -5, "7 moons", "1 month", "1 year", "d", "", "7", "7 d ays", "1 2d", "-1d", "53 weeks", "366d", "7d 1h", true };
		receipts_overdue_after = { 0, "soon" };
		receipts_flush_interval = { 0, "2h", "never" };
	};
	local DURATION = 'seconds or a text like "45s", "30m", "12h", "7 days", "1 week", from ';
	local allowed = {
		receipts_request = '"auto", "always", "never"', receipts_answer = '"opt-in", "opt-out", "never"', receipts_answer_proof = '"ack", "sent"';
		receipts_answer_components = 'a list of hosts, like { "sms.example.org" }', receipts_forged = '"drop", "pass"';
		receipts_unknown = '"pass", "drop"', receipts_groupchat_requests = '"pass", "strip"', receipts_protect_presence = "true, false";
		receipts_resend_attempts = "a whole number from 0 to 10", receipts_resend_after = DURATION.."1s to 1d";
		receipts_max_pending = "a whole number from 1 to 100000000", receipts_max_pending_per_user = "a whole number from 1 to 100000";
		receipts_expire_after = DURATION.."1s to 365d", receipts_overdue_after = DURATION.."1s to 365d", receipts_flush_interval = DURATION.."1s to 1h";
	};
	for name, values in pairs(wrong) do
		it(name.." answers a wrong value with one line and its default", function ()
			for _, value in ipairs(values) do
				local options, warnings = read { [name] = value };
				assert.equal(lib.definitions[name].default, options[name:gsub("^receipts_", "")]);
				assert.equal(1, #warnings);
				assert.truthy(warnings[1]:find(name, 1, true), "names the option");
				if type(value) ~= "table" then assert.truthy(warnings[1]:find(tostring(value), 1, true), "names the value"); end
				assert.truthy(warnings[1]:find("allowed is "..allowed[name].."; using", 1, true), warnings[1]);
				assert.falsy(warnings[1]:find("\n"));
			end
		end);
	end

	it("are told as an operator writes them", function ()
		for name, expected in pairs { receipts_expire_after = '"7d"', receipts_overdue_after = '"1h"', receipts_resend_after = '"30s"',
			receipts_max_pending = "1000000", receipts_request = '"auto"', receipts_protect_presence = "true" } do
			local _, warnings = read { [name] = "?" };
			assert.equal("; using "..expected, warnings[1]:match("; using .*"));
		end
		for value, expected in pairs { [60] = "1m", [90] = "90s", [1.5] = "1.5s", [7200] = "2h", [90000] = "25h", [172800] = "2d", [0] = "0s" } do
			assert.equal(("%q"):format(expected), lib.shown(value, lib.definitions.receipts_expire_after));
		end
	end);

	it("say what a duration may be in words that are taken as such", function ()
		local _, warnings = read { receipts_expire_after = "soon" };
		assert.equal('Option receipts_expire_after = "soon" is not valid: allowed is seconds or a text like "45s", "30m", "12h", "7 days", "1 week", '
			..'from 1s to 365d; using "7d"', warnings[1]);
		for text in warnings[1]:match("a text like (.*), from"):gmatch('"([^"]*)"') do assert.is_number(lib.parse_duration(text), text); end
	end);

	it("are told as they are written, tables too, in one line", function ()
		for text, value in pairs {
			['{ "a@b", "c" }'] = { "a@b", "c" }, ['{ 1, true, ["a b"] = 2, x = "y" }'] = { x = "y", 1, true, ["a b"] = 2 };
			["{}"] = {}, ['{ "a", { … }, [4] = {} }'] = { "a", { "b" }, [4] = {} }, ['"a\\nb\\"c"'] = 'a\nb"c', ["1.5"] = 1.5;
		} do
			assert.equal(text, lib.shown(value));
		end
		local _, warnings = read { receipts_answer_components = { "romeo@example.org" } };
		assert.truthy(warnings[1]:find('^Option receipts_answer_components = { "romeo@example.org" } is not valid'), warnings[1]);
	end);

	it("are told of where the configuration has them from a variable of its own, which 13.0 wraps", function ()
		local function fail(_, key) error("Unknown config option operation: '"..key.."'", 2); end
		local wrapped = setmetatable({ host = "*", option_name = "gateways" }, { __index = setmetatable({}, { __index = fail }) });
		local options, warnings = read { receipts_answer_components = wrapped };
		assert.same({}, options.answer_components);
		assert.truthy(warnings[1]:find('^Option receipts_answer_components = { host = "%*", option_name = "gateways" } is not valid'), warnings[1]);
	end);

	it("are all covered here", function ()
		for name in pairs(lib.definitions) do
			assert.is_table(right[name], name);
			assert.is_table(wrong[name], name);
		end
	end);

	it("F1 what cannot be kept is to be kept elsewhere, and nothing else is to move", function ()
		local stores = "{ receipts = \"internal\", receipts_preferences = \"internal\", receipts_caps = \"internal\" }";
		local function told(storage) return lib.unkept("receipts_caps", "no room", storage); end
		local begin = "the storage cannot keep \"receipts_caps\" (no room): set another one, ";
		assert.equal(begin.."default_storage = \"sql\"; storage = "..stores, told("sql"));
		assert.equal(begin.."storage = "..stores..", in the table that you have", told { accounts = "sql" });
		for _, storage in ipairs { false, 5 } do assert.equal(begin.."storage = "..stores, told(storage or nil)); end
	end);
end);
