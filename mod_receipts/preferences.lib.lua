-- SPDX-License-Identifier: MIT
-- What each user wants done for them (rule D1), kept in Prosody's storage and set with an ad-hoc command (XEP-0050).

local new_cache = require "util.cache".new;
local dataform = require "util.dataforms".new;
local new_form = require "util.adhoc".new_initial_data_form;

local preferences = {};
local methods = {};
local mt = { __index = methods };

local MAX_CACHED = 10000; -- users

local CHOICES = { yes = true, no = true, default = true };

local function choice(name, label)
	return {
		name = name, label = label, type = "list-single", required = true;
		options = {
			{ value = "default", label = "As the server does by default" };
			{ value = "yes", label = "Yes" };
			{ value = "no", label = "No" };
		};
	};
end

local layout = dataform {
	title = "Delivery receipts";
	instructions = "What the server does for you when your app does not know delivery receipts (the delivered tick).";
	{ name = "FORM_TYPE", type = "hidden", value = "urn:xmpp:receipts#preference" };
	choice("answer", "Tell people who may see when I am online that their messages have reached me");
	choice("ask", "Ask for receipts for the messages I send");
};

--- @param store  a keyval store
function preferences.new(store)
	return setmetatable({ store = store, cache = new_cache(MAX_CACHED), version = 0 }, mt);
end

--- { answer = "yes" | "no" | "default", ask = likewise } of a user; nil and the reason when the store fails.
function methods:get(user)
	local cached = self.cache:get(user);
	if cached then return cached; end
	local stored, err = self.store:get(user);
	if not stored and err then return nil, err; end
	stored = type(stored) == "table" and stored or {};
	local wanted = {};
	for _, name in ipairs { "answer", "ask" } do
		wanted[name] = CHOICES[stored[name]] and stored[name] or "default";
	end
	self.cache:set(user, wanted);
	return wanted;
end

--- Returns true; or nil and the reason when the store fails.
function methods:set(user, wanted)
	local ok, err = self.store:set(user, wanted);
	if not ok then return nil, err; end
	self:forget(user);
	return true;
end

--- The user is gone, and the store has or will have deleted what was theirs.
function methods:forget(user)
	self.cache:set(user, nil);
	self.version = self.version + 1; -- for who has kept an answer of ours
end

--- Does the server answer for this user? (rule D1)
-- @param mode  the option receipts_answer
function preferences.answers(mode, wanted)
	if mode == "never" or not wanted then return false; end
	if wanted.answer == "default" then return mode == "opt-out"; end
	return wanted.answer == "yes";
end

--- Does the server ask for this user, where receipts_request says so?
function preferences.asks(wanted)
	return wanted ~= nil and wanted.ask ~= "no";
end

--- The handler of the ad-hoc command.
-- @param user_of  function (JID): the local user's name
function methods:command(user_of)
	return new_form(layout, function (data)
		local wanted, err = self:get(user_of(data.from));
		if not wanted then return nil, tostring(err); end
		return wanted;
	end, function (fields, errors, data)
		for _, name in ipairs { "answer", "ask" } do
			if errors or not CHOICES[fields[name]] then
				return { status = "completed", error = { message = "Choose \"yes\", \"no\" or \"default\" for \""..name.."\"." } };
			end
		end
		local ok, err = self:set(user_of(data.from), { answer = fields.answer, ask = fields.ask });
		if not ok then
			return { status = "completed", error = { message = "It could not be stored: "..tostring(err) } };
		end
		return { status = "completed", info = "Your choice holds from now on." };
	end);
end

return preferences;
