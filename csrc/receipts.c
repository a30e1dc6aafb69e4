/* SPDX-License-Identifier: MIT */
/* The Lua module `receipts`.
 *
 * Lua values are made only after the engine has returned, never inside one of its callbacks that Expat is waiting for. All
 * functions have the upvalues below: the state, the metatables, and the keys of stanza tables, so that reading a field neither
 * hashes nor makes a string.
 *
 * docs/lua-api.md describes the functions for those who call them.
 */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "compat.h"
#include "facts.h"
#include "mem.h"
#include "pending.h"
#include "single.h"

#define VERSION "0.1.0"

#define EXPORT __attribute__((visibility("default")))

/* What a scanner reads before it hands over messages. */
#define SLICE ((size_t)64 << 10)

/* Bits above facts.has in what outgoing() and incoming() return. */
#define PROBLEM_SHIFT 16

enum upvalue {
	UP_STATE = 1,
	UP_PENDING, /* metatables */
	UP_SCANNER,
	UP_READER,
	UP_NOTHING, /* the problems of messages that have none */
	UP_TAGS,    /* keys of a stanza */
	UP_ATTR,
	UP_NAME,
	UP_XMLNS,
	UP_ID,
	UP_FROM,
	UP_TO,
	UP_TYPE,
	UPVALUES = UP_TYPE
};

struct reader_box {
	struct rcpt_single *reader;
	bool taken; /* somebody reads with it; or a Lua error came between, and it is left to the collector */
};

struct state {
	struct rcpt_key key;
	struct reader_box *box; /* for parse(), kept by the user value; or NULL */
};

/* Entries that the engine has shown us, one behind the other: making Lua values may raise an error, so that waits. */
struct collection {
	char *bytes;
	size_t used, room;
	uint32_t entries;
	uint32_t last; /* of a run of entries that nobody will miss, so many are told in full and the others counted; 0: all */
	bool failed;
	bool journal; /* what the store has is told with each */
	bool dated;   /* and when it was shown to us */
	double now;
};

/* Handles begin with what they are, so that telling them apart needs no look at metatables. */
enum handle { SCANNER, PENDING };
static const char *const handle_names[] = {[SCANNER] = "scanner", [PENDING] = "pending table"};

/* So many evicted entries are worth a call of evicted(). */
#define EVICTED_MANY 256

struct pending_handle {
	const char *const *kind; /* &handle_names[PENDING] */
	struct rcpt_pending *t;  /* NULL once closed */
	/* What has happened to entries and Lua has not been told yet: that which made room for others since the last call of
	 * evicted(), and what the last calls of expire() and overdue() had no memory to tell. */
	struct collection evicted, expired, overdue;
};

struct scanner_handle {
	const char *const *kind; /* &handle_names[SCANNER] */
	struct rcpt_xml *x;
	bool only_receipts;
	bool closed;
	bool interrupted; /* reading and handing over; or a Lua error came between the two, and what followed in the chunk is lost */
	uint64_t bytes;
};

/* -- Small helpers --------------------------------------------------------------------------------------------------- */

static struct state *get_state(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(UP_STATE));
}

static struct rcpt_str check_str(lua_State *L, int arg)
{
	struct rcpt_str s;
	luaL_checktype(L, arg, LUA_TSTRING);
	s.p = lua_tolstring(L, arg, &s.n);
	return s;
}

/* A string that may be absent, as which anything else counts too. */
static struct rcpt_str arg_str(lua_State *L, int arg)
{
	struct rcpt_str s = {NULL, 0};
	if (lua_type(L, arg) == LUA_TSTRING)
		s.p = lua_tolstring(L, arg, &s.n);
	return s;
}

/* Seconds since the epoch: any number that the pending table can keep. */
static double check_time(lua_State *L, int arg)
{
	const double now = luaL_checknumber(L, arg);
	luaL_argcheck(L, now >= 0 && now < RCPT_TIME_MAX, arg, "not a time in seconds since the epoch");
	return now;
}

static void set_str(lua_State *L, const char *key, struct rcpt_str s)
{
	if (!s.p)
		return;
	lua_pushlstring(L, s.p, s.n);
	lua_setfield(L, -2, key);
}

static void set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, uint64_t value)
{
	rcpt_push_count(L, value);
	lua_setfield(L, -2, key);
}

/* A field of a table, without metamethods: nothing of the caller's runs while we work. */
static void push_raw_field(lua_State *L, int table, const char *key)
{
	lua_pushstring(L, key);
	lua_rawget(L, table);
}

static bool flag_field(lua_State *L, int table, const char *key)
{
	push_raw_field(L, table, key);
	const bool set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

static bool is_among(struct rcpt_str s, const char *const names[])
{
	for (; *names; names++)
		if (rcpt_str_eq(s, (struct rcpt_str){*names, strlen(*names)}))
			return true;
	return false;
}

/* A table of these options, or none at all. An option that is misspelt would count as left out: it is an error. */
static void check_options(lua_State *L, int table, const char *const names[])
{
	if (lua_isnoneornil(L, table))
		return;
	luaL_checktype(L, table, LUA_TTABLE);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		lua_pop(L, 1);
		if (is_among(arg_str(L, -1), names))
			continue;
		const char *name = lua_tostring(L, -1);
		luaL_error(L, "there is no option '%s'", name ? name : luaL_typename(L, -1));
	}
}

