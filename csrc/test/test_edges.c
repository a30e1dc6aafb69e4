/* SPDX-License-Identifier: MIT */
/* Hostile input: what the fuzz targets and the specs have, in chunks of every size at the edge of memory; bytes that are no
 * UTF-8; and what is far too deep, too long or too much.
 *
 *   build/test/test_edges [FILE …]   these instead of the inputs that are kept under fuzz/
 */
#include "cmocka_env.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "edges.h"
#include "mem.h"
#include "pending.h"
#include "single.h"

static const struct rcpt_xml_limits limits = {RCPT_XML_BYTES, RCPT_XML_DEPTH, RCPT_XML_ATTR, false, false};

static char **given;

static void read_file(const char *path)
{
	static char bytes[EDGES_ROOM];
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	const size_t n = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	const struct rcpt_xml_limits with_comments = {limits.bytes, limits.depth, limits.attr, true, false},
								 small = {4096, 6, 100, false, false};
	read_at_the_edge(&limits, bytes, n);
	if (n > 2000)
		return;
	read_at_the_edge(&with_comments, bytes, n);
	read_at_the_edge(&small, bytes, n);
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	struct rcpt_facts f;
	for (size_t some = n; some > 0; some--)
		rcpt_single_read(s, at_the_edge(bytes, some), some, &f);
	rcpt_single_free(s);
}

