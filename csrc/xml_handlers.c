/* SPDX-License-Identifier: MIT */
/* What Expat tells the reader: which elements are messages and which contain some, and what is refused.
 *
 * Handlers only fill in structs. The attributes they see are copied, because Expat's are gone when they return.
 */
#include "xml_reader.h"

/* From a handler: no more handlers are called but an end tag's that belongs to the same event. */
static void refuse(struct rcpt_xml *x, enum rcpt_xml_status status)
{
	rcpt_xml_fail(x, status);
	XML_StopParser(x->parser, XML_FALSE);
}

/* A tag or a comment, however many chunks it has come in; or all tags that are kept. */
static bool fits(struct rcpt_xml *x, size_t n)
{
	if (n > x->limits.bytes)
		refuse(x, RCPT_XML_TOO_LARGE);
	return n <= x->limits.bytes;
}

/* No value is longer than its tag: without a DTD, what stands for something else is longer than that. */
static bool tag_fits(struct rcpt_xml *x, const char **attr)
{
	const size_t n = (size_t)XML_GetCurrentByteCount(x->parser);
	if (!fits(x, n))
		return false;
	for (; n > x->limits.attr && *attr; attr += 2)
		if (strlen(attr[1]) > x->limits.attr) {
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

bool rcpt_xml_publish(struct rcpt_xml *x)
{
	if (!rcpt_messages_end(&x->messages))
		return false;
	count(&x->counts, &x->messages.facts);
	return true;
}

static void publish(struct rcpt_xml *x)
{
	if (!rcpt_xml_publish(x))
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
		x->messages.current.line = rcpt_xml_here(x).line;
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
	if (fits(x, x->tags.n + tag.n) && !rcpt_tags_push(&x->tags, tag))
		refuse(x, RCPT_XML_NO_MEMORY);
}

/* An element outside stanzas begins. */
static void begin_container(struct rcpt_xml *x, const struct rcpt_name *name, const char **attr)
{
	const bool replaying = XML_GetCurrentByteIndex(x->parser) < (XML_Index)x->replayed;
	const bool stream =
		rcpt_str_eq(name->local, RCPT_STR("stream")) && rcpt_str_eq(name->ns, RCPT_STR("http://etherx.jabber.org/streams"));
	if (stream && x->streams + 1 == x->depth) {
		if (x->streams == RCPT_STREAMS_MAX && x->tags.count == RCPT_STREAMS_MAX && !replaying) {
			rcpt_tags_shift(&x->tags);
			rcpt_xml_cut(x, 0);
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

/* Is the document to be cut here, where a stanza or a container has ended? It is when Expat has read much of it, and near the end
 * of a long piece, where its tags are so short that to read them again takes less than to count lines. */
static bool to_be_cut(const struct rcpt_xml *x)
{
	const uint64_t at = (uint64_t)XML_GetCurrentByteIndex(x->parser);
	const size_t end_of_piece = x->piece_n / 16;
	if (at <= x->replayed || x->forwarded || x->tags.count != x->depth)
		return false;
	return at - x->replayed > x->cut_after ||
		   (end_of_piece >= x->cut_after / 256 && x->fed - at < end_of_piece && x->tags.n < end_of_piece / 2);
}

static void XMLCALL on_start(void *ud, const char *raw, const char **attr)
{
	struct rcpt_xml *x = ud;
	struct rcpt_name name;
	if (x->status != RCPT_XML_OK)
		return;
	x->expat_error = rcpt_namespaces_open(&x->namespaces, ++x->depth, raw, attr, !x->stanza_depth, &name);
	if (x->expat_error != XML_ERROR_NONE) {
		refuse(x, rcpt_xml_status_of(x->expat_error));
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
	if (x->status != RCPT_XML_OK || x->ended || !fits(x, (size_t)XML_GetCurrentByteCount(x->parser)))
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
	if (!x->single && (x->depth == 0 || (!x->stanza_depth && to_be_cut(x)))) {
		rcpt_xml_cut(x, (size_t)XML_GetCurrentByteCount(x->parser));
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
	else
		fits(x, (size_t)XML_GetCurrentByteCount(x->parser));
}

static void XMLCALL on_instruction(void *ud, const char *target, const char *data)
{
	(void)target, (void)data;
	refuse(ud, RCPT_XML_INSTRUCTION);
}

void rcpt_xml_set_handlers(struct rcpt_xml *x)
{
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	XML_SetCommentHandler(x->parser, on_comment);
	XML_SetProcessingInstructionHandler(x->parser, on_instruction);
}
