/* SPDX-License-Identifier: MIT */
/* Where we are in an input: the lines and columns of XML_GetCurrentLineNumber() and XML_GetCurrentColumnNumber(), from 1, without
 * the time that Expat takes to count them byte by byte.
 */
#ifndef RCPT_LINES_H
#define RCPT_LINES_H

#include "xml.h"

struct rcpt_lines {
	struct rcpt_xml_position at;
	bool after_return; /* the byte before is a carriage return: a line feed makes one line break with it */
};

/* At the first byte of an input. */
void rcpt_lines_begin(struct rcpt_lines *lines);
/* Goes on behind the next `n` bytes. */
void rcpt_lines_advance(struct rcpt_lines *lines, const char *bytes, size_t n);

#endif
