-- SPDX-License-Identifier: MIT
-- `prosodyctl mod_receipts SUBCOMMAND …`: finds the subcommand, and turns what goes wrong into words and an exit code.
--
-- A subcommand is a table:
--   usage    its arguments, after its name
--   summary  what it does, in one line
--   can_do_without  optional: true where it needs no engine
--   run      function (array of arguments): an exit code; or nil and what is wrong with the arguments

local sorted_pairs = require "util.iterators".sorted_pairs;

local command = {};

local FAILED = 2; -- exit code: it could not be done. 0 and 1 are the subcommand's verdict.

local function usage(name, subcommand)
	return ("Usage: prosodyctl mod_receipts %s %s"):format(name, subcommand.usage):gsub("%s+$", "").."\n";
end

local function help(subcommands)
	local lines = { "Usage: prosodyctl mod_receipts SUBCOMMAND …\n" };
	for name, subcommand in sorted_pairs(subcommands) do
		table.insert(lines, ("  %s\n      %s"):format((name.." "..subcommand.usage):gsub("%s+$", ""), subcommand.summary));
	end
	return table.concat(lines, "\n").."\n";
end

--- The function that prosodyctl calls with the arguments.
-- @param subcommands  name -> subcommand, see above
-- @param problem      why there is no engine, without which most of them cannot be run; or nil
-- @param out, err     files
-- @return function (array of arguments): exit code
function command.new(subcommands, problem, out, err)
	return function (arg)
		local name = arg[1];
		if name == "help" or name == "--help" or name == "-h" then
			out:write(help(subcommands));
			return 0;
		end
		local subcommand = subcommands[name];
		if not subcommand then
			err:write(name and ("There is no subcommand %q\n"):format(name) or "", help(subcommands));
			return FAILED;
		end
		local arguments = { table.unpack(arg, 2) };
		if arguments[1] == "--help" or arguments[1] == "-h" then
			out:write(usage(name, subcommand), subcommand.summary, "\n");
			return 0;
		end
		if problem and not subcommand.can_do_without then
			err:write(problem, "\n");
			return FAILED;
		end
		local ok, code, wrong = xpcall(subcommand.run, debug.traceback, arguments);
		if not ok then
			err:write(("mod_receipts %s: %s\n"):format(name, code));
			return FAILED;
		end
		if not code then
			err:write(wrong, "\n", usage(name, subcommand));
			return FAILED;
		end
		return code;
	end
end

return command;
