/* Files: calls that look, calls that change, where a process is, sockets, listings. Part of refused_probe.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "refused_probe.h"
#if defined(__x86_64__)
#include "gate_sites.h"
#endif

#if defined(__x86_64__)
/* ------------------------------------------------------------------------------------------------- calls that the gate answers */

static void show(const struct site *site, const char *path, long result, const char *buffer)
{
    char text[32] = "";

    if (result >= 0 && strncmp(site->name, "open", 4) == 0) {
        ssize_t n = read((int)result, text, 20);

        printf("%s %s: opened %.*s\n", site->name, path, n > 0 ? (int)n : 0, text);
        close((int)result);
    } else if (result >= 0 && strstr(site->name, "stat")) {
        mode_t mode = site->call == site_statx ? *(const unsigned short *)(buffer + 28) : ((const struct stat *)buffer)->st_mode;

        printf("%s %s: %#o\n", site->name, path, mode);
    } else if (result >= 0 && strstr(site->name, "readlink")) {
        printf("%s %s: %s\n", site->name, path, below(buffer));
    } else {
        say(site->name, path, result);
    }
}

/* The first times a call stops, then it does not. */
static void look_by(const struct site *site, long dirfd, const char *given, const char *path)
{
    static char buffer[4096];
    long result = 0, before = 0;

    for (int i = 0; i < TURNS; i++) {
        long a[5] = {0}, *rest = a + site->dirfd;

        memset(buffer, 0, sizeof buffer);
        a[0] = dirfd;
        rest[0] = (long)given;
        rest[1] = strstr(site->name, "open") || strstr(site->name, "access") ? 0 : (long)buffer;
        if (strstr(site->name, "readlink") || strstr(site->name, "list"))
            rest[2] = sizeof buffer - 1;
        if (strstr(site->name, "getxattr"))
            rest[1] = (long)"user.none", rest[2] = (long)buffer, rest[3] = 64;
        if (site->call == site_statx)
            a[2] = 0, a[3] = 0x7ff, a[4] = (long)buffer;
        result = site->call(a[0], a[1], a[2], a[3], a[4]);
        if (result >= 0 && i < TURNS - 1 && strncmp(site->name, "open", 4) == 0)
            close((int)result);
        if (i && (result < 0 ? result : 0) != (before < 0 ? before : 0))
            printf("%s %s: now %s\n", site->name, path, error_name(before));
        before = result;
    }
    show(site, path, result, buffer);
}

void look(void)
{
    static const char *paths[] = {"f", "/d/f", "d/f", "/d/../f", "d/../f", "l", "/abs", "/ld/f", "/d/up", "d/up", "/b/f", "b/f", "/none",
        "/f/x", "/closed/f", "/d/", ".", "/out", "out", "outdir/secret"};
    int dirfd = open(at_top("/d"), O_RDONLY | O_DIRECTORY);

    for (size_t k = 0; k < SITES; k++) {
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
            look_by(&sites[k], AT_FDCWD, at_top(paths[i]), paths[i]);
        if (sites[k].dirfd) {
            look_by(&sites[k], dirfd, "f", "fd:f");
            look_by(&sites[k], dirfd, "up", "fd:up");
            look_by(&sites[k], dirfd, "../f", "fd:../f");
        }
    }
    close(dirfd);
}

#endif

/* ----------------------------------------------------------------------------------------------------------- calls that change */

