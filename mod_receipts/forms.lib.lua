-- SPDX-License-Identifier: MIT
-- Rules D1, F4: ad-hoc commands (XEP-0050). Administrators see statistics and what is pending of a user, users their own, and say what they
-- want.

local dataform = require "util.dataforms".new;
local new_initial_data_form = require "util.adhoc".new_initial_data_form;
local new_simple_form = require "util.adhoc".new_simple_form;
local jid_bare = require "util.jid".bare;
local jid_node = require "util.jid".node;

local beginning = (module:require "decisions").beginning;
local views = module:require "views";

local MOST = 100; -- messages in a list: whoever is asked for it, the whole server waits while it is made
local MAX_TEXT = 100; -- bytes in an id or an address there

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
	for _, entry in ipairs(entries) do entry.to, entry.id = beginning(entry.to, MAX_TEXT), beginning(entry.id, MAX_TEXT); end
	local lines = {};
	for i, line in ipairs(views.pending(entries, now)) do
		lines[i] = ("To %s: %s, sent %s ago (message %s)"):format(line[1], line[4], line[3], line[2]);
	end
	return lines;
end

local function show_pending(inspection, title, jid)
	local entries, now, count = inspection:pending(jid, MOST);
	if not entries then return failed(now); end
	local lines = pending_lines(entries, now);
	if count > #lines then table.insert(lines, 1, ("The latest %d of %d:"):format(#lines, count)); end
	return completed(title, "Messages without a receipt", lines, "None is waiting for a receipt now.");
end

local function choice(name, label, default)
	return {
		name = name, label = label, type = "list-single", required = true;
		options = {
			{ value = "default", label = "As the server does by default: "..default };
			{ value = "yes", label = "Yes" };
			{ value = "no", label = "No" };
		};
	};
end

-- What there is to choose on this server: only what makes a difference.
local function choices(options)
	local list = {};
	if options.answer ~= "never" then
		table.insert(list, choice("answer", "Tell people who may see when I am online that their messages have reached me",
			options.answer == "opt-out" and "yes" or "no"));
	end
	if options.request ~= "never" then table.insert(list, choice("ask", "Ask for receipts for the messages I send", "yes")); end
	return list;
end

local ask_for_user = dataform {
	title = "Undelivered messages of a user";
	instructions = "Messages that asked for a receipt and have got none.";
	{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:receipts#pending" };
	{ name = "user", type = "jid-single", required = true, label = "The user's address" };
};

--- Commands: a function each, that returns what mod_adhoc wants as a handler.

function forms.statistics(inspection)
	return function ()
		local lines = {};
		for i, line in ipairs(views.statistics(inspection:statistics())) do lines[i] = line[1]..": "..line[2]; end
		return completed("Delivery receipts on "..inspection.host, "Since the module was loaded", lines);
	end;
end

function forms.pending(inspection)
	return new_simple_form(ask_for_user, function (fields, errors)
		if errors or not fields.user then return failed("Say whose messages you want to see, like romeo@"..inspection.host.."."); end
		return show_pending(inspection, "Undelivered messages of "..fields.user, fields.user);
	end);
end

function forms.mine(inspection)
	return function (_, data)
		return show_pending(inspection, "My undelivered messages", jid_bare(data.from));
	end;
end

--- What a user wants done for them (rule D1).
-- @param parts  preferences, options; is_missing (function (user)): is there no account any more?
function forms.preference(_, parts)
	local preferences, fields_shown = parts.preferences, choices(parts.options);
	if #fields_shown == 0 then
		return function ()
			local info = "There is nothing to choose: this server neither answers nor asks for receipts on behalf of its users.";
			return { status = "completed", info = info };
		end;
	end
	local form = dataform {
		title = "Delivery receipts";
		instructions = "What the server does for you when your app does not know delivery receipts (the delivered tick).";
		{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:receipts#preference" };
		table.unpack(fields_shown);
	};
	return new_initial_data_form(form, function (data)
		local wanted, err = preferences:get(jid_node(data.from));
		if not wanted then
			return nil, { type = "wait", condition = "internal-server-error", text = "Your choice could not be read: "..tostring(err) };
		end
		return wanted;
	end, function (fields, errors, data)
		for _, field in ipairs(fields_shown) do
			if errors or not preferences.CHOICES[fields[field.name]] then
				return failed("Choose \"yes\", \"no\" or \"default\" for \""..field.name.."\".");
			end
		end
		local user, ok = jid_node(data.from), nil;
		if parts.is_missing(user) then return failed("There is no user "..user.." any more."); end -- it would be a namesake's choice
		local wanted, err = preferences:get(user); -- what was not asked stays as it was
		if wanted then ok, err = preferences:set(user, { answer = fields.answer or wanted.answer, ask = fields.ask or wanted.ask }); end
		if not ok then return failed("It could not be stored: "..tostring(err)); end
		return { status = "completed", info = "Your choice holds from now on." };
	end);
end

return forms;
