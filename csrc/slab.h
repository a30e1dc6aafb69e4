/* SPDX-License-Identifier: MIT */
/* Small blocks with 4-byte references.
 *
 *   reference = page number (18 bits) | offset in the page, in 4-byte units (14 bits);   0 is no block
 *
 *   pages   +------+------+------+---     a page is 64 KiB and holds blocks of one size class only;
 *           | 76 B | 52 B | 76 B | ...    a class keeps its pages with room in a list;
 *           +------+------+------+---     a page whose last block is freed goes back to the system
 *
 * Blocks never move. A reference costs half a pointer, which is what makes the pending table small.
 */
#ifndef RCPT_SLAB_H
#define RCPT_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "touch.h"

typedef uint32_t rcpt_ref;

#define RCPT_SLAB_PAGE 65536u     /* bytes in a page */
#define RCPT_SLAB_EXACT 160u      /* up to here a class for every 4 bytes, above it the few of slab.c */
#define RCPT_SLAB_BLOCK_MAX 4096u /* the largest block */
#define RCPT_SLAB_CLASSES (RCPT_SLAB_EXACT / 4 + 8)
#define RCPT_SLAB_CHUNK 1024u /* page descriptors are allocated by so many at a time */
#define RCPT_SLAB_CHUNKS 256u /* 256 * 1024 pages of 64 KiB: 16 GiB in all */

struct rcpt_chunk;

struct rcpt_slab {
	struct rcpt_chunk *chunk[RCPT_SLAB_CHUNKS];
	uint32_t pages;                   /* descriptors in use, page 0 included, which is never handed out */
	uint32_t vacant;                  /* a list of descriptors whose page was given back */
	uint32_t room[RCPT_SLAB_CLASSES]; /* per class, its list of pages with room */
	size_t bytes;                     /* memory held: pages and descriptors */
};

/* Gives all pages back. The struct is empty (zeros) before the first block is taken, and is not used after this. */
void rcpt_slab_clear(struct rcpt_slab *slab);

/* A block of at least `size` bytes (1 to RCPT_SLAB_BLOCK_MAX), or 0 when memory has run out: then nothing has changed. */
rcpt_ref rcpt_slab_alloc(struct rcpt_slab *slab, size_t size);
void rcpt_slab_free(struct rcpt_slab *slab, rcpt_ref ref);

/* Blocks in use, counted page by page, or -1 when a list or a count is not as it must be. For tests: it reads everything. */
long rcpt_slab_check(const struct rcpt_slab *slab);

struct rcpt_page {
	uint32_t prev, next; /* in the class's list of pages with room, or in the list of vacant descriptors */
	uint16_t free;       /* list of freed blocks, by offset in units plus 1; 0 ends it */
	uint16_t fresh;      /* offset in units of what has never been handed out */
	uint16_t live;       /* blocks in use */
	uint16_t size_class;
};

/* The addresses are apart from the rest: every look at a block goes through one. */
struct rcpt_chunk {
	char *base[RCPT_SLAB_CHUNK]; /* NULL while vacant */
	struct rcpt_page page[RCPT_SLAB_CHUNK];
};

static inline struct rcpt_page *rcpt_slab_page(const struct rcpt_slab *slab, uint32_t n)
{
	struct rcpt_page *page = &slab->chunk[n / RCPT_SLAB_CHUNK]->page[n % RCPT_SLAB_CHUNK];
	RCPT_TOUCH(page);
	return page;
}

static inline char **rcpt_slab_base(const struct rcpt_slab *slab, uint32_t n)
{
	return &slab->chunk[n / RCPT_SLAB_CHUNK]->base[n % RCPT_SLAB_CHUNK];
}

static inline void *rcpt_slab_at(const struct rcpt_slab *slab, rcpt_ref ref)
{
	return *rcpt_slab_base(slab, ref >> 14) + (size_t)(ref & 0x3fff) * 4;
}

/* Sends for memory that will be read soon. */
static inline void rcpt_prefetch(const void *p)
{
	__builtin_prefetch(p);
}

/* The same for a block of up to two cache lines; 0 is none. */
static inline void rcpt_slab_prefetch(const struct rcpt_slab *slab, rcpt_ref ref)
{
	if (!ref)
		return;
	const char *block = rcpt_slab_at(slab, ref);
	rcpt_prefetch(block);
	rcpt_prefetch(block + 64);
}

#endif
