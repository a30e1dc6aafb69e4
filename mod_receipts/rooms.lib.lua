-- SPDX-License-Identifier: MIT
-- Which rooms a session is in: rule E1 needs to know room occupants. Whoever joins a room says so in the presence that joins it
-- (XEP-0045 §7.2); and a room tells whoever it puts out.

local jid_bare = (module:require "jids").bare;

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

local SELF = "110";
-- Why somebody has been put out: banned, kicked, no member any more, the service shuts down, an error.
local REASONS = { ["301"] = true, ["307"] = true, ["321"] = true, ["322"] = true, ["332"] = true, ["333"] = true };

local rooms = {};
local methods = {};
local mt = { __index = methods };

function rooms.new()
	-- of_session: session -> set of rooms (bare JIDs)
	return setmetatable({ of_session = setmetatable({}, { __mode = "k" }) }, mt);
end

--- What another one knew, after a reload.
function methods:take_over(other)
	for session, joined in next, other.of_session do self.of_session[session] = joined; end
end

--- Is this address (bare or full) that of a room that the session is in, or of an occupant there?
function methods:has(session, jid)
	local joined = self.of_session[session];
	return joined ~= nil and joined[jid_bare(jid)] == true;
end

--- Takes note of a room.
function methods:join(session, room)
	self.of_session[session] = self.of_session[session] or {};
	self.of_session[session][room] = true;
end

local function leave(self, session, room)
	local joined = self.of_session[session];
	if not joined or not joined[room] then return; end
	joined[room] = nil;
	return room;
end

--- Takes note of directed presence that a session sends.
-- @return the room that it leaves thereby, if it does
function methods:presence(session, stanza)
	local room, type = jid_bare(stanza.attr.to), stanza.attr.type;
	if type == nil and stanza:get_child("x", xmlns_muc) then
		self:join(session, room);
	elseif type == "unavailable" or type == "error" then -- so mod_presence does: at the session's end the room is told nothing
		return leave(self, session, room);
	end
end

-- Has the one to whom a room sends this been put out? What answers a leave gives no reason: it may come when the room is joined again.
local function is_put_out(stanza)
	local x = stanza.attr.type == "unavailable" and stanza:get_child("x", xmlns_muc_user);
	if not x then return false; end
	local own, out = false, x:get_child("destroy");
	for status in x:childtags("status") do
		own, out = own or status.attr.code == SELF, out or REASONS[status.attr.code];
	end
	return own and out;
end

--- Takes note of presence that a session (nil: nobody's) gets.
-- @return the room that it has been put out of, if it has
function methods:told(session, stanza)
	if is_put_out(stanza) then return leave(self, session, jid_bare(stanza.attr.from)); end
end

return rooms;
