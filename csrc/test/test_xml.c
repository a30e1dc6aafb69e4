/* SPDX-License-Identifier: MIT */
/* The Expat reader: what it refuses, the same result at every chunk size, and memory running out at every point. */
#include "cmocka_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem.h"
#include "xml.h"

#define R "xmlns='urn:xmpp:receipts'"

static const struct rcpt_xml_limits limits = {4096, 8, 100};

static struct rcpt_xml *make(void)
{
	struct rcpt_xml *x = rcpt_xml_new(&limits, 42);
	assert_non_null(x);
	return x;
}

static const struct {
	const char *xml;
	enum rcpt_xml_status status;
} cases[] = {
	{"<message/>", RCPT_XML_OK},
	{" \n<message></message>\n", RCPT_XML_OK},
	{"<?xml version='1.0'?><message/>", RCPT_XML_OK},
	{"<message><body>&lt;&#x1F600;&amp;</body></message>", RCPT_XML_OK},
	{"<message><a><b><c><d><e><f><g/></f></e></d></c></b></a></message>", RCPT_XML_OK},
	{"<message><a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a></message>", RCPT_XML_TOO_DEEP},
	{"", RCPT_XML_TRUNCATED},
	{"   ", RCPT_XML_TRUNCATED},
	{"text", RCPT_XML_MALFORMED},
	{"<message>", RCPT_XML_TRUNCATED},
	{"<message", RCPT_XML_TRUNCATED},
	{"<message/><message/>", RCPT_XML_MALFORMED},
	{"<message/>text", RCPT_XML_MALFORMED},
	{"text<message/>", RCPT_XML_MALFORMED},
	{"</message>", RCPT_XML_MALFORMED},
	{"<message></messages>", RCPT_XML_MALFORMED},
	{"<message><body></message></body>", RCPT_XML_MALFORMED},
	{"<message a='1' a='2'/>", RCPT_XML_MALFORMED},
	{"<message><p:request/></message>", RCPT_XML_MALFORMED},
	{"<message p:id='1'/>", RCPT_XML_MALFORMED},
	{"<message>&undefined;</message>", RCPT_XML_MALFORMED},
	{"<message><![CDATA[never closed</message>", RCPT_XML_TRUNCATED},
	{"<message>\xff</message>", RCPT_XML_MALFORMED},
	{"<message>\xed\xa0\x80</message>", RCPT_XML_MALFORMED},
	{"<message>\xc0\x80</message>", RCPT_XML_MALFORMED},
	{"<message>\xf0\x9f\x98", RCPT_XML_TRUNCATED},
	{"<message>&#0;</message>", RCPT_XML_MALFORMED},
	{"<message>\x01</message>", RCPT_XML_MALFORMED},
	{"<messages/>", RCPT_XML_NOT_MESSAGE},
	{"<iq/>", RCPT_XML_NOT_MESSAGE},
	{"<message xmlns='urn:example'/>", RCPT_XML_NOT_MESSAGE},
	{"<!DOCTYPE message><message/>", RCPT_XML_DTD},
	{"<!DOCTYPE m [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]><message>&b;</message>", RCPT_XML_DTD},
	{"<!-- no --><message/>", RCPT_XML_COMMENT},
	{"<message><!-- no --></message>", RCPT_XML_COMMENT},
	{"<message/><!-- no -->", RCPT_XML_COMMENT},
	{"<?php no ?><message/>", RCPT_XML_INSTRUCTION},
	{"<message><?php no ?></message>", RCPT_XML_INSTRUCTION},
	{"<message id='"
	 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789'/>",
	 RCPT_XML_OK},
	{"<message id='"
	 "01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890'/>",
	 RCPT_XML_ATTR_TOO_LONG},
};
#define CASES (sizeof cases / sizeof *cases)

