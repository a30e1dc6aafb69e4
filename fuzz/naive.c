/* SPDX-License-Identifier: MIT */
/* The pending table, done in the plainest way. */
#include "naive.h"

#include "fuzz.h"

#define SHOWN (RCPT_TYPE_BITS | RCPT_INJECTED | RCPT_OCCUPANT | RCPT_OVERDUE)

static int64_t ticks(double seconds)
{
	return (int64_t)(seconds * 64);
}

static bool done(const struct naive_entry *e)
{
	return e->state == RCPT_DELIVERED_ONCE;
}

static bool to_be_kept(const struct naive_entry *e)
{
	return !done(e) || (e->flags & RCPT_INJECTED);
}

static void show(const struct naive_entry *e, rcpt_visit *visit, void *ud)
{
	const struct rcpt_entry shown = {.from = e->from,
									 .asked = e->asked,
									 .id = e->id,
									 .time = (double)e->time / 64,
									 .state = e->state,
									 .flags = e->flags & SHOWN,
									 .stored = e->stored,
									 .keep = to_be_kept(e)};
	visit(ud, &shown);
}

/* -- Orders ---------------------------------------------------------------------------------------------------------- */

static struct naive_order *own_order(struct naive *t, struct rcpt_str jid)
{
	const struct rcpt_str bare = rcpt_jid_bare(jid);
	int i = 0;
	while (t->user[i].jid.n && !rcpt_str_eq(t->user[i].jid, bare))
		CHECK(++i < NAIVE_USERS, "too many users");
	t->user[i].jid = bare;
	return &t->user[i].own;
}

static void take_out(struct naive_order *o, const struct naive_entry *e)
{
	int at = 0;
	while (o->entry[at] != e)
		at++;
	o->n--;
	memmove(o->entry + at, o->entry + at + 1, (size_t)(o->n - at) * sizeof *o->entry);
}

static void put_at(struct naive_order *o, int at, struct naive_entry *e)
{
	memmove(o->entry + at + 1, o->entry + at, (size_t)(o->n - at) * sizeof *o->entry);
	o->entry[at] = e;
	o->n++;
}

/* Before those of its state at the end that are younger. */
static int place_by_time(const struct naive_order *o, const struct naive_entry *e)
{
	int place = o->n;
	for (int i = o->n - 1; i >= 0; i--) {
		if (o->entry[i]->state != e->state)
			continue;
		if (o->entry[i]->time <= e->time)
			break;
		place = i;
	}
	return place;
}

static void link_in(struct naive *t, struct naive_entry *e, bool in_order)
{
	struct naive_order *own = own_order(t, e->from);
	put_at(&t->all, t->all.n, e);
	put_at(own, in_order ? place_by_time(own, e) : own->n, e);
	e->looked_at = false;
}

static void link_out(struct naive *t, const struct naive_entry *e)
{
	take_out(&t->all, e);
	take_out(own_order(t, e->from), e);
}

static int count_state(const struct naive_order *o, enum rcpt_state state)
{
	int n = 0;
	for (int i = 0; i < o->n; i++)
		n += o->entry[i]->state == state;
	return n;
}

static struct naive_entry *first(const struct naive_order *o, enum rcpt_state state)
{
	for (int i = 0; i < o->n; i++)
		if (o->entry[i]->state == state)
			return o->entry[i];
	return NULL;
}

/* What nobody awaits any more. */
static struct naive_entry *settled(const struct naive_order *o)
{
	struct naive_entry *delivered = first(o, RCPT_DELIVERED_ONCE);
	return delivered ? delivered : first(o, RCPT_FAILED);
}

/* What makes room first. */
static struct naive_entry *expendable(const struct naive_order *own)
{
	struct naive_entry *e = settled(own);
	return e ? e : first(own, RCPT_PENDING);
}

/* -- The journal ----------------------------------------------------------------------------------------------------- */

static void set_dirty(struct naive *t, struct naive_entry *e, bool dirty)
{
	if (dirty && !e->dirty) {
		int i = 0;
		while (i < t->changes && !rcpt_str_eq(t->changed[i], e->from))
			i++;
		if (i == t->changes)
			t->changed[t->changes++] = e->from;
	}
	e->dirty = dirty;
}

static void note(struct naive *t, struct naive_entry *e)
{
	if (t->journal)
		set_dirty(t, e, to_be_kept(e) || e->stored);
}

static void unqueue(struct naive *t)
{
	t->changes--;
	memmove(t->changed, t->changed + 1, (size_t)t->changes * sizeof *t->changed);
}

/* -- Entries --------------------------------------------------------------------------------------------------------- */

