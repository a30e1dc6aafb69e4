/* SPDX-License-Identifier: MIT */
/* The Lua module `receipts.faults`, in engines that are built for tests: memory runs out while a function runs.
 *
 * It may be called in any program that uses the engine, Prosody too: Lua's own allocations fail as well as the engine's.
 */
#include <lauxlib.h>

#include "mem.h"

#define DEPTH 20 /* calls within calls that need no memory */
#define STACK 200

__attribute__((visibility("default"))) int luaopen_receipts_faults(lua_State *L);

static struct {
	lua_Alloc allocate;
	void *ud;
} original;

static void *allocate(void *ud, void *ptr, size_t old_size, size_t size)
{
	(void)ud;
	return size > 0 && rcpt_mem_refuse() ? NULL : original.allocate(original.ud, ptr, old_size, size);
}

/* Calls itself: Lua keeps what that took. */
static int warm_up(lua_State *L)
{
	const lua_Integer depth = lua_tointeger(L, 1);
	if (depth > 0) {
		lua_pushcfunction(L, warm_up);
		lua_pushinteger(L, depth - 1);
		lua_call(L, 1, 0);
	}
	return 0;
}

/* call(after, times, f, ...): calls f(...), and while it runs, `after` allocations succeed and so many `times` they fail (a
 * negative number: until it returns). Entering f takes no memory: that would be its caller's. Returns how many failed, whether f
 * returned, and its first result or its error. */
static int l_call(lua_State *L)
{
	const long after = (long)luaL_checkinteger(L, 1), times = (long)luaL_checkinteger(L, 2);
	luaL_checkstack(L, STACK, NULL);
	lua_pushcfunction(L, warm_up);
	lua_pushinteger(L, DEPTH);
	lua_call(L, 1, 0);
	rcpt_mem_fail(after, times);
	const int status = lua_pcall(L, lua_gettop(L) - 3, 1, 0);
	const size_t failed = rcpt_mem_failed();
	rcpt_mem_fail_after(-1);
	lua_pushinteger(L, (lua_Integer)failed);
	lua_insert(L, -2);
	lua_pushboolean(L, status == LUA_OK);
	lua_insert(L, -2);
	return 3;
}

/* Loses blocks: does anybody notice? One alone may not be: a stale address of it, on the stack or in memory used before, is
 * enough for who looks for leaks to take it for known. */
static int l_leak(lua_State *L)
{
	bool lost = true;
	for (int i = 0; i < 16; i++)
		lost = rcpt_malloc(1000) != NULL && lost;
	lua_pushboolean(L, lost);
	return 1;
}

int luaopen_receipts_faults(lua_State *L)
{
	if (!original.allocate) {
		original.allocate = lua_getallocf(L, &original.ud);
		lua_setallocf(L, allocate, NULL);
	}
	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, l_call);
	lua_setfield(L, -2, "call");
	lua_pushcfunction(L, l_leak);
	lua_setfield(L, -2, "leak");
	return 1;
}