/* A number from an options table, or its default. Limits are whole numbers. */
static double option(lua_State *L, int table, const char *key, int least, int most, double standard)
{
	if (lua_isnoneornil(L, table))
		return standard;
	push_raw_field(L, table, key);
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

/* The handle at `arg`. No other userdata begins with an address in our array. */
static void *check_handle(lua_State *L, int arg, enum handle kind)
{
	void *handle = lua_touserdata(L, arg);
	if (handle && lua_rawlen(L, arg) >= sizeof handle_names[0] && *(const char *const *const *)handle == &handle_names[kind])
		return handle;
	luaL_error(L, "bad argument #%d (%s expected, got %s)", arg, handle_names[kind], luaL_typename(L, arg));
	return NULL;
}

static const char *const type_names[] = {"normal", "chat", "headline", "groupchat", "error"};

static struct rcpt_str type_name(unsigned type)
{
	return (struct rcpt_str){type_names[type], strlen(type_names[type])};
}

/* -- Facts as a Lua table -------------------------------------------------------------------------------------------- */

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

/* With room for `more` fields. */
static void push_facts(lua_State *L, const struct rcpt_facts *f, int more)
{
	lua_createtable(L, 0, more + 4 + !!f->id.p + !!f->from.p + !!f->to.p + !!f->type.p + !!f->received_id.p);
	set_str(L, "id", f->id);
	set_str(L, "from", f->from);
	set_str(L, "to", f->to);
	set_str(L, "type", f->type);
	set_str(L, "received_id", f->received_id);
	set_bool(L, "body", f->has & RCPT_HAS_BODY);
	set_bool(L, "request", f->has & RCPT_HAS_REQUEST);
	set_bool(L, "received", f->has & RCPT_HAS_RECEIVED);
	push_problems(L, f->problems);
	lua_setfield(L, -2, "problems");
}

/* All facts as one integer, so that nothing is made for the garbage collector. */
static void push_bits(lua_State *L, const struct rcpt_facts *f)
{
	lua_pushinteger(L, (lua_Integer)f->has | (lua_Integer)f->problems << PROBLEM_SHIFT);
}

/* nil, reason, position */
static int push_xml_error(lua_State *L, const char *reason, struct rcpt_xml_position where)
{
	lua_pushnil(L);
	lua_pushstring(L, reason);
	lua_createtable(L, 0, 3);
	set_integer(L, "byte", where.byte);
	set_integer(L, "line", where.line);
	set_integer(L, "column", where.column);
	return 3;
}

/* Pushes a box with a reader in it: the one that the state keeps, or a new one. Making Lua values can run a finalizer, and that
 * can parse: it gets a reader of its own. NULL, with nothing pushed, when memory has run out. */
static struct reader_box *take_reader(lua_State *L)
{
	static const struct rcpt_xml_limits limits = {RCPT_XML_BYTES, RCPT_XML_DEPTH, RCPT_XML_ATTR, false, false};
	struct state *state = get_state(L);
	if (state->box && !state->box->taken && state->box->reader) {
		lua_getuservalue(L, lua_upvalueindex(UP_STATE));
		state->box->taken = true;
		return state->box;
	}
	struct reader_box *box = lua_newuserdata(L, sizeof *box);
	*box = (struct reader_box){.taken = true};
	lua_pushvalue(L, lua_upvalueindex(UP_READER));
	lua_setmetatable(L, -2);
	box->reader = rcpt_single_new(&limits, (unsigned long)state->key.k0);
	if (!box->reader) {
		lua_pop(L, 1);
		return NULL;
	}
	lua_pushvalue(L, -1);
	lua_setuservalue(L, lua_upvalueindex(UP_STATE));
	state->box = box;
	return box;
}

static int l_parse(lua_State *L)
{
	const struct rcpt_str xml = check_str(L, 1);
	lua_settop(L, 1);
	struct reader_box *box = take_reader(L); /* stays on the stack: another may take its place in the state */
	if (!box) {
		lua_pushnil(L);
		lua_pushliteral(L, "out of memory");
		return 2;
	}
	struct rcpt_facts f;
	int results = 1;
	if (rcpt_single_read(box->reader, xml.p, xml.n, &f) == RCPT_XML_OK)
		push_facts(L, &f, 0);
	else
		results = push_xml_error(L, rcpt_single_reason(box->reader), rcpt_single_position(box->reader));
	box->taken = false;
	return results;
}

static int l_reader_gc(lua_State *L)
{
	struct reader_box *box = lua_touserdata(L, 1);
	rcpt_single_free(box->reader);
	box->reader = NULL;
	return 0;
}

/* -- The stanza reader ----------------------------------------------------------------------------------------------- */

/* Most messages have nothing to do with receipts, and what reading them costs is calls of Lua's API: so there are as few as can
 * be. Values stay on the stack until there are too many, the key that is needed for each child is copied to it, and nothing is
 * read that nobody asks for. The stack has room for LUA_MINSTACK values beyond the arguments, and more is not asked for, which
 * could fail: one of the caller's, 5 of the message, 2 for each of AT_ONCE children, and 4 that read_child() or
 * read_stanza() look at. */
#define AT_ONCE 5
_Static_assert(1 + 5 + 2 * AT_ONCE + 4 <= LUA_MINSTACK, "a stanza is read on the stack that every C function has");

/* What read_stanza() leaves on the stack, above the arguments. */
enum { LEFT_NAME_KEY = 1, LEFT_RECEIVED_ID, LEFT };

/* Pushes a field of a table, by one of our key upvalues, and returns its type. */
static int push_field(lua_State *L, int table, enum upvalue key)
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
		const bool blank = text.p && strspn(text.p, " \t\r\n") == text.n;
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

/* The facts of a util.stanza at `stanza`, below the top of the stack at `base`, read to the end where one of `wanted` may be
 * among them. Tells whether one is; false for what is no message, too. The facts' strings are those of the stanza. Whatever the
 * table holds, this raises no error. */
static bool read_stanza(lua_State *L, int stanza, int base, unsigned wanted, struct rcpt_facts *f)
{
	const int attr = base + LEFT;
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
	lua_settop(L, base + LEFT - 1);
	rcpt_facts_judge(f);
	return wanted == RCPT_ANYTHING || (f->has & wanted);
}

static int l_inspect(lua_State *L)
{
	struct rcpt_facts f;
	lua_settop(L, 1);
	if (!read_stanza(L, 1, 1, RCPT_ANYTHING, &f)) {
		lua_pushnil(L);
		lua_pushstring(L, lua_istable(L, 1) ? "not a message" : "not a stanza");
		return 2;
	}
	push_facts(L, &f, 0);
	return 1;
}

/* -- Scanner --------------------------------------------------------------------------------------------------------- */

static struct scanner_handle *check_scanner(lua_State *L)
{
	struct scanner_handle *s = check_handle(L, 1, SCANNER);
	if (s->closed)
		luaL_error(L, "the scanner is closed");
	return s;
}

static int l_scanner(lua_State *L)
{
	static const char *const names[] = {"only_receipts", "only_summary", "comments", "max_bytes", "max_depth", "max_attr", NULL};
	check_options(L, 1, names);
	struct rcpt_xml_limits limits = {
		.bytes = (size_t)option(L, 1, "max_bytes", 64, 1 << 30, (double)RCPT_XML_BYTES),
		.depth = (unsigned)option(L, 1, "max_depth", 1, 100000, RCPT_XML_DEPTH),
		.attr = (size_t)option(L, 1, "max_attr", 1, 1 << 30, (double)RCPT_XML_ATTR),
	};
	struct scanner_handle *s = lua_newuserdata(L, sizeof *s);
	memset(s, 0, sizeof *s);
	s->kind = &handle_names[SCANNER];
	lua_pushvalue(L, lua_upvalueindex(UP_SCANNER));
	lua_setmetatable(L, -2);
	if (lua_istable(L, 1)) {
		s->only_receipts = flag_field(L, 1, "only_receipts");
		limits.comments = flag_field(L, 1, "comments");
		limits.only_count = flag_field(L, 1, "only_summary");
	}
	s->x = rcpt_xml_new(&limits, (unsigned long)get_state(L)->key.k0);
	if (!s->x)
		return luaL_error(L, "out of memory");
	return 1;
}

static int scanner_error(lua_State *L, const struct scanner_handle *s)
{
	if (!s->interrupted)
		return push_xml_error(L, rcpt_xml_reason(s->x), rcpt_xml_position(s->x));
	lua_pushnil(L);
	lua_pushliteral(L, "an earlier call was interrupted by an error");
	return 2;
}

/* Appends the messages that were read to the array at the top of the stack, which holds *n. */
static void drain(lua_State *L, struct scanner_handle *s, int *n)
{
	struct rcpt_facts f;
	uint64_t line;
	while (rcpt_xml_next(s->x, &f, &line)) {
		if (s->only_receipts && !(f.has & (RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED)))
			continue;
		push_facts(L, &f, 2 + !!f.stamp.p);
		set_integer(L, "line", line);
		set_str(L, "stamp", f.stamp);
		push_bits(L, &f);
		lua_setfield(L, -2, "bits");
		lua_rawseti(L, -2, ++*n);
	}
}

/* The array at the top of the stack; or nil, reason, position and that array. */
static int give_messages(lua_State *L, struct scanner_handle *s, enum rcpt_xml_status status)
{
	s->interrupted = false;
	if (status == RCPT_XML_OK)
		return 1;
	const int list = lua_gettop(L);
	const int results = scanner_error(L, s);
	lua_pushvalue(L, list);
	return results + 1;
}

static int l_scanner_feed(lua_State *L)
{
	struct scanner_handle *s = check_scanner(L);
	const struct rcpt_str chunk = check_str(L, 2);
	lua_settop(L, 2);
	if (s->interrupted)
		return scanner_error(L, s);
	s->interrupted = true;
	lua_newtable(L);
	int n = 0;
	size_t at = 0;
	enum rcpt_xml_status status;
	do {
		const size_t size = chunk.n - at < SLICE ? chunk.n - at : SLICE;
		status = rcpt_xml_feed(s->x, chunk.p + at, size);
		at += size;
		drain(L, s, &n);
	} while (at < chunk.n && status == RCPT_XML_OK);
	s->bytes += chunk.n;
	return give_messages(L, s, status);
}

static int l_scanner_finish(lua_State *L)
{
	struct scanner_handle *s = check_scanner(L);
	lua_settop(L, 1);
	if (s->interrupted)
		return scanner_error(L, s);
	s->interrupted = true;
	lua_newtable(L);
	int n = 0;
	const enum rcpt_xml_status status = rcpt_xml_finish(s->x);
	drain(L, s, &n);
	return give_messages(L, s, status);
}

static int l_scanner_summary(lua_State *L)
{
	const struct scanner_handle *s = check_scanner(L);
	const struct rcpt_xml_counts *counts = rcpt_xml_counts(s->x);
	lua_createtable(L, 0, 5);
	set_integer(L, "messages", counts->messages);
	set_integer(L, "requests", counts->requests);
	set_integer(L, "acks", counts->acks);
	set_integer(L, "bytes", s->bytes);
	lua_newtable(L);
	for (unsigned i = 0; i < RCPT_PROBLEMS; i++)
		if (counts->problems[i] > 0)
			set_integer(L, rcpt_problem_name(i), counts->problems[i]);
	lua_setfield(L, -2, "problems");
	return 1;
}

/* A finalizer that runs while we hand over may close the scanner: then its memory goes with the scanner itself. */
static int l_scanner_close(lua_State *L)
{
	struct scanner_handle *s = check_handle(L, 1, SCANNER);
	s->closed = true;
	if (s->interrupted)
		return 0;
	rcpt_xml_free(s->x);
	s->x = NULL;
	return 0;
}

/* As Lua ends, other finalizers may still come to the scanner after its own has run. */
static int l_scanner_gc(lua_State *L)
{
	struct scanner_handle *s = check_handle(L, 1, SCANNER);
	s->closed = true;
	rcpt_xml_free(s->x);
	s->x = NULL;
	return 0;
}

/* -- Pending table --------------------------------------------------------------------------------------------------- */

static struct rcpt_pending *open_table(lua_State *L, const struct pending_handle *h)
{
	if (!h->t)
		luaL_error(L, "the pending table is closed");
	return h->t;
}

static struct rcpt_pending *check_pending(lua_State *L)
{
	return open_table(L, check_handle(L, 1, PENDING));
}

/* The table of the handle at 1, for what may make others go at the time `now`. */
static struct rcpt_pending *table_at(lua_State *L, double now)
{
	struct pending_handle *h = lua_touserdata(L, 1);
	h->evicted.now = now;
	return open_table(L, h);
}

static struct rcpt_pending_limits check_limits(lua_State *L, int arg)
{
	static const char *const names[] = {"capacity", "per_user", "ttl", "remember", NULL};
	check_options(L, arg, names);
	return (struct rcpt_pending_limits){
		.capacity = (uint32_t)option(L, arg, "capacity", 1, RCPT_CAPACITY_MAX, 1000000),
		.per_user = (uint32_t)option(L, arg, "per_user", 1, RCPT_CAPACITY_MAX, 1000),
		.ttl = option(L, arg, "ttl", 0, (int)RCPT_SPAN_MAX, 7 * 86400),
		.remember = option(L, arg, "remember", 0, (int)RCPT_SPAN_MAX, 3600),
	};
}

static int l_pending(lua_State *L)
{
	const struct rcpt_pending_limits limits = check_limits(L, 1);
	struct pending_handle *h = lua_newuserdata(L, sizeof *h);
	*h = (struct pending_handle){.kind = &handle_names[PENDING]};
	lua_pushvalue(L, lua_upvalueindex(UP_PENDING));
	lua_setmetatable(L, -2);
	h->t = rcpt_pending_new(&limits, &get_state(L)->key);
	if (!h->t)
		return luaL_error(L, "out of memory");
	return 1;
}

static int l_pending_limit(lua_State *L)
{
	check_pending(L);
	const struct rcpt_pending_limits limits = check_limits(L, 2);
	rcpt_pending_limit(check_pending(L), &limits);
	return 0;
}

static const char *status_name(enum rcpt_status status)
{
	switch (status) {
	case RCPT_OK:
		return "asked";
	case RCPT_KNOWN:
		return "known";
	case RCPT_FULL:
		return "full";
	case RCPT_TOO_LONG:
		return "id or address too long or empty";
	case RCPT_TOO_OLD:
		return "expired";
	case RCPT_NO_MEMORY:
		return "out of memory";
	}
	return "unknown status";
}

static int push_status(lua_State *L, enum rcpt_status status)
{
	if (status == RCPT_OK) {
		lua_pushboolean(L, true);
		return 1;
	}
	if (status == RCPT_KNOWN)
		lua_pushboolean(L, true);
	else
		lua_pushnil(L);
	lua_pushstring(L, status_name(status));
	return 2;
}

/* { injected = bool, occupant = bool, overdue = bool, type = string }, all of it optional. False where the type is none of the
 * five. */
static bool entry_flags(lua_State *L, int table, unsigned *flags)
{
	*flags = (flag_field(L, table, "injected") ? RCPT_INJECTED : 0) | (flag_field(L, table, "occupant") ? RCPT_OCCUPANT : 0) |
			 (flag_field(L, table, "overdue") ? RCPT_OVERDUE : 0);
	push_raw_field(L, table, "type");
	bool ok = lua_isnil(L, -1);
	for (unsigned i = 0; i < sizeof type_names / sizeof *type_names && !ok; i++)
		if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), type_names[i]) == 0) {
			*flags |= i;
			ok = true;
		}
	lua_pop(L, 1);
	return ok;
}

