/* SPDX-License-Identifier: MIT */
/* One message given whole: the quick way agrees with the careful one, whatever comes, and nothing of one message reaches the
 * next. */
#include "cmocka_env.h"

#include <stdio.h>
#include <stdlib.h>

#include "edges.h"
#include "mem.h"
#include "single.h"

static const struct rcpt_xml_limits limits = {.bytes = RCPT_XML_BYTES, .depth = 8, .attr = 200};

static void same_text(struct rcpt_str a, struct rcpt_str b, const char *xml)
{
	if (!a.p != !b.p || !rcpt_str_eq(a, b))
		fail_msg("a string differs in %s", xml);
}

/* Reads with a reader that has read other things before, and with one that reads nothing but whole documents. */
static enum rcpt_xml_status compare(struct rcpt_single *s, struct rcpt_xml *x, const char *xml, size_t n)
{
	/* A copy without a byte to spare: reading beyond it is noticed. */
	char *exact = malloc(n ? n : 1);
	memcpy(exact, xml, n);
	struct rcpt_facts f, g;
	uint64_t line;
	const enum rcpt_xml_status status = rcpt_single_read(s, exact, n, &f), expected = rcpt_xml_message(x, exact, n);
	if (status != expected)
		fail_msg("%d and not %d for %.*s", (int)status, (int)expected, (int)n, xml);
	if (status == RCPT_XML_OK) {
		assert_true(rcpt_xml_next(x, &g, &line));
		assert_int_equal(f.has & ~(unsigned)RCPT_HAS_MORE, g.has & ~(unsigned)RCPT_HAS_MORE);
		assert_int_equal(f.problems, g.problems);
		same_text(f.id, g.id, xml);
		same_text(f.from, g.from, xml);
		same_text(f.to, g.to, xml);
		same_text(f.type, g.type, xml);
		same_text(f.received_id, g.received_id, xml);
	} else {
		const struct rcpt_xml_position a = rcpt_single_position(s), b = rcpt_xml_position(x);
		assert_string_equal(rcpt_single_reason(s), rcpt_xml_reason(x));
		assert_true(a.byte == b.byte && a.line == b.line && a.column == b.column);
	}
	free(exact);
	return status;
}

static const char *const inputs[] = {
	"<message/>",
	" \n<message id='1'/>\r\n\t",
	"<message id='1' from='a@h/r' to='b@h' type='chat'><body>x</body><request xmlns='urn:xmpp:receipts'/></message>",
	"<message xmlns='jabber:client' xml:lang='en' id='&lt;&#65;&amp;'><received xmlns='urn:xmpp:receipts' "
	"id='a&quot;b'/></message>",
	"<message xmlns='jabber:server'><received xmlns='urn:xmpp:receipts' id='1'/><received xmlns='urn:xmpp:receipts' "
	"id='2'/></message>",
	"<message><received xmlns='urn:xmpp:receipts' id='1'> \n </received><request xmlns='urn:xmpp:receipts'>x</request></message>",
	"<message><request xmlns='urn:xmpp:receipts'><![CDATA[]]></request><received "
	"xmlns='urn:xmpp:receipts'><y/></received></message>",
	"<message><r:request xmlns:r='urn:xmpp:receipts'/></message>",
	"<m:message xmlns:m='jabber:client' id='1'/>",
	"<message xmlns='urn:other'/>",
	"<message xmlns='http://www.w3.org/XML/1998/namespace'/>",
	"<message><x xmlns='http://www.w3.org/2000/xmlns/'/></message>",
	"<message><a><b xmlns='http://www.w3.org/2000/xmlns/'/></a></message>",
	"<message><a xmlns:b='u'/></message>",
	"<message><a><b:c/></a></message>",
	"<message><a b:c='1'/></message>",
	"<message xml:space='preserve'/>",
	"<message xml:1='x'/>",
	"<message :id='x'/>",
	"<message id='1' id='2'/>",
	"<message xmlns='a' xmlns='b'/>",
	"<message xmlns=''><body xmlns=''/></message>",
	"<message xmlns='jabber:client'><body xmlns=''/></message>",
	"<message><body xmlns='jabber:x'/><encrypted xmlns='urn:xmpp:omemo:2'/></message>",
	"<iq/>",
	"<message/><message/>",
	"<message/><iq/>",
	"<message/>text",
	"text<message/>",
	"<message/><![CDATA[]]>",
	"<![CDATA[]]><message/>",
	"<message/>&#32;",
	"<message/></r>",
	"</r><r><message/>",
	"</r>",
	"<message/>]]>",
	"<message/><!-- c -->",
	"<!-- c --><message/>",
	"<message><!-- c --></message>",
	"<message><?pi x?></message>",
	"<?xml version='1.0'?><message id='1'/>",
	" <?xml version='1.0'?><message id='1'/>",
	"<?xml version='1.0' encoding='UTF-16'?><message id='1'/>",
	"\xef\xbb\xbf<message id='bom'/>",
	"<message>\xef\xbb\xbf</message>\xef\xbb\xbf",
	"<!DOCTYPE message><message/>",
	"<!DOCTYPE m [<!ENTITY a 'b'>]><message id='&a;'/>",
	"<message id='&a;'/>",
	"<message",
	"<message>",
	"<message><body>",
	"<message></message",
	"<message/><",
	"<message/>\r",
	"<message/>\xc3",
	"<message id='\xc3'/>",
	"<message id='\xff'/>",
	"<message><![CDATA[</message>",
	"<message><body></message></body>",
	"<a><message/></a>",
	"<a><b><c><d><e><f><g><h><i><message/></i></h></g></f></e></d></c></b></a>",
	"<message><b><c><d><e><f><g><h/></g></f></e></d></c></b></message>",
	"<message><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></message>",
	"",
	" ",
	"x",
};

