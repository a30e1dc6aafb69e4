/* SPDX-License-Identifier: MIT */
/* Namespaces in XML 1.0, as Expat understands them.
 *
 *   stack   [xmlns]  [xmlns:s]  [xmlns]  [xmlns:r]     a declaration each, outermost first
 *              ^         |         |         |
 *              +---------|---------+         +--> …      `outer`: the next in its chain
 *                        +--> …
 *
 * The error that counts is the one that Expat finds first: names that nobody may have, since it splits a tag into names before
 * all else; then declarations; then attributes, in order; then the element.
 */
#include "namespaces.h"

#include "mem.h"

#define XML_NS RCPT_STR("http://www.w3.org/XML/1998/namespace")
#define XMLNS_NS RCPT_STR("http://www.w3.org/2000/xmlns/")

/* -- Names ----------------------------------------------------------------------------------------------------------- */

/* Characters that a name may have but not begin with: CombiningChar, Digit, Extender of XML 1.0 (fourth edition, as Expat has
 * it), Appendix B. What lies in between and may not be in a name at all is not told apart: Expat has refused it. */
static const uint16_t inside_names[][2] = {
	{0x00b7, 0x00b7}, {0x02d0, 0x0361}, {0x0387, 0x0387}, {0x0483, 0x0486}, {0x0591, 0x05c4}, {0x0640, 0x0640}, {0x064b, 0x0670},
	{0x06d6, 0x06e4}, {0x06e7, 0x0903}, {0x093c, 0x093c}, {0x093e, 0x0954}, {0x0962, 0x0983}, {0x09bc, 0x09d7}, {0x09e2, 0x09ef},
	{0x0a02, 0x0a02}, {0x0a3c, 0x0a4d}, {0x0a66, 0x0a71}, {0x0a81, 0x0a83}, {0x0abc, 0x0abc}, {0x0abe, 0x0acd}, {0x0ae6, 0x0b03},
	{0x0b3c, 0x0b3c}, {0x0b3e, 0x0b57}, {0x0b66, 0x0b83}, {0x0bbe, 0x0c03}, {0x0c3e, 0x0c56}, {0x0c66, 0x0c83}, {0x0cbe, 0x0cd6},
	{0x0ce6, 0x0d03}, {0x0d3e, 0x0d57}, {0x0d66, 0x0d6f}, {0x0e31, 0x0e31}, {0x0e34, 0x0e3a}, {0x0e46, 0x0e59}, {0x0eb1, 0x0eb1},
	{0x0eb4, 0x0ebc}, {0x0ec6, 0x0f3f}, {0x0f71, 0x0fb9}, {0x20d0, 0x20e1}, {0x3005, 0x3005}, {0x302a, 0x3035}, {0x3099, 0x309e},
	{0x30fc, 0x30fe},
};

/* `p` is at a character of a name, or at its end. */
static bool may_begin_name(const char *p)
{
	const unsigned char c = (unsigned char)p[0];
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
	/* UTF-8 of two or three bytes: Expat has none of four in names. */
	const unsigned second = (unsigned char)p[1] & 0x3fU;
	const unsigned character =
		c < 0xe0 ? (c & 0x1fU) << 6 | second : (c & 0xfU) << 12 | second << 6 | ((unsigned char)p[2] & 0x3fU);
	size_t from = 0, to = sizeof inside_names / sizeof *inside_names;
	while (from < to) {
		const size_t middle = (from + to) / 2;
		if (character > inside_names[middle][1])
			from = middle + 1;
		else
			to = middle;
	}
	return from == sizeof inside_names / sizeof *inside_names || character < inside_names[from][0];
}

/* A name as it is written. */
struct qname {
	struct rcpt_str prefix, local;
};

/* False where its colons are not those of a qualified name. */
static inline bool split(const char *raw, struct qname *name)
{
	const size_t n = strlen(raw);
	const char *colon = memchr(raw, ':', n);
	*name = (struct qname){{raw, 0}, {raw, n}};
	if (!colon)
		return true;
	const size_t before = (size_t)(colon - raw), after = n - before - 1;
	*name = (struct qname){{raw, before}, {colon + 1, after}};
	return before > 0 && may_begin_name(colon + 1) && !memchr(colon + 1, ':', after);
}