static int l_pending_add(lua_State *L)
{
	check_pending(L);
	const struct rcpt_str from = check_str(L, 2), to = check_str(L, 3), id = check_str(L, 4);
	const double now = check_time(L, 5);
	unsigned flags = 0;
	if (!lua_isnoneornil(L, 6)) {
		luaL_checktype(L, 6, LUA_TTABLE);
		luaL_argcheck(L, entry_flags(L, 6, &flags), 6, "type is not a message type");
	}
	return push_status(L, rcpt_pending_add(table_at(L, now), from, to, id, now, flags));
}

/* age, injected, type, occupant */
static int push_answer(lua_State *L, const struct rcpt_answer *answer)
{
	lua_pushnumber(L, answer->age);
	lua_pushboolean(L, (answer->flags & RCPT_INJECTED) != 0);
	lua_pushstring(L, type_names[answer->flags & RCPT_TYPE_BITS]);
	lua_pushboolean(L, (answer->flags & RCPT_OCCUPANT) != 0);
	return 4;
}

static void push_verdict(lua_State *L, enum rcpt_verdict verdict)
{
	static const char *const names[] = {
		[RCPT_UNKNOWN] = "unknown",
		[RCPT_DELIVERED] = "delivered",
		[RCPT_DUPLICATE] = "duplicate",
		[RCPT_FORGED] = "forged",
	};
	lua_pushstring(L, names[verdict]);
}

