-- SPDX-License-Identifier: MIT
-- For specs only: runs Lua inside the server at a client's word.

local st = require "util.stanza";

module:hook("iq-set/host/urn:spec:control:run", function (event)
	local origin, stanza = event.origin, event.stanza;
	local chunk, err = load(stanza.tags[1]:get_text(), "=spec", "t", setmetatable({ module = module }, { __index = _G }));
	local ok, result;
	if chunk then
		ok, result = xpcall(chunk, debug.traceback);
	else
		ok, result = false, err;
	end
	local reply = ok and st.reply(stanza) or st.error_reply(stanza, "cancel", "undefined-condition");
	origin.send(reply:tag("run", { xmlns = "urn:spec:control" }):text(tostring(result)));
	return true;
end);
