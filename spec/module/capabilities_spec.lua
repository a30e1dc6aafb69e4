-- SPDX-License-Identifier: MIT
-- capabilities.lib.lua: what is learned, and what is asked. The wire specs have the real presence and answers.

local paths = require "spec.support.paths";
local lib = paths.lib("capabilities");
local st = require "util.stanza";
local calculate_hash = require "util.caps".calculate_hash;

local R = "urn:xmpp:receipts";

local function info(...)
	local query = st.stanza("query", { xmlns = "http://jabber.org/protocol/disco#info" });
	for _, var in ipairs { ... } do query:tag("feature", { var = var }):up(); end
	return query;
end

local function presence(from, query, attr)
	local stanza = st.presence(attr or {});
	stanza.attr.from = from;
	if query then
		stanza:tag("c", { xmlns = "http://jabber.org/protocol/caps", hash = "sha-1", node = "urn:n", ver = calculate_hash(query.tags) }):up();
	end
	return stanza;
end

describe("capabilities", function ()
	local caps, asked;
	before_each(function ()
		asked = {};
		caps = lib.new(function (jid, from, node, done) table.insert(asked, { jid = jid, from = from, node = node, done = done }); end,
			function (callback) callback(); end);
	end);

	it("B1 cost one query a ver, whoever shows it, and B3 none is repeated", function ()
		local query = info(R, "urn:x");
		for i = 1, 50 do caps:presence(presence("a"..i.."@h/r", query), nil, true); end
		assert.equal(1, #asked);
		assert.equal("urn:n#"..calculate_hash(query.tags), asked[1].node);
		asked[1].done(query);
		assert.equal(1, #asked);
		for i = 1, 50 do assert.equal("capable", caps:of("a"..i.."@h/r")); end
	end);

	it("B1 ask the next one when an answer is of no use, each once", function ()
		local query = info(R, "urn:x");
		for i = 1, 3 do caps:presence(presence("a"..i.."@h/r", query), nil, true); end
		asked[1].done(nil);
		assert.equal("a2@h/r", asked[2].jid);
		asked[2].done(info("urn:lie"));
		asked[3].done(query);
		assert.same({ "capable", "incapable", "capable" }, { caps:of("a1@h/r"), caps:of("a2@h/r"), caps:of("a3@h/r") });
		caps:presence(presence("a1@h/r", query), nil, true);
		assert.equal(3, #asked);
	end);

	it("B1 of a client that comes again do not wait for the answer of the one that went", function ()
		caps:presence(presence("a@h/r"), nil, true);
		caps:forget("a@h/r");
		caps:presence(presence("a@h/r"), nil, true);
		assert.equal(2, #asked);
		asked[2].done(info(R));
		assert.equal("capable", caps:of("a@h/r"));
		asked[1].done(info("urn:x"));
		assert.equal("capable", caps:of("a@h/r"), "and are not changed by it");
	end);

	it("B3 of people here are not crowded out by others", function ()
		caps:presence(presence("here@h/r", info(R)), nil, true);
		asked[1].done(info(R));
		for i = 1, 20100 do caps:presence(presence("there"..i.."@far/r"), "here@h", false); end
		assert.equal("capable", caps:of("here@h/r"));
		assert.equal("silent", caps:of("there1@far/r"));
		assert.equal(20000, caps.people:count());
	end);

	it("B3 are bounded: in queries at once, and in clients of one person", function ()
		for i = 1, 300 do caps:presence(presence("a"..i.."@h/r", info("urn:"..i)), nil, true); end
		assert.equal(100, #asked);
		for i = 1, 300 do caps:presence(presence("room@h/"..i, info(R)), nil, false); end
		assert.equal("unknown", caps:of("room@h/100"));
		assert.equal("silent", caps:of("room@h/101"));
	end);

	it("B2 B1 count what is overheard by its hash alone", function ()
		local query = info(R, "urn:x");
		caps:presence(presence("a@h/r", query), nil, true);
		caps:overheard("a@h/r", info(R));
		assert.equal("unknown", caps:of("a@h/r"));
		caps:overheard("b@h/r", query);
		assert.equal("unknown", caps:of("a@h/r"), "not from who does not show it");
		caps:overheard("a@h/r", query);
		assert.equal("capable", caps:of("a@h/r"));
	end);

	it("B2 are not shared from answers with anything twice, or with the hash's own separator", function ()
		for _, query in ipairs {
			info(R, R), info("urn:x<"..R),
			info(R):tag("identity", { category = "a<b", type = "c" }):up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):tag("field", { var = "a" }):tag("value"):text("b<c"):up():up():up(),
			info(R):tag("x", { xmlns = "jabber:x:data" }):up():tag("x", { xmlns = "jabber:x:data" }):up(),
		} do
			local one = lib.new(function (_, _, _, done) done(query); end, function (callback) callback(); end);
			one:presence(presence("a@h/r", query), nil, true);
			one:presence(presence("room@h/r", query):tag("x", { xmlns = "http://jabber.org/protocol/muc#user" }):up(), "u@h", false);
			assert.not_equal("silent", one:of("a@h/r"));
			assert.equal("unknown", one:of("room@h/r"));
		end
	end);

	it("C3 of a person are those of the clients that may be seen", function ()
		local function all() return true; end
		assert.equal("unknown", caps:of_person("a@h", all));
		caps:presence(presence("a@h/1", info("urn:no")), nil, true);
		assert.equal("unknown", caps:of_person("a@h", all));
		asked[1].done(info("urn:no"));
		assert.equal("incapable", caps:of_person("a@h", all));
		caps:presence(presence("a@h/2", info(R)), nil, true);
		assert.equal("unknown", caps:of_person("a@h", all), "one of them is not known");
		asked[2].done(info(R));
		assert.equal("capable", caps:of_person("a@h", all));
		assert.equal("incapable", caps:of_person("a@h/1", all));
		assert.equal("incapable", caps:of_person("a@h", function (jid) return jid == "a@h/1"; end));
		assert.equal("unknown", caps:of_person("a@h", function () return false; end));
		assert.same({ "a@h/2" }, caps:capable_clients("a@h", all));
		caps:forget("a@h/2");
		assert.equal("incapable", caps:of_person("a@h", all));
	end);

	it("B1 outlive a restart by ver, and B3 damaged records are left out", function ()
		local query = info(R);
		caps:presence(presence("a@h/r", query), nil, true);
		asked[1].done(query);
		local other = lib.new(function () error("asked"); end, function (callback) callback(); end);
		local list = caps:export();
		list[5], list.x = true, "yes";
		other:import(list);
		other:presence(presence("b@h/r", query), nil, true);
		assert.equal("capable", other:of("b@h/r"));
	end);
end);
