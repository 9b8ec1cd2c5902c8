/* Makes raw system calls that are described on stdin, each in a child of its own, and prints what came of them.
 *
 * A line: a label, the number, and up to six arguments of the form KIND:VALUE
 *   i:NUMBER  s:STRING  x:HEX BYTES  z:SIZE (zeroed)  o:SIZE (zeroed, printed afterwards as text)
 *   a:PATH (struct sockaddr_un)  m:PATH (struct msghdr to that address)  M:PATH (the same as the only mmsghdr)
 *   d:PATH (O_PATH descriptor)  r:PATH (descriptor for reading)  t: u: (AF_UNIX stream, datagram socket)  n: (inotify)  f: (fanotify)
 *   p:PID (pidfd of it)  S: (pid of the supervisor)
 *   k and one of s: x: a: m: M: (the same in memory of memfd_secret(2), which only the kernel and its owner read)
 * Run without an argument it does nothing: as a program that others execute it just ends. With `plain` only those calls are in a child that
 * would change what comes after them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"

static long supervisor;     /* our parent: we are the command */

static struct sockaddr_un *address(const char *path)
{
    struct sockaddr_un *a = calloc(1, sizeof *a);

    a->sun_family = AF_UNIX;
    strncpy(a->sun_path, path, sizeof a->sun_path - 1);
    return a;
}

static struct mmsghdr *message(const char *path)
{
    struct mmsghdr *m = calloc(2, sizeof *m);
    struct iovec *part = calloc(1, sizeof *part);

    part->iov_base = "x";
    part->iov_len = 1;
    m->msg_hdr = (struct msghdr){.msg_name = address(path), .msg_namelen = sizeof(struct sockaddr_un), .msg_iov = part, .msg_iovlen = 1};
    return m;
}

static long bytes(const char *hex)
{
    size_t n = strlen(hex) / 2;
    unsigned char *data = calloc(n + 1, 1);

    for (size_t i = 0; i < n; i++) {
        unsigned value;
        sscanf(hex + 2 * i, "%2x", &value);
        data[i] = (unsigned char)value;
    }
    return (long)data;
}

static long argument(const char *word, char **shown);

/* A copy of an argument's memory that no other process can read; 77: this kernel has no such memory. */
static long secret(const char *word, char **shown)
{
    long from = argument(word, shown);
    size_t size = *word == 's' ? strlen(word + 2) + 1 : *word == 'x' ? strlen(word + 2) / 2 : *word == 'a' ? sizeof(struct sockaddr_un)
                                                                                                  : sizeof(struct mmsghdr);
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    char *to;

    if (fd < 0 || ftruncate(fd, 8192) || (to = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        _exit(77);
    memcpy(to, (void *)from, size);
    return (long)to;
}

static long argument(const char *word, char **shown)
{
    const char *value = word + 2;

    switch (*word) {
    case 'k': return secret(word + 1, shown);
    case 'i': return strtol(value, NULL, 0);
    case 's': return (long)value;
    case 'x': return bytes(value);
    case 'z': return (long)calloc(1, (size_t)atol(value));
    case 'o': return (long)(*shown = calloc(1, (size_t)atol(value) + 1));
    case 'a': return (long)address(value);
    case 'm': return (long)&message(value)->msg_hdr;
    case 'M': return (long)message(value);
    case 'd': return open(value, O_PATH | O_DIRECTORY | O_CLOEXEC);
    case 'r': return open(value, O_RDONLY | O_CLOEXEC);
    case 't': return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    case 'u': return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    case 'n': return inotify_init1(IN_CLOEXEC);
    case 'f': return syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, 0);
    case 'p': return syscall(SYS_pidfd_open, atoi(value), 0);
    case 'S': return supervisor;
    default: exit(2);
    }
}

/* Make the call of a line; a child that it has made ends at once. */
static void make(char **words, int count, char *text, size_t room)
{
    char *shown = NULL;
    long arguments[6] = {0}, number = atol(words[1]), result;

    for (int i = 2; i < count && i < 8; i++)
        arguments[i - 2] = argument(words[i], &shown);
    result = call(number, arguments);
    if (result == 0 && (number == SYS_clone || number == SYS_clone3 || number == SYS_vfork || number == SYS_fork))
        _exit(0);
    snprintf(text, room, "%ld %s", result < 0 ? result : 0, shown && result > 0 ? shown : "");
}

/* One line, in the child; what is printed goes through the pipe that a successful execve closes. */
static void one(int out, char **words, int count)
{
    char text[600];

    make(words, count, text, sizeof text);
    _exit(write(out, text, strlen(text)) < 0);
}

static int changes_us(long number)
{
    static const long those[] = {SYS_execve, SYS_execveat, SYS_chdir, SYS_fchdir, SYS_chroot, SYS_clone, SYS_clone3, SYS_unshare, SYS_kill,
                                 SYS_tkill, SYS_tgkill, SYS_seccomp, SYS_sched_setaffinity};

    for (size_t i = 0; i < sizeof those / sizeof *those; i++)
        if (those[i] == number)
            return 1;
    return 0;
}

/* The same here: the descriptors that it has made are closed. */
static void one_here(char **words, int count)
{
    char text[600];

    make(words, count, text, sizeof text);
    printf("%s %s\n", words[0], text);
    for (int fd = 3; fd < 8; fd++)
        close(fd);
}

int main(int argc, char **argv)
{
    char line[4096], *words[10];

    if (argc < 2)
        return 0;
    supervisor = getppid();
    while (fgets(line, sizeof line, stdin)) {
        int ends[2], count = 0, n;
        char text[700];
        for (char *word = strtok(line, " \n"); word && count < 10; word = strtok(NULL, " \n"))
            words[count++] = word;
        if (count >= 2 && strcmp(argv[1], "plain") == 0 && !changes_us(atol(words[1]))) {
            one_here(words, count);
            continue;
        }
        if (count < 2 || pipe2(ends, O_CLOEXEC))
            return 1;
        fflush(stdout);
        if (fork() == 0)
            one(ends[1], words, count);
        close(ends[1]);
        n = (int)read(ends[0], text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        close(ends[0]);
        int status = 0, last;
        while (wait(&last) > 0)
            status = last;
        printf("%s %s\n", words[0], n > 0 ? text : status == 77 << 8 ? "no secret memory" : "executed");
    }
    return 0;
}
