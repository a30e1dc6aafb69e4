/* SPDX-License-Identifier: MIT */
/* The peer of the XML benches: Expat, with no handlers at all. What it takes is what reading XML costs in any case. */
#include <expat.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <string.h>

/* One message after another: an array of messages and a count of rounds, all of them in each round. */

static const char *message(lua_State *L, lua_Integer i, size_t *n)
{
	lua_rawgeti(L, 1, i);
	const char *xml = lua_tolstring(L, -1, n);
	lua_pop(L, 1); /* the array keeps it */
	return xml;
}

/* One parser for all of them, under a root element that never ends: the least that Expat can do. */
static int long_lived(lua_State *L)
{
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
	XML_Parser parser = XML_ParserCreate("UTF-8");
	XML_SetHashSalt(parser, 184);
	XML_Parse(parser, "<r>", 3, 0);
	for (lua_Integer i = 1; i <= count; i++) {
		size_t n;
		const char *xml = message(L, i, &n);
		if (XML_Parse(parser, xml, (int)n, 0) != XML_STATUS_OK)
			return luaL_error(L, "message %d: %s", (int)i, XML_ErrorString(XML_GetErrorCode(parser)));
	}
	XML_ParserFree(parser);
	return 0;
}

/* A reset before each, as one does who wants nothing of one message to reach the next. With a salt of its own, Expat does not ask
 * the system for one each time. */
static int reset_each(lua_State *L)
{
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
	XML_Parser parser = XML_ParserCreate("UTF-8");
	for (lua_Integer i = 1; i <= count; i++) {
		size_t n;
		const char *xml = message(L, i, &n);
		XML_ParserReset(parser, "UTF-8");
		XML_SetHashSalt(parser, 184);
		if (XML_Parse(parser, xml, (int)n, 1) != XML_STATUS_OK)
			return luaL_error(L, "message %d: %s", (int)i, XML_ErrorString(XML_GetErrorCode(parser)));
	}
	XML_ParserFree(parser);
	return 0;
}

/* The least that somebody must do who makes the table of facts: know which elements are the children of the message, look at their
 * names and namespaces, and copy what Expat keeps only while a handler runs. Right only where nobody uses a prefix, and where
 * nothing is malformed, too long or too deep; nor does it look at what is in the receipt elements. */
enum { ID, FROM, TO, TYPE, RECEIVED_ID, STRINGS };

struct least {
	unsigned depth;
	bool body, request, received;
	struct {
		size_t at, n;
	} string[STRINGS];
	char text[4096];
	size_t used;
};

static void begin(struct least *s)
{
	s->depth = 0;
	s->body = s->request = s->received = false;
	memset(s->string, 0, sizeof s->string);
	s->used = 0;
}

static void keep(struct least *s, int which, const char *value)
{
	const size_t n = strlen(value);
	memcpy(s->text + s->used, value, n);
	s->string[which].at = s->used;
	s->string[which].n = n;
	s->used += n;
}

static void least_message(struct least *s, const char **attr)
{
	for (; *attr; attr += 2)
		switch (attr[0][0]) {
		case 'i':
			keep(s, ID, attr[1]);
			break;
		case 'f':
			keep(s, FROM, attr[1]);
			break;
		case 't':
			keep(s, attr[0][1] == 'o' ? TO : TYPE, attr[1]);
			break;
		}
}

static void XMLCALL least_start(void *ud, const char *name, const char **attr)
{
	struct least *s = ud;
	if (++s->depth == 1) {
		least_message(s, attr);
	} else if (s->depth == 2 && name[0] == 'b') {
		s->body = true;
	} else if (s->depth == 2 && name[0] == 'r' && attr[0] && strcmp(attr[1], "urn:xmpp:receipts") == 0) {
		s->request = name[2] == 'q';
		s->received = !s->request;
		if (s->received && attr[2])
			keep(s, RECEIVED_ID, attr[3]);
	}
}

static void XMLCALL least_end(void *ud, const char *name)
{
	(void)name;
	struct least *s = ud;
	s->depth--;
}

