/* SPDX-License-Identifier: MIT */
/* Notes which lines of some Lua files are executed, in whatever coroutine: scripts/coverage has every Lua program load it.
 *
 * Each line is written the first time it is met, so that nothing is lost when the program is killed; appending a line of text to
 * a file is one step, and many programs may share the file.
 *
 *   LINES_PREFIX  how the names of the sources begin, for Lua "@/folder/"
 *   LINES_FILE    gets "name:line", one a line
 */
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 64, LINES = 4096 };

static const char *prefix;
static size_t prefix_length;
static int out = -1;
static struct {
	char name[64];
	bool seen[LINES];
} files[FILES];

static void on_line(lua_State *L, lua_Debug *at)
{
	lua_getinfo(L, "S", at);
	if (strncmp(at->source, prefix, prefix_length) != 0 || at->currentline >= LINES)
		return;
	const char *name = at->source + prefix_length;
	int i = 0;
	while (i < FILES && files[i].name[0] && strcmp(files[i].name, name) != 0)
		i++;
	if (i == FILES || files[i].seen[at->currentline])
		return;
	files[i].seen[at->currentline] = true;
	if (!files[i].name[0])
		snprintf(files[i].name, sizeof files[i].name, "%s", name);
	char text[128];
	const int n = snprintf(text, sizeof text, "%s:%d\n", name, at->currentline);
	if (write(out, text, (size_t)n) != n)
		abort();
}

/* Stands for debug.gethook and debug.sethook: Prosody hands hooks on to the coroutines that it makes, and cannot do that with
 * ours. */
static int no_hook(lua_State *L)
{
	(void)L;
	return 0;
}

/* New coroutines take the hook over from those that make them. */
int lines_start(lua_State *L)
{
	prefix = getenv("LINES_PREFIX");
	const char *file = getenv("LINES_FILE");
	if (!prefix || !file || (out = open(file, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0)
		return luaL_error(L, "LINES_PREFIX and LINES_FILE are needed");
	prefix_length = strlen(prefix);
	lua_getglobal(L, "debug");
	lua_pushcfunction(L, no_hook);
	lua_setfield(L, -2, "gethook");
	lua_pushcfunction(L, no_hook);
	lua_setfield(L, -2, "sethook");
	lua_pop(L, 1);
	lua_sethook(L, on_line, LUA_MASKLINE, 0);
	return 0;
}
