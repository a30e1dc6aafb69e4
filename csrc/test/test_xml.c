/* SPDX-License-Identifier: MIT */
/* The Expat reader: what it refuses, the same result at every chunk size, and memory running out at every point. */
#include "cmocka_env.h"

#include <stdio.h>
#include <stdlib.h>

#include <expat.h>

#include "edges.h"
#include "mem.h"
#include "xml.h"

#define R "xmlns='urn:xmpp:receipts'"

static const struct rcpt_xml_limits limits = {4096, 8, 100, false, false};

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
	{"<message><a><p:b/></a></message>", RCPT_XML_MALFORMED},
	{"<message><a xmlns:p='u'/><p:b/></message>", RCPT_XML_MALFORMED},
	{"<message xmlns:p='u'><a xmlns:p=''/></message>", RCPT_XML_MALFORMED},
	{"<message><a xmlns='http://www.w3.org/2000/xmlns/'/></message>", RCPT_XML_MALFORMED},
	{"<message xmlns:p='u' xmlns:q='u'><a p:b='' q:b=''/></message>", RCPT_XML_MALFORMED},
	{"<message a:='1'/>", RCPT_XML_MALFORMED},
	{"<message><a></:a></message>", RCPT_XML_MALFORMED},
	{"<message><a></a:></message>", RCPT_XML_MALFORMED},
	{"<message>&a:b;</message>", RCPT_XML_MALFORMED},
	{"<p:message xmlns:p='jabber:client' xml:lang='en'><p:body/></p:message>", RCPT_XML_OK},
	{"<p:message xmlns:p='urn:example'/>", RCPT_XML_NOT_MESSAGE},
	{"<p:iq/>", RCPT_XML_MALFORMED}, /* before what it is, and how deep, is looked at */
	{"<message><a><b><c><d><e><f><g><p:h/></g></f></e></d></c></b></a></message>", RCPT_XML_MALFORMED},
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
	{"<message xmlns:p='"
	 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789'/>",
	 RCPT_XML_OK},
	{"<message xmlns:p='"
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

static void every_case_at_the_edge(void **state)
{
	(void)state;
	for (size_t i = 0; i < CASES; i++)
		read_at_the_edge(&limits, cases[i].xml, strlen(cases[i].xml));
	assert_int_equal(rcpt_mem_held(), 0);
}

static void reasons(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {
		{"<message><p:a/></message>", "unbound prefix"},
		{"<message><a xmlns:p=''/></message>", "must not undeclare prefix"},
		{"<message xmlns:p='u' xmlns:q='u' p:a='' q:a=''/>", "duplicate attribute"},
		{"<message><:a/></message>", "not well-formed (invalid token)"},
		{"<message></:message>", "not well-formed (invalid token)"},
		{"<message></message:>", "mismatched tag"},
	};
	struct rcpt_xml *x = make();
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(rcpt_xml_message(x, wrong[i][0], strlen(wrong[i][0])), RCPT_XML_MALFORMED);
		assert_string_equal(rcpt_xml_reason(x), wrong[i][1]);
	}
	rcpt_xml_free(x);
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
	char text[1024];
	int n;
};

static void take(struct rcpt_xml *x, struct result *r)
{
	struct rcpt_facts f;
	uint64_t line;
	while (rcpt_xml_next(x, &f, &line)) {
		char one[64];
		snprintf(one, sizeof one, "%.*s@%d:%x/%x%s%.*s ", (int)f.id.n, f.id.p, (int)line, f.has, f.problems, f.stamp.p ? " " : "",
				 (int)f.stamp.n, f.stamp.p ? f.stamp.p : "");
		strcat(r->text, one);
		r->n++;
	}
}

static const char expected[] = "1@3:45/0 2@5:0/0 3@7:88/0 4@12:0/0 5@13:0/0 6@15:8/40 ";

static void read_at_every_chunk_size(const char *xml, const char *result)
{
	const size_t n = strlen(xml);
	for (size_t size = 1; size <= n + 1; size++) {
		struct rcpt_xml *x = make();
		struct result r = {.n = 0};
		for (size_t at = 0; at < n; at += size) {
			const size_t left = n - at;
			if (rcpt_xml_feed(x, xml + at, left < size ? left : size) != RCPT_XML_OK)
				fail_msg("%s", rcpt_xml_reason(x));
			take(x, &r);
		}
		if (rcpt_xml_finish(x) != RCPT_XML_OK)
			fail_msg("at the end: %s", rcpt_xml_reason(x));
		take(x, &r); /* Expat may put off its work until then */
		assert_string_equal(r.text, result);
		rcpt_xml_free(x);
	}
	assert_int_equal(rcpt_mem_held(), 0);
}

static void the_same_at_every_chunk_size(void **state)
{
	(void)state;
	read_at_every_chunk_size(stream, expected);
}

#define STREAM "<s:stream\nxmlns='jabber:client'\r\nxmlns:s='http://etherx.jabber.org/streams'>"
#define DECLARED "<?xml version='1.0'?>\n" STREAM

