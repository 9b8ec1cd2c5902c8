/* What a guest can do to a process: keepers WHAT PID ...
 *   each PID        one line for each call and each way to name the process: "call way result"
 *   race PID ms [files | refused]   a descriptor flips between a process of ours and PID behind the look of pidfd_getfd and
 *                   pidfd_send_signal, by a thread or a process; refused: pidfd_getfd of ours is refused, too
 *   many            signals and priorities for groups, and who is left
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GETFD = 438, OPEN_PID = 434, SEND = 424, MADVISE = 440, RELEASE = 448 };

static void tell(const char *call, const char *way, long result)
{
    printf("%s %s %d\n", call, way, result < 0 ? errno : 0);
    fflush(stdout);
}

static long by_number(int which, int pid)
{
    siginfo_t info = {.si_signo = SIGKILL, .si_code = SI_QUEUE};
    struct rlimit limit = {8, 8};
    struct sched_param param = {0};
    unsigned long attr[8] = {48}, mask = 1;
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    void *page = &byte;
    int node = 0, status = 0;
    size_t size = 0;
    switch (which) {
    case 0: return kill(pid, SIGKILL);
    case 1: return syscall(SYS_tkill, pid, SIGKILL);
    case 2: return syscall(SYS_tgkill, pid, pid, SIGKILL);
    case 3: return syscall(SYS_rt_sigqueueinfo, pid, SIGKILL, &info);
    case 4: return syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGKILL, &info);
    case 5: return prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
    case 6: return prlimit(pid, RLIMIT_NOFILE, NULL, &limit);
    case 7: return setpriority(PRIO_PROCESS, pid, 19);
    case 8: return syscall(SYS_ioprio_set, 1, pid, 3 << 13);
    case 9: return sched_setparam(pid, &param);
    case 10: return sched_setscheduler(pid, SCHED_BATCH, &param);
    case 11: return syscall(SYS_sched_setattr, pid, attr, 0);
    case 12: return syscall(SYS_sched_setaffinity, pid, sizeof(mask), &mask);
    case 13: return syscall(SYS_migrate_pages, pid, 1, &mask, &mask);
    case 14: return syscall(SYS_move_pages, pid, 1, &page, &node, &status, 2);
    case 15: return syscall(SYS_get_robust_list, pid, &page, &size);
    case 16: return syscall(SYS_kcmp, pid, getpid(), 0, 0, 0);
    case 17: return syscall(SYS_kcmp, getpid(), pid, 0, 0, 0);
    case 18: return process_vm_readv(pid, &here, 1, &there, 1, 0);
    case 19: return process_vm_writev(pid, &here, 1, &there, 1, 0);
    case 20: return ptrace(PTRACE_SEIZE, pid, 0, 0);
    case 21: return kill(pid, 0);
    default: return 0;
    }
}

static const char *const numbered[] = {
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "prlimit64", "prlimit64-get", "setpriority", "ioprio_set",
    "sched_setparam", "sched_setscheduler", "sched_setattr", "sched_setaffinity", "migrate_pages", "move_pages", "get_robust_list",
    "kcmp-1", "kcmp-2", "process_vm_readv", "process_vm_writev", "ptrace", "kill-0"};

/* By a descriptor of it. */
static void by_descriptor(const char *way, int fd)
{
    siginfo_t info = {.si_signo = SIGKILL, .si_code = SI_QUEUE};
    char byte;
    struct iovec vector = {&byte, 1};
    tell("pidfd_send_signal", way, syscall(SEND, fd, SIGKILL, NULL, 0));
    tell("pidfd_send_signal-info", way, syscall(SEND, fd, SIGKILL, &info, 0));
    tell("pidfd_send_signal-stop", way, syscall(SEND, fd, SIGSTOP, NULL, 0));
    tell("pidfd_send_signal-0", way, syscall(SEND, fd, 0, NULL, 0));
    if (strcmp(way, "proc")) {
        tell("pidfd_getfd", way, syscall(GETFD, fd, 0, 0));
        tell("process_madvise", way, syscall(MADVISE, fd, &vector, 1, MADV_COLD, 0));
        tell("process_mrelease", way, syscall(RELEASE, fd, 0));
    }
}

/* The same descriptor as it comes in a message. */
static int sent(int fd)
{
    int pair[2];
    char byte = 0, space[CMSG_SPACE(sizeof(int))];
    struct iovec vector = {&byte, 1};
    struct msghdr m = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof(int));
    if (sendmsg(pair[0], &m, 0) < 0 || recvmsg(pair[1], &m, 0) < 0) return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
    return fd;
}

