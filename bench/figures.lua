-- SPDX-License-Identifier: MIT
-- How the benches report: one line a figure, ours beside a peer that was measured in the same run.

local figures = { missed = 0 };

--- The middle one of several measurements.
function figures.median(list)
	local sorted = table.move(list, 1, #list, 1, {});
	table.sort(sorted);
	local middle = #sorted // 2;
	return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2;
end

--- The same in another order.
function figures.shuffled(list)
	local out = table.move(list, 1, #list, 1, {});
	for i = #out, 2, -1 do
		local k = math.random(i);
		out[i], out[k] = out[k], out[i];
	end
	return out;
end

--- Prints a figure, and whether it reaches its goal.
-- @param name   of the figure
-- @param ours   number, and peer: likewise
-- @param ratio  ours against the peer; or, where there is no ratio to speak of, ours itself
-- @param goal   "<=1.10" or ">=8": what that is to be
function figures.report(name, ours, peer, ratio, goal)
	local op, bound = goal:match("^([<>]=)([%d.]+)$");
	local ok;
	if op == "<=" then ok = ratio <= tonumber(bound); else ok = ratio >= tonumber(bound); end
	if not ok then figures.missed = figures.missed + 1; end
	print(("BENCH %s ours=%.4g peer=%.4g ratio=%.3f goal=%s %s"):format(name, ours, peer, ratio, goal, ok and "ok" or "MISS"));
	io.stdout:flush();
end

return figures;