/* With room for `more` fields. The problems are any table: the first upvalue. */
static void push_table(lua_State *L, const struct least *s, int more)
{
	static const char *const fields[] = {"id", "from", "to", "type", "received_id"};
	lua_createtable(L, 0, more + (s->received ? 9 : 8));
	for (int f = 0; f < STRINGS; f++)
		if (s->string[f].n) {
			lua_pushlstring(L, s->text + s->string[f].at, s->string[f].n);
			lua_setfield(L, -2, fields[f]);
		}
	lua_pushboolean(L, s->body);
	lua_setfield(L, -2, "body");
	lua_pushboolean(L, s->request);
	lua_setfield(L, -2, "request");
	lua_pushboolean(L, s->received);
	lua_setfield(L, -2, "received");
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_setfield(L, -2, "problems");
}

struct least_reader {
	XML_Parser parser;
	struct least message;
};

/* The function that least_reader() returns: a message to a table. */
static int least_read(lua_State *L)
{
	struct least_reader *r = lua_touserdata(L, lua_upvalueindex(2));
	size_t n;
	const char *xml = luaL_checklstring(L, 1, &n);
	if (n > sizeof r->message.text)
		return luaL_error(L, "the message is too long for this");
	begin(&r->message);
	if (XML_Parse(r->parser, xml, (int)n, 0) != XML_STATUS_OK)
		return luaL_error(L, "%s", XML_ErrorString(XML_GetErrorCode(r->parser)));
	push_table(L, &r->message, 0);
	return 1;
}

/* least_reader(): as long_lived, with those handlers and a table for each; called for each message, as every parse function is. */
static int least_reader(lua_State *L)
{
	lua_newtable(L);
	struct least_reader *r = lua_newuserdata(L, sizeof *r);
	r->parser = XML_ParserCreate("UTF-8");
	XML_SetHashSalt(r->parser, 184);
	XML_Parse(r->parser, "<r>", 3, 0);
	XML_SetUserData(r->parser, &r->message);
	XML_SetElementHandler(r->parser, least_start, least_end);
	lua_pushcclosure(L, least_read, 2); /* there is one in a process: its parser is never freed */
	return 1;
}

enum { BARE, COUNT, FACTS };

/* A parser for feed() and close(), and for one that counts what it has found, or makes tables of it. */
struct streamer {
	XML_Parser parser;
	int kind;
	unsigned depth;
	lua_Integer requests, acks;
	struct least message;
	lua_State *L; /* while it is fed: an array at the top of its stack, which has so many tables */
	int tables;

	const char *chunk, *chunk_end; /* while it is fed */
	XML_Index chunk_at;            /* what of the document came before */
	const char *rest;              /* what another document is to begin with; else NULL */
	const char *counted;           /* the lines are that are before this */
	lua_Integer line;
	char open[512]; /* the first chunk, which is the stream's start tag */
	size_t open_n;
};

/* Expat counts the lines of each chunk that it has read to its end, which takes a fifth of its time. So it is stopped near the end,
 * after a stanza, and reset. Right only where the stream's root is all that is open. */
static void stop_near_the_end(struct streamer *s)
{
	const char *at = s->chunk + (XML_GetCurrentByteIndex(s->parser) - s->chunk_at);
	if (s->chunk_end - at > 4096 || s->chunk_end - s->chunk < 16384)
		return;
	s->rest = at + XML_GetCurrentByteCount(s->parser);
	XML_StopParser(s->parser, XML_FALSE);
}

static void count_lines(struct streamer *s, const char *to)
{
	const char *at = s->counted;
	for (; at < to && (at = memchr(at, '\n', (size_t)(to - at))); at++)
		s->line++;
	s->counted = to;
}

/* The least that somebody must do who counts receipt elements by their namespace: know which elements are the children of
 * stanzas, and look for what they declare. Right only where nobody uses a prefix, and where nothing is malformed. */
static void XMLCALL on_start(void *ud, const char *name, const char **attr)
{
	struct streamer *s = ud;
	if (++s->depth != 3)
		return;
	for (; *attr; attr += 2)
		if (strcmp(attr[0], "xmlns") == 0 && strcmp(attr[1], "urn:xmpp:receipts") == 0) {
			s->requests += strcmp(name, "request") == 0;
			s->acks += strcmp(name, "received") == 0;
		}
}

