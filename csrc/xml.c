/* SPDX-License-Identifier: MIT */
/* The Expat reader.
 *
 * Input is a series of documents, each a message or a container of stanzas. Expat reads one document at a time: when its root
 * element ends, the parser is stopped, reset, and given the bytes that follow. So nothing of one document reaches the next.
 *
 *   given to Expat:   ....... worked off | tail            `tail` is our copy of what Expat was given and has not worked off:
 *   document ends:    ...... > | beyond                     an incomplete tag, or (Expat may put off its work, since 2.6) more
 *                                                           than that. What lies beyond the end is given to it once more.
 *
 * Expat keeps every name that it has met until its document ends, and a stream may never end. So a long document is cut: between
 * two stanzas, or where an XML declaration says that another stream begins, the parser is stopped as at an end, and the next
 * document begins with the start tags of the elements that are open:
 *
 *   <stream:stream …> ⏎ | <message/> …                      `tags`, then the bytes after the cut
 *
 * Handlers only fill in structs. The attributes they see are copied to `text`, because Expat's are gone when they return.
 */
#include "xml.h"

#include <limits.h>

#include "mem.h"
#include "messages.h"
#include "namespaces.h"
#include "parser.h"
#include "tags.h"

#define STREAMS_MAX 4u /* streams open within one another: the outermost is forgotten for one more */

struct rcpt_xml {
	XML_Parser parser;
	struct rcpt_namespaces namespaces; /* of the document being read */
	struct rcpt_xml_limits limits;
	unsigned long salt;
	size_t cut_after; /* bytes of a document */

	enum rcpt_xml_status status;
	enum XML_Error expat_error;
	struct rcpt_xml_position where;

	/* The document being read. Depths count from 1, the root; 0 is none. */
	bool single;                     /* it must be a message */
	bool ended;                      /* its root element has ended, or it is cut */
	uint64_t end;                    /* how many of its bytes belong to it, then */
	struct rcpt_xml_position beyond; /* where the next begins, then */
	unsigned depth;                  /* open elements */
	unsigned stanza_depth;           /* of the stanza that we are in */
	bool in_message;                 /* that stanza is a message, the current one */
	enum rcpt_child child;           /* the direct child that we are in, where its inside matters; else OTHER */
	uint64_t fed;                    /* its bytes given to Expat */
	char *tail;                      /* the last tail_n of them */
	size_t tail_n, tail_room;
	struct rcpt_xml_position origin; /* where it began, or went on after a cut */
	bool after_return;               /* the last byte before that is a carriage return: a line feed is one line with it */

	struct rcpt_tags tags; /* of the open elements; of all while count == depth and we are in no stanza */
	unsigned streams;      /* of the open elements, as many of the outermost are stream roots */
	unsigned replayed_lines;
	size_t replayed; /* bytes of `tags` that this document began with, in so many lines */

	struct rcpt_messages messages;
	struct rcpt_xml_counts counts;
	unsigned forwarded; /* depth of a <forwarded/> outside stanzas: its delay may come before or after its message */
	bool own_stamp;     /* the current one's stamp is of a delay of its own */
	bool complete;      /* the message in <forwarded/> has ended, and is kept back until that ends */
};

/* -- Failing --------------------------------------------------------------------------------------------------------- */

static struct rcpt_xml_position here(const struct rcpt_xml *x)
{
	const XML_Index byte = XML_GetCurrentByteIndex(x->parser);
	if (byte < (XML_Index)x->replayed)
		return x->origin;
	const uint64_t line = XML_GetCurrentLineNumber(x->parser) - x->replayed_lines;
	const uint64_t column = XML_GetCurrentColumnNumber(x->parser);
	return (struct rcpt_xml_position){
		.byte = x->origin.byte + ((uint64_t)byte - x->replayed),
		.line = x->origin.line + line - 1,
		.column = line == 1 ? x->origin.column + column : column + 1,
	};
}

/* Lines and columns as Expat counts them. */
static void advance(struct rcpt_xml *x, struct rcpt_xml_position *p, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const bool end_of_line = bytes[i] == '\n' || bytes[i] == '\r';
		p->byte++;
		if (end_of_line && !(bytes[i] == '\n' && x->after_return))
			p->line++;
		if (end_of_line)
			p->column = 1;
		else if ((bytes[i] & 0xc0) != 0x80)
			p->column++;
		x->after_return = bytes[i] == '\r';
	}
}

