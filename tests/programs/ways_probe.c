/* Tries ways out of a root, one call each, and says which of them met something outside.
 *
 *   ways_probe PROCESS ADDRESS SIZE [DEVICE:INODE]... [+DEVICE:INODE]...
 *       what it is looked for by: an address in a process outside, the size of a file, files (+: also where only the inode is told)
 *
 * Reads from stdin:
 *   fixture NAME TEXT                 a link to be made, a directory (TEXT is "/"), or a file (".")
 *   open                              make the descriptors that the ways begin at
 *   batch NAME DIRECTORY REPAIRS      what follows is done in a child, from this directory; REPAIRS 1: what it needs may have to be made anew
 *   way ABI NUMBER FLAGS ARGUMENT...  ABI: 64, 32 (int $0x80), or g (NUMBER is the name of a place that is led through the gate); FLAGS: "!"
 *                                     success would be wrong, "." nothing of the kind
 *   end
 * An argument is KIND:VALUE
 *   i:NUMBER  s:STRING  x:HEX BYTES  z:SIZE o:SIZE (memory that the call may fill)
 *   a:PATH (struct sockaddr_un)  m:PATH (struct msghdr to that address)  M:PATH (the same as the only mmsghdr)
 *   v:ADDRESS (struct iovec of 64 bytes)  V: (one of memory that may be filled)  c:ARGUMENT,ARGUMENT... (32 bits each, for socketcall)
 *   t: u: (AF_UNIX stream, datagram socket)  n: (inotify)  f: (fanotify)
 * After each batch it prints "hit INDEX WHAT" for each way out, then "batch NAME RAN LOST", LOST being ways that ended or held up the child.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "gate_sites.h"

enum { WAYS = 4000, LINE = 1200, WORDS = 12, ROOM = 131072, FILES = 64, HITS = 64, FIRST = 100, EXECUTED = 77, OWN = 3, MEMORY = 18 };

static struct outer { unsigned long device, inode; int telling; } outer[FILES];
static int outers;
static unsigned long address_outside, size_outside;
static char *in, *out;          /* below 2 GiB: what a call reads, what it may fill */
static size_t in_used, out_used;
static char *lines[WAYS];
static int count;
static char directory[300];
static unsigned long here;     /* its inode */
static struct shared {
    volatile int at;            /* the way that is being tried */
    volatile int hits;
    struct { int at; char what[60]; } hit[HITS];
} *shared;

static void hit(const char *what)
{
    int n = shared->hits;

    if (n < HITS) {
        shared->hit[n].at = shared->at;
        snprintf(shared->hit[n].what, sizeof shared->hit[n].what, "%s", what);
        shared->hits = n + 1;
    }
}

/* --- what a call is given ------------------------------------------------------------------------------------------------------ */

static char *take(const void *bytes, size_t size)
{
    char *at = in + in_used;

    if (in_used + size + 16 > ROOM)
        _exit(OWN);
    if (bytes)
        memcpy(at, bytes, size);
    else
        memset(at, 0, size);
    in_used += (size + 16) & ~15ul;
    return at;
}

static char *take_out(size_t size)
{
    char *at = out + out_used;

    if (out_used + size + 16 > ROOM)
        _exit(OWN);
    memset(at, 0, size + 16);
    out_used += (size + 16) & ~15ul;
    return at;
}

static char *socket_address(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return take(&address, sizeof address);
}

static char *vector(unsigned long address, size_t size, int wide)
{
    uint32_t narrow[2] = {(uint32_t)address, (uint32_t)size};
    uint64_t words[2] = {address, size};

    return wide ? take(words, sizeof words) : take(narrow, sizeof narrow);
}

static char *message(const char *path, int wide)
{
    char *name = socket_address(path), *part = vector((unsigned long)take("x", 2), 1, wide);
    uint32_t narrow[16] = {(uint32_t)(unsigned long)name, sizeof(struct sockaddr_un), (uint32_t)(unsigned long)part, 1};
    struct mmsghdr one = {.msg_hdr = {.msg_name = name, .msg_namelen = sizeof(struct sockaddr_un), .msg_iov = (void *)part, .msg_iovlen = 1}};

    return wide ? take(&one, sizeof one) : take(narrow, sizeof narrow);
}

