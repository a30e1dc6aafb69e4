-- SPDX-License-Identifier: MIT
-- bench/load.lua: that it misses nothing which has come. What it sends, the benches have a server take.

require "spec.support.paths";
local load = require "bench.load";
local socket = require "socket";

describe("The load", function ()
	local listener;
	before_each(function () listener = assert(socket.bind("127.0.0.1", 0)); end);
	after_each(function () listener:close(); end);

	-- A connection whose other end has sent a long message, and sends an ack when acks are sent to it.
	local function connection()
		local _, port = listener:getsockname();
		local conn = assert(socket.connect("127.0.0.1", port));
		local server = assert(listener:accept());
		server:send((" "):rep(100));
		assert(conn:receive(50)); -- from now on the socket's library is ahead by some bytes
		conn:settimeout(0);
		server:send((" "):rep(65536 - 50 - 10).."<message></message>");
		return {
			getfd = function () return conn:getfd(); end;
			receive = function (_, count) return conn:receive(count); end;
			send = function (_, text)
				if text:find("<received", 1, true) then server:send("<message></message>"); end
				return #text;
			end;
			close = function ()
				conn:close();
				server:close();
			end;
		};
	end

	it("counts what was read ahead", function ()
		local traffic = load.over({ connection(), connection() }, "localhost");
		socket.sleep(0.1);
		assert.equal(4, traffic:round(1));
		traffic:close();
	end);
end);
