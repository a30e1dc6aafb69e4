/* SPDX-License-Identifier: MIT */
/* Our namespaces on an Expat that does none, beside Expat's own: the same expanded names, in the same order, and the same error
 * at the same place; the second time too, where names are asked for down to some depth only, and when memory runs out at some
 * point. */
#include "namespaces.h"

#include <limits.h>

#include "facts_text.h"
#include "fuzz.h"
#include "mem.h"

struct reading {
	XML_Parser parser;
	struct text names;
	struct rcpt_namespaces *namespaces; /* NULL: they are the parser's */
	unsigned depth, named;              /* names are asked for down to this depth */
	enum XML_Error error;               /* ours */
	XML_Index at;
	bool refused; /* a DTD or an instruction, which no reader of ours goes on after */
};

static void add_name(struct reading *r, struct rcpt_name name)
{
	text_add(&r->names, name.ns.p, name.ns.n);
	text_add(&r->names, "\1", name.ns.n > 0);
	text_add(&r->names, name.local.p, name.local.n);
}

static void add_value(struct reading *r, const char *value)
{
	text_add(&r->names, "=", 1);
	text_add(&r->names, value, strlen(value) + 1);
}

static void XMLCALL on_start(void *ud, const char *raw, const char **attr)
{
	struct reading *r = ud;
	struct rcpt_name name = {{NULL, 0}, {raw, strlen(raw)}};
	if (r->namespaces && r->error != XML_ERROR_NONE)
		return;
	r->depth++;
	if (r->namespaces) {
		r->error = rcpt_namespaces_open(r->namespaces, r->depth, raw, attr, r->depth < r->named, &name);
		if (r->error != XML_ERROR_NONE) {
			r->at = XML_GetCurrentByteIndex(r->parser);
			XML_StopParser(r->parser, XML_FALSE);
			return;
		}
	}
	if (r->depth > r->named)
		return;
	add_name(r, name);
	for (; *attr; attr += 2) {
		struct rcpt_name attribute = {{NULL, 0}, {*attr, strlen(*attr)}};
		if (r->namespaces && !rcpt_namespaces_attribute(r->namespaces, *attr, &attribute)) {
			CHECK(rcpt_namespaces_declares(*attr), "%s is lost", *attr);
			continue;
		}
		text_add(&r->names, " ", 1);
		add_name(r, attribute);
		add_value(r, attr[1]);
	}
	text_add(&r->names, ">", 1);
}

static void XMLCALL on_end(void *ud, const char *name)
{
	(void)name;
	struct reading *r = ud;
	if (r->error != XML_ERROR_NONE) /* of an empty element whose start was refused */
		return;
	text_add(&r->names, "/", 1);
	if (r->namespaces)
		rcpt_namespaces_close(r->namespaces, r->depth);
	r->depth--;
}

static void refuse(struct reading *r)
{
	r->refused = true;
	XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL on_doctype(void *ud, const char *name, const char *sysid, const char *pubid, int internal)
{
	(void)name, (void)sysid, (void)pubid, (void)internal;
	refuse(ud);
}

static void XMLCALL on_instruction(void *ud, const char *target, const char *data)
{
	(void)target, (void)data;
	refuse(ud);
}

/* Expat's error, or ours where there is one. */
static enum XML_Error read_all(struct reading *r, struct rcpt_namespaces *namespaces, const char *xml, size_t n, unsigned named)
{
	*r = (struct reading){.namespaces = namespaces, .named = named};
	r->parser = namespaces ? XML_ParserCreate("UTF-8") : XML_ParserCreateNS("UTF-8", '\1');
	XML_SetUserData(r->parser, r);
	XML_SetHashSalt(r->parser, 1);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	XML_SetProcessingInstructionHandler(r->parser, on_instruction);
	enum XML_Error error = XML_ERROR_NONE;
	if (XML_Parse(r->parser, xml, (int)n, 1) != XML_STATUS_OK)
		error = XML_GetErrorCode(r->parser);
	if (r->error != XML_ERROR_NONE)
		error = r->error;
	else
		r->at = XML_GetCurrentByteIndex(r->parser);
	XML_ParserFree(r->parser);
	if (namespaces)
		rcpt_namespaces_reset(namespaces);
	return error;
}

static void compare(struct rcpt_namespaces *namespaces, const char *xml, size_t n, unsigned named)
{
	struct reading ours, expats;
	const enum XML_Error error = read_all(&ours, namespaces, xml, n, named), expected = read_all(&expats, NULL, xml, n, named);
	if (!ours.refused) {
		/* What is wrong without namespaces may be wrong for another reason with them. */
		if (ours.error != XML_ERROR_NONE || error == XML_ERROR_NONE)
			CHECK(error == expected, "ours: %s; Expat's: %s", XML_ErrorString(error), XML_ErrorString(expected));
		CHECK(error == XML_ERROR_NONE || expected != XML_ERROR_NONE, "only ours: %s", XML_ErrorString(error));
		if (ours.error != XML_ERROR_NONE && ours.error != XML_ERROR_INVALID_TOKEN)
			CHECK(ours.at == expats.at, "ours at byte %ld, Expat's at %ld", (long)ours.at, (long)expats.at);
		CHECK(text_equal(&ours.names, &expats.names), "ours: %.*s\nExpat's: %.*s", (int)ours.names.used, ours.names.bytes,
			  (int)expats.names.used, expats.names.bytes);
	}
	text_free(&ours.names);
	text_free(&expats.names);
}

static void read_with_little_memory(const char *xml, size_t n, uint32_t seed)
{
	struct rcpt_namespaces namespaces = {.bindings = 0};
	struct reading little;
	rcpt_namespaces_init(&namespaces, seed);
	rcpt_mem_fail(seed % 8, seed & 8 ? -1 : 1);
	read_all(&little, &namespaces, xml, n, UINT_MAX);
	rcpt_mem_fail_after(-1);
	text_free(&little.names);
	compare(&namespaces, xml, n, UINT_MAX);
	rcpt_namespaces_free(&namespaces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *xml = (const char *)data;
	struct rcpt_namespaces namespaces = {.bindings = 0};
	rcpt_namespaces_init(&namespaces, 1);
	compare(&namespaces, xml, n, UINT_MAX);
	compare(&namespaces, xml, n, UINT_MAX);
	for (unsigned named = 1; named <= 3; named++)
		compare(&namespaces, xml, n, named);
	rcpt_namespaces_free(&namespaces);
	read_with_little_memory(xml, n, fuzz_hash(data, n));
	CHECK(rcpt_mem_held() == 0, "%zu blocks are leaked", rcpt_mem_held());
	return 0;
}
