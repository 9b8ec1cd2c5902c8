/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define LD (BPF_LD | BPF_W | BPF_ABS)
#define JEQ (BPF_JMP | BPF_JEQ | BPF_K)
#define JGE (BPF_JMP | BPF_JGE | BPF_K)
#define JA (BPF_JMP | BPF_JA)
#define RET (BPF_RET | BPF_K)
#define RET_A (BPF_RET | BPF_A)
#define ALLOW 0x7fff0000u
#define LOG 0x7ffc0000u
#define TRACE 0x7ff00000u
#define ERRNO(n) (0x00050000u | (n))
#define TRAP(n) (0x00030000u | (n))
#define KILL_THREAD 0u
#define KILL_PROCESS 0x80000000u
#define INSTALL(program) install(program, sizeof(program) / sizeof(program)[0], 0)

struct part { const char *name; void (*run)(void); };

extern const char known_path[];
extern const char call_text[], call_text_end[];

long call(long number, long a, long b, long c);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
long install(struct sock_filter *program, int length, unsigned flags);
int in_child(void (*run)(void));
void get_mode(void);
long open_file(const char *path);
void prepare_interruption(void);
long interrupted_open(void);
int again(char what);

void trapped(void);
void strict_thread(void);
void killed_thread(void);
void synchronised(void);
void not_synchronised(void);
void long_programs(void);
void execute(void);
void execute_long(void);
void execute_refused(void);
void messages(void);
void allow_list(void);
