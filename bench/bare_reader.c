/* SPDX-License-Identifier: MIT */
/* The floor below message-path-hot and message-idle: the fewest calls of Lua's API with which a stanza can be looked at from C.
 * It reads the names of the children and the type; where there is a receipt element, its attributes and the message's. It checks
 * no handle and no metatable, decides nothing, remembers nothing, and returns nothing: a function that does any of that takes
 * longer.
 */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

enum { NAME = 1, TAGS, ATTR, XMLNS, ID, FROM, TO, TYPE, KEYS = TYPE };

static void field(lua_State *L, int table, int key)
{
	size_t n;
	lua_pushvalue(L, lua_upvalueindex(key));
	if (lua_rawget(L, table) == LUA_TSTRING)
		lua_tolstring(L, -1, &n);
}

static int is_receipt(const char *name, size_t n)
{
	return (n == 7 && memcmp(name, "request", 7) == 0) || (n == 8 && memcmp(name, "received", 8) == 0);
}

/* read(stanza) */
static int l_read(lua_State *L)
{
	enum { STANZA = 1, NAME_AT, TAGS_AT, ATTR_AT };
	lua_settop(L, STANZA);
	lua_pushvalue(L, lua_upvalueindex(NAME));
	lua_pushvalue(L, lua_upvalueindex(TAGS));
	lua_rawget(L, STANZA);
	lua_pushvalue(L, lua_upvalueindex(ATTR));
	lua_rawget(L, STANZA);
	const lua_Integer count = (lua_Integer)lua_rawlen(L, TAGS_AT);
	int found = 0;
	for (lua_Integer i = 1; i <= count; i++) {
		size_t n = 0;
		if (i % 5 == 0)
			lua_settop(L, ATTR_AT);
		lua_rawgeti(L, TAGS_AT, i);
		lua_pushvalue(L, NAME_AT);
		lua_rawget(L, -2);
		const char *name = lua_tolstring(L, -1, &n);
		if (!is_receipt(name, n))
			continue;
		const int child = lua_gettop(L) - 1;
		lua_pushvalue(L, lua_upvalueindex(ATTR));
		lua_rawget(L, child);
		field(L, child + 2, XMLNS);
		field(L, child + 2, ID);
		lua_settop(L, ATTR_AT);
		found = 1;
	}
	field(L, ATTR_AT, TYPE);
	if (found) {
		field(L, ATTR_AT, ID);
		field(L, ATTR_AT, FROM);
		field(L, ATTR_AT, TO);
	}
	return 0;
}

int luaopen_bare_reader(lua_State *L)
{
	static const char *const keys[] = {"name", "tags", "attr", "xmlns", "id", "from", "to", "type"};
	lua_newtable(L);
	for (int i = 0; i < KEYS; i++)
		lua_pushstring(L, keys[i]);
	lua_pushcclosure(L, l_read, KEYS);
	lua_setfield(L, -2, "read");
	return 1;
}
