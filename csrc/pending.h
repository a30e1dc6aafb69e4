/* SPDX-License-Identifier: MIT */
/* The pending table: who asked whom for a receipt, for which message, when.
 *
 * An entry is (requester's bare JID, message id, asked JID). It begins as pending. An ack makes it delivered: it is then
 * remembered for a while, so that a second ack is known for a duplicate. A bounce makes it failed, which a later ack still wins
 * over. JIDs are compared on their bare form, the asked room occupant (RCPT_OCCUPANT) in full; ids byte for byte.
 *
 * Bounds. A user who is over `per_user` loses the oldest of their own that was delivered, or else that has failed (what bounced
 * first), or else the oldest that is pending. So does one whose entries have more bytes than RCPT_ENTRY_BYTES for each of
 * `per_user`, in the asked JID, as it is kept, and the id, as text: as many go as have those, and where none is left the new one
 * is taken in any case. A table that is full forgets the oldest delivered entry, then the oldest that has failed, then the user's
 * own oldest; where there is none of these it takes nothing new (RCPT_FULL): nobody's pending entry is ever given up for somebody
 * else's.
 *
 * Time is always an argument, in seconds since the epoch, from 0 to below RCPT_TIME_MAX; it is kept to 1/64 s. A clock that leaps
 * ahead makes all that much older; one that steps back makes an age 0, never negative.
 *
 * Adding, matching, failing, and expiring one entry are O(1) amortised and touch few others; nothing rehashes. (But one id asked
 * of n people is a chain of n.) What shows or forgets a requester's entries takes as long as those are many; rcpt_pending_put()
 * as many as are younger, rcpt_pending_changed() as many requesters as wait, and what of theirs is not written. An operation that
 * fails leaves the table as it was.
 *
 * Journal. A table with `journal` set remembers for whom something has to be written to a store, and which entries of theirs:
 * those awaited, and delivered ones whose request was injected, so that an ack nobody's client asked for is known for that after
 * a restart too. What is asked and delivered between two writes never reaches the store.
 */
#ifndef RCPT_PENDING_H
#define RCPT_PENDING_H

#include <stdint.h>

#include "siphash.h"
#include "str.h"
#include "uuid.h"

#define RCPT_ID_MAX 1023u            /* bytes in a message id that we track */
#define RCPT_JID_MAX 3071u           /* bytes in a JID (RFC 7622 §3.1) */
#define RCPT_ENTRY_BYTES 256u        /* bytes that a requester's entries may have on average, were there `per_user` of them */
#define RCPT_SPAN_MAX (365 * 86400.) /* seconds in a limit */
#define RCPT_TIME_MAX 274877906944.  /* 2^38 seconds: the year 10680 */
#define RCPT_CAPACITY_MAX 100000000u /* entries */

struct rcpt_pending;

struct rcpt_pending_limits {
	uint32_t capacity; /* entries in the table, at least 1 */
	uint32_t per_user; /* entries of one requester, at least 1; and, in bytes, RCPT_ENTRY_BYTES times as much */
	double ttl;        /* seconds until a pending or failed entry expires */
	double remember;   /* seconds for which a delivered entry is remembered */
};

struct rcpt_entry;

/* Called with each entry that is shown. It must not change the table. Return false to stop: what was to become of this entry does
 * not, and it will be shown again. */
typedef bool rcpt_visit(void *ud, const struct rcpt_entry *entry);

enum rcpt_status {
	RCPT_OK,
	RCPT_KNOWN, /* add: this very entry is pending already; it keeps its time. Asked for by its client, it is no longer injected
				 */
	RCPT_FULL,  /* add: the table is full of other people's pending entries; put: of anybody's */
	RCPT_TOO_LONG, /* an id or a JID over its limit, or empty */
	RCPT_TOO_OLD,  /* put: expired by now */
	RCPT_NO_MEMORY
};

enum rcpt_verdict {
	RCPT_UNKNOWN,   /* nobody's answer about this id is awaited, or only a host's: that may have others answer */
	RCPT_DELIVERED, /* the first ack from who was asked */
	RCPT_DUPLICATE, /* another one */
	RCPT_FORGED     /* somebody's answer is awaited who is no host, and who acks was never asked */
};

/* What is remembered with an entry. The lowest three bits are the content message's type, see facts.h. */
#define RCPT_TYPE_BITS 0x07u
#define RCPT_INJECTED 0x08u /* the request was put in by the server */
#define RCPT_OCCUPANT 0x10u /* asked is room@muc/nick; it is not kept with a JID that has no nick */
#define RCPT_OVERDUE 0x20u  /* rcpt_pending_overdue() has shown it */

enum rcpt_state { RCPT_PENDING, RCPT_FAILED, RCPT_DELIVERED_ONCE };

/* One entry, as it is shown to others. The strings belong to the table, until it is changed; the id may be in `uuid`, to which
 * that of a copy still points. */
struct rcpt_entry {
	struct rcpt_str from, asked, id;
	double time; /* when asked; in the last state when delivered */
	enum rcpt_state state;
	unsigned flags;
	bool stored; /* the store has a record of it, of now or of before */
	bool keep;   /* the store should have one */
	char uuid[RCPT_UUID_TEXT];
};

/* What a match or a bounce found. Valid for DELIVERED and DUPLICATE, and for what has failed. */
struct rcpt_answer {
	double age; /* seconds from ask to this ack; for a duplicate, since the first ack */
	unsigned flags;
};