/* Both directions in one file, streams that are cut off and begun anew, and an end between two stanzas. */
static void captures_of_several_streams(void **state)
{
	(void)state;
	read_at_every_chunk_size(DECLARED STREAM "<s:features/><message id='1'/>\n</s:stream>\n<message id='2'/></s:stream>",
							 "1@6:0/0 2@8:0/0 ");
	read_at_every_chunk_size(DECLARED "<message id='1'/>\n" DECLARED "<message id='2'/></s:stream>\n<message id='3'/>",
							 "1@4:0/0 2@8:0/0 3@9:0/0 ");
	read_at_every_chunk_size(DECLARED, "");
	/* More than may be open at once: the outermost are forgotten, and the four innermost can be closed. */
	read_at_every_chunk_size(STREAM STREAM STREAM STREAM STREAM STREAM STREAM
							 "<message id='1'/></s:stream></s:stream></s:stream><message id='2'/></s:stream>\n<message id='3'/>",
							 "1@15:0/0 2@15:0/0 3@16:0/0 ");
	read_at_every_chunk_size(STREAM STREAM STREAM STREAM
							 "<s:stream/><message id='1'/></s:stream></s:stream></s:stream><message id='2'/>",
							 "1@9:0/0 2@9:0/0 ");
	/* A tag that is read again is what it was, also where Expat has put off the one before it. */
	read_at_every_chunk_size(STREAM STREAM STREAM STREAM
							 "<a_tag_that_looks_like_no_stream it='is as long as one, if not a little longer than that'/>" STREAM
							 "<message id='1'/></s:stream></s:stream></s:stream><message id='2'/>",
							 "1@11:0/0 2@11:0/0 ");
}

/* What a stream's root declares holds for it all, whatever it is cut into; what a stanza declares does not. */
static void prefixes_outlive_a_cut(void **state)
{
	(void)state;
	static const char xml[] =
		"<s:stream xmlns='jabber:client' xmlns:r='urn:xmpp:receipts' xmlns:s='http://etherx.jabber.org/streams'>"
		"<message id='1'><r:request/></message><message id='2' xmlns:r='u'><r:request/></message>"
		"<message id='3'><r:request/><request/></message></s:stream>";
	for (size_t after = 1; after < sizeof xml; after += 20) {
		struct rcpt_xml *x = make();
		struct result r = {.n = 0};
		rcpt_xml_cut_after(x, after);
		assert_int_equal(rcpt_xml_feed(x, xml, sizeof xml - 1), RCPT_XML_OK);
		take(x, &r);
		assert_int_equal(rcpt_xml_finish(x), RCPT_XML_OK);
		assert_string_equal(r.text, "1@1:44/0 2@1:0/0 3@1:44/0 ");
		rcpt_xml_free(x);
	}
}

/* Two characters that break one line are one space in a value, also when its tag is read again. */
static void values_outlive_a_cut(void **state)
{
	(void)state;
	char longest[200];
	sprintf(longest, "<s a='%098d\r\n1'><message/><message/></s>", 0);
	const struct {
		const char *xml;
		enum rcpt_xml_status status;
	} streams[] = {
		{longest, RCPT_XML_OK},
		{"<s xmlns:a='1\r\n2' xmlns:b='1  2'><message/><message><c a:d='' b:d=''/></message></s>", RCPT_XML_OK},
		{"<s xmlns:a='1\r\n2' xmlns:b='1 2'><message/><message><c a:d='' b:d=''/></message></s>", RCPT_XML_MALFORMED},
		{"<s xmlns:a='1\n\r2' xmlns:b='1  2'><message/><message><c a:d='' b:d=''/></message></s>", RCPT_XML_MALFORMED},
	};
	for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
		for (size_t after = 1; after < 200; after += 100) {
			struct rcpt_xml *x = make();
			rcpt_xml_cut_after(x, after);
			rcpt_xml_feed(x, streams[i].xml, strlen(streams[i].xml));
			assert_int_equal(rcpt_xml_finish(x), streams[i].status);
			rcpt_xml_free(x);
		}
}

/* What has been read when a stream's bytes come `size` at a time, and how that ends. */
static enum rcpt_xml_status read_in_chunks(struct rcpt_xml *x, const char *xml, size_t n, size_t size, struct result *r)
{
	enum rcpt_xml_status status = RCPT_XML_OK;
	for (size_t at = 0; at < n && status == RCPT_XML_OK; at += size) {
		status = rcpt_xml_feed(x, xml + at, n - at < size ? n - at : size);
		take(x, r);
	}
	if (status == RCPT_XML_OK)
		status = rcpt_xml_finish(x);
	take(x, r);
	return status;
}

/* A tag of `n` bytes, its attributes of some 90 each; an end tag has none. */
static void write_tag(char *tag, const char *name, size_t n)
{
	size_t used = (size_t)sprintf(tag, "<%s", name);
	for (int i = 0; *name != '/' && used + 200 < n; i++)
		used += (size_t)sprintf(tag + used, " a%d='%090d'", i, i);
	memset(tag + used, ' ', n - used - 1);
	strcpy(tag + n - 1, ">");
}

/* A tag or a comment may be as long as the limit, and no longer, however it comes. */
static void one_limit_at_every_chunk_size(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 7, 100, 2000, 4096, 20000};
	static const struct {
		const char *before, *name, *end, *after;
		const char *read; /* before it */
	} kinds[] = {
		{"<message id='1'/>", "message id='2'", ">", "</message><message id='3'/>", "1@1:0/0 "},
		{"<message id='1'/>", "!--", "-->", "<message id='2'/><message id='3'/>", "1@1:0/0 "},
		{"<message id='1'/><message id='2'>", "/message", ">", "<message id='3'/>", "1@1:0/0 "},
		{"<a><message id='1'/><message id='2'/>", "/a", ">", "<message id='3'/>", "1@1:0/0 2@1:0/0 "},
	};
	struct rcpt_xml_limits wide = limits;
	wide.comments = true;
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (size_t n = 4095; n <= 4097; n++) {
			char xml[5000];
			strcpy(xml, kinds[k].before);
			char *tag = xml + strlen(xml);
			write_tag(tag, kinds[k].name, n);
			strcpy(tag + n - strlen(kinds[k].end), kinds[k].end);
			strcat(xml, kinds[k].after);
			struct rcpt_xml *x = rcpt_xml_new(&wide, 42);
			assert_non_null(x);
			const uint64_t whole = edges_read(x, xml, strlen(xml), strlen(xml));
			for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
				struct result r = {.n = 0};
				rcpt_xml_reset(x);
				const enum rcpt_xml_status status = read_in_chunks(x, xml, strlen(xml), sizes[i], &r);
				assert_int_equal(status, n <= 4096 ? RCPT_XML_OK : RCPT_XML_TOO_LARGE);
				assert_string_equal(r.text, n <= 4096 ? "1@1:0/0 2@1:0/0 3@1:0/0 " : kinds[k].read);
				assert_true(edges_read(x, xml, strlen(xml), sizes[i]) == whole);
			}
			rcpt_xml_free(x);
		}
}

