/* SPDX-License-Identifier: MIT */
/* UUIDs as text and as sixteen bytes, eight digits at a time.
 *
 *   aaaaaaaa-bbbb-bbbb-cccc-ccccdddddddd      a byte has a digit of a and one of b, or one of c and one of d
 *                      ^
 *                      8 to b in all UUIDs of the variant that is in use: bit 2 of this digit, which is never set, says that
 * letters are capital
 */
#include "uuid.h"

#include <stdint.h>

#define EACH ((uint64_t)0x0101010101010101) /* times a byte: that byte, eight times */
#define CAPITAL 4
#define VARIANT 8

/* Eight digits of the text, four at each place: a byte each, in an integer. */
static inline uint64_t load(const char *low, const char *high)
{
	char eight[8];
	uint64_t digits;
	memcpy(eight, low, 4);
	memcpy(eight + 4, high, 4);
	memcpy(&digits, eight, 8);
	return digits;
}

static inline void store(uint64_t digits, char *low, char *high)
{
	char eight[8];
	memcpy(eight, &digits, 8);
	memcpy(low, eight, 4);
	memcpy(high, eight + 4, 4);
}

/* What they stand for, 0 to 15: letters have the bit 0x40, and 1 to 6 in the low half, so they are 9 more. Of what is no digit,
 * anything. */
static inline uint64_t values_of(uint64_t digits)
{
	return ((digits & EACH * 0x0f) + (digits >> 6 & EACH) * 9) & EACH * 0x0f;
}

static inline uint64_t digits_of(uint64_t values, unsigned capital)
{
	const uint64_t letters = (values + EACH * 6) >> 4 & EACH;
	return values + EACH * '0' + letters * (capital ? 'A' - '0' - 10u : 'a' - '0' - 10u);
}

/* Is a letter among them, or what is no digit, whose code has 0x40 and not 0x20? */
static inline bool any_capital(uint64_t digits)
{
	return digits >> 1 & ~digits & EACH * 0x20;
}

bool rcpt_uuid_pack(struct rcpt_str text, char bytes[RCPT_UUID_BYTES])
{
	if (text.n != RCPT_UUID_TEXT)
		return false;
	const char *p = text.p;
	const uint64_t a = load(p, p + 4), b = load(p + 9, p + 14), c = load(p + 19, p + 24), d = load(p + 28, p + 32);
	const uint64_t half[2] = {values_of(a) | values_of(b) << 4, values_of(c) | values_of(d) << 4};
	memcpy(bytes, half, sizeof half);
	if ((bytes[8] & (VARIANT | CAPITAL)) != VARIANT)
		return false;
	if (any_capital(a) || any_capital(b) || any_capital(c) || any_capital(d))
		bytes[8] |= CAPITAL;
	/* So whatever is not a UUID, or not as we would write it, is found out. */
	char same[RCPT_UUID_TEXT];
	rcpt_uuid_text(bytes, same);
	return memcmp(text.p, same, sizeof same) == 0;
}

void rcpt_uuid_text(const char bytes[RCPT_UUID_BYTES], char text[RCPT_UUID_TEXT])
{
	char plain[RCPT_UUID_BYTES];
	uint64_t half[2];
	const unsigned capital = bytes[8] & CAPITAL;
	memcpy(plain, bytes, sizeof plain);
	plain[8] &= ~CAPITAL;
	memcpy(half, plain, sizeof half);
	store(digits_of(half[0] & EACH * 0x0f, capital), text, text + 4);
	store(digits_of(half[0] >> 4 & EACH * 0x0f, capital), text + 9, text + 14);
	store(digits_of(half[1] & EACH * 0x0f, capital), text + 19, text + 24);
	store(digits_of(half[1] >> 4 & EACH * 0x0f, capital), text + 28, text + 32);
	text[8] = text[13] = text[18] = text[23] = '-';
}
