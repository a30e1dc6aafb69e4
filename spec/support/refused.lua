-- SPDX-License-Identifier: MIT
-- What receipts.parse refuses, and why.

return {
	["not-well-formed input"] = { "<message><body></message>", "mismatched tag" };
	["two elements"] = { "<message/><message/>", "junk after document element" };
	["another root"] = { "<iq/>", "the root element is not a message" };
	["a root in another namespace"] = { "<message xmlns='urn:example'/>", "the root element is not a message" };
	["a DTD"] = { "<!DOCTYPE message><message/>", "a document type declaration is not allowed" };
	["a comment"] = { "<message><!-- --></message>", "a comment is not allowed" };
	["a processing instruction"] = { "<message><?x y?></message>", "a processing instruction is not allowed" };
	["bad UTF-8"] = { "<message>\xff</message>", "not well-formed (invalid token)" };
	["an unbound prefix"] = { "<message><r:request/></message>", "unbound prefix" };
	["nothing"] = { "", "the input is incomplete" };
	["half a message"] = { "<message><body>", "the input is incomplete" };
	["what is over the size limit"] = { "<message>"..(" "):rep(1048576).."</message>", "over the size limit" };
	["what is nested too deep"] = { ("<message>"):rep(65)..("</message>"):rep(65), "elements nested too deep" };
	["an attribute that is too long"] = { "<message id='"..("x"):rep(131073).."'/>", "an attribute is over the length limit" };
};
