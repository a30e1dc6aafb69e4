-- SPDX-License-Identifier: MIT
-- Ad-hoc commands as a person uses them, with a client of another make: see adhoc-client.py.

local paths = require "spec.support.paths";

--- Runs adhoc-client.py.
-- @param jid  who logs in
-- @param ...  "list", where; or "run", where, node, "field=value" …
-- @return what a person sees, and whether all went well
return function (server, jid, ...)
	local words = {};
	for i, word in ipairs { ... } do words[i] = "'"..word:gsub("'", "'\\''").."'"; end
	local pipe = assert(io.popen(("%s/spec/support/adhoc-client.py %d %s %s 2>&1"):format(paths.root, server.port, jid, table.concat(words, " "))));
	local text = pipe:read("*a");
	return text, pipe:close() == true;
end
