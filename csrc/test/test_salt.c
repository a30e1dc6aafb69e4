/* SPDX-License-Identifier: MIT */
/* The salt of Expat's tables: whose names collide there is not for those who write them to know. */
#include "cmocka_env.h"

#include <expat.h>

#include "mem.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expat_gets_the_reader_s),
		cmocka_unit_test(there_always_is_one),
	};
	return cmocka_run_group_tests_name("salt", tests, NULL, NULL);
}
