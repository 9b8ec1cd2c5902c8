/* Shared declarations of the oracle's guest interpreter.
 *
 * The interpreter reads one operation a line, executes it with a raw `syscall` instruction and prints one result
 * line.  Everything that depends on the run (inode numbers, pids, clock times) is renamed here, so that two runs
 * over identical trees print identical text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PYROOT_ORACLE_OPS_H
#define PYROOT_ORACLE_OPS_H

#include <stddef.h>
#include <stdint.h>

#define PAGE 4096
#define MAX_ARGS 8
#define MAX_SLOTS 64
#define FILL 0xA5
#define EXIT_REPORT 7

enum out_kind {
    IN_ONLY, OUT_STAT, OUT_STATX, OUT_STATFS, OUT_TEXT, OUT_DATA, OUT_NAMES, OUT_DENTS, OUT_SOCKADDR, OUT_LEN,
    OUT_MESSAGE, OUT_HANDLE, OUT_INT, OUT_ATTR, OUT_EVENTS
};

struct arg {
    long value;                 /* what goes into the register */
    enum out_kind kind;
    unsigned char *memory;      /* input string or output buffer, NULL when there is none */
    size_t capacity;
    const unsigned char *original; /* copy of an input string, compared after the call */
};

struct op {
    const char *name;
    int slot;                   /* fd slot that takes the result, -1 for none */
    int count;
    struct arg args[MAX_ARGS];
};

struct call { const char *name; int number; };

extern const struct call calls[];
extern int slots[MAX_SLOTS];
extern int registers_changed;

long raw(long number, const long *a);
void use_sites(void);
long raw_call(long number, long a, long b, long c, long d, long e, long f);
int call_number(const char *name);

#if defined(__i386__)
/* ops_i386.c */
enum layout { NEWEST, OLDER, OLDEST };
struct stat;
extern unsigned call_turn;      /* chooses among the forms of a call */
extern enum layout stat_layout, statfs_layout; /* of the last such call */
void stat_from_layout(const unsigned char *memory, struct stat *st);
#endif

/* ops_args.c */
void prepare_pages(void);
int parse_op(char *line, struct op *op);

/* ops_out.c */
void emit(const char *format, ...) __attribute__((format(printf, 1, 2)));
void emit_flush(void);
void emit_escaped(const unsigned char *text, size_t length);
void emit_text(const unsigned char *text, size_t length);
void emit_outputs(const struct op *op, long result);
int names_hidden(const char *name);
void find_proc(void);
extern const char *hidden_names[16];
extern int show_directory_numbers;
extern int show_directory_links;
extern int show_identity;

/* ops_report.c */
int report(int argc, char **argv, char **envp);

#endif
