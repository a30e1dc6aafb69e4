/* SPDX-License-Identifier: MIT */
/* The pending table from within: how it lies in memory, for pending.c and the pending_*.c files alone.
 *
 *   entries  (from, id) --hash--> [entry]-->[entry]      one chain has all who were asked about one id of one requester
 *   jids     bare JID   --hash--> [jid]                  each JID is kept once, counted by the entries that name it
 *
 *   Every entry is in two doubly linked lists, oldest first, of one kind: OPEN (failed, then pending) or DONE (delivered).
 *     table.list[kind]    head -> oldest ... newest <- tail    expiry takes from the head
 *     jid.list[kind]      the same for one requester           eviction takes from the head
 *
 *   What has failed is in the order of its bounces, which makes failing O(1). No list has room for where it ends: the first that
 *   failed has the last one in `prev`.
 *
 * Entries and JIDs are slab blocks and refer to each other by 4-byte references: an entry is 36 bytes and its id, which takes 16
 * where it is a UUID.
 *
 * In a large table nearly every block is out of the processor's caches and its page out of the TLB, and an operation's time goes
 * into that: what counts is how few blocks it touches, and that it asks for its first ones together (pending_find.c). Hence,
 * too, small entries, whose hash is reckoned again when a bucket is split.
 */
#ifndef RCPT_PENDING_TABLE_H
#define RCPT_PENDING_TABLE_H

#include "lhash.h"
#include "pending.h"
#include "slab.h"
#include "touch.h"
#include "uuid.h"

enum { OPEN, DONE, KINDS };
enum { TABLE, USER, LISTS };

#define TICKS 64.0 /* per second */
#define TICK_BITS 44
_Static_assert((uint64_t)RCPT_TIME_MAX == (uint64_t)1 << (TICK_BITS - 6), "64 ticks a second: an entry has room for every time");

/* In an entry's flags, above those that are shown. */
#define STORED 0x40u /* the store has a record of it */
#define DIRTY 0x80u  /* and that is not what it should be */
#define SHOWN 0x3fu

struct list {
	rcpt_ref head, tail;
	uint32_t n;
};

struct link {
	rcpt_ref prev, next;
};

struct entry {
	rcpt_ref next; /* in its chain */
	rcpt_ref from, asked;
	struct link link[LISTS];
	uint32_t time_low; /* in ticks */
	uint32_t time_high : TICK_BITS - 32;
	uint32_t id_len : 10; /* 0: it is a UUID, packed */
	uint32_t state : 2;
	uint32_t flags : 8;
	char id[];
};
_Static_assert(offsetof(struct entry, id) == 36 && RCPT_ID_MAX < 1u << 10, "an entry is as small as it was meant to be");

struct jid {
	rcpt_ref next; /* in its chain */
	uint32_t hash;
	uint32_t refs;
	struct list list[KINDS];
	uint32_t dirty; /* entries */
	rcpt_ref next_changed;
	uint32_t bytes_low; /* of its entries, as the limit counts them */
	uint16_t bytes_high : 3;
	uint16_t queued : 1; /* in the journal, which counts as a reference */
	uint16_t len : 12;
	char text[];
};
_Static_assert(offsetof(struct jid, text) == 50 && RCPT_JID_MAX < 1u << 12, "a JID is as small as it was meant to be");
_Static_assert(((uint64_t)1 << 35) / RCPT_ENTRY_BYTES > RCPT_CAPACITY_MAX, "its entries' bytes are, with room to spare");

struct rcpt_pending {
	struct rcpt_slab slab;
	struct rcpt_lhash entries, jids;
	struct list list[KINDS];
	rcpt_ref next_overdue; /* the first pending entry that has not been looked at */
	struct list changed;   /* the journal; JIDs */
	bool journal;
	int64_t written_at, young; /* as changed() was told, in ticks */
	rcpt_visit *evicted;
	void *evicted_ud;
	struct rcpt_pending_limits limits;
	struct rcpt_key key;
};

/* -- Time ------------------------------------------------------------------------------------------------------------ */

/* What is no time counts as the nearest that is one. */
static inline int64_t ticks(double seconds)
{
	const double ticks = seconds * TICKS;
	if (!(ticks > 0))
		return 0;
	return ticks < RCPT_TIME_MAX * TICKS ? (int64_t)ticks : ((int64_t)1 << TICK_BITS) - 1;
}

static inline int64_t time_of(const struct entry *e)
{
	return (int64_t)((uint64_t)e->time_high << 32 | e->time_low);
}

static inline void set_time(struct entry *e, int64_t time)
{
	e->time_low = (uint32_t)time;
	e->time_high = (uint32_t)(time >> 32) & ((1u << (TICK_BITS - 32)) - 1);
}

/* In ticks; negative when the clock has stepped back. */
static inline int64_t age_of(const struct entry *e, int64_t now)
{
	return now - time_of(e);
}

/* -- Blocks ---------------------------------------------------------------------------------------------------------- */

static inline struct entry *entry_at(const struct rcpt_pending *t, rcpt_ref ref)
{
	struct entry *e = rcpt_slab_at(&t->slab, ref);
	RCPT_TOUCH(e);
	return e;
}

static inline struct jid *jid_at(const struct rcpt_pending *t, rcpt_ref ref)
{
	struct jid *jid = rcpt_slab_at(&t->slab, ref);
	RCPT_TOUCH(jid);
	return jid;
}

static inline struct rcpt_str jid_text(const struct jid *jid)
{
	return (struct rcpt_str){jid->text, jid->len};
}

/* An id as it is kept. */
struct id {
	struct rcpt_str kept;
	bool packed;
};

