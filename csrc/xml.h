/* SPDX-License-Identifier: MIT */
/* The Expat reader: from XML bytes to the facts of messages.
 *
 * Two ways to use one reader:
 *   rcpt_xml_message()  the input is one message and nothing else
 *   rcpt_xml_feed() … rcpt_xml_finish()  the input comes in chunks of any size and holds any number of messages, bare or in
 *                       containers (a stream root, an export). A message inside another stanza is part of that stanza.
 * What was read is taken with rcpt_xml_next().
 *
 * A message in a container's <forwarded/>, as in an archive, has the stamp of the <delay/> beside it, unless it has its own. A
 * stream may be cut off between two stanzas, and another begin there with an XML declaration or a stream root, as in a capture of
 * both directions or of a client that comes back.
 *
 * Memory grows with the number of different names within one stanza or <forwarded/> (Expat keeps them), and with nothing else.
 *
 * Refused, as RFC 6120 §11.1 has it, unless limits say otherwise: DTDs (and so every entity but the five of XML), comments,
 * processing instructions; and what is over the limits. After a refusal or a failure the reader says so again until
 * rcpt_xml_reset().
 *
 * The parser is used again. It is reset, or replaced, for each message: a parser that lives on would take a stray end tag or a
 * half-finished message with it into the next.
 */
#ifndef RCPT_XML_H
#define RCPT_XML_H

#include <stdint.h>

#include "facts.h"

struct rcpt_xml_limits {
	size_t bytes;    /* in one message given whole; in one tag or comment of a stream, and in the tags of all open containers */
	unsigned depth;  /* elements within one another, the message itself included */
	size_t attr;     /* bytes in one attribute's value */
	bool comments;   /* they may stand between the stanzas of a stream: those who capture write them */
	bool only_count; /* nothing is to be taken with rcpt_xml_next(): messages are counted, and then forgotten */
};
#define RCPT_XML_BYTES ((size_t)1 << 20)
#define RCPT_XML_DEPTH 64u
#define RCPT_XML_ATTR ((size_t)128 << 10)

#define RCPT_XML_SLICE ((size_t)64 << 10) /* bytes given to Expat at once: keeps what one call makes small */

enum rcpt_xml_status {
	RCPT_XML_OK,
	RCPT_XML_MALFORMED, /* see rcpt_xml_reason() for what Expat says of it */
	RCPT_XML_TRUNCATED,
	RCPT_XML_NOT_MESSAGE,
	RCPT_XML_DTD,
	RCPT_XML_COMMENT,
	RCPT_XML_INSTRUCTION,
	RCPT_XML_TOO_LARGE,
	RCPT_XML_TOO_DEEP,
	RCPT_XML_ATTR_TOO_LONG,
	RCPT_XML_NO_MEMORY
};

/* Of the messages that were read whole. */
struct rcpt_xml_counts {
	uint64_t messages, requests, acks;
	uint64_t problems[RCPT_PROBLEMS];
};

struct rcpt_xml_position {
	uint64_t byte;         /* from 1 */
	uint64_t line, column; /* from 1; columns are as Expat counts them: characters */
};

struct rcpt_xml;

/* NULL when memory has run out. `salt` keeps names from being chosen that collide in Expat's tables. */
struct rcpt_xml *rcpt_xml_new(const struct rcpt_xml_limits *limits, unsigned long salt);
void rcpt_xml_free(struct rcpt_xml *x);
/* Ready for new input, whatever came before. */
void rcpt_xml_reset(struct rcpt_xml *x);
/* For tests: how many bytes of a stream Expat reads before it is made to forget the names in them. That changes nothing else. */
void rcpt_xml_cut_after(struct rcpt_xml *x, size_t bytes);
#define RCPT_XML_CUT ((size_t)256 << 10) /* unless told otherwise: some 5 MB in Expat when they are all new names */

/* Reads one message given whole. It resets the reader, which is to be reset once more before a stream. */
enum rcpt_xml_status rcpt_xml_message(struct rcpt_xml *x, const char *xml, size_t n);
/* Reads the next `n` bytes of a stream. */
enum rcpt_xml_status rcpt_xml_feed(struct rcpt_xml *x, const char *chunk, size_t n);
/* The stream has ended: RCPT_XML_TRUNCATED where something was not complete. */
enum rcpt_xml_status rcpt_xml_finish(struct rcpt_xml *x);

/* The next message that was read whole, and the line it began on. False when there is none yet. The strings hold until the next
 * call that takes input or resets. */
bool rcpt_xml_next(struct rcpt_xml *x, struct rcpt_facts *facts, uint64_t *line);

/* Counted since the last reset. */
const struct rcpt_xml_counts *rcpt_xml_counts(const struct rcpt_xml *x);

/* Why the last call did not return OK, in words, and where. */
const char *rcpt_xml_reason(const struct rcpt_xml *x);
struct rcpt_xml_position rcpt_xml_position(const struct rcpt_xml *x);

#endif
