/* SPDX-License-Identifier: MIT */
/* The start tags of elements that are open. */
#include "tags.h"

#include "mem.h"

void rcpt_tags_free(struct rcpt_tags *tags)
{
	rcpt_free(tags->text);
}

void rcpt_tags_clear(struct rcpt_tags *tags)
{
	tags->n = tags->count = 0;
}

bool rcpt_tags_push(struct rcpt_tags *tags, struct rcpt_str tag)
{
	void *text = tags->text;
	if (!rcpt_grow(&text, &tags->room, 1, tags->n + tag.n + 1))
		return false;
	tags->text = text;
	for (size_t i = 0; i < tag.n; i++) {
		if (tag.p[i] == '\n' && tag.p[i - 1] == '\r') /* one line break, and one space in a value */
			continue;
		const bool end_of_line = tag.p[i] == '\n' || tag.p[i] == '\r';
		tags->text[tags->n++] = (char)(end_of_line ? ' ' : tag.p[i]);
	}
	tags->text[tags->n++] = '\n';
	tags->count++;
	return true;
}

void rcpt_tags_pop(struct rcpt_tags *tags)
{
	do
		tags->n--;
	while (tags->n > 0 && tags->text[tags->n - 1] != '\n');
	tags->count--;
}

void rcpt_tags_shift(struct rcpt_tags *tags)
{
	const char *end = memchr(tags->text, '\n', tags->n);
	const size_t first = (size_t)(end - tags->text) + 1;
	tags->n -= first;
	memmove(tags->text, tags->text + first, tags->n);
	tags->count--;
}