/* Expat of 2.6 and later puts off reading what is unfinished, which is not to count as one long tag. */
static void many_tags_below_the_limit(void **state)
{
	(void)state;
	enum { TAGS = 40, BYTES = 2600 };
	char *xml = malloc(TAGS * (BYTES + 20) + 1);
	assert_non_null(xml);
	for (size_t size = 1; size < 3000; size += 37) {
		struct rcpt_xml *x = make();
		struct result r = {.n = 0};
		xml[0] = '\0';
		for (int i = 0; i < TAGS; i++) {
			char *end = xml + (size_t)i * (BYTES + strlen("</message>"));
			write_tag(end, "message", BYTES);
			strcat(end, "</message>");
		}
		assert_int_equal(read_in_chunks(x, xml, strlen(xml), size, &r), RCPT_XML_OK);
		assert_int_equal(r.n, TAGS);
		rcpt_xml_free(x);
	}
	free(xml);
}

/* The start tags of the open elements are kept, to begin with again after a cut: so they have a limit together. */
static void open_tags_have_a_limit(void **state)
{
	(void)state;
	static const char inside[] = "<message id='1'/>";
	char tag[3001];
	struct rcpt_xml *x = make();
	write_tag(tag, "a", 3000);
	assert_int_equal(rcpt_xml_feed(x, tag, 3000), RCPT_XML_OK);
	write_tag(tag, "b", 1000);
	assert_int_equal(rcpt_xml_feed(x, tag, 1000), RCPT_XML_OK);
	assert_int_equal(rcpt_xml_feed(x, inside, sizeof inside - 1), RCPT_XML_OK);
	assert_int_equal(rcpt_xml_feed(x, "</b>", 4), RCPT_XML_OK);
	assert_int_equal(rcpt_xml_feed(x, tag, 1000), RCPT_XML_OK); /* closed ones do not count */
	write_tag(tag, "c", 300);
	assert_int_equal(rcpt_xml_feed(x, tag, 300), RCPT_XML_TOO_LARGE);
	rcpt_xml_free(x);
}

/* Containers with long tags keep nothing from being forgotten. */
static void names_are_forgotten_within_long_tags(void **state)
{
	(void)state;
	char tag[1001];
	struct rcpt_xml *x = make();
	size_t before = 0;
	rcpt_xml_cut_after(x, 1000);
	write_tag(tag, "a", 1000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(rcpt_xml_feed(x, tag, 1000), RCPT_XML_OK);
	for (int i = 0; i < 20000; i++) {
		char message[100];
		struct result r = {.n = 0};
		const int n = sprintf(message, "<message><name%d/></message>", i);
		assert_int_equal(rcpt_xml_feed(x, message, (size_t)n), RCPT_XML_OK);
		take(x, &r);
		if (i == 1000)
			before = rcpt_mem_bytes();
	}
	assert_in_range(rcpt_mem_bytes(), 0, before + 3000);
	rcpt_xml_free(x);
}

/* A document that is cut near the end of each piece begins with them again, which is to take less than is saved. */
static void long_tags_are_not_read_again_for_each_piece(void **state)
{
	(void)state;
	enum { PIECE = 16384, PIECES = 64 };
	char tag[801], *piece = malloc(PIECE);
	assert_non_null(piece);
	memset(piece, ' ', PIECE);
	memcpy(piece + PIECE - 10, "<message/>", 10);
	write_tag(tag, "a", 800);
	struct rcpt_xml *x = make();
	assert_int_equal(rcpt_xml_feed(x, tag, 800), RCPT_XML_OK);
	rcpt_mem_fail_after(4 * PIECES); /* a document takes more than ten allocations */
	for (int i = 0; i < PIECES; i++) {
		struct result r = {.n = 0};
		assert_int_equal(rcpt_xml_feed(x, piece, PIECE), RCPT_XML_OK);
		take(x, &r);
	}
	rcpt_mem_fail_after(-1);
	rcpt_xml_free(x);
	free(piece);
}

#define ROOT "s:stream xmlns:s='http://etherx.jabber.org/streams'"

/* The open streams' tags are read again after each declaration, which is to take no more than what else is read, whatever was
 * read long before. */
static void declarations_alone_have_streams_forgotten(void **state)
{
	(void)state;
	enum { DECLARATIONS = 2000, TAG = 3000, SPACE = 500000, FIRST = TAG + SPACE, EACH = 21 };
	static const char declaration[] = "<?xml version='1.0'?>";
	static const size_t sizes[] = {7, 1000, 4096, 16384};
	char *xml = malloc(FIRST + DECLARATIONS * EACH + 100);
	assert_non_null(xml);
	write_tag(xml, ROOT, TAG);
	memset(xml + TAG, '\n', SPACE);
	for (int i = 0; i < DECLARATIONS; i++)
		strcpy(xml + FIRST + i * EACH, declaration);
	strcat(xml, "<message id='1'/></s:stream>");
	const size_t n = strlen(xml);
	struct rcpt_xml *x = make();
	rcpt_mem_fail_after(6 * DECLARATIONS); /* such a tag takes thirty allocations */
	const uint64_t whole = edges_read(x, xml, n, n);
	assert_int_equal(rcpt_mem_failed(), 0);
	rcpt_mem_fail_after(-1);
	assert_int_equal(rcpt_xml_counts(x)->messages, 1);
	assert_int_equal(rcpt_xml_finish(x), RCPT_XML_MALFORMED); /* at its end tag, the stream is gone */
	assert_int_equal(rcpt_xml_position(x).byte, n - strlen("/s:stream>") + 1);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		assert_true(edges_read(x, xml, n, sizes[i]) == whole);
	/* A few do not. */
	strcpy(xml + FIRST + 5 * EACH, "<message id='1'/></s:stream>");
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct result r = {.n = 0};
		rcpt_xml_reset(x);
		assert_int_equal(read_in_chunks(x, xml, strlen(xml), sizes[i], &r), RCPT_XML_OK);
		assert_string_equal(r.text, "1@500001:0/0 ");
	}
	rcpt_xml_free(x);
	free(xml);
}

