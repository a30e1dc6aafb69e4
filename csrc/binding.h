/* SPDX-License-Identifier: MIT */
/* What the files that know Lua share: receipts.c, the Lua module, and hooks.c, its message hooks.
 *
 * All our functions have the upvalues below: the state, the metatables, and the keys of stanza tables, so that reading a field
 * neither hashes nor makes a string.
 */
#ifndef RCPT_BINDING_H
#define RCPT_BINDING_H

#include <lua.h>

#include "compat.h"
#include "facts.h"
#include "pending.h"

enum rcpt_upvalue {
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

/* The facts of a util.stanza at `stanza`, below the top of the stack at `base`, read to the end where one of `wanted` may be
 * among them. Tells whether one is; false for what is no message, too. The facts' strings are those of the stanza. Whatever the
 * table holds, this raises no error. */
bool rcpt_lua_stanza(lua_State *L, int stanza, int base, unsigned wanted, struct rcpt_facts *f);

/* Facts as hooks get them: one integer, so that nothing is made for the garbage collector. */
void rcpt_lua_push_bits(lua_State *L, const struct rcpt_facts *f);

/* The pending table in the userdata at `arg`. To be called last before the table is used: making Lua values can run a finalizer,
 * and that can close the table. Raises an error when it is closed. */
struct rcpt_pending *rcpt_lua_pending(lua_State *L, int arg);

/* Have entries been evicted that nobody has asked for? */
bool rcpt_lua_has_evicted(lua_State *L, int arg);

/* A local client sends a message that asks: it is added to the table at `arg`. `rooms`: index of a set of the bare JIDs of rooms
 * that the client is in, or of anything else. */
enum rcpt_status rcpt_lua_ask(lua_State *L, int arg, const struct rcpt_facts *f, double now, int rooms);
const char *rcpt_status_name(enum rcpt_status status);

/* What the table says of a message that comes to a local user. */
struct rcpt_outcome {
	enum { RCPT_NOTHING, RCPT_BOUNCED, RCPT_ACKED } what;
	enum rcpt_verdict verdict; /* of an ack */
	struct rcpt_str id;        /* the content message's */
	struct rcpt_answer answer;
};
struct rcpt_outcome rcpt_lua_meet(struct rcpt_pending *t, const struct rcpt_facts *f, double now);
/* Pushes verdict, id, age, injected, type, occupant, as far as there are any. Returns how many. */
int rcpt_lua_push_outcome(lua_State *L, const struct rcpt_outcome *outcome);

/* The name of a message type. */
struct rcpt_str rcpt_type_name(unsigned type);

/* receipts.hooks, see hooks.c. */
int rcpt_lua_hooks(lua_State *L);

#endif