/* The first failure is the one that is told. */
static void fail(struct rcpt_xml *x, enum rcpt_xml_status status)
{
	if (x->status != RCPT_XML_OK)
		return;
	x->status = status;
	x->where = here(x);
}

/* From a handler: no more handlers are called but an end tag's that belongs to the same event. */
static void refuse(struct rcpt_xml *x, enum rcpt_xml_status status)
{
	fail(x, status);
	XML_StopParser(x->parser, XML_FALSE);
}

static enum rcpt_xml_status status_of(enum XML_Error error)
{
	switch (error) {
	case XML_ERROR_NO_MEMORY:
		return RCPT_XML_NO_MEMORY;
	case XML_ERROR_NO_ELEMENTS: /* these four only come when the input has ended */
	case XML_ERROR_UNCLOSED_TOKEN:
	case XML_ERROR_PARTIAL_CHAR:
	case XML_ERROR_UNCLOSED_CDATA_SECTION:
		return RCPT_XML_TRUNCATED;
	default:
		return RCPT_XML_MALFORMED;
	}
}

/* -- Handlers -------------------------------------------------------------------------------------------------------- */

/* However many chunks a tag has come in. No value is longer than its tag: without a DTD, what stands for something else is longer
 * than that. */
static bool tag_fits(struct rcpt_xml *x, const char **attr)
{
	const size_t n = (size_t)XML_GetCurrentByteCount(x->parser);
	if (n > x->limits.bytes) {
		refuse(x, RCPT_XML_TOO_LARGE);
		return false;
	}
	for (; n > x->limits.attr && *attr; attr += 2)
		if (!rcpt_namespaces_declares(attr[0]) && strlen(attr[1]) > x->limits.attr) {
			refuse(x, RCPT_XML_ATTR_TOO_LONG);
			return false;
		}
	return true;
}

static bool keep(struct rcpt_xml *x, unsigned which, const char *value)
{
	if (rcpt_messages_keep(&x->messages, which, value))
		return true;
	refuse(x, RCPT_XML_NO_MEMORY);
	return false;
}

static void count(struct rcpt_xml_counts *c, const struct rcpt_facts *f)
{
	c->messages++;
	c->requests += (f->has & RCPT_HAS_REQUEST) != 0;
	c->acks += (f->has & RCPT_HAS_RECEIVED) != 0;
	for (unsigned i = 0; f->problems >> i; i++)
		c->problems[i] += f->problems >> i & 1;
}

/* Judges and counts the message that was read, which is to be taken now. */
static void publish(struct rcpt_xml *x)
{
	if (rcpt_messages_end(&x->messages))
		count(&x->counts, &x->messages.facts);
	else
		refuse(x, RCPT_XML_NO_MEMORY);
}

static void begin_message(struct rcpt_xml *x, const char **attr)
{
	if (x->complete)
		publish(x);
	if (x->complete || !x->forwarded)
		rcpt_messages_begin(&x->messages);
	x->complete = false;
	if (!x->limits.only_count)
		x->messages.current.line = here(x).line;
	x->own_stamp = false;
	x->in_message = true;
	for (; *attr; attr += 2) {
		const enum rcpt_attribute which = rcpt_attribute_of(attr[0]);
		if (which != RCPT_ATTRIBUTES && !keep(x, which, attr[1]))
			return;
	}
}

static bool is_delay(const struct rcpt_name *name)
{
	return rcpt_str_eq(name->local, RCPT_STR("delay")) && rcpt_str_eq(name->ns, RCPT_STR("urn:xmpp:delay"));
}

static bool keep_attribute(struct rcpt_xml *x, unsigned which, const char *name, const char **attr)
{
	for (; *attr; attr += 2)
		if (strcmp(attr[0], name) == 0)
			return keep(x, which, attr[1]);
	return false;
}

static void child_not_empty(struct rcpt_xml *x)
{
	rcpt_facts_not_empty(&x->messages.facts, x->child);
}

static void XMLCALL on_text(void *ud, const char *text, int n)
{
	if (!rcpt_str_space((struct rcpt_str){text, (size_t)n}))
		child_not_empty(ud);
}

