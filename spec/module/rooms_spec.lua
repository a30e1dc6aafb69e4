-- SPDX-License-Identifier: MIT
-- rooms.lib.lua: which rooms a session is in, by the presence that it sends.

local lib = require "spec.support.paths".lib("rooms");
local st = require "util.stanza";

describe("rooms", function ()
	local rooms, session;
	before_each(function () rooms, session = lib.new(), {}; end);

	local function sends(to, type)
		return rooms:presence(session, st.presence { to = to, type = type });
	end
	local function joins(to, type)
		return rooms:presence(session, st.presence({ to = to, type = type }):tag("x", { xmlns = "http://jabber.org/protocol/muc" }):up());
	end

	it("are those that a session has joined and not left", function ()
		assert.is_nil(rooms:of(session));
		joins("one@muc/nick");
		joins("two@muc/nick");
		assert.same({ ["one@muc"] = true, ["two@muc"] = true }, rooms:of(session));
		assert.equal("one@muc", sends("one@muc/nick", "unavailable"));
		assert.same({ ["two@muc"] = true }, rooms:of(session));
		assert.is_nil(rooms:of {});
	end);

	it("are neither joined nor left by other presence", function ()
		assert.is_nil(sends("one@muc/nick", "unavailable"));
		assert.is_nil(sends("one@muc/nick"));
		assert.is_nil(joins("one@muc/nick", "subscribe"));
		assert.is_nil(rooms:of(session));
		joins("one@muc/nick");
		assert.is_nil(sends("friend@h/r", "unavailable"));
		assert.is_nil(sends("one@muc/other")); -- a change of nick, or of show
		assert.is_nil(sends("one@muc/nick", "error"));
		assert.same({ ["one@muc"] = true }, rooms:of(session));
	end);

	it("are taken over", function ()
		joins("one@muc/nick");
		local other = lib.new();
		other:take_over(rooms);
		assert.same({ ["one@muc"] = true }, other:of(session));
	end);
end);
