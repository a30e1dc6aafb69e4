-- SPDX-License-Identifier: MIT
-- For specs only: a storage that lets others run before it answers, as one does that asks a server of its own. It keeps its data as
-- "internal" does.

local async = require "util.async";
local datamanager = require "core.storagemanager".olddm; -- else we would ask ourselves

local SECONDS = 0.005; -- until it does what it was asked for, and then until it says so

-- failing: it says that it fails; seconds: what it takes
local state = module:shared("/*/storage_slow/state");

local keyval = {};
keyval.__index = keyval;

local function sleep() -- that of util.async is not for prosodyctl
	local wait, done = async.waiter();
	module:add_timer(state.seconds or SECONDS, done);
	wait();
end

local function slowly(work, ...)
	sleep();
	if state.failing then return nil, "no connection"; end
	local result, err = work(...);
	sleep();
	return result, err;
end

function keyval:get(user) return slowly(datamanager.load, user, module.host, self.store); end
function keyval:set(user, data) return slowly(datamanager.store, user, module.host, self.store, data); end
function keyval:users() return datamanager.users(module.host, self.store); end

local driver = {};

function driver:open(store, kind) -- luacheck: ignore 212/self
	if kind and kind ~= "keyval" then return nil, "unsupported-store"; end
	return setmetatable({ store = store }, keyval);
end

function driver:purge(user) -- luacheck: ignore 212/self
	return datamanager.purge(user, module.host);
end

module:provides("storage", driver);
