/* SPDX-License-Identifier: MIT */
/* Expat's parsers as they are used here, and what has to be known of Expat's own ways: those of its versions, too.
 *
 * They do no namespaces (namespaces.h). Their memory is ours, and they are used again and again.
 */
#ifndef RCPT_PARSER_H
#define RCPT_PARSER_H

#include <stdbool.h>

#include <expat.h>

#include "str.h"

/* Makes a parser as good as new, or where it is NULL, one whose memory is ours. A reset keeps the room that names have taken, and
 * clears it again and again: so some replace it. `resets` is for this alone, to count them. False when memory has run out; then
 * it is not to be used before that has succeeded. */
bool rcpt_parser_renew(XML_Parser *parser, unsigned *resets, unsigned long salt);

/* Expat takes a document that begins like UTF-16 for UTF-16, whatever it has been told; XMPP is UTF-8 (RFC 6120 §11.6). So the
 * first two bytes are to be looked at before it is given them. */
bool rcpt_parser_takes_for_utf16(const char *xml, size_t n);

/* Expat may have put off reading what is unfinished until much more has come: here it is made to. */
enum XML_Status rcpt_parser_catch_up(XML_Parser parser);

/* The bytes that it has, from the tag that it is at. Absent where it keeps no context. */
struct rcpt_str rcpt_parser_rest(XML_Parser parser);
/* The length of the XML declaration that it is at, or 0: it says so only of what it has accepted. */
size_t rcpt_parser_declaration(XML_Parser parser);
/* What is wrong. An end tag that begins with a colon is nobody's. */
enum XML_Error rcpt_parser_error(XML_Parser parser);

#endif
