/* SPDX-License-Identifier: MIT */
/* A stream: the same facts however it is cut into chunks and documents, and those of the reader of one message where that
 * accepts; and the same counts where nothing else is asked for. */
#include "facts_text.h"
#include "fuzz.h"
#include "mem.h"
#include "xml.h"

#define NEVER SIZE_MAX

static struct rcpt_xml_limits limits = {.bytes = (size_t)1 << 16, .depth = 6, .attr = 200};

static unsigned take(struct rcpt_xml *x, struct text *t)
{
	unsigned count = 0;
	struct rcpt_facts f;
	for (uint64_t line; rcpt_xml_next(x, &f, &line); count++) {
		text_add_number(t, line);
		text_add_facts(t, &f, true);
	}
	return count;
}

/* Reads chunks of sizes from 1 to `most`, or all at once where that is 0, and cuts documents after `cut` bytes. Returns how many
 * messages there were. */
static unsigned scan(struct rcpt_xml *x, const char *xml, size_t n, size_t most, size_t cut, uint32_t seed, struct text *t)
{
	unsigned count = 0;
	rcpt_xml_reset(x);
	rcpt_xml_cut_after(x, cut);
	for (size_t at = 0, size; at < n; at += size) {
		size = most ? 1 + fuzz_next(&seed) % most : n;
		size = n - at < size ? n - at : size;
		rcpt_xml_feed(x, xml + at, size);
		count += take(x, t);
	}
	const enum rcpt_xml_status status = rcpt_xml_finish(x);
	count += take(x, t);
	text_add_number(t, status);
	if (status != RCPT_XML_OK) {
		const struct rcpt_xml_position where = rcpt_xml_position(x);
		text_add_number(t, where.byte);
		text_add_number(t, where.line);
		text_add_number(t, where.column);
	}
	return status == RCPT_XML_OK ? count : 0;
}

/* What is one message for those who want one is that message in a stream. */
static void compare_with_one_message(struct rcpt_xml *x, const char *xml, size_t n)
{
	struct rcpt_facts f;
	uint64_t line;
	if (rcpt_xml_message(x, xml, n) == RCPT_XML_OK) {
		struct text one = {.used = 0}, stream = {.used = 0};
		CHECK(rcpt_xml_next(x, &f, &line), "the message is not there");
		text_add_number(&one, line);
		text_add_facts(&one, &f, true);
		text_add_number(&one, RCPT_XML_OK);
		CHECK(scan(x, xml, n, 0, NEVER, 0, &stream) == 1, "the scanner does not find the one message");
		CHECK(text_equal(&one, &stream), "one message: %.*s\nin a stream: %.*s", (int)one.used, one.bytes, (int)stream.used,
			  stream.bytes);
		text_free(&one);
		text_free(&stream);
	}
}

/* Who only counts counts as many. */
static void compare_counts(const char *xml, size_t n, uint32_t seed, const struct rcpt_xml_counts *expected)
{
	struct rcpt_xml_limits only_count = limits;
	only_count.only_count = true;
	struct rcpt_xml *x = rcpt_xml_new(&only_count, 1);
	struct text t = {.used = 0};
	CHECK(scan(x, xml, n, seed % 20, seed & 32 ? 32 : NEVER, seed, &t) == 0, "there are facts");
	CHECK(memcmp(rcpt_xml_counts(x), expected, sizeof *expected) == 0, "other counts");
	text_free(&t);
	rcpt_xml_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *xml = (const char *)data;
	const uint32_t seed = fuzz_hash(data, n);
	const struct {
		size_t most, cut;
	} ways[] = {{1, NEVER}, {7, NEVER}, {64, NEVER}, {0, 32}, {1, 32}, {16, 100}};
	struct text whole = {.used = 0};
	limits.comments = seed & 1;
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	scan(x, xml, n, 0, NEVER, seed, &whole);
	compare_counts(xml, n, seed, rcpt_xml_counts(x));
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct text other = {.used = 0};
		scan(x, xml, n, ways[i].most, ways[i].cut, seed, &other);
		CHECK(text_equal(&whole, &other), "whole: %.*s\nin chunks up to %zu, cut after %zu: %.*s", (int)whole.used, whole.bytes,
			  ways[i].most, ways[i].cut, (int)other.used, other.bytes);
		text_free(&other);
	}
	text_free(&whole);
	compare_with_one_message(x, xml, n);
	rcpt_xml_free(x);
	CHECK(rcpt_mem_held() == 0, "%zu blocks are leaked", rcpt_mem_held());
	return 0;
}
