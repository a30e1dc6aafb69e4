/* SPDX-License-Identifier: MIT */
/* UUIDs in sixteen bytes: what is packed comes back as it was, and nothing else is packed. */
#include "cmocka_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "uuid.h"

/* By the grammar of RFC 9562 §4, with letters of one case. */
static bool is_uuid(const char text[RCPT_UUID_TEXT])
{
	bool lower = false, upper = false;
	for (unsigned i = 0; i < RCPT_UUID_TEXT; i++) {
		const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !text[i] || !strchr(i == 19 ? "89abAB" : "0123456789abcdefABCDEF", text[i]))
			return false;
		lower = lower || (text[i] >= 'a' && text[i] <= 'f');
		upper = upper || (text[i] >= 'A' && text[i] <= 'F');
	}
	return !(lower && upper);
}

static void packs_what_is_a_uuid(const char text[RCPT_UUID_TEXT])
{
	char bytes[RCPT_UUID_BYTES], again[RCPT_UUID_TEXT];
	const bool packed = rcpt_uuid_pack((struct rcpt_str){text, RCPT_UUID_TEXT}, bytes);
	if (packed != is_uuid(text))
		fail_msg("%.36s is %s", text, packed ? "packed" : "not packed");
	if (!packed)
		return;
	rcpt_uuid_text(bytes, again);
	assert_memory_equal(again, text, RCPT_UUID_TEXT);
}

static const char *const examples[] = {
	"f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "01234567-8901-4234-8567-890123456789",
	"abcdefab-cdef-4abc-abcd-efabcdefabcd", "ABCDEFAB-CDEF-4ABC-BBCD-EFABCDEFABCD", "00000000-0000-0000-8000-000000000000",
	"ffffffff-ffff-ffff-bfff-ffffffffffff",
};

static void comes_back_as_it_was(void **state)
{
	(void)state;
	char bytes[RCPT_UUID_BYTES];
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		assert_true(rcpt_uuid_pack((struct rcpt_str){examples[i], strlen(examples[i])}, bytes));
		packs_what_is_a_uuid(examples[i]);
	}
}

static void every_byte_in_every_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
		for (unsigned at = 0; at < RCPT_UUID_TEXT; at++)
			for (int c = 0; c < 256; c++) {
				char text[RCPT_UUID_TEXT];
				memcpy(text, examples[i], sizeof text);
				text[at] = (char)c;
				packs_what_is_a_uuid(text);
			}
}

static void random_digits(void **state)
{
	(void)state;
	unsigned seed = 184;
	for (int i = 0; i < 100000; i++) {
		char text[RCPT_UUID_TEXT];
		const char *const letters = i % 2 ? "0123456789abcdef" : "0123456789ABCDEF";
		for (unsigned at = 0; at < sizeof text; at++)
			text[at] = at == 8 || at == 13 || at == 18 || at == 23 ? '-' : letters[rand_r(&seed) % 16];
		packs_what_is_a_uuid(text);
	}
}

static void no_other_length(void **state)
{
	(void)state;
	char bytes[RCPT_UUID_BYTES];
	static const char longer[] = "f81d4fae-7dec-11d0-a765-00a0c91e6bf60";
	assert_false(rcpt_uuid_pack((struct rcpt_str){longer, 35}, bytes));
	assert_true(rcpt_uuid_pack((struct rcpt_str){longer, 36}, bytes));
	assert_false(rcpt_uuid_pack((struct rcpt_str){longer, 37}, bytes));
	assert_false(rcpt_uuid_pack((struct rcpt_str){"", 0}, bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(every_byte_in_every_place),
		cmocka_unit_test(random_digits),
		cmocka_unit_test(no_other_length),
	};
	return cmocka_run_group_tests_name("uuid", tests, NULL, NULL);
}
