-- SPDX-License-Identifier: MIT
-- What comes over a client's stream, as Prosody makes stanzas of it and as the scanner reads it: the same messages with the same
-- facts, for what lint says of a capture is to be what the server does.

require "spec.support.paths";
local receipts = require "receipts";
local new_xmpp_stream = require "util.xmppstream".new;

local HEADER = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:r='urn:xmpp:receipts'>";
local FOOTER = "</stream:stream>";
local STANZAS = { message = true, iq = true, presence = true };
local NAMESPACES = { ["jabber:client"] = true, ["jabber:server"] = true, ["jabber:component:accept"] = true, [""] = true };

-- The messages of a stream, up to what Prosody refuses, and whether it takes all of it. What is no stanza counts as refused too: to a
-- scanner it is a container.
local function by_prosody(xml)
	local messages, refused, closed = {}, false, false;
	local session = { notopen = true };
	local stream = new_xmpp_stream(session, {
		default_ns = "jabber:client";
		streamopened = function () session.notopen = nil; end;
		streamclosed = function () closed = true; end;
		handlestanza = function (_, stanza)
			refused = refused or not (STANZAS[stanza.name] and NAMESPACES[stanza.attr.xmlns or ""]);
			if not refused and stanza.name == "message" then table.insert(messages, stanza); end
		end;
		error = function () refused = true; end;
	});
	local ok = stream:feed(xml);
	return messages, ok and closed and not refused;
end

local function by_scanner(xml)
	local scanner = receipts.scanner { max_depth = 100000 };
	local messages, reason, _, before = scanner:feed(xml);
	scanner:close();
	return messages or before, reason;
end

local function same_facts(read, stanza)
	local facts = assert(receipts.inspect(stanza), "no message in Prosody");
	for _, name in ipairs { "id", "from", "to", "type", "received_id", "body", "request", "received" } do
		if read[name] ~= facts[name] then error(("%s: %s, in Prosody %s"):format(name, read[name], facts[name])); end
	end
	assert(table.concat(read.problems, " ") == table.concat(facts.problems, " "), "other problems");
	local bits = receipts.examine(stanza);
	if read.bits ~= bits then error(("bits: %x, in Prosody %x"):format(read.bits, bits)); end
end

return function (data)
	local xml = HEADER..data..FOOTER;
	local stanzas, all = by_prosody(xml);
	local messages, reason = by_scanner(xml);
	assert(not all or not reason, reason);
	assert(#messages >= #stanzas and (not all or #messages == #stanzas), "not as many messages");
	for i, stanza in ipairs(stanzas) do same_facts(messages[i], stanza); end
end;