/* Those that begin streams do not, however long and short their tags are: the innermost four stay. */
static void declarations_of_streams_keep_the_innermost(void **state)
{
	(void)state;
	enum { STREAMS = 100, LONG = 1022, SHORT = 60 };
	static const size_t sizes[] = {1, 1000, 20000, STREAMS * LONG};
	for (unsigned group = 1; group <= 16; group *= 2) { /* so many long ones follow one another, and so many short ones */
		char *xml = malloc(STREAMS * (LONG + 10) + 200), *end = xml;
		assert_non_null(xml);
		struct rcpt_xml *x = make();
		for (unsigned i = 0; i < STREAMS; i++) {
			end += sprintf(end, "%s", i ? "<?xml?>" : "");
			write_tag(end, ROOT, i / group % 2 ? SHORT : LONG);
			end += strlen(end);
			if (i < 4)
				continue;
			strcpy(end, "<message id='1'/></s:stream></s:stream></s:stream></s:stream><message id='2'/>");
			for (size_t s = i < 20 ? 0 : 2; s < sizeof sizes / sizeof *sizes; s++) {
				struct result r = {.n = 0};
				rcpt_xml_reset(x);
				assert_int_equal(read_in_chunks(x, xml, strlen(xml), sizes[s], &r), RCPT_XML_OK);
				assert_string_equal(r.text, "1@1:0/0 2@1:0/0 ");
			}
		}
		rcpt_xml_free(x);
		free(xml);
	}
}

#define FORWARDED "<forwarded xmlns='urn:xmpp:forward:0'>"
#define DELAY(stamp) "<delay xmlns='urn:xmpp:delay' stamp='" stamp "'/>"
#define NS "xmlns='jabber:client'"

static void stamps(void **state)
{
	(void)state;
	read_at_every_chunk_size(
		"<server-data xmlns='urn:xmpp:pie:0'><host><user>" DELAY("none")
			FORWARDED DELAY("a") "<message " NS " id='1'/></forwarded>\n" FORWARDED "<message " NS " id='2'/>" DELAY(
				"b") "</forwarded>\n" FORWARDED DELAY("c") "<message " NS " id='3'>" DELAY("own")
				DELAY("later") "</message></forwarded>\n" FORWARDED "<x>" DELAY(
					"none") "</x><message " NS " id='4'/></forwarded>\n" FORWARDED
					DELAY("e") "<message " NS " id='5'/>\n<message " NS " id='6'>" DELAY("f") "</message></forwarded>" FORWARDED
						DELAY("nobody") "</forwarded><message " NS " id='7'><x>" DELAY(
							"none") "</x></message>"
									"<message " NS
									" id='8'><delay xmlns='urn:x' stamp='x'/><delay xmlns='urn:xmpp:delay'/>" DELAY(
										"h") "</message>"
											 "<forwarded xmlns='urn:x'>" DELAY("none") "<message " NS " id='9'/></forwarded>"
																					   "<x xmlns='urn:xmpp:forward:0'>" DELAY(
																						   "none") "<message " NS " id='10'/></x>"
																								   "</user></host></server-data>",
		"1@1:0/0 a 2@2:0/0 b 3@3:0/0 own 4@4:0/0 5@5:0/0 e 6@6:0/0 f 7@6:0/0 8@6:0/0 h 9@6:0/0 10@6:0/0 ");
}

