/* SPDX-License-Identifier: MIT */
/* Linear hashing over blocks of a slab. */
#include "lhash.h"

#include <string.h>

#include "mem.h"
#include "touch.h"

/* A node's first word: the reference of the next one. */
static rcpt_ref *next_of(const struct rcpt_lhash *t, rcpt_ref ref)
{
	rcpt_ref *node = rcpt_slab_at(t->slab, ref);
	RCPT_TOUCH(node);
	return node;
}

/* Of x > 0. */
static uint32_t log2_floor(uint32_t x)
{
	return 31u - (uint32_t)__builtin_clz(x);
}

/* Segment that holds bucket b, and the number of buckets in a segment. */
static uint32_t segment_of(uint32_t b)
{
	return b < RCPT_LHASH_BASE ? 0 : log2_floor(b / RCPT_LHASH_BASE) + 1;
}

static uint32_t segment_size(uint32_t k)
{
	return k == 0 ? RCPT_LHASH_BASE : RCPT_LHASH_BASE << (k - 1);
}

static rcpt_ref *bucket_address(const struct rcpt_lhash *t, uint32_t b)
{
	const uint32_t k = segment_of(b);
	return &t->segment[k][k == 0 ? b : b - segment_size(k)];
}

static rcpt_ref *bucket_at(const struct rcpt_lhash *t, uint32_t b)
{
	rcpt_ref *bucket = bucket_address(t, b);
	RCPT_TOUCH(bucket);
	return bucket;
}

/* The largest power of two that is not over the number of buckets. */
static uint32_t level(const struct rcpt_lhash *t)
{
	return 1u << log2_floor(t->buckets);
}

static uint32_t bucket_of(const struct rcpt_lhash *t, uint32_t hash)
{
	const uint32_t half = level(t);
	const uint32_t b = hash & (2 * half - 1);
	return b < t->buckets ? b : b - half;
}

bool rcpt_lhash_init(struct rcpt_lhash *t, uint32_t for_two, const struct rcpt_slab *slab, rcpt_lhash_of *hash_of,
					 const void *owner)
{
	*t = (struct rcpt_lhash){.for_two = for_two, .slab = slab, .hash_of = hash_of, .owner = owner};
	t->segment[0] = rcpt_malloc(sizeof(rcpt_ref) * RCPT_LHASH_BASE);
	if (!t->segment[0])
		return false;
	memset(t->segment[0], 0, sizeof(rcpt_ref) * RCPT_LHASH_BASE);
	t->buckets = RCPT_LHASH_BASE;
	return true;
}

void rcpt_lhash_clear(struct rcpt_lhash *t)
{
	for (uint32_t k = 0; k < RCPT_LHASH_SEGMENTS; k++)
		rcpt_free(t->segment[k]);
}

/* Twice the number of buckets that there should be. */
static uint64_t twice_wanted(const struct rcpt_lhash *t)
{
	return (uint64_t)t->count * t->for_two;
}

/* Bucket b = the number of buckets comes into use: it takes its nodes from bucket b - level. False when there is no memory for
 * it. */
static bool split(struct rcpt_lhash *t)
{
	const uint32_t b = t->buckets, k = segment_of(b);
	if (k == RCPT_LHASH_SEGMENTS)
		return false;
	if (!t->segment[k]) {
		t->segment[k] = rcpt_malloc(sizeof(rcpt_ref) * segment_size(k));
		if (!t->segment[k])
			return false;
	}
	const uint32_t half = level(t);
	rcpt_ref *stay = bucket_at(t, b - half), *move = bucket_at(t, b);
	for (rcpt_ref ref = *stay; ref; ref = *stay) {
		rcpt_ref *next = next_of(t, ref);
		if ((t->hash_of(t->owner, ref) & (2 * half - 1)) == b) {
			*move = ref;
			move = next;
			*stay = *next;
		} else {
			stay = next;
		}
	}
	*move = 0;
	t->buckets++;
	return true;
}

/* The last bucket goes out of use: its nodes go back to the bucket it was split from. */
static void merge(struct rcpt_lhash *t)
{
	const uint32_t b = --t->buckets, k = segment_of(b);
	rcpt_ref *from = bucket_at(t, b), *into = bucket_at(t, b - level(t));
	rcpt_ref *end = from;
	while (*end)
		end = next_of(t, *end);
	*end = *into;
	*into = *from;
	if (k > 0 && b == segment_size(k)) {
		rcpt_free(t->segment[k]);
		t->segment[k] = NULL;
	}
}

rcpt_ref rcpt_lhash_chain(const struct rcpt_lhash *t, uint32_t hash)
{
	return *bucket_at(t, bucket_of(t, hash));
}

void rcpt_lhash_prefetch(const struct rcpt_lhash *t, uint32_t hash)
{
	rcpt_prefetch(bucket_address(t, bucket_of(t, hash)));
}

rcpt_ref rcpt_lhash_bucket(const struct rcpt_lhash *t, uint32_t bucket)
{
	return *bucket_at(t, bucket);
}

void rcpt_lhash_insert(struct rcpt_lhash *t, rcpt_ref ref, uint32_t hash)
{
	rcpt_ref *bucket = bucket_at(t, bucket_of(t, hash));
	*next_of(t, ref) = *bucket;
	*bucket = ref;
	t->count++;
	for (uint32_t i = 0; i < t->for_two && twice_wanted(t) > 2 * (uint64_t)t->buckets; i++)
		if (!split(t))
			return;
}

void rcpt_lhash_remove(struct rcpt_lhash *t, rcpt_ref ref, uint32_t hash)
{
	rcpt_ref *link = bucket_at(t, bucket_of(t, hash));
	while (*link != ref)
		link = next_of(t, *link);
	*link = *next_of(t, ref);
	t->count--;
	for (uint32_t i = 0; i < t->for_two && twice_wanted(t) < t->buckets && t->buckets > RCPT_LHASH_BASE; i++)
		merge(t);
}

size_t rcpt_lhash_bytes(const struct rcpt_lhash *t)
{
	size_t bytes = 0;
	for (uint32_t k = 0; k < RCPT_LHASH_SEGMENTS; k++)
		bytes += t->segment[k] ? sizeof(rcpt_ref) * segment_size(k) : 0;
	return bytes;
}

bool rcpt_lhash_check(const struct rcpt_lhash *t)
{
	uint32_t count = 0;
	for (uint32_t b = 0; b < t->buckets; b++)
		for (rcpt_ref ref = *bucket_at(t, b); ref; ref = *next_of(t, ref))
			if (++count > t->count || bucket_of(t, t->hash_of(t->owner, ref)) != b)
				return false;
	return count == t->count && (t->buckets == RCPT_LHASH_BASE || t->buckets <= twice_wanted(t));
}
