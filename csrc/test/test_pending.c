/* SPDX-License-Identifier: MIT */
/* The pending table: its rules one by one, then random operations against a naive table, then memory running out. */
#include "cmocka_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "mem.h"
#include "pending.h"
#include "pending_table.h"

static const struct rcpt_key key = {0x0123456789abcdef, 0xfedcba9876543210};

static struct rcpt_str text(const char *s)
{
	return (struct rcpt_str){s, strlen(s)};
}

static struct rcpt_pending *make(uint32_t capacity, uint32_t per_user, double ttl, double remember)
{
	const struct rcpt_pending_limits limits = {capacity, per_user, ttl, remember};
	struct rcpt_pending *t = rcpt_pending_new(&limits, &key);
	assert_non_null(t);
	return t;
}

#define ALL text("")
#define DAY 86400

static enum rcpt_status add(struct rcpt_pending *t, const char *from, const char *to, const char *id, double now)
{
	return rcpt_pending_add(t, text(from), text(to), text(id), now, 0);
}

static struct rcpt_answer answer;

static enum rcpt_verdict match(struct rcpt_pending *t, const char *from, const char *to, const char *id, double now)
{
	return rcpt_pending_match(t, text(from), text(to), text(id), now, &answer);
}

static void sound(const struct rcpt_pending *t)
{
	const char *broken = rcpt_pending_check(t);
	if (broken)
		fail_msg("%s", broken);
}

static void matches_on_bare_jids_and_id(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	assert_int_equal(add(t, "a@h/1", "b@h/2", "x", 1000), RCPT_OK);
	assert_int_equal(add(t, "a@h", "b@h", "x", 1001), RCPT_KNOWN);
	assert_int_equal(match(t, "a@h/9", "c@h", "x", 1002), RCPT_FORGED);
	assert_int_equal(match(t, "a@h", "b@h", "X", 1002), RCPT_UNKNOWN);
	assert_int_equal(match(t, "b@h", "a@h", "x", 1002), RCPT_UNKNOWN);
	assert_int_equal(rcpt_pending_count(t), 1);
	assert_int_equal(match(t, "a@h/9", "b@h/9", "x", 1002.5), RCPT_DELIVERED);
	assert_true(answer.age == 2.5);
	assert_int_equal(rcpt_pending_count(t), 0);
	assert_int_equal(match(t, "a@h", "b@h/3", "x", 1003), RCPT_DUPLICATE);
	assert_int_equal(match(t, "a@h", "c@h", "x", 1003), RCPT_UNKNOWN); /* nothing is awaited any more */
	sound(t);
	rcpt_pending_free(t);
}

static void one_id_asked_of_several(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	add(t, "a@h", "b@h", "1", 0);
	add(t, "a@h", "c@h", "1", 0);
	add(t, "z@h", "d@h", "1", 0);
	assert_int_equal(match(t, "a@h", "d@h", "1", 1), RCPT_FORGED);
	assert_int_equal(match(t, "a@h", "c@h", "1", 1), RCPT_DELIVERED);
	assert_int_equal(match(t, "a@h", "b@h", "1", 1), RCPT_DELIVERED);
	assert_int_equal(match(t, "z@h", "d@h", "1", 1), RCPT_DELIVERED);
	rcpt_pending_free(t);
}

static void occupants_match_in_full(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("room@muc/nick"), text("1"), 0, RCPT_OCCUPANT), RCPT_OK);
	assert_int_equal(match(t, "a@h", "room@muc/other", "1", 1), RCPT_FORGED);
	assert_int_equal(match(t, "a@h", "room@muc", "1", 1), RCPT_FORGED);
	assert_int_equal(match(t, "a@h", "room@muc/nick", "1", 1), RCPT_DELIVERED);
	rcpt_pending_free(t);
}

/* fuzz/regressions/store/4: the room and its occupant became one entry, which the occupant's ack did not match. */
static void without_a_nick_it_is_no_occupant(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("r@muc"), text("1"), 0, RCPT_OCCUPANT), RCPT_OK);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("r@muc/n"), text("1"), 0, 0), RCPT_KNOWN);
	assert_int_equal(match(t, "a@h", "r@muc/n", "1", 1), RCPT_DELIVERED);
	assert_int_equal(answer.flags & RCPT_OCCUPANT, 0);
	const struct rcpt_entry e = {.from = text("a@h"), .asked = text("r@muc"), .id = text("2"), .time = 1, .flags = RCPT_OCCUPANT};
	assert_int_equal(rcpt_pending_put(t, &e, 2), RCPT_OK);
	assert_int_equal(match(t, "a@h", "r@muc/n", "2", 3), RCPT_DELIVERED);
	rcpt_pending_free(t);
}

/* It may hand the message to others, who answer. */
static void nothing_is_forged_where_a_host_was_asked(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	add(t, "a@h", "multicast.h/r@s", "1", 0);
	add(t, "a@h", "b@h", "1", 0);
	add(t, "a@h", "b@h", "2", 0);
	assert_int_equal(match(t, "a@h", "c@h", "1", 1), RCPT_FORGED);
	assert_int_equal(match(t, "a@h", "b@h", "1", 1), RCPT_DELIVERED);
	assert_int_equal(match(t, "a@h", "c@h", "1", 1), RCPT_UNKNOWN);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("multicast.h/r@s"), text("3"), 0, RCPT_OCCUPANT), RCPT_OK);
	assert_int_equal(match(t, "a@h", "c@h", "3", 1), RCPT_UNKNOWN);
	assert_int_equal(match(t, "a@h", "multicast.h/r@s", "3", 1), RCPT_DELIVERED);
	assert_int_equal(match(t, "a@h", "multicast.h", "1", 1), RCPT_DELIVERED);
	assert_int_equal(match(t, "a@h", "c@h", "2", 1), RCPT_FORGED);
	sound(t);
	rcpt_pending_free(t);
}

static void failed_is_not_the_last_word(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	add(t, "a@h", "b@h", "1", 0);
	assert_false(rcpt_pending_fail(t, text("a@h"), text("c@h"), text("1"), 1, &answer));
	assert_true(rcpt_pending_fail(t, text("a@h/r"), text("b@h/s"), text("1"), 1, &answer));
	assert_false(rcpt_pending_fail(t, text("a@h"), text("b@h"), text("1"), 1, &answer));
	assert_int_equal(match(t, "a@h", "c@h", "1", 1), RCPT_FORGED);
	assert_int_equal(match(t, "a@h", "b@h", "1", 2), RCPT_DELIVERED);
	assert_false(rcpt_pending_fail(t, text("a@h"), text("b@h"), text("1"), 1, &answer));
	rcpt_pending_free(t);
}

static void an_answered_id_can_be_asked_again(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	add(t, "a@h", "b@h", "1", 0);
	match(t, "a@h", "b@h", "1", 1);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("b@h"), text("1"), 5, RCPT_INJECTED), RCPT_OK);
	assert_int_equal(match(t, "a@h", "b@h", "1", 7), RCPT_DELIVERED);
	assert_true(answer.age == 2);
	assert_int_equal(answer.flags, RCPT_INJECTED);
	sound(t);
	rcpt_pending_free(t);
}

static void a_user_over_quota_loses_their_own_oldest(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(100, 3, 100, 10);
	add(t, "b@h", "x@h", "old", 0);
	add(t, "a@h", "x@h", "1", 1);
	add(t, "a@h", "x@h", "2", 2);
	add(t, "a@h", "x@h", "3", 3);
	match(t, "a@h", "x@h", "3", 4);
	match(t, "a@h", "x@h", "2", 5);
	add(t, "a@h", "x@h", "4", 6);
	assert_int_equal(match(t, "a@h", "x@h", "3", 7), RCPT_UNKNOWN); /* nobody awaits that any more: it was delivered first */
	assert_int_equal(match(t, "a@h", "x@h", "2", 7), RCPT_DUPLICATE);
	add(t, "a@h", "x@h", "5", 7);
	add(t, "a@h", "x@h", "6", 8);
	assert_int_equal(match(t, "a@h", "x@h", "2", 8), RCPT_UNKNOWN);
	assert_int_equal(match(t, "a@h", "x@h", "1", 8), RCPT_UNKNOWN); /* all three are awaited: so the oldest of them */
	assert_int_equal(rcpt_pending_count_of(t, text("a@h/x")), 3);
	assert_int_equal(match(t, "b@h", "x@h", "old", 9), RCPT_DELIVERED);
	sound(t);
	rcpt_pending_free(t);
}

struct seen {
	int n;
	char ids[256];
};

static bool see(void *ud, const struct rcpt_entry *e)
{
	struct seen *seen = ud;
	seen->n++;
	strncat(seen->ids, e->id.p, e->id.n);
	return true;
}

static bool bounce(struct rcpt_pending *t, const char *from, const char *id, double now)
{
	return rcpt_pending_fail(t, text(from), text("x@h"), text(id), now, &answer);
}

