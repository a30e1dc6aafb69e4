-- SPDX-License-Identifier: MIT
-- retries.lib.lua: what the storage fails with is tried again later.

local lib = require "spec.support.paths".lib("retries");

describe("retries", function ()
	local now, tries, broken, one;
	local store = {};
	function store.get(_, user)
		tries = tries + 1;
		if broken[user] then error("disk on fire", 0); end
		return user ~= "nobody" and { user } or nil;
	end
	before_each(function ()
		now, tries, broken, one = 1000, 0, {}, lib.new(function () return now; end);
	end);

	-- After how many seconds is it tried again?
	local function pause(user)
		local before, start = tries, now;
		while tries == before do
			now = now + 1;
			one:read(store, user);
		end
		return now - start;
	end

	it("read what is there, each time", function ()
		for _ = 1, 2 do
			assert.same({ { "bob" } }, { one:read(store, "bob") });
			assert.same({}, { one:read(store, "nobody") });
		end
		assert.equal(4, tries);
	end);

	it("put off what has failed, and tell why", function ()
		broken.bob = true;
		for _ = 1, 10 do assert.same({ nil, "disk on fire" }, { one:read(store, "bob") }); end
		assert.equal(1, tries);
		assert.equal("disk on fire", one:why("bob"));
		assert.is_nil(one:why("eve"));
		assert.equal(5, pause("bob"));
		broken.bob = nil;
		assert.equal(5, pause("bob"));
		assert.is_nil(one:why("bob"));
	end);

	it("put off for longer and longer what fails alone, and not what fails with all others", function ()
		broken.bob, broken.eve = true, true;
		one:read(store, "bob");
		for _ = 1, 3 do
			one:read(store, "eve");
			assert.equal(5, pause("bob"));
		end
		for _, expected in ipairs { 5, 50, 500, 600, 600 } do
			one:read(store, "alice");
			assert.equal(expected, pause("bob"));
		end
	end);

	it("put off for writing alone who cannot be written", function ()
		one:failed("bob", "disk full", true);
		assert.equal("disk full", one:why("bob", true));
		assert.is_nil(one:why("bob"));
		one:failed("eve", "disk on fire");
		for _, writing in ipairs { true, false } do assert.equal("disk on fire", one:why("eve", writing)); end
	end);

	it("begin anew with what has worked since", function ()
		broken.bob = true;
		for _, expected in ipairs { 5, 50, 500 } do
			one:read(store, "bob");
			one:read(store, "alice");
			assert.equal(expected, pause("bob"));
		end
		broken.bob = nil;
		pause("bob");
		broken.bob = true;
		one:read(store, "bob");
		one:read(store, "alice");
		assert.equal(5, pause("bob"));
	end);

	it("forget one, or all", function ()
		broken = { bob = true, eve = true };
		one:read(store, "bob");
		one:read(store, "eve");
		one:forget("bob");
		assert.is_nil(one:why("bob"));
		assert.equal("disk on fire", one:why("eve"));
		one:forget();
		assert.is_nil(one:why("eve"));
	end);

	it("read again what was forgotten while a storage let others run, and nothing else", function ()
		local has, reads, got = { bob = "old", eve = "hers" }, 0, {};
		local slow = {};
		function slow.get(_, user)
			reads = reads + 1;
			local data = has[user];
			coroutine.yield();
			return data;
		end
		local function read(user)
			local thread = coroutine.create(function () got[user] = one:read(slow, user); end);
			local function go_on() assert(coroutine.resume(thread)); end
			go_on();
			return go_on;
		end
		local bob, eve = read("bob"), read("eve");
		one:forget("bob");
		has.bob, has.eve = "new", "newer";
		bob();
		eve();
		assert.same({ eve = "hers" }, got);
		bob();
		assert.same({ bob = "new", eve = "hers" }, got);
		bob = read("bob");
		one:forget();
		has.bob = "newest";
		bob();
		bob();
		assert.equal("newest", got.bob);
		assert.equal(5, reads);
		assert.same({}, one.reading);
	end);

	it("read once for each who asks while a storage lets others run, also when it fails", function ()
		local reads, threads, got = 0, {}, {};
		local slow = {};
		function slow.get()
			reads = reads + 1;
			coroutine.yield();
			if broken.bob then return nil, "disk on fire"; end
			return "his";
		end
		local function all_at_once()
			reads = 0;
			for i = 1, 20 do
				threads[i] = coroutine.create(function () got[i] = { one:read(slow, "bob") }; end);
				assert(coroutine.resume(threads[i]));
			end
		end
		local function go_on(i) assert(coroutine.resume(threads[i])); end
		all_at_once();
		for i = 1, 20 do go_on(i); end
		assert.equal(20, reads);
		for i = 1, 20 do assert.same({ "his" }, got[i]); end
		assert.same({}, one.reading);

		all_at_once();
		for i = 1, 10 do go_on(i); end
		one:forget("bob");
		broken.bob = true;
		for i = 11, 20 do go_on(i); end
		assert.equal(30, reads, "what the others read was old");
		go_on(11);
		assert.same({ nil, "disk on fire" }, got[11]);
		for i = 12, 20 do go_on(i); end
		assert.equal(30, reads);
		one:read(slow, "bob"); -- would wait
		assert.equal(30, reads, "put off");
		assert.same({}, one.reading);
	end);

	it("remember a thousand", function ()
		setmetatable(broken, { __index = function () return true; end });
		for i = 1, 1500 do one:read(store, "user"..i); end
		assert.is_true(one.put_off.count <= 1000);
	end);
end);
