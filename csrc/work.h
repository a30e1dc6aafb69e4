/* SPDX-License-Identifier: MIT */
/* How much an operation on the pending table touches, counted for bench/pending_pause.c: slots, blocks, links. Only a build with
 * -DRCPT_COUNT_WORK counts; there, the program defines the counter. */
#ifndef RCPT_WORK_H
#define RCPT_WORK_H

#ifdef RCPT_COUNT_WORK
extern unsigned long rcpt_work;
#define RCPT_WORK(n) (rcpt_work += (n))
#else
#define RCPT_WORK(n) ((void)0)
#endif

#endif
