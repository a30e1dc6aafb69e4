/* SPDX-License-Identifier: MIT */
/* Runs the target that is written in Lua and named as the program is: it returns a function that is called with each input, must
 * raise no error, and closes what it has opened.
 *
 * libFuzzer sees which lines of the module's Lua are run as it sees which branches of the engine are.
 */
#include "fuzz.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <string.h>

#include "mem.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int luaopen_receipts(lua_State *L);

static lua_State *lua;
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t lines[4096];

static void on_line(lua_State *L, lua_Debug *ar)
{
	lua_getinfo(L, "S", ar);
	if (strstr(ar->short_src, "mod_receipts/"))
		lines[((size_t)ar->currentline + 977 * strlen(ar->short_src)) % sizeof lines]++;
}

static int with_traceback(lua_State *L)
{
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

/* The function at the top of the stack, below its `arguments`. */
static void call(int arguments, int results)
{
	const int handler = lua_gettop(lua) - arguments;
	lua_pushcfunction(lua, with_traceback);
	lua_insert(lua, handler);
	const int status = lua_pcall(lua, arguments, results, handler);
	CHECK(status == LUA_OK, "%s", lua_tostring(lua, -1));
	lua_remove(lua, handler);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	const char *slash = strrchr((*argv)[0], '/');
	lua = luaL_newstate();
	luaL_openlibs(lua);
	luaL_requiref(lua, "receipts", luaopen_receipts, 0);
	lua_pop(lua, 1);
	const char *script = lua_pushfstring(lua, "fuzz/%s.lua", slash ? slash + 1 : (*argv)[0]);
	const int status = luaL_loadfile(lua, script);
	CHECK(status == LUA_OK, "%s", lua_tostring(lua, -1));
	call(0, 1);
	lua_sethook(lua, on_line, LUA_MASKLINE, 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	lua_pushvalue(lua, -1);
	lua_pushlstring(lua, (const char *)data, n);
	call(1, 0);
	CHECK(rcpt_mem_held() == 0, "%zu blocks of the engine are left", rcpt_mem_held());
	return 0;
}
