/* SPDX-License-Identifier: MIT */
/* The binding when memory runs out: Lua's and the engine's allocations are counted as one, and each fails.
 *
 * Every operation runs in a new Lua state, again and again, until it no longer gets as far as the allocation that fails. Whatever
 * fails, the pending table is whole: as before, or as when all goes well. The error is clear, and the next try succeeds.
 *
 * Where memory is needed differs between Luas: `make LUA_VERSION=jit c-tests-build` leaves the test of that one under
 * build/luajit/test. The hooks are for 5.4.
 */
#include "cmocka_env.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#if LUA_VERSION_NUM < 502
static void luaL_requiref(lua_State *L, const char *name, lua_CFunction open, int global)
{
	(void)global;
	lua_pushcfunction(L, open);
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
	lua_setglobal(L, name);
}
#endif

int luaopen_receipts(lua_State *L);

/* What an operation may do when memory runs out. */
enum {
	AGAIN = 1,  /* called again, it gives what it would have given */
	PARTLY = 2, /* it does many things, and may have done some of them */
	CAUGHT = 4, /* it raises no error: failed() is told */
};

/* Lua: `setup` runs with memory enough and makes the table `t`, where there is one; `operation` is what fails. */
struct operation {
	const char *name;
	unsigned may;
	const char *setup, *operation;
};

static const char prelude[] =
	"R, now = 'urn:xmpp:receipts', 1000\n"
	"xml = \"<message id='1' from='a@h/r' to='b@h' type='chat'><body>hi</body><request xmlns='\"..R..\"'/></message>\"\n"
	"function element(name, id) return { name = name, attr = { xmlns = R, id = id }, tags = {} } end\n"
	"function message(attr, ...) return { name = 'message', attr = attr, tags = { ... }, ... } end\n"
	"function ask(id) return message({ id = id, from = 'a@h/r', to = 'b@h', type = 'chat' }, element('request')) end\n"
	"function ack(id, from) return message({ from = from or 'b@h/r', to = 'a@h/r', type = 'chat' }, element('received', id)) "
	"end\n"
	"function describe(value)\n"
	"	if type(value) ~= 'table' then return type(value):find('^[uf]') and type(value) or tostring(value) end\n"
	"	local list = {}\n"
	"	for k, v in pairs(value) do list[#list + 1] = describe(k)..'='..describe(v) end\n"
	"	table.sort(list)\n"
	"	return '{'..table.concat(list, ' ')..'}'\n"
	"end\n"
	/* The results of every call so far, as text; those that tell of entries add up to one list. */
	"function note(...) return describe { ... } end\n"
	"told, counted = {}, 0\n"
	"function note_entries(list, others)\n"
	"	for _, entry in ipairs(list or {}) do told[#told + 1] = entry end\n"
	"	counted = counted + (others or 0)\n"
	"	return describe { told, counted }\n"
	"end\n"
	"function note_step(done, list) return note_entries(list) end\n"
	/* All that the table holds, whoever asked, as text. */
	"function state()\n"
	"	if not t then return 'no table' end\n"
	"	local open, sound, why = pcall(t.check, t)\n"
	"	if not open then return 'closed' end\n"
	"	assert(sound, why)\n"
	"	local all = { count = t:count(), changed = { t:changed() } }\n"
	"	for _, user in ipairs { 'a@h', 'b@h', 'c@h' } do\n"
	"		for _, entry in ipairs(t:export(user)) do all[#all + 1] = describe(entry) end\n"
	"	end\n"
	"	table.sort(all)\n"
	"	return describe(all)\n"
	"end\n"
	"function fill(n)\n"
	"	for i = 1, n do t:add('a@h/r', i..'@h', 'm'..i, now + i / 10) end\n"
	"end\n"
	"failures = 0\n"
