/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The command `pyroot`: start the interpreter in a state that the caller cannot spoil, and say what the state was.
 *
 * An interpreter that is started by a #! line reads variables, and takes signals, before the first line of a program runs: variables
 * that are meant for the guest (LD_PRELOAD, PYTHONHOME) keep it from starting, and a ^C ends in a traceback. So this program blocks the
 * signals that end a process, which wait until the core asks for them, hides ld.so's variables behind another first letter, and starts
 * `python3 -IS pyroot-start`. -IS is also what makes a start cheaper than by a #! line, which cannot say it. What was there before comes in
 * PYROOT_LAUNCH (pyroot/environment.py takes it out again).
 *
 * Decided here: which interpreter; the installer has written that into the first line of pyroot-start, beside this file. Not decided
 * here: where the package is (pyroot-start). Freestanding: no libc, so that nothing comes before the first line.
 */
#include "x86_64.h"

#define PATH_ROOM           4096
#define HEAD_ROOM           8192
#define LETTER              0x40            /* what makes a letter of a control character: hidden names begin with such */
#define AT_FDCWD            (-100)
#define O_RDWR              02
#define O_CLOEXEC           02000000
#define EPERM               1
#define EMFILE              24
#define ENOSYS              38
#define AT_EMPTY_PATH       0x1000
#define F_DUPFD             0
#define F_GETFD             1
#define F_SETFD             2
#define FUTEX_WAKE          129             /* of this process */
#define SIG_BLOCK           0
#define SIGPIPE             13
#define SIGXFSZ             25
#define SIG_IGN             1
#define RLIMIT_NOFILE       7
#define RLIMIT_AS           9
#define FILES_LEAST         3
#define MEMORY_LEAST        (24ull << 20)
#define X_OK                1
#define FAILURE             125

#define BIT(sig) (1ull << ((sig) - 1))
/* HUP INT QUIT USR1 USR2 ALRM TERM STKFLT VTALRM PROF IO PWR and those from 34 on: what ends a process and comes from others. */
#define HELD (BIT(1) | BIT(2) | BIT(3) | BIT(10) | BIT(12) | BIT(14) | BIT(15) | BIT(16) | BIT(26) | BIT(27) | BIT(29) | BIT(30) | \
              ~(BIT(34) - 1))

typedef unsigned long long u64;

struct action { /* the kernel's own */
    long handler;
    unsigned long flags, restorer;
    u64 mask;
};

struct text { /* a path that is put together */
    char at[PATH_ROOM];
    unsigned long used;
};

static unsigned long size_of(const char *text)
{
    unsigned long size = 0;

    while (text[size])
        size++;
    return size;
}

static int begins(const char *text, const char *with)
{
    while (*with)
        if (*text++ != *with++)
            return 0;
    return 1;
}

static void add(struct text *text, const char *more, unsigned long size)
{
    for (unsigned long i = 0; i < size && text->used < PATH_ROOM - 1; i++)
        text->at[text->used++] = more[i];
    text->at[text->used] = 0;
}

static const char *join(struct text *text, const char *first, unsigned long size, const char *second)
{
    text->used = 0;
    add(text, first, size);
    add(text, second, size_of(second));
    return text->at;
}

static void say(const char *text)
{
    sys6(SYS_write, 2, (long)text, (long)size_of(text), 0, 0, 0);
}

static void give_up(const char *what, const char *why, const char *hint) __attribute__((noreturn));
static void give_up(const char *what, const char *why, const char *hint)
{
    struct text line;

    join(&line, "pyroot: ", 8, what);
    add(&line, ": ", 2);
    add(&line, why, size_of(why));
    add(&line, "\n  hint: ", 9);
    add(&line, hint, size_of(hint));
    add(&line, "\n", 1);
    say(line.at);
    for (;;)
        sys6(SYS_exit_group, FAILURE, 0, 0, 0, 0, 0);
}

static int may(const char *path, int how)
{
    return sys6(SYS_access, (long)path, how, 0, 0, 0, 0) == 0;
}

/* ------------------------------------------------------------------------------------------------------ limits */

/* Below these an interpreter dies with a traceback, or from a signal, before it can say why. */
static void check_limits(void)
{
    u64 limit[2] = {~0ull, 0};
    int fds[FILES_LEAST];
    int count = 0;

    sys6(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)limit, 0, 0);
    if (limit[0] < MEMORY_LEAST)
        give_up("cannot start", "the limit on memory is too low for an interpreter", "ulimit -v 200000 is enough");
    sys6(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)limit, 0, 0);
    if (limit[0] > 256)
        return;
    while (count < FILES_LEAST && (fds[count] = (int)sys6(SYS_openat, AT_FDCWD, (long)"/", O_CLOEXEC, 0, 0, 0)) >= 0)
        count++;
    for (int i = 0; i < count; i++)
        sys6(SYS_close, fds[i], 0, 0, 0, 0, 0);
    if (count < FILES_LEAST && (count == 0 || fds[count] == -EMFILE))
        give_up("cannot start", "the limit on open files is too low for pyroot itself", "ulimit -n 64 is enough");
}

