-- SPDX-License-Identifier: MIT
-- Every XML that the specs have, in chunks of every size, each laid so that what lies behind it cannot be read: csrc/test/test_edges.c.

require "spec.support.paths";

local LONGEST = 2000; -- Expat looks at an unfinished tag again with each chunk: in single bytes, long ones take minutes

describe("every XML case", function ()
	local files = {};

	local function case(xml)
		if #xml > LONGEST then return; end
		local name = os.tmpname();
		local file = assert(io.open(name, "w"));
		file:write(xml);
		file:close();
		table.insert(files, name);
	end

	teardown(function ()
		for _, name in ipairs(files) do os.remove(name); end
	end);

	it("says the same in chunks of 1 to 64 bytes, and nothing beyond it is read", function ()
		for _, one in ipairs(require "spec.support.messages") do case(one.xml); end
		for _, one in pairs(require "spec.support.refused") do case(one[1]); end
		assert.is_true(#files > 40);
		local pipe = io.popen("build/test/test_edges "..table.concat(files, " ").." 2>&1");
		local output = pipe:read("*a");
		assert.is_true(pipe:close(), output);
		assert.truthy(output:find("[       OK ] kept_inputs_in_every_chunk", 1, true), output);
	end);
end);