/* In the order of their bounces, after what was delivered and before what is awaited; and in a full table whosever it is. */
static void what_has_failed_makes_room_for_others(void **state)
{
	(void)state;
	for (int whole = 0; whole < 2; whole++) {
		struct rcpt_pending *t = make(whole ? 8 : 100, whole ? 100 : 8, 100, 10);
		for (char id[] = "1"; id[0] <= '8'; id[0]++)
			add(t, "a@h", "x@h", id, id[0] - '0');
		for (const char *id = "364"; *id; id++) {
			assert_true(bounce(t, "a@h", (char[]){*id, 0}, 9));
			sound(t);
		}
		match(t, "a@h", "x@h", "5", 9);
		match(t, "a@h", "x@h", "6", 9); /* an ack wins over the bounce */
		assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 6);
		char id[] = "a";
		for (const char *gone = "5634"; *gone; gone++, id[0]++) {
			enum rcpt_state what;
			assert_true(rcpt_pending_state(t, text("a@h"), text("x@h"), (struct rcpt_str){gone, 1}, &what));
			assert_int_equal(add(t, whole ? "b@h" : "a@h", "x@h", id, 10), RCPT_OK);
			assert_false(rcpt_pending_state(t, text("a@h"), text("x@h"), (struct rcpt_str){gone, 1}, &what));
			sound(t);
		}
		assert_int_equal(add(t, "c@h", "x@h", "1", 10), whole ? RCPT_FULL : RCPT_OK);
		assert_int_equal(match(t, "a@h", "x@h", "1", 11), RCPT_DELIVERED);
		sound(t);
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

/* The first, one within, the last, the only one: when they are answered, asked again, and put back. */
static void what_has_failed_stays_in_order(void **state)
{
	(void)state;
	for (int how = 0; how < 2; how++)
		for (const char *leaves = "1234"; *leaves; leaves++) {
			struct rcpt_pending *t = make(10, 10, 100, 10);
			struct seen seen = {0};
			for (char id[] = "1"; id[0] <= '5'; id[0]++)
				add(t, "a@h", "x@h", id, 1);
			for (char id[] = "1"; id[0] <= '4'; id[0]++)
				bounce(t, "a@h", id, 1);
			for (const char *id = leaves; *id; id++) {
				if (how == 0)
					match(t, "a@h", "x@h", (char[]){*id, 0}, 2);
				else
					add(t, "a@h", "x@h", (char[]){*id, 0}, 2);
				sound(t);
			}
			const struct rcpt_entry e = {
				.from = text("a@h"), .asked = text("x@h"), .id = text("0"), .time = 0, .state = RCPT_FAILED};
			assert_int_equal(rcpt_pending_put(t, &e, 3), RCPT_OK);
			sound(t);
			rcpt_pending_each(t, text("a@h"), true, see, &seen);
			char expected[8] = "0";
			strncat(expected, "1234", (size_t)(leaves[0] - '1'));
			strcat(expected, "5");
			strcat(expected, leaves);
			assert_string_equal(seen.ids, expected);
			rcpt_pending_free(t);
		}
	assert_int_equal(rcpt_mem_held(), 0);
}

/* And a bounce that came late may hold it up for as long. */
static void what_has_failed_expires_from_when_it_was_asked(void **state)
{
	(void)state;
	for (int who = 0; who < 2; who++) {
		struct rcpt_pending *t = make(10, 10, 100, 10);
		struct seen seen = {0};
		for (char id[] = "1"; id[0] <= '4'; id[0]++)
			add(t, "a@h", "x@h", id, id[0] - '0');
		bounce(t, "a@h", "1", 50);
		bounce(t, "a@h", "3", 51);
		bounce(t, "a@h", "2", 52);
		const struct rcpt_str whose = text(who ? "a@h" : "");
		assert_int_equal(rcpt_pending_expire(t, whose, 100.5, 10, see, &seen), 0);
		assert_int_equal(rcpt_pending_expire(t, whose, 101, 10, see, &seen), 1);
		assert_int_equal(rcpt_pending_expire(t, whose, 102, 10, see, &seen), 0);
		assert_int_equal(rcpt_pending_expire(t, whose, 103, 1, see, &seen), 1);
		assert_int_equal(rcpt_pending_expire(t, whose, 104, 10, see, &seen), 2);
		assert_string_equal(seen.ids, "1342");
		sound(t);
		add(t, "a@h", "x@h", "5", 1000);
		add(t, "a@h", "x@h", "6", 1000);
		bounce(t, "a@h", "5", 1000);
		bounce(t, "a@h", "6", 1000);
		assert_int_equal(rcpt_pending_expire(t, whose, 200, 10, see, &seen), 2); /* the clock has stepped back */
		sound(t);
		assert_int_equal(rcpt_pending_expire(t, whose, 300, 10, see, &seen), 2);
		assert_string_equal(seen.ids, "134256");
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

/* Nor is what is put back in front of it, however old that is. */
static void what_has_failed_is_not_overdue(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	struct seen seen = {0};
	add(t, "a@h", "x@h", "1", 5);
	bounce(t, "a@h", "1", 6);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 50, 10, 10, see, &seen), 0);
	assert_int_equal(rcpt_pending_overdue(t, text("a@h"), 50, 10, 10, see, &seen), 0);
	const struct rcpt_entry e = {.from = text("a@h"), .asked = text("x@h"), .id = text("2"), .time = 1};
	assert_int_equal(rcpt_pending_put(t, &e, 50), RCPT_OK);
	sound(t);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 50, 10, 10, see, &seen), 1);
	rcpt_pending_each(t, text("a@h"), false, see, &seen);
	assert_string_equal(seen.ids, "221");
	rcpt_pending_free(t);
}

static void a_full_table_gives_up_nobody_elses(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(3, 3, 100, 10);
	add(t, "a@h", "x@h", "1", 1);
	add(t, "b@h", "x@h", "1", 2);
	add(t, "b@h", "x@h", "2", 3);
	assert_int_equal(add(t, "c@h", "x@h", "1", 4), RCPT_FULL);
	sound(t);
	assert_int_equal(add(t, "b@h", "x@h", "3", 5), RCPT_OK); /* at the cost of b's first */
	assert_int_equal(match(t, "b@h", "x@h", "1", 6), RCPT_UNKNOWN);
	assert_int_equal(match(t, "a@h", "x@h", "1", 6), RCPT_DELIVERED);
	assert_int_equal(add(t, "c@h", "x@h", "1", 7), RCPT_OK); /* at the cost of what is delivered */
	assert_int_equal(rcpt_pending_count(t), 3);
	sound(t);
	rcpt_pending_free(t);
}

/* Two make room for one, no more: an add takes no longer for it. */
static void lower_limits_hold_as_the_table_is_used(void **state)
{
	(void)state;
	static const struct rcpt_pending_limits lower[] = {{100, 10, 100, 10}, {10, 100, 100, 10}};
	for (size_t which = 0; which < 2; which++) {
		struct rcpt_pending *t = make(100, 100, 100, 10);
		char id[16];
		for (int i = 0; i < 100; i++) {
			if (i == 50)
				rcpt_pending_limit(t, &lower[which]);
			snprintf(id, sizeof id, "%d", i);
			assert_int_equal(add(t, "a@h", "x@h", id, i), RCPT_OK);
			assert_int_equal(rcpt_pending_count(t), i < 50 ? i + 1 : i < 90 ? 99 - i : 10);
		}
		sound(t);
		rcpt_pending_free(t);
	}
}

static void expiry_goes_in_steps_oldest_first(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(100, 100, 10, 2);
	struct seen seen = {0};
	add(t, "a@h", "x@h", "1", 0);
	add(t, "b@h", "x@h", "2", 1);
	add(t, "a@h", "x@h", "3", 2);
	add(t, "a@h", "x@h", "4", 3);
	match(t, "a@h", "x@h", "4", 4);
	assert_int_equal(rcpt_pending_expire(t, ALL, 5, 10, see, &seen), 0);
	assert_int_equal(rcpt_pending_expire(t, ALL, 11, 2, see, &seen), 2);
	assert_string_equal(seen.ids, "12");
	assert_int_equal(rcpt_pending_expire(t, ALL, 12, 10, see, &seen), 2);
	assert_string_equal(seen.ids, "1234");
	assert_int_equal(rcpt_pending_count(t), 0);
	/* A step has one length for both kinds; and what has no time is over it at once. */
	rcpt_pending_limit(t, &(struct rcpt_pending_limits){100, 100, 0, 0});
	for (int i = 0; i < 6; i++) {
		char id[2] = {(char)('0' + i), 0};
		add(t, "a@h", "x@h", id, 20);
		if (i >= 2)
			match(t, "a@h", "x@h", id, 20);
	}
	assert_int_equal(rcpt_pending_expire(t, text("z"), 20, 10, see, &seen), 0);
	assert_int_equal(rcpt_pending_expire(t, ALL, 20, 3, see, &seen), 3);
	assert_int_equal(rcpt_pending_expire(t, ALL, 20, 3, see, &seen), 3);
	assert_string_equal(seen.ids, "1234012345");
	sound(t);
	rcpt_pending_free(t);
}

static void a_clock_that_steps_back_stops_nothing(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(100, 100, 10, 2);
	struct seen seen = {0};
	add(t, "a@h", "x@h", "1", 1000000);
	add(t, "a@h", "x@h", "2", 10);
	rcpt_pending_each(t, text("a@h"), false, see, &seen);
	assert_string_equal(seen.ids, "12"); /* as they came: none is put in its order, which would take long */
	add(t, "b@h", "x@h", "3", 11);
	add(t, "b@h", "x@h", "4", 11);
	match(t, "b@h", "x@h", "3", 1000000);
	match(t, "b@h", "x@h", "4", 11);
	rcpt_pending_each(t, text("b@h"), true, see, &seen);
	assert_string_equal(seen.ids, "1234");
	assert_int_equal(rcpt_pending_forget(t, text("b@h")), 2);
	assert_int_equal(match(t, "a@h", "x@h", "1", 11), RCPT_DELIVERED);
	assert_true(answer.age == 0);
	add(t, "a@h", "x@h", "3", 1000000);
	add(t, "a@h", "x@h", "4", 12);
	assert_int_equal(rcpt_pending_expire(t, ALL, 20, 10, NULL, NULL), 3); /* "1" forgotten, "2" expired, "3" put behind "4" */
	assert_int_equal(rcpt_pending_expire(t, ALL, 22, 10, NULL, NULL), 1);
	assert_int_equal(rcpt_pending_expire(t, ALL, 30, 10, NULL, NULL), 1);
	assert_int_equal(rcpt_pending_count(t), 0);
	sound(t);
	rcpt_pending_free(t);
}