static void enter_state(struct naive *t, struct naive_entry *e, enum rcpt_state state, int64_t time)
{
	link_out(t, e);
	e->state = state;
	e->time = time;
	link_in(t, e, false);
	note(t, e);
}

static void drop(struct naive *t, struct naive_entry *e)
{
	link_out(t, e);
	e->from = (struct rcpt_str){NULL, 0};
}

static void evict(struct naive *t, struct naive_entry *e)
{
	if (t->evicted && (!done(e) || e->stored))
		show(e, t->evicted, t->ud);
	drop(t, e);
}

static size_t bytes_of(const struct naive_entry *e)
{
	return e->asked.n + e->id.n;
}

/* Would these and one more have more bytes than one may have? */
static bool is_much(const struct naive *t, const struct naive_order *own, const struct naive_entry *more)
{
	size_t bytes = bytes_of(more);
	for (int i = 0; i < own->n; i++)
		bytes += bytes_of(own->entry[i]);
	return bytes > t->limits.per_user * (size_t)RCPT_ENTRY_BYTES;
}

static enum rcpt_status make_room(struct naive *t, const struct naive_entry *fresh, bool put)
{
	struct naive_order *own = own_order(t, fresh->from);
	int gone = 0;
	for (; gone < 2 && own->n >= (int)t->limits.per_user; gone++)
		evict(t, expendable(own));
	for (; own->n > 0 && is_much(t, own, fresh); gone++)
		evict(t, expendable(own));
	for (; gone < 2 && t->all.n >= (int)t->limits.capacity; gone++) {
		struct naive_entry *victim = settled(&t->all);
		victim = victim || put ? victim : first(own, RCPT_PENDING);
		if (!victim)
			return gone ? RCPT_OK : RCPT_FULL;
		evict(t, victim);
	}
	return RCPT_OK;
}

static enum rcpt_status add_new(struct naive *t, struct naive_entry fresh, bool changed)
{
	const enum rcpt_status status = make_room(t, &fresh, fresh.stored);
	if (status != RCPT_OK)
		return status;
	struct naive_entry *e = t->entries;
	while (e->from.p)
		CHECK(++e < t->entries + NAIVE_ENTRIES, "too many entries");
	*e = fresh;
	e->born = ++t->born;
	link_in(t, e, e->stored);
	if (changed || !to_be_kept(e))
		note(t, e);
	return RCPT_OK;
}

static bool sound(struct rcpt_str s, size_t max)
{
	return s.n > 0 && s.n <= max;
}

/* The requester's, the asked's and the id's lengths may be kept, and the first two are as they are to be. */
static bool normalize(struct naive_entry *e)
{
	e->from = rcpt_jid_bare(e->from);
	if (!memchr(e->asked.p, '/', e->asked.n))
		e->flags &= ~(unsigned)RCPT_OCCUPANT;
	if (!(e->flags & RCPT_OCCUPANT))
		e->asked = rcpt_jid_bare(e->asked);
	return sound(e->from, RCPT_JID_MAX) && sound(e->asked, RCPT_JID_MAX) && sound(e->id, RCPT_ID_MAX);
}

static struct naive_entry *find_exact(struct naive *t, const struct naive_entry *like)
{
	for (int i = 0; i < t->all.n; i++) {
		struct naive_entry *e = t->all.entry[i];
		if (rcpt_str_eq(e->from, like->from) && rcpt_str_eq(e->asked, like->asked) && rcpt_str_eq(e->id, like->id))
			return e;
	}
	return NULL;
}

static bool is_host(struct rcpt_str jid)
{
	const struct rcpt_str bare = rcpt_jid_bare(jid);
	return !memchr(bare.p, '@', bare.n);
}

/* The entry that an answer belongs to. `*about`: is anybody's answer about this id awaited who is no host? That is told where
 * there is none. */
static struct naive_entry *find(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, bool *about)
{
	struct naive_entry *found = NULL;
	*about = false;
	for (int i = 0; i < t->all.n; i++) {
		struct naive_entry *e = t->all.entry[i];
		if (!rcpt_str_eq(e->from, rcpt_jid_bare(from)) || !rcpt_str_eq(e->id, id))
			continue;
		*about = *about || (!done(e) && !is_host(e->asked));
		if (rcpt_str_eq(e->asked, e->flags & RCPT_OCCUPANT ? to : rcpt_jid_bare(to)) && (!found || e->born > found->born))
			found = e;
	}
	return found;
}

static void tell_answer(const struct naive_entry *e, double now, struct rcpt_answer *answer)
{
	const int64_t age = ticks(now) - e->time;
	*answer = (struct rcpt_answer){age > 0 ? (double)age / 64 : 0, e->flags & SHOWN};
}

