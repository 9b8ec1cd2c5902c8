/* A program to be looked at while it runs: does what each line of its input says, and answers with the line.
 *
 *   calls           a few calls of several kinds     threads N       N threads that wait for a byte each
 *   wake N          a byte for N of them             busy            large writes until the next line comes (no answer before)
 *   sleep           nanosleep, until SIGUSR1         child           a child that does the same as we, until it is killed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int wakers[2], woken[2];

static void on_signal(int number)
{
    (void)number;
}

static void *thread(void *unused)
{
    char byte;

    while (read(wakers[0], &byte, 1) == 1) {
        access("data", R_OK);
        if (write(woken[1], &byte, 1) != 1)
            break;
    }
    return unused;
}

static void calls(void)
{
    struct timespec moment = {0, 1000000};
    struct stat st;
    char text[4096];
    int fd = open("data", O_RDONLY), ends[2];

    fstat(fd, &st);
    if (read(fd, text, 64) < 0)
        perror("read");
    close(fd);
    stat("/etc/passwd", &st);
    if (!getcwd(text, sizeof text))
        perror("getcwd");
    access("missing", R_OK);
    mkdir("made", 0700);
    rename("made", "moved");
    rmdir("moved");
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    close(ends[0]);
    close(ends[1]);
    if (fork() == 0) {
        chdir("/");
        _exit(3);
    }
    wait(&fd);
    nanosleep(&moment, NULL);
    kill(getpid(), SIGUSR1);
    getppid();
}

static void wake(int n)
{
    char byte = 'x';

    for (int i = 0; i < n; i++)
        if (write(wakers[1], &byte, 1) != 1 || read(woken[0], &byte, 1) != 1)
            exit(9);
}

static void busy(void)
{
    static char large[100000];
    struct pollfd input = {0, POLLIN, 0};
    int fd = open("/dev/null", O_WRONLY);

    while (poll(&input, 1, 0) == 0)
        if (write(fd, large, sizeof large) < 0)
            exit(9);
    close(fd);
}

int main(void)
{
    struct timespec long_time = {600, 0};
    char line[64];
    ssize_t n;
    pthread_t id;

    signal(SIGUSR1, on_signal);
    if (pipe(wakers) != 0 || pipe(woken) != 0)
        return 9;
    while ((n = read(0, line, sizeof line - 1)) > 0) {
        line[n] = 0;
        if (!strcmp(line, "calls\n"))
            calls();
        else if (!strncmp(line, "threads", 7))
            for (int i = atoi(line + 7); i > 0; i--)
                pthread_create(&id, NULL, thread, NULL);
        else if (!strncmp(line, "wake", 4))
            wake(atoi(line + 4));
        else if (!strcmp(line, "sleep\n"))
            nanosleep(&long_time, NULL);
        else if (!strcmp(line, "child\n")) {
            if (fork() == 0)
                for (;;)
                    pause();
        } else if (!strcmp(line, "busy\n")) {
            busy();
            continue;
        }
        if (write(1, line, n) != n)
            return 9;
    }
    return 6;
}
