-- SPDX-License-Identifier: MIT
-- Hours in small: mixed traffic, sessions that come, hibernate, are resumed and die, and a module that is reloaded again and again.
-- Memory stays what it was, and an oracle (book.lua) judges every ack. `make soak SOAK_SECONDS=600` is the long form.

local new_book = require "spec.load.book".new;
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local vitals = require "spec.load.vitals";
local socket = require "socket";

local SECONDS = tonumber(os.getenv("SOAK_SECONDS") or 10);
local RELOAD_EVERY, MEASURE_EVERY = 2, math.max(1, SECONDS / 60); -- seconds
local HIBERNATION = 5; -- seconds that the server keeps a session
local HEAP, RESIDENT = 1024, 2048; -- KiB by which the last third may be above the second, at the highest

-- Steadfast users lose connections and take them up again; mortals lose them for good; clients of the old know no receipts.
local USERS = { steadfast = 6, mortal = 4, old = 3 };

local new_roster = [[
	local rostermanager = require "core.rostermanager";
	local users = { %s };
	for _, user in ipairs(users) do
		local roster = rostermanager.load_roster(user, "localhost");
		for _, contact in ipairs(users) do
			if contact ~= user then roster[contact.."@localhost"] = { subscription = "both", groups = {} }; end
		end
		rostermanager.save_roster(user, "localhost", roster);
	end]];

