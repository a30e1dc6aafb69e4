/* SPDX-License-Identifier: MIT */
/* Handlers for Prosody's message events: the ordinary messages end here, and only what is out of the ordinary is Lua's.
 *
 * Every message of the server passes. Nearly all have nothing to do with receipts, or ask for one or are one as they should, and
 * of these nobody has to be told but the counters: that takes no Lua, makes no garbage, and touches little memory.
 *
 * Prosody calls the handlers bare. What they do before they call protected() raises no error; what is behind it is caught.
 *
 * docs/lua-api.md describes receipts.hooks.
 */
#include <lauxlib.h>

#include "binding.h"

/* What a handler needs besides, as upvalues behind those that all functions have. */
enum {
	HOOK_TALLY = UPVALUES + 1,
	HOOK_INNER, /* what protected() calls */
	HOOK_OPTIONS_FIRST,
	HOOK_PENDING = HOOK_OPTIONS_FIRST,
	HOOK_NOW,
	HOOK_KNOWN,
	HOOK_SILENT,
	HOOK_CAPABLE,
	HOOK_ROOMS,
	HOOK_LISTENING,
	HOOK_CONTENT,
	HOOK_OUTGOING,
	HOOK_INCOMING,
	HOOK_FAILED,
	HOOK_FULL,
	HOOK_OPTIONS_LAST = HOOK_FULL,
	HOOK_STANZA, /* keys of events, sessions and rosters */
	HOOK_ORIGIN,
	HOOK_USERNAME,
	HOOK_FULL_JID,
	HOOK_PRESENCE,
	HOOK_ROSTER,
	HOOK_SUBSCRIPTION,
	HOOK_REQUESTED, /* names of events */
	HOOK_DELIVERED,
	HOOK_UPVALUES = HOOK_DELIVERED
};

/* Their names, and the types they have, in the order above. */
static const struct {
	const char *name;
	int type;
} options[] = {
	{"pending", LUA_TUSERDATA},  {"now", LUA_TFUNCTION},      {"known", LUA_TTABLE},        {"silent", LUA_TTABLE},
	{"capable", LUA_TTABLE},     {"rooms", LUA_TTABLE},       {"listening", LUA_TFUNCTION}, {"content", LUA_TFUNCTION},
	{"outgoing", LUA_TFUNCTION}, {"incoming", LUA_TFUNCTION}, {"failed", LUA_TFUNCTION},    {"full", LUA_TFUNCTION},
};

static const char *const keys[] = {"stanza", "origin",       "username",           "full_jid",          "presence",
								   "roster", "subscription", "receipts/requested", "receipts/delivered"};

/* What has happened since it was last asked for. */
struct tally {
	lua_Integer asked, duplicate;
	unsigned delivered;
	double age[256];     /* of those delivered, in seconds */
	lua_Integer sampled; /* delivered besides, whose age is known already */
	bool asks;           /* content messages matter: the server asks for clients that don't */
	bool protect;        /* acks to who may not see the user's presence are not sent */
};

#define TALLY_AGES (sizeof((struct tally *)NULL)->age / sizeof(double))

static struct tally *get_tally(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(HOOK_TALLY));
}

/* Pushes a raw field of what should be a table, by one of our keys; nil where it is none. Returns its type. */
static int push_field(lua_State *L, int table, int key)
{
	if (!lua_istable(L, table)) {
		lua_pushnil(L);
		return LUA_TNIL;
	}
	lua_pushvalue(L, lua_upvalueindex(key));
	lua_rawget(L, table);
	return lua_type(L, -1);
}

/* Is the value at `index`, which is not nil, in one of the sets among our options? */
static bool in_set(lua_State *L, int set, int index)
{
	lua_pushvalue(L, index);
	lua_rawget(L, lua_upvalueindex(set));
	const bool found = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return found;
}

static bool has_text(lua_State *L, int set, struct rcpt_str text)
{
	lua_pushlstring(L, text.p, text.n);
	const bool found = in_set(L, set, lua_gettop(L));
	lua_pop(L, 1);
	return found;
}