/* A message in a container's <forwarded/> waits for a delay beside it. What comes in its place makes it no less read. */
static void what_was_read_whole_counts_before_a_fault(void **state)
{
	(void)state;
	static const char read[] = "<x>" FORWARDED "<message " NS " id='1'><request " R "/></message>";
	static const struct {
		const char *then;
		enum rcpt_xml_status status;
		const char *result;
	} faults[] = {
		{"", RCPT_XML_TRUNCATED, "1@1:44/0 "},
		{DELAY("a"), RCPT_XML_TRUNCATED, "1@1:44/0 a "},
		{DELAY("a") "</x>", RCPT_XML_MALFORMED, "1@1:44/0 a "},
		{"<bad></x>", RCPT_XML_MALFORMED, "1@1:44/0 "},
		{"<p:bad/>", RCPT_XML_MALFORMED, "1@1:44/0 "},
		{"<!-- no -->", RCPT_XML_COMMENT, "1@1:44/0 "},
		{"<a><a><a><a><a><a><a>", RCPT_XML_TOO_DEEP, "1@1:44/0 "},
		{"<message " NS " id='2'>" DELAY("b") "</x>", RCPT_XML_MALFORMED, "1@1:44/0 "},
		{"<message " NS " id='2'>" DELAY("b") "</message></x>", RCPT_XML_MALFORMED, "1@1:44/0 2@1:0/0 b "},
	};
	struct rcpt_xml_limits counting = limits;
	counting.only_count = true;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		char xml[500];
		const size_t n = (size_t)sprintf(xml, "%s%s", read, faults[i].then);
		for (size_t size = 1; size <= n; size++) {
			struct rcpt_xml *x = make(), *counts = rcpt_xml_new(&counting, 42);
			struct result r = {.n = 0}, none = {.n = 0};
			assert_int_equal(read_in_chunks(x, xml, n, size, &r), faults[i].status);
			assert_string_equal(r.text, faults[i].result);
			assert_int_equal(read_in_chunks(counts, xml, n, size, &none), faults[i].status);
			assert_int_equal(none.n, 0);
			assert_int_equal(rcpt_xml_counts(counts)->messages, r.n);
			assert_int_equal(rcpt_xml_counts(counts)->requests, 1);
			assert_memory_equal(rcpt_xml_counts(x), rcpt_xml_counts(counts), sizeof(struct rcpt_xml_counts));
			assert_int_equal(rcpt_xml_feed(x, "<message/>", 10), faults[i].status);
			take(x, &none);
			assert_int_equal(none.n, 0); /* once */
			rcpt_xml_free(x);
			rcpt_xml_free(counts);
		}
	}
}

/* Whoever takes some of them only gets the others later, whatever is read meanwhile. */
static void messages_wait_to_be_taken(void **state)
{
	(void)state;
	struct rcpt_xml *x = make();
	struct rcpt_facts f;
	uint64_t line;
	assert_int_equal(rcpt_xml_feed(x, "<message id='1'/><message id='2'/>", 34), RCPT_XML_OK);
	assert_true(rcpt_xml_next(x, &f, &line) && rcpt_str_eq(f.id, RCPT_STR("1")));
	assert_int_equal(rcpt_xml_feed(x, "<message id='3'/><message id='4'>", 33), RCPT_XML_OK);
	struct result r = {.n = 0};
	take(x, &r);
	assert_int_equal(rcpt_xml_feed(x, "</message>", 10), RCPT_XML_OK);
	take(x, &r);
	assert_string_equal(r.text, "2@1:0/0 3@1:0/0 4@1:0/0 ");
	rcpt_xml_free(x);
}

/* Those taken go while another is being read, which keeps its strings. */
static void what_is_taken_goes(void **state)
{
	(void)state;
	struct rcpt_xml *x = make();
	size_t before = 0;
	for (unsigned i = 0; i < 1000; i++) {
		char chunk[256], id[16];
		struct rcpt_facts f;
		uint64_t line;
		const int n = snprintf(chunk, sizeof chunk, "%s<message id='%u' from='%080u'>", i ? "</message>" : "", i, i);
		assert_int_equal(rcpt_xml_feed(x, chunk, (size_t)n), RCPT_XML_OK);
		snprintf(id, sizeof id, "%u", i - 1);
		if (i)
			assert_true(rcpt_xml_next(x, &f, &line) && rcpt_str_eq(f.id, (struct rcpt_str){id, strlen(id)}) && f.from.n == 80);
		if (i == 100)
			before = rcpt_mem_bytes();
	}
	assert_in_range(rcpt_mem_bytes(), 0, before + 5000);
	assert_int_equal(rcpt_xml_feed(x, "</message>", 10), RCPT_XML_OK);
	rcpt_xml_reset(x); /* and so do those that nobody has taken */
	struct rcpt_facts f;
	uint64_t line;
	assert_false(rcpt_xml_next(x, &f, &line));
	rcpt_xml_free(x);
}

/* Expat keeps names until its document ends. A stream that never ends, with ever new names, is read in bounded memory. */
static void an_endless_stream(void **state)
{
	(void)state;
	struct rcpt_xml *x = make();
	assert_int_equal(rcpt_xml_feed(x, DECLARED, strlen(DECLARED)), RCPT_XML_OK);
	size_t most = 0, most_bytes = 0;
	unsigned read = 0;
	for (unsigned i = 0; i < 100000; i++) {
		char one[256];
		const int n =
			snprintf(one, sizeof one, "<message id='%u' from='%080u'><name%u a%u=''/></message>\n<other%u/>", i, i, i, i, i);
		if (rcpt_xml_feed(x, one, (size_t)n) != RCPT_XML_OK)
			fail_msg("%u: %s", i, rcpt_xml_reason(x));
		struct rcpt_facts f;
		uint64_t line;
		while (rcpt_xml_next(x, &f, &line)) {
			char id[16];
			snprintf(id, sizeof id, "%u", read);
			assert_int_equal(line, 4 + read++);
			assert_true(rcpt_str_eq(f.id, (struct rcpt_str){id, strlen(id)}));
		}
		if (rcpt_mem_held() > most)
			most = rcpt_mem_held();
		if (rcpt_mem_bytes() > most_bytes)
			most_bytes = rcpt_mem_bytes();
	}
	assert_int_equal(rcpt_xml_finish(x), RCPT_XML_OK);
	assert_int_equal(read, 100000);
	if (most > 30000) /* blocks; it would be 300,000 */
		fail_msg("%zu blocks of memory", most);
	if (most_bytes > 4000000) /* it is one million; 20 if what was taken stayed */
		fail_msg("%zu bytes of memory", most_bytes);
	rcpt_xml_free(x);
}

