/* SPDX-License-Identifier: MIT */
/* SipHash-1-3 against values made by another implementation: CPython 3.11's hash(bytes) under PYTHONHASHSEED=0. */
#include "cmocka_env.h"

#include "siphash.h"
#include "str.h"

static uint64_t hash(struct rcpt_key key, uint32_t seed, struct rcpt_str s)
{
	return rcpt_siphash(&key, seed, s.p, s.n);
}

static const struct rcpt_key zero = {0, 0};

static void gives_known_values(void **state)
{
	(void)state;
	assert_true(hash(zero, 0, RCPT_STR("a")) == 0x407448d2b89b1813u);
	assert_true(hash(zero, 0, RCPT_STR("abc")) == 0xc03bc3a0042630f2u);
	assert_true(hash(zero, 0, RCPT_STR("01234567")) == 0xda3dcedf84ea6cc6u);
	assert_true(hash(zero, 0, RCPT_STR("0123456789abcdef")) == 0x1d42b30f7e060c24u);
	assert_true(hash(zero, 0, RCPT_STR("The quick brown fox jumps over the lazy dog")) == 0x8df676d3d00c451eu);
}

static void depends_on_key_and_seed(void **state)
{
	(void)state;
	const struct rcpt_key other = {1, 0};
	assert_true(hash(zero, 0, RCPT_STR("abc")) != hash(other, 0, RCPT_STR("abc")));
	assert_true(hash(zero, 0, RCPT_STR("abc")) != hash(zero, 1, RCPT_STR("abc")));
}

static void keys_are_random(void **state)
{
	(void)state;
	struct rcpt_key a = zero, b = zero;
	assert_true(rcpt_key_random(&a));
	assert_true(rcpt_key_random(&b));
	assert_memory_not_equal(&a, &b, sizeof a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_known_values),
		cmocka_unit_test(depends_on_key_and_seed),
		cmocka_unit_test(keys_are_random),
	};
	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
