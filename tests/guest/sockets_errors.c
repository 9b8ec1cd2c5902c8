/* Addresses that cannot be used, and the errno of each. */
#include "sockets.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void outcome(const char *label, long result) { say(label, "%ld %s", result, result < 0 ? strerrorname_np(errno) : ""); }

static void test_lookups(void)
{
    static const char *const texts[] = {"none/x", "f/x", "loop", "loop/x", "none", "f", ".", "..", "/", "/w", "ld", "f/", "none/", "/proc/none",
                                        "locked/x", "/b/none/x", "ld/../none/x", "/../w/f", "ld/ld/ld/f"};
    char label[64];
    symlink("loop", "loop");
    mkdir("locked", 0);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(label, sizeof label, "connect %s", texts[i]);
        outcome(label, connect_text(fd, texts[i]));
        close(fd);
        fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        snprintf(label, sizeof label, "bind %s", texts[i]);
        if (strcmp(texts[i], "none") && strcmp(texts[i], "/proc/none"))
            outcome(label, bind_text(fd, texts[i], 1));
        snprintf(label, sizeof label, "mail %s", texts[i]);
        struct sockaddr_un to = {AF_UNIX, {0}};
        strcpy(to.sun_path, texts[i]);
        outcome(label, sendto(fd, "x", 1, 0, (void *)&to, sizeof to));
        close(fd);
    }
    rmdir("locked");
    unlink("loop");
}

static void test_lengths(void)
{
    static const long lengths[] = {-1, 0, 1, 2, 3, 4, 111, 128, 129, 4096};
    struct sockaddr_un name[40] = {{AF_UNIX, "none/x"}};
    char label[64];
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        if (lengths[i] != 2 && lengths[i] != 3 && lengths[i] != 4) {
            snprintf(label, sizeof label, "bind with length %ld", lengths[i]);
            outcome(label, bind(fd, (void *)name, lengths[i]));
        }
        snprintf(label, sizeof label, "connect with length %ld", lengths[i]);
        outcome(label, connect(fd, (void *)name, lengths[i]));
        snprintf(label, sizeof label, "sendto with length %ld", lengths[i]);
        outcome(label, sendto(fd, "x", 1, 0, (void *)name, lengths[i]));
        struct msghdr message = {.msg_name = name, .msg_namelen = lengths[i]};
        snprintf(label, sizeof label, "sendmsg with length %ld", lengths[i]);
        outcome(label, sendmsg(fd, &message, 0));
        close(fd);
    }
}

static void test_kinds(void)
{
    struct sockaddr_un name = {AF_INET, "srv"};
    int server = named(SOCK_STREAM, "srv"), fd = socket(AF_UNIX, SOCK_STREAM, 0), mail = socket(AF_UNIX, SOCK_DGRAM, 0), box = named(SOCK_DGRAM, "box");
    outcome("bind with another family", bind(fd, (void *)&name, sizeof name));
    outcome("connect with another family", connect(fd, (void *)&name, sizeof name));
    outcome("connect before listen", connect_text(fd, "srv"));
    outcome("stream to datagram", connect_text(fd, "/w/ld/box"));
    outcome("datagram to stream", connect_text(mail, "/w/ld/srv"));
    outcome("bind where a socket is", bind_text(fd, "ld/srv", 1));
    outcome("bind again", bind_text(server, "srv2", 1));
    listen(server, 1);
    chmod("srv", 0);
    outcome("connect without permission", connect_text(fd, "srv"));
    chmod("srv", 0700);
    outcome("connect with permission", connect_text(fd, "srv"));
    outcome("connect again", connect_text(fd, "srv"));
    name.sun_family = AF_UNIX;
    outcome("sendto on a connected stream", sendto(fd, "x", 1, 0, (void *)&name, sizeof name));
    outcome("not a socket", connect_text(0, "srv"));
    outcome("not open", connect_text(999, "srv"));
    chmod(".", 0500);
    outcome("bind where nothing may be made", bind_text(mail, "denied", 1));
    chmod(".", 0700);
    close(server);
    close(fd);
    close(mail);
    close(box);
    unlink("srv");
    unlink("box");
}

static void test_pointers(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sockaddr_un *constant = (void *)page;
    struct sockaddr_un name;
    socklen_t length = sizeof name, negative = -1;
    int fd = named(SOCK_DGRAM, "box"), other = socket(AF_UNIX, SOCK_DGRAM, 0);
    mprotect(page + 4096, 4096, PROT_NONE);
    outcome("bind from nowhere", bind(other, (void *)8, 20));
    outcome("connect from nowhere", connect(other, (void *)8, 20));
    outcome("sendto nowhere", sendto(other, "x", 1, 0, (void *)8, 20));
    outcome("sendmsg from nowhere", sendmsg(other, (void *)8, 0));
    outcome("recvmsg to nowhere", recvmsg(fd, (void *)8, MSG_DONTWAIT));
    outcome("name to nowhere", getsockname(fd, (void *)8, &length));
    outcome("length from nowhere", getsockname(fd, (void *)&name, (void *)8));
    outcome("negative length", getsockname(fd, (void *)&name, &negative));
    outcome("name at the end of memory", getsockname(fd, (void *)(page + 4096 - 6), &length));
    constant->sun_family = AF_UNIX;
    strcpy(constant->sun_path, "ld/box");
    mprotect(page, 4096, PROT_READ);
    outcome("constant address", sendto(other, "x", 1, 0, (void *)constant, sizeof *constant));
    outcome("name to constant memory", getsockname(fd, (void *)page, &length));
    outcome("accept on a datagram socket", accept(fd, (void *)&name, &length));
    munmap(page, 8192);
    close(fd);
    close(other);
    unlink("box");
}

void test_errors(void)
{
    test_lookups();
    test_lengths();
    test_kinds();
    test_pointers();
}
