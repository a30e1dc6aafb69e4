/* SPDX-License-Identifier: MIT */
/* The Lua module `receipts`: what belongs to it. */
#include "lua_binding.h"

#define VERSION "0.1.0"

#define EXPORT __attribute__((visibility("default")))

static const luaL_Reg functions[] = {
	{"parse", rcpt_l_parse},     {"inspect", rcpt_l_inspect}, {"examine", rcpt_l_examine},
	{"scanner", rcpt_l_scanner}, {"pending", rcpt_l_pending}, {NULL, NULL},
};

/* Names for the bits of outgoing() and incoming(). */
static void push_bit_names(lua_State *L)
{
	lua_newtable(L);
	rcpt_set_integer(L, "body", RCPT_HAS_BODY);
	rcpt_set_integer(L, "encrypted", RCPT_HAS_ENCRYPTED);
	rcpt_set_integer(L, "request", RCPT_HAS_REQUEST);
	rcpt_set_integer(L, "received", RCPT_HAS_RECEIVED);
	rcpt_set_integer(L, "occupant", RCPT_HAS_OCCUPANT);
	rcpt_set_integer(L, "more", RCPT_HAS_MORE);
	rcpt_set_integer(L, "asks", RCPT_ASKS);
	rcpt_set_integer(L, "acks", RCPT_ACKS);
	rcpt_set_integer(L, "content", RCPT_CONTENT);
	rcpt_set_integer(L, "bounce", RCPT_BOUNCE);
	for (unsigned i = 0; i < RCPT_PROBLEMS; i++)
		rcpt_set_integer(L, rcpt_problem_name(i), (uint64_t)1 << (i + RCPT_PROBLEM_SHIFT));
}

/* Our functions go into the table at the top, each with copies of the upvalues at [first, first + UPVALUES). */
static void set_functions(lua_State *L, const luaL_Reg *list, int first)
{
	luaL_checkstack(L, UPVALUES + 1, NULL);
	for (int i = 0; i < UPVALUES; i++)
		lua_pushvalue(L, first + i);
	luaL_setfuncs(L, list, UPVALUES);
}

static int l_read_only(lua_State *L)
{
	return luaL_error(L, "the problems of a message that has none are not to be changed");
}

/* An empty table that stays empty: one does for all. */
static void push_nothing(lua_State *L)
{
	lua_newtable(L);
	lua_createtable(L, 0, 2);
	lua_pushcfunction(L, l_read_only);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
}

/* The class at `metatable`. Its methods are in a table of their own: a finalizer is not for everybody to call. */
static void make_class(lua_State *L, int metatable, int first, const luaL_Reg *methods, lua_CFunction finalizer, const char *name)
{
	lua_pushvalue(L, metatable);
	lua_newtable(L);
	set_functions(L, methods, first);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, finalizer);
	lua_setfield(L, -2, "__gc");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	lua_pushboolean(L, false);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
}

EXPORT int luaopen_receipts(lua_State *L)
{
	static const char *const keys[] = {"tags", "attr", "name", "xmlns", "id", "from", "to", "type"};
	_Static_assert(sizeof keys / sizeof *keys == UPVALUES - UP_TAGS + 1,
				   "a key for each upvalue from UP_TAGS on, in their order");
	luaL_checkstack(L, 2 * UPVALUES, NULL);
	const int first = lua_gettop(L) + 1;
	struct rcpt_module *module = lua_newuserdata(L, sizeof *module);
	memset(module, 0, sizeof *module);
	if (!rcpt_key_random(&module->key))
		return luaL_error(L, "receipts: the system has no random numbers to give");
	lua_newtable(L);          /* UP_PENDING */
	lua_newtable(L);          /* UP_SCANNER */
	lua_createtable(L, 1, 1); /* UP_READER, with room for the box: keeping it takes no memory */
	lua_pushcfunction(L, rcpt_l_reader_gc);
	lua_setfield(L, -2, "__gc");
	push_nothing(L); /* UP_NOTHING */
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		lua_pushstring(L, keys[i]);
	make_class(L, first + UP_PENDING - 1, first, rcpt_pending_methods, rcpt_l_pending_gc, "receipts.pending");
	make_class(L, first + UP_SCANNER - 1, first, rcpt_scanner_methods, rcpt_l_scanner_gc, "receipts.scanner");

	lua_newtable(L);
	set_functions(L, functions, first);
	push_bit_names(L);
	lua_setfield(L, -2, "bits");
	lua_pushliteral(L, VERSION);
	lua_setfield(L, -2, "version");
	return 1;
}
