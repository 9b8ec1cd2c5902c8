/* Some threads rename directories and swap them with links, others open files: where does an open end up?
 *
 *   race_probe dirs|links|dots SECONDS OUTSIDE     prints how often each marker was read
 *
 * The markers are files "marker": "inside" in the root, "outside" in the directory OUTSIDE, which the guest cannot name.
 *   dirs   directories are exchanged and moved up and down, opens go through them and through ".."
 *   links  a directory is exchanged with a link whose text is OUTSIDE
 *   dots   a directory is exchanged with a link to "/..", OUTSIDE behind it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OPENERS = 2 };
static volatile int stop;
static const char *mode, *outside;
static long inside_seen, outside_seen, other_seen, errors[200], swaps;

static void count(long *what)
{
    __atomic_add_fetch(what, 1, __ATOMIC_RELAXED);
}

static void look(const char *path, int flags)
{
    char text[16] = "";
    int fd = open(path, flags | O_CLOEXEC);
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

static void *opener(void *which)
{
    static const char *paths[] = {"/r/d/marker", "/r/d/../d/marker", "/r/d/sub/../marker", "/r/./d/sub/../../d/marker",
                                  "/r/d/sub/deep/../../../../marker", "/r/d/e/marker"};
    char through[4200];
    int directory;

    for (long i = (long)which; !stop; i++) {
        look(paths[i % 6], O_RDONLY);
        directory = open("/r/d/sub", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory >= 0) {
            int fd = openat(directory, "../marker", O_RDONLY | O_CLOEXEC);
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
        } else {
            renameat2(AT_FDCWD, "/r/d", AT_FDCWD, "/r/link", RENAME_EXCHANGE);
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
    symlink(!strcmp(mode, "dots") ? "/.." : outside, "/r/link");
    pause.tv_sec = (time_t)seconds;
    pause.tv_nsec = (long)((seconds - (double)pause.tv_sec) * 1e9);
    for (long i = 0; i < OPENERS; i++)
        pthread_create(&threads[i], NULL, opener, (void *)i);
    pthread_create(&threads[OPENERS], NULL, swapper, NULL);
    nanosleep(&pause, NULL);
    stop = 1;
    for (int i = 0; i <= OPENERS; i++)
        pthread_join(threads[i], NULL);
    printf("inside %ld outside %ld other %ld swaps %ld", inside_seen, outside_seen, other_seen, swaps);
    for (int i = 0; i < 200; i++)
        if (errors[i])
            printf(" %s %ld", strerrorname_np(i), errors[i]);
    puts("");
    return 0;
}
