/* SPDX-License-Identifier: MIT */
/* What the pending table consists of: JIDs, each kept once, and entries, each in its lists. */
#include "pending_table.h"

/* -- JIDs, each kept once -------------------------------------------------------------------------------------------- */

rcpt_ref rcpt_jid_find_bare(const struct rcpt_pending *t, struct rcpt_str jid)
{
	const struct rcpt_str bare = rcpt_jid_bare(jid);
	return rcpt_jid_find(t, bare, jid_hash(t, bare));
}

uint32_t rcpt_jid_hash_of(const void *owner, rcpt_ref ref)
{
	return jid_at(owner, ref)->hash;
}

rcpt_ref rcpt_jid_find(const struct rcpt_pending *t, struct rcpt_str text, uint32_t hash)
{
	rcpt_ref ref = rcpt_lhash_chain(&t->jids, hash);
	while (ref) {
		const struct jid *jid = jid_at(t, ref);
		if (jid->hash == hash && rcpt_str_eq(jid_text(jid), text))
			return ref;
		ref = jid->next;
	}
	return 0;
}

rcpt_ref rcpt_jid_hold(struct rcpt_pending *t, struct rcpt_str text, uint32_t hash)
{
	rcpt_ref ref = rcpt_jid_find(t, text, hash);
	if (!ref) {
		ref = rcpt_slab_alloc(&t->slab, offsetof(struct jid, text) + text.n);
		if (!ref)
			return 0;
		struct jid *jid = jid_at(t, ref);
		memset(jid, 0, offsetof(struct jid, text));
		jid->hash = hash;
		jid->len = text.n & 0xfff;
		memcpy(jid->text, text.p, text.n);
		rcpt_lhash_insert(&t->jids, ref, hash);
	}
	jid_at(t, ref)->refs++;
	return ref;
}

void rcpt_jid_release(struct rcpt_pending *t, rcpt_ref ref)
{
	struct jid *jid = jid_at(t, ref);
	if (--jid->refs > 0)
		return;
	rcpt_lhash_remove(&t->jids, ref, jid->hash);
	rcpt_slab_free(&t->slab, ref);
}

/* -- The two lists an entry is in ------------------------------------------------------------------------------------ */

static struct list *list_of(struct rcpt_pending *t, const struct entry *e, int which)
{
	return which == TABLE ? &t->list[kind_of(e)] : &jid_at(t, e->from)->list[kind_of(e)];
}

/* Of the same state, and younger? */
static bool is_younger(const struct entry *than, const struct entry *e)
{
	return than->state == e->state && time_of(than) > time_of(e);
}

void rcpt_entry_link(struct rcpt_pending *t, rcpt_ref ref, bool in_order)
{
	struct entry *e = entry_at(t, ref);
	const bool failed = e->state == RCPT_FAILED;
	for (int which = 0; which < LISTS; which++) {
		struct list *list = list_of(t, e, which);
		const rcpt_ref last = failed ? last_failed(t, list, which) : list->tail;
		rcpt_ref before = last;
		while (in_order && which == USER && before && is_younger(entry_at(t, before), e))
			before = before == list->head ? 0 : entry_at(t, before)->link[which].prev;
		const rcpt_ref after = before ? entry_at(t, before)->link[which].next : list->head;
		e->link[which] = (struct link){.prev = before, .next = after};
		*(before ? &entry_at(t, before)->link[which].next : &list->head) = ref;
		*(after ? &entry_at(t, after)->link[which].prev : &list->tail) = ref;
		if (failed) /* the head's `prev` says where the failed ones end, see pending_table.h */
			entry_at(t, list->head)->link[which].prev = before == last ? ref : last;
		list->n++;
	}
	if (e->state == RCPT_PENDING && !t->next_overdue)
		t->next_overdue = ref;
}

static void link_out(struct rcpt_pending *t, rcpt_ref ref)
{
	const struct entry *e = entry_at(t, ref);
	for (int which = 0; which < LISTS; which++) {
		struct list *list = list_of(t, e, which);
		const rcpt_ref before = ref == list->head ? 0 : e->link[which].prev, after = e->link[which].next;
		const rcpt_ref last = e->state == RCPT_FAILED ? last_failed(t, list, which) : 0, left = last == ref ? before : last;
		*(before ? &entry_at(t, before)->link[which].next : &list->head) = after;
		*(after ? &entry_at(t, after)->link[which].prev : &list->tail) = before;
		if (left)
			entry_at(t, list->head)->link[which].prev = left;
		list->n--;
	}
	if (t->next_overdue == ref)
		t->next_overdue = e->link[TABLE].next;
}

void rcpt_entry_enter(struct rcpt_pending *t, rcpt_ref ref, enum rcpt_state state, int64_t time)
{
	struct entry *e = entry_at(t, ref);
	link_out(t, ref);
	e->state = state & 3u;
	set_time(e, time);
	rcpt_entry_link(t, ref, false);
	rcpt_journal_note(t, ref);
}

void rcpt_entry_drop(struct rcpt_pending *t, rcpt_ref ref)
{
	struct entry *e = entry_at(t, ref);
	const rcpt_ref from = e->from, asked = e->asked;
	struct jid *requester = jid_at(t, from);
	set_jid_bytes(requester, jid_bytes(requester) - entry_bytes(t, e));
	rcpt_journal_forget(t, e);
	link_out(t, ref);
	rcpt_lhash_remove(&t->entries, ref, rcpt_entry_hash_of(t, ref));
	rcpt_slab_free(&t->slab, ref);
	rcpt_jid_release(t, asked);
	rcpt_jid_release(t, from);
}
