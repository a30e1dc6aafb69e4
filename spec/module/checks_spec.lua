-- SPDX-License-Identifier: MIT
-- checks.lib.lua: what becomes of receipt elements (chapter E), as decisions. The wire specs show the effects.

local checks = require "spec.support.paths".lib("checks");

local defaults = { forged = "drop", unknown = "pass", groupchat_requests = "pass", protect_presence = true };
local function with(changes)
	return setmetatable(changes, { __index = defaults });
end
local function has(...)
	local set = {};
	for _, name in ipairs { ... } do set[name] = true; end
	return set;
end
local function yes() return true; end
local function no() return false; end

describe("checks", function ()
	describe("of what a local client sends", function ()
		it("leave an ordinary request and ack alone", function ()
			local plan = checks.outgoing(has("request", "asks"), no, defaults);
			assert.same({ "keep", "keep" }, { plan.request, plan.received });
			plan = checks.outgoing(has("received", "acks"), yes, defaults);
			assert.same({ "keep", "keep" }, { plan.request, plan.received });
		end);

		for _, problem in ipairs { "request-without-id", "request-in-ack", "request-not-empty" } do
			it("E3 take a "..problem, function ()
				assert.equal("take", checks.outgoing(has("request", problem), yes, defaults).request);
				assert.equal("take", checks.incoming(has("request", problem), nil, nil, no, defaults).request);
				assert.equal("keep", checks.outgoing(has("request", problem, "request-in-error", "bounce"), yes, defaults).request, "not from a bounce");
			end);
		end

		it("E3 take a request from groupchat only when told to", function ()
			local what = has("request", "request-in-groupchat");
			assert.equal("keep", checks.outgoing(what, yes, defaults).request);
			assert.equal("take", checks.outgoing(what, yes, with { groupchat_requests = "strip" }).request);
			assert.equal("keep", checks.incoming(what, nil, nil, no, defaults).request);
			assert.equal("take", checks.incoming(what, nil, nil, no, with { groupchat_requests = "strip" }).request);
		end);

		it("E3 take a received that is not empty, and all but the first of several", function ()
			assert.equal("take", checks.outgoing(has("received", "received-not-empty"), yes, defaults).received);
			assert.equal("first", checks.outgoing(has("received", "acks", "several-received"), yes, defaults).received);
			assert.equal("keep", checks.outgoing(has("received", "received-in-error", "received-not-empty", "bounce"), yes, defaults).received);
		end);

		it("E3 take both from an error that comes to a user, who may take them for what they are not", function ()
			local plan = checks.incoming(has("bounce", "request", "request-in-error", "received", "received-in-error"), "failed", nil, no, defaults);
			assert.same({ "take", "take" }, { plan.request, plan.received });
			assert.truthy(plan.why:find("E6 bounced", 1, true));
		end);

		it("E7 give a delivered ack the type of what it acks", function ()
			assert.equal("chat", checks.type({}, "delivered", "chat", nil));
			assert.equal("normal", checks.type({}, "delivered", "normal", "chat"));
			assert.is_nil(checks.type({}, "delivered", "normal", nil));
			assert.is_nil(checks.type({}, "delivered", "headline", "chat"));
			assert.is_nil(checks.type({}, "duplicate", "chat", nil));
			assert.is_nil(checks.type({ more = true }, "delivered", "chat", nil), "there is more in it than an ack");
		end);

		it("E4 take an ack to who may not see the user's presence", function ()
			local what = has("received", "acks");
			assert.equal("take", checks.outgoing(what, no, defaults).received);
			assert.equal("keep", checks.outgoing(what, yes, defaults).received);
			assert.equal("keep", checks.outgoing(what, no, with { protect_presence = false }).received);
		end);

		it("E4 take one that waits until it may be seen, and do not count it as thrown away", function ()
			local plan = checks.outgoing(has("received", "acks"), function () return "later"; end, defaults);
			assert.same({ "take", "E4 waits until the client is available" }, { plan.received, plan.why });
			assert.is_nil(plan.rejected);
		end);

		it("E4 take one from an error too", function ()
			assert.equal("take", checks.outgoing(has("received", "received-in-error", "bounce"), no, defaults).received);
		end);

		it("E4 ask about presence only where there is an ack", function ()
			checks.outgoing(has("request", "asks"), function () error("asked"); end, defaults);
		end);
	end);

	describe("of what comes to a local user", function ()
		local ack = has("received", "acks");
		it("E2 follow the options", function ()
			assert.equal("take", checks.incoming(ack, "forged", nil, no, defaults).received);
			assert.equal("keep", checks.incoming(ack, "forged", nil, no, with { forged = "pass" }).received);
			assert.equal("keep", checks.incoming(ack, "unknown", nil, no, defaults).received);
			assert.equal("take", checks.incoming(ack, "unknown", nil, no, with { unknown = "drop" }).received);
			assert.equal("keep", checks.incoming(ack, "delivered", false, no, defaults).received);
			assert.equal("keep", checks.incoming(ack, "duplicate", false, no, defaults).received);
		end);

		it("C6 keep an ack to our own request from clients that did not ask", function ()
			for _, verdict in ipairs { "delivered", "duplicate" } do
				assert.equal("take", checks.incoming(ack, verdict, true, no, defaults).received);
				assert.equal("keep", checks.incoming(ack, verdict, true, yes, defaults).received);
			end
		end);

		it("E5 mend an ack of revision 1.0, and take one that matches nothing", function ()
			local old = has("received", "acks", "received-without-id");
			assert.equal("mend", checks.incoming(old, "delivered", false, no, defaults).received);
			assert.equal("mend", checks.incoming(old, "duplicate", false, no, defaults).received);
			assert.equal("take", checks.incoming(old, "delivered", true, no, defaults).received);
			assert.equal("take", checks.incoming(old, "unknown", nil, no, defaults).received);
			assert.equal("take", checks.incoming(old, "forged", nil, no, with { forged = "pass" }).received);
		end);
	end);

	it("drop a message of which nothing is left", function ()
		local plan = checks.outgoing(has("received", "acks"), no, defaults);
		assert.is_true(checks.empty(plan, has("received")));
		assert.falsy(checks.empty(plan, has("received", "more")));
		assert.is_false(checks.empty(checks.outgoing(has("received", "acks"), yes, defaults), has("received")));
	end);

	it("say why", function ()
		assert.equal("E3 request-in-ack; E4 the addressee may not see the user's presence",
			checks.outgoing(has("request", "received", "acks", "request-in-ack"), no, defaults).why);
	end);
end);
