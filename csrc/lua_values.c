/* SPDX-License-Identifier: MIT */
/* Values from Lua and back: arguments, options, fields of tables. */
#include "lua_binding.h"

struct rcpt_str rcpt_check_str(lua_State *L, int arg)
{
	struct rcpt_str s;
	luaL_checktype(L, arg, LUA_TSTRING);
	s.p = lua_tolstring(L, arg, &s.n);
	return s;
}

struct rcpt_str rcpt_arg_str(lua_State *L, int arg)
{
	struct rcpt_str s = {NULL, 0};
	if (lua_type(L, arg) == LUA_TSTRING)
		s.p = lua_tolstring(L, arg, &s.n);
	return s;
}

double rcpt_check_time(lua_State *L, int arg)
{
	const double now = luaL_checknumber(L, arg);
	luaL_argcheck(L, now >= 0 && now < RCPT_TIME_MAX, arg, "not a time in seconds since the epoch");
	return now;
}

void rcpt_set_str(lua_State *L, const char *key, struct rcpt_str s)
{
	if (!s.p)
		return;
	lua_pushlstring(L, s.p, s.n);
	lua_setfield(L, -2, key);
}

void rcpt_set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

void rcpt_set_number(lua_State *L, const char *key, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, key);
}

void rcpt_set_integer(lua_State *L, const char *key, uint64_t value)
{
	rcpt_push_count(L, value);
	lua_setfield(L, -2, key);
}

void rcpt_push_raw_field(lua_State *L, int table, const char *key)
{
	lua_pushstring(L, key);
	lua_rawget(L, table);
}

bool rcpt_flag_field(lua_State *L, int table, const char *key)
{
	rcpt_push_raw_field(L, table, key);
	const bool set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

static bool is_among(struct rcpt_str s, const char *const names[])
{
	for (; *names; names++)
		if (rcpt_str_eq(s, rcpt_str_of(*names)))
			return true;
	return false;
}

void rcpt_check_options(lua_State *L, int table, const char *const names[])
{
	if (lua_isnoneornil(L, table))
		return;
	luaL_checktype(L, table, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pop(L, 1);
		if (is_among(rcpt_arg_str(L, -1), names))
			continue;
		const char *name = lua_tostring(L, -1);
		luaL_error(L, "there is no option '%s'", name ? name : luaL_typename(L, -1));
	}
}

double rcpt_option(lua_State *L, int table, const char *key, int least, int most, double standard)
{
	if (lua_isnoneornil(L, table))
		return standard;
	rcpt_push_raw_field(L, table, key);
	double value = standard;
	if (!lua_isnil(L, -1)) {
		if (lua_type(L, -1) != LUA_TNUMBER)
			luaL_error(L, "option '%s' is not a number", key);
		value = lua_tonumber(L, -1);
		if (!(value >= least && value <= most))
			luaL_error(L, "option '%s' is not from %d to %d", key, least, most);
	}
	lua_pop(L, 1);
	return value;
}

bool rcpt_flag_option(lua_State *L, int table, const char *key)
{
	if (lua_isnoneornil(L, table))
		return false;
	rcpt_push_raw_field(L, table, key);
	if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
		luaL_error(L, "option '%s' is not a boolean", key);
	const bool set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

const char *const rcpt_handle_names[] = {[SCANNER_HANDLE] = "scanner", [PENDING_HANDLE] = "pending table"};

/* No other userdata begins with an address in our array. */
void *rcpt_check_handle(lua_State *L, enum rcpt_handle kind)
{
	void *handle = lua_touserdata(L, 1);
	if (handle && lua_rawlen(L, 1) >= sizeof rcpt_handle_names[0] &&
		*(const char *const *const *)handle == &rcpt_handle_names[kind])
		return handle;
	luaL_argerror(L, 1, lua_pushfstring(L, "%s expected, got %s", rcpt_handle_names[kind], luaL_typename(L, 1)));
	return NULL;
}