/* Ahead by days and by centuries: a machine that boots in 1970 is set by NTP, or to a year that is none. */
static void a_clock_that_leaps_ages_all_that_is_older(void **state)
{
	(void)state;
	const double leaps[] = {388.36 * DAY, 400 * DAY, 776.8 * DAY, 777 * DAY, 20000. * DAY, RCPT_TIME_MAX - 1};
	for (size_t i = 0; i < sizeof leaps / sizeof *leaps; i++) {
		struct rcpt_pending *t = make(100, 100, RCPT_SPAN_MAX, RCPT_SPAN_MAX);
		struct seen seen = {0};
		add(t, "a@h", "x@h", "1", 0);
		add(t, "a@h", "x@h", "2", 1);
		add(t, "a@h", "x@h", "3", 1);
		add(t, "a@h", "x@h", "4", 1);
		match(t, "a@h", "x@h", "3", 1);
		const double now = 1 + leaps[i];
		assert_int_equal(match(t, "a@h", "x@h", "4", now), RCPT_DELIVERED);
		assert_true(answer.age > leaps[i] - 1 && answer.age <= leaps[i]);
		assert_int_equal(match(t, "a@h", "x@h", "3", now), RCPT_DUPLICATE);
		assert_true(answer.age > leaps[i] - 1 && answer.age <= leaps[i]);
		assert_int_equal(rcpt_pending_overdue(t, ALL, now, RCPT_SPAN_MAX, 10, see, &seen), 2);
		assert_int_equal(rcpt_pending_expire(t, ALL, now, 1, see, &seen), 1);
		assert_string_equal(seen.ids, "121");
		assert_int_equal(rcpt_pending_expire(t, text("a@h"), now, 10, see, &seen), 2);
		assert_string_equal(seen.ids, "12123");
		assert_int_equal(add(t, "a@h", "x@h", "5", now), RCPT_OK);
		assert_int_equal(rcpt_pending_expire(t, ALL, 10, 10, NULL, NULL),
						 2); /* "4" and "5" have come from the future: from now on */
		assert_int_equal(rcpt_pending_expire(t, ALL, 10 + RCPT_SPAN_MAX, 10, NULL, NULL), 2);
		sound(t);
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

static void long_ids_and_addresses(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	static char big[4000];
	memset(big, 'x', sizeof big);
	const struct rcpt_str id = {big, RCPT_ID_MAX}, too_long = {big, RCPT_ID_MAX + 1}, jid = {big, RCPT_JID_MAX};
	const struct rcpt_str long_jid = {big, RCPT_JID_MAX + 1};
	assert_int_equal(rcpt_pending_add(t, jid, jid, id, 0, 0), RCPT_OK);
	assert_int_equal(rcpt_pending_add(t, jid, jid, too_long, 0, 0), RCPT_TOO_LONG);
	assert_int_equal(rcpt_pending_add(t, long_jid, jid, id, 0, 0), RCPT_TOO_LONG);
	assert_int_equal(rcpt_pending_add(t, jid, long_jid, id, 0, 0), RCPT_TOO_LONG);
	assert_int_equal(add(t, "a@h", "b@h", "", 0), RCPT_TOO_LONG);
	assert_int_equal(add(t, "", "b@h", "1", 0), RCPT_TOO_LONG);
	assert_int_equal(rcpt_pending_match(t, jid, jid, too_long, 0, &answer), RCPT_UNKNOWN);
	assert_int_equal(rcpt_pending_match(t, jid, jid, id, 0, &answer), RCPT_DELIVERED);
	sound(t);
	rcpt_pending_free(t);
}

/* An entry for somebody whose address has so many bytes, its id included. */
static enum rcpt_status add_long(struct rcpt_pending *t, const char *id, size_t bytes, double now)
{
	static char big[RCPT_JID_MAX];
	memset(big, 'x', sizeof big);
	return rcpt_pending_add(t, text("a@h"), (struct rcpt_str){big, bytes - strlen(id)}, text(id), now, 0);
}

/* As many as their number allows have 256 bytes each, the address and the id as text. */
static void long_entries_of_a_user_are_fewer(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(100, 10, 100, 10);
	add(t, "b@h", "x@h", "old", 0);
	char id[64];
	for (int i = 10; i < 30; i++) {
		snprintf(id, sizeof id, "%d", i);
		assert_int_equal(add_long(t, id, 256, i), RCPT_OK);
		assert_int_equal(rcpt_pending_count_of(t, text("a@h")), i < 20 ? i - 9 : 10);
	}
	sound(t);
	assert_int_equal(add_long(t, "30", 257, 30), RCPT_OK); /* two of the ten go for it */
	assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 9);
	for (int i = 10; i < 30; i++) {
		snprintf(id, sizeof id, "f81d4fae-7dec-41d0-a765-0000000000%d", i);
		assert_int_equal(add_long(t, id, 257, i), RCPT_OK); /* though it is kept in fewer */
		sound(t);
	}
	assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 9);
	assert_int_equal(match(t, "b@h", "x@h", "old", 40), RCPT_DELIVERED);
	sound(t);
	rcpt_pending_free(t);
}

/* More than 32 bits' worth, which would take a test too long to add. */
static void many_bytes_are_counted(void **state)
{
	(void)state;
	static const uint64_t sums[] = {(uint64_t)RCPT_CAPACITY_MAX * RCPT_ENTRY_BYTES + 4094, 0xffffffff, 0x100000000, 0};
	struct jid jid = {.queued = 1, .len = RCPT_JID_MAX};
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
		set_jid_bytes(&jid, sums[i]);
		assert_true(jid_bytes(&jid) == sums[i]);
		assert_true(jid.queued == 1 && jid.len == RCPT_JID_MAX);
	}
}

/* However they go. */
static void bytes_are_given_back(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct rcpt_pending *t = make(100, 10, 100, 10);
		for (int round = 0; round < 20; round++) {
			const double now = 1000. * round;
			for (int i = 0; i < 5; i++) {
				const char id[] = {(char)('1' + i), 0};
				assert_int_equal(add_long(t, id, 512, now), RCPT_OK);
			}
			assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 5);
			sound(t);
			if (how == 0)
				assert_int_equal(rcpt_pending_expire(t, ALL, now + 100, 10, NULL, NULL), 5);
			else if (how == 1)
				assert_int_equal(rcpt_pending_expire(t, text("a@h"), now + 100, 10, NULL, NULL), 5);
			else
				assert_int_equal(rcpt_pending_forget(t, text("a@h")), 5);
			sound(t);
		}
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

/* However small the limit is. Somebody who was only asked has no entries. */
static void one_entry_always_fits(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(100, 1, 100, 100);
	static char big[RCPT_JID_MAX];
	memset(big, 'x', sizeof big);
	const struct rcpt_str longest = {big, sizeof big};
	assert_int_equal(rcpt_pending_add(t, text("b@h"), text("a@h"), text("1"), 1, 0), RCPT_OK);
	const struct rcpt_entry old = {.from = text("a@h"), .asked = longest, .id = {big, RCPT_ID_MAX}, .time = 1};
	assert_int_equal(rcpt_pending_put(t, &old, 2), RCPT_OK);
	assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 1);
	sound(t);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), longest, (struct rcpt_str){big, RCPT_ID_MAX - 1}, 3, 0), RCPT_OK);
	assert_int_equal(rcpt_pending_put(t, &old, 4), RCPT_OK); /* which makes room at once */
	assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 1);
	sound(t);
	assert_int_equal(add(t, "a@h", "x@h", "1", 5), RCPT_OK);
	assert_int_equal(match(t, "a@h", "x@h", "1", 6), RCPT_DELIVERED);
	assert_int_equal(rcpt_pending_count(t), 1);
	sound(t);
	rcpt_pending_free(t);
}

/* An id that the entries shown have. */
struct expected_id {
	struct rcpt_str id;
	unsigned shown;
};

static bool expect_id(void *ud, const struct rcpt_entry *e)
{
	struct expected_id *expected = ud;
	assert_int_equal(e->id.n, expected->id.n);
	assert_memory_equal(e->id.p, expected->id.p, e->id.n);
	expected->shown++;
	return true;
}

/* Neither a UUID in capitals, nor the sixteen bytes it is kept in, is the same id. */
static void uuids_are_ids_like_others(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	static const char lower[] = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6", upper[] = "F81D4FAE-7DEC-41D0-A765-00A0C91E6BF6";
	char bytes[RCPT_UUID_BYTES];
	assert_true(rcpt_uuid_pack(text(lower), bytes));
	const struct rcpt_str ids[] = {text(lower), text(upper), {bytes, sizeof bytes}};
	for (unsigned i = 0; i < 3; i++) {
		char from[] = "0@h";
		from[0] = (char)('0' + i);
		assert_int_equal(rcpt_pending_add(t, text(from), text("b@h"), ids[i], 1, 0), RCPT_OK);
		assert_int_equal(rcpt_pending_add(t, text(from), text("b@h"), ids[i], 2, 0), RCPT_KNOWN);
		struct expected_id expected = {.id = ids[i]};
		rcpt_pending_each(t, text(from), false, expect_id, &expected);
		assert_int_equal(expected.shown, 1);
		for (unsigned k = 0; k < 3; k++)
			if (k != i)
				assert_int_equal(rcpt_pending_match(t, text(from), text("b@h"), ids[k], 3, &answer), RCPT_UNKNOWN);
		assert_int_equal(rcpt_pending_match(t, text(from), text("b@h"), ids[i], 3, &answer), RCPT_DELIVERED);
	}
	sound(t);
	rcpt_pending_free(t);
}

/* So many entries, whose ids are of this form. */
static size_t bytes_with_ids(const char *form)
{
	struct rcpt_pending *t = make(100000, 100000, 100, 10);
	for (int i = 0; i < 20000; i++) {
		char id[64];
		snprintf(id, sizeof id, form, i);
		assert_int_equal(add(t, "a@h", "b@h", id, 0), RCPT_OK);
	}
	const size_t bytes = rcpt_pending_bytes(t);
	sound(t);
	rcpt_pending_free(t);
	return bytes;
}

static void uuids_take_sixteen_bytes(void **state)
{
	(void)state;
	const size_t packed = bytes_with_ids("f81d4fae-7dec-41d0-a765-0000000%05x"), as_it_is = bytes_with_ids("%016x");
	assert_int_equal(packed, as_it_is);
	assert_true(bytes_with_ids("f81d4fae-7dec-41d0-c765-0000000%05x") > packed + 19 * 20000);
}

static bool put_into(void *ud, const struct rcpt_entry *e)
{
	return rcpt_pending_put(ud, e, 1764000004) == RCPT_OK;
}

static void entries_can_be_shown_and_put_back(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 1000, 1000), *copy = make(10, 10, 1000, 1000);
	const double now = 1764000000.5;
	rcpt_pending_add(t, text("a@h"), text("b@h"), text("1"), now, RCPT_INJECTED | 1);
	rcpt_pending_add(t, text("a@h"), text("r@muc/n"), text("2"), now + 1, RCPT_OCCUPANT);
	add(t, "a@h", "c@h", "3", now + 2);
	match(t, "a@h", "c@h", "3", now + 3);
	rcpt_pending_each(t, text("a@h/r"), true, put_into, copy);
	assert_int_equal(rcpt_pending_count(copy), 2);
	assert_int_equal(match(copy, "a@h", "b@h", "1", now + 10), RCPT_DELIVERED);
	assert_true(answer.age == 10);
	assert_int_equal(answer.flags, RCPT_INJECTED | 1);
	assert_int_equal(match(copy, "a@h", "r@muc/x", "2", now + 10), RCPT_FORGED);
	assert_int_equal(match(copy, "a@h", "c@h", "3", now + 10), RCPT_DUPLICATE);
	sound(copy);
	rcpt_pending_free(t);
	rcpt_pending_free(copy);
}

