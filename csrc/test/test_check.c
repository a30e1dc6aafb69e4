/* SPDX-License-Identifier: MIT */
/* What the pending table's check is worth, on which tests and fuzzing rely: it says what is broken in tables that are. */
#include "cmocka_env.h"

#include "mem.h"
#include "pending_table.h"

/* The table has one entry that is awaited and one that is delivered, of one requester, who waits in the journal. */
static struct entry *entry_of(struct rcpt_pending *t, int kind)
{
	return entry_at(t, t->list[kind].head);
}

static struct jid *requester(struct rcpt_pending *t)
{
	return jid_at(t, entry_of(t, OPEN)->from);
}

static struct jid *asked(struct rcpt_pending *t)
{
	return jid_at(t, entry_of(t, OPEN)->asked);
}

static struct rcpt_page *page_of_entries(struct rcpt_pending *t)
{
	return rcpt_slab_page(&t->slab, t->list[OPEN].head >> 14);
}

static void entries_miscounted(struct rcpt_pending *t)
{
	t->entries.count++;
}

static void other_hash(struct rcpt_pending *t)
{
	asked(t)->hash ^= 1;
}

static void block_of_nobody(struct rcpt_pending *t)
{
	rcpt_slab_alloc(&t->slab, 4);
}

static void live_miscounted(struct rcpt_pending *t)
{
	page_of_entries(t)->live++;
}

static void free_list_leaves_page(struct rcpt_pending *t)
{
	page_of_entries(t)->free = UINT16_MAX;
}

static void free_list_within_block(struct rcpt_pending *t)
{
	page_of_entries(t)->free = 2;
}

static void block_in_use_is_free(struct rcpt_pending *t)
{
	page_of_entries(t)->free = 1;
}

static void page_without_room_list(struct rcpt_pending *t)
{
	t->slab.room[page_of_entries(t)->size_class] = 0;
}

static void previous_page_is_wrong(struct rcpt_pending *t)
{
	page_of_entries(t)->prev = 1;
}

static void room_list_of_another_class(struct rcpt_pending *t)
{
	t->slab.room[0] = t->list[OPEN].head >> 14;
}

static void bytes_miscounted(struct rcpt_pending *t)
{
	t->slab.bytes++;
}

static void previous_is_wrong(struct rcpt_pending *t)
{
	entry_of(t, OPEN)->link[TABLE].prev = t->list[DONE].head;
}

static void failed_behind_pending(struct rcpt_pending *t)
{
	rcpt_pending_add(t, RCPT_STR("a@h"), RCPT_STR("z@h"), RCPT_STR("3"), 0, 0);
	entry_at(t, t->list[OPEN].tail)->state = RCPT_FAILED;
}

static void end_of_failed_is_wrong(struct rcpt_pending *t)
{
	entry_of(t, OPEN)->state = RCPT_FAILED;
}

static void state_of_another_list(struct rcpt_pending *t)
{
	entry_of(t, OPEN)->state = RCPT_DELIVERED_ONCE;
}

static void list_goes_round(struct rcpt_pending *t)
{
	entry_of(t, OPEN)->link[TABLE].next = t->list[OPEN].head;
}

static void list_miscounted(struct rcpt_pending *t)
{
	t->list[OPEN].n++;
}

static void tail_is_wrong(struct rcpt_pending *t)
{
	t->list[OPEN].tail = t->list[DONE].head;
}

static void jid_is_gone(struct rcpt_pending *t)
{
	const rcpt_ref ref = entry_of(t, OPEN)->asked;
	rcpt_lhash_remove(&t->jids, ref, asked(t)->hash);
	rcpt_slab_free(&t->slab, ref);
}

static void requester_is_gone(struct rcpt_pending *t)
{
	const rcpt_ref ref = entry_of(t, OPEN)->from;
	rcpt_lhash_remove(&t->jids, ref, requester(t)->hash);
	rcpt_slab_free(&t->slab, ref);
}

static void in_no_list(struct rcpt_pending *t)
{
	t->list[DONE] = (struct list){0};
}

static void jid_without_use(struct rcpt_pending *t)
{
	asked(t)->refs = 0;
}

static void other_text(struct rcpt_pending *t)
{
	asked(t)->text[0] ^= 1;
}

static void changes_miscounted(struct rcpt_pending *t)
{
	requester(t)->dirty++;
}

static void not_queued(struct rcpt_pending *t)
{
	requester(t)->queued = 0;
}

static void requesters_list_miscounted(struct rcpt_pending *t)
{
	requester(t)->list[OPEN].n++;
}