static void change_at(const char *form, long dirfd, const char *directory)
{
    static const struct { const char *name; mode_t mode; int flags; } makes[] = {{"new", 0600, O_CREAT | O_EXCL | O_WRONLY},
        {"new", 0600, O_CREAT | O_WRONLY | O_TRUNC}, {"new", 0, O_RDWR}, {".", 0600, O_TMPFILE | O_WRONLY}};
    char path[PATH_ROOM], other[PATH_ROOM];
    struct { unsigned long long flags, mode, resolve; } how = {O_CREAT | O_RDWR | O_LARGEFILE, 0600, 0};
    long result;

#define NAME(text) (snprintf(path, sizeof path, "%s%s", directory, text), (long)path)
#define OTHER(text) (snprintf(other, sizeof other, "%s%s", directory, text), (long)other)
    for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
        say(form, "openat to write", result = make(SYS_openat, dirfd, NAME(makes[i].name), makes[i].flags, makes[i].mode, 0));
        if (result >= 0) {
            say(form, "write", write((int)result, "x", 1) == 1 ? 0 : -errno);
            close((int)result);
        }
    }
    say(form, "openat2", result = make(SYS_openat2, dirfd, NAME("how"), (long)&how, sizeof how, 0));
    if (result >= 0)
        close((int)result);
    say(form, "mkdirat", make(SYS_mkdirat, dirfd, NAME("dir"), 0700, 0, 0));
    say(form, "symlinkat", make(SYS_symlinkat, (long)"text", dirfd, NAME("link"), 0, 0));
    say(form, "linkat", make(SYS_linkat, dirfd, NAME("new"), dirfd, OTHER("hard"), 0));
    say(form, "renameat2", make(SYS_renameat2, dirfd, NAME("hard"), dirfd, OTHER("moved"), 0));
    say(form, "renameat", make(SYS_renameat, dirfd, NAME("moved"), dirfd, OTHER("again"), 0));
    say(form, "fchmodat", make(SYS_fchmodat, dirfd, NAME("new"), 0640, 0, 0));
    say(form, "fchmodat2", make(NR_fchmodat2, dirfd, NAME("new"), 0644, 0, 0));
    say(form, "utimensat", make(SYS_utimensat, dirfd, NAME("new"), 0, 0, 0));
    say(form, "mknodat", make(SYS_mknodat, dirfd, NAME("pipe"), S_IFIFO | 0600, 0, 0));
    say(form, "renameat2 of a directory", make(SYS_renameat2, dirfd, NAME("dir"), dirfd, OTHER("dir2"), 0));
    say(form, "unlinkat of that", make(SYS_unlinkat, dirfd, NAME("dir2"), AT_REMOVEDIR, 0, 0));
    say(form, "unlinkat of the other", make(SYS_unlinkat, dirfd, NAME("dir"), AT_REMOVEDIR, 0, 0));
    for (int i = 0; i < 7; i++) {
        static const char *names[] = {"new", "how", "link", "hard", "moved", "again", "pipe"};

        say(form, names[i], make(SYS_unlinkat, dirfd, NAME(names[i]), 0, 0, 0));
    }
}

void change(const char *when, size_t forms)
{
    char form[80], absolute[PATH_ROOM];
    int dirfd = open(at_top("/w"), O_RDONLY | O_DIRECTORY);
    static const char *directories[] = {"/w/", "w/", "outdir/", "/b/", "/lw/", "d/../w/", "", "/outdir/"};

    for (size_t i = 0; i < forms && i < sizeof directories / sizeof *directories; i++) {
        snprintf(form, sizeof form, "%s in '%s'", when, directories[i]);
        snprintf(absolute, sizeof absolute, "%s", at_top(directories[i]));
        change_at(form, AT_FDCWD, absolute);
    }
    snprintf(form, sizeof form, "%s in a descriptor", when);
    change_at(form, dirfd, "");
    close(dirfd);
}

/* ----------------------------------------------------------------------------------------------------- where the process is */

static void where(const char *what)
{
    char text[4096] = "";
    long n = make(SYS_getcwd, (long)text, sizeof text, 0, 0, 0);

    printf("%s: %s\n", what, n < 0 ? error_name(n) : below(text));
}

void places(void)
{
    static const char *paths[] = {"/d", "..", "d/e", "../..", "/ld", "..", "/b", "/", "/none", "/out", "/outdir", "/closed", "/f"};
    int fd = open(at_top("/d/e"), O_RDONLY);
    struct stat st;

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (i == 5 || i == 3)
            continue;       /* (above the top the two sides differ) */
        say("chdir", paths[i], make(SYS_chdir, (long)at_top(paths[i]), 0, 0, 0, 0));
        where("getcwd");
    }
    say("chdir", "d/e", make(SYS_chdir, (long)at_top("/d/e"), 0, 0, 0, 0));
    say("fchdir", "d/e", make(SYS_fchdir, fd, 0, 0, 0, 0));
    where("getcwd");
    say("stat", "../f", stat("../f", &st) ? -errno : 0);
    say("open", "../f", open("../f", O_RDONLY | O_CLOEXEC) < 0 ? -errno : 0);
    say("mkdir", "made", mkdir("made", 0700) ? -errno : 0);
    say("rmdir", "../e/made", rmdir("../e/made") ? -errno : 0);
    close(fd);
    if (chdir(at_top("/")))
        say("chdir", "back", -errno);
}