static bool is_xmlns(struct rcpt_str name)
{
	return rcpt_str_eq(name, RCPT_STR("xmlns"));
}

/* Always declared, and nothing else: that is never pushed. */
static bool is_xml(struct rcpt_str prefix)
{
	return rcpt_str_eq(prefix, RCPT_STR("xml"));
}

/* -- Bindings -------------------------------------------------------------------------------------------------------- */

static struct rcpt_str prefix_of(const struct rcpt_namespaces *s, const struct rcpt_binding *b)
{
	return (struct rcpt_str){s->text + b->at, b->prefix_n};
}

static struct rcpt_str ns_of(const struct rcpt_namespaces *s, const struct rcpt_binding *b)
{
	return (struct rcpt_str){s->text + b->at + b->prefix_n, b->ns_n};
}

static size_t *chain_of_prefix(const struct rcpt_namespaces *s, struct rcpt_str prefix)
{
	return &s->chain[rcpt_siphash(&s->key, 0, prefix.p, prefix.n) & (s->chains - 1)];
}

static inline size_t *chain_of(struct rcpt_namespaces *s, const struct rcpt_binding *b)
{
	return b->prefix_n ? chain_of_prefix(s, prefix_of(s, b)) : &s->unprefixed;
}

/* NULL where nothing is declared. */
static struct rcpt_binding *find(const struct rcpt_namespaces *s, struct rcpt_str prefix)
{
	if (s->chains == 0)
		return NULL;
	size_t i = *chain_of_prefix(s, prefix);
	while (i && !rcpt_str_eq(prefix_of(s, &s->stack[i - 1]), prefix))
		i = s->stack[i - 1].outer;
	return i ? &s->stack[i - 1] : NULL;
}

static inline void link_in(struct rcpt_namespaces *s, size_t i)
{
	size_t *chain = chain_of(s, &s->stack[i]);
	s->stack[i].outer = *chain;
	*chain = i + 1;
}

static bool make_chains(struct rcpt_namespaces *s)
{
	void *chain = s->chain;
	if (!rcpt_grow(&chain, &s->chains, sizeof *s->chain, s->chains + 1))
		return false;
	s->chain = chain;
	memset(s->chain, 0, s->chains * sizeof *s->chain);
	for (size_t i = 0; i < s->bindings; i++)
		if (s->stack[i].prefix_n)
			link_in(s, i);
	return true;
}

/* The rules of Namespaces in XML 1.0, sections 2.2 and 3. */
static inline enum XML_Error check_binding(struct rcpt_str prefix, struct rcpt_str ns)
{
	const bool xml = is_xml(prefix);
	if (prefix.n && ns.n == 0)
		return XML_ERROR_UNDECLARING_PREFIX;
	if (is_xmlns(prefix))
		return XML_ERROR_RESERVED_PREFIX_XMLNS;
	if (xml != rcpt_str_eq(ns, XML_NS))
		return xml ? XML_ERROR_RESERVED_PREFIX_XML : XML_ERROR_RESERVED_NAMESPACE_URI;
	return rcpt_str_eq(ns, XMLNS_NS) ? XML_ERROR_RESERVED_NAMESPACE_URI : XML_ERROR_NONE;
}

