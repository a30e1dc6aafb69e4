-- SPDX-License-Identifier: MIT
-- What becomes of the messages of a capture or an export that ask for a receipt: facts of messages in, a summary out.
--
-- Whatever their number, memory is bounded: of those that await an ack the latest KEPT are known, and latencies are kept as counts.

local jid_prep, jid_resource = require "util.jid".prep, require "util.jid".resource;
local new_bounded = module:require "bounded".new;

local tracker = {};
local methods = {};
local mt = { __index = methods };

local KEPT = 32768; -- messages that await an ack
local KEPT_BYTES = 8 * 1024 * 1024; -- or fewer, when their ids and addresses are long
local ADDRESSES = 4096; -- whose prepared form is known
local NO_LIMIT = 16 * KEPT; -- of one requester, for whom the table has 256 bytes each: the longest id and address have fewer than 16 times as many
-- What is over its time at once: all; or what is answered, and what has waited for the longest time that the table takes, 365 days. As it
-- takes a millisecond for a 64th of a second, that is 23 days.
local ALL = { capacity = KEPT, per_user = NO_LIMIT, ttl = 0, remember = 0 };
local ANSWERED = { capacity = KEPT, per_user = NO_LIMIT, ttl = 365 * 86400, remember = 0 };
local ADDRESS_MAX = 3071; -- bytes (RFC 7622 §3.1); what is longer is no address, and the table does not take it

local TICKS = 64; -- the table keeps times to a 64th, so a millisecond is told it as that
local LAST = 16000000000; -- seconds since the epoch, in the year 2477: as many milliseconds it takes

local OWNER = "."; -- stands for an address that is left out: clients leave out their own

