/* SPDX-License-Identifier: MIT */
/* The pending table's invariants, for tests. */
#include "pending_table.h"

/* Length of a list whose links agree in both directions and whose entries belong there; UINT32_MAX when something is off. */
static uint32_t check_list(const struct rcpt_pending *t, const struct list *list, int which, int kind, rcpt_ref owner)
{
	uint32_t n = 0;
	rcpt_ref before = 0, failed = 0;
	for (rcpt_ref ref = list->head; ref; ref = entry_at(t, ref)->link[which].next) {
		const struct entry *e = entry_at(t, ref);
		if (n++ > t->entries.count || (before && e->link[which].prev != before) || kind_of(e) != kind ||
			(owner && e->from != owner))
			return UINT32_MAX;
		if (e->state == RCPT_FAILED) {
			if (failed != before) /* it is behind one that is pending */
				return UINT32_MAX;
			failed = ref;
		}
		before = ref;
	}
	if (list->head && entry_at(t, list->head)->link[which].prev != failed)
		return UINT32_MAX;
	return list->tail == before && list->n == n ? n : UINT32_MAX;
}

static uint32_t dirty_entries(const struct rcpt_pending *t, const struct jid *jid)
{
	uint32_t n = 0;
	for (int kind = 0; kind < KINDS; kind++)
		for (rcpt_ref ref = jid->list[kind].head; ref; ref = entry_at(t, ref)->link[USER].next)
			n += (entry_at(t, ref)->flags & DIRTY) != 0;
	return n;
}

/* What is wrong with the table's own lists, and with what their entries name; NULL for nothing. */
static const char *check_lists(const struct rcpt_pending *t)
{
	uint32_t n = 0;
	for (int kind = 0; kind < KINDS; kind++) {
		const uint32_t length = check_list(t, &t->list[kind], TABLE, kind, 0);
		if (length == UINT32_MAX)
			return "a list of the table is broken";
		n += length;
		for (rcpt_ref ref = t->list[kind].head; ref; ref = entry_at(t, ref)->link[TABLE].next) {
			const struct entry *e = entry_at(t, ref);
			const struct jid *from = jid_at(t, e->from), *asked = jid_at(t, e->asked);
			if (rcpt_jid_find(t, jid_text(from), from->hash) != e->from ||
				rcpt_jid_find(t, jid_text(asked), asked->hash) != e->asked)
				return "an entry names a JID that is not in the table";
		}
	}
	return n == t->entries.count ? NULL : "the lists and the hash table differ";
}

static uint64_t bytes_of_entries(const struct rcpt_pending *t, const struct jid *jid)
{
	uint64_t bytes = 0;
	for (int kind = 0; kind < KINDS; kind++)
		for (rcpt_ref ref = jid->list[kind].head; ref; ref = entry_at(t, ref)->link[USER].next)
			bytes += entry_bytes(t, entry_at(t, ref));
	return bytes;
}

struct sums {
	uint64_t entries, refs;
	uint32_t queued;
};

/* The same of a JID. Its part is added to the sums. */
static const char *check_jid(const struct rcpt_pending *t, rcpt_ref ref, struct sums *sums)
{
	const struct jid *jid = jid_at(t, ref);
	if (jid->refs == 0 || jid->hash != jid_hash(t, jid_text(jid)))
		return "a JID has no use or the wrong hash";
	if (jid->dirty != dirty_entries(t, jid) || (jid->dirty > 0 && !jid->queued))
		return "a requester's changes are counted wrongly";
	for (int kind = 0; kind < KINDS; kind++) {
		const uint32_t n = check_list(t, &jid->list[kind], USER, kind, ref);
		if (n == UINT32_MAX)
			return "a list of a requester is broken";
		sums->entries += n;
	}
	if (jid_bytes(jid) != bytes_of_entries(t, jid))
		return "a requester's bytes are counted wrongly";
	sums->refs += jid->refs - (jid->queued ? 1 : 0);
	sums->queued += jid->queued;
	return NULL;
}

/* The same of the journal, in which so many JIDs say that they are. */
static const char *check_journal(const struct rcpt_pending *t, uint32_t queued)
{
	for (rcpt_ref ref = t->changed.head; ref; ref = jid_at(t, ref)->next_changed)
		if (!jid_at(t, ref)->queued || queued-- == 0 || (ref == t->changed.tail && jid_at(t, ref)->next_changed))
			return "the journal is broken";
	return queued == 0 ? NULL : "a JID has changes and is not in the journal";
}

const char *rcpt_pending_check(const struct rcpt_pending *t)
{
	struct sums sums = {0};
	if (!rcpt_lhash_check(&t->entries))
		return "an entry is in the wrong bucket";
	if (!rcpt_lhash_check(&t->jids))
		return "a JID is in the wrong bucket";
	if (rcpt_slab_check(&t->slab) != (long)t->entries.count + (long)t->jids.count)
		return "the slab has other blocks than entries and JIDs";
	const char *broken = check_lists(t);
	for (uint32_t b = 0; b < t->jids.buckets && !broken; b++)
		for (rcpt_ref ref = rcpt_lhash_bucket(&t->jids, b); ref && !broken; ref = jid_at(t, ref)->next)
			broken = check_jid(t, ref, &sums);
	if (!broken && sums.entries != t->entries.count)
		broken = "the requesters' lists and the table differ";
	if (!broken)
		broken = check_journal(t, sums.queued);
	if (!broken && sums.refs != 2 * (uint64_t)t->entries.count)
		broken = "a JID is counted wrongly";
	return broken;
}
