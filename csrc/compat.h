/* SPDX-License-Identifier: MIT */
/* What the API of Lua before 5.3 lacks: types as results of raw reads, integers of 64 bits everywhere, and tables that
 * table.insert() cannot change; and that of 5.1 the name that 5.2 gave to length. The binding is written for 5.4. */
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
#endif

#define lua_rawget rcpt_compat_rawget
#define lua_rawgeti rcpt_compat_rawgeti

#endif

#endif
