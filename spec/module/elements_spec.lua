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
