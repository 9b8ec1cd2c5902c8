/* Ask for paths at the edges of a view, and print what the kernel says: the same lines come from a run under pyroot and from one without.
 *
 *   edges_probe      in the working directory it makes what it needs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_XDEV         1
#define NO_MAGICLINKS   2
#define NO_SYMLINKS     4
#define BENEATH         8
#define IN_ROOT         16
#define CACHED          32

static void say(const char *what, const char *path, long result)
{
    printf("%s %s: %s\n", what, path, result < 0 ? strerror(errno) : "works");
}

static void close_if(long fd)
{
    if (fd >= 0)
        close((int)fd);
}

static void how(int dirfd, const char *path, uint64_t flags, uint64_t resolve)
{
    struct { uint64_t flags, mode, resolve; } value = {flags, flags & O_CREAT ? 0644 : 0, resolve};
    char what[64];
    long fd;

    /* (a ".." that may not leave says so, too, when anybody renames or mounts anything meanwhile) */
    for (int tries = 0; tries < 1000; tries++)
        if ((fd = syscall(437, dirfd, path, &value, sizeof value)) >= 0 || errno != EAGAIN || resolve & CACHED)
            break;
    snprintf(what, sizeof what, "openat2 %d %#llx %#llx", dirfd, (unsigned long long)flags, (unsigned long long)resolve);
    say(what, path, fd);
    close_if(fd);
}

static void look(const char *path)
{
    struct stat st;
    char text[4096];
    long fd;

    for (int i = 0; i < 3; i++) {                               /* the first times a call stops, then it does not */
        say("stat", path, stat(path, &st));
        say("lstat", path, lstat(path, &st));
        say("access", path, access(path, X_OK));
        say("readlink", path, readlink(path, text, sizeof text));
        say("open", path, fd = open(path, O_RDONLY | O_NONBLOCK));
        close_if(fd);
        say("chdir", path, chdir(path));
        if (syscall(SYS_getcwd, text, sizeof text) > 0 && !strcmp(path + strlen(path) - 2, ".."))
            puts(text);
    }
}

static void ended_process(void)
{
    static const char *const paths[] = {"x", "cwd", "status", ".", "..", "../1", "./x", "x/y", "fd", "../self/status"};
    char place[64];
    int pid = fork(), top;

    if (pid == 0) {
        pause();
        _exit(0);
    }
    snprintf(place, sizeof place, "/proc/%d", pid);
    say("chdir", "/proc/PID", chdir(place));
    top = open(".", O_PATH);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        look(paths[i]);
        say("mkdir", paths[i], mkdir(paths[i], 0700));
        say("rename", paths[i], rename(paths[i], "other"));
        for (int resolve = 1; resolve < 32; resolve *= 2)
            how(top, paths[i], O_PATH, (uint64_t)resolve);
    }
}

static void clones(void)
{
    static const int flags[] = {CLONE_NEWNS | CLONE_FS, CLONE_NEWUSER | CLONE_FS, CLONE_NEWNS | CLONE_SIGHAND, CLONE_NEWNS | CLONE_THREAD,
                                CLONE_NEWNS | CLONE_NEWIPC | CLONE_FS, CLONE_NEWNS};
    char name[32];

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        struct { uint64_t flags, rest[10]; } three = {(uint64_t)flags[i], {0}};
        snprintf(name, sizeof name, "%#x", flags[i]);
        say("clone", name, syscall(SYS_clone, (long)flags[i] | SIGCHLD, 0, 0, 0, 0));
        if (!(flags[i] & CLONE_THREAD))
            three.rest[3] = SIGCHLD;
        say("clone3", name, syscall(435, &three, sizeof three));
    }
}

