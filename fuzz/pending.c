/* SPDX-License-Identifier: MIT */
/* Operations on the pending table, each taken from a few bytes of the input: its invariants hold, and it says what a naive one
 * says. */
#include "pending.h"

#include "fuzz.h"
#include "mem.h"
#include "naive.h"

static char big[RCPT_JID_MAX + 2];
static char uuid[RCPT_UUID_BYTES]; /* as one of the ids is kept */

#define TEXT(literal)                                                                                                            \
	{                                                                                                                            \
		literal, sizeof(literal) - 1                                                                                             \
	}

static const struct rcpt_str requesters[] = {TEXT("a@h"),   TEXT("a@h/r"),       TEXT("b@h/r"),
											 TEXT("c@h"),   TEXT("d@h"),         TEXT("/r"),
											 TEXT("a\0@h"), {big, RCPT_JID_MAX}, {big, RCPT_JID_MAX + 1}};
static const struct rcpt_str asked[] = {
	TEXT("a@h"),         TEXT("x@h/r"),           TEXT("x@h"),   TEXT("r@muc"), TEXT("r@muc/n"), TEXT("r@muc/m"), TEXT(""),
	{big, RCPT_JID_MAX}, {big, RCPT_JID_MAX + 1}, TEXT("h/r@s"), TEXT("h")};
static const struct rcpt_str ids[] = {TEXT("1"),
									  TEXT("2"),
									  TEXT("3"),
									  TEXT("1\0"),
									  TEXT("a longer id, of some 30 bytes"),
									  TEXT(""),
									  {big, RCPT_ID_MAX},
									  {big, RCPT_ID_MAX + 1},
									  TEXT("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
									  TEXT("F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6"),
									  {uuid, RCPT_UUID_BYTES}};

#define PICK(input, list) (list)[next(input) % (sizeof(list) / sizeof *(list))]

/* The input, as it is used up. */
struct input {
	const uint8_t *at, *end;
};

static unsigned next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* What visits were shown. */
struct log {
	char text[1 << 15];
	size_t n;
};
static struct log real_log, naive_log;

/* All of a UUID; of what is longer the first bytes and the length tell the strings above from one another. */
static void note_str(struct log *log, struct rcpt_str s)
{
	const int shown = s.n < 40 ? (int)s.n : 8;
	log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "%zu:%.*s ", s.n, shown, s.p);
}

static bool note_down(void *ud, const struct rcpt_entry *e)
{
	struct log *log = ud;
	CHECK(log->n + 256 < sizeof log->text, "too much is shown");
	note_str(log, e->from);
	note_str(log, e->asked);
	note_str(log, e->id);
	log->n += (size_t)snprintf(log->text + log->n, sizeof log->text - log->n, "%f %d %u %d %d\n", e->time, (int)e->state,
							   e->flags, e->stored, e->keep);
	return true;
}

static void compare_logs(const char *what)
{
	CHECK(real_log.n == naive_log.n && memcmp(real_log.text, naive_log.text, real_log.n) == 0,
		  "%s shows\n%.*sand the naive one\n%.*s", what, (int)real_log.n, real_log.text, (int)naive_log.n, naive_log.text);
	real_log.n = naive_log.n = 0;
}

static struct rcpt_pending_limits some_limits(struct input *in)
{
	return (struct rcpt_pending_limits){1 + next(in) % 30, 1 + next(in) % 12, next(in) % 8 * 50, next(in) % 8 * 20};
}

static const unsigned some_flags[] = {
	0, 1, 4, RCPT_INJECTED, RCPT_INJECTED | 1, RCPT_OCCUPANT, RCPT_OCCUPANT | RCPT_INJECTED | 3};
static const double steps[] = {0, 1 / 64., 0.3, 1, 10, 50, 100, 400, 100000, -0.3, -10, -400, -100000};

/* By more than 2^31 and 2^32 ticks, which are 388 and 777 days; and from 1970 on, or to there. */
static const double leaps[] = {33554432, 33600000,  67108864,  67200000,    1700000000,
							   2e11,     -33600000, -67200000, -1700000000, -2e11};
