/* SPDX-License-Identifier: MIT */
/* How much an operation on the pending table touches, counted for bench/pending_pause.c: hash slots, nodes, entries, JIDs,
 * descriptors of pages. Their addresses, which are read for each block, are not counted: 8 bytes for each 64 KiB, which the
 * caches hold.
 * Only a build with -DRCPT_COUNT_TOUCHED counts; there, the program defines the function. */
#ifndef RCPT_TOUCH_H
#define RCPT_TOUCH_H

#ifdef RCPT_COUNT_TOUCHED
void rcpt_touch(const void *what);
#define RCPT_TOUCH(what) rcpt_touch(what)
#else
#define RCPT_TOUCH(what) ((void)0)
#endif

#endif