/* ------------------------------------------------------------------------------------------------------- calls */

/* What an interpreter cannot start without, or what pyroot has no alternative to: arguments that are errors, or change nothing. Where
 * a filter (of a container, say) refuses one, the interpreter would end with a traceback, or without a word. */
static void check_calls(void)
{
    static const struct { int number; long a, b, c; const char *name; } calls[] = {
        {SYS_read, -1, 0, 0, "read"}, {SYS_write, -1, 0, 0, "write"}, {SYS_close, -1, 0, 0, "close"}, {SYS_lseek, -1, 0, 0, "lseek"},
        {SYS_mmap, 0, 0, 0, "mmap"}, {SYS_mprotect, 1, 0, 0, "mprotect"}, {SYS_rt_sigaction, 0, 0, 0, "rt_sigaction"},
        {SYS_rt_sigprocmask, -1, 0, 0, "rt_sigprocmask"}, {SYS_ioctl, -1, 0, 0, "ioctl"}, {SYS_pread64, -1, 0, 0, "pread64"},
        {SYS_access, 0, 0, 0, "access"}, {SYS_getpid, 0, 0, 0, "getpid"}, {SYS_wait4, -1, 0, -1, "wait4"}, {SYS_uname, 0, 0, 0, "uname"},
        {SYS_fcntl, -1, F_GETFD, 0, "fcntl"}, {SYS_fcntl, -1, F_SETFD, 0, "fcntl"}, {SYS_chdir, 0, 0, 0, "chdir"}, {SYS_readlink, 0, 0, 0, "readlink"},
        {SYS_arch_prctl, -1, 0, 0, "arch_prctl"}, {SYS_futex, 0, FUTEX_WAKE, 0, "futex"}, {SYS_getdents64, -1, 0, 0, "getdents64"},
        {SYS_openat, -1, (long)"x", 0, "openat"}, {SYS_newfstatat, -1, (long)"x", 0, "newfstatat"},
        {SYS_newfstatat, -1, (long)"", 0, "newfstatat"},
    };

    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        int empty = calls[i].number == SYS_newfstatat && *(const char *)calls[i].b == 0;
        long result = sys6(calls[i].number, calls[i].a, calls[i].b, calls[i].c, empty ? AT_EMPTY_PATH : 0, 0, 0);

        if (result == -EPERM || result == -ENOSYS)
            give_up(calls[i].name, result == -EPERM ? "Operation not permitted" : "Function not implemented",
                    "a filter around pyroot refuses this system call: pyroot cannot do without it");
    }
}

/* ------------------------------------------------------------------------------------------------- environment */

/* Whether an interpreter may need this LD_LIBRARY_PATH: one that was built with a shared library of its own lies there. */
static int holds_python(const char *list)
{
    struct text path;

    while (*list) {
        unsigned long size = 0;

        while (list[size] && list[size] != ':')
            size++;
        if (size && may(join(&path, list, size, "/libpython3.so"), 0))
            return 1;
        list += size + (list[size] == ':');
    }
    return 0;
}

/* Copy the environment, with other names for the variables that are ld.so's. */
static char **prepare(char **to, char **from)
{
    for (; *from; from++) {
        char *entry = *from;

        if (begins(entry, "PYROOT_LAUNCH="))
            continue;
        if (begins(entry, "GLIBC_TUNABLES=") ||
            (begins(entry, "LD_") && !(begins(entry, "LD_LIBRARY_PATH=") && holds_python(entry + 16))))
            *entry &= ~LETTER;
        *to++ = entry;
    }
    return to;
}

static char *write_mask(char *to, u64 mask)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[mask >> shift & 15];
    return to;
}

/* Which of the signals that an interpreter ignores for itself were ignored before. */
static u64 ignored(void)
{
    static const int asked[] = {SIGPIPE, SIGXFSZ};
    struct action action;
    u64 mask = 0;

    for (int i = 0; i < 2; i++) {
        action.handler = 0;
        sys6(SYS_rt_sigaction, asked[i], 0, (long)&action, 8, 0, 0);
        if (action.handler == SIG_IGN)
            mask |= BIT(asked[i]);
    }
    return mask;
}

/* ------------------------------------------------------------------------------------------------- interpreter */

/* Take a word of a line, with quotes around it or without; return what follows it. */
static char *take_word(char *line, char **word)
{
    char quote = *line == '"' || *line == '\'' ? *line++ : 0;

    *word = line;
    while (*line && *line != '\n' && (quote ? *line != quote : *line != ' ' && *line != '\t'))
        line++;
    if (*line && *line != '\n')
        *line++ = 0;
    else
        *line = 0;
    while (*line == ' ' || *line == '\t')
        line++;
    return line;
}