static char *bytes(const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *data = take(NULL, n + 1);

    for (size_t i = 0; i < n; i++) {
        unsigned value = 0;
        sscanf(hex + 2 * i, "%2x", &value);
        data[i] = (char)value;
    }
    return data;
}

static long argument(char *word, int wide)
{
    char *value = word + 2, *rest = NULL;
    uint32_t list[6] = {0};

    switch (*word) {
    case 'i': return strtol(value, NULL, 0);
    case 's': return (long)take(value, strlen(value) + 1);
    case 'x': return (long)bytes(value);
    case 'z':
    case 'o': return (long)take_out(strtoul(value, NULL, 0));
    case 'a': return (long)socket_address(value);
    case 'm':
    case 'M': return (long)message(value, wide);
    case 'v': return (long)vector(strtoul(value, NULL, 0), 64, wide);
    case 'V': return (long)vector((unsigned long)take_out(64), 64, wide);
    case 't': return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    case 'u': return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    case 'n': return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    case 'f': return syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC | FAN_NONBLOCK, 0);
    case 'c':
        for (int i = 0; i < 6; i++) {
            char *one = strtok_r(i ? NULL : value, ",", &rest);
            list[i] = one ? (uint32_t)argument(one, 0) : 0;
        }
        return (long)take(list, sizeof list);
    default: _exit(OWN);
    }
}

/* --- what it came to ----------------------------------------------------------------------------------------------------------- */

static int is_outside(const struct stat *state)
{
    for (int i = 0; i < outers; i++)
        if (outer[i].inode == state->st_ino && outer[i].device == state->st_dev)
            return 1;
    return 0;
}

/* Whether a text of ours tells of something outside: what is in the files there, a size, an inode's number. */
static int tells(const char *text, size_t size, int words)
{
    if (memmem(text, size, "SECRET", 6))
        return 1;
    for (size_t i = 0; words && i + 8 <= size; i += 4) {
        uint32_t low;
        uint64_t whole;
        memcpy(&low, text + i, 4);
        memcpy(&whole, text + i, 8);
        if (low == size_outside)
            return 1;
        for (int k = 0; k < outers && i % 8 == 0; k++)
            if (outer[k].telling && outer[k].inode == whole && whole > UINT16_MAX)
                return 1;
    }
    return 0;
}

/* A descriptor that a call has made. */
static void look_into(int fd)
{
    struct stat state;
    char text[200] = "", name[40];
    int info;

    if (fstat(fd, &state) == 0 && is_outside(&state))
        hit("opened");
    if (pread(fd, text, 64, 0) > 0 && tells(text, 64, 0))
        hit("content");
    if (address_outside && pread(fd, text, 64, (off_t)address_outside) > 0 && tells(text, 64, 0))
        hit("memory");
    /* what is watched */
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    info = open(name, O_RDONLY | O_CLOEXEC);
    if (info >= 0) {
        char more[2000] = "";
        if (read(info, more, sizeof more - 1) > 0)
            for (int i = 0; i < outers; i++) {
                snprintf(name, sizeof name, "ino:%lx ", outer[i].inode);
                if (strstr(more, name))
                    hit("watched");
            }
        close(info);
    }
}

static void judge(long result, const char *flags)
{
    struct stat state;

    /* (its structure has no room for what there is: it was found) */
    if ((result >= 0 || result == -EOVERFLOW) && *flags == '!')
        hit("success");
    if (tells(out, out_used, 1))
        hit("told");
    for (int fd = OWN; fd < OWN + 4; fd++)
        if (fcntl(fd, F_GETFD) >= 0) {
            look_into(fd);
            close(fd);
        }
    if (result >= FIRST && result < FIRST + 100 && fcntl((int)result, F_GETFD) >= 0)
        look_into((int)result);
    if (fstatat(AT_FDCWD, "", &state, AT_EMPTY_PATH) == 0 && is_outside(&state))
        hit("working directory");
    if (state.st_ino != here && chdir(directory))
        _exit(OWN);
}

/* --- one way ------------------------------------------------------------------------------------------------------------------- */

