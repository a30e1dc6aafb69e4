/* SPDX-License-Identifier: MIT */
/* SipHash-1-3 over bytes, and its random key. */
#define _DEFAULT_SOURCE /* getentropy; NOLINT(bugprone-reserved-identifier,cert-*) */
#include "siphash.h"

#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h> /* where getentropy is there */
#endif

bool rcpt_key_random(struct rcpt_key *key)
{
	return getentropy(key, sizeof *key) == 0;
}

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static inline void round1(struct state *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

/* Little-endian whatever the machine, so that the published test vectors hold everywhere. */
static inline uint64_t load8(const unsigned char *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
		   (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* Fewer than 8. */
static inline uint64_t load(const unsigned char *p, size_t n)
{
	uint64_t word = 0;
	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word;
}

uint64_t rcpt_siphash(const struct rcpt_key *key, uint32_t seed, const void *data, size_t len)
{
	const uint64_t k1 = key->k1 ^ seed;
	struct state s = {
		key->k0 ^ 0x736f6d6570736575U,
		k1 ^ 0x646f72616e646f6dU,
		key->k0 ^ 0x6c7967656e657261U,
		k1 ^ 0x7465646279746573U,
	};
	const unsigned char *p = data;
	size_t left = len;
	for (; left >= 8; p += 8, left -= 8) {
		uint64_t word = load8(p);
		s.v3 ^= word;
		round1(&s);
		s.v0 ^= word;
	}
	uint64_t last = (uint64_t)len << 56 | load(p, left);
	s.v3 ^= last;
	round1(&s);
	s.v0 ^= last;
	s.v2 ^= 0xff;
	round1(&s);
	round1(&s);
	round1(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
