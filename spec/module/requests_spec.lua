-- SPDX-License-Identifier: MIT
-- requests.lib.lua: whether to ask (rules C1, C3).

local lib = require "spec.support.paths".lib("requests");

local function decide(mode, sender, recipient)
	return lib.decide(mode, sender, function () return recipient; end);
end

describe("requests", function ()
	local clients = { "capable", "incapable", "unknown", "silent" };

	it("C1 \"always\" asks everybody but those known to be incapable", function ()
		for _, sender in ipairs(clients) do
			assert.is_true((decide("always", sender, "capable")));
			assert.is_true((decide("always", sender, "unknown")));
			assert.is_false((decide("always", sender, "incapable")));
		end
	end);

	it("C1 \"auto\" asks the capable, for clients that are incapable or show no caps", function ()
		for _, sender in ipairs(clients) do
			assert.equal(sender == "incapable" or sender == "silent", (decide("auto", sender, "capable")), sender);
			assert.is_false((decide("auto", sender, "unknown")));
			assert.is_false((decide("auto", sender, "incapable")));
		end
	end);

	it("C1 looks at the recipient only where that matters", function ()
		local function never() error("looked"); end
		assert.is_false((lib.decide("auto", "capable", never)));
	end);

	it("gives a reason that is true of this client and this person", function ()
		local function why(...) return (select(2, decide(...))); end
		assert.equal("the sender's client can ask by itself", why("auto", "capable", "capable"));
		assert.equal("the sender's client has not said yet whether it can ask by itself", why("auto", "unknown", "capable"));
		assert.equal("the recipient is not known to support receipts", why("auto", "incapable", "unknown"));
		assert.equal("the recipient does not support receipts", why("auto", "incapable", "incapable"));
		assert.equal("the recipient does not support receipts", why("always", "capable", "incapable"));
		assert.equal("receipts_request is \"always\"", why("always", "unknown", "unknown"));
		assert.equal("the recipient supports receipts and the sender's client does not", why("auto", "silent", "capable"));
	end);
end);