/* Does anybody listen to this event of ours? */
static bool listening(lua_State *L, int event)
{
	lua_pushvalue(L, lua_upvalueindex(HOOK_LISTENING));
	lua_pushvalue(L, lua_upvalueindex(event));
	lua_call(L, 1, 1);
	const bool yes = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return yes;
}

static double now(lua_State *L)
{
	lua_pushvalue(L, lua_upvalueindex(HOOK_NOW));
	lua_call(L, 0, 1);
	const double time = lua_tonumber(L, -1);
	lua_pop(L, 1);
	if (!(time >= 0 && time < 1e15))
		luaL_error(L, "now() is not a time in seconds since the epoch");
	return time;
}

/* Has this message what should not be there, or a receipt element of another kind beside this one? */
static bool is_odd(const struct rcpt_facts *f, unsigned other)
{
	return f->problems || (f->has & (other | RCPT_BOUNCE));
}

/* The name of the user at a JID of this host. */
static struct rcpt_str user_of(struct rcpt_str jid)
{
	const char *at = jid.n ? memchr(jid.p, '@', jid.n) : NULL;
	return (struct rcpt_str){jid.p, at ? (size_t)(at - jid.p) : 0};
}

/* The facts of an event's message, which stays on the stack, if it has any of those wanted. */
static bool event_facts(lua_State *L, unsigned wanted, struct rcpt_facts *f)
{
	lua_settop(L, 1);
	push_field(L, 1, HOOK_STANZA);
	return rcpt_lua_stanza(L, 2, 2, wanted, f);
}

/* Calls the inner function with (event, facts) and passes on its result. An error is told, and the message goes on. */
static int protected(lua_State *L, struct rcpt_facts *f)
{
	lua_pushvalue(L, lua_upvalueindex(HOOK_INNER));
	lua_pushvalue(L, 1);
	lua_pushlightuserdata(L, f);
	if (lua_pcall(L, 2, 1, 0) == LUA_OK)
		return 1;
	lua_pushvalue(L, lua_upvalueindex(HOOK_FAILED));
	lua_insert(L, -2);
	lua_pcall(L, 1, 0, 0);
	return 0;
}

/* Lua's turn: calls one of the handlers among our options with the event, the bits, and what has been pushed since `top`. */
static int hand_over(lua_State *L, int handler, const struct rcpt_facts *f, int top)
{
	lua_pushvalue(L, lua_upvalueindex(handler));
	lua_insert(L, top + 1);
	lua_pushvalue(L, 1);
	lua_insert(L, top + 2);
	rcpt_lua_push_bits(L, f);
	lua_insert(L, top + 3);
	lua_call(L, lua_gettop(L) - top - 1, 1);
	return 1;
}

/* -- What a local client sends --------------------------------------------------------------------------------------- */

/* The sender asks by itself where it can. */
static bool sender_is_capable(lua_State *L)
{
	push_field(L, 1, HOOK_ORIGIN);
	return push_field(L, lua_gettop(L), HOOK_FULL_JID) == LUA_TSTRING && in_set(L, HOOK_CAPABLE, lua_gettop(L));
}

static int l_outgoing(lua_State *L)
{
	struct rcpt_facts f;
	const unsigned wanted = RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED | (get_tally(L)->asks ? RCPT_CONTENT : 0u);
	if (!event_facts(L, wanted, &f))
		return 0;
	if ((f.has & RCPT_CONTENT) && sender_is_capable(L))
		return 0;
	return protected(L, &f);
}