static long call80(long number, const long *a)
{
    long result, words[7] = {number, a[0], a[1], a[2], a[3], a[4], a[5]};

    __asm__ volatile("push %%rbx; push %%rbp; mov %1, %%rax; mov 8(%%rax), %%ebx; mov 16(%%rax), %%ecx; mov 24(%%rax), %%edx;"
                     "mov 32(%%rax), %%esi; mov 40(%%rax), %%edi; mov 48(%%rax), %%ebp; mov (%%rax), %%eax; int $0x80; pop %%rbp; pop %%rbx"
                     : "=a"(result) : "r"(words) : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
    return (int)result;
}

static long call_site(const char *name, const long *a)
{
    for (int i = 0; i < SITES; i++)
        if (!strcmp(sites[i].name, name))
            return sites[i].call(a[0], a[1], a[2], a[3], a[4]);
    _exit(OWN);
}

static void try_way(const char *line)
{
    char text[LINE], *words[WORDS], *rest = NULL;
    long a[6] = {0}, result;
    int n = 0, wide;
    pid_t self = (pid_t)syscall(SYS_getpid);

    strcpy(text, line);
    for (char *word = strtok_r(text, " \n", &rest); word && n < WORDS; word = strtok_r(NULL, " \n", &rest))
        words[n++] = word;
    if (n < 4)
        _exit(OWN);
    wide = *words[1] != '3';
    in_used = out_used = 0;
    for (int i = 4; i < n && i < 10; i++)
        a[i - 4] = argument(words[i], wide);
    result = *words[1] == 'g' ? call_site(words[2], a) : wide ? call(atol(words[2]), a) : call80(atol(words[2]), a);
    if (syscall(SYS_getpid) != self || syscall(SYS_gettid) != self)
        syscall(SYS_exit_group, 0);
    judge(result, words[3]);
}

/* --- what ways need ------------------------------------------------------------------------------------------------------------ */

/* The links that lead, or would lead, outside; the directories and files that the ways begin at. */
static char *fixtures[200];
static int nfixtures;

static void repair(void)
{
    for (int i = 0; i < nfixtures; i += 2) {
        const char *name = fixtures[i], *text = fixtures[i + 1];
        if (!strcmp(text, "/")) {
            if (mkdir(name, 0755))
                chmod(name, 0755);
        } else if (!strcmp(text, ".")) {
            close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0755));
        } else {
            symlink(text, name);
        }
    }
}

static void put(int which, int fd)
{
    if (fd >= 0 && fd != FIRST + which) {
        dup2(fd, FIRST + which);
        close(fd);
    }
}