int main(int argc, char **argv)
{
    static const char *const up[] = {"/..", "/../", "/../..", "/usr/..", "/usr/../", "/usr/share/../..", "/usr/share/../../", "/../usr/..",
                                     "/usr/./..", "/usr/../.", "/usr/share/../../usr", "/..//..//usr/lib/../.."};
    static const char *const far[] = {"/proc/version", "/proc/self/status", "/proc", "/dev", "/dev/null", "/proc/..", "/", "/usr", "/../usr",
                                      "/dev/..", "/sys/kernel", "/proc/self/cwd", "/proc/self/exe", "/proc/self"};
    int root = open("/", O_PATH), proc = open("/proc", O_PATH);
    char here[4096];

    (void)argc;
    if (argv[1] && !strcmp(argv[1], "ended")) {
        ended_process();
        return 0;
    }
    mkdir("closed", 0700);
    mkdir("closed/in", 0700);
    mkdir("file-is-below", 0700);
    close_if(open("file", O_CREAT | O_WRONLY, 0600));
    say("symlink", "loop", symlink("loop", "loop"));
    if (!getcwd(here, sizeof here))
        return 1;
    for (size_t i = 0; i < sizeof up / sizeof *up; i++)
        look(up[i]);
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        for (int resolve = 0; resolve < 32; resolve++) {
            how(AT_FDCWD, far[i], O_RDONLY | O_NONBLOCK, (uint64_t)resolve);
            how(root, far[i] + 1, O_PATH, (uint64_t)resolve);
            how(proc, far[i], O_PATH, (uint64_t)resolve);
        }
    for (int i = 0; i < 3; i++) {
        how(proc, "self/cwd", O_PATH, NO_XDEV);
        how(proc, "self/status", O_RDONLY, NO_XDEV);
        how(proc, "..", O_PATH, NO_XDEV);
        how(root, "proc", O_PATH | O_NOFOLLOW, NO_XDEV);
        how(root, "proc/", O_PATH, NO_XDEV | BENEATH);
        how(root, "usr/../proc", O_PATH, NO_XDEV | IN_ROOT);
        how(root, "proc/../usr", O_PATH, NO_XDEV);
    }
    say("chdir", "back", chdir(here));
    how(77, "x", O_PATH, CACHED);
    how(77, "/", O_PATH, CACHED);
    how(AT_FDCWD, "file/x", O_PATH, CACHED);
    how(AT_FDCWD, "file", O_PATH | O_DIRECTORY, CACHED);
    how(AT_FDCWD, "loop", O_PATH, CACHED | NO_SYMLINKS);
    how(AT_FDCWD, "loop", O_PATH | O_NOFOLLOW, CACHED);
    how(AT_FDCWD, "closed/..", O_PATH, CACHED);
    how(AT_FDCWD, "..", O_PATH, CACHED | BENEATH);
    how(AT_FDCWD, "/", O_PATH, CACHED | BENEATH);
    how(AT_FDCWD, "file", O_WRONLY | O_TRUNC, CACHED);
    how(AT_FDCWD, "new", O_WRONLY | O_CREAT, CACHED);
    how(77, "new", O_WRONLY | O_CREAT, CACHED);
    how(AT_FDCWD, "", O_PATH, CACHED);
    how(AT_FDCWD, "/proc/self/cwd", O_PATH, CACHED);
    how(root, "proc", O_PATH, CACHED | NO_XDEV);
    chmod("closed", 0600);
    for (int i = 0; i < 3; i++) {
        char path[4200];
        static const char *const ends[] = {"", "/", "/.", "/./", "/.//", "//./", "/././/.", "/./in", "/in/..", "/..", "/./..", "/../closed/./"};
        struct stat st;
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
            for (int absolute = 0; absolute < 2; absolute++) {
                snprintf(path, sizeof path, "%s%sclosed%s", absolute ? here : "", absolute ? "/" : "", ends[k]);
                say("lstat", ends[k], lstat(path, &st));
                say("stat", ends[k], stat(path, &st));
                say("access", ends[k], access(path, F_OK));
                say("open", ends[k], open(path, O_PATH));
            }
        }
    }
    chmod("closed", 0700);
    clones();
    return 0;
}