/* The answer, if the verdict says that there is one. */
static int push_answer_of(lua_State *L, enum rcpt_verdict verdict, const struct rcpt_answer *answer)
{
	return verdict == RCPT_DELIVERED || verdict == RCPT_DUPLICATE ? push_answer(L, answer) : 0;
}

static int l_pending_match(lua_State *L)
{
	struct rcpt_pending *t = check_pending(L);
	const struct rcpt_str from = check_str(L, 2), to = check_str(L, 3), id = check_str(L, 4);
	struct rcpt_answer answer;
	const enum rcpt_verdict verdict = rcpt_pending_match(t, from, to, id, check_time(L, 5), &answer);
	push_verdict(L, verdict);
	return 1 + push_answer_of(L, verdict, &answer);
}

static int l_pending_fail(lua_State *L)
{
	struct rcpt_pending *t = check_pending(L);
	const struct rcpt_str from = check_str(L, 2), to = check_str(L, 3), id = check_str(L, 4);
	struct rcpt_answer answer;
	if (!rcpt_pending_fail(t, from, to, id, check_time(L, 5), &answer)) {
		lua_pushboolean(L, false);
		return 1;
	}
	lua_pushboolean(L, true);
	return 1 + push_answer(L, &answer);
}

static const char *const state_names[] = {
	[RCPT_PENDING] = "pending",
	[RCPT_FAILED] = "failed",
	[RCPT_DELIVERED_ONCE] = "delivered",
};

