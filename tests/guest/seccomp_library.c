/* A program with libseccomp: rules on numbers and arguments, a sandbox like that of a server's unprivileged child.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int allowed[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(newfstatat), SCMP_SYS(fstat), SCMP_SYS(exit_group),
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(clone), SCMP_SYS(wait4), SCMP_SYS(execve), SCMP_SYS(getcwd),
    SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(mprotect),
    SCMP_SYS(prlimit64), SCMP_SYS(readlinkat), SCMP_SYS(readlink), SCMP_SYS(getrandom), SCMP_SYS(access), SCMP_SYS(pread64),
};

static void report(const char *what, long result)
{
    printf("%s %s\n", what, result < 0 ? strerror(errno) : (char *)"works");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *own = argv[0];
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOTUNIQ));
    struct stat st;
    char text[100];
    int status = 0;

    if (argc > 1) {
        report("behind execve: open", open("/data/file", O_RDONLY));
        report("behind execve: write", open("/data/file", O_RDWR));
        return 4;
    }
    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++)
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, O_RDONLY));
    seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mkdir), 0);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    printf("load %d\n", seccomp_load(filter));
    fflush(stdout);
    report("open", open("/data/file", O_RDONLY));
    report("open for writing", open("/data/file", O_RDWR));
    report("stat", stat("/data/file", &st));
    report("getcwd", getcwd(text, sizeof text) ? 0 : -1);
    report("mkdir", mkdir("/data/x", 0755));
    report("rename", rename("/data/x", "/data/y"));
    report("unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
    report("internet socket", socket(AF_INET, SOCK_STREAM, 0));
    if (fork() == 0) {
        execl(own, own, "again", NULL);
        _exit(9);
    }
    wait(&status);
    printf("child %x\n", status);
    return 0;
}
