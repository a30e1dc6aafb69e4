/* SPDX-License-Identifier: MIT */
/* The journal of the pending table: for whom something has to be written to a store, and which entries of theirs.
 *
 * It is a queue of the JIDs that have such entries. Each counts its own: they are near the young ends of those of their state, so
 * that finding them touches few others.
 */
#include "pending_table.h"

/* -- The queue ------------------------------------------------------------------------------------------------------- */

static void set_dirty(struct rcpt_pending *t, struct entry *e, bool dirty)
{
	struct jid *jid = jid_at(t, e->from);
	if (((e->flags & DIRTY) != 0) == dirty)
		return;
	e->flags ^= DIRTY;
	if (!dirty) {
		jid->dirty--;
		return;
	}
	jid->dirty++;
	if (jid->queued)
		return;
	jid->queued = 1;
	jid->refs++;
	jid->next_changed = 0;
	*(t->changed.tail ? &jid_at(t, t->changed.tail)->next_changed : &t->changed.head) = e->from;
	t->changed.tail = e->from;
	t->changed.n++;
}

void rcpt_journal_note(struct rcpt_pending *t, rcpt_ref ref)
{
	struct entry *e = entry_at(t, ref);
	if (t->journal)
		set_dirty(t, e, belongs_in_store(e) || (e->flags & STORED));
}

void rcpt_journal_forget(struct rcpt_pending *t, struct entry *e)
{
	set_dirty(t, e, false);
}

static void unqueue(struct rcpt_pending *t)
{
	const rcpt_ref ref = t->changed.head;
	struct jid *jid = jid_at(t, ref);
	t->changed.head = jid->next_changed;
	if (!t->changed.head)
		t->changed.tail = 0;
	t->changed.n--;
	jid->queued = 0;
	rcpt_jid_release(t, ref);
}

/* The first in the journal is the last from now on. */
static void requeue(struct rcpt_pending *t)
{
	const rcpt_ref ref = t->changed.head;
	struct jid *jid = jid_at(t, ref);
	if (ref == t->changed.tail)
		return;
	t->changed.head = jid->next_changed;
	jid->next_changed = 0;
	jid_at(t, t->changed.tail)->next_changed = ref;
	t->changed.tail = ref;
}

/* -- Writing to a store ---------------------------------------------------------------------------------------------- */

/* What the store does not know yet may wait while it is young: most is acked by then. What is of a time to come is not young. */
static bool may_wait(const struct rcpt_pending *t, const struct entry *e)
{
	const int64_t age = age_of(e, t->written_at);
	return kind_of(e) == OPEN && !(e->flags & STORED) && age >= 0 && age < t->young;
}

/* Visits the entries of a JID that are to be written now, and returns how many those are; with `written`, takes them for written.
 */
static uint32_t each_due(struct rcpt_pending *t, const struct jid *jid, rcpt_visit *visit, void *ud, bool written)
{
	uint32_t left = jid->dirty, due = 0;
	for (enum rcpt_state state = RCPT_PENDING; state <= RCPT_DELIVERED_ONCE; state++) {
		const struct run run = run_of(t, jid->list, USER, state);
		for (rcpt_ref ref = run.last; ref && left > 0; ref = ref == run.first ? 0 : entry_at(t, ref)->link[USER].prev) {
			struct entry *e = entry_at(t, ref);
			if (!(e->flags & DIRTY))
				continue;
			left--;
			if (may_wait(t, e))
				continue;
			due++;
			if (visit && !rcpt_entry_show(t, ref, visit, ud))
				return due;
			if (written) {
				e->flags = (uint8_t)((e->flags & ~STORED) | (belongs_in_store(e) ? STORED : 0));
				set_dirty(t, e, false);
			}
		}
	}
	return due;
}

void rcpt_pending_journal(struct rcpt_pending *t, rcpt_visit *evicted, void *ud)
{
	t->journal = true;
	t->evicted = evicted;
	t->evicted_ud = ud;
}

struct rcpt_str rcpt_pending_changed(struct rcpt_pending *t, double now, double young, rcpt_visit *visit, void *ud)
{
	t->written_at = ticks(now);
	t->young = ticks(young);
	for (uint32_t left = t->changed.n; left > 0; left--) {
		const struct jid *jid = jid_at(t, t->changed.head);
		if (jid->dirty == 0)
			unqueue(t);
		else if (each_due(t, jid, visit, ud, false) > 0)
			return jid_text(jid);
		else
			requeue(t);
	}
	return (struct rcpt_str){"", 0};
}

void rcpt_pending_saved(struct rcpt_pending *t, bool written)
{
	if (!t->changed.head)
		return;
	const struct jid *jid = jid_at(t, t->changed.head);
	if (written)
		each_due(t, jid, NULL, NULL, true);
	if (jid->dirty == 0)
		unqueue(t);
	else
		requeue(t);
}
