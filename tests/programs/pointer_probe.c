/* One thread changes what a pointer of another one's calls leads to, all the time: does a call ever reach what only the changed text names?
 *
 *   pointer_probe MODE MILLISECONDS OUTSIDE     prints "MODE calls N outside N"
 *
 * The guest cannot name OUTSIDE, a directory of the host with a file "secret" of seven bytes and two sockets, "stream" and "datagram". The
 * text changes between "x", which is in the working directory, and OUTSIDE/secret (a socket, or a name to be made, where the call wants
 * that), or between a harmless and a harmful content of a structure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static union {
    char text[512];
    uint64_t words[64];
    struct sockaddr_un address;
    struct open_how how;
    struct clone_args clone;
} buffer __attribute__((aligned(64)));
static struct mmsghdr message;
static volatile uint64_t *word;         /* it changes between these two */
static uint64_t harmless, harmful;
static char *page;                      /* or this page comes and goes */
static volatile int stop;
static long outside;

#ifdef __i386__
#define SYS_newfstatat SYS_fstatat64
static struct { unsigned long number; void *address; unsigned long length; } arguments __attribute__((aligned(64)));
static struct sockaddr_un elsewhere = {.sun_family = AF_INET};
#endif

static void *change(void *unused)
{
    while (!stop) {
        if (page) {
            mprotect(page, 4096, PROT_NONE);
            mprotect(page, 4096, PROT_READ | PROT_WRITE);
            continue;
        }
        __atomic_store_n(word, harmless, __ATOMIC_RELAXED);         /* (i386 would write halves) */
        for (volatile int i = 0; i < 200; i++)
            ;
        __atomic_store_n(word, harmful, __ATOMIC_RELAXED);
        for (volatile int i = 0; i < 200; i++)
            ;
    }
    return unused;
}

static long milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void was_opened(long fd)
{
    char text[8] = "";

    if (fd < 0)
        return;
    if (read((int)fd, text, 6) == 6 && !strcmp(text, "SECRET"))
        outside++;
    close((int)fd);
}

static void was_seen(long result, const struct stat *state)
{
    if (result == 0 && state->st_size == 7)
        outside++;
}

/* One round of the calls of a mode; what they make or remove outside is for the caller's caller to see. */
static int call(const char *mode, int fd)
{
    char *text = page ? page : buffer.text, told[64] = "";
    struct stat state = {0};
    int new;

    if (!strcmp(mode, "open") || !strcmp(mode, "page"))
        was_opened(open(text, O_RDONLY | O_NOFOLLOW));
    else if (!strcmp(mode, "follow") || !strcmp(mode, "dots"))
        was_opened(open(text, O_RDONLY));
    else if (!strcmp(mode, "dirfd"))
        was_opened(openat(fd, text, O_RDONLY | O_NOFOLLOW));
    else if (!strcmp(mode, "nodir"))
        was_opened(openat(-1, text, O_RDONLY));
    else if (!strcmp(mode, "empty"))
        was_seen(fstatat(fd, text, &state, AT_EMPTY_PATH), &state);
    else if (!strcmp(mode, "lstatat"))
        was_seen(syscall(SYS_newfstatat, fd, text, &state, AT_SYMLINK_NOFOLLOW), &state);
    else if (!strcmp(mode, "lstat") || !strcmp(mode, "dotted"))
        was_seen(lstat(text, &state), &state);
    else if (!strcmp(mode, "readlink"))
        outside += readlink(text, told, sizeof told - 1) > 0 && !strcmp(told, "SECRET");
    else if (!strcmp(mode, "change"))
        chmod(text, 0777), truncate(text, 3), lsetxattr(text, "user.pyroot", "x", 1, 0);
    else if (!strcmp(mode, "make"))
        mkdir(text, 0700), rmdir("/x"), close(open(text, O_CREAT | O_EXCL | O_RDWR, 0600)), unlink("/x");
    else if (!strcmp(mode, "remove"))
        unlink(text), rename(text, "/y"), link(text, "/y"), symlink("text", text), unlink("/y");
    else if (!strcmp(mode, "chdir"))
        outside += chdir(text) == 0 && access("secret", F_OK) == 0;
    else if (!strcmp(mode, "execute"))
        syscall(SYS_execveat, -1, text, NULL, NULL, AT_EMPTY_PATH);
    else if (!strcmp(mode, "connect") || !strcmp(mode, "bind")) {
        new = socket(AF_UNIX, SOCK_STREAM, 0);
        if (*mode == 'b')
            bind(new, (struct sockaddr *)&buffer.address, sizeof buffer.address);
        else
            outside += connect(new, (struct sockaddr *)&buffer.address, sizeof buffer.address) == 0;
        close(new);
    } else if (!strcmp(mode, "sendto"))
        outside += sendto(fd, "x", 1, 0, (struct sockaddr *)&buffer.address, sizeof buffer.address) == 1;
    else if (!strcmp(mode, "sendmsg"))
        outside += sendmsg(fd, &message.msg_hdr, 0) == 1;
    else if (!strcmp(mode, "sendmmsg"))
        outside += sendmmsg(fd, &message, 1, 0) == 1;
#ifdef __i386__
    else if (!strcmp(mode, "arguments"))
        outside += syscall(SYS_socketcall, 3 /* SYS_CONNECT */, &arguments) == 0;
#endif
    else if (!strcmp(mode, "how"))
        was_opened(syscall(SYS_openat2, fd, "/../../../../../../../../x", &buffer.how, sizeof buffer.how));
    else if (!strcmp(mode, "clone3")) {
        long pid = syscall(SYS_clone3, &buffer.clone, sizeof buffer.clone);
        if (pid == 0)                   /* with rights of its own in a name space of its own? */
            _exit(unshare(CLONE_NEWUTS) == 0);
        new = 0;
        if (pid > 0 && waitpid((pid_t)pid, &new, __WALL) == pid && new)
            outside++;
    } else
        return 0;
    return 1;
}