static void kept_inputs_in_every_chunk(void **state)
{
	(void)state;
	glob_t found = {0};
	if (!*given) {
		assert_int_equal(glob("fuzz/corpus/xml/*", 0, NULL, &found), 0);
		assert_int_equal(glob("fuzz/corpus/namespaces/*", GLOB_APPEND, NULL, &found), 0);
		assert_int_equal(glob("fuzz/regressions/xml/*", GLOB_APPEND, NULL, &found), 0);
		assert_true(found.gl_pathc > 20);
	}
	for (char **path = *given ? given : found.gl_pathv; *path; path++)
		read_file(*path);
	globfree(&found);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* -- Characters ------------------------------------------------------------------------------------------------------ */

/* The length of the character of XML 1.0 in UTF-8 that the bytes begin with; 0 when they begin with none. */
static size_t character(const unsigned char *p, size_t n)
{
	const size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (length == 0 || length > n)
		return 0;
	uint32_t c = length == 1 ? p[0] : p[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff)
		return 0;
	return c >= 0x20 || c == '\t' || c == '\n' || c == '\r' ? length : 0;
}

static bool all_characters(const unsigned char *p, size_t n)
{
	for (size_t i = 0, length; i < n; i += length) {
		length = character(p + i, n - i);
		if (length == 0 || p[i] == '<' || p[i] == '&')
			return false;
	}
	return true;
}

/* In a message's text and in its id: refused if it is no UTF-8, or else taken as it is. */
static void try_bytes(struct rcpt_single *s, struct rcpt_xml *x, const unsigned char *p, size_t n)
{
	static const char *const around[][2] = {{"<message><body>", "</body></message>"}, {"<message id='", "'/>"}};
	const bool sound = all_characters(p, n) && !memchr(p, '\'', n) && !memchr(p, '>', n);
	for (size_t i = 0; i < 2; i++) {
		char xml[64];
		const size_t before = strlen(around[i][0]), after = strlen(around[i][1]), all = before + n + after;
		memcpy(xml, around[i][0], before);
		memcpy(xml + before, p, n);
		memcpy(xml + before + n, around[i][1], after);
		struct rcpt_facts f;
		const bool taken = rcpt_single_read(s, xml, all, &f) == RCPT_XML_OK;
		if (taken != sound && !memchr(p, '<', n) && !memchr(p, '&', n) && !memchr(p, '\'', n) && !memchr(p, '>', n))
			fail_msg("%zu bytes from %02x %02x %02x %02x are %s", n, p[0], p[1], p[2], p[3], taken ? "taken" : "refused");
		assert_int_equal(rcpt_xml_message(x, xml, all) == RCPT_XML_OK, taken);
		if (taken && i == 1 && !memchr(p, '\t', n) && !memchr(p, '\n', n) && !memchr(p, '\r', n) && sound)
			assert_true(rcpt_str_eq(f.id, (struct rcpt_str){(const char *)p, n}));
	}
}

/* All sequences of two bytes; those of three and four with the bytes at the edges of what is allowed. */
static void bytes_that_are_no_utf8(void **state)
{
	(void)state;
	static const unsigned char edge[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbd, 0xbe, 0xbf, 0xc0, 0xff};
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	unsigned char p[4] = {0};
	for (unsigned i = 0; i < 0x10000; i++) {
		p[0] = (unsigned char)(i >> 8);
		p[1] = (unsigned char)i;
		try_bytes(s, x, p, 2);
	}
	for (unsigned lead = 0xe0; lead < 0x100; lead++)
		for (size_t i = 0; i < sizeof edge * sizeof edge * sizeof edge; i++) {
			p[0] = (unsigned char)lead;
			p[1] = edge[i % sizeof edge];
			p[2] = edge[i / sizeof edge % sizeof edge];
			p[3] = edge[i / sizeof edge / sizeof edge];
			try_bytes(s, x, p, lead < 0xf0 ? 3 : 4);
		}
	rcpt_single_free(s);
	rcpt_xml_free(x);
}

static void a_nul_anywhere(void **state)
{
	(void)state;
	static const char good[] = "<message id='1'><received xmlns='urn:xmpp:receipts' id='2'/><body>x</body></message>";
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	for (size_t at = 0; at <= sizeof good - 1; at++) {
		char xml[sizeof good];
		struct rcpt_facts f;
		memcpy(xml, good, at);
		xml[at] = '\0';
		memcpy(xml + at + 1, good + at, sizeof good - 1 - at);
		assert_int_equal(rcpt_single_read(s, xml, sizeof xml, &f), RCPT_XML_MALFORMED);
		read_at_the_edge(&limits, xml, sizeof xml);
	}
	rcpt_single_free(s);
}

/* Expat would read it, whatever it has been told. */
static void utf16_is_refused(void **state)
{
	(void)state;
	static const char ascii[] = "<message id='1'/>";
	for (int big_endian = 0; big_endian < 2; big_endian++)
		for (int mark = 0; mark < 2; mark++) {
			char xml[2 * sizeof ascii] = {0};
			size_t n = 0;
			if (mark) {
				memcpy(xml, big_endian ? "\xfe\xff" : "\xff\xfe", 2);
				n = 2;
			}
			for (size_t i = 0; i < sizeof ascii - 1; i++, n += 2)
				xml[n + (size_t)big_endian] = ascii[i];
			struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
			assert_int_equal(rcpt_xml_message(x, xml, n), RCPT_XML_MALFORMED);
			rcpt_xml_free(x);
			read_at_the_edge(&limits, xml, n);
		}
}

/* -- Too much -------------------------------------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void billion_laughs(void **state)
{
	(void)state;
	static const char xml[] = "<?xml version='1.0'?><!DOCTYPE m [<!ENTITY a 'haha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
							  "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
							  "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>]><message id='&e;'>&e;</message>";
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	struct rcpt_facts f;
	assert_int_equal(rcpt_single_read(s, xml, sizeof xml - 1, &f), RCPT_XML_DTD);
	rcpt_single_free(s);
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	const size_t before = rcpt_mem_held();
	for (size_t at = 0; at < sizeof xml - 1; at++)
		rcpt_xml_feed(x, xml + at, 1);
	assert_int_equal(rcpt_xml_finish(x), RCPT_XML_DTD);
	assert_true(rcpt_mem_held() < before + 100);
	rcpt_xml_free(x);
}

/* Feeds `piece` `count` times, until it is refused. */
static enum rcpt_xml_status repeat(struct rcpt_xml *x, const char *piece, unsigned count)
{
	enum rcpt_xml_status status = RCPT_XML_OK;
	for (unsigned i = 0; i < count && status == RCPT_XML_OK; i++)
		status = rcpt_xml_feed(x, piece, strlen(piece));
	return status;
}

static void deep_nesting(void **state)
{
	(void)state;
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	assert_int_equal(repeat(x, "<a>", 1000000), RCPT_XML_TOO_DEEP);
	assert_int_equal(rcpt_xml_position(x).byte, 3 * RCPT_XML_DEPTH + 1);
	rcpt_xml_reset(x);
	assert_int_equal(repeat(x, "<message>", 1000000), RCPT_XML_TOO_DEEP);
	rcpt_xml_free(x);
	/* The deepest that receipts.scanner allows takes no stack. */
	const struct rcpt_xml_limits deepest = {RCPT_XML_BYTES, 100000, RCPT_XML_ATTR, false, false};
	x = rcpt_xml_new(&deepest, 1);
	assert_int_equal(repeat(x, "<a>", 99999), RCPT_XML_OK);
	assert_int_equal(repeat(x, "<message/>", 3), RCPT_XML_OK);
	assert_int_equal(repeat(x, "</a>", 99999), RCPT_XML_OK);
	assert_int_equal(rcpt_xml_finish(x), RCPT_XML_OK);
	rcpt_xml_free(x);
}

/* A message of about a MiB: `head`, then pieces with a number in them, then `tail`. */
static size_t large_message(char *xml, const char *head, const char *piece, const char *tail)
{
	size_t n = (size_t)sprintf(xml, "%s", head);
	for (unsigned i = 0; n < RCPT_XML_BYTES - 200; i++)
		n += (size_t)sprintf(xml + n, piece, i, i);
	return n + (size_t)sprintf(xml + n, "%s", tail);
}

/* Whatever fills the largest message that is read, it is read in time that its size explains. */
static void large_messages_take_no_long_time(void **state)
{
	(void)state;
	static char long_namespace[100000];
	memset(long_namespace, 'n', sizeof long_namespace - 1);
	memcpy(long_namespace, "<message xmlns:a='", 18);
	long_namespace[sizeof long_namespace - 2] = '\'';
	const char *const filled[][3] = {
		{"<message><body>", "%u%u", "</body></message>"},
		{"<message", " a%u='%u'", "/>"},
		{"<message", " xmlns:a%u='u%u'", "/>"},
		{"<message", " xmlns:a%u='u' a%u:b=''", "/>"},
		{"<message", " xmlns:a%1$u='u%1$u' a%1$u:b=''", "/>"},
		{"<message xmlns:a='u'", " a:b%u='%u'", "/>"},
		{long_namespace, " a:b%u='%u'", "/>"},
		{"<message>", "<a%u b%u=''/>", "</message>"},
		{"<message>", "<received xmlns='urn:xmpp:receipts' id='%u'>%u</received>", "</message>"},
		{"<message><received xmlns='urn:xmpp:receipts'>", "<a%u/>%u", "</received></message>"},
		{"<message>", "&#x1F600;%u%u", "</message>"},
		{"<message>", "<![CDATA[%u]]>%u", "</message>"},
	};
	static char xml[RCPT_XML_BYTES + 1];
	for (size_t i = 0; i < sizeof filled / sizeof *filled; i++) {
		const size_t n = large_message(xml, filled[i][0], filled[i][1], filled[i][2]);
		struct rcpt_single *s = rcpt_single_new(&limits, 1);
		struct rcpt_facts f;
		const double start = seconds();
		const enum rcpt_xml_status status = rcpt_single_read(s, xml, n, &f);
		const double taken = seconds() - start;
		if (status != (i == 3 ? RCPT_XML_MALFORMED : RCPT_XML_OK)) /* 3: all the same attribute, by different prefixes */
			fail_msg("%.20s…: %s", filled[i][0], rcpt_single_reason(s));
		if (taken > 5) /* it is some hundredths; twice that if it were quadratic would be minutes */
			fail_msg("%.20s%s…: %f s", filled[i][0], filled[i][1], taken);
		rcpt_single_free(s);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

/* -- Lengths that no int holds --------------------------------------------------------------------------------------- */

#if SIZE_MAX > UINT32_MAX /* else nothing is so long */

#define BLOCK ((size_t)2 << 20)
#define BLOCKS ((size_t)1026) /* 2 GiB, and something */

/* So many bytes, of which there is one block only: a message each. */
static const char *huge_input(void)
{
	static const char head[] = "<message id='1'><body>", tail[] = "</body></message>";
	FILE *file = tmpfile();
	assert_non_null(file);
	char *all = mmap(NULL, BLOCK * BLOCKS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(all != MAP_FAILED);
	assert_int_equal(ftruncate(fileno(file), (off_t)BLOCK), 0);
	for (size_t i = 0; i < BLOCKS; i++)
		assert_true(mmap(all + i * BLOCK, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(file), 0) != MAP_FAILED);
	fclose(file);
	memset(all, 'x', BLOCK);
	memcpy(all, head, sizeof head - 1);
	memcpy(all + BLOCK - (sizeof tail - 1), tail, sizeof tail - 1);
	return all;
}

static void over_two_gigabytes(void **state)
{
	(void)state;
	const char *xml = huge_input();
	const size_t n = BLOCK * BLOCKS;
	assert_true(n > (size_t)INT32_MAX);
	/* The largest limits that can be asked for are clipped; else a length modulo 2^32 would be read. */
	const struct rcpt_xml_limits most = {SIZE_MAX, 100000, SIZE_MAX, false, false};
	struct rcpt_single *s = rcpt_single_new(&most, 1);
	struct rcpt_xml *x = rcpt_xml_new(&most, 1);
	struct rcpt_facts f;
	const size_t lengths[] = {(size_t)INT32_MAX, (size_t)INT32_MAX + 1, n, ((size_t)1 << 32) + BLOCK, SIZE_MAX / 2, SIZE_MAX};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		assert_int_equal(rcpt_single_read(s, xml, lengths[i], &f), RCPT_XML_TOO_LARGE);
		assert_int_equal(rcpt_xml_message(x, xml, lengths[i]), RCPT_XML_TOO_LARGE);
	}
	/* A stream may be given so much in one call. */
	rcpt_xml_reset(x);
	assert_int_equal(rcpt_xml_feed(x, xml, n), RCPT_XML_OK);
	size_t count = 0;
	for (uint64_t line; rcpt_xml_next(x, &f, &line); count++)
		;
	assert_int_equal(count, BLOCKS);
	assert_int_equal(rcpt_xml_finish(x), RCPT_XML_OK);
	rcpt_single_free(s);
	rcpt_xml_free(x);
	/* No length is kept in fewer bits before it is compared with what is allowed. */
	const struct rcpt_key key = {1, 2};
	struct rcpt_pending *t = rcpt_pending_new(&(struct rcpt_pending_limits){10, 10, 100, 10}, &key);
	const struct rcpt_str huge = {xml, ((size_t)1 << 16) + 1}, id = RCPT_STR("1"), jid = RCPT_STR("a@h");
	assert_int_equal(rcpt_pending_add(t, jid, jid, huge, 0, 0), RCPT_TOO_LONG);
	assert_int_equal(rcpt_pending_add(t, huge, jid, id, 0, 0), RCPT_TOO_LONG);
	assert_int_equal(rcpt_pending_add(t, jid, huge, id, 0, RCPT_OCCUPANT), RCPT_TOO_LONG);
	rcpt_pending_free(t);
	munmap((char *)xml, n);
	assert_int_equal(rcpt_mem_held(), 0);
}

#endif

int main(int argc, char **argv)
{
	given = argv + 1;
	const struct CMUnitTest one[] = {cmocka_unit_test(kept_inputs_in_every_chunk)};
	if (argc > 1)
		return cmocka_run_group_tests_name("edges of what is given", one, NULL, NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_inputs_in_every_chunk),
		cmocka_unit_test(bytes_that_are_no_utf8),
		cmocka_unit_test(a_nul_anywhere),
		cmocka_unit_test(utf16_is_refused),
		cmocka_unit_test(billion_laughs),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(large_messages_take_no_long_time),
#if SIZE_MAX > UINT32_MAX
		cmocka_unit_test(over_two_gigabytes),
#endif
	};
	return cmocka_run_group_tests_name("edges", tests, NULL, NULL);
}
