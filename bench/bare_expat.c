/* SPDX-License-Identifier: MIT */
/* The peer of the XML benches: Expat, with no handlers at all. What it takes is what reading XML costs in any case. */
#include <expat.h>
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

/* Both functions take an array of messages and a count of rounds, and read all messages in each round. */

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

/* A reset before each, as one does who wants nothing of one message to reach the next. */
static int reset_each(lua_State *L)
{
	const lua_Integer count = (lua_Integer)lua_rawlen(L, 1), rounds = luaL_checkinteger(L, 2);
	XML_Parser parser = XML_ParserCreate("UTF-8");
	for (lua_Integer round = 0; round < rounds; round++)
		for (lua_Integer i = 1; i <= count; i++) {
			size_t n;
			const char *xml = message(L, i, &n);
			XML_ParserReset(parser, "UTF-8");
			if (XML_Parse(parser, xml, (int)n, 1) != XML_STATUS_OK)
				return luaL_error(L, "message %d: %s", (int)i, XML_ErrorString(XML_GetErrorCode(parser)));
		}
	XML_ParserFree(parser);
	return 0;
}

/* stream(path, chunk): reads a file in chunks. Returns its bytes. */
static int stream(lua_State *L)
{
	FILE *file = fopen(luaL_checkstring(L, 1), "rb");
	static char chunk[1 << 16];
	XML_Parser parser = XML_ParserCreate("UTF-8");
	lua_Integer bytes = 0;
	size_t n;
	if (!file)
		return luaL_error(L, "no such file");
	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) {
		bytes += (lua_Integer)n;
		if (XML_Parse(parser, chunk, (int)n, 0) != XML_STATUS_OK)
			return luaL_error(L, "%s", XML_ErrorString(XML_GetErrorCode(parser)));
	}
	XML_ParserFree(parser);
	fclose(file);
	lua_pushinteger(L, bytes);
	return 1;
}

int luaopen_bare_expat(lua_State *L);

int luaopen_bare_expat(lua_State *L)
{
	const luaL_Reg functions[] = {{"long_lived", long_lived}, {"reset_each", reset_each}, {"stream", stream}, {NULL, NULL}};
	luaL_newlib(L, functions);
	return 1;
}
