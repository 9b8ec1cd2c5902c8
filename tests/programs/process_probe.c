/* Small things that programs do to processes and signals, each printing what it saw.
 *
 *   process_probe siginfo | fault | children | thread-exec | untraced | start | daemon FILE | ...
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (1 << 18)

extern char **environ, end[];
static volatile siginfo_t last;
static volatile int arrived;
static sigjmp_buf back;

static void keep(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    memcpy((void *)&last, info, sizeof last);
    arrived++;
}

static void jump(int number, siginfo_t *info, void *context)
{
    keep(number, info, context);
    siglongjmp(back, 1);
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

    sigaction(number, &action, NULL);
}

/* What one process can see of the root: the marker file by three ways. */
static void look(const char *who)
{
    char text[32] = "";
    struct stat st;
    int fd = open("/marker", O_RDONLY), directory = open("/", O_PATH | O_DIRECTORY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    printf("%s: marker %zd %.6s at %d stat %d\n", who, n, text, faccessat(directory, "marker", R_OK, 0),
           stat("/../marker", &st));
    fflush(stdout);
    close(fd);
    close(directory);
}

static void wait_for(const char *who, pid_t pid)
{
    int status = 0;
    pid_t found = waitpid(pid, &status, __WALL);

    printf("%s: waited %d exit %d signal %d\n", who, found == pid, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
           WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    fflush(stdout);
}

static int siginfo(void)
{
    union sigval value = {.sival_int = 4711};
    pid_t child;

    handle(SIGUSR1, keep, 0);
    handle(SIGRTMIN + 3, keep, 0);
    handle(SIGTRAP, keep, 0);
    handle(SIGCHLD, keep, SA_RESTART);
    sigqueue(getpid(), SIGUSR1, value);
    printf("usr1 %d code %d value %d own %d uid %d\n", arrived, last.si_code, last.si_value.sival_int,
           last.si_pid == getpid(), last.si_uid == getuid());
    kill(getpid(), SIGRTMIN + 3);
    printf("rt %d code %d own %d\n", arrived, last.si_code, last.si_pid == getpid());
    sigqueue(getpid(), SIGTRAP, value);
    printf("queued trap %d code %d value %d\n", arrived, last.si_code, last.si_value.sival_int);
    __asm__ volatile("int3");
    printf("int3 %d signal %d code %d\n", arrived, last.si_signo, last.si_code);
    if ((child = fork()) == 0)
        _exit(12);
    while (arrived < 5)
        usleep(1000);
    printf("chld %d code %d status %d child %d\n", arrived, last.si_code, last.si_status, last.si_pid == child);
    wait_for("chld", child);
    return 0;
}

static int fault(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    handle(SIGSEGV, jump, SA_NODEFER);
    handle(SIGFPE, jump, SA_NODEFER);
    handle(SIGILL, jump, SA_NODEFER);
    if (!sigsetjmp(back, 1))
        *(volatile int *)0x1234560 = 1;
    printf("unmapped code %d address %p\n", last.si_code, last.si_addr);
    if (!sigsetjmp(back, 1))
        *(volatile char *)(page + 17) = 1;
    printf("read-only code %d offset %ld\n", last.si_code, (long)((char *)last.si_addr - page));
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ud2");
    printf("illegal signal %d code %d\n", last.si_signo, last.si_code);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("xorl %%eax, %%eax; idivl %%eax" ::: "eax", "edx");
    printf("division signal %d code %d\n", last.si_signo, last.si_code);
    return 0;
}

static int shared_child(void *who)
{
    look(who);
    return 33;
}

static void *thread_main(void *who)
{
    look(who);
    return NULL;
}

static int children(void)
{
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *words[] = {"renamed program", "say", NULL};
    struct clone_args args = {.exit_signal = SIGCHLD};
    pthread_t thread;
    pid_t pid;

    if ((pid = fork()) == 0) { look("fork"); _exit(31); }
    wait_for("fork", pid);
    if ((pid = vfork()) == 0) _exit(access("/marker", R_OK) == 0 ? 32 : 1);
    wait_for("vfork", pid);
    pid = clone(shared_child, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, "vm");
    wait_for("vm", pid);
    pid = clone(shared_child, stack + STACK, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND, "quiet");
    wait_for("quiet", pid);
    if ((pid = (pid_t)syscall(SYS_clone3, &args, sizeof args)) == 0) { look("clone3"); _exit(34); }
    if (pid < 0)
        printf("clone3 %d\n", errno);
    else
        wait_for("clone3", pid);
    pthread_create(&thread, NULL, thread_main, "thread");
    pthread_join(thread, NULL);
    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, words, environ) && posix_spawn(&pid, "/probe", NULL, NULL, words, environ))
        puts("spawn failed");
    else
        wait_for("spawn", pid);
    return 0;
}

static void *exec_main(void *program)
{
    char *words[] = {"from thread", "alone", NULL};
    char before[16];

    snprintf(before, sizeof before, "%d", getpid());
    setenv("BEFORE", before, 1);
    execve(program, words, environ);
    return NULL;
}

static void *endless(void *nothing)
{
    for (;;)
        if (access("/nothing at all", F_OK) == 0)
            return nothing;
}