static void whole_messages(void **state)
{
	(void)state;
	struct rcpt_xml *x = make();
	for (size_t i = 0; i < CASES; i++) {
		struct rcpt_facts f;
		uint64_t line;
		const enum rcpt_xml_status status = rcpt_xml_message(x, cases[i].xml, strlen(cases[i].xml));
		if (status != cases[i].status)
			fail_msg("%s: %s", cases[i].xml, rcpt_xml_reason(x));
		assert_int_equal(rcpt_xml_next(x, &f, &line), status == RCPT_XML_OK);
		/* One bad input leaves nothing behind for the next. */
		assert_int_equal(rcpt_xml_message(x, "<message id='1'/>", 17), RCPT_XML_OK);
		assert_true(rcpt_xml_next(x, &f, &line) && rcpt_str_eq(f.id, RCPT_STR("1")) && f.has == 0 && f.problems == 0);
	}
	rcpt_xml_free(x);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* Input that ends where readable memory ends: one byte read too many is a crash. */
static void nothing_is_read_past_the_end(void **state)
{
	(void)state;
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	struct rcpt_xml *x = make();
	for (size_t i = 0; i < CASES; i++) {
		const size_t n = strlen(cases[i].xml);
		char *xml = map + page - n;
		memcpy(xml, cases[i].xml, n);
		assert_int_equal(rcpt_xml_message(x, xml, n), cases[i].status);
		for (size_t cut = 1; cut < n; cut++) {
			memcpy(map + page - cut, cases[i].xml, cut);
			rcpt_xml_message(x, map + page - cut, cut);
		}
	}
	rcpt_xml_free(x);
	munmap(map, 2 * page);
}

static void too_large(void **state)
{
	(void)state;
	static char big[4097];
	memset(big, ' ', sizeof big);
	memcpy(big, "<message/>", 10);
	struct rcpt_xml *x = make();
	assert_int_equal(rcpt_xml_message(x, big, 4096), RCPT_XML_OK);
	assert_int_equal(rcpt_xml_message(x, big, 4097), RCPT_XML_TOO_LARGE);
	rcpt_xml_free(x);
}

/* -- Streams --------------------------------------------------------------------------------------------------------- */

static const char stream[] =
	"<?xml version='1.0'?>\n"
	"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\n"
	"<message id='1' type='chat'><body>caf\xc3\xa9</body><request " R "/></message> \n"
	"<iq><message id='in iq'/></iq><presence><message id='in presence'/></presence>\n"
	"<message id='2'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
	"<message xmlns='jabber:client' id='nested'><request " R "/></message></forwarded></sent></message>\n"
	"<r:received xmlns:r='urn:xmpp:receipts' id='not in a message'/>\n"
	"<message id='3'>\n<r:received xmlns:r='urn:xmpp:receipts' id='1'>\n</r:received></message>\n"
	"</stream:stream\n>\n"
	"<?xml version='1.0'?><message\n id='4'/><message id='5'></message >\n\n"
	"<message id='6'><received " R " id='x'>text</received></message>";

struct result {
	char text[512];
	int n;
};

static void take(struct rcpt_xml *x, struct result *r)
{
	struct rcpt_facts f;
	uint64_t line;
	while (rcpt_xml_next(x, &f, &line)) {
		char one[64];
		snprintf(one, sizeof one, "%.*s@%d:%x/%x ", (int)f.id.n, f.id.p, (int)line, f.has, f.problems);
		strcat(r->text, one);
		r->n++;
	}
}

static const char expected[] = "1@3:45/0 2@5:0/0 3@7:88/0 4@12:0/0 5@13:0/0 6@15:8/40 ";

static void the_same_at_every_chunk_size(void **state)
{
	(void)state;
	for (size_t size = 1; size <= sizeof stream; size++) {
		struct rcpt_xml *x = make();
		struct result r = {.n = 0};
		for (size_t at = 0; at < sizeof stream - 1; at += size) {
			const size_t left = sizeof stream - 1 - at;
			if (rcpt_xml_feed(x, stream + at, left < size ? left : size) != RCPT_XML_OK)
				fail_msg("%s", rcpt_xml_reason(x));
			take(x, &r);
		}
		assert_int_equal(rcpt_xml_finish(x), RCPT_XML_OK);
		take(x, &r); /* Expat may put off its work until then */
		assert_string_equal(r.text, expected);
		rcpt_xml_free(x);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

static void faults_have_a_place(void **state)
{
	(void)state;
	static const struct {
		const char *xml;
		enum rcpt_xml_status status;
		unsigned byte, line, column;
	} faults[] = {
		{"<message/>\n<message></a>", RCPT_XML_MALFORMED, 23, 2, 12},
		{"<message/>\n <message><body>", RCPT_XML_TRUNCATED, 28, 2, 17},
		{"<s>\n<message/></s></s>", RCPT_XML_MALFORMED, 20, 2, 16},
		{"<message/>\n\ntext", RCPT_XML_MALFORMED, 13, 3, 1},
		{"<message\n/><!-- no -->", RCPT_XML_COMMENT, 12, 2, 3},
	};
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		for (size_t size = 1; size < 40; size++) {
			struct rcpt_xml *x = make();
			const size_t n = strlen(faults[i].xml);
			for (size_t at = 0; at < n; at += size)
				rcpt_xml_feed(x, faults[i].xml + at, n - at < size ? n - at : size);
			assert_int_equal(rcpt_xml_finish(x), faults[i].status);
			const struct rcpt_xml_position where = rcpt_xml_position(x);
			if (where.byte != faults[i].byte || where.column != faults[i].column)
				fail_msg("fault %zu at chunk size %zu: byte %d, line %d, column %d", i, size, (int)where.byte, (int)where.line,
						 (int)where.column);
			assert_int_equal(where.line, faults[i].line);
			assert_int_equal(rcpt_xml_feed(x, "<message/>", 10), faults[i].status); /* it stays failed */
			rcpt_xml_free(x);
		}
}

static void a_tag_without_end_is_not_kept_for_ever(void **state)
{
	(void)state;
	struct rcpt_xml *x = make();
	enum rcpt_xml_status status = rcpt_xml_feed(x, "<message id='", 13);
	int fed = 0;
	for (; status == RCPT_XML_OK && fed < 1000; fed++)
		status = rcpt_xml_feed(x, "0123456789", 10);
	assert_int_equal(status, RCPT_XML_TOO_LARGE);
	assert_true(fed < 500);
	rcpt_xml_free(x);
}

static void running_out_of_memory(void **state)
{
	(void)state;
	long n = 0;
	for (bool whole = false; !whole && n < 5000; n++) {
		rcpt_mem_fail_after(n);
		struct rcpt_xml *x = rcpt_xml_new(&limits, 42);
		if (x) {
			enum rcpt_xml_status status = rcpt_xml_feed(x, stream, sizeof stream - 1);
			if (status == RCPT_XML_OK)
				status = rcpt_xml_finish(x);
			struct result r = {.n = 0};
			take(x, &r);
			whole = status == RCPT_XML_OK;
			if (whole)
				assert_string_equal(r.text, expected);
			else
				assert_int_equal(status, RCPT_XML_NO_MEMORY);
			rcpt_mem_fail_after(-1);
			/* It can be used again. */
			assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
			rcpt_xml_free(x);
		}
		rcpt_mem_fail_after(-1);
		if (rcpt_mem_held() != 0)
			fail_msg("%zu blocks leaked with memory for %ld", rcpt_mem_held(), n);
	}
	assert_true(n > 10 && n < 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages),
		cmocka_unit_test(nothing_is_read_past_the_end),
		cmocka_unit_test(too_large),
		cmocka_unit_test(the_same_at_every_chunk_size),
		cmocka_unit_test(faults_have_a_place),
		cmocka_unit_test(a_tag_without_end_is_not_kept_for_ever),
		cmocka_unit_test(running_out_of_memory),
	};
	return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}
