/* SPDX-License-Identifier: MIT */
/* Facts as text, to be compared. */
#ifndef FACTS_TEXT_H
#define FACTS_TEXT_H

#include <stdint.h>

#include "facts.h"

struct text {
	char *bytes;
	size_t used, room;
};

void text_add(struct text *t, const char *bytes, size_t n);
void text_add_number(struct text *t, uint64_t number);
/* Appends the facts; RCPT_HAS_MORE and the stamp only with `all`, for not every reader looks for them. */
void text_add_facts(struct text *t, const struct rcpt_facts *f, bool all);
bool text_equal(const struct text *a, const struct text *b);
void text_free(struct text *t);

#endif
