/* SPDX-License-Identifier: MIT */
/* Entries of the pending table as Lua tables, and back. */
#include "lua_binding.h"
#include "mem.h"

static const char *const state_names[] = {
	[RCPT_PENDING] = "pending",
	[RCPT_FAILED] = "failed",
	[RCPT_DELIVERED_ONCE] = "delivered",
};
static const char *const type_names[] = {
	[RCPT_NORMAL] = "normal",       [RCPT_CHAT] = "chat",   [RCPT_HEADLINE] = "headline",
	[RCPT_GROUPCHAT] = "groupchat", [RCPT_ERROR] = "error",
};

const char *rcpt_state_name(enum rcpt_state state)
{
	return state_names[state];
}

const char *rcpt_type_name(unsigned flags)
{
	return type_names[flags & RCPT_TYPE_BITS];
}

/* Which of `n` names is the value at the top of the stack? n for none. */
static unsigned index_of(lua_State *L, const char *const names[], unsigned n)
{
	const struct rcpt_str name = rcpt_arg_str(L, -1);
	unsigned i = 0;
	while (i < n && !rcpt_str_eq(name, rcpt_str_of(names[i])))
		i++;
	return i;
}
#define INDEX_OF(L, names) index_of(L, names, sizeof(names) / sizeof *(names))

/* An entry in a collection. */
struct entry_copy {
	double time, shown;
	unsigned flags;
	enum rcpt_state state;
	bool stored, keep;
	size_t from, asked, id; /* lengths; the three texts follow one another */
};

/* Room for `size` more bytes. */
static bool make_room(struct rcpt_collection *c, size_t size)
{
	void *bytes = c->bytes;
	if (!rcpt_grow(&bytes, &c->room, 1, c->used + size)) {
		c->failed = true;
		return false;
	}
	c->bytes = bytes;
	return true;
}

bool rcpt_collect(void *ud, const struct rcpt_entry *e)
{
	struct rcpt_collection *c = ud;
	if (c->skip > 0) {
		c->skip--;
		return true;
	}
	const struct entry_copy head = {e->time, c->now, e->flags, e->state, e->stored, e->keep, e->from.n, e->asked.n, e->id.n};
	const size_t size = sizeof head + e->from.n + e->asked.n + e->id.n;
	if (!make_room(c, size))
		return false;
	char *at = c->bytes + c->used;
	memcpy(at, &head, sizeof head);
	at += sizeof head;
	memcpy(at, e->from.p, e->from.n);
	memcpy(at + e->from.n, e->asked.p, e->asked.n);
	memcpy(at + e->from.n + e->asked.n, e->id.p, e->id.n);
	c->used += size;
	c->entries++;
	return true;
}

static const char *read_copy(const struct rcpt_collection *c, size_t at, struct entry_copy *head)
{
	memcpy(head, c->bytes + at, sizeof *head);
	return c->bytes + at + sizeof *head;
}

static size_t size_of_copy(const struct entry_copy *head)
{
	return sizeof *head + head->from + head->asked + head->id;
}

/* How many entries, from the one at `at` on, are of one requester, came to nothing, and are not stored. */
static uint32_t run_length(const struct rcpt_collection *c, size_t at)
{
	struct rcpt_str from = {NULL, 0};
	for (uint32_t n = 0;; n++) {
		struct entry_copy head;
		if (at == c->used)
			return n;
		const char *text = read_copy(c, at, &head);
		if (head.stored || head.state != RCPT_PENDING || (n > 0 && !rcpt_str_eq(from, (struct rcpt_str){text, head.from})))
			return n;
		from = (struct rcpt_str){text, head.from};
		at += size_of_copy(&head);
	}
}

static void set_name(lua_State *L, const char *key, const char *name)
{
	lua_pushstring(L, name);
	lua_setfield(L, -2, key);
}

static void push_entry(lua_State *L, const struct rcpt_collection *c, const struct entry_copy *head, const char *text)
{
	lua_createtable(L, 0, c->journal ? 12 : 9);
	rcpt_set_str(L, "from", (struct rcpt_str){text, head->from});
	rcpt_set_str(L, "to", (struct rcpt_str){text + head->from, head->asked});
	rcpt_set_str(L, "id", (struct rcpt_str){text + head->from + head->asked, head->id});
	rcpt_set_number(L, "time", head->time);
	set_name(L, "state", rcpt_state_name(head->state));
	set_name(L, "type", rcpt_type_name(head->flags));
	rcpt_set_bool(L, "injected", head->flags & RCPT_INJECTED);
	rcpt_set_bool(L, "occupant", head->flags & RCPT_OCCUPANT);
	rcpt_set_bool(L, "overdue", head->flags & RCPT_OVERDUE);
	if (c->journal) {
		rcpt_set_bool(L, "stored", head->stored);
		rcpt_set_bool(L, "keep", head->keep);
	}
	if (c->dated)
		rcpt_set_number(L, "gone", head->shown);
}

