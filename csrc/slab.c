/* SPDX-License-Identifier: MIT */
/* Small blocks with 4-byte references, in pages of one size class each. */
#include "slab.h"

#include <string.h>

#include "mem.h"

#define UNIT 4u
#define PAGE_UNITS (RCPT_SLAB_PAGE / UNIT)

static const uint16_t coarse[] = {192, 256, 384, 512, 768, 1088, 2048, RCPT_SLAB_BLOCK_MAX};

static uint16_t class_of(size_t size)
{
	if (size <= RCPT_SLAB_EXACT)
		return (uint16_t)((size - 1) / UNIT);
	uint16_t i = 0;
	while (coarse[i] < size)
		i++;
	return (uint16_t)(RCPT_SLAB_EXACT / UNIT + i);
}

static uint32_t class_units(uint32_t size_class)
{
	if (size_class < RCPT_SLAB_EXACT / UNIT)
		return size_class + 1u;
	return coarse[size_class - RCPT_SLAB_EXACT / UNIT] / UNIT;
}

static bool has_room(const struct rcpt_page *page)
{
	return page->free || page->fresh + class_units(page->size_class) <= PAGE_UNITS;
}

static void room_push(struct rcpt_slab *slab, uint32_t n)
{
	struct rcpt_page *page = rcpt_slab_page(slab, n);
	uint32_t head = slab->room[page->size_class];
	page->prev = 0;
	page->next = head;
	if (head)
		rcpt_slab_page(slab, head)->prev = n;
	slab->room[page->size_class] = n;
}

static void room_unlink(struct rcpt_slab *slab, uint32_t n)
{
	struct rcpt_page *page = rcpt_slab_page(slab, n);
	if (page->next)
		rcpt_slab_page(slab, page->next)->prev = page->prev;
	if (page->prev)
		rcpt_slab_page(slab, page->prev)->next = page->next;
	else
		slab->room[page->size_class] = page->next;
}

/* A descriptor without a page: a vacant one, or the next one never used. 0 when there is none. */
static uint32_t descriptor(struct rcpt_slab *slab)
{
	if (slab->vacant)
		return slab->vacant;
	uint32_t n = slab->pages;
	uint32_t chunk = n / RCPT_SLAB_CHUNK;
	if (chunk == RCPT_SLAB_CHUNKS)
		return 0;
	if (!slab->chunk[chunk]) {
		const size_t size = sizeof(struct rcpt_chunk);
		slab->chunk[chunk] = rcpt_malloc(size);
		if (!slab->chunk[chunk])
			return 0;
		slab->bytes += size;
		if (n == 0) /* page 0 is never used, so that no reference is 0 */
			n = slab->pages = 1;
	}
	return n;
}

static uint32_t page_new(struct rcpt_slab *slab, uint16_t size_class)
{
	uint32_t n = descriptor(slab);
	char *base = n ? rcpt_malloc(RCPT_SLAB_PAGE) : NULL;
	if (!base)
		return 0;
	struct rcpt_page *page = rcpt_slab_page(slab, n);
	if (n == slab->vacant)
		slab->vacant = page->next;
	else
		slab->pages++;
	*page = (struct rcpt_page){.size_class = size_class};
	*rcpt_slab_base(slab, n) = base;
	slab->bytes += RCPT_SLAB_PAGE;
	room_push(slab, n);
	return n;
}

void rcpt_slab_clear(struct rcpt_slab *slab)
{
	for (uint32_t n = 1; n < slab->pages; n++)
		rcpt_free(*rcpt_slab_base(slab, n));
	for (uint32_t i = 0; i < RCPT_SLAB_CHUNKS; i++)
		rcpt_free(slab->chunk[i]);
}

rcpt_ref rcpt_slab_alloc(struct rcpt_slab *slab, size_t size)
{
	const uint16_t size_class = class_of(size);
	uint32_t n = slab->room[size_class];
	if (!n && !(n = page_new(slab, size_class)))
		return 0;
	struct rcpt_page *page = rcpt_slab_page(slab, n);
	uint32_t at;
	if (page->free) {
		at = page->free - 1u;
		memcpy(&page->free, *rcpt_slab_base(slab, n) + (size_t)at * UNIT, sizeof page->free);
	} else {
		at = page->fresh;
		page->fresh = (uint16_t)(page->fresh + class_units(size_class));
	}
	page->live++;
	if (!has_room(page))
		room_unlink(slab, n);
	return n << 14 | at;
}

void rcpt_slab_free(struct rcpt_slab *slab, rcpt_ref ref)
{
	const uint32_t n = ref >> 14, at = ref & 0x3fff;
	struct rcpt_page *page = rcpt_slab_page(slab, n);
	const bool had_room = has_room(page);
	memcpy(*rcpt_slab_base(slab, n) + (size_t)at * UNIT, &page->free, sizeof page->free);
	page->free = (uint16_t)(at + 1);
	page->live--;
	if (!had_room)
		room_push(slab, n);
	if (page->live == 0) {
		room_unlink(slab, n);
		rcpt_free(*rcpt_slab_base(slab, n));
		*rcpt_slab_base(slab, n) = NULL;
		page->next = slab->vacant;
		slab->vacant = n;
		slab->bytes -= RCPT_SLAB_PAGE;
	}
}

long rcpt_slab_check(const struct rcpt_slab *slab)
{
	long live = 0;
	size_t pages = 0, with_room = 0;
	for (uint32_t n = 1; n < slab->pages; n++) {
		const struct rcpt_page *page = rcpt_slab_page(slab, n);
		if (!*rcpt_slab_base(slab, n))
			continue;
		const uint32_t units = class_units(page->size_class);
		uint32_t freed = 0, carved = page->fresh / units;
		for (uint16_t at = page->free; at; freed++) {
			if (at - 1u >= page->fresh || (at - 1u) % units != 0 || freed > carved)
				return -1;
			memcpy(&at, *rcpt_slab_base(slab, n) + (size_t)(at - 1u) * UNIT, sizeof at);
		}
		if (page->live == 0 || page->live + freed != carved)
			return -1;
		live += page->live;
		with_room += has_room(page);
		pages++;
	}
	for (uint32_t size_class = 0; size_class < RCPT_SLAB_CLASSES; size_class++)
		for (uint32_t n = slab->room[size_class], before = 0; n; before = n, n = rcpt_slab_page(slab, n)->next, with_room--) {
			const struct rcpt_page *page = rcpt_slab_page(slab, n);
			if (!with_room || !*rcpt_slab_base(slab, n) || page->size_class != size_class || !has_room(page) ||
				page->prev != before)
				return -1;
		}
	size_t chunks = 0;
	for (uint32_t i = 0; i < RCPT_SLAB_CHUNKS; i++)
		chunks += slab->chunk[i] != NULL;
	if (with_room || slab->bytes != pages * RCPT_SLAB_PAGE + chunks * sizeof(struct rcpt_chunk))
		return -1;
	return live;
}
