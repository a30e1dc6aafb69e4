/* SPDX-License-Identifier: MIT */
/* One message, given whole.
 *
 *   <r> <message …>…</message>  <message …>…</message>  …      one document to the quick parser, which never ends
 *    0  1                    0  1                    0         depth
 *
 * The quick parser accepts when the bytes were used up, and exactly one message began and ended, with nothing around it. What a
 * document of its own would not allow beside the message is allowed here: text, CDATA, a second element. Those are looked for.
 */
#include "single.h"

#include <limits.h>

#include "mem.h"
#include "parser.h"

#define REUSE ((uint64_t)1 << 20) /* bytes after which the quick parser forgets the names that it has met */

struct rcpt_single {
	XML_Parser quick;
	unsigned resets; /* of that */
	struct rcpt_xml *careful;
	struct rcpt_xml_limits limits;
	unsigned long salt;
	uint64_t fed; /* to the quick parser, since it was reset; 0: it is to be reset */

	/* The message that is being read. */
	bool odd; /* given up */
	unsigned depth, messages;
	enum rcpt_child child;    /* the direct child that we are in, where its inside matters */
	struct rcpt_facts *facts; /* what is known of it */
	char *text;               /* copies of attributes: room for the whole message */
	size_t used, room;
};

static void give_up(struct rcpt_single *s)
{
	s->odd = true;
	XML_StopParser(s->quick, XML_FALSE);
}

/* What matters of an element's attributes. */
struct attributes {
	const char *ns, *value[RCPT_ATTRIBUTES]; /* NULL where absent */
};

static struct rcpt_str copy(struct rcpt_single *s, const char *value)
{
	const struct rcpt_str text = rcpt_str_of(value);
	if (!text.p)
		return text;
	char *at = s->text + s->used;
	memcpy(at, text.p, text.n);
	s->used += text.n;
	return (struct rcpt_str){at, text.n};
}

/* A name without prefix, with its length; absent where there is a prefix. */
static struct rcpt_str plain(const char *name)
{
	return strchr(name, ':') ? (struct rcpt_str){NULL, 0} : rcpt_str_of(name);
}

/* Two namespaces may not be declared. Most are told from those by their first letter. */
static bool may_be_default(const char *ns)
{
	return !ns || ns[0] != 'h' ||
		   (strcmp(ns, "http://www.w3.org/XML/1998/namespace") != 0 && strcmp(ns, "http://www.w3.org/2000/xmlns/") != 0);
}

/* False where a parser that knows namespaces may understand something else. */
static bool read_attributes(const char **attr, struct attributes *a)
{
	*a = (struct attributes){0};
	for (; *attr; attr += 2) {
		const enum rcpt_attribute which = rcpt_attribute_of(attr[0]);
		if (which != RCPT_ATTRIBUTES)
			a->value[which] = attr[1];
		else if (strcmp(attr[0], "xmlns") == 0)
			a->ns = attr[1];
		else if (!plain(attr[0]).p && strcmp(attr[0], "xml:lang") != 0)
			return false;
	}
	return may_be_default(a->ns);
}

/* Outside messages: white space would be all right, but not when it is written as a character reference. */
static void XMLCALL on_outer_text(void *ud, const char *text, int n)
{
	(void)text, (void)n;
	give_up(ud);
}

/* Inside a child that should be empty. */
static void XMLCALL on_inner_text(void *ud, const char *text, int n)
{
	struct rcpt_single *s = ud;
	if (!rcpt_str_space((struct rcpt_str){text, (size_t)n}))
		rcpt_facts_not_empty(s->facts, s->child);
}

static void begin_message(struct rcpt_single *s, struct rcpt_str name, const struct attributes *a)
{
	if (!rcpt_str_eq(name, RCPT_STR("message")) || !rcpt_stanza_ns(rcpt_str_of(a->ns)) || s->messages++ > 0) {
		give_up(s);
		return;
	}
	XML_SetCharacterDataHandler(s->quick, NULL);
	s->facts->id = copy(s, a->value[RCPT_ATTR_ID]);
	s->facts->from = copy(s, a->value[RCPT_ATTR_FROM]);
	s->facts->to = copy(s, a->value[RCPT_ATTR_TO]);
	s->facts->type = copy(s, a->value[RCPT_ATTR_TYPE]);
}

static void begin_child(struct rcpt_single *s, struct rcpt_str name, const struct attributes *a)
{
	if (!rcpt_child_receipt(name) && !rcpt_child_content(name))
		return;
	const enum rcpt_child kind = rcpt_child_kind(name, rcpt_str_of(a->ns));
	const bool first = kind == RCPT_CHILD_RECEIVED && !(s->facts->has & RCPT_HAS_RECEIVED);
	rcpt_facts_child(s->facts, kind, copy(s, first ? a->value[RCPT_ATTR_ID] : NULL), true);
	if (rcpt_child_inside_matters(kind)) {
		s->child = kind;
		XML_SetCharacterDataHandler(s->quick, on_inner_text);
	}
}