static void what_is_put_back_keeps_to_time_and_address(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	struct rcpt_entry e = {.from = text("a@h"), .asked = text("r@muc"), .id = text("1"), .time = 1000};
	assert_int_equal(rcpt_pending_put(t, &e, 1100), RCPT_TOO_OLD);
	assert_int_equal(rcpt_pending_put(t, &e, 1099), RCPT_OK);
	assert_int_equal(rcpt_pending_put(t, &e, 1099), RCPT_KNOWN);
	e.asked = text("r@muc/n");
	e.flags = RCPT_OCCUPANT;
	e.time = 9e14; /* a record from a clock gone wrong */
	assert_int_equal(rcpt_pending_put(t, &e, 1099), RCPT_OK);
	assert_int_equal(rcpt_pending_put(t, &e, 1099), RCPT_KNOWN);
	e.asked = text("r@muc");
	e.flags = 0;
	e.time = 1000;
	assert_int_equal(rcpt_pending_put(t, &e, 1099), RCPT_KNOWN);
	assert_int_equal(rcpt_pending_count(t), 2);
	assert_int_equal(match(t, "a@h", "r@muc/n", "1", 1101), RCPT_DELIVERED);
	/* Whatever came first: the room and its occupant are two. */
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("r@muc/n"), text("2"), 1102, RCPT_OCCUPANT), RCPT_OK);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("r@muc"), text("2"), 1102, 0), RCPT_OK);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("r@muc/n"), text("2"), 1102, RCPT_OCCUPANT), RCPT_KNOWN);
	e = (struct rcpt_entry){.from = text("a@h"), .asked = text("r@muc/n"), .id = text("2"), .time = 1102, .flags = RCPT_OCCUPANT};
	assert_int_equal(rcpt_pending_put(t, &e, 1103), RCPT_KNOWN);
	sound(t);
	rcpt_pending_free(t);
}

static bool note_id(void *ud, const struct rcpt_entry *e)
{
	char *ids = ud;
	assert_true(e->stored || e->time >= 100);
	strncat(ids, e->id.p, e->id.n);
	strcat(ids, e->keep ? "" : "-");
	return true;
}

static enum rcpt_status put(struct rcpt_pending *t, const char *id, double time)
{
	const struct rcpt_entry e = {.from = text("a@h"), .asked = text("b@h"), .id = text(id), .time = time};
	return rcpt_pending_put(t, &e, 100);
}

static void what_is_put_back_displaces_nothing_that_is_awaited(void **state)
{
	(void)state;
	char gone[10] = "";
	struct rcpt_pending *t = make(4, 10, 1000, 1000);
	rcpt_pending_journal(t, note_id, gone);
	add(t, "x@h", "y@h", "1", 100);
	add(t, "x@h", "y@h", "2", 100);
	add(t, "a@h", "b@h", "n", 100);
	assert_int_equal(put(t, "o", 50), RCPT_OK);
	assert_int_equal(put(t, "p", 60), RCPT_FULL);
	assert_int_equal(put(t, "o", 50), RCPT_KNOWN);
	assert_string_equal(gone, "");
	assert_int_equal(match(t, "x@h", "y@h", "1", 101), RCPT_DELIVERED); /* nobody waits for that any more */
	assert_int_equal(put(t, "p", 60), RCPT_OK);
	assert_int_equal(put(t, "q", 70), RCPT_FULL);
	assert_string_equal(gone, "");
	assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 3);
	sound(t);
	rcpt_pending_free(t);
}

static void what_is_of_one_time_keeps_its_order(void **state)
{
	(void)state;
	char shown[10] = "";
	struct rcpt_pending *t = make(10, 10, 1000, 1000);
	put(t, "1", 50);
	put(t, "2", 60);
	put(t, "3", 50);
	put(t, "4", 50);
	rcpt_pending_each(t, text("a@h"), false, note_id, shown);
	assert_string_equal(shown, "1342");
	rcpt_pending_free(t);
}

static bool too_busy(void *ud, const struct rcpt_entry *e)
{
	(void)ud, (void)e;
	return false;
}

static void over_the_limit_of_a_user_the_oldest_goes_when_put_back_too(void **state)
{
	(void)state;
	char gone[10] = "";
	struct rcpt_pending *t = make(10, 2, 1000, 1000);
	rcpt_pending_journal(t, note_id, gone);
	add(t, "a@h", "b@h", "n", 100);
	assert_int_equal(put(t, "p", 60), RCPT_OK);
	assert_int_equal(put(t, "o", 50), RCPT_OK); /* taken, and it has made room at once */
	assert_string_equal(gone, "o");
	assert_int_equal(put(t, "q", 70), RCPT_OK);
	assert_string_equal(gone, "op");
	assert_int_equal(put(t, "r", 70), RCPT_OK); /* of the same age: the later goes on */
	assert_string_equal(gone, "opq");
	struct rcpt_entry e = {.from = text("a@h"), .asked = text("b@h"), .id = text("d"), .time = 99, .state = RCPT_DELIVERED_ONCE};
	assert_int_equal(rcpt_pending_put(t, &e, 100), RCPT_OK);
	e.flags = RCPT_INJECTED;
	assert_int_equal(rcpt_pending_put(t, &e, 100), RCPT_OK);
	assert_string_equal(gone, "opqd-d"); /* what was delivered makes room for what is awaited, however old that is */
	rcpt_pending_journal(t, too_busy, NULL);
	assert_int_equal(put(t, "o", 50), RCPT_NO_MEMORY);
	rcpt_pending_journal(t, NULL, NULL);
	assert_int_equal(put(t, "o", 50), RCPT_OK);
	assert_int_equal(rcpt_pending_count(t), 2);
	assert_int_equal(match(t, "a@h", "b@h", "r", 100), RCPT_DELIVERED);
	rcpt_pending_journal(t, note_id, gone);
	assert_int_equal(rcpt_pending_put(t, &e, 100), RCPT_OK); /* nor is it missed more than what was delivered after it */
	assert_string_equal(gone, "opqd-dd");
	assert_int_equal(match(t, "a@h", "b@h", "r", 101), RCPT_DUPLICATE);
	assert_int_equal(match(t, "a@h", "b@h", "n", 101), RCPT_DELIVERED);
	sound(t);
	rcpt_pending_free(t);
}

/* And so does what takes more bytes than there are, unless more than that would be missed. */
static void over_the_bytes_of_a_user_the_oldest_goes_when_put_back_too(void **state)
{
	(void)state;
	char gone[20] = "";
	static char big[RCPT_JID_MAX];
	memset(big, 'x', sizeof big);
	struct rcpt_pending *t = make(10, 4, 1000, 1000); /* 1,024 bytes */
	rcpt_pending_journal(t, note_id, gone);
	assert_int_equal(add_long(t, "m", 500, 160), RCPT_OK);
	assert_int_equal(add_long(t, "n", 500, 170), RCPT_OK);
	struct rcpt_entry e = {.from = text("a@h"), .asked = {big, 499}, .id = text("o"), .time = 150};
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK); /* older than what would have to go */
	assert_string_equal(gone, "o");
	e.time = 165;
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK); /* younger than that */
	assert_string_equal(gone, "om");
	e.asked.n = 999;
	e.id = text("p");
	e.time = 168; /* both would have to go: "o" is older, "n" is not */
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK);
	assert_string_equal(gone, "omp");
	e.state = RCPT_DELIVERED_ONCE;
	e.flags = RCPT_INJECTED;
	e.time = 180; /* nobody awaits it */
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK);
	assert_string_equal(gone, "ompp");
	assert_int_equal(rcpt_pending_match(t, text("a@h"), (struct rcpt_str){big, 499}, text("n"), 200, &answer), RCPT_DELIVERED);
	e.asked.n = 524;
	e.time = 200; /* first "n" would go, as it was delivered, and then "o" */
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK);
	assert_string_equal(gone, "omppp");
	e.asked.n = 523;
	e.state = RCPT_PENDING;
	e.time = 161; /* of those "n" alone */
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK);
	assert_int_equal(rcpt_pending_count(t), 2);
	assert_string_equal(gone, "omppp");
	sound(t);
	e.id = text("q");
	e.asked.n = 1023;
	e.time = 200;
	assert_int_equal(rcpt_pending_put(t, &e, 200), RCPT_OK);
	assert_string_equal(gone, "omppppo");
	assert_int_equal(rcpt_pending_count(t), 1);
	sound(t);
	rcpt_pending_free(t);
}

static void a_client_that_asks_after_us_gets_its_ack(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	rcpt_pending_add(t, text("a@h"), text("b@h"), text("1"), 0, RCPT_INJECTED);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("b@h"), text("1"), 1, 1), RCPT_KNOWN);
	assert_int_equal(rcpt_pending_add(t, text("a@h"), text("b@h"), text("1"), 1, RCPT_INJECTED | 1), RCPT_KNOWN);
	assert_int_equal(match(t, "a@h", "b@h", "1", 2), RCPT_DELIVERED);
	assert_int_equal(answer.flags, 1);
	assert_true(answer.age == 2);
	rcpt_pending_free(t);
}

static void an_add_that_fails_changes_nothing(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	add(t, "a@h", "x@h", "1", 1);
	add(t, "b@h", "x@h", "1", 1);
	add(t, "c@h", "x@h", "1", 1);
	rcpt_pending_limit(t, &(struct rcpt_pending_limits){1, 1, 100, 10});
	assert_int_equal(add(t, "d@h", "x@h", "1", 2), RCPT_FULL);
	assert_int_equal(rcpt_pending_count(t), 3);
	assert_int_equal(add(t, "a@h", "x@h", "2", 2), RCPT_OK); /* for its own */
	assert_int_equal(rcpt_pending_count(t), 3);
	sound(t);
	rcpt_pending_free(t);
}

/* -- Against a naive table ------------------------------------------------------------------------------------------- */

#define USERS 6
#define PEERS 5
#define IDS 40
#define PER_USER 12
#define CAPACITY 50

struct naive {
	int used, from, to, id;
	enum rcpt_state state;
	double time;
	long order;
};

