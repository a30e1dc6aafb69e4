/* SPDX-License-Identifier: MIT */
/* What Lua's collector is told of memory that is not Lua's. */
#include "lua_binding.h"

/* Bytes that one userdata tells the collector of: a quarter of those told so far, within these bounds. Without the upper one a
 * million entries whose ids are no UUIDs took 8 MB more, not 1 MB (bench/pending.lua). */
#define PIECE_LEAST 16384u
#define PIECE_MOST 65536u

static size_t next_piece(size_t told)
{
	return told / 4 < PIECE_LEAST ? PIECE_LEAST : told / 4 > PIECE_MOST ? PIECE_MOST : told / 4;
}

static size_t to_tell(lua_State *L, size_t (*held)(const void *handle))
{
	const size_t bytes = held(lua_touserdata(L, 1));
	return bytes < RCPT_TOLD_MOST ? bytes : RCPT_TOLD_MOST;
}

/* A round of the collector begins when the memory that it knows of has grown by a share, and what we hold is outside of that:
 * Lua's own memory would be gone through as often as if we held nothing. Lua has no call for it, so there are userdata of as many
 * bytes, up to a bound, to which nothing is ever written: of each a page or two is memory, the rest addresses. */
void rcpt_tell_collector(lua_State *L, size_t (*held)(const void *handle), size_t *told)
{
	for (size_t more = next_piece(*told); *told + more <= to_tell(L, held); more = next_piece(*told)) {
		lua_newuserdata(L, more);
		lua_getuservalue(L, 1);
		lua_insert(L, -2);
		lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
		lua_pop(L, 1);
		*told += more;
	}
	lua_getuservalue(L, 1);
	const int array = lua_gettop(L);
	for (int n = (int)lua_rawlen(L, array); n > 0; n--) {
		lua_rawgeti(L, array, n);
		const size_t last = (size_t)lua_rawlen(L, -1);
		if (*told - last < to_tell(L, held))
			break;
		lua_pushnil(L);
		lua_rawseti(L, array, n);
		*told -= last;
		lua_pop(L, 1);
	}
	lua_settop(L, array - 1);
}
