-- SPDX-License-Identifier: MIT
-- Ad-hoc commands as a person uses them, with a client of another make: see adhoc-client.py.

local paths = require "spec.support.paths";
local process = require "spec.support.process";

--- Runs adhoc-client.py.
-- @param jid  who logs in
-- @param ...  "list", where; or "run", where, node, "field=value" …
-- @return what a person sees, and whether all went well
return function (server, jid, ...)
	local text, code = process.run(("%s/spec/support/adhoc-client.py %d %s"):format(paths.root, server.port, jid), ...);
	return text, code == 0;
end
