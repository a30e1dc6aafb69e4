/* SPDX-License-Identifier: MIT */
/* Input at the edge of readable memory, in chunks of every size: one byte read too many is a crash, and the facts are the same.
 */
#ifndef EDGES_H
#define EDGES_H

#include <sys/mman.h>
#include <unistd.h>

#include "xml.h"

#define EDGES_ROOM ((size_t)4 << 20)
#define EDGES_CHUNK_MAX 64

/* A copy of the bytes that ends where an unmapped page begins. It holds until the next call. */
static inline const char *at_the_edge(const char *bytes, size_t n)
{
	static char *edge;
	if (!edge) {
		const size_t page = (size_t)sysconf(_SC_PAGESIZE);
		char *map = mmap(NULL, EDGES_ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_true(map != MAP_FAILED);
		assert_int_equal(mprotect(map + EDGES_ROOM, page, PROT_NONE), 0);
		edge = map + EDGES_ROOM;
	}
	assert_true(n <= EDGES_ROOM);
	if (n)
		memcpy(edge - n, bytes, n);
	return edge - n;
}

static inline uint64_t edges_mix(uint64_t sum, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
	return sum;
}

/* What the messages that are ready have in them, added to a sum. */
static inline uint64_t edges_take(struct rcpt_xml *x, uint64_t sum)
{
	struct rcpt_facts f;
	for (uint64_t line; rcpt_xml_next(x, &f, &line);) {
		const struct rcpt_str strings[] = {f.id, f.from, f.to, f.type, f.received_id, f.stamp};
		const uint64_t numbers[] = {line, f.has, f.problems};
		for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
			const uint64_t length = strings[i].p ? strings[i].n + 1 : 0;
			sum = edges_mix(edges_mix(sum, &length, sizeof length), strings[i].p, strings[i].n);
		}
		sum = edges_mix(sum, numbers, sizeof numbers);
	}
	return sum;
}

/* A sum of everything that is said of a stream in chunks of this size. */
static inline uint64_t edges_read(struct rcpt_xml *x, const char *xml, size_t n, size_t size)
{
	uint64_t sum = 14695981039346656037u;
	rcpt_xml_reset(x);
	for (size_t at = 0; at < n; at += size) {
		const size_t some = n - at < size ? n - at : size;
		rcpt_xml_feed(x, at_the_edge(xml + at, some), some);
		sum = edges_take(x, sum);
	}
	const enum rcpt_xml_status status = rcpt_xml_finish(x);
	sum = edges_take(x, sum);
	const struct rcpt_xml_position where = rcpt_xml_position(x);
	const uint64_t end[] = {status, where.byte, where.line, where.column};
	return edges_mix(sum, end, sizeof end);
}

/* The same at every chunk size; and as one message, whole and cut off anywhere, nothing beyond the end is read. */
static inline void read_at_the_edge(const struct rcpt_xml_limits *limits, const char *xml, size_t n)
{
	struct rcpt_xml *x = rcpt_xml_new(limits, 42);
	const uint64_t whole = edges_read(x, xml, n, n + 1);
	for (size_t size = 1; size <= EDGES_CHUNK_MAX; size++)
		if (edges_read(x, xml, n, size) != whole)
			fail_msg("something else in chunks of %zu: %.*s", size, (int)(n < 2000 ? n : 2000), xml);
	for (size_t some = n; some > 0; some = some > 4096 ? some / 2 : some - 1)
		rcpt_xml_message(x, at_the_edge(xml, some), some);
	rcpt_xml_free(x);
}

#endif
