-- SPDX-License-Identifier: MIT
-- receipts.inspect: the same facts from a Prosody stanza as receipts.parse has from its bytes.

require "spec.support.paths";
local portable = require "spec.support.portable";
local receipts = require "receipts";
local cases = require "spec.support.messages";
local st = require "util.stanza";
local parse_stanza = require "util.xml".parse;
local new_xmpp_stream = require "util.xmppstream".new;

-- The stanza as a session of Prosody's would get it.
local function from_stream(xml)
	local got;
	local session = { notopen = true };
	local stream = new_xmpp_stream(session, {
		default_ns = "jabber:client";
		streamopened = function (s) s.notopen = nil; end;
		handlestanza = function (_, stanza) got = stanza; end;
		error = function (_, err) error(err); end;
	});
	stream:feed("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>");
	assert(stream:feed((xml:gsub("^<%?xml.-%?>%s*", ""))));
	return got;
end

describe("receipts.inspect", function ()
	for _, case in ipairs(cases) do
		it("reads "..case.name, function ()
			assert.same(case.facts, receipts.inspect(parse_stanza(case.xml)));
			if not case.xml:find("jabber:server", 1, true) then
				assert.same(case.facts, receipts.inspect(from_stream(case.xml)));
			end
		end);
	end

	-- Messages put together at random from pieces, as people and attackers write them.
	local function generator(seed)
		math.randomseed(seed);
		local function pick(list) return list[math.random(#list)]; end
		local ids = { "", " id='1'", " id=''", " id=\"'q'\"", " id='&lt;&#x1F600;&amp;'", " id='a b'", " r:id='n'", " id='\t1\n2'" };
		local types = { "", " type='chat'", " type='normal'", " type='groupchat'", " type='error'", " type='headline'", " type='odd'" };
		local insides = { "", "", "", " ", "\n\t", "x", "<x/>", "<![CDATA[ ]]>", "<![CDATA[]]>", "&#32;", "&#120;", "<r:request/>" };
		local names = { "r:request", "r:received", "r:received", "request xmlns='urn:xmpp:receipts'", "received xmlns='urn:xmpp:receipts'",
			"received xmlns='urn:xmpp:carbons:2'", "received xmlns='urn:xmpp:chat-markers:0'", "body", "body", "body xmlns='urn:x'",
			"encryption xmlns='urn:xmpp:eme:0'", "encrypted xmlns='urn:xmpp:omemo:2'", "x xmlns='http://jabber.org/protocol/muc#user'",
			"store xmlns='urn:xmpp:hints'", "thread", "active xmlns='http://jabber.org/protocol/chatstates'", "r:other", "request" };
		return function ()
			local xml = { "<message xmlns:r='urn:xmpp:receipts'", pick(ids), pick(types) };
			if math.random(2) == 1 then table.insert(xml, " from='a@example.org/"..pick { "1", "&quot;" }.."'"); end
			if math.random(2) == 1 then table.insert(xml, " to='b@example.org'"); end
			if math.random(3) == 1 then table.insert(xml, " xmlns='jabber:client'"); end
			table.insert(xml, ">");
			for _ = 1, math.random(0, 5) do
				local name = pick(names);
				table.insert(xml, "<"..name..pick(ids)..">"..pick(insides).."</"..name:match("^%S+")..">"..pick { "", " ", "text" });
			end
			table.insert(xml, "</message>");
			return table.concat(xml);
		end;
	end

	it("agrees with receipts.parse on generated messages", function ()
		local generate = generator(184);
		local different = {};
		for _ = 1, 1000 do
			local xml = generate();
			local facts = assert(receipts.parse(xml), xml);
			assert.same(facts, receipts.inspect(parse_stanza(xml)), xml);
			assert.same(facts, receipts.inspect(from_stream(xml)), xml);
			different[table.concat(facts.problems, " ")] = true;
		end
		local n = 0;
		for _ in pairs(different) do n = n + 1; end
		assert.is_true(n > 30, "the generated messages are of many kinds");
	end);

	it("reads stanzas that were built, not parsed", function ()
		local stanza = st.message({ id = "1", to = "b@example.org", type = "chat" }, "hi"):tag("request", { xmlns = "urn:xmpp:receipts" }):up();
		assert.same({ id = "1", to = "b@example.org", type = "chat", body = true, request = true, received = false, problems = {} },
			receipts.inspect(stanza));
	end);

	it("returns a reason for what is no message", function ()
		assert.same({ nil, "not a message" }, { receipts.inspect(st.iq({ type = "get", id = "1" })) });
		assert.same({ nil, "not a message" }, { receipts.inspect(st.message({ xmlns = "urn:example" })) });
		assert.same({ nil, "not a stanza" }, { receipts.inspect("<message/>") });
		assert.same({ nil, "not a stanza" }, { receipts.inspect() });
	end);

	it("gives the bits alone, which a scanner gives too, and nothing for what is no message", function ()
		for _, case in ipairs(cases) do
			local facts = receipts.scanner():feed(case.xml.." ")[1];
			assert.equal(facts.bits, receipts.examine(parse_stanza(case.xml)), case.name);
		end
		for _, other in ipairs { st.iq({ type = "get", id = "1" }), "<message/>", {} } do
			assert.equal(0, select("#", receipts.examine(other)));
		end
	end);

	it("takes nothing but strings for strings", function ()
		local odd = { name = "message", attr = { id = 1, from = 2, to = true, type = 3 }, tags = { { name = "received",
			attr = { xmlns = "urn:xmpp:receipts", id = 4 } } } };
		assert.same({ body = false, request = false, received = true, problems = { "received-without-id" } }, receipts.inspect(odd));
		table.insert(odd.tags[1], 5);
		assert.same({ "received-without-id", "received-not-empty" }, receipts.inspect(odd).problems);
		assert.equal(4, odd.tags[1].attr.id, "and the table stays as it was");
	end);

	it("reads a message of a hundred thousand children on the stack that every function has", function ()
		local ack = { name = "received", attr = { xmlns = "urn:xmpp:receipts", id = "1" } };
		for at, rest in pairs { [1] = "behind", [100000] = "before" } do
			local tags = {};
			for i = 1, 100000 do tags[i] = i == at and ack or { name = "thread", attr = {} }; end
			local facts = receipts.inspect { name = "message", tags = tags };
			assert.equal("1", facts.received_id, rest);
			assert.same({}, facts.problems);
		end
	end);

	it("E3 takes nothing but elements for children: what stands before an ack says nothing by itself", function ()
		local ack = { name = "received", attr = { xmlns = "urn:xmpp:receipts", id = "1" } };
		local hint = { name = "store", attr = { xmlns = "urn:xmpp:hints" } };
		for _, odd in ipairs { 1, "x", true } do
			local what = receipts.examine { name = "message", tags = { odd, { name = "thread" }, odd, ack, hint, odd } };
			assert.is_false(portable.has(what, receipts.bits.more));
		end
	end);

	it("E3 takes white space for nothing, in any number of pieces", function ()
		local request = { name = "request", attr = { xmlns = "urn:xmpp:receipts" } };
		local ack = { name = "received", attr = { xmlns = "urn:xmpp:receipts", id = "1" } };
		for i = 1, 100000 do request[i], ack[i] = "", " \n"; end
		assert.same({}, receipts.inspect({ name = "message", attr = { id = "1" }, tags = { request } }).problems);
		assert.same({}, receipts.inspect({ name = "message", tags = { ack } }).problems);
		ack[100001] = "x";
		assert.same({ "received-not-empty" }, receipts.inspect({ name = "message", tags = { ack } }).problems);
	end);

	it("has the stanza's strings until the facts are made, whatever a finalizer does to the stanza meanwhile", function ()
		portable.eager();
		for round = 1, 300 do
			local function long(name) return name..round..("x"):rep(60); end -- short strings are kept by Lua for longer
			local stanza = { name = "message", attr = { id = long "i", from = long "f", to = long "t", type = long "type" },
				tags = { { name = "request", attr = { xmlns = "urn:xmpp:receipts" } } } };
			portable.finalized(function ()
				stanza.attr = { id = "other", from = "other", to = "other" };
				collectgarbage();
			end);
			for _ = 1, 200 do
				local facts = receipts.inspect(stanza);
				if facts.id == "other" then break; end
				assert(facts.id == long "i" and facts.from == long "f" and facts.to == long "t" and facts.type == long "type");
			end
		end
		portable.incremental();
	end);

	it("raises no error whatever a table holds", function ()
		local trap = setmetatable({}, { __index = function () error("metamethod called"); end });
		for _, stanza in ipairs {
			{ name = "message" }, { name = "message", attr = 1, tags = 2 }, { name = "message", attr = "attr", tags = "tags" },
			{ name = "message", attr = io.stdout, tags = io.stdout }, { name = "message", attr = trap, tags = trap },
			{ name = "message", attr = { id = 1, to = {}, from = true }, tags = { 1, "x", {}, { name = 5 }, { name = "request" } } },
			{ name = "message", attr = {}, tags = { { name = "received", attr = { xmlns = "urn:xmpp:receipts", id = 7 } } } },
		} do
			assert.is_table(receipts.inspect(stanza));
		end
	end);
end);
