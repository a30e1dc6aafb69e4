/* SPDX-License-Identifier: MIT */
/* The salt of Expat's tables, and the key of the pending table's: which names, JIDs and ids collide there is not for those who
 * write them to know. */
#include "cmocka_env.h"

#include <expat.h>

#include "mem.h"
#include "pending_table.h"
#include "single.h"

static const struct rcpt_xml_limits limits = {4096, 8, 100, false, false};

static unsigned long salt;
static unsigned calls;

/* In Expat's place, which keeps it to itself. */
int XML_SetHashSalt(XML_Parser parser, unsigned long given)
{
	(void)parser;
	salt = given;
	calls++;
	return 1;
}

static void expat_gets_the_reader_s(void **state)
{
	(void)state;
	struct rcpt_xml *x = rcpt_xml_new(&limits, 42);
	assert_int_equal(salt, 42);
	struct rcpt_single *s = rcpt_single_new(&limits, 43);
	struct rcpt_facts f;
	assert_int_equal(rcpt_single_read(s, "<message/>", 10, &f), RCPT_XML_OK);
	assert_int_equal(salt, 43);
	calls = 0;
	assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
	assert_true(calls > 0); /* for each document anew */
	assert_int_equal(salt, 42);
	rcpt_single_free(s);
	rcpt_xml_free(x);
}

/* To Expat, 0 is none. */
static void there_always_is_one(void **state)
{
	(void)state;
	struct rcpt_xml *x = rcpt_xml_new(&limits, 0);
	assert_int_not_equal(salt, 0);
	rcpt_xml_free(x);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* What is hashed is the same in all. */
static void the_pending_table_hashes_under_its_key(void **state)
{
	(void)state;
	static const struct rcpt_key keys[] = {{0, 0}, {1, 0}, {0, 1}};
	uint32_t entry[3], jid[3];
	for (size_t i = 0; i < 3; i++) {
		struct rcpt_pending *t = rcpt_pending_new(&(struct rcpt_pending_limits){10, 10, 100, 10}, &keys[i]);
		assert_int_equal(rcpt_pending_add(t, RCPT_STR("a@h"), RCPT_STR("b@h"), RCPT_STR("1"), 0, 0), RCPT_OK);
		const rcpt_ref ref = t->list[OPEN].head;
		entry[i] = rcpt_entry_hash_of(t, ref);
		jid[i] = rcpt_jid_hash_of(t, entry_at(t, ref)->asked);
		for (size_t k = 0; k < i; k++) {
			assert_int_not_equal(entry[k], entry[i]);
			assert_int_not_equal(jid[k], jid[i]);
		}
		rcpt_pending_free(t);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expat_gets_the_reader_s),
		cmocka_unit_test(there_always_is_one),
		cmocka_unit_test(the_pending_table_hashes_under_its_key),
	};
	return cmocka_run_group_tests_name("salt", tests, NULL, NULL);
}
