/* Calls that pyroot's gate answers, interrupted by signals all the time, in one thread or several.
 *
 *   gate_storm handlers ROUNDS   handlers look at the registers that they interrupt, make calls of their own, on a small stack
 *   gate_storm jumps ROUNDS      handlers leave by siglongjmp
 *   gate_storm fifo ROUNDS       opens that wait for a writer are interrupted, with and without SA_RESTART
 *   gate_storm threads ROUNDS    eight threads, signals, and children that are made meanwhile
 *   gate_storm step ROUNDS       the program traps behind each of its own instructions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "gate_sites.h"

#define THREADS 8
#define RED_WORDS 16

static long bad, signals_seen, inside_calls;
static long rounds;
static long *way;                    /* what the program has got done between its signals; its sender sees it, too */
extern char __executable_start, etext;

static void complain(const char *what, long is, long was)
{
    if (__atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST) < 20) {
        char line[160];
        int n = snprintf(line, sizeof line, "BAD %s: %#lx, not %#lx\n", what, is, was);

        if (write(1, line, n) < 0)
            _exit(3);
    }
}

static void expect(const char *what, long is, long was)
{
    if (is != was)
        complain(what, is, was);
}

/* The registers that one_call keeps at these values around its call; the thread's number is among them. */
#define MARK(n) (0x5151000000000000 + (n) * 0x10001)

struct frame {                       /* what one_call is told, and how handlers know its stack */
    long args[5];
    site_type *call;
    uint64_t rsp, active;
    uint64_t red[RED_WORDS];
};

static __thread struct frame *current;
long one_call(struct frame *frame);

