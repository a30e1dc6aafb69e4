-- SPDX-License-Identifier: MIT
-- store.lib.lua: what is pending, in a store that may fail (rule F1). The store is a table here; the wire specs have real ones.

local paths = require "spec.support.paths";
local lib, records = paths.lib("store"), paths.lib("records");
local receipts = require "receipts";

describe("store", function ()
	local pending, data, broken, unwritable, store, now, lines, failures, writes, evicted, expired, no_account, looked_up, deleted, cpu, dear;
	local ttl; -- of the store's records
	local set_by; -- by so many seconds the clock on the wall has been set

	local function time() return now + set_by; end
	local function monotonic() return now; end
	local function log(level, format, ...) table.insert(lines, level..": "..format:format(...)); end
	local function failed() failures = failures + 1; end

	local REMOVE = {};
	local keyval, map = {}, { remove = REMOVE };
	function keyval.get(_, user)
		if broken and (broken == true or broken[user]) then return nil, "disk full"; end
		return data[user];
	end
	function keyval.set(_, user, value)
		if broken or unwritable then return nil, "disk full"; end
		data[user] = value;
		return true;
	end
	function keyval.users() return pairs(data); end
	function map.set_keys(_, user, keys)
		if broken and (broken == true or broken[user]) or unwritable and (unwritable == true or unwritable[user]) then return nil, "disk full"; end
		writes = writes + 1;
		cpu = cpu + (dear[user] or 0);
		data[user] = data[user] or {};
		for key, value in pairs(keys) do data[user][key] = assert(value) ~= REMOVE and value or nil; end
		if next(data[user]) == nil then data[user] = nil; end
		return true;
	end

	local function new_store(table_before)
		pending = table_before or receipts.pending { capacity = 100, per_user = 10, ttl = 1000, remember = 100 };
		local self;
		self = lib.new("h", pending, { keyval = keyval, map = map }, {
			ttl = ttl, now = time, monotonic = monotonic, log = log, failed = failed, cpu = function () return cpu; end;
			drain = function ()
				local gone = pending:evicted();
				if not gone then return; end
				for _, entry in ipairs(gone) do
					self:dropped(entry);
					table.insert(evicted, entry.id);
				end
			end;
			expired = function (entry) table.insert(expired, entry.from.." "..entry.id.." "..entry.state); end;
			is_deleted = function (user)
				table.insert(looked_up, user);
				if coroutine.isyieldable() and no_account.wait then coroutine.yield(); end
				if no_account[user] == "error" then error("no connection"); end
				return no_account[user] == true;
			end;
			deleted = function (user)
				table.insert(deleted, user);
				assert(pending:check());
				store:forget(user);
			end;
		});
		return self;
	end

	before_each(function ()
		data, broken, unwritable, now, lines, failures, writes, evicted, expired = {}, false, false, 1764000000, {}, 0, 0, {}, {};
		no_account, looked_up, deleted, cpu, dear, set_by, ttl = {}, {}, {}, 0, {}, 0, 1000;
		store = new_store();
	end);

	local function ids(user)
		local list = {};
		for _, record in pairs(data[user] or {}) do table.insert(list, record.id); end
		table.sort(list);
		return table.concat(list, " ");
	end
	local function ask(user, id, how) return pending:add(user.."@h/r", "x@h", id, time(), how); end
	local function dropped(entries)
		for _, entry in ipairs(entries) do store:dropped(entry); end
	end
	local function restart()
		store = new_store();
	end

	it("F1 writes the records of a user who has very many, if that takes long, more seldom, but when it is the last time", function ()
		local many = 1001;
		pending:limit { capacity = 5000, per_user = 2000, ttl = 1000, remember = 100 };
		for i = 1, many - 1 do ask("bot", "x"..i); end
		dear.bot, dear.b = 0.5, 0.5;
		-- Three users ask; returns how much has not been written then.
		local function round(seconds)
			for _, user in ipairs { "bot", "a", "b" } do ask(user, tostring(now)); end
			now = now + seconds;
			store:flush(10);
			local written = 0;
			for _ in pairs(data.bot or {}) do written = written + 1; end
			local _, of_a = ids("a"):gsub("%S+", "");
			local _, of_b = ids("b"):gsub("%S+", "");
			return { pending:count("bot@h") - written, pending:count("a@h") - of_a, pending:count("b@h") - of_b };
		end
		assert.same({ 0, 0, 0 }, round(1));
		assert.same({ 1, 0, 0 }, round(1), "who has not so many does not wait");
		assert.same({ 2, 0, 0 }, round(8.9));
		assert.same({ 0, 0, 0 }, round(0.2), "twenty times as long as it took");
		dear.bot = 60;
		assert.same({ 0, 0, 0 }, round(10));
		assert.same({ 0, 0, 0 }, round(60), "a minute at the most");
		assert.same({ 1, 0, 0 }, round(1));
		set_by = -100;
		assert.same({ 2, 0, 0 }, round(1), "whatever the clock says");
		set_by = 0;
		assert.is_true(store:flush_all());
		local function written() return data.bot ~= nil; end
		now = now + 100;
		round(1);
		dropped(select(2, pending:expire(now + 1000, 5000, "bot@h")));
		store:flush(10);
		assert.is_true(written(), "what is to be removed waits likewise");
		now = now + 60;
		store:flush(10);
		assert.is_false(written());
		assert.is_nil(next(store.rests), "nothing is kept of who has nothing");
		for _, goes in ipairs { "forget", "leave" } do
			for i = 1, many do ask("bot", goes..i); end
			store:flush(10);
			assert.is_number(store.rests.bot);
			store[goes](store, "bot");
			assert.is_nil(store.rests.bot);
			now = now + 100;
			store:flush(10);
		end
	end);

	it("F1 writes what is awaited, and a new table reads it back", function ()
		pending:add("a@h", "x@h", "0", now - 10);
		assert.equal(1, pending:overdue(now, 10, 5));
		ask("a", "1", { type = "chat", injected = true });
		now = now + 1;
		pending:add("a@h", "r@muc/n", "2", now - 0.5, { occupant = true });
		pending:fail("a@h", "r@muc/n", "2", now);
		local before = pending:export("a@h");
		assert.equal("done", store:flush(10));
		assert.equal("0 1 2", ids("a"));
		restart();
		assert.is_false(store:knows("a"));
		assert.is_true(store:load("a"));
		assert.is_true(store:knows("a"));
		assert.same(before, pending:export("a@h"));
		assert.equal("done", store:flush(10));
		assert.equal(1, writes, "nothing is written that is there");
	end);

	it("F1 writes nothing of what is asked and acked between two writes", function ()
		ask("a", "1");
		pending:match("a@h", "x@h", "1", now);
		assert.equal("done", store:flush(10));
		assert.equal(0, writes);
	end);

	it("F1 removes nothing for what makes room before it is written", function ()
		for i = 1, 11 do ask("a", tostring(i)); end
		store.actions.drain();
		assert.same({ { "1" }, {} }, { evicted, store.gone });
	end);

	it("F1 removes what was delivered, and keeps that a request was ours", function ()
		ask("a", "1");
		ask("a", "2", { injected = true });
		store:flush(10);
		pending:match("a@h", "x@h", "1", now + 1);
		pending:match("a@h", "x@h", "2", now + 1);
		store:flush(10);
		assert.equal("2", ids("a"));
		now = now + 1;
		restart();
		store:load("a");
		assert.same({ "duplicate", 1, true }, { table.unpack({ pending:match("a@h", "x@h", "2", now + 1) }, 1, 3) });
		assert.equal("unknown", (pending:match("a@h", "x@h", "1", now + 2)));
	end);

	it("F1 does not write what is young, and nothing of what is acked by then", function ()
		ask("a", "1");
		ask("b", "1");
		now = now + 2;
		ask("a", "2");
		ask("b", "2");
		pending:match("b@h", "x@h", "1", now);
		assert.equal("done", store:flush(10, nil, 2));
		assert.same({ "1", "" }, { ids("a"), ids("b") });
		assert.equal(1, writes);
		now = now + 1;
		store:flush(10, nil, 2);
		assert.equal(1, writes);
		pending:match("a@h", "x@h", "1", now);
		pending:match("b@h", "x@h", "2", now);
		store:flush(10, nil, 2);
		assert.is_nil(data.a, "what is in the store is removed at once");
		now = now + 1;
		store:flush(10, nil, 2);
		assert.same({ "2", "" }, { ids("a"), ids("b") });
		assert.equal(3, writes);
	end);

	it("F1 removes what has expired or made room, in memory or in the store", function ()
		for i = 1, 10 do ask("a", ("%02d"):format(i)); end
		store:flush(10);
		ask("a", "11");
		dropped(pending:evicted());
		store:flush(10);
		assert.equal("02 03 04 05 06 07 08 09 10 11", ids("a"));
		now = now + 1000;
		dropped(select(2, pending:expire(now, 5)));
		assert.equal("done", store:flush(10));
		assert.equal("07 08 09 10 11", ids("a"));
		restart();
		store:load("a");
		assert.equal(0, pending:count());
		store:flush(10);
		assert.is_nil(data.a);
	end);

	it("F1 an id asked again keeps its record though its old one made room, and nobody has said so yet", function ()
		for i = 1, 10 do ask("a", ("%02d"):format(i)); end
		store:flush(10);
		ask("a", "11");
		ask("a", "01");
		store:flush(10);
		assert.same({ "01", "02" }, evicted);
		assert.equal("01 03 04 05 06 07 08 09 10 11", ids("a"));
		store:flush(10);
		assert.equal("01 03 04 05 06 07 08 09 10 11", ids("a"));
	end);

	it("F1 an id asked again keeps its record though its old one was dropped", function ()
		ask("a", "1");
		store:flush(10);
		now = now + 1000;
		dropped(select(2, pending:expire(now, 5)));
		ask("a", "1");
		store:flush(10);
		assert.equal(now, select(2, next(data.a)).time);
	end);

	it("F1 leaves what is damaged alone, says so in one line, and takes the rest", function ()
		ask("a", "1");
		store:flush(10);
		local good = select(2, next(data.a));
		data.a.text = "rubbish";
		data.a.other = { to = "x@h", id = "1", time = now };
		data.a[records.key("x@h", "2")] = { to = "x@h", id = "2", time = now, state = "lost" };
		data.a[records.key("x@h", "3")] = { to = "x@h", id = "3", time = "soon" };
		data.a[records.key("x@h", "4")] = { to = "x@h", id = "4", time = now, type = "odd" };
		restart();
		assert.is_true(store:load("a"));
		assert.same({ "1" }, { pending:list("a@h")[1].id, pending:list("a@h")[2] });
		assert.equal(1, #lines);
		assert.truthy(lines[1]:find("warn: 5 stored records of what is pending of a are damaged", 1, true), lines[1]);
		ask("a", "5");
		store:flush(10);
		assert.equal("rubbish", data.a.text);
		assert.same(good, data.a[records.key("x@h", "1")]);
		data.b = "not even a table";
		assert.is_true(store:load("b"));
	end);

	it("F1 reads each user once, and knows that there is nothing", function ()
		local reads = 0;
		local get = keyval.get;
		keyval.get = function (...) reads = reads + 1; return get(...); end;
		finally(function () keyval.get = get; end);
		for _ = 1, 3 do assert.is_true(store:load("nobody")); end
		assert.equal(1, reads);
		assert.same({}, lines);
	end);

	it("F1 while the store fails nothing is lost, and it catches up", function ()
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "1"); end
		store:flush(10);
		broken = true;
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "2"); end
		pending:match("a@h", "x@h", "1", now);
		assert.equal("failing", store:flush(10));
		assert.equal("failing", store:flush(10));
		assert.is_false(store:flush_all());
		assert.is_true(failures >= 3);
		broken = false;
		assert.is_true(store:flush_all());
		assert.equal("2", ids("a"));
		for _, user in ipairs { "b", "c", "d" } do assert.equal("1 2", ids(user)); end
		assert.truthy(table.concat(lines, "\n"):find("info: The store of what is pending works again", 1, true));
	end);

	it("F1 at the end all are tried, though many cannot be written; for some seconds where that takes long", function ()
		broken = { a = true, b = true, c = true, d = true };
		for _, user in ipairs { "a", "b", "c", "d", "e" } do ask(user, "1"); end
		assert.is_false(store:flush_all());
		assert.equal("1", ids("e"));
		assert.equal(4, failures);
		ask("e", "2");
		local set_keys = map.set_keys;
		function map.set_keys(...)
			now = now + 2;
			return set_keys(...);
		end
		finally(function () map.set_keys = set_keys; end);
		assert.is_false(store:flush_all());
		assert.equal(7, failures, "three in six seconds");
		assert.equal("1", ids("e"));
	end);

	it("F1 when Prosody stops, what fails is tried again, for no longer than all are tried", function ()
		local slept, works_after = 0, nil;
		local function sleep(seconds)
			now, slept = now + seconds, slept + seconds;
			if slept == works_after then broken = false; end
		end
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "1"); end
		assert.is_true(store:flush_at_stop(now, sleep));
		assert.equal(0, slept, "there is nothing to wait for");
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "2"); end
		broken, works_after = true, 2;
		assert.is_true(store:flush_at_stop(now, sleep));
		assert.equal(2, slept);
		for _, user in ipairs { "a", "b", "c", "d" } do assert.equal("1 2", ids(user)); end
		ask("a", "3");
		broken, slept, works_after = true, 0, nil;
		assert.is_false(store:flush_at_stop(now, sleep));
		assert.equal(4, slept);
		broken = { a = true, b = true, c = true };
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "4"); end
		assert.is_false(store:flush_at_stop(now, sleep));
		assert.equal("1 2 4", ids "d", "though three could not be written before");
		ask("d", "5");
		assert.is_false(store:flush_at_stop(now - 10, sleep));
		assert.equal("1 2 4", ids "d", "another host has taken the time: nobody is tried any more once three could not be written");
		broken, slept = true, 0;
		assert.is_false(store:flush_at_stop(now - 3, sleep));
		assert.equal(1, slept, "another host has waited already");
		slept = 0;
		local set_keys = map.set_keys;
		finally(function () map.set_keys = set_keys; end);
		function map.set_keys(...)
			now = now + 4;
			return set_keys(...);
		end
		assert.is_false(store:flush_at_stop(now, sleep));
		assert.equal(0, slept, "it has taken that long");
		function map.set_keys(...)
			set_by = set_by - 100;
			return set_keys(...);
		end
		assert.is_false(store:flush_at_stop(now, sleep));
		assert.equal(4, slept, "whatever the clock says");
	end);

	it("F1 at the end nobody has a second turn, though of who could not be written first there was only something to be removed", function ()
		ask("a", "1");
		ask("a", "2");
		store:flush(10);
		pending:match("a@h", "x@h", "1", now);
		ask("b", "1");
		unwritable = true;
		local looks, why = 0, store.put_off.why;
		function store.put_off.why(...)
			looks = looks + 1;
			assert(looks < 10, "this has no end");
			return why(...);
		end
		assert.is_false(store:flush_all());
		assert.equal(2, failures);
		unwritable = false;
		assert.is_true(store:flush_all());
		assert.same({ "2", "1" }, { ids "a", ids "b" });
	end);

	it("F1 records are removed though more users are put off than have their turn in one step", function ()
		broken = {};
		for i = 1, 5 do
			broken["u"..i] = true;
			ask("u"..i, "1");
			ask("z", tostring(i)); -- others can be written: else the store would be down
			store:flush(10);
		end
		dropped(select(2, pending:expire(now + 1000, 10, "z@h")));
		for _ = 1, 2 do assert.equal("more", store:flush(3)); end
		assert.equal("", ids "z");
	end);

	it("F1 when Prosody stops, all are tried, though more cannot be written than are tried again", function ()
		broken = {};
		for i = 1, 20 do
			broken["u"..i] = true;
			ask("u"..i, "1");
		end
		ask("z", "1");
		assert.is_false(store:flush_at_stop(now, function (seconds) now = now + seconds; end));
		assert.equal("1", ids("z"));
	end);

	it("F1 one user who cannot be written holds up nobody else", function ()
		broken = { a = true };
		ask("a", "1");
		for i = 1, 20 do ask("u"..i, "1"); end
		assert.equal("failing", store:flush(100));
		assert.is_true(failures < 3, "one user's trouble is not the store's");
		for i = 1, 20 do assert.equal("1", ids("u"..i)); end
		for _ = 1, 5 do
			now = now + 600;
			assert.equal("failing", store:flush(100));
		end
		assert.is_true(failures > 3, "again and again, and nobody else has come since");
		assert.is_true(store:load("b"), "and still it is that user's");
		broken = false;
		now = now + 600;
		assert.equal("done", store:flush(100));
		assert.equal("1", ids("a"));
	end);

	it("F1 the server itself has no records, and holds up nobody", function ()
		pending:add("h", "x@h", "1", now);
		ask("a", "1");
		assert.equal("done", store:flush(10));
		assert.same({ 1, "1" }, { writes, ids("a") });
		pending:match("h", "x@h", "1", now);
		pending:add("h", "x@h", "2", now);
		dropped(select(2, pending:expire(now + 1000, 10, "h")));
		assert.same({ "done", 1 }, { store:flush(10), writes });
	end);

	-- Half an hour in which others are read, each of them once. Returns when anything failed.
	local function while_others_are_read(work)
		local began, tried, last = now, {}, failures;
		for i = 1, 1800 / 2.5 do
			now = now + 2.5;
			store:load("reader"..i);
			if work then work(); end
			store:flush(10);
			if failures > last then table.insert(tried, now - began); end
			last = failures;
		end
		return tried;
	end

	it("F1 one user whose records are of no use is tried less and less often, up to every ten minutes", function ()
		broken = { a = true };
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		local tried = while_others_are_read(function ()
			store:load("a");
			ask("b", tostring(now)); -- the store works
		end);
		assert.same({ 2.5, 52.5, 552.5, 1152.5, 1752.5 }, tried, "who could not be written may be read: that is found out at once");
		assert.is_nil(data.a);
		local last = failures;
		assert.is_false(store:flush_all());
		assert.equal(last + 1, failures, "at the end of all it is tried again");
		broken = false;
		assert.is_true(store:flush_all());
		assert.equal("1", ids("a"));
		broken, last = { a = true }, failures;
		ask("a", "2");
		store:flush(10);
		now = now + 5;
		store:flush(10);
		assert.equal(last + 2, failures, "what has worked begins anew");
	end);

	it("F1 while the store fails, what it never got is nothing to be removed from it", function ()
		ask("a", "stored");
		store:flush(10);
		broken = true;
		for i = 1, 100 do
			ask("a", ("%03d"):format(i)); -- each makes room for the next
			now = now + 5;
			if i % 5 == 0 then assert.equal("failing", (store:flush(10))); end
		end
		local keys = {};
		for key in pairs(store.gone.a) do table.insert(keys, key); end
		assert.same({ records.key("x@h", "stored") }, keys);
		broken = false;
		store:flush_all();
		assert.equal("091 092 093 094 095 096 097 098 099 100", ids("a"));
	end);

	it("F1 of the only user there is, a store that fails is tried as often as of others, and what waits is written when it works", function ()
		broken = true;
		ask("a", "1");
		store:flush(10);
		for _ = 1, 60 / 2.5 do
			now = now + 2.5;
			store:flush(10);
		end
		assert.is_true(failures >= 12, failures);
		broken = false;
		now = now + 5;
		store:flush(10);
		assert.equal("1", ids("a"));
	end);

	it("F1 what is read while the disk is full says nothing of whether it can be written: who writes alone is tried as often as of others",
	function ()
		unwritable = true;
		ask("a", "1");
		store:flush(10);
		store.known:set("a", nil); -- as when very many users have been seen since
		assert.equal(360, #while_others_are_read(function () store:load("a"); end));
		unwritable = false;
		now = now + 5;
		assert.equal("done", store:flush(10));
		assert.equal("1", ids("a"));
	end);

	it("F1 a disk that is full is down for who is to be written, and for nobody who is to be read", function ()
		unwritable = true;
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "1"); end
		store:flush(10);
		assert.equal(3, failures);
		assert.is_true(store:load("e"));
		assert.equal(720, #while_others_are_read(), "one is tried each time");
		assert.is_true(store:knows("reader1") and store:knows("reader720"));
		assert.same({}, lines);
		broken = true;
		for _, user in ipairs { "r", "s", "t" } do assert.is_false(store:load(user)); end
		broken, now = false, now + 5;
		assert.is_true(store:load("r"));
		assert.same({}, lines, "it does not work yet");
		unwritable = false;
		assert.equal("done", store:flush(10));
		for _, user in ipairs { "a", "b", "c", "d" } do assert.equal("1", ids(user)); end
		assert.same({ "info: The store of what is pending works again" }, lines);
	end);

	it("F1 who alone cannot be written is tried less and less often, though they can be read", function ()
		unwritable = { a = true };
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		store.known:set("a", nil);
		assert.same({ 5, 55, 555, 1155, 1755 }, while_others_are_read(function ()
			store:load("a");
			ask("b", tostring(now));
		end));
		assert.is_true(store:knows("a"));
	end);

	it("F1 who alone cannot be written is read all the same", function ()
		unwritable = { a = true };
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		store.known:set("a", nil);
		assert.is_true(store:load("a"));
	end);

	it("F1 who cannot be read is tried less and less often though nobody else is written", function ()
		broken = { a = true };
		assert.is_false(store:load("a"));
		ask("a", "1");
		assert.same({ 5, 55, 555, 1155, 1755 }, while_others_are_read());
	end);

	it("F1 while the store is down whoever is next finds out that it works again, though they have been put off for longer", function ()
		broken = { a = true };
		for i = 1, 3 do
			assert.same({ false, true }, { (store:load("a")), (store:load("u"..i)) });
			now = now + 100;
		end
		broken = true;
		for _, user in ipairs { "b", "c", "d" } do assert.is_false((store:load(user))); end
		assert.equal(now, store.reading.down);
		broken, now = false, now + 6;
		assert.is_true((store:load("a")));
	end);

	it("F1 when the store works again nobody waits for their turn", function ()
		for _, user in ipairs { "a", "b", "c", "d" } do ask(user, "1"); end
		broken = true;
		for _ = 1, 40 do
			store:flush(10);
			now = now + 2.5;
		end
		assert.is_true(failures >= 40, "one is tried each time, so that it is noticed");
		broken = false;
		assert.equal("done", store:flush(10));
		for _, user in ipairs { "a", "b", "c", "d" } do assert.equal("1", ids(user)); end
	end);

	it("F1 a deletion that fails is tried less and less often, and forgetting clears what cannot be read", function ()
		data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now } };
		broken = { a = true };
		local set = keyval.set;
		keyval.set = function (_, user, value)
			if broken and broken.set then return nil, "disk full"; end
			data[user] = value;
			return true;
		end;
		finally(function () keyval.set = set; end);
		assert.is_false(store:load("a"));
		broken.set = true;
		assert.is_false(store:forget("a"));
		local before = failures;
		for _ = 1, 8 do
			now = now + 2.5;
			ask("b", tostring(now)); -- the store works
			store:flush(10);
		end
		assert.equal(before + 1, failures);
		broken.set = nil;
		assert.is_true(store:forget("a"));
		assert.is_nil(data.a);
		assert.is_true(store:load("a"));
		assert.equal("done", store:flush(10));
	end);

	it("F1 says that it cannot tell while the store cannot be read, and tries again", function ()
		data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now } };
		broken = true;
		assert.is_false(store:load("a"));
		assert.is_false(store:load("a"));
		assert.equal(1, failures, "not for every message");
		for _, user in ipairs { "b", "c", "d", "e" } do assert.is_false(store:load(user)); end
		assert.equal(3, failures, "three users in a row: it is down for all");
		broken = false;
		assert.is_false(store:load("a"));
		now = now + 5;
		assert.is_true(store:load("a"));
		assert.equal(1, pending:count("a@h"));
		assert.truthy(table.concat(lines, "\n"):find("info: The store of what is pending works again", 1, true));
		assert.is_true(store:load("e"));
		broken = { z = true };
		assert.is_false(store:load("z"));
		assert.is_true(store:load("y"), "that it was down before is forgotten");
	end);

	it("F1 tries again after some seconds, to whatever time the clock is set meanwhile", function ()
		broken = true;
		for _, user in ipairs { "b", "c", "d" } do assert.is_false(store:load(user)); end
		broken, set_by = false, -3600;
		assert.is_false(store:load("a"));
		now = now + 5;
		assert.is_true(store:load("a"));
		data.e = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = time() } };
		pending:limit { capacity = 1, per_user = 10 };
		ask("a", "1");
		assert.is_false(store:load("e"));
		pending:limit { capacity = 2, per_user = 10 };
		set_by = -7200;
		assert.is_false(store:load("e"));
		now = now + 5;
		assert.is_true(store:load("e"));
	end);

	it("F1 forgets a user altogether", function ()
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		ask("a", "2");
		now = now + 1000;
		dropped(select(2, pending:expire(now, 1)));
		assert.is_true(store:forget("a"));
		assert.is_nil(data.a);
		assert.equal(0, pending:count("a@h"));
		store:flush(10);
		assert.is_nil(data.a, "nothing comes back");
		assert.equal("1", ids("b"));
	end);

	it("F1 removes what is stored of a user who leaves for ever when it writes next, and does nothing to a store that has nothing", function ()
		for i = 1, 3 do ask("a", tostring(i)); end
		assert.is_true(store:load("a"));
		ask("b", "1");
		store:flush(10);
		pending:match("a@h", "x@h", "2", now);
		ask("a", "young");
		writes = 0;
		store:leave("a");
		assert.same({ 0, 1, false }, { pending:count("a@h"), pending:count("b@h"), store:knows("a") });
		assert.is_table(data.a);
		assert.equal("done", store:flush(10));
		assert.same({ nil, 0 }, { data.a, writes }, "as a whole: memory keeps an empty table for who has no records left");
		for i = 1, 11 do ask("c", tostring(i)); end
		store:leave("c");
		assert.same({ "1" }, evicted, "what has made room is dealt with before that");
		data.c = {};
		assert.equal("done", store:flush(10));
		assert.same({ 0, {} }, { writes, data.c });
		assert.equal("1", ids("b"));
		assert(pending:check());
	end);

	it("F1 a namesake is not taken for who there was no room for", function ()
		data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now } };
		pending:limit { capacity = 1, per_user = 10 };
		ask("b", "1");
		assert.is_false(store:load("a"));
		assert.is_true(store:forget("a"));
		no_account.a = true;
		for _ in store:sweep() do end -- luacheck: ignore 542
		no_account.a = nil;
		assert.is_false(store:knows("a"));
		assert.is_true(store:load("a"));
	end);

	it("F1 a store that has removed what it was to remove works again", function ()
		broken = true;
		for _, user in ipairs { "a", "b", "c" } do assert.is_false(store:load(user)); end
		broken = false;
		assert.is_false(store:load("d"));
		assert.is_true(store:forget("e"));
		assert.is_true(store:load("d"));
	end);

	it("F1 a store that cannot be written works again when it has removed all of one user", function ()
		unwritable = true;
		for _, user in ipairs { "a", "b", "c" } do ask(user, "1"); end
		assert.equal("failing", store:flush(10));
		unwritable, lines = false, {};
		assert.is_true(store:forget("e"));
		assert.same({ "info: The store of what is pending works again" }, lines);
	end);

	it("F1 what cannot be removed says nothing of whether others can be read", function ()
		unwritable = true;
		for _, user in ipairs { "a", "b", "c" } do assert.is_false(store:forget(user)); end
		assert.is_true(store:load("d"));
	end);

	it("F1 who is deleted is not put off for as long as what could not be read of them", function ()
		data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now } };
		broken = { a = true };
		for _ = 1, 3 do
			assert.is_false(store:load("a"));
			assert.is_true(store:load("served "..now));
			now = now + 50;
		end
		assert.is_false(store:forget("a"));
		broken = false;
		now = now + 5;
		assert.equal("done", store:flush(10));
		assert.is_nil(data.a);
		assert.equal(0, writes, "there is nothing to be written");
	end);

	it("F1 forgets a user of whose entries some have just made room", function ()
		for i = 1, 10 do ask("a", ("%02d"):format(i)); end
		store:flush(10);
		ask("a", "11");
		store:forget("a");
		assert.same({ "01" }, evicted);
		local before = writes;
		assert.equal("done", store:flush(10));
		assert.equal(before, writes, "there is nothing to be removed any more");
	end);

	it("F1 of an account that another process has deleted nothing comes back", function ()
		for _, user in ipairs { "a", "b" } do
			ask(user, "1");
			ask(user, "2");
		end
		store:flush(10);
		data.a, no_account.a = nil, true;
		now = now + 500;
		pending:overdue(now, 500, 10);
		pending:match("a@h", "x@h", "2", now); -- what is removed comes last
		assert.equal("done", store:flush(10));
		assert.same({ "a" }, deleted);
		assert.is_nil(data.a);
		assert.equal(0, pending:count("a@h"));
		assert.equal("1 2", ids("b"));
		ask("a", "asked, and the client was gone, and the account");
		ask("b", "3");
		store:flush(10);
		assert.same({ "a", "a" }, deleted);
		assert.is_nil(data.a);
		no_account.a = nil;
		ask("a", "of a namesake");
		store:flush(10);
		assert.equal("of a namesake", ids("a"));
		assert.equal("1 2 3", ids("b"));
	end);

	it("F1 takes nobody for deleted where accounts cannot be looked up", function ()
		ask("a", "1");
		store:load("a");
		no_account.a = "error";
		assert.equal("done", store:flush(10));
		assert.is_false(store:look_up("a"));
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.equal("1", ids("a"));
		assert.same({}, deleted);
	end);

	it("F1 says of whom it takes for deleted, also where its records are there still, and of nobody whom this process has deleted", function ()
		for _, user in ipairs { "a", "b" } do
			store:load(user);
			ask(user, "1");
		end
		store:flush(10);
		store:forget("b");
		no_account.a, no_account.b = true, true;
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.same({ "info: The account a was deleted by another process: what was pending of it is forgotten" }, lines);
		assert.same({}, data);
	end);

	it("F1 looks up no account for what is removed, and none of who is put off", function ()
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		looked_up = {};
		pending:match("a@h", "x@h", "1", now);
		store:flush(10);
		broken = { b = true };
		ask("b", "2");
		store:flush(10);
		assert.same({ "b" }, looked_up);
		now = now + 1;
		store:flush(10);
		assert.same({ "b" }, looked_up);
	end);

	it("F1 finds out in time what other processes have deleted, though there is nothing to be written", function ()
		for _, user in ipairs { "a", "b", "c" } do
			store:load(user);
			ask(user, "1");
		end
		store:flush(10);
		data.a, no_account.a = nil, true;
		looked_up = {};
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.same({ "a" }, deleted);
		assert.same({ 0, 1, 1 }, { pending:count("a@h"), pending:count("b@h"), pending:count("c@h") });
		assert.equal(3, #looked_up, "once each");
		assert.is_false(store:knows("a"));
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.same({ "a" }, deleted);
	end);

	it("F1 goes on sweeping as if it had read nothing while the store is down, and tells of it as of any failure", function ()
		for _, user in ipairs { "a", "b", "c", "d", "e" } do data[user] = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now - 2000 } }; end
		local step = store:sweep();
		broken = true;
		for _ = 1, 5 do assert.is_string(step()); end
		assert.is_nil(step());
		assert.same({ 3, {} }, { failures, expired });
		broken, now = false, now + 5;
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.equal(5, #expired);
	end);

	it("F1 some whose records cannot be read, among others, are no sign that the store is down, in a sweep either", function ()
		for user in ("abcdefg"):gmatch(".") do data[user] = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now - 2000 } }; end
		broken = { b = true, d = true, f = true };
		local users = {};
		keyval.users = function ()
			local user = ("a"):byte() - 1;
			return function ()
				user = user + 1;
				return user <= ("g"):byte() and string.char(user) or nil;
			end;
		end;
		finally(function () keyval.users = function () return pairs(data); end; end);
		for user in store:sweep() do table.insert(users, user); end
		assert.same({ 7, 4, 3 }, { #users, #expired, failures });
		assert.is_true(store:load("h"));
	end);

	it("F1 of who is found to be deleted when that is to be written for the last time nothing stays in the store", function ()
		ask("a", "1");
		store:flush(10);
		ask("a", "2");
		no_account.a = true;
		assert.is_true(store:flush_all());
		assert.is_nil(data.a);
	end);

	it("F1 looks nobody up for whom the storage is at work", function ()
		ask("a", "1");
		store:flush(10);
		data.a, no_account.a, no_account.wait = nil, true, true;
		looked_up = {};
		local first = coroutine.wrap(function () return store:look_up("a"); end);
		first();
		assert.is_false(store:look_up("a"));
		assert.same({ "a" }, looked_up);
		assert.is_true(first());
		assert.same({ "a" }, deleted);
		assert.equal(0, pending:count("a@h"));
		no_account.a = nil;
		assert.is_false(store:look_up("a"));
	end);

	it("F2 goes round the users whose entries came from the store, as long as they have any", function ()
		for _, user in ipairs { "a", "b", "c" } do ask(user, "1"); end
		store:flush(10);
		restart();
		local function turn()
			local list = {};
			for user in store.restored_user, store do table.insert(list, user); end
			return list;
		end
		assert.same({}, turn());
		data.d = { damaged = true };
		for _, user in ipairs { "a", "b", "c", "d" } do store:load(user); end
		ask("d", "1");
		for _ = 1, 2 do assert.same({ "a@h", "b@h", "c@h" }, turn()); end
		pending:forget("b@h");
		assert.same({ "a@h", "b@h", "c@h" }, turn());
		assert.same({ "a@h", "c@h" }, turn());
		store.known:set("b", nil); -- as when very many users have been seen since: it is read again
		store:load("b");
		assert.same({ "a@h", "c@h", "b@h" }, turn());
	end);

	it("F2 sweeps the records of those who do not come back", function ()
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		now = now + 600;
		ask("b", "2");
		store:flush(10);
		restart();
		store:load("a");
		now = now + 600;
		data.c = "damaged";
		local step, seen = store:sweep(), {};
		for user in step do seen[user] = true; end
		assert.is_true(seen.b and seen.c and seen.a);
		assert.same({ "b@h 1 pending" }, expired);
		for _ in store:sweep() do end
		assert.equal(1, #expired, "once, though the store has it still");
		store:flush(10);
		assert.equal("2", ids("b"));
		assert.equal("1", ids("a"), "who is in memory is dealt with there");
		assert.is_nil(lib.new("h", pending, { keyval = { users = function () return false, "no" end } }, { ttl = 1, now = time }):sweep()());
	end);

	it("F2 keeps nothing for longer than a record, be it no record of ours, as those of a host that was renamed are", function ()
		local function other(asked) return { to = "x@new.name", id = "1", time = asked }; end
		local function left(user)
			local keys = {};
			for key in pairs(data[user] or {}) do table.insert(keys, key); end
			table.sort(keys);
			return table.concat(keys, " ");
		end
		local function sweep_and_write()
			for _ in store:sweep() do end -- luacheck: ignore 542
			store:flush(10);
			return left("seen"), left("unseen");
		end
		local key = records.key("x@h", "1");
		for _, user in ipairs { "seen", "unseen" } do
			data[user] = { old = other(now - 1000), young = other(now - 999), text = "rubbish", timeless = { time = "soon" } };
		end
		store:load("seen");
		assert.same({ "text timeless young", "text timeless young" }, { sweep_and_write() });
		now = now + 1;
		assert.same({ "text timeless", "text timeless" }, { sweep_and_write() }, "also of who has been read by now");
		data.seen = { [key] = { to = "x@h", id = "1", time = now, state = "of another version" } };
		restart();
		store:load("seen");
		assert.equal(key, (sweep_and_write()));
		local before = store;
		store = new_store(pending);
		store:take_over(before);
		now = now + 1000;
		assert.equal("", (sweep_and_write()));
		assert.same({}, expired);
		sweep_and_write();
		assert.is_nil(store.others.at.seen, "and nothing is read for that any more");
	end);

	it("F2 has records of a time to come, as a clock that was ahead leaves them, written with that of today, so that they expire", function ()
		local today = now;
		now = now + 1e6;
		ask("a", "1");
		ask("b", "1");
		ask("b", "2");
		store:flush(10);
		now = today;
		data.b[records.key("x@h", "2")].time = now - 900;
		restart();
		store:load("a");
		store:flush(10);
		restart();
		now = now + 500;
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.is_false(store:knows("a"));
		assert.is_true(store:knows("b"));
		store:flush(10);
		local function time_of(user) return data[user][records.key("x@h", "1")].time; end
		assert.same({ today, today + 500 }, { time_of("a"), time_of("b") });
		assert.same({ "b@h 2 pending" }, expired);
		assert.equal("1", ids("b"));
		restart();
		for _, seconds in ipairs { 499, 1 } do
			now = now + seconds;
			for _ in store:sweep() do end -- luacheck: ignore 542
		end
		assert.same({ "b@h 2 pending", "a@h 1 pending" }, expired);
		now = now + 500;
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.equal("b@h 1 pending", expired[3]);
		assert.is_false(store:knows("b"));
	end);

	it("F2 F3 leaves to the table what that has, though of a user whose records have not been read", function ()
		ask("a", "1");
		store:flush(10);
		store.known:clear(); -- as when there are too many users
		now = now + 1000;
		for _ in store:sweep() do end
		assert.same({}, expired);
		assert.equal(1, pending:count("a@h"));
	end);

	it("F2 F3 tells once of what has made room and is over its time before somebody has said so", function ()
		for i = 1, 10 do ask("a", tostring(i)); end
		store:flush(10);
		now = now + 1000;
		ask("a", "11");
		for _ in store:sweep() do end
		assert.same({ { "1" }, {} }, { evicted, expired });
	end);

	it("F1 F2 tells nothing of who is forgotten and cannot be removed yet", function ()
		ask("a", "1");
		store:flush(10);
		broken = { set = true };
		finally(function () broken = false; end);
		assert.is_false(store:forget("a"));
		store.known:clear();
		broken, now = false, now + 1000;
		for _ in store:sweep() do end
		assert.same({}, expired);
	end);

	it("F2 F3 tells of what is over its time when it is read, and removes it", function ()
		ask("a", "1");
		store:flush(10);
		restart();
		now = now + 1000;
		assert.is_true(store:load("a"));
		assert.same({ "a@h 1 pending" }, expired);
		store:flush(10);
		assert.is_nil(data.a);
	end);

	it("F1 an entry that made room does not come back with the user's records", function ()
		for i = 1, 10 do ask("a", ("%02d"):format(i)); end
		store:flush(10);
		store.known:set("a", nil); -- as when very many users have been seen since
		ask("a", "11");
		assert.is_true(store:load("a"));
		assert.same({ "01" }, evicted);
		assert.equal(10, pending:count("a@h"));
		store:flush(10);
		assert.equal("02 03 04 05 06 07 08 09 10 11", ids("a"));
		assert.equal(1, #store.restored);
		store.known:set("a", nil);
		store:load("a");
		assert.equal(1, #store.restored, "once in the queue");
	end);

	it("F2 what is over a lowered limit is dropped when it is loaded", function ()
		for i = 1, 10 do ask("a", ("%02d"):format(i)); end
		store:flush(10);
		restart();
		pending:limit { per_user = 4 };
		store:load("a");
		assert.equal(6, #evicted);
		store:flush(10);
		assert.equal("07 08 09 10", ids("a"));
	end);

	it("F2 a table that is full does not lose track of records", function ()
		ask("a", "1");
		store:flush(10);
		restart();
		pending:limit { capacity = 1, per_user = 10 };
		ask("b", "1");
		local reads, get = 0, keyval.get;
		keyval.get = function (...) reads = reads + 1; return get(...); end;
		finally(function () keyval.get = get; end);
		for _ = 1, 3 do assert.same({ false, "there is no room for it in memory (receipts_max_pending)" }, { store:load("a") }); end
		assert.equal(1, reads, "not for each message");
		assert.equal("1", ids("a"));
		pending:match("b@h", "x@h", "1", now);
		now = now + 5;
		assert.is_true(store:load("a"));
		assert.equal(1, pending:count("a@h"));
	end);

	it("F2 a table that is full takes what it has room for, and the store keeps the rest", function ()
		for i = 1, 5 do ask("a", tostring(i)); end
		store:flush(10);
		restart();
		pending:limit { capacity = 4, per_user = 10 };
		ask("b", "1");
		ask("a", "new");
		assert.is_false(store:load("a"));
		assert.same({}, evicted);
		store:flush(10);
		assert.equal("1 2 3 4 5 new", ids("a"));
		pending:limit { capacity = 10, per_user = 10 };
		now = now + 5;
		assert.is_true(store:load("a"));
		assert.equal(6, pending:count("a@h"));
	end);

	it("F2 over a user's limit the oldest goes, though it is loaded after what is younger", function ()
		for i = 1, 3 do ask("a", tostring(i)); end
		store:flush(10);
		restart();
		pending:limit { per_user = 3 };
		now = now + 1;
		for i = 4, 6 do ask("a", tostring(i)); end
		assert.is_true(store:load("a"));
		assert.same({ "1", "2", "3" }, evicted);
		store:flush(10);
		assert.equal("4 5 6", ids("a"));
	end);

	it("F2 what makes room for older records does not come back with its own", function ()
		for i = 1, 10 do ask("a", "a"..i); end
		store:flush(20);
		restart();
		ask("a", "b");
		store:flush(20); -- as when nothing could be read
		assert.is_true(store:load("a"));
		assert.same({ "b" }, evicted);
		assert.equal(10, pending:count("a@h"));
		store:flush(20);
		assert.equal("a1 a10 a2 a3 a4 a5 a6 a7 a8 a9", ids("a"));
	end);

	it("F1 records that there was no memory for are read again later", function ()
		ask("a", "1");
		store:flush(10);
		restart();
		local methods = debug.getmetatable(pending).__index;
		local import = methods.import;
		methods.import = function () return 0, 1, { "out of memory" }; end;
		finally(function () methods.import = import; end);
		assert.is_false(store:load("a"));
		assert.same({}, lines);
		methods.import = import;
		now = now + 5;
		assert.is_true(store:load("a"));
		assert.equal(1, pending:count("a@h"));
	end);

	it("F1 a storage that raises errors fails like any other", function ()
		data.a = "damaged";
		ask("a", "1");
		local set_keys = map.set_keys;
		map.set_keys = function (_, user, keys)
			if type(data[user]) == "string" then error("attempt to index a string value"); end
			return set_keys(_, user, keys);
		end;
		finally(function () map.set_keys = set_keys; end);
		ask("b", "1");
		assert.equal("failing", store:flush(10));
		assert.equal("1", ids("b"));
		now = now + 5;
		assert.is_true(store:load("a"));
		assert.truthy(lines[1]:find("damaged altogether", 1, true));
		assert.equal("damaged", data.a, "left alone as long as there is nothing to store");
		assert.equal("done", store:flush(10));
		assert.equal("1", ids("a"));
		local get = keyval.get;
		keyval.get = function () error("no connection"); end;
		assert.is_false(store:load("c"));
		keyval.get = get;
	end);

	it("F1 records of others are removed though one user cannot be written", function ()
		ask("a", "1");
		ask("b", "1");
		store:flush(10);
		broken = { a = true };
		ask("a", "2");
		now = now + 1000;
		dropped(select(2, pending:expire(now, 10, "b@h")));
		assert.equal("failing", store:flush(10));
		assert.is_nil(data.b);
	end);

	it("F1 a deletion that fails is made up for, and a namesake gets nothing of it", function ()
		ask("a", "1");
		store:flush(10);
		broken = true;
		assert.is_false(store:forget("a"));
		broken = false;
		assert.is_true(store:load("a"));
		assert.equal(0, pending:count("a@h"));
		ask("a", "2");
		now = now + 5;
		assert.equal("done", store:flush(10));
		assert.equal("2", ids("a"));
		broken = true;
		store:forget("a");
		broken = false;
		now = now + 5;
		assert.equal("done", store:flush(10));
		assert.is_nil(data.a);
	end);

	it("F1 of a namesake nothing is known while the store is down, and still fails to delete, nor is it said to work", function ()
		store:load("a");
		no_account.a, broken = true, { set = true };
		for _ in store:sweep() do end -- luacheck: ignore 542
		assert.same({ "a" }, deleted);
		lines = {};
		broken = true;
		for _, user in ipairs { "b", "c", "d" } do assert.is_false(store:load(user)); end
		now = now + 5;
		assert.is_false(store:load("a"));
		assert.same({}, lines);
		broken = false;
		now = now + 5;
		assert.is_true(store:load("a"));
	end);

	it("F1 what a namesake asks while a deletion still fails is written once it does not", function ()
		ask("a", "1");
		store:flush(10);
		local set = keyval.set;
		keyval.set = function () return nil, "disk full"; end;
		assert.is_false(store:forget("a"));
		now = now + 5;
		ask("a", "2");
		assert.equal("failing", store:flush(10));
		keyval.set = set;
		now = now + 600;
		assert.equal("done", store:flush(10));
		assert.equal("2", ids("a"));
	end);

	it("F1 another store takes over what this one knew", function ()
		ask("a", "1");
		store:flush(10);
		restart();
		store:load("a");
		now = now + 1000;
		dropped(select(2, pending:expire(now, 10)));
		local old = store;
		ask("b", "1");
		store = new_store(pending);
		store:take_over(old);
		assert.is_true(store:knows("a"));
		assert.equal("a@h", store:restored_user());
		assert.equal("done", store:flush(10));
		assert.is_nil(data.a);
		assert.equal("1", ids("b"));
	end);

	it("F2 stops in time, and says that there is more", function ()
		for i = 1, 5 do ask("u"..i, "1"); end
		local set_keys = map.set_keys;
		map.set_keys = function (...)
			now = now + 0.1;
			return set_keys(...);
		end;
		finally(function () map.set_keys = set_keys; end);
		assert.equal("more", store:flush(100, 0.15));
		assert.equal(2, writes);
		assert.equal("more", store:flush(1));
		assert.equal("done", store:flush(100, 10));
		assert.equal(5, writes);
	end);

	it("F2 nobody is written twice before the others because something of theirs has come of age", function ()
		ask("u1", "1");
		ask("u2", "1");
		now = now + 2;
		ask("u1", "2");
		ask("u3", "1");
		now = now + 2;
		local order = {};
		local set_keys = map.set_keys;
		map.set_keys = function (self, user, keys)
			table.insert(order, user);
			return set_keys(self, user, keys);
		end;
		finally(function () map.set_keys = set_keys; end);
		assert.same({ "more", 4 }, { store:flush(1, nil, 3) });
		now = now + 1;
		assert.same({ "more", 5 }, { store:flush(1, nil, 3) });
		assert.same({ "more", 3 }, { store:flush(1, nil, 3) });
		assert.same({ "done", 0 }, { store:flush(1, nil, 3) });
		assert.same({ "u1", "u2", "u3" }, order);
		assert.same({ "more", 3 }, { store:flush(1, nil, 3) });
		assert.same({ "done", 0 }, { store:flush(1, nil, 3) });
		assert.same({ "u1", "u2", "u3", "u1" }, order);
	end);

	it("F1 F2 says for how long has waited what was not in the store yet, and no more of what was", function ()
		ask("a", "1", { injected = true });
		store:flush(10);
		now = now + 50;
		pending:overdue(now, 50, 10);
		assert.same({ "done", 0 }, { store:flush(10) });
		assert.equal(2, writes, "that it is overdue is written");
		pending:match("a@h", "x@h", "1", now);
		now = now + 3;
		broken = true;
		assert.same({ "failing", 0 }, { store:flush(10) });
		broken, now = false, now + 5;
		assert.same({ "done", 8 }, { store:flush(10) });
	end);

	it("F1 who has waited longest is written first, though others come of age, or are acked, all the time", function ()
		ask("old", "1");
		now = now + 0.25;
		for i = 1, 8 do ask("acked"..i, "1"); end
		store:flush(10);
		ask("late", "1");
		for i = 1, 8 do
			now = now + 0.25;
			ask("new"..i, "1");
			pending:match("acked"..i.."@h", "x@h", "1", now);
			store:flush(1, nil, 1);
			if i == 5 then assert.equal("1", ids("late"), "old enough for two steps, behind acks"); end
		end
		assert.equal("1", ids("new1"));
	end);

	it("F1 nobody waits until all records that are to be removed are removed", function ()
		for i = 1, 10 do ask("gone"..i, "1"); end
		store:flush(100);
		now = now + 1000;
		dropped(select(2, pending:expire(now, 100)));
		local waited = {};
		for n = 1, 15 do
			ask("a", tostring(n));
			now = now + 1;
			assert.equal("more", store:flush(1, nil, 2));
			for _, record in pairs(data.a or {}) do waited[record.id] = waited[record.id] or now - record.time; end
		end
		for n = 1, 10 do assert.is_true(waited[tostring(n)] <= 5, n); end
	end);

	it("F2 a user whose records take long is written once, and not again until the others have been", function ()
		for i = 1, 3 do ask("u"..i, "1"); end
		local set_keys = map.set_keys;
		map.set_keys = function (...)
			now = now + 0.1;
			return set_keys(...);
		end;
		finally(function () map.set_keys = set_keys; end);
		local results = {};
		for step = 1, 4 do
			results[step] = store:flush(100, 0.05);
			for n = 1, 11 do ask("u1", "flood-"..step.."-"..n); end -- more than is kept of one user: some go
			store.actions.drain();
		end
		assert.same({ "more", "more", "more", "done" }, results);
		assert.equal(3, writes);
		assert.equal("more", store:flush(100, 0.05));
		assert.equal(4, writes);
		ask("u1", "last");
		store.actions.drain();
		assert.is_true(store:flush_all());
		assert.truthy(ids("u1"):find("last", 1, true), "all of it, at the end");
	end);

	describe("and a storage that lets others run before it answers", function ()
		local methods = { get = keyval.get, set = keyval.set, set_keys = map.set_keys };
		local in_use, clashes;

		-- Who calls waits twice: before the storage does something, and after it.
		local function waiting(method)
			return function (storage, user, ...)
				if in_use[user] then clashes = clashes + 1; end
				in_use[user] = true;
				coroutine.yield();
				local result, err = method(storage, user, ...);
				coroutine.yield();
				in_use[user] = nil;
				return result, err;
			end;
		end
		before_each(function ()
			in_use, clashes = {}, 0;
			keyval.get, keyval.set, map.set_keys = waiting(methods.get), waiting(methods.set), waiting(methods.set_keys);
		end);
		after_each(function ()
			keyval.get, keyval.set, map.set_keys = methods.get, methods.set, methods.set_keys;
			assert.equal(0, clashes);
		end);

		-- Does something until it waits. Its results are then in .results.
		local function start(method, ...)
			local thread = coroutine.create(store[method]);
			return { thread = thread, results = { select(2, assert(coroutine.resume(thread, store, ...))) } };
		end
		local function waits(one) return one and coroutine.status(one.thread) ~= "dead"; end
		local function go_on(one) one.results = { select(2, assert(coroutine.resume(one.thread))) }; end
		local function finish(one)
			while waits(one) do go_on(one); end
			return table.unpack(one.results);
		end
		local function do_it(method, ...) return finish(start(method, ...)); end

		local function reload()
			local old = store;
			store = new_store(pending);
			store:take_over(old);
		end

		-- Sweeps the whole store, and returns the users that it has come to.
		local function sweep()
			local step, users = store:sweep(), {};
			local user;
			repeat
				user = finish { thread = coroutine.create(step), results = {} };
				table.insert(users, user);
			until not user;
			table.sort(users);
			return users;
		end

		it("F1 what changes while it is written is written next time", function ()
			ask("a", "acked");
			ask("a", "kept");
			local writing = start("flush", 10);
			pending:match("a@h", "x@h", "acked", now);
			ask("a", "new");
			assert.equal("done", (finish(writing)));
			assert.equal("acked kept", ids("a"));
			do_it("flush", 10);
			assert.equal("kept new", ids("a"));
		end);

		it("F1 what could not be written after all is written later, as it is then, and nothing comes back", function ()
			ask("a", "removed");
			for i = 1, 9 do ask("a", ("%02d"):format(i)); end
			do_it("flush", 10);
			pending:match("a@h", "x@h", "removed", now);
			ask("a", "new"); -- "01" makes room
			now = now + 1;
			broken = true;
			local writing = start("flush", 10);
			pending:match("a@h", "x@h", "new", now);
			ask("a", "newer");
			ask("a", "removed");
			assert.equal("failing", (finish(writing)));
			assert.is_true(pending:check());
			broken = false;
			now = now + 5;
			assert.equal("done", (do_it("flush", 10)));
			local kept = {};
			for _, entry in ipairs(pending:list("a@h")) do table.insert(kept, entry.id); end
			table.sort(kept);
			assert.equal(table.concat(kept, " "), ids("a"));
			assert.truthy(ids("a"):find("removed", 1, true), "asked again");
			assert.falsy(ids("a"):find("new ", 1, true));
		end);

		it("F1 what could not be removed is removed later, though it is out of the table by then", function ()
			ask("a", "removed");
			ask("a", "kept");
			do_it("flush", 10);
			pending:match("a@h", "x@h", "removed", now);
			broken = true;
			local writing = start("flush", 10);
			now = now + 200;
			dropped(select(2, pending:expire(now, 10)));
			assert.is_nil(pending:state("a@h", "x@h", "removed"));
			assert.equal("failing", (finish(writing)));
			broken, now = false, now + 5;
			assert.equal("done", (do_it("flush", 10)));
			assert.equal("kept", ids("a"));
		end);

		it("F1 nobody writes what somebody else is about to write, once it is known whether there is the account", function ()
			ask("a", "acked");
			no_account.wait = true;
			local writing = start("flush", 10);
			pending:match("a@h", "x@h", "acked", now);
			assert.equal("failing", (do_it("flush", 10)));
			assert.equal("done", (finish(writing)));
			assert.equal("acked", ids("a"));
			assert.equal("done", (do_it("flush", 10)));
			assert.equal("", ids("a"));
		end);

		it("F1 nobody reads or writes what somebody else reads or writes", function ()
			ask("a", "1");
			ask("b", "1");
			no_account.wait = true;
			local writing = start("flush", 10);
			assert.is_false((do_it("load", "a")));
			assert.is_false(store:knows("a"));
			ask("a", "2");
			assert.equal("failing", (do_it("flush", 10)));
			assert.same({ "", "1" }, { ids("a"), ids("b") });
			finish(writing);
			assert.equal("1", ids("a"));
			local reading, too = start("load", "a"), start("load", "a");
			assert.same({ "a", "b" }, sweep()); -- of whom one is being read
			assert.equal("failing", (do_it("flush", 10)));
			assert.is_true(waits(too));
			assert.is_true((finish(reading)));
			assert.is_false(waits(too));
			assert.equal("done", (do_it("flush", 10)));
			assert.equal("1 2", ids("a"));
			assert.equal(0, failures);
		end);

		it("F1 who is forgotten while they are read, written or removed stays forgotten", function ()
			data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now } };
			local reading = start("load", "a");
			go_on(reading);
			assert.is_false((do_it("forget", "a")));
			finish(reading);
			assert.equal(0, pending:count());
			do_it("flush", 10);
			assert.is_nil(data.a);

			ask("a", "2");
			local writing = start("flush", 10);
			assert.is_false((do_it("forget", "a")));
			finish(writing);
			assert.equal("done", (do_it("flush", 10)));
			assert.is_nil(data.a);

			data.b = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now - 2000 } };
			local step = { thread = coroutine.create(store:sweep()), results = {} };
			go_on(step);
			assert.is_false((do_it("forget", "b")));
			finish(step);
			assert.same({}, expired);

			for reloads = 0, 2 do
				data.a = "damaged altogether";
				store.known:set("a", nil);
				do_it("load", "a");
				ask("a", "3");
				writing = start("flush", 10); -- it is removed first
				for _ = 1, reloads do reload(); end
				do_it("forget", "a");
				finish(writing);
				now = now + 5;
				do_it("flush", 10);
				assert.is_nil(data.a, reloads);
				assert.is_true((do_it("forget", "a")));
			end
		end);

		it("F1 a reload does not lose what is just being written, and cannot be", function ()
			ask("a", "1");
			broken = true;
			local writing = start("flush", 10);
			for _ = 1, 2 do reload(); end
			assert.equal("done", (do_it("flush", 10)));
			finish(writing);
			broken = false;
			now = now + 5;
			do_it("flush", 10);
			assert.equal("1", ids("a"));
		end);

		it("A3 E1 what is being read while we are reloaded is waited for, and read for the table that there is then", function ()
			data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now } };
			local reading = start("load", "a");
			for _ = 1, 2 do reload(); end
			local too = start("load", "a");
			assert.is_true(waits(too));
			assert.is_true((finish(reading)));
			assert.is_true((finish(too)));
			assert.equal("pending", (pending:state("a@h", "x@h", "1")));
		end);

		it("E1 what is being read for a sweep is waited for", function ()
			data.a = { [records.key("x@h", "1")] = { to = "x@h", id = "1", time = now }, [records.key("x@h", "2")] = { to = "x@h", id = "2", time = 1 } };
			local step = { thread = coroutine.create(store:sweep()), results = {} };
			go_on(step);
			local reading = start("load", "a");
			assert.is_true(waits(reading));
			assert.equal("a", (finish(step)));
			assert.is_true((finish(reading)));
			assert.equal("pending", (pending:state("a@h", "x@h", "1")));
			assert.same({ "a@h 2 pending" }, expired);
		end);

		it("F1 an error of ours loses nothing", function ()
			ask("a", "1");
			no_account.a = true;
			store.forget = function () error("no memory"); end;
			assert.error_matches(function () do_it("flush", 10); end, "no memory");
			store.forget, no_account.a = nil, nil;
			assert.equal("done", (do_it("flush", 10)));
			assert.equal("1", ids("a"));
		end);

		it("F1 the store follows the table whatever happens meanwhile", function ()
			for seed = 1, 20 do
				math.randomseed(seed);
				data, broken, ttl = {}, false, 50;
				store = new_store();
				no_account.wait = true;
				local flushing, step;
				local others = {};
				for _ = 1, 600 do
					local user, id, n = ("abc"):sub(math.random(3)):sub(1, 1), tostring(math.random(12)), math.random(40);
					now = now + 0.1;
					broken = math.random(8) == 1;
					if n <= 12 then
						ask(user, id, { injected = n <= 3 });
					elseif n <= 18 then
						pending:match(user.."@h", "x@h", id, now);
					elseif n == 19 then
						dropped(select(2, pending:expire(now + 900, 3)));
					elseif n == 20 then
						table.insert(others, start("forget", user));
					elseif n <= 24 then
						store.known:set(user, nil);
						table.insert(others, start("load", user));
					elseif n == 25 then
						step = math.random(5) > 1 and step or store:sweep();
						table.insert(others, { thread = coroutine.create(step), results = {} });
					elseif waits(flushing) then
						go_on(flushing);
					else
						flushing = start("flush", 10, nil, n % 2 * 3);
					end
					local other = others[math.random(#others + 1)];
					if waits(other) then go_on(other); end
					assert.is_true(pending:check());
				end
				broken = false;
				for _, other in ipairs(others) do finish(other); end
				finish(flushing);
				now = now + 700;
				assert.is_true((do_it("flush_all")), seed);
				for _, user in ipairs { "a", "b", "c" } do
					local kept = {};
					for _, entry in ipairs(pending:export(user.."@h")) do
						if entry.state ~= "delivered" or entry.injected then table.insert(kept, entry.id); end
					end
					table.sort(kept);
					assert.equal(table.concat(kept, " "), ids(user), "seed "..seed);
				end
			end
		end);
	end);

	it("F1 keys are short and plain text whatever the id is", function ()
		for _, id in ipairs { ("y"):rep(1023), "1", "\0\255'" } do assert.truthy(records.key(("x"):rep(3000), id):find("^"..("%x"):rep(32).."$")); end
		assert.not_equal(records.key("a", "b"), records.key("a", "c"));
		assert.not_equal(records.key("a", "b"), records.key("b", "b"));
	end);
end);
