/* SPDX-License-Identifier: MIT */
/* The floor below prosody-memory: the least that knows what is awaited of whom, and in which order it ends.
 *
 * An entry has what it is found by (requester, who was asked, id), its time, and links of four bytes: to the next in its chain, and to
 * the next younger one of all and of its requester, by which the oldest go first. Its id is a UUID, in sixteen bytes. Each JID is kept
 * once. It takes nothing out, holds no state but "awaited", and cannot: links in one direction say who comes after an entry, not who
 * came before. It has room for the bench, and what is not used of that takes no memory.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 131072, JIDS = 32768, TEXT = 1 << 20, UUID = 16, UUID_TEXT = 36 };

struct entry {
	uint32_t next, from, asked;
	uint32_t time; /* seconds; the highest bit: it is acked */
	uint32_t younger, own_younger;
	unsigned char id[UUID];
};

struct jid {
	uint32_t next, text; /* where it begins in the text, which is followed by a 0 */
	uint32_t oldest, youngest;
};

#define ACKED 0x80000000u

struct table {
	struct entry entry[ENTRIES]; /* from 1 on, as JIDs */
	struct jid jid[JIDS];
	uint32_t entries, jids, used, oldest, youngest;
	uint32_t of_id[ENTRIES], of_text[JIDS]; /* heads of chains */
	char text[TEXT];
};

static uint32_t hash_of(const void *p, size_t n)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ ((const unsigned char *)p)[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static struct table *check_table(lua_State *L)
{
	return *(struct table **)luaL_checkudata(L, 1, "bare_table");
}

/* A JID's bare form: its number, or where its number goes when it has none, at the end of its chain. */
static uint32_t *find_jid(lua_State *L, int arg, struct table *t, const char **p, size_t *n)
{
	*p = luaL_checklstring(L, arg, n);
	const char *slash = memchr(*p, '/', *n);
	*n = slash ? (size_t)(slash - *p) : *n;
	uint32_t *link = &t->of_text[hash_of(*p, *n) % JIDS];
	while (*link) {
		const char *text = t->text + t->jid[*link].text;
		if (strncmp(text, *p, *n) == 0 && !text[*n])
			break;
		link = &t->jid[*link].next;
	}
	return link;
}

static uint32_t hold_jid(lua_State *L, int arg, struct table *t)
{
	const char *p;
	size_t n;
	uint32_t *link = find_jid(L, arg, t, &p, &n);
	if (!*link) {
		if (t->jids + 1 == JIDS || t->used + n + 1 > TEXT)
			luaL_error(L, "too many JIDs for this");
		*link = ++t->jids;
		t->jid[*link].text = t->used;
		memcpy(t->text + t->used, p, n);
		t->used += (uint32_t)n + 1;
	}
	return *link;
}

static void check_id(lua_State *L, unsigned char id[UUID])
{
	size_t n;
	const char *text = luaL_checklstring(L, 4, &n);
	luaL_argcheck(L, n == UUID_TEXT, 4, "not a UUID");
	for (int i = 0; i < UUID; i++) {
		char digits[3] = {0};
		text += *text == '-';
		memcpy(digits, text, 2);
		text += 2;
		id[i] = (unsigned char)strtoul(digits, NULL, 16);
	}
}

/* add(table, from, to, id, now) */
static int l_add(lua_State *L)
{
	struct table *t = check_table(L);
	if (t->entries + 1 == ENTRIES)
		return luaL_error(L, "too many entries for this");
	const uint32_t from = hold_jid(L, 2, t), asked = hold_jid(L, 3, t), n = ++t->entries;
	struct entry *e = &t->entry[n];
	struct jid *requester = &t->jid[from];
	check_id(L, e->id);
	e->from = from;
	e->asked = asked;
	e->time = (uint32_t)luaL_checkinteger(L, 5);
	uint32_t *chain = &t->of_id[hash_of(e->id, UUID) % ENTRIES];
	e->next = *chain;
	*chain = n;
	*(t->youngest ? &t->entry[t->youngest].younger : &t->oldest) = n;
	t->youngest = n;
	*(requester->youngest ? &t->entry[requester->youngest].own_younger : &requester->oldest) = n;
	requester->youngest = n;
	return 0;
}

/* match(table, from, to, id): "delivered", once; else "unknown" */
static int l_match(lua_State *L)
{
	struct table *t = check_table(L);
	const char *p;
	size_t n;
	const uint32_t from = *find_jid(L, 2, t, &p, &n), asked = *find_jid(L, 3, t, &p, &n);
	unsigned char id[UUID];
	check_id(L, id);
	for (uint32_t i = t->of_id[hash_of(id, UUID) % ENTRIES]; i; i = t->entry[i].next) {
		struct entry *e = &t->entry[i];
		if (memcmp(e->id, id, UUID) == 0 && e->from == from && e->asked == asked && !(e->time & ACKED)) {
			e->time |= ACKED;
			lua_pushliteral(L, "delivered");
			return 1;
		}
	}
	lua_pushliteral(L, "unknown");
	return 1;
}

/* count(table): how many there are, all of them in both orders. */
static int l_count(lua_State *L)
{
	const struct table *t = check_table(L);
	uint32_t all = 0, own = 0;
	for (uint32_t i = t->oldest; i; i = t->entry[i].younger)
		all++;
	for (uint32_t j = 1; j <= t->jids; j++)
		for (uint32_t i = t->jid[j].oldest; i; i = t->entry[i].own_younger)
			own++;
	lua_pushinteger(L, all == own ? (lua_Integer)all : -1);
	return 1;
}

/* new(): lives as long as the process. */
static int l_new(lua_State *L)
{
	struct table **t = lua_newuserdata(L, sizeof *t);
	*t = calloc(1, sizeof **t);
	if (!*t)
		return luaL_error(L, "out of memory");
	luaL_setmetatable(L, "bare_table");
	return 1;
}

int luaopen_bare_table(lua_State *L);

int luaopen_bare_table(lua_State *L)
{
	static const luaL_Reg methods[] = {{"add", l_add}, {"match", l_match}, {"count", l_count}, {NULL, NULL}};
	luaL_newmetatable(L, "bare_table");
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_newtable(L);
	lua_pushcfunction(L, l_new);
	lua_setfield(L, -2, "new");
	return 1;
}