static void list_of_another(struct rcpt_pending *t)
{
	asked(t)->list[OPEN] = requester(t)->list[OPEN];
	asked(t)->dirty = 1;
	asked(t)->queued = 1;
}

static void requesters_bytes_miscounted(struct rcpt_pending *t)
{
	requester(t)->bytes_low++;
}

static void requesters_bytes_of_others(struct rcpt_pending *t)
{
	asked(t)->bytes_high = 1;
}

static void in_no_list_of_the_requester(struct rcpt_pending *t)
{
	requester(t)->list[DONE] = (struct list){0};
	set_jid_bytes(requester(t), entry_bytes(t, entry_of(t, OPEN)));
}

static void journal_goes_round(struct rcpt_pending *t)
{
	requester(t)->next_changed = t->changed.head;
}

static void journal_has_another(struct rcpt_pending *t)
{
	t->changed.head = entry_of(t, OPEN)->asked;
}

static void journal_is_lost(struct rcpt_pending *t)
{
	t->changed = (struct list){0};
}

static void references_miscounted(struct rcpt_pending *t)
{
	asked(t)->refs++;
}

static const struct {
	void (*break_it)(struct rcpt_pending *);
	const char *found;
} broken[] = {
	{entries_miscounted, "an entry is in the wrong bucket"},
	{other_hash, "a JID is in the wrong bucket"},
	{block_of_nobody, "the slab has other blocks than entries and JIDs"},
	{live_miscounted, "the slab has other blocks than entries and JIDs"},
	{free_list_leaves_page, "the slab has other blocks than entries and JIDs"},
	{free_list_within_block, "the slab has other blocks than entries and JIDs"},
	{block_in_use_is_free, "the slab has other blocks than entries and JIDs"},
	{page_without_room_list, "the slab has other blocks than entries and JIDs"},
	{previous_page_is_wrong, "the slab has other blocks than entries and JIDs"},
	{room_list_of_another_class, "the slab has other blocks than entries and JIDs"},
	{bytes_miscounted, "the slab has other blocks than entries and JIDs"},
	{previous_is_wrong, "a list of the table is broken"},
	{failed_behind_pending, "a list of the table is broken"},
	{end_of_failed_is_wrong, "a list of the table is broken"},
	{state_of_another_list, "a list of the table is broken"},
	{list_goes_round, "a list of the table is broken"},
	{list_miscounted, "a list of the table is broken"},
	{tail_is_wrong, "a list of the table is broken"},
	{jid_is_gone, "an entry names a JID that is not in the table"},
	{requester_is_gone, "an entry names a JID that is not in the table"},
	{in_no_list, "the lists and the hash table differ"},
	{jid_without_use, "a JID has no use or the wrong hash"},
	{other_text, "a JID has no use or the wrong hash"},
	{changes_miscounted, "a requester's changes are counted wrongly"},
	{not_queued, "a requester's changes are counted wrongly"},
	{requesters_list_miscounted, "a list of a requester is broken"},
	{list_of_another, "a list of a requester is broken"},
	{requesters_bytes_miscounted, "a requester's bytes are counted wrongly"},
	{requesters_bytes_of_others, "a requester's bytes are counted wrongly"},
	{in_no_list_of_the_requester, "the requesters' lists and the table differ"},
	{journal_goes_round, "the journal is broken"},
	{journal_has_another, "the journal is broken"},
	{journal_is_lost, "a JID has changes and is not in the journal"},
	{references_miscounted, "a JID is counted wrongly"},
};

static void what_is_broken_is_found(void **state)
{
	(void)state;
	static const struct rcpt_key key = {1, 2};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		struct rcpt_pending *t = rcpt_pending_new(&(struct rcpt_pending_limits){10, 10, 100, 10}, &key);
		struct rcpt_answer answer;
		rcpt_pending_journal(t, NULL, NULL);
		rcpt_pending_add(t, RCPT_STR("a@h"), RCPT_STR("x@h"), RCPT_STR("1"), 0, 0);
		rcpt_pending_add(t, RCPT_STR("a@h"), RCPT_STR("y@h"), RCPT_STR("2"), 0, 0);
		rcpt_pending_match(t, RCPT_STR("a@h"), RCPT_STR("y@h"), RCPT_STR("2"), 1, &answer);
		assert_null(rcpt_pending_check(t));
		broken[i].break_it(t);
		const char *found = rcpt_pending_check(t);
		if (!found || strcmp(found, broken[i].found) != 0)
			fail_msg("%zu: %s, and not %s", i, found ? found : "nothing is broken", broken[i].found);
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_broken_is_found),
	};
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
