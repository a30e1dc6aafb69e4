/* SPDX-License-Identifier: MIT */
/* SipHash-1-3: a keyed hash, so that nobody outside can choose ids that collide.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF"; 1 compression and 3 finalisation rounds,
 * the variant that Rust and Python use for their hash tables.
 */
#ifndef RCPT_SIPHASH_H
#define RCPT_SIPHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rcpt_key {
	uint64_t k0, k1;
};

/* A key from the system's random source. False where the system has none to give. */
bool rcpt_key_random(struct rcpt_key *key);

/* Hash of `len` bytes. `seed` is mixed into the key: the same bytes hash differently under another seed. */
uint64_t rcpt_siphash(const struct rcpt_key *key, uint32_t seed, const void *data, size_t len);

#endif
