/* SPDX-License-Identifier: MIT */
/* Linear hashing over blocks of a slab. */
#include "lhash.h"

#include <string.h>

#include "mem.h"

static struct rcpt_node *node_at(const struct rcpt_slab *slab, rcpt_ref ref)
{
	return rcpt_slab_at(slab, ref);
}

/* Of x > 0. */
static uint32_t log2_floor(uint32_t x)
{
	return 31 - (uint32_t)__builtin_clz(x);
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

static rcpt_ref *bucket_at(const struct rcpt_lhash *t, uint32_t b)
{
	uint32_t k = segment_of(b);
	return &t->segment[k][k == 0 ? b : b - segment_size(k)];
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

int rcpt_lhash_init(struct rcpt_lhash *t)
{
	memset(t, 0, sizeof *t);
	t->segment[0] = rcpt_malloc(sizeof(rcpt_ref) * RCPT_LHASH_BASE);
	if (!t->segment[0])
		return -1;
	memset(t->segment[0], 0, sizeof(rcpt_ref) * RCPT_LHASH_BASE);
	t->buckets = RCPT_LHASH_BASE;
	return 0;
}

void rcpt_lhash_clear(struct rcpt_lhash *t)
{
	for (uint32_t k = 0; k < RCPT_LHASH_SEGMENTS; k++)
		rcpt_free(t->segment[k]);
	memset(t, 0, sizeof *t);
}

/* Bucket b = the number of buckets comes into use: it takes its nodes from bucket b - level. */
static void split(struct rcpt_lhash *t, const struct rcpt_slab *slab)
{
	const uint32_t b = t->buckets, k = segment_of(b);
	if (k == RCPT_LHASH_SEGMENTS)
		return;
	if (!t->segment[k]) {
		t->segment[k] = rcpt_malloc(sizeof(rcpt_ref) * segment_size(k));
		if (!t->segment[k])
			return;
	}
	const uint32_t half = level(t);
	rcpt_ref *stay = bucket_at(t, b - half), *move = bucket_at(t, b);
	for (rcpt_ref ref = *stay; ref; ref = *stay) {
		struct rcpt_node *node = node_at(slab, ref);
		if ((node->hash & (2 * half - 1)) == b) {
			*move = ref;
			move = &node->next;
			*stay = node->next;
		} else {
			stay = &node->next;
		}
	}
	*move = 0;
	t->buckets++;
}

/* The last bucket goes out of use: its nodes go back to the bucket it was split from. */
static void merge(struct rcpt_lhash *t, const struct rcpt_slab *slab)
{
	const uint32_t b = --t->buckets, k = segment_of(b);
	rcpt_ref *from = bucket_at(t, b), *into = bucket_at(t, b - level(t));
	rcpt_ref *end = from;
	while (*end)
		end = &node_at(slab, *end)->next;
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

rcpt_ref rcpt_lhash_bucket(const struct rcpt_lhash *t, uint32_t bucket)
{
	return *bucket_at(t, bucket);
}

void rcpt_lhash_insert(struct rcpt_lhash *t, const struct rcpt_slab *slab, rcpt_ref ref)
{
	struct rcpt_node *node = node_at(slab, ref);
	rcpt_ref *bucket = bucket_at(t, bucket_of(t, node->hash));
	node->next = *bucket;
	*bucket = ref;
	if (++t->count > t->buckets)
		split(t, slab);
}

void rcpt_lhash_remove(struct rcpt_lhash *t, const struct rcpt_slab *slab, rcpt_ref ref)
{
	const struct rcpt_node *node = node_at(slab, ref);
	rcpt_ref *link = bucket_at(t, bucket_of(t, node->hash));
	while (*link != ref)
		link = &node_at(slab, *link)->next;
	*link = node->next;
	t->count--;
	for (int i = 0; i < 2 && t->count < t->buckets / 2 && t->buckets > RCPT_LHASH_BASE; i++)
		merge(t, slab);
}

size_t rcpt_lhash_bytes(const struct rcpt_lhash *t)
{
	size_t bytes = 0;
	for (uint32_t k = 0; k < RCPT_LHASH_SEGMENTS; k++)
		bytes += t->segment[k] ? sizeof(rcpt_ref) * segment_size(k) : 0;
	return bytes;
}

int rcpt_lhash_check(const struct rcpt_lhash *t, const struct rcpt_slab *slab)
{
	uint32_t count = 0;
	for (uint32_t b = 0; b < t->buckets; b++)
		for (rcpt_ref ref = *bucket_at(t, b); ref; ref = node_at(slab, ref)->next)
			if (++count > t->count || bucket_of(t, node_at(slab, ref)->hash) != b)
				return -1;
	return count == t->count ? 0 : -1;
}