static void begin_child(struct rcpt_xml *x, const struct rcpt_name *name, const char **attr)
{
	if (x->limits.only_count && !rcpt_receipts_ns(name->ns))
		return;
	const enum rcpt_child kind = rcpt_child_kind(name->local, name->ns);
	const bool first = !(x->messages.facts.has & RCPT_HAS_RECEIVED);
	rcpt_facts_child(&x->messages.facts, kind, (struct rcpt_str){NULL, 0}, true);
	if (is_delay(name) && !x->own_stamp)
		x->own_stamp = keep_attribute(x, RCPT_STAMP, "stamp", attr);
	if (!rcpt_child_inside_matters(kind))
		return;
	x->child = kind;
	XML_SetCharacterDataHandler(x->parser, on_text);
	if (kind == RCPT_CHILD_RECEIVED && first)
		keep_attribute(x, RCPT_RECEIVED_ID, "id", attr);
}

static void save_tag(struct rcpt_xml *x)
{
	const struct rcpt_str tag = {rcpt_parser_rest(x->parser).p, (size_t)XML_GetCurrentByteCount(x->parser)};
	if (!tag.p || x->tags.count + 1 != x->depth) /* of an Expat that keeps no context: nothing is cut then */
		return;
	if (x->tags.n + tag.n > x->limits.bytes)
		refuse(x, RCPT_XML_TOO_LARGE);
	else if (!rcpt_tags_push(&x->tags, tag))
		refuse(x, RCPT_XML_NO_MEMORY);
}

/* The document ends `n` bytes after the tag that Expat is at has begun. What follows is read as another, which begins with the
 * tags that are open. */
static void cut(struct rcpt_xml *x, size_t n)
{
	const struct rcpt_str rest = rcpt_parser_rest(x->parser);
	x->ended = true;
	x->end = (uint64_t)XML_GetCurrentByteIndex(x->parser) + n;
	x->beyond = here(x);
	x->after_return = false; /* a tag lies before, or begins behind it */
	if (rest.p)
		advance(x, &x->beyond, rest.p, n);
}

/* An element outside stanzas begins. */
static void begin_container(struct rcpt_xml *x, const struct rcpt_name *name, const char **attr)
{
	const bool replaying = XML_GetCurrentByteIndex(x->parser) < (XML_Index)x->replayed;
	const bool stream =
		rcpt_str_eq(name->local, RCPT_STR("stream")) && rcpt_str_eq(name->ns, RCPT_STR("http://etherx.jabber.org/streams"));
	if (stream && x->streams + 1 == x->depth) {
		if (x->streams == STREAMS_MAX && x->tags.count == STREAMS_MAX && !replaying) {
			rcpt_tags_shift(&x->tags);
			cut(x, 0);
			XML_StopParser(x->parser, XML_FALSE);
			return;
		}
		x->streams++;
	}
	if (replaying)
		return;
	save_tag(x);
	if (!x->forwarded && rcpt_str_eq(name->local, RCPT_STR("forwarded")) &&
		rcpt_str_eq(name->ns, RCPT_STR("urn:xmpp:forward:0"))) {
		x->forwarded = x->depth;
		rcpt_messages_begin(&x->messages);
	} else if (x->forwarded && x->forwarded + 1 == x->depth && is_delay(name) && !x->messages.current.string[RCPT_STAMP].set) {
		keep_attribute(x, RCPT_STAMP, "stamp", attr);
	}
}

static void end_container(struct rcpt_xml *x)
{
	if (x->tags.count == x->depth)
		rcpt_tags_pop(&x->tags);
	if (x->streams == x->depth)
		x->streams--;
	if (x->forwarded == x->depth) {
		if (x->complete)
			publish(x);
		x->complete = false;
		x->forwarded = 0;
	}
}

/* Has Expat read so much of this document that it is to be cut? */
static bool long_enough(const struct rcpt_xml *x)
{
	const size_t at = (size_t)XML_GetCurrentByteIndex(x->parser);
	return at > x->replayed && at - x->replayed > x->cut_after && !x->forwarded && x->tags.count == x->depth;
}

