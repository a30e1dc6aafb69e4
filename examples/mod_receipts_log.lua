-- SPDX-License-Identifier: MIT
-- An example of what other modules can do with mod_receipts' events (docs/developers.md): one line in the log for each.
-- Put this file in one of your plugin_paths, and "receipts_log" into modules_enabled beside "receipts".

for _, name in ipairs { "requested", "delivered", "failed", "overdue", "expired", "rejected" } do
	module:hook("receipts/"..name, function (event)
		module:log("info", "%s: message %s from %s to %s, after %.1f s, by %s (%s)",
			name, event.id, event.from, event.to, event.age or 0, event.by or "nobody", event.reason or "-");
	end);
end