static struct naive naive[USERS * PEERS * IDS];
static long order;

/* The one that came first to be what it is. */
static struct naive *naive_oldest(int from, enum rcpt_state state)
{
	struct naive *oldest = NULL;
	for (size_t i = 0; i < sizeof naive / sizeof *naive; i++)
		if (naive[i].used && naive[i].state == state && (from < 0 || naive[i].from == from) &&
			(!oldest || naive[i].order < oldest->order))
			oldest = &naive[i];
	return oldest;
}

/* Of all, what nobody awaits any more. */
static struct naive *naive_settled(int from)
{
	struct naive *delivered = naive_oldest(from, RCPT_DELIVERED_ONCE);
	return delivered ? delivered : naive_oldest(from, RCPT_FAILED);
}

static int naive_count(int from)
{
	int n = 0;
	for (size_t i = 0; i < sizeof naive / sizeof *naive; i++)
		n += naive[i].used && (from < 0 || naive[i].from == from);
	return n;
}

static enum rcpt_status naive_add(struct naive *e, double now)
{
	if (e->used && e->state == RCPT_PENDING)
		return RCPT_KNOWN;
	if (!e->used) {
		if (naive_count(e->from) >= PER_USER) {
			struct naive *victim = naive_settled(e->from);
			victim = victim ? victim : naive_oldest(e->from, RCPT_PENDING);
			victim->used = 0;
		}
		if (naive_count(-1) >= CAPACITY) {
			struct naive *victim = naive_settled(-1);
			victim = victim ? victim : naive_oldest(e->from, RCPT_PENDING);
			if (!victim)
				return RCPT_FULL;
			victim->used = 0;
		}
	}
	e->used = 1;
	e->state = RCPT_PENDING;
	e->time = now;
	e->order = ++order;
	return RCPT_OK;
}

static enum rcpt_verdict naive_match(struct naive *e, double now)
{
	if (!e->used) {
		for (size_t i = 0; i < sizeof naive / sizeof *naive; i++)
			if (naive[i].used && naive[i].state != RCPT_DELIVERED_ONCE && naive[i].from == e->from && naive[i].id == e->id)
				return RCPT_FORGED;
		return RCPT_UNKNOWN;
	}
	if (e->state == RCPT_DELIVERED_ONCE)
		return RCPT_DUPLICATE;
	e->state = RCPT_DELIVERED_ONCE;
	e->time = now;
	e->order = ++order;
	return RCPT_DELIVERED;
}

static bool naive_fail(struct naive *e)
{
	if (!e->used || e->state != RCPT_PENDING)
		return false;
	e->state = RCPT_FAILED;
	e->order = ++order;
	return true;
}

/* Expires the oldest of this state as long as they are that old. */
static uint32_t naive_expire(enum rcpt_state state, double span, double now)
{
	uint32_t gone = 0;
	for (struct naive *e; (e = naive_oldest(-1, state)) && now - e->time >= span; gone++)
		e->used = 0;
	return gone;
}

static void random_operations_agree_with_a_naive_table(void **state)
{
	(void)state;
	unsigned seed = 184;
	struct rcpt_pending *t = make(CAPACITY, PER_USER, 300, 60);
	double now = 1764000000;
	for (int from = 0, i = 0; from < USERS; from++)
		for (int to = 0; to < PEERS; to++)
			for (int id = 0; id < IDS; id++)
				naive[i++] = (struct naive){.from = from, .to = to, .id = id};
	for (long op = 0; op < 200000; op++) {
		now += rand_r(&seed) % 8 / 4.0;
		struct naive *e = &naive[(unsigned)rand_r(&seed) % (USERS * PEERS * IDS)];
		char from[32], to[32], id[64];
		snprintf(from, sizeof from, "user%d@example.org/r%d", e->from, rand_r(&seed) % 3);
		snprintf(to, sizeof to, "peer%d@example.net/r%d", e->to, rand_r(&seed) % 3);
		if (e->id % 3 == 0)
			snprintf(id, sizeof id, e->id % 2 ? "%08x-7dec-41d0-a765-00a0c91e6bf6" : "%08X-7DEC-41D0-A765-00A0C91E6BF6",
					 (unsigned)e->id);
		else
			snprintf(id, sizeof id, "%.*s%d", e->id, "----------------------------------------", e->id);
		switch (rand_r(&seed) % 9) {
		case 0:
		case 1:
		case 2:
		case 3:
			assert_int_equal(add(t, from, to, id, now), naive_add(e, now));
			break;
		case 4:
		case 5:
		case 6: {
			const double age = now - e->time;
			const enum rcpt_verdict expected = naive_match(e, now);
			assert_int_equal(match(t, from, to, id, now), expected);
			if (expected == RCPT_DELIVERED || expected == RCPT_DUPLICATE)
				assert_true(answer.age == age);
			break;
		}
		case 7: {
			const double age = now - e->time;
			const bool expected = naive_fail(e);
			assert_int_equal(rcpt_pending_fail(t, text(from), text(to), text(id), now, &answer), expected);
			if (expected)
				assert_true(answer.age == age);
			break;
		}
		default: {
			const uint32_t expired = naive_expire(RCPT_PENDING, 300, now) + naive_expire(RCPT_FAILED, 300, now) +
									 naive_expire(RCPT_DELIVERED_ONCE, 60, now);
			assert_int_equal(rcpt_pending_expire(t, ALL, now, 10000, NULL, NULL), expired);
			break;
		}
		}
		if (op % 64 == 0)
			sound(t);
	}
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* -- The journal ----------------------------------------------------------------------------------------------------- */

/* What a visit was shown, as text: "id:keep,stored" for each. */
static char seen_text[256];

static bool note_down(void *ud, const struct rcpt_entry *e)
{
	(void)ud;
	const size_t used = strlen(seen_text);
	snprintf(seen_text + used, sizeof seen_text - used, "%.*s:%d%d%s ", (int)e->id.n, e->id.p, e->keep, e->stored,
			 e->state == RCPT_FAILED ? "f" : "");
	return true;
}

/* Has room for so many entries more. */
static bool note_some(void *left, const struct rcpt_entry *e)
{
	return (*(int *)left)-- > 0 && note_down(NULL, e);
}

static const char *changed_by(struct rcpt_pending *t, double now, double young)
{
	seen_text[0] = 0;
	const struct rcpt_str who = rcpt_pending_changed(t, now, young, note_down, NULL);
	static char result[sizeof seen_text + 64];
	snprintf(result, sizeof result, "%.*s %s", (int)who.n, who.p, seen_text);
	return result;
}

static const char *changed(struct rcpt_pending *t)
{
	return changed_by(t, 0, 0);
}

static bool see_time(void *ud, const struct rcpt_entry *e)
{
	*(double *)ud = e->time;
	return true;
}

static struct rcpt_pending *make_journal(uint32_t capacity, uint32_t per_user)
{
	struct rcpt_pending *t = make(capacity, per_user, 100, 50);
	seen_text[0] = 0;
	rcpt_pending_journal(t, note_down, NULL);
	return t;
}

static void times_are_told_the_same_however_late(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 50);
	double first = 0;
	add(t, "a@h", "x@h", "1", 1764000000.123);
	rcpt_pending_each(t, text("a@h"), false, see_time, &first);
	assert_true(first <= 1764000000.123 && first > 1764000000.123 - 1 / 64.);
	for (int i = 0; i < 100; i++) {
		double again = 0;
		add(t, "b@h", "x@h", "1", 1764000001 + i * 0.0101);
		rcpt_pending_each(t, text("a@h"), false, see_time, &again);
		assert_true(again == first);
	}
	rcpt_pending_free(t);
}

