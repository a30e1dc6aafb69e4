/* SPDX-License-Identifier: MIT */
/* The start tags of elements that are open, outermost first, so that another document can begin with them.
 *
 *   <stream:stream …> ⏎ <export …> ⏎      a line each: what is a line break in a tag is a space to XML
 */
#ifndef RCPT_TAGS_H
#define RCPT_TAGS_H

#include "str.h"

/* The struct is empty (zeros) before. */
struct rcpt_tags {
	char *text;
	size_t n, room;
	unsigned count;
};

void rcpt_tags_free(struct rcpt_tags *tags);
void rcpt_tags_clear(struct rcpt_tags *tags);

/* False when memory has run out. */
bool rcpt_tags_push(struct rcpt_tags *tags, struct rcpt_str tag);
/* The innermost goes; or the outermost. There is one. */
void rcpt_tags_pop(struct rcpt_tags *tags);
void rcpt_tags_shift(struct rcpt_tags *tags);

#endif