/* NULL when memory has run out. Limits are clipped to the maxima above; per_user is to that of the capacity. */
struct rcpt_pending *rcpt_pending_new(const struct rcpt_pending_limits *limits, const struct rcpt_key *key);
void rcpt_pending_free(struct rcpt_pending *t);
/* New limits hold from the next operation on; what is over them goes as entries are added. */
void rcpt_pending_limit(struct rcpt_pending *t, const struct rcpt_pending_limits *limits);

/* `from` asks `to`. Either may be a full JID. RCPT_OK, or the status that says why the entry was not added.
 * An id that was delivered or failed before is asked again: the entry starts anew. */
enum rcpt_status rcpt_pending_add(struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id,
								  double now, unsigned flags);

/* `to` acks message `id` of `from`. `answer` is written for DELIVERED and DUPLICATE. */
enum rcpt_verdict rcpt_pending_match(struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id,
									 double now, struct rcpt_answer *answer);

/* `to` bounced message `id` of `from`. True when that was pending and is failed now; then `answer` is written, with the age since
 * the ask. */
bool rcpt_pending_fail(struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id, double now,
					   struct rcpt_answer *answer);

/* The state of the entry for (from, to, id). False, and `state` untouched, when there is none. */
bool rcpt_pending_state(const struct rcpt_pending *t, struct rcpt_str from, struct rcpt_str to, struct rcpt_str id,
						enum rcpt_state *state);

/* Drops entries that are over their time, of each state the oldest first, `max` at most; `visit` (may be NULL) is shown each
 * before it goes. Those of one requester, or of all where `from` is empty. Returns how many it dropped or put back in order: less
 * than `max` means that nothing is left to do. One that has failed waits for those that bounced before it, and so may go late, by
 * as long as its bounce took to come. */
uint32_t rcpt_pending_expire(struct rcpt_pending *t, struct rcpt_str from, double now, uint32_t max, rcpt_visit *visit, void *ud);

/* Shows, once each, the pending entries that are `age` seconds old, `max` at most. Those of one requester (whose old entries are
 * all walked over), or of all where `from` is empty. Returns how many it has dealt with: less than `max` means that nothing is
 * left to do. Entries from the future, which a clock that was ahead has left, get the time `now`, and go behind the others:
 * nobody waits for them. Once their time has come they are as any; so a clock that was ahead by less than `age` can make others
 * late by as much. */
uint32_t rcpt_pending_overdue(struct rcpt_pending *t, struct rcpt_str from, double now, double age, uint32_t max,
							  rcpt_visit *visit, void *ud);

/* Shows the entries of one requester, oldest first: those not delivered, then, with `delivered`, those delivered. One that has
 * failed comes behind those that bounced before it. */
void rcpt_pending_each(const struct rcpt_pending *t, struct rcpt_str from, bool delivered, rcpt_visit *visit, void *ud);

/* Puts back an entry as each() showed it, and takes it for stored. RCPT_OK, or why not: RCPT_KNOWN when it is there already,
 * which only counts as changed, and as `stored` as that says: so what could not be written is put back as changed() showed it. A
 * time to come counts as now, and the entry as changed. Among the requester's entries it comes in its order of time; among all it
 * comes last, so that a walk over all of them (expire, overdue) may reach it late, and one over the requester's own does not. A
 * full table gives up nothing that is awaited for it: RCPT_FULL. Where the requester has too many, or too long ones, others make
 * room as for a new entry; or this one does, where any of those is younger. */
enum rcpt_status rcpt_pending_put(struct rcpt_pending *t, const struct rcpt_entry *entry, double now);

/* Forgets everything that a requester has asked. Returns how many entries that were; none is shown. */
uint32_t rcpt_pending_forget(struct rcpt_pending *t, struct rcpt_str from);

/* Keeps a journal from now on. `evicted` is shown every entry that makes room for another, unless neither its requester nor the
 * store can miss it. While that returns false nothing makes room, and add() and put() have no memory. */
void rcpt_pending_journal(struct rcpt_pending *t, rcpt_visit *evicted, void *ud);
/* The requester who has waited longest for something to be written, and `visit` is shown what: entries with `keep` are written,
 * the others' records are removed. An empty string when all is written, or waits. Entries that are new to the store, and were
 * asked less than `young` seconds before `now`, wait: 0 for none. Once `visit` has stopped, what there is cannot be taken for
 * written.
 */
struct rcpt_str rcpt_pending_changed(struct rcpt_pending *t, double now, double young, rcpt_visit *visit, void *ud);
/* What rcpt_pending_changed() showed has been written; or it has not, and that requester's turn comes after all others'. Nothing
 * may be done to the table between the two: it would be taken for written. Nor is this to be called twice: what it says would be
 * of another requester. */
void rcpt_pending_saved(struct rcpt_pending *t, bool written);

/* Entries not delivered (pending or failed): of all, or of one requester. */
uint32_t rcpt_pending_count(const struct rcpt_pending *t);
uint32_t rcpt_pending_count_of(const struct rcpt_pending *t, struct rcpt_str from);
/* Memory held, in bytes. */
size_t rcpt_pending_bytes(const struct rcpt_pending *t);

/* NULL, or the invariant that does not hold. For tests: it reads the whole table. */
const char *rcpt_pending_check(const struct rcpt_pending *t);

#endif
