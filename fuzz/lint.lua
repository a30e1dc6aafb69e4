-- SPDX-License-Identifier: MIT
-- What lint says of any input: the same however it is cut into chunks, as text and as JSON, and numbers that can be true together.

local lint = require "spec.support.paths".lib("lint");
local json = require "util.json";
local receipts = require "receipts";
local bits = receipts.bits;

local progress = { start = function () end, add = function () end, hide = function () end };

-- Something to print to.
local function new_file()
	local file = { text = {} };
	function file:write(...)
		for _, text in ipairs { ... } do table.insert(self.text, text); end
		return self;
	end
	function file:flush() return self; end
	function file:all() return table.concat(self.text); end
	return file;
end

-- Runs lint on the input, which comes in chunks of this size; its exit code, what it printed, and what it complained of.
local function run(data, format, size)
	local tables, at, out, err = {}, 1, new_file(), new_file();
	local engine = setmetatable({}, { __index = receipts });
	function engine.pending(...)
		local pending = receipts.pending(...);
		table.insert(tables, pending);
		return pending;
	end
	local input = { read = function ()
		if at > #data then return nil; end
		at = at + size;
		return data:sub(at - size, at - 1);
	end };
	local code = lint.check({ "-" }, format, { input = input, out = out, err = err, progress = progress }, engine);
	for _, pending in ipairs(tables) do
		assert(pending:check());
		pending:close();
	end
	-- Expat may see the same fault as another one, depending on the chunk that ends there: the place is what counts.
	return code, out:all(), (err:all():gsub("^(.-:%d+:%d+): .*", "%1"));
end

-- What the scanner has to say of all of it.
local function scan(data)
	local scanner = receipts.scanner { comments = true };
	local list, _, _, before = scanner:feed(data);
	list = list or before;
	local last, _, _, before_last = scanner:finish();
	table.move(last or before_last, 1, #(last or before_last), #list + 1, list);
	local asks, acks, problems = 0, 0, 0;
	for _, facts in ipairs(list) do
		asks, acks = asks + (facts.bits & bits.asks ~= 0 and 1 or 0), acks + (facts.bits & bits.acks ~= 0 and 1 or 0);
		problems = problems + #facts.problems;
	end
	scanner:close();
	return #list, asks, acks, problems, last ~= nil;
end

local function check_latency(latency, delivered)
	if not latency then return; end
	assert(latency.pairs >= 1 and latency.pairs <= delivered, "latencies of what was not delivered");
	assert(latency.p50 <= latency.p90 and latency.p90 <= latency.p99 and latency.p99 <= latency.max, "percentiles in disorder");
end

return function (data)
	local code, text, complaints = run(data, "text", math.max(#data, 1));
	local other_code, other_text, other_complaints = run(data, "text", #data % 7 + 1);
	assert(code == other_code and text == other_text and complaints == other_complaints, "something else in chunks");

	local json_code, printed = run(data, "json", math.max(#data, 1));
	local result = assert(json.decode(printed));
	local summary = result.summary;
	local messages, asks, acks, problems, readable = scan(data);
	assert(json_code == code and code == (not readable and 2 or problems > 0 and 1 or 0), code);
	assert((complaints == "") == readable and #result.faults == (readable and 0 or 1), "a fault is not told");
	assert(summary.messages == messages and summary.violations == problems and #result.violations == problems, "other messages");
	assert(select(2, text:gsub("\n", "")) == problems + 8 + (summary.forgotten > 0 and 1 or 0) + (summary.latency and 1 or 0), "other lines");
	assert(summary.asked <= asks and summary.delivered <= summary.asked, "more than was asked");
	assert(summary.unanswered == summary.asked - summary.delivered and summary.forgotten <= summary.unanswered, "others unanswered");
	assert(summary.delivered + summary.duplicates + summary.forged + summary.unknown == acks, "another number of acks");
	check_latency(summary.latency, summary.delivered);
end;
