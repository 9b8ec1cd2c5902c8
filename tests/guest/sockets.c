/* What a program sees of AF_UNIX names: prints one line for each answer of the kernel, the same everywhere.
 *
 * Runs in a directory /w of its own, with `ld` -> `.`, a file `f` and a bound directory /b. */
#include "sockets.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void say(const char *label, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    printf("%s: ", label);
    vprintf(format, values);
    putchar('\n');
    fflush(stdout);
    va_end(values);
}

/* Print a result and, if it succeeded, the name that came back: true length, text, and how much of the room stayed untouched. */
void show(const char *label, long result, const struct sockaddr_un *name, socklen_t room, socklen_t length)
{
    char text[600] = "";
    int n = 0, untouched = room;
    const unsigned char *bytes = (const void *)name;
    if (result < 0) {
        say(label, "%s", strerrorname_np(errno));
        return;
    }
    while (untouched > 0 && bytes[untouched - 1] == 0xee)
        untouched--;
    for (int i = HEAD; i < untouched && n < 590; i++)
        n += sprintf(text + n, bytes[i] > 32 && bytes[i] < 127 && bytes[i] != '\\' ? "%c" : "\\%02x", bytes[i]);
    say(label, "length %d, wrote %d, family %d, text %s", length, untouched, untouched >= 2 ? name->sun_family : -1, text);
}

int bind_text(int fd, const char *text, int extra)
{
    struct sockaddr_un name = {AF_UNIX, {0}};
    size_t n = strlen(text);
    memset(name.sun_path, 'G', sizeof name.sun_path);
    memcpy(name.sun_path, text, n < 108 ? n + (n < 107) : 108);
    return bind(fd, (void *)&name, HEAD + n + extra);
}

int connect_text(int fd, const char *text)
{
    struct sockaddr_un name = {AF_UNIX, {0}};
    memcpy(name.sun_path, text, strlen(text));
    return connect(fd, (void *)&name, HEAD + strlen(text) + (strlen(text) < 108));
}

int named(int type, const char *text)
{
    int fd = socket(AF_UNIX, type, 0);
    if (bind_text(fd, text, 1)) {
        say("bind", "%s %s", text, strerrorname_np(errno));
        exit(1);
    }
    return fd;
}

static void any_name(const char *label, int fd, socklen_t room, int (*ask)(int, struct sockaddr *, socklen_t *))
{
    struct {
        struct sockaddr_un name;
        char more[200];
    } got;
    socklen_t length = room;
    memset(&got, 0xee, sizeof got);
    long result = ask(fd, (void *)&got, &length);
    show(label, result, &got.name, room, length);
}

static int ask_own(int fd, struct sockaddr *name, socklen_t *length) { return getsockname(fd, name, length); }
static int ask_peer(int fd, struct sockaddr *name, socklen_t *length) { return getpeername(fd, name, length); }
void own_name(const char *label, int fd, socklen_t room) { any_name(label, fd, room, ask_own); }
void peer_name(const char *label, int fd, socklen_t room) { any_name(label, fd, room, ask_peer); }

static void accepted(const char *label, int listener, socklen_t room, int flags)
{
    struct sockaddr_un name;
    socklen_t length = room;
    memset(&name, 0xee, sizeof name);
    int fd = accept4(listener, (void *)&name, &length, flags);
    show(label, fd, &name, room, length);
    own_name("accepted socket's own", fd, 110);
    peer_name("accepted socket's peer", fd, 110);
    close(fd);
}

static void test_bound_names(void)
{
    static const char *const texts[] = {"rel", "./rel2", "/w/abs", "ld/../w/via", "/b/bound", "../w/up", "/b/../w/out", "ld//./slashes", "/w/./dots"};
    static const socklen_t rooms[] = {0, 1, 2, 3, 5, 6, 110, 200};
    char label[64];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (int extra = -1; extra < 3; extra++) {
            struct stat st;
            int fd = socket(AF_UNIX, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
            snprintf(label, sizeof label, "bind %s %+d", texts[i], extra);
            say(label, "%d", bind_text(fd, texts[i], extra));
            own_name(label, fd, 110);
            say("is a socket", "%d", lstat(texts[i], &st) == 0 && S_ISSOCK(st.st_mode));
            for (size_t k = 0; extra == 1 && k < sizeof rooms / sizeof *rooms; k++)
                own_name("room", fd, rooms[k]);
            unlink(texts[i]);
            own_name("after unlink", fd, 110);
            close(fd);
        }
    }
}

