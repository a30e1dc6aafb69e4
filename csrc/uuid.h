/* SPDX-License-Identifier: MIT */
/* UUIDs, which most clients take for message ids, between their text (RFC 9562 §4) and sixteen bytes. */
#ifndef RCPT_UUID_H
#define RCPT_UUID_H

#include "str.h"

#define RCPT_UUID_BYTES 16u
#define RCPT_UUID_TEXT 36u

/* True, and the bytes, when `text` is a UUID of the RFC's variant with letters of one case: then rcpt_uuid_text() gives back the
 * very same text. The order of the bytes is this file's own. */
bool rcpt_uuid_pack(struct rcpt_str text, char bytes[RCPT_UUID_BYTES]);
/* Without a 0 at the end. */
void rcpt_uuid_text(const char bytes[RCPT_UUID_BYTES], char text[RCPT_UUID_TEXT]);

#endif