#if LUA_VERSION_NUM >= 504 /* which the module's Lua is written for */
	"module = { require = function (_, name) return dofile('mod_receipts/'..name..'.lib.lua') end }\n"
	"hooks = module:require 'hooks'\n"
	"function make_hooks(options)\n"
	"	t = receipts.pending { per_user = 3 }\n"
	"	t:journal()\n"
	"	session = { username = 'a', full_jid = 'a@h/r', presence = {}, roster = { ['b@h'] = { subscription = 'both' } } }\n"
	"	local handler = function (event, bits, ...) handed = { bits, ... } end\n"
	"	local all = {\n"
	"		pending = t, now = function () return now end, listening = function () return false end,\n"
	"		known = { a = true }, no_answers = { a = true, b = true }, capable = {}, rooms = {}, hiding = {}, own = {},\n"
	"		asks = true, protect = true,\n"
	"		content = handler, outgoing = handler, incoming = handler, sample = function (age) return 'x'..age end,\n"
	"		evicted = function () gone = t:evicted(2) end, other_ack = function () end,\n"
	"		failed = function () failures = failures + 1 end, handlers = {},\n"
	"	}\n"
	"	for name, value in pairs(options or {}) do all[name] = value end\n"
	"	outgoing, incoming, uncounted = hooks.new(receipts, all)\n"
	"end\n"
#endif
	;

#define MAKE "t = receipts.pending { per_user = 3, ttl = 10, remember = 100 } t:journal() "
#define STREAM                                                                                                                   \
	"stream = \"<?xml version='1.0'?><s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>\"..xml.."       \
	"xml:rep(2).."                                                                                                               \
	"\"<message type='error'><r:received xmlns:r='urn:xmpp:receipts'>x</r:received><r:received "                                 \
	"xmlns:r='urn:xmpp:receipts'/></message>\" "

