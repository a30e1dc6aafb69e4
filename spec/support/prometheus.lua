-- SPDX-License-Identifier: MIT
-- A throw-away Prometheus for specs: own port on loopback, scrapes every second.

local paths = require "spec.support.paths";
local process = require "spec.support.process";
local http = require "socket.http";
local escape = require "socket.url".escape;
local json = require "util.json";

local PROGRAMS = paths.root.."/.deps/prometheus/usr/bin/";

local prometheus = {};
prometheus.__index = prometheus;

local template = [[
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [%s]
scrape_configs:
  - job_name: prosody
    static_configs:
      - targets: [%s]
]];

-- An answer of its HTTP API: the data; or nil, and what it says is wrong.
local function ask(self, path, body)
	local text, status = http.request(("http://127.0.0.1:%d/api/v1/%s"):format(self.port, path), body);
	if not text then return nil, status; end
	local answer = json.decode(text);
	if not answer then return nil, text; end
	return answer.data, answer.error;
end

--- What an expression gives now: a list of { metric = labels, value = number }; or nil, and what is wrong with it.
function prometheus:query(expression)
	local data, err = ask(self, "query", "query="..escape(expression));
	if not data then return nil, err; end
	if data.resultType == "scalar" then return { { metric = {}, value = tonumber(data.result[2]) } }; end
	local list = {};
	for i, sample in ipairs(data.result) do
		list[i] = { metric = sample.metric, value = tonumber(sample.value[2]) }; -- "NaN" is nil
	end
	return list;
end

--- The alert rules, by name, as the API shows them (state, health, lastError, query …), each evaluated at least once.
function prometheus:rules()
	return process.wait(function ()
		local rules = {};
		for _, group in ipairs(assert(ask(self, "rules")).groups) do
			for _, rule in ipairs(group.rules) do
				if rule.health == "unknown" then return nil; end
				rules[rule.name] = rule;
			end
		end
		return rules;
	end);
end

function prometheus:stop()
	self.server:stop();
	os.execute("rm -rf "..self.dir);
end

--- Starts a Prometheus and waits until it has scraped every target.
-- @param ports  whose /metrics it scrapes, on loopback
-- @param rules  optional: path of a file of alert rules
local function start(ports, rules)
	local self = setmetatable({ dir = process.temp_dir(), port = process.free_port() }, prometheus);
	local targets = {};
	for i, port in ipairs(ports) do targets[i] = ('"127.0.0.1:%d"'):format(port); end
	process.write(self.dir.."/prometheus.yml", template:format(rules and ("%q"):format(rules) or "", table.concat(targets, ", ")));
	self.server = process.start(self.dir, ("%sprometheus --config.file=%s/prometheus.yml --storage.tsdb.path=%s/data"
		.." --web.listen-address=127.0.0.1:%d --log.level=warn"):format(PROGRAMS, self.dir, self.dir, self.port));
	process.wait(function ()
		local up = self:query("count(up == 1)");
		return up and up[1] and up[1].value == #ports;
	end, function ()
		local data = ask(self, "targets");
		return "Prometheus scraped nothing: "..(data and json.encode(data.activeTargets) or "")..process.read(self.dir.."/output");
	end);
	return self;
end

--- Runs promtool; returns whether it was content, and what it said.
local function promtool(arguments)
	local pipe = assert(io.popen(PROGRAMS.."promtool "..arguments.." 2>&1"));
	local text = pipe:read("*a");
	return pipe:close() == true, text;
end

return { start = start, promtool = promtool };