static struct rcpt_single *make(void)
{
	struct rcpt_single *s = rcpt_single_new(&limits, 1);
	assert_non_null(s);
	return s;
}

static void quick_and_careful_agree(void **state)
{
	(void)state;
	struct rcpt_single *s = make();
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	const size_t count = sizeof inputs / sizeof *inputs;
	/* Each after each. */
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			compare(s, x, inputs[i], strlen(inputs[i]));
			compare(s, x, inputs[j], strlen(inputs[j]));
		}
	assert_int_equal(compare(s, x, "<message\0/>", 11), RCPT_XML_MALFORMED);
	rcpt_single_free(s);
	rcpt_xml_free(x);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void every_input_at_the_edge(void **state)
{
	(void)state;
	struct rcpt_single *s = make();
	struct rcpt_facts f;
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		const size_t n = strlen(inputs[i]);
		read_at_the_edge(&limits, inputs[i], n);
		for (size_t some = n; some > 0; some--)
			rcpt_single_read(s, at_the_edge(inputs[i], some), some, &f);
	}
	rcpt_single_free(s);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void they_agree_on_broken_input(void **state)
{
	(void)state;
	static const char bytes[] = "<>/='\"&;: \n![]-?\xc3\xbfmx\0";
	unsigned seed = 184;
	struct rcpt_single *s = make();
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	int accepted = 0;
	for (int round = 0; round < 100000; round++) {
		char xml[1024];
		size_t n = 0;
		for (int parts = rand_r(&seed) % 3; parts >= 0; parts--) {
			const char *input = inputs[(size_t)rand_r(&seed) % (sizeof inputs / sizeof *inputs)];
			memcpy(xml + n, input, strlen(input));
			n += strlen(input);
		}
		for (int changes = rand_r(&seed) % 3; changes > 0 && n > 0; changes--) {
			const size_t at = (size_t)rand_r(&seed) % n;
			if (rand_r(&seed) % 2) {
				xml[at] = bytes[(size_t)rand_r(&seed) % (sizeof bytes - 1)];
			} else {
				memmove(xml + at, xml + at + 1, n - at - 1);
				n--;
			}
		}
		accepted += compare(s, x, xml, n) == RCPT_XML_OK;
	}
	assert_true(accepted > 1000 && accepted < 90000);
	rcpt_single_free(s);
	rcpt_xml_free(x);
	assert_int_equal(rcpt_mem_held(), 0);
}

/* The careful way leaves a position behind; the quick one leaves alone what the careful one had left. */
static void only_the_odd_take_the_careful_way(void **state)
{
	(void)state;
	static const char fault[] = "<message id='\n1'/>x", odd[] = "<m:message xmlns:m='jabber:client'/>";
	struct rcpt_single *s = make();
	struct rcpt_facts f;
	for (int i = 2; i < 7; i++) { /* ordinary ones, with nothing around them */
		assert_int_equal(rcpt_single_read(s, fault, sizeof fault - 1, &f), RCPT_XML_MALFORMED);
		const uint64_t at = rcpt_single_position(s).byte;
		assert_true(at > 0);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(rcpt_single_read(s, inputs[i], strlen(inputs[i]), &f), RCPT_XML_OK);
			assert_true(rcpt_single_position(s).byte == at);
		}
		assert_int_equal(rcpt_single_read(s, odd, sizeof odd - 1, &f), RCPT_XML_OK);
		assert_true(rcpt_single_position(s).byte != at);
	}
	rcpt_single_free(s);
}

