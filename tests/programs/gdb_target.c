/* A program to debug.  SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int counter, waiting = 1;

int compute(int n)
{
    return n < 2 ? 1 : n * compute(n - 1);
}

int main(int argc, char **argv)
{
    char line[80] = "";
    FILE *file = fopen("/etc/passwd", "r");

    if (argc > 1 && !strcmp(argv[1], "wait")) {
        while (waiting)
            usleep(1000);
        return 5;
    }
    counter = 1;
    if (file && fgets(line, sizeof line, file))
        counter = 2;
    signal(SIGUSR1, SIG_IGN);
    if (fork() == 0)
        _exit(0);
    wait(NULL);
    raise(SIGUSR1);
    counter = compute(5);
    printf("%d %d\n", counter, line[0] != 0);
    return 3;
}
