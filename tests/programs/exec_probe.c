/* Executes every file that stdin names, in a child each, and prints the errno of execve or how the program ended.
 *
 * As a program itself it exits with 7, whatever its arguments are but "run", and "core": with core files, where the caller's limit allows.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[4096];

    if (argc != 2 || (strcmp(argv[1], "run") && strcmp(argv[1], "core")))
        return 7;
    while (fgets(line, sizeof line, stdin)) {
        int ends[2], status = 0, error = 0;
        pid_t pid;
        line[strcspn(line, "\n")] = 0;
        if (pipe2(ends, O_CLOEXEC))
            return 1;
        pid = fork();
        if (pid == 0) {
            char *words[] = {line, "argument", NULL}, *environment[] = {"PATH=/", NULL};
            struct rlimit none = {0, 0};
            if (!strcmp(argv[1], "core"))
                none.rlim_cur = none.rlim_max = 1 << 20;
            setrlimit(RLIMIT_CORE, &none);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(0);
            dup2(open("/marker", O_WRONLY), 1);
            dup2(1, 2);
            alarm(2);
            execve(line, words, environment);
            error = errno;
            _exit(write(ends[1], &error, sizeof error) != sizeof error);
        }
        close(ends[1]);
        while (read(ends[0], &error, sizeof error) < 0 && errno == EINTR)
            ;
        close(ends[0]);
        waitpid(pid, &status, 0);
        if (error)
            printf("%s errno %s\n", line, strerrorname_np(error));
        else if (WIFEXITED(status))
            printf("%s exit %d\n", line, WEXITSTATUS(status));
        else
            printf("%s signal %d%s\n", line, WTERMSIG(status), WCOREDUMP(status) ? " core" : "");
    }
    return 0;
}
