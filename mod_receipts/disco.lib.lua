-- SPDX-License-Identifier: MIT
-- disco#info (XEP-0030) as chapter B needs it: the question, and what an answer is worth.

local st = require "util.stanza";

local xmlns_disco = "http://jabber.org/protocol/disco#info";
local xmlns_data = "jabber:x:data";
local xmlns_receipts = "urn:xmpp:receipts";

local disco = {};

--- Does a disco#info result list receipts?
function disco.lists_receipts(query)
	return query:get_child_with_attr("feature", nil, "var", xmlns_receipts) ~= nil;
end

-- What may be in a query, a form, and a field: name -> namespace.
local IN_QUERY = { identity = xmlns_disco, feature = xmlns_disco, x = xmlns_data };
local IN_FORM, IN_FIELD = { field = xmlns_data }, { value = xmlns_data };

-- Has an element of this namespace such children only?
local function has_only(element, xmlns, allowed)
	for _, child in ipairs(element.tags) do
		if (child.attr.xmlns or xmlns) ~= allowed[child.name] then return false; end
	end
	return true;
end

--- Is this disco#info result one that its hash stands for? (rule B2)
-- The hash is made of a text in which everything is one after the other, with "<" between. So an answer is only good for it where
-- nothing has a "<" in it, nothing is there twice, nothing is there that the hash would take for something else, and nothing but a
-- feature reads like the one that we are after.
function disco.hash_is_safe(query)
	local seen = {};
	local function plain(text) return not text:find("<", 1, true) and text ~= xmlns_receipts; end
	local function once(kind, text)
		local known = seen[kind..text];
		seen[kind..text] = true;
		return not known;
	end
	local function form_is_safe(form)
		if not has_only(form, xmlns_data, IN_FORM) then return false; end
		local form_types = 0;
		for _, field in ipairs(form.tags) do
			if not plain(field.attr.var or "") or not has_only(field, xmlns_data, IN_FIELD) then return false; end
			for _, value in ipairs(field.tags) do
				local text = value:get_text() or "";
				if #value.tags > 0 or not plain(text) then return false; end
				if field.attr.var == "FORM_TYPE" then
					form_types = form_types + 1;
					if not once("form ", text) then return false; end
				end
			end
		end
		return form_types == 1;
	end
	if not has_only(query, xmlns_disco, IN_QUERY) then return false; end
	for _, tag in ipairs(query.tags) do
		if tag.name == "feature" then
			local var = tag.attr.var or "";
			if var:find("<", 1, true) or not once("feature ", var) then return false; end
		elseif tag.name == "x" then
			if not form_is_safe(tag) then return false; end
		else
			local attr = tag.attr;
			local text = table.concat({ attr.category or "", attr.type or "", attr["xml:lang"] or "", attr.name or "" }, "/");
			if not plain(text) or not once("identity ", text) then return false; end
		end
	end
	return true;
end

--- The hash that stands for a disco#info result (XEP-0115 §5.1), as in a ver.
disco.hash = require "util.caps".calculate_hash;

--- The question, as it goes over the wire.
function disco.query(jid, from, node, id)
	return st.iq({ type = "get", to = jid, from = from, id = id }):tag("query", { xmlns = xmlns_disco, node = node });
end

--- The <query/> of an answer, nil where the stanza is none.
function disco.result(stanza)
	return stanza.attr.type == "result" and stanza:get_child("query", xmlns_disco) or nil;
end

return disco;