static void XMLCALL on_start(void *ud, const char *raw, const char **attr)
{
	struct rcpt_single *s = ud;
	const struct rcpt_str name = plain(raw);
	struct attributes a;
	if (++s->depth > s->limits.depth || !name.p || !read_attributes(attr, &a))
		give_up(s);
	else if (s->depth == 1)
		begin_message(s, name, &a);
	else if (s->depth == 2)
		begin_child(s, name, &a);
	else if (s->child)
		rcpt_facts_not_empty(s->facts, s->child);
}

static void XMLCALL on_end(void *ud, const char *name)
{
	(void)name;
	struct rcpt_single *s = ud;
	if (s->depth == 0) { /* of the element that never ends */
		give_up(s);
		return;
	}
	if (--s->depth == 0) {
		XML_SetCharacterDataHandler(s->quick, on_outer_text);
	} else if (s->depth == 1 && s->child) {
		s->child = RCPT_CHILD_OTHER;
		XML_SetCharacterDataHandler(s->quick, NULL);
	}
}

/* May be empty, so that its text tells nothing. */
static void XMLCALL on_cdata(void *ud)
{
	const struct rcpt_single *s = ud;
	if (s->depth == 0)
		give_up(ud);
}

static void XMLCALL on_comment(void *ud, const char *text)
{
	(void)text;
	give_up(ud);
}

static void XMLCALL on_instruction(void *ud, const char *target, const char *data)
{
	(void)target, (void)data;
	give_up(ud);
}

static bool reset_quick(struct rcpt_single *s)
{
	static const char root[] = "<r>";
	if (!rcpt_parser_renew(&s->quick, &s->resets, s->salt))
		return false;
	if (XML_Parse(s->quick, root, sizeof root - 1, 0) != XML_STATUS_OK)
		return false;
	XML_SetUserData(s->quick, s);
	XML_SetElementHandler(s->quick, on_start, on_end);
	XML_SetCharacterDataHandler(s->quick, on_outer_text);
	XML_SetStartCdataSectionHandler(s->quick, on_cdata);
	XML_SetCommentHandler(s->quick, on_comment);
	XML_SetProcessingInstructionHandler(s->quick, on_instruction);
	s->fed = sizeof root - 1;
	return true;
}

/* True, and the facts, when the bytes are one message in which nothing is odd. */
static bool read_quickly(struct rcpt_single *s, const char *xml, size_t n, struct rcpt_facts *facts)
{
	if (n > s->limits.bytes || n > s->limits.attr)
		return false;
	void *text = s->text;
	if (!rcpt_grow(&text, &s->room, 1, n))
		return false;
	s->text = text;
	if ((s->fed == 0 || s->fed > REUSE) && !reset_quick(s)) {
		s->fed = 0;
		return false;
	}
	s->odd = false;
	s->depth = s->messages = 0;
	s->child = RCPT_CHILD_OTHER;
	s->used = 0;
	s->facts = facts;
	facts->received_id = facts->stamp = (struct rcpt_str){NULL, 0}; /* the rest is set as the message begins */
	facts->has = facts->problems = 0;
	const bool parsed = XML_Parse(s->quick, xml, (int)n, 0) == XML_STATUS_OK;
	s->fed += n;
	if (parsed && !s->odd && s->depth == 0 && s->messages == 1 && XML_GetCurrentByteIndex(s->quick) == (XML_Index)s->fed)
		return true;
	s->fed = 0;
	return false;
}

struct rcpt_single *rcpt_single_new(const struct rcpt_xml_limits *limits, unsigned long salt)
{
	struct rcpt_single *s = rcpt_malloc(sizeof *s);
	if (!s)
		return NULL;
	memset(s, 0, sizeof *s);
	s->limits = *limits;
	if (s->limits.bytes > INT_MAX / 2)
		s->limits.bytes = INT_MAX / 2;
	s->salt = salt;
	s->careful = rcpt_xml_new(limits, salt);
	if (!s->careful) {
		rcpt_free(s);
		return NULL;
	}
	return s;
}

void rcpt_single_free(struct rcpt_single *s)
{
	if (!s)
		return;
	XML_ParserFree(s->quick);
	rcpt_xml_free(s->careful);
	rcpt_free(s->text);
	rcpt_free(s);
}

enum rcpt_xml_status rcpt_single_read(struct rcpt_single *s, const char *xml, size_t n, struct rcpt_facts *facts)
{
	if (read_quickly(s, xml, n, facts)) {
		rcpt_facts_judge(facts);
		return RCPT_XML_OK;
	}
	uint64_t line;
	const enum rcpt_xml_status status = rcpt_xml_message(s->careful, xml, n);
	if (status == RCPT_XML_OK && !rcpt_xml_next(s->careful, facts, &line))
		return RCPT_XML_TRUNCATED; /* cannot be: a message that was read is there */
	return status;
}

const char *rcpt_single_reason(const struct rcpt_single *s)
{
	return rcpt_xml_reason(s->careful);
}

struct rcpt_xml_position rcpt_single_position(const struct rcpt_single *s)
{
	return rcpt_xml_position(s->careful);
}