static void XMLCALL on_end(void *ud, const char *name)
{
	(void)name;
	struct streamer *s = ud;
	if (--s->depth == 1)
		stop_near_the_end(s);
}

/* The least that somebody must do who makes a table, with its line, for each message with a receipt element: what least_reader()
 * does. */
static void XMLCALL facts_start(void *ud, const char *name, const char **attr)
{
	struct streamer *s = ud;
	if (++s->depth == 2)
		begin(&s->message);
	if (s->depth > 1)
		least_start(&s->message, name, attr);
}

static void XMLCALL facts_end(void *ud, const char *name)
{
	struct streamer *s = ud;
	struct least *message = &s->message;
	least_end(message, name);
	if (--s->depth != 1)
		return;
	if (message->request || message->received) {
		s->requests += message->request;
		s->acks += message->received;
		push_table(s->L, message, 2);
		count_lines(s, s->chunk + (XML_GetCurrentByteIndex(s->parser) - s->chunk_at));
		lua_pushinteger(s->L, s->line);
		lua_setfield(s->L, -2, "line");
		lua_pushinteger(s->L, s->tables);
		lua_setfield(s->L, -2, "bits");
		lua_rawseti(s->L, -2, ++s->tables);
	}
	stop_near_the_end(s);
}

static void set_handlers(struct streamer *s)
{
	XML_SetUserData(s->parser, s);
	if (s->kind != BARE)
		XML_SetElementHandler(s->parser, s->kind == COUNT ? on_start : facts_start, s->kind == COUNT ? on_end : facts_end);
}

/* streamer("count" or "facts"): with those handlers; streamer("bare"): with none. */
static int streamer(lua_State *L)
{
	static const char *const kinds[] = {"bare", "count", "facts", NULL};
	struct streamer *s = lua_newuserdata(L, sizeof *s);
	*s = (struct streamer){.parser = XML_ParserCreate("UTF-8"), .kind = luaL_checkoption(L, 1, NULL, kinds), .line = 1};
	set_handlers(s);
	return 1;
}

static void parse(lua_State *L, struct streamer *s, const char *xml, size_t n)
{
	s->chunk = xml;
	s->chunk_end = xml + n;
	if (XML_Parse(s->parser, xml, (int)n, 0) != XML_STATUS_OK && !s->rest)
		luaL_error(L, "%s", XML_ErrorString(XML_GetErrorCode(s->parser)));
	s->chunk_at += (XML_Index)n;
}

/* feed(streamer, chunk): an array of tables. */
static int feed(lua_State *L)
{
	struct streamer *s = lua_touserdata(L, 1);
	size_t n;
	const char *chunk = luaL_checklstring(L, 2, &n);
	lua_settop(L, 2);
	lua_newtable(L);
	s->L = L;
	s->tables = 0;
	s->counted = chunk;
	parse(L, s, chunk, n);
	if (s->open_n == 0 && n <= sizeof s->open)
		memcpy(s->open, chunk, s->open_n = n);
	if (s->rest) {
		const char *rest = s->rest;
		s->rest = NULL;
		XML_ParserReset(s->parser, "UTF-8");
		XML_SetHashSalt(s->parser, 184);
		set_handlers(s);
		s->depth = 0;
		s->chunk_at = 0;
		parse(L, s, s->open, s->open_n);
		parse(L, s, rest, (size_t)(chunk + n - rest));
	}
	count_lines(s, chunk + n);
	return 1;
}

/* close(streamer): how many requests and acks there were. */
static int close_streamer(lua_State *L)
{
	const struct streamer *s = lua_touserdata(L, 1);
	XML_ParserFree(s->parser);
	lua_pushinteger(L, s->requests);
	lua_pushinteger(L, s->acks);
	return 2;
}

int luaopen_bare_expat(lua_State *L);

int luaopen_bare_expat(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"long_lived", long_lived},     {"reset_each", reset_each},
		{"least_reader", least_reader}, {"streamer", streamer},
		{"feed", feed},                 {"close", close_streamer},
		{NULL, NULL},
	};
	luaL_newlibtable(L, functions);
	lua_newtable(L);
	luaL_setfuncs(L, functions, 1);
	return 1;
}
