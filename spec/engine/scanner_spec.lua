-- SPDX-License-Identifier: MIT
-- receipts.scanner: the same facts from a stream in chunks.

local paths = require "spec.support.paths";
local portable = require "spec.support.portable";
local receipts = require "receipts";
local cases = require "spec.support.messages";

local function append(all, list)
	for _, facts in ipairs(list) do table.insert(all, facts); end
end

local function scan(xml, size, options)
	local scanner = receipts.scanner(options or {});
	local all = {};
	for at = 1, #xml, size do
		local list, reason = scanner:feed(xml:sub(at, at + size - 1));
		assert(list, reason);
		append(all, list);
	end
	local rest, reason = scanner:finish();
	assert(rest, reason);
	append(all, rest);
	return all, scanner;
end

describe("receipts.scanner", function ()
	local stream = { "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" };
	local bare, expected = {}, {};
	for _, case in ipairs(cases) do
		local xml = case.xml:gsub("^<%?xml.-%?>%s*", "");
		table.insert(stream, xml);
		table.insert(bare, case.xml);
		table.insert(expected, case.facts);
	end
	table.insert(stream, "</stream:stream>");

	local function as_parsed(list)
		for _, facts in ipairs(list) do facts.line, facts.bits = nil, nil; end
		return list;
	end

	local sizes = { 1000, 1000000 };
	for size = 1, 64 do table.insert(sizes, size); end
	for title, xml in pairs { ["a stream"] = stream, ["bare stanzas"] = bare } do
		it("reads "..title.." in chunks of every size", function ()
			for _, size in ipairs(sizes) do
				assert.same(expected, as_parsed((scan(table.concat(xml, "\n"), size))), "in chunks of "..size);
			end
		end);
	end

	it("gives the line on which a message begins", function ()
		local all = scan("<message id='1'/>\n\n<message\nid='2'/><message id='3'/>\n<message id='4'/>", 1000);
		local lines = {};
		for i, facts in ipairs(all) do lines[i] = facts.line; end
		assert.same({ 1, 3, 4, 5 }, lines);
		for _, stanza in ipairs { "<iq/>", "<iq></iq>" } do -- a lone carriage return, and much later a line feed: two lines
			assert.equal(3, (scan("\r"..stanza.."\n<message/>", 100))[1].line, stanza);
		end
	end);

	it("gives the bits that the hooks get", function ()
		local bits = receipts.bits;
		local all = scan("<message id='1'><request xmlns='urn:xmpp:receipts'/></message>"
			.."<message type='error'><received xmlns='urn:xmpp:receipts'/></message>", 1000);
		assert.equal(bits.request + bits.asks, all[1].bits);
		assert.equal(bits.received + bits.bounce + bits["received-without-id"] + bits["received-in-error"], all[2].bits);
	end);

	local function stamps(xml, size)
		local list = {};
		for i, facts in ipairs((scan(xml, size))) do list[i] = facts.stamp or false; end
		return list;
	end

	it("gives the stamp of a delay, or of the delay beside the message in an archive", function ()
		local function delay(stamp) return "<delay xmlns='urn:xmpp:delay' stamp='"..stamp.."'/>"; end
		assert.same({ "2024-01-01T00:00:00Z", false }, stamps("<message>"..delay("2024-01-01T00:00:00Z").."</message><message/>", 9));
		for size = 1, 50, 7 do
			assert.same({ "first", "second", "own", false }, stamps(("<archive>%s%s%s%s</archive>"):gsub("%%s", function ()
				return "<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'>%s</forwarded></result>";
			end):format(
				delay("first").."<message xmlns='jabber:client'/>",
				"<message xmlns='jabber:client'/>"..delay("second"),
				delay("third").."<message xmlns='jabber:client'>"..delay("own").."</message>",
				"<message xmlns='jabber:client'/>"), size));
		end
	end);

	it("reads what captures of several streams hold", function ()
		local root = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
		local xml = root.."\n"..root.."<stream:features/><message id='1'/>\n<message id='2'/></stream:stream>\n"..root.."<message id='3'/>";
		for size = 1, #xml do
			local ids = {};
			for i, facts in ipairs((scan(xml, size))) do ids[i] = facts.id.."@"..facts.line; end
			assert.same({ "1@4", "2@5", "3@7" }, ids);
		end
	end);

	it("forgets streams with long tags where an XML declaration says that another begins: it would read them again after each", function ()
		local xml = "<s:stream a='%s' xmlns:s='http://etherx.jabber.org/streams' xmlns:r='urn:xmpp:receipts'>%s<message><r:request/></message>";
		local declaration = "<?xml version='1.0'?>";
		for _, case in ipairs { { 3900, "", true }, { 3900, declaration, true }, { 5000, "", true }, { 5000, declaration, false } } do
			local list = receipts.scanner {}:feed(xml:format(("x"):rep(case[1]), case[2]));
			assert.equal(case[3], list ~= nil and list[1].request);
		end
	end);

	it("counts, and leaves out what has no receipt element when told to", function ()
		local all, scanner = scan(table.concat(bare), 100, { only_receipts = true });
		for _, facts in ipairs(all) do assert.is_true(facts.request or facts.received); end
		local summary = scanner:summary();
		assert.equal(#cases, summary.messages);
		assert.equal(#table.concat(bare), summary.bytes);
		assert.equal(4, summary.problems["received-without-id"]);
		assert.is_true(summary.requests > 5 and summary.acks > 5);
		for _, counts in ipairs { summary, summary.problems } do
			for name, count in pairs(counts) do assert.is_true(name == "problems" or portable.is_integer(count), name); end
		end
	end);

	local function summary(xml, size, options)
		local scanner = receipts.scanner(options);
		local given, reason, position = 0, nil, nil;
		for at = 1, #xml + size, size do -- the last is empty: then the end
			local list, fault, place, before = scanner[at > #xml and "finish" or "feed"](scanner, at <= #xml and xml:sub(at, at + size - 1) or nil);
			given = given + #(list or before);
			if not list then
				reason, position = fault, place;
				break;
			end
		end
		return { scanner:summary(), reason = reason, position = position }, given;
	end

	it("gives a summary and nothing else when told to", function ()
		local root = "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xmlns:r='urn:xmpp:receipts'>";
		local inputs = {
			table.concat(stream, "\n"), table.concat(bare, "\n"), "", "<message/>",
			root.."<message id='1'><r:request/></message><r:message id='2'><r:request/></r:message></s:stream>",
			"<a><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><request xmlns='urn:xmpp:receipts'/></message>"
				.."<delay xmlns='urn:xmpp:delay' stamp='1'/></forwarded></a>",
			table.concat(bare, "\n").."<message><request xmlns='urn:xmpp:receipts'></message>", -- faults, at the end and before
			"<message/>\n<message><p:a/></message><message/>",
			"<message type='error'><received xmlns='urn:xmpp:receipts'/></message><mess",
		};
		for _, xml in ipairs(inputs) do
			for _, size in ipairs { 1, 7, 100, 1000000 } do
				local whole = summary(xml, size, {});
				local counted, given = summary(xml, size, { only_summary = true });
				assert.same(whole, counted, xml);
				assert.equal(0, given);
			end
		end
		assert.equal(4, summary(inputs[2], 100, { only_summary = true })[1].problems["received-without-id"]);
	end);

	it("keeps what came before a fault, says where it is, and stays failed", function ()
		local scanner = receipts.scanner {};
		local list, reason, position, before = scanner:feed("<message id='1'/>\n<message></body>");
		assert.is_nil(list);
		assert.equal("mismatched tag", reason);
		assert.equal(2, position.line);
		assert.equal("1", before[1].id);
		assert.is_nil((scanner:feed("<message/>")));
		assert.is_nil((scanner:finish()));
	end);

	it("knows an end that comes too early", function ()
		local scanner = receipts.scanner {};
		assert(scanner:feed("<message><bo"));
		local ok, reason = scanner:finish();
		assert.is_nil(ok);
		assert.equal("the input is incomplete", reason);
	end);

	it("has limits", function ()
		local scanner = receipts.scanner { max_depth = 2, max_attr = 3 };
		assert(scanner:feed("<message><a/></message>"));
		assert.is_nil((scanner:feed("<message id='1234'/> ")));
		assert.has_error(function () receipts.scanner { max_depth = 0 }; end);
		assert.has_error(function () receipts.scanner { max_attr = "x" }; end);
	end);

	it("outlives a finalizer that closes it while it hands over", function ()
		for i = 1, 200 do
			local scanner = receipts.scanner {};
			local messages = ("<message id='1'/>"):rep(i);
			portable.finalized(function () scanner:close(); end);
			pcall(scanner.feed, scanner, messages);
			collectgarbage("step");
		end
		collectgarbage();
	end);

	it("outlives a finalizer that closes it while a summary is made", function ()
		for _ = 1, 300 do
			local scanner = receipts.scanner {};
			scanner:feed("<message/>");
			portable.finalized(function () scanner:close(); end);
			for _ = 1, 200 do
				local open, counts = pcall(scanner.summary, scanner);
				if not open then break; end
				assert(counts.messages == 1);
			end
		end
	end);

	it("tells a finalizer that it is busy", function ()
		local messages = ("<message id='1'/>"):rep(20000);
		local feed, finish;
		local function error_of(ok, reason) return not ok and reason or nil; end
		for _ = 1, 100 do -- until one runs meanwhile
			local scanner = receipts.scanner {};
			portable.finalized(function ()
				feed = feed or error_of(pcall(scanner.feed, scanner, "<message/>"));
				finish = finish or error_of(pcall(scanner.finish, scanner));
			end);
			assert.equal(20000, #scanner:feed(messages));
			if feed then
				assert.same({}, scanner:finish());
				break;
			end
		end
		assert.equal("the scanner is busy, or an earlier call was interrupted by an error", feed);
		assert.equal("the scanner is busy, or an earlier call was interrupted by an error", finish);
	end);

	it("stops at a fault, however much follows in the chunk", function ()
		local list, reason, position, before = receipts.scanner():feed("<message/>\n<message></x>"..("<message/>"):rep(20000));
		assert.is_nil(list);
		assert.equal("mismatched tag", reason);
		assert.equal(2, position.line);
		assert.equal(1, #before);
	end);

	it("takes the largest limit that there is", function ()
		local scanner = receipts.scanner { max_bytes = 2^30 };
		assert.equal(1, #scanner:feed("<message/> "));
	end);

	it("rejects a closed handle, and can be closed twice", function ()
		local scanner = receipts.scanner {};
		scanner:close();
		scanner:close();
		for _, method in ipairs { "feed", "finish", "summary" } do
			assert.has_error(function () scanner[method](scanner, ""); end, "the scanner is closed");
		end
		assert.has_error(function () receipts.scanner().feed({}, ""); end);
	end);

	it("does not hand out its finalizer", function ()
		local scanner = receipts.scanner {};
		assert.is_nil(scanner.__gc);
		assert.is_nil(scanner.__index, "through which it could be had");
		-- Who has the debug library may call it, and that does no harm.
		local finalizer = debug.getmetatable(scanner).__gc;
		for _, wrong in ipairs { 1, "x", {}, receipts.pending() } do assert.has_error(function () finalizer(wrong); end); end
		assert.has_error(function () finalizer(); end);
		finalizer(scanner);
		finalizer(scanner);
		assert.has_error(function () scanner:feed("<message/>"); end, "the scanner is closed");
	end);

	it("is closed once its finalizer has run, for others that run as Lua ends", function ()
		-- Finalizers run in the reverse order of creation: ours comes first.
		local pipe = io.popen(([[%s -e '
			kept = require "spec.support.portable".finalized(function ()
				for _, method in ipairs { "feed", "finish", "summary" } do print(select(2, pcall(scanner[method], scanner, "<message/>"))); end
				scanner:close();
			end);
			package.cpath = "%s";
			scanner = require "receipts".scanner {};' 2>&1]]):format(portable.lua, paths.engine));
		local output = pipe:read("*a");
		assert.is_true(pipe:close(), output);
		assert.equal(("the scanner is closed\n"):rep(3), output);
	end);
end);
