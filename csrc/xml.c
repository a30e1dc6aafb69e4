/* SPDX-License-Identifier: MIT */
/* The Expat reader: its input is a series of documents, each a message or a container of stanzas.
 *
 * Expat reads one document at a time: when its root element ends, the parser is stopped, reset, and given the bytes that follow.
 * So nothing of one document reaches the next.
 *
 *   given to Expat:   .... worked off | tail | piece        `piece` is what it is given now, and `tail` our copy of what it
 *   document ends:    .................. > | beyond          was given before and has not worked off: an incomplete tag, or
 *                                                            (Expat may put off its work, since 2.6) more than that. What lies
 *                                                            beyond the end is given to it once more.
 *
 * Expat keeps every name that it has met until its document ends, and a stream may never end. So a long document is cut: between
 * two stanzas, or where an XML declaration says that another stream begins, the parser is stopped as at an end, and the next
 * document begins with the start tags of the elements that are open:
 *
 *   <stream:stream …> ⏎ | <message/> …                      `tags`, then the bytes after the cut
 *
 * It is cut near the end of each long piece, too: of a piece that it has read to its end Expat counts the lines, which takes a
 * fifth of its time. Ours are counted faster (lines.h).
 */
#include "xml_reader.h"

#include <limits.h>

#include "mem.h"

#define STREAM_TAGS_MAX 4096u /* bytes in the tags of open streams, where an XML declaration says that another begins */

/* -- Failing --------------------------------------------------------------------------------------------------------- */

/* Counts lines as far as the document's first `n` bytes. Those that are not counted yet are in the tail and in the piece. */
static void count_lines(struct rcpt_xml *x, uint64_t n)
{
	const uint64_t piece = x->fed - x->piece_n, tail = piece - x->tail_n, to = n < x->fed ? n : x->fed;
	if (x->counted < piece && x->counted < to) {
		const uint64_t in_tail = to < piece ? to : piece;
		rcpt_lines_advance(&x->lines, x->tail + (x->counted - tail), (size_t)(in_tail - x->counted));
		x->counted = in_tail;
	}
	if (x->counted < to) {
		rcpt_lines_advance(&x->lines, x->piece + (x->counted - piece), (size_t)(to - x->counted));
		x->counted = to;
	}
}

struct rcpt_xml_position rcpt_xml_here(struct rcpt_xml *x)
{
	const XML_Index byte = XML_GetCurrentByteIndex(x->parser);
	if (byte > 0)
		count_lines(x, (uint64_t)byte);
	return x->lines.at;
}

void rcpt_xml_fail(struct rcpt_xml *x, enum rcpt_xml_status status)
{
	if (x->status != RCPT_XML_OK)
		return;
	x->status = status;
	x->where = rcpt_xml_here(x);
	/* A message that is kept back was read whole. But what memory did not suffice for may be its stamp. */
	if (x->complete && status != RCPT_XML_NO_MEMORY && !rcpt_xml_publish(x))
		x->status = RCPT_XML_NO_MEMORY;
}

enum rcpt_xml_status rcpt_xml_status_of(enum XML_Error error)
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

/* -- Documents ------------------------------------------------------------------------------------------------------- */

void rcpt_xml_cut(struct rcpt_xml *x, size_t n)
{
	x->ended = true;
	x->end = (uint64_t)XML_GetCurrentByteIndex(x->parser) + n;
	count_lines(x, x->end);
}

static bool begin_document(struct rcpt_xml *x)
{
	x->fed = x->tail_n = x->piece_n = 0;
	x->counted = x->replayed = 0;
	if (!rcpt_parser_renew(&x->parser, &x->resets, x->salt))
		return false;
	rcpt_namespaces_reset(&x->namespaces);
	rcpt_xml_set_handlers(x);
	x->single = x->ended = x->in_message = x->complete = false;
	x->depth = x->stanza_depth = x->streams = x->forwarded = 0;
	x->child = RCPT_CHILD_OTHER;
	return true;
}

/* How many bytes Expat was given and has not worked off: too many where it is at -1, for it has not looked at them. */
static uint64_t put_off(const struct rcpt_xml *x)
{
	return x->fed - (uint64_t)XML_GetCurrentByteIndex(x->parser);
}

