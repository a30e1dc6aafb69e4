/* SPDX-License-Identifier: MIT */
/* The pending table as its header describes it, done in the plainest way: arrays that are searched from end to end.
 *
 * Functions are those of pending.h, one for one, and so are their results.
 */
#ifndef NAIVE_H
#define NAIVE_H

#include "pending.h"

#define NAIVE_ENTRIES 64
#define NAIVE_USERS 16

struct naive_entry {
	struct rcpt_str from, asked, id;
	int64_t time; /* in 1/64 s */
	enum rcpt_state state;
	unsigned flags;
	bool stored, dirty;
	bool looked_at; /* by overdue() of all */
	unsigned born;  /* a number that grows: of two entries that an answer fits, the younger has it */
};

/* Entries in order, oldest first; those of all states in one. */
struct naive_order {
	struct naive_entry *entry[NAIVE_ENTRIES];
	int n;
};

struct naive {
	struct rcpt_pending_limits limits;
	struct naive_entry entries[NAIVE_ENTRIES]; /* `from` is absent where one is free */
	struct naive_order all;
	struct {
		struct rcpt_str jid;
		struct naive_order own;
	} user[NAIVE_USERS];
	struct rcpt_str changed[NAIVE_USERS]; /* the journal */
	double written_at, young;
	int changes;
	bool journal;
	unsigned born;
	rcpt_visit *evicted;
	void *ud;
};

/* For up to NAIVE_USERS requesters, and limits.capacity < NAIVE_ENTRIES / 2. */
void naive_init(struct naive *t, const struct rcpt_pending_limits *limits);
void naive_journal(struct naive *t, rcpt_visit *evicted, void *ud);
enum rcpt_status naive_add(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
						   unsigned flags);
enum rcpt_verdict naive_match(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
							  struct rcpt_answer *answer);
bool naive_fail(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
				struct rcpt_answer *answer);
uint32_t naive_expire(struct naive *t, struct rcpt_str from, double now, uint32_t max, rcpt_visit *visit, void *ud);
uint32_t naive_overdue(struct naive *t, struct rcpt_str from, double now, double age, uint32_t max, rcpt_visit *visit, void *ud);
void naive_each(const struct naive *t, struct rcpt_str from, bool delivered, rcpt_visit *visit, void *ud);
enum rcpt_status naive_put(struct naive *t, const struct rcpt_entry *entry, double now);
uint32_t naive_forget(struct naive *t, struct rcpt_str from);
struct rcpt_str naive_changed(struct naive *t, double now, double young, rcpt_visit *visit, void *ud);
void naive_saved(struct naive *t, bool written);
uint32_t naive_count(const struct naive *t, struct rcpt_str from);

#endif
