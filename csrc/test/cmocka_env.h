/* SPDX-License-Identifier: MIT */
/* cmocka, with what it wants included first. */
#ifndef CMOCKA_ENV_H
#define CMOCKA_ENV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
