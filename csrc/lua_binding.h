/* SPDX-License-Identifier: MIT */
/* What the files of the Lua binding share. No other file knows Lua.
 *
 * All functions that Lua calls have the upvalues below: what belongs to the module, the metatables, and the keys of stanza
 * tables, so that reading a field neither hashes nor makes a string. Lua values are made only after the engine has returned,
 * never inside one of its callbacks that Expat is waiting for. Fields are read without metamethods: nothing of the caller's runs
 * while we work.
 *
 * docs/lua-api.md describes the functions for those who call them.
 */
#ifndef RCPT_LUA_BINDING_H
#define RCPT_LUA_BINDING_H

#include "compat.h"
#include "facts.h"
#include "pending.h"
#include "xml.h"

enum rcpt_upvalue {
	UP_MODULE = 1,
	UP_PENDING, /* metatables */
	UP_SCANNER,
	UP_READER,  /* at 1: the box that parse() keeps */
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

struct rcpt_reader_box;

struct rcpt_module {
	struct rcpt_key key;
	struct rcpt_reader_box *box; /* for parse(), kept by UP_READER; or NULL */
};

static inline struct rcpt_module *rcpt_module(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(UP_MODULE));
}

/* -- lua_values.c ---------------------------------------------------------------------------------------------------- */

/* A string argument. */
struct rcpt_str rcpt_check_str(lua_State *L, int arg);
/* One that may be absent, as which anything else counts too. */
struct rcpt_str rcpt_arg_str(lua_State *L, int arg);
/* Seconds since the epoch: any number that the pending table can keep. */
double rcpt_check_time(lua_State *L, int arg);
/* A table of these options, or none at all. An option that is misspelt would count as left out: it is an error. */
void rcpt_check_options(lua_State *L, int table, const char *const names[]);
/* A number from an options table, from `least` to `most`, or its default. */
double rcpt_option(lua_State *L, int table, const char *key, int least, int most, double standard);
/* A boolean from one, false by default. */
bool rcpt_flag_option(lua_State *L, int table, const char *key);

/* Handles begin with the address of their place among these names, so that telling them apart needs no look at metatables. */
enum rcpt_handle { SCANNER_HANDLE, PENDING_HANDLE };
extern const char *const rcpt_handle_names[];
/* The handle that the first argument is; else raises an error. */
void *rcpt_check_handle(lua_State *L, enum rcpt_handle kind);

/* Fields of a table. */
void rcpt_push_raw_field(lua_State *L, int table, const char *key);
bool rcpt_flag_field(lua_State *L, int table, const char *key);

/* Fields of the table at the top of the stack. */
void rcpt_set_str(lua_State *L, const char *key, struct rcpt_str s); /* none where that is absent */
void rcpt_set_bool(lua_State *L, const char *key, bool value);
void rcpt_set_number(lua_State *L, const char *key, double value);
void rcpt_set_integer(lua_State *L, const char *key, uint64_t value);

/* -- lua_facts.c ----------------------------------------------------------------------------------------------------- */

/* Bits above facts.has in what rcpt_push_bits() pushes. */
#define RCPT_PROBLEM_SHIFT 16

/* A table, with room for `more` fields. */
void rcpt_push_facts(lua_State *L, const struct rcpt_facts *f, int more);
/* All facts as one integer, so that nothing is made for the garbage collector. */
void rcpt_push_bits(lua_State *L, const struct rcpt_facts *f);
/* nil, reason, position. Returns how many those are. */
int rcpt_push_xml_error(lua_State *L, const char *reason, struct rcpt_xml_position where);

/* The functions of the module and its handles are named rcpt_l_*: what Lua calls. docs/lua-api.md has what they take and return.
 */

/* -- lua_parse.c ----------------------------------------------------------------------------------------------------- */

int rcpt_l_parse(lua_State *L);
int rcpt_l_reader_gc(lua_State *L);

/* -- lua_scanner.c --------------------------------------------------------------------------------------------------- */

int rcpt_l_scanner(lua_State *L);
int rcpt_l_scanner_gc(lua_State *L);
extern const luaL_Reg rcpt_scanner_methods[];

/* -- lua_stanza.c ---------------------------------------------------------------------------------------------------- */

/* The facts of a util.stanza at `stanza`, below the top of the stack at `base`, read to the end where one of `wanted` may be
 * among them. Tells whether one is; false for what is no message, too. The facts' strings are on the stack: up to 7
 * values stay there. Whatever the table holds, this raises no error. */
bool rcpt_read_stanza(lua_State *L, int stanza, int base, unsigned wanted, struct rcpt_facts *f);

int rcpt_l_inspect(lua_State *L);
int rcpt_l_examine(lua_State *L);

/* -- lua_entries.c --------------------------------------------------------------------------------------------------- */

/* Entries that the engine has shown us, one behind the other: making Lua values may raise an error, so that waits. */
struct rcpt_collection {
	char *bytes;
	size_t used, room;
	uint32_t entries;
	uint32_t skip; /* the next so many are left out */
	uint32_t last; /* of a run of entries that nobody will miss, so many are told in full and the others counted; 0: all */
	bool failed;
	bool journal; /* what the store has is told with each */
	bool dated;   /* and when it was shown to us */
	double now;
};

/* An rcpt_visit, of which `ud` is the collection. */
bool rcpt_collect(void *ud, const struct rcpt_entry *e);
/* Frees what was collected. The collection is empty then, and of the same kind. */
void rcpt_forget_entries(struct rcpt_collection *c);

/* Pushes the call that will push the collection. That takes memory, and raises an error where there is none, or runs a finalizer
 * that closes the table: so it comes before there is anything to lose. */
void rcpt_prepare_entries(lua_State *L, struct rcpt_collection *c);
/* Pushes the collection, for which that was prepared, as a table and frees it. */
void rcpt_give_entries(lua_State *L, struct rcpt_collection *c);
/* The same for what exists nowhere else: what cannot be told now is told by the next call. With two `results`, also how many
 * entries were only counted. */
void rcpt_tell_entries(lua_State *L, struct rcpt_collection *owed, int results);

/* A table as those are made. Its strings stay on the stack. False when a field is missing or has a wrong type. */
bool rcpt_read_entry(lua_State *L, int table, struct rcpt_entry *e);
/* Adds the message's type, "normal" where the table tells none, to the flags. False where it is none of the five. */
bool rcpt_read_type(lua_State *L, int table, unsigned *flags);

/* The names in such a table: of a state, and of the message's type in an entry's flags. */
const char *rcpt_state_name(enum rcpt_state state);
const char *rcpt_type_name(unsigned flags);

/* -- lua_pending.c --------------------------------------------------------------------------------------------------- */

int rcpt_l_pending(lua_State *L);
int rcpt_l_pending_gc(lua_State *L);
extern const luaL_Reg rcpt_pending_methods[];

#endif