#define LEAPS_FROM 0xd0u /* bytes below it are steps */

static double move_clock(struct input *in, double now)
{
	const unsigned byte = next(in);
	const double by = byte < LEAPS_FROM ? steps[byte % (sizeof steps / sizeof *steps)]
										: leaps[(byte - LEAPS_FROM) % (sizeof leaps / sizeof *leaps)];
	const double then = now + by;
	return then >= 0 && then < RCPT_TIME_MAX ? then : now;
}

static void compare_answers(unsigned ours, unsigned theirs, const struct rcpt_answer *a, const struct rcpt_answer *b)
{
	CHECK(ours == theirs, "%u, and the naive one says %u", ours, theirs);
	CHECK(a->age == b->age && a->flags == b->flags, "age %f, flags %u, and the naive one says %f, %u", a->age, a->flags, b->age,
		  b->flags);
}

struct both {
	struct rcpt_pending *ours;
	struct naive naive;
	double now;
	bool short_of_memory;
};

/* An operation that adds may find no memory: then nothing has happened, and the naive table is not asked. */
static bool refused(const struct both *b, enum rcpt_status status)
{
	CHECK(status != RCPT_NO_MEMORY || b->short_of_memory, "out of memory");
	return status == RCPT_NO_MEMORY;
}

static void add(struct both *b, struct input *in)
{
	const struct rcpt_str from = PICK(in, requesters), to = PICK(in, asked), id = PICK(in, ids);
	const unsigned flags = PICK(in, some_flags);
	const enum rcpt_status status = rcpt_pending_add(b->ours, from, to, id, b->now, flags);
	if (!refused(b, status)) {
		const enum rcpt_status expected = naive_add(&b->naive, from, to, id, b->now, flags);
		CHECK(status == expected, "add: %d, and the naive one says %d", (int)status, (int)expected);
	}
	compare_logs("add");
}

static void put(struct both *b, struct input *in)
{
	struct rcpt_entry e = {.from = PICK(in, requesters), .asked = PICK(in, asked), .id = PICK(in, ids)};
	e.time = move_clock(in, b->now);
	const unsigned how = next(in);
	e.state = (enum rcpt_state)(how % 3);
	e.stored = how / 3 % 2 == 0;
	e.flags = PICK(in, some_flags);
	const enum rcpt_status status = rcpt_pending_put(b->ours, &e, b->now);
	if (!refused(b, status)) {
		const enum rcpt_status expected = naive_put(&b->naive, &e, b->now);
		CHECK(status == expected, "put: %d, and the naive one says %d", (int)status, (int)expected);
	}
	compare_logs("put");
}

static void answer(struct both *b, struct input *in, bool bounce)
{
	const struct rcpt_str from = PICK(in, requesters), to = PICK(in, asked), id = PICK(in, ids);
	struct rcpt_answer ours = {0}, theirs = {0};
	if (bounce)
		compare_answers(rcpt_pending_fail(b->ours, from, to, id, b->now, &ours),
						naive_fail(&b->naive, from, to, id, b->now, &theirs), &ours, &theirs);
	else
		compare_answers(rcpt_pending_match(b->ours, from, to, id, b->now, &ours),
						naive_match(&b->naive, from, to, id, b->now, &theirs), &ours, &theirs);
}

/* Those of one requester, or of all. */
static struct rcpt_str whose(struct input *in)
{
	return next(in) % 2 ? PICK(in, requesters) : RCPT_STR("");
}

static void expire(struct both *b, struct input *in)
{
	const struct rcpt_str from = whose(in);
	const uint32_t max = 1 + next(in) % 40;
	const uint32_t ours = rcpt_pending_expire(b->ours, from, b->now, max, note_down, &real_log);
	const uint32_t theirs = naive_expire(&b->naive, from, b->now, max, note_down, &naive_log);
	CHECK(ours == theirs, "expire: %u, and the naive one says %u", ours, theirs);
	compare_logs("expire");
}