static int l_pending_state(lua_State *L)
{
	const struct rcpt_str from = check_str(L, 2), to = check_str(L, 3), id = check_str(L, 4);
	enum rcpt_state state;
	if (!rcpt_pending_state(check_pending(L), from, to, id, &state))
		return 0;
	lua_pushstring(L, state_names[state]);
	return 1;
}

/* Is `to` an occupant of one of the rooms (a set of bare JIDs) at `arg`? */
static bool in_rooms(lua_State *L, int arg, struct rcpt_str to)
{
	const struct rcpt_str bare = rcpt_jid_bare(to);
	if (!lua_istable(L, arg))
		return false;
	lua_pushlstring(L, bare.p, bare.n);
	lua_rawget(L, arg);
	const bool found = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return found;
}

/* Adds a message that asks. Pushes what became of it, and whether many entries have been evicted that nobody has asked for.
 * `occupant`: it is sent to one, or by one; `rooms`: index of a set of the bare JIDs of rooms that the client is in, or of
 * anything else. */
static int ask(lua_State *L, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now, unsigned type,
			   bool occupant, int rooms)
{
	if (!to.p)
		to = from; /* no address stands for oneself */
	const bool full = rcpt_jid_bare(to).n < to.n;
	const unsigned flags = type | (full && (occupant || in_rooms(L, rooms, to)) ? RCPT_OCCUPANT : 0);
	const struct pending_handle *h = lua_touserdata(L, 1);
	lua_pushstring(L, status_name(rcpt_pending_add(table_at(L, now), from, to, id, now, flags)));
	lua_pushboolean(L, h->evicted.entries >= EVICTED_MANY);
	return 2;
}

/* pending:ask(from, to, id, now, type, rooms): a local client sends a message that asks, of which these are the attributes. */
static int l_pending_ask(lua_State *L)
{
	check_handle(L, 1, PENDING);
	lua_settop(L, 7);
	const struct rcpt_facts f = {.from = arg_str(L, 2), .to = arg_str(L, 3), .id = arg_str(L, 4), .type = arg_str(L, 6)};
	return ask(L, f.from, f.to, f.id, check_time(L, 5), rcpt_facts_type(&f), false, 7);
}

/* pending:outgoing(stanza, now [, rooms]): a local client sends a message. */
static int l_pending_outgoing(lua_State *L)
{
	open_table(L, check_handle(L, 1, PENDING));
	const double now = check_time(L, 3);
	struct rcpt_facts f;
	lua_settop(L, 4);
	if (!read_stanza(L, 2, 4, RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED | RCPT_CONTENT, &f))
		return 0;
	push_bits(L, &f);
	if (!(f.has & RCPT_ASKS))
		return 1;
	return 1 + ask(L, f.from, f.to, f.id, now, rcpt_facts_type(&f), f.has & RCPT_HAS_OCCUPANT, 4);
}

/* Pushes verdict, id, age, injected, type, occupant, as far as there are any. */
static int meet(lua_State *L, struct rcpt_pending *t, const struct rcpt_facts *f, double now)
{
	const struct rcpt_str requester = f->to.p ? f->to : f->from;
	struct rcpt_answer answer;
	if ((f->has & RCPT_BOUNCE) && rcpt_pending_fail(t, requester, f->from, f->id, now, &answer)) {
		lua_pushliteral(L, "failed");
		lua_pushlstring(L, f->id.p, f->id.n);
		return 2 + push_answer(L, &answer);
	}
	if (!(f->has & RCPT_ACKS))
		return 0;
	const struct rcpt_str id = rcpt_str_blank(f->received_id) ? f->id : f->received_id; /* revision 1.0 has only the message's */
	const enum rcpt_verdict verdict = rcpt_pending_match(t, requester, f->from, id, now, &answer);
	push_verdict(L, verdict);
	if (rcpt_str_blank(id))
		lua_pushnil(L);
	else
		lua_pushlstring(L, id.p, id.n);
	return 2 + push_answer_of(L, verdict, &answer);
}

/* pending:incoming(stanza, now): a message comes to a local user. */
static int l_pending_incoming(lua_State *L)
{
	struct rcpt_pending *t = check_pending(L);
	const double now = check_time(L, 3);
	struct rcpt_facts f;
	lua_settop(L, 3);
	if (!read_stanza(L, 2, 3, RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED | RCPT_BOUNCE, &f))
		return 0;
	push_bits(L, &f);
	return 1 + meet(L, t, &f, now);
}