/* Read what an installer has made of the first line of pyroot-start: "#!INTERPRETER [ARGUMENT]", or, if that line is not one for the
 * kernel (too long, a blank), a shell script whose second line is '''exec' INTERPRETER "$0" "$@". */
static void read_line(const char *script, char *head, char **words)
{
    long fd = sys6(SYS_openat, AT_FDCWD, (long)script, O_CLOEXEC, 0, 0, 0);
    long size = fd < 0 ? 0 : arch_pread((int)fd, head, HEAD_ROOM - 1, 0);
    char *second = head;

    if (fd >= 0)
        sys6(SYS_close, fd, 0, 0, 0, 0, 0);
    if (size < 0)
        size = 0;
    head[size] = 0;
    words[0] = words[1] = 0;
    if (!begins(head, "#!"))
        return;
    while (*second && *second != '\n')
        second++;
    if (begins(second, "\n'''exec' ")) {
        take_word(second + 10, &words[0]);
        return;
    }
    *second = 0;
    for (head += 2; *head == ' '; head++)
        ;
    head = take_word(head, &words[0]);
    if (*head)
        words[1] = head;
}

/* The interpreter of a virtual environment lies beside us, also when the whole of it has been moved. */
static int in_environment(struct text *path, const char *directory, unsigned long size)
{
    return may(join(path, directory, size, "../pyvenv.cfg"), 0) && may(join(path, directory, size, "python3"), X_OK);
}

/* An interpreter does not start with a directory as a standard stream: put those aside; return where each is, in 16 bits (0: nowhere). */
static u64 directories_aside(void)
{
    unsigned char st[144]; /* struct stat: st_mode is 24 bytes in */
    u64 where = 0;

    for (int fd = 0; fd < 3; fd++) {
        long aside;

        if (sys6(SYS_newfstatat, fd, (long)"", (long)st, AT_EMPTY_PATH, 0, 0) != 0 || ((st[25] << 8) & 0170000) != 0040000)
            continue;
        aside = sys6(SYS_fcntl, fd, F_DUPFD, 3, 0, 0, 0);
        if (aside < 0 || aside > 0xffff)
            continue;
        sys6(SYS_close, fd, 0, 0, 0, 0, 0);
        sys6(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR, 0, 0, 0);
        where |= (u64)aside << 16 * fd;
    }
    return where;
}

/* Whether we are called by bubblewrap's name. */
static int is_bwrap(const char *name)
{
    const char *last = name;

    for (; *name; name++)
        if (*name == '/')
            last = name + 1;
    return begins(last, "bwrap") && last[5] == 0;
}

__attribute__((noreturn, used)) void launch(long *sp)
{
    long argc = sp[0];
    char **argv = (char **)(sp + 1), **envp = argv + argc + 1, **end;
    char own[PATH_ROOM], head[HEAD_ROOM], state[] = "PYROOT_LAUNCH=................:................:................";
    char *words[2] = {0, 0};
    struct text script, beside;
    u64 held = HELD, before = 0;
    long count = 0, size;

    sys6(SYS_rt_sigprocmask, SIG_BLOCK, (long)&held, (long)&before, 8, 0, 0);
    check_calls();
    check_limits();
    write_mask(write_mask(write_mask(state + 14, before) + 1, ignored()) + 1, directories_aside());
    while (envp[count])
        count++;

    char *environment[count + 2], *line[argc + 7], **to = line;

    end = prepare(environment, envp);
    *end++ = state;
    *end = 0;
    size = sys6(SYS_readlink, (long)"/proc/self/exe", (long)own, PATH_ROOM, 0, 0, 0);
    if (size <= 0 || size >= PATH_ROOM)
        give_up("cannot start", "/proc/self/exe does not say where pyroot is", "mount /proc: pyroot needs it");
    while (own[size - 1] != '/')
        size--;
    join(&script, own, (unsigned long)size, "pyroot-start");
    if (in_environment(&beside, own, (unsigned long)size))
        words[0] = beside.at;
    else
        read_line(script.at, head, words);
    if (!words[0] || !may(words[0], X_OK)) {
        join(&beside, own, (unsigned long)size, "python3");
        words[1] = 0;
        words[0] = words[0] && !may(beside.at, X_OK) ? words[0] : beside.at;
    }
    *to++ = words[0];
    if (words[1])
        *to++ = words[1];
    *to++ = "-IS";
    *to++ = script.at;
    if (argc > 0 && is_bwrap(argv[0]))
        *to++ = "bwrap";
    for (long i = 1; i < argc; i++)
        *to++ = argv[i];
    *to = 0;
    sys6(SYS_execve, (long)words[0], (long)line, (long)environment, 0, 0, 0);
    give_up(words[0], "the interpreter that pyroot was installed for cannot be started", "install pyroot again: python3 -m pip install ...");
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall launch\n");
