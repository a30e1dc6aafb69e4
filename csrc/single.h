/* SPDX-License-Identifier: MIT */
/* One message, given whole: the fast way from bytes to facts.
 *
 * Two parsers. The quick one lives long: it reads message after message as children of an element that never ends, does
 * namespaces as far as messages without prefixes need them, and gives up at whatever is out of the ordinary, be it wrong or not.
 * Then the careful one (xml.h) reads that message from its start. So the quick one need not be right about what is wrong, only
 * sure of what it accepts; and what is refused is refused with the careful one's reason.
 */
#ifndef RCPT_SINGLE_H
#define RCPT_SINGLE_H

#include "xml.h"

struct rcpt_single;

/* NULL when memory has run out. Arguments as for rcpt_xml_new(). */
struct rcpt_single *rcpt_single_new(const struct rcpt_xml_limits *limits, unsigned long salt);
void rcpt_single_free(struct rcpt_single *s);

/* Reads one message and nothing else. The facts' strings hold until the next call. RCPT_HAS_MORE is not looked for: it would take
 * a look at every child's namespace. */
enum rcpt_xml_status rcpt_single_read(struct rcpt_single *s, const char *xml, size_t n, struct rcpt_facts *facts);

/* Why the last call did not return OK, in words, and where. */
const char *rcpt_single_reason(const struct rcpt_single *s);
struct rcpt_xml_position rcpt_single_position(const struct rcpt_single *s);

#endif