static void XMLCALL on_start(void *ud, const char *raw, const char **attr)
{
	struct rcpt_xml *x = ud;
	struct rcpt_name name;
	if (x->status != RCPT_XML_OK)
		return;
	x->expat_error = rcpt_namespaces_open(&x->namespaces, ++x->depth, raw, attr, !x->stanza_depth, &name);
	if (x->expat_error != XML_ERROR_NONE) {
		refuse(x, status_of(x->expat_error));
		return;
	}
	if (x->depth > x->limits.depth) {
		refuse(x, RCPT_XML_TOO_DEEP);
		return;
	}
	if (!tag_fits(x, attr))
		return;
	if (x->stanza_depth) {
		if (x->in_message && x->depth == x->stanza_depth + 1)
			begin_child(x, &name, attr);
		else if (x->child)
			child_not_empty(x);
		return;
	}
	const bool stanza_ns = rcpt_stanza_ns(name.ns), message = stanza_ns && rcpt_str_eq(name.local, RCPT_STR("message"));
	if (x->single && !message) {
		refuse(x, RCPT_XML_NOT_MESSAGE);
	} else if (message) {
		x->stanza_depth = x->depth;
		begin_message(x, attr);
	} else if (stanza_ns && (rcpt_str_eq(name.local, RCPT_STR("presence")) || rcpt_str_eq(name.local, RCPT_STR("iq")))) {
		x->stanza_depth = x->depth;
	} else {
		begin_container(x, &name, attr);
	}
}

static void end_message(struct rcpt_xml *x)
{
	x->in_message = false;
	if (x->forwarded)
		x->complete = true;
	else
		publish(x);
}

static void XMLCALL on_end(void *ud, const char *name)
{
	(void)name;
	struct rcpt_xml *x = ud;
	if (x->status != RCPT_XML_OK || x->ended)
		return;
	if (x->child && x->depth == x->stanza_depth + 1) {
		x->child = RCPT_CHILD_OTHER;
		XML_SetCharacterDataHandler(x->parser, NULL);
	}
	if (x->depth == x->stanza_depth) {
		if (x->in_message)
			end_message(x);
		x->stanza_depth = 0;
	} else if (!x->stanza_depth) {
		end_container(x);
	}
	rcpt_namespaces_close(&x->namespaces, x->depth--);
	if (!x->single && (x->depth == 0 || (!x->stanza_depth && long_enough(x)))) {
		cut(x, (size_t)XML_GetCurrentByteCount(x->parser));
		XML_StopParser(x->parser, XML_FALSE);
	}
}

static void XMLCALL on_doctype(void *ud, const char *name, const char *sysid, const char *pubid, int internal)
{
	(void)name, (void)sysid, (void)pubid, (void)internal;
	refuse(ud, RCPT_XML_DTD);
}

static void XMLCALL on_comment(void *ud, const char *text)
{
	(void)text;
	struct rcpt_xml *x = ud;
	if (!x->limits.comments || x->single || x->stanza_depth)
		refuse(x, RCPT_XML_COMMENT);
	else if ((size_t)XML_GetCurrentByteCount(x->parser) > x->limits.bytes)
		refuse(x, RCPT_XML_TOO_LARGE);
}

static void XMLCALL on_instruction(void *ud, const char *target, const char *data)
{
	(void)target, (void)data;
	refuse(ud, RCPT_XML_INSTRUCTION);
}

/* -- Documents ------------------------------------------------------------------------------------------------------- */

static bool begin_document(struct rcpt_xml *x, bool single)
{
	if (!rcpt_parser_renew(&x->parser, x->salt))
		return false;
	rcpt_namespaces_reset(&x->namespaces);
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	XML_SetCommentHandler(x->parser, on_comment);
	XML_SetProcessingInstructionHandler(x->parser, on_instruction);
	x->single = single;
	x->ended = x->in_message = x->complete = false;
	x->depth = x->stanza_depth = x->streams = x->forwarded = 0;
	x->child = RCPT_CHILD_OTHER;
	x->fed = x->tail_n = 0;
	x->replayed = x->replayed_lines = 0;
	return true;
}

/* Keeps a copy of what Expat has not worked off, now that it was given `n` more bytes. */
static bool keep_tail(struct rcpt_xml *x, const char *xml, size_t n)
{
	const XML_Index done = XML_GetCurrentByteIndex(x->parser); /* -1: it has not looked at them */
	const size_t most = x->tail_n + n;
	const size_t left = done < 0 || x->fed - (uint64_t)done > most ? most : (size_t)(x->fed - (uint64_t)done);
	const size_t old = left > n ? left - n : 0, added = left - old;
	if (old)
		memmove(x->tail, x->tail + x->tail_n - old, old);
	x->tail_n = old;
	if (added) {
		void *tail = x->tail;
		if (!rcpt_grow(&tail, &x->tail_room, 1, left))
			return false;
		x->tail = tail;
		memcpy(x->tail + old, xml + n - added, added);
		x->tail_n = left;
	}
	return true;
}