static const struct operation operations[] = {
	{"luaopen", AGAIN, "", "return open()"},

	{"parse", AGAIN, "", "local facts, reason, where = receipts.parse(xml) return facts or { reason, where.line }"},
	{"parse again", AGAIN, "receipts.parse(xml)", "return receipts.parse(xml)"},
	{"parse a longer one", AGAIN, "receipts.parse(xml) xml = xml:gsub('hi', ('long'):rep(5000))", "return receipts.parse(xml)"},
	{"parse with prefixes", AGAIN, "xml = \"<message><r:request xmlns:r='\"..R..\"'>x</r:request></message>\"",
	 "return receipts.parse(xml)"},
	{"parse what is malformed", AGAIN, "", "return receipts.parse('<message><a></b></message>')"},
	{"inspect", AGAIN, "s = ask('1')", "return receipts.inspect(s)"},
	{"inspect what has problems", AGAIN, "s = message({}, element('request'), element('received'), element('received', 'x'))",
	 "return receipts.inspect(s)"},
	{"inspect no message", AGAIN, "", "return receipts.inspect {}"},
	{"examine", AGAIN, "s = ack('1')", "return receipts.examine(s)"},

	{"scanner", AGAIN, "", "return receipts.scanner { only_receipts = true, comments = true }"},
	{"feed", AGAIN, STREAM, "local s = receipts.scanner {} return { s:feed(stream) }"},
	{"feed in pieces", AGAIN, STREAM "pieces = {} for i = 1, #stream, 60 do pieces[#pieces + 1] = stream:sub(i, i + 59) end",
	 "local s, all = receipts.scanner { only_receipts = true }, {} "
	 "for i, piece in ipairs(pieces) do all[i] = { s:feed(piece) } end "
	 "all[#all + 1] = { s:feed('</s:stream>') } all[#all + 1] = { s:finish() } all[#all + 1] = s:summary() s:close() return all"},
	{"feed what is malformed", AGAIN, STREAM, "local s = receipts.scanner {} return { s:feed(stream..'</a>') }, s:summary()"},
	{"finish", AGAIN, STREAM, "local s = receipts.scanner {} s:feed(stream) return { s:finish() }"},

	{"pending", AGAIN, "", "return receipts.pending { capacity = 10 }"},
	{"add", 0, "t = receipts.pending {}", "return t:add('a@h/r', 'b@h', '1', now)"},
	{"add with flags", 0, MAKE "fill(2) how = { injected = true, occupant = true, type = 'chat' }",
	 "return t:add('c@h/r', 'room@muc/nick', ('1'):rep(400), now, how)"},
	{"add over a limit", 0, MAKE "fill(3)", "return t:add('a@h/r', 'b@h', '1', now)"},
	{"add many", PARTLY, "t, ids = receipts.pending {}, {} for i = 1, 40 do ids[i] = ('m'):rep(9 * i) end",
	 "for _, id in ipairs(ids) do local ok, why = t:add('a@h/r', id, id, now) if not ok then return ok, why end end"},
	{"match", 0, MAKE "fill(3)", "return t:match('a@h/r', '2@h/x', 'm2', now)"},
	{"match nothing", AGAIN, MAKE "fill(3)", "return t:match('a@h/r', '2@h/x', 'm1', now)"},
	{"fail", 0, MAKE "fill(3)", "return t:fail('a@h/r', '2@h/x', 'm2', now)"},
	{"state", AGAIN, MAKE "fill(3)", "return t:state('a@h/r', '2@h/x', 'm2')"},
	{"outgoing", 0, MAKE "fill(3) s = ask('1')", "return t:outgoing(s, now, {})"},
	{"ask", 0, MAKE "fill(3)", "return t:ask('a@h/r', 'r@muc/nick', 'new', now, 'chat', { ['r@muc'] = true })"},
	{"incoming ack", 0, MAKE "fill(3) s = ack('m2', '2@h/x')", "return t:incoming(s, now)"},
	{"incoming bounce", 0, MAKE "fill(3) s = message { type = 'error', from = '2@h/x', to = 'a@h/r', id = 'm2' }",
	 "return t:incoming(s, now)"},
	{"expire", AGAIN | PARTLY, MAKE "fill(3) t:changed() t:saved(true) note = note_step", "return t:expire(now + 20, 64)"},
	{"expire in steps", AGAIN | PARTLY, MAKE "t:limit { per_user = 50, ttl = 10 } fill(12) note = note_step",
	 "return t:expire(now + 20, 64)"},
	{"expire of one user", AGAIN | PARTLY, MAKE "fill(3) note = note_step", "return t:expire(now + 20, 64, 'a@h')"},
	{"overdue", AGAIN | PARTLY, MAKE "t:limit { per_user = 50, ttl = 99 } fill(9) note = note_step",
	 "return t:overdue(now + 8, 5, 64)"},
	{"overdue of one user", AGAIN | PARTLY, MAKE "t:limit { per_user = 50, ttl = 99 } fill(9) note = note_step",
	 "return t:overdue(now + 8, 5, 64, 'a@h')"},
	{"evicted", AGAIN, MAKE "fill(15) note = note_entries", "return t:evicted()"},
	{"evicted, the last of them", AGAIN, MAKE "fill(15) note = note_entries", "return t:evicted(2)"},
	{"forget", 0, MAKE "fill(3)", "return t:forget('a@h/x')"},
	{"journal", AGAIN, "t = receipts.pending {}", "return t:journal()"},
	{"changed", AGAIN, MAKE "fill(3)", "return t:changed()"},
	{"saved, what was not told", AGAIN, MAKE "fill(3)",
	 "local ok, from, list = pcall(t.changed, t) if not ok then t:saved(true) error(from, 0) end return from, list"},
	{"saved", 0, MAKE "fill(3) t:changed()", "return t:saved(true)"},
	{"list", AGAIN, MAKE "fill(3)", "return t:list('a@h')"},
	{"export", AGAIN, MAKE "fill(3) t:match('a@h', '2@h', 'm2', now)", "return t:export('a@h')"},
	{"import", PARTLY, "t = receipts.pending {} local mine = t " MAKE "fill(3) list = t:export('a@h') list[4] = {} t = mine",
	 "return t:import('a@h', list, now)"},
	{"count", AGAIN, MAKE "fill(3)", "return t:count(), t:count('a@h')"},
	{"bytes", AGAIN, MAKE "fill(3)", "return t:bytes()"},
	{"limit", AGAIN, MAKE "fill(3)", "return t:limit { per_user = 2 }"},
	{"check", AGAIN, MAKE "fill(3)", "return t:check()"},
	{"close", AGAIN, MAKE "fill(9)", "return t:close()"},

#if LUA_VERSION_NUM >= 504
	{"hooks", AGAIN, "", "return make_hooks()"},
	{"hooks: an ordinary request", CAUGHT, "make_hooks() e = { origin = session, stanza = ask('1') }", "return outgoing(e)"},
	{"hooks: a request that is told", CAUGHT,
	 "make_hooks { listening = function () return true end } e = { origin = session, stanza = ask('1') }", "return outgoing(e)"},
	{"hooks: a request over a limit", CAUGHT, "make_hooks() fill(3 + 255) e = { origin = session, stanza = ask('1') }",
	 "return outgoing(e)"},
	{"hooks: content", CAUGHT,
	 "make_hooks() e = { origin = session, stanza = message({ to = 'b@h' }, { name = 'body', attr = {}, tags = {} }) }",
	 "return outgoing(e)"},
	{"hooks: an ack that is sent", CAUGHT,
	 "make_hooks() e = { origin = session, stanza = ack('1') } e.stanza.attr.to = 'b@h/new'", "return outgoing(e)"},
	{"hooks: nothing of ours", CAUGHT, "make_hooks() e = { origin = session, stanza = message { to = 'b@h' } }",
	 "return outgoing(e), incoming(e)"},
	{"hooks: a request that comes", CAUGHT, "make_hooks() e = { stanza = ask('1') }", "return incoming(e)"},
	{"hooks: an ordinary ack", CAUGHT, "make_hooks() fill(3) e = { stanza = ack('m2', '2@h/x') }", "return incoming(e)"},
	{"hooks: an ack that is told", CAUGHT,
	 "make_hooks() t:add('a@h', 'b@h', '1', now, { injected = true }) e = { stanza = ack('1') }", "return incoming(e)"},
	{"hooks: a forged ack", CAUGHT, "make_hooks() fill(3) e = { stanza = ack('m2') }", "return incoming(e)"},
	{"hooks: a bounce", CAUGHT,
	 "make_hooks() fill(3) e = { stanza = message { type = 'error', from = '2@h/x', to = 'a@h/r', id = 'm2' } }",
	 "return incoming(e)"},
	{"hooks: uncounted", AGAIN,
	 "make_hooks() e = { origin = session, stanza = ask('1') } outgoing(e) e = { stanza = ack('1') } incoming(e) incoming(e) "
	 "sums = { 0, 0, 0 } "
	 "note = function (...) for i, n in ipairs { ... } do sums[i] = sums[i] + n end return describe(sums) end",
	 "return uncounted()"},
#endif
};

