-- SPDX-License-Identifier: MIT
-- The demo: scenes with real clients on a real Prosody. Each says what should happen, shows what did, and checks it.

local servers = require "spec.support.server";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";

local function say(...) print(string.format(...)); end

local server = servers.start { modules = { "receipts", "smacks", "admin_shell" }, disabled = { "pep" }, options = [[
	receipts_request = "always"
	receipts_answer = "opt-out"
]] };

-- The stage ----------------------------------------------------------------------------------------------------------

local actors = {};
local function enter(name, how)
	actors[name] = server:connect(name, how);
	return actors[name];
end

-- The server has asked this actor's client what it can do, and heard the answer.
local function introduced(name)
	servers.wait(function ()
		actors[name]:sync();
		return server:support_of(actors[name].jid) ~= "unknown";
	end);
end

-- A stanza without what only fills the line.
local function shown(stanza)
	stanza = st.clone(stanza);
	stanza.attr["xml:lang"] = nil;
	stanza.attr.xmlns = nil;
	return (tostring(stanza):gsub("'", '"'));
end

local function send(from, stanza)
	say("   %-8s sends     %s", from, shown(stanza));
	actors[from]:send(stanza);
	actors[from]:sync();
end

-- The messages that somebody got; says so where there are none.
local function gets(name)
	local got = actors[name]:messages();
	for _, stanza in ipairs(got) do say("   %-8s receives  %s", name, shown(stanza)); end
	if #got == 0 then say("   %-8s receives  nothing", name); end
	return got[1], #got;
end

local good, bad = 0, 0;
local function check(ok, text)
	if ok then good = good + 1; else bad = bad + 1; end
	say("   %s %s", ok and "✓" or "✗ NOT SO:", text);
end

local number = 0;
local function scene(title, story)
	number = number + 1;
	say("\n%d. %s", number, title);
	for line in story:gmatch("[^\n]+") do say("   %s", (line:gsub("^%s+", ""))); end
	say("");
end

-- What an operator is told who asks about a message, and says so. Columns: Ago, Message id, From, To, Decision.
local function why(user, id)
	local decisions = {};
	say("   $ prosodyctl shell receipts why %s %s", user, id);
	for line in server:prosodyctl("shell", "receipts", "why", user, id):gmatch("[^\n]+") do
		local from, decision = line:match("^[^|]+|[^|]+|%s*([^|]-)%s*|[^|]+|%s*(.-)%s*$");
		if decision and decision ~= "Decision" then
			say("     from %s: %s", from, decision);
			table.insert(decisions, decision);
		end
	end
	return table.concat(decisions, "\n");
end

-- The scenes ---------------------------------------------------------------------------------------------------------