static void comments(void **state)
{
	(void)state;
	static const struct rcpt_xml_limits with_comments = {4096, 8, 100, true, false};
	static const struct {
		const char *xml;
		enum rcpt_xml_status status;
	} inputs[] = {
		{"<!-- in --><message/><!-- out --> ", RCPT_XML_OK},
		{DECLARED "<!-- in --><a><!-- in a --></a><message/><!-- out -->", RCPT_XML_OK},
		{"<!-- <message/> -->", RCPT_XML_OK},
		{"<message/><!-- never closed", RCPT_XML_TRUNCATED},
		{"<message><!-- in a stanza --></message>", RCPT_XML_COMMENT},
		{"<iq><!-- in a stanza --></iq>", RCPT_XML_COMMENT},
	};
	struct rcpt_xml *x = rcpt_xml_new(&with_comments, 42);
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		rcpt_xml_reset(x);
		for (const char *at = inputs[i].xml; *at; at++)
			rcpt_xml_feed(x, at, 1);
		if (rcpt_xml_finish(x) != inputs[i].status)
			fail_msg("%s: %s", inputs[i].xml, rcpt_xml_reason(x));
	}
	assert_int_equal(rcpt_xml_message(x, "<!-- no --><message/>", 21), RCPT_XML_COMMENT);
	rcpt_xml_free(x);
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
		{STREAM "<a/>\n<?xml version='1.0'?>\n <a></b>", RCPT_XML_MALFORMED, 110, 5, 7},
		{STREAM "<message>\n<?xml version='1.0'?>", RCPT_XML_MALFORMED, 87, 4, 1},
		{STREAM "<message/><messa", RCPT_XML_TRUNCATED, 87, 3, 54},
		{"<export>\n" STREAM "<message/>", RCPT_XML_TRUNCATED, 96, 4, 54},
		{STREAM "<s:features>", RCPT_XML_TRUNCATED, 89, 3, 56}, /* no root of a stream */
		{"<stream><message/>", RCPT_XML_TRUNCATED, 19, 1, 19},
		{"<message/>\n<message>\n <p:a/></message>", RCPT_XML_MALFORMED, 23, 3, 2},
		{"<message>\n <a><b c='' p:d=''></b></a></message>", RCPT_XML_MALFORMED, 15, 2, 5},
		{"<message>\n<:a/>", RCPT_XML_MALFORMED, 11, 2, 1},
		{"<message></:a>", RCPT_XML_MALFORMED, 12, 1, 12},
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

enum { LINES_MOST = 10000 };

/* The lines that messages begin on, and where reading ended. */
struct lines {
	uint64_t of[LINES_MOST];
	size_t n;
	struct rcpt_xml_position end;
};

struct expats_lines {
	XML_Parser parser;
	struct lines *found;
};

static void XMLCALL note_line(void *ud, const char *name, const char **attr)
{
	(void)attr;
	const struct expats_lines *e = ud;
	if (strcmp(name, "message") == 0)
		e->found->of[e->found->n++] = XML_GetCurrentLineNumber(e->parser);
}

static void expats_lines(const char *xml, size_t n, struct lines *found)
{
	struct expats_lines e = {XML_ParserCreate("UTF-8"), found};
	found->n = 0;
	XML_SetUserData(e.parser, &e);
	XML_SetStartElementHandler(e.parser, note_line);
	assert_int_equal(XML_Parse(e.parser, xml, (int)n, XML_TRUE), XML_STATUS_ERROR);
	found->end = (struct rcpt_xml_position){(uint64_t)XML_GetCurrentByteIndex(e.parser) + 1, XML_GetCurrentLineNumber(e.parser),
											XML_GetCurrentColumnNumber(e.parser) + 1};
	XML_ParserFree(e.parser);
}

static void our_lines(const char *xml, size_t n, size_t size, size_t cut_after, struct lines *found)
{
	struct rcpt_xml *x = make();
	struct rcpt_facts f;
	enum rcpt_xml_status status = RCPT_XML_OK;
	found->n = 0;
	rcpt_xml_cut_after(x, cut_after);
	for (size_t at = 0; at < n && status == RCPT_XML_OK; at += size) {
		status = rcpt_xml_feed(x, xml + at, n - at < size ? n - at : size);
		while (rcpt_xml_next(x, &f, &found->of[found->n]))
			found->n++;
	}
	assert_int_equal(status, RCPT_XML_MALFORMED);
	found->end = rcpt_xml_position(x);
	rcpt_xml_free(x);
}

/* However a stream comes and is cut, with every kind of line break, and characters of every length. */
static void lines_are_those_of_expat(void **state)
{
	(void)state;
	enum { BYTES = 200000 };
	static const char *const pieces[] = {"\n",
										 "\r",
										 "\r\n",
										 "\n\r",
										 "\r\r\n",
										 "a",
										 "\xc3\xa9",
										 "\xe2\x98\x83",
										 "\xf0\x9f\x98\x80",
										 "&#xd;",
										 "<message/>",
										 "<message a='\n'><body>\r\n",
										 "</body>\r</message>",
										 "<iq\r\n/>",
										 "<x\n>",
										 "</x\r>"};
	static const size_t sizes[] = {1, 7, 1000, 4096, 16384, 20000, 65536, BYTES}, cuts[] = {100, 30000, RCPT_XML_CUT};
	struct lines *expats = malloc(sizeof *expats), *ours = malloc(sizeof *ours);
	char *xml = malloc(BYTES);
	assert_non_null(expats);
	assert_non_null(ours);
	assert_non_null(xml);
	for (uint32_t seed = 1; seed <= 3; seed++) {
		uint32_t random = seed;
		size_t n = (size_t)sprintf(xml, "<stream\n>");
		bool in_message = false, in_container = false;
		while (n < BYTES - 1000 * seed) {
			random = random * 1664525 + 1013904223;
			const unsigned i = (random >> 16) % (sizeof pieces / sizeof *pieces);
			if (i >= 10 && (in_message ? i != 12 : in_container ? i == 12 || i == 14 : i == 12 || i == 15))
				continue;
			in_message = i >= 10 ? i == 11 : in_message;
			in_container = i == 14 || (in_container && i != 15);
			n += (size_t)sprintf(xml + n, "%s", pieces[i]);
		}
		for (int i = 0; i < 50; i++) /* a line that is long, and its bytes not as many as its characters */
			n += (size_t)sprintf(xml + n, "a\xc3\xa9\xe2\x98\x83");
		n += (size_t)sprintf(xml + n, "</b>");
		expats_lines(xml, n, expats);
		assert_in_range(expats->n, 1000, LINES_MOST - 1);
		for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
			for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++) {
				our_lines(xml, n, sizes[s], cuts[c], ours);
				/* The last message may be incomplete. */
				assert_in_range(expats->n - ours->n, 0, 1);
				assert_memory_equal(ours->of, expats->of, ours->n * sizeof *ours->of);
				assert_memory_equal(&ours->end, &expats->end, sizeof ours->end);
			}
	}
	free(xml);
	free(ours);
	free(expats);
}

