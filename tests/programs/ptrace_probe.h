/* What the scenarios of the ptrace probe share.  SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define say(...) (printf(__VA_ARGS__), putchar('\n'))
#define REG(pid, name) peek(pid, offsetof(struct user_regs_struct, name))
#define REQUEST(...) request(#__VA_ARGS__, syscall(SYS_ptrace, __VA_ARGS__))

struct scenario { const char *name; void (*run)(void); };
extern const struct scenario stops[], states[], waits[];

void request(const char *what, long result);        /* print a request that fails, or its positive result */
const char *name_of(pid_t pid);                      /* a stable name for a pid: self, p1, p2 ... in order of appearance */
const char *text_of(int status);                     /* a wait status in words */
int wait_for(pid_t pid, int options);                /* wait4 and print; the status, or -1 */
pid_t child_of(void (*run)(void));                   /* a child that traces itself, stops, and runs */
long peek(pid_t pid, size_t offset);                 /* a word of struct user */
void show_info(pid_t pid);                           /* PTRACE_GETSIGINFO in words */
void show_message(pid_t pid);
void finish(pid_t pid);                              /* let it run to its end */
