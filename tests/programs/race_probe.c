/* Some threads rename directories and swap them with links, others open files: where does an open end up?
 *
 *   race_probe dirs|links|dots|files|honest|remade|closed SECONDS OUTSIDE     prints how often each marker was read, and seen by stat(2)
 *
 * The markers are files "marker": "inside" in the root, "outside" in the directory OUTSIDE, which the guest cannot name.
 *   dirs    directories are exchanged and moved up and down, opens go through them and through ".."
 *   links   a directory is exchanged with a link whose text is OUTSIDE
 *   dots    a directory is exchanged with a link to "/..", OUTSIDE behind it
 *   files   a file is exchanged with a link to OUTSIDE/marker
 *   honest  a directory is exchanged with a link to another one, and a link gets another text by rename: no open may fail
 *   remade  a directory is removed, a link to OUTSIDE made in its place, and so on
 *   closed  the way down to a directory is closed, and it is moved up and down while others go up from it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "gate_sites.h"

enum { OPENERS = 2 };
static volatile int stop;
static const char *mode, *outside;
static long inside_seen, outside_seen, other_seen, failed, stat_inside, stat_outside, errors[200], swaps;

static void count(long *what)
{
    __atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

/* open(2) and stat(2) from places that pyroot leads through its gate, where they have been used before there were threads. */
static int opened(int directory, const char *path, int flags, int permissions)
{
    long result = site_openat(directory, (long)path, flags, permissions, 0);

    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : (int)result;
}

static int looked(const char *path, struct stat *state)
{
    return site_fstatat(AT_FDCWD, (long)path, (long)state, 0, 0) < 0 ? -1 : 0;
}

static void look(const char *path, int flags)
{
    char text[16] = "";
    int fd = opened(AT_FDCWD, path, flags | O_CLOEXEC, 0644);
    ssize_t n;

    if (fd < 0) {
        count(&errors[errno < 200 ? errno : 0]);
        return;
    }
    n = read(fd, text, sizeof text - 1);
    if (n > 0 && !strncmp(text, "inside", 6))
        count(&inside_seen);
    else if (n > 0 && !strncmp(text, "outside", 7))
        count(&outside_seen);
    else
        count(&other_seen);
    close(fd);
}

/* Calls that are no opens: how often do they see a file outside, which has another size? */
static void peek(const char *path)
{
    struct stat state;

    if (looked(path, &state) == 0)
        count(state.st_size == 8 ? &stat_outside : &stat_inside);
}

/* By the working directory, which each thread has for itself, and by files that are made. */
static void around(long turn)
{
    char name[64];
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};
    int fd;

    if (chdir(turn & 1 ? "/r/d/sub" : "/r/d") == 0) {
        look("marker", O_RDONLY);
        look("../marker", O_RDONLY | O_NOFOLLOW);
        if (chdir("/") != 0)
            abort();
    }
    fd = (int)syscall(SYS_openat2, AT_FDCWD, "/r/d/marker", &how, sizeof how);
    if (fd >= 0) {
        char text[8] = "";
        if (read(fd, text, 7) > 0)
            count(!strncmp(text, "outside", 7) ? &outside_seen : &inside_seen);
        close(fd);
    }
    snprintf(name, sizeof name, "/r/d/e/new-%ld", turn);
    fd = open(name, O_CREAT | (turn & 2 ? O_EXCL : 0) | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    unlink(name);
    snprintf(name, sizeof name, "/r/d/created-%ld", turn % 8);
    fd = creat(name, 0600);
    if (fd >= 0)
        close(fd);
}

static void ignore(int number)
{
    (void)number;
}

/* Signals all the time: they may come between a call that has met a link and the next try. */
static void signals(void)
{
    struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 700}, {0, 700}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void must(int result)
{
    if (result < 0)
        count(&failed);
}

/* What lies below is always there, whatever way leads to it. */
static void other_calls(long which)
{
    char name[64], text[64];
    struct stat state;

    must(stat("/r/d/marker", &state));
    must(lstat("/r/current/sub/marker", &state));
    must(access("/r/d/sub/deep/../marker", R_OK));
    must(chmod("/r/current/marker", 0644));
    must(truncate("/r/d/e/marker", 7));
    snprintf(name, sizeof name, "/r/d/sub/name-%ld", which);
    if (symlink("text", name) == 0) {
        if (readlink(name, text, sizeof text) > 0)
            count(&inside_seen);
        unlink(name);
    } else {
        must(errno == EEXIST ? 0 : -1);
    }
}

