/* SPDX-License-Identifier: MIT */
/* Namespaces: what Expat accepts and refuses where it does them itself is what ours do on an Expat that does none. */
#include "cmocka_env.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "mem.h"
#include "namespaces.h"

#define XML "http://www.w3.org/XML/1998/namespace"
#define XMLNS "http://www.w3.org/2000/xmlns/"

static const struct {
	const char *xml;
	enum XML_Error error;
	const char *names; /* of elements and attributes, one after another */
} cases[] = {
	{"<a/>", XML_ERROR_NONE, "a "},
	{"<a b='1'/>", XML_ERROR_NONE, "a b "},
	{"<a xmlns='u'><b c=''/></a>", XML_ERROR_NONE, "{u}a {u}b c "},
	{"<a xmlns='u'><b xmlns=''><c/></b><d/></a>", XML_ERROR_NONE, "{u}a b c {u}d "},
	{"<a xmlns='u'><b xmlns='v'/><c/></a>", XML_ERROR_NONE, "{u}a {v}b {u}c "},
	{"<p:a xmlns:p='u'><p:b p:c='' c=''/></p:a>", XML_ERROR_NONE, "{u}a {u}b {u}c c "},
	{"<p:a p:b='' xmlns:p='u'/>", XML_ERROR_NONE, "{u}a {u}b "},
	{"<p:a xmlns:p='u'><p:b xmlns:p='v'><p:c/></p:b><p:d/></p:a>", XML_ERROR_NONE, "{u}a {v}b {v}c {u}d "},
	{"<a xml:lang='en'><xml:b/></a>", XML_ERROR_NONE, "a {" XML "}lang {" XML "}b "},
	{"<a xmlns:xml='" XML "' xml:lang=''><b xml:lang=''/></a>", XML_ERROR_NONE, "a {" XML "}lang b {" XML "}lang "},
	{"<a xmlnsx:b='' xmlns:xmlnsx='u' xmlnsy=''/>", XML_ERROR_NONE, "a {u}b xmlnsy "},
	{"<a xmlns='u' xmlns:p='u' b='' p:b=''/>", XML_ERROR_NONE, "{u}a b {u}b "},
	{"<p:xmlns xmlns:p='u' p:xmlns=''/>", XML_ERROR_NONE, "{u}xmlns {u}xmlns "},
	{"<p:\xc3\xa9 xmlns:p='u'/>", XML_ERROR_NONE, "{u}\xc3\xa9 "},
	{"<\xc3\xa9:a xmlns:\xc3\xa9='u'/>", XML_ERROR_NONE, "{u}a "},

	{"<p:a/>", XML_ERROR_UNBOUND_PREFIX, ""},
	{"<a p:b=''/>", XML_ERROR_UNBOUND_PREFIX, ""},
	{"<a xmlns='u'><b><p:c/></b></a>", XML_ERROR_UNBOUND_PREFIX, "{u}a {u}b "},
	{"<a><b xmlns:p='u'/><p:c/></a>", XML_ERROR_UNBOUND_PREFIX, "a b "},
	{"<a><b xmlns:p='u'></b><c p:d=''/></a>", XML_ERROR_UNBOUND_PREFIX, "a b "},
	{"<xmlns:a/>", XML_ERROR_UNBOUND_PREFIX, ""},
	{"<a xmlns:p=''/>", XML_ERROR_UNDECLARING_PREFIX, ""},
	{"<a xmlns:p='u'><b xmlns:p=''/></a>", XML_ERROR_UNDECLARING_PREFIX, "a "},
	{"<a xmlns:xml=''/>", XML_ERROR_UNDECLARING_PREFIX, ""},
	{"<a xmlns:xmlns=''/>", XML_ERROR_UNDECLARING_PREFIX, ""},
	{"<a xmlns:xml='u'/>", XML_ERROR_RESERVED_PREFIX_XML, ""},
	{"<a xmlns:xml='" XMLNS "'/>", XML_ERROR_RESERVED_PREFIX_XML, ""},
	{"<a xmlns:xmlns='u'/>", XML_ERROR_RESERVED_PREFIX_XMLNS, ""},
	{"<a xmlns:xmlns='" XMLNS "'/>", XML_ERROR_RESERVED_PREFIX_XMLNS, ""},
	{"<a xmlns='" XML "'/>", XML_ERROR_RESERVED_NAMESPACE_URI, ""},
	{"<a xmlns:p='" XML "'/>", XML_ERROR_RESERVED_NAMESPACE_URI, ""},
	{"<a xmlns='" XMLNS "'/>", XML_ERROR_RESERVED_NAMESPACE_URI, ""},
	{"<a xmlns:p='" XMLNS "'/>", XML_ERROR_RESERVED_NAMESPACE_URI, ""},
	{"<a xmlns='http:&#x2f;/www.w3.org/2000/xmlns/'/>", XML_ERROR_RESERVED_NAMESPACE_URI, ""},
	{"<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>", XML_ERROR_DUPLICATE_ATTRIBUTE, ""},
	{"<a xmlns:p='u'><b q:c='' xmlns:q='u' p:d='' p:c=''/></a>", XML_ERROR_DUPLICATE_ATTRIBUTE, "a "},

	{"<:a/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a:/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a::b/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:a:b xmlns:p='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:1 xmlns:p='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:-a xmlns:p='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:.a xmlns:p='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:\xc2\xb7 xmlns:p='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:\xe3\x83\xbc xmlns:p='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a :b=''/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a b:=''/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a xmlns:='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a xmlns:p:q='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a xmlns:1='u'/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a xml:lang:x=''/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a xml:0=''/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<a xmlns:p='u' p:b='' p:c:d=''/>", XML_ERROR_INVALID_TOKEN, ""},
	/* Of several errors, the one that Expat finds first. */
	{"<p:a xmlns:q='' :b=''/>", XML_ERROR_INVALID_TOKEN, ""},
	{"<p:a q:b='' xmlns:r=''/>", XML_ERROR_UNDECLARING_PREFIX, ""},
	{"<a xmlns='" XML "' xmlns:p=''/>", XML_ERROR_RESERVED_NAMESPACE_URI, ""},
	{"<p:a xmlns:q='u' xmlns:r='u' q:b='' r:b='' s:b=''/>", XML_ERROR_DUPLICATE_ATTRIBUTE, ""},
};
#define CASES (sizeof cases / sizeof *cases)

