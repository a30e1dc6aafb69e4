/* SPDX-License-Identifier: MIT */
/* cmocka, with what it wants included first; include this before anything else. */
#ifndef CMOCKA_ENV_H
#define CMOCKA_ENV_H

#define _DEFAULT_SOURCE /* mmap's MAP_ANONYMOUS, rand_r */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
