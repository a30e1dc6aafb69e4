-- SPDX-License-Identifier: MIT
-- views.lib.lua: numbers and times as people read them (rule F4).

local paths = require "spec.support.paths";
local views, reports = paths.lib("views"), paths.lib("reports");

describe("views", function ()
	it("F4 spans have one unit", function ()
		for seconds, text in pairs { [0] = "0.0 s", [0.44] = "0.4 s", [9.9] = "9.9 s", [9.96] = "10 s", [119] = "119 s", [120] = "2 min",
			[7199] = "120 min",
			[7200] = "2 h", [172799] = "48 h", [172800] = "2 d", [604800] = "7 d" } do
			assert.equal(text, views.span(seconds));
		end
	end);

	it("F4 one of something is no plural", function ()
		for count, text in pairs { [0] = "0 clients", [1] = "1 client", [2] = "2 clients" } do
			assert.equal(text, views.count(count, "client"));
		end
	end);

	local function statistics()
		local none = { with_labels = function () return { add = function () end }; end };
		local one = reports.new(function () return none; end, function () end, function () end);
		return { host = "h", counts = one.counts, delivery = one.delivery, bounds = one.BUCKETS, pending = 3, bytes = 2048 };
	end
	local function line(lines, label)
		for _, one in ipairs(lines) do
			if one[1] == label then return one[2]; end
		end
	end

	it("F4 statistics tell within which time shares were delivered", function ()
		local all = statistics();
		local lines = views.statistics(all);
		assert.equal("-", line(lines, "  half of them"));
		assert.equal("3", line(lines, "Pending now, in memory"));
		assert.equal("2 KiB", line(lines, "Memory used"));
		all.delivery[1], all.delivery[5], all.delivery[13] = 50, 49, 1;
		lines = views.statistics(all);
		assert.equal("within 0.1 s", line(lines, "  half of them"));
		assert.equal("within 30 s", line(lines, "  nine in ten"));
		assert.equal("within 30 s", line(lines, "  99 in a hundred"));
		all.delivery[13] = 2;
		assert.equal("more than 7 d", line(views.statistics(all), "  99 in a hundred"));
	end);

	it("F4 statistics name what was thrown away, and nothing that wasn't", function ()
		local all = statistics();
		all.counts.rejected.forged = 2;
		local lines = views.statistics(all);
		assert.equal("2", line(lines, "Removed: forged"));
		assert.is_nil(line(lines, "Removed: unknown"));
	end);

	it("F4 statistics of several hosts add up", function ()
		local one, other = statistics(), statistics();
		one.counts.outcomes.delivered, other.counts.outcomes.delivered = 2, 3;
		one.delivery[1], other.delivery[2] = 2, 3;
		local sum = views.sum { one, other };
		assert.equal(5, sum.counts.outcomes.delivered);
		assert.equal(2, sum.delivery[1]);
		assert.equal(3, sum.delivery[2]);
		assert.equal(6, sum.pending);
		assert.equal(2, one.counts.outcomes.delivered, "what was added stays as it was");
	end);

	it("F4 what is pending says how old it is and who asked", function ()
		assert.same({
			{ "b@h", "1", "2 h", "overdue", "the client" }, { "c@h", "2", "5.0 s", "bounced", "the server" }, { "d@h", "3", "0.0 s", "pending", "the client" };
		}, views.pending({
			{ to = "b@h", id = "1", time = 0, state = "pending", overdue = true };
			{ to = "c@h", id = "2", time = 7195, state = "failed", overdue = true, injected = true };
			{ to = "d@h", id = "3", time = 7201, state = "pending" };
		}, 7200));
	end);

	it("F4 what steers a terminal, breaks lines or turns the direction of writing is shown by its number, and nothing beside it", function ()
		for _, range in ipairs { { 0x00, 0x1F }, { 0x7F, 0x9F }, { 0x61C, 0x61C }, { 0x200E, 0x200F }, { 0x2028, 0x202E }, { 0x2066, 0x2069 } } do
			for code = math.max(range[1] - 1, 0), range[2] + 1 do
				local char = utf8.char(code);
				local inside = code >= range[1] and code <= range[2];
				local text = ({ ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" })[char] or inside and ("\\u{%x}"):format(code) or char;
				assert.equal("a"..text.."b", views.shown("a"..char.."b"));
			end
		end
	end);

	it("F4 ids, addresses and decisions show what steers a terminal, and do not do it", function ()
		local hostile = "x\nOK: 0\27[2J\r\0\127\u{9b}2J\u{202e}\u{2066}\u{200f}";
		local harmless = "x\\nOK: 0\\u{1b}[2J\\r\\u{0}\\u{7f}\\u{9b}2J\\u{202e}\\u{2066}\\u{200f}";
		assert.equal(harmless, views.shown(hostile));
		for _, text in ipairs { "a@h/\u{e4} \u{1f600}", "\\n", "" } do assert.equal(text, views.shown(text)); end
		assert.equal("x\\x9b\\xff\\n", views.shown("x\x9b\xff\n"), "nor what is not UTF-8");
		local pending = views.pending({ { to = "b@h/"..hostile, id = hostile, time = 0, state = "pending" } }, 1)[1];
		assert.same({ "b@h/"..harmless, harmless }, { pending[1], pending[2] });
		local why = "answered for a@h/";
		local decision = views.decisions({ { time = 0, id = hostile, from = hostile, to = hostile, why = why..hostile } }, 1)[1];
		assert.same({ harmless, harmless, harmless, why..harmless }, { table.unpack(decision, 2) });
	end);

	it("F4 decisions say how long ago", function ()
		assert.same({ { "1.5 s", "1", "a@h", "-", "why" }, { "0.5 s", "-", "a@h", "b@h", "why" } },
			views.decisions({ { time = 1, id = "1", from = "a@h", why = "why" }, { time = 2, from = "a@h", to = "b@h", why = "why" } }, 2.5));
	end);
end);
