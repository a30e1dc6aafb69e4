/* SPDX-License-Identifier: MIT */
/* The facts of one message: what XEP-0184 can know of it, whoever read it, and the rules about it.
 *
 * A reader (xml.h from bytes, the binding from stanzas) starts with an empty struct, fills in the attributes, reports each
 * direct child with rcpt_facts_child(), and ends with rcpt_facts_judge(). Only direct children count: what is nested in a
 * carbon copy, an archive result or a forward is somebody else's message.
 */
#ifndef RCPT_FACTS_H
#define RCPT_FACTS_H

#include "str.h"

/* The five types of RFC 6121 §5.2.2; any other value, like none, is normal. */
enum rcpt_type { RCPT_NORMAL, RCPT_CHAT, RCPT_HEADLINE, RCPT_GROUPCHAT, RCPT_ERROR };

/* facts.has */
enum {
	RCPT_HAS_BODY = 1 << 0,
	RCPT_HAS_ENCRYPTED = 1 << 1, /* XEP-0380 <encryption/>, or OMEMO's <encrypted/> */
	RCPT_HAS_REQUEST = 1 << 2,
	RCPT_HAS_RECEIVED = 1 << 3,
	RCPT_HAS_OCCUPANT = 1 << 4, /* XEP-0045 <x xmlns='…muc#user'/>: to or from a room occupant */
	RCPT_HAS_MORE = 1 << 5,     /* with a received: a child that means something without the receipt elements */

	/* Conclusions, by rcpt_facts_judge() */
	RCPT_ASKS = 1 << 6,    /* a request that counts, and that one recipient can answer */
	RCPT_ACKS = 1 << 7,    /* a received that counts; without an id of its own it is of revision 1.0 */
	RCPT_CONTENT = 1 << 8, /* a content message without a request: one could be put in (rule C2) */
	RCPT_BOUNCE = 1 << 9,  /* type error */
};

/* facts.problems: what is malformed (rule E3), in the order in which the names are listed */
enum {
	RCPT_REQUEST_WITHOUT_ID = 1 << 0,
	RCPT_REQUEST_IN_ACK = 1 << 1,
	RCPT_REQUEST_NOT_EMPTY = 1 << 2,
	RCPT_REQUEST_IN_GROUPCHAT = 1 << 3,
	RCPT_REQUEST_IN_ERROR = 1 << 4,
	RCPT_RECEIVED_WITHOUT_ID = 1 << 5,
	RCPT_RECEIVED_NOT_EMPTY = 1 << 6,
	RCPT_RECEIVED_IN_ERROR = 1 << 7,
	RCPT_SEVERAL_RECEIVED = 1 << 8,
};
#define RCPT_PROBLEMS 9

struct rcpt_facts {
	struct rcpt_str id, from, to, type; /* the message's attributes; .p is NULL when absent */
	struct rcpt_str received_id;        /* of the first <received/> */
	struct rcpt_str stamp;              /* when it was sent (XEP-0203); only the Expat reader looks for it */
	unsigned has;
	unsigned problems;
};

/* The attributes of a message that are facts, and which of them has this name: RCPT_ATTRIBUTES for any other. */
enum rcpt_attribute { RCPT_ATTR_ID, RCPT_ATTR_FROM, RCPT_ATTR_TO, RCPT_ATTR_TYPE, RCPT_ATTRIBUTES };

static inline enum rcpt_attribute rcpt_attribute_of(const char *name)
{
	switch (name[0]) {
	case 'i':
		return strcmp(name, "id") == 0 ? RCPT_ATTR_ID : RCPT_ATTRIBUTES;
	case 'f':
		return strcmp(name, "from") == 0 ? RCPT_ATTR_FROM : RCPT_ATTRIBUTES;
	case 't':
		return strcmp(name, "to") == 0 ? RCPT_ATTR_TO : strcmp(name, "type") == 0 ? RCPT_ATTR_TYPE : RCPT_ATTRIBUTES;
	default:
		return RCPT_ATTRIBUTES;
	}
}

/* What a direct child of a message is to us. */
enum rcpt_child {
	RCPT_CHILD_OTHER,
	RCPT_CHILD_META, /* says how to treat the message, and nothing by itself: hints, delay, stanza-id … */
	RCPT_CHILD_BODY,
	RCPT_CHILD_ENCRYPTED,
	RCPT_CHILD_REQUEST,
	RCPT_CHILD_RECEIVED,
	RCPT_CHILD_OCCUPANT,
};

/* By their names alone, which is cheap: could a child be a request, a received or an occupant's? A body or encrypted? What is
 * neither is OTHER or META. */
static inline bool rcpt_child_receipt(struct rcpt_str name)
{
	return (name.n == 7 && memcmp(name.p, "request", 7) == 0) || (name.n == 8 && memcmp(name.p, "received", 8) == 0) ||
		   (name.n == 1 && name.p[0] == 'x');
}

static inline bool rcpt_child_content(struct rcpt_str name)
{
	return (name.n == 4 && memcmp(name.p, "body", 4) == 0) || (name.n == 9 && memcmp(name.p, "encrypted", 9) == 0) ||
		   (name.n == 10 && memcmp(name.p, "encryption", 10) == 0);
}

/* Who looks for receipt elements and nothing else need not know of children in other namespaces. */
static inline bool rcpt_receipts_ns(struct rcpt_str ns)
{
	return rcpt_str_eq(ns, RCPT_STR("urn:xmpp:receipts"));
}

/* The kind of a child. `ns` is its namespace; empty stands for the message's own. */
enum rcpt_child rcpt_child_kind(struct rcpt_str name, struct rcpt_str ns);

/* Is `ns` a namespace that messages come in? jabber:client, jabber:server, jabber:component:accept, or none. */
bool rcpt_stanza_ns(struct rcpt_str ns);

/* Could what is in a child of this kind matter? */
static inline bool rcpt_child_inside_matters(enum rcpt_child kind)
{
	return kind == RCPT_CHILD_REQUEST || kind == RCPT_CHILD_RECEIVED || kind == RCPT_CHILD_OCCUPANT;
}

/* Take note of one direct child. `id` is the child's own id attribute, `empty` whether it has nothing in it but white space;
 * that is read only where rcpt_child_inside_matters(). */
void rcpt_facts_child(struct rcpt_facts *f, enum rcpt_child kind, struct rcpt_str id, bool empty);
/* The element just reported turned out to have something in it. */
void rcpt_facts_not_empty(struct rcpt_facts *f, enum rcpt_child kind);
/* Draw the conclusions, after the last child. */
void rcpt_facts_judge(struct rcpt_facts *f);

/* What the attribute `type` means. */
enum rcpt_type rcpt_facts_type(const struct rcpt_facts *f);

/* Could one of `wanted`, of facts.has, be among the facts once they are judged? The children and the type have been read. */
#define RCPT_ANYTHING 0u /* wanted: any message will do */
bool rcpt_facts_could(const struct rcpt_facts *f, unsigned wanted);
/* The name of problem 1 << n, 0 <= n < RCPT_PROBLEMS. */
const char *rcpt_problem_name(unsigned n);

#endif
