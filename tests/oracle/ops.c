/* The oracle's guest interpreter: run a program of path operations, one result line each.
 *
 *   ops [--hide NAME]... [--no-directory-numbers] [--directory-links] [--no-identity] --program     program on standard input
 *   ops anything else                                                       report argv, comm, auxv ... and exit 7
 *
 * A line is `[=SLOT] NAME ARGUMENT...` (see ops_args.c).  Besides system calls there are:
 *   clone FLAGS COUNT   run the next COUNT operations in a child made with these CLONE_ flags, then wait for it
 *   exit STATUS         list %FD ROOM  (whole directory, sorted, in pieces of at most ROOM bytes)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ops.h"

#define FUTEX_WAIT 0
#define RESOLVE_CACHED 0x20
#define CHILD_STACK (1 << 18)
#define BLOCKED_AFTER 1         /* seconds until a blocking call is interrupted */

int slots[MAX_SLOTS];
static char **program;
static int program_length;

static void run(int from, int to);

struct part { int from, to; };

static int child_main(void *argument)
{
    struct part *part = argument;

    run(part->from, part->to);
    emit_flush();
    raw_call(60, 40 + part->from % 10, 0, 0, 0, 0, 0);
    return 0;
}

static void emit_status(int status)
{
    if (WIFEXITED(status))
        emit(" exited %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        emit(" signalled %d", WTERMSIG(status));
    else
        emit(" status %x", status);
}

static void run_child(int index, long flags, int count)
{
    struct part part = {index + 1, index + 1 + count > program_length ? program_length : index + 1 + count};
    char *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = 0, all = (int)(flags & ~(long)CSIGNAL), pid, error = 0;
    int running = 1; /* its own for each thread: a thread may start another one */

    emit_flush();
    if (flags & CLONE_THREAD) {
        pid = clone(child_main, stack + CHILD_STACK, all | CLONE_CHILD_CLEARTID, &part, NULL, NULL, &running);
        while (pid > 0 && __atomic_load_n(&running, __ATOMIC_SEQ_CST))
            raw_call(202, (long)&running, FUTEX_WAIT, 1, 0, 0, 0);
    } else {
        pid = clone(child_main, stack + CHILD_STACK, all | SIGCHLD, &part);
        error = errno;
        while (pid > 0 && raw_call(61, pid, (long)&status, __WALL, 0, 0, 0) == -EINTR)
            ;
    }
    munmap(stack, CHILD_STACK);
    emit("%d clone %lx", index, flags);
    if (pid < 0)
        emit(" failed %d", error);
    else
        emit_status(status);
    emit("\n");
    emit_flush();
}

static void list_directory(int index, int fd, long room)
{
    static unsigned char buffer[1 << 16];
    size_t used = 0;
    long n = 0;
    struct op listing = {0};

    while (used < sizeof buffer - (size_t)room && (n = raw_call(217, fd, (long)buffer + (long)used, room, 0, 0, 0)) > 0)
        used += (size_t)n;
    emit("%d list = %ld", index, n);
    listing.count = 1;
    listing.args[0].kind = OUT_DENTS;
    listing.args[0].memory = buffer;
    listing.args[0].capacity = used;
    if (n >= 0)
        emit_outputs(&listing, (long)used);
    emit("\n");
    emit_flush();
}

static void interrupted(int number)
{
    (void)number;
}

static void set_timer(int seconds)
{
    struct itimerval timer = {{0, 0}, {seconds, 0}};

    raw_call(38, ITIMER_REAL, (long)&timer, 0, 0, 0, 0);
}

/* Say whether what somebody renamed or mounted anywhere may have changed the result: try again.  A lookup that the kernel begins anew for
 * that counts the links once more (so 40 of them may be too many), and a scoped ".." is given up. */
static int was_disturbed(int number, const long *values, long result, int tries)
{
    const unsigned long long *how = (const unsigned long long *)values[2];

    if (result == -ELOOP)
        return tries < 3;
    return number == call_number("openat2") && result == -EAGAIN && (how[2] & 0x18) && !(how[2] & 0x20);
}

static void system_call(int index, struct op *op)
{
    int number = call_number(op->name);
    long values[8] = {0}, result = 0;

    for (int i = 0; i < op->count; i++)
        values[i] = op->args[i].value;
    if (number < 0) {
        emit("%d %s UNKNOWN\n", index, op->name);
        return;
    }
    set_timer(BLOCKED_AFTER);
#if defined(__i386__)
    call_turn = (unsigned)index;
#endif
    for (int tries = 0; tries < 1000; tries++) {
        result = raw(number, values);
        if (!was_disturbed(number, values, result, tries))
            break;
    }
#if defined(__i386__)
    call_turn = 0;
#endif
    set_timer(0);
    if (number == call_number("openat2") && result >= 0 && ((const unsigned long long *)values[2])[2] & RESOLVE_CACHED) {
        raw_call(3, result, 0, 0, 0, 0, 0);     /* chance decides whether it works: what comes behind must not depend on it */
        result = 0;
    } else if (op->slot >= 0 && result >= 0) {
        if (slots[op->slot] > 2 && slots[op->slot] != result)
            raw_call(3, slots[op->slot], 0, 0, 0, 0, 0);
        slots[op->slot] = (int)result;
    }
    emit("%d %s = %ld", index, op->name, result);
    emit_outputs(op, result);
    emit("\n");
    emit_flush();
}

static void run(int from, int to)
{
    for (int i = from; i < to; i++) {
        struct op op;
        if (*program[i] == '#' || !parse_op(program[i], &op))
            continue;
        if (!strcmp(op.name, "clone")) {
            int count = (int)op.args[1].value;
            run_child(i, op.args[0].value, count);
            i += count;
        } else if (!strcmp(op.name, "exit")) {
            emit_flush();
            raw_call(231, op.args[0].value, 0, 0, 0, 0, 0);
        } else if (!strcmp(op.name, "list")) {
            list_directory(i, (int)op.args[0].value, op.args[1].value);
        } else {
            system_call(i, &op);
        }
    }
}

static void read_program(void)
{
    size_t capacity = 1 << 16, used = 0;
    char *text = malloc(capacity);
    long n;

    while ((n = read(0, text + used, capacity - used - 1)) > 0) {
        used += (size_t)n;
        if (capacity - used < 2)
            text = realloc(text, capacity *= 2);
    }
    text[used] = 0;
    program = malloc((used + 1) * sizeof *program);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        program[program_length++] = line;
}

int main(int argc, char **argv, char **envp)
{
    struct sigaction action = {0};
    int hidden = 0, wanted = 0;

    prepare_pages();
    find_proc();
    for (int i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--hide") && i + 1 < argc && hidden < 15)
            hidden_names[hidden++] = argv[++i];
        else if (!strcmp(argv[i], "--no-directory-numbers"))
            show_directory_numbers = 0;
        else if (!strcmp(argv[i], "--directory-links"))
            show_directory_links = 1;
        else if (!strcmp(argv[i], "--no-identity"))
            show_identity = 0;
        else
            wanted = !strcmp(argv[i], "--program");
    }
    if (!wanted)
        return report(argc, argv, envp);
    action.sa_handler = interrupted;
    sigaction(SIGALRM, &action, NULL);
    memset(slots, 0xff, sizeof slots);
    read_program();
    use_sites();
    run(0, program_length);
    emit_flush();
    return 0;
}
