-- SPDX-License-Identifier: MIT
-- fates.lib.lua: what is remembered of messages, and of which. What the fates are is answers_spec.lua's.

local lib = require "spec.support.paths".lib("fates");

describe("fates", function ()
	local all;
	before_each(function () all = lib.new(); end);

	local function counts()
		local count = 0;
		for account, theirs in all.accounts:items() do
			local of_account = 0;
			all:each(account, function () of_account = of_account + 1; end);
			assert.equal(theirs.count, of_account);
			count = count + of_account;
		end
		assert.equal(all.count, count);
		return count;
	end

	it("D4 are by account, the requester's full or bare JID, and id", function ()
		all:set("b@h", "a@h/1", "x", "one");
		all:set("b@h", "a@h", "y", "bare");
		for expected, of in pairs {
			one = { "b@h", "a@h/1", "x" }, bare = { "b@h", "a@h/any", "y" };
		} do assert.equal(expected, all:get(table.unpack(of))); end
		for _, of in ipairs {
			{ "c@h", "a@h/1", "x" }, { "b@h", "a@h/2", "x" }, { "b@h", "a@h", "x" }, { "b@h", "a@h/1", "xx" }, { "b@h", "c@h/1", "x" },
		} do assert.is_nil(all:get(table.unpack(of))); end
		assert.same({ nil, "bare" }, { all:at("b@h", "a@h/any", "y"), all:at("b@h", "a@h", "y") });
		all:set("b@h", "a@h/1", "x", "two");
		assert.equal("two", all:get("b@h", "a@h/1", "x"));
		assert.equal(2, counts());
		all:set("b@h", "a@h/1", "x", nil);
		all:set("b@h", "a@h", "y", nil);
		all:set("b@h", "nobody@h", "y", nil);
		assert.same({ 0, 0 }, { counts(), all.accounts:count() }, "nothing is kept of an account without any");
	end);

	it("D4 are found by id at each address of a requester", function ()
		for _, of in ipairs { { "a@h/1", "x" }, { "a@h/1", "xx" }, { "a@h/2", "x" }, { "a@h", "x" }, { "c@h/1", "x" } } do
			all:set("b@h", of[1], of[2], "one");
		end
		local found = all:addresses("b@h", "a@h", "x");
		table.sort(found);
		assert.same({ "a@h", "a@h/1", "a@h/2" }, found);
		for _, of in ipairs { { "b@h", "nobody@h" }, { "c@h", "a@h" } } do assert.same({}, all:addresses(of[1], of[2], "x")); end
		all:each("nobody@h", error);
	end);

	it("D4 F2 are of so many messages of an account, and who asks for very much displaces only their own, the oldest", function ()
		all:set("b@h", "carol@h/1", "hers", "open");
		for i = 1, 10 do all:set("b@h", "dave@h/"..i, "his", "open"); end
		for i = 1, 600 do all:set("b@h", "eve@x/"..i % 3, "e"..i, "open"); end
		assert.equal(500, counts());
		assert.equal("open", all:get("b@h", "carol@h/1", "hers"));
		assert.equal("open", all:get("b@h", "dave@h/10", "his"));
		assert.same({ nil, "open" }, { all:get("b@h", "eve@x/2", "e110"), all:get("b@h", "eve@x/1", "e112") });
		all:set("b@h", "eve@x/1", "e112", "answered");
		assert.equal(500, counts());
	end);

	it("D4 F2 are the latest where many ask for one each", function ()
		for i = 1, 600 do
			all:set("b@h", "u"..i.."@h/1", "x", "open");
			assert.equal("open", all:get("b@h", "u"..i.."@h/1", "x"));
		end
		assert.equal(500, counts());
	end);

	it("D4 F2 are so many in all, and the account that had none for the longest is forgotten first", function ()
		for n = 1, 210 do
			for i = 1, 510 do all:set("u"..n.."@h", "a@h/1", tostring(i), "open"); end
			all:set("u1@h", "a@h/1", "510", "answered"); -- in use
		end
		assert.equal(100000, counts());
		local function is_known(n, i) return all:get("u"..n.."@h", "a@h/1", tostring(i)) ~= nil; end
		assert.same({ true, false, true, false }, { is_known(210, 510), is_known(210, 10), is_known(1, 510), is_known(2, 510) });
		for _, account in ipairs { "u210@h", "nobody@h" } do all:forget(account); end
		assert.equal(99500, counts());
	end);
end);