__asm__(
    ".text; one_call: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi; sub $512, %rsp; mov %rdi, %rax\n"
    "mov (%rax), %rdi; mov 8(%rax), %rsi; mov 16(%rax), %rdx; mov 24(%rax), %rcx; mov 32(%rax), %r8; movabs $0x5151000000010001, %r9\n"
    "movabs $0x5151000000020002, %rbx; movabs $0x5151000000030003, %rbp; movabs $0x5151000000040004, %r12; movabs $0x5151000000050005, %r13\n"
    "movabs $0x5151000000060006, %r14; movabs $0x5151000000070007, %r15\n"
    "movq %rsp, 48(%rax); movq $1, 56(%rax); movq %r14, -24(%rsp); movq %r15, -128(%rsp); movq %r15, -136(%rsp); std; stc; cld; stc\n"
    "call *40(%rax)\n"
    "pushfq; mov 520(%rsp), %rcx; movq $0, 56(%rcx); popq 64(%rcx); mov -136(%rsp), %rdx; mov %rdx, 72(%rcx); mov -24(%rsp), %rdx\n"
    "mov %rdx, 80(%rcx); mov -128(%rsp), %rdx; mov %rdx, 136(%rcx)\n"
    "mov %r9, 88(%rcx); mov %rbx, 96(%rcx); mov %rbp, 104(%rcx); mov %r12, 112(%rcx); mov %r13, 120(%rcx); mov %r14, 128(%rcx)\n"
    "add $512, %rsp; pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

static long call(site_type *site, long a, long b, long c, long d, long e)
{
    struct frame frame = {{a, b, c, d, e}, site, 0, 0, {0}};
    struct frame *before = current;
    long result, seen = signals_seen;

    current = &frame;
    __asm__ volatile("" ::: "memory");
    result = one_call(&frame);
    __asm__ volatile("" ::: "memory");
    current = before;
    expect("carry", frame.red[0] & 1, 1);
    expect("red zone, low", frame.red[9], MARK(7));
    /* the site's last word is out of the zone in front of its call and behind it: there a signal may take it */
    if (seen == __atomic_load_n(&signals_seen, __ATOMIC_SEQ_CST))
        expect("red zone, lowest", frame.red[1], MARK(7));
    expect("red zone, high", frame.red[2], MARK(6));
    for (int i = 0; i < 6; i++)
        expect("kept register", frame.red[3 + i], MARK(i + 1));
    return result;
}

/* What a handler may find: the program itself, or the kernel's pages; between one_call's marks its registers. */
static void look(const ucontext_t *context)
{
    const greg_t *g = context->uc_mcontext.gregs;
    struct frame *frame = current;
    uint64_t ip = g[REG_RIP];
    const uint64_t *args;
    int at_call;

    if ((ip < (uint64_t)&__executable_start || ip >= (uint64_t)&etext) && ip < 0x700000000000)
        complain("instruction pointer", ip, 0);
    if (!frame || frame->active != 1 || ip < (uint64_t)site_open || ip >= (uint64_t)site_open64 + 32)
        return;
    __atomic_add_fetch(&inside_calls, 1, __ATOMIC_SEQ_CST);
    args = (const uint64_t *)frame->args;
    at_call = frame->call == site_open64 && ip > (uint64_t)site_open64 + 8 ? 1 : 0;
    expect("rsp", g[REG_RSP], frame->rsp - 8);
    if (!at_call) {
        expect("rdi", g[REG_RDI], args[0]);
        expect("rsi", g[REG_RSI], args[1]);
    }
    expect("rdx", g[REG_RDX], args[2]);
    if (ip > (uint64_t)frame->call)
        expect("r10", g[REG_R10], args[3]);
    expect("r8", g[REG_R8], args[4]);
    expect("r9", g[REG_R9], MARK(1));
    expect("rbx", g[REG_RBX], MARK(2));
    expect("rbp", g[REG_RBP], MARK(3));
    expect("r12", g[REG_R12], MARK(4));
    expect("r13", g[REG_R13], MARK(5));
    expect("r14", g[REG_R14], MARK(6));
    expect("r15", g[REG_R15], MARK(7));
    expect("flags", g[REG_EFL] & 0x401, 1);
}

static struct stat root_st, file_st;

static void right_calls(int handler)
{
    struct stat st = {0};
    char text[32];
    long fd = call(site_open, (long)"/d/f", O_RDONLY, 0, 0, 0);

    if (fd < 0 || fstat((int)fd, &st) < 0 || st.st_ino != file_st.st_ino)
        complain(handler ? "open in a handler" : "open", fd, 0);
    if (fd >= 0)
        close((int)fd);
    memset(&st, 0, sizeof st);
    expect("stat", call(site_stat, (long)"/d/f", (long)&st, 0, 0, 0), 0);
    expect("inode", st.st_ino, file_st.st_ino);
    expect("missing", call(site_fstatat, AT_FDCWD, (long)"/d/missing", (long)&st, 0, 0), -ENOENT);
    expect("relative", call(site_lstat, (long)"d/f", (long)&st, 0, 0, 0), 0);
    expect("access", call(site_faccessat2, AT_FDCWD, (long)"f/x", R_OK, 0, 0), -ENOTDIR);
    expect("readlink", call(site_readlink, (long)"/link", (long)text, sizeof text, 0, 0), 1);
    expect("no link", call(site_readlinkat, AT_FDCWD, (long)"/d", (long)text, sizeof text, 0), -EINVAL);
    expect("through a link", call(site_access, (long)"/dlink/f", R_OK, 0, 0, 0), 0);
    fd = call(site_open64, (long)"d", 0, O_RDONLY | O_DIRECTORY, 0, 0);
    if (fd < 0)
        complain("open64", fd, 0);
    else
        close((int)fd);
    if (!handler)
        __atomic_add_fetch(way, 1, __ATOMIC_SEQ_CST);
}

static int descriptors(void)
{
    DIR *list = opendir("/proc/self/fd");
    int n = 0;

    while (list && readdir(list))
        n++;
    if (list)
        closedir(list);
    return n;
}

static sigjmp_buf back;
static volatile int may_jump, depth;

static void on_signal(int number, siginfo_t *info, void *context)
{
    int error = errno;

    __atomic_add_fetch(&signals_seen, 1, __ATOMIC_SEQ_CST);
    expect("signal number", info->si_signo, number);
    look(context);
    right_calls(1);
    errno = error;
}

static void on_jump(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    signals_seen++;
    look(context);
    if (may_jump) {
        may_jump = 0;
        siglongjmp(back, 1);
    }
}

static void on_quiet(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    signals_seen++;
    look(context);
}

static void take(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | flags};

    action.sa_sigaction = handler;
    sigaction(number, &action, NULL);
}

static void small_stack(size_t size)
{
    char *low = mmap(NULL, size + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = low + 4096, .ss_size = size};

    mprotect(low, 4096, PROT_NONE);
    sigaltstack(&stack, NULL);
}

/* Set the next alarm. Where a machine is so slow that alarms leave the program no way, they come at longer and longer intervals. */
static void clock_of(unsigned seed)
{
    static long seen, alarms;
    long shift;

    if (seen != *way)
        alarms = 0;
    seen = *way;
    shift = alarms++ / 16;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, (20 + (seed * 7919) % 180) << (shift < 10 ? shift : 10)}}, NULL);
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
    on_signal(number, info, context);
    clock_of((unsigned)signals_seen);
}

/* A second process that sends bursts; each waits until the last has let the program make some way, for some of the signals queue. */
static pid_t sender(void)
{
    pid_t parent = getpid(), child = fork();

    if (child)
        return child;
    for (long seen = -1;; usleep(300)) {
        if (getppid() != parent)
            _exit(0);
        if (seen == __atomic_load_n(way, __ATOMIC_SEQ_CST))
            continue;
        seen = __atomic_load_n(way, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 5; i++)
            kill(parent, i & 1 ? SIGUSR1 : SIGRTMIN);
    }
}

