/* SPDX-License-Identifier: MIT */
/* What counts in a message, and the rules about it. */
#include "facts.h"

static const char *const problem_names[RCPT_PROBLEMS] = {
	"request-without-id",  "request-in-ack",     "request-not-empty", "request-in-groupchat", "request-in-error",
	"received-without-id", "received-not-empty", "received-in-error", "several-received",
};

const char *rcpt_problem_name(unsigned n)
{
	return problem_names[n];
}

bool rcpt_stanza_ns(struct rcpt_str ns)
{
	return ns.n == 0 || rcpt_str_eq(ns, RCPT_STR("jabber:client")) || rcpt_str_eq(ns, RCPT_STR("jabber:server")) ||
		   rcpt_str_eq(ns, RCPT_STR("jabber:component:accept"));
}

static bool is_omemo(struct rcpt_str ns)
{
	return rcpt_str_eq(ns, RCPT_STR("eu.siacs.conversations.axolotl")) || rcpt_str_starts(ns, RCPT_STR("urn:xmpp:omemo:"));
}

static bool is_meta(struct rcpt_str name, struct rcpt_str ns)
{
	if (rcpt_stanza_ns(ns))
		return rcpt_str_eq(name, RCPT_STR("thread"));
	return rcpt_str_eq(ns, RCPT_STR("urn:xmpp:hints")) || rcpt_str_eq(ns, RCPT_STR("urn:xmpp:sid:0")) ||
		   rcpt_str_eq(ns, RCPT_STR("urn:xmpp:occupant-id:0")) || rcpt_str_eq(ns, RCPT_STR("urn:xmpp:delay")) ||
		   rcpt_str_eq(ns, RCPT_STR("jabber:x:delay")) || rcpt_str_eq(ns, RCPT_STR("http://jabber.org/protocol/nick")) ||
		   (rcpt_str_eq(ns, RCPT_STR("urn:xmpp:carbons:2")) && rcpt_str_eq(name, RCPT_STR("private")));
}

enum rcpt_child rcpt_child_kind(struct rcpt_str name, struct rcpt_str ns)
{
	if (rcpt_receipts_ns(ns)) {
		if (rcpt_str_eq(name, RCPT_STR("request")))
			return RCPT_CHILD_REQUEST;
		if (rcpt_str_eq(name, RCPT_STR("received")))
			return RCPT_CHILD_RECEIVED;
	} else if (rcpt_str_eq(name, RCPT_STR("body"))) {
		if (rcpt_stanza_ns(ns))
			return RCPT_CHILD_BODY;
	} else if (rcpt_str_eq(name, RCPT_STR("encryption"))) {
		if (rcpt_str_eq(ns, RCPT_STR("urn:xmpp:eme:0")))
			return RCPT_CHILD_ENCRYPTED;
	} else if (rcpt_str_eq(name, RCPT_STR("encrypted"))) {
		if (is_omemo(ns))
			return RCPT_CHILD_ENCRYPTED;
	} else if (rcpt_str_eq(name, RCPT_STR("x"))) {
		if (rcpt_str_eq(ns, RCPT_STR("http://jabber.org/protocol/muc#user")))
			return RCPT_CHILD_OCCUPANT;
	}
	return is_meta(name, ns) ? RCPT_CHILD_META : RCPT_CHILD_OTHER;
}

void rcpt_facts_not_empty(struct rcpt_facts *f, enum rcpt_child kind)
{
	if (kind == RCPT_CHILD_OCCUPANT)
		f->has |= RCPT_HAS_MORE; /* an invitation, say */
	else if (kind == RCPT_CHILD_REQUEST)
		f->problems |= RCPT_REQUEST_NOT_EMPTY;
	else if (!(f->problems & RCPT_SEVERAL_RECEIVED)) /* of several the first counts */
		f->problems |= RCPT_RECEIVED_NOT_EMPTY;
}

