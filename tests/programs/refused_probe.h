/* What the parts of refused_probe.c share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef REFUSED_PROBE_H
#define REFUSED_PROBE_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* (newer than some headers; the same for both) */
#define NR_fchmodat2 452
#define NR_landlock_create_ruleset 444
#define NR_landlock_restrict_self 446

enum { PATH_ROOM = 600, TURNS = 3, TEXT_ROOM = 65536 };

extern const char *top;                                     /* what absolute paths begin with */

const char *at_top(const char *path);
const char *below(const char *text);
const char *error_name(long result);
void say(const char *what, const char *more, long result);
long make(long number, long a, long b, long c, long d, long e);
void run_child(const char *what, void (*body)(void));

#if !defined(__x86_64__)
void mark(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define printf mark
#endif

/* refused_files.c */
void change(const char *when, size_t forms);
void places(void);
void sockets(void);
void listing(const char *path);

/* refused_others.c */
void programs(void);
void births(void);
void texts(void);

#if defined(__x86_64__)
void look(void);
void memory(void);
void raw_texts(void);
void signals(void);
void others(void);
void filtered(void);
void restricted(void);
void traced(void);
void old(void);
void small(void);
#endif
#endif
