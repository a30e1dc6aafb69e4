/* SPDX-License-Identifier: MIT */
/* receipts.pending: the pending table's methods. */
#include "lua_binding.h"

/* So many evicted entries are worth a call of evicted(). */
#define EVICTED_MANY 256

struct pending_handle {
	const char *const *kind; /* &rcpt_handle_names[PENDING_HANDLE] */
	struct rcpt_pending *t;  /* NULL once closed */
	/* What has happened to entries and Lua has not been told yet: that which made room for others since the last call of
	 * evicted(), and what the last calls of expire() and overdue() had no memory to tell. */
	struct rcpt_collection evicted, expired, overdue;
	bool unsaved; /* changed() has told of a requester, and saved() has not been called since */
};

static struct rcpt_pending *open_table(lua_State *L, const struct pending_handle *h)
{
	if (!h->t)
		luaL_error(L, "the pending table is closed");
	return h->t;
}

static struct rcpt_pending *check_pending(lua_State *L)
{
	return open_table(L, rcpt_check_handle(L, PENDING_HANDLE));
}

/* The table of the handle at 1, for what adds, and may make others go at the time `now`. */
static struct rcpt_pending *table_at(lua_State *L, double now)
{
	struct pending_handle *h = lua_touserdata(L, 1);
	h->evicted.now = now;
	return open_table(L, h);
}

static struct rcpt_pending_limits check_limits(lua_State *L, int arg)
{
	return (struct rcpt_pending_limits){
		.capacity = (uint32_t)rcpt_option(L, arg, "capacity", 1, RCPT_CAPACITY_MAX, 1000000),
		.per_user = (uint32_t)rcpt_option(L, arg, "per_user", 1, RCPT_CAPACITY_MAX, 1000),
		.ttl = rcpt_option(L, arg, "ttl", 0, (int)RCPT_SPAN_MAX, 7 * 86400),
		.remember = rcpt_option(L, arg, "remember", 0, (int)RCPT_SPAN_MAX, 3600),
	};
}

/* limit() knows all but the first: a handle keeps its length. */
static const char *const option_names[] = {"told", "capacity", "per_user", "ttl", "remember", NULL};

int rcpt_l_pending(lua_State *L)
{
	rcpt_check_options(L, 1, option_names);
	const struct rcpt_pending_limits limits = check_limits(L, 1);
	/* Lua has no call to tell its collector of memory outside, so the handle is so much longer. Nothing is written there: it is
	 * addresses, and a page or two of memory. */
	const size_t told = (size_t)rcpt_option(L, 1, "told", 0, 4194304, 65536);
	struct pending_handle *h = lua_newuserdata(L, sizeof *h + told);
	*h = (struct pending_handle){.kind = &rcpt_handle_names[PENDING_HANDLE]};
	lua_pushvalue(L, lua_upvalueindex(UP_PENDING));
	lua_setmetatable(L, -2);
	h->t = rcpt_pending_new(&limits, &rcpt_module(L)->key);
	return h->t ? 1 : luaL_error(L, "out of memory");
}

static int l_pending_limit(lua_State *L)
{
	check_pending(L);
	rcpt_check_options(L, 2, option_names + 1);
	const struct rcpt_pending_limits limits = check_limits(L, 2);
	rcpt_pending_limit(open_table(L, lua_touserdata(L, 1)), &limits);
	return 0;
}

static const char *const status_names[] = {
	[RCPT_OK] = "asked",        [RCPT_KNOWN] = "known",
	[RCPT_FULL] = "full",       [RCPT_TOO_LONG] = "id or address too long or empty",
	[RCPT_TOO_OLD] = "expired", [RCPT_NO_MEMORY] = "out of memory",
};

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
	lua_pushstring(L, status_names[status]);
	return 2;
}

