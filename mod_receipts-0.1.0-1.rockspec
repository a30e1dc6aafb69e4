rockspec_format = "3.0"
package = "mod_receipts"
version = "0.1.0-1"
source = {
	-- Beside this file in the source rock that `make rock` makes.
	url = "mod_receipts-0.1.0.tar.gz",
	dir = "mod_receipts-0.1.0",
}
description = {
	summary = "Message Delivery Receipts (XEP-0184) done by the Prosody XMPP server",
	detailed = [[
		A Prosody module that takes part in message delivery receipts: it asks on behalf of clients that can't, answers with proof
		of delivery on behalf of clients that don't, drops forged receipts, and keeps receipts from leaking presence. Its C engine on
		libexpat is a Lua library of its own.]],
	license = "MIT",
	labels = { "xmpp", "prosody", "xep-0184" },
}
dependencies = {
	"lua >= 5.4",
}
external_dependencies = {
	EXPAT = {
		header = "expat.h",
		library = "expat",
	},
}
build = {
	type = "builtin",
	modules = {
		receipts = {
			sources = {
				"csrc/receipts.c", "csrc/lua_values.c", "csrc/lua_facts.c", "csrc/lua_parse.c", "csrc/lua_scanner.c",
				"csrc/lua_stanza.c", "csrc/lua_entries.c", "csrc/lua_pending.c",
				"csrc/mem.c", "csrc/siphash.c", "csrc/uuid.c", "csrc/slab.c", "csrc/lhash.c",
				"csrc/pending.c", "csrc/pending_table.c", "csrc/pending_find.c", "csrc/pending_walk.c", "csrc/pending_journal.c",
				"csrc/pending_check.c",
				"csrc/facts.c", "csrc/namespaces.c", "csrc/parser.c", "csrc/messages.c", "csrc/tags.c", "csrc/lines.c", "csrc/xml.c",
				"csrc/xml_handlers.c", "csrc/single.c",
			},
			libraries = { "expat" },
			incdirs = { "$(EXPAT_INCDIR)" },
			libdirs = { "$(EXPAT_LIBDIR)" },
		},
		["mod_receipts.mod_receipts"] = "mod_receipts/mod_receipts.lua",
		-- Prosody's module:require "x" finds mod_receipts/x.lua where it finds no x.lib.lua.
		["mod_receipts.accounts"] = "mod_receipts/accounts.lib.lua",
		["mod_receipts.answering"] = "mod_receipts/answering.lib.lua",
		["mod_receipts.answers"] = "mod_receipts/answers.lib.lua",
		["mod_receipts.asleep"] = "mod_receipts/asleep.lib.lua",
		["mod_receipts.blocks"] = "mod_receipts/blocks.lib.lua",
		["mod_receipts.bounded"] = "mod_receipts/bounded.lib.lua",
		["mod_receipts.capabilities"] = "mod_receipts/capabilities.lib.lua",
		["mod_receipts.carbons"] = "mod_receipts/carbons.lib.lua",
		["mod_receipts.checks"] = "mod_receipts/checks.lib.lua",
		["mod_receipts.command"] = "mod_receipts/command.lib.lua",
		["mod_receipts.components"] = "mod_receipts/components.lib.lua",
		["mod_receipts.decisions"] = "mod_receipts/decisions.lib.lua",
		["mod_receipts.disco"] = "mod_receipts/disco.lib.lua",
		["mod_receipts.elements"] = "mod_receipts/elements.lib.lua",
		["mod_receipts.engine"] = "mod_receipts/engine.lib.lua",
		["mod_receipts.fates"] = "mod_receipts/fates.lib.lua",
		["mod_receipts.forms"] = "mod_receipts/forms.lib.lua",
		["mod_receipts.guard"] = "mod_receipts/guard.lib.lua",
		["mod_receipts.hiding"] = "mod_receipts/hiding.lib.lua",
		["mod_receipts.hooks"] = "mod_receipts/hooks.lib.lua",
		["mod_receipts.inspection"] = "mod_receipts/inspection.lib.lua",
		["mod_receipts.jids"] = "mod_receipts/jids.lib.lua",
		["mod_receipts.learning"] = "mod_receipts/learning.lib.lua",
		["mod_receipts.lint"] = "mod_receipts/lint.lib.lua",
		["mod_receipts.manual"] = "mod_receipts/manual.lib.lua",
		["mod_receipts.offers"] = "mod_receipts/offers.lib.lua",
		["mod_receipts.options"] = "mod_receipts/options.lib.lua",
		["mod_receipts.outlet"] = "mod_receipts/outlet.lib.lua",
		["mod_receipts.people"] = "mod_receipts/people.lib.lua",
		["mod_receipts.preferences"] = "mod_receipts/preferences.lib.lua",
		["mod_receipts.presence"] = "mod_receipts/presence.lib.lua",
		["mod_receipts.proof"] = "mod_receipts/proof.lib.lua",
		["mod_receipts.prosodyctl"] = "mod_receipts/prosodyctl.lib.lua",
		["mod_receipts.queries"] = "mod_receipts/queries.lib.lua",
		["mod_receipts.records"] = "mod_receipts/records.lib.lua",
		["mod_receipts.reports"] = "mod_receipts/reports.lib.lua",
		["mod_receipts.requests"] = "mod_receipts/requests.lib.lua",
		["mod_receipts.resend"] = "mod_receipts/resend.lib.lua",
		["mod_receipts.retries"] = "mod_receipts/retries.lib.lua",
		["mod_receipts.rooms"] = "mod_receipts/rooms.lib.lua",
		["mod_receipts.routing"] = "mod_receipts/routing.lib.lua",
		["mod_receipts.setup"] = "mod_receipts/setup.lib.lua",
		["mod_receipts.shell"] = "mod_receipts/shell.lib.lua",
		["mod_receipts.store"] = "mod_receipts/store.lib.lua",
		["mod_receipts.stored"] = "mod_receipts/stored.lib.lua",
		["mod_receipts.tracker"] = "mod_receipts/tracker.lib.lua",
		["mod_receipts.traffic"] = "mod_receipts/traffic.lib.lua",
		["mod_receipts.turns"] = "mod_receipts/turns.lib.lua",
		["mod_receipts.upkeep"] = "mod_receipts/upkeep.lib.lua",
		["mod_receipts.views"] = "mod_receipts/views.lib.lua",
		["mod_receipts.waiting"] = "mod_receipts/waiting.lib.lua",
	},
}
