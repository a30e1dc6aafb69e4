-- SPDX-License-Identifier: MIT
-- An example of a module that uses mod_receipts' events (docs/developers.md): it writes one line to the log for each.
-- Privacy: these lines say who wrote to whom, and when, at level "info", which most servers keep in their logs.
-- Put this file in one of your plugin_paths, and "receipts_log" into modules_enabled beside "receipts".

for _, name in ipairs { "requested", "delivered", "failed", "overdue", "expired", "rejected" } do
	module:hook("receipts/"..name, function (event)
		module:log("info", "%s: message %s from %s to %s, after %.1f s, by %s (%s)",
			name, event.id, event.from, event.to, event.age or 0, event.by or "nobody", event.reason or "-");
	end);
end
