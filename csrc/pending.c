/* SPDX-License-Identifier: MIT */
/* The pending table: what is asked, acked, bounced or put back, and what makes room for it. */
#include "pending.h"

#include "mem.h"
#include "pending_table.h"

/* -- Making room ----------------------------------------------------------------------------------------------------- */

/* Of these two lists the entry that can be missed first: what was delivered nobody awaits, and what has failed, with which OPEN
 * begins, hardly anybody. 0 when both are empty. */
static rcpt_ref expendable(const struct list list[KINDS])
{
	return list[DONE].head ? list[DONE].head : list[OPEN].head;
}

/* The same of all entries. Of those that are pending only `own`, which are the requester's, or none for what is `stored`: that
 * can be read again. */
static rcpt_ref expendable_of_all(const struct rcpt_pending *t, const struct list own[KINDS], bool stored)
{
	const rcpt_ref ref = expendable(t->list);
	if (ref && entry_at(t, ref)->state != RCPT_PENDING)
		return ref;
	return stored ? 0 : own[OPEN].head;
}

/* False, and the entry stays, when those who have to know of it cannot take it now. */
static bool evict(struct rcpt_pending *t, rcpt_ref ref)
{
	const struct entry *e = entry_at(t, ref);
	if (t->evicted && (kind_of(e) == OPEN || (e->flags & STORED)) && !rcpt_entry_show(t, ref, t->evicted, t->evicted_ud))
		return false;
	rcpt_entry_drop(t, ref);
	return true;
}

/* How many entries has this requester? */
static uint32_t count_of(const struct jid *jid)
{
	return jid->list[OPEN].n + jid->list[DONE].n;
}

/* Are these as many entries as one may have? */
static bool are_many(const struct rcpt_pending *t, uint32_t entries)
{
	return entries >= t->limits.per_user;
}

/* Are these more bytes than one may have? */
static bool is_much(const struct rcpt_pending *t, uint64_t bytes)
{
	return bytes > (uint64_t)t->limits.per_user * RCPT_ENTRY_BYTES;
}

/* Room for one more entry of `from`, of so many bytes. Of entries two go at the most, so that a table over new, lower limits
 * shrinks as it is used; of bytes as many entries as have them: each was added once. Once one has gone it is well: one in for
 * one out is no more than there was; and where bytes are over the limit for that, the next one makes room for both. */
static enum rcpt_status make_room(struct rcpt_pending *t, rcpt_ref from, uint32_t bytes, bool stored)
{
	const struct jid *jid = jid_at(t, from);
	const struct list *own = jid->list;
	uint32_t gone = 0;
	for (rcpt_ref ref; (gone < 2 && are_many(t, count_of(jid))) || is_much(t, jid_bytes(jid) + bytes); gone++) {
		if (!(ref = expendable(own)))
			break; /* it is the only one */
		if (!evict(t, ref))
			return gone ? RCPT_OK : RCPT_NO_MEMORY;
	}
	for (; gone < 2 && t->entries.count >= t->limits.capacity; gone++) {
		const rcpt_ref victim = expendable_of_all(t, own, stored);
		if (!victim)
			return gone ? RCPT_OK : RCPT_FULL;
		if (!evict(t, victim))
			return gone ? RCPT_OK : RCPT_NO_MEMORY;
	}
	return RCPT_OK;
}

/* -- What the header declares ---------------------------------------------------------------------------------------- */

static double clip(double value, double max)
{
	return value > max ? max : value;
}

void rcpt_pending_limit(struct rcpt_pending *t, const struct rcpt_pending_limits *limits)
{
	t->limits = (struct rcpt_pending_limits){
		.capacity = limits->capacity > RCPT_CAPACITY_MAX ? RCPT_CAPACITY_MAX : limits->capacity,
		.per_user = limits->per_user > RCPT_CAPACITY_MAX ? RCPT_CAPACITY_MAX : limits->per_user,
		.ttl = clip(limits->ttl, RCPT_SPAN_MAX),
		.remember = clip(limits->remember, RCPT_SPAN_MAX),
	};
}

struct rcpt_pending *rcpt_pending_new(const struct rcpt_pending_limits *limits, const struct rcpt_key *key)
{
	struct rcpt_pending *t = rcpt_malloc(sizeof *t);
	if (!t)
		return NULL;
	memset(t, 0, sizeof *t);
	t->key = *key;
	rcpt_pending_limit(t, limits);
	/* JIDs are fewer, and are looked up more often. */
	if (!rcpt_lhash_init(&t->entries, 3, &t->slab, rcpt_entry_hash_of, t) ||
		!rcpt_lhash_init(&t->jids, 4, &t->slab, rcpt_jid_hash_of, t)) {
		rcpt_pending_free(t);
		return NULL;
	}
	return t;
}

void rcpt_pending_free(struct rcpt_pending *t)
{
	if (!t)
		return;
	rcpt_lhash_clear(&t->entries);
	rcpt_lhash_clear(&t->jids);
	rcpt_slab_clear(&t->slab);
	rcpt_free(t);
}

static bool length_ok(struct rcpt_str s, size_t max)
{
	return s.n > 0 && s.n <= max;
}

