-- SPDX-License-Identifier: MIT
-- Rule D1 on the wire: users find the command, understand it, and their choice is kept. The client is not of our making.

local servers = require "spec.support.server";
local adhoc = require "spec.support.adhoc";

describe("ad-hoc commands", function ()
	local server;
	setup(function () server = servers.start { modules = { "receipts", "adhoc" } }; end);
	teardown(function () server:stop(); end);

	local function preference(user, ...)
		return adhoc(server, user.."@localhost", "run", "localhost", "receipts#preference", ...);
	end

	local function says(text, wanted)
		assert(text:find(wanted, 1, true), ("%q is not in:\n%s"):format(wanted, text));
	end

	it("D1 the server's list of commands has it", function ()
		local text, ok = adhoc(server, "alice@localhost", "list", "localhost");
		assert.is_true(ok, text);
		says(text, "receipts#preference: Delivery receipts");
	end);

	it("D1 the form says what it is about, and what holds now", function ()
		local text, ok = preference("alice");
		assert.is_true(ok, text);
		says(text, "# Delivery receipts\nWhat the server does for you");
		says(text, "have reached me: As the server does by default [answer: default|yes|no, required]\n");
		says(text, "for the messages I send: As the server does by default [ask: default|yes|no, required]\n");
	end);

	it("D1 a choice is kept, for that user alone, and the other question keeps its answer", function ()
		local text, ok = preference("bob", "answer=yes");
		assert.is_true(ok, text);
		says(text, "info: Your choice holds from now on.\n");
		preference("bob", "ask=no");
		text = preference("bob");
		says(text, "have reached me: Yes [");
		says(text, "for the messages I send: No [");
		says(preference("carol"), "have reached me: As the server does by default [");
	end);

	it("D1 what is no choice is refused in plain words, and nothing changes", function ()
		preference("dave", "answer=no");
		local text, ok = preference("dave", "answer=maybe");
		assert.is_false(ok, text);
		says(text, 'error: Choose "yes", "no" or "default" for "answer".\n');
		says(preference("dave"), "have reached me: No [");
	end);

	it("A3 the command goes with the module", function ()
		server:run("require 'core.modulemanager'.unload('localhost', 'receipts')");
		local text, ok = preference("alice");
		assert.is_false(ok);
		says(text, "error: service-unavailable");
		server:run("require 'core.modulemanager'.load('localhost', 'receipts')");
		assert.is_true(select(2, preference("alice")));
	end);
end);
