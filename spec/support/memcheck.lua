-- SPDX-License-Identifier: MIT
-- Programs that run under AddressSanitizer and UBSan, or under Valgrind, and what these report of the engine. The engine is built for
-- that (build/test, build/valgrind); the programs, lua5.4 and Prosody, are as they are, so what has none of our functions in its
-- stack is theirs and left out.

local paths = require "spec.support.paths";
local process = require "spec.support.process";

local memcheck = {};

local tools = {
	sanitize = {
		engine = paths.root.."/build/test/?.so";
		-- What a program is started with, as words for env.
		words = function (dir)
			local asan = process.output("cc -print-file-name=libasan.so");
			return ("LD_PRELOAD=%s ASAN_OPTIONS=detect_leaks=1:exitcode=0:log_path=%s/report UBSAN_OPTIONS=print_stacktrace=1:log_path=%s/report")
				:format(asan, dir, dir);
		end;
		-- Errors and leaks are paragraphs; an error ends the program.
		each = function (text) return (text.."\n\n"):gmatch("(.-)\n%s*\n"); end;
		ours = function (report) return report:find("ERROR: AddressSanitizer", 1, true) or report:find("runtime error:", 1, true)
			or report:find(" leak of ", 1, true) and report:find("csrc/", 1, true); end;
	};
	valgrind = {
		engine = paths.root.."/build/valgrind/?.so";
		words = function (dir)
			return ("valgrind --quiet --leak-check=full --show-leak-kinds=definite,possible --num-callers=40 --xml=yes --xml-file=%s/report.%%p")
				:format(dir);
		end;
		each = function (text) return text:gmatch("<error>.-</error>"); end;
		ours = function (report) return report:find("/build/valgrind/[%w_.]+</obj>"); end;
	};
};

--- @param kind  "sanitize" or "valgrind"
-- @return { words =, engine =, reports = }: words for `env` in front of a command, the LUA_CPATH of the engine, and see below
function memcheck.new(kind)
	local tool = assert(tools[kind], "sanitize or valgrind");
	local dir = process.temp_dir();
	local self = { words = tool.words(dir), engine = tool.engine };
	--- What was reported of the engine, now that the program has ended: an array of texts.
	function self.reports()
		local list = {};
		for path in io.popen("ls "..dir.."/report* 2>/dev/null"):lines() do
			for report in tool.each(process.read(path)) do
				if tool.ours(report) then table.insert(list, report); end
			end
		end
		os.execute("rm -rf '"..dir.."'");
		return list;
	end
	return self;
end

return memcheck;
