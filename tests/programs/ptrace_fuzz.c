/* A tracer that makes random requests at children that never rest; the argument is the seed.  SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const int requests[] = {
    PTRACE_PEEKTEXT, PTRACE_PEEKDATA, PTRACE_PEEKUSER, PTRACE_POKETEXT, PTRACE_POKEDATA, PTRACE_POKEUSER, PTRACE_CONT, PTRACE_KILL,
    PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_GETFPREGS, PTRACE_SETFPREGS, PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SYSCALL,
    25, 26, 30, PTRACE_SYSEMU, 32, 33, PTRACE_SETOPTIONS, PTRACE_GETEVENTMSG, PTRACE_GETSIGINFO, PTRACE_SETSIGINFO, PTRACE_GETREGSET,
    PTRACE_SETREGSET, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_LISTEN, PTRACE_PEEKSIGINFO, PTRACE_GETSIGMASK, PTRACE_SETSIGMASK,
    0x420c, 0x420d, 0x420e, 0x420f, 0x4210, 0x4212,
};

static void busy(void)
{
    struct stat st;
    int status;

    alarm(6);
    for (;;) {
        stat("/marker", &st);
        close(open("/marker", O_RDONLY));
        if (fork() == 0) {
            execl("/ptrace", "/ptrace", "nothing", (char *)NULL);
            _exit(1);
        }
        waitpid(-1, &status, WNOHANG);
    }
}

static int is_rare(int request)
{
    return request == PTRACE_SETREGS || request == PTRACE_POKEDATA || request == PTRACE_POKETEXT || request == PTRACE_POKEUSER ||
           request == PTRACE_SETFPREGS || request == PTRACE_SETREGSET || request == PTRACE_KILL;
}

int main(int argc, char **argv)
{
    static char buffer[70000];
    pid_t pids[64], got;
    int i, count, status;

    srand(argc > 1 ? (unsigned)atoi(argv[1]) : 1);
    alarm(20);
    for (count = 0; count < 4; count++)
        if ((pids[count] = fork()) == 0)
            busy();
    for (i = 0; i < 4000; i++) {
        int request = requests[(unsigned)rand() % (sizeof requests / sizeof *requests)];
        unsigned long address = rand() % 4 == 0 ? (unsigned long)buffer : rand() % 3 == 0 ? (unsigned long)rand() : (unsigned)rand() % 64;
        unsigned long data = rand() % 3 == 0 ? (unsigned long)buffer : (unsigned long)rand() << rand() % 32;

        if (rand() % 3 == 0)
            request = rand() % 3 ? PTRACE_SEIZE : rand() % 2 ? PTRACE_CONT : PTRACE_SYSCALL;
        if (is_rare(request) && rand() % 10)
            continue;
        if (request == PTRACE_SEIZE)
            address = 0;
        if (request == PTRACE_SEIZE || request == PTRACE_SETOPTIONS)
            data = (unsigned)rand() & 0xff;
        memset(buffer, 0, 256); /* what came back must not be taken for an iovec: it would lead into this program itself */
        syscall(SYS_ptrace, (long)request, pids[(unsigned)rand() % (unsigned)count], address, data);
        while ((got = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
            if (WIFSTOPPED(status) && count < 64 && rand() % 2)
                pids[count++] = got;
            if (WIFSTOPPED(status) && rand() % 3)
                syscall(SYS_ptrace, rand() % 2 ? PTRACE_CONT : PTRACE_SYSCALL, got, 0, 0);
        }
    }
    for (i = 0; i < count; i++)
        kill(pids[i], SIGKILL);
    puts("done");
    return 0;
}
