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
		assert.is_nil(rooms.of_session[session]);
		for _, type in ipairs { "unavailable", "error" } do
			joins("one@muc/nick");
			joins("two@muc/nick");
			assert.same({ ["one@muc"] = true, ["two@muc"] = true }, rooms.of_session[session]);
			assert.same({ true, true, false, false }, { rooms:has(session, "one@muc"), rooms:has(session, "two@muc/other"),
				rooms:has(session, "three@muc/nick"), rooms:has({}, "one@muc") });
			assert.equal("one@muc", sends("one@muc/nick", type));
			assert.same({ ["two@muc"] = true }, rooms.of_session[session]);
		end
		assert.is_nil(rooms.of_session[{}]);
	end);

	it("are neither joined nor left by other presence", function ()
		assert.is_nil(sends("one@muc/nick", "unavailable"));
		assert.is_nil(sends("one@muc/nick"));
		assert.is_nil(joins("one@muc/nick", "subscribe"));
		assert.is_nil(rooms.of_session[session]);
		joins("one@muc/nick");
		assert.is_nil(sends("friend@h/r", "unavailable"));
		assert.is_nil(sends("one@muc/other")); -- a change of nick, or of show
		assert.same({ ["one@muc"] = true }, rooms.of_session[session]);
	end);

	-- What a room sends of a nick, with these codes, to whoever has it.
	local function says(codes, type, from)
		local presence = st.presence { from = from or "one@muc/nick", type = type or "unavailable" };
		presence:tag("x", { xmlns = "http://jabber.org/protocol/muc#user" });
		for code in codes:gmatch("%d+") do presence:tag("status", { code = code }):up(); end
		return presence;
	end

	it("B4 are left by who has been put out, for whatever reason", function ()
		assert.is_nil(rooms:told(session, says("110 307")));
		assert.is_nil(rooms:told(nil, says("110 307")));
		for _, code in ipairs { "301", "307", "321", "322", "332", "333" } do
			for _, codes in ipairs { code.." 110", "110 "..code } do
				joins("one@muc/nick");
				assert.equal("one@muc", rooms:told(session, says(codes)), codes);
				assert.same({}, rooms.of_session[session]);
			end
		end
		joins("one@muc/nick");
		assert.equal("one@muc", rooms:told(session, says("110"):tag("destroy"):up()));
		assert.same({}, rooms.of_session[session]);
	end);

	it("B4 are not left by who is told of anything else there, or of having left before", function ()
		joins("one@muc/nick");
		for what, presence in pairs {
			["another occupant is put out"] = says("307"), ["a new nick"] = says("303 110"), ["no reason"] = says("110");
			["an error"] = says("110 307", "error"), ["another room"] = says("110 307", nil, "two@muc/nick");
			["nothing about the room"] = st.presence { from = "one@muc/nick", type = "unavailable" };
		} do
			assert.is_nil(rooms:told(session, presence), what);
		end
		assert.same({ ["one@muc"] = true }, rooms.of_session[session]);
	end);

	it("are taken over", function ()
		joins("one@muc/nick");
		local other = lib.new();
		other:take_over(rooms);
		assert.same({ ["one@muc"] = true }, other.of_session[session]);
	end);
end);