static void *allocate(void *ud, void *ptr, size_t old_size, size_t size)
{
	(void)ud, (void)old_size;
	if (size > 0)
		return rcpt_realloc(ptr, size);
	rcpt_free(ptr);
	return NULL;
}

static void must(lua_State *L, const struct operation *op, int status)
{
	if (status != LUA_OK)
		fail_msg("%s: %s", op->name, lua_tostring(L, -1));
}

static lua_State *prepare(const struct operation *op)
{
	lua_State *L = lua_newstate(allocate, NULL);
	assert_non_null(L);
	luaL_requiref(L, "_G", luaopen_base, 1);
	luaL_requiref(L, "string", luaopen_string, 1);
	luaL_requiref(L, "table", luaopen_table, 1);
	lua_pushcfunction(L, luaopen_receipts);
	lua_setglobal(L, "open");
	luaL_requiref(L, "receipts", luaopen_receipts, 1);
	must(L, op, luaL_dostring(L, prelude));
	must(L, op, luaL_dostring(L, op->setup));
	must(L, op, luaL_loadstring(L, op->operation));
	lua_setglobal(L, "operation");
	lua_settop(L, 0);
	lua_gc(L, LUA_GCSTOP, 0);
	luaL_checkstack(L, 1000, NULL); /* what calls a hook has room to call it */
	return L;
}

/* Calls a global function with the values above `base`, takes them off, and returns its result, to be freed. */
static char *text_of(lua_State *L, const struct operation *op, const char *function, int base)
{
	lua_getglobal(L, function);
	lua_insert(L, base + 1);
	must(L, op, lua_pcall(L, lua_gettop(L) - base - 1, 1, 0));
	char *text = strdup(lua_tostring(L, -1));
	lua_settop(L, base);
	return text;
}

