-- SPDX-License-Identifier: MIT
-- bounded.lib.lua: plain tables of bounded size.

local bounded = require "spec.support.paths".lib("bounded");

local function size(table)
	local n = 0;
	for _ in next, table do n = n + 1; end
	return n;
end

describe("a bounded table", function ()
	it("takes as many keys as it may have, and is emptied for one more", function ()
		local one = bounded.new(3);
		for i = 1, 3 do one:set(i, true); end
		assert.equal(3, size(one.at));
		one:set(4, "new");
		assert.same({ [4] = "new" }, one.at);
		assert.equal(1, one.count);
	end);

	it("counts keys, not calls", function ()
		local one = bounded.new(3);
		for i = 1, 10 do one:set("same", i); end
		for i = 1, 10 do
			one:set("gone", i);
			one:set("gone", nil);
			one:set("never there", nil);
		end
		assert.same({ same = 10 }, one.at);
		assert.equal(1, one.count);
		one:set("a", false);
		one:set("b", false);
		assert.equal(3, size(one.at));
	end);

	it("takes over what another one holds, as far as there is room", function ()
		local one, other = bounded.new(2), bounded.new(10);
		for i = 1, 9 do other:set(i, i); end
		one:take_over(other);
		assert.is_true(size(one.at) > 0 and size(one.at) <= 2);
		for key, value in next, one.at do assert.equal(key, value); end
	end);
end);
