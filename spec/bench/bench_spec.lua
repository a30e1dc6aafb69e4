-- SPDX-License-Identifier: MIT
-- The benches run, and docs/performance.md has the figures that they print. Whether goals are reached is not for a test to say.

local servers = require "spec.support.server";

describe("bench/against.lua", function ()
	it("puts its load on a server, and says what a message takes", function ()
		local server = servers.start {};
		finally(function () server:stop(); end);
		for i = 1, 4 do server:roster("load"..i, "load"..(i % 2 == 1 and i + 1 or i - 1).."@localhost", "both"); end
		local pipe = assert(io.popen(("lua5.4 bench/against.lua 127.0.0.1 %d localhost 4 3 2>&1"):format(server.port)));
		local output = pipe:read("a");
		assert.is_true(pipe:close(), output);
		assert.truthy(output:find("^4 sessions, 3 rounds of 2400 messages"), output);
		assert.truthy(output:find("\n%d+ µs a message") and output:find("\n%d+ µs of the server's CPU a message"), output);
	end);
end);

describe("make bench-quick", function ()
	it("prints a line for each figure, and the page about performance has them all", function ()
		local pipe = assert(io.popen("make bench-quick 2>&1"));
		local output = pipe:read("a");
		pipe:close();
		local file = assert(io.open("docs/performance.md"));
		local page = file:read("a");
		file:close();
		local count = 0;
		for line in output:gmatch("BENCH [^\n]+") do
			local name, ours, peer, ratio, verdict =
				line:match("^BENCH ([%w-]+) ours=(%S+) peer=(%S+) ratio=(%S+) goal=[<>]=[%d.]+ (%u*%l*)$");
			assert(name and tonumber(ours) and tonumber(peer) and tonumber(ratio), line);
			assert.truthy(verdict == "ok" or verdict == "MISS", line);
			local kind = name:gsub("%-%d+%-sessions$", ""):gsub("%-internal$", ""):gsub("%-sqlite$", "");
			assert(page:find("`"..kind, 1, true), "docs/performance.md has no "..kind);
			count = count + 1;
		end
		assert.equal(42, count, output);
	end);
end);
