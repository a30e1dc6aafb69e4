/* SPDX-License-Identifier: MIT */
/* The floor below pending-growth: a table that keeps nothing, and waits for memory as one has to that keeps entries in lists.
 *
 * The hashes of JIDs and id tell at once where their blocks are, as if there were no collisions and no chains; which entry goes is
 * known too. The rest only a block tells: who was asked, whose the entry is, its neighbours. What is only written there, nobody waits
 * for.
 *
 *   add     reads two JIDs, where the entry will be, the one that goes     writes to that one's requester, the requester's newest entry
 *   match   reads a JID, the entry; who was asked                          writes to two neighbours
 *
 * It is called from Lua as the table is, and has the engine's hash for JIDs and ids, with which the processor is busy before it can
 * begin. It compares, links and allocates nothing. JIDs lie together, as there are fewer of them.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "siphash.h"

enum { BYTES = 66 /* of an entry and what goes with it: pending-bytes */, JID_BYTES = 10 /* of those */ };

struct memory {
	char *jids, *entries;
	uint64_t jids_size, entries_size;
};

enum { FROM = 2, TO, ID };

static uint64_t next_of(uint64_t hash)
{
	return (hash ^ hash >> 29) * 0x9E3779B97F4A7C15u;
}

static uint64_t hash_of(lua_State *L, int argument)
{
	static const struct rcpt_key key = {184, 184};
	size_t n;
	const char *text = lua_tolstring(L, argument, &n);
	return next_of(rcpt_siphash(&key, 0, text, n));
}

/* As good as random. */
static char *place(char *memory, uint64_t size, uint64_t hash)
{
	return memory + ((hash >> 32) * size >> 32);
}

static char *jid(const struct memory *m, uint64_t hash)
{
	return place(m->jids, m->jids_size, hash);
}

static char *entry(const struct memory *m, uint64_t hash)
{
	return place(m->entries, m->entries_size, hash);
}

/* All memory is 1. What is read is added to the next address less 1, so that nobody can know that before. */

/* add(memory, from, to, id, now) */
static int l_add(lua_State *L)
{
	const struct memory *m = lua_touserdata(L, 1);
	const uint64_t from_hash = hash_of(L, FROM), asked_hash = hash_of(L, TO), hash = hash_of(L, ID);
	const uint64_t a = next_of(from_hash ^ hash), b = next_of(a), c = next_of(b);
	const char from = *jid(m, from_hash), asked = *jid(m, asked_hash), there = *entry(m, hash), goes = *entry(m, a);
	jid(m, b)[goes - 1] = 1;
	entry(m, c)[from - 1] = 1;
	lua_pushboolean(L, asked == 1 && there == 1);
	return 1;
}

/* match(memory, from, to, id, now) */
static int l_match(lua_State *L)
{
	const struct memory *m = lua_touserdata(L, 1);
	const uint64_t from_hash = hash_of(L, FROM), hash = hash_of(L, ID);
	const uint64_t a = next_of(from_hash ^ hash), b = next_of(a), c = next_of(b);
	const char from = *jid(m, from_hash), found = *entry(m, hash);
	const char asked = jid(m, a)[found - 1];
	entry(m, b)[found - 1] = 1;
	entry(m, c)[found - 1] = 1;
	lua_pushvalue(L, lua_upvalueindex(from == 1 && asked == 1 ? 1 : 2));
	return 1;
}

static int l_free(lua_State *L)
{
	const struct memory *m = lua_touserdata(L, 1);
	free(m->jids);
	free(m->entries);
	return 0;
}

/* new(entries) */
static int l_new(lua_State *L)
{
	const uint64_t entries = (uint64_t)luaL_checkinteger(L, 1);
	struct memory *m = lua_newuserdatauv(L, sizeof *m, 0);
	m->jids_size = entries * JID_BYTES;
	m->entries_size = entries * (BYTES - JID_BYTES);
	m->jids = malloc((size_t)m->jids_size);
	m->entries = malloc((size_t)m->entries_size);
	luaL_setmetatable(L, "memory_floor");
	if (!m->jids || !m->entries)
		return luaL_error(L, "not enough memory");
	memset(m->jids, 1, (size_t)m->jids_size); /* 0 might leave them one page, which the system lets all share */
	memset(m->entries, 1, (size_t)m->entries_size);
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
	lua_pushliteral(L, "delivered");
	lua_pushliteral(L, "unknown");
	lua_pushcclosure(L, l_match, 2);
	lua_setfield(L, -2, "match");
	lua_setfield(L, -2, "__index");
	lua_newtable(L);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "new");
	return 1;
}
