-- SPDX-License-Identifier: MIT
-- reports.lib.lua: what happened is told once, and counted, measured and fired from there (rules F3, F4).

local lib = require "spec.support.paths".lib("reports");

describe("reports", function ()
	local metrics, listeners, fired, reports;

	-- Metrics as Prosody has them, as far as they are used here.
	local function metric(kind, name, unit, help, labels, options)
		local family = metrics[name] or { kind = kind, unit = unit, help = help, labels = labels, options = options, values = {} };
		metrics[name] = family;
		function family.with_labels(_, ...)
			assert.equal(#labels, select("#", ...), name);
			local key = ... or "-";
			family.values[key] = family.values[key] or 0;
			return {
				add = function (_, n) family.values[key] = family.values[key] + n; end;
				set = function (_, n) family.values[key] = n; end;
				sample = function (_, n) family.values[key] = family.values[key] + 1; family.last = n; end;
			};
		end
		return family;
	end

	before_each(function ()
		metrics, listeners, fired = {}, {}, {};
		reports = lib.new(metric, function (event) return listeners[event]; end, function (event, data)
			table.insert(fired, event);
			fired.last = data;
		end);
	end);

	it("F4 every value is shown from the start on, so that its first increase is seen", function ()
		for name, family in pairs(lib.FAMILIES) do
			for _, value in ipairs(family.values or { "-" }) do assert.equal(0, metrics[name].values[value], name.." "..value); end
		end
		for _, family in pairs(metrics) do assert.is_table(family.labels, "0.12 crashes without"); end
	end);

	it("F4 counts in its own table, and the metrics follow when they are looked at", function ()
		reports:count("answers");
		reports:count("errors", "store");
		reports:requested("a@h", "b@h", "1", "a@h/r", true);
		reports:outcome("forged", "a@h", "c@h", "1", nil, "c@h/r");
		reports:rejected({ "forged", "request-in-ack" }, "a@h", "c@h", "1", "c@h/r");
		reports:measure(0, 0, 0);
		reports:measure(0, 0, 0);
		for name, value in pairs { answers = "-", errors = "store", requests = "server", outcomes = "forged", rejected = "request-in-ack" } do
			assert.equal(1, metrics[name].values[value], name);
			assert.equal(1, reports.counts[name][value ~= "-" and value or false], name);
		end
	end);

	it("F4 sorts times to delivery into classes", function ()
		for _, age in ipairs { 0, 0.1, 0.2, 60, 604800, 604801 } do reports:outcome("delivered", "a@h", "b@h", "1", age, "b@h/r"); end
		assert.same({ 2, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1 }, reports.delivery);
		assert.equal(6, metrics.delivery.values["-"]);
		assert.same(lib.BUCKETS, metrics.delivery.options.buckets);
	end);

	it("F4 counts several at once", function ()
		reports:count("outcomes", "evicted");
		reports:count("outcomes", "evicted", 0);
		reports:count("outcomes", "evicted", 5);
		assert.equal(6, reports.counts.outcomes.evicted);
	end);

	it("F3 fires what somebody listens to, and makes nothing of the rest", function ()
		listeners["receipts/delivered"], listeners["receipts/expired"] = true, true;
		reports:requested("a@h", "b@h", "1", "a@h/r", false);
		reports:outcome("delivered", "a@h", "b@h", "1", 2.5, "b@h/r", true);
		assert.same({ from = "a@h", to = "b@h", id = "1", age = 2.5, by = "b@h/r", injected = true }, fired.last);
		reports:outcome("duplicate", "a@h", "b@h", "1", 3, "b@h/r");
		reports:outcome("evicted", "a@h", "b@h", "2", 4);
		assert.same({ from = "a@h", to = "b@h", id = "2", age = 4, reason = "room", injected = false }, fired.last);
		reports:outcome("expired", "a@h", "b@h", "3", 5);
		assert.equal("time", fired.last.reason);
		assert.same({ "receipts/delivered", "receipts/expired", "receipts/expired" }, { table.unpack(fired) });
	end);

	it("F3 each rejection is an event with its reason", function ()
		listeners["receipts/rejected"] = true;
		reports:rejected({ "request-without-id", "request-in-ack" }, "a@h", "b@h", "1", "b@h/r");
		assert.equal(2, #fired);
		assert.equal("request-in-ack", fired.last.reason);
		reports:rejected({}, "a@h", "b@h", "1", "b@h/r");
		assert.equal(2, #fired);
	end);

	it("F4 goes on counting after a reload", function ()
		reports:count("answers");
		reports:outcome("delivered", "a@h", "b@h", "1", 1, "b@h/r");
		local other = lib.new(metric, function () end, function () end);
		other:take_over(reports);
		other:count("answers");
		other:measure(0, 0, 0);
		assert.equal(2, metrics.answers.values["-"]);
		assert.equal(2, other.counts.answers[false]);
		assert.equal(1, other.delivery[3]);
	end);

	it("F4 sets the gauges", function ()
		reports:start();
		reports:measure(5, 100, 4096);
		assert.equal(1, metrics.loaded.values["-"]);
		reports:stop();
		assert.equal(0, metrics.loaded.values["-"]);
		assert.same({ 5, 100, 4096 }, { metrics.pending.values["-"], metrics.capacity.values["-"], metrics.memory.values["-"] });
	end);
end);