/* A directory that somebody outside sends us, who then removes and moves what we have open: it is ours to use, what is above it is not. */
static int received(void)
{
    char byte, room[CMSG_SPACE(sizeof(int))] = "";
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/sender"};
    int line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd = -1;

    if (connect(line, (struct sockaddr *)&address, sizeof address) == 0 && recvmsg(line, &message, 0) > 0 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    close(line);
    return fd;
}

/* The descriptors, from FIRST on; the order is that of FILES in tests/fuzz/ways.py. */
static void open_all(int supervisor, int outsider)
{
    int k = 0;

    put(k++, open("/", O_RDONLY | O_DIRECTORY));
    put(k++, open("/d", O_PATH | O_DIRECTORY));
    put(k++, open("/b", O_RDONLY | O_DIRECTORY));
    put(k++, open("/b/d", O_PATH | O_DIRECTORY));
    put(k++, open("/f", O_RDWR));
    put(k++, open("/gone", O_RDONLY | O_DIRECTORY));
    put(k++, open("/gone/deep", O_PATH | O_DIRECTORY));
    put(k++, open("/moved/in", O_RDONLY | O_DIRECTORY));
    put(k++, open("/labs", O_PATH | O_NOFOLLOW));
    put(k++, open("/proc/self/cwd", O_PATH | O_NOFOLLOW));
    put(k++, open("/proc/self/root", O_PATH));
    put(k++, open("/proc", O_RDONLY | O_DIRECTORY));
    put(k++, open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
    put(k++, (int)syscall(SYS_pidfd_open, supervisor, 0));
    put(k++, (int)syscall(SYS_pidfd_open, outsider, 0));
    put(k++, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    put(k++, socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    put(k++, inotify_init1(IN_NONBLOCK));
    put(k++, memfd_create("ways", 0));
    put(k++, open("/bf", O_RDONLY | O_NONBLOCK));
    put(k++, received());
}

static void tick(int number)
{
    (void)number;
}

static void child(int from, int repairs)
{
    struct sigaction action = {.sa_handler = tick};
    struct itimerval often = {{0, 5000}, {0, 5000}};
    struct rlimit small = {1 << 20, 1 << 20};
    struct stat state;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigaction(SIGALRM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    setitimer(ITIMER_REAL, &often, NULL);
    /* what is read and written by chance is not what we say to those who have started us */
    for (int fd = 0; fd < OWN; fd++)
        if (dup2(FIRST + MEMORY, fd) < 0)
            _exit(OWN);
    if (chdir(directory) || stat(".", &state))
        _exit(OWN);
    here = state.st_ino;
    for (int i = from; i < count; i++) {
        shared->at = i;
        if (repairs)
            repair();
        try_way(lines[i]);
    }
    shared->at = count;
    _exit(0);
}

/* Wait for a child that goes on as long as ways end; 0: it was held up. */
static int wait_for(pid_t pid, int *status)
{
    struct timespec moment = {0, 500000};
    int last = -1, still = 0;

    while (waitpid(pid, status, WNOHANG) == 0) {
        still = shared->at == last ? still + 1 : 0;
        last = shared->at;
        if (still > 4000) {
            kill(pid, SIGKILL);
            waitpid(pid, status, 0);
            return 0;
        }
        nanosleep(&moment, NULL);
    }
    return 1;
}

static void batch(const char *name, int repairs)
{
    int from = 0, lost = 0;

    shared->hits = 0;
    while (from < count) {
        int status = 0, came;
        pid_t pid;
        shared->at = from;
        fflush(stdout);
        pid = fork();
        if (pid == 0)
            child(from, repairs);
        if (pid < 0) {
            printf("broken %d cannot fork\n", from);
            exit(1);
        }
        came = wait_for(pid, &status);
        if (shared->at == count)
            break;
        if (came && WIFSTOPPED(status)) {   /* it has let itself be traced */
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
        if (came && WIFEXITED(status) && WEXITSTATUS(status) == EXECUTED)
            hit("executed");
        if (came && WIFEXITED(status) && WEXITSTATUS(status) == OWN)
            printf("broken %d %s\n", shared->at, lines[shared->at]);
        lost++;
        from = shared->at + 1;
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    for (int i = 0; i < shared->hits; i++)
        printf("hit %d %s\n", shared->hit[i].at, shared->hit[i].what);
    printf("batch %s %d %d\n", name, count, lost);
    fflush(stdout);
}

/* A place of a call that has stopped is led through the gate. */
static void warm_up(const struct site *site)
{
    char room[300];
    long a[5] = {0}, result;

    if (site->dirfd)
        a[0] = AT_FDCWD;
    a[site->path] = (long)"/f";
    if (site->out >= 0)
        a[site->out] = (long)room;
    result = site->call(a[0], a[1], a[2], a[3], a[4]);
    if (site->out < 0 && result > 0)
        close((int)result);
}

int main(int argc, char **argv)
{
    static char line[LINE], name[100];
    int repairs = 0, outsider;

    if (argc < 4)
        return 2;
    outsider = atoi(argv[1]);
    address_outside = strtoul(argv[2], NULL, 0);
    size_outside = strtoul(argv[3], NULL, 0);
    for (int i = 4; i < argc && outers < FILES; i++) {
        outer[outers].telling = *argv[i] == '+';
        if (sscanf(argv[i] + outer[outers].telling, "%lu:%lu", &outer[outers].device, &outer[outers].inode) == 2)
            outers++;
    }
    setpgid(0, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    in = mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (shared == MAP_FAILED || in == MAP_FAILED)
        return 2;
    out = in + ROOM;
    printf("ready %d %d\n", getppid(), getpid());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "fixture ", 8)) {
            char *text = strchr(line + 8, ' ');
            line[strcspn(line, "\n")] = 0;
            *text = 0;
            fixtures[nfixtures++] = strdup(line + 8);
            fixtures[nfixtures++] = strdup(text + 1);
        } else if (!strncmp(line, "open", 4)) {
            open_all(getppid(), outsider);
            for (int i = 0; i < 3 * SITES; i++)
                warm_up(&sites[i % SITES]);
        } else if (sscanf(line, "batch %99s %299s %d", name, directory, &repairs) == 3) {
            while (count)
                free(lines[--count]);
        } else if (!strncmp(line, "way ", 4) && count < WAYS) {
            lines[count++] = strdup(line);
        } else if (!strncmp(line, "end", 3)) {
            batch(name, repairs);
        }
    }
    return 0;
}