/* Keeps a copy of those: the piece goes. */
static bool keep_tail(struct rcpt_xml *x)
{
	const uint64_t behind = put_off(x);
	const size_t most = x->tail_n + x->piece_n, left = behind > most ? most : (size_t)behind;
	const size_t old = left > x->piece_n ? left - x->piece_n : 0, added = left - old;
	count_lines(x, x->fed - left);
	if (old)
		memmove(x->tail, x->tail + x->tail_n - old, old);
	x->tail_n = old;
	if (added) {
		void *tail = x->tail;
		if (!rcpt_grow(&tail, &x->tail_room, 1, left))
			return false;
		x->tail = tail;
		memcpy(x->tail + old, x->piece + x->piece_n - added, added);
		x->tail_n = left;
	}
	x->piece_n = 0;
	return true;
}

/* In streams, between two stanzas: there a capture may end, and another may begin. */
static bool between_stanzas(const struct rcpt_xml *x)
{
	return !x->single && !x->stanza_depth && x->streams == x->depth && x->tags.count == x->depth;
}

/* A declaration is short, and the tags of the streams that are open are read again after each. So the outermost are forgotten
 * where those are long, or come to more than four times the input. They do not where each declaration begins a stream: its tag is
 * read again four times, as more streams are not open. The input may be that far behind. */
static void forget_streams(struct rcpt_xml *x)
{
	const uint64_t at = x->lines.at.byte, paid = x->paid > at ? x->paid : at;
	while (x->tags.n > STREAM_TAGS_MAX || paid + x->tags.n / RCPT_STREAMS_MAX > at + STREAM_TAGS_MAX)
		rcpt_tags_shift(&x->tags);
	x->paid = paid + x->tags.n / RCPT_STREAMS_MAX;
}

/* Gives Expat bytes of the document. Whether that was its end is in `ended`, whether all went well in `status`. */
static void parse(struct rcpt_xml *x, const char *xml, size_t n, bool last)
{
	const size_t first = x->fed < 2 ? (size_t)(2 - x->fed) : 0;
	if (rcpt_parser_takes_for_utf16(xml, n < first ? n : first)) {
		x->expat_error = XML_ERROR_INVALID_TOKEN;
		rcpt_xml_fail(x, RCPT_XML_MALFORMED);
		return;
	}
	x->piece = xml;
	x->piece_n = n;
	x->fed += n;
	enum XML_Status status = XML_Parse(x->parser, xml, (int)n, last);
	if (status == XML_STATUS_OK && !last && put_off(x) > x->limits.bytes) /* more than a token may have */
		status = rcpt_parser_catch_up(x->parser);
	if (x->ended || x->status != RCPT_XML_OK)
		return;
	if (status != XML_STATUS_OK) {
		x->expat_error = rcpt_parser_error(x->parser);
		const size_t declared =
			x->expat_error == XML_ERROR_MISPLACED_XML_PI && between_stanzas(x) ? rcpt_parser_declaration(x->parser) : 0;
		if (declared) {
			rcpt_xml_cut(x, declared);
			forget_streams(x);
		} else if (x->expat_error == XML_ERROR_NO_ELEMENTS && between_stanzas(x)) {
			rcpt_tags_clear(&x->tags);
			if (!begin_document(x))
				rcpt_xml_fail(x, RCPT_XML_NO_MEMORY);
		} else {
			rcpt_xml_fail(x, rcpt_xml_status_of(x->expat_error));
		}
	} else if (!keep_tail(x)) {
		rcpt_xml_fail(x, RCPT_XML_NO_MEMORY);
	} else if (x->tail_n > x->limits.bytes) {
		rcpt_xml_fail(x, RCPT_XML_TOO_LARGE);
	}
}

/* The document has ended: the next begins after its last tag. Returns how many of the bytes given to Expat lie beyond that. */
static size_t next_document(struct rcpt_xml *x)
{
	const size_t beyond = (size_t)(x->fed - x->end);
	if (!begin_document(x))
		rcpt_xml_fail(x, RCPT_XML_NO_MEMORY);
	return beyond;
}

static size_t skip_space(struct rcpt_xml *x, const char *p, size_t n)
{
	size_t i = 0;
	while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n'))
		i++;
	rcpt_lines_advance(&x->lines, p, i);
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
	rcpt_lines_begin(&x->lines);
	x->where = x->lines.at;
	x->paid = 0;
	rcpt_messages_reset(&x->messages);
	x->counts = (struct rcpt_xml_counts){.messages = 0};
	if (!begin_document(x))
		rcpt_xml_fail(x, RCPT_XML_NO_MEMORY);
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
		rcpt_xml_fail(x, RCPT_XML_TOO_LARGE);
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
	x->counted = x->replayed = x->tags.n;
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