/* Of input that is gone nothing is read when a reset fails. */
static void a_reset_that_fails_is_at_the_beginning(void **state)
{
	(void)state;
	enum { BYTES = 20000 }; /* after so many a parser is replaced */
	struct rcpt_xml *x = make();
	char *xml = malloc(BYTES);
	assert_non_null(xml);
	memset(xml, '\n', BYTES);
	memcpy(xml, "<s>", 3);
	memcpy(xml + BYTES - 4, "</b>", 4);
	assert_int_equal(rcpt_xml_feed(x, xml, BYTES), RCPT_XML_MALFORMED);
	free(xml);
	rcpt_mem_fail_after(0);
	rcpt_xml_reset(x);
	rcpt_mem_fail_after(-1);
	const struct rcpt_xml_position where = rcpt_xml_position(x);
	assert_int_equal(rcpt_xml_feed(x, "<message/>", 10), RCPT_XML_NO_MEMORY);
	assert_true(where.byte == 1 && where.line == 1 && where.column == 1);
	rcpt_xml_free(x);
}

/* Nor when a stream is fed to a reader that has read one message. */
static void after_one_message_comes_a_reset(void **state)
{
	(void)state;
	struct rcpt_xml *x = make();
	assert_int_equal(rcpt_xml_message(x, "<message>\n</message>", 20), RCPT_XML_OK);
	assert_int_equal(rcpt_xml_feed(x, "<message/>", 10), RCPT_XML_MALFORMED);
	const struct rcpt_xml_position where = rcpt_xml_position(x);
	assert_true(where.byte == 21 && where.line == 2 && where.column == 11);
	rcpt_xml_reset(x);
	assert_int_equal(rcpt_xml_feed(x, "<message/>", 10), RCPT_XML_OK);
	rcpt_xml_free(x);
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

/* A message with so many attributes, 99,999 at the most, each of another name. */
static char *message_with_names(int names)
{
	enum { EACH = 10 };
	char *xml = malloc(8 + (size_t)names * EACH + 3);
	assert_non_null(xml);
	size_t n = (size_t)sprintf(xml, "<message");
	for (int i = 0; i < names; i++)
		n += (size_t)sprintf(xml + n, " n%05d=''", i);
	strcpy(xml + n, "/>");
	return xml;
}

/* What one input made Expat take does not stay, to be cleared for each that follows. */
static void one_input_leaves_no_burden(void **state)
{
	(void)state;
	static const struct rcpt_xml_limits wide = {1 << 20, 8, 100, false, false};
	char *xml = message_with_names(30000);
	const size_t n = strlen(xml);
	struct rcpt_xml *x = rcpt_xml_new(&wide, 42);
	assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
	const size_t before = rcpt_mem_bytes();
	assert_int_equal(rcpt_xml_message(x, xml, n), RCPT_XML_OK);
	assert_in_range(rcpt_mem_bytes(), before + 500000, SIZE_MAX);
	assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
	assert_in_range(rcpt_mem_bytes(), 0, before + 1000);
	memcpy(xml + n - strlen("n29999=''/>"), "p:a", 3); /* a prefix that is not declared: refused, but Expat has noted all names */
	assert_int_equal(rcpt_xml_message(x, xml, n), RCPT_XML_MALFORMED);
	assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
	assert_in_range(rcpt_mem_bytes(), 0, before + 1000);
	for (int i = 0; i < 100; i++)
		assert_int_equal(rcpt_xml_message(x, "<message id='of some length, so that a hundred tell'/>", 54), RCPT_XML_OK);
	assert_in_range(rcpt_mem_bytes(), 0, before + 1000);
	rcpt_xml_free(x);
	free(xml);
	assert_int_equal(rcpt_mem_held(), 0);
	assert_int_equal(rcpt_mem_bytes(), 0);
}

/* What a smaller one did stays for some that follow, and no longer. */
static void a_small_input_leaves_none_for_long(void **state)
{
	(void)state;
	static const struct rcpt_xml_limits wide = {1 << 20, 8, 100, false, false};
	char *xml = message_with_names(1500);
	const size_t n = strlen(xml);
	struct rcpt_xml *x = rcpt_xml_new(&wide, 42);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
		const size_t before = rcpt_mem_bytes();
		assert_int_equal(rcpt_xml_message(x, xml, n), RCPT_XML_OK);
		assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
		assert_in_range(rcpt_mem_bytes(), before + 50000, SIZE_MAX);
		for (int i = 0; i < 64; i++)
			assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
		assert_in_range(rcpt_mem_bytes(), 0, before + 1000);
	}
	rcpt_xml_free(x);
	free(xml);
}

