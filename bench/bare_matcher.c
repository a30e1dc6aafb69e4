/* SPDX-License-Identifier: MIT */
/* The floor below message-path, message-path-hot and message-idle: the least that finds out from C which messages were acked.
 *
 * It reads the names of the children, and the type; where there is a receipt element, its attributes and the message's. It notes down
 * the hash of who asks and the id, where that is free, and takes it out when the ack comes. It checks no handle and no metatable,
 * knows no rule and no problem, keeps no id, no time, no order and no bound, does not ask who acks, and guards against nobody who makes
 * up ids: a function that does any of that takes longer.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <string.h>

enum { NAME = 1, TAGS, ATTR, XMLNS, ID, FROM, TO, TYPE, KEYS = TYPE };

/* Hashes, each in one of the first free slots after where it belongs; a third are in use. Not in Lua's memory: the larger that is, the
 * less often it is collected. */
enum { SLOTS = 32768, REACH = 64 };
static uint64_t slots[SLOTS];
static lua_Integer kept;

struct str {
	const char *p;
	size_t n;
};

static struct str field(lua_State *L, int table, int key)
{
	struct str s = {"", 0};
	lua_pushvalue(L, lua_upvalueindex(key));
	if (lua_rawget(L, table) == LUA_TSTRING)
		s.p = lua_tolstring(L, -1, &s.n);
	return s;
}

static int is_receipt(const char *name, size_t n)
{
	return (n == 7 && memcmp(name, "request", 7) == 0) || (n == 8 && memcmp(name, "received", 8) == 0);
}

/* Eight bytes at a time. */
static uint64_t mix(uint64_t hash, const char *p, size_t n)
{
	uint64_t word = 0;
	for (; n > 8; p += 8, n -= 8) {
		memcpy(&word, p, 8);
		hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, p, n);
	hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
	return hash ^ hash >> 32;
}

static uint64_t hash_of(struct str requester, struct str id)
{
	const char *slash = memchr(requester.p, '/', requester.n);
	return mix(mix(184, requester.p, slash ? (size_t)(slash - requester.p) : requester.n), id.p, id.n);
}

/* Makes the first slot within the hash's reach that has this have that, if one has. */
static lua_Integer exchange(uint64_t hash, uint64_t have, uint64_t shall)
{
	for (unsigned i = 0; i < REACH; i++) {
		uint64_t *slot = &slots[(hash + i) % SLOTS];
		if (*slot == have) {
			*slot = shall;
			return 1;
		}
	}
	return 0;
}

/* read(stanza) */
static int l_read(lua_State *L)
{
	enum { STANZA = 1, NAME_AT, TAGS_AT, ATTR_AT };
	lua_settop(L, STANZA);
	lua_pushvalue(L, lua_upvalueindex(NAME));
	lua_pushvalue(L, lua_upvalueindex(TAGS));
	lua_rawget(L, STANZA);
	lua_pushvalue(L, lua_upvalueindex(ATTR));
	lua_rawget(L, STANZA);
	const lua_Integer count = (lua_Integer)lua_rawlen(L, TAGS_AT);
	struct str ns = {"", 0}, id = {"", 0};
	size_t found = 0; /* length of its name */
	for (lua_Integer i = 1; i <= count; i++) {
		size_t n = 0;
		if (i % 5 == 0)
			lua_settop(L, ATTR_AT);
		lua_rawgeti(L, TAGS_AT, i);
		lua_pushvalue(L, NAME_AT);
		lua_rawget(L, -2);
		const char *name = lua_tolstring(L, -1, &n);
		if (!is_receipt(name, n))
			continue;
		const int child = lua_gettop(L) - 1;
		lua_pushvalue(L, lua_upvalueindex(ATTR));
		lua_rawget(L, child);
		ns = field(L, child + 2, XMLNS);
		id = field(L, child + 2, ID);
		lua_settop(L, ATTR_AT);
		found = n;
	}
	field(L, ATTR_AT, TYPE);
	if (!found || ns.n != 17 || memcmp(ns.p, "urn:xmpp:receipts", 17) != 0)
		return 0;
	const struct str own = field(L, ATTR_AT, ID), from = field(L, ATTR_AT, FROM), to = field(L, ATTR_AT, TO);
	const uint64_t hash = found == 7 ? hash_of(from, own) : hash_of(to, id);
	if (found == 7)
		kept += exchange(hash, 0, hash);
	else
		kept -= exchange(hash, hash, 0);
	return 0;
}

/* count(): how many are not acked. */
static int l_count(lua_State *L)
{
	lua_pushinteger(L, kept);
	return 1;
}

/* clear(): forgets all. */
static int l_clear(lua_State *L)
{
	(void)L;
	memset(slots, 0, sizeof slots);
	kept = 0;
	return 0;
}

int luaopen_bare_matcher(lua_State *L)
{
	static const char *const keys[] = {"name", "tags", "attr", "xmlns", "id", "from", "to", "type"};
	lua_newtable(L);
	for (int i = 0; i < KEYS; i++)
		lua_pushstring(L, keys[i]);
	lua_pushcclosure(L, l_read, KEYS);
	lua_setfield(L, -2, "read");
	lua_pushcfunction(L, l_count);
	lua_setfield(L, -2, "count");
	lua_pushcfunction(L, l_clear);
	lua_setfield(L, -2, "clear");
	return 1;
}