/* Below a directory that is empty, or a link. */
static void around_remade(long which)
{
    char name[64];
    int fd;

    look("/r/m/marker", O_RDONLY);
    look("/r/m/../marker", O_RDONLY);
    peek("/r/m/marker");
    peek("/r/m/../marker");
    snprintf(name, sizeof name, "/r/m/new-%ld", which);
    fd = open(name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    unlink(name);
    if (chdir("/r/m") == 0) {
        look("marker", O_RDONLY);
        if (chdir("/") != 0)
            abort();
    }
}

/* From a directory that is two levels down, or (moved) one: as deep as the first, ".." twice is in the root. */
static int below, above, top;   /* it, the directory that it is in, and the root */

static void around_closed(void)
{
    static const char *names[] = {"../../outside/marker", "../.././outside/marker", "../..//outside/marker", "../.././/outside/marker",
                                  "../../../outside/marker", "marker"};
    struct stat state;
    char text[16] = "";

    for (int i = 0; i < 6; i++) {
        int fd = opened(below, names[i], O_RDONLY | O_CLOEXEC, 0);
        if (fd < 0) {
            count(&errors[errno]);
            continue;
        }
        count(read(fd, text, 7) > 0 && !strncmp(text, "outside", 7) ? &outside_seen : &inside_seen);
        close(fd);
    }
    if (fstatat(below, names[0], &state, 0) == 0)
        count(state.st_size == 8 ? &stat_outside : &stat_inside);
}

static void close_way(void)
{
    below = open("/r/d/sub", O_PATH | O_DIRECTORY | O_CLOEXEC);
    above = open("/r/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (below < 0 || above < 0 || top < 0 || chmod("/r", 0))
        exit(3);
}

static void *opener(void *which)
{
    static const char *paths[] = {"/r/d/marker", "/r/d/../d/marker", "/r/d/sub/../marker", "/r/./d/sub/../../d/marker",
                                  "/r/d/sub/deep/../../../../marker", "/r/d/e/marker"};
    char through[4200];
    int directory;

    if (unshare(CLONE_FS) != 0)
        exit(4);
    if (!strcmp(mode, "honest")) {
        while (!stop) {
            look("/r/d/marker", O_RDONLY);
            look("/r/current/marker", O_RDONLY);
            look("/r/current/sub/deep/../../sub/marker", O_RDONLY);
            look("/r/d/sub/../marker", O_RDONLY);
            if (chdir("/r/current/sub") != 0 || chdir("/r/d/sub/../sub") != 0)
                count(&other_seen);
            look("marker", O_RDONLY);
            look("../marker", O_RDONLY);
            other_calls((long)which);
        }
        return NULL;
    }
    for (long i = (long)which; !stop; i++) {
        if (!strcmp(mode, "remade")) {
            around_remade((long)which);
            continue;
        }
        if (!strcmp(mode, "closed")) {
            around_closed();
            continue;
        }
        if (!strcmp(mode, "files")) {
            look("/r/f", O_RDONLY);
            look("/r/f", O_RDONLY | O_NOFOLLOW);
            look("/r/f", O_RDWR | O_CREAT);
            continue;
        }
        around(i);
        peek("/r/d/marker");
        peek("/r/d/sub/../e/marker");
        look(paths[i % 6], O_RDONLY);
        directory = opened(AT_FDCWD, "/r/d/sub", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
        if (directory >= 0) {
            int fd = opened(directory, "../marker", O_RDONLY | O_CLOEXEC, 0);
            if (fd >= 0) {
                char text[8] = "";
                if (read(fd, text, 7) > 0)
                    count(!strncmp(text, "outside", 7) ? &outside_seen : &inside_seen);
                close(fd);
            }
            close(directory);
        }
        if (*mode == 'd' && mode[1] == 'o') {
            snprintf(through, sizeof through, "/r/d%s/marker", outside);
            look(through, O_RDONLY);
        }
    }
    return NULL;
}

static void *swapper(void *unused)
{
    for (long i = 0; !stop; i++) {
        count(&swaps);
        if (!strcmp(mode, "dirs")) {
            renameat2(AT_FDCWD, "/r/d", AT_FDCWD, "/r/other", RENAME_EXCHANGE);
            renameat2(AT_FDCWD, "/r/d/sub", AT_FDCWD, "/r/other/sub", RENAME_EXCHANGE);
            if (rename("/r/d/sub", "/top") == 0)
                rename("/top", "/r/d/sub");
        } else if (!strcmp(mode, "closed")) {
            if (renameat(above, "sub", top, "top") == 0)
                renameat(top, "top", above, "sub");
        } else if (!strcmp(mode, "remade")) {
            if (rmdir("/r/m") == 0 && symlink(outside, "/r/m") == 0)
                unlink("/r/m");
            mkdir("/r/m", 0755);
        } else if (!strcmp(mode, "files")) {
            renameat2(AT_FDCWD, "/r/f", AT_FDCWD, "/r/link", RENAME_EXCHANGE);
        } else {
            renameat2(AT_FDCWD, "/r/d", AT_FDCWD, "/r/link", RENAME_EXCHANGE);
        }
        if (!strcmp(mode, "honest")) {
            symlink(i & 1 ? "other" : "/r/other/../other", "/r/next");
            rename("/r/next", "/r/current");
        }
    }
    return unused;
}

static void make(const char *directory)
{
    char path[300];
    static const char *below[] = {"", "/sub", "/sub/deep", "/e"};

    for (int i = 0; i < 4; i++) {
        int fd;
        snprintf(path, sizeof path, "%s%s", directory, below[i]);
        mkdir(path, 0755);
        strcat(path, "/marker");
        fd = open(path, O_WRONLY | O_CREAT, 0644);
        if (fd < 0 || write(fd, "inside\n", 7) != 7)
            exit(3);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[OPENERS + 1];
    struct timespec pause = {0, 0};
    double seconds = argc > 2 ? atof(argv[2]) : 1;

    mode = argc > 1 ? argv[1] : "dirs";
    outside = argc > 3 ? argv[3] : "/nowhere";
    mkdir("/r", 0755);
    make("/r");
    make("/r/d");
    make("/r/other");
    if (!strcmp(mode, "files")) {
        char marker[4200];
        int fd = open("/r/f", O_WRONLY | O_CREAT, 0644);
        if (fd < 0 || write(fd, "inside\n", 7) != 7)
            return 3;
        close(fd);
        snprintf(marker, sizeof marker, "%s/marker", outside);
        symlink(marker, "/r/link");
    }
    symlink(!strcmp(mode, "dots") ? "/.." : !strcmp(mode, "honest") ? "/r/other" : outside, "/r/link");
    symlink("other", "/r/current");
    mkdir("/r/m", 0755);
    if (!strcmp(mode, "honest"))
        signals();
    if (!strcmp(mode, "closed"))
        close_way();
    pause.tv_sec = (time_t)seconds;
    pause.tv_nsec = (long)((seconds - (double)pause.tv_sec) * 1e9);
    for (int i = 0; i < 3; i++) {
        struct stat state;

        looked("/r", &state);
        close(opened(AT_FDCWD, "/r", O_PATH, 0));
    }
    for (long i = 0; i < OPENERS; i++)
        pthread_create(&threads[i], NULL, opener, (void *)i);
    pthread_create(&threads[OPENERS], NULL, swapper, NULL);
    while (nanosleep(&pause, &pause) != 0)
        ;
    /* on a machine that is overloaded the swapper may not have had a turn */
    for (int i = 0; i < 2000 && __atomic_load_n(&swaps, __ATOMIC_RELAXED) < 10; i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    stop = 1;
    for (int i = 0; i <= OPENERS; i++)
        pthread_join(threads[i], NULL);
    if (!strcmp(mode, "closed"))
        chmod("/r", 0755);
    printf("inside %ld outside %ld other %ld swaps %ld", inside_seen, outside_seen, other_seen, swaps);
    printf(" (failed %ld, stat: inside %ld outside %ld)", failed, stat_inside, stat_outside);
    for (int i = 0; i < 200; i++)
        if (errors[i])
            printf(" %s %ld", strerrorname_np(i), errors[i]);
    puts("");
    return 0;
}
