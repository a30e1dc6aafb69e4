/* SPDX-License-Identifier: MIT */
/* The peer of the XML benches: Expat, with no handlers at all. What it takes is what reading XML costs in any case. */
#include <expat.h>
#include <lauxlib.h>
#include <lua.h>
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
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1), rounds = luaL_checkinteger(L, 2);
	for (lua_Integer round = 0; round < rounds; round++) {
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
	}
	return 0;
}

/* A reset before each, as one does who wants nothing of one message to reach the next. With a salt of its own, Expat does not ask
 * the system for one each time. */
static int reset_each(lua_State *L)
{
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1), rounds = luaL_checkinteger(L, 2);
	XML_Parser parser = XML_ParserCreate("UTF-8");
	for (lua_Integer round = 0; round < rounds; round++)
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

/* The strings of a message of corpus.lua, by where they are. */
struct places {
	struct {
		size_t at, n;
	} string[5];
};

static const char *const fields[] = {"id", "from", "to", "type", "received_id"};

/* places(messages): for with_table(). */
static int find_places(lua_State *L)
{
	static const char *const before[] = {" id='", " from='", " to='", " type='", "'urn:xmpp:receipts' id='"};
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
	struct places *places = lua_newuserdata(L, (size_t)count * sizeof *places);
	memset(places, 0, (size_t)count * sizeof *places);
	for (lua_Integer i = 0; i < count; i++)
		for (int f = 0; f < 5; f++) {
			size_t n;
			const char *xml = message(L, i + 1, &n), *at = strstr(xml, before[f]);
			if (!at)
				continue;
			at += strlen(before[f]);
			places[i].string[f].at = (size_t)(at - xml);
			places[i].string[f].n = strcspn(at, "'");
		}
	return 1;
}

static void push_table(lua_State *L, const char *xml, const struct places *p)
{
	lua_createtable(L, 0, p->string[4].n ? 9 : 8);
	for (int f = 0; f < 5; f++)
		if (p->string[f].n) {
			lua_pushlstring(L, xml + p->string[f].at, p->string[f].n);
			lua_setfield(L, -2, fields[f]);
		}
	static const char *const flags[] = {"body", "request", "received"};
	for (int f = 0; f < 3; f++) {
		lua_pushboolean(L, 1);
		lua_setfield(L, -2, flags[f]);
	}
	lua_pushvalue(L, 1); /* any table will do for the problems */
	lua_setfield(L, -2, "problems");
}

/* with_table(messages, rounds, places): as long_lived, and makes the table of facts of what it was told before. Nobody who makes
 * such a table can be faster. */
static int with_table(lua_State *L)
{
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1), rounds = luaL_checkinteger(L, 2);
	const struct places *places = lua_touserdata(L, 3);
	XML_Parser parser = XML_ParserCreate("UTF-8");
	XML_SetHashSalt(parser, 184);
	XML_Parse(parser, "<r>", 3, 0);
	for (lua_Integer round = 0; round < rounds; round++)
		for (lua_Integer i = 1; i <= count; i++) {
			size_t n;
			const char *xml = message(L, i, &n);
			XML_Parse(parser, xml, (int)n, 0);
			push_table(L, xml, &places[i - 1]);
			lua_pop(L, 1);
		}
	XML_ParserFree(parser);
	return 0;
}

/* A parser for feed() and close(), and for one that counts what it has found. */
struct streamer {
	XML_Parser parser;
	unsigned depth;
	lua_Integer requests, acks;
};

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
	s->depth--;
}

/* streamer(counting): with those handlers, or with none. */
static int streamer(lua_State *L)
{
	struct streamer *s = lua_newuserdata(L, sizeof *s);
	*s = (struct streamer){.parser = XML_ParserCreate("UTF-8")};
	if (lua_toboolean(L, 1)) {
		XML_SetUserData(s->parser, s);
		XML_SetElementHandler(s->parser, on_start, on_end);
	}
	return 1;
}

/* feed(streamer, chunk) */
static int feed(lua_State *L)
{
	const struct streamer *s = lua_touserdata(L, 1);
	size_t n;
	const char *chunk = luaL_checklstring(L, 2, &n);
	if (XML_Parse(s->parser, chunk, (int)n, 0) != XML_STATUS_OK)
		return luaL_error(L, "%s", XML_ErrorString(XML_GetErrorCode(s->parser)));
	return 0;
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
		{"long_lived", long_lived}, {"reset_each", reset_each},
		{"places", find_places},    {"with_table", with_table},
		{"streamer", streamer},     {"feed", feed},
		{"close", close_streamer},  {NULL, NULL},
	};
	luaL_newlib(L, functions);
	return 1;
}
