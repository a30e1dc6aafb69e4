-- SPDX-License-Identifier: MIT
-- The benches run, and docs/performance.md has the figures that they print. Whether goals are reached is not for a test to say.

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
		assert.equal(24, count, output);
	end);
end);