static void run_out_of_memory_for(long times, const char *xml, enum rcpt_xml_status ends, const char *result)
{
	long n = 0;
	for (bool enough = false; !enough && n < 5000; n++) {
		rcpt_mem_fail(n, times);
		struct rcpt_xml *x = rcpt_xml_new(&limits, 42);
		if (x) {
			enum rcpt_xml_status status = rcpt_xml_feed(x, xml, strlen(xml));
			if (status == RCPT_XML_OK)
				status = rcpt_xml_finish(x);
			struct result r = {.n = 0};
			take(x, &r);
			enough = rcpt_mem_failed() == 0;
			if (enough || status != RCPT_XML_NO_MEMORY) {
				assert_int_equal(status, ends);
				assert_string_equal(r.text, result);
			}
			if (strncmp(r.text, result, strlen(r.text)) != 0)
				fail_msg("with memory for %ld: %s", n, r.text); /* no message of which only a part was kept */
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

static void run_out_of_memory(const char *xml, enum rcpt_xml_status ends, const char *result)
{
	run_out_of_memory_for(-1, xml, ends, result);
	run_out_of_memory_for(1, xml, ends, result);
}

static void running_out_of_memory(void **state)
{
	(void)state;
	run_out_of_memory(stream, RCPT_XML_OK, expected);
	run_out_of_memory(DECLARED "<message id='1'/>" DECLARED STREAM STREAM STREAM "<message id='2'/></s:stream></s:stream>",
					  RCPT_XML_OK, "1@4:0/0 2@13:0/0 ");
	run_out_of_memory("<a xmlns:p='u' xmlns:q='v' p:a='' q:a=''><message id='1'/></a>", RCPT_XML_OK, "1@1:0/0 ");
	run_out_of_memory("<a>" FORWARDED "<message id='1' " NS "/>" DELAY("a") "</forwarded></a>", RCPT_XML_OK, "1@1:0/0 a ");
	run_out_of_memory("<a>" FORWARDED "<message id='1' " NS "/>" DELAY("a") "</a>", RCPT_XML_MALFORMED, "1@1:0/0 a ");
}

/* What a document declares counts for nothing, whatever fails: a reader that has lost its encoding would take Latin-1 from it. */
static void declared_encodings_out_of_memory(void **state)
{
	(void)state;
	static const char latin[] = "<?xml version='1.0' encoding='ISO-8859-1'?><message id='\xe9'/>";
	int refused = 0;
	for (long n = 0; n < 40; n++) {
		struct rcpt_xml *x = make();
		if (n % 2) /* a reader that has read has less to allocate */
			assert_int_equal(rcpt_xml_message(x, latin, sizeof latin - 1), RCPT_XML_MALFORMED);
		rcpt_mem_fail(n / 4, n / 2 % 2 ? 1 : -1);
		const enum rcpt_xml_status whole = rcpt_xml_message(x, latin, sizeof latin - 1);
		rcpt_mem_fail(n / 4, n / 2 % 2 ? 1 : -1);
		rcpt_xml_reset(x);
		const enum rcpt_xml_status fed = rcpt_xml_feed(x, latin, sizeof latin - 1);
		rcpt_mem_fail_after(-1);
		assert_true(whole == RCPT_XML_MALFORMED || whole == RCPT_XML_NO_MEMORY);
		assert_true(fed == RCPT_XML_MALFORMED || fed == RCPT_XML_NO_MEMORY);
		refused += (whole == RCPT_XML_NO_MEMORY) + (fed == RCPT_XML_NO_MEMORY);
		assert_int_equal(rcpt_xml_message(x, latin, sizeof latin - 1), RCPT_XML_MALFORMED);
		assert_int_equal(rcpt_xml_message(x, "<message/>", 10), RCPT_XML_OK);
		rcpt_xml_free(x);
		assert_int_equal(rcpt_mem_held(), 0);
	}
	assert_true(refused > 4 && refused < 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_messages),
		cmocka_unit_test(every_case_at_the_edge),
		cmocka_unit_test(reasons),
		cmocka_unit_test(too_large),
		cmocka_unit_test(the_same_at_every_chunk_size),
		cmocka_unit_test(captures_of_several_streams),
		cmocka_unit_test(prefixes_outlive_a_cut),
		cmocka_unit_test(values_outlive_a_cut),
		cmocka_unit_test(one_limit_at_every_chunk_size),
		cmocka_unit_test(many_tags_below_the_limit),
		cmocka_unit_test(open_tags_have_a_limit),
		cmocka_unit_test(names_are_forgotten_within_long_tags),
		cmocka_unit_test(long_tags_are_not_read_again_for_each_piece),
		cmocka_unit_test(declarations_alone_have_streams_forgotten),
		cmocka_unit_test(declarations_of_streams_keep_the_innermost),
		cmocka_unit_test(stamps),
		cmocka_unit_test(what_was_read_whole_counts_before_a_fault),
		cmocka_unit_test(messages_wait_to_be_taken),
		cmocka_unit_test(what_is_taken_goes),
		cmocka_unit_test(an_endless_stream),
		cmocka_unit_test(comments),
		cmocka_unit_test(faults_have_a_place),
		cmocka_unit_test(lines_are_those_of_expat),
		cmocka_unit_test(a_reset_that_fails_is_at_the_beginning),
		cmocka_unit_test(after_one_message_comes_a_reset),
		cmocka_unit_test(a_tag_without_end_is_not_kept_for_ever),
		cmocka_unit_test(one_input_leaves_no_burden),
		cmocka_unit_test(a_small_input_leaves_none_for_long),
		cmocka_unit_test(running_out_of_memory),
		cmocka_unit_test(declared_encodings_out_of_memory),
	};
	return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}
