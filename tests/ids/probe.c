/* Makes random calls about ids, groups and capabilities, and prints each with its result and who the task is then. The same numbers
 * follow from the same seed, so that two runs can be compared line by line.
 *
 *     probe FIRST LAST CALLS MASK [SELF SETUID SETGID]       one program for each seed, with the capabilities of MASK
 *     probe -go SEED LEFT DEPTH SELF SETUID SETGID           goes on after an execve
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self[3];           /* this program: as it is, set-user-ID root, set-group-ID root */
static __thread uint64_t state; /* of the random numbers */
static __thread int depth;
static unsigned seed;
static char secret[8] = "secret";

static unsigned roll(unsigned n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static void say(const char *format, ...)
{
    char line[4096];
    va_list list;
    int n = snprintf(line, sizeof line, "%u.%d ", seed, depth);

    va_start(list, format);
    n += vsnprintf(line + n, sizeof line - n, format, list);
    va_end(list);
    if (write(1, line, n) != n)
        _exit(9);
}

static long made(long result) { return result < 0 ? -errno : result; }
#define CALL(...) made(syscall(__VA_ARGS__))

/* Prints who this task is, by every call that tells. */
static void who(void)
{
    static __thread int times;
    uint32_t u[3] = {7, 7, 7}, g[3] = {7, 7, 7}, list[64];
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{0}};
    uint64_t bounding = 0, ambient = 0;
    char groups[512] = "";
    long i, n;

#ifdef __i386__
    CALL(SYS_getresuid32, &u[0], &u[1], &u[2]);
    CALL(SYS_getresgid32, &g[0], &g[1], &g[2]);
    n = CALL(SYS_getgroups32, 64, list);
#else
    CALL(SYS_getresuid, &u[0], &u[1], &u[2]);
    CALL(SYS_getresgid, &g[0], &g[1], &g[2]);
    n = CALL(SYS_getgroups, 64, list);
#endif
    for (i = 0; i < n; i++)
        sprintf(groups + strlen(groups), "%u,", list[i]);
    CALL(SYS_capget, &h, d);
    /* (each capability is a call) */
    for (i = 0; i < (times++ % 8 ? 0 : 64); i++) {
        bounding |= (uint64_t)(CALL(SYS_prctl, PR_CAPBSET_READ, i, 0, 0, 0) == 1) << i;
        ambient |= (uint64_t)(CALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) << i;
    }
    say("  %u %u %u/%u %u %u/%ld:%s/%08x%08x %08x%08x %08x%08x %llx %llx/%ld %ld %ld %ld/%ld %ld\n", u[0], u[1], u[2], g[0], g[1], g[2], n, groups,
        d[1].inheritable, d[0].inheritable, d[1].permitted, d[0].permitted, d[1].effective, d[0].effective, (unsigned long long)bounding,
        (unsigned long long)ambient, CALL(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0), CALL(SYS_prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0),
        CALL(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), CALL(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0), CALL(SYS_setfsuid, -1),
        CALL(SYS_setfsgid, -1));
}

static void status(const char *of)
{
    char text[8192], name[64];
    char *line, *rest;
    int n, fd;

    snprintf(name, sizeof name, "/proc/%s/status", of);
    fd = open(name, O_RDONLY);
    n = fd < 0 ? 0 : (int)read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (!strncmp(line, "Uid", 3) || !strncmp(line, "Gid", 3) || !strncmp(line, "Groups", 6) || !strncmp(line, "Cap", 3) || !strncmp(line, "NoNew", 5))
            say("  %s\n", line);
}

static uint32_t id(void)
{
    static const uint32_t ids[] = {0, 0, 0, 1, 1000, 1000, 1001, 65534, 65535, 65536, 70000, 0xfffffffe, 0xffffffff, 0xffffffff};
    return ids[roll(sizeof ids / sizeof *ids)];
}

static uint64_t caps(uint64_t from)
{
    switch (roll(6)) {
    case 0: return 0;
    case 1: return ~(uint64_t)0;
    case 2: return from;
    case 3: return from & ~((uint64_t)1 << roll(41));
    case 4: return from | (uint64_t)1 << roll(41);
    default: return from & ((uint64_t)roll(1 << 30) << 11 ^ roll(1 << 30));
    }
}