/* Is this a subscriber of the session's user, who is online? Then an ack tells nothing new (rule E4). */
static bool is_subscriber(lua_State *L, int session, struct rcpt_str jid)
{
	const int top = lua_gettop(L);
	bool yes = false;
	if (jid.p && push_field(L, session, HOOK_PRESENCE) != LUA_TNIL && push_field(L, session, HOOK_ROSTER) == LUA_TTABLE) {
		const struct rcpt_str bare = rcpt_jid_bare(jid);
		lua_pushlstring(L, bare.p, bare.n);
		lua_rawget(L, -2);
		if (push_field(L, lua_gettop(L), HOOK_SUBSCRIPTION) == LUA_TSTRING) {
			struct rcpt_str s;
			s.p = lua_tolstring(L, -1, &s.n);
			yes = rcpt_str_eq(s, RCPT_STR("both")) || rcpt_str_eq(s, RCPT_STR("from"));
		}
	}
	lua_settop(L, top);
	return yes;
}

static int l_outgoing_inner(lua_State *L)
{
	const struct rcpt_facts *f = lua_touserdata(L, 2);
	struct tally *tally = get_tally(L);
	push_field(L, 1, HOOK_ORIGIN); /* at 3 */
	if (push_field(L, 3, HOOK_USERNAME) != LUA_TSTRING)
		return 0; /* some module's own, not a client's */
	if (f->has & RCPT_CONTENT)
		return hand_over(L, HOOK_CONTENT, f, 4);
	enum rcpt_status status = RCPT_KNOWN;
	bool ordinary = true, evicted = false;
	if (f->has & RCPT_ASKS) {
		const double time = now(L);
		ordinary = !listening(L, HOOK_REQUESTED) && in_set(L, HOOK_KNOWN, 4);
		lua_pushvalue(L, 3);
		lua_rawget(L, lua_upvalueindex(HOOK_ROOMS));
		status = rcpt_lua_ask(L, lua_upvalueindex(HOOK_PENDING), f, time, 5);
		if (status == RCPT_NO_MEMORY)
			return luaL_error(L, "out of memory");
		evicted = rcpt_lua_has_evicted(L, lua_upvalueindex(HOOK_PENDING));
		ordinary = status == RCPT_KNOWN || (status == RCPT_OK && ordinary && !evicted);
	}
	if (!(f->has & RCPT_HAS_RECEIVED))
		ordinary = ordinary && !is_odd(f, 0);
	else
		ordinary = !is_odd(f, RCPT_HAS_REQUEST) && (!tally->protect || is_subscriber(L, 3, f->to)) && in_set(L, HOOK_SILENT, 4);
	if (ordinary) {
		tally->asked += status == RCPT_OK;
		return 0;
	}
	lua_settop(L, 4);
	if (f->has & RCPT_ASKS) {
		lua_pushstring(L, rcpt_status_name(status));
		lua_pushboolean(L, evicted);
	}
	return hand_over(L, HOOK_OUTGOING, f, 4);
}

/* -- What comes to a local user -------------------------------------------------------------------------------------- */

static int l_incoming(lua_State *L)
{
	struct rcpt_facts f;
	if (!event_facts(L, RCPT_HAS_REQUEST | RCPT_HAS_RECEIVED | RCPT_BOUNCE, &f))
		return 0;
	return protected(L, &f);
}

/* Has the ack the type of the content message? It should (rule E7). */
static bool same_type(const struct rcpt_facts *f, const struct rcpt_answer *answer)
{
	return rcpt_str_eq(f->type.p ? f->type : RCPT_STR("normal"), rcpt_type_name(answer->flags & RCPT_TYPE_BITS));
}

/* An ack that is as it should be is counted, and goes on as it is. */
static bool is_ordinary_ack(lua_State *L, const struct rcpt_facts *f, const struct rcpt_outcome *o, bool heard)
{
	struct tally *tally = get_tally(L);
	if (o->what != RCPT_ACKED || is_odd(f, RCPT_HAS_REQUEST) || (o->answer.flags & RCPT_INJECTED))
		return false;
	if (o->verdict == RCPT_DUPLICATE) {
		tally->duplicate++;
		return true;
	}
	if (o->verdict != RCPT_DELIVERED || heard || !((f->has & RCPT_HAS_MORE) || same_type(f, &o->answer)))
		return false;
	tally->age[tally->delivered++] = o->answer.age;
	return true;
}