static inline enum XML_Error bind(struct rcpt_namespaces *s, unsigned depth, struct rcpt_str prefix, struct rcpt_str ns)
{
	const enum XML_Error error = check_binding(prefix, ns);
	if (error != XML_ERROR_NONE || is_xml(prefix))
		return error;
	void *stack = s->stack, *text = s->text;
	if (!rcpt_grow(&stack, &s->room, sizeof *s->stack, s->bindings + 1))
		return XML_ERROR_NO_MEMORY;
	s->stack = stack;
	if (!rcpt_grow(&text, &s->text_room, 1, s->used + prefix.n + ns.n))
		return XML_ERROR_NO_MEMORY;
	s->text = text;
	if (prefix.n && s->bindings >= s->chains && !make_chains(s))
		return XML_ERROR_NO_MEMORY;
	if (prefix.n)
		memcpy(s->text + s->used, prefix.p, prefix.n);
	memcpy(s->text + s->used + prefix.n, ns.p, ns.n);
	s->stack[s->bindings] = (struct rcpt_binding){.at = s->used, .prefix_n = prefix.n, .ns_n = ns.n, .depth = depth};
	s->used += prefix.n + ns.n;
	link_in(s, s->bindings++);
	return XML_ERROR_NONE;
}

void rcpt_namespaces_pop(struct rcpt_namespaces *s, unsigned depth)
{
	while (s->bindings > 0 && s->stack[s->bindings - 1].depth == depth) {
		const struct rcpt_binding *b = &s->stack[--s->bindings];
		*chain_of(s, b) = b->outer;
		s->used = b->at;
	}
}

/* -- Tags ------------------------------------------------------------------------------------------------------------ */

static bool namespace_of(const struct rcpt_namespaces *s, struct rcpt_str prefix, struct rcpt_str *ns)
{
	if (is_xml(prefix)) {
		*ns = XML_NS;
		return true;
	}
	const struct rcpt_binding *b = find(s, prefix);
	if (b)
		*ns = ns_of(s, b);
	return b;
}

bool rcpt_namespaces_attribute(const struct rcpt_namespaces *s, const char *raw, struct rcpt_name *name)
{
	struct qname q;
	if (rcpt_namespaces_declares(raw) || !split(raw, &q))
		return false;
	*name = (struct rcpt_name){{NULL, 0}, q.local};
	return q.prefix.n == 0 || namespace_of(s, q.prefix, &name->ns);
}

/* An attribute's local name is hashed under the hash of its namespace, which is hashed once. */
static uint64_t hash_of(const struct rcpt_namespaces *s, struct rcpt_binding *b, struct rcpt_str local)
{
	const struct rcpt_str ns = ns_of(s, b);
	if (b->ns_hash == 0)
		b->ns_hash = rcpt_siphash(&s->key, 0, ns.p, ns.n);
	return rcpt_siphash(&s->key, (uint32_t)b->ns_hash, local.p, local.n);
}

/* Notes the attribute down; false where there is one with that name. `mask`: so many slots are in use, less 1. */
static bool is_new(struct rcpt_namespaces *s, const char **attributes, size_t i, struct rcpt_binding *b, struct rcpt_str local,
				   size_t mask)
{
	const uint64_t hash = hash_of(s, b, local);
	size_t at = (size_t)hash & mask;
	for (; s->slot[at].attribute; at = (at + 1) & mask) {
		struct rcpt_name other;
		if (s->slot[at].hash == hash && rcpt_namespaces_attribute(s, attributes[s->slot[at].attribute - 1], &other) &&
			rcpt_str_eq(other.local, local) && rcpt_str_eq(other.ns, ns_of(s, b)))
			return false;
	}
	s->slot[at] = (struct rcpt_attribute_slot){hash, i + 1};
	return true;
}

/* Prefixes are to stand for something, and no two attributes may have one expanded name. Those of "xml" cannot: no other prefix
 * stands for its namespace, and Expat has seen that all names differ as they are written. */
static enum XML_Error check_prefixed(struct rcpt_namespaces *s, const char **attributes, size_t prefixed)
{
	size_t mask = 1;
	if (prefixed > 1) {
		while (mask < 2 * prefixed)
			mask *= 2;
		void *slot = s->slot;
		if (!rcpt_grow(&slot, &s->slots, sizeof *s->slot, mask))
			return XML_ERROR_NO_MEMORY;
		s->slot = slot;
		memset(s->slot, 0, mask * sizeof *s->slot);
	}
	for (size_t i = 0; attributes[i]; i += 2) {
		struct qname name;
		if (!split(attributes[i], &name) || name.prefix.n == 0 || is_xmlns(name.prefix) || is_xml(name.prefix))
			continue;
		struct rcpt_binding *b = find(s, name.prefix);
		if (!b)
			return XML_ERROR_UNBOUND_PREFIX;
		if (prefixed > 1 && !is_new(s, attributes, i, b, name.local, mask - 1))
			return XML_ERROR_DUPLICATE_ATTRIBUTE;
	}
	return XML_ERROR_NONE;
}

