-- SPDX-License-Identifier: MIT
-- What each user wants done for them (rule D1), kept in Prosody's storage and set with an ad-hoc command (XEP-0050).

local dataform = require "util.dataforms".new;
local new_form = require "util.adhoc".new_initial_data_form;

local bounded = module:require "bounded";

local preferences = {};
local methods = {};
local mt = { __index = methods };

local MAX_CACHED = 100000; -- users

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

-- What nearly all want is one table for all.
local NOTHING_SAID = { answer = "default", ask = "default" };

--- @param store  a keyval store
-- @param mode   the option receipts_answer
function preferences.new(store, mode)
	return setmetatable({
		store = store, mode = mode;
		wanted = bounded.new(MAX_CACHED);
		silent = bounded.new(MAX_CACHED); -- set of users for whom the server is known not to answer
	}, mt);
end

--- { answer = "yes" | "no" | "default", ask = likewise } of a user; nil and the reason when the store fails.
function methods:get(user)
	local wanted = self.wanted.at[user];
	if wanted then return wanted; end
	local stored, err = self.store:get(user);
	if not stored and err then return nil, err; end
	wanted = NOTHING_SAID;
	if type(stored) == "table" then
		wanted = {};
		for name in pairs(NOTHING_SAID) do wanted[name] = CHOICES[stored[name]] and stored[name] or "default"; end
	end
	self.wanted:set(user, wanted);
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
	self.wanted:set(user, nil);
	self.silent:set(user, nil);
end

--- Does the server answer for this user? (rule D1)
function methods:answers_for(user)
	if self.silent.at[user] then return false; end
	if self.mode ~= "never" then
		local wanted = self:get(user);
		if not wanted then return false; end -- it cannot be read now
		if wanted.answer == "yes" or wanted.answer == "default" and self.mode == "opt-out" then return true; end
	end
	self.silent:set(user, true);
	return false;
end

--- Does the server ask for this user, where receipts_request says so?
function methods:asks_for(user)
	local wanted = self:get(user);
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
