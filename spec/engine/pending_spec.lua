-- SPDX-License-Identifier: MIT
-- receipts.pending: the table as Lua sees it. Its inner workings are tested in csrc/test/test_pending.c.

require "spec.support.paths";
local portable = require "spec.support.portable";
local receipts = require "receipts";
local st = require "util.stanza";

local R = { xmlns = "urn:xmpp:receipts" };
local bits = receipts.bits;

describe("receipts.pending", function ()
	local pending;
	before_each(function () pending = receipts.pending { capacity = 100, per_user = 10, ttl = 100 }; end);
	after_each(function ()
		assert.is_true(pending:check());
		pending:close();
	end);

	it("E1 matches on the requester's bare JID, the id, and who was asked", function ()
		assert.is_true(pending:add("a@h/1", "b@h/1", "x", 10));
		assert.equal("unknown", (pending:match("a@h", "b@h", "y", 11)));
		assert.equal("unknown", (pending:match("c@h", "b@h", "x", 11)));
		assert.equal("forged", (pending:match("a@h", "c@h", "x", 11)));
		assert.same({ "delivered", 2, false, "normal", false }, { pending:match("a@h/2", "b@h/2", "x", 12) });
		assert.same({ "duplicate", 3, false, "normal", false }, { pending:match("a@h", "b@h", "x", 15) });
		assert.equal("unknown", (pending:match("a@h", "c@h", "x", 16)), "nothing is awaited any more");
	end);

	it("E1 tells forged only when none of those asked is the acker", function ()
		pending:add("a@h", "b@h", "1", 0);
		pending:add("a@h", "c@h", "1", 0);
		assert.equal("forged", (pending:match("a@h", "d@h", "1", 1)));
		assert.equal("delivered", (pending:match("a@h", "c@h", "1", 1)));
		assert.equal("delivered", (pending:match("a@h", "b@h", "1", 1)));
	end);

	it("E1 takes nobody for a forger where a host was asked: it may have handed the message to others, who answer", function ()
		pending:add("a@h", "multicast.h", "1", 0);
		assert.equal("unknown", (pending:match("a@h", "b@h/r", "1", 1)));
		assert.equal("unknown", (pending:match("a@h", "other.h", "1", 1)));
		local ack = st.message({ from = "b@h/r", to = "a@h/r" }):tag("received", { xmlns = R.xmlns, id = "1" });
		assert.equal("unknown", select(2, pending:incoming(ack, 1)));
		pending:fail("a@h", "multicast.h", "1", 1);
		assert.equal("unknown", (pending:match("a@h", "b@h/r", "1", 1)));
		assert.equal("delivered", (pending:match("a@h", "multicast.h/x", "1", 2)));
		assert.equal("unknown", (pending:match("a@h", "b@h/r", "1", 2)));
		assert.equal("duplicate", (pending:match("a@h", "multicast.h", "1", 3)));
		-- What is behind a host's slash is no part of who it is; a room's occupant is somebody.
		pending:add("a@h", "multicast.h/at@it", "2", 0, { occupant = true });
		pending:add("a@h", "room@muc/nick", "3", 0, { occupant = true });
		assert.equal("unknown", (pending:match("a@h", "b@h", "2", 1)));
		assert.equal("forged", (pending:match("a@h", "b@h", "3", 1)));
	end);

	it("E1 takes them for one while the answer of somebody else about that id is awaited, too", function ()
		for _, first in ipairs { true, false } do
			if first then pending:add("a@h", "multicast.h", "1", 0); end
			pending:add("a@h", "b@h", "1", 0);
			if not first then pending:add("a@h", "multicast.h", "1", 0); end
			pending:add("a@h", "b@h", "2", 0);
			pending:add("c@h", "b@h", "1", 0);
			assert.equal("forged", (pending:match("a@h", "d@h", "1", 1)));
			assert.equal("delivered", (pending:match("a@h", "b@h", "1", 1)));
			assert.equal("unknown", (pending:match("a@h", "d@h", "1", 1)), "that of the host alone is");
			pending:forget("a@h");
		end
	end);

	it("C6 remembers that the request was ours, and the type", function ()
		pending:add("a@h", "b@h", "1", 0, { injected = true, type = "chat" });
		assert.same({ "delivered", 1, true, "chat", false }, { pending:match("a@h", "b@h", "1", 1) });
	end);

	it("E1 knows an occupant by what add() is told", function ()
		pending:add("a@h", "room@muc/nick", "1", 0, { occupant = true });
		pending:add("a@h", "b@h/r", "2", 0, { occupant = false });
		assert.equal("forged", (pending:match("a@h", "room@muc/other", "1", 1)));
		assert.same({ "delivered", 1, false, "normal", true }, { pending:match("a@h", "room@muc/nick", "1", 1) });
		assert.same({ "delivered", 1, false, "normal", false }, { pending:match("a@h", "b@h/other", "2", 1) });
	end);

	it("compares JIDs byte for byte: who prepares them is the caller", function ()
		pending:add("a@h/R", "b@h", "1", 0);
		for _, pair in ipairs { { "A@h", "b@h" }, { "a@h ", "b@h" }, { "a@h", "B@h" } } do
			assert.is_nil(pending:state(pair[1], pair[2], "1"));
		end
		assert.equal("pending", pending:state("a@h", "b@h/r", "1"));
	end);

	it("keeps ids byte for byte", function ()
		local ids = { "a\0b", "a", "A", "\240\159\152\128", "\"'<>&", (" "):rep(1000) };
		for i, id in ipairs(ids) do assert.is_true(pending:add("a@h", "b@h", id, i)); end
		for i, id in ipairs(ids) do assert.equal("delivered", (pending:match("a@h", "b@h", id, i))); end
	end);

	it("says why something is not added", function ()
		pending:add("a@h", "b@h", "1", 0);
		assert.same({ true, "known" }, { pending:add("a@h", "b@h", "1", 0) });
		assert.same({ nil, "id or address too long or empty" }, { pending:add("a@h", "b@h", ("x"):rep(1024), 0) });
		assert.same({ nil, "id or address too long or empty" }, { pending:add("a@h", "b@h", "", 0) });
		local full = receipts.pending { capacity = 1 };
		full:add("a@h", "b@h", "1", 0);
		assert.same({ nil, "full" }, { full:add("c@h", "b@h", "1", 0) });
	end);

	it("F2 bounds a user without touching another's", function ()
		pending:add("b@h", "x@h", "1", 0);
		for i = 1, 50 do pending:add("a@h", "x@h", tostring(i), i); end
		assert.equal(10, pending:count("a@h"));
		assert.equal(11, pending:count());
		assert.equal("delivered", (pending:match("b@h", "x@h", "1", 51)));
	end);

	describe("F2 bounds the bytes of a user's ids and of whom they asked, to 256 for each of per_user,", function ()
		-- An address that has so many bytes with this id.
		local function whom(bytes, id) return ("x"):rep(bytes - #id - 2).."@h"; end
		local function ask(id, bytes, time) assert.is_true((pending:add("a@h/r", whom(bytes, id), id, time))); end
		local function ids(entries)
			local list = {};
			for i, entry in ipairs(entries) do list[i] = entry.id; end
			return table.concat(list, " ");
		end
		local function kept() return ids(pending:export("a@h")); end

		it("so that of long ones fewer are kept, of short ones as many, and another's stay", function ()
			pending:add("b@h", "x@h", "1", 0);
			for i = 10, 29 do ask("i"..i, 512, i); end
			assert.equal("i25 i26 i27 i28 i29", kept());
			for i = 30, 49 do ask("i"..i, 256, i); end
			assert.equal("i40 i41 i42 i43 i44 i45 i46 i47 i48 i49", kept());
			for i = 50, 69 do ask("i"..i, 257, i); end
			assert.equal("i61 i62 i63 i64 i65 i66 i67 i68 i69", kept());
			assert.equal("pending", pending:state("b@h", "x@h", "1"));
		end);

		it("where an id counts as it is written, though it may take less", function ()
			for i = 10, 29 do ask("f81d4fae-7dec-41d0-a765-0000000000"..i, 257, i); end
			assert.equal(9, pending:count("a@h"));
		end);

		it("and a long one takes the place of as many as it needs, which are told", function ()
			pending:journal();
			for i = 0, 9 do ask("i"..i, 20, i); end
			pending:match("a@h", whom(20, "i5"), "i5", 10);
			ask("long", 2560 - 3 * 20, 11);
			assert.equal("i7 i8 i9 long", kept());
			assert.equal("i0 i1 i2 i3 i4 i6", ids(pending:evicted()), "what was delivered went first");
			ask("one", 20, 12);
			ask("two", 20, 13);
			assert.equal("i9 long one two", kept());
			assert.equal("i7 i8", ids(pending:evicted()), "short ones take no more than they need");
		end);

		it("but one is always kept", function ()
			pending:limit { per_user = 1 };
			ask(("i"):rep(1023), 1023 + 3071, 1);
			assert.equal(1, pending:count("a@h"));
			ask("1", 20, 2);
			assert.equal("1", kept());
			ask(("i"):rep(1023), 1023 + 3071, 3);
			assert.equal(("i"):rep(1023), kept());
		end);

		it("as for what is put back", function ()
			local function put(id, bytes, time, state)
				return (pending:import("a@h", { { to = whom(bytes, id), id = id, time = time, state = state or "pending" } }, 60));
			end
			for i = 1, 8 do assert.equal(1, put("i"..i, 512, i)); end
			assert.equal("i4 i5 i6 i7 i8", kept());
			assert.equal(1, put("old", 512, 3));
			assert.equal("i4 i5 i6 i7 i8", kept(), "what is older than all is the first to go");
			assert.equal(1, put("young", 900, 6.5));
			assert.equal("i6 young i7 i8", kept());
			assert.equal(1, put("middle", 1700, 6.7));
			assert.equal("i6 young i7 i8", kept(), "younger than some that would go, but not than all");
			assert.equal(1, put("done", 2000, 60, "delivered"));
			assert.equal("i6 young i7 i8", kept(), "nobody awaits that");
		end);

		it("and gives them back once an entry has gone, not when it is answered", function ()
			for i = 1, 5 do ask("i"..i, 512, i); end
			pending:match("a@h", whom(512, "i3"), "i3", 6);
			pending:match("a@h", whom(512, "i1"), "i1", 6);
			ask("i6", 512, 6);
			assert.equal("i2 i4 i5 i6 i1", kept());
			for time = 7, 5007, 1000 do
				pending:expire(time + 4000);
				for i = 1, 5 do ask("e"..i, 512, time); end
				assert.equal("e1 e2 e3 e4 e5", kept());
				pending:forget("a@h");
				for i = 1, 5 do ask("f"..i, 512, time); end
				assert.equal("f1 f2 f3 f4 f5", kept());
			end
		end);
	end);

	describe("F2 gives up what was delivered first, then what has failed, then what is awaited:", function ()
		local function ask(from, first, last)
			for i = first, last do assert.is_true((pending:add(from, "x@h", "i"..i, i))); end
		end
		local function fail(from, ...)
			for _, i in ipairs { ... } do assert.is_true((pending:fail(from, "x@h", "i"..i, 20))); end
		end
		local function ack(from, ...)
			for _, i in ipairs { ... } do assert.equal("delivered", (pending:match(from, "x@h", "i"..i, 20))); end
		end
		local function put(id, time, state)
			assert.equal(1, (pending:import("a@h", { { to = "x@h", id = id, time = time, state = state } }, 60)));
		end
		local function ids(entries)
			local list = {};
			for i, entry in ipairs(entries) do list[i] = entry.id; end
			return table.concat(list, " ");
		end
		local function kept(from) return ids(pending:export(from or "a@h")); end

		it("bounces push out nothing that is awaited", function ()
			ask("a@h", 1, 5);
			for i = 6, 25 do
				ask("a@h", i, i);
				fail("a@h", i);
			end
			assert.equal("i1 i2 i3 i4 i5 i21 i22 i23 i24 i25", kept());
			assert.equal(10, pending:count("a@h"));
			ack("a@h", 1, 2, 3, 4, 5, 25);
		end);

		it("of each the oldest first, which for what has failed is what bounced first", function ()
			pending:journal();
			ask("a@h", 1, 10);
			fail("a@h", 7, 8, 3);
			ack("a@h", 9, 8);
			assert.equal("i1 i2 i4 i5 i6 i7 i3 i10 i9 i8", kept());
			while pending:changed() do pending:saved(true); end
			for i, gone in ipairs { "i9", "i8", "i7", "i3", "i1", "i2" } do
				ask("a@h", 10 + i, 10 + i);
				assert.is_nil(pending:state("a@h", "x@h", gone));
			end
			assert.equal("i7 i3 i1 i2", ids((pending:evicted())), "what the store has of others was removed");
			assert.equal("i4 i5 i6 i10 i11 i12 i13 i14 i15 i16", kept());
		end);

		it("of too many bytes, too, and under lower limits", function ()
			ask("a@h", 1, 8);
			fail("a@h", 2, 6, 4);
			assert.is_true((pending:add("a@h", ("x"):rep(2560 - 6 * 5 - 4), "long", 20)));
			assert.equal("i1 i3 i4 i5 i7 i8 long", kept());
			pending:forget("a@h");
			ask("a@h", 1, 8);
			fail("a@h", 2, 6, 4);
			pending:limit { per_user = 5 };
			ask("a@h", 9, 9);
			assert.equal("i1 i3 i4 i5 i7 i8 i9", kept());
			ask("a@h", 10, 10);
			assert.equal("i3 i5 i7 i8 i9 i10", kept());
		end);

		it("for what is put back under a lower limit, if both that would go are older", function ()
			ask("a@h", 1, 8);
			pending:limit { per_user = 5 };
			put("middle", 1.5, "pending");
			assert.equal("i1 i2 i3 i4 i5 i6 i7 i8", kept());
			put("young", 2.5, "pending");
			assert.equal("young i3 i4 i5 i6 i7 i8", kept());
		end);

		it("of a full table, whosever what has failed is", function ()
			pending:limit { capacity = 4 };
			ask("b@h", 1, 2);
			ask("a@h", 1, 2);
			fail("b@h", 2);
			fail("a@h", 1);
			ack("a@h", 2);
			ask("c@h", 1, 1);
			assert.equal("i1", kept());
			ask("c@h", 2, 2);
			assert.equal("i1", kept("b@h"));
			put("old", 1, "pending");
			assert.equal("old", kept());
			assert.same({ 0, 1, { "full" } }, { pending:import("a@h", { { to = "x@h", id = "1", time = 50, state = "failed" } }, 60) });
			assert.same({ nil, "full" }, { pending:add("d@h", "x@h", "1", 60) });
			ask("c@h", 3, 3);
			assert.equal("i2 i3", kept("c@h"));
		end);

		it("so what is put back, where it is missed the least, makes room at once", function ()
			pending:limit { per_user = 3 };
			ask("a@h", 31, 33);
			fail("a@h", 32);
			put("older", 31, "failed");
			put("done", 60, "delivered");
			assert.equal("i31 i32 i33", kept());
			put("younger", 32.5, "failed");
			assert.equal("i31 younger i33", kept());
			put("awaited", 1, "pending");
			assert.equal("awaited i31 i33", kept());
			put("failed", 60, "failed");
			assert.equal("awaited i31 i33", kept());
		end);

		it("what has failed expires with what is awaited, or, where a later one bounced before it, with that", function ()
			ask("a@h", 1, 4);
			fail("a@h", 3, 1);
			local function expired(now, from) return ids((select(2, pending:expire(now, 10, from)))); end
			assert.equal("", expired(101), "it waits for the third");
			assert.equal("i2", expired(102));
			assert.equal("i3 i1", expired(103, "a@h"));
			assert.equal("i4", expired(104));
		end);

		it("what was asked again after a bounce is awaited as any", function ()
			ask("a@h", 1, 10);
			fail("a@h", 1, 2, 3);
			assert.is_true((pending:add("a@h", "x@h", "i2", 50)));
			ask("a@h", 11, 13);
			assert.equal("i5 i6 i7 i8 i9 i10 i2 i11 i12 i13", kept());
			assert.same({ "i5", "i2" }, { select(2, pending:overdue(50, 45))[1].id, select(2, pending:overdue(90, 40, 10, "a@h"))[6].id });
		end);

		it("and another table does so with what it imports", function ()
			ask("a@h", 1, 10);
			fail("a@h", 5);
			local copy = receipts.pending { per_user = 10 };
			assert.equal(10, (copy:import("a@h", pending:export("a@h"), 20)));
			copy:add("a@h", "x@h", "i11", 20);
			assert.is_nil(copy:state("a@h", "x@h", "i5"));
			assert.equal("pending", copy:state("a@h", "x@h", "i1"));
			assert.is_true(copy:check());
		end);
	end);

	it("F2 expires what is over its time, in steps", function ()
		for i = 1, 5 do pending:add("a@h", "x@h", tostring(i), i); end
		local done, gone = pending:expire(104, 2);
		assert.equal(2, done);
		assert.same({ from = "a@h", to = "x@h", id = "1", time = 1, state = "pending", type = "normal", injected = false, occupant = false,
			overdue = false }, gone[1]);
		assert.equal(2, (pending:expire(104, 100)));
		assert.equal(0, (pending:expire(104, 100)));
		assert.equal(1, pending:count());
	end);

	it("F2 tells ages of years, and expires what is so old: a server that boots in 1970 is set by NTP", function ()
		for _, leap in ipairs { 389 * 86400, 400 * 86400, 777 * 86400, 1764000000, 2^38 - 5 } do
			for i = 1, 3 do pending:add("a@h", "x@h", tostring(i), 1); end
			local verdict, age = pending:match("a@h", "x@h", "3", 1 + leap);
			assert.same({ "delivered", leap }, { verdict, age });
			local done, gone = pending:expire(1 + leap);
			assert.same({ 2, 1, 1 }, { done, gone[1].time, gone[2].time });
			assert.equal(1, pending:forget("a@h"));
		end
	end);

	it("lists what is not delivered, oldest first", function ()
		pending:add("a@h", "x@h", "1", 1);
		pending:add("a@h", "y@h", "2", 2);
		pending:add("a@h", "z@h", "3", 3);
		pending:match("a@h", "y@h", "2", 4);
		assert.same({ true, 2, false, "normal", false }, { pending:fail("a@h", "z@h/r", "3", 5) });
		assert.is_false(pending:fail("a@h", "z@h/r", "3", 5));
		assert.same({ "pending", "delivered", "failed" }, { (pending:state("a@h/r", "x@h/r", "1")), (pending:state("a@h", "y@h", "2")),
			(pending:state("a@h", "z@h", "3")) });
		assert.is_nil((pending:state("a@h", "x@h", "2")));
		local list = pending:list("a@h/any");
		assert.equal("1", list[1].id);
		assert.equal("failed", list[2].state);
		assert.is_nil(list[3]);
		assert.same({}, pending:list("nobody@h"));
		assert.equal("3", pending:list("a@h", 1)[1].id);
		for last, count in pairs { [0] = 2, 1, 2, 2 } do assert.equal(count, #pending:list("a@h", last)); end
		assert.has_error(function () pending:list("a@h", -1); end);
	end);

	it("imports entries in any order", function ()
		for _, order in ipairs { { 1, 2, 3 }, { 1, 3, 2 }, { 2, 1, 3 }, { 2, 3, 1 }, { 3, 1, 2 }, { 3, 2, 1 } } do
			local copy = receipts.pending();
			for _, time in ipairs(order) do copy:import("a@h", { { to = "x@h", id = "i"..time, state = "pending", time = time } }, 3); end
			for i, entry in ipairs(copy:list("a@h")) do assert.equal("i"..i, entry.id); end
			assert.is_true(copy:check());
		end
	end);

	it("comes to what was imported behind what was there, unless it is asked of that user", function ()
		pending:import("a@h", { { to = "x@h", id = "1", state = "pending", time = 990 } }, 1000);
		pending:import("b@h", { { to = "x@h", id = "1", state = "pending", time = 905 } }, 1000);
		assert.equal(0, (pending:overdue(1010, 50)));
		assert.equal(1, (pending:overdue(1010, 50, 10, "b@h")));
		assert.equal(0, (pending:expire(1010)));
		assert.equal(1, (pending:expire(1010, 10, "b@h")));
		assert.equal("pending", pending:state("a@h", "x@h", "1"));
	end);

	it("exports and imports one user's entries", function ()
		pending:add("a@h", "x@h", "1", 1764000000, { injected = true, type = "chat" });
		pending:add("a@h", "r@muc/n", "2", 1764000001, { occupant = true });
		pending:add("a@h", "y@h", "3", 1764000002);
		pending:match("a@h", "y@h", "3", 1764000003);
		local records = pending:export("a@h");
		local copy = receipts.pending { ttl = 100 };
		assert.same({ 3, 0, {} }, { copy:import("a@h", records, 1764000010) });
		assert.same(records, copy:export("a@h"));
		table.insert(records, { to = "x@h" });
		table.insert(records, "rubbish");
		table.insert(records, { to = "x@h", id = "9", state = "lost", time = 1 });
		local damaged = { [4] = "damaged", [5] = "damaged", [6] = "damaged" };
		assert.same({ 3, 3, damaged }, { copy:import("a@h", records, 1764000010) });
		assert.is_true(copy:check());
		local function left(record, user) return copy:import(user or "a@h", { record }, 1764000010); end
		assert.equal(0, (left({ to = "x@h", id = "9", state = "pending", time = 1764000000 }, ("a"):rep(4000).."@h")));
		assert.equal(0, (left { to = "x@h", id = ("x"):rep(1024), state = "pending", time = 1764000000 }));
		assert.equal(0, (left { to = "", id = "9", state = "pending", time = 1764000000 }));
		assert.equal(0, (left { to = "x@h", id = "9", state = "pending", time = "1764000000" }));
		assert.equal(0, (left { to = "x@h", id = "9", state = "pending", time = -1 }));
		assert.equal(0, (left { to = "x@h", id = "9", state = "pending", time = 2^38 }));
		assert.equal(0, (left { to = "x@h", id = "9", state = "pending", time = 1764000000, type = 1 }));
		assert.equal(0, (left { to = "x@h", id = "9", state = "pending", time = 1764000000, type = "chat\0" }));
		assert.equal(0, (left { to = "x@h", id = "9", state = "pending\0", time = 1764000000 }));
		assert.equal(1, (left { to = "x@h", id = "9", state = "pending", time = 1764000000, overdue = true }));
		assert.is_true(copy:list("a@h")[2].overdue);
		local late = { "expired", "expired", "expired", "damaged", "damaged", "damaged" };
		assert.same({ 0, 6, late }, { receipts.pending({ ttl = 100 }):import("a@h", records, 1764009999) });
	end);

	it("tells once what is overdue", function ()
		for i = 1, 5 do pending:add("a@h", "x@h", tostring(i), i); end
		pending:add("b@h", "x@h", "1", 6);
		local looked, list = pending:overdue(20, 17, 2);
		assert.equal(2, looked);
		assert.same({ "1", "2" }, { list[1].id, list[2].id });
		assert.is_true(list[1].overdue);
		assert.equal("3", select(2, pending:overdue(20, 17))[1].id);
		assert.equal(0, (pending:overdue(20, 17)));
		assert.equal("1", select(2, pending:overdue(23, 17, 10, "b@h"))[1].id);
		assert.same({ "4", "5" }, { pending:list("a@h")[4].id, pending:list("a@h")[5].id });
		assert.is_false(pending:list("a@h")[4].overdue);
		for _, age in ipairs { -1, 0/0 } do assert.has_error(function () pending:overdue(23, age); end); end
	end);

	it("expires one user's, and forgets a user", function ()
		for _, user in ipairs { "a@h", "b@h" } do
			for i = 1, 3 do pending:add(user, "x@h", tostring(i), i); end
		end
		assert.equal(2, (pending:expire(102, 10, "b@h/r")));
		assert.equal(3, pending:count("a@h"));
		assert.equal(1, pending:count("b@h"));
		assert.equal(3, pending:forget("a@h"));
		assert.equal(0, pending:forget("a@h"));
		assert.equal(1, pending:count());
		assert.is_true(pending:check());
	end);

	it("keeps a journal for a store", function ()
		assert.is_nil((pending:changed()));
		pending:journal();
		pending:add("a@h/r", "x@h", "1", 1);
		pending:add("a@h/r", "x@h", "2", 2);
		local user, changes = pending:changed();
		assert.equal("a@h", user);
		assert.same({ "2", true, false }, { changes[1].id, changes[1].keep, changes[1].stored });
		assert.equal("1", changes[2].id);
		pending:saved(false);
		assert.equal("a@h", (pending:changed()));
		pending:saved(true);
		assert.is_nil((pending:changed()));
		pending:match("a@h", "x@h", "1", 3);
		user, changes = pending:changed();
		assert.same({ "a@h", "1", false, true }, { user, changes[1].id, changes[1].keep, changes[1].stored });
		pending:saved(true);
		assert.is_true(select(2, pending:expire(102, 1))[1].stored);
		assert.is_nil(pending:evicted());
		for i = 1, 11 do pending:add("a@h", "x@h", "e"..i, 110); end
		local gone = pending:evicted();
		assert.same({ "e1", false }, { gone[1].id, gone[1].stored });
		assert.is_nil(gone[2]);
		assert.is_nil(pending:evicted());
	end);

	it("F1 has a record of a time to come written with that of now", function ()
		pending:journal();
		local function put(id, time) pending:import("a@h", { { to = "x@h", id = id, state = "pending", time = time } }, 1764000000); end
		put("1", 1764000000);
		assert.is_nil((pending:changed()));
		put("2", 1764000000 + 365 * 86400);
		local user, changes = pending:changed();
		assert.same({ "a@h", 1, "2", 1764000000, true, true },
			{ user, #changes, changes[1].id, changes[1].time, changes[1].keep, changes[1].stored });
		pending:saved(true);
		assert.is_nil((pending:changed()));
	end);

	it("lets a store wait with what is young", function ()
		pending:journal();
		pending:add("a@h", "x@h", "1", 100);
		pending:add("a@h", "x@h", "2", 102);
		assert.is_nil((pending:changed(103, 5)));
		local user, changes = pending:changed(105, 5);
		assert.same({ "a@h", 1, "1" }, { user, #changes, changes[1].id });
		pending:saved(true);
		assert.is_nil((pending:changed(106, 5)));
		assert.equal("2", select(2, pending:changed())[1].id);
		assert.has_error(function () pending:changed(-1, 5); end);
		assert.has_error(function () pending:changed(1, -5); end);
		assert.has_error(function () pending:changed(1, "x"); end);
	end);

	it("loses nothing of its journal, nor of what made room, where it is to keep one again", function ()
		pending:limit { per_user = 1 };
		pending:journal();
		for i = 1, 2 do pending:add("a@h", "b@h", tostring(i), i); end
		pending:journal();
		pending:add("a@h", "b@h", "3", 3);
		local evicted = pending:evicted();
		assert.same({ 2, "1", "2" }, { #evicted, evicted[1].id, evicted[2].id });
		local user, changes = pending:changed();
		assert.same({ "a@h", 1, "3" }, { user, #changes, changes[1].id });
	end);

	it("takes for written only what it has told, and once", function ()
		pending:journal();
		for _, user in ipairs { "a@h", "b@h", "c@h" } do pending:add(user, "x@h", "1", 100); end
		assert.equal("a@h", (pending:changed()));
		pending:saved(true);
		pending:saved(true);
		pending:saved(false);
		assert.equal("b@h", (pending:changed()));
		assert.has_error(function () pending:changed(-1); end);
		pending:saved(true);
		assert.equal("b@h", (pending:changed()));
		assert.is_nil((pending:changed(100, 10)));
		pending:add("b@h", "x@h", "2", 50);
		pending:saved(true);
		local user, changes = pending:changed(100, 10);
		assert.same({ "b@h", 1, "2" }, { user, #changes, changes[1].id });
		pending:saved(true);
		assert.is_nil((pending:changed(100, 10)));
		for _, expected in ipairs { "c@h", "b@h" } do
			assert.equal(expected, (pending:changed()));
			pending:saved(true);
		end
		assert.is_nil((pending:changed()));
	end);

	it("tells of what made room, and when: of all, or of the last of those in a row that nobody will miss", function ()
		pending:journal();
		local function ask(from, first, last)
			for i = first, last do assert.is_true((pending:add(from, "x@h", from..i, i))); end
		end
		local function told(last)
			local ids = {};
			local gone, others = pending:evicted(last);
			for i, entry in ipairs(gone or {}) do ids[i] = ("%s%d"):format(entry.id:sub(1, 1), entry.gone); end
			return table.concat(ids, " "), others;
		end
		assert.same({ "" }, { told(2) });
		ask("a@h", 1, 15);
		assert.same({ "a11 a12 a13 a14 a15", 0 }, { told() });
		ask("a@h", 16, 20);
		assert.same({ "a19 a20", 3 }, { told(2) });
		ask("a@h", 21, 22);
		assert.same({ "a21 a22", 0 }, { told(2) });
		ask("a@h", 23, 26);
		ask("b@h", 23, 35);
		ask("a@h", 36, 36);
		assert.same({ "a26 b35 a36", 5 }, { told(1) });
		-- What is stored is to be removed there; what has failed was told of.
		while pending:changed() do pending:saved(true); end
		pending:match("b@h", "x@h", "b@h26", 40);
		pending:fail("b@h", "x@h", "b@h27", 40);
		ask("b@h", 41, 46);
		local stored = pending:evicted(1);
		assert.same({ 6, true }, { #stored, stored[1].stored });
		assert.has_error(function () pending:evicted(-1); end);
		assert.has_error(function () pending:evicted("x"); end);
	end);

	it("tells nothing of what made room where it keeps no journal", function ()
		for i = 1, 11 do pending:add("a@h", "x@h", "m"..i, i); end
		assert.equal(10, pending:count());
		assert.is_nil(pending:evicted());
	end);

	it("says when many have made room", function ()
		pending:journal();
		local many = {};
		for i = 1, 10 + 256 do
			local _, evicted = pending:ask("a@h/r", "x@h", "m"..i, i, "chat");
			many[i] = evicted;
		end
		assert.same({ false, true }, { many[265], many[266] });
		assert.is_true(select(2, pending:ask("a@h/r", "x@h", "m267", 267, "chat")));
		local gone, others = pending:evicted(32);
		assert.same({ 32, 225, "m257" }, { #gone, others, gone[32].id });
		assert.is_false(select(2, pending:ask("a@h/r", "x@h", "m268", 268, "chat")));
	end);

	it("throws when it is misused", function ()
		for _, call in ipairs {
			function () pending:add("a@h", "b@h", 1, 0); end, function () pending:add("a@h", "b@h", "1"); end,
			function () pending:add("a@h", "b@h", "1", -1); end, function () pending:add("a@h", "b@h", "1", 2^38); end,
			function () pending:add("a@h", "b@h", "1", 0/0); end,
			function () pending:add("a@h", "b@h", "1", 0, { type = "odd" }); end, function () pending:match(); end,
			function () pending.count({}); end, function () pending.count(debug.upvalueid(it, 1)); end,
			function () pending:expire(1, 1000001); end, function () receipts.pending { capacity = 0/0 }; end,
		 function () pending.count(io.stdout); end,
			function () pending.count(receipts.scanner()); end, function () receipts.scanner().feed(pending, ""); end,
			function () pending.outgoing(nil, {}, 1); end, function () receipts.pending { capacity = 0 }; end,
			function () receipts.pending { ttl = "x" }; end, function () pending:expire(1, 0); end,
		} do
			assert.has_error(call);
		end
	end);

	it("names the option that is wrong, and what may be in it", function ()
		local function refused(f, ...) return select(2, pcall(f, ...)); end
		for reason, options in pairs {
			["option 'per_user' is not from 1 to 100000000"] = { per_user = 0 };
			["option 'ttl' is not from 0 to 31536000"] = { ttl = 1e9 };
			["option 'remember' is not a number"] = { remember = "7d" };
			["there is no option 'per_users'"] = { per_users = 5 };
			["there is no option 'ttl'"] = { ["ttl\0"] = 5 };
			["there is no option '1'"] = { 1 };
			["there is no option 'boolean'"] = { [true] = 1 };
		} do
			assert.equal(reason, refused(receipts.pending, options));
			assert.equal(reason, refused(pending.limit, pending, options));
		end
		assert.equal("there is no option 'capacity'", refused(receipts.scanner, { capacity = 5 }));
		assert.equal("option 'max_bytes' is not from 64 to 1073741824", refused(receipts.scanner, { max_bytes = 63 }));
		for _, name in ipairs { "only_receipts", "only_summary", "comments" } do
			assert.equal("option '"..name.."' is not a boolean", refused(receipts.scanner, { [name] = "no" }));
		end
		for reason, how in pairs {
			["there is no option 'inject'"] = { inject = true };
			["there is no option 'overdue'"] = { overdue = true };
			["option 'injected' is not a boolean"] = { injected = "no" };
			["option 'occupant' is not a boolean"] = { occupant = 0 };
		} do
			assert.equal(reason, refused(pending.add, pending, "a@h", "b@h", "1", 1, how));
		end
		for _, make in ipairs { receipts.pending, receipts.scanner } do
			assert.has_error(function () make(5); end);
			assert.has_error(function () make("ttl"); end);
			make(nil):close();
			make():close();
		end
		assert.equal(0, pending:count(), "it is as it was");
	end);

	it("is not used once a metamethod or finalizer has closed it", function ()
		local trap = function (of) return setmetatable({}, { __index = function () of:close(); end }); end
		local one = receipts.pending();
		one:add("a@h", "b@h", "1", 1, trap(one));
		one:limit(trap(one));
		one:import("a@h", { trap(one) }, 1);
		assert.equal(1, one:count(), "options and records are read without metamethods");
	end);

	it("tells Lua's collector of as many bytes as it is made with, as long as there is the table", function ()
		local function known() -- bytes that the collector knows of
			collectgarbage();
			collectgarbage();
			return collectgarbage("count") * 1024;
		end
		local before = known();
		local table = receipts.pending { told = 300000 };
		assert.near(300000, known() - before, 32768);
		local other = receipts.pending { told = 4194304, per_user = 100000 };
		-- Ids too long for Lua's table of strings, which would grow.
		for i = 1, 10000 do other:add("a@h", "b@h", ("%050d"):format(i), 1); end
		assert.near(4494304, known() - before, 32768);
		assert.equal(10000, other:count());
		other = nil; -- luacheck: ignore 311
		assert.near(300000, known() - before, 32768);
		other = receipts.pending();
		assert.near(365536, known() - before, 32768, "by default");
		other:close();
		assert.has_error(function () table:limit { told = 300000 }; end, "there is no option 'told'");
		for _, wrong in ipairs { -1, 4194305, 0/0, "1" } do
			assert.has_error(function () receipts.pending { told = wrong }; end);
		end
	end);

	it("F2 heeds new limits from the next message on", function ()
		for i = 1, 3 do pending:add("a@h", "b@h", tostring(i), i); end
		pending:limit { per_user = 2 };
		pending:add("a@h", "b@h", "4", 4);
		local ids = {};
		for i, entry in ipairs(pending:list("a@h")) do ids[i] = entry.id; end
		assert.same({ "3", "4" }, ids, "two go for one that comes");
	end);

	it("rejects a closed handle, and what is none, and can be closed twice", function ()
		local closed = receipts.pending();
		closed:close();
		closed:close();
		local arguments = {
			add = { "a@h", "b@h", "1", 1 }, match = { "a@h", "b@h", "1", 1 }, fail = { "a@h", "b@h", "1", 1 }, state = { "a@h", "b@h", "1" };
			ask = { "a@h", "b@h", "1", 1, "chat" }, outgoing = { {}, 1 }, incoming = { {}, 1 }, expire = { 1 }, overdue = { 1, 1 };
			forget = { "a@h" }, journal = {}, evicted = {}, changed = {}, saved = { true }, list = { "a@h" }, export = { "a@h" };
			import = { "a@h", { {} }, 1 }, count = {}, bytes = {}, limit = { {} }, check = {};
		};
		for method, list in pairs(arguments) do
			local ok, reason = pcall(closed[method], closed, portable.unpack(list));
			assert.same({ false, "the pending table is closed" }, { ok, reason }, method);
			ok, reason = pcall(closed[method], {}, portable.unpack(list));
			assert.same({ false, "bad argument #1 to '?' (pending table expected, got table)" }, { ok, reason }, method);
		end
	end);

	it("says which argument is no handle as of any other type", function ()
		local _, reason = pcall(function () pending.state("a@h", "b@h", "1"); end);
		assert.truthy(reason:find("bad argument #1 to 'state' (pending table expected, got string)", 1, true), reason);
	end);

	it("does not hand out its finalizer", function ()
		assert.is_nil(pending.__gc);
		assert.is_nil(pending.__index, "through which it could be had");
	end);

	describe("with stanzas", function ()
		local function message(attr, body)
			attr.from = attr.from or "a@h/1";
			attr.to = attr.to or "b@h";
			return st.message(attr, body);
		end

		it("has nothing to say of most messages, and makes no garbage", function ()
			local idle = { message({ type = "chat" }):tag("active", { xmlns = "urn:x" }):up(), message({ type = "groupchat" }, "hi"),
				message({ type = "headline" }, "hi") };
			for _, stanza in ipairs(idle) do assert.is_nil((pending:outgoing(stanza, 1))); end
			local ask = message({ id = "1" }, "hi"):tag("request", R):up();
			local ack = message({ from = "b@h", to = "a@h" }):tag("received", { xmlns = R.xmlns, id = "1" }):up();
			assert.equal(0, portable.garbage(function ()
				for i = 1, 1000 do
					for j = 1, #idle do
						pending:outgoing(idle[j], i);
						pending:incoming(idle[j], i);
					end
					pending:outgoing(ask, i);
					pending:incoming(ack, i);
				end
			end));
		end);

		it("C2 knows content messages that could ask", function ()
			local function content(stanza) return portable.has(pending:outgoing(stanza, 1) or 0, bits.content); end
			assert.is_true(content(message({ type = "chat" }, "hi")));
			assert.is_true(content(message({ type = "normal" }, "hi")));
			assert.is_true(content(message({}, "hi")));
			assert.is_true(content(message({ type = "odd" }, "hi")), "an unknown type is normal");
			assert.is_true(content(message({ type = "chat", to = "b@h/r" }, "hi")));
			assert.is_true(content(message({ type = "chat" }):tag("encryption", { xmlns = "urn:xmpp:eme:0" }):up()));
			assert.is_true(content(message({ type = "chat" }):tag("encrypted", { xmlns = "eu.siacs.conversations.axolotl" }):up()));
			assert.is_true(content(message({ type = "chat" }):tag("encrypted", { xmlns = "urn:xmpp:omemo:2" }):up()));
			assert.is_false(content(message({ type = "chat" }):tag("encrypted", { xmlns = "urn:x" }):up()));
			assert.is_false(content(message({ type = "chat" }):tag("encryption", { xmlns = "urn:x" }):up()));
			for _, type in ipairs { "error", "groupchat", "headline" } do
				assert.is_false(content(message({ type = type }, "hi")), type);
			end
			assert.is_false(content(message({ type = "chat" }):tag("composing", { xmlns = "http://jabber.org/protocol/chatstates" }):up()));
			assert.is_false(content(message({ id = "1" }, "hi"):tag("request", R):up()), "asks already");
			assert.is_false(content(message({}, "hi"):tag("received", { xmlns = R.xmlns, id = "1" }):up()), "an ack");
			assert.is_false(content(message({ to = "a@h/2" }, "hi")), "to oneself");
			assert.is_false(content(message({ to = "h" }, "hi")), "to a host");
			assert.is_false(content(message({ to = "h/resource" }, "hi")), "to a host");
			local to_oneself = message({}, "hi");
			to_oneself.attr.to = nil;
			assert.is_false(content(to_oneself), "to oneself, as Prosody shows it");
		end);

		it("tracks what asks", function ()
			local stanza = message({ id = "1", type = "chat" }, "hi"):tag("request", R):up();
			local what, status = pending:outgoing(stanza, 1);
			assert.equal("asked", status);
			assert.is_true(portable.has(what, bits.asks));
			local ack = message({ from = "b@h/9", to = "a@h" }):tag("received", { xmlns = R.xmlns, id = "1" }):up();
			local _, verdict, id, age, injected, type, occupant = pending:incoming(ack, 3);
			assert.same({ "delivered", "1", 2, false, "chat", false }, { verdict, id, age, injected, type, occupant });
		end);

		it("does not track what can't be answered", function ()
			for _, attr in ipairs { { type = "groupchat", id = "1" }, { type = "error", id = "1" }, { type = "chat" }, { id = "" } } do
				pending:outgoing(message(attr, "hi"):tag("request", R):up(), 1);
			end
			pending:outgoing(message({ id = "1" }, "hi"):tag("request", R):text("x"):up(), 1);
			assert.equal(0, pending:count());
		end);

		it("E5 matches an ack of revision 1.0 by the message's own id", function ()
			pending:add("a@h", "b@h", "1", 1);
			local what, verdict = pending:incoming(message({ from = "b@h", to = "a@h", id = "1" }):tag("received", R):up(), 2);
			assert.equal("delivered", verdict);
			assert.is_true(portable.has(what, bits["received-without-id"]));
		end);

		it("E1 matches an occupant in full, by the rooms joined or by what the message says", function ()
			local ask = message({ id = "1", to = "room@muc/nick" }, "hi"):tag("request", R):up();
			pending:outgoing(ask, 1, { ["room@muc"] = true });
			local function ack(from, id)
				return (select(2, pending:incoming(message({ from = from, to = "a@h" }):tag("received", { xmlns = R.xmlns, id = id }):up(), 2)));
			end
			assert.equal("forged", ack("room@muc/other", "1"));
			assert.equal("delivered", ack("room@muc/nick", "1"));
			pending:outgoing(message({ id = "2", to = "room@muc/nick" }, "hi"):tag("request", R):up()
				:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(), 3);
			assert.equal("forged", ack("room@muc/other", "2"));
			assert.equal("delivered", ack("room@muc/nick", "2"));
			pending:outgoing(message({ id = "3", to = "b@h/r" }, "hi"):tag("request", R):up(), 4, { ["room@muc"] = true });
			assert.equal("delivered", ack("b@h/other", "3"));
		end);

		it("does not take an error for an ack", function ()
			pending:add("a@h", "b@h", "1", 1);
			local what, verdict = pending:incoming(message({ from = "b@h", to = "a@h", type = "error" })
				:tag("received", { xmlns = R.xmlns, id = "1" }):up(), 2);
			assert.is_nil(verdict);
			assert.is_true(portable.has(what, bits["received-in-error"]));
			assert.equal(1, pending:count());
		end);

		it("E3 an invitation says something by itself, an occupant's mark does not", function ()
			local function more(...)
				local behind, before = message({ from = "b@h", to = "a@h" }), message({ from = "b@h", to = "a@h" });
				behind:tag("received", { xmlns = R.xmlns, id = "x" }):up();
				for _, child in ipairs { ... } do
					behind:add_child(child);
					before:add_child(child);
				end
				before:tag("received", { xmlns = R.xmlns, id = "x" }):up();
				local said = portable.has(pending:incoming(behind, 1), bits.more);
				assert.equal(said, portable.has(pending:incoming(before, 1), bits.more), "wherever the ack is among them");
				return said;
			end
			local x = { xmlns = "http://jabber.org/protocol/muc#user" };
			assert.is_false(more());
			assert.is_false(more(st.stanza("x", x), st.stanza("store", { xmlns = "urn:xmpp:hints" }), st.stanza("thread")));
			assert.is_true(more(st.stanza("x", x):tag("invite")));
			assert.is_true(more(st.stanza("active", { xmlns = "http://jabber.org/protocol/chatstates" })));
		end);

		it("E3 what servers and clients add to an ack says nothing by itself", function ()
			local function more(name, xmlns)
				local stanza = message({ from = "b@h", to = "a@h" }):tag("received", { xmlns = R.xmlns, id = "x" }):up():tag(name, { xmlns = xmlns }):up();
				return portable.has(pending:incoming(stanza, 1), bits.more);
			end
			for xmlns, name in pairs { ["urn:xmpp:hints"] = "no-store", ["urn:xmpp:sid:0"] = "stanza-id", ["urn:xmpp:occupant-id:0"] = "occupant-id",
				["urn:xmpp:delay"] = "delay", ["jabber:x:delay"] = "x", ["urn:xmpp:carbons:2"] = "private", ["jabber:client"] = "thread";
				["http://jabber.org/protocol/nick"] = "nick" } do
				assert.is_false(more(name, xmlns), xmlns);
			end
			assert.is_true(more("sent", "urn:xmpp:carbons:2"));
			assert.is_true(more("subject", "jabber:client"));
		end);

		it("tracks what a user asks of themselves, where no address stands for that", function ()
			local ask = st.message({ from = "a@h/1", id = "1" }, "hi"):tag("request", R):up();
			assert.equal("asked", select(2, pending:outgoing(ask, 1)));
			local ack = st.message({ from = "a@h/2" }):tag("received", { xmlns = R.xmlns, id = "1" }):up();
			assert.equal("delivered", select(2, pending:incoming(ack, 2)));
		end);

		it("knows no rooms where it is told of none", function ()
			pending:outgoing(message({ id = "1", to = "room@muc/nick" }, "hi"):tag("request", R):up(), 1);
			local ack = message({ from = "room@muc/other", to = "a@h" }):tag("received", { xmlns = R.xmlns, id = "1" }):up();
			assert.equal("delivered", select(2, pending:incoming(ack, 2)));
			for i, rooms in ipairs { 5, 0.5, true, "room@muc", print, io.stdout, coroutine.create(print) } do
				assert.equal("asked", (pending:ask("a@h/1", "room@muc/nick", "of "..i, 3, "chat", rooms)));
				assert.equal("delivered", (pending:match("a@h", "room@muc/other", "of "..i, 4)));
			end
		end);

		it("E6 tells what a bounce has failed, and nothing of another's", function ()
			pending:add("a@h", "b@h", "1", 1, { injected = true, type = "chat" });
			pending:add("a@h", "room@muc/nick", "2", 1, { occupant = true });
			local function bounce(from, id)
				return { select(2, pending:incoming(message { from = from, to = "a@h/1", type = "error", id = id }, 3)) };
			end
			assert.same({}, bounce("c@h", "1"));
			assert.same({}, bounce("b@h", "3"));
			assert.same({}, bounce("room@muc", "1"));
			assert.same({ "failed", "1", 2, true, "chat", false }, bounce("b@h/r", "1"));
			assert.same({ "failed", "2", 2, false, "normal", true }, bounce("room@muc/nick", "2"));
			assert.same({}, bounce("b@h/r", "1"), "once");
			pending:add("a@h", "a@h", "self", 1);
			local from_server = st.message { to = "a@h/1", type = "error", id = "self" };
			assert.same({ "failed", "self", 2, false, "normal", false }, { select(2, pending:incoming(from_server, 3)) });
			assert.equal("failed", (pending:state("a@h", "b@h", "1")));
		end);

		it("does the same with a request's attributes alone", function ()
			local other = receipts.pending {};
			local function shown(t)
				local list = {};
				for i, entry in ipairs(t:list("a@h")) do list[i] = { entry.to, entry.id, entry.type, entry.occupant, entry.time }; end
				return list;
			end
			local rooms = { ["room@muc"] = true };
			for i, attr in ipairs { { to = "b@h/r", id = "1", type = "chat" }, { to = "room@muc/nick", id = "2" }, { id = "3", type = "headline" },
				{ to = "b@h", id = "1", type = "odd" }, { to = "c@h", id = ("x"):rep(1024) }, { to = "room@muc", id = "4", type = "normal" } } do
				local stanza = st.message { from = "a@h/r", to = attr.to, id = attr.id, type = attr.type }:tag("request", R):up();
				local _, status, evicted = pending:outgoing(stanza, i, rooms);
				assert.same({ status, evicted }, { other:ask("a@h/r", attr.to, attr.id, i, attr.type, rooms) });
			end
			assert.equal(4, pending:count());
			assert.same(shown(pending), shown(other));
			assert.equal("id or address too long or empty", (other:ask("a@h/r", "b@h", nil, 1)));
			assert.equal("id or address too long or empty", (other:ask(1, {}, "5", 1, print, print)));
			assert.has_error(function () other:ask("a@h/r", "b@h", "6", -1); end);
			other:close();
			assert.has_error(function () other:ask("a@h/r", "b@h", "7", 1); end);
		end);

		it("does not know an ack that has no id of any kind", function ()
			local ack = message({ from = "b@h", to = "a@h" }):tag("received", R):up();
			assert.same({ "unknown", nil }, { select(2, pending:incoming(ack, 2)) });
		end);

		it("takes anything for a stanza without an error", function ()
			assert.is_nil((pending:outgoing("x", 1)));
			assert.is_nil((pending:incoming({ name = "message", tags = { 1 } }, 1)));
		end);
	end);
end);
