/* What the parts of the register probe share.  regs.c: modes and main; regs_check.c: one probed call, compared;
 * regs_kinds.c: the calls; regs_signals.c: calls interrupted by signals. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PAGE 4096ul
#define ANY 0x7fffffffl     /* every result is right: real and guest differ, or it depends on the machine */
#define SUCCESS 0x7ffffffel /* any result that is not an error */

struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
};

struct area { /* one a thread, at its %gs; regs_offsets.h holds the same layout */
    struct registers in, out;
    uint64_t own_rsp, has_avx;
    uint16_t x87_control, pad;
    uint32_t sse_control, sse_default, pad2[5];
    uint8_t vectors[16][32];
    uint8_t before[PAGE], after[PAGE];
    uint64_t number; /* of the thread; behind what the assembler knows */
} __attribute__((aligned(64)));

/* How one argument of a call is made. */
enum arg_kind { JUNK, NUMBER, PATH, BYTES, MESSAGE, MESSAGES, BUFFER, LENGTH, PREPARED, BAD_POINTER };

struct arg {
    enum arg_kind kind;
    const void *data; /* PATH: text; BYTES: what is pointed to; MESSAGE(S): sockaddr to send to, may be NULL */
    long n;           /* NUMBER, LENGTH: the value; BYTES, MESSAGE: size; BUFFER: offset */
};

struct kind {
    const char *name;
    long number;
    struct arg args[6];
    long expected;        /* result in a real chroot, ANY or SUCCESS */
    long expected_guest;  /* result under pyroot where it differs by design (a refused call); 0: the same */
    int (*prepare)(void); /* makes what the call needs and returns an fd, the PREPARED argument */
    int (*verify)(long result); /* 0: the call did what it should */
    int safe;             /* changes nothing: many threads may do it at the same time */
};

/* Where the probed call finds its stack and its arguments. */
struct place {
    const char *name;
    uint8_t *stack, *stack_end; /* compared from stack to rsp - or to stack_end where the whole of it is ours */
    uint64_t rsp;
    int whole;        /* all of [stack, stack_end) is ours */
    int only_redzone; /* signal handlers may use what lies below the red zone */
    int read_only;    /* path and structures in memory that cannot be written */
    uint8_t *memory;  /* two pages for arguments, an inaccessible one behind */
};

extern const struct kind kinds[];
extern const size_t kind_count;
extern int is_guest; /* running under pyroot */

long probe_call(void);
extern const char probe_after[];

struct area *area_of_thread(void);
void use_area(struct area *area, uint64_t number);
void make_place(struct place *place, const char *name);
int probe(const struct kind *kind, struct place *place, long *result);
int complain(const char *what, const char *name, const char *place, const char *detail);
void reset_tree(void);
void close_all(void);
int run_signal_mode(const char *mode, int rounds);
