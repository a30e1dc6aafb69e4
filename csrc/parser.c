/* SPDX-License-Identifier: MIT */
/* Expat's parsers as they are used here. */
#include "parser.h"

#include "mem.h"

#define RESET_UP_TO 16384 /* bytes read by a parser that is reset; one that has read more is replaced */
#define RESETS 64         /* and so is one that was reset so often: what it read may have been little but names */

bool rcpt_parser_renew(XML_Parser *parser, unsigned *resets, unsigned long salt)
{
	static const XML_Memory_Handling_Suite memory = {rcpt_malloc, rcpt_realloc, rcpt_free};
	if (*parser && *resets < RESETS && XML_GetCurrentByteIndex(*parser) + XML_GetCurrentByteCount(*parser) <= RESET_UP_TO) {
		++*resets;
		/* Of an encoding given to the reset Expat does not tell whether it had the memory to note it. */
		if (!XML_ParserReset(*parser, NULL) || XML_SetEncoding(*parser, "UTF-8") != XML_STATUS_OK)
			return false;
	} else {
		XML_Parser other = XML_ParserCreate_MM("UTF-8", &memory, NULL);
		if (!other)
			return false;
		XML_ParserFree(*parser);
		*parser = other;
		*resets = 0;
	}
	XML_SetHashSalt(*parser, salt ? salt : 1); /* 0 would have Expat ask the system for one */
	return true;
}

bool rcpt_parser_takes_for_utf16(const char *xml, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (xml[i] == '\0' || xml[i] == '\xfe' || xml[i] == '\xff')
			return true;
	return false;
}

/* Expat of 2.6 and later puts off its work; and so may what distributions make of earlier ones to close CVE-2023-52425, whose
 * headers and versions need not say so. Hence a weak symbol. */
#ifdef __ELF__
extern XML_Bool XML_SetReparseDeferralEnabled(XML_Parser parser, XML_Bool enabled) __attribute__((weak));
#elif XML_MAJOR_VERSION == 2 && XML_MINOR_VERSION < 6
#define XML_SetReparseDeferralEnabled ((XML_Bool(*)(XML_Parser, XML_Bool))NULL)
#endif

enum XML_Status rcpt_parser_catch_up(XML_Parser parser)
{
	if (!XML_SetReparseDeferralEnabled)
		return XML_STATUS_OK;
	XML_SetReparseDeferralEnabled(parser, XML_FALSE);
	const enum XML_Status status = XML_Parse(parser, "", 0, XML_FALSE);
	XML_SetReparseDeferralEnabled(parser, XML_TRUE);
	return status;
}

struct rcpt_str rcpt_parser_rest(XML_Parser parser)
{
	int at = 0, n = 0;
	const char *input = XML_GetInputContext(parser, &at, &n);
	return input ? (struct rcpt_str){input + at, (size_t)(n - at)} : (struct rcpt_str){NULL, 0};
}

size_t rcpt_parser_declaration(XML_Parser parser)
{
	const struct rcpt_str rest = rcpt_parser_rest(parser);
	for (size_t i = 1; i < rest.n; i++)
		if (rest.p[i - 1] == '?' && rest.p[i] == '>')
			return i + 1;
	return 0;
}

enum XML_Error rcpt_parser_error(XML_Parser parser)
{
	const enum XML_Error error = XML_GetErrorCode(parser);
	const struct rcpt_str rest = rcpt_parser_rest(parser);
	return error == XML_ERROR_TAG_MISMATCH && rest.n && rest.p[0] == ':' ? XML_ERROR_INVALID_TOKEN : error;
}
