/* SPDX-License-Identifier: MIT */
/* The Expat reader from within, for xml.c and xml_handlers.c alone. */
#ifndef RCPT_XML_READER_H
#define RCPT_XML_READER_H

#include "lines.h"
#include "messages.h"
#include "namespaces.h"
#include "parser.h"
#include "tags.h"
#include "xml.h"

#define RCPT_STREAMS_MAX 4u /* streams open within one another: the outermost is forgotten for one more */

struct rcpt_xml {
	XML_Parser parser;
	unsigned resets; /* of that */
	struct rcpt_xml_limits limits;
	unsigned long salt;
	size_t cut_after; /* bytes of a document */

	enum rcpt_xml_status status;
	enum XML_Error expat_error;
	struct rcpt_xml_position where;

	/* The bytes of the document being read. */
	uint64_t fed;      /* those given to Expat */
	const char *piece; /* the last piece_n of them, while it reads them */
	size_t piece_n;
	char *tail; /* the tail_n before those */
	size_t tail_n, tail_room;
	size_t replayed; /* those that it began with are of `tags` */
	uint64_t paid;   /* the place in the input that makes up for all that was read again after declarations */
	bool single;     /* it must be a message */
	bool ended;      /* its root element has ended, or it is cut */
	uint64_t end;    /* how many bytes belong to it, then */

	/* Counted so far; and how many bytes of the document that is. */
	struct rcpt_lines lines;
	uint64_t counted;

	/* Its elements. Depths count from 1, the root; 0 is none. */
	struct rcpt_namespaces namespaces;
	struct rcpt_tags tags; /* of the open ones; of all while count == depth and we are in no stanza */
	unsigned depth;        /* open elements */
	unsigned streams;      /* of those, as many of the outermost are stream roots */
	unsigned forwarded;    /* of a <forwarded/> outside stanzas: its delay may come before or after its message */
	unsigned stanza_depth; /* of the stanza that we are in */
	enum rcpt_child child; /* the direct child that we are in, where its inside matters; else OTHER */
	bool in_message;       /* that stanza is a message, the current one */
	bool own_stamp;        /* the current one's stamp is of a delay of its own */
	bool complete;         /* the message in <forwarded/> has ended, and is kept back until that ends, or all does */

	struct rcpt_messages messages;
	struct rcpt_xml_counts counts;
};

/* -- xml_handlers.c -------------------------------------------------------------------------------------------------- */

void rcpt_xml_set_handlers(struct rcpt_xml *x);
/* Judges and counts the message that was read, which is to be taken now. False when memory has run out. */
bool rcpt_xml_publish(struct rcpt_xml *x);

/* -- xml.c ----------------------------------------------------------------------------------------------------------- */

/* Where Expat is. */
struct rcpt_xml_position rcpt_xml_here(struct rcpt_xml *x);
/* The document ends `n` bytes after the tag that Expat is at has begun. What follows is read as another, which begins with the
 * tags that are open. */
void rcpt_xml_cut(struct rcpt_xml *x, size_t n);
/* The first failure is the one that is told. */
void rcpt_xml_fail(struct rcpt_xml *x, enum rcpt_xml_status status);
enum rcpt_xml_status rcpt_xml_status_of(enum XML_Error error);

#endif
