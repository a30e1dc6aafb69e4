-- SPDX-License-Identifier: MIT
-- Rule F4: what the commands of shell.lib.lua take and do, as Prosody's shell shows it (13.0: `prosodyctl shell help receipts`).

return {
	section = "Delivery receipts (mod_receipts)";
	commands = {
		stats = {
			args = { { name = "host", type = "string" } };
			desc = "Show what became of messages: of a host, or of each (up to eight) and in total";
		};
		pending = {
			args = { { name = "jid", type = "string" } };
			desc = "Show a user's messages whose receipt is awaited";
		};
		why = {
			args = { { name = "jid", type = "string" }, { name = "id", type = "string" } };
			desc = "Show which rules decided about a user's recent messages: about one, or about all";
		};
		caps = {
			args = { { name = "jid", type = "string" } };
			desc = "Show what is known of a person's clients: whether they support receipts";
		};
		version = {
			args = {};
			desc = "Show which version runs, and whether another one is installed by now";
		};
		expire = {
			args = { { name = "host", type = "string" } };
			desc = "Drop what has been pending for longer than receipts_expire_after, without waiting for the timer";
		};
		forget = {
			args = { { name = "jid", type = "string" } };
			desc = "Forget what is pending of a user, in memory and in the store";
		};
	};
};
