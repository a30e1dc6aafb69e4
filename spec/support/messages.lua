-- SPDX-License-Identifier: MIT
-- Messages and the facts in them: the examples of the seed and of XEP-0184 1.4.0, and what each rule needs.

local R = "xmlns='urn:xmpp:receipts'";

local function facts(given)
	given.body = given.body or false;
	given.request = given.request or false;
	given.received = given.received or false;
	given.problems = given.problems or {};
	return given;
end

local cases = {};
local function case(name, xml, given)
	table.insert(cases, { name = name, xml = xml, facts = facts(given) });
end

-- XEP-0184 §5, "A content message with receipt requested"; the seed has the same.
case("the XEP's content message", [[
<message
    from='northumberland@shakespeare.lit/westminster'
    id='richard2-4.1.247'
    to='kingrichard@royalty.england.lit/throne'>
  <body>My lord, dispatch; read o'er these articles.</body>
  <request xmlns='urn:xmpp:receipts'/>
</message>
]], {
	from = "northumberland@shakespeare.lit/westminster";
	id = "richard2-4.1.247";
	to = "kingrichard@royalty.england.lit/throne";
	body = true;
	request = true;
});

-- XEP-0184 §5, "A message delivery receipt"; the seed has the same.
case("the XEP's ack message", [[
<message
    from='kingrichard@royalty.england.lit/throne'
    id='bi29sg183b4v'
    to='northumberland@shakespeare.lit/westminster'>
  <received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/>
</message>
]], {
	from = "kingrichard@royalty.england.lit/throne";
	id = "bi29sg183b4v";
	to = "northumberland@shakespeare.lit/westminster";
	received = true;
	received_id = "richard2-4.1.247";
});

case("an ack of revision 1.0", "<message id='richard2-4.1.247'><received "..R.."/></message>",
	{ id = "richard2-4.1.247", received = true, problems = { "received-without-id" } });
case("an empty message", "<message/>", {});
case("a message in jabber:client", "<message xmlns='jabber:client' id='1' type='chat'><body/><request "..R.."/></message>",
	{ id = "1", type = "chat", body = true, request = true });
case("a message in jabber:server", "<message xmlns='jabber:server'><body>x</body></message>", { body = true });
case("a message in jabber:component:accept", "<message xmlns='jabber:component:accept'><body>x</body></message>", { body = true });
case("E8 an element with a prefix", "<message xmlns:r='urn:xmpp:receipts' id='1'><r:request/></message>", { id = "1", request = true });
case("E8 a prefix declared on the element itself", "<message><r:received xmlns:r='urn:xmpp:receipts' id='1'/></message>",
	{ received = true, received_id = "1" });
case("E8 a default namespace that is turned back", "<message xmlns='jabber:client' id='1'><request "..R
	.."/><a xmlns='urn:x'><body xmlns='jabber:client'/></a></message>", { id = "1", request = true });
case("E8 <received/> of carbons", "<message><received xmlns='urn:xmpp:carbons:2'/></message>", {});
case("E8 <received/> of chat markers", "<message><received xmlns='urn:xmpp:chat-markers:0' id='1'/></message>", {});
case("E8 names in no namespace of ours", "<message id='1'><request/><received id='2'/></message>", { id = "1" });
case("E8 other names in our namespace", "<message><receipt "..R.."/><Request "..R.."/></message>", {});
case("E8 a namespace with an entity in it", "<message id='1'><request xmlns='urn:xmpp:receipt&#115;'/></message>",
	{ id = "1", request = true });
case("E8 an id with another namespace", "<message xmlns:r='urn:xmpp:receipts' r:id='1'><r:received r:id='2'/></message>",
	{ received = true, problems = { "received-without-id" } });
case("D6 a request inside a carbon copy", "<message><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
	.."<message xmlns='jabber:client' id='1'><body>x</body><request "..R.."/></message></forwarded></sent></message>", {});
case("D6 a request inside an archive result", "<message><result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'>"
	.."<message xmlns='jabber:client' id='1'><received "..R.." id='2'/></message></forwarded></result></message>", {});
case("entities in attributes", "<message id='&quot;&#39;&lt;&amp;&#x1F600;'/>", { id = "\"'<&\240\159\152\128" });
case("CDATA in the body", "<message><body><![CDATA[<request "..R.."/>]]></body></message>", { body = true });
case("white space in receipt elements", "<message id='1'><request "..R..">\n\t </request></message>", { id = "1", request = true });
case("an XML declaration", "<?xml version='1.0'?>\n<message id='1'/>", { id = "1" });
case("a body in another namespace", "<message><body xmlns='http://www.w3.org/1999/xhtml'/></message>", {});

case("E3 a request without id", "<message><body/><request "..R.."/></message>",
	{ body = true, request = true, problems = { "request-without-id" } });
case("E3 a request with an empty id", "<message id=''><body/><request "..R.."/></message>",
	{ id = "", body = true, request = true, problems = { "request-without-id" } });
case("E3 a request in an ack", "<message id='1'><request "..R.."/><received "..R.." id='2'/></message>",
	{ id = "1", request = true, received = true, received_id = "2", problems = { "request-in-ack" } });
case("E3 a request with text", "<message id='1'><request "..R..">x</request></message>",
	{ id = "1", request = true, problems = { "request-not-empty" } });
case("E3 a request with an element", "<message id='1'><request "..R.."><x/></request></message>",
	{ id = "1", request = true, problems = { "request-not-empty" } });
case("E3 a request in groupchat", "<message id='1' type='groupchat'><request "..R.."/></message>",
	{ id = "1", type = "groupchat", request = true, problems = { "request-in-groupchat" } });
case("E3 a request in an error", "<message id='1' type='error'><request "..R.."/></message>",
	{ id = "1", type = "error", request = true, problems = { "request-in-error" } });
case("E3 a received with an empty id", "<message id='1'><received "..R.." id=''/></message>",
	{ id = "1", received = true, received_id = "", problems = { "received-without-id" } });
case("E3 a received with text", "<message><received "..R.." id='1'>x</received></message>",
	{ received = true, received_id = "1", problems = { "received-not-empty" } });
case("E3 a received in an error", "<message type='error'><received "..R.." id='1'/></message>",
	{ type = "error", received = true, received_id = "1", problems = { "received-in-error" } });
case("E3 several received", "<message><received "..R.." id='1'/><received "..R.." id='2'/></message>",
	{ received = true, received_id = "1", problems = { "several-received" } });
case("E3 several received, of which another than the first has something in it",
	"<message><received "..R.." id='1'/><received "..R.." id='2'>x</received><received "..R.."><x/></received></message>",
	{ received = true, received_id = "1", problems = { "several-received" } });
case("E3 everything at once", "<message type='error'><request "..R..">x</request><received "..R.."><x/></received>"
	.."<received "..R.." id='2'/></message>",
	{ type = "error", request = true, received = true, problems = { "request-without-id", "request-in-ack", "request-not-empty",
		"request-in-error", "received-without-id", "received-not-empty", "received-in-error", "several-received" } });

return cases;
