/* SPDX-License-Identifier: MIT */
/* receipts.parse: one message, given whole, as bytes. */
#include "lua_binding.h"
#include "single.h"

struct rcpt_reader_box {
	struct rcpt_single *reader;
	bool taken; /* somebody reads with it; or a Lua error came between, and it is left to the collector */
};

/* Pushes a box with a reader in it: the one that the module keeps, or a new one. Making Lua values can run a finalizer, and that
 * can parse: it gets a reader of its own. */
static struct rcpt_reader_box *take_reader(lua_State *L)
{
	static const struct rcpt_xml_limits limits = {RCPT_XML_BYTES, RCPT_XML_DEPTH, RCPT_XML_ATTR, false, false};
	struct rcpt_module *module = rcpt_module(L);
	if (module->box && !module->box->taken && module->box->reader) {
		lua_rawgeti(L, lua_upvalueindex(UP_READER), 1);
		module->box->taken = true;
		return module->box;
	}
	struct rcpt_reader_box *box = lua_newuserdata(L, sizeof *box);
	*box = (struct rcpt_reader_box){.taken = true};
	lua_pushvalue(L, lua_upvalueindex(UP_READER));
	lua_setmetatable(L, -2);
	box->reader = rcpt_single_new(&limits, (unsigned long)module->key.k0);
	if (!box->reader)
		luaL_error(L, "out of memory");
	lua_pushvalue(L, -1);
	lua_rawseti(L, lua_upvalueindex(UP_READER), 1);
	module->box = box;
	return box;
}

int rcpt_l_parse(lua_State *L)
{
	const struct rcpt_str xml = rcpt_check_str(L, 1);
	lua_settop(L, 1);
	struct rcpt_reader_box *box = take_reader(L); /* stays on the stack: another may take its place in the module */
	struct rcpt_facts f;
	int results = 1;
	if (rcpt_single_read(box->reader, xml.p, xml.n, &f) == RCPT_XML_OK)
		rcpt_push_facts(L, &f, 0);
	else
		results = rcpt_push_xml_error(L, rcpt_single_reason(box->reader), rcpt_single_position(box->reader));
	box->taken = false;
	return results;
}

int rcpt_l_reader_gc(lua_State *L)
{
	struct rcpt_reader_box *box = lua_touserdata(L, 1);
	rcpt_single_free(box->reader);
	box->reader = NULL;
	return 0;
}
