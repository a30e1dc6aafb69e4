/* SPDX-License-Identifier: MIT */
/* Facts as text, to be compared. */
#include "facts_text.h"

#include "fuzz.h"

void text_add(struct text *t, const char *bytes, size_t n)
{
	if (t->room - t->used < n) {
		t->room = 2 * (t->used + n);
		t->bytes = realloc(t->bytes, t->room);
		CHECK(t->bytes, "out of memory");
	}
	if (n)
		memcpy(t->bytes + t->used, bytes, n);
	t->used += n;
}

void text_add_number(struct text *t, uint64_t number)
{
	char digits[32];
	text_add(t, digits, (size_t)snprintf(digits, sizeof digits, "%llu ", (unsigned long long)number));
}

static void add_str(struct text *t, const char *name, struct rcpt_str s)
{
	if (!s.p)
		return;
	text_add(t, name, strlen(name));
	text_add_number(t, s.n);
	text_add(t, s.p, s.n);
	text_add(t, " ", 1);
}

void text_add_facts(struct text *t, const struct rcpt_facts *f, bool all)
{
	add_str(t, "id=", f->id);
	add_str(t, "from=", f->from);
	add_str(t, "to=", f->to);
	add_str(t, "type=", f->type);
	add_str(t, "received=", f->received_id);
	if (all)
		add_str(t, "stamp=", f->stamp);
	text_add_number(t, f->has & ~(all ? 0u : (unsigned)RCPT_HAS_MORE));
	text_add_number(t, f->problems);
}

bool text_equal(const struct text *a, const struct text *b)
{
	return a->used == b->used && (a->used == 0 || memcmp(a->bytes, b->bytes, a->used) == 0);
}

void text_free(struct text *t)
{
	free(t->bytes);
	*t = (struct text){.used = 0};
}