/* In streams, between two stanzas: there a capture may end, and another may begin. */
static bool between_stanzas(const struct rcpt_xml *x)
{
	return !x->single && !x->stanza_depth && x->streams == x->depth && x->tags.count == x->depth;
}

/* Has Expat read nothing of what is more than a token may have? */
static bool is_put_off(const struct rcpt_xml *x)
{
	const XML_Index done = XML_GetCurrentByteIndex(x->parser);
	return !x->single && x->fed - (uint64_t)(done > 0 ? done : 0) > x->limits.bytes;
}

/* Gives Expat bytes of the document. Whether that was its end is in `ended`, whether all went well in `status`. */
static void parse(struct rcpt_xml *x, const char *xml, size_t n, bool last)
{
	const size_t first = x->fed < 2 ? (size_t)(2 - x->fed) : 0;
	if (rcpt_parser_takes_for_utf16(xml, n < first ? n : first)) {
		x->expat_error = XML_ERROR_INVALID_TOKEN;
		fail(x, RCPT_XML_MALFORMED);
		x->where = x->origin;
		return;
	}
	enum XML_Status status = XML_Parse(x->parser, xml, (int)n, last);
	x->fed += n;
	if (status == XML_STATUS_OK && !last && is_put_off(x))
		status = rcpt_parser_catch_up(x->parser);
	if (x->ended || x->status != RCPT_XML_OK)
		return;
	if (status != XML_STATUS_OK) {
		x->expat_error = rcpt_parser_error(x->parser);
		const size_t declared =
			x->expat_error == XML_ERROR_MISPLACED_XML_PI && between_stanzas(x) ? rcpt_parser_declaration(x->parser) : 0;
		if (declared) {
			cut(x, declared);
		} else if (x->expat_error == XML_ERROR_NO_ELEMENTS && between_stanzas(x)) {
			rcpt_tags_clear(&x->tags);
			if (!begin_document(x, false))
				fail(x, RCPT_XML_NO_MEMORY);
		} else {
			fail(x, status_of(x->expat_error));
		}
	} else if (!x->single && !keep_tail(x, xml, n)) {
		fail(x, RCPT_XML_NO_MEMORY);
	} else if (x->tail_n > x->limits.bytes) {
		fail(x, RCPT_XML_TOO_LARGE);
	}
}

/* The document has ended: the next begins after its last tag. Returns how many of the bytes given to Expat lie beyond that. */
static size_t next_document(struct rcpt_xml *x)
{
	const size_t beyond = (size_t)(x->fed - x->end);
	x->origin = x->beyond;
	if (!begin_document(x, false))
		fail(x, RCPT_XML_NO_MEMORY);
	return beyond;
}

static size_t skip_space(struct rcpt_xml *x, const char *p, size_t n)
{
	size_t i = 0;
	while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n'))
		i++;
	advance(x, &x->origin, p, i);
	return i;
}

/* -- What the header declares ---------------------------------------------------------------------------------------- */

struct rcpt_xml *rcpt_xml_new(const struct rcpt_xml_limits *limits, unsigned long salt)
{
	struct rcpt_xml *x = rcpt_malloc(sizeof *x);
	if (!x)
		return NULL;
	memset(x, 0, sizeof *x);
	x->limits = *limits;
	if (x->limits.bytes > INT_MAX / 2)
		x->limits.bytes = INT_MAX / 2;
	x->cut_after = RCPT_XML_CUT;
	x->salt = salt;
	x->messages.only_count = limits->only_count;
	rcpt_namespaces_init(&x->namespaces, salt);
	rcpt_xml_reset(x);
	if (!x->parser) {
		rcpt_free(x);
		return NULL;
	}
	return x;
}

void rcpt_xml_free(struct rcpt_xml *x)
{
	if (!x)
		return;
	XML_ParserFree(x->parser);
	rcpt_namespaces_free(&x->namespaces);
	rcpt_messages_free(&x->messages);
	rcpt_free(x->tail);
	rcpt_tags_free(&x->tags);
	rcpt_free(x);
}

void rcpt_xml_reset(struct rcpt_xml *x)
{
	rcpt_tags_clear(&x->tags);
	x->status = RCPT_XML_OK;
	x->expat_error = XML_ERROR_NONE;
	x->origin = x->where = (struct rcpt_xml_position){1, 1, 1};
	x->after_return = false;
	rcpt_messages_reset(&x->messages);
	x->counts = (struct rcpt_xml_counts){.messages = 0};
	if (!begin_document(x, false))
		fail(x, RCPT_XML_NO_MEMORY);
}

