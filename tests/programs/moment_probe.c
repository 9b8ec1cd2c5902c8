/* Send a signal at an exact moment of a program's life, whatever the speed of the machine: when it makes its N-th system call.
 *
 *   moment N SIGNAL one|group|terminal COMMAND [WORD...]
 *
 * terminal: the signal is the one of ^C or ^\, typed at a terminal of the command's own. Prints "signal S" or "exit S", which is how
 * the command ended, or "over" if it has not made so many calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int master = -1;

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static void become(char **words)
{
    if (master >= 0) {
        int slave;
        if (setsid() < 0 || (slave = open(ptsname(master), O_RDWR)) < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, 0) < 0)
            fail("terminal");
        close(slave);
        close(master);
    } else if (setpgid(0, 0) < 0) {
        fail("setpgid");
    }
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 || raise(SIGSTOP) != 0)
        fail("ptrace");
    execv(words[0], words);
    fail(words[0]);
}

/* Whether a signal waits in a process that is stopped: what is typed takes its time. */
static int waits(pid_t pid, int sig)
{
    char name[64], line[256];
    unsigned long long mask = 0;
    FILE *file;

    snprintf(name, sizeof name, "/proc/%d/status", pid);
    file = fopen(name, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "SigPnd:", 7) || !strncmp(line, "ShdPnd:", 7))
            mask |= strtoull(line + 7, NULL, 16);
    if (file)
        fclose(file);
    return mask >> (sig - 1) & 1;
}

static void hit(pid_t pid, int sig, const char *whom)
{
    struct timespec pause = {0, 100000};

    if (*whom == 'o' && kill(pid, sig) < 0)
        fail("kill");
    if (*whom == 'g' && kill(-pid, sig) < 0)
        fail("kill of the group");
    if (*whom == 't') {
        if (write(master, sig == SIGINT ? "\003" : "\034", 1) != 1)
            fail("write");
        for (int i = 0; i < 20000 && !waits(pid, sig); i++)
            nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    long left = argc > 4 ? atol(argv[1]) : 0;
    int sig = argc > 4 ? atoi(argv[2]) : 0, status, entry = 1, begun = 0;
    pid_t pid;

    if (argc < 5)
        return 2;
    if (*argv[3] == 't' && ((master = posix_openpt(O_RDWR | O_NOCTTY)) < 0 || grantpt(master) < 0 || unlockpt(master) < 0))
        fail("posix_openpt");
    pid = fork();
    if (pid == 0)
        become(argv + 4);
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        fail("waitpid");
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL);
    for (int passed = 0;;) {
        if (ptrace(PTRACE_SYSCALL, pid, 0, passed) < 0 && errno == ESRCH)
            break;
        if (waitpid(pid, &status, 0) != pid)
            fail("waitpid");
        if (!WIFSTOPPED(status))
            break;
        passed = 0;
        if (status >> 16 == PTRACE_EVENT_EXEC) {
            begun = 1;
        } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
            if (begun && entry && left-- == 0) {
                hit(pid, sig, argv[3]);
                ptrace(PTRACE_DETACH, pid, 0, 0);
                if (waitpid(pid, &status, 0) != pid)
                    fail("waitpid");
                printf(WIFSIGNALED(status) ? "signal %d\n" : "exit %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                return 0;
            }
            entry = !entry;
        } else {
            passed = WSTOPSIG(status);
        }
    }
    printf("over\n");
    return 0;
}