static void set_caps(void)
{
    static const uint32_t versions[] = {0x20080522, 0x20080522, 0x20080522, 0x20080522, 0x20071026, 0x19980330, 0, 1};
    struct __user_cap_header_struct h = {versions[roll(8)], roll(12) ? 0 : roll(2) ? -1 : 1};
    struct __user_cap_header_struct now = {0x20080522, 0};
    struct __user_cap_data_struct d[2] = {{0}}, n[2] = {{0}};
    uint64_t e, p, i;
    int bad = !roll(20);
    long result;

    CALL(SYS_capget, &now, n);
    p = caps((uint64_t)n[1].permitted << 32 | n[0].permitted);
    e = roll(3) ? p : caps((uint64_t)n[1].effective << 32 | n[0].effective);
    i = roll(3) ? caps((uint64_t)n[1].inheritable << 32 | n[0].inheritable) : p;
    d[0].effective = (uint32_t)e, d[1].effective = (uint32_t)(e >> 32);
    d[0].permitted = (uint32_t)p, d[1].permitted = (uint32_t)(p >> 32);
    d[0].inheritable = (uint32_t)i, d[1].inheritable = (uint32_t)(i >> 32);
    result = CALL(SYS_capset, &h, bad ? NULL : d);
    say("capset %x %d %llx %llx %llx = %ld %x\n", bad, h.pid, (long long)e, (long long)p, (long long)i, result, h.version);
}

static void get_caps(void)
{
    struct __user_cap_header_struct h = {roll(3) ? 0x20080522 : roll(2) ? 0x20071026 : roll(99), roll(4) ? 0 : roll(2) ? -3 : (int)getpid()};
    struct __user_cap_data_struct d[2] = {{0}};
    int bad = !roll(6);
    long result = CALL(SYS_capget, &h, bad ? NULL : d);

    say("capget %d = %ld %x %x %x %x\n", bad, result, h.version, d[0].effective, d[1].permitted, d[0].inheritable);
}

static void set_groups(void)
{
    uint32_t list[40];
    unsigned i, n = roll(4) ? roll(6) : roll(2) ? roll(40) : 70000, bad = !roll(20);
    long result;

    for (i = 0; i < 40; i++)
        list[i] = roll(8) ? roll(5000) : id();
#ifdef __i386__
    if (roll(2)) {
        uint16_t narrow[40];
        for (i = 0; i < 40; i++)
            narrow[i] = (uint16_t)list[i];
        result = CALL(SYS_setgroups, n, bad ? NULL : narrow);
    } else
        result = CALL(SYS_setgroups32, n, bad ? NULL : list);
#else
    result = CALL(SYS_setgroups, n, bad ? NULL : list);
#endif
    say("setgroups %u %u = %ld\n", n, bad, result);
}

static void get_groups(void)
{
    uint16_t narrow[80] = {0};
    int n = (int)roll(50) - 3;
    long result = CALL(SYS_getgroups, n, roll(9) ? (void *)narrow : NULL);

    say("getgroups %d = %ld %u %u %u %u\n", n, result, narrow[0], narrow[1], narrow[2], narrow[3]);
}

static void change_ids(void)
{
    uint32_t a = id(), b = id(), c = id();
    unsigned what = roll(8);
    long result = 0;
#ifdef __i386__
    static const long numbers[2][8] = {
        {SYS_setuid32, SYS_setgid32, SYS_setreuid32, SYS_setregid32, SYS_setresuid32, SYS_setresgid32, SYS_setfsuid32, SYS_setfsgid32},
        {SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid}};
    unsigned narrow = roll(3) == 0;
#else
    static const long numbers[1][8] = {
        {SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid}};
    unsigned narrow = 0;
#endif
    result = CALL(numbers[narrow][what], a, b, c);
    say("set %u %u %u %u %u = %ld\n", what, narrow, a, b, c, result);
}

static void tell_ids(void)
{
    uint32_t a[3] = {9, 9, 9};
    unsigned bad = roll(5);

    say("get = %ld %ld %ld %ld\n", CALL(SYS_getuid), CALL(SYS_geteuid), CALL(SYS_getgid), CALL(SYS_getegid));
    say("getres %u = %ld", bad, CALL(roll(2) ? SYS_getresuid : SYS_getresgid, &a[0], bad == 1 ? NULL : &a[1], bad == 2 ? NULL : &a[2]));
    dprintf(1, " %u %u %u\n", a[0], a[1], a[2]);
}