/* Set up what changes, and return a descriptor that the mode needs, or -1. */
static int prepare(const char *mode, const char *target)
{
    char path[300];
    int socket_type = !strncmp(mode, "send", 4) || !strcmp(mode, "arguments") ? SOCK_DGRAM : 0;

    word = buffer.words;
    snprintf(path, sizeof path, "%s/%s", target, !strcmp(mode, "connect") ? "stream" : socket_type ? "datagram"
             : !strcmp(mode, "bind") || !strcmp(mode, "make") ? "made" : !strcmp(mode, "chdir") ? "" : "secret");
    strcpy(buffer.text, path);
    memcpy(&harmful, buffer.text, 8);
    memcpy(&harmless, "x\0      ", 8);
    if (!strcmp(mode, "empty") || !strcmp(mode, "execute"))
        harmless &= ~0xffull;
    if (!strncmp(mode, "dot", 3)) {     /* what is copied as a name may be ".." by then */
        snprintf(buffer.text, sizeof buffer.text, "/d/d/d/d/aaaaaaa/../../../../..%s", path);
        word = buffer.words + 1;
        memcpy(&harmless, "/aaaaaaa", 8);
        memcpy(&harmful, "/../../.", 8);
        memcpy(buffer.text + 16, "./", 2);
    }
    if (socket_type || !strcmp(mode, "connect") || !strcmp(mode, "bind")) {
        memset(&buffer, 0, sizeof buffer);
        buffer.address.sun_family = AF_UNIX;
        strcpy(buffer.address.sun_path, path);
        harmful = harmless = *word;
        harmless = (harmless & ~0xffffull) | AF_INET;
    }
    if (!strncmp(mode, "sendm", 5)) {
        static struct iovec one = {(char *)"x", 1};
        message.msg_hdr = (struct msghdr){.msg_iov = &one, .msg_iovlen = 1, .msg_namelen = sizeof buffer.address};
        word = (volatile uint64_t *)&message.msg_hdr.msg_name;
        harmless = 0;
        message.msg_hdr.msg_name = &buffer.address;
        harmful = *word;
    }
#ifdef __i386__
    if (!strcmp(mode, "arguments")) {   /* the address that an argument in memory points to */
        int one = socket(AF_UNIX, SOCK_DGRAM, 0);

        arguments.number = (unsigned long)one;
        arguments.length = sizeof buffer.address;
        word = (volatile uint64_t *)&arguments;
        arguments.address = &elsewhere;
        harmless = *word;
        arguments.address = &buffer.address;
        harmful = *word;
        buffer.address.sun_family = AF_UNIX;
        strcpy(buffer.address.sun_path, path);
        return one;
    }
#endif
    if (!strcmp(mode, "how")) {
        memset(&buffer, 0, sizeof buffer);
        word = (volatile uint64_t *)&buffer.how.resolve;
        harmless = RESOLVE_BENEATH;
        harmful = 0;
    }
    if (!strcmp(mode, "clone3")) {
        memset(&buffer, 0, sizeof buffer);
        buffer.clone.exit_signal = SIGCHLD;
        harmless = 0;
        harmful = CLONE_NEWUSER;
    }
    if (!strcmp(mode, "page")) {
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        strcpy(page, path);
    }
    if (socket_type)
        return socket(AF_UNIX, socket_type, 0);
    return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    struct stat state;
    long calls = 0, end;
    int fd;

    if (argc != 4 || chdir("/"))
        return 2;
    close(open("x", O_CREAT | O_RDWR, 0600));
    for (int i = 0; i < 64; i++) {      /* while there is one thread, sites of calls change */
        close(open("/x", O_RDONLY | O_CLOEXEC));
        close(openat(AT_FDCWD, "x", O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (lstat("x", &state) || fstatat(AT_FDCWD, "x", &state, AT_SYMLINK_NOFOLLOW))
            return 3;
    }
    fd = prepare(argv[1], argv[3]);
    if (pthread_create(&thread, NULL, change, NULL))
        return 2;
    end = milliseconds() + atol(argv[2]);
    do {
        if (!call(argv[1], fd))
            return 2;
        calls++;
    } while (milliseconds() < end);
    stop = 1;
    pthread_join(thread, NULL);
    printf("%s calls %ld outside %ld\n", argv[1], calls, outside);
    return 0;
}