/* receipts.examine(stanza): the bits alone. */
static int l_examine(lua_State *L)
{
	struct rcpt_facts f;
	lua_settop(L, 1);
	if (!read_stanza(L, 1, 1, RCPT_ANYTHING, &f))
		return 0;
	push_bits(L, &f);
	return 1;
}

/* An entry in a collection. */
struct entry_copy {
	double time, shown;
	unsigned flags;
	enum rcpt_state state;
	bool stored, keep;
	size_t from, asked, id; /* lengths; the three texts follow one another */
};

/* Room for `size` more bytes. */
static bool make_room(struct collection *c, size_t size)
{
	if (c->room - c->used >= size)
		return true;
	const size_t room = (c->room + size) * 2;
	char *bytes = rcpt_realloc(c->bytes, room);
	if (!bytes) {
		c->failed = true;
		return false;
	}
	c->bytes = bytes;
	c->room = room;
	return true;
}

static bool collect(void *ud, const struct rcpt_entry *e)
{
	struct collection *c = ud;
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

static const char *read_copy(const struct collection *c, size_t at, struct entry_copy *head)
{
	memcpy(head, c->bytes + at, sizeof *head);
	return c->bytes + at + sizeof *head;
}

static size_t size_of_copy(const struct entry_copy *head)
{
	return sizeof *head + head->from + head->asked + head->id;
}

/* How many entries, from the one at `at` on, are of one requester, came to nothing, and are not stored. */
static uint32_t run_length(const struct collection *c, size_t at)
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

static void push_entry(lua_State *L, const struct collection *c, const struct entry_copy *head, const char *text)
{
	lua_createtable(L, 0, c->journal ? 12 : 9);
	set_str(L, "from", (struct rcpt_str){text, head->from});
	set_str(L, "to", (struct rcpt_str){text + head->from, head->asked});
	set_str(L, "id", (struct rcpt_str){text + head->from + head->asked, head->id});
	set_number(L, "time", head->time);
	set_str(L, "state", (struct rcpt_str){state_names[head->state], strlen(state_names[head->state])});
	set_str(L, "type", type_name(head->flags & RCPT_TYPE_BITS));
	set_bool(L, "injected", head->flags & RCPT_INJECTED);
	set_bool(L, "occupant", head->flags & RCPT_OCCUPANT);
	set_bool(L, "overdue", head->flags & RCPT_OVERDUE);
	if (c->journal) {
		set_bool(L, "stored", head->stored);
		set_bool(L, "keep", head->keep);
	}
	if (c->dated)
		set_number(L, "gone", head->shown);
}

/* Array of { from, to, id, time, state, type, injected, occupant, overdue [, stored, keep] [, gone] }; and how many entries are
 * counted only. Runs protected: the collection is freed whatever happens. */
static int push_collection(lua_State *L)
{
	const struct collection *c = lua_touserdata(L, 1);
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

static void empty(struct collection *c)
{
	rcpt_free(c->bytes);
	*c = (struct collection){.journal = c->journal, .dated = c->dated};
}

/* Pushes the call that will push the collection. In LuaJIT that takes memory, and raises an error where there is none, or runs a
 * finalizer that closes the table: so it comes before there is anything to lose. */
static void prepare_to_push(lua_State *L, struct collection *c)
{
	lua_pushcfunction(L, push_collection);
	lua_pushlightuserdata(L, c);
}

/* Pushes the collection, for which that was prepared, as a table and frees it. */
static void give(lua_State *L, struct collection *c)
{
	const bool failed = c->failed;
	const int status = failed ? LUA_ERRMEM : lua_pcall(L, 1, 1, 0);
	empty(c);
	if (failed)
		luaL_error(L, "out of memory");
	if (status != LUA_OK)
		lua_error(L);
}

/* The same for what exists nowhere else: what cannot be told now is told by the next call. Making Lua values can run a finalizer,
 * and that can add to `owed`, or close the table: so we work on a copy. */
static void tell(lua_State *L, struct collection *owed, int results)
{
	struct collection c;
	if (owed->failed && owed->used == 0) {
		owed->failed = false;
		luaL_error(L, "out of memory");
	}
	prepare_to_push(L, &c);
	c = *owed;
	*owed = (struct collection){.journal = c.journal, .dated = c.dated};
	if (lua_pcall(L, 1, results, 0) == LUA_OK) {
		empty(&c);
		return;
	}
	const struct collection added = *owed;
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

/* A count of entries that one call may deal with. */
static uint32_t check_max(lua_State *L, int arg)
{
	const lua_Integer max = luaL_optinteger(L, arg, 64);
	luaL_argcheck(L, max >= 1 && max <= 1000000, arg, "not from 1 to 1000000");
	return (uint32_t)max;
}

/* A requester; the empty string, for all of them, where the argument is absent. */
static struct rcpt_str opt_from(lua_State *L, int arg)
{
	return lua_isnoneornil(L, arg) ? RCPT_STR("") : check_str(L, arg);
}

static int l_pending_expire(lua_State *L)
{
	struct pending_handle *h = check_handle(L, 1, PENDING);
	struct rcpt_pending *t = open_table(L, h);
	const double now = check_time(L, 2);
	const uint32_t max = check_max(L, 3);
	const struct rcpt_str from = opt_from(L, 4);
	luaL_checkstack(L, 8, NULL);
	lua_pushinteger(L, (lua_Integer)rcpt_pending_expire(t, from, now, max, collect, &h->expired));
	tell(L, &h->expired, 1);
	return 2;
}

static int l_pending_overdue(lua_State *L)
{
	struct pending_handle *h = check_handle(L, 1, PENDING);
	struct rcpt_pending *t = open_table(L, h);
	const double now = check_time(L, 2), age = luaL_checknumber(L, 3);
	const uint32_t max = check_max(L, 4);
	const struct rcpt_str from = opt_from(L, 5);
	luaL_checkstack(L, 8, NULL);
	lua_pushinteger(L, (lua_Integer)rcpt_pending_overdue(t, from, now, age, max, collect, &h->overdue));
	tell(L, &h->overdue, 1);
	return 2;
}

static int l_pending_forget(lua_State *L)
{
	struct rcpt_pending *t = check_pending(L);
	lua_pushinteger(L, (lua_Integer)rcpt_pending_forget(t, check_str(L, 2)));
	return 1;
}

static int l_pending_journal(lua_State *L)
{
	struct pending_handle *h = check_handle(L, 1, PENDING);
	rcpt_pending_journal(check_pending(L), collect, &h->evicted);
	h->evicted.journal = h->evicted.dated = h->expired.journal = true;
	return 0;
}

static void close_table(struct pending_handle *h)
{
	rcpt_pending_free(h->t);
	empty(&h->evicted);
	empty(&h->expired);
	empty(&h->overdue);
	*h = (struct pending_handle){.kind = h->kind};
}

/* pending:take_over(other): all that another table holds, which is closed. */
static int l_pending_take_over(lua_State *L)
{
	struct pending_handle *h = check_handle(L, 1, PENDING);
	struct pending_handle *other = check_handle(L, 2, PENDING);
	open_table(L, other);
	if (h == other)
		return 0;
	close_table(h);
	*h = *other;
	*other = (struct pending_handle){.kind = h->kind};
	if (h->evicted.journal)
		rcpt_pending_journal(h->t, collect, &h->evicted);
	return 0;
}

static int l_pending_evicted(lua_State *L)
{
	struct pending_handle *h = check_handle(L, 1, PENDING);
	const lua_Integer last = luaL_optinteger(L, 2, 0);
	luaL_argcheck(L, last >= 0 && last <= 1000000, 2, "not from 0 to 1000000");
	open_table(L, h);
	if (h->evicted.used == 0)
		return 0;
	h->evicted.last = (uint32_t)last;
	tell(L, &h->evicted, 2);
	return 2;
}

static int l_pending_changed(lua_State *L)
{
	check_pending(L);
	const double now = lua_isnoneornil(L, 2) ? 0 : check_time(L, 2), young = luaL_optnumber(L, 3, 0);
	luaL_argcheck(L, young >= 0 && young <= RCPT_SPAN_MAX, 3, "not a span of time");
	luaL_checkstack(L, 8, NULL);
	struct collection c = {.journal = true};
	prepare_to_push(L, &c);
	const struct rcpt_str from = rcpt_pending_changed(check_pending(L), now, young, collect, &c);
	if (from.n == 0)
		return 0;
	give(L, &c);
	lua_rawgeti(L, -1, 1);
	push_raw_field(L, lua_gettop(L), "from");
	lua_insert(L, -3);
	lua_pop(L, 1);
	return 2;
}

static int l_pending_saved(lua_State *L)
{
	rcpt_pending_saved(check_pending(L), lua_toboolean(L, 2));
	return 0;
}

static int show_entries(lua_State *L, bool delivered)
{
	check_pending(L);
	const struct rcpt_str from = check_str(L, 2);
	struct collection c = {0};
	prepare_to_push(L, &c);
	rcpt_pending_each(check_pending(L), from, delivered, collect, &c);
	give(L, &c);
	return 1;
}

static int l_pending_list(lua_State *L)
{
	return show_entries(L, false);
}

static int l_pending_export(lua_State *L)
{
	return show_entries(L, true);
}

/* One record of export()'s into an entry. False when a field is missing or has a wrong type. */
static bool read_record(lua_State *L, int record, struct rcpt_entry *e)
{
	static const char *const texts[] = {"to", "id", "state"};
	struct rcpt_str s[3];
	if (!lua_istable(L, record))
		return false;
	for (int i = 0; i < 3; i++) {
		push_raw_field(L, record, texts[i]); /* stays on the stack: the strings live there */
		if (lua_type(L, -1) != LUA_TSTRING)
			return false;
		s[i].p = lua_tolstring(L, -1, &s[i].n);
	}
	push_raw_field(L, record, "time");
	if (lua_type(L, -1) != LUA_TNUMBER || !entry_flags(L, record, &e->flags))
		return false;
	e->time = lua_tonumber(L, -1);
	e->asked = s[0];
	e->id = s[1];
	if (rcpt_str_eq(s[2], RCPT_STR("pending")))
		e->state = RCPT_PENDING;
	else if (rcpt_str_eq(s[2], RCPT_STR("failed")))
		e->state = RCPT_FAILED;
	else if (rcpt_str_eq(s[2], RCPT_STR("delivered")))
		e->state = RCPT_DELIVERED_ONCE;
	else
		return false;
	return e->time >= 0 && e->time < RCPT_TIME_MAX;
}

static int l_pending_import(lua_State *L)
{
	check_pending(L);
	const struct rcpt_str from = check_str(L, 2);
	luaL_checktype(L, 3, LUA_TTABLE);
	const double now = check_time(L, 4);
	lua_settop(L, 3);
	lua_newtable(L);
	lua_Integer taken = 0, left = 0;
	const size_t n = (size_t)lua_rawlen(L, 3);
	for (size_t i = 1; i <= n; i++) {
		struct rcpt_entry e = {.from = from};
		lua_rawgeti(L, 3, (int)i);
		const bool sound = read_record(L, 5, &e);
		const enum rcpt_status status = sound ? rcpt_pending_put(table_at(L, now), &e, now) : RCPT_OK;
		lua_settop(L, 4);
		if (sound && (status == RCPT_OK || status == RCPT_KNOWN)) {
			taken++;
			continue;
		}
		left++;
		lua_pushstring(L, sound ? status_name(status) : "damaged");
		lua_rawseti(L, 4, (int)i);
	}
	lua_pushinteger(L, taken);
	lua_pushinteger(L, left);
	lua_pushvalue(L, 4);
	return 3;
}

static int l_pending_count(lua_State *L)
{
	const struct rcpt_pending *t = check_pending(L);
	const uint32_t n = lua_isnoneornil(L, 2) ? rcpt_pending_count(t) : rcpt_pending_count_of(t, check_str(L, 2));
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int l_pending_bytes(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)rcpt_pending_bytes(check_pending(L)));
	return 1;
}

static int l_pending_check(lua_State *L)
{
	const char *broken = rcpt_pending_check(check_pending(L));
	if (!broken) {
		lua_pushboolean(L, true);
		return 1;
	}
	lua_pushnil(L);
	lua_pushstring(L, broken);
	return 2;
}

static int l_pending_close(lua_State *L)
{
	close_table(check_handle(L, 1, PENDING));
	return 0;
}

/* -- The module ------------------------------------------------------------------------------------------------------ */

static const luaL_Reg functions[] = {
	{"parse", l_parse},     {"inspect", l_inspect}, {"examine", l_examine},
	{"scanner", l_scanner}, {"pending", l_pending}, {NULL, NULL},
};

static const luaL_Reg pending_methods[] = {
	{"add", l_pending_add},           {"match", l_pending_match},     {"fail", l_pending_fail},
	{"state", l_pending_state},       {"ask", l_pending_ask},         {"outgoing", l_pending_outgoing},
	{"incoming", l_pending_incoming}, {"expire", l_pending_expire},   {"overdue", l_pending_overdue},
	{"forget", l_pending_forget},     {"journal", l_pending_journal}, {"evicted", l_pending_evicted},
	{"changed", l_pending_changed},   {"saved", l_pending_saved},     {"take_over", l_pending_take_over},
	{"list", l_pending_list},         {"export", l_pending_export},   {"import", l_pending_import},
	{"count", l_pending_count},       {"bytes", l_pending_bytes},     {"limit", l_pending_limit},
	{"check", l_pending_check},       {"close", l_pending_close},     {NULL, NULL},
};

static const luaL_Reg scanner_methods[] = {
	{"feed", l_scanner_feed},
	{"finish", l_scanner_finish},
	{"summary", l_scanner_summary},
	{"close", l_scanner_close},
	{NULL, NULL},
};

/* Names for the bits of outgoing() and incoming(). */
static void push_bit_names(lua_State *L)
{
	lua_newtable(L);
	set_integer(L, "request", RCPT_HAS_REQUEST);
	set_integer(L, "received", RCPT_HAS_RECEIVED);
	set_integer(L, "occupant", RCPT_HAS_OCCUPANT);
	set_integer(L, "more", RCPT_HAS_MORE);
	set_integer(L, "asks", RCPT_ASKS);
	set_integer(L, "acks", RCPT_ACKS);
	set_integer(L, "content", RCPT_CONTENT);
	set_integer(L, "bounce", RCPT_BOUNCE);
	for (unsigned i = 0; i < RCPT_PROBLEMS; i++)
		set_integer(L, rcpt_problem_name(i), (uint64_t)1 << (i + PROBLEM_SHIFT));
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

EXPORT int luaopen_receipts(lua_State *L)
{
	static const char *const keys[] = {"tags", "attr", "name", "xmlns", "id", "from", "to", "type"};
	luaL_checkstack(L, 2 * UPVALUES, NULL);
	const int first = lua_gettop(L) + 1;
	struct state *state = lua_newuserdata(L, sizeof *state);
	memset(state, 0, sizeof *state);
	if (rcpt_key_random(&state->key) != 0)
		return luaL_error(L, "receipts: the system has no random numbers to give");
	lua_newtable(L);          /* UP_PENDING */
	lua_newtable(L);          /* UP_SCANNER */
	lua_createtable(L, 0, 1); /* UP_READER */
	lua_pushcfunction(L, l_reader_gc);
	lua_setfield(L, -2, "__gc");
	push_nothing(L); /* UP_NOTHING */
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		lua_pushstring(L, keys[i]);

	/* Methods are in a table of their own: a finalizer is not for everybody to call. */
	const struct {
		int index;
		const luaL_Reg *methods;
		lua_CFunction finalizer;
		const char *name;
	} classes[] = {
		{first + UP_PENDING - 1, pending_methods, l_pending_close, "receipts.pending"},
		{first + UP_SCANNER - 1, scanner_methods, l_scanner_gc, "receipts.scanner"},
	};
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		lua_pushvalue(L, classes[i].index);
		lua_newtable(L);
		set_functions(L, classes[i].methods, first);
		lua_setfield(L, -2, "__index");
		lua_pushcfunction(L, classes[i].finalizer);
		lua_setfield(L, -2, "__gc");
		lua_pushstring(L, classes[i].name);
		lua_setfield(L, -2, "__name");
		lua_pushboolean(L, false);
		lua_setfield(L, -2, "__metatable");
		lua_pop(L, 1);
	}

	lua_newtable(L);
	set_functions(L, functions, first);
	push_bit_names(L);
	lua_setfield(L, -2, "bits");
	lua_pushliteral(L, VERSION);
	lua_setfield(L, -2, "version");
	return 1;
}
