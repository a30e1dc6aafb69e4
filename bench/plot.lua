-- SPDX-License-Identifier: MIT
-- Draws what `make bench` printed: how far each figure is from its goal.
--   make bench | tee bench.txt; lua5.4 bench/plot.lua <bench.txt >docs/performance.svg

local rows = {};
for line in io.lines() do
	local name, ratio, op, goal = line:match("^BENCH (%S+) .*ratio=(%S+) goal=([<>]=)([%d.]+) ");
	ratio, goal = tonumber(ratio), tonumber(goal);
	-- A goal of nothing has no scale; those are in the table only.
	if name and goal > 0 and ratio > 0 then table.insert(rows, { name = name, better = op == "<=" and goal / ratio or ratio / goal }); end
end

local ROW, LEFT, WIDTH, SPAN = 22, 250, 720, 16; -- pixels; and the most that is drawn: 16 times as good as the goal, or as bad
local function x(better)
	local middle = LEFT + (WIDTH - LEFT) / 2;
	return middle + math.log(math.max(1 / SPAN, math.min(SPAN, better)), SPAN) * (WIDTH - LEFT) / 2;
end

local height = (#rows + 2) * ROW;
local out = {
	('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">'):format(WIDTH + 20, height),
	"<title>Figures of make bench against their goals</title>",
	('<rect width="%d" height="%d" fill="white"/>'):format(WIDTH + 20, height),
};
local function add(...) table.insert(out, (...):format(select(2, ...))); end
for _, mark in ipairs { 1 / 16, 1 / 4, 1 / 2, 1, 2, 4, 16 } do
	add('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="%s"/>', x(mark), x(mark), ROW, height - ROW, mark == 1 and "black" or "#ddd");
	add('<text x="%.1f" y="15" text-anchor="middle">%s</text>', x(mark), mark == 1 and "goal" or mark < 1 and ("1/%d"):format(1 / mark) or mark.."×");
end
for i, row in ipairs(rows) do
	local from, to = x(math.min(1, row.better)), x(math.max(1, row.better));
	local y = i * ROW + 6;
	add('<text x="%d" y="%d" text-anchor="end">%s</text>', LEFT - 8, y + 11, row.name);
	add('<rect x="%.1f" y="%d" width="%.1f" height="14" fill="%s"/>', from, y, math.max(1.5, to - from), row.better >= 1 and "#2a7" or "#c63");
end
add('<text x="%d" y="%d" text-anchor="end">green: reached, so many times better than the goal; red: missed</text></svg>', WIDTH, height - 5);
print(table.concat(out, "\n"));
