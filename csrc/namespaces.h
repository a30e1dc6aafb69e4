/* SPDX-License-Identifier: MIT */
/* Namespaces in XML 1.0 for a parser that does not know them: what each prefix stands for, and the rules about names.
 *
 * The handler of start tags calls rcpt_namespaces_open(), that of end tags rcpt_namespaces_close(), with the same depth. What is
 * refused is what Expat refuses where it does namespaces itself, with the same errors, and fuzz/namespaces.c holds the two
 * against each other. Expat writes each name anew, with its namespace before it; here an element that declares nothing and has no
 * colon in its names costs a look at those.
 *
 * Memory grows with the declarations in force, and with the most prefixed attributes that a tag had.
 */
#ifndef RCPT_NAMESPACES_H
#define RCPT_NAMESPACES_H

#include <expat.h>

#include "siphash.h"
#include "str.h"

/* An expanded name; ns.n is 0 where it is in no namespace. */
struct rcpt_name {
	struct rcpt_str ns, local;
};

/* A declaration in force. The chains are like those of a hash table, and `outer` is the next in its chain: its place in the stack
 * and 1 more, or 0. The innermost come first. */
struct rcpt_binding {
	size_t at; /* its prefix in `text`, and after that its namespace */
	size_t prefix_n, ns_n;
	size_t outer;
	uint64_t ns_hash; /* 0: not known yet */
	unsigned depth;   /* of the element that has it */
};

/* An attribute of the tag being read, by the hash of its expanded name. */
struct rcpt_attribute_slot {
	uint64_t hash;
	size_t attribute; /* its place among them and 1 more; 0: none */
};

struct rcpt_namespaces {
	struct rcpt_key key;
	struct rcpt_binding *stack;
	size_t bindings, room;
	char *text;
	size_t used, text_room;
	size_t unprefixed; /* the chain of default namespaces */
	size_t *chain;     /* those of prefixes, by their hash: a power of two, and no fewer than bindings with a prefix */
	size_t chains;
	struct rcpt_attribute_slot *slot;
	size_t slots;
};

/* The struct is empty (zeros) before. `salt` keeps prefixes and names from being chosen that collide. */
void rcpt_namespaces_init(struct rcpt_namespaces *s, unsigned long salt);
void rcpt_namespaces_free(struct rcpt_namespaces *s);
/* Nothing is declared any more. */
void rcpt_namespaces_reset(struct rcpt_namespaces *s);

/* A start tag, as Expat gives it to its handler, and the name of its element, which holds until that returns. Without
 * `inner_names` nobody will ask for names of elements within this one: then a namespace that it declares for those without a
 * prefix need not be kept. After an error, XML_ERROR_NO_MEMORY included, nothing that the tag declares is in force. */
enum XML_Error rcpt_namespaces_open(struct rcpt_namespaces *s, unsigned depth, const char *raw, const char **attributes,
									bool inner_names, struct rcpt_name *name);
/* The name of an attribute of the tag that was opened last; false where it is a declaration. */
bool rcpt_namespaces_attribute(const struct rcpt_namespaces *s, const char *raw, struct rcpt_name *name);

/* The innermost element ends. */
void rcpt_namespaces_pop(struct rcpt_namespaces *s, unsigned depth);
static inline void rcpt_namespaces_close(struct rcpt_namespaces *s, unsigned depth)
{
	if (s->bindings > 0 && s->stack[s->bindings - 1].depth == depth)
		rcpt_namespaces_pop(s, depth);
}

/* Is an attribute, by its name, a declaration? Expat would not tell of those. */
static inline bool rcpt_namespaces_declares(const char *raw)
{
	return strncmp(raw, "xmlns", 5) == 0 && (raw[5] == '\0' || raw[5] == ':');
}

#endif
