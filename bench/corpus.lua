-- SPDX-License-Identifier: MIT
-- Messages as they are on the wire of a server: of the length, the children and the ids that clients make today.

local corpus = {};

local TEXT = ("Meet me at the orchard when the bell has rung, and bring the letter that my cousin wrote; "
	.."I shall be there & wait. "):gsub("&", "&amp;");

-- A cheap generator, so that every run has the same messages.
local seed = 184;
local function random(n)
	seed = (seed * 1103515245 + 12345) % 2147483648;
	return seed // 65536 % n;
end

--- An id as most clients make it.
function corpus.id()
	return ("%04x%04x-%04x-4%03x-a%03x-%04x%04x%04x"):format(random(65536), random(65536), random(65536), random(4096), random(4096),
		random(65536), random(65536), random(65536));
end

--- A user's bare JID, 25 bytes long.
function corpus.jid(n)
	return ("user%07d@example.net.x"):format(n);
end

-- What servers and clients add to most messages.
local function ids(to, id)
	return ("<stanza-id xmlns='urn:xmpp:sid:0' by='%s' id='%s'/><origin-id xmlns='urn:xmpp:sid:0' id='%s'/>"):format(to, corpus.id(), id);
end

local function text()
	return TEXT:sub(1, 40 + random(60));
end

--- A message that asks for a receipt; `from` and `to` are bare JIDs.
function corpus.ask(from, to, id)
	return ("<message xmlns='jabber:client' xml:lang='en' to='%s/phone' from='%s/gajim.RU3R8QMB' type='chat' id='%s'><body>%s</body>"
		.."<active xmlns='http://jabber.org/protocol/chatstates'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
		.."<request xmlns='urn:xmpp:receipts'/>%s</message>"):format(to, from, id, text(), ids(to, id));
end

--- `from` acks message `id` of `to`.
function corpus.ack(from, to, id)
	local own = corpus.id();
	return ("<message xmlns='jabber:client' xml:lang='en' to='%s/phone' from='%s/gajim.RU3R8QMB' type='chat' id='%s'>"
		.."<received xmlns='urn:xmpp:receipts' id='%s'/><store xmlns='urn:xmpp:hints'/><delay xmlns='urn:xmpp:delay' from='example.net' "
		.."stamp='2026-11-22T10:20:30Z'/>%s</message>"):format(to, from, own, id, ids(to, own));
end

--- A message that has nothing to do with receipts.
function corpus.idle(from, to, id)
	return ("<message xmlns='jabber:client' xml:lang='en' to='%s/phone' from='%s/gajim.RU3R8QMB' type='chat' id='%s'><body>%s</body>"
		.."<active xmlns='http://jabber.org/protocol/chatstates'/><no-permanent-store xmlns='urn:xmpp:hints'/>"
		.."<markable xmlns='urn:xmpp:chat-markers:0'/>%s</message>"):format(to, from, id, text(), ids(to, id));
end

--- Who writes, whom to, and the id: two of 1,000 users.
function corpus.parties()
	return corpus.jid(random(1000)), corpus.jid(random(1000)), corpus.id();
end

-- Two in five ask, two in five ack, the rest do neither.
function corpus.message(i)
	local kind = i % 5;
	local make = kind < 2 and corpus.ask or kind < 4 and corpus.ack or corpus.idle;
	return make(corpus.parties());
end

--- Many of them.
function corpus.messages(count)
	local list = {};
	for i = 1, count do list[i] = corpus.message(i); end
	return list;
end

return corpus;
