-- SPDX-License-Identifier: MIT
-- hooks.lib.lua: which messages end there, and what it hands over of the others.

local paths = require "spec.support.paths";
local receipts = require "receipts";
local st = require "util.stanza";
local hooks = paths.lib("hooks");

local R = { xmlns = "urn:xmpp:receipts" };
local bits = receipts.bits;

describe("message hooks", function ()
	local pending, env, told, heard, ages, other_acks, outgoing, incoming, uncounted, hand_on, session;

	local function handler(name)
		return function (event, ...)
			table.insert(told, { name, event, ... });
			return "from "..name;
		end;
	end

	local function hook()
		outgoing, incoming, uncounted, hand_on = hooks.new(receipts, env);
	end

	before_each(function ()
		told, heard, ages, other_acks = {}, {}, {}, 0;
		pending = receipts.pending { per_user = 3 };
		env = {
			pending = pending, now = function () return 1000; end, listening = function (event) return heard[event]; end;
			known = { a = true }, no_answers = { a = true, b = true }, capable = { ["a@h/1"] = true }, rooms = {}, hiding = {}, own = {};
			asks = true, protect = true;
			content = handler("content"), outgoing = handler("outgoing"), incoming = handler("incoming"), failed = handler("failed");
			evicted = handler("evicted"), other_ack = function () other_acks = other_acks + 1; end;
			sample = function (age) table.insert(ages, age); end, handlers = {};
		};
		session = { username = "a", host = "h", full_jid = "a@h/1", presence = {}, roster = { ["b@h"] = { subscription = "both" } } };
		hook();
	end);

	local function message(attr, ...)
		local stanza = st.message({ from = attr.from or "a@h/1", to = attr.to or "b@h", id = attr.id, type = attr.type }, attr.body);
		for _, element in ipairs { ... } do stanza:add_direct_child(element); end
		return stanza;
	end
	local function unaddressed(attr, element)
		local stanza = st.message(attr);
		stanza:add_direct_child(element);
		return stanza;
	end
	local function request() return st.stanza("request", R); end
	local function received(id) return st.stanza("received", { xmlns = R.xmlns, id = id }); end
	local function ask(id, attr) return message({ id = id, body = "hi", type = attr and attr.type, to = attr and attr.to }, request()); end
	local function ack(id, attr)
		attr = attr or {};
		return message({ from = attr.from or "b@h/2", to = attr.to or "a@h/1", id = "own", type = attr.type, body = attr.body }, received(id));
	end
	-- The same, in a way that only the engine reads.
	local function explicit(stanza)
		stanza.attr.xmlns = "jabber:client";
		return stanza;
	end
	local function send(stanza) return outgoing { origin = session, stanza = stanza }; end
	local function come(stanza) return incoming { origin = {}, stanza = stanza }; end
	local function counts()
		local asked, delivered, duplicate = uncounted();
		assert.equal(delivered, #ages);
		ages = {};
		return { asked, delivered, duplicate };
	end

	it("A3 hand over what comes after a reload all the same, and it is counted there", function ()
		local send_before, come_before, uncounted_before = outgoing, incoming, uncounted;
		hand_on();
		assert.is_nil(send(ask("0")));
		assert.same({ 1, 0, 0 }, counts(), "nobody's but ours as yet");
		hook();
		assert.is_nil(send_before { origin = session, stanza = ask("1") });
		assert.is_nil(come_before { origin = {}, stanza = ack("1") });
		assert.same({ 0, 0, 0 }, { uncounted_before() });
		assert.same({ 1, 1, 0 }, counts());
		assert.same({}, told);
	end);

	it("leave alone what has nothing to do with receipts", function ()
		for _, stanza in ipairs { message({ type = "chat" }, st.stanza("active", { xmlns = "urn:x" })), message({ type = "groupchat", body = "hi" }),
			st.presence(), st.iq { type = "get", id = "1" } } do
			assert.is_nil((send(stanza)));
			assert.is_nil((come(stanza)));
		end
		for _, origin in ipairs { "x", {} } do
			assert.is_nil((outgoing { origin = origin, stanza = ask("1") }));
			assert.is_nil((outgoing { origin = origin, stanza = message { id = "1", body = "hi" } }));
		end
		assert.same({}, told);
		assert.same({ 0, 0, 0 }, counts());
	end);

	it("D4 tell of what a client refuses, where the server answers for its user", function ()
		local refusal = message { id = "1", type = "error", body = "hi" };
		assert.is_nil((send(refusal)));
		assert.is_nil((outgoing { origin = {}, stanza = refusal }));
		assert.same({}, told);
		env.no_answers.a = nil;
		assert.equal("from outgoing", (send(refusal)));
		assert.is_nil((outgoing { origin = {}, stanza = refusal }));
		assert.equal(1, #told);
		assert.equal(bits.bounce, told[1][3]);
	end);

	it("leave alone what is no message, whatever is in it", function ()
		pending:add("a@h", "b@h", "1", 990);
		local function foreign(make)
			local iq, other = make(), make();
			iq.name, other.attr.xmlns = "iq", "urn:x";
			return { iq, other };
		end
		for _, stanza in ipairs(foreign(function () return ask("2"); end)) do send(stanza); come(stanza); end
		for _, stanza in ipairs(foreign(function () return ack("1"); end)) do come(stanza); end
		assert.equal(1, pending:count());
		assert.equal("pending", (pending:state("a@h", "b@h", "1")));
		assert.same({}, told);
		assert.same({ 0, 0, 0 }, counts());
		come(explicit(ack("1")));
		assert.same({ 0, 1, 0 }, counts());
	end);

	it("count what is ordinary, and tell nobody", function ()
		for _, type in ipairs { "normal", "chat" } do
			send(ask("1", { type = type }));
			send(ask("1", { type = type }));
			assert.equal(1, pending:count("a@h"));
			assert.is_nil((come(ack("1", { type = type }))));
			assert.is_nil((come(ack("1", { type = type }))));
			assert.is_nil((come(ask("2", { to = "b@h/2", type = type }))));
			assert.is_nil((send(ack("3", { from = "a@h/1", to = "b@h/2", type = type }))));
			assert.is_nil((send(explicit(ack("3", { from = "a@h/1", to = "b@h/2", type = type })))));
			assert.same({}, told);
			assert.same({ 1, 1, 1 }, counts());
			assert.same({ 0, 0, 0 }, counts());
			pending:forget("a@h");
		end
	end);

	it("E8 leave alone what has the name of such an element, and another namespace, or the namespace and another name", function ()
		pending:add("a@h", "b@h", "1", 990);
		for name, xmlns in pairs { request = "urn:x", received = "urn:x", unheard_of = R.xmlns } do
			local other = st.stanza(name, { xmlns = xmlns, id = "1" });
			for _, way in ipairs { send, come } do assert.is_nil((way(message({ from = "b@h/2", to = "a@h/1", id = "1" }, other)))); end
		end
		assert.equal("pending", (pending:state("a@h", "b@h", "1")));
		assert.same({}, told);
		assert.same({ 0, 0, 0 }, counts());
	end);

	it("make no garbage with it", function ()
		local asks, acks = {}, {};
		for i = 1, 300 do asks[i], acks[i] = { origin = session, stanza = ask("m"..i) }, { stanza = ack("m"..i) }; end
		local idle = { origin = session, stanza = message { body = "hi" } };
		local function round()
			for i = 1, #asks do
				outgoing(asks[i]);
				incoming(asks[i]);
				incoming(acks[i]);
				outgoing(idle);
				incoming(idle);
			end
		end
		function env.sample() end
		hook();
		collectgarbage(); collectgarbage("stop");
		round(); -- the stack grows
		local before = collectgarbage("count");
		round();
		local made = collectgarbage("count") - before;
		collectgarbage("restart");
		assert.equal(0, made);
		assert.equal(0, #told);
	end);

	it("tell of a request what the table said, where the user's records have to be read, or somebody listens", function ()
		env.known.a = nil;
		assert.equal("from outgoing", send(ask("1")));
		assert.same({ "outgoing", "asked", false }, { told[1][1], told[1][4], told[1][5] });
		assert.truthy(told[1][3] & bits.asks ~= 0);
		assert.equal("1", told[1][2].stanza.attr.id);
		env.known.a = true;
		heard["receipts/requested"] = true;
		send(ask("2"));
		assert.equal("asked", told[2][4]);
		send(ask("2"));
		assert.equal(2, #told, "asked twice is nothing new");
		heard["receipts/requested"] = nil;
		send(ask(("x"):rep(2000)));
		assert.equal("id or address too long or empty", told[3][4]);
		assert.same({ 0, 0, 0 }, counts());
	end);

	it("count requests that make room for themselves, and have it told once many have gone", function ()
		pending:journal();
		for i = 1, 3 + 255 do send(ask("m"..i)); end
		assert.equal(0, #told);
		send(ask("m259"));
		assert.same({ "evicted" }, { told[1][1] });
		send(message({ id = "m260", to = "b@h" }, request(), st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" })));
		assert.same({ "evicted" }, { told[2][1] });
		local gone = pending:evicted();
		assert.same({ 257, "m1", "m257" }, { #gone, gone[1].id, gone[257].id });
		send(ask("m261"));
		assert.equal(2, #told);
		assert.same({ 261, 0, 0 }, counts());
	end);

	it("tell of a request that makes room for itself, where the user's records have to be read", function ()
		pending:journal();
		env.known.a = nil;
		for i = 1, 3 + 256 do send(ask("m"..i)); end
		assert.same({ "outgoing", "asked", false }, { told[258][1], told[258][4], told[258][5] });
		assert.same({ "outgoing", "asked", true }, { told[259][1], told[259][4], told[259][5] });
	end);

	it("E1 know the rooms that a session is in, whoever reads the message", function ()
		env.rooms[session] = { ["room@muc"] = true };
		for i, stanza in ipairs { ask("1", { to = "room@muc/nick" }), explicit(ask("2", { to = "room@muc/nick" })) } do
			send(stanza);
			come(ack(tostring(i), { from = "room@muc/other" }));
			assert.equal("forged", told[i][4]);
			come(ack(tostring(i), { from = "room@muc/nick" }));
			assert.same({ 1, 1, 0 }, counts());
		end
	end);

	it("E1 know an occupant by what the message says", function ()
		send(message({ id = "1", to = "room@muc/nick", body = "hi" }, request(), st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" })));
		come(ack("1", { from = "room@muc/other" }));
		assert.equal("forged", told[1][4]);
		come(ack("1", { from = "room@muc/nick" }));
		assert.same({ 1, 1, 0 }, counts());
	end);

	it("E3 hand over elements with something in them, and those in messages of a type that has none, both ways", function ()
		pending:add("a@h", "b@h", "2", 990);
		for _, way in ipairs { send, come } do
			local name = "from "..(way == send and "outgoing" or "incoming");
			for _, stanza in ipairs { message({ id = "1", body = "hi" }, request():text("x")), message({ to = "b@h/2" }, received("2"):text("x")),
				ask("1", { type = "groupchat" }), ask("1", { type = "error" }), ack("2", { type = "error" }) } do
				assert.equal(name, way(stanza), tostring(stanza));
			end
		end
		assert.equal(1, pending:count());
		assert.equal("pending", (pending:state("a@h", "b@h", "2")));
		assert.same({ 0, 0, 0 }, counts());
	end);

	it("hand over content of clients that may not ask by themselves, where the server asks at all", function ()
		local content = message { id = "1", body = "hi" };
		assert.is_nil((send(content)));
		session.full_jid = "a@h/2";
		assert.equal("from content", send(content));
		assert.equal("content", told[1][1]);
		assert.truthy(told[1][3] & bits.content ~= 0);
		local to_occupant = message({ to = "room@muc/nick", id = "1", body = "hi" }, st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" }));
		assert.equal("from content", send(to_occupant));
		for _, other in ipairs { message { type = "groupchat", body = "hi" }, st.iq({ type = "get", id = "1" }):text_tag("body", "hi") } do
			assert.is_nil((send(other)));
		end
		assert.equal(2, #told);
		session.full_jid = nil;
		assert.equal("from content", send(content), "not bound yet");
		env.asks = false;
		hook();
		assert.is_nil((send(content)));
	end);

	it("hand over acks to who may not see the sender's presence, and of users who may be answered for", function ()
		local one = ack("1", { from = "a@h/1", to = "b@h/2" });
		for name, change in pairs {
			["no presence"] = function () session.presence = nil; end;
			["no roster"] = function () session.roster = nil; end;
			["not in it"] = function () session.roster["b@h"] = nil; end;
			["only the other way"] = function () session.roster["b@h"].subscription = "to"; end;
			["hidden from"] = function () env.hiding[session] = { ["b@h"] = true }; end;
			["answered for"] = function () env.no_answers.a = nil; end;
		} do
			change();
			assert.equal("from outgoing", send(one), name);
			session.presence, session.roster, env.no_answers.a = {}, { ["b@h"] = { subscription = "from" } }, true;
			env.hiding[session] = nil;
			assert.is_nil((send(one)), name);
		end
		assert.equal("from outgoing", send(unaddressed({ from = "a@h/1" }, received("1"))), "no address");
		session.roster = nil;
		env.protect = false;
		hook();
		assert.is_nil((send(one)));
		assert.equal("from outgoing", send(message({ to = "b@h/2", id = "2", body = "hi" }, received("1"), request())), "both in one");
		assert.equal("from outgoing", send(message({ to = "b@h/2", body = "hi" }, request())), "no id");
	end);

	it("D5 E4 let an answer of ours pass, of whichever shape, where its addressee may see the user's presence still", function ()
		env.no_answers.a = nil;
		local plain, typed = ack("1", { from = "a@h/1", to = "b@h/2", type = "chat" }), ack("1", { from = "a@h/1", to = "b@h/2", type = "headline" });
		local private = ack("1", { from = "a@h/1", to = "b@h/2", type = "chat" });
		private:add_direct_child(st.stanza("x", { xmlns = "http://jabber.org/protocol/muc#user" }));
		local other_type = { [typed] = 1 };
		for _, answer in ipairs { plain, typed, private } do
			assert.equal("from outgoing", send(answer));
			local before = other_acks;
			env.own[answer] = true;
			assert.is_nil((send(answer)));
			assert.equal(other_type[answer] or 0, other_acks - before);
			session.roster["b@h"].subscription = "to";
			assert.equal("from outgoing", send(answer));
			session.roster["b@h"].subscription = "both";
			env.hiding[session] = { ["b@h"] = true };
			assert.equal("from outgoing", send(answer));
			env.hiding[session] = nil;
		end
		assert.equal("from outgoing", send(ack("1", { from = "a@h/1", to = "b@h/2", type = "chat" })), "another one");
		session.roster = nil;
		env.protect = false;
		hook();
		assert.is_nil((send(plain)));
	end);

	it("E7 tell of acks that are not of type chat, before mod_carbons sees them", function ()
		local function told_of(way, stanza)
			local before = other_acks;
			way(stanza);
			return other_acks > before;
		end
		for _, type in ipairs { "normal", "headline", false } do
			for _, kind in ipairs { "normal", "chat" } do
				pending:add("a@h", "b@h", "1", 990, { type = kind });
				assert.is_true(told_of(come, ack("1", { type = type or nil })), kind);
				assert.is_true(told_of(come, ack("1", { type = type or nil })), "a duplicate");
				pending:forget("a@h");
			end
			assert.is_true(told_of(come, ack("0", { type = type or nil })), "unknown");
			assert.is_true(told_of(come, message({ from = "b@h/2", to = "a@h/1", type = type or nil }, received("1"), received("2"))), "two in one");
			assert.is_true(told_of(send, ack("2", { from = "a@h/1", to = "b@h/2", type = type or nil })), "sent");
			assert.is_true(told_of(send, ack("2", { from = "a@h/1", to = "c@h/2", type = type or nil })), "to a stranger");
		end
		for _, type in ipairs { "chat", "error", "groupchat" } do
			pending:add("a@h", "b@h", "1", 990, { type = "chat" });
			assert.is_false(told_of(come, ack("1", { type = type })), type);
			assert.is_false(told_of(come, ack("0", { type = type })), type);
			assert.is_false(told_of(send, ask("3", { type = type })), type);
			assert.is_false(told_of(come, message({ from = "b@h", to = "a@h/1", id = "1", type = type, body = "hi" })), type);
		end
		local own = { from = "a@h/1", to = "b@h/2", type = "chat" };
		assert.is_false(told_of(send, ack("2", own)));
		assert.is_false(told_of(send, explicit(ack("2", own))));
		for _, way in ipairs { send, come } do
			assert.is_false(told_of(way, ask("4", { to = "b@h/2" })));
			assert.is_false(told_of(way, ask("4", { to = "b@h/2", type = "groupchat" })));
			assert.is_false(told_of(way, ask(nil, { to = "b@h/2" })), "no id");
			assert.is_false(told_of(way, message { body = "hi" }));
		end
	end);

	it("hand over requests to users who may be answered for", function ()
		env.no_answers.b = nil;
		assert.equal("from incoming", come(ask("1", { to = "b@h" })));
		assert.equal("from incoming", come(ask("1", { to = "h" })));
		assert.is_nil(told[1][4]);
		assert.truthy(told[1][3] & bits.request ~= 0);
		env.no_answers.b = true;
		assert.is_nil((come(ask("1", { to = "b@h" }))));
		assert.equal("from incoming", come(unaddressed({ id = "1" }, request())), "no address at all");
		assert.is_nil((come(unaddressed({ from = "b@h/1", id = "1" }, request()))), "to themselves");
	end);

	it("hand over what is malformed", function ()
		assert.equal("from incoming", come(ask()));
		assert.equal("from incoming", come(message({ to = "b@h", id = "1" }, received("1"):text("x"))));
		send(ask("1"));
		assert.equal("from incoming", come(message({ from = "b@h/2", to = "a@h/1", id = "2" }, received("1"), request())));
		assert.same({ 1, 0, 0 }, counts());
	end);

	it("E1 match acks of the user's own, which need no address, and leave it to the engine what to do without a sender", function ()
		pending:add("a@h", "a@h", "1", 990);
		assert.is_nil((come(unaddressed({ from = "a@h/2" }, received("1")))));
		assert.same({ 0, 1, 0 }, counts());
		assert.equal("from incoming", come(unaddressed({ to = "a@h/1" }, received("1"))));
	end);

	it("E3 take an empty id for none, both ways", function ()
		for _, way in ipairs { send, come } do
			for what, stanza in pairs { request = ask(""), received = ack("", { from = "a@h/1", to = "b@h/2" }) } do
				way(stanza);
				assert.truthy(told[#told] and told[#told][3] & bits[what.."-without-id"] ~= 0, what);
			end
		end
		assert.equal(4, #told);
		assert.equal(0, pending:count());
	end);

	it("E3 take an id in the request for no id of the message, both ways", function ()
		local stanza = message({ to = "b@h", body = "hi" }, st.stanza("request", { xmlns = R.xmlns, id = "1" }));
		for _, way in ipairs { send, come } do
			way(stanza);
			assert.truthy(told[#told] and told[#told][3] & bits["request-without-id"] ~= 0);
		end
		assert.equal(2, #told);
		assert.equal(0, pending:count());
	end);

	it("hand over acks that are not as they should be", function ()
		send(ask("1", { type = "chat" }));
		local verdicts = {};
		local function verdict(stanza)
			come(stanza);
			table.insert(verdicts, told[#told] and told[#told][4] or "none");
		end
		verdict(ack("1", { from = "eve@h/1" }));
		verdict(ack("0"));
		verdict(ack("1"));
		assert.same({ "forged", "unknown", "delivered" }, verdicts, "the last has another type");
		assert.same({ "1", 0, false, "chat", false }, { table.unpack(told[3], 5) });
		assert.truthy(told[3][3] & bits.received ~= 0);
		for i, type in ipairs { "normal", "chat" } do
			pending:add("a@h", "b@h", "2", 990, { injected = true, type = type });
			verdict(ack("2", { type = type }));
			assert.same({ "2", 10, true, type, false }, { table.unpack(told[3 + i], 5) });
			pending:forget("a@h");
		end
		pending:add("a@h", "b@h", "3", 990, { type = "chat" });
		come(ack("3", { body = "and more" }));
		assert.equal(5, #told, "more than an ack keeps its type");
		pending:add("a@h", "b@h", "5", 990, { type = "chat" });
		come(ack("5", { type = "chat" }));
		assert.equal(5, #told);
		verdict(ack("0", { body = "and more" }));
		assert.equal("unknown", verdicts[6]);
		heard["receipts/delivered"] = true;
		for _, type in ipairs { "normal", "chat" } do
			pending:add("a@h", "b@h", "4", 990, { type = type });
			verdict(ack("4", { type = type }));
			assert.equal("delivered", table.remove(verdicts));
			pending:forget("a@h");
		end
		assert.equal(8, #told);
		assert.same({ 1, 2, 0 }, counts());
	end);

	it("hand over all bounces", function ()
		send(ask("1"));
		come(message({ from = "b@h", to = "a@h/1", type = "error", id = "1" }));
		assert.same({ "failed", "1", 0, false, "normal", false }, { table.unpack(told[1], 4) });
		come(message({ from = "b@h", to = "a@h/1", type = "error", id = "1" }));
		assert.equal(3, #told[2]);
	end);

	it("have the ages of acks measured when somebody wants to know, and before they are too many; all, though one cannot be", function ()
		local measured, sample = 0, env.sample;
		function env.sample(age)
			measured = measured + 1;
			if measured == 100 then error("no memory"); end
			sample(age);
		end
		hook();
		for i = 1, 600 do
			local type = i % 2 == 0 and "headline" or nil; -- which the engine reads
			send(ask("m"..i, { type = type }));
			come(ack("m"..i, { type = type }));
		end
		assert.equal(100 + 256, measured);
		assert.same({ "failed" }, { told[1][1], told[2] }); -- at the 257th ack, which is not counted
		table.insert(ages, 0);
		assert.same({ 600, 599, 0 }, counts());
	end);

	it("F0 catch errors, tell of them, and let the message go on", function ()
		env.now = function () return -1; end;
		env.content = function () error("forced"); end;
		hook();
		assert.is_nil((send(ask("1"))));
		session.full_jid = "a@h/2";
		assert.is_nil((send(message { id = "1", body = "hi" })));
		env.now = function () return 1e15; end;
		hook();
		assert.is_nil((come(ack("1"))));
		assert.same({ "failed", "failed", "failed" }, { told[1][1], told[2][1], told[3][1] });
		assert.truthy(told[1][2]:find("not a time", 1, true));
		assert.truthy(told[2][2]:find("forced", 1, true));
		env.failed, env.now = error, os.time;
		hook();
		assert.is_nil((send(message { id = "1", body = "hi" })), "even where that cannot be told");
		pending:close();
		assert.is_nil((send(ask("1"))));
		assert.is_nil((come(ack("1"))));
		assert.equal(3, #told);
	end);

	it("F0 take it for an error when there is no memory to keep a request", function ()
		local function full() return "out of memory"; end
		env.pending = setmetatable({ ask = full, outgoing = function () return bits.request | bits.asks, full(); end }, { __index = pending });
		hook();
		for _, stanza in ipairs { ask("1"), explicit(ask("1")) } do assert.is_nil((send(stanza))); end
		assert.same({ { "failed", "out of memory" }, { "failed", "out of memory" } }, told);
	end);

	it("F0 catch errors of what they call", function ()
		env.now = error;
		hook();
		assert.is_nil((send(ask("1"))));
		assert.is_nil((come(ack("1"))));
		assert.equal(2, #told);
	end);

	it("F0 catch errors about events that are none", function ()
		for _, event in ipairs { {}, { stanza = "x" }, { stanza = {} }, { stanza = { tags = { 1 } } }, "x" } do
			assert.is_nil((outgoing(event)));
			assert.is_nil((incoming(event)));
		end
		assert.is_nil((outgoing()));
		assert.equal(11, #told);
		for _, one in ipairs(told) do assert.equal("failed", one[1]); end
	end);
end);
