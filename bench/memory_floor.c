/* SPDX-License-Identifier: MIT */
/* What waiting for memory alone makes of pending-growth. An operation of the table touches 15 slots and blocks in the mean, see
 * pending_pause.c. Where the heads of its chains lie is known beforehand; where an entry is, a head tells; where its user and its
 * neighbours in the lists are, the entry tells. So here an operation reads 15 places in memory of the table's size, in three waves of
 * five: as few waves as any table with entries in lists can have. What the next operation reads does not hang on this one, so the
 * processor may begin with it. No hashing, no comparing, no Lua.
 *
 *   memory_floor ENTRIES      prints microseconds of an operation
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime; NOLINT(bugprone-reserved-identifier,cert-*) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WAVES = 3, PLACES = 5, OPERATIONS = 1000000, BYTES = 84 /* an entry and what goes with it */ };

static uint64_t state = 184;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Somewhere; which hangs on what was read before. */
static uint64_t place(uint64_t before, uint64_t size)
{
	return (next_random() + before) % size;
}

int main(int argc, char **argv)
{
	const uint64_t size = (argc == 2 ? strtoull(argv[1], NULL, 10) : 0) * BYTES;
	char *memory = size ? malloc(size) : NULL;
	if (!memory)
		return 2;
	memset(memory, 1, size); /* 0 might leave it one page, which the system lets all share */
	struct timespec began, ended;
	uint64_t sum = 0;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
	for (int n = 0; n < OPERATIONS; n++) {
		uint64_t read = 0;
		for (int wave = 0; wave < WAVES; wave++) {
			const uint64_t before = read; /* this wave's addresses come of the one before */
			for (int i = 0; i < PLACES; i++)
				read += (uint64_t)memory[place(before, size)];
		}
		sum += read;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
	if (sum != (uint64_t)WAVES * PLACES * OPERATIONS)
		return 1;
	const double ns = (double)(ended.tv_sec - began.tv_sec) * 1e9 + (double)(ended.tv_nsec - began.tv_nsec);
	printf("%.3f\n", ns / OPERATIONS / 1000);
	free(memory);
	return 0;
}
