/* SPDX-License-Identifier: MIT */
/* What the API of Lua before 5.3 lacks: types as results of raw reads, user values of any type, integers of 64 bits everywhere,
 * and tables that table.insert() cannot change; and that of 5.1 the names that 5.2 gave to length and user value. The binding is
 * written for 5.4. */
#ifndef RCPT_COMPAT_H
#define RCPT_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#define RCPT_READ_ONLY_TABLES (LUA_VERSION_NUM >= 503)

static inline void rcpt_push_count(lua_State *L, uint64_t count)
{
#if LUA_VERSION_NUM >= 503
	lua_pushinteger(L, (lua_Integer)count);
#else
	lua_pushnumber(L, (lua_Number)count);
#endif
}

#if LUA_VERSION_NUM < 503

static inline int rcpt_compat_rawget(lua_State *L, int table)
{
	lua_rawget(L, table);
	return lua_type(L, -1);
}

static inline int rcpt_compat_rawgeti(lua_State *L, int table, lua_Integer i)
{
	lua_rawgeti(L, table, (int)i);
	return lua_type(L, -1);
}

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#define lua_setuservalue lua_setfenv
#define lua_getuservalue lua_getfenv
#define RCPT_NO_USER_VALUE(L) lua_rawequal(L, -1, LUA_ENVIRONINDEX) /* that of the function which made the userdata */
#else
#define RCPT_NO_USER_VALUE(L) lua_isnil(L, -1)
#endif

/* A table is what a user value can be: one that holds the value at the top of the stack. It is made once, so that only the first
 * value of a userdata takes memory, as in 5.3 none does. */
static inline void rcpt_compat_setuservalue(lua_State *L, int userdata)
{
	lua_getuservalue(L, userdata);
	const bool first = RCPT_NO_USER_VALUE(L);
	if (first) {
		lua_pop(L, 1);
		lua_createtable(L, 1, 0);
	}
	lua_insert(L, -2);
	lua_rawseti(L, -2, 1);
	if (first)
		lua_setuservalue(L, userdata);
	else
		lua_pop(L, 1);
}

static inline void rcpt_compat_getuservalue(lua_State *L, int userdata)
{
	lua_getuservalue(L, userdata);
	lua_rawgeti(L, -1, 1);
	lua_remove(L, -2);
}

#undef lua_setuservalue
#undef lua_getuservalue
#define lua_rawget rcpt_compat_rawget
#define lua_rawgeti rcpt_compat_rawgeti
#define lua_setuservalue rcpt_compat_setuservalue
#define lua_getuservalue rcpt_compat_getuservalue

#endif

#endif
