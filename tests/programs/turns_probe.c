/* Guests that all stop as often as they can.  Each mode prints one line of what it counted.
 *
 *   turns_probe threads|processes N CALLS   N that stat until all of them together have made CALLS calls: the fewest and the most of one
 *   turns_probe exec N TIMES                N threads that stat beside their leader; the last one executes all of this again, TIMES times
 *   turns_probe stopped N                   children that stat are stopped one by one: each soon is, and is shown so, while the others go on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "call.h"

static struct shared {
    long begun, total, wrong, all, calls;
    long made[];
} *shared;
static char **words;

/* A stop each time: the number comes in a register, so pyroot does not lead the call elsewhere. */
static void look(void)
{
    struct stat st = {0};
    long a[6] = {(long)"/marker", (long)&st};

    if (call(SYS_stat, a) != 0 || st.st_size != 7)
        __atomic_add_fetch(&shared->wrong, 1, __ATOMIC_SEQ_CST);
}

static void *work(void *number)
{
    __atomic_add_fetch(&shared->begun, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->begun, __ATOMIC_SEQ_CST) < shared->all)
        sched_yield();
    while (__atomic_fetch_add(&shared->total, 1, __ATOMIC_SEQ_CST) < shared->calls) {
        look();
        shared->made[(long)number]++;
    }
    return NULL;
}

static void *work_for_ever(void *unused)
{
    for (;;)
        look();
    return unused;
}

static void start(pthread_t *thread, void *(*what)(void *), long number)
{
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    if (pthread_create(thread, &small, what, (void *)number))
        exit(2);
}

static int equal(int processes, long n)
{
    pthread_t *all = calloc(n, sizeof *all);
    long fewest, most;

    for (long i = 0; i < n; i++) {
        if (!processes) {
            start(&all[i], work, i);
        } else if (fork() == 0) {
            work((void *)i);
            _exit(0);
        }
    }
    for (long i = 0; i < n; i++) {
        if (processes)
            wait(NULL);
        else
            pthread_join(all[i], NULL);
    }
    fewest = most = shared->made[0];
    for (long i = 0; i < n; i++) {
        fewest = shared->made[i] < fewest ? shared->made[i] : fewest;
        most = shared->made[i] > most ? shared->made[i] : most;
    }
    printf("fewest %ld most %ld wrong %ld\n", fewest, most, shared->wrong);
    return 0;
}

/* The other threads, the leader among them, are killed in the middle of a call; its number becomes that of the one that calls execve. */
static void *execute(void *unused)
{
    char times[32];

    for (int i = 0; i < 20; i++)
        look();
    snprintf(times, sizeof times, "%ld", strtol(words[3], NULL, 10) - 1);
    words[3] = times;
    execv(words[0], words);
    exit(3);
    return unused;
}

static int again(long n, long times)
{
    pthread_t thread;

    if (times == 0) {
        printf("executed, wrong %ld\n", shared->wrong);
        return 0;
    }
    for (long i = 0; i < n; i++)
        start(&thread, i == n - 1 ? execute : work_for_ever, 0);
    work_for_ever(NULL);
    return 0;
}

static char state_of(pid_t pid)
{
    char name[64], text[256] = "";
    int fd;

    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    fd = open(name, O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 || !strrchr(text, ')'))
        return '?';
    close(fd);
    return strrchr(text, ')')[2];
}

static int stopped(long n)
{
    pid_t *pids = calloc(n, sizeof *pids);
    long seen = 0;
    int status;

    for (long i = 0; i < n; i++)
        if ((pids[i] = fork()) == 0)
            work_for_ever(NULL);
    for (long i = 0; i < n; i++) {
        kill(pids[i], SIGSTOP);
        seen += waitpid(pids[i], &status, WUNTRACED) == pids[i] && WIFSTOPPED(status) && state_of(pids[i]) == 'T';
    }
    for (long i = 0; i < n; i++) {
        kill(pids[i], SIGCONT);
        seen += waitpid(pids[i], &status, WCONTINUED) == pids[i] && WIFCONTINUED(status) && state_of(pids[i]) != 'T';
    }
    for (long i = 0; i < n; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
    }
    printf("seen %ld wrong %ld\n", seen, shared->wrong);
    return 0;
}

int main(int argc, char **argv)
{
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 0, count = argc > 3 ? strtol(argv[3], NULL, 10) : 0;

    if (n <= 0)
        return 2;
    words = argv;
    shared = mmap(NULL, sizeof *shared + n * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared->all = n;
    shared->calls = count;
    if (!strcmp(argv[1], "exec"))
        return again(n, count);
    if (!strcmp(argv[1], "stopped"))
        return stopped(n);
    return equal(!strcmp(argv[1], "processes"), n);
}
