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
			for _, list in theirs.of:items() do assert.is_true(list:count() > 0, "no list is kept for who has nothing"); end
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

	local function remembered(...)
		local list = {};
		for _, of in ipairs { ... } do table.insert(list, all:get("b@h", of[1], of[2]) ~= nil); end
		return list;
	end

	it("D4 F2 are of so many messages of an account, and who asks for very much displaces only their own, the oldest", function ()
		all:set("b@h", "carol@h/1", "hers", "open");
		for i = 1, 10 do all:set("b@h", "dave@h/"..i, "his", "open"); end
		for i = 1, 600 do all:set("b@h", "eve@x/"..i % 3, "e"..i, "open"); end
		assert.equal(500, counts());
		assert.same({ true, true, true, false, true },
			remembered({ "carol@h/1", "hers" }, { "dave@h/1", "his" }, { "dave@h/10", "his" }, { "eve@x/2", "e110" }, { "eve@x/1", "e112" }));
		all:set("b@h", "eve@x/1", "e112", "answered");
		all:set("b@h", "frank@h/1", "his", "open");
		assert.equal(500, counts());
		assert.same({ false, true, true }, remembered({ "eve@x/2", "e113" }, { "carol@h/1", "hers" }, { "frank@h/1", "his" }), "who has most makes room");
		for i = 1, 600 do all:set("b@h", "mallory@x/1", "m"..i, "open"); end
		assert.same({ true, true, true }, remembered({ "carol@h/1", "hers" }, { "dave@h/1", "his" }, { "frank@h/1", "his" }), "two of them do not either");
	end);

	it("D4 F2 of two who ask for very much, who has most makes room, and not who asked last", function ()
		for i = 1, 300 do all:set("b@h", "eve@x/1", "e"..i, "open"); end
		for i = 1, 150 do all:set("b@h", "frank@h/1", "f"..i, "open"); end
		for i = 1, 60 do all:set("b@h", "carol@h/1", "c"..i, "open"); end
		assert.equal(500, counts());
		assert.same({ false, true, true, true }, remembered({ "eve@x/1", "e10" }, { "eve@x/1", "e11" }, { "frank@h/1", "f1" }, { "carol@h/1", "c1" }));
	end);

	it("D4 F2 are the latest where many ask for a few each: each is remembered as long as any other", function ()
		for i = 1, 2000 do
			all:set("b@h", "u"..i.."@h/1", "x", "open");
			assert.same({ true, i <= 500 }, remembered({ "u"..math.max(1, i - 499).."@h/1", "x" }, { "u1@h/1", "x" }), i);
		end
		assert.equal(500, counts());
		all:set("b@h", "u1501@h/1", "x", "answered"); -- no new message
		all:set("b@h", "u1502@h/1", "x", nil); -- a new one with the same id
		all:set("b@h", "u1502@h/1", "x", "open");
		for i = 1, 2 do all:set("b@h", "new"..i.."@h/1", "x", "open"); end
		assert.same({ false, true, false }, remembered({ "u1501@h/1", "x" }, { "u1502@h/1", "x" }, { "u1503@h/1", "x" }));
		for i = 1, 300 do all:set("b@h", "v"..i % 5 .."@h/1", tostring(i), "open"); end
		assert.same({ false, true }, remembered({ "u1803@h/1", "x" }, { "u1804@h/1", "x" }), "60 each are not so many as to make room");
		assert.equal(500, counts());
	end);

	it("D4 F2 are of whoever has most also when that was somebody else before", function ()
		all:set("b@h", "carol@h/1", "hers", "open");
		for i = 1, 200 do all:set("b@h", "eve@x/1", tostring(i), "open"); end
		for i = 1, 299 do all:set("b@h", "mallory@x/1", tostring(i), "open"); end
		for i = 1, 298 do all:set("b@h", "u"..i.."@h/1", "x", "open"); end
		assert.same({ true, true, true }, remembered({ "carol@h/1", "hers" }, { "eve@x/1", "200" }, { "mallory@x/1", "299" }));
		local counts_of = {};
		for bare, list in all.accounts:get("b@h").of:items() do counts_of[bare] = list:count(); end
		assert.same({ 101, 100 }, { counts_of["eve@x"], counts_of["mallory@x"] });
		for i = 299, 301 do all:set("b@h", "u"..i.."@h/1", "x", "open"); end
		assert.same({ false, false, true }, remembered({ "carol@h/1", "hers" }, { "eve@x/1", "101" }, { "eve@x/1", "102" }), "nobody has very much");
		for i = 201, 300 do all:set("b@h", "eve@x/1", tostring(i), "open"); end
		assert.is_true(remembered({ "u50@h/1", "x" })[1], "and then somebody has again");
		for i = 101, 300 do all:set("b@h", "eve@x/1", tostring(i), nil); end
		for i = 1, 400 do all:set("b@h", "v"..i.."@h/1", "x", "open"); end
		assert.equal(500, counts());
	end);

	it("D4 F2 are longer of who asks again than of who does not", function ()
		for i = 1, 500 do all:set("b@h", "u"..i.."@h/1", "x", "open"); end
		all:set("b@h", "u1@h/1", "y", "open");
		all:set("b@h", "u2@h/1", "x", nil);
		all:set("b@h", "u2@h/1", "x", "open");
		all:set("b@h", "new@h/1", "x", "open");
		assert.same({ true, true, false }, remembered({ "u1@h/1", "y" }, { "u2@h/1", "x" }, { "u3@h/1", "x" }));
	end);

	it("D4 F2 are so many in all, and the account that had none for the longest is forgotten first", function ()
		for n = 1, 210 do
			for i = 1, 510 do all:set("u"..n.."@h", "a@h/1", tostring(i), "open"); end
			for _, fate in ipairs { false, "open" } do all:set("u1@h", "a@h/1", "510", fate or nil); end -- in use
		end
		assert.equal(100000, counts());
		local function is_known(n, i) return all:get("u"..n.."@h", "a@h/1", tostring(i)) ~= nil; end
		assert.same({ true, false, true, false }, { is_known(210, 510), is_known(210, 10), is_known(1, 510), is_known(2, 510) });
		for _, account in ipairs { "u210@h", "nobody@h" } do all:forget(account); end
		assert.equal(99500, counts());
	end);
end);
