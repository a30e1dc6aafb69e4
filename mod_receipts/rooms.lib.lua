-- SPDX-License-Identifier: MIT
-- Which rooms a session is in: rule E1 needs to know room occupants. Whoever joins a room says so in the presence that joins it
-- (XEP-0045 §7.2).

local jid_bare = require "util.jid".bare;

local xmlns_muc = "http://jabber.org/protocol/muc";

local rooms = {};
local methods = {};
local mt = { __index = methods };

function rooms.new()
	return setmetatable({ of_session = setmetatable({}, { __mode = "k" }) }, mt);
end

--- What another one knew, after a reload.
function methods:take_over(other)
	for session, joined in next, other.of_session do self.of_session[session] = joined; end
end

--- The set of the rooms (bare JIDs) that a session is in; nil when it is in none.
function methods:of(session)
	return self.of_session[session];
end

--- Takes note of a room.
function methods:join(session, room)
	self.of_session[session] = self.of_session[session] or {};
	self.of_session[session][room] = true;
end

--- Takes note of directed presence that a session sends.
-- @return the room that it leaves thereby, if it does
function methods:presence(session, stanza)
	local joined, type = self.of_session[session], stanza.attr.type;
	if type == nil and stanza:get_child("x", xmlns_muc) then
		self:join(session, jid_bare(stanza.attr.to));
	elseif type == "unavailable" and joined then
		local room = jid_bare(stanza.attr.to);
		if not joined[room] then return; end
		joined[room] = nil;
		return room;
	end
end

return rooms;
