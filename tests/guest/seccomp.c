/* What a program sees of its own seccomp filters: one line for each answer, the same with and without a supervisor.
 *
 *   seccomp            every part, each in a process of its own
 *   seccomp part NAME  one of them
 *   seccomp again N    what a part executes behind its filter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "seccomp.h"

const char known_path[] = "/data/file";

static void modes(void)
{
    unsigned actions[] = {ALLOW, LOG, TRACE, ERRNO(0), TRAP(0), KILL_THREAD, KILL_PROCESS, 0x12340000};
    struct sock_filter one[] = {{RET, 0, 0, ALLOW}};
    struct sock_filter no_end[] = {{LD, 0, 0, 0}, {JEQ, 0, 0, 1}};
    struct sock_filter far[] = {{JA, 0, 0, 1}, {RET, 0, 0, ALLOW}};
    struct sock_filter far_if[] = {{JEQ, 1, 0, 1}, {RET, 0, 0, ALLOW}};
    struct sock_filter unknown[] = {{0x99, 0, 0, 0}, {RET, 0, 0, ALLOW}};
    struct sock_fprog bad = {1, (struct sock_filter *)8};

    say("get %ld", call(SYS_prctl, PR_GET_SECCOMP, 0, 0));
    for (unsigned i = 0; i < sizeof actions / sizeof *actions; i++)
        say("action %x available %ld", actions[i], call(SYS_seccomp, 2, 0, (long)&actions[i]));
    say("operation %ld", call(SYS_seccomp, 9, 0, 0));
    say("strict with flags %ld, with an argument %ld", call(SYS_seccomp, 0, 1, 0), call(SYS_seccomp, 0, 0, 8));
    say("mode 0 %ld, mode 3 %ld", call(SYS_prctl, PR_SET_SECCOMP, 0, 0), call(SYS_prctl, PR_SET_SECCOMP, 3, 0));
    say("no program %ld %ld", call(SYS_seccomp, 1, 0, 0), call(SYS_prctl, PR_SET_SECCOMP, 2, 8));
    say("bad filter %ld", call(SYS_seccomp, 1, 0, (long)&bad));
    say("empty %ld", install(one, 0, 0));
    say("too long %ld", install(one, 4097, 0));
    say("flags %ld %ld", install(one, 1, 1 << 7), install(one, 1, 1 | 8));
    say("no end %ld", install(no_end, 2, 0));
    say("jump to the end %ld %ld", install(far, 2, 0), install(far_if, 2, 0));
    say("unknown code %ld", install(unknown, 2, 0));
    say("get %ld", call(SYS_prctl, PR_GET_SECCOMP, 0, 0));
    say("good %ld", install(one, 1, 2 | 4));
    say("get %ld", call(SYS_prctl, PR_GET_SECCOMP, 0, 0));
    say("old form %ld", call(SYS_prctl, PR_SET_SECCOMP, 2, (long)&(struct sock_fprog){1, one}));
    say("strict behind a filter %ld %ld", call(SYS_seccomp, 0, 0, 0), call(SYS_prctl, PR_SET_SECCOMP, 1, 0));
    say("child %d", in_child(get_mode));
}

static void strict(void)
{
    call(SYS_prctl, PR_SET_SECCOMP, 1, 0);
    call(SYS_write, 1, (long)"written\n", 8);
    call(SYS_exit, 3, 0, 0);
}

static void strict_other_call(void)
{
    call(SYS_seccomp, 0, 0, 0);
    call(SYS_getpid, 0, 0, 0);
    call(SYS_exit, 3, 0, 0);
}

static void strict_path_call(void)
{
    call(SYS_seccomp, 0, 0, 0);
    call(SYS_open, (long)known_path, 0, 0);
    call(SYS_exit, 3, 0, 0);
}

static void errors(void)
{
    struct sock_filter program[] = {
        {LD, 0, 0, 0}, {JEQ, 0, 1, SYS_openat}, {RET, 0, 0, ERRNO(77)}, {JEQ, 0, 1, SYS_getppid}, {RET, 0, 0, ERRNO(78)},
        {JEQ, 0, 1, SYS_mkdir}, {RET, 0, 0, ERRNO(0)}, {JEQ, 0, 1, SYS_unlink}, {RET, 0, 0, LOG}, {RET, 0, 0, ALLOW},
    };
    struct sock_filter newer[] = {
        {LD, 0, 0, 0}, {JEQ, 0, 1, SYS_getppid}, {RET, 0, 0, ERRNO(79)}, {JEQ, 0, 1, SYS_openat}, {RET, 0, 0, TRACE},
        {RET, 0, 0, ALLOW},
    };

    say("install %ld", INSTALL(program));
    say("open %d, openat %ld", open_file(known_path) > 0, call(SYS_openat, AT_FDCWD, (long)known_path, 0));
    say("getppid %ld, mkdir %ld, unlink %ld", call(SYS_getppid, 0, 0, 0), call(SYS_mkdir, (long)"/data/x", 0755, 0),
        call(SYS_unlink, (long)"/data/none", 0, 0));
    say("install %ld", INSTALL(newer));
    say("openat %ld, getppid %ld", call(SYS_openat, AT_FDCWD, (long)known_path, 0), call(SYS_getppid, 0, 0, 0));
    say("get %ld", call(SYS_prctl, PR_GET_SECCOMP, 0, 0));
}

static void traced(void)
{
    struct sock_filter program[] = {
        {LD, 0, 0, 0}, {JEQ, 3, 0, SYS_open}, {JEQ, 2, 0, SYS_getppid}, {JEQ, 2, 0, SYS_mkdir}, {JEQ, 2, 3, SYS_rmdir},
        {RET, 0, 0, TRACE}, {RET, 0, 0, TRACE | 0x5059}, {RET, 0, 0, TRACE | 0x505a}, {RET, 0, 0, ALLOW},
    };

    say("install %ld", INSTALL(program));
    say("open %ld, getppid %ld", call(SYS_open, (long)known_path, 0, 0), call(SYS_getppid, 0, 0, 0));
    say("mkdir %ld, rmdir %ld", call(SYS_mkdir, (long)"/data/x", 0755, 0), call(SYS_rmdir, (long)"/data/x", 0, 0));
    say("stat %ld", call(SYS_access, (long)known_path, 4, 0));
}

/* A verdict taken from the accumulator: the call's own argument. */
static void computed(void)
{
    struct sock_filter program[] = {
        {LD, 0, 0, 0}, {JEQ, 0, 2, SYS_getppid}, {LD, 0, 0, 16}, {RET_A, 0, 0, 0}, {JEQ, 0, 2, SYS_access}, {LD, 0, 0, 24},
        {RET_A, 0, 0, 0}, {RET, 0, 0, ALLOW},
    };

    say("install %ld", INSTALL(program));
    say("errno %ld, trace %ld", call(SYS_getppid, ERRNO(7), 0, 0), call(SYS_getppid, TRACE | 9, 0, 0));
    say("log %d, allow %d", call(SYS_getppid, LOG, 0, 0) > 0, call(SYS_getppid, ALLOW, 0, 0) > 0);
    say("access %ld %ld", call(SYS_access, (long)known_path, ALLOW, 0), call(SYS_access, (long)known_path, ERRNO(4), 0));
    say("killed next");
    call(SYS_getppid, 0x80000000u, 0, 0);
}