static int thread_exec(char *program)
{
    pthread_t thread;

    for (int i = 0; i < 5; i++)
        pthread_create(&thread, NULL, endless, NULL);
    pthread_create(&thread, NULL, exec_main, program);
    pthread_join(thread, NULL);
    return 1;
}

static int alone(void)
{
    printf("same pid %d leader %d %s\n", atoi(getenv("BEFORE") ? getenv("BEFORE") : "0") == getpid(),
           getpid() == syscall(SYS_gettid), program_invocation_name);
    look("after exec");
    return 0;
}

static int untraced(void)
{
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct clone_args args = {.flags = CLONE_UNTRACED, .exit_signal = SIGCHLD};
    pid_t pid = clone(shared_child, stack + STACK, CLONE_UNTRACED | SIGCHLD, "untraced");

    wait_for("untraced", pid);
    if ((pid = (pid_t)syscall(SYS_clone3, &args, sizeof args)) == 0) { look("untraced3"); _exit(34); }
    if (pid > 0)
        wait_for("untraced3", pid);
    return 0;
}

/* The start of a program: names, auxiliary vector, heap. */
static int start(int argc, char **argv)
{
    char comm[17] = "", cwd[256] = "", *heap = sbrk(0);
    unsigned long kernel = (unsigned long)syscall(SYS_brk, 0);
    int works = (char *)sbrk(8192) == heap && heap >= end && (unsigned long)heap <= kernel && heap - end < (1L << 34);

    prctl(PR_GET_NAME, comm, 0, 0, 0);
    if (works)
        memset(heap, 1, 8192);
    for (int i = 0; i < argc; i++)
        printf("[%s]", argv[i]);
    printf(" execfn %s comm %s cwd %s heap %d\n", (char *)getauxval(AT_EXECFN), comm, getcwd(cwd, sizeof cwd), works);
    printf("page %lu uid %d secure %lu entry %d phdr %d random %d clock %lu sysinfo %d\n", getauxval(AT_PAGESZ),
           getauxval(AT_UID) == getuid(), getauxval(AT_SECURE), getauxval(AT_ENTRY) != 0, getauxval(AT_PHDR) != 0,
           getauxval(AT_RANDOM) != 0, getauxval(AT_CLKTCK), getauxval(AT_SYSINFO_EHDR) != 0);
    return 0;
}

static int run_daemon(const char *file)
{
    sigset_t nothing;
    int fd;

    if (fork())
        return 5;
    setsid();
    if ((fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644)) < 0)
        return 1;
    dprintf(fd, "%d\n", getpid());
    close(fd);
    for (int i = 0; i < 3; i++)
        close(i);
    sigemptyset(&nothing);
    while (access("/stop", F_OK) != 0)
        usleep(2000);
    return 0;
}

/* Wait for a signal in a blocking path call, and say how the call ended. */
static int blocked(const char *fifo, int restart)
{
    int fd, error;

    handle(SIGUSR1, keep, restart ? SA_RESTART : 0);
    printf("ready %d\n", getpid());
    fflush(stdout);
    fd = open(fifo, O_RDONLY);
    error = errno;
    printf("open %s errno %d signals %d\n", fd >= 0 ? "ok" : "failed", fd >= 0 ? 0 : error, arrived);
    look("after");
    return 0;
}

static int ignoring(void)
{
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int number = 1; number <= 64; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            printf("signal %d is not default\n", number);
        if (sigismember(&mask, number) == 1)
            printf("signal %d is blocked\n", number);
    }
    return 0;
}

/* Tell that the program runs, then do path calls and fork without end. */
static int busy(void)
{
    struct stat st;

    signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    for (unsigned i = 0;; i++) {
        stat(i & 1 ? "/marker" : "/nothing", &st);
        if (i % 64 == 0 && fork() == 0)
            _exit(access("/marker", R_OK));
        if (i % 1024 == 0 && fork() == 0) {
            setsid();
            execl("/probe", "probe", "busy-child", NULL);
            _exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (!strcmp(what, "siginfo")) return siginfo();
    if (!strcmp(what, "fault")) return fault();
    if (!strcmp(what, "children")) return children();
    if (!strcmp(what, "thread-exec")) return thread_exec(argv[2]);
    if (!strcmp(what, "alone")) return alone();
    if (!strcmp(what, "untraced")) return untraced();
    if (!strcmp(what, "say")) { look(argv[0]); return 36; }
    if (!strcmp(what, "daemon")) return run_daemon(argv[2]);
    if (!strcmp(what, "blocked")) return blocked(argv[2], argc > 3);
    if (!strcmp(what, "ignoring")) return ignoring();
    if (!strcmp(what, "busy")) return busy();
    if (!strcmp(what, "busy-child")) { for (int i = 0; i < 300; i++) access("/marker", F_OK); return 0; }
    if (!strcmp(what, "marker")) { look(argv[0]); return 0; }
    if (!strcmp(what, "crash")) { *(volatile int *)8 = 1; return 0; }
    if (!strcmp(what, "signal")) { raise(atoi(argv[2])); return 99; }
    return start(argc, argv);
}