static void *idle(void *unused)
{
    pause();
    return unused;
}

static void each(int pid)
{
    char name[40];
    int fd, round;
    for (unsigned i = 0; i < sizeof(numbered) / sizeof(*numbered); i++) tell(numbered[i], "number", by_number(i, pid));
    for (round = 0; round < 2; round++) {
        pthread_t thread;
        fd = syscall(OPEN_PID, pid, 0);
        by_descriptor("open", fd);
        by_descriptor("dup", fcntl(fd, F_DUPFD, 100));
        by_descriptor("message", sent(fd));
        snprintf(name, sizeof(name), "/proc/%d", pid);
        by_descriptor("proc", open(name, O_RDONLY | O_DIRECTORY));
        by_descriptor("path", open(name, O_PATH | O_DIRECTORY) < 0 ? -1 : fd);
        /* and now where another thread may change what a number means */
        pthread_create(&thread, NULL, idle, NULL);
    }
}

static volatile int over;
static volatile long rounds;
static int ends[2];
enum { FLIPS = 200 };

static void *flip(void *unused)
{
    for (; !over; rounds++)
        for (int i = 0; i < 2; i++) {
            dup2(ends[i], FLIPS);
            for (volatile int k = 0; k < 150; k++) {}
        }
    return unused;
}

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Descriptors of our own are those that we have under the same number: the other process must not give us its. */
static void race(int pid, long ms, int files, int alone)
{
    pthread_t thread;
    long end = now() + ms, calls = 0, own = 0, wrong = 0, refused = 0;
    int dead = 0, child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    ends[0] = syscall(OPEN_PID, getpid(), 0);
    ends[1] = syscall(OPEN_PID, pid, 0);
    dup2(ends[0], FLIPS);
    if (files) clone((int (*)(void *))(void *)flip, (char *)malloc(65536) + 65536, CLONE_FILES | CLONE_VM | SIGCHLD, NULL);
    else pthread_create(&thread, NULL, flip, NULL);
    /* (beside others on few processors it takes its time until both have been met) */
    while (now() < end || (now() < end + 20000 && !(own && refused) && !alone)) {
        int which = calls % 40, got = syscall(GETFD, FLIPS, which, 0);
        calls++;
        if (got < 0) {
            refused += errno == EPERM;
            continue;
        }
        if (syscall(SYS_kcmp, getpid(), getpid(), 0, got, which) == 0) own++;
        else wrong++;
        close(got);
    }
    ends[0] = syscall(OPEN_PID, child, 0);
    /* two rounds later the descriptor is no longer one of ours */
    for (long before = rounds; rounds < before + 2;) usleep(1000);
    /* (beside others it takes its time, too, until the deadly one meets the child) */
    for (end = now() + ms; now() < end || (!dead && now() < end + 20000); calls++) {
        syscall(SEND, FLIPS, calls & 1 ? SIGKILL : SIGSTOP, NULL, 0);
        if (now() >= end) dead = waitpid(child, NULL, WNOHANG) == child;
    }
    over = 1;
    printf("own %d refused %d wrong %ld child %d\n", own > 0, refused > 0, wrong, dead || waitpid(child, NULL, WNOHANG) == child);
}

int main(int argc, char **argv)
{
    int pid = argc > 2 ? atoi(argv[2]) : 0;
    if (pid == 0) pid = getppid();
    if (argc < 2) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(argv[1], "each")) each(pid);
    else if (!strcmp(argv[1], "race")) race(pid, atol(argv[3]), argc > 4 && !strcmp(argv[4], "files"), argc > 4 && !strcmp(argv[4], "refused"));
    else if (!strcmp(argv[1], "kill")) tell("kill", "group", kill(atoi(argv[2]), atoi(argv[3])));
    else if (!strcmp(argv[1], "all")) tell("kill", "all", kill(-1, atoi(argv[3])));
    else if (!strcmp(argv[1], "nice")) tell("setpriority", "group", setpriority(atoi(argv[2]), atoi(argv[3]), 7));
    else if (!strcmp(argv[1], "ionice")) tell("ioprio_set", "group", syscall(SYS_ioprio_set, atoi(argv[2]), atoi(argv[3]), 3 << 13));
    return 0;
}
