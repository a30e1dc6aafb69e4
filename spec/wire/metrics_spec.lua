-- SPDX-License-Identifier: MIT
-- Rule F4 on the wire: a real Prometheus reads our metrics, and understands the alerts and the dashboard in examples/.

local servers = require "spec.support.server";
local process = require "spec.support.process";
local prometheus = require "spec.support.prometheus";
local stanzas = require "spec.support.stanzas";
local http = require "socket.http";
local json = require "util.json";

local ALERTS = os.getenv("PWD").."/examples/prometheus-alerts.yml";
local DASHBOARD = os.getenv("PWD").."/examples/grafana-dashboard.json";

-- What the traffic below leaves samples of.
local SAMPLED = {
	"requests_total", "outcomes_total", "rejected_total", "pending", "memory_bytes",
	"delivery_seconds_bucket", "delivery_seconds_sum", "delivery_seconds_count",
};

-- Every expression of the dashboard, with Grafana's variables filled in.
local function dashboard_expressions()
	local list = {};
	local function collect(node)
		for key, value in pairs(node) do
			if key == "expr" then
				table.insert(list, (value:gsub("%$__range", "1m"):gsub("%$__rate_interval", "1m"):gsub("%$host", "localhost")));
			elseif key == "definition" then
				table.insert(list, (assert(value:match("^label_values%(([^,]+), %w+%)$"))));
			elseif type(value) == "table" then
				collect(value);
			end
		end
	end
	collect(assert(json.decode(process.read(DASHBOARD))));
	return list;
end

-- The names of our metrics in an expression.
local function names(expression)
	return expression:gmatch("prosody_mod_receipts__[%w_]+");
end

describe("metrics", function ()
	local server, watcher;
	setup(function ()
		server = servers.start {
			modules = { "receipts", "http_openmetrics" };
			options = 'statistics = "internal"\nstatistics_interval = "manual"\n';
			http = true;
		};
		local alice, bob, carol = server:connect("alice"), server:connect("bob"), server:connect("carol");
		for _, user in ipairs { "bob", "carol" } do server:roster(user, "alice@localhost", "both"); end
		alice:send(stanzas.ask { to = "bob@localhost", id = "one" });
		alice:send(stanzas.ask { to = "bob@localhost", id = "two" });
		alice:sync();
		carol:send(stanzas.ack("alice@localhost", "one"));
		carol:sync();
		bob:send(stanzas.ack("alice@localhost", "one"));
		bob:sync();
		watcher = prometheus.start({ server.http_port }, ALERTS);
	end);
	teardown(function ()
		if watcher then watcher:stop(); end
		if server then server:stop(); end
	end);

	-- The name of every sample that each metric can have.
	local function shown()
		local set = {};
		local suffixes = { counter = { "_total" }, gauge = { "" }, histogram = { "_bucket", "_sum", "_count" } };
		for name, kind in http.request(("http://127.0.0.1:%d/metrics"):format(server.http_port)):gmatch("# TYPE (%S+) (%S+)") do
			for _, suffix in ipairs(suffixes[kind] or {}) do set[name..suffix] = true; end
		end
		return set;
	end

	local function has_samples(name)
		return watcher:query(name)[1] ~= nil;
	end

	it("F4 the example alerts are sound, and none fires on a healthy server", function ()
		local ok, said = prometheus.promtool("check rules "..ALERTS);
		assert(ok, said);
		ok, said = prometheus.promtool("test rules spec/support/alerts-test.yml");
		assert(ok, said);
		local count = 0;
		for name, rule in pairs(watcher:rules()) do
			count = count + 1;
			assert.equal("ok", rule.health, name..": "..tostring(rule.lastError));
			assert.not_equal("firing", rule.state, name);
		end
		assert.is_true(count >= 6);
	end);

	it("F4 Prometheus understands every expression of the dashboard", function ()
		local count = 0;
		for _, expression in ipairs(dashboard_expressions()) do
			count = count + 1;
			local _, err = watcher:query(expression);
			assert.is_nil(err, expression);
		end
		assert.is_true(count >= 15);
	end);

	it("F4 alerts and dashboard name metrics that are there", function ()
		local known = shown();
		local function check(expression)
			for name in names(expression) do assert.is_true(known[name], "no metric "..name.." for: "..expression); end
		end
		for _, rule in pairs(watcher:rules()) do check(rule.query); end
		for _, expression in ipairs(dashboard_expressions()) do check(expression); end
	end);

	it("F4 they say whether the module is loaded: Prosody goes on showing those of one that is not", function ()
		local function loaded()
			return http.request(("http://127.0.0.1:%d/metrics"):format(server.http_port)):match("\nprosody_mod_receipts__loaded{[^}\n]*} (%d)");
		end
		assert.equal("1", loaded());
		server:reload();
		assert.equal("1", loaded());
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		assert.equal("0", loaded());
		server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
		assert.equal("1", loaded());
	end);

	it("F4 what nobody has looked at yet is in them when the module goes", function ()
		local function asked()
			local text = http.request(("http://127.0.0.1:%d/metrics"):format(server.http_port));
			for labels, count in text:gmatch("\nprosody_mod_receipts__requests_total{([^}\n]*)} (%d+)") do
				if labels:find('by="client"', 1, true) then return tonumber(count); end
			end
		end
		local before, dave = asked(), server:connect("dave");
		dave:send(stanzas.ask { to = "bob@localhost", id = "last" });
		dave:sync();
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		assert.equal(before + 1, asked());
		server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
	end);

	it("F4 the dashboard shows what has happened", function ()
		for _, name in ipairs(SAMPLED) do
			process.wait(function () return has_samples("prosody_mod_receipts__"..name); end, function () return "no samples of "..name; end);
		end
		for _, expression in ipairs(dashboard_expressions()) do
			local all = true;
			for name in names(expression) do all = all and has_samples(name); end
			if all then
				-- rate() wants two samples.
				process.wait(function () return watcher:query(expression)[1]; end, function () return "nothing for "..expression; end);
			end
		end
	end);
end);