/* -- What the header declares ---------------------------------------------------------------------------------------- */

void naive_init(struct naive *t, const struct rcpt_pending_limits *limits)
{
	memset(t, 0, sizeof *t);
	t->limits = *limits;
}

void naive_journal(struct naive *t, rcpt_visit *evicted, void *ud)
{
	t->journal = true;
	t->evicted = evicted;
	t->ud = ud;
}

enum rcpt_status naive_add(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
						   unsigned flags)
{
	struct naive_entry fresh = {.from = from, .asked = to, .id = id, .time = ticks(now), .flags = flags};
	if (!normalize(&fresh))
		return RCPT_TOO_LONG;
	struct naive_entry *e = find_exact(t, &fresh);
	if (!e)
		return add_new(t, fresh, true);
	if (e->state != RCPT_PENDING) {
		e->flags = fresh.flags;
		enter_state(t, e, RCPT_PENDING, fresh.time);
		return RCPT_OK;
	}
	const unsigned merged =
		(e->flags & (RCPT_OCCUPANT | RCPT_OVERDUE)) | (fresh.flags & RCPT_TYPE_BITS) | (e->flags & fresh.flags & RCPT_INJECTED);
	if (merged != e->flags) {
		e->flags = merged;
		note(t, e);
	}
	return RCPT_KNOWN;
}

enum rcpt_verdict naive_match(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
							  struct rcpt_answer *answer)
{
	bool about;
	struct naive_entry *e = find(t, from, to, id, &about);
	if (!e)
		return about ? RCPT_FORGED : RCPT_UNKNOWN;
	tell_answer(e, now, answer);
	if (done(e))
		return RCPT_DUPLICATE;
	enter_state(t, e, RCPT_DELIVERED_ONCE, ticks(now));
	return RCPT_DELIVERED;
}

bool naive_fail(struct naive *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
				struct rcpt_answer *answer)
{
	bool about;
	struct naive_entry *e = find(t, from, to, id, &about);
	if (!e || e->state != RCPT_PENDING)
		return false;
	tell_answer(e, now, answer);
	enter_state(t, e, RCPT_FAILED, e->time);
	return true;
}

static uint32_t expire_state(struct naive *t, const struct naive_order *o, enum rcpt_state state, double now, uint32_t max,
							 rcpt_visit *visit, void *ud)
{
	const double span = state == RCPT_DELIVERED_ONCE ? t->limits.remember : t->limits.ttl;
	uint32_t gone = 0;
	for (int left = count_state(o, state); left > 0 && gone < max; left--) {
		struct naive_entry *e = first(o, state);
		const int64_t age = ticks(now) - e->time;
		if (age >= 0 && (double)age / 64 < span)
			break;
		gone++;
		if (age < 0) {
			enter_state(t, e, e->state, ticks(now));
		} else {
			show(e, visit, ud);
			drop(t, e);
		}
	}
	return gone;
}

uint32_t naive_expire(struct naive *t, struct rcpt_str from, double now, uint32_t max, rcpt_visit *visit, void *ud)
{
	const struct naive_order *o = from.n ? own_order(t, from) : &t->all;
	uint32_t gone = expire_state(t, o, RCPT_PENDING, now, max, visit, ud);
	gone += expire_state(t, o, RCPT_FAILED, now, max - gone, visit, ud);
	return gone + expire_state(t, o, RCPT_DELIVERED_ONCE, now, max - gone, visit, ud);
}

static bool show_overdue(struct naive *t, struct naive_entry *e, rcpt_visit *visit, void *ud)
{
	if (e->flags & RCPT_OVERDUE)
		return false;
	e->flags |= RCPT_OVERDUE;
	note(t, e);
	show(e, visit, ud);
	return true;
}

uint32_t naive_overdue(struct naive *t, struct rcpt_str from, double now, double age, uint32_t max, rcpt_visit *visit, void *ud)
{
	const struct naive_order *o = from.n ? own_order(t, from) : &t->all;
	uint32_t count = 0;
	for (int i = 0; i < o->n && count < max;) {
		struct naive_entry *e = o->entry[i];
		const int64_t old = ticks(now) - e->time;
		if (e->state != RCPT_PENDING || (!from.n && e->looked_at)) {
			i++;
		} else if ((double)old / 64 >= age) {
			e->looked_at = e->looked_at || !from.n;
			const bool shown = show_overdue(t, e, visit, ud);
			count += shown || !from.n;
			i++;
		} else if (old < 0) { /* the next comes into its place */
			enter_state(t, e, e->state, ticks(now));
			count++;
		} else {
			break;
		}
	}
	return count;
}

