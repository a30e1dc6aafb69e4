-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 150
cache = false
codes = true

-- The module runs in Prosody's environment.
files["mod_receipts/"] = {
	read_globals = { "prosody" };
	globals = { "module" };
}
files["spec/plugins/"] = { globals = { "module" }, read_globals = { "prosody" } }
files["examples/"] = { globals = { "module" } }
files["bench/plugins/"] = { globals = { "module" }, read_globals = { "prosody" } }
files["spec/**/*_spec.lua"] = { std = "+busted" }
