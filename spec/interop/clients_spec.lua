-- SPDX-License-Identifier: MIT
-- Chat programs that people use, with receipts and without, on both versions of Prosody.

local seen = require "spec.interop.seen";
local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";

local R = stanzas.xmlns;
local wait = servers.wait;

local note = seen.part("Clients", [[
slixmpp is a library: a program was made with it and its plugin for XEP-0184. profanity runs in a terminal, with `/receipts request` and
`/receipts send` on or off. The server has `receipts_answer = "opt-out"`. slixmpp shows a receipt as an event, profanity shows a message
in red until its receipt comes: both are called a tick here.]]);

local programs = {
	{ name = "slixmpp", package = "python3-slixmpp", start = require "spec.interop.slixmpp".start },
	{ name = "profanity", package = "profanity", start = require "spec.interop.profanity".start },
};
local slixmpp = programs[1];

local users = 0;

local function suite(prosody, program)
	describe(program.name.." on Prosody "..prosody, function ()
		local server, running, release, version;
		local alice, bob, mallory, eve; -- their bare JIDs

		local function row(done, what, limit) note(program.name, version, "Prosody "..release, done, what, limit); end

		local function friends(a, b)
			server:roster(a:match("^[^@]+"), b, "both");
			server:roster(b:match("^[^@]+"), a, "both");
		end

		local function open(by, jid, how)
			local one = by.start(server, jid, how);
			table.insert(running, one);
			return one;
		end

		local function known(jid, expected)
			wait(function ()
				return server:support_of(jid) == expected;
			end, function () return jid.." is not known as "..expected; end);
		end

		local function ticks(one, text)
			wait(function () return one:ticked(text); end, function () return "no tick:\n"..one:screen(); end);
		end

		local function sees(one, from, text)
			wait(function () return one:sees(from, text); end, function () return "no message:\n"..one:screen(); end);
		end

		-- The next message with this body; what comes before it is put into `others`.
		local function message(one, text, others)
			return wait(function ()
				local found;
				for _, stanza in ipairs(one:messages()) do
					if stanza:get_child_text("body") == text then found = stanza; elseif others then table.insert(others, stanza); end
				end
				return found;
			end, function () return text.." did not come"; end);
		end

		-- Collects the acks among messages, until there is one.
		local function acks(one)
			local ids = {};
			wait(function ()
				for _, stanza in ipairs(one:messages()) do table.insert(ids, stanzas.acked(stanza) or nil); end
				return ids[1];
			end, function () return "no ack came"; end);
			return ids;
		end

		setup(function ()
			version = seen.package_version(program.package);
			server = servers.start { version = prosody, modules = { "receipts", "smacks", "offline" }, options = 'receipts_answer = "opt-out"' };
			release = server:run("return prosody.version");
		end);
		teardown(function () if server then server:stop(); end end);
		before_each(function ()
			running, users = {}, users + 1;
			alice, bob = ("alice%d@localhost"):format(users), ("bob%d@localhost"):format(users);
			mallory, eve = ("mallory%d@localhost"):format(users), ("eve%d@localhost"):format(users);
			friends(alice, bob);
			friends(alice, mallory);
		end);
		after_each(function ()
			local failure; -- of the first: the others are stopped all the same
			for _, one in ipairs(running) do
				local ok, err = pcall(one.stop, one);
				failure = failure or not ok and err;
			end
			server:disconnect_all();
			assert(not failure, failure);
		end);

		it("asks, and acks: both ways", function ()
			local one, other = open(program, alice.."/desk", { receipts = true }), open(program, bob.."/desk", { receipts = true });
			one:say(bob, "hello");
			sees(other, alice, "hello");
			ticks(one, "hello");
			other:say(alice, "welcome");
			sees(one, bob, "welcome");
			ticks(other, "welcome");
			row("two people with receipts write to each other", "each sees the other's message, and a tick on their own");
		end);

		it("D2 sees the server's answer for a client that does not", function ()
			local one = open(program, alice.."/desk", { receipts = true });
			local other = open(slixmpp, bob.."/phone", { managed = true });
			known(bob.."/phone", "incapable");
			one:say(bob, "hello");
			sees(other, alice, "hello");
			ticks(one, "hello");
			row("writes to a slixmpp without receipts that acks stream management", "a tick: the server has answered");
		end);

		it("D2 without receipts is answered for, once", function ()
			local one = server:connect(alice.."/desk", { features = { R } });
			local other = open(program, bob.."/phone", { managed = true });
			known(bob.."/phone", "incapable");
			one:send(stanzas.ask({ to = bob, id = "asked" }, "hello"));
			sees(other, alice, "hello");
			local ids = acks(one);
			other:say(alice, "back");
			local others = {};
			message(one, "back", others);
			for _, stanza in ipairs(others) do table.insert(ids, stanzas.acked(stanza) or nil); end
			assert.same({ "asked" }, ids);
			row("receipts off: is asked", "the message is shown, and the server answers once, for the program acks stream management");
		end);

		it("E2 shows no tick for a forged ack, and one for the true ack that follows", function ()
			local one = open(program, alice.."/desk", { receipts = true });
			local other, forger = server:connect(bob.."/phone", { features = { R } }), server:connect(mallory.."/phone", { features = { R } });
			one:say(bob, "hello");
			local got = message(other, "hello");
			assert.is_true(stanzas.asks(got));
			forger:send(stanzas.ack(got.attr.from, got.attr.id));
			forger:send(stanzas.chat({ to = alice, id = "after" }, "after"));
			sees(one, mallory, "after");
			wait(function () return one:waiting("hello"); end, function () return "a tick, or no message:\n"..one:screen(); end);
			other:send(stanzas.ack(got.attr.from, got.attr.id));
			ticks(one, "hello");
			row("somebody else acks the message that was sent to a friend", "no tick; one as soon as the friend's own ack comes");
		end);

		it("E4 tells strangers nothing", function ()
			local one = open(program, alice.."/desk", { receipts = true });
			local stranger, friend = server:connect(eve.."/phone", { features = { R } }), server:connect(bob.."/phone", { features = { R } });
			stranger:send(stanzas.ask({ to = alice, id = "strange" }, "psst"));
			sees(one, eve, "psst");
			friend:send(stanzas.ask({ to = alice, id = "known" }, "hello"));
			assert.same({ "known" }, acks(friend)); -- what the program sent before this has passed too
			for _, stanza in ipairs(stranger:messages()) do assert.is_nil(stanzas.acked(stanza), tostring(stanza)); end
			row("is asked by a stranger, then by a friend", "both messages are shown; the friend gets an ack, the stranger none");
		end);

		it("D7 acks what waited offline once, when it comes back", function ()
			local sender = server:connect(bob.."/phone", { features = { R } });
			sender:send(stanzas.ask({ to = alice, id = "waited" }, "hello"));
			assert.same({}, sender:messages());
			local one = open(program, alice.."/desk", { receipts = true });
			local ids = acks(sender);
			sees(one, bob, "hello");
			local others = {};
			one:say(bob, "back");
			message(sender, "back", others);
			for _, stanza in ipairs(others) do table.insert(ids, stanzas.acked(stanza) or nil); end
			assert.same({ "waited" }, ids);
			row("is asked while offline, and comes back", "no ack before; the message is shown, and one ack is sent");
		end);

		it("E7 with two devices", function ()
			local one = open(program, alice.."/desk", { receipts = true, carbons = true });
			local second = open(program, alice.."/phone", { receipts = true, carbons = true });
			local other = server:connect(bob.."/phone", { features = { R } });
			wait(function () -- a program may say that it is logged in before it asks for copies
				return program == slixmpp or server:run(("return tostring(prosody.full_sessions[%q].want_carbons)"):format(alice.."/phone")) ~= "nil";
			end, function () return "it did not enable carbons:\n"..second:screen(); end);
			one:say(bob, "hello");
			local got = message(other, "hello");
			if program == slixmpp then
				assert.equal(0, second:receipts());
			else
				sees(second, bob, "hello");
			end
			wait(function () return one:waiting("hello"); end);
			if program ~= slixmpp then ticks(second, "hello"); end -- it shows copies as delivered whatever comes
			other:send(stanzas.ack(got.attr.from, got.attr.id));
			ticks(one, "hello");
			if program == slixmpp then
				wait(function () return second:receipts() == 1; end, function () return second:screen(); end);
			else
				ticks(second, "hello");
			end
			if program == slixmpp then
				row("two devices with carbons: one sends, the friend acks", "the receipt comes to both, to the second as a carbon");
			else
				row("two devices with carbons: one sends, the friend acks",
					"the one that sent shows the tick; the second shows the copy without red, before the receipt and after",
					"profanity shows no ticks for copies: what another device of the same user sent looks delivered at once.");
			end
		end);
	end);
end

for _, prosody in ipairs { "0.12", "13.0" } do
	for _, program in ipairs(programs) do suite(prosody, program); end
end
