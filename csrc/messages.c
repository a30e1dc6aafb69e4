/* SPDX-License-Identifier: MIT */
/* Messages as they are read, one after another, until they are taken. */
#include "messages.h"

#include "mem.h"

void rcpt_messages_free(struct rcpt_messages *m)
{
	rcpt_free(m->list);
	rcpt_free(m->text);
}

void rcpt_messages_reset(struct rcpt_messages *m)
{
	m->taken = m->read = m->used = 0;
}

/* What is not set is not looked at. */
void rcpt_messages_begin(struct rcpt_messages *m)
{
	for (int i = 0; i < RCPT_STRINGS; i++)
		m->current.string[i].set = false;
	m->facts.has = m->facts.problems = 0;
	m->current_at = m->used;
}

static bool is_judged(unsigned which)
{
	return which == RCPT_ATTR_ID || which == RCPT_ATTR_TYPE || which == RCPT_RECEIVED_ID;
}

bool rcpt_messages_keep(struct rcpt_messages *m, unsigned which, const char *value)
{
	if (m->only_count && !is_judged(which))
		return true;
	const size_t n = strlen(value);
	void *text = m->text;
	if (!rcpt_grow(&text, &m->text_room, 1, m->used + n + 1))
		return false;
	m->text = text;
	memcpy(m->text + m->used, value, n + 1);
	m->current.string[which] = (struct rcpt_place){.at = m->used, .n = n, .set = true};
	m->used += n + 1;
	return true;
}

static struct rcpt_str string_of(const struct rcpt_messages *m, const struct rcpt_place *p)
{
	return p->set ? (struct rcpt_str){m->text + p->at, p->n} : (struct rcpt_str){NULL, 0};
}

static void set_strings(const struct rcpt_messages *m, const struct rcpt_message *message, struct rcpt_facts *f)
{
	f->id = string_of(m, &message->string[RCPT_ATTR_ID]);
	f->from = string_of(m, &message->string[RCPT_ATTR_FROM]);
	f->to = string_of(m, &message->string[RCPT_ATTR_TO]);
	f->type = string_of(m, &message->string[RCPT_ATTR_TYPE]);
	f->received_id = string_of(m, &message->string[RCPT_RECEIVED_ID]);
	f->stamp = string_of(m, &message->string[RCPT_STAMP]);
}

bool rcpt_messages_end(struct rcpt_messages *m)
{
	set_strings(m, &m->current, &m->facts);
	rcpt_facts_judge(&m->facts);
	if (m->only_count) {
		m->used = m->current_at;
		return true;
	}
	void *list = m->list;
	if (!rcpt_grow(&list, &m->room, sizeof *m->list, m->read + 1))
		return false;
	m->list = list;
	m->current.has = m->facts.has;
	m->current.problems = m->facts.problems;
	m->list[m->read++] = m->current;
	return true;
}

bool rcpt_messages_next(struct rcpt_messages *m, struct rcpt_facts *facts, uint64_t *line)
{
	if (m->taken == m->read)
		return false;
	const struct rcpt_message *message = &m->list[m->taken++];
	set_strings(m, message, facts);
	facts->has = message->has;
	facts->problems = message->problems;
	*line = message->line;
	return true;
}

void rcpt_messages_drop_taken(struct rcpt_messages *m, bool reading)
{
	if (m->taken < m->read)
		return;
	m->taken = m->read = 0;
	if (!reading)
		m->current_at = m->used;
	if (m->current_at == 0)
		return;
	memmove(m->text, m->text + m->current_at, m->used - m->current_at);
	m->used -= m->current_at;
	for (int i = 0; i < RCPT_STRINGS; i++)
		if (m->current.string[i].set)
			m->current.string[i].at -= m->current_at;
	m->current_at = 0;
}
