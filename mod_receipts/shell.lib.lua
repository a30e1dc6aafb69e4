-- SPDX-License-Identifier: MIT
-- Rule F4: `prosodyctl shell receipts …`, for all hosts together. Each function is a command, which manual.lib.lua explains: it gets the
-- shell and the arguments, and returns true and a last line; or nil and what is wrong.

local it = require "util.iterators";
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".prepped_split;

local views = module:require "views";

local MOST = 1000; -- messages in a list: the server waits while it is made
local MOST_COLUMNS = 8; -- hosts side by side: of more only the sum is shown, as the lines would be too long to be read

-- The hosts that the module is on, see offers.lib.lua.
local hosts = module:shared("/*/receipts/hosts");

local function print_table(session, titles, rows)
	for _, line in ipairs(views.table(titles, rows)) do session.print(line); end
end

local function names()
	return it.to_array(it.sorted_pairs(hosts));
end

-- One of them, for people who are to say which.
local function some_host()
	return names()[1] or "example.org";
end

-- The inspection of a host; or nil and what is wrong.
local function at(host)
	if type(host) ~= "string" then return nil, "Say which host, like "..some_host(); end
	host = jid_prep(host) or host;
	if not prosody.hosts[host] then return nil, "There is no host "..host; end
	if not hosts[host] then return nil, "mod_receipts is not on "..host.." (it is on: "..table.concat(names(), ", ")..")"; end
	return hosts[host].inspection;
end

-- The same, of the host of a user.
local function at_home_of(jid)
	local user, host = jid_split(type(jid) == "string" and jid or nil);
	if not user then return nil, "Say which user, like romeo@"..some_host(); end
	return at(host);
end

local shell = {};

function shell.stats(self, host)
	local list = {};
	for _, name in ipairs(host and { host } or names()) do
		local inspection, err = at(name);
		if not inspection then return nil, err; end
		table.insert(list, inspection:statistics());
	end
	local hint = "";
	if #list > MOST_COLUMNS then
		hint = (", on all %d hosts; for one of them: prosodyctl shell receipts stats %s"):format(#list, list[1].host);
		list = { views.sum(list) };
	elseif #list > 1 then
		table.insert(list, views.sum(list));
	end
	local titles, rows, row_of = { "", numbers = true }, {}, {};
	for i, line in ipairs(views.statistics(list[#list])) do -- of all, where there are more than one: so it has every line
		rows[i] = { line[1] };
		row_of[line[1]] = rows[i];
	end
	for column, statistics in ipairs(list) do
		titles[column + 1] = statistics.host;
		for _, line in ipairs(views.statistics(statistics)) do
			local row = row_of[line[1]];
			row[column + 1] = line[2];
		end
	end
	for _, row in ipairs(rows) do -- a host has no line for what it has never thrown away
		for column = 2, #titles do row[column] = row[column] or "0"; end
	end
	print_table(self.session, titles, rows);
	return true, "Counted since the module was loaded"..hint;
end

function shell.version()
	local runs = package.loaded["receipts"].version;
	local file <close> = module:load_resource("mod_receipts.lua");
	local installed = file and file:read("a"):match("\nlocal VERSION = \"(.-)\"");
	if installed == runs then return true, runs.." runs, and is installed"; end
	return nil, runs.." runs, and "..(installed and installed.." is installed: restart Prosody" or "nothing is installed where it came from");
end

function shell.pending(self, jid)
	local inspection, err = at_home_of(jid);
	if not inspection then return nil, err; end
	local entries, now, count = inspection:pending(jid, MOST);
	if not entries then return nil, now; end
	if #entries > 0 then print_table(self.session, views.PENDING, views.pending(entries, now)); end
	return true, views.count(count, "message")..(count > #entries and (", of which these are the latest %d"):format(#entries) or "");
end

function shell.why(self, jid, id)
	local inspection, err = at_home_of(jid);
	if not inspection then return nil, err; end
	id = id and tostring(id);
	local list, now = inspection:why(jid, id);
	if not list then return nil, now; end
	if #list == 0 then
		if not id then return nil, "Nothing is remembered about messages of "..jid; end
		return nil, "Nothing is remembered about message "..views.shown(id).." of "..jid..". If it was sent to them, ask about its "
			.."sender: an ordinary request is remembered with who sent it, and not at all when it comes from elsewhere. Else it asked for nothing, "
			.."went to a group chat, or too much has happened since";
	end
	print_table(self.session, { "Ago", "Message id", "From", "To", "Decision" }, views.decisions(list, now));
	return true, views.count(#list, "decision");
end

function shell.caps(self, jid)
	local prepped = type(jid) == "string" and jid_prep(jid);
	if not prepped then return nil, "Say of whom, like romeo@example.org or romeo@example.org/phone"; end
	local rows = {};
	for host, instance in it.sorted_pairs(hosts) do
		for _, client in ipairs(instance.inspection:clients(prepped)) do
			table.insert(rows, { views.shown(client.jid), client.support, views.shown(client.ver or "none"), host });
		end
	end
	if #rows == 0 then return nil, "No client of "..prepped.." is known to be online"; end
	print_table(self.session, { "Client", "Receipts", "Caps", "Known to" }, rows);
	return true, views.count(#rows, "client");
end

function shell.expire(_, host)
	local inspection, err = at(host);
	if not inspection then return nil, err; end
	return true, views.count(inspection:expire(), "message").." expired at once; if there are more, in memory or in the store, they follow";
end

function shell.forget(_, jid)
	local inspection, err = at_home_of(jid);
	if not inspection then return nil, err; end
	local count, complete = inspection:forget(jid);
	if not count then return nil, complete; end
	return true, views.count(count, "message").." forgotten"
		..(complete and "" or ", and what was stored, which has not been read");
end

-- Prosody gives a shell that was open before the module came the commands, and nothing to print to.
for name, command in pairs(shell) do
	shell[name] = function (self, ...)
		if not self.session then return nil, "This shell was open before mod_receipts was loaded: leave it, and open it anew"; end
		return command(self, ...);
	end;
end

return shell;
