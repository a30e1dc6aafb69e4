/* SPDX-License-Identifier: MIT */
/* The one seam through which the engine, Expat included, gets and returns memory.
 *
 * Built with -DRCPT_MEM_TEST, the three functions count what is held and can be told to fail.
 */
#ifndef RCPT_MEM_H
#define RCPT_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *rcpt_malloc(size_t size);
void *rcpt_realloc(void *ptr, size_t size);
void rcpt_free(void *ptr);
/* Makes room for `want` elements of `size` bytes in an array that has *room, by doubling. False when memory has run out. */
bool rcpt_grow_more(void **array, size_t *room, size_t size, size_t want);
static inline bool rcpt_grow(void **array, size_t *room, size_t size, size_t want)
{
	return (*array && want <= *room) || rcpt_grow_more(array, room, size, want);
}

#ifdef RCPT_MEM_TEST
/* Let `n` more allocations succeed and fail every one after that; a negative `n` never fails. */
void rcpt_mem_fail_after(long n);
/* The same, but only so many `times`; a negative number is for good. */
void rcpt_mem_fail(long n, long times);
/* How many have failed since then. */
size_t rcpt_mem_failed(void);
/* Is the next allocation to fail? For other allocators, so that theirs are counted too. */
bool rcpt_mem_refuse(void);
/* Blocks held now, and their bytes. */
size_t rcpt_mem_held(void);
size_t rcpt_mem_bytes(void);
#endif

#endif
