-- SPDX-License-Identifier: MIT
-- From whom a session has hidden, by unavailable presence to them alone, though they may see its user's presence (rules D3, E4). That holds
-- until it shows itself again, to them or to all.

local bare_of = (module:require "jids").bare;

local of_session = setmetatable({}, { __mode = "k" }); -- session -> set of bare JIDs, none but those of its roster

local hiding = { of_session = of_session };

--- What another one knew, after a reload.
function hiding.take_over(other)
	for session, hidden in next, other.of_session do of_session[session] = hidden; end
end

--- A session sends presence.
-- @param to    nil: to all who may see it
-- @param type  of the stanza
function hiding.sent(session, to, type)
	local hidden = of_session[session];
	if not to then
		if hidden and not type then of_session[session] = nil; end
		return;
	end
	local bare = bare_of(to);
	if type == "unavailable" then
		if not session.roster or not session.roster[bare] then return; end
		of_session[session] = hidden or {};
		of_session[session][bare] = true;
	elseif not type and hidden then
		hidden[bare] = nil;
	end
end

--- Has it hidden from this person (bare JID)?
function hiding.is_from(session, bare)
	local hidden = of_session[session];
	return hidden ~= nil and hidden[bare] == true;
end

return hiding;
