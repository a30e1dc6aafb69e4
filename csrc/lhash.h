/* SPDX-License-Identifier: MIT */
/* Linear hashing over blocks of a slab: a hash table that grows and shrinks one bucket at a time.
 *
 *   segments   [16] [16] [32] [64] ...    segment k > 0 holds buckets 16*2^(k-1) to 16*2^k - 1; none is ever moved
 *                    |
 *   bucket           +--> node --> node --> 0      nodes are linked through their first word
 *
 * An insert splits a few buckets at most, a removal merges as few: there is no rehash and no pause. A split that finds no
 * memory is left out (the chains are longer then) and tried again at the next insert.
 *
 * Every block in the table starts with the reference of the next one in its chain. Hashes are not kept here: a split asks whoever
 * owns the blocks for them.
 */
#ifndef RCPT_LHASH_H
#define RCPT_LHASH_H

#include <stdbool.h>

#include "slab.h"

/* The hash of a block that is in the table. */
typedef uint32_t rcpt_lhash_of(const void *owner, rcpt_ref ref);

#define RCPT_LHASH_BASE 16u
#define RCPT_LHASH_SEGMENTS 28u /* 16 * 2^27 buckets */

struct rcpt_lhash {
	rcpt_ref *segment[RCPT_LHASH_SEGMENTS];
	uint32_t buckets; /* in use */
	uint32_t count;   /* nodes */
	uint32_t for_two; /* buckets wanted for two nodes; twice as many are not yet too many */
	const struct rcpt_slab *slab;
	rcpt_lhash_of *hash_of;
	const void *owner;
};

/* With `for_two` buckets, 1 or more, for every two nodes: the more, the shorter the chains. No insert splits and no removal
 * merges more than so many. False when memory has run out. */
bool rcpt_lhash_init(struct rcpt_lhash *t, uint32_t for_two, const struct rcpt_slab *slab, rcpt_lhash_of *hash_of,
					 const void *owner);
/* Gives the buckets back, not the nodes. The table is not used after this. */
void rcpt_lhash_clear(struct rcpt_lhash *t);

/* First node of the chain where nodes with `hash` are; other hashes are on it too. */
rcpt_ref rcpt_lhash_chain(const struct rcpt_lhash *t, uint32_t hash);
/* The chain will be asked for soon. */
void rcpt_lhash_prefetch(const struct rcpt_lhash *t, uint32_t hash);
/* The chain of the bucket with this number, to read the whole table. */
rcpt_ref rcpt_lhash_bucket(const struct rcpt_lhash *t, uint32_t bucket);
/* Link a node. Cannot fail. */
void rcpt_lhash_insert(struct rcpt_lhash *t, rcpt_ref ref, uint32_t hash);
/* Unlink a node that is in the table. */
void rcpt_lhash_remove(struct rcpt_lhash *t, rcpt_ref ref, uint32_t hash);

/* Memory held by the buckets, in bytes. */
size_t rcpt_lhash_bytes(const struct rcpt_lhash *t);
/* False when a node is in the wrong bucket, the count is wrong, or there are too many buckets. For tests: it reads everything. */
bool rcpt_lhash_check(const struct rcpt_lhash *t);

#endif