void naive_each(const struct naive *t, struct rcpt_str from, bool delivered, rcpt_visit *visit, void *ud)
{
	struct naive_order left = *own_order((struct naive *)t, from);
	while (left.n > count_state(&left, RCPT_DELIVERED_ONCE)) {
		const struct naive_entry *failed = first(&left, RCPT_FAILED), *pending = first(&left, RCPT_PENDING);
		const struct naive_entry *e = !pending || (failed && failed->time <= pending->time) ? failed : pending;
		show(e, visit, ud);
		take_out(&left, e);
	}
	for (int i = 0; delivered && i < left.n; i++)
		show(left.entry[i], visit, ud);
}

/* Is anything that had to go for an entry missed more than that? */
static bool is_surplus(const struct naive *t, const struct naive_entry *fresh)
{
	struct naive_order left = *own_order((struct naive *)t, fresh->from);
	for (int gone = 0; left.n > 0 && ((gone < 2 && left.n >= (int)t->limits.per_user) || is_much(t, &left, fresh)); gone++) {
		const struct naive_entry *victim = expendable(&left);
		if (fresh->state == victim->state ? fresh->time < victim->time : fresh->state > victim->state)
			return true;
		take_out(&left, victim);
	}
	return false;
}

enum rcpt_status naive_put(struct naive *t, const struct rcpt_entry *entry, double now)
{
	struct naive_entry fresh = {.from = entry->from,
								.asked = entry->asked,
								.id = entry->id,
								.state = entry->state,
								.flags = entry->flags,
								.stored = true};
	if (!normalize(&fresh))
		return RCPT_TOO_LONG;
	struct naive_entry *e = find_exact(t, &fresh);
	if (e) {
		e->stored = entry->stored;
		note(t, e);
		return RCPT_KNOWN;
	}
	if (now - entry->time >= (done(&fresh) ? t->limits.remember : t->limits.ttl))
		return RCPT_TOO_OLD;
	fresh.time = ticks(entry->time < now ? entry->time : now);
	if (!is_surplus(t, &fresh))
		return add_new(t, fresh, entry->time > now);
	if (t->evicted)
		show(&fresh, t->evicted, t->ud);
	return RCPT_OK;
}

uint32_t naive_forget(struct naive *t, struct rcpt_str from)
{
	const struct naive_order *own = own_order(t, from);
	const uint32_t gone = (uint32_t)own->n;
	while (own->n > 0)
		drop(t, own->entry[0]);
	return gone;
}

static bool is_dirty(const struct naive *t, const struct naive_entry *e, bool due)
{
	const int64_t age = ticks(t->written_at) - e->time;
	return e->dirty && !(due && !done(e) && !e->stored && age >= 0 && age < ticks(t->young));
}

static bool any_dirty(const struct naive *t, const struct naive_order *own, bool due)
{
	for (int i = 0; i < own->n; i++)
		if (is_dirty(t, own->entry[i], due))
			return true;
	return false;
}

/* Whoever is first comes last; or leaves, when nothing is dirty. */
static void next_turn(struct naive *t)
{
	const struct rcpt_str jid = t->changed[0];
	unqueue(t);
	if (any_dirty(t, own_order(t, jid), false))
		t->changed[t->changes++] = jid;
}

struct rcpt_str naive_changed(struct naive *t, double now, double young, rcpt_visit *visit, void *ud)
{
	t->written_at = now;
	t->young = young;
	for (int turns = t->changes; turns > 0 && !any_dirty(t, own_order(t, t->changed[0]), true); turns--)
		next_turn(t);
	if (t->changes == 0 || !any_dirty(t, own_order(t, t->changed[0]), true))
		return RCPT_STR("");
	const struct naive_order *own = own_order(t, t->changed[0]);
	for (enum rcpt_state state = RCPT_PENDING; state <= RCPT_DELIVERED_ONCE; state++)
		for (int i = own->n - 1; i >= 0; i--)
			if (is_dirty(t, own->entry[i], true) && own->entry[i]->state == state)
				show(own->entry[i], visit, ud);
	return t->changed[0];
}

void naive_saved(struct naive *t, bool written)
{
	if (t->changes == 0)
		return;
	const struct naive_order *own = own_order(t, t->changed[0]);
	for (int i = 0; written && i < own->n; i++)
		if (is_dirty(t, own->entry[i], true)) {
			own->entry[i]->stored = to_be_kept(own->entry[i]);
			own->entry[i]->dirty = false;
		}
	next_turn(t);
}

uint32_t naive_count(const struct naive *t, struct rcpt_str from)
{
	const struct naive_order *o = from.n ? own_order((struct naive *)t, from) : &t->all;
	return (uint32_t)(o->n - count_state(o, RCPT_DELIVERED_ONCE));
}
