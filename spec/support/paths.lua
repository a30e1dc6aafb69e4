-- SPDX-License-Identifier: MIT
-- Where the specs find the engine, the module and Prosody's libraries.

local paths = {};

paths.root = os.getenv("PWD");
paths.prosody = { ["0.12"] = paths.root.."/.deps/prosody-0.12"; ["13.0"] = paths.root.."/.deps/prosody-13.0" };
paths.engine = os.getenv("RECEIPTS_ENGINE") or paths.root.."/build/?.so";

local libraries = paths.prosody["0.12"].."/usr/lib/prosody";
package.path = libraries.."/?.lua;"..package.path;
package.cpath = paths.engine..";"..libraries.."/?.so;"..package.cpath;

-- Debian has Prosody's C modules for Lua 5.4 alone. Of what the engine's specs use, stanzas ask them one thing; Expat can tell as well.
if _VERSION ~= "Lua 5.4" then
	local lxp = require "lxp";
	local function valid(text) return (lxp.new({}):parse("<x>"..text:gsub("[<&%c]", " ").."</x>")) ~= nil; end
	package.preload["util.encodings"] = function () return { utf8 = { valid = valid } }; end
end

local environment = setmetatable({}, { __index = _G });
environment.module = { host = "h", require = function (_, name) return paths.lib(name); end };
environment.prosody = { hosts = { h = { modules = {} } }, bare_sessions = {} };
paths.bare_sessions = environment.prosody.bare_sessions; -- those that the libs know of

--- Loads one of the module's libs as Prosody's module:require would, outside Prosody.
function paths.lib(name)
	return assert(loadfile(paths.root.."/mod_receipts/"..name..".lib.lua", "t", environment))();
end

return paths;
