-- SPDX-License-Identifier: MIT
-- Writes a stream capture of a given size to standard output, and what lint has to say of it to a file.
--   lua5.4 spec/support/capture.lua BYTES FILE
-- Streams break off and begin anew, every stanza but the messages has a name that was never seen, and every so often a message breaks
-- a rule: each of them in turn.

local size, expected = tonumber(arg[1]), assert(io.open(arg[2], "w"));
io.stdout:setvbuf("full", 1048576);

local R = "xmlns='urn:xmpp:receipts'";
local problems = {
	{ "request-without-id", "<message><request "..R.."/></message>", "a message that asks for a receipt has no id", "7" };
	{ "request-in-ack", "<message id='e'><request "..R.."/><received "..R.." id='none'/></message>",
		"a message that acks asks for a receipt itself", "5.4" };
	{ "request-not-empty", "<message id='e'><request "..R.."> x</request></message>", "<request/> has something in it", "11" };
	{ "request-in-groupchat", "<message id='e' type='groupchat'><request "..R.."/></message>",
		"asking a whole room for receipts is not recommended", "5.3" };
	{ "request-in-error", "<message id='e' type='error'><request "..R.."/></message>", "an error asks for a receipt", "5" };
	{ "received-without-id", "<message><received "..R.."/></message>", "<received/> does not say which message it acks", "7" };
	{ "received-not-empty", "<message><received "..R.." id='none'><x/></received></message>", "<received/> has something in it", "11" };
	{ "received-in-error", "<message type='error'><received "..R.." id='none'/></message>", "an error acks a message", "7" };
	{ "several-received", "<message><received "..R.." id='none'/><received "..R.." id='none'/></message>",
		"an ack message has more than one <received/>", "7" };
};
local counted_as_unknown = { ["request-in-ack"] = true, ["received-without-id"] = true, ["several-received"] = true };

local bytes, line = 0, 1;
local function put(xml)
	io.stdout:write(xml, "\n");
	bytes = bytes + #xml + 1;
	line = line + 1;
end

local counts = { messages = 0, violations = 0, asked = 0, delivered = 0, duplicates = 0, unanswered = 0, forged = 0, unknown = 0 };
local function count(name) counts[name] = counts[name] + 1; end
local latencies = {};

local root = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
local body = "<body>"..("O Romeo, Romeo! wherefore art thou Romeo? "):rep(12).."</body>";
local function delay(minute, second) return ("<delay xmlns='urn:xmpp:delay' stamp='2024-01-01T10:%02d:%02dZ'/>"):format(minute, second); end

local n = 0;
while bytes < size do
	if n % 100000 == 0 then
		put("<?xml version='1.0'?>");
		put(root);
	end
	n = n + 1;
	local juliet, romeo = "juliet"..n % 1000 .."@capulet.lit/balcony", "romeo@montague.lit/orchard";
	put(("<presence from='%s'><name%d xmlns='urn:example'/></presence><other%d/>"):format(juliet, n, n));
	put(("<message from='%s' to='%s' id='id%d' type='chat'>%s<request %s/>%s</message>"):format(juliet, romeo, n, body, R, delay(0, 0)));
	count("asked");
	count("messages");
	if n % 100 == 1 then
		count("unanswered");
	else
		local latency = n % 600;
		put(("<message from='%s' to='%s' id='ack%d' type='chat'><received %s id='id%d'/>%s</message>"):format(romeo, juliet, n, R, n,
			delay(latency // 60, latency % 60)));
		latencies[latency] = (latencies[latency] or 0) + 1;
		count("delivered");
		count("messages");
	end
	if n % 500 == 2 or n % 500 == 101 then
		local by = n % 500 == 2 and romeo or "tybalt@capulet.lit/street";
		put(("<message from='%s' to='%s'><received %s id='id%d'/></message>"):format(by, juliet, R, n));
		count(n % 500 == 2 and "duplicates" or "forged");
		count("messages");
	end
	if n % 1000 == 0 then
		local name, xml, text, section = table.unpack(problems[n // 1000 % #problems + 1]);
		expected:write(("-:%d: E3 %s: %s (XEP-0184 §%s)\n"):format(line, name, text, section));
		put(xml);
		count("violations");
		count("messages");
		if counted_as_unknown[name] then count("unknown"); end
	end
end

for _, name in ipairs { "messages", "violations", "asked", "delivered", "duplicates", "unanswered", "forged", "unknown" } do
	expected:write(("%-11s %d\n"):format(name, counts[name]));
end
local function percentile(share)
	local rest = share * counts.delivered;
	for latency = 0, 599 do
		rest = rest - (latencies[latency] or 0);
		if rest <= 0 then return latency; end
	end
end
expected:write(("latency     p50 %d s, p90 %d s, p99 %d s, max %d s (of %d with stamps)\n"):format(
	percentile(0.5), percentile(0.9), percentile(0.99), percentile(1), counts.delivered));
expected:close();