void rcpt_xml_cut_after(struct rcpt_xml *x, size_t bytes)
{
	x->cut_after = bytes;
}

enum rcpt_xml_status rcpt_xml_message(struct rcpt_xml *x, const char *xml, size_t n)
{
	rcpt_xml_reset(x);
	if (x->status != RCPT_XML_OK)
		return x->status;
	x->single = true;
	if (n > x->limits.bytes)
		fail(x, RCPT_XML_TOO_LARGE);
	else
		parse(x, xml, n, true);
	if (x->status != RCPT_XML_OK)
		x->messages.taken = x->messages.read; /* a message before the fault does not count */
	return x->status;
}

static void read_bytes(struct rcpt_xml *x, const char *bytes, size_t n);

/* After a cut: the tags that are open come first. */
static void replay(struct rcpt_xml *x)
{
	if (x->tags.count == 0 || x->status != RCPT_XML_OK)
		return;
	x->replayed = x->tags.n;
	x->replayed_lines = x->tags.count;
	parse(x, x->tags.text, x->tags.n, false);
}

/* After a document's end: starts the next with what earlier calls brought of it. Returns how much of the last `n` bytes is left.
 */
static size_t go_on(struct rcpt_xml *x, size_t n)
{
	char *tail = x->tail;
	const size_t tail_n = x->tail_n;
	const size_t beyond = next_document(x);
	if (beyond <= n) {
		replay(x);
		return beyond;
	}
	x->tail = NULL;
	x->tail_room = 0;
	replay(x);
	read_bytes(x, tail + tail_n - (beyond - n), beyond - n);
	rcpt_free(tail);
	return n;
}

static void read_bytes(struct rcpt_xml *x, const char *bytes, size_t n)
{
	size_t at = 0;
	while (at < n && x->status == RCPT_XML_OK) {
		if (x->fed == 0) {
			at += skip_space(x, bytes + at, n - at);
			if (at == n)
				break;
		}
		const size_t size = n - at < RCPT_XML_SLICE ? n - at : RCPT_XML_SLICE;
		parse(x, bytes + at, size, false);
		at += size;
		if (x->ended)
			at -= go_on(x, size);
	}
}

enum rcpt_xml_status rcpt_xml_feed(struct rcpt_xml *x, const char *chunk, size_t n)
{
	rcpt_messages_drop_taken(&x->messages, x->in_message || x->forwarded);
	read_bytes(x, chunk, n);
	return x->status;
}

enum rcpt_xml_status rcpt_xml_finish(struct rcpt_xml *x)
{
	while (x->status == RCPT_XML_OK && x->fed > 0) {
		parse(x, "", 0, true);
		if (x->ended)
			go_on(x, 0);
	}
	return x->status;
}

bool rcpt_xml_next(struct rcpt_xml *x, struct rcpt_facts *facts, uint64_t *line)
{
	return rcpt_messages_next(&x->messages, facts, line);
}

const struct rcpt_xml_counts *rcpt_xml_counts(const struct rcpt_xml *x)
{
	return &x->counts;
}

const char *rcpt_xml_reason(const struct rcpt_xml *x)
{
	static const char *const reasons[] = {
		[RCPT_XML_OK] = "no error",
		[RCPT_XML_TRUNCATED] = "the input is incomplete",
		[RCPT_XML_NOT_MESSAGE] = "the root element is not a message",
		[RCPT_XML_DTD] = "a document type declaration is not allowed",
		[RCPT_XML_COMMENT] = "a comment is not allowed",
		[RCPT_XML_INSTRUCTION] = "a processing instruction is not allowed",
		[RCPT_XML_TOO_LARGE] = "over the size limit",
		[RCPT_XML_TOO_DEEP] = "elements nested too deep",
		[RCPT_XML_ATTR_TOO_LONG] = "an attribute is over the length limit",
		[RCPT_XML_NO_MEMORY] = "out of memory",
	};
	return x->status == RCPT_XML_MALFORMED ? XML_ErrorString(x->expat_error) : reasons[x->status];
}

struct rcpt_xml_position rcpt_xml_position(const struct rcpt_xml *x)
{
	return x->where;
}
