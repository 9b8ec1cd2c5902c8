/* A program whose threads begin before it looks at any file.
 *
 *   threads_first THREADS ROUNDS SIGNALS   the C library's path calls in each thread; SIGNALS: while one arrives all the time
 *
 * Prints what the calls gave, once for all threads, and how many gave anything else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define CALLS 14

static long rounds, others;
static long first[CALLS];

static long result(long value)
{
    return value < 0 ? -errno : value;
}

static long opened(int fd)
{
    struct stat st;
    long inode = fd < 0 ? -errno : fstat(fd, &st) < 0 ? -1 : (long)st.st_ino;

    if (fd >= 0)
        close(fd);
    return inode;
}

static void calls(long *gave)
{
    struct stat st = {0};
    struct statx stx = {0};
    char text[64];

    gave[0] = result(stat("/d/f", &st));
    gave[1] = (long)st.st_ino;
    gave[2] = result(lstat("/link", &st));
    gave[3] = (long)st.st_mode;
    gave[4] = result(access("/d/missing", R_OK));
    gave[5] = result(faccessat(AT_FDCWD, "/d/f/x", R_OK, 0));
    gave[6] = result(readlink("/link", text, sizeof text));
    gave[7] = opened(open("/dlink/f", O_RDONLY | O_CLOEXEC));
    gave[8] = opened(openat(AT_FDCWD, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    gave[9] = opened(open("/d/../../d/f", O_RDONLY | O_CLOEXEC));
    gave[10] = result(statx(AT_FDCWD, "/d/f", 0, STATX_INO, &stx));
    gave[11] = (long)stx.stx_ino;
    gave[12] = result(fstatat(AT_FDCWD, "/nothing/f", &st, AT_SYMLINK_NOFOLLOW));
    gave[13] = opened(open("/d/missing", O_RDONLY));
}

static void on_signal(int number)
{
    int error = errno;
    long gave[CALLS];

    (void)number;
    calls(gave);
    if (memcmp(gave, first, sizeof gave))
        __atomic_add_fetch(&others, 1, __ATOMIC_RELAXED);
    errno = error;
}

static void *work(void *unused)
{
    long gave[CALLS];

    for (long i = 0; i < rounds; i++) {
        calls(gave);
        if (memcmp(gave, first, sizeof gave))
            __atomic_add_fetch(&others, 1, __ATOMIC_RELAXED);
    }
    return unused;
}

static void *sleeps(void *unused)
{
    for (;;)
        pause();
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t sleeper, all[64];
    long n = argc > 1 ? atol(argv[1]) : 1;
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};

    rounds = argc > 2 ? atol(argv[2]) : 100;
    pthread_create(&sleeper, NULL, sleeps, NULL);
    calls(first);
    if (argc > 3 && atoi(argv[3])) {
        sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_signal, .sa_flags = SA_RESTART}, NULL);
        setitimer(ITIMER_REAL, &often, NULL);
    }
    for (long i = 0; i < n && i < 64; i++)
        pthread_create(&all[i], NULL, work, NULL);
    for (long i = 0; i < n && i < 64; i++)
        pthread_join(all[i], NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < CALLS; i++)
        printf("%ld ", first[i]);
    printf("others %ld\n", others);
    return 0;
}