local function play()
	local juliet = enter "juliet";
	enter "romeo";
	server:roster("juliet", "romeo@localhost", "both");
	server:roster("romeo", "juliet@localhost", "both");

	scene("The server says that it knows receipts", [[
		Juliet's client asks the server what it can do (XEP-0030).]]);
	local info = juliet:iq(st.stanza("iq", { type = "get", to = "localhost" }):tag("query", { xmlns = "http://jabber.org/protocol/disco#info" }));
	local found = info.tags[1]:get_child_with_attr("feature", nil, "var", stanzas.xmlns);
	check(found, "urn:xmpp:receipts is among the features");

	scene("A request is put in for a client without one", [[
		Juliet's client is old: it cannot ask whether a message has arrived. receipts_request = "always"
		has the server ask for her, and count Romeo's ack. Her client is not bothered with it.]]);
	send("juliet", stanzas.chat({ to = "romeo@localhost" }, "Wherefore art thou?"));
	local message = gets("romeo");
	check(message and stanzas.asks(message), "the server put in <request/>");
	check(message and message.attr.id, "and an id, which the message lacked: without one nobody could ack it");
	send("romeo", stanzas.ack("juliet@localhost/juliet", message.attr.id));
	local _, n = gets("juliet");
	check(n == 0, "Juliet's client did not ask and gets no ack");
	check(why("juliet@localhost", message.attr.id):find("E1 delivered", 1, true), "the server counts it as delivered");

	scene("A client asks, the other acks", [[
		Romeo's client knows receipts, Juliet's new one does too. The server only watches.]]);
	send("romeo", stanzas.ask({ to = "juliet@localhost/juliet", id = "balcony-1" }, "Here, under the balcony."));
	message = gets("juliet");
	check(message and stanzas.asks(message), "the request arrives as it was sent");
	send("juliet", stanzas.ack("romeo@localhost/romeo", "balcony-1"));
	local ack = gets("romeo");
	check(ack and stanzas.acked(ack) == "balcony-1", "so does the ack");
	check(why("romeo@localhost", "balcony-1"):find("E1 delivered", 1, true), "the server knows that the message was delivered");

	scene("A forged ack is dropped", [[
		Romeo sends a message to Juliet. Tybalt, who was not asked, claims that it has arrived.]]);
	enter "tybalt";
	server:roster("tybalt", "romeo@localhost", "both");
	send("romeo", stanzas.ask({ to = "juliet@localhost/juliet", id = "balcony-2" }, "Are you there?"));
	juliet:messages();
	send("tybalt", stanzas.ack("romeo@localhost/romeo", "balcony-2"));
	_, n = gets("romeo");
	check(n == 0, "dropped");
	_, n = gets("tybalt");
	check(n == 0, "in silence: Tybalt gets no error to learn from");
	send("juliet", stanzas.ack("romeo@localhost/romeo", "balcony-2"));
	ack = gets("romeo");
	check(ack and stanzas.acked(ack) == "balcony-2", "Juliet's own ack still counts");
	local noted = why("romeo@localhost", "balcony-2");
	check(noted:find("E1 forged", 1, true) and noted:find("E1 delivered", 1, true), "both are remembered");

	scene("An ack to a stranger is held back", [[
		Paris is not in Juliet's roster. An ack would tell him that she is online (XEP-0184 §8), but her
		client acks all the same.]]);
	enter "paris";
	send("paris", stanzas.ask({ to = "juliet@localhost/juliet", id = "paris-1" }, "Madam?"));
	gets("juliet");
	send("juliet", stanzas.ack("paris@localhost/paris", "paris-1"));
	_, n = gets("paris");
	check(n == 0, "held back");
	check(why("juliet@localhost", "paris-1"):find("E4", 1, true), "rule E4 says so");

	scene("An ack of revision 1.0 is mended", [[
		The Nurse's client is from 2008. In its acks the message's own id is that of the message it acks;
		today's clients do not understand that.]]);
	enter "nurse";
	server:roster("nurse", "juliet@localhost", "both");
	send("juliet", stanzas.ask({ to = "nurse@localhost/nurse", id = "errand-1" }, "What says he of our marriage?"));
	gets("nurse");
	send("nurse", stanzas.chat({ to = "juliet@localhost/juliet", id = "errand-1" }, false):tag("received", { xmlns = stanzas.xmlns }):up());
	ack = gets("juliet");
	check(ack and stanzas.acked(ack) == "errand-1", "the id is put in");

	scene("What is malformed is taken out, and the rest delivered", [[
		Romeo's bot asks for a receipt within a receipt (XEP-0184 §5.4 forbids it: two such would never stop).]]);
	send("juliet", stanzas.ask({ to = "romeo@localhost/romeo", id = "bot-1" }, "Still there?"));
	gets("romeo");
	send("romeo", stanzas.ask({ to = "juliet@localhost/juliet", id = "bot-2" }, "Beep."):tag("received", { xmlns = stanzas.xmlns, id = "bot-1" }):up());
	message = gets("juliet");
	check(message and not stanzas.asks(message) and stanzas.acked(message) == "bot-1", "the request is gone, ack and text are there");
end

local function play_on()
	scene("A client that knows no receipts is answered for, with proof", [[
		Benvolio's client has never heard of receipts, but it does stream management (XEP-0198): it tells the
		server how many stanzas it has got. That is the proof, and not before it comes is Romeo told.]]);
	local benvolio = enter("benvolio", { features = { "urn:example:old" }, managed = true });
	introduced "benvolio";
	server:roster("benvolio", "romeo@localhost", "both");
	send("romeo", stanzas.ask({ to = "benvolio@localhost", id = "square-1" }, "Meet me at the square."));
	gets("benvolio");
	local _, n = gets("romeo");
	check(n == 0, "the message is on its way, and nobody claims more than that");
	say("   %-8s sends     <a xmlns=\"urn:xmpp:sm:3\" h=\"%d\"/>", "benvolio", benvolio.handled);
	benvolio:acknowledge();
	benvolio:sync();
	local ack = gets("romeo");
	check(ack and stanzas.acked(ack) == "square-1" and ack.attr.from == "benvolio@localhost/benvolio",
		"the server answers for Benvolio's client");
	check(why("romeo@localhost", "square-1"):find("D2 proven", 1, true), "for it was proven that the message arrived");

	scene("A stranger is not answered", [[
		Paris asks Benvolio the same, and Benvolio's client proves that it got it. But Paris may not see Benvolio's
		presence: an answer would tell him that Benvolio is online.]]);
	send("paris", stanzas.ask({ to = "benvolio@localhost", id = "paris-2" }, "Is Romeo with you?"));
	gets("benvolio");
	say("   %-8s sends     <a xmlns=\"urn:xmpp:sm:3\" h=\"%d\"/>", "benvolio", benvolio.handled);
	benvolio:acknowledge();
	benvolio:sync();
	_, n = gets("paris");
	check(n == 0 and why("paris@localhost", "paris-2"):find("D3", 1, true), "no answer");
end

local version = server:run("return prosody.version");
say("mod_receipts on Prosody %s, 127.0.0.1 port %d, in %s", version, server.port, server.dir);
local ok, err = xpcall(function ()
	play();
	play_on();
end, debug.traceback);
if ok then
	say("\nWhat the operator sees of it:\n\n   $ prosodyctl shell receipts stats localhost");
	local stats = ("\n"..server:prosodyctl("shell", "receipts", "stats", "localhost")):match("\n( +|.*)$"); -- without Prosody's own remarks
	for line in stats:gmatch("[^\n]+") do
		if not line:find("|%s+0$") then say("   %s", line); end
	end
end
server:stop();

if not ok then
	say("\nThe demo broke off: %s", err);
	os.exit(1);
end
say("\n%d scenes: %d checks right, %d wrong", number, good, bad);
os.exit(bad == 0);