/* The flags of a request, from a table of options. */
static unsigned check_how(lua_State *L, int arg)
{
	static const char *const names[] = {"injected", "occupant", "type", NULL};
	rcpt_check_options(L, arg, names);
	unsigned flags =
		(rcpt_flag_option(L, arg, "injected") ? RCPT_INJECTED : 0) | (rcpt_flag_option(L, arg, "occupant") ? RCPT_OCCUPANT : 0);
	if (!lua_isnoneornil(L, arg))
		luaL_argcheck(L, rcpt_read_type(L, arg, &flags), arg, "type is not a message type");
	return flags;
}

static int l_pending_add(lua_State *L)
{
	check_pending(L);
	const struct rcpt_str from = rcpt_check_str(L, 2), to = rcpt_check_str(L, 3), id = rcpt_check_str(L, 4);
	const double now = rcpt_check_time(L, 5);
	const unsigned flags = check_how(L, 6);
	return push_status(L, rcpt_pending_add(table_at(L, now), from, to, id, now, flags));
}

/* age, injected, type, occupant */
static int push_answer(lua_State *L, const struct rcpt_answer *answer)
{
	lua_pushnumber(L, answer->age);
	lua_pushboolean(L, (answer->flags & RCPT_INJECTED) != 0);
	lua_pushstring(L, rcpt_type_name(answer->flags));
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
	const struct rcpt_str from = rcpt_check_str(L, 2), to = rcpt_check_str(L, 3), id = rcpt_check_str(L, 4);
	struct rcpt_answer answer;
	const enum rcpt_verdict verdict = rcpt_pending_match(t, from, to, id, rcpt_check_time(L, 5), &answer);
	push_verdict(L, verdict);
	return 1 + push_answer_of(L, verdict, &answer);
}

static int l_pending_fail(lua_State *L)
{
	struct rcpt_pending *t = check_pending(L);
	const struct rcpt_str from = rcpt_check_str(L, 2), to = rcpt_check_str(L, 3), id = rcpt_check_str(L, 4);
	struct rcpt_answer answer;
	if (!rcpt_pending_fail(t, from, to, id, rcpt_check_time(L, 5), &answer)) {
		lua_pushboolean(L, false);
		return 1;
	}
	lua_pushboolean(L, true);
	return 1 + push_answer(L, &answer);
}

static int l_pending_state(lua_State *L)
{
	const struct rcpt_pending *t = check_pending(L);
	const struct rcpt_str from = rcpt_check_str(L, 2), to = rcpt_check_str(L, 3), id = rcpt_check_str(L, 4);
	enum rcpt_state state;
	if (!rcpt_pending_state(t, from, to, id, &state))
		return 0;
	lua_pushstring(L, rcpt_state_name(state));
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
	lua_pushstring(L, status_names[rcpt_pending_add(table_at(L, now), from, to, id, now, flags)]);
	lua_pushboolean(L, h->evicted.entries >= EVICTED_MANY);
	return 2;
}

/* pending:ask(from, to, id, now, type, rooms): a local client sends a message that asks, of which these are the attributes. */
static int l_pending_ask(lua_State *L)
{
	rcpt_check_handle(L, PENDING_HANDLE);
	lua_settop(L, 7);
	const struct rcpt_facts f = {
		.from = rcpt_arg_str(L, 2), .to = rcpt_arg_str(L, 3), .id = rcpt_arg_str(L, 4), .type = rcpt_arg_str(L, 6)};
	return ask(L, f.from, f.to, f.id, rcpt_check_time(L, 5), rcpt_facts_type(&f), false, 7);
}

/* pending:outgoing(stanza, now [, rooms]): a local client sends a message. */
static int l_pending_outgoing(lua_State *L)
{
	check_pending(L);
	const double now = rcpt_check_time(L, 3);
	struct rcpt_facts f;
	lua_settop(L, 4);
	if (!rcpt_read_stanza(L, 2, 4, RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED | RCPT_CONTENT, &f))
		return 0;
	rcpt_push_bits(L, &f);
	if (!(f.has & RCPT_ASKS))
		return 1;
	return 1 + ask(L, f.from, f.to, f.id, now, rcpt_facts_type(&f), f.has & RCPT_HAS_OCCUPANT, 4);
}

