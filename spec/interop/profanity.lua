-- SPDX-License-Identifier: MIT
-- A person at profanity, in a terminal of tmux with a socket of its own, on a server on loopback.

local process = require "spec.support.process";

local person = {};
person.__index = person;

local preferences = [[
[connection]
receipts.request=%s
receipts.send=%s
carbons=%s
[chatstates]
enabled=false
[notifications]
message=off
]];

local account = [[
[me]
enabled=true
jid=%s
resource=%s
server=127.0.0.1
port=%d
tls.policy=disable
password=secret
]];

local function tmux(self, words)
	return os.execute(("tmux -S %s/tmux -f /dev/null %s"):format(self.dir, words));
end

-- What is on the screen, with the codes for colours.
local function screen(self)
	local pipe = assert(io.popen(("tmux -S %s/tmux capture-pane -p -e 2>&1"):format(self.dir)));
	local text = pipe:read("a");
	pipe:close();
	return text;
end

local function shows(self, text)
	return screen(self):gsub("\27%[[%d;]*m", ""):find(text, 1, true) ~= nil;
end

local function enter(self, text)
	tmux(self, ("send-keys -l '%s'"):format(text));
	tmux(self, "send-keys Enter");
end

-- Turns to the chat with somebody, whose address is in the title bar then.
local function turn_to(self, jid)
	if self.chat == jid then return; end
	enter(self, "/msg "..jid);
	process.wait(function () return screen(self):match("^[^\n]*"):find(jid, 1, true); end, function () return screen(self); end);
	self.chat = jid;
end

--- Logs in, and waits until the program says so.
-- @param how  receipts, carbons: what the program does
function person.start(server, jid, how)
	local self = setmetatable({ dir = process.temp_dir(), said = {} }, person);
	local bare, resource = jid:match("^(.-)/(.*)$");
	local receipts = tostring(how.receipts or false);
	os.execute(("mkdir %s/profanity"):format(self.dir));
	process.write(self.dir.."/profanity/profrc", preferences:format(receipts, receipts, tostring(how.carbons or false)));
	process.write(self.dir.."/profanity/accounts", account:format(bare, resource, server.port));
	assert(tmux(self, ("new-session -d -x 120 -y 50 'exec env HOME=%s XDG_CONFIG_HOME=%s XDG_DATA_HOME=%s LC_ALL=C.UTF-8 profanity -a me'")
		:format(self.dir, self.dir, self.dir)), "tmux did not start");
	process.wait(function () return shows(self, "logged in successfully"); end, function () return screen(self); end);
	return self;
end

function person:say(to, text)
	turn_to(self, to);
	self.said[text] = to;
	enter(self, text);
	process.wait(function () return shows(self, "me: "..text); end, function () return screen(self); end);
end

--- Is this message of the person's own shown as delivered? Until then it is red.
function person:ticked(text)
	if self.said[text] then turn_to(self, self.said[text]); end
	return shows(self, "me: "..text) and not screen(self):find("\27[31mme: "..text, 1, true);
end

--- Is it shown as sent, and not delivered?
function person:waiting(text)
	turn_to(self, self.said[text]);
	return screen(self):find("\27[31mme: "..text, 1, true) ~= nil;
end

function person:sees(from, text)
	turn_to(self, from);
	return shows(self, ": "..text);
end

--- What the program shows, for complaints.
person.screen = screen;

--- Logs out.
function person:stop()
	enter(self, "/quit");
	local ok, err = pcall(process.wait, function () return not tmux(self, "has-session 2>/dev/null"); end, function () return screen(self); end);
	if not ok then tmux(self, "kill-server"); end -- else it would hold on to what ends a Prosody
	os.execute("rm -rf '"..self.dir.."'");
	if not ok then error(err, 0); end
end

return person;
