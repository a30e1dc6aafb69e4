/* SPDX-License-Identifier: MIT */
/* Finding an entry, by its requester, its id and who was asked.
 *
 * What will be read lies far apart: it is sent for at once, before the first of it is looked at.
 */
#include "pending_table.h"

/* `bytes` has room for a UUID's, and is to last as long as what is returned. */
static struct id id_of(struct rcpt_str text, char bytes[RCPT_UUID_BYTES])
{
	const bool packed = rcpt_uuid_pack(text, bytes);
	return (struct id){packed ? (struct rcpt_str){bytes, RCPT_UUID_BYTES} : text, packed};
}

static bool id_is(const struct entry *e, const struct id *id)
{
	const struct id own = entry_id(e);
	return own.packed == id->packed && rcpt_str_eq(own.kept, id->kept);
}

/* Of an id, under the hash of its requester: ids like "1" and "2" recur with every user. */
static uint32_t entry_hash(const struct rcpt_pending *t, uint32_t from_hash, const struct id *id)
{
	return (uint32_t)rcpt_siphash(&t->key, from_hash, id->kept.p, id->kept.n);
}

uint32_t rcpt_entry_hash_of(const void *owner, rcpt_ref ref)
{
	const struct entry *e = entry_at(owner, ref);
	const struct id id = entry_id(e);
	return entry_hash(owner, jid_at(owner, e->from)->hash, &id);
}

/* The hash of an entry, and its requester's. Sends for the two buckets while it hashes. */
static uint32_t send_for_buckets(const struct rcpt_pending *t, struct rcpt_str from, const struct id *id, uint32_t *from_hash)
{
	*from_hash = jid_hash(t, from);
	rcpt_lhash_prefetch(&t->jids, *from_hash);
	const uint32_t hash = entry_hash(t, *from_hash, id);
	rcpt_lhash_prefetch(&t->entries, hash);
	return hash;
}

/* From `ref` on along its chain, the first entry about this id of this requester. */
static rcpt_ref seek(const struct rcpt_pending *t, rcpt_ref ref, rcpt_ref from, const struct id *id)
{
	while (ref) {
		const struct entry *e = entry_at(t, ref);
		if (e->from == from && id_is(e, id))
			return ref;
		ref = e->next;
	}
	return 0;
}

/* Was this entry's ask addressed to `to`? An occupant is one person by the full JID; everybody else by the bare one. */
static bool asked_is(const struct rcpt_pending *t, const struct entry *e, struct rcpt_str to)
{
	return rcpt_str_eq(jid_text(jid_at(t, e->asked)), e->flags & RCPT_OCCUPANT ? to : rcpt_jid_bare(to));
}

/* Whoever is in a room counts as the room. */
static bool is_host(struct rcpt_str jid)
{
	const struct rcpt_str bare = rcpt_jid_bare(jid);
	return !memchr(bare.p, '@', bare.n);
}

/* From `ref` on along its chain: is anybody's answer about this id still awaited who is no host? */
static bool is_awaited(const struct rcpt_pending *t, rcpt_ref ref, rcpt_ref from, const struct id *id)
{
	while ((ref = seek(t, ref, from, id))) {
		const struct entry *e = entry_at(t, ref);
		if (kind_of(e) == OPEN && !is_host(jid_text(jid_at(t, e->asked))))
			return true;
		ref = e->next;
	}
	return false;
}

rcpt_ref rcpt_entry_find(const struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str text,
						 bool *about)
{
	const struct rcpt_str requester = rcpt_jid_bare(from);
	char bytes[RCPT_UUID_BYTES];
	const struct id id = id_of(text, bytes);
	uint32_t from_hash;
	const uint32_t hash = send_for_buckets(t, requester, &id, &from_hash);
	rcpt_ref first = 0; /* the first open one */
	if (about)
		*about = false;
	rcpt_slab_prefetch(&t->slab, rcpt_lhash_chain(&t->entries, hash));
	const rcpt_ref jid = rcpt_jid_find(t, requester, from_hash);
	if (!jid)
		return 0;
	rcpt_ref ref = rcpt_lhash_chain(&t->entries, hash);
	while ((ref = seek(t, ref, jid, &id))) {
		const struct entry *e = entry_at(t, ref);
		if (asked_is(t, e, to))
			return ref;
		if (!first && kind_of(e) == OPEN)
			first = ref;
		ref = e->next;
	}
	if (about)
		*about = is_awaited(t, first, jid, &id);
	return 0;
}

/* Sends for what finding them will read, the three at once: the buckets, then the blocks that head the chains. */
void rcpt_query_set(const struct rcpt_pending *t, struct query *q, struct rcpt_str from, struct rcpt_str asked,
					struct rcpt_str id)
{
	q->from = from;
	q->asked = asked;
	q->id = id_of(id, q->id_bytes);
	q->hash = send_for_buckets(t, from, &q->id, &q->from_hash);
	q->asked_hash = jid_hash(t, asked);
	rcpt_lhash_prefetch(&t->jids, q->asked_hash);
	rcpt_slab_prefetch(&t->slab, rcpt_lhash_chain(&t->jids, q->from_hash));
	rcpt_slab_prefetch(&t->slab, rcpt_lhash_chain(&t->jids, q->asked_hash));
	rcpt_slab_prefetch(&t->slab, rcpt_lhash_chain(&t->entries, q->hash));
}

rcpt_ref rcpt_query_find(const struct rcpt_pending *t, const struct query *q)
{
	const rcpt_ref jid = rcpt_jid_find(t, q->from, q->from_hash);
	if (!jid)
		return 0;
	rcpt_ref ref = rcpt_lhash_chain(&t->entries, q->hash);
	while ((ref = seek(t, ref, jid, &q->id))) {
		const struct entry *e = entry_at(t, ref);
		if (rcpt_str_eq(jid_text(jid_at(t, e->asked)), q->asked))
			return ref;
		ref = e->next;
	}
	return 0;
}