static int l_incoming_inner(lua_State *L)
{
	const struct rcpt_facts *f = lua_touserdata(L, 2);
	struct rcpt_outcome outcome = {.what = RCPT_NOTHING};
	if (f->has & (RCPT_ACKS | RCPT_BOUNCE)) {
		struct tally *tally = get_tally(L);
		const double time = now(L);
		const bool heard = listening(L, HOOK_DELIVERED);
		if (tally->delivered == TALLY_AGES) {
			lua_pushvalue(L, lua_upvalueindex(HOOK_FULL));
			lua_call(L, 0, 0);
			if (tally->delivered == TALLY_AGES) /* nobody wanted to know */
				tally->delivered = 0;
		}
		outcome = rcpt_lua_meet(rcpt_lua_pending(L, lua_upvalueindex(HOOK_PENDING)), f, time);
		if (is_ordinary_ack(L, f, &outcome, heard))
			return 0;
	} else if ((f->has & RCPT_HAS_REQUEST) && !is_odd(f, RCPT_HAS_RECEIVED) &&
			   has_text(L, HOOK_SILENT, user_of(f->to.p ? f->to : f->from))) {
		return 0;
	}
	rcpt_lua_push_outcome(L, &outcome);
	return hand_over(L, HOOK_INCOMING, f, 2);
}

/* -- receipts.hooks -------------------------------------------------------------------------------------------------- */

/* uncounted(sample): how many asked, were delivered, and were duplicates, since the last call; sample(age) is called for each
 * that was delivered. When that raises an error, that age is lost, and what was counted is not. */
static int l_uncounted(lua_State *L)
{
	struct tally *tally = get_tally(L);
	luaL_checktype(L, 1, LUA_TFUNCTION);
	while (tally->delivered > 0) {
		const double age = tally->age[--tally->delivered];
		tally->sampled++;
		lua_pushvalue(L, 1);
		lua_pushnumber(L, age);
		lua_call(L, 1, 0);
	}
	lua_pushinteger(L, tally->asked);
	lua_pushinteger(L, tally->sampled);
	lua_pushinteger(L, tally->duplicate);
	tally->asked = tally->sampled = tally->duplicate = 0;
	return 3;
}

static bool option_flag(lua_State *L, const char *name)
{
	lua_getfield(L, 1, name);
	const bool set = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return set;
}

/* Pushes a closure with the upvalues that lie at [first, first + n), n of them. */
static void push_hook(lua_State *L, lua_CFunction function, int first)
{
	for (int i = 0; i < HOOK_UPVALUES; i++)
		lua_pushvalue(L, first + i);
	lua_pushcclosure(L, function, HOOK_UPVALUES);
}

int rcpt_lua_hooks(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	luaL_checkstack(L, 2 * HOOK_UPVALUES + 8, NULL);
	for (int i = 1; i <= UPVALUES; i++)
		lua_pushvalue(L, lua_upvalueindex(i));
	struct tally *tally = lua_newuserdata(L, sizeof *tally);
	*tally = (struct tally){.asks = option_flag(L, "asks"), .protect = option_flag(L, "protect")};
	lua_pushnil(L); /* HOOK_INNER, for the inner functions themselves */
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		lua_getfield(L, 1, options[i].name);
		if (lua_type(L, -1) != options[i].type)
			return luaL_error(L, "bad option '%s' (%s expected, got %s)", options[i].name, lua_typename(L, options[i].type),
							  luaL_typename(L, -1));
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		lua_pushstring(L, keys[i]);
	const int first = 2;
	rcpt_lua_pending(L, first + HOOK_PENDING - 1);
	push_hook(L, l_outgoing_inner, first);
	lua_replace(L, first + HOOK_INNER - 1);
	push_hook(L, l_outgoing, first);
	push_hook(L, l_incoming_inner, first);
	lua_replace(L, first + HOOK_INNER - 1);
	push_hook(L, l_incoming, first);
	push_hook(L, l_uncounted, first);
	return 3;
}
