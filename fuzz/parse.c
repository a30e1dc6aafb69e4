/* SPDX-License-Identifier: MIT */
/* One message given whole: the quick reader says what the careful one says, whatever it has read before, and lack of memory
 * passes. */
#include "facts_text.h"
#include "fuzz.h"
#include "mem.h"
#include "single.h"

static const struct rcpt_xml_limits limits = {.bytes = 2048, .depth = 6, .attr = 200};

/* All there is to know of a reading: the facts, or why there are none and where. */
static void tell(struct text *t, enum rcpt_xml_status status, const struct rcpt_facts *f, const char *reason,
				 struct rcpt_xml_position where)
{
	text_add_number(t, status);
	if (status == RCPT_XML_OK) {
		text_add_facts(t, f, false);
		return;
	}
	text_add(t, reason, strlen(reason));
	text_add_number(t, where.byte);
	text_add_number(t, where.line);
	text_add_number(t, where.column);
}

static enum rcpt_xml_status read_quickly(struct rcpt_single *s, const char *xml, size_t n, struct text *t)
{
	struct rcpt_facts f;
	const enum rcpt_xml_status status = rcpt_single_read(s, xml, n, &f);
	tell(t, status, &f, rcpt_single_reason(s), rcpt_single_position(s));
	return status;
}

static void read_carefully(const char *xml, size_t n, struct text *t)
{
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	struct rcpt_facts f;
	uint64_t line;
	const enum rcpt_xml_status status = rcpt_xml_message(x, xml, n);
	CHECK(rcpt_xml_next(x, &f, &line) == (status == RCPT_XML_OK), "a message is there where there should be none, or is not");
	tell(t, status, &f, rcpt_xml_reason(x), rcpt_xml_position(x));
	rcpt_xml_free(x);
}

static void read_with_little_memory(const char *xml, size_t n, uint32_t seed, const struct text *expected)
{
	rcpt_mem_fail_after(seed % 64);
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	struct text t = {.used = 0};
	const bool failed = !s || read_quickly(s, xml, n, &t) == RCPT_XML_NO_MEMORY;
	CHECK(failed || text_equal(&t, expected), "other facts while memory runs out");
	rcpt_mem_fail_after(-1);
	text_free(&t);
	if (s) {
		read_quickly(s, xml, n, &t);
		CHECK(text_equal(&t, expected), "other facts after memory had run out");
	}
	text_free(&t);
	rcpt_single_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char good[] = "<message id='1'/>";
	const char *xml = (const char *)data;
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	struct text careful = {.used = 0}, first = {.used = 0}, between = {.used = 0}, again = {.used = 0};
	read_carefully(xml, n, &careful);
	read_quickly(s, xml, n, &first);
	CHECK(text_equal(&first, &careful), "quick: %.*s\ncareful: %.*s", (int)first.used, first.bytes, (int)careful.used,
		  careful.bytes);
	CHECK(read_quickly(s, good, sizeof good - 1, &between) == RCPT_XML_OK, "the next message is refused");
	read_quickly(s, xml, n, &again);
	CHECK(text_equal(&first, &again), "other facts the second time");
	rcpt_single_free(s);
	read_with_little_memory(xml, n, fuzz_hash(data, n), &careful);
	text_free(&careful);
	text_free(&first);
	text_free(&between);
	text_free(&again);
	CHECK(rcpt_mem_held() == 0, "%zu blocks are leaked", rcpt_mem_held());
	return 0;
}