void rcpt_facts_child(struct rcpt_facts *f, enum rcpt_child kind, struct rcpt_str id, bool empty)
{
	switch (kind) {
	case RCPT_CHILD_REQUEST:
		f->has |= RCPT_HAS_REQUEST;
		break;
	case RCPT_CHILD_RECEIVED:
		if (f->has & RCPT_HAS_RECEIVED)
			f->problems |= RCPT_SEVERAL_RECEIVED;
		else
			f->received_id = id;
		f->has |= RCPT_HAS_RECEIVED;
		break;
	case RCPT_CHILD_BODY:
		f->has |= RCPT_HAS_BODY | RCPT_HAS_MORE;
		return;
	case RCPT_CHILD_ENCRYPTED:
		f->has |= RCPT_HAS_ENCRYPTED | RCPT_HAS_MORE;
		return;
	case RCPT_CHILD_OCCUPANT:
		f->has |= RCPT_HAS_OCCUPANT;
		break;
	case RCPT_CHILD_OTHER:
		f->has |= RCPT_HAS_MORE;
		return;
	case RCPT_CHILD_META:
		return;
	}
	if (!empty)
		rcpt_facts_not_empty(f, kind);
}

enum rcpt_type rcpt_facts_type(const struct rcpt_facts *f)
{
	if (rcpt_str_eq(f->type, RCPT_STR("chat")))
		return RCPT_CHAT;
	if (rcpt_str_eq(f->type, RCPT_STR("groupchat")))
		return RCPT_GROUPCHAT;
	if (rcpt_str_eq(f->type, RCPT_STR("error")))
		return RCPT_ERROR;
	if (rcpt_str_eq(f->type, RCPT_STR("headline")))
		return RCPT_HEADLINE;
	return RCPT_NORMAL;
}

bool rcpt_facts_could(const struct rcpt_facts *f, unsigned wanted)
{
	if (wanted == RCPT_ANYTHING || (f->has & wanted))
		return true;
	return ((wanted & RCPT_CONTENT) && (f->has & (RCPT_HAS_BODY | RCPT_HAS_ENCRYPTED))) ||
		   ((wanted & RCPT_BOUNCE) && rcpt_facts_type(f) == RCPT_ERROR);
}

/* To somebody else: neither oneself (no address stands for that too) nor a host, which has no local part. */
static bool to_somebody_else(const struct rcpt_facts *f)
{
	const struct rcpt_str to = rcpt_jid_bare(f->to);
	return to.n && memchr(to.p, '@', to.n) && !rcpt_str_eq(to, rcpt_jid_bare(f->from));
}

void rcpt_facts_judge(struct rcpt_facts *f)
{
	const enum rcpt_type type = rcpt_facts_type(f);
	const bool request = f->has & RCPT_HAS_REQUEST, received = f->has & RCPT_HAS_RECEIVED;
	unsigned problems = f->problems;
	if (request) {
		problems |= rcpt_str_blank(f->id) ? RCPT_REQUEST_WITHOUT_ID : 0;
		problems |= received ? RCPT_REQUEST_IN_ACK : 0;
		problems |= type == RCPT_GROUPCHAT ? RCPT_REQUEST_IN_GROUPCHAT : 0;
		problems |= type == RCPT_ERROR ? RCPT_REQUEST_IN_ERROR : 0;
	}
	if (received) {
		problems |= rcpt_str_blank(f->received_id) ? RCPT_RECEIVED_WITHOUT_ID : 0;
		problems |= type == RCPT_ERROR ? RCPT_RECEIVED_IN_ERROR : 0;
	}
	const unsigned no_request = RCPT_REQUEST_WITHOUT_ID | RCPT_REQUEST_IN_ACK | RCPT_REQUEST_NOT_EMPTY |
								RCPT_REQUEST_IN_GROUPCHAT | RCPT_REQUEST_IN_ERROR;
	const unsigned no_ack = RCPT_RECEIVED_NOT_EMPTY | RCPT_RECEIVED_IN_ERROR;
	if (type == RCPT_ERROR)
		f->has |= RCPT_BOUNCE;
	if (request && !(problems & no_request))
		f->has |= RCPT_ASKS;
	if (received && !(problems & no_ack))
		f->has |= RCPT_ACKS;
	if (!request && !received && (f->has & (RCPT_HAS_BODY | RCPT_HAS_ENCRYPTED)) && (type == RCPT_NORMAL || type == RCPT_CHAT) &&
		to_somebody_else(f))
		f->has |= RCPT_CONTENT;
	if (!received)
		f->has &= ~(unsigned)RCPT_HAS_MORE;
	f->problems = problems;
}
