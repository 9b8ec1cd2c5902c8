/* Puts itself under Landlock, says what it may still do, and executes a program.
 *
 *   landlock_probe DIRECTORY PROGRAM [ARGUMENT...]     what lies in DIRECTORY may be read and executed, nothing else
 *
 * Exit status 77: this kernel has no Landlock.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXECUTE = 1, READ_FILE = 4, READ_DIRECTORY = 8, ALL = 0x1fff }; /* linux/landlock.h */

static void told(const char *what, int result)
{
    printf("%s %s\n", what, result < 0 ? strerror(errno) : "works");
}

int main(int argc, char **argv)
{
    uint64_t handled = ALL;
    struct {
        uint64_t access;
        int32_t directory;
    } __attribute__((packed)) rule = {EXECUTE | READ_FILE | READ_DIRECTORY, -1};
    struct stat state;
    char text[300];
    int ruleset = (int)syscall(444, &handled, sizeof handled, 0), status;

    if (argc < 3)
        return 2;
    if (ruleset < 0)
        return 77;
    rule.directory = open(argv[1], O_PATH | O_CLOEXEC);
    if (syscall(445, ruleset, 1, &rule, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(446, ruleset, 0))
        return 3;
    close(ruleset);
    close(rule.directory);
    told("list /", open("/", O_RDONLY | O_DIRECTORY));
    told("list it", open(argv[1], O_RDONLY | O_DIRECTORY));
    told("read", open(argv[2], O_RDONLY));
    told("write", open(argv[2], O_WRONLY));
    told("make", open("/made-under-landlock", O_CREAT | O_WRONLY, 0600));
    snprintf(text, sizeof text, "%s/made", argv[1]);
    told("make a directory", mkdir(text, 0700));
    told("stat", stat(argv[2], &state));
    told("change to /", chdir("/"));
    told("change to it", chdir(argv[1]));
    fflush(stdout);
    if (fork() == 0) {
        execv(argv[2], argv + 2);
        _exit(errno);
    }
    wait(&status);
    printf("a child: %d\n", status);
    fflush(stdout);
    execv(argv[2], argv + 2);
    told("execute", -1);
    return 4;
}
