/* SPDX-License-Identifier: MIT */
/* receipts.scanner: any number of messages from a stream in chunks. */
#include "lua_binding.h"

struct scanner_handle {
	const char *const *kind; /* &rcpt_handle_names[SCANNER_HANDLE] */
	struct rcpt_xml *x;
	bool only_receipts;
	bool closed;
	bool interrupted; /* reading and handing over; or a Lua error came between the two, and what followed in the chunk is lost */
	uint64_t bytes;
};

static struct scanner_handle *check_scanner(lua_State *L)
{
	struct scanner_handle *s = rcpt_check_handle(L, SCANNER_HANDLE);
	if (s->closed)
		luaL_error(L, "the scanner is closed");
	return s;
}

/* One that can read. */
static struct scanner_handle *check_idle(lua_State *L)
{
	struct scanner_handle *s = check_scanner(L);
	if (s->interrupted)
		luaL_error(L, "the scanner is busy, or an earlier call was interrupted by an error");
	return s;
}

int rcpt_l_scanner(lua_State *L)
{
	static const char *const names[] = {"only_receipts", "only_summary", "comments", "max_bytes", "max_depth", "max_attr", NULL};
	rcpt_check_options(L, 1, names);
	const struct rcpt_xml_limits limits = {
		.bytes = (size_t)rcpt_option(L, 1, "max_bytes", 64, 1 << 30, (double)RCPT_XML_BYTES),
		.depth = (unsigned)rcpt_option(L, 1, "max_depth", 1, 100000, RCPT_XML_DEPTH),
		.attr = (size_t)rcpt_option(L, 1, "max_attr", 1, 1 << 30, (double)RCPT_XML_ATTR),
		.comments = rcpt_flag_option(L, 1, "comments"),
		.only_count = rcpt_flag_option(L, 1, "only_summary"),
	};
	const bool only_receipts = rcpt_flag_option(L, 1, "only_receipts");
	struct scanner_handle *s = lua_newuserdata(L, sizeof *s);
	memset(s, 0, sizeof *s);
	s->kind = &rcpt_handle_names[SCANNER_HANDLE];
	s->only_receipts = only_receipts;
	lua_pushvalue(L, lua_upvalueindex(UP_SCANNER));
	lua_setmetatable(L, -2);
	s->x = rcpt_xml_new(&limits, (unsigned long)rcpt_module(L)->key.k0);
	if (!s->x)
		return luaL_error(L, "out of memory");
	return 1;
}

/* Appends the messages that were read to the array at the top of the stack, which holds *n. */
static void drain(lua_State *L, struct scanner_handle *s, int *n)
{
	struct rcpt_facts f;
	uint64_t line;
	while (rcpt_xml_next(s->x, &f, &line)) {
		if (s->only_receipts && !(f.has & (RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED)))
			continue;
		rcpt_push_facts(L, &f, 2 + !!f.stamp.p);
		rcpt_set_integer(L, "line", line);
		rcpt_set_str(L, "stamp", f.stamp);
		rcpt_push_bits(L, &f);
		lua_setfield(L, -2, "bits");
		lua_rawseti(L, -2, ++*n);
	}
}

/* The array at the top of the stack; or nil, reason, position and that array. */
static int give_messages(lua_State *L, struct scanner_handle *s, enum rcpt_xml_status status)
{
	s->interrupted = false;
	if (status == RCPT_XML_OK)
		return 1;
	const int list = lua_gettop(L);
	const int results = rcpt_push_xml_error(L, rcpt_xml_reason(s->x), rcpt_xml_position(s->x));
	lua_pushvalue(L, list);
	return results + 1;
}

static int l_scanner_feed(lua_State *L)
{
	struct scanner_handle *s = check_idle(L);
	const struct rcpt_str chunk = rcpt_check_str(L, 2);
	lua_settop(L, 2);
	s->interrupted = true;
	lua_newtable(L);
	int n = 0;
	size_t at = 0;
	enum rcpt_xml_status status;
	do { /* what is read is handed over before more is read */
		const size_t size = chunk.n - at < RCPT_XML_SLICE ? chunk.n - at : RCPT_XML_SLICE;
		status = rcpt_xml_feed(s->x, chunk.p + at, size);
		at += size;
		drain(L, s, &n);
	} while (at < chunk.n && status == RCPT_XML_OK);
	s->bytes += chunk.n;
	return give_messages(L, s, status);
}

static int l_scanner_finish(lua_State *L)
{
	struct scanner_handle *s = check_idle(L);
	lua_settop(L, 1);
	s->interrupted = true;
	lua_newtable(L);
	int n = 0;
	const enum rcpt_xml_status status = rcpt_xml_finish(s->x);
	drain(L, s, &n);
	return give_messages(L, s, status);
}

static int l_scanner_summary(lua_State *L)
{
	const struct scanner_handle *s = check_scanner(L);
	const struct rcpt_xml_counts counts = *rcpt_xml_counts(s->x); /* a finalizer may close the scanner while values are made */
	lua_createtable(L, 0, 5);
	rcpt_set_integer(L, "messages", counts.messages);
	rcpt_set_integer(L, "requests", counts.requests);
	rcpt_set_integer(L, "acks", counts.acks);
	rcpt_set_integer(L, "bytes", s->bytes);
	lua_newtable(L);
	for (unsigned i = 0; i < RCPT_PROBLEMS; i++)
		if (counts.problems[i] > 0)
			rcpt_set_integer(L, rcpt_problem_name(i), counts.problems[i]);
	lua_setfield(L, -2, "problems");
	return 1;
}

static void close_scanner(struct scanner_handle *s)
{
	s->closed = true;
	rcpt_xml_free(s->x);
	s->x = NULL;
}

/* A finalizer that runs while we hand over may close the scanner: then its memory goes with the scanner itself. So does that of
 * one that an error has interrupted: the two cannot be told apart. */
static int l_scanner_close(lua_State *L)
{
	struct scanner_handle *s = rcpt_check_handle(L, SCANNER_HANDLE);
	s->closed = true;
	if (!s->interrupted)
		close_scanner(s);
	return 0;
}

/* As Lua ends, other finalizers may still come to the scanner after its own has run. */
int rcpt_l_scanner_gc(lua_State *L)
{
	close_scanner(rcpt_check_handle(L, SCANNER_HANDLE));
	return 0;
}

const luaL_Reg rcpt_scanner_methods[] = {
	{"feed", l_scanner_feed},
	{"finish", l_scanner_finish},
	{"summary", l_scanner_summary},
	{"close", l_scanner_close},
	{NULL, NULL},
};
