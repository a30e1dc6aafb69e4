/* SPDX-License-Identifier: MIT */
/* pending-pause: the most that one operation of the pending table touches, while the table grows from nothing, acks, evicts,
 * evicts under a lower limit, expires everything, and gives its buckets back. Not a clock, which would tell what else the machine
 * has to do, but a count of the slots and blocks that were read or written, each once in an operation: hash slots, nodes walked
 * over or moved, entries and JIDs (the neighbours in their lists and all that is evicted included), descriptors of pages.
 *
 * An operation is an add, a match, or the expiry of one entry: expire's `max` says how many of those its caller waits for. What
 * its default of 64 comes to is counted apart.
 *
 *   pending_pause ENTRIES      prints the most of one operation, the mean of adds and matches, the most of an expire of 64
 */
#include <stdio.h>
#include <stdlib.h>

#include "pending.h"
#include "touch.h"

/* What the operation has touched so far. */
enum { LIMIT = 4096 };
static const void *touched[LIMIT];
static size_t count;

void rcpt_touch(const void *what)
{
	for (size_t i = count; i > 0; i--)
		if (touched[i - 1] == what)
			return;
	if (count < LIMIT)
		touched[count++] = what;
}

struct load {
	struct rcpt_pending *t;
	unsigned long users, operations, sum, most;
};

/* Ends an operation. */
static void note(struct load *l, enum rcpt_status status)
{
	if (status != RCPT_OK || count == LIMIT) {
		fprintf(stderr, "operation %lu: status %d, %zu touched\n", l->operations, (int)status, count);
		exit(1);
	}
	l->operations++;
	l->sum += count;
	if (count > l->most)
		l->most = count;
	count = 0;
}

struct text {
	char bytes[64];
	struct rcpt_str str;
};

static void jid(struct text *text, unsigned long n)
{
	const int len = snprintf(text->bytes, sizeof text->bytes, "user%07lu@example.net.x", n);
	text->str = (struct rcpt_str){text->bytes, (size_t)len};
}

/* What message n is, always the same. */
static void message(const struct load *l, unsigned long n, struct text *from, struct text *to, struct text *id)
{
	const uint64_t mixed = n * 0x9E3779B97F4A7C15u;
	jid(from, (unsigned long)(mixed >> 33) % l->users);
	jid(to, (unsigned long)(mixed >> 13) % l->users);
	const int len =
		snprintf(id->bytes, sizeof id->bytes, "%08x-5eed-4184-a%03x-%012lx", (unsigned)(mixed >> 32), (unsigned)mixed & 0xfff, n);
	id->str = (struct rcpt_str){id->bytes, (size_t)len};
}

static void add(struct load *l, unsigned long n, double now)
{
	struct text from, to, id;
	message(l, n, &from, &to, &id);
	note(l, rcpt_pending_add(l->t, from.str, to.str, id.str, now, 0));
}

static void match(struct load *l, unsigned long n, double now)
{
	struct text from, to, id;
	struct rcpt_answer answer;
	message(l, n, &from, &to, &id);
	const enum rcpt_verdict verdict = rcpt_pending_match(l->t, from.str, to.str, id.str, now, &answer);
	note(l, verdict == RCPT_DELIVERED ? RCPT_OK : RCPT_KNOWN);
}

/* Expires by `max` until `left` calls are made or nothing is left. Returns the most that a call touched. */
static unsigned long expire(struct load *l, double now, uint32_t max, unsigned long left)
{
	struct load calls = {.t = l->t};
	uint32_t done = max;
	for (; left > 0 && done == max; left--) {
		done = rcpt_pending_expire(l->t, RCPT_STR(""), now, max, NULL, NULL);
		note(&calls, RCPT_OK);
	}
	return calls.most;
}

/* From nothing to full; three in four messages are acked. */
static void grow(struct load *l, unsigned long entries)
{
	for (unsigned long n = 0; n < entries; n++) {
		add(l, n, 0);
		if (n % 4 != 0)
			match(l, n / 4 * 3 + n % 4 - 1, 0);
	}
}

/* The table is full: first the oldest goes for each, then, under lower limits, two do, until buckets are given back. */
static void evict(struct load *l, unsigned long entries, struct rcpt_pending_limits limits)
{
	for (unsigned long n = entries; n < entries + entries / 20; n++)
		add(l, n, 1);
	limits.capacity = (uint32_t)(entries / 10 * 3);
	limits.per_user = 12; /* they have 10 in the mean */
	rcpt_pending_limit(l->t, &limits);
	for (unsigned long n = entries * 2; n < entries * 2 + entries / 10 * 8; n++) {
		add(l, n, 2);
		match(l, n, 2);
	}
}

int main(int argc, char **argv)
{
	const unsigned long entries = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct rcpt_key key;
	if (entries < 1000 || entries > RCPT_CAPACITY_MAX || !rcpt_key_random(&key))
		return 2;
	struct rcpt_pending_limits limits = {(uint32_t)entries, 1000, 1000, 1000};
	struct load l = {.t = rcpt_pending_new(&limits, &key), .users = entries / 10};
	if (!l.t)
		return 2;
	count = 0;

	grow(&l, entries);
	evict(&l, entries, limits);
	const double mean = (double)l.sum / (double)l.operations;
	const unsigned long of_64 = expire(&l, 2000, 64, entries / 2 / 64);
	const unsigned long of_1 = expire(&l, 2000, 1, entries);
	if (rcpt_pending_count(l.t) != 0 || rcpt_pending_check(l.t)) {
		fprintf(stderr, "the table is not empty, or not sound\n");
		return 1;
	}
	rcpt_pending_free(l.t);
	printf("%lu %.1f %lu\n", of_1 > l.most ? of_1 : l.most, mean, of_64);
	return 0;
}
