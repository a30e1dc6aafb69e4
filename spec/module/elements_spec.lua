-- SPDX-License-Identifier: MIT
-- elements.lib.lua: how plans of checks.lib.lua are carried out.

local paths = require "spec.support.paths";
local stanzas = require "spec.support.stanzas";
local elements = paths.lib("elements");
local st = require "util.stanza";

local R = stanzas.xmlns;

describe("receipt elements", function ()
	local function message()
		return st.message({ id = "own", type = "chat" }):text("a"):tag("received", { xmlns = R, id = "1" }):up():text("b")
			:tag("request", { xmlns = R }):up():tag("received", { xmlns = "urn:x" }):up():tag("request", { xmlns = "urn:y" }):up()
			:tag("received", { xmlns = R, id = "2" }):up():text("c");
	end

	it("E5 an ack names the message that the first of its elements does, or else what has its own id", function ()
		local function acked(...)
			local ack = st.message { id = "own" };
			for _, id in ipairs { ... } do ack:tag("received", { xmlns = R, id = id or nil }):up(); end
			return elements.acked(ack);
		end
		assert.same({ "1", "own", "own", "own" }, { acked("1", "2"), acked(false, "2"), acked("", "2"), acked() });
	end);

	it("D6 G1 are for a moment only in a call, or beside a chat state and nothing that a message says", function ()
		local CALL, STATE = "urn:xmpp:jingle-message:0", "http://jabber.org/protocol/chatstates";
		local function is_passing(...)
			local stanza = st.message { id = "1", type = "chat" };
			for _, tag in ipairs { { "request", R }, ... } do stanza:tag(tag[1], { xmlns = tag[2] }):up(); end
			return elements.is_passing(stanza);
		end
		for _, call in ipairs { CALL, "urn:xmpp:jingle-message:1", "urn:xmpp:call-invites:0" } do
			assert.is_true(is_passing { "invite", call });
			assert.is_true(is_passing({ "invite", call }, { "x", "urn:example:more" }));
			assert.is_false(is_passing({ "invite", call }, { "body" }));
		end
		assert.is_true(is_passing { "composing", STATE });
		for name, xmlns in pairs { thread = false, store = "urn:xmpp:hints", ["stanza-id"] = "urn:xmpp:sid:0", delay = "urn:xmpp:delay",
			["occupant-id"] = "urn:xmpp:occupant-id:0", nick = "http://jabber.org/protocol/nick", x = "http://jabber.org/protocol/muc#user" } do
			assert.is_true(is_passing({ name, xmlns or nil }, { "composing", STATE }), name);
		end
		for name, xmlns in pairs { body = false, encrypted = "urn:xmpp:omemo:2", ["file-sharing"] = "urn:xmpp:sfs:0", openpgp = "urn:xmpp:openpgp:0",
			thread = "urn:example:more" } do
			assert.is_false(is_passing({ name, xmlns or nil }, { "active", STATE }), name);
		end
		assert.is_false(is_passing());
	end);

	it("E3 E8 go as the plan says, and nothing else does", function ()
		local keep = { request = "keep", received = "keep" };
		local function applied(change)
			local plan, left = setmetatable(change, { __index = keep }), {};
			local stanza = message();
			assert.equal(stanza, elements.apply(plan, stanza));
			for i, child in ipairs(stanza) do left[i] = type(child) == "string" and child or child.attr.id or child.attr.xmlns; end
			local tags = {};
			for _, child in ipairs(stanza) do table.insert(tags, child.name and child or nil); end
			assert.same(tags, stanza.tags);
			return table.concat(left, " "), stanza.attr.type;
		end
		assert.equal("a 1 b "..R.." urn:x urn:y 2 c", (applied {}));
		assert.equal("a 1 b urn:x urn:y 2 c", (applied { request = "take" }));
		assert.equal("a b "..R.." urn:x urn:y c", (applied { received = "take" }));
		assert.equal("a 1 b urn:x urn:y c", (applied { received = "first", request = "take" }));
		assert.equal("a own b "..R.." urn:x urn:y c", (applied { received = "mend" }));
		assert.same({ "a 1 b "..R.." urn:x urn:y 2 c", nil }, { applied { type = "normal" } });
		assert.equal("headline", select(2, applied { type = "headline" }));
	end);

	it("E3 go at once, however many they are: a message of them alone would stop the server for seconds", function ()
		local stanza, touched = st.message(), 0;
		for _ = 1, 1000 do stanza:tag("received", { xmlns = R }):up(); end
		local tags = stanza.tags;
		stanza.tags = setmetatable({}, {
			__len = function () return #tags; end;
			__index = function (_, i) touched = touched + 1; return tags[i]; end;
			__newindex = function (_, i, tag) touched = touched + 1; tags[i] = tag; end;
		});
		elements.apply({ request = "keep", received = "first" }, stanza);
		assert.same({ 1, 1 }, { #stanza, #tags });
		assert.is_true(touched < 5000, touched);
	end);
end);
