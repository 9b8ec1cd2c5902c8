/* Passes descriptors on in every way that there is besides dup(2), and prints where each one is said to lie.
 *
 * copies_probe FIRST SECOND: two paths of one directory. Run without handlers and threads, so that numbers are dealt out alike.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

static int ends[2];

static int directory(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY);
}

static void show(const char *what, int fd)
{
    char link[64], text[4096];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    printf("%s %s\n", what, text);
    fflush(stdout);
}

/* One message with one descriptor, as sendmsg(2) and recvmsg(2) or as their plural forms have it. */
static int message(int fd, int plural)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof fd)];
    } control;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct mmsghdr m;

    memset(&m, 0, sizeof m);
    memset(&control, 0, sizeof control);
    m.msg_hdr.msg_iov = &part;
    m.msg_hdr.msg_iovlen = 1;
    m.msg_hdr.msg_control = &control;
    m.msg_hdr.msg_controllen = sizeof control.room;
    if (fd >= 0) {
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
        return plural ? sendmmsg(ends[0], &m, 1, 0) == 1 : sendmsg(ends[0], &m.msg_hdr, 0) == 1;
    }
    if (plural ? recvmmsg(ends[1], &m, 1, 0, NULL) != 1 : recvmsg(ends[1], &m.msg_hdr, 0) != 1)
        return -1;
    memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    return fd;
}

static void in_messages(const char *first, const char *second, int plural)
{
    int old, sent, got;

    /* the number that the message's descriptor will get had a descriptor of the other place */
    sent = directory(second);
    old = directory(first);
    message(sent, plural);
    close(old);
    got = message(-1, plural);
    show("received beside the sender's own", got);
    close(got);
    message(sent, plural);
    close(sent);
    sent = directory(first);
    got = message(-1, plural);
    show("received when the sender's own is closed", got);
    close(got);
    close(sent);
}

static void by_pidfd(const char *first, const char *second)
{
    int fd = directory(second), in[2], out[2], old, pidfd, got;
    char byte = 'x';
    pid_t child;

    if (pipe(in) || pipe(out))
        exit(1);
    child = fork();
    if (child == 0) {
        close(fd);
        fd = directory(first);
        if (write(out[1], &byte, 1) != 1 || read(in[0], &byte, 1) != 1)
            _exit(1);
        _exit(0);
    }
    if (read(out[0], &byte, 1) != 1)
        exit(1);
    pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    old = directory(second);
    close(old);
    got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    show("taken from a child", got);
    if (write(in[1], &byte, 1) != 1)
        exit(1);
    waitpid(child, NULL, 0);
}

static void by_birth(const char *first, const char *second)
{
    int fd = directory(second), copy;

    close(directory(first));
    copy = dup(fd);
    close(fd);
    fd = directory(first);
    if (fork() == 0) {
        show("inherited copy", copy);
        show("inherited", fd);
        exit(0);
    }
    wait(NULL);
}

int main(int argc, char **argv)
{
    int fd, i;

    if (argc < 3)
        return 2;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends))
        return 1;
    for (i = 0; i < 2; i++) {
        in_messages(argv[1], argv[2], i);
        in_messages(argv[2], argv[1], i);
    }
    by_pidfd(argv[1], argv[2]);
    by_birth(argv[1], argv[2]);
    fd = directory(argv[2]);
    close(directory(argv[1]));
    close_range((unsigned)fd, (unsigned)fd, 0);
    show("opened behind close_range", directory(argv[1]));
    return 0;
}
