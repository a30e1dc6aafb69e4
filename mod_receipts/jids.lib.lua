-- SPDX-License-Identifier: MIT
-- Parts of the JIDs that stanzas and sessions have. Prosody has prepared those before any event: a slash is where the resource begins, and
-- nothing needs to be looked at twice. So one pattern does, for what runs for each stanza, where util.jid takes them apart and checks each part.

local match_text = string.match;

local jids = {};

--- The bare JID of a JID; nil for nil.
function jids.bare(jid)
	return jid and match_text(jid, "^[^/]*");
end

--- The node of a JID; nil when it has none.
function jids.node(jid)
	return jid and match_text(jid, "^([^@/]*)@");
end

--- The host of a bare JID; nil for nil.
function jids.host_of_bare(bare)
	return bare and match_text(bare, "[^@]*$");
end

--- The account of a session's user.
function jids.account_of(session)
	return session.username.."@"..session.host;
end

return jids;