static void memory_does_not_grow_with_names(void **state)
{
	(void)state;
	struct rcpt_single *s = make();
	struct rcpt_facts f;
	size_t most = 0;
	for (int i = 0; i < 300000; i++) {
		char xml[128];
		const int n = snprintf(xml, sizeof xml, "<message><n%d a%d='1'/></message>", i, i);
		assert_int_equal(rcpt_single_read(s, xml, (size_t)n, &f), RCPT_XML_OK);
		if (rcpt_mem_held() > most)
			most = rcpt_mem_held();
	}
	assert_true(most < (size_t)16 << 20);
	rcpt_single_free(s);
	assert_int_equal(rcpt_mem_held(), 0);
}

static void limits_hold(void **state)
{
	(void)state;
	struct rcpt_single *s = make();
	struct rcpt_xml *x = rcpt_xml_new(&limits, 1);
	char xml[1200];
	for (int value = 150; value < 250; value++) {
		const int n = snprintf(xml, sizeof xml, "<message id='%0*d'/>", value, 0);
		assert_int_equal(compare(s, x, xml, (size_t)n), value > 200 ? RCPT_XML_ATTR_TOO_LONG : RCPT_XML_OK);
	}
	rcpt_single_free(s);
	rcpt_xml_free(x);
}

static void running_out_of_memory_is_told_and_passes(void **state)
{
	(void)state;
	int refused = 0;
	for (long n = 0; n < 120; n++) {
		rcpt_mem_fail(n / 2, n % 2 ? 1 : -1);
		struct rcpt_single *s = rcpt_single_new(&limits, 1);
		struct rcpt_facts f;
		if (s) {
			const enum rcpt_xml_status status = rcpt_single_read(s, inputs[2], strlen(inputs[2]), &f);
			assert_true(status == RCPT_XML_OK || status == RCPT_XML_NO_MEMORY);
			refused += status == RCPT_XML_NO_MEMORY;
			rcpt_mem_fail_after(-1);
			assert_int_equal(rcpt_single_read(s, inputs[2], strlen(inputs[2]), &f), RCPT_XML_OK);
			assert_true(f.has & RCPT_ASKS);
		}
		rcpt_mem_fail_after(-1);
		rcpt_single_free(s);
		assert_int_equal(rcpt_mem_held(), 0);
	}
	assert_true(refused > 0);
}

/* The quick parser never sees a declaration, the careful one is not to heed it; and neither takes Latin-1 for UTF-8 afterwards.
 */
static void declared_encodings_out_of_memory(void **state)
{
	(void)state;
	static const char latin[] = "<?xml version='1.0' encoding='ISO-8859-1'?><message id='\xe9'/>",
					  bare[] = "<message id='\xe9'/>";
	int refused = 0;
	for (long n = 0; n < 40; n++) {
		struct rcpt_single *s = make();
		struct rcpt_facts f;
		for (int i = 0; i < 2; i++) { /* each makes the parsers be reset for the next */
			rcpt_mem_fail(n / 2, n % 2 ? 1 : -1);
			const enum rcpt_xml_status declared = rcpt_single_read(s, latin, sizeof latin - 1, &f);
			rcpt_mem_fail(n / 2, n % 2 ? 1 : -1);
			const enum rcpt_xml_status plain = rcpt_single_read(s, bare, sizeof bare - 1, &f);
			rcpt_mem_fail_after(-1);
			assert_true(declared == RCPT_XML_MALFORMED || declared == RCPT_XML_NO_MEMORY);
			assert_true(plain == RCPT_XML_MALFORMED || plain == RCPT_XML_NO_MEMORY);
			refused += (declared == RCPT_XML_NO_MEMORY) + (plain == RCPT_XML_NO_MEMORY);
			assert_int_equal(rcpt_single_read(s, latin, sizeof latin - 1, &f), RCPT_XML_MALFORMED);
			assert_int_equal(rcpt_single_read(s, inputs[2], strlen(inputs[2]), &f), RCPT_XML_OK);
		}
		rcpt_single_free(s);
		assert_int_equal(rcpt_mem_held(), 0);
	}
	assert_true(refused > 4 && refused < 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quick_and_careful_agree),
		cmocka_unit_test(every_input_at_the_edge),
		cmocka_unit_test(they_agree_on_broken_input),
		cmocka_unit_test(only_the_odd_take_the_careful_way),
		cmocka_unit_test(memory_does_not_grow_with_names),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(running_out_of_memory_is_told_and_passes),
		cmocka_unit_test(declared_encodings_out_of_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