struct reader {
	XML_Parser parser;
	struct rcpt_namespaces *namespaces; /* NULL: they are the parser's */
	bool inner_names;
	unsigned depth;
	enum XML_Error error;
	char names[1024];
};

/* As Expat has been told to write it, or as we take it apart. */
static void add(struct reader *r, struct rcpt_name name)
{
	const char *mark = memchr(name.local.p, '\1', name.local.n);
	if (mark) {
		const size_t n = (size_t)(mark - name.local.p);
		name.ns = (struct rcpt_str){name.local.p, n};
		name.local = (struct rcpt_str){mark + 1, name.local.n - n - 1};
	}
	char one[128];
	snprintf(one, sizeof one, "%s%.*s%s%.*s ", name.ns.n ? "{" : "", (int)name.ns.n, name.ns.p ? name.ns.p : "",
			 name.ns.n ? "}" : "", (int)name.local.n, name.local.p);
	if (strlen(r->names) + strlen(one) < sizeof r->names)
		strcat(r->names, one);
}

static void XMLCALL on_start(void *ud, const char *raw, const char **attr)
{
	struct reader *r = ud;
	struct rcpt_name name = {{NULL, 0}, {raw, strlen(raw)}};
	if (r->namespaces)
		r->error = rcpt_namespaces_open(r->namespaces, ++r->depth, raw, attr, r->inner_names, &name);
	if (r->error != XML_ERROR_NONE) {
		XML_StopParser(r->parser, XML_FALSE);
		return;
	}
	add(r, name);
	for (; *attr; attr += 2) {
		struct rcpt_name attribute = {{NULL, 0}, {*attr, strlen(*attr)}};
		if (!r->namespaces || rcpt_namespaces_attribute(r->namespaces, *attr, &attribute))
			add(r, attribute);
	}
}

static void XMLCALL on_end(void *ud, const char *name)
{
	(void)name;
	struct reader *r = ud;
	if (r->namespaces && r->error == XML_ERROR_NONE)
		rcpt_namespaces_close(r->namespaces, r->depth--);
}