/* Runs the operation. Its results are on the stack; or its error is returned, to be freed. */
static char *operate(lua_State *L, int *status)
{
	lua_getglobal(L, "operation");
	*status = lua_pcall(L, 0, LUA_MULTRET, 0);
	if (*status == LUA_OK)
		return NULL;
	char *text = strdup(lua_tostring(L, -1));
	lua_settop(L, 0);
	return text;
}

/* What comes out when all goes well. */
struct expected {
	char *result, *state;
};

static struct expected expect(const struct operation *op)
{
	struct expected e;
	int status;
	lua_State *L = prepare(op);
	char *error = operate(L, &status);
	if (error)
		fail_msg("%s: %s", op->name, error);
	e.result = text_of(L, op, "note", 0);
	e.state = text_of(L, op, "state", 0);
	lua_close(L);
	assert_int_equal(rcpt_mem_held(), 0);
	return e;
}

static bool is_told(lua_State *L)
{
	lua_getglobal(L, "failures");
	const bool told = lua_tointeger(L, -1) > 0;
	lua_pop(L, 1);
	return told;
}

/* Fails the allocation after `after` others, and those behind it, `times` in all. False when it did not get as far as that. */
static bool run_out(const struct operation *op, const struct expected *e, long after, long times)
{
	int status;
	lua_State *L = prepare(op);
	char *before = text_of(L, op, "state", 0);
	rcpt_mem_fail(after, times);
	char *error = operate(L, &status);
	const bool failed = rcpt_mem_failed() > 0;
	rcpt_mem_fail_after(-1);
	char *result = status == LUA_OK ? text_of(L, op, "note", 0) : error;
	char *state = text_of(L, op, "state", 0);
	const bool done = strcmp(state, e->state) == 0, whole = done || strcmp(state, before) == 0;
	const bool clear = strstr(result, "memory") || (status == LUA_OK && strcmp(result, e->result) == 0);
	if (!whole && !(op->may & PARTLY))
		fail_msg("%s, %ld at %ld: before %s, then %s, and not %s", op->name, times, after, before, state, e->state);
	if (!clear && !(op->may & (PARTLY | CAUGHT)))
		fail_msg("%s, %ld at %ld: %s, and not %s", op->name, times, after, result, e->result);
	if (op->may & CAUGHT) {
		must(L, op, status);
		if (failed && times == 2 && !done && !is_told(L))
			fail_msg("%s, at %ld: nobody is told", op->name, after);
	}
	free(state);
	free(result);
	error = operate(L, &status);
	if (status != LUA_OK)
		fail_msg("%s again, %ld at %ld: %s", op->name, times, after, error);
	result = text_of(L, op, "note", 0);
	state = text_of(L, op, "state", 0);
	if ((op->may & AGAIN) && (strcmp(result, e->result) != 0 || strcmp(state, e->state) != 0))
		fail_msg("%s again, %ld at %ld: %s %s, and not %s %s", op->name, times, after, result, state, e->result, e->state);
	free(state);
	free(result);
	free(before);
	lua_close(L);
	if (rcpt_mem_held() != 0)
		fail_msg("%s, %ld at %ld: %zu blocks leaked", op->name, times, after, rcpt_mem_held());
	return failed;
}

/* Lua collects its garbage when an allocation fails, and tries once more: so one failure is a collection at that point, two are
 * an error, and from some point on nothing helps. The engine does not try again. */
static const long how_often[] = {1, 2, -1};

static void each_allocation_fails(void **unused)
{
	(void)unused;
	long runs = 0;
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
		const struct operation *op = &operations[i];
		struct expected e = expect(op);
		for (size_t k = 0; k < sizeof how_often / sizeof *how_often; k++)
			for (long after = 0; run_out(op, &e, after, how_often[k]); after++)
				runs++;
		free(e.result);
		free(e.state);
	}
	print_message("%zu operations, %ld failing allocations\n", sizeof operations / sizeof *operations, runs);
	assert_true(runs > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_allocation_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