/* What push_collection() is called with. No light userdata: LuaJIT on arm64 has none for some addresses. */
struct prepared {
	struct rcpt_collection *collection;
};

/* Array of { from, to, id, time, state, type, injected, occupant, overdue [, stored, keep] [, gone] }; and how many entries are
 * counted only. Runs protected: the collection is freed whatever happens. */
static int push_collection(lua_State *L)
{
	const struct rcpt_collection *c = ((const struct prepared *)lua_touserdata(L, 1))->collection;
	lua_newtable(L);
	lua_Integer told = 0, counted = 0;
	uint32_t run = 0;
	struct entry_copy head;
	for (size_t at = 0; at < c->used; at += size_of_copy(&head)) {
		const char *text = read_copy(c, at, &head);
		if (c->last > 0 && run == 0)
			run = run_length(c, at);
		const bool counts = run > c->last;
		run -= run > 0;
		if (counts) {
			counted++;
			continue;
		}
		push_entry(L, c, &head, text);
		lua_rawseti(L, -2, (int)++told);
	}
	lua_pushinteger(L, counted);
	return 2;
}

void rcpt_forget_entries(struct rcpt_collection *c)
{
	rcpt_free(c->bytes);
	*c = (struct rcpt_collection){.journal = c->journal, .dated = c->dated};
}

void rcpt_prepare_entries(lua_State *L, struct rcpt_collection *c)
{
	lua_pushcfunction(L, push_collection);
	struct prepared *prepared = lua_newuserdata(L, sizeof *prepared);
	prepared->collection = c;
}

void rcpt_give_entries(lua_State *L, struct rcpt_collection *c)
{
	const bool failed = c->failed;
	const int status = failed ? LUA_ERRMEM : lua_pcall(L, 1, 1, 0);
	rcpt_forget_entries(c);
	if (failed)
		luaL_error(L, "out of memory");
	if (status != LUA_OK)
		lua_error(L);
}

/* Making Lua values can run a finalizer, and that can add to `owed`, or close the table: so we work on a copy. */
void rcpt_tell_entries(lua_State *L, struct rcpt_collection *owed, int results)
{
	struct rcpt_collection c;
	if (owed->failed && owed->used == 0) {
		owed->failed = false;
		luaL_error(L, "out of memory");
	}
	rcpt_prepare_entries(L, &c);
	c = *owed;
	*owed = (struct rcpt_collection){.journal = c.journal, .dated = c.dated};
	if (lua_pcall(L, 1, results, 0) == LUA_OK) {
		rcpt_forget_entries(&c);
		return;
	}
	const struct rcpt_collection added = *owed;
	*owed = c;
	owed->failed = false;
	if (added.used > 0 && make_room(owed, added.used)) {
		memcpy(owed->bytes + owed->used, added.bytes, added.used);
		owed->used += added.used;
		owed->entries += added.entries;
	}
	rcpt_free(added.bytes);
	lua_error(L);
}

bool rcpt_read_type(lua_State *L, int table, unsigned *flags)
{
	rcpt_push_raw_field(L, table, "type");
	const unsigned type = lua_isnil(L, -1) ? RCPT_NORMAL : INDEX_OF(L, type_names);
	lua_pop(L, 1);
	*flags |= type & RCPT_TYPE_BITS;
	return type <= RCPT_ERROR;
}

static bool read_flags(lua_State *L, int table, unsigned *flags)
{
	*flags = (rcpt_flag_field(L, table, "injected") ? RCPT_INJECTED : 0) |
			 (rcpt_flag_field(L, table, "occupant") ? RCPT_OCCUPANT : 0) |
			 (rcpt_flag_field(L, table, "overdue") ? RCPT_OVERDUE : 0);
	return rcpt_read_type(L, table, flags);
}

/* Pushes a field that has to be a string. It stays on the stack, where the string lives. */
static bool read_text(lua_State *L, int table, const char *key, struct rcpt_str *text)
{
	rcpt_push_raw_field(L, table, key);
	*text = rcpt_arg_str(L, -1);
	return text->p;
}

bool rcpt_read_entry(lua_State *L, int table, struct rcpt_entry *e)
{
	if (!lua_istable(L, table) || !read_flags(L, table, &e->flags) || !read_text(L, table, "to", &e->asked) ||
		!read_text(L, table, "id", &e->id))
		return false;
	rcpt_push_raw_field(L, table, "state");
	const unsigned state = INDEX_OF(L, state_names);
	rcpt_push_raw_field(L, table, "time");
	if (state > RCPT_DELIVERED_ONCE || lua_type(L, -1) != LUA_TNUMBER)
		return false;
	e->state = (enum rcpt_state)state;
	e->time = lua_tonumber(L, -1);
	rcpt_push_raw_field(L, table, "stored");
	e->stored = lua_isnil(L, -1) || lua_toboolean(L, -1); /* records say nothing of it */
	return e->time >= 0 && e->time < RCPT_TIME_MAX;
}