static enum XML_Error declare(struct rcpt_namespaces *s, unsigned depth, const char **attributes)
{
	for (; *attributes; attributes += 2) {
		struct qname name;
		if (!rcpt_namespaces_declares(attributes[0]) || !split(attributes[0], &name))
			continue;
		const struct rcpt_str prefix = {name.local.p, name.prefix.n ? name.local.n : 0};
		const enum XML_Error error = bind(s, depth, prefix, rcpt_str_of(attributes[1]));
		if (error != XML_ERROR_NONE)
			return error;
	}
	return XML_ERROR_NONE;
}

/* A tag some of whose attributes have prefixes. */
static enum XML_Error open_prefixed(struct rcpt_namespaces *s, unsigned depth, const char **attributes)
{
	size_t prefixed = 0;
	for (const char **a = attributes; *a; a += 2) {
		struct qname name;
		if (!split(*a, &name))
			return XML_ERROR_INVALID_TOKEN;
		prefixed += name.prefix.n && !rcpt_namespaces_declares(*a);
	}
	const enum XML_Error error = declare(s, depth, attributes);
	return error == XML_ERROR_NONE && prefixed ? check_prefixed(s, attributes, prefixed) : error;
}

enum XML_Error rcpt_namespaces_open(struct rcpt_namespaces *s, unsigned depth, const char *raw, const char **attributes,
									bool inner_names, struct rcpt_name *name)
{
	struct qname element, attribute;
	struct rcpt_str own = {NULL, 0};
	bool prefixed = false; /* xml:lang, which is common, is right in any case */
	if (!split(raw, &element))
		return XML_ERROR_INVALID_TOKEN;
	for (const char **a = attributes; *a; a += 2) {
		if (**a == 'x' && strcmp(*a, "xmlns") == 0)
			own = rcpt_str_of(a[1]);
		else if (strchr(*a, ':') && !(split(*a, &attribute) && is_xml(attribute.prefix)))
			prefixed = true;
	}
	enum XML_Error error = XML_ERROR_NONE;
	if (prefixed)
		error = open_prefixed(s, depth, attributes);
	else if (own.p && inner_names)
		error = bind(s, depth, (struct rcpt_str){raw, 0}, own);
	else if (own.p)
		error = check_binding((struct rcpt_str){raw, 0}, own);
	*name = (struct rcpt_name){{NULL, 0}, element.local};
	if (error == XML_ERROR_NONE && element.prefix.n && !namespace_of(s, element.prefix, &name->ns))
		error = XML_ERROR_UNBOUND_PREFIX;
	if (error != XML_ERROR_NONE)
		rcpt_namespaces_close(s, depth);
	else if (element.prefix.n == 0 && own.p)
		name->ns = own;
	else if (element.prefix.n == 0 && s->unprefixed)
		name->ns = ns_of(s, &s->stack[s->unprefixed - 1]);
	return error;
}

/* -- All of it ------------------------------------------------------------------------------------------------------- */

void rcpt_namespaces_init(struct rcpt_namespaces *s, unsigned long salt)
{
	s->key = (struct rcpt_key){.k0 = 0, .k1 = salt};
}

void rcpt_namespaces_free(struct rcpt_namespaces *s)
{
	rcpt_free(s->stack);
	rcpt_free(s->text);
	rcpt_free(s->chain);
	rcpt_free(s->slot);
}

void rcpt_namespaces_reset(struct rcpt_namespaces *s)
{
	while (s->bindings > 0)
		rcpt_namespaces_pop(s, s->stack[s->bindings - 1].depth);
}
