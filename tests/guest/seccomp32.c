/* Filters of an i386 program: they judge its own calls, and not those that load the next program.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0}
#define REFUSE(number, verdict) {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number}, {BPF_RET | BPF_K, 0, 0, verdict}
#define END(verdict) {BPF_RET | BPF_K, 0, 0, verdict}
#define ALLOW SECCOMP_RET_ALLOW

static long install(struct sock_filter *filter, int length)
{
    struct sock_fprog program = {(unsigned short)length, filter};

    return syscall(SYS_seccomp, 1, 0, &program);
}

/* What loads a program is refused, and so is what a rewritten socketcall would become. */
static void filtered(const char *own)
{
    struct sock_filter program[] = {
        LOAD, REFUSE(SYS_getppid, SECCOMP_RET_ERRNO | 44), REFUSE(SYS_mmap2, SECCOMP_RET_KILL_PROCESS),
        REFUSE(SYS_pread64, SECCOMP_RET_KILL_PROCESS), REFUSE(SYS_munmap, SECCOMP_RET_KILL_PROCESS),
        REFUSE(SYS_prctl, SECCOMP_RET_ERRNO | 45), REFUSE(SYS_getcwd, SECCOMP_RET_ERRNO | 46),
        REFUSE(SYS_connect, SECCOMP_RET_KILL_PROCESS), REFUSE(SYS_mkdir, SECCOMP_RET_TRACE), END(ALLOW),
    };
    struct sockaddr_un name = {AF_UNIX, "/data/none"};
    long arguments[3] = {0, (long)&name, sizeof name};
    char text[100];
    ssize_t n;

    n = prctl(PR_GET_SECCOMP);
    n = snprintf(text, sizeof text, "get %d", (int)n);
    n += snprintf(text + n, sizeof text - n, " install %ld\n", install(program, sizeof program / sizeof *program));
    write(1, text, n);
    n = snprintf(text, sizeof text, "getppid %d", (int)syscall(SYS_getppid) < 0 ? errno : 0);
    n += snprintf(text + n, sizeof text - n, " open %d", open("/data/file", O_RDONLY) > 0);
    n += snprintf(text + n, sizeof text - n, " mkdir %d", (int)syscall(SYS_mkdir, "/data/x", 0755) < 0 ? errno : 0);
    arguments[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    n += snprintf(text + n, sizeof text - n, " connect %d\n", syscall(SYS_socketcall, 3, arguments) < 0 ? errno : 0);
    write(1, text, n);
    execl(own, own, "again", NULL);
    write(1, "not reached\n", 12);
}

static void strict(void)
{
    syscall(SYS_seccomp, 0, 0, 0);
    write(1, "strict\n", 7);
    syscall(SYS_getpid);
    syscall(SYS_exit, 3);
}

int main(int argc, char **argv)
{
    char text[100];
    int status = 0;

    if (argc > 1) {
        int n = snprintf(text, sizeof text, "again: getppid %d", (int)syscall(SYS_getppid) < 0 ? errno : 0);

        n += snprintf(text + n, sizeof text - n, " open %d\n", open("/data/file", O_RDONLY) > 0);
        write(1, text, n);
        return 5;
    }
    prctl(38, 1, 0, 0, 0);
    if (fork() == 0)
        filtered(argv[0]);
    wait(&status);
    printf("ended %x\n", status);
    fflush(stdout);
    if (fork() == 0)
        strict();
    wait(&status);
    printf("ended %x\n", status);
    return 0;
}