static void journal_tells_what_to_write(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	add(t, "a@h/1", "x@h", "1", 0);
	add(t, "b@h/1", "x@h", "1", 0);
	add(t, "a@h/1", "x@h", "2", 0);
	assert_string_equal(changed(t), "a@h 2:10 1:10 ");
	rcpt_pending_saved(t, true);
	assert_string_equal(changed(t), "b@h 1:10 ");
	match(t, "b@h", "x@h", "1", 1); /* it was never stored: nothing to write */
	assert_string_equal(changed(t), " ");
	match(t, "a@h", "x@h", "1", 1);
	rcpt_pending_fail(t, text("a@h"), text("x@h"), text("2"), 1, &answer);
	assert_string_equal(changed(t), "a@h 2:11f 1:01 ");
	sound(t);
	rcpt_pending_saved(t, true);
	assert_string_equal(changed(t), " ");
	assert_int_equal(match(t, "a@h", "x@h", "1", 1), RCPT_DUPLICATE);
	assert_int_equal(answer.flags, 0);
	assert_int_equal(add(t, "a@h", "x@h", "1", 2), RCPT_OK);
	assert_string_equal(changed(t), "a@h 1:10 ");
	rcpt_pending_saved(t, true);
	assert_int_equal(add(t, "a@h", "x@h", "1", 2), RCPT_KNOWN); /* nothing has changed */
	assert_string_equal(changed(t), " ");
	rcpt_pending_saved(t, true);
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void journal_lets_the_young_wait(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	add(t, "a@h", "x@h", "1", 10);
	add(t, "b@h", "x@h", "1", 11);
	add(t, "b@h", "x@h", "2", 13);
	add(t, "c@h", "x@h", "1", 14);
	match(t, "a@h", "x@h", "1", 14);
	assert_string_equal(changed_by(t, 14, 5), " ");
	assert_string_equal(changed_by(t, 16, 5), "b@h 1:10 ");
	rcpt_pending_saved(t, true);
	sound(t);
	assert_string_equal(changed_by(t, 16, 5), " ");
	/* What the store has is told at once; and no turn is lost. */
	match(t, "b@h", "x@h", "1", 16);
	assert_string_equal(changed_by(t, 16, 5), "b@h 1:01 ");
	rcpt_pending_saved(t, false);
	assert_string_equal(changed_by(t, 19, 5), "c@h 1:10 ");
	rcpt_pending_saved(t, true);
	assert_string_equal(changed_by(t, 19, 5), "b@h 2:10 1:01 ");
	rcpt_pending_saved(t, true);
	assert_string_equal(changed_by(t, 19, 5), " ");
	/* What is of a time to come does not wait for it; and with nothing young all is told. */
	add(t, "a@h", "x@h", "2", 30);
	assert_string_equal(changed_by(t, 20, 5), "a@h 2:10 ");
	assert_string_equal(changed_by(t, 30, 5), " ");
	assert_string_equal(changed(t), "a@h 2:10 ");
	/* Nor does the ack of an injected request, however young that makes it. */
	rcpt_pending_add(t, text("d@h"), text("x@h"), text("1"), 30, RCPT_INJECTED);
	match(t, "d@h", "x@h", "1", 34);
	assert_string_equal(changed_by(t, 34, 5), "d@h 1:10 ");
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void journal_keeps_acks_of_injected_requests(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	rcpt_pending_add(t, text("a@h"), text("x@h"), text("1"), 0, RCPT_INJECTED);
	rcpt_pending_add(t, text("a@h"), text("x@h"), text("2"), 0, RCPT_INJECTED);
	match(t, "a@h", "x@h", "1", 1);
	assert_string_equal(changed(t), "a@h 2:10 1:10 ");
	rcpt_pending_saved(t, true);
	rcpt_pending_add(t, text("a@h"), text("x@h"), text("2"), 2, 0); /* now its client asks: that is news */
	assert_string_equal(changed(t), "a@h 2:11 ");
	rcpt_pending_free(t);
}

static void a_requester_is_forgotten_with_all_that_they_asked(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 100, 10);
	add(t, "a@h", "x@h", "1", 0);
	add(t, "a@h", "a@h", "2", 0);
	add(t, "x@h", "a@h", "1", 0);
	match(t, "a@h", "x@h", "1", 1);
	assert_int_equal(rcpt_pending_forget(t, text("a@h/r")), 2);
	assert_int_equal(rcpt_pending_forget(t, text("a@h")), 0);
	assert_int_equal(rcpt_pending_forget(t, text("z@h")), 0);
	assert_int_equal(rcpt_pending_count_of(t, text("a@h")), 0);
	assert_int_equal(rcpt_pending_count_of(t, text("z@h")), 0);
	assert_int_equal(rcpt_pending_count_of(t, text("x@h")), 1);
	sound(t);
	assert_int_equal(rcpt_pending_forget(t, text("x@h")), 1);
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void who_cannot_be_written_waits_behind_the_others(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	rcpt_pending_saved(t, true); /* nothing to say */
	add(t, "a@h", "x@h", "1", 0);
	changed(t);
	rcpt_pending_saved(t, false);
	assert_string_equal(changed(t), "a@h 1:10 ");
	add(t, "b@h", "x@h", "1", 0);
	rcpt_pending_saved(t, false);
	sound(t);
	assert_string_equal(changed(t), "b@h 1:10 ");
	rcpt_pending_saved(t, true);
	add(t, "b@h", "x@h", "2", 0); /* who has been written waits behind them, too */
	assert_string_equal(changed(t), "a@h 1:10 ");
	rcpt_pending_saved(t, false);
	assert_string_equal(changed(t), "b@h 2:10 ");
	assert_int_equal(rcpt_pending_forget(t, text("b@h")), 2);
	assert_int_equal(rcpt_pending_forget(t, text("a@h/9")), 1);
	assert_int_equal(rcpt_pending_forget(t, text("a@h")), 0);
	assert_string_equal(changed(t), " ");
	assert_int_equal(rcpt_pending_count(t), 0);
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void who_cannot_take_all_stops(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	add(t, "a@h", "x@h", "1", 0);
	add(t, "a@h", "x@h", "2", 0);
	add(t, "a@h", "x@h", "3", 0);
	int left = 1;
	assert_int_equal(rcpt_pending_changed(t, 0, 0, note_some, &left).n, 3);
	assert_int_equal(left, -1); /* and no third is shown */
	rcpt_pending_saved(t, false);
	assert_string_equal(changed(t), "a@h 3:10 2:10 1:10 ");
	rcpt_pending_free(t);
}

static void evicted_entries_are_shown(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 2);
	add(t, "a@h", "x@h", "1", 0);
	add(t, "a@h", "x@h", "2", 0);
	changed(t);
	rcpt_pending_saved(t, true);
	match(t, "a@h", "x@h", "1", 1);
	seen_text[0] = 0;
	add(t, "a@h", "x@h", "3", 2);
	assert_string_equal(seen_text, "1:01 "); /* it was delivered */
	add(t, "a@h", "x@h", "4", 3);
	assert_string_equal(seen_text, "1:01 2:11 ");
	match(t, "a@h", "x@h", "3", 4);
	match(t, "a@h", "x@h", "4", 4);
	add(t, "a@h", "x@h", "5", 5); /* nobody misses "3": answered, and never stored */
	assert_string_equal(seen_text, "1:01 2:11 ");
	sound(t);
	rcpt_pending_free(t);
}

/* What makes room has to be told of: while that cannot be, it stays, and nothing comes in its place; once one has gone, it is
 * well. */
static void what_cannot_be_told_of_stays(void **state)
{
	(void)state;
	static const struct rcpt_pending_limits full[] = {{2, 10, 100, 50}, {10, 2, 100, 50}},
											fuller[] = {{1, 10, 100, 50}, {10, 1, 100, 50}};
	for (size_t i = 0; i < 2; i++) {
		int left = 0;
		struct rcpt_pending *t = rcpt_pending_new(&full[i], &key);
		rcpt_pending_journal(t, note_some, &left);
		seen_text[0] = 0;
		add(t, "a@h", "x@h", "1", 0);
		add(t, "a@h", "x@h", "2", 1);
		assert_int_equal(add(t, "a@h", "x@h", "3", 2), RCPT_NO_MEMORY);
		assert_int_equal(rcpt_pending_count(t), 2);
		assert_int_equal(match(t, "a@h", "x@h", "3", 2), RCPT_UNKNOWN);
		left = 1;
		assert_int_equal(add(t, "a@h", "x@h", "3", 2), RCPT_OK);
		assert_string_equal(seen_text, "1:10 ");
		rcpt_pending_limit(t, &fuller[i]); /* two would have to go */
		left = 1;
		assert_int_equal(add(t, "a@h", "x@h", "4", 3), RCPT_OK);
		assert_string_equal(seen_text, "1:10 2:10 ");
		assert_int_equal(rcpt_pending_count(t), 2);
		assert_int_equal(match(t, "a@h", "x@h", "3", 4), RCPT_DELIVERED);
		assert_int_equal(match(t, "a@h", "x@h", "4", 4), RCPT_DELIVERED);
		sound(t);
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

/* The same where bytes are made room for. What is over them then goes when the next one comes. */
static void what_cannot_be_told_of_stays_however_long_the_new_one_is(void **state)
{
	(void)state;
	int left = 0;
	struct rcpt_pending *t = make(100, 4, 100, 50);
	rcpt_pending_journal(t, note_some, &left);
	seen_text[0] = 0;
	add_long(t, "1", 400, 0);
	add_long(t, "2", 400, 1);
	add_long(t, "3", 200, 2);
	assert_int_equal(add_long(t, "4", 1000, 3), RCPT_NO_MEMORY);
	assert_int_equal(rcpt_pending_count(t), 3);
	sound(t);
	left = 1;
	assert_int_equal(add_long(t, "4", 1000, 3), RCPT_OK);
	assert_string_equal(seen_text, "1:10 ");
	assert_int_equal(rcpt_pending_count(t), 3);
	sound(t);
	left = 9;
	assert_int_equal(add_long(t, "5", 10, 4), RCPT_OK);
	assert_string_equal(seen_text, "1:10 2:10 3:10 ");
	assert_int_equal(rcpt_pending_count(t), 2);
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* Neither is anything overdue or expired that nobody takes: it is shown again. */
static void what_is_not_taken_is_shown_again(void **state)
{
	(void)state;
	for (int whose = 0; whose < 2; whose++) {
		const struct rcpt_str from = whose ? text("a@h") : ALL;
		struct rcpt_pending *t = make(10, 10, 100, 100);
		add(t, "a@h", "x@h", "1", 0);
		add(t, "a@h", "x@h", "2", 0);
		add(t, "a@h", "x@h", "3", 0);
		int left = 1;
		seen_text[0] = 0;
		assert_int_equal(rcpt_pending_overdue(t, from, 10, 10, 9, note_some, &left), 9);
		assert_string_equal(seen_text, "1:10 ");
		left = 9;
		assert_int_equal(rcpt_pending_overdue(t, from, 10, 10, 9, note_some, &left), 2);
		assert_string_equal(seen_text, "1:10 2:10 3:10 ");
		match(t, "a@h", "x@h", "3", 10);
		left = 1;
		seen_text[0] = 0;
		assert_int_equal(rcpt_pending_expire(t, from, 200, 9, note_some, &left), 9);
		assert_string_equal(seen_text, "1:10 ");
		left = 1;
		assert_int_equal(rcpt_pending_expire(t, from, 200, 9, note_some, &left), 9);
		assert_string_equal(seen_text, "1:10 2:10 ");
		left = 1;
		assert_int_equal(rcpt_pending_expire(t, from, 200, 9, note_some, &left), 1);
		assert_string_equal(seen_text, "1:10 2:10 3:00 ");
		rcpt_pending_free(t);
	}
}

static void overdue_entries_are_shown_once(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	add(t, "a@h", "x@h", "1", 0);
	add(t, "a@h", "x@h", "2", 0);
	add(t, "a@h", "x@h", "3", 5);
	add(t, "a@h", "x@h", "4", 9);
	rcpt_pending_fail(t, text("a@h"), text("x@h"), text("2"), 1, &answer);
	match(t, "a@h", "x@h", "3", 6);
	changed(t);
	rcpt_pending_saved(t, true);
	seen_text[0] = 0;
	assert_int_equal(rcpt_pending_overdue(t, ALL, 9, 10, 10, note_down, NULL), 0);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 10, 10, 10, note_down, NULL), 1);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 10, 10, 10, note_down, NULL), 0);
	assert_string_equal(seen_text, "1:11 ");
	assert_string_equal(changed(t), "a@h 1:11 "); /* so that it is not told again after a restart */
	rcpt_pending_saved(t, true);
	seen_text[0] = 0;
	assert_int_equal(rcpt_pending_overdue(t, text("a@h/1"), 19, 10, 1, note_down, NULL), 1);
	assert_int_equal(rcpt_pending_overdue(t, text("z@h"), 19, 10, 10, note_down, NULL), 0);
	assert_string_equal(seen_text, "4:11 ");
	assert_int_equal(rcpt_pending_overdue(t, ALL, 19, 10, 10, note_down, NULL), 1);
	assert_string_equal(seen_text, "4:11 ");
	add(t, "a@h", "x@h", "1", 20); /* known; it is overdue still */
	add(t, "a@h", "x@h", "3", 20);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 30, 10, 10, note_down, NULL), 1);
	assert_string_equal(seen_text, "4:11 3:10 ");
	sound(t);
	rcpt_pending_free(t);
}

