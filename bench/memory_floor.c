/* SPDX-License-Identifier: MIT */
/* The floor below pending-growth: a table that keeps nothing, and waits for memory as one has to that keeps entries in lists.
 *
 * Where the heads of its chains are, the hashes of JIDs and id tell. Where the blocks of the requester, of the one who is asked and of
 * the entry are, the heads tell; and where an entry's neighbours in the lists are, or its user, only the block tells. So an operation
 * reads in three waves, of which each knows its addresses from the one before: as few as any such table. Nor can any touch fewer places:
 *
 *   add     the heads of three chains    two JIDs, the entry that goes    its requester, its chain, the requester's newest entry
 *   match   the heads of two chains      a JID, the entry                 who was asked, two neighbours
 *
 * An address is as good as random in memory of the size that the table takes. It is called from Lua as the table is, and has the engine's
 * hash for JIDs and ids, which the processor is busy with before it can begin. It compares, writes and allocates nothing.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "siphash.h"

enum { BYTES = 66 /* an entry and what goes with it: pending-bytes */ };

struct memory {
	char *at;
	uint64_t size;
};

static const struct rcpt_key key = {184, 184};

/* What is read in one wave, of places that hang on what was read before. */
static uint64_t wave(const struct memory *m, uint64_t before, const uint64_t *places, int count)
{
	uint64_t read = 0;
	for (int i = 0; i < count; i++)
		read += (uint64_t)m->at[(places[i] + before) % m->size];
	return read;
}

/* Three waves: the heads that these arguments tell, so many blocks, and three neighbours. True when all was as it was written. */
static bool operate(lua_State *L, const int *arguments, int heads, int blocks)
{
	const struct memory *m = luaL_checkudata(L, 1, "memory_floor");
	uint64_t places[3], seed = 0;
	for (int i = 0; i < heads; i++) {
		size_t n;
		const char *text = luaL_checklstring(L, arguments[i], &n);
		places[i] = rcpt_siphash(&key, 0, text, n);
		seed ^= places[i];
	}
	uint64_t read = wave(m, 0, places, heads);
	for (int waves = 0; waves < 2; waves++) {
		for (int i = 0; i < 3; i++)
			places[i] = (seed += 0x9E3779B97F4A7C15u) >> 16;
		read = wave(m, read, places, waves == 0 ? blocks : 3);
	}
	return read == 3;
}

enum { FROM = 2, TO, ID };

/* add(memory, from, to, id, now) */
static int l_add(lua_State *L)
{
	static const int arguments[] = {FROM, TO, ID};
	lua_pushboolean(L, operate(L, arguments, 3, 3));
	return 1;
}

/* match(memory, from, to, id, now) */
static int l_match(lua_State *L)
{
	static const int arguments[] = {FROM, ID};
	lua_pushstring(L, operate(L, arguments, 2, 2) ? "delivered" : "unknown");
	return 1;
}

static int l_free(lua_State *L)
{
	struct memory *m = lua_touserdata(L, 1);
	free(m->at);
	m->at = NULL;
	return 0;
}

/* new(entries) */
static int l_new(lua_State *L)
{
	struct memory *m = lua_newuserdatauv(L, sizeof *m, 0);
	m->size = (uint64_t)luaL_checkinteger(L, 1) * BYTES;
	m->at = malloc(m->size);
	if (!m->at)
		return luaL_error(L, "not enough memory");
	luaL_setmetatable(L, "memory_floor");
	memset(m->at, 1, m->size); /* 0 might leave it one page, which the system lets all share */
	return 1;
}

int luaopen_memory_floor(lua_State *L);

int luaopen_memory_floor(lua_State *L)
{
	luaL_newmetatable(L, "memory_floor");
	lua_pushcfunction(L, l_free);
	lua_setfield(L, -2, "__gc");
	lua_newtable(L);
	lua_pushcfunction(L, l_add);
	lua_setfield(L, -2, "add");
	lua_pushcfunction(L, l_match);
	lua_setfield(L, -2, "match");
	lua_setfield(L, -2, "__index");
	lua_newtable(L);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "new");
	return 1;
}
