/* SPDX-License-Identifier: MIT */
/* What the targets share: taking an input apart, and telling what should not be. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer calls this with each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define CHECK(ok, ...)                                                                                                           \
	do {                                                                                                                         \
		if (!(ok)) {                                                                                                             \
			fprintf(stderr, __VA_ARGS__);                                                                                        \
			fputc('\n', stderr);                                                                                                 \
			abort();                                                                                                             \
		}                                                                                                                        \
	} while (0)

/* A number that depends on the whole input: for choices that are not to be part of it, so that it stays plain XML. */
static inline uint32_t fuzz_hash(const uint8_t *data, size_t n)
{
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ data[i]) * 16777619u;
	return hash;
}

/* The next of a series of such numbers. */
static inline uint32_t fuzz_next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

#endif