static void test_long_names(void)
{
    for (int n = 100; n <= 108; n++) {
        char text[120] = "/w/", label[40];
        int fd = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
        memset(text + 3, 'n', n - 3);
        snprintf(label, sizeof label, "name of %d bytes", n);
        say(label, "%d", bind_text(fd, text, 0));
        own_name(label, fd, 200);
        listen(fd, 5);
        say("connect", "%d", connect_text(client, text));
        peer_name("its peer", client, 200);
        peer_name("cut", client, 60);
        say("exists", "%d", access(text, F_OK));
        unlink(text);
        close(fd);
        close(client);
    }
}

static void test_streams(int type)
{
    int server = named(type, "srv"), fd;
    listen(server, 5);
    own_name("listener", server, 110);
    fd = socket(AF_UNIX, type, 0);
    own_name("not bound", fd, 110);
    peer_name("not connected", fd, 110);
    say("connect", "%d", connect_text(fd, "/w/ld/srv"));
    peer_name("client's peer", fd, 110);
    peer_name("client's peer, cut", fd, 4);
    own_name("client's own", fd, 110);
    accepted("accept from nameless", server, 110, 0);
    close(fd);
    fd = named(type, "/w/ld/client");
    say("connect relative", "%d", connect_text(fd, "srv"));
    accepted("accept from named", server, 110, SOCK_CLOEXEC);
    peer_name("after the other end closed", fd, 110);
    close(fd);
    unlink("client");
    for (socklen_t room = 0; room < 14; room += 3) {
        fd = named(type, "client");
        connect_text(fd, "/b/../w/srv");
        accepted("accept with little room", server, room, 0);
        close(fd);
        unlink("client");
    }
    fd = socket(AF_UNIX, type, 0);
    rename("srv", "moved");
    say("old name", "%d %s", connect_text(fd, "srv"), strerrorname_np(errno));
    say("new name", "%d", connect_text(fd, "moved"));
    peer_name("peer after rename", fd, 110);
    own_name("listener after rename", server, 110);
    say("accept without name", "%d", accept(server, NULL, NULL) >= 0);
    close(server);
    peer_name("listener gone", fd, 110);
    close(fd);
    unlink("moved");
}

static void test_links_and_bindings(void)
{
    int server = named(SOCK_STREAM, "/b/srv"), fd;
    listen(server, 5);
    symlink("/b/srv", "to-srv");
    symlink("/w/none", "dangling");
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    say("connect through link", "%d", connect_text(fd, "to-srv"));
    peer_name("peer through link", fd, 110);
    accepted("accept through link", server, 110, 0);
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    say("bind to link", "%d %s", bind_text(fd, "to-srv", 1), strerrorname_np(errno));
    say("bind to dangling link", "%d %s", bind_text(fd, "dangling", 1), strerrorname_np(errno));
    close(fd);
    close(server);
    unlink("/b/srv");
    unlink("to-srv");
    unlink("dangling");
}

static void test_processes(void)
{
    int server = named(SOCK_STREAM, "srv"), fd, status;
    listen(server, 5);
    chdir("/b");
    own_name("after chdir", server, 110);
    if (fork() == 0) {
        own_name("in a child", server, 110);
        fd = named(SOCK_STREAM, "by-child");
        say("child connects", "%d", connect_text(fd, "/w/srv"));
        peer_name("child's peer", fd, 110);
        _exit(0);
    }
    wait(&status);
    accepted("parent accepts", server, 110, 0);
    unlink("by-child");
    chdir("/w");
    own_name("a copy", dup(server), 110);
    close(server);
    unlink("srv");
    for (int i = 0; i < 3; i++) { /* the same inode number may come back */
        char text[16];
        snprintf(text, sizeof text, "again%d", i);
        fd = named(SOCK_DGRAM, text);
        own_name("reused", fd, 110);
        close(fd);
        unlink(text);
    }
}

static void test_many(void)
{
    int fds[200], wrong = 0;
    char text[120];
    for (int i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "%s/many-%0*d", i % 3 ? "." : "/w", i % 90 + 3, i);
        fds[i] = named(SOCK_STREAM, text);
    }
    for (int i = 199; i >= 0; i--) {
        struct sockaddr_un name = {0};
        socklen_t length = sizeof name;
        snprintf(text, sizeof text, "%s/many-%0*d", i % 3 ? "." : "/w", i % 90 + 3, i);
        getsockname(fds[i], (void *)&name, &length);
        wrong += strcmp(name.sun_path, text) || length != HEAD + strlen(text) + 1;
        close(fds[i]);
        unlink(text);
    }
    say("wrong names of many", "%d", wrong);
}

int main(void)
{
    if (chdir("/w") || (symlink(".", "ld") && errno != EEXIST) || close(open("f", O_CREAT | O_WRONLY, 0600)))
        return 1;
    test_bound_names();
    test_long_names();
    test_streams(SOCK_STREAM);
    test_streams(SOCK_SEQPACKET);
    test_links_and_bindings();
    test_processes();
    test_many();
    test_mail();
    test_errors();
    say("end", "0");
    return 0;
}
