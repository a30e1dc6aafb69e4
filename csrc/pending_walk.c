/* SPDX-License-Identifier: MIT */
/* Entries as they are shown: one by one, and in walks over those of one requester or of all, oldest first. */
#include "pending_table.h"

static void show_id(const struct entry *e, struct rcpt_entry *out)
{
	const struct id id = entry_id(e);
	if (id.packed)
		rcpt_uuid_text(e->id, out->uuid);
	out->id = id.packed ? (struct rcpt_str){out->uuid, RCPT_UUID_TEXT} : id.kept;
}

static void show(const struct rcpt_pending *t, const struct entry *e, struct rcpt_entry *out)
{
	*out = (struct rcpt_entry){
		.from = jid_text(jid_at(t, e->from)),
		.asked = jid_text(jid_at(t, e->asked)),
		.time = (double)time_of(e) / TICKS,
		.state = (enum rcpt_state)e->state,
		.flags = e->flags & SHOWN,
		.stored = e->flags & STORED,
		.keep = belongs_in_store(e),
	};
	show_id(e, out);
}

bool rcpt_entry_show(const struct rcpt_pending *t, rcpt_ref ref, rcpt_visit *visit, void *ud)
{
	struct rcpt_entry shown;
	show(t, entry_at(t, ref), &shown);
	return visit(ud, &shown);
}

/* Is this one to be shown before the other? Either may be 0. */
static bool is_first(const struct rcpt_pending *t, rcpt_ref ref, rcpt_ref other)
{
	return ref && (!other || time_of(entry_at(t, ref)) <= time_of(entry_at(t, other)));
}

void rcpt_pending_each(const struct rcpt_pending *t, struct rcpt_str from, bool delivered, rcpt_visit *visit, void *ud)
{
	const rcpt_ref jid = rcpt_jid_find_bare(t, from);
	if (!jid)
		return;
	const struct list *list = jid_at(t, jid)->list;
	struct run failed = run_of(t, list, USER, RCPT_FAILED), pending = run_of(t, list, USER, RCPT_PENDING);
	while (failed.first || pending.first)
		if (!rcpt_entry_show(t, run_take(t, is_first(t, failed.first, pending.first) ? &failed : &pending), visit, ud))
			return;
	for (rcpt_ref ref = delivered ? list[DONE].head : 0; ref; ref = entry_at(t, ref)->link[USER].next)
		if (!rcpt_entry_show(t, ref, visit, ud))
			return;
}

/* -- What has expired ------------------------------------------------------------------------------------------------ */

/* Expires entries of one state from the old end. */
static uint32_t expire_run(struct rcpt_pending *t, struct run run, double span, int64_t now, uint32_t max, rcpt_visit *visit,
						   void *ud)
{
	uint32_t done = 0;
	/* What a clock that stepped back has left in the future would hold up all behind it: it goes to the end, once. */
	for (rcpt_ref ref; done < max && (ref = run_take(t, &run));) {
		const struct entry *e = entry_at(t, ref);
		const int64_t age = age_of(e, now);
		if (age >= 0 && (double)age / TICKS < span)
			break;
		done++;
		if (age < 0)
			rcpt_entry_enter(t, ref, (enum rcpt_state)e->state, now);
		else if (!visit || rcpt_entry_show(t, ref, visit, ud))
			rcpt_entry_drop(t, ref);
		else
			return max;
	}
	return done;
}

uint32_t rcpt_pending_expire(struct rcpt_pending *t, struct rcpt_str from, double now, uint32_t max, rcpt_visit *visit, void *ud)
{
	const int64_t time = ticks(now);
	const rcpt_ref jid = rcpt_jid_find_bare(t, from);
	if (from.n > 0 && !jid)
		return 0;
	if (jid)
		jid_at(t, jid)->refs++; /* it outlasts its entries, until we are done */
	const struct list *list = jid ? jid_at(t, jid)->list : t->list;
	const int which = jid ? USER : TABLE;
	uint32_t done = expire_run(t, run_of(t, list, which, RCPT_PENDING), t->limits.ttl, time, max, visit, ud);
	done += expire_run(t, run_of(t, list, which, RCPT_FAILED), t->limits.ttl, time, max - done, visit, ud);
	done += expire_run(t, run_of(t, list, which, RCPT_DELIVERED_ONCE), t->limits.remember, time, max - done, visit, ud);
	if (jid)
		rcpt_jid_release(t, jid);
	return done;
}

/* -- What is overdue ------------------------------------------------------------------------------------------------- */

static bool is_news(const struct entry *e)
{
	return !(e->flags & RCPT_OVERDUE);
}

/* Shows an entry as overdue. False, and it is not, when nobody takes it. */
static bool show_overdue(struct rcpt_pending *t, rcpt_ref ref, rcpt_visit *visit, void *ud)
{
	struct entry *e = entry_at(t, ref);
	e->flags |= RCPT_OVERDUE;
	if (!rcpt_entry_show(t, ref, visit, ud)) {
		e->flags &= (uint8_t)~RCPT_OVERDUE;
		return false;
	}
	rcpt_journal_note(t, ref);
	return true;
}

enum walked { STOP, OLD, AHEAD };

/* What a walk does with the next entry. It stops at the first that is too young, unless that is of a time to come, as a clock
 * that was ahead leaves it: that goes to the end, once, and holds up nobody. */
static enum walked walk_over(struct rcpt_pending *t, rcpt_ref ref, int64_t now, double age)
{
	const struct entry *e = entry_at(t, ref);
	const int64_t old = age_of(e, now);
	if ((double)old / TICKS >= age)
		return OLD;
	if (old >= 0)
		return STOP;
	rcpt_entry_enter(t, ref, (enum rcpt_state)e->state, now);
	return AHEAD;
}

static uint32_t overdue_of_all(struct rcpt_pending *t, int64_t now, double age, uint32_t max, rcpt_visit *visit, void *ud)
{
	uint32_t done = 0;
	for (rcpt_ref ref; done < max && (ref = t->next_overdue); done++) {
		const enum walked walked = walk_over(t, ref, now, age);
		if (walked == STOP)
			break;
		if (walked == AHEAD)
			continue;
		if (is_news(entry_at(t, ref)) && !show_overdue(t, ref, visit, ud))
			return max;
		t->next_overdue = entry_at(t, ref)->link[TABLE].next;
	}
	return done;
}

static uint32_t overdue_of(struct rcpt_pending *t, rcpt_ref jid, int64_t now, double age, uint32_t max, rcpt_visit *visit,
						   void *ud)
{
	uint32_t done = 0;
	rcpt_ref ref = run_of(t, jid_at(t, jid)->list, USER, RCPT_PENDING).first;
	while (done < max && ref) {
		const rcpt_ref next = entry_at(t, ref)->link[USER].next;
		const enum walked walked = walk_over(t, ref, now, age);
		if (walked == STOP)
			break;
		const bool news = walked == OLD && is_news(entry_at(t, ref));
		if (news && !show_overdue(t, ref, visit, ud))
			return max;
		done += news || walked == AHEAD;
		ref = walked == AHEAD && !next ? ref : next; /* it was last, and is last: it is met again, as that of now */
	}
	return done;
}

uint32_t rcpt_pending_overdue(struct rcpt_pending *t, struct rcpt_str from, double now, double age, uint32_t max,
							  rcpt_visit *visit, void *ud)
{
	const int64_t time = ticks(now);
	if (from.n == 0)
		return overdue_of_all(t, time, age, max, visit, ud);
	const rcpt_ref jid = rcpt_jid_find_bare(t, from);
	return jid ? overdue_of(t, jid, time, age, max, visit, ud) : 0;
}
