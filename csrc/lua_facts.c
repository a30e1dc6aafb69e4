/* SPDX-License-Identifier: MIT */
/* Facts of a message as Lua values, or why there are none. */
#include "lua_binding.h"

static void push_problems(lua_State *L, unsigned problems)
{
	if (!problems && RCPT_READ_ONLY_TABLES) {
		lua_pushvalue(L, lua_upvalueindex(UP_NOTHING));
		return;
	}
	lua_newtable(L);
	lua_Integer n = 0;
	for (unsigned i = 0; problems >> i; i++)
		if (problems & (1u << i)) {
			lua_pushstring(L, rcpt_problem_name(i));
			lua_rawseti(L, -2, (int)++n);
		}
}

void rcpt_push_facts(lua_State *L, const struct rcpt_facts *f, int more)
{
	lua_createtable(L, 0, more + 4 + !!f->id.p + !!f->from.p + !!f->to.p + !!f->type.p + !!f->received_id.p);
	rcpt_set_str(L, "id", f->id);
	rcpt_set_str(L, "from", f->from);
	rcpt_set_str(L, "to", f->to);
	rcpt_set_str(L, "type", f->type);
	rcpt_set_str(L, "received_id", f->received_id);
	rcpt_set_bool(L, "body", f->has & RCPT_HAS_BODY);
	rcpt_set_bool(L, "request", f->has & RCPT_HAS_REQUEST);
	rcpt_set_bool(L, "received", f->has & RCPT_HAS_RECEIVED);
	push_problems(L, f->problems);
	lua_setfield(L, -2, "problems");
}

void rcpt_push_bits(lua_State *L, const struct rcpt_facts *f)
{
	lua_pushinteger(L, (lua_Integer)f->has | (lua_Integer)f->problems << RCPT_PROBLEM_SHIFT);
}

int rcpt_push_xml_error(lua_State *L, const char *reason, struct rcpt_xml_position where)
{
	lua_pushnil(L);
	lua_pushstring(L, reason);
	lua_createtable(L, 0, 3);
	rcpt_set_integer(L, "byte", where.byte);
	rcpt_set_integer(L, "line", where.line);
	rcpt_set_integer(L, "column", where.column);
	return 3;
}
