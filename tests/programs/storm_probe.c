/* Path calls in several threads while signals arrive all the time; handlers make path calls of their own.
 *
 *   storm_probe THREADS ROUNDS     prints how many results were wrong, and whether there were signals
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_THREADS 32

static long rounds, wrong, signals, nested;
static char altstacks[MOST_THREADS][1 << 16];

static void check(int right, const char *what)
{
    if (!right && __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST) < 10)
        fprintf(stderr, "wrong: %s errno %d\n", what, errno);
}

static void handler(int number, siginfo_t *info, void *context)
{
    int before = errno;
    char text[16];
    struct stat st;

    (void)context;
    __atomic_add_fetch(&signals, 1, __ATOMIC_SEQ_CST);
    check(info->si_signo == number, "signal number");
    check(access("/nothing/in/handler", F_OK) == -1 && errno == ENOENT, "handler access");
    check(stat("/place/../marker", &st) == 0 && st.st_size == 7, "handler stat");
    if (readlink("/handler-link", text, sizeof text) == 6 && !memcmp(text, "marker", 6))
        __atomic_add_fetch(&nested, 1, __ATOMIC_SEQ_CST);
    errno = before;
}

static void one_round(long thread, long round)
{
    char name[64], other[64], text[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof address;
    struct stat st;
    int fd = open(round & 1 ? "/place/../marker" : "marker", O_RDONLY), s;

    check(fd >= 0 && read(fd, text, sizeof text) == 7 && !memcmp(text, "marker\n", 7), "open and read");
    close(fd);
    check(stat("/no such thing", &st) == -1 && errno == ENOENT, "stat of nothing");
    check(getcwd(text, sizeof text) && !strcmp(text, "/"), "getcwd");
    snprintf(name, sizeof name, "/tmp/storm-%ld", thread);
    snprintf(other, sizeof other, "/place/../tmp/storm-%ld-moved", thread);
    check(mkdir(name, 0755) == 0, "mkdir");
    check(rename(name, other) == 0, "rename");
    check(rmdir(name) == -1 && errno == ENOENT, "rmdir of the old name");
    check(rmdir(other) == 0, "rmdir");
    check(symlink("/marker", name) == 0 && readlink(name, text, sizeof text) == 7, "symlink and readlink");
    check(stat(name, &st) == 0 && st.st_size == 7, "stat through the link");
    check(unlink(name) == 0, "unlink");
    s = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/storm-socket-%ld", thread);
    check(bind(s, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(getsockname(s, (struct sockaddr *)&address, &length) == 0, "getsockname");
    check(!strncmp(address.sun_path, "/tmp/storm-socket-", 18), "name of the socket");
    check(unlink(address.sun_path) == 0, "unlink of the socket");
    close(s);
}

static void *work(void *argument)
{
    long thread = (long)argument;
    stack_t stack = {.ss_sp = altstacks[thread], .ss_size = sizeof altstacks[thread]};

    sigaltstack(&stack, NULL);
    for (long i = 0; i < rounds; i++) {
        one_round(thread, i);
        if (i % 64 == 0) {
            int status = 1;
            pid_t pid = fork();
            if (pid == 0) {
                execl("/storm", "storm", NULL);
                _exit(9);
            }
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
            check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "fork and exec");
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    struct itimerval timer = {{0, 300}, {0, 300}};
    pthread_t threads[MOST_THREADS];
    long count = argc > 1 ? atol(argv[1]) : 0;

    if (argc < 3)
        return access("/marker", R_OK) != 0;
    rounds = atol(argv[2]);
    unlink("/handler-link");
    check(symlink("marker", "/handler-link") == 0, "symlink");
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    setitimer(ITIMER_PROF, &timer, NULL);
    for (long i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    memset(&timer, 0, sizeof timer);
    setitimer(ITIMER_REAL, &timer, NULL);
    setitimer(ITIMER_PROF, &timer, NULL);
    printf("wrong %ld, signals %s, handler links %s\n", wrong, signals > 20 ? "many" : "few",
           nested == signals ? "all" : "not all");
    return wrong != 0;
}