static inline struct id entry_id(const struct entry *e)
{
	return (struct id){{e->id, e->id_len ? e->id_len : RCPT_UUID_BYTES}, e->id_len == 0};
}

static inline int kind_of(const struct entry *e)
{
	return e->state == RCPT_DELIVERED_ONCE ? DONE : OPEN;
}

/* The last entry of a list that has failed, or 0. */
static inline rcpt_ref last_failed(const struct rcpt_pending *t, const struct list *open, int which)
{
	const struct entry *first = open->head ? entry_at(t, open->head) : NULL;
	return first && first->state == RCPT_FAILED ? first->link[which].prev : 0;
}

/* The part of a list that has the entries of one state. 0 and 0: none. */
struct run {
	rcpt_ref first, last;
	int which;
};

static inline struct run run_of(const struct rcpt_pending *t, const struct list list[KINDS], int which, enum rcpt_state state)
{
	if (state == RCPT_DELIVERED_ONCE)
		return (struct run){list[DONE].head, list[DONE].tail, which};
	const struct list *open = &list[OPEN];
	const rcpt_ref failed = last_failed(t, open, which);
	if (state == RCPT_FAILED)
		return (struct run){failed ? open->head : 0, failed, which};
	const rcpt_ref first = failed ? entry_at(t, failed)->link[which].next : open->head;
	return (struct run){first, first ? open->tail : 0, which};
}

/* Its first entry, which the run is without from then on, whatever becomes of it; or 0. */
static inline rcpt_ref run_take(const struct rcpt_pending *t, struct run *run)
{
	const rcpt_ref ref = run->first;
	if (ref)
		run->first = ref == run->last ? 0 : entry_at(t, ref)->link[run->which].next;
	return ref;
}

/* Should the store have this entry? */
static inline bool belongs_in_store(const struct entry *e)
{
	return kind_of(e) == OPEN || (e->flags & RCPT_INJECTED);
}

/* -- JIDs, each kept once -------------------------------------------------------------------------------------------- */

static inline uint32_t jid_hash(const struct rcpt_pending *t, struct rcpt_str text)
{
	return (uint32_t)rcpt_siphash(&t->key, 0, text.p, text.n);
}

/* 0 where the table has none. */
rcpt_ref rcpt_jid_find(const struct rcpt_pending *t, struct rcpt_str text, uint32_t hash);
/* The bare form of a JID, if the table knows it. */
rcpt_ref rcpt_jid_find_bare(const struct rcpt_pending *t, struct rcpt_str jid);
/* The JID, with one more reference to it. 0 when memory has run out. */
rcpt_ref rcpt_jid_hold(struct rcpt_pending *t, struct rcpt_str text, uint32_t hash);
/* One reference less; with the last it goes. */
void rcpt_jid_release(struct rcpt_pending *t, rcpt_ref ref);
/* For the hash table of JIDs. */
uint32_t rcpt_jid_hash_of(const void *t, rcpt_ref ref);

/* What a requester's entries take of the limit, in bytes. */
static inline uint64_t jid_bytes(const struct jid *jid)
{
	return (uint64_t)jid->bytes_high << 32 | jid->bytes_low;
}

static inline void set_jid_bytes(struct jid *jid, uint64_t bytes)
{
	jid->bytes_low = (uint32_t)bytes;
	jid->bytes_high = (bytes >> 32) & 7;
}

/* -- Entries --------------------------------------------------------------------------------------------------------- */

/* What one of them takes. The asked JID, which may be kept for others too, counts each time: a store has it as often. */
static inline uint32_t entry_bytes(const struct rcpt_pending *t, const struct entry *e)
{
	return jid_at(t, e->asked)->len + (e->id_len ? e->id_len : RCPT_UUID_TEXT);
}

/* Into its lists, at the young end of those of its state; or, with `in_order`, among the requester's where its time is. */
void rcpt_entry_link(struct rcpt_pending *t, rcpt_ref ref, bool in_order);
/* The entry goes to the young end of those of its new state. */
void rcpt_entry_enter(struct rcpt_pending *t, rcpt_ref ref, enum rcpt_state state, int64_t time);
void rcpt_entry_drop(struct rcpt_pending *t, rcpt_ref ref);
/* False when `visit` is. */
bool rcpt_entry_show(const struct rcpt_pending *t, rcpt_ref ref, rcpt_visit *visit, void *ud);

/* -- Finding entries ------------------------------------------------------------------------------------------------- */

/* The entry that an answer of `to` about (from, id) belongs to, or 0. Then `*about` tells whether anybody's answer about this id
 * is still awaited who is no host; where it is NULL, nobody wants to know. */
rcpt_ref rcpt_entry_find(const struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, bool *about);

/* What an entry is looked up by: the requester's bare JID, the asked JID as it is kept, and the id; with their hashes, reckoned
 * once. */
struct query {
	struct rcpt_str from, asked;
	struct id id;
	char id_bytes[RCPT_UUID_BYTES]; /* what `id` may point to: so this is not to be copied */
	uint32_t from_hash, asked_hash, hash;
};

void rcpt_query_set(const struct rcpt_pending *t, struct query *q, struct rcpt_str from, struct rcpt_str asked,
					struct rcpt_str id);
/* The entry for exactly these, or 0. */
rcpt_ref rcpt_query_find(const struct rcpt_pending *t, const struct query *q);

/* For the hash table of entries. */
uint32_t rcpt_entry_hash_of(const void *t, rcpt_ref ref);

/* -- The journal ----------------------------------------------------------------------------------------------------- */

/* An entry has come or changed. */
void rcpt_journal_note(struct rcpt_pending *t, rcpt_ref ref);
/* It goes: what the store has of it stays there. */
void rcpt_journal_forget(struct rcpt_pending *t, struct entry *e);

#endif