--- Seconds since the epoch of an XEP-0082 DateTime; nil when it is none. (util.datetime drops fractions in 0.12.)
function tracker.seconds(stamp)
	local year, month, day, hour, min, sec, zone = stamp:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d%.?%d*)(.*)$");
	local sign, zone_hour, zone_min = "+", 0, 0;
	if year and zone ~= "Z" then
		sign, zone_hour, zone_min = zone:match("^([+-])(%d%d):(%d%d)$");
	end
	if not year or not sign then return nil; end
	-- Years that begin in March have their odd day at the end; 719,468 of their days came before 1970.
	local march_year = month + 0 < 3 and year - 1 or year + 0;
	local days = 365 * march_year + march_year // 4 - march_year // 100 + march_year // 400
		+ (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468;
	local offset = tonumber(sign.."1") * (zone_hour * 60 + zone_min) * 60;
	return days * 86400 + hour * 3600 + min * 60 + sec - offset;
end

--- Follows asks and acks through the input.
-- @param engine  the C engine
function tracker.new(engine)
	return setmetatable({
		bits = engine.bits;
		pending = engine.pending(ANSWERED);
		clock = 0; -- the latest stamp, for what has none
		counts = { asked = 0, delivered = 0, duplicate = 0, forged = 0, unknown = 0, forgotten = 0 };
		latencies = {}; -- seconds -> how many
		addresses = new_bounded(ADDRESSES); -- as written -> as compared
	}, mt);
end

-- A client's own capture has addresses as the client writes them, and answers to them as servers do. What is no JID stays as it is.
function methods:address(text)
	if not text or #text > ADDRESS_MAX then return text; end
	local known = self.addresses.at[text];
	if not known then
		known = jid_prep(text) or text;
		self.addresses:set(text, known);
	end
	return known;
end

-- As the table is told, and whether it is the stamp's.
function methods:time(stamp)
	local seconds = stamp and tracker.seconds(stamp);
	if not seconds or seconds < 0 or seconds > LAST then return self.clock, false; end
	local time = math.floor(seconds * 1000 + 0.5) / TICKS;
	self.clock = math.max(self.clock, time);
	return time, true;
end

-- Drops two, if so many are over their time. Returns whether any were.
local function drop(self)
	local dropped, gone = self.pending:expire(self.clock, 2);
	for _, entry in ipairs(gone) do
		if entry.state == "pending" then self.counts.forgotten = self.counts.forgotten + 1; end
	end
	return dropped > 0;
end

-- Room for one more. What is answered goes first, if nothing has waited for those 23 days, and then the oldest, whosever they are: they are the
-- least likely to be acked. Memory is given back where all is gone that shares a page, so it may take many.
function methods:make_room()
	local pending = self.pending;
	while pending:count() >= KEPT or pending:bytes() >= KEPT_BYTES do
		if not drop(self) then
			pending:limit(ALL);
			drop(self);
			pending:limit(ANSWERED);
		end
	end
end

function methods:ask(facts)
	local from, to = self:address(facts.from) or OWNER, self:address(facts.to) or self.owner or OWNER;
	if not facts.from then
		self.left_out = true;
	else
		self.owner = to;
		-- The very message was seen on its way to the server, which has put the address in.
		if self.left_out and self.pending:state(OWNER, to, facts.id) == "pending" then return; end
	end
	self:make_room();
	local time, stamped = self:time(facts.stamp);
	local occupant = facts.bits & self.bits.occupant ~= 0 and jid_resource(to) ~= nil;
	-- The table's mark for what the server asked says here that the time is a stamp's.
	local added, known = self.pending:add(from, to, facts.id, time, { injected = stamped, occupant = occupant });
	if added and known then return; end
	self.counts.asked = self.counts.asked + 1;
	if not added then self.counts.forgotten = self.counts.forgotten + 1; end -- too long to be kept
end

local function found(verdict)
	return verdict == "delivered" or verdict == "duplicate";
end

function methods:ack(facts)
	local requester, acker = self:address(facts.to) or OWNER, self:address(facts.from) or self.owner or OWNER;
	local id = facts.received_id;
	if not id or id == "" then id = facts.id or ""; end -- revision 1.0
	local time, stamped = self:time(facts.stamp);
	local verdict, age, ask_stamped = self.pending:match(requester, acker, id, time);
	if verdict ~= "delivered" and self.left_out then
		local second, second_age, second_stamped = self.pending:match(OWNER, acker, id, time);
		if second == "delivered" or found(second) and not found(verdict) then verdict, age, ask_stamped = second, second_age, second_stamped; end
	end
	if verdict == "forged" and not (facts.to and facts.from) then verdict = "unknown"; end -- nobody is accused on a guess
	self.counts[verdict] = self.counts[verdict] + 1;
	if verdict == "delivered" and stamped and ask_stamped then
		local rounded = tonumber(("%.3g"):format(age * TICKS / 1000));
		self.latencies[rounded] = (self.latencies[rounded] or 0) + 1;
	end
end

--- Takes note of one message.
function methods:message(facts)
	if facts.bits & self.bits.asks ~= 0 then self:ask(facts); end
	if facts.bits & self.bits.acks ~= 0 then self:ack(facts); end
end

-- The smallest value that has at least this share of all at or below it.
local function percentile(values, latencies, total, share)
	local seen = 0;
	for _, value in ipairs(values) do
		seen = seen + latencies[value];
		if seen >= share * total then return value; end
	end
end

--- What all the messages so far come to.
-- @return table of counts; `latency` has pairs (how many), p50, p90, p99, max in seconds, and is nil when no pair has two stamps
function methods:summary()
	local counts = self.counts;
	local values, total = {}, 0;
	for value, count in pairs(self.latencies) do
		table.insert(values, value);
		total = total + count;
	end
	table.sort(values);
	return {
		asked = counts.asked;
		delivered = counts.delivered;
		duplicates = counts.duplicate;
		unanswered = counts.asked - counts.delivered;
		forgotten = counts.forgotten;
		forged = counts.forged;
		unknown = counts.unknown;
		latency = total > 0 and {
			pairs = total;
			p50 = percentile(values, self.latencies, total, 0.5);
			p90 = percentile(values, self.latencies, total, 0.9);
			p99 = percentile(values, self.latencies, total, 0.99);
			max = values[#values];
		} or nil;
	};
end

return tracker;
