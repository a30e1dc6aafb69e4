-- SPDX-License-Identifier: MIT
-- jids.lib.lua takes JIDs apart as util.jid does, where Prosody has prepared them.

local jids = require "spec.support.paths".lib("jids");
local jid = require "util.jid";

describe("jids", function ()
	it("are taken apart as by util.jid", function ()
		for _, node in ipairs { "", "juliet@", "d'artagnan\\27@" } do
			for _, host in ipairs { "example.org", "xn--bcher-kva.example", "192.0.2.1", "[2001:db8::1]" } do
				for _, resource in ipairs { "", "/balcony", "/a/b", "/a@b", "/@", "/ü" } do
					local full = node..host..resource;
					assert.equal(jid.bare(full), jids.bare(full), full);
					assert.equal(jid.node(full), jids.node(full), full);
					assert.equal(jid.host(full), jids.host_of_bare(jids.bare(full)), full);
				end
			end
		end
	end);

	it("of sessions are those of their users", function ()
		assert.equal("juliet@example.org", jids.account_of { username = "juliet", host = "example.org", resource = "balcony" });
	end);

	it("that are not there have no parts", function ()
		assert.same({}, { jids.bare(nil), jids.node(nil), jids.host_of_bare(nil) });
	end);
end);