/* Who is asked, as it is kept: the bare JID, or an occupant's in full. What has no nick is no occupant, whatever the flags say.
 */
static struct rcpt_str asked_jid(struct rcpt_str to, unsigned *flags)
{
	const struct rcpt_str bare = rcpt_jid_bare(to);
	if (bare.n == to.n)
		*flags &= ~RCPT_OCCUPANT;
	return *flags & RCPT_OCCUPANT ? to : bare;
}

/* What the entry of a query takes of the limit. */
static uint32_t query_bytes(const struct query *q)
{
	return (uint32_t)(q->asked.n + (q->id.packed ? RCPT_UUID_TEXT : q->id.kept.n));
}

/* Adds an entry that is not in the table. Everything that can fail is done before anything is given up. */
static enum rcpt_status add_new(struct rcpt_pending *t, const struct query *q, enum rcpt_state state, int64_t time,
								unsigned flags)
{
	const struct rcpt_str id = q->id.kept;
	const rcpt_ref from_ref = rcpt_jid_hold(t, q->from, q->from_hash);
	if (!from_ref)
		return RCPT_NO_MEMORY;
	const rcpt_ref asked_ref = rcpt_jid_hold(t, q->asked, q->asked_hash);
	const rcpt_ref ref = asked_ref ? rcpt_slab_alloc(&t->slab, offsetof(struct entry, id) + id.n) : 0;
	enum rcpt_status status = ref ? make_room(t, from_ref, query_bytes(q), flags & STORED) : RCPT_NO_MEMORY;
	if (status != RCPT_OK) {
		if (ref)
			rcpt_slab_free(&t->slab, ref);
		if (asked_ref)
			rcpt_jid_release(t, asked_ref);
		rcpt_jid_release(t, from_ref);
		return status;
	}
	struct jid *from = jid_at(t, from_ref);
	set_jid_bytes(from, jid_bytes(from) + query_bytes(q));
	struct entry *e = entry_at(t, ref);
	*e = (struct entry){
		.from = from_ref,
		.asked = asked_ref,
		.id_len = q->id.packed ? 0 : id.n & 0x3ff,
		.state = state & 3u,
		.flags = flags & 0xffu,
	};
	set_time(e, time);
	memcpy(e->id, id.p, id.n);
	rcpt_lhash_insert(&t->entries, ref, q->hash);
	rcpt_entry_link(t, ref, flags & STORED);
	if (!(flags & STORED) || !belongs_in_store(e))
		rcpt_journal_note(t, ref);
	return RCPT_OK;
}

enum rcpt_status rcpt_pending_add(struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id,
								  double now, unsigned flags)
{
	const struct rcpt_str requester = rcpt_jid_bare(from), asked = asked_jid(to, &flags);
	if (!length_ok(id, RCPT_ID_MAX) || !length_ok(requester, RCPT_JID_MAX) || !length_ok(asked, RCPT_JID_MAX))
		return RCPT_TOO_LONG;
	const int64_t time = ticks(now);
	struct query q;
	rcpt_query_set(t, &q, requester, asked, id);
	const rcpt_ref known = rcpt_query_find(t, &q);
	if (!known)
		return add_new(t, &q, RCPT_PENDING, time, flags);
	struct entry *e = entry_at(t, known);
	if (e->state == RCPT_PENDING) {
		/* A client that asks where we had asked for it wants the ack. */
		const uint8_t merged = (uint8_t)((e->flags & ~(RCPT_TYPE_BITS | RCPT_INJECTED)) | (flags & RCPT_TYPE_BITS) |
										 (e->flags & flags & RCPT_INJECTED));
		if (merged != e->flags) {
			e->flags = merged;
			rcpt_journal_note(t, known);
		}
		return RCPT_KNOWN;
	}
	e->flags = (uint8_t)((e->flags & ~SHOWN) | flags);
	rcpt_entry_enter(t, known, RCPT_PENDING, time);
	return RCPT_OK;
}

static void tell_answer(const struct entry *e, int64_t now, struct rcpt_answer *answer)
{
	const int64_t age = age_of(e, now);
	*answer = (struct rcpt_answer){.age = age > 0 ? (double)age / TICKS : 0, .flags = e->flags & SHOWN};
}

enum rcpt_verdict rcpt_pending_match(struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id,
									 double now, struct rcpt_answer *answer)
{
	const int64_t time = ticks(now);
	bool about;
	const rcpt_ref ref = rcpt_entry_find(t, from, to, id, &about);
	if (!ref)
		return about ? RCPT_FORGED : RCPT_UNKNOWN;
	const struct entry *e = entry_at(t, ref);
	tell_answer(e, time, answer);
	if (e->state == RCPT_DELIVERED_ONCE)
		return RCPT_DUPLICATE;
	rcpt_entry_enter(t, ref, RCPT_DELIVERED_ONCE, time);
	return RCPT_DELIVERED;
}

