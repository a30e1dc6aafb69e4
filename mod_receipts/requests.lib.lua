-- SPDX-License-Identifier: MIT
-- Chapter C: whether to ask on behalf of a client that didn't.

--- Decides whether a content message (rule C2) gets a request (rules C1, C3).
-- What is known of a client is "capable", "incapable" or "unknown"; of the sender's own also "silent": it shows no caps at all.
-- @param mode       the option receipts_request, where that is not "never"
-- @param sender     what is known of the sender's client
-- @param recipient  function (...): what is known of whom it is addressed to; asked only where that matters
-- @return boolean, and the reason in words
local function decide(mode, sender, recipient, ...)
	if mode == "auto" and sender == "capable" then
		return false, "the sender's client can ask by itself";
	elseif mode == "auto" and sender == "unknown" then
		return false, "the sender's client has not said yet whether it can ask by itself";
	end
	local support = recipient(...);
	if support == "incapable" then
		return false, "the recipient does not support receipts";
	elseif mode == "always" then
		return true, "receipts_request is \"always\"";
	elseif support == "unknown" then
		return false, "the recipient is not known to support receipts";
	end
	return true, "the recipient supports receipts and the sender's client does not";
end

return { decide = decide };
