/* SPDX-License-Identifier: MIT */
/* Lines and columns, as Expat counts them. */
#include "lines.h"

#include <string.h>

void rcpt_lines_begin(struct rcpt_lines *lines)
{
	*lines = (struct rcpt_lines){.at = {1, 1, 1}};
}

/* All bytes but those that go on with a character, which are the least as signed numbers. Of blocks of one size compilers count
 * many bytes at once, and more of them where no number is wider than a byte. */
static uint64_t characters(const char *p, size_t n)
{
	enum { BLOCK = 64 };
	uint64_t count = 0;
	for (; n >= BLOCK; p += BLOCK, n -= BLOCK) {
		unsigned char in_block = 0;
		for (int i = 0; i < BLOCK; i++)
			in_block = (unsigned char)(in_block + ((signed char)p[i] >= -0x40));
		count += in_block;
	}
	for (size_t i = 0; i < n; i++)
		count += (signed char)p[i] >= -0x40;
	return count;
}

void rcpt_lines_advance(struct rcpt_lines *lines, const char *bytes, size_t n)
{
	if (n == 0)
		return;
	const char *const end = bytes + n, *line = bytes; /* the last that begins here */
	for (const char *p = bytes; (p = memchr(p, '\n', (size_t)(end - p))); line = ++p)
		lines->at.line += !(p == bytes ? lines->after_return : p[-1] == '\r');
	for (const char *p = bytes; (p = memchr(p, '\r', (size_t)(end - p))); p++) {
		lines->at.line++;
		if (p >= line)
			line = p + 1;
	}
	if (line > bytes)
		lines->at.column = 1;
	lines->at.column += characters(line, (size_t)(end - line));
	lines->at.byte += n;
	lines->after_return = end[-1] == '\r';
}
