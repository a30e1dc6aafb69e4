-- SPDX-License-Identifier: MIT
-- A person at slixmpp-client.py, on a server on loopback.

local paths = require "spec.support.paths";
local process = require "spec.support.process";

local person = {};
person.__index = person;

local function output(self)
	return process.read(self.dir.."/output");
end

-- Does a line of the output start with this, or is it this?
local function shows(self, line)
	return ("\n"..output(self)):find("\n"..line.."\n", 1, true) ~= nil;
end

--- Logs in, and waits until the program is ready.
-- @param how  receipts, managed, carbons: what the program does
function person.start(server, jid, how)
	local self = setmetatable({ dir = process.temp_dir() }, person);
	local words = "";
	for _, word in ipairs { "receipts", "managed", "carbons" } do words = words..(how[word] and " "..word or ""); end
	self.input = assert(io.popen(("exec /usr/bin/python3 %s/spec/interop/slixmpp-client.py %d %s%s >%s/output 2>&1")
		:format(paths.root, server.port, jid, words, self.dir), "w"));
	process.wait(function () return shows(self, "ready"); end, function () return output(self); end);
	return self;
end

function person:say(to, text)
	self.input:write(to, " ", text, "\n");
	self.input:flush();
end

--- Is this message of the person's own shown as delivered?
function person:ticked(text)
	local id = output(self):match("said (%S+) "..text.."\n");
	return id ~= nil and shows(self, "receipt "..id);
end

--- Is it shown as sent, and not delivered?
function person:waiting(text)
	local id = output(self):match("said (%S+) "..text.."\n");
	return id ~= nil and not shows(self, "receipt "..id);
end

--- Has it come back?
function person:bounced(text)
	local id = output(self):match("said (%S+) "..text.."\n");
	return id ~= nil and shows(self, "bounced "..id);
end

function person:sees(from, text)
	return shows(self, "got "..from.." "..text);
end

--- Does this device show a receipt at all? For messages that another device sent.
function person:receipts()
	return select(2, output(self):gsub("receipt %S+\n", ""));
end

--- What the program shows, for complaints.
person.screen = output;

--- Logs out.
function person:stop()
	if self.input then self.input:close(); end
	self.input = nil;
	os.execute("rm -rf '"..self.dir.."'");
end

return person;