static enum XML_Error read_all(struct reader *r, struct rcpt_namespaces *namespaces, const char *xml, bool inner_names)
{
	*r = (struct reader){.namespaces = namespaces, .inner_names = inner_names};
	r->parser = namespaces ? XML_ParserCreate("UTF-8") : XML_ParserCreateNS("UTF-8", '\1');
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_start, on_end);
	const enum XML_Status status = XML_Parse(r->parser, xml, (int)strlen(xml), 1);
	if (status != XML_STATUS_OK && r->error == XML_ERROR_NONE)
		r->error = XML_GetErrorCode(r->parser);
	XML_ParserFree(r->parser);
	if (namespaces)
		rcpt_namespaces_reset(namespaces);
	return r->error;
}

static struct rcpt_namespaces make(void)
{
	struct rcpt_namespaces namespaces = {.bindings = 0};
	rcpt_namespaces_init(&namespaces, 42);
	return namespaces;
}

static void as_expat_does(void **state)
{
	(void)state;
	struct rcpt_namespaces namespaces = make();
	for (size_t i = 0; i < CASES; i++) {
		struct reader ours, expats;
		const enum XML_Error error = read_all(&ours, &namespaces, cases[i].xml, true);
		if (error != cases[i].error || read_all(&expats, NULL, cases[i].xml, true) != error)
			fail_msg("%s: ours %s, Expat's %s", cases[i].xml, XML_ErrorString(error), XML_ErrorString(expats.error));
		assert_string_equal(ours.names, cases[i].names);
		assert_string_equal(expats.names, cases[i].names);
	}
	rcpt_namespaces_free(&namespaces);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* Where nobody asks for names of elements within others, no tag keeps its default namespace, and nothing else is different. */
static void without_names_within(void **state)
{
	(void)state;
	struct rcpt_namespaces namespaces = make();
	for (size_t i = 0; i < CASES; i++) {
		struct reader ours;
		if (read_all(&ours, &namespaces, cases[i].xml, false) != cases[i].error)
			fail_msg("%s: %s", cases[i].xml, XML_ErrorString(ours.error));
	}
	struct reader r;
	read_all(&r, &namespaces, "<a xmlns='u'><b/><c xmlns='v'/><p:d xmlns:p='w' xmlns='v' p:e=''><f/></p:d></a>", false);
	assert_string_equal(r.names, "{u}a b {v}c {w}d {w}e {v}f "); /* all declarations of a tag with prefixes are kept */
	rcpt_namespaces_free(&namespaces);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* Every character of the Basic Multilingual Plane after a colon. There are none beyond it in names. */
static void what_a_local_name_may_begin_with(void **state)
{
	(void)state;
	struct rcpt_namespaces namespaces = make();
	for (unsigned c = 1; c < 0x10000; c++) {
		char utf8[4] = {0}, xml[64];
		if (c < 0x80) {
			utf8[0] = (char)c;
		} else if (c < 0x800) {
			utf8[0] = (char)(0xc0 | c >> 6);
			utf8[1] = (char)(0x80 | (c & 0x3f));
		} else {
			utf8[0] = (char)(0xe0 | c >> 12);
			utf8[1] = (char)(0x80 | (c >> 6 & 0x3f));
			utf8[2] = (char)(0x80 | (c & 0x3f));
		}
		snprintf(xml, sizeof xml, "<p:%sa xmlns:p='u'/>", utf8);
		struct reader ours, expats;
		if (read_all(&ours, &namespaces, xml, true) != read_all(&expats, NULL, xml, true))
			fail_msg("U+%04X: ours %s, Expat's %s", c, XML_ErrorString(ours.error), XML_ErrorString(expats.error));
	}
	rcpt_namespaces_free(&namespaces);
}

/* A start tag of its own making, the innermost of `depth`. */
static enum XML_Error open_tag(struct rcpt_namespaces *namespaces, unsigned depth, char **attr)
{
	struct rcpt_name name;
	return rcpt_namespaces_open(namespaces, depth, "a", (const char **)attr, true, &name);
}

#define MANY 50000u

static char *text(const char *format, unsigned i)
{
	char one[32];
	const size_t n = (size_t)snprintf(one, sizeof one, format, i) + 1;
	char *copy = malloc(n);
	assert_non_null(copy);
	return memcpy(copy, one, n);
}

/* A tag that declares many prefixes, and one that uses them all for one local name: a step for each, not for each pair. The last
 * of the namespaces is the first once more, which makes two attributes of one name. */
static void many_prefixes(void **state)
{
	(void)state;
	struct rcpt_namespaces namespaces = make();
	char **declared = calloc(2 * MANY + 1, sizeof *declared), **used = calloc(2 * MANY + 1, sizeof *used);
	for (unsigned i = 0; i < MANY; i++) {
		declared[2 * i] = text("xmlns:p%u", i);
		declared[2 * i + 1] = text("u%u", i < MANY - 1 ? i : 0);
		used[2 * i] = text("p%u:a", i);
		used[2 * i + 1] = text("", i);
	}
	const clock_t before = clock();
	assert_int_equal(open_tag(&namespaces, 1, declared), XML_ERROR_NONE);
	assert_int_equal(open_tag(&namespaces, 2, used), XML_ERROR_DUPLICATE_ATTRIBUTE);
	char *last = used[2 * MANY - 2];
	used[2 * MANY - 2] = NULL;
	assert_int_equal(open_tag(&namespaces, 2, used), XML_ERROR_NONE);
	rcpt_namespaces_close(&namespaces, 2);
	rcpt_namespaces_close(&namespaces, 1);
	const double took = (double)(clock() - before) / CLOCKS_PER_SEC;
	if (took > 5) /* some hundredths; with a step for each pair, minutes under Valgrind */
		fail_msg("%g s", took);
	assert_int_equal(open_tag(&namespaces, 1, used), XML_ERROR_UNBOUND_PREFIX);
	used[2 * MANY - 2] = last;
	for (unsigned i = 0; i < 2 * MANY; i++) {
		free(declared[i]);
		free(used[i]);
	}
	free(declared);
	free(used);
	rcpt_namespaces_free(&namespaces);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* A tag for which memory has run out declares nothing, and can be read again. */
static void running_out_of_memory(void **state)
{
	(void)state;
	char *outer[] = {"xmlns", "u", "xmlns:p", "v", NULL};
	char *inner[41] = {NULL};
	for (unsigned i = 0; i < 18; i++) {
		inner[2 * i] = text("xmlns:q%u", i);
		inner[2 * i + 1] = text("w%u", i);
	}
	char *tail[] = {"q0:a", "", "q1:a", ""};
	memcpy(inner + 36, tail, sizeof tail);
	long failures = 0;
	for (long n = 0;; n++) {
		struct rcpt_namespaces namespaces = make();
		rcpt_mem_fail(n, 1);
		enum XML_Error error = open_tag(&namespaces, 1, outer);
		if (error != XML_ERROR_NONE) {
			assert_int_equal(error, XML_ERROR_NO_MEMORY);
			assert_int_equal(namespaces.bindings, 0);
			assert_int_equal(open_tag(&namespaces, 1, outer), XML_ERROR_NONE);
		}
		error = open_tag(&namespaces, 2, inner);
		if (error != XML_ERROR_NONE) {
			assert_int_equal(error, XML_ERROR_NO_MEMORY);
			assert_int_equal(namespaces.bindings, 2);
			assert_int_equal(open_tag(&namespaces, 2, inner), XML_ERROR_NONE);
		}
		assert_int_equal(namespaces.bindings, 20);
		rcpt_namespaces_close(&namespaces, 2);
		struct rcpt_name name;
		const char *none[] = {NULL};
		assert_int_equal(rcpt_namespaces_open(&namespaces, 2, "p:a", none, true, &name), XML_ERROR_NONE);
		assert_true(rcpt_str_eq(name.ns, RCPT_STR("v")));
		assert_int_equal(rcpt_namespaces_open(&namespaces, 2, "q0:a", none, true, &name), XML_ERROR_UNBOUND_PREFIX);
		rcpt_namespaces_free(&namespaces);
		failures += (long)rcpt_mem_failed();
		if (rcpt_mem_failed() == 0)
			break;
	}
	rcpt_mem_fail_after(-1);
	assert_true(failures > 4);
	for (unsigned i = 0; i < 36; i++)
		free(inner[i]);
	assert_int_equal(rcpt_mem_held(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_expat_does),
		cmocka_unit_test(without_names_within),
		cmocka_unit_test(what_a_local_name_may_begin_with),
		cmocka_unit_test(many_prefixes),
		cmocka_unit_test(running_out_of_memory),
	};
	return cmocka_run_group_tests_name("namespaces", tests, NULL, NULL);
}