static void end_of(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void handlers(void)
{
    pid_t child;
    int before;

    for (int i = 0; i < 3; i++)
        right_calls(0);
    before = descriptors();
    small_stack(24576);
    take(SIGUSR1, on_signal, SA_ONSTACK);
    take(SIGRTMIN, on_signal, SA_RESTART);
    take(SIGALRM, on_alarm, SA_ONSTACK | SA_RESTART);
    child = sender();
    clock_of(1);
    for (long i = 0; i < rounds; i++)
        right_calls(0);
    end_of(child);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    expect("descriptors", descriptors(), before);
}

static void jumps(void)
{
    int before;
    struct stat st;

    for (int i = 0; i < 3; i++)
        right_calls(0);
    before = descriptors();
    take(SIGALRM, on_jump, 0);
    for (volatile long i = 0; i < rounds; i++) {
        current = NULL;
        if (sigsetjmp(back, 1) == 0) {
            may_jump = 1;
            ++*way;
            clock_of((unsigned)i);
            while (may_jump) {
                memset(&st, 0, sizeof st);
                expect("stat", call(site_stat, (long)"/d/f", (long)&st, 0, 0, 0), 0);
                expect("access", call(site_access, (long)"/missing", R_OK, 0, 0, 0), -ENOENT);
                expect("inode", st.st_ino, file_st.st_ino);
            }
        }
    }
    expect("descriptors", descriptors(), before);
}

/* Another process that opens the other end a little later, after some signals. */
static pid_t opener(int signal_count)
{
    pid_t child = fork();
    int fd;

    if (child)
        return child;
    for (int i = 0; i < signal_count; i++) {
        usleep(700);
        kill(getppid(), SIGUSR1);
        /* (without a handler: the kernel restarts the call by itself) */
        kill(getppid(), SIGSTOP);
        kill(getppid(), SIGCONT);
    }
    usleep(700);
    fd = open("/fifo", O_WRONLY);
    _exit(fd < 0);
}

static void fifo(void)
{
    int before, status;
    pid_t child;
    long fd, seen;

    for (int i = 0; i < 3; i++)
        right_calls(0);
    before = descriptors();
    for (long i = 0; i < rounds; i++) {
        int form = i % 3;

        take(SIGUSR1, on_quiet, i & 1 ? SA_RESTART : 0);
        seen = signals_seen;
        child = opener(2);
        do
            fd = form == 0 ? call(site_open, (long)"/fifo", O_RDONLY, 0, 0, 0) : form == 1
               ? call(site_openat, AT_FDCWD, (long)"fifo", O_RDONLY, 0, 0) : call(site_open64, (long)"/fifo", 0, O_RDONLY, 0, 0);
        while (fd == -EINTR && !(i & 1));
        if (fd < 0)
            complain("open of the fifo", fd, 0);
        waitpid(child, &status, 0);
        expect("writer", status, 0);
        expect("signals", signals_seen - seen > 0, 1);
        close((int)fd);
    }
    expect("descriptors", descriptors(), before);
}

static void *hammer(void *number)
{
    for (long i = 0; i < rounds; i++)
        right_calls(0);
    return number;
}

static void *breeder(void *number)
{
    for (volatile long i = 0; i < rounds / 50 + 1; i++) {
        pid_t child = i & 1 ? fork() : vfork();
        int status = 0;

        if (child == 0) {
            execl("/gate_storm", "gate_storm", "once", "1", NULL);
            _exit(9);
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
        expect("child", status, 0);
    }
    return number;
}

static void threads(void)
{
    pthread_t all[THREADS + 1];
    pid_t child;
    int before;

    for (int i = 0; i < 3; i++)
        right_calls(0);
    before = descriptors();
    take(SIGUSR1, on_signal, SA_RESTART);
    take(SIGRTMIN, on_signal, SA_RESTART);
    child = sender();
    for (long i = 0; i <= THREADS; i++)
        pthread_create(&all[i], NULL, i < THREADS ? hammer : breeder, (void *)i);
    for (int i = 0; i <= THREADS; i++)
        pthread_join(all[i], NULL);
    end_of(child);
    expect("descriptors", descriptors(), before);
}

static void step(void)
{
    for (int i = 0; i < 3; i++)
        right_calls(0);
    take(SIGTRAP, on_quiet, 0);
    for (long i = 0; i < rounds; i++) {
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
        right_calls(0);
        __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    }
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"handlers", handlers}, {"jumps", jumps}, {"fifo", fifo}, {"threads", threads}, {"step", step},
    };

    rounds = argc > 2 ? atol(argv[2]) : 100;
    way = mmap(NULL, sizeof *way, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stat("/", &root_st);
    stat("/d/f", &file_st);
    if (argc > 1 && strcmp(argv[1], "once") == 0) {
        right_calls(0);
        return bad != 0;
    }
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc > 1 && strcmp(argv[1], modes[i].name) == 0)
            modes[i].run();
    printf("signals %ld, at calls %ld\ndone %ld\n", signals_seen, inside_calls, bad);
    return 0;
}
