/* SPDX-License-Identifier: MIT */
/* The floor below prosody-memory: what is pending, and nothing to find it by. The ids as sixteen bytes; whom each was asked of, as
 * two; when, to the second; every JID once, as text with an end. The requester is told by the order. It is three arrays and no more:
 * no hash, no order of all, no state, no length, nothing between what the allocator hands out, no room to grow.
 *
 *   bare_entries ENTRIES REQUESTERS ASKED JID_BYTES      prints the MiB by which the resident set grows
 */
#define _DEFAULT_SOURCE /* NOLINT(bugprone-reserved-identifier,cert-*) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ID = 16 };

/* In bytes; 0 where the system does not tell. */
static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	if (!file || fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
	size_t n[4] = {0};
	for (int i = 0; i < 4 && i + 1 < argc; i++)
		n[i] = strtoul(argv[i + 1], NULL, 10);
	const size_t entries = n[0], names = (n[1] + n[2]) * (n[3] + 1);
	resident(); /* what reading it takes is there from now on */
	const size_t before = resident();
	unsigned char *ids = malloc(entries * ID);
	uint16_t *asked = malloc(entries * sizeof *asked);
	uint32_t *times = malloc(entries * sizeof *times);
	char *jids = malloc(names);
	if (!entries || !names || !before || !ids || !asked || !times || !jids)
		return 2;
	memset(ids, 1, entries * ID);
	memset(asked, 1, entries * sizeof *asked);
	memset(times, 1, entries * sizeof *times);
	memset(jids, 1, names);
	const size_t after = resident();
	/* Who never reads need not have written. */
	if (ids[before % entries] + asked[before % entries] / 257u + times[before % entries] / 16843009u + (unsigned)jids[before % names] != 4)
		return 1;
	printf("%.3f\n", (double)(after - before) / 1048576);
	free(ids);
	free(asked);
	free(times);
	free(jids);
	return 0;
}
