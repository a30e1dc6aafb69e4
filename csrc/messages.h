/* SPDX-License-Identifier: MIT */
/* Messages as they are read, one after another, until they are taken.
 *
 *   text   [id][from][to] …  [id][to] …  [id][from] …        the strings of each, in the order in which they came
 *           list[taken]       list[…]     current
 *
 * Who reads one begins it, keeps its strings, tells `facts` of its children, and ends it.
 */
#ifndef RCPT_MESSAGES_H
#define RCPT_MESSAGES_H

#include <stdint.h>

#include "facts.h"

/* The strings of a message: its attributes, and these. */
enum { RCPT_RECEIVED_ID = RCPT_ATTRIBUTES, RCPT_STAMP, RCPT_STRINGS };

/* A string by its place in `text`, which moves as it grows. */
struct rcpt_place {
	size_t at, n;
	bool set;
};

struct rcpt_message {
	struct rcpt_place string[RCPT_STRINGS];
	unsigned has, problems; /* once it has ended */
	uint64_t line;
};

struct rcpt_messages {
	struct rcpt_message current; /* the one that is being read */
	struct rcpt_facts facts;     /* what is known of it; strings only once it has ended */
	size_t current_at;           /* where its strings begin in `text` */
	bool only_count;             /* none is to be taken: they are forgotten as they end, and only what is judged is kept */

	struct rcpt_message *list; /* [taken, read) wait to be taken */
	size_t read, taken, room;
	char *text;
	size_t used, text_room;
};

/* The struct is empty (zeros) before. */
void rcpt_messages_free(struct rcpt_messages *m);
void rcpt_messages_reset(struct rcpt_messages *m);

void rcpt_messages_begin(struct rcpt_messages *m);
/* False when memory has run out. */
bool rcpt_messages_keep(struct rcpt_messages *m, unsigned which, const char *value);
/* It is judged, and waits to be taken. False when memory has run out. */
bool rcpt_messages_end(struct rcpt_messages *m);

/* The next that has ended, and its line. The strings hold until one is kept or dropped. */
bool rcpt_messages_next(struct rcpt_messages *m, struct rcpt_facts *facts, uint64_t *line);
/* Makes room again once all are taken. What is being read keeps its strings. */
void rcpt_messages_drop_taken(struct rcpt_messages *m, bool reading);

#endif
