-- SPDX-License-Identifier: MIT
-- Plays a script for scansion, the tool with which Prosody's authors test it, and notes down what each client gets.
--
-- Scansion compares what comes with what the script expects; here it is the other way round: whatever comes is kept, so that two
-- servers can be compared by it. After each step every client waits until the server has handled all before it, so what is received
-- "in answer to" a step is noted between this step and the next.

local client = require "spec.support.client";
local process = require "spec.support.process";
local stanzas = require "spec.support.stanzas";
local st = require "util.stanza";
local parse_xml = require "util.xml".parse;

local scansion = {};

-- Whose line it is, and what they do: "Juliet's phone sends:".
local function split(line, clients)
	for _, verb in ipairs { "connects", "disconnects", "sends", "receives" } do
		local who = line:match("^(.+) "..verb.."%:?%s*$");
		if who then return assert(clients[who] and who, "no client is called "..who), verb; end
	end
	error("not understood: "..line);
end

--- Reads a script.
-- @return name -> { jid, password, resource }, and an array of { who, verb, text }
function scansion.parse(text)
	local clients, actions, current, header = {}, {}, nil, true;
	for line in text:gmatch("[^\n]*") do
		if header and line:find("^%-%-%-") then
			header, current = false, nil;
		elseif line:find("^#") or line:find("^//") or line:find("^%-%-") or not line:find("%S") then
			if not header and current and current.text then current.text = current.text.."\n"; end
		elseif header then
			local name = line:match("^%[Client%] (.-)%s*$");
			if name then
				current = {};
				clients[name] = current;
			else
				local key, value = line:match("^%s+([%w_]+): *(.-)%s*$");
				assert(current, line)[assert(key, line)] = value;
			end
		elseif line:find("^%s") then
			current.text = current.text.."\n"..line;
		else
			local who, verb = split(line, clients);
			current = { who = who, verb = verb, text = "" };
			table.insert(actions, current);
		end
	end
	return clients, actions;
end

-- A session that answers nothing by itself: what the client says is in the script.
local function connect(port, jid)
	local one = client.connect(port, jid, { presence = false });
	one.answer_disco = function () return false; end;
	return one;
end

-- Where Prosody lists things in the order of a table's keys, which is another one in each run.
local UNORDERED = {
	["http://jabber.org/protocol/disco#info"] = true;
	["http://jabber.org/protocol/rsm"] = true;
	["http://jabber.org/protocol/muc#user"] = true;
};

-- Such a list, or an invitation to a room, which is put together by handlers of one priority.
local function in_any_order(element)
	local x = element:get_child("x", "http://jabber.org/protocol/muc#user");
	local is_list = UNORDERED[element.attr.xmlns] and #element.tags > 1 and not (element:get_text() or ""):find("%S");
	return is_list or x and x:get_child("invite");
end

-- A stanza in which what differs from run to run is replaced: stamps, seconds, secrets by what they are; ids by when they were first seen.
local function normaliser()
	local ids, count = {}, 0;
	local function numbered(id)
		if not ids[id] then
			count = count + 1;
			ids[id] = "id "..count;
		end
		return ids[id];
	end
	local function clean(element, leave_out)
		local attr = element.attr;
		for name, value in pairs(attr) do
			if name == "id" or name == "sessionid" or name == "node" and element.name ~= "c" and not value:find(":", 1, true) then
				attr[name] = numbered(value);
			elseif name == "stamp" or name == "start" or name == "timestamp" or name == "expires" or name == "seconds" then
				attr[name] = name;
			elseif element.name == "service" and (name == "username" or name == "password") and #value > 8 then
				attr[name] = name;
			elseif name == "ver" and attr.xmlns == "http://jabber.org/protocol/caps" then
				attr[name] = name;
			else
				attr[name] = value:gsub("http://[%w.]+:%d+/[^%s]*", "address"):gsub("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z", "stamp");
			end
		end
		for i, child in ipairs(element) do
			if type(child) == "table" then
				clean(child, leave_out);
			else
				element[i] = child:gsub("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z", "stamp"):gsub("^Bearer .*", "token"):gsub("^(%x+%-%x+%-%x+%-%x+%-%x+)$", numbered)
					:gsub("^[%w_-]+$", function (word) return #word >= 20 and numbered(word) or ids[word]; end);
			end
		end
		if in_any_order(element) then
			local children = {};
			for _ = 1, #element do
				local child = table.remove(element);
				if type(child) == "table" then table.insert(children, { stanzas.canonical(child, leave_out), child }); end
			end
			table.sort(children, function (one, other) return one[1] < other[1]; end);
			for i, child in ipairs(children) do element[i] = child[2]; end
		end
		return element;
	end
	return clean;
end

-- Waits until the server has handled what this client sent. A server may end the stream instead.
-- @return whether it is still connected
local function settle(one)
	return pcall(function ()
		local id = "settle";
		one:send(st.iq({ type = "get", to = one.host, id = id }):tag("ping", { xmlns = "urn:xmpp:ping" }));
		one:expect(function (stanza) return stanza.name == "iq" and stanza.attr.id == id; end);
	end);
end

--- Plays a script on the server at this port.
-- @param leave_out  function (element): true for what is not noted, stanzas and what is in them
-- @return array of lines, who got what, and how many stanzas were received
function scansion.play(path, port, leave_out)
	local clients, actions = scansion.parse(process.read(path));
	local names, online, jids, lines, received = {}, {}, {}, {}, 0;
	for name, who in pairs(clients) do
		table.insert(names, name);
		local bare, resource = who.jid:match("^([^/]+)/?(.*)$");
		resource = who.resource or resource ~= "" and resource or name:gsub("%W", ""):lower();
		jids[name.."'s JID"] = bare;
		jids[name.."'s full JID"] = bare.."/"..resource;
	end
	table.sort(names);
	local clean = normaliser();

	-- Notes down what has come to whom.
	local function listen()
		for _, name in ipairs(names) do
			local one = online[name];
			local connected = one and settle(one);
			for _, stanza in ipairs(one and one.inbox or {}) do
				if not leave_out(stanza) then
					received = received + 1;
					table.insert(lines, name.." gets "..stanzas.canonical(clean(stanza, leave_out), leave_out));
				end
			end
			if one then one.inbox = {}; end
			if one and not connected then
				table.insert(lines, name.." is disconnected by the server");
				one:drop();
				online[name] = nil;
			end
		end
	end

	local verbs = {};
	function verbs.connects(who) online[who] = connect(port, jids[who.."'s full JID"]); end
	function verbs.disconnects(who)
		if online[who] then online[who]:close(); end
		online[who] = nil;
	end
	function verbs.sends(who, text)
		if not online[who] then return; end -- some scripts end like this
		text = text:gsub("%${(.-)}", function (name) return assert(jids[name], name); end);
		for _, stanza in ipairs(assert(parse_xml("<sends xmlns='jabber:client' xmlns:scansion='scansion'>"..text.."</sends>"), text).tags) do
			online[who]:send(stanza);
		end
		settle(online[who]); -- what others get has gone out then
	end
	function verbs.receives() end

	local ok, err = xpcall(function ()
		for step, action in ipairs(actions) do
			if action.verb ~= "receives" then table.insert(lines, ("step %d: %s %s"):format(step, action.who, action.verb)); end
			verbs[action.verb](action.who, action.text);
			listen();
		end
	end, debug.traceback);
	for _, one in pairs(online) do
		if ok then one:close(); else one:drop(); end
	end
	assert(ok, path..": "..tostring(err));
	return lines, received;
end

return scansion;