/* The clock is six days ahead for a moment, while somebody asks. */
static struct rcpt_pending *asked_ahead(void)
{
	struct rcpt_pending *t = make(100, 100, 7 * DAY, 10);
	rcpt_pending_journal(t, note_down, NULL);
	add(t, "a@h", "x@h", "old", 0);
	add(t, "a@h", "x@h", "ahead", 6 * DAY);
	add(t, "a@h", "x@h", "ahead, too", 6 * DAY + 1);
	add(t, "a@h", "x@h", "1", 10);
	add(t, "b@h", "x@h", "2", 11);
	while (rcpt_pending_changed(t, 11, 0, NULL, NULL).n > 0)
		rcpt_pending_saved(t, true);
	seen_text[0] = 0;
	return t;
}

static void a_clock_that_was_ahead_holds_up_nothing_overdue(void **state)
{
	(void)state;
	struct rcpt_pending *t = asked_ahead();
	assert_int_equal(rcpt_pending_expire(t, ALL, 3610, 10, NULL, NULL), 0);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 3610, 3600, 2, note_down, NULL), 2);
	assert_string_equal(seen_text, "old:11 "); /* and one of those ahead is dealt with: a step takes no longer for them */
	assert_int_equal(rcpt_pending_overdue(t, ALL, 3610, 3600, 10, note_down, NULL), 2);
	assert_string_equal(seen_text, "old:11 1:11 ");
	assert_string_equal(changed(t), "a@h ahead, too:11 ahead:11 1:11 old:11 "); /* the store has other times */
	sound(t);
	seen_text[0] = 0;
	assert_int_equal(rcpt_pending_overdue(t, ALL, 3611, 3600, 10, note_down, NULL), 1);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 7209, 3600, 10, note_down, NULL), 0);
	assert_string_equal(seen_text, "2:11 ");
	assert_int_equal(rcpt_pending_overdue(t, ALL, 7210, 3600, 10, note_down, NULL), 2);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 8 * DAY, 3600, 10, note_down, NULL), 0);
	assert_string_equal(seen_text, "2:11 ahead:11 ahead, too:11 ");
	sound(t);
	rcpt_pending_free(t);
	/* The same where one requester's are looked at. */
	t = asked_ahead();
	assert_int_equal(rcpt_pending_overdue(t, text("a@h"), 3610, 3600, 2, note_down, NULL), 2);
	assert_int_equal(rcpt_pending_overdue(t, text("a@h"), 3610, 3600, 10, note_down, NULL), 2);
	assert_string_equal(seen_text, "old:11 1:11 ");
	assert_int_equal(rcpt_pending_overdue(t, text("a@h"), 7210, 3600, 10, note_down, NULL), 2);
	assert_string_equal(seen_text, "old:11 1:11 ahead:11 ahead, too:11 ");
	assert_int_equal(rcpt_pending_overdue(t, ALL, 7210, 3600, 10, note_down, NULL), 5);
	assert_string_equal(seen_text, "old:11 1:11 ahead:11 ahead, too:11 2:11 ");
	sound(t);
	rcpt_pending_free(t);
	/* What was told while the clock was ahead is not told again. */
	t = asked_ahead();
	assert_int_equal(rcpt_pending_overdue(t, ALL, 6 * DAY + 3600, 3600, 10, note_down, NULL), 2);
	assert_string_equal(seen_text, "old:11 ahead:11 ");
	assert_int_equal(rcpt_pending_overdue(t, ALL, 3620, 3600, 10, note_down, NULL), 3);
	assert_int_equal(rcpt_pending_overdue(t, text("a@h"), 3620, 3600, 10, note_down, NULL), 1);
	assert_int_equal(rcpt_pending_overdue(t, ALL, 8 * DAY, 3600, 10, note_down, NULL), 2);
	assert_string_equal(seen_text, "old:11 ahead:11 1:11 2:11 ahead, too:11 ");
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* As overdue as can be, whatever its time. */
static void an_age_below_zero_ends_too(void **state)
{
	(void)state;
	for (int whose = 0; whose < 2; whose++) {
		struct rcpt_pending *t = asked_ahead();
		assert_int_equal(rcpt_pending_overdue(t, whose ? text("a@h") : ALL, 20, -1, 10, note_down, NULL), whose ? 6 : 7);
		assert_int_equal(rcpt_pending_overdue(t, whose ? text("a@h") : ALL, 20, -1, 10, note_down, NULL), 0);
		assert_string_equal(seen_text,
							whose ? "old:11 1:11 ahead:11 ahead, too:11 " : "old:11 1:11 2:11 ahead:11 ahead, too:11 ");
		sound(t);
		rcpt_pending_free(t);
	}
}

static void put_back_in_order_and_clean(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 3);
	add(t, "a@h", "x@h", "new", 60);
	add(t, "a@h", "x@h", "both", 60);
	const struct rcpt_entry old[] = {
		{.from = text("a@h"), .asked = text("x@h"), .id = text("both"), .time = 1, .stored = true},
		{.from = text("a@h"), .asked = text("x@h"), .id = text("old"), .time = 2, .flags = RCPT_OVERDUE},
		{.from = text("a@h"), .asked = text("x@h"), .id = text("done"), .time = 30, .state = RCPT_DELIVERED_ONCE},
	};
	assert_int_equal(rcpt_pending_put(t, &old[0], 1000), RCPT_KNOWN); /* whatever the record's age: the entry is alive */
	assert_int_equal(rcpt_pending_put(t, &old[1], 60), RCPT_OK);
	sound(t);
	assert_string_equal(changed(t), "a@h both:11 new:10 ");
	rcpt_pending_saved(t, true);
	seen_text[0] = 0;
	rcpt_pending_each(t, text("a@h"), true, note_down, NULL);
	assert_string_equal(seen_text, "old:11 new:11 both:11 ");
	assert_int_equal(rcpt_pending_put(t, &old[0], 60), RCPT_KNOWN);
	assert_string_equal(changed(t), "a@h both:11 "); /* the store has another one */
	rcpt_pending_saved(t, true);
	seen_text[0] = 0;
	assert_int_equal(rcpt_pending_overdue(t, text("a@h"), 60, 50, 10, note_down, NULL), 0);
	assert_string_equal(seen_text, ""); /* it was told before */
	assert_int_equal(rcpt_pending_expire(t, text("a@h"), 102, 10, note_down, NULL), 1);
	assert_string_equal(seen_text, "old:11 ");
	/* What the store should no longer have is removed from it. */
	assert_int_equal(rcpt_pending_put(t, &old[2], 60), RCPT_OK);
	assert_string_equal(changed(t), "a@h done:01 ");
	sound(t);
	rcpt_pending_saved(t, true);
	/* What could not be written after all is no record to be removed. */
	add(t, "a@h", "x@h", "failed", 103);
	assert_string_equal(changed(t), "a@h failed:10 ");
	rcpt_pending_saved(t, true);
	const struct rcpt_entry failed = {.from = text("a@h"), .asked = text("x@h"), .id = text("failed"), .time = 103};
	assert_int_equal(rcpt_pending_put(t, &failed, 104), RCPT_KNOWN);
	assert_string_equal(changed(t), "a@h failed:10 ");
	assert_int_equal(match(t, "a@h", "x@h", "failed", 105), RCPT_DELIVERED);
	assert_string_equal(changed(t), " ");
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void what_is_put_back_holds_up_nobody_after_a_clock_that_was_ahead(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(10, 10, 50, 50);
	add(t, "a@h", "x@h", "ahead", 1000);
	add(t, "a@h", "x@h", "first", 100);
	const struct rcpt_entry second = {.from = text("a@h"), .asked = text("x@h"), .id = text("second"), .time = 110};
	assert_int_equal(rcpt_pending_put(t, &second, 120), RCPT_OK);
	seen_text[0] = 0;
	rcpt_pending_expire(t, text("a@h"), 151, 10, note_down, NULL);
	assert_string_equal(seen_text, "first:10 ");
	sound(t);
	rcpt_pending_free(t);
}

