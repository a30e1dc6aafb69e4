-- SPDX-License-Identifier: MIT
-- Runs a program under sanitizers or Valgrind; tells what they report of the engine, and fails then.
--   lua5.4 scripts/memcheck.lua sanitize|valgrind COMMAND …

package.path = "./?.lua;"..package.path;
local memcheck = require "spec.support.memcheck";

local check = memcheck.new(arg[1]);
local ok, _, code = os.execute(("env RECEIPTS_ENGINE='%s' %s %s"):format(check.engine, check.words, table.concat(arg, " ", 2)));
local reports = check.reports();
for _, report in ipairs(reports) do print(report.."\n"); end
print(("%s: %d reports of the engine"):format(arg[1], #reports));
os.exit(#reports > 0 and 1 or ok and 0 or code);