bool rcpt_pending_fail(struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
					   struct rcpt_answer *answer)
{
	const int64_t time = ticks(now);
	const rcpt_ref ref = rcpt_entry_find(t, from, to, id, NULL);
	if (!ref || entry_at(t, ref)->state != RCPT_PENDING)
		return false;
	tell_answer(entry_at(t, ref), time, answer);
	rcpt_entry_enter(t, ref, RCPT_FAILED, time_of(entry_at(t, ref)));
	return true;
}

bool rcpt_pending_state(const struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id,
						enum rcpt_state *state)
{
	const rcpt_ref ref = rcpt_entry_find(t, from, to, id, NULL);
	if (ref)
		*state = (enum rcpt_state)entry_at(t, ref)->state;
	return ref != 0;
}

uint32_t rcpt_pending_forget(struct rcpt_pending *t, struct rcpt_str from)
{
	uint32_t gone = 0;
	const rcpt_ref jid = rcpt_jid_find_bare(t, from);
	if (!jid)
		return 0;
	jid_at(t, jid)->refs++;
	for (rcpt_ref ref; (ref = expendable(jid_at(t, jid)->list)); gone++)
		rcpt_entry_drop(t, ref);
	rcpt_jid_release(t, jid);
	return gone;
}

/* Is a requester at the limit, and would any that had to go be missed more than one of this state, time and size? */
static bool is_surplus(const struct rcpt_pending *t, rcpt_ref ref, enum rcpt_state state, int64_t time, uint32_t bytes)
{
	const struct jid *jid = jid_at(t, ref);
	const struct list *own = jid->list;
	const uint32_t count = count_of(jid);
	uint32_t gone = 0; /* as make_room() would have them go */
	uint64_t sum = jid_bytes(jid) + bytes;
	for (rcpt_ref victim = expendable(own); victim && ((gone < 2 && are_many(t, count - gone)) || is_much(t, sum)); gone++) {
		const struct entry *e = entry_at(t, victim);
		if (e->state == state ? time < time_of(e) : e->state < state) /* they are in the order in which they are missed */
			return true;
		sum -= entry_bytes(t, e);
		/* Behind the last delivered one come those that are open. */
		victim = (e->link[USER].next || kind_of(e) == OPEN) ? e->link[USER].next : own[OPEN].head;
	}
	return false;
}

/* What comes and makes room at once. */
static enum rcpt_status turn_away(const struct rcpt_pending *t, const struct query *q, struct rcpt_str id, enum rcpt_state state,
								  int64_t time, unsigned flags)
{
	const struct entry kept = {.state = state & 3u, .flags = flags & 0xffu};
	const struct rcpt_entry shown = {
		.from = q->from,
		.asked = q->asked,
		.id = id,
		.time = (double)time / TICKS,
		.state = state,
		.flags = flags,
		.stored = true,
		.keep = belongs_in_store(&kept),
	};
	return t->evicted && !t->evicted(t->evicted_ud, &shown) ? RCPT_NO_MEMORY : RCPT_OK;
}

enum rcpt_status rcpt_pending_put(struct rcpt_pending *t, const struct rcpt_entry *entry, double now)
{
	const double span = entry->state == RCPT_DELIVERED_ONCE ? t->limits.remember : t->limits.ttl;
	const struct rcpt_str requester = rcpt_jid_bare(entry->from);
	unsigned flags = entry->flags;
	const struct rcpt_str asked = asked_jid(entry->asked, &flags);
	if (!length_ok(entry->id, RCPT_ID_MAX) || !length_ok(requester, RCPT_JID_MAX) || !length_ok(asked, RCPT_JID_MAX))
		return RCPT_TOO_LONG;
	struct query q;
	rcpt_query_set(t, &q, requester, asked, entry->id);
	const rcpt_ref ref = rcpt_query_find(t, &q);
	if (ref) {
		struct entry *e = entry_at(t, ref);
		e->flags = (uint8_t)((e->flags & ~STORED) | (entry->stored ? STORED : 0));
		rcpt_journal_note(t, ref);
		return RCPT_KNOWN;
	}
	if (now - entry->time >= span)
		return RCPT_TOO_OLD;
	const int64_t time = ticks(entry->time < now ? entry->time : now);
	const rcpt_ref jid = rcpt_jid_find(t, q.from, q.from_hash);
	if (jid && is_surplus(t, jid, entry->state, time, query_bytes(&q)))
		return turn_away(t, &q, entry->id, entry->state, time, flags & SHOWN);
	const enum rcpt_status status = add_new(t, &q, entry->state, time, (flags & SHOWN) | STORED);
	if (status == RCPT_OK && entry->time > now)
		rcpt_journal_note(t, rcpt_query_find(t, &q)); /* the store has another time */
	return status;
}

uint32_t rcpt_pending_count(const struct rcpt_pending *t)
{
	return t->list[OPEN].n;
}

uint32_t rcpt_pending_count_of(const struct rcpt_pending *t, struct rcpt_str from)
{
	const rcpt_ref jid = rcpt_jid_find_bare(t, from);
	return jid ? jid_at(t, jid)->list[OPEN].n : 0;
}

size_t rcpt_pending_bytes(const struct rcpt_pending *t)
{
	return sizeof *t + t->slab.bytes + rcpt_lhash_bytes(&t->entries) + rcpt_lhash_bytes(&t->jids);
}