static void options(void)
{
    unsigned long arg = roll(3) ? roll(44) : roll(3) ? roll(3) : (unsigned long)-1;
    long result;

    switch (roll(9)) {
    case 0: result = CALL(SYS_prctl, PR_CAPBSET_READ, arg, 0, 0, 0); break;
    case 1: result = CALL(SYS_prctl, PR_CAPBSET_DROP, arg, 0, 0, 0); break;
    case 2: arg = roll(2) ? roll(4096) : 1u << roll(12); result = CALL(SYS_prctl, PR_SET_SECUREBITS, arg, 0, 0, 0); break;
    case 3: arg = roll(3); result = CALL(SYS_prctl, PR_SET_KEEPCAPS, arg, 0, 0, 0); break;
    case 4: arg = roll(3); result = CALL(SYS_prctl, PR_SET_DUMPABLE, arg, 0, 0, 0); break;
    case 5: arg = roll(12) ? 2 : 1; result = CALL(SYS_prctl, PR_SET_NO_NEW_PRIVS, arg, 0, 0, 0); break;
    case 6: result = CALL(SYS_prctl, PR_GET_NO_NEW_PRIVS, roll(3) ? 0 : 1, 0, 0, 0); break;
    case 7: result = CALL(SYS_prctl, PR_CAP_AMBIENT, roll(6), arg, roll(9) ? 0 : 1, 0); break;
    default: result = CALL(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, arg, 0, 0); break;
    }
    say("prctl %ld = %ld\n", arg, result);
}

/* What a child may do to its parent, which waits. */
static void about(pid_t other)
{
    char got[8] = "";
    struct iovec to = {got, 8}, from = {secret, 8};
    long result = CALL(SYS_kill, other, roll(2) ? 0 : SIGCONT);

    say("kill = %ld\n", result);
    say("tkill = %ld\n", CALL(SYS_tkill, other, 0));
    say("read = %ld\n", CALL(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0));
    result = CALL(SYS_process_vm_readv, other, &to, 1, &from, 1, 0);
    say("read = %ld %s\n", result, got);
    say("kcmp = %ld\n", CALL(SYS_kcmp, getpid(), other, 2, 0, 0) < 0 ? -1L : 0);
    say("nice = %ld\n", CALL(SYS_setpriority, 0, other, 0));
}

static void peers(void)
{
    struct { int pid; uint32_t uid, gid; } peer = {0};
    socklen_t size = sizeof peer;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size);
    say("peer %d %u %u\n", peer.pid == getpid(), peer.uid, peer.gid);
    close(pair[0]);
    close(pair[1]);
}

static void message(void)
{
    struct { int pid; uint32_t uid, gid; } sent = {getpid(), id(), id()}, got = {0};
    char control[64] = {0}, byte = 'x';
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof sent)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int pair[2], on = 1, given = roll(2);
    uint32_t u[3], g[3];
    long result;

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
        return;
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    getresuid(&u[0], &u[1], &u[2]);
    getresgid(&g[0], &g[1], &g[2]);
    if (roll(2)) {
        sent.uid = u[roll(3)];
        sent.gid = g[roll(3)];
    }
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    c->cmsg_len = CMSG_LEN(sizeof sent);
    memcpy(CMSG_DATA(c), &sent, sizeof sent);
    if (!given) {
        sent.uid = u[0];
        sent.gid = g[0];
        memcpy(CMSG_DATA(c), &sent, sizeof sent);
    }
    result = made(sendmsg(pair[0], &m, 0));
    memcpy(&got, CMSG_DATA(c), sizeof got);
    say("send %u %u = %ld %d\n", sent.uid, sent.gid, result, !memcmp(&got, &sent, sizeof got));
    memset(control, 0, sizeof control);
    m.msg_controllen = sizeof control;
    memset(&got, 0, sizeof got);
    result = made(recvmsg(pair[1], &m, MSG_DONTWAIT));
    c = CMSG_FIRSTHDR(&m);
    if (result > 0 && c)
        memcpy(&got, CMSG_DATA(c), sizeof got);
    say("received %ld %d %u %u\n", result, got.pid == getpid(), got.uid, got.gid);
    close(pair[0]);
    close(pair[1]);
}

