-- SPDX-License-Identifier: MIT
-- scripts/interop.lua: the document that comes of what specs under spec/interop/ note. Those take an hour.

local process = require "spec.support.process";

-- What specs would note, and one of their files twice, as busted may load it.
local NOTES = [[
package.path = "./?.lua;"..package.path;
local seen = require "spec.interop.seen";
for _ = 1, 2 do seen.part("Clients", "In a terminal."); end
local row = seen.part("Clients", "In a\n\tterminal.");
row("one", "1.0", "Prosody 0.12.3", "asks", "a tick");
row("two", "2.0", "Prosody 0.12.3", "asks", "a tick");
row("one", "1.0", "Prosody 13.0.1", "asks", "a tick");
for _, server in ipairs { "Prosody 0.12.3", "Prosody 13.0.1" } do
	row("one", "1.0", server, "asks", "a | and \"quotes\"", "one shows no tick.");
end
local other = seen.part("Lua", "Outside Prosody.");
other("Lua", "5.2.4", "none", "the specs", "all pass", false);
local web = seen.part("Clients", "In a browser.");
web("three", "", "Prosody 13.0.1", "asks", "a tick", "three is slow.");
]];

local TABLE = "\n\n| who | Prosody | what was done | what was seen |\n|---|---|---|---|\n";

describe("docs/interop.md", function ()
	it("has one row for all who saw the same, the limits on top, and one section for each title", function ()
		local dir = process.temp_dir();
		finally(function () os.execute("rm -r "..dir); end);
		process.write(dir.."/notes.lua", NOTES);
		assert(os.execute(("INTEROP_SEEN=%s/notes lua5.4 %s/notes.lua"):format(dir, dir)));
		assert(os.execute(("lua5.4 scripts/interop.lua %s/notes %s/document"):format(dir, dir)));
		local text = process.read(dir.."/document");
		assert.truthy(text:find("was tried on Prosody 0.12.3 and 13.0.1 with", 1, true), text);
		assert.truthy(text:find("\n\n- one shows no tick.\n- three is slow.\n\n", 1, true), text);
		assert.equal("## Clients\n\nIn a terminal.\n\nIn a browser."..TABLE
			.."| one 1.0, two 2.0 (Prosody 0.12.3), three (Prosody 13.0.1) | 0.12.3, 13.0.1 | Asks | A tick |\n"
			.."| one 1.0 | 0.12.3, 13.0.1 | Asks | A \\| and \"quotes\" |\n"
			.."\n## Lua\n\nOutside Prosody."..TABLE
			.."| Lua 5.2.4 | none | The specs | All pass |\n", text:match("\n(## .*)"));
	end);
end);
