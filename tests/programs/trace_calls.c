/* Calls with fixed arguments, one part by each name given: what strace and pyroot trace write of them is compared. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#ifdef SYS_newfstatat
#define SYS_NEWFSTATAT SYS_newfstatat
#else
#define SYS_NEWFSTATAT SYS_fstatat64
#endif

static char text[256];
static struct stat st;

static void files(void) {
    char buffer[100];
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (write(fd, "one\ttwo\n\"three\"\\\001\0012\377", 21) < 0) return;
    if (write(fd, "a line that is longer than the thirty-two bytes which are shown", 63) < 0) return;
    pwrite(fd, "xyz", 3, 100);
    lseek(fd, 0, SEEK_SET);
    lseek(fd, -1, SEEK_SET);
    if (read(fd, buffer, 100) < 0 || pread(fd, buffer, 3, 1) < 0 || read(fd, buffer, 0) < 0) return;
    if (read(fd, (void *)8, 10) >= 0 || read(77, buffer, 10) >= 0) return;
    fstat(fd, &st);
    syscall(SYS_stat, "file", &st);
    syscall(SYS_lstat, "file", &st);
    syscall(SYS_stat, "/dev/null", &st);
    syscall(SYS_NEWFSTATAT, AT_FDCWD, "none", &st, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_stat, (char *)16, &st);
    syscall(SYS_stat, NULL, &st);
    ftruncate(fd, 50);
    truncate("file", 40);
    fsync(fd), fdatasync(fd);
    fchmod(fd, 0604);
    chmod("file", 0);
    chmod("file", 04755);
    chmod("file", 0644);
    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    flock(fd, LOCK_EX | LOCK_NB), flock(fd, LOCK_UN);
    struct iovec v[3] = {{"abc", 3}, {NULL, 0}, {"a long piece of text, longer than what is shown of it", 53}};
    writev(fd, v, 3);
    char first[4], second[60];
    struct iovec w[2] = {{first, 4}, {second, 60}};
    lseek(fd, 0, SEEK_SET);
    readv(fd, w, 2);
    preadv(fd, w, 2, 5), pwritev(fd, v, 1, 5);
    int other = openat(AT_FDCWD, "other", O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0666);
    off_t offset = 2;
    sendfile(other, fd, &offset, 3);
    sendfile(other, fd, NULL, 3);
    loff_t in = 1;
    copy_file_range(fd, &in, other, NULL, 2, 0);
    sync_file_range(fd, 0, 0, 0);
    readahead(fd, 0, 100);
    close(other), close(fd), close(77);
    open("none/file", O_RDONLY);
    open("file", O_WRONLY | O_EXCL | O_NOFOLLOW | O_DIRECTORY);
    open("file", O_PATH), open("file", O_RDONLY | O_SYNC | O_DIRECT | O_NOATIME | O_LARGEFILE | O_NOCTTY | O_ASYNC);
    syscall(SYS_creat, "made", 0600);
    open(".", O_TMPFILE | O_RDWR, 0600);
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how);
    how.flags = O_CREAT | O_WRONLY, how.mode = 0600, how.resolve = 0;
    syscall(SYS_openat2, AT_FDCWD, "how", &how, sizeof how);
}

static void names(void) {
    struct timespec times[2] = {{1000000000, 5}, {0, UTIME_OMIT}};
    struct timeval values[2] = {{1000000000, 5}, {1000000001, 0}};
    struct utimbuf old = {1000000000, 1000000001};
    syscall(SYS_mkdir, "dir", 0755);
    syscall(SYS_mkdir, "dir", 0755);
    mkdirat(AT_FDCWD, "dir/a", 0700);
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    mkdirat(dir, "b", 01777);
    syscall(SYS_symlink, "/to/nowhere", "link");
    symlinkat("rel", dir, "link");
    syscall(SYS_readlink, "link", text, 100);
    readlinkat(dir, "link", text, 2);
    syscall(SYS_readlink, "dir", text, 100);
    syscall(SYS_rename, "dir/a", "dir/c");
    syscall(SYS_renameat, dir, "c", AT_FDCWD, "dir/a");
    syscall(SYS_renameat2, dir, "a", dir, "b", RENAME_NOREPLACE);
    syscall(SYS_renameat2, dir, "a", dir, "b", RENAME_EXCHANGE);
    close(open("plain", O_CREAT | O_WRONLY, 0666));
    syscall(SYS_link, "plain", "hard");
    linkat(AT_FDCWD, "link", dir, "hard", 0);
    linkat(AT_FDCWD, "plain", dir, "none/x", AT_SYMLINK_FOLLOW);
    utimensat(AT_FDCWD, "plain", times, 0);
    utimensat(AT_FDCWD, "link", NULL, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_utimes, "plain", values);
    syscall(SYS_futimesat, AT_FDCWD, "plain", values);
    syscall(SYS_utime, "plain", &old);
    syscall(SYS_access, "plain", R_OK | W_OK);
    syscall(SYS_access, "plain", F_OK);
    syscall(SYS_faccessat, AT_FDCWD, "none", X_OK);
    syscall(SYS_faccessat2, dir, "b", X_OK, AT_EACCESS);
    syscall(SYS_chmod, "plain", 0600);
    fchmodat(AT_FDCWD, "plain", 0640, 0);
    syscall(SYS_chown, "plain", -1, -1);
    syscall(SYS_lchown, "link", getuid(), -1);
    fchownat(AT_FDCWD, "plain", -1, getgid(), AT_SYMLINK_NOFOLLOW);
    fchown(dir, -1, -1);
    syscall(SYS_mknod, "pipe", S_IFIFO | 0600, 0);
    mknodat(AT_FDCWD, "device", S_IFCHR | 0600, 0x103);
    setxattr("plain", "user.a", "value", 5, XATTR_CREATE);
    getxattr("plain", "user.a", text, 100);
    getxattr("plain", "user.none", text, 100);
    listxattr("plain", text, 0);
    removexattr("plain", "user.a");
    syscall(SYS_getcwd, text, 200);
    syscall(SYS_getcwd, text, 1);
    char entries[4096];
    while (syscall(SYS_getdents64, dir, entries, 4096) > 0) continue;
    chdir("dir"), fchdir(dir), chdir("none"), chdir("..");
    syscall(SYS_unlink, "hard"), unlinkat(dir, "hard", 0), unlinkat(dir, "link", 0);
    syscall(SYS_rmdir, "dir"), unlinkat(AT_FDCWD, "dir/a", AT_REMOVEDIR), unlinkat(dir, "b", AT_REMOVEDIR);
    struct statx x;
    statx(AT_FDCWD, "plain", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x);
    statx(AT_FDCWD, "none", AT_STATX_DONT_SYNC, STATX_MODE | STATX_SIZE, &x);
    syscall(SYS_chroot, "none"), syscall(SYS_umount2, "none", MNT_DETACH);
    umask(027), umask(0);
}

static void descriptors(void) {
    int p[2], q[2], i;
    syscall(SYS_pipe, p);
    pipe2(q, O_CLOEXEC | O_NONBLOCK);
    dup(p[0]), dup2(p[0], 40), dup3(p[0], 41, O_CLOEXEC), dup2(99, 3);
    fcntl(p[0], F_GETFD), fcntl(40, F_SETFD, FD_CLOEXEC), fcntl(40, F_GETFD);
    fcntl(q[0], F_GETFL), fcntl(p[0], F_SETFL, O_NONBLOCK), fcntl(p[0], F_DUPFD, 50), fcntl(p[0], F_DUPFD_CLOEXEC, 60);
    fcntl(p[0], F_GETPIPE_SZ), fcntl(99, F_GETFL);
    int fd = open("lock", O_RDWR | O_CREAT, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2};
    fcntl(fd, F_SETLK, &lock), fcntl(fd, F_GETLK, &lock);
    ioctl(fd, TCGETS, text), ioctl(p[0], FIONREAD, &i), ioctl(fd, FIOCLEX), ioctl(p[0], FIONBIO, &(int){1}), ioctl(fd, 0x12345678, 9);
    if (write(p[1], "x", 1) < 0) return;
    ioctl(p[0], FIONREAD, &i);
    struct pollfd polls[3] = {{p[0], POLLIN | POLLPRI, 0}, {q[0], POLLIN, 0}, {-1, POLLOUT, 0}};
    syscall(SYS_poll, polls, 3, 0), syscall(SYS_poll, polls + 1, 1, 0);
    struct timespec zero = {0, 0};
    ppoll(polls, 2, &zero, NULL);
    fd_set reads, writes;
    struct timeval now = {0, 0};
    FD_ZERO(&reads); FD_ZERO(&writes); FD_SET(p[0], &reads); FD_SET(q[1], &writes);
    syscall(SYS_select, 10, &reads, &writes, NULL, &now);
    FD_ZERO(&reads); FD_SET(q[0], &reads);
    syscall(SYS_select, 10, &reads, NULL, NULL, &now);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 0x100000007}}, events[4];
    epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event);
    syscall(SYS_epoll_wait, epoll, events, 4, 0);
    epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event), epoll_ctl(epoll, EPOLL_CTL_DEL, p[0], NULL);
    epoll_pwait(epoll, events, 4, 0, NULL);
    int event_fd = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
    if (read(event_fd, text, 8) < 0 || read(event_fd, text, 8) >= 0) return;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec when = {{0, 0}, {1000, 5}};
    timerfd_settime(timer, 0, &when, NULL);
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {0, 0}}, NULL);
    timerfd_gettime(timer, &when);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    signalfd(-1, &set, SFD_CLOEXEC);
    int notify = inotify_init1(IN_NONBLOCK);
    inotify_add_watch(notify, ".", IN_CREATE | IN_DELETE), inotify_rm_watch(notify, 1);
    memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    splice(p[0], NULL, q[1], NULL, 10, SPLICE_F_NONBLOCK), tee(q[0], p[1], 5, SPLICE_F_NONBLOCK);
    syscall(SYS_close_range, 50, 70, 0);
    syncfs(fd);
    struct statfs fs;
    statfs("/proc", &fs), fstatfs(p[0], &fs);
}

static void memory(void) {
    char *a = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap(NULL, 0, PROT_NONE, MAP_SHARED, 3, 4096);
    mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_POPULATE | MAP_STACK, -1, 0);
    mprotect(a, 4096, PROT_READ | PROT_EXEC), mprotect(a, 4096, PROT_NONE), mprotect((void *)1, 1, PROT_READ);
    madvise(a + 4096, 4096, MADV_DONTNEED), msync(a, 4096, MS_SYNC), mlock(a + 4096, 10), munlock(a + 4096, 10), mlockall(MCL_FUTURE), munlockall();
    a[4096] = 1;
    unsigned char vec[2];
    mincore(a + 4096, 4096, vec);
    char *b = mremap(a, 8192, 16384, MREMAP_MAYMOVE);
    mremap(b, 16384, 4096, 0);
    munmap(b, 4096), munmap((void *)1, 4096);
    syscall(SYS_brk, 0);
}

static void sockets(void) {
    int s[2], one = 1;
    socklen_t size = sizeof one;
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s);
    setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one), getsockopt(s[0], SOL_SOCKET, SO_TYPE, &one, &size);
    getsockopt(s[0], SOL_SOCKET, SO_ERROR, &one, &size), getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &one, &size);
    struct linger linger = {1, 5};
    setsockopt(s[0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){1, 0}, sizeof(struct timeval));
    one = 0;
    setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    send(s[0], "hello", 5, MSG_NOSIGNAL), recv(s[1], text, 100, MSG_PEEK), recv(s[1], text, 100, 0);
    recv(s[1], text, 100, MSG_DONTWAIT);
    struct iovec v = {"data", 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    sendmsg(s[0], &m, 0);
    struct { struct cmsghdr h; int fd; } control = {{CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}, 1};
    m.msg_control = &control, m.msg_controllen = sizeof control;
    sendmsg(s[0], &m, MSG_EOR);
    char room[200];
    struct iovec w = {room, 4};
    struct msghdr r = {.msg_iov = &w, .msg_iovlen = 1};
    recvmsg(s[1], &r, 0);
    char space[100];
    r.msg_control = space, r.msg_controllen = sizeof space;
    recvmsg(s[1], &r, 0);
    recvmsg(s[1], &r, MSG_DONTWAIT);
    shutdown(s[0], SHUT_WR);
    if (recv(s[1], text, 100, 0) != 0) return;
    struct sockaddr_un un = {AF_UNIX, "sock"};
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(server, (void *)&un, sizeof un), listen(server, 5);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(client, (void *)&un, sizeof un);
    struct sockaddr_un who;
    size = sizeof who;
    int got = accept(server, (void *)&who, &size);
    size = sizeof who;
    getsockname(got, (void *)&who, &size);
    size = sizeof who;
    getpeername(client, (void *)&who, &size), getpeername(server, (void *)&who, &size);
    un.sun_path[0] = 'x';
    connect(client, (void *)&un, sizeof un), accept(got, NULL, NULL);
    struct sockaddr_un abstract = {AF_UNIX, "\0pyroot-nobody-listens"};
    connect(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&abstract, 2 + 22);
    struct sockaddr_in in = {AF_INET, htons(0), {htonl(INADDR_LOOPBACK)}};
    int tcp = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    one = 1;
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    in.sin_port = htons(1);
    connect(tcp, (void *)&in, sizeof in), connect(tcp, (void *)&in, 1), listen(99, 1);
    struct sockaddr_in6 in6 = {AF_INET6, htons(1), 0, IN6ADDR_LOOPBACK_INIT, 0};
    int six = socket(AF_INET6, SOCK_DGRAM, IPPROTO_IP);
    sendto(six, "x", 1, MSG_DONTWAIT, (void *)&in6, sizeof in6);
    int udp = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    recvfrom(udp, text, 10, MSG_DONTWAIT, (void *)&in, &size);
    socket(AF_UNIX, 77, 0), socket(99, SOCK_RAW, 5);
}

static void caught(int sig) { (void)sig; }

static void signals(void) {
    struct sigaction act = {.sa_handler = SIG_IGN}, old;
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGINT), sigaddset(&set, SIGUSR1), sigaddset(&set, 40);
    act.sa_mask = set, act.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    sigaction(SIGUSR2, &act, &old), sigaction(SIGUSR2, NULL, &old), sigaction(99, &act, NULL);
    act.sa_handler = caught, act.sa_flags = 0;
    sigaction(SIGUSR1, &act, NULL);
    sigprocmask(SIG_BLOCK, &set, NULL), sigprocmask(SIG_BLOCK, NULL, &set);
    sigfillset(&set), sigprocmask(SIG_SETMASK, &set, &set), sigemptyset(&set), sigprocmask(SIG_SETMASK, &set, NULL);
    kill(getpid(), SIGUSR1), raise(SIGUSR1), kill(getpid(), 0), kill(-99999, SIGTERM);
    union sigval value = {.sival_int = 7};
    sigqueue(getpid(), SIGUSR1, value);
    sigpending(&set);
    stack_t stack = {.ss_sp = malloc(16384), .ss_size = 16384};
    sigaltstack(&stack, NULL), sigaltstack(NULL, &stack);
    struct timespec zero = {0, 0};
    sigaddset(&set, SIGUSR2), sigtimedwait(&set, NULL, &zero);
    act.sa_flags = SA_SIGINFO | SA_RESETHAND;
    sigaction(SIGALRM, &act, NULL);
    struct itimerval when = {{0, 0}, {0, 1000}};
    sigset_t alarm_only, none;
    sigemptyset(&none), sigemptyset(&alarm_only), sigaddset(&alarm_only, SIGALRM), sigprocmask(SIG_BLOCK, &alarm_only, NULL);
    setitimer(ITIMER_REAL, &when, NULL);
    sigsuspend(&none);
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &when, &when);
    ppoll(NULL, 0, NULL, &none);
    getitimer(ITIMER_REAL, &when), alarm(0);
    act.sa_handler = SIG_DFL, act.sa_flags = 0;
}

static void times_of(void) {
    struct timespec now;
    struct timeval day;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now), syscall(SYS_clock_gettime, 99, &now), syscall(SYS_clock_getres, CLOCK_MONOTONIC, &now);
    syscall(SYS_gettimeofday, &day, NULL), syscall(SYS_time, NULL);
    syscall(SYS_nanosleep, &(struct timespec){0, 100}, NULL), syscall(SYS_nanosleep, &(struct timespec){0, -1}, &now);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){1, 0}, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t timer;
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    struct itimerspec when = {{0, 0}, {1000, 0}};
    timer_settime(timer, 0, &when, NULL), timer_gettime(timer, &when), timer_getoverrun(timer), timer_delete(timer);
    struct tms used;
    times(&used);
}

static void processes(void) {
    struct rlimit limit;
    struct rusage used;
    struct utsname machine;
    int status;
    syscall(SYS_getpid), syscall(SYS_getppid), syscall(SYS_gettid), getpgrp(), getpgid(0), getsid(0), setpgid(0, 99999), setsid();
    getuid(), getgid(), geteuid(), getegid();
    uid_t u[3];
    getresuid(u, u + 1, u + 2), getresgid(u, u + 1, u + 2), setuid(getuid()), setresuid(-1, -1, -1), setregid(-1, -1);
    gid_t groups[4];
    getgroups(0, NULL), getgroups(4, groups);
    syscall(SYS_getrlimit, RLIMIT_CORE, &limit), syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
    limit.rlim_cur = 512 * 1024, limit.rlim_max = RLIM_INFINITY;
    syscall(SYS_prlimit64, 0, RLIMIT_STACK, &limit, NULL), syscall(SYS_setrlimit, RLIMIT_CPU, &limit);
    getrusage(RUSAGE_SELF, &used), uname(&machine), sched_yield();
    getpriority(PRIO_PROCESS, 0), setpriority(PRIO_PROCESS, 0, 0), sched_getscheduler(0);
    struct sched_param param;
    sched_getparam(0, &param), sched_get_priority_max(SCHED_FIFO);
    personality(0xffffffff);
    prctl(PR_SET_NAME, "a-long-name-of-a-task"), prctl(PR_GET_NAME, text), prctl(PR_SET_PDEATHSIG, SIGTERM), prctl(PR_GET_PDEATHSIG, &status);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), prctl(PR_GET_DUMPABLE), prctl(PR_SET_CHILD_SUBREAPER, 0);
    syscall(SYS_getrandom, text, 4, GRND_NONBLOCK);
    syscall(SYS_membarrier, 0, 0, 0);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    syscall(SYS_capget, &head, data), syscall(SYS_capget, &head, NULL);
    syscall(SYS_unshare, CLONE_FILES), syscall(SYS_pidfd_open, getpid(), 0);
    syscall(SYS_futex, &status, 0, status + 1, NULL), syscall(SYS_futex, &status, 129, 1);
    char *arguments[] = {"none", "an argument that is a little longer than others", NULL};
    execve("./none", arguments, environ), syscall(SYS_execveat, AT_FDCWD, "none", arguments, NULL, AT_SYMLINK_NOFOLLOW);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGCHLD), sigprocmask(SIG_BLOCK, &set, NULL);
    int child = syscall(SYS_fork);
    if (child == 0) syscall(SYS_exit_group, 3);
    syscall(SYS_wait4, child, &status, 0, &used);
    child = syscall(SYS_fork);
    if (child == 0) kill(getpid(), SIGKILL);
    siginfo_t info;
    syscall(SYS_waitid, P_PID, child, &info, WEXITED | WNOWAIT, NULL);
    syscall(SYS_wait4, -1, &status, WNOHANG | WUNTRACED, NULL), syscall(SYS_wait4, -1, &status, 0, NULL);
}

static void ipc(void) {
    int shm = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    shmdt(shmat(shm, NULL, SHM_RDONLY)), shmctl(shm, IPC_RMID, NULL);
    int sem = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
    struct sembuf ops[1] = {{0, 1, SEM_UNDO}};
    semop(sem, ops, 1), semctl(sem, 0, IPC_RMID, 0);
    int queue = msgget(IPC_PRIVATE, IPC_CREAT | IPC_EXCL | 0600);
    struct { long type; char data[10]; } message = {7, "message"};
    msgsnd(queue, &message, 7, IPC_NOWAIT), msgrcv(queue, &message, 10, 0, IPC_NOWAIT), msgctl(queue, IPC_RMID, NULL);
}

int main(int count, char **words) {
    static const struct { const char *name; void (*run)(void); } parts[] = {
        {"files", files}, {"names", names}, {"descriptors", descriptors}, {"memory", memory}, {"sockets", sockets},
        {"signals", signals}, {"times", times_of}, {"processes", processes}, {"ipc", ipc},
    };
    for (int i = 1; i < count; i++)
        for (unsigned k = 0; k < sizeof parts / sizeof *parts; k++)
            if (strcmp(words[i], parts[k].name) == 0) parts[k].run();
    return 0;
}
