-- SPDX-License-Identifier: MIT
-- Stanzas that many specs send, and how they are compared.

require "spec.support.paths";
local st = require "util.stanza";

local xmlns = "urn:xmpp:receipts";
local stanzas = { xmlns = xmlns };

--- A chat message with a body; `attr` may say otherwise (body = false: none).
function stanzas.chat(attr, body)
	attr.type = attr.type or "chat";
	if attr.type == "none" then attr.type = nil; end
	local stanza = st.message(attr);
	if body ~= false then stanza:tag("body"):text(body or "hello"):up(); end
	return stanza;
end

--- The same with a request.
function stanzas.ask(attr, body)
	return stanzas.chat(attr, body):tag("request", { xmlns = xmlns }):up();
end

--- An ack of message `id`.
function stanzas.ack(to, id, attr)
	attr = attr or {};
	attr.to = to;
	return stanzas.chat(attr, false):tag("received", { xmlns = xmlns, id = id }):up();
end

--- The id that a <received/> in the stanza names; false when it has one without id, nil when it has none.
function stanzas.acked(stanza)
	local received = stanza:get_child("received", xmlns);
	return received and (received.attr.id or false);
end

function stanzas.asks(stanza)
	return stanza:get_child("request", xmlns) ~= nil;
end

--- The stanza as text with attributes in order.
-- @param leave_out  optional: function (element) returning true for elements that are not shown
function stanzas.canonical(stanza, leave_out)
	local attributes = {};
	for name, value in pairs(stanza.attr) do table.insert(attributes, ("%s=%q"):format(name, value)); end
	table.sort(attributes);
	local out = { "<", stanza.name, " ", table.concat(attributes, " "), ">" };
	for _, child in ipairs(stanza) do
		if type(child) == "string" then
			table.insert(out, child);
		elseif not (leave_out and leave_out(child)) then
			table.insert(out, stanzas.canonical(child, leave_out));
		end
	end
	table.insert(out, "</"..stanza.name..">");
	return table.concat(out);
end

return stanzas;
