/* SPDX-License-Identifier: MIT */
/* The allocation seam: the C library's allocator, or for tests one that counts and fails on demand. */
#include "mem.h"

#include <stdint.h>
#include <stdlib.h>

#ifndef RCPT_MEM_TEST

void *rcpt_malloc(size_t size)
{
	return malloc(size);
}

void *rcpt_realloc(void *ptr, size_t size)
{
	return realloc(ptr, size);
}

void rcpt_free(void *ptr)
{
	free(ptr);
}

#else

#include <malloc.h>

static long budget = -1, failures = -1;
static size_t held, bytes, failed;

void rcpt_mem_fail(long after, long times)
{
	budget = after;
	failures = times;
	failed = 0;
}

void rcpt_mem_fail_after(long n)
{
	rcpt_mem_fail(n, -1);
}

size_t rcpt_mem_failed(void)
{
	return failed;
}

size_t rcpt_mem_held(void)
{
	return held;
}

size_t rcpt_mem_bytes(void)
{
	return bytes;
}

bool rcpt_mem_refuse(void)
{
	if (budget < 0 || failures == 0)
		return false;
	if (budget > 0) {
		budget--;
		return false;
	}
	if (failures > 0)
		failures--;
	failed++;
	return true;
}

void *rcpt_malloc(size_t size)
{
	void *ptr = rcpt_mem_refuse() ? NULL : malloc(size);
	if (ptr)
		held++;
	bytes += malloc_usable_size(ptr);
	return ptr;
}

void *rcpt_realloc(void *ptr, size_t size)
{
	if (!ptr)
		return rcpt_malloc(size);
	if (rcpt_mem_refuse())
		return NULL;
	const size_t before = malloc_usable_size(ptr);
	void *moved = realloc(ptr, size);
	if (moved)
		bytes += malloc_usable_size(moved) - before;
	return moved;
}

void rcpt_free(void *ptr)
{
	if (ptr)
		held--;
	bytes -= malloc_usable_size(ptr);
	free(ptr);
}

#endif

bool rcpt_grow_more(void **array, size_t *room, size_t size, size_t want)
{
	size_t more = *room ? *room : 16;
	while (more < want) {
		if (more > SIZE_MAX / size / 2)
			return false;
		more *= 2;
	}
	void *p = rcpt_realloc(*array, more * size);
	if (!p)
		return false;
	*array = p;
	*room = more;
	return true;
}