static void what_is_put_back_of_a_time_to_come_is_to_be_written_with_that_of_now(void **state)
{
	(void)state;
	struct rcpt_pending *t = make_journal(10, 10);
	put(t, "1", 100);
	assert_string_equal(changed(t), " ");
	put(t, "2", 100.5);
	put(t, "3", 1e9);
	assert_string_equal(changed(t), "a@h 3:11 2:11 ");
	rcpt_pending_saved(t, true);
	assert_string_equal(changed(t), " ");
	double time = 0;
	rcpt_pending_each(t, text("a@h"), false, see_time, &time);
	assert_true(time == 100);
	sound(t);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* A store of 600 records, by what they are about. */
static struct record {
	bool there;
	struct rcpt_entry entry;
} store_records[USERS][PEERS][IDS];

static struct record *record_of(const struct rcpt_entry *e)
{
	int user, peer, id;
	char all[100]; /* theirs do not end in a 0 */
	snprintf(all, sizeof all, "%.*s %.*s %.*s", (int)e->from.n, e->from.p, (int)e->asked.n, e->asked.p, (int)e->id.n, e->id.p);
	assert_int_equal(sscanf(all, "user%d@h peer%d@h m%dm", &user, &peer, &id), 3);
	return &store_records[user][peer][id];
}

static bool write_record(void *ud, const struct rcpt_entry *e)
{
	(void)ud;
	struct record *r = record_of(e);
	assert_int_equal(r->there, e->stored);
	*r = (struct record){e->keep, *e};
	return true;
}

static bool remove_record(void *ud, const struct rcpt_entry *e)
{
	(void)ud;
	assert_int_equal(record_of(e)->there, e->stored);
	record_of(e)->there = false;
	return true;
}

static int kept;

static bool compare_record(void *ud, const struct rcpt_entry *e)
{
	(void)ud;
	const struct record *r = record_of(e);
	assert_int_equal(r->there, e->keep);
	assert_int_equal(e->stored, e->keep);
	if (e->keep) {
		kept++;
		assert_true(r->entry.state == e->state && r->entry.flags == e->flags && r->entry.time == e->time);
	}
	return true;
}

/* A new table, of what is in the store. */
static struct rcpt_pending *refill(double now)
{
	struct rcpt_pending *t = make(CAPACITY, PER_USER, 300, 60);
	rcpt_pending_journal(t, remove_record, NULL);
	for (int i = 0; i < USERS * PEERS * IDS; i++) {
		struct record *r = &(&store_records[0][0][0])[i];
		if (!r->there)
			continue;
		char from[32], to[32], id[32];
		snprintf(from, sizeof from, "user%d@h", i / IDS / PEERS);
		snprintf(to, sizeof to, "peer%d@h", i / IDS % PEERS);
		snprintf(id, sizeof id, "m%dm", i % IDS);
		r->entry.from = text(from);
		r->entry.asked = text(to);
		r->entry.id = text(id);
		const enum rcpt_status status = rcpt_pending_put(t, &r->entry, now);
		assert_true(status == RCPT_OK || status == RCPT_TOO_OLD);
		r->there = status == RCPT_OK;
	}
	sound(t);
	return t;
}

/* Whatever happens, a flush makes the store hold just what is to be kept, and a table filled from it goes on where the last was.
 */
static void the_store_follows_the_table(void **state)
{
	(void)state;
	unsigned seed = 4184;
	double now = 1764000000;
	struct rcpt_pending *t = make(CAPACITY, PER_USER, 300, 60);
	rcpt_pending_journal(t, remove_record, NULL);
	for (long op = 0; op < 100000; op++) {
		now += rand_r(&seed) % 8 / 4.0;
		const int user = rand_r(&seed) % USERS, peer = rand_r(&seed) % PEERS, n = rand_r(&seed) % IDS;
		char from[32], to[32], id[32];
		snprintf(from, sizeof from, "user%d@h", user);
		snprintf(to, sizeof to, "peer%d@h", peer);
		snprintf(id, sizeof id, "m%dm", n);
		const unsigned what = (unsigned)rand_r(&seed) % 64;
		if (what < 30)
			rcpt_pending_add(t, text(from), text(to), text(id), now, rand_r(&seed) % 4 ? 0 : RCPT_INJECTED);
		else if (what < 50)
			match(t, from, to, id, now);
		else if (what < 53)
			rcpt_pending_fail(t, text(from), text(to), text(id), now, &answer);
		else if (what < 55)
			rcpt_pending_expire(t, what & 1 ? ALL : text(from), now, 20, remove_record, NULL);
		else if (what < 57)
			rcpt_pending_overdue(t, what & 1 ? ALL : text(from), now, 100, 20, (rcpt_visit *)note_down, NULL);
		else if (what < 62) {
			const bool written = rand_r(&seed) % 4;
			if (rcpt_pending_changed(t, 0, 0, NULL, NULL).n > 0) {
				if (written)
					rcpt_pending_changed(t, 0, 0, write_record, NULL);
				rcpt_pending_saved(t, written);
			}
		} else if (op % 16 == 0) {
			while (rcpt_pending_changed(t, 0, 0, write_record, NULL).n > 0)
				rcpt_pending_saved(t, true);
			kept = 0;
			for (int u = 0; u < USERS; u++) {
				snprintf(from, sizeof from, "user%d@h", u);
				rcpt_pending_each(t, text(from), true, compare_record, NULL);
			}
			for (int i = 0; i < USERS * PEERS * IDS; i++)
				kept -= (&store_records[0][0][0])[i].there;
			assert_int_equal(kept, 0);
			if (what == 63) {
				rcpt_pending_free(t);
				t = refill(now);
			}
		}
		seen_text[0] = 0;
		if (op % 64 == 0)
			sound(t);
	}
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* -- Growing, shrinking, and memory running out ---------------------------------------------------------------------- */

static void grows_and_gives_memory_back(void **state)
{
	(void)state;
	struct rcpt_pending *t = make(1000000, 1000000, 10, 10);
	const size_t empty = rcpt_pending_bytes(t);
	char from[32], id[32];
	for (int i = 0; i < 100000; i++) {
		snprintf(from, sizeof from, "u%d@h", i % 1000);
		snprintf(id, sizeof id, "%d", i);
		assert_int_equal(add(t, from, "x@h", id, 0), RCPT_OK);
	}
	sound(t);
	const size_t full = rcpt_pending_bytes(t);
	assert_in_range(rcpt_mem_bytes(), full, full + full / 50); /* the allocator gives a little more than it is asked for */
	for (int i = 0; i < 1000; i += 2) {                        /* who have a block in every page */
		snprintf(from, sizeof from, "u%d@h", i);
		assert_int_equal(rcpt_pending_forget(t, text(from)), 100);
	}
	do
		sound(t);
	while (rcpt_pending_expire(t, ALL, 20, 10000, NULL, NULL) == 10000);
	assert_int_equal(rcpt_pending_count(t), 0);
	sound(t);
	assert_true(rcpt_pending_bytes(t) < empty + full / 20);
	rcpt_pending_free(t);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void running_out_of_memory_leaves_the_table_whole(void **state)
{
	(void)state;
	for (long n = 0; n < 4; n++) {
		rcpt_mem_fail_after(n);
		struct rcpt_pending *t = rcpt_pending_new(&(struct rcpt_pending_limits){10, 10, 10, 10}, &key);
		rcpt_mem_fail_after(-1);
		assert_int_equal(t != NULL, n >= 3);
		rcpt_pending_free(t);
		assert_int_equal(rcpt_mem_held(), 0);
	}
	int refused = 0;
	for (long n = 0; n < 80; n++) {
		struct rcpt_pending *t = make(100000, 100000, 10, 10);
		char from[128], id[256];
		memset(id, 'i', sizeof id);
		rcpt_mem_fail(n / 2, n % 2 ? 1 : -1);
		for (int i = 0; i < 3000; i++) {
			const uint32_t before = rcpt_pending_count(t);
			snprintf(from, sizeof from, "%.*s%d@h", i % 90,
					 "uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu", i);
			id[i % 200 + 1] = 0;
			const enum rcpt_status status = add(t, from, "x@h", id, 0);
			id[i % 200 + 1] = 'i';
			if (status == RCPT_NO_MEMORY) {
				refused++;
				assert_int_equal(rcpt_pending_count(t), before);
			}
		}
		rcpt_mem_fail_after(-1);
		sound(t);
		rcpt_pending_free(t);
		assert_int_equal(rcpt_mem_held(), 0);
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_on_bare_jids_and_id),
		cmocka_unit_test(one_id_asked_of_several),
		cmocka_unit_test(occupants_match_in_full),
		cmocka_unit_test(without_a_nick_it_is_no_occupant),
		cmocka_unit_test(nothing_is_forged_where_a_host_was_asked),
		cmocka_unit_test(failed_is_not_the_last_word),
		cmocka_unit_test(an_answered_id_can_be_asked_again),
		cmocka_unit_test(a_user_over_quota_loses_their_own_oldest),
		cmocka_unit_test(what_has_failed_makes_room_for_others),
		cmocka_unit_test(what_has_failed_stays_in_order),
		cmocka_unit_test(what_has_failed_expires_from_when_it_was_asked),
		cmocka_unit_test(what_has_failed_is_not_overdue),
		cmocka_unit_test(a_full_table_gives_up_nobody_elses),
		cmocka_unit_test(lower_limits_hold_as_the_table_is_used),
		cmocka_unit_test(expiry_goes_in_steps_oldest_first),
		cmocka_unit_test(a_clock_that_steps_back_stops_nothing),
		cmocka_unit_test(a_clock_that_leaps_ages_all_that_is_older),
		cmocka_unit_test(long_ids_and_addresses),
		cmocka_unit_test(long_entries_of_a_user_are_fewer),
		cmocka_unit_test(many_bytes_are_counted),
		cmocka_unit_test(bytes_are_given_back),
		cmocka_unit_test(one_entry_always_fits),
		cmocka_unit_test(uuids_are_ids_like_others),
		cmocka_unit_test(uuids_take_sixteen_bytes),
		cmocka_unit_test(entries_can_be_shown_and_put_back),
		cmocka_unit_test(what_is_put_back_keeps_to_time_and_address),
		cmocka_unit_test(what_is_put_back_displaces_nothing_that_is_awaited),
		cmocka_unit_test(what_is_of_one_time_keeps_its_order),
		cmocka_unit_test(over_the_limit_of_a_user_the_oldest_goes_when_put_back_too),
		cmocka_unit_test(over_the_bytes_of_a_user_the_oldest_goes_when_put_back_too),
		cmocka_unit_test(a_client_that_asks_after_us_gets_its_ack),
		cmocka_unit_test(an_add_that_fails_changes_nothing),
		cmocka_unit_test(random_operations_agree_with_a_naive_table),
		cmocka_unit_test(times_are_told_the_same_however_late),
		cmocka_unit_test(journal_tells_what_to_write),
		cmocka_unit_test(journal_lets_the_young_wait),
		cmocka_unit_test(journal_keeps_acks_of_injected_requests),
		cmocka_unit_test(a_requester_is_forgotten_with_all_that_they_asked),
		cmocka_unit_test(who_cannot_be_written_waits_behind_the_others),
		cmocka_unit_test(who_cannot_take_all_stops),
		cmocka_unit_test(evicted_entries_are_shown),
		cmocka_unit_test(what_cannot_be_told_of_stays),
		cmocka_unit_test(what_cannot_be_told_of_stays_however_long_the_new_one_is),
		cmocka_unit_test(what_is_not_taken_is_shown_again),
		cmocka_unit_test(overdue_entries_are_shown_once),
		cmocka_unit_test(a_clock_that_was_ahead_holds_up_nothing_overdue),
		cmocka_unit_test(an_age_below_zero_ends_too),
		cmocka_unit_test(put_back_in_order_and_clean),
		cmocka_unit_test(what_is_put_back_holds_up_nobody_after_a_clock_that_was_ahead),
		cmocka_unit_test(what_is_put_back_of_a_time_to_come_is_to_be_written_with_that_of_now),
		cmocka_unit_test(the_store_follows_the_table),
		cmocka_unit_test(grows_and_gives_memory_back),
		cmocka_unit_test(running_out_of_memory_leaves_the_table_whole),
	};
	return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}