/* Pushes verdict, id, age, injected, type, occupant, as far as there are any. */
static int meet(lua_State *L, struct rcpt_pending *t, const struct rcpt_facts *f, double now)
{
	const struct rcpt_str requester = f->to.p ? f->to : f->from;
	const struct rcpt_str bounced_by = f->from.p ? f->from : f->to; /* no address stands for oneself */
	struct rcpt_answer answer;
	if ((f->has & RCPT_BOUNCE) && rcpt_pending_fail(t, requester, bounced_by, f->id, now, &answer)) {
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
	const double now = rcpt_check_time(L, 3);
	struct rcpt_facts f;
	lua_settop(L, 3);
	if (!rcpt_read_stanza(L, 2, 3, RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED | RCPT_BOUNCE, &f))
		return 0;
	rcpt_push_bits(L, &f);
	return 1 + meet(L, t, &f, now);
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
	return lua_isnoneornil(L, arg) ? RCPT_STR("") : rcpt_check_str(L, arg);
}

static int l_pending_expire(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	struct rcpt_pending *t = open_table(L, h);
	const double now = rcpt_check_time(L, 2);
	const uint32_t max = check_max(L, 3);
	const struct rcpt_str from = opt_from(L, 4);
	lua_pushinteger(L, (lua_Integer)rcpt_pending_expire(t, from, now, max, rcpt_collect, &h->expired));
	rcpt_tell_entries(L, &h->expired, 1);
	return 2;
}

static int l_pending_overdue(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	struct rcpt_pending *t = open_table(L, h);
	const double now = rcpt_check_time(L, 2), age = luaL_checknumber(L, 3);
	luaL_argcheck(L, age >= 0, 3, "not a span of time");
	const uint32_t max = check_max(L, 4);
	const struct rcpt_str from = opt_from(L, 5);
	lua_pushinteger(L, (lua_Integer)rcpt_pending_overdue(t, from, now, age, max, rcpt_collect, &h->overdue));
	rcpt_tell_entries(L, &h->overdue, 1);
	return 2;
}

static int l_pending_forget(lua_State *L)
{
	struct rcpt_pending *t = check_pending(L);
	lua_pushinteger(L, (lua_Integer)rcpt_pending_forget(t, rcpt_check_str(L, 2)));
	return 1;
}

static int l_pending_journal(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	rcpt_pending_journal(check_pending(L), rcpt_collect, &h->evicted);
	h->evicted.journal = h->evicted.dated = h->expired.journal = true;
	return 0;
}

int rcpt_l_pending_gc(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	rcpt_pending_free(h->t);
	rcpt_forget_entries(&h->evicted);
	rcpt_forget_entries(&h->expired);
	rcpt_forget_entries(&h->overdue);
	*h = (struct pending_handle){.kind = h->kind};
	return 0;
}

static int l_pending_evicted(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	const lua_Integer last = luaL_optinteger(L, 2, 0);
	luaL_argcheck(L, last >= 0 && last <= 1000000, 2, "not from 0 to 1000000");
	open_table(L, h);
	if (h->evicted.used == 0)
		return 0;
	h->evicted.last = (uint32_t)last;
	rcpt_tell_entries(L, &h->evicted, 2);
	return 2;
}

static int l_pending_changed(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	open_table(L, h);
	h->unsaved = false; /* until all is told: an error may come before that */
	const double now = lua_isnoneornil(L, 2) ? 0 : rcpt_check_time(L, 2), young = luaL_optnumber(L, 3, 0);
	luaL_argcheck(L, young >= 0 && young <= RCPT_SPAN_MAX, 3, "not a span of time");
	struct rcpt_collection c = {.journal = true};
	rcpt_prepare_entries(L, &c);
	const struct rcpt_str from = rcpt_pending_changed(open_table(L, h), now, young, rcpt_collect, &c);
	if (from.n == 0)
		return 0;
	rcpt_give_entries(L, &c);
	lua_rawgeti(L, -1, 1);
	rcpt_push_raw_field(L, lua_gettop(L), "from");
	lua_insert(L, -3);
	lua_pop(L, 1);
	h->unsaved = true;
	return 2;
}

static int l_pending_saved(lua_State *L)
{
	struct pending_handle *h = rcpt_check_handle(L, PENDING_HANDLE);
	struct rcpt_pending *t = open_table(L, h);
	if (h->unsaved)
		rcpt_pending_saved(t, lua_toboolean(L, 2));
	h->unsaved = false;
	return 0;
}

/* The last ones alone, where it is said how many. */
static int show_entries(lua_State *L, bool delivered, lua_Integer last)
{
	const struct rcpt_pending *t = check_pending(L);
	const struct rcpt_str from = rcpt_check_str(L, 2);
	const lua_Integer count = (lua_Integer)rcpt_pending_count_of(t, from);
	struct rcpt_collection c = {.skip = last > 0 && count > last ? (uint32_t)(count - last) : 0};
	rcpt_prepare_entries(L, &c);
	rcpt_pending_each(check_pending(L), from, delivered, rcpt_collect, &c);
	rcpt_give_entries(L, &c);
	return 1;
}

static int l_pending_list(lua_State *L)
{
	const lua_Integer last = luaL_optinteger(L, 3, 0);
	luaL_argcheck(L, last >= 0, 3, "negative");
	return show_entries(L, false, last);
}

static int l_pending_export(lua_State *L)
{
	return show_entries(L, true, 0);
}

static int l_pending_import(lua_State *L)
{
	check_pending(L);
	const struct rcpt_str from = rcpt_check_str(L, 2);
	luaL_checktype(L, 3, LUA_TTABLE);
	const double now = rcpt_check_time(L, 4);
	lua_settop(L, 3);
	lua_newtable(L);
	lua_Integer taken = 0, left = 0;
	const size_t n = (size_t)lua_rawlen(L, 3);
	for (size_t i = 1; i <= n; i++) {
		struct rcpt_entry e = {.from = from};
		lua_rawgeti(L, 3, (int)i);
		const bool sound = rcpt_read_entry(L, 5, &e);
		const enum rcpt_status status = sound ? rcpt_pending_put(table_at(L, now), &e, now) : RCPT_OK;
		lua_settop(L, 4);
		if (sound && (status == RCPT_OK || status == RCPT_KNOWN)) {
			taken++;
			continue;
		}
		left++;
		lua_pushstring(L, sound ? status_names[status] : "damaged");
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
	const uint32_t n = lua_isnoneornil(L, 2) ? rcpt_pending_count(t) : rcpt_pending_count_of(t, rcpt_check_str(L, 2));
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int l_pending_bytes(lua_State *L)
{
	rcpt_push_count(L, rcpt_pending_bytes(check_pending(L)));
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

const luaL_Reg rcpt_pending_methods[] = {
	{"add", l_pending_add},
	{"match", l_pending_match},
	{"fail", l_pending_fail},
	{"state", l_pending_state},
	{"ask", l_pending_ask},
	{"outgoing", l_pending_outgoing},
	{"incoming", l_pending_incoming},
	{"expire", l_pending_expire},
	{"overdue", l_pending_overdue},
	{"forget", l_pending_forget},
	{"journal", l_pending_journal},
	{"evicted", l_pending_evicted},
	{"changed", l_pending_changed},
	{"saved", l_pending_saved},
	{"list", l_pending_list},
	{"export", l_pending_export},
	{"import", l_pending_import},
	{"count", l_pending_count},
	{"bytes", l_pending_bytes},
	{"limit", l_pending_limit},
	{"check", l_pending_check},
	{"close", rcpt_l_pending_gc},
	{NULL, NULL},
};