/* Arguments are those that the program gave, also where a path argument is put in another place for the kernel. */
static void arguments(void)
{
    unsigned long address = (unsigned long)known_path;
    struct sock_filter program[] = {
        {LD, 0, 0, 0}, {JEQ, 0, 7, SYS_openat}, {LD, 0, 0, 24}, {JEQ, 0, 4, (unsigned)address}, {LD, 0, 0, 28},
        {JEQ, 0, 2, (unsigned)(address >> 32)}, {LD, 0, 0, 32}, {JEQ, 1, 0, O_RDONLY}, {RET, 0, 0, ERRNO(13)},
        {RET, 0, 0, ALLOW},
    };
    char copy[sizeof known_path];

    memcpy(copy, known_path, sizeof copy);
    say("install %ld", INSTALL(program));
    say("openat %d, for writing %ld, copied path %ld", call(SYS_openat, AT_FDCWD, (long)known_path, 0) > 0,
        call(SYS_openat, AT_FDCWD, (long)known_path, 1), call(SYS_openat, AT_FDCWD, (long)copy, 0));
    say("again %d", call(SYS_openat, AT_FDCWD, (long)known_path, 0) > 0);
}

/* Only calls from the program's own text: that of call(). */
static void from_own_text(void)
{
    unsigned long start = (unsigned long)call_text, end = (unsigned long)call_text_end;
    struct sock_filter program[] = {
        {LD, 0, 0, 0}, {JEQ, 6, 0, SYS_rt_sigreturn}, {LD, 0, 0, 12}, {JEQ, 0, 3, (unsigned)(start >> 32)}, {LD, 0, 0, 8},
        {JGE, 0, 1, (unsigned)start}, {JGE, 0, 1, (unsigned)end}, {RET, 0, 0, KILL_PROCESS}, {RET, 0, 0, ALLOW},
    };
    char text[100];

    prepare_interruption();
    INSTALL(program);
    say("open %d, access %ld, chdir %ld", open_file(known_path) > 0, call(SYS_access, (long)"/nowhere", 0, 0),
        call(SYS_chdir, (long)"/data", 0, 0));
    say("getcwd %ld, mkdir %ld", call(SYS_getcwd, (long)text, 100, 0), call(SYS_mkdir, (long)"/data/file", 0755, 0));
    say("fifo %ld", interrupted_open());
    getppid();                                          /* from elsewhere */
    say("not reached");
}