static void overdue(struct both *b, struct input *in)
{
	const struct rcpt_str from = whose(in);
	const double age = PICK(in, steps);
	const uint32_t max = 1 + next(in) % 40;
	const uint32_t ours = rcpt_pending_overdue(b->ours, from, b->now, age, max, note_down, &real_log);
	const uint32_t theirs = naive_overdue(&b->naive, from, b->now, age, max, note_down, &naive_log);
	CHECK(ours == theirs, "overdue: %u, and the naive one says %u", ours, theirs);
	compare_logs("overdue");
}

static void write_out(struct both *b, struct input *in)
{
	const bool written = next(in) % 4;
	const double young = next(in) % 4 * 5;
	const struct rcpt_str ours = rcpt_pending_changed(b->ours, b->now, young, note_down, &real_log);
	const struct rcpt_str theirs = naive_changed(&b->naive, b->now, young, note_down, &naive_log);
	CHECK(rcpt_str_eq(ours, theirs), "changed: %.*s, and the naive one says %.*s", (int)ours.n, ours.p, (int)theirs.n, theirs.p);
	compare_logs("changed");
	rcpt_pending_saved(b->ours, written);
	naive_saved(&b->naive, written);
}

static void operate(struct both *b, struct input *in)
{
	struct rcpt_str from;
	switch (next(in) % 12) {
	default:
		add(b, in);
		break;
	case 1:
		put(b, in);
		break;
	case 2:
	case 3:
		answer(b, in, false);
		break;
	case 4:
		answer(b, in, true);
		break;
	case 5:
		expire(b, in);
		break;
	case 6:
		overdue(b, in);
		break;
	case 7:
		write_out(b, in);
		break;
	case 8:
		from = PICK(in, requesters);
		CHECK(rcpt_pending_forget(b->ours, from) == naive_forget(&b->naive, from), "forget: not as many");
		break;
	case 9:
		b->naive.limits = some_limits(in);
		rcpt_pending_limit(b->ours, &b->naive.limits);
		break;
	case 10:
		b->now = move_clock(in, b->now);
		break;
	case 11:
		b->short_of_memory = true;
		rcpt_mem_fail_after(next(in) % 8);
		operate(b, in);
		rcpt_mem_fail_after(-1);
		b->short_of_memory = false;
		break;
	}
}

/* What both say of all that they hold. */
static void compare(const struct both *b)
{
	const char *broken = rcpt_pending_check(b->ours);
	CHECK(!broken, "%s", broken);
	CHECK(rcpt_pending_count(b->ours) == naive_count(&b->naive, RCPT_STR("")), "another count");
	for (size_t i = 0; i < sizeof requesters / sizeof *requesters; i++) {
		CHECK(rcpt_pending_count_of(b->ours, requesters[i]) == naive_count(&b->naive, requesters[i]),
			  "another count of one requester");
		rcpt_pending_each(b->ours, requesters[i], true, note_down, &real_log);
		naive_each(&b->naive, requesters[i], true, note_down, &naive_log);
		compare_logs("each");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct rcpt_key key = {1, 2};
	struct input in = {data, data + n};
	struct both b = {.now = 1700000000};
	memset(big, 'x', sizeof big);
	rcpt_uuid_pack((struct rcpt_str)TEXT("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"), uuid);
	const struct rcpt_pending_limits limits = some_limits(&in);
	b.ours = rcpt_pending_new(&limits, &key);
	naive_init(&b.naive, &limits);
	if (next(&in) % 4) {
		rcpt_pending_journal(b.ours, note_down, &real_log);
		naive_journal(&b.naive, note_down, &naive_log);
	}
	while (in.at < in.end) {
		operate(&b, &in);
		compare(&b);
	}
	rcpt_pending_free(b.ours);
	CHECK(rcpt_mem_held() == 0, "%zu blocks are leaked", rcpt_mem_held());
	return 0;
}
