-- SPDX-License-Identifier: MIT
-- people.lib.lua: the clients of people elsewhere. What bounds them is in capabilities_spec.lua; here it is counted what they take.

local lib = require "spec.support.paths".lib("people");

describe("people", function ()
	-- What the fields that are kept up to date come to when they are counted anew.
	local function survey(people)
		local slots, seen_by, seen_count = 0, {}, {};
		people:each(function (jid, client)
			assert.equal(client, people:client(jid, jid:match("^[^/]*")));
			assert.truthy(next(client.shown), jid.." is shown to nobody");
			slots = slots + 12;
			local shown_count = 0;
			for user in pairs(client.shown) do
				slots, shown_count = slots + 2, shown_count + 1;
				seen_by[user], seen_count[user] = seen_by[user] or {}, (seen_count[user] or 0) + 1;
				seen_by[user][jid] = true;
			end
			assert.equal(shown_count, client.shown_count);
		end);
		assert.same(seen_count, people.seen_count);
		return slots, seen_by;
	end

	it("B3 take what is counted, and are known to those whom they are shown to, whatever comes and goes", function ()
		for seed = 1, 20 do
			math.randomseed(seed);
			local strange = {};
			local people = lib.new(function (_, bare) return strange[bare]; end);
			for _ = 1, 100 do
				local bare, user = "p"..math.random(4).."@far", "u"..math.random(3).."@h";
				local jid, choice = bare.."/"..math.random(3), math.random(10);
				local client = people:client(jid, bare);
				strange[bare] = math.random(2) == 1;
				if choice <= 5 then
					people:seen(jid, bare, client or {}, user);
					assert.is_true(people:client(jid, bare).shown[user]);
				elseif choice <= 8 and client then
					local others = client.shown[user] == nil or next(client.shown, next(client.shown)) ~= nil;
					assert.equal(not others, people:hide(jid, client, user));
					assert.equal(others, people:client(jid, bare) ~= nil);
				elseif choice == 9 then
					people:forget(jid);
					assert.is_nil(people:client(jid, bare));
				elseif choice == 10 then
					local other = lib.new(people.is_stranger);
					other:take_over(people);
					people = other;
				end
				local slots, seen_by = survey(people);
				assert.equal(slots, people.kept, "seed "..seed);
				assert.same(seen_by, people.seen_by, "seed "..seed);
			end
		end
	end);

	it("B3 are all kept, and each once, where others run while it is found out who is a stranger", function ()
		local strange = true;
		local people = lib.new(function () coroutine.yield(); return strange; end);
		local seen = {};
		for i, jid in ipairs { "a@far/1", "a@far/1", "a@far/2" } do
			seen[i] = coroutine.create(function () return people:seen(jid, "a@far", {}, "u"..i.."@h"); end);
			assert(coroutine.resume(seen[i]));
		end
		for i, jid in ipairs { "a@far/1", "a@far/1", "a@far/2" } do
			strange = i ~= 2; -- who is known to one user is not taken for a stranger by the next
			local _, client = assert(coroutine.resume(seen[i]));
			assert.equal(people:client(jid, "a@far"), client);
			assert.is_true(client.shown["u"..i.."@h"]);
		end
		local slots, seen_by = survey(people);
		assert.equal(slots, people.kept);
		assert.same(seen_by, people.seen_by);
		assert.same({ 1, 0 }, { people.known:count(), people.strangers:count() });
		assert.is_false(people:hide("a@far/1", people:client("a@far/1", "a@far"), "u1@h"));
		assert.is_true(people:hide("a@far/1", people:client("a@far/1", "a@far"), "u2@h"));
	end);

	it("B3 are hidden at a cost that does not grow with how many have been before: by who goes offline, or from one user after the other", function ()
		local people, begun, next_of = lib.new(function () return false; end), {}, next;
		finally(function () rawset(_G, "next", next_of); end);
		-- From the beginning of a set all is passed that has been removed from there.
		rawset(_G, "next", function (set, key)
			if key == nil then begun[set] = (begun[set] or 0) + 1; end
			return next_of(set, key);
		end);
		for i = 1, 100 do people:seen("p"..i.."@far/1", "p"..i.."@far", {}, "u@h"); end
		local seen = people:shown_to("u@h");
		for jid in next, seen do people:hide(jid, people:client(jid, jid:match("^[^/]*")), "u@h"); end
		assert.same({ 1, 0, {} }, { begun[seen], people.kept, people.seen_by });

		local function begun_for(users)
			for i = 1, users do people:seen("p@far/1", "p@far", people:client("p@far/1", "p@far") or {}, "u"..i.."@h"); end
			local client = people:client("p@far/1", "p@far");
			for i = 1, users do assert.equal(i == users, people:hide("p@far/1", client, "u"..i.."@h")); end
			assert.same({ 0, {} }, { people.kept, people.seen_by });
			return begun[client.shown];
		end
		assert.equal(begun_for(100), begun_for(1000));
	end);

	it("B3 are strangers until a user knows them", function ()
		local strange = true;
		local people = lib.new(function () return strange; end);
		local function where() return people.known:count(), people.strangers:count(); end
		people:seen("a@far/1", "a@far", {}, "u@h");
		assert.same({ 0, 1 }, { where() });
		strange = false;
		people:seen("a@far/2", "a@far", {}, "v@h");
		assert.same({ 1, 0 }, { where() });
		strange = true;
		people:seen("a@far/1", "a@far", people:client("a@far/1", "a@far"), "u@h");
		assert.same({ 1, 0 }, { where() });
		local list = {};
		for jid in pairs(people:of("a@far")) do table.insert(list, jid); end
		table.sort(list);
		assert.same({ "a@far/1", "a@far/2" }, list);
	end);

	it("C3 are not all kept where one has as many clients as there is room for, however many others there are", function ()
		local people = lib.new(function () return false; end);
		for i = 1, 100 do people:seen("p@far/"..i, "p@far", {}, "u@h"); end
		assert.is_false(people:has_all("p@far"));
		for i = 1, 20000 do people:miss("q"..i.."@far"); end
		assert.is_false(people:has_all("p@far"));
		assert.is_true(people:has_all("r@far"));
	end);
end);
