/* SPDX-License-Identifier: MIT */
/* The stanza reader: from a util.stanza to the facts of the message. */
#include "lua_binding.h"

/* Most messages have nothing to do with receipts, and what reading them costs is calls of Lua's API: so there are as few as can
 * be. Values stay on the stack until there are too many, the key that is needed for each child is copied to it, and nothing is
 * read that nobody asks for. The stack has room for LUA_MINSTACK values beyond the arguments, and more is not asked for, which
 * could fail: one of the caller's, 5 of the message, 2 for each of AT_ONCE children, and 4 that read_child() or
 * rcpt_read_stanza() look at. Then 7 stay, above which its caller has room for the rest. */
#define AT_ONCE 5
_Static_assert(1 + 5 + 2 * AT_ONCE + 4 <= LUA_MINSTACK, "a stanza is read on the stack that every C function has");

/* Where rcpt_read_stanza() has things on the stack, above the arguments. All strings of the facts stay there: a finalizer may
 * change the stanza as soon as somebody makes a Lua value. */
enum { LEFT_NAME_KEY = 1, LEFT_RECEIVED_ID, LEFT_ATTR };

/* Pushes a field of a table, by one of our key upvalues, and returns its type. */
static int push_field(lua_State *L, int table, enum rcpt_upvalue key)
{
	lua_pushvalue(L, lua_upvalueindex((int)key));
	return lua_rawget(L, table);
}

/* The value at the top of the stack, of this type, if it is a string. The string stays its table's. */
static struct rcpt_str top_str(lua_State *L, int type)
{
	struct rcpt_str s = {NULL, 0};
	if (type == LUA_TSTRING)
		s.p = lua_tolstring(L, -1, &s.n);
	return s;
}

/* Nothing between an element's tags but white space. */
static bool is_empty(lua_State *L, int element)
{
	const size_t n = (size_t)lua_rawlen(L, element);
	for (size_t i = 1; i <= n; i++) {
		const struct rcpt_str text = top_str(L, lua_rawgeti(L, element, (lua_Integer)i));
		const bool blank = text.p && rcpt_str_space(text);
		lua_pop(L, 1);
		if (!blank)
			return false;
	}
	return true;
}

/* Pushes a child and its name. False when it is no element. */
static bool push_child(lua_State *L, int tags, size_t i, int name_key, struct rcpt_str *name)
{
	if (i % AT_ONCE == 0)
		lua_settop(L, tags);
	if (lua_rawgeti(L, tags, (lua_Integer)i) != LUA_TTABLE)
		return false;
	lua_pushvalue(L, name_key);
	*name = top_str(L, lua_rawget(L, -2));
	return true;
}

/* Reads the child that was pushed. The id of the first <received/> is kept at `id_slot`. */
static void read_child(lua_State *L, struct rcpt_str name, int id_slot, struct rcpt_facts *f)
{
	struct rcpt_str ns = {NULL, 0}, id = {NULL, 0};
	const int top = lua_gettop(L), child = top - 1, attr = top + 1;
	const bool has_attr = push_field(L, child, UP_ATTR) == LUA_TTABLE;
	if (has_attr)
		ns = top_str(L, push_field(L, attr, UP_XMLNS));
	const enum rcpt_child kind = rcpt_child_kind(name, ns);
	if (has_attr && kind == RCPT_CHILD_RECEIVED && !(f->has & RCPT_HAS_RECEIVED)) {
		id = top_str(L, push_field(L, attr, UP_ID));
		lua_replace(L, id_slot);
	}
	rcpt_facts_child(f, kind, id, !rcpt_child_inside_matters(kind) || is_empty(L, child));
	lua_settop(L, top);
}

/* Of children of other names one thing is asked, and of acks alone: whether one of them means something by itself. */
static void read_children(lua_State *L, int tags, int base, unsigned wanted, struct rcpt_facts *f)
{
	const size_t n = (size_t)lua_rawlen(L, tags);
	const int name_key = base + LEFT_NAME_KEY, id_slot = base + LEFT_RECEIVED_ID;
	const bool content = wanted == RCPT_ANYTHING || (wanted & RCPT_CONTENT);
	size_t passed = 0; /* the last of those that came before it was known for an ack */
	struct rcpt_str name;
	for (size_t i = 1; i <= n; i++) {
		if (!push_child(L, tags, i, name_key, &name))
			continue;
		if (rcpt_child_receipt(name) || (content && rcpt_child_content(name)) ||
			(f->has & (RCPT_HAS_RECEIVED | RCPT_HAS_MORE)) == RCPT_HAS_RECEIVED)
			read_child(L, name, id_slot, f);
		else if (!(f->has & RCPT_HAS_RECEIVED))
			passed = i;
	}
	if (!(f->has & RCPT_HAS_RECEIVED))
		return;
	lua_settop(L, tags);
	for (size_t i = 1; i <= passed && !(f->has & RCPT_HAS_MORE); i++)
		if (push_child(L, tags, i, name_key, &name) && !rcpt_child_receipt(name))
			read_child(L, name, id_slot, f);
}

bool rcpt_read_stanza(lua_State *L, int stanza, int base, unsigned wanted, struct rcpt_facts *f)
{
	const int attr = base + LEFT_ATTR;
	f->id = f->from = f->to = f->type = f->received_id = f->stamp = (struct rcpt_str){NULL, 0};
	f->has = f->problems = 0;
	if (!lua_istable(L, stanza))
		return false;
	lua_pushvalue(L, lua_upvalueindex(UP_NAME));
	if (!rcpt_str_eq(top_str(L, push_field(L, stanza, UP_NAME)), RCPT_STR("message")))
		return false;
	const bool has_attr = push_field(L, stanza, UP_ATTR) == LUA_TTABLE;
	lua_pushvalue(L, lua_upvalueindex(UP_XMLNS));
	if (has_attr && !rcpt_stanza_ns(top_str(L, lua_rawget(L, attr))))
		return false;
	if (push_field(L, stanza, UP_TAGS) == LUA_TTABLE)
		read_children(L, attr + 2, base, wanted, f);
	lua_settop(L, attr);
	if (has_attr)
		f->type = top_str(L, push_field(L, attr, UP_TYPE));
	if (!rcpt_facts_could(f, wanted))
		return false;
	if (has_attr) {
		if (!(wanted & RCPT_CONTENT) || (f->has & RCPT_HAS_REQUEST)) /* whether a message could ask does not depend on its id */
			f->id = top_str(L, push_field(L, attr, UP_ID));
		f->from = top_str(L, push_field(L, attr, UP_FROM));
		f->to = top_str(L, push_field(L, attr, UP_TO));
	}
	rcpt_facts_judge(f);
	return wanted == RCPT_ANYTHING || (f->has & wanted);
}

int rcpt_l_inspect(lua_State *L)
{
	struct rcpt_facts f;
	lua_settop(L, 1);
	if (!rcpt_read_stanza(L, 1, 1, RCPT_ANYTHING, &f)) {
		lua_pushnil(L);
		lua_pushstring(L, lua_istable(L, 1) ? "not a message" : "not a stanza");
		return 2;
	}
	rcpt_push_facts(L, &f, 0);
	return 1;
}

/* receipts.examine(stanza): the bits alone. */
int rcpt_l_examine(lua_State *L)
{
	struct rcpt_facts f;
	lua_settop(L, 1);
	if (!rcpt_read_stanza(L, 1, 1, RCPT_ANYTHING, &f))
		return 0;
	rcpt_push_bits(L, &f);
	return 1;
}