static void restarted(void)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_getppid}, {RET, 0, 0, ERRNO(5)}, {RET, 0, 0, ALLOW}};

    prepare_interruption();
    INSTALL(program);
    say("fifo %ld", interrupted_open());
}

static void killed(void)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_open}, {RET, 0, 0, KILL_PROCESS}, {RET, 0, 0, ALLOW}};

    INSTALL(program);
    call(SYS_open, (long)known_path, 0, 0);
    say("not reached");
}

static void trapped_without_handler(void)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_open}, {RET, 0, 0, TRAP(5)}, {RET, 0, 0, ALLOW}};

    INSTALL(program);
    call(SYS_open, (long)known_path, 0, 0);
    say("not reached");
}

static const struct part parts[] = {
    {"modes", modes}, {"strict", strict}, {"strict other call", strict_other_call}, {"strict path call", strict_path_call},
    {"strict thread", strict_thread}, {"errors", errors}, {"traced", traced}, {"computed", computed}, {"arguments", arguments},
    {"from own text", from_own_text}, {"restarted", restarted}, {"killed", killed}, {"trapped", trapped},
    {"trapped without handler", trapped_without_handler}, {"killed thread", killed_thread}, {"threads", synchronised},
    {"threads that differ", not_synchronised}, {"long programs", long_programs}, {"execute", execute},
    {"execute behind a long program", execute_long}, {"execute refused", execute_refused}, {"messages", messages},
    {"allow list", allow_list},
};

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "again"))
        return again(argv[2][0]);
    call(SYS_prctl, 38, 1, 0);                          /* PR_SET_NO_NEW_PRIVS */
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (argc > 2) {
            if (!strcmp(parts[i].name, argv[2]))
                parts[i].run();
            continue;
        }
        say("-- %s", parts[i].name);
        say("ended %x", in_child(parts[i].run));
    }
    return 0;
}
