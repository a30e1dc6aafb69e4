-- SPDX-License-Identifier: MIT
-- receipts_answer_components: gateways (XEP-0114) that know no receipts are answered for, once they have taken the message.
--
-- A component acknowledges nothing. So what counts is that it is connected when the message is about to be written to it, after all
-- else that could stop the message, and that it still is afterwards. Only users of this host are told.

local st = require "util.stanza";
local jid_host = require "util.jid".host;
local new_set = require "util.set".new;

local MAX_ID = (module:require "answers").MAX_ID;
local elements = module:require "elements";

local LAST = -0.5; -- mod_component hands over at -1

local components = {};

-- Is a program connected as this component?
local function is_connected(host)
	local session = prosody.hosts[host];
	local component = session and session.modules.component;
	return component ~= nil and component.connected == true;
end

--- Listens from now on to the messages to these components.
-- @param parts  options, engine, answering, reports; record (function (stanza, why)): takes note of a decision
-- @param guard  of guard.lib.lua, and later
function components.listen(parts, guard, later)
	local engine, answers = parts.engine, parts.answering.answers;

	local function answer(host, content)
		if not is_connected(host) then return; end
		parts.record(content, "answered for "..content.attr.to..", which the component "..host.." has taken");
		parts.reports:count("answers");
		module:context(host):send(answers:make(content.attr.to, content));
	end

	local function handing_over(host, stanza)
		if answers:bounced(stanza) then return true; end
		local what = engine.examine(stanza);
		if not what or what & engine.bits.asks == 0 or #stanza.attr.id > MAX_ID or elements.is_passing(stanza) then return; end
		if jid_host(stanza.attr.from) ~= module.host or not is_connected(host) then return; end
		local content = st.clone(stanza);
		later(0, "an answer for a component", function () answer(host, content); end);
	end

	local function listen_to(host)
		local component = module:context(host);
		for _, kind in ipairs { "bare", "full", "host" } do
			component:hook("message/"..kind, guard("a message to a component", function (event)
				return handing_over(host, event.stanza);
			end), LAST);
		end
	end
	local listed = new_set(parts.options.answer_components);
	for host in listed do
		if prosody.hosts[host] then listen_to(host); end
	end
	module:hook_global("host-activated", guard("host-activated", function (host)
		if listed:contains(host) then listen_to(host); end
	end));
end

return components;
