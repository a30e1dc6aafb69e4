-- SPDX-License-Identifier: MIT
-- Rule F4: ad-hoc commands (XEP-0050). Administrators see statistics and what is pending of a user, users their own.

local dataform = require "util.dataforms".new;
local new_simple_form = require "util.adhoc".new_simple_form;
local jid_bare = require "util.jid".bare;

local views = module:require "views";

local forms = {};

local function completed(title, label, lines, none)
	return {
		status = "completed";
		result = {
			layout = dataform { title = title, { name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:receipts#result" },
				{ name = "lines", type = "text-multi", label = label } };
			values = { lines = #lines > 0 and table.concat(lines, "\n") or none };
		};
	};
end

local function failed(message)
	return { status = "completed", error = { message = message } };
end

-- What is pending, as a sentence each: clients show it in one column.
local function pending_lines(entries, now)
	local lines = {};
	for i, line in ipairs(views.pending(entries, now)) do
		lines[i] = ("To %s: %s, sent %s ago (message %s)"):format(line[1], line[4], line[3], line[2]);
	end
	return lines;
end

local function show_pending(inspection, title, jid)
	local entries, now = inspection:pending(jid);
	if not entries then return failed(now); end
	return completed(title, "Messages without a receipt", pending_lines(entries, now), "None: all messages that asked for a receipt have got one.");
end

local ask_for_user = dataform {
	title = "Undelivered messages of a user";
	instructions = "Messages that asked for a receipt and have got none.";
	{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:receipts#pending" };
	{ name = "user", type = "jid-single", required = true, label = "The user's address" };
};

--- The commands.
-- @param new     mod_adhoc's new()
-- @param bounds  of the classes of times to delivery
-- @return array, for module:provides("adhoc", …)
function forms.commands(new, inspection, bounds)
	return {
		new("Delivery receipts: statistics", "receipts#statistics", function ()
			local lines = {};
			for i, line in ipairs(views.statistics(inspection:statistics(), bounds)) do lines[i] = line[1]..": "..line[2]; end
			return completed("Delivery receipts on "..inspection.host, "Since the module was loaded", lines);
		end, "admin");
		new("Delivery receipts: undelivered messages of a user", "receipts#pending", new_simple_form(ask_for_user, function (fields, errors)
			if errors or not fields.user then return failed("Say whose messages you want to see, like romeo@"..inspection.host.."."); end
			return show_pending(inspection, "Undelivered messages of "..fields.user, fields.user);
		end), "admin");
		new("My undelivered messages", "receipts#mine", function (_, data)
			return show_pending(inspection, "My undelivered messages", jid_bare(data.from));
		end, "local_user");
	};
end

return forms;