/* --------------------------------------------------------------------------------------------------------------------- sockets */

static socklen_t address(struct sockaddr_un *to, const char *path)
{
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    snprintf(to->sun_path, sizeof to->sun_path, "%s", path);
    return sizeof *to;
}

static void tell_name(const char *what, long result, const struct sockaddr_un *name)
{
    printf("%s: %s %s\n", what, error_name(result), result < 0 ? "" : below(name->sun_path));
}

/* By relative paths: a long top would not fit into an address. */
void sockets(void)
{
    struct sockaddr_un to, from = {0};
    socklen_t size = sizeof from;
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), peer, mail = socket(AF_UNIX, SOCK_DGRAM, 0);
    char byte = 'x', control[64];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_name = &to, .msg_iov = &part, .msg_iovlen = 1};

    message.msg_namelen = address(&to, "w/stream");
    say("bind", "w/stream", bind(server, (void *)&to, sizeof to) ? -errno : 0);
    say("listen", "", listen(server, 1) ? -errno : 0);
    say("connect", "w/stream", connect(client, (void *)&to, sizeof to) ? -errno : 0);
    fcntl(server, F_SETFL, O_NONBLOCK);
    peer = accept(server, (void *)&from, &size);
    say("accept", "", peer < 0 ? -errno : 0);
    size = sizeof from;
    tell_name("getsockname", getsockname(server, (void *)&from, &size) ? -errno : 0, &from);
    size = sizeof from;
    tell_name("getpeername", getpeername(client, (void *)&from, &size) ? -errno : 0, &from);
    address(&to, "w/mail");
    say("bind", "w/mail", bind(mail, (void *)&to, sizeof to) ? -errno : 0);
    say("sendto", "w/mail", sendto(mail, "y", 1, MSG_DONTWAIT, (void *)&to, sizeof to) < 0 ? -errno : 0);
    size = sizeof from;
    memset(&from, 0, sizeof from);
    tell_name("recvfrom", recvfrom(mail, &byte, 1, MSG_DONTWAIT, (void *)&from, &size) < 0 ? -errno : 0, &from);
    say("sendmsg", "w/mail", sendmsg(mail, &message, MSG_DONTWAIT) < 0 ? -errno : 0);
    message = (struct msghdr){.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                              .msg_controllen = sizeof control};
    tell_name("recvmsg", recvmsg(mail, &message, MSG_DONTWAIT) < 0 ? -errno : 0, &from);
    /* one whose path on the host is too long for an address */
    address(&to, "w/a-name-that-leaves-no-room-for-the-way-to-the-root-of-this-guest-on-the-machine-it-is-in-and-then-some");
    say("bind", "long", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, sizeof to) ? -errno : 0);
    say("unlink", "long", unlink(to.sun_path) ? -errno : 0);
    address(&to, "outdir/socket");
    say("connect", "outside", connect(client, (void *)&to, sizeof to) ? -errno : 0);
    say("bind", "outside", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, sizeof to) ? -errno : 0);
    say("sendto", "outside", sendto(mail, "y", 1, MSG_DONTWAIT, (void *)&to, sizeof to) < 0 ? -errno : 0);
    for (int fd = 3; fd < 20; fd++)
        close(fd);
    say("unlink", "w/stream", unlink("w/stream") ? -errno : 0);
    say("unlink", "w/mail", unlink("w/mail") ? -errno : 0);
}

/* -------------------------------------------------------------------------------------------------------------------- listings */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void listing(const char *path)
{
    DIR *directory = opendir(at_top(path));
    char *names[64];
    struct dirent *entry;
    size_t n = 0;

    printf("listing %s:", path);
    errno = directory ? 0 : errno;
    while (directory && n < 64 && (entry = readdir(directory)))
        names[n++] = strdup(entry->d_name);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++)
        printf(" %s", names[i]);
    printf(" %s\n", errno ? strerrorname_np(errno) : "");
    if (directory)
        closedir(directory);
}
