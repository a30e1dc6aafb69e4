-- SPDX-License-Identifier: MIT
-- SECURITY.md names the specs and C tests that show each of its claims: they are there.

local docs = require "spec.support.docs";
local process = require "spec.support.process";
local titles = require "spec.support.titles";

describe("SECURITY.md", function ()
	local claims, texts = {}, {};
	setup(function ()
		for _, title in ipairs { "they try", "what happens" } do
			for _, cells in ipairs(docs.rows("SECURITY.md", title)) do table.insert(claims, { what = cells[1], specs = cells[3] }); end
		end
		for _, one in ipairs(titles.all()) do texts[one.file] = (texts[one.file] or "")..one.title.."\n"; end
	end);

	it("shows each claim by specs and tests that exist", function ()
		assert.is_true(#claims > 20);
		for _, claim in ipairs(claims) do
			local file, count = nil, 0;
			for part in (claim.specs..";"):gmatch("%s*(.-);") do
				local named, words = part:match("^([%w_/]+): (.+)$");
				file, words = named or file, words or part;
				assert(file, claim.what.." names no file");
				local text = texts[file] or process.read("csrc/test/"..file..".c");
				assert.truthy(text:find(words, 1, true), claim.what..": "..file.." has no "..words);
				count = count + 1;
			end
			assert.is_true(count > 0, claim.what);
		end
	end);
end);