local function pick(list)
	return list[math.random(#list)];
end

describe("a soak", function ()
	local server, book, users, mallory;
	local by_bare = {};

	local function features(user)
		return { user.kind == "old" and "urn:example:nothing" or stanzas.xmlns };
	end

	local function come(user)
		user.client = server:connect(user.name, { managed = true, features = features(user) });
	end

	-- Reads what has come, and acks what asks. Returns how many acks it sent.
	local function visit(user)
		if not user.client then return 0; end
		local before = book.acks;
		user.client:sync();
		local came = user.client.inbox; -- with what followed the reply, which has been counted as handled, too
		user.client.inbox = {};
		for _, stanza in ipairs(came) do
			local entry = stanza.name == "message" and book:came(user.bare, stanza);
			if entry and stanzas.asks(stanza) and user.kind ~= "old" then
				for _ = 1, math.random(8) == 1 and 2 or 1 do -- a second device may ack as well
					if user.kind ~= "mortal" or math.random(4) > 1 then
						book:acked(entry.id);
						user.client:send(stanzas.ack(pick { entry.from, stanza.attr.from }, entry.id, { type = stanza.attr.type }));
					end
				end
			end
		end
		user.client:acknowledge();
		return book.acks - before;
	end

	local function write(user)
		local other = pick(users);
		if not user.client or other == user then return; end
		local asks = user.kind ~= "old" and math.random(3) > 1;
		local make = asks and stanzas.ask or stanzas.chat;
		local id = book:sent(user.bare, other.bare, asks);
		user.client:send(make { to = pick { other.bare, other.bare.."/"..other.name }, id = id, type = pick { "chat", "normal" } });
	end

	-- The server has handled all that was sent; what has come meanwhile is lost with the connection.
	local function lose(user)
		if not user.client then return; end
		repeat until visit(user) == 0;
		for _ = 1, 3 do write(pick(users)); end
		user.client:drop();
		user.lost, user.client = user.client, nil;
		user.lost_at = socket.gettime();
		user.back_at = user.lost_at + math.random();
	end

	-- A machine that stands still for seconds comes too late: then the session has rightly died.
	local function take_up(user)
		local resumed, ok = server:resume(user.lost, user.lost.handled);
		user.client, user.lost = resumed, nil;
		if ok then return; end
		assert(socket.gettime() - user.lost_at > HIBERNATION - 1, "the server would not resume "..user.name);
		user.late = true;
		come(user);
	end

	-- Is all that comes to this user known to come, and to be acked if their client can?
	local function is_certain(bare)
		local user = by_bare[bare];
		return user.kind ~= "mortal" and not user.late;
	end

	local function live_and_die(user)
		if not user.client then return come(user); end
		visit(user);
		if math.random(2) == 1 then user.client:close(); else user.client:drop(); end
		user.client = nil;
	end

	local function forge()
		local id = book:some_id();
		if not id then return; end
		local entry = book.entries[id];
		local victim = math.random(4) > 1 and entry.from or pick(users).bare;
		mallory:send(stanzas.ack(victim, math.random(4) > 1 and id or "never-"..math.random(1000), { type = pick { "chat", "normal" } }));
		if math.random(10) == 1 then mallory:messages(); end
	end

	setup(function ()
		server = servers.start {
			modules = { "receipts", "smacks" };
			options = ([[
				log = { error = "/dev/null" }
				receipts_answer = "opt-out"
				receipts_unknown = "drop"
				receipts_flush_interval = "1s"
				receipts_expire_after = "60s"
				receipts_overdue_after = "30s"
				smacks_hibernation_time = %d
				smacks_max_ack_delay = 3
				c2s_timeout = 5
			]]):format(HIBERNATION); -- with its own timers Prosody keeps what is left of sessions for minutes
		};
		book, users = new_book(), {};
		local names = {};
		for kind, count in pairs(USERS) do
			for i = 1, count do
				local user = { kind = kind, name = kind..i, bare = kind..i.."@localhost" };
				table.insert(users, user);
				table.insert(names, ("%q"):format(user.name));
				by_bare[user.bare] = user;
			end
		end
		table.insert(names, '"mallory"');
		server:run(new_roster:format(table.concat(names, ", ")));
		for _, user in ipairs(users) do come(user); end
		mallory = server:connect("mallory");
		servers.wait(function ()
			for _, user in ipairs(users) do
				user.client:sync();
				local known = server:support_of(user.client.jid);
				if known ~= (user.kind == "old" and "incapable" or "capable") then return false; end
			end
			return true;
		end);
	end);
	teardown(function () server:stop(); end);

	it("leaves memory as it was, and every true ack arrives once, and no other", function ()
		local samples, reloads = {}, 0;
		local began = socket.gettime();
		local reload_at, measure_at = began + RELOAD_EVERY, began;
		local actions = { write, write, write, write, visit, visit, visit, function (user)
			if user.kind == "mortal" then live_and_die(user); else lose(user); end
		end };
		while true do
			local now = socket.gettime();
			if now > began + SECONDS then break; end
			for _, user in ipairs(users) do
				if user.lost and now > user.back_at then take_up(user); end
			end
			pick(actions)(pick(users));
			if math.random(5) == 1 then forge(); end
			if now > reload_at then
				server:reload();
				reloads, reload_at = reloads + 1, now + RELOAD_EVERY;
			end
			if now > measure_at then
				table.insert(samples, vitals.of(server));
				measure_at = now + MEASURE_EVERY;
			end
		end
		-- What is under way arrives.
		for _, user in ipairs(users) do
			if user.lost then take_up(user); end
		end
		for _ = 1, 3 do
			for _, user in ipairs(users) do visit(user); end
		end
		mallory:sync();
		book:close(function (entry)
			return is_certain(entry.from) and is_certain(entry.to);
		end, function (entry)
			return by_bare[entry.to].kind == "old";
		end);
		assert.same({}, { table.unpack(book.wrong, 1, 5) });
		assert.equal("0 0", server:run("local c = prosody.hosts.localhost.modules.receipts.module.save().reports.counts; "
			.."return c.errors.hook..' '..c.errors.store"));
		assert(book.acks > SECONDS and book.ticks > SECONDS and reloads >= SECONDS // (2 * RELOAD_EVERY), "too little happened");

		local function most(field, from, to)
			local value = 0;
			for i = math.max(1, #samples * from // 3), #samples * to // 3 do value = math.max(value, samples[i][field]); end
			return value;
		end
		local heap, resident = { most("heap", 1, 2), most("heap", 2, 3) }, { most("resident", 1, 2), most("resident", 2, 3) };
		local figures = ("%d s: %d messages, %d acks sent, %d arrived, %d reloads; heap %d to %d KiB, resident %d to %d KiB, "
			.."pending table %d to %d bytes"):format(SECONDS, book.count, book.acks, book.ticks, reloads, heap[1], heap[2], resident[1], resident[2],
			most("pending", 1, 2), most("pending", 2, 3));
		if os.getenv("SOAK_SECONDS") then print("SOAK "..figures); end
		assert(heap[2] <= heap[1] + HEAP and resident[2] <= resident[1] + RESIDENT, figures);
		for _, field in ipairs { "hooks", "registry", "loaded" } do
			assert(most(field, 2, 3) <= most(field, 1, 2) + 20, field.." grows");
		end
	end);
end);
