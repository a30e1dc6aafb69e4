/* SPDX-License-Identifier: MIT */
/* Bytes that somebody else owns: how the engine passes strings about. */
#ifndef RCPT_STR_H
#define RCPT_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct rcpt_str {
	const char *p; /* NULL: absent, which is not the same as empty */
	size_t n;
};

#define RCPT_STR(literal) ((struct rcpt_str){"" literal, sizeof(literal) - 1})

/* A C string; NULL is absent. */
static inline struct rcpt_str rcpt_str_of(const char *text)
{
	return (struct rcpt_str){text, text ? strlen(text) : 0};
}

static inline bool rcpt_str_eq(struct rcpt_str a, struct rcpt_str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool rcpt_str_starts(struct rcpt_str s, struct rcpt_str with)
{
	return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

/* Nothing to read: absent or empty. */
static inline bool rcpt_str_blank(struct rcpt_str s)
{
	return s.n == 0;
}

/* Nothing but white space, as XML has it. */
static inline bool rcpt_str_space(struct rcpt_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r' && s.p[i] != '\n')
			return false;
	return true;
}

/* The bare form of a JID (RFC 6120 §1.4): everything before the first '/'. */
static inline struct rcpt_str rcpt_jid_bare(struct rcpt_str jid)
{
	const char *slash = jid.n ? memchr(jid.p, '/', jid.n) : NULL;
	return slash ? (struct rcpt_str){jid.p, (size_t)(slash - jid.p)} : jid;
}

#endif