static void calls(int left);

static void execute(int left)
{
    char a[32], b[32], c[32];
    char *which = self[roll(3)];
    char *argv[] = {which, "-go", a, b, c, self[0], self[1], self[2], NULL};

    if (!which)
        return;
    snprintf(a, sizeof a, "%llu", (unsigned long long)state);
    snprintf(b, sizeof b, "%d", left);
    snprintf(c, sizeof c, "%d.%u", depth, seed);
    say("execve %d\n", which == self[0] ? 0 : which == self[1] ? 1 : 2);
    execve(which, argv, environ);
    say("execve = %d\n", -errno);
}

static void *thread(void *given)
{
    uint64_t *start = given;

    state = *start;
    depth = 20;
    calls(4 + roll(6));
    return NULL;
}

static void tasks(int left)
{
    uint64_t start = state ^ 0x9e3779b97f4a7c15u;
    pthread_t other;
    pid_t pid, parent = getpid();
    int result;

    roll(2);
    switch (depth >= 20 ? 0 : roll(4)) {
    case 1:
        if (pthread_create(&other, NULL, thread, &start) == 0)
            pthread_join(other, NULL);
        say("thread\n");
        return;
    case 2:
        pid = vfork();
        if (pid == 0) {
            result = (int)CALL(SYS_setresuid, 1000, 1000, 1000);
            _exit(-result);
        }
        waitpid(pid, &result, 0);
        say("vfork %d\n", result);
        return;
    default:
        if (depth > 3)
            return;
        pid = fork();
        if (pid == 0) {
            state = start;
            depth++;
            if (roll(2))
                change_ids();
            about(parent);
            calls(left > 8 ? 8 : left);
            _exit(0);
        }
        waitpid(pid, &result, 0);
        say("child %d\n", result);
    }
}

static void calls(int left)
{
    who();
    while (left-- > 0) {
        switch (roll(20)) {
        case 0: case 1: case 2: case 3: case 4: case 5: change_ids(); break;
        case 6: case 7: case 8: options(); break;
        case 9: case 10: set_caps(); break;
        case 11: get_caps(); break;
        case 12: set_groups(); break;
        case 13: get_groups(); break;
        case 14: tell_ids(); break;
        case 15: status(depth >= 20 ? "thread-self" : "self"); break;
        case 16: peers(); break;
        case 17: message(); break;
        case 18: tasks(left); break;
        default:
            if (depth < 20)
                execute(left);
            else
                tell_ids();
        }
        who();
    }
}

/* Sets capabilities aside that root does not have on every machine. */
static void only(uint64_t mask)
{
    struct __user_cap_header_struct h = {0x20080522, 0};
    struct __user_cap_data_struct d[2] = {{(uint32_t)mask, (uint32_t)mask, 0}, {(uint32_t)(mask >> 32), (uint32_t)(mask >> 32), 0}};
    int i;

    for (i = 0; i < 64; i++)
        if (!(mask >> i & 1))
            CALL(SYS_prctl, PR_CAPBSET_DROP, i, 0, 0, 0);
    if (CALL(SYS_capset, &h, d) < 0)
        say("capset failed\n");
}

int main(int argc, char **argv)
{
    if (argc > 7 && !strcmp(argv[1], "-go")) {
        state = strtoull(argv[2], NULL, 10);
        depth = atoi(argv[4]);
        seed = (unsigned)strtoul(strchr(argv[4], '.') + 1, NULL, 10);
        memcpy(self, argv + 5, sizeof self);
        say("runs %lu %lu %lu %lu %lu\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID), getauxval(AT_SECURE));
        calls(atoi(argv[3]));
        return 0;
    }
    if (argc < 5)
        return 2;
    CALL(SYS_setgroups, 0, NULL);
    only(strtoull(argv[4], NULL, 16));
    if (argc > 7)
        memcpy(self, argv + 5, sizeof self);
    for (seed = (unsigned)atoi(argv[1]); seed < (unsigned)atoi(argv[2]); seed++) {
        int result;
        pid_t pid = fork();

        if (pid == 0) {
            state = seed * 2654435761u + 12345;
            calls(atoi(argv[3]));
            _exit(0);
        }
        waitpid(pid, &result, 0);
        say("ends %d\n", result);
    }
    return 0;
}
