-- SPDX-License-Identifier: MIT
-- The peer of bench/messages.lua says what the engine says: otherwise their times could not be compared.

require "spec.support.paths";
local corpus = require "bench.corpus";
local pure_lua = require "bench.pure_lua";
local receipts = require "receipts";
local st = require "util.stanza";
local parse = require "util.xml".parse;

local R = "urn:xmpp:receipts";

-- What outgoing() and incoming() decide, without what only one of the two tells.
local function ours_of(table)
	local pending = receipts.pending(table);
	return {
		outgoing = function (stanza, now) return (select(2, pending:outgoing(stanza, now))); end;
		incoming = function (stanza, now)
			local _, verdict, id, age = pending:incoming(stanza, now);
			return verdict, id, age;
		end;
		expire = function (now) return (pending:expire(now, 1000)); end;
		count = function () return pending:count(); end;
	};
end

local function peer_of(table)
	local pending = pure_lua.new(table);
	return {
		outgoing = function (stanza, now) return pending:outgoing(stanza, now); end;
		incoming = function (stanza, now) return pending:incoming(stanza, now); end;
		expire = function (now) return pending:expire(now); end;
		count = function () return pending:count(); end;
	};
end

describe("the benches' peer in Lua alone", function ()
	local function both(limits)
		local ours, peer = ours_of(limits), peer_of(limits);
		return function (what, ...)
			local expected, got = { ours[what](...) }, { peer[what](...) };
			assert.same(expected, got, what);
			return table.unpack(got);
		end;
	end

	it("matches the corpus, and knows what is acked twice, by somebody else, or was never asked", function ()
		local same = both { capacity = 1000, per_user = 100, ttl = 1000, remember = 100 };
		for i = 1, 300 do
			local from, to, id = corpus.parties();
			local other = corpus.jid(1000 + i);
			same("incoming", parse(corpus.idle(from, to, id)), i);
			assert.equal("unknown", (same("incoming", parse(corpus.ack(to, from, id)), i)));
			assert.equal("asked", (same("outgoing", parse(corpus.ask(from, to, id)), i)));
			assert.equal("known", (same("outgoing", parse(corpus.ask(from, to, id)), i)));
			assert.equal("forged", (same("incoming", parse(corpus.ack(other, from, id)), i)));
			assert.equal("delivered", (same("incoming", parse(corpus.ack(to, from, id)), i + 1)));
			assert.equal("duplicate", (same("incoming", parse(corpus.ack(to, from, id)), i + 3)));
			assert.equal("unknown", (same("incoming", parse(corpus.ack(other, from, id)), i + 3)));
		end
	end);

	it("agrees on whatever comes, with limits that are reached and times that run out", function ()
		math.randomseed(184);
		local types = { "chat", "chat", "chat", "normal", "groupchat", "error", "headline" };
		local seen = {};
		for _, limits in ipairs {
			{ capacity = 12, per_user = 1000, ttl = 1000, remember = 1000 }, { capacity = 1000, per_user = 3, ttl = 40, remember = 10 },
			{ capacity = 20, per_user = 4, ttl = 60, remember = 30 },
		} do
			local same = both(limits);
			local function jid() return ("%s@h"):format(string.char(96 + math.random(5)))..(math.random(2) == 1 and "/r" or ""); end
			for now = 1, 20000 do
				local stanza = st.message { from = jid(), to = math.random(20) > 1 and jid() or nil, type = types[math.random(#types)],
					id = math.random(10) > 1 and tostring(math.random(6)) or nil };
				if math.random(3) == 1 then stanza:text_tag("body", "hi"); end
				local incoming = math.random(2) == 1;
				if not incoming or math.random(10) == 1 then
					stanza:tag("request", { xmlns = math.random(20) > 1 and R or "urn:x" });
					if math.random(20) == 1 then stanza:text(math.random(2) == 1 and " \n" or "x"); end
					stanza:up();
				end
				if incoming or math.random(10) == 1 then
					stanza:tag("received", { xmlns = math.random(20) > 1 and R or "urn:x", id = math.random(10) > 1 and tostring(math.random(6)) or nil });
					if math.random(20) == 1 then stanza:text("x"); end
					stanza:up();
				end
				-- The peer knows no bounces.
				local verdict;
				if incoming and stanza.attr.type ~= "error" then verdict = same("incoming", stanza, now / 4);
				elseif not incoming then verdict = same("outgoing", stanza, now / 4); end
				seen[verdict or "nothing"] = true;
				if now % 50 == 0 then same("expire", now / 4); end
				if now % 100 == 0 then same("count"); end
			end
		end
		for _, verdict in ipairs { "nothing", "asked", "known", "full", "delivered", "duplicate", "forged", "unknown" } do
			assert.is_true(seen[verdict], verdict.." did not come up");
		end
	end);
end);
