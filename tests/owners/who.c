/* Who each task is, as calls tell that are answered in the gate: threads, children and programs that become somebody else. */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE(name, number) \
    long site_##name(long, long, long); \
    __asm__(".text; .p2align 5; .skip 8, 0x90; site_" #name ": mov $" #number ", %eax; syscall; ret");

SITE(getuid, 102)
SITE(geteuid, 107)
SITE(getgid, 104)
SITE(getegid, 108)
SITE(getresuid, 118)
SITE(getresgid, 120)
SITE(getgroups, 115)
SITE(stat, 4)
SITE(fstat, 5)

static int bad;

static void expect(const char *what, unsigned uid, unsigned euid, unsigned gid)
{
    unsigned r[3] = {7, 7, 7}, g[3] = {7, 7, 7};
    for (int i = 0; i < 3; i++) {
        if (site_getuid(0, 0, 0) != uid || site_geteuid(0, 0, 0) != euid || site_getgid(0, 0, 0) != gid || site_getegid(0, 0, 0) != gid) {
            printf("BAD %s: %ld %ld %ld\n", what, site_getuid(0, 0, 0), site_geteuid(0, 0, 0), site_getgid(0, 0, 0));
            bad++;
        }
        if (site_getresuid((long)&r[0], (long)&r[1], (long)&r[2]) || site_getresgid((long)&g[0], (long)&g[1], (long)&g[2]) ||
            r[0] != uid || r[1] != euid || g[0] != gid || g[1] != gid) {
            printf("BAD %s: res %u %u %u, %u %u %u\n", what, r[0], r[1], r[2], g[0], g[1], g[2]);
            bad++;
        }
    }
}

static atomic_int stage;

static void reach(int wanted)
{
    stage = wanted;
}

static void wait_for(int wanted)
{
    while (stage < wanted) sched_yield();
}

static void *other(void *unused)
{
    (void)unused;
    expect("thread before", 0, 0, 0);
    syscall(SYS_setresuid, 1000, 1000, -1);
    expect("thread after", 1000, 1000, 0);
    reach(1);
    wait_for(2);
    expect("thread later", 1000, 1000, 0);
    return NULL;
}

static void in_child(const char *what, void (*run)(void))
{
    int status;
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        run();
        fflush(stdout);
        _exit(bad != 0);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        printf("BAD %s: %x\n", what, status);
        bad++;
    }
}

static void threads(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, other, NULL);
    wait_for(1);
    expect("beside it", 0, 0, 0);
    reach(2);
    pthread_join(thread, NULL);
    expect("without it", 0, 0, 0);
}

static void drops(void)
{
    gid_t groups[] = {7, 9}, got[4] = {0};
    struct stat st;
    if (setgroups(2, groups) || setresgid(500, 500, 500)) bad++;
    if (seteuid(500)) bad++;
    expect("effective", 0, 500, 500);
    if (site_stat((long)"/w/closed/f", (long)&st, 0) != -EACCES) printf("BAD closed\n"), bad++;
    if (seteuid(0)) bad++;
    expect("again", 0, 0, 500);
    if (site_stat((long)"/w/closed/f", (long)&st, 0) != 0 || st.st_uid != 0) printf("BAD open\n"), bad++;
    if (setuid(500)) bad++;
    expect("for good", 500, 500, 500);
    for (int i = 0; i < 3; i++)
        if (site_getgroups(4, (long)got, 0) != 2 || got[0] != 7 || got[1] != 9 || site_getgroups(0, 0, 0) != 2 ||
            site_getgroups(1, (long)got, 0) != -EINVAL || site_getgroups(-1, (long)got, 0) != -EINVAL || site_getgroups(4, 8, 0) != -EFAULT)
            printf("BAD groups\n"), bad++;
    if (site_stat((long)"/w/closed/f", (long)&st, 0) != -EACCES) printf("BAD closed again\n"), bad++;
    if (setuid(0) == 0) printf("BAD back\n"), bad++;
}

static void vforks(void)
{
    int status;
    pid_t child = vfork();
    if (child == 0) {
        syscall(SYS_setresuid, 77, 77, 77);
        _exit(site_getuid(0, 0, 0) != 77);
    }
    if (waitpid(child, &status, 0) != child || status != 0) printf("BAD vfork %x\n", status), bad++;
    expect("after vfork", 0, 0, 0);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    (void)sig;
    signals++;
    if (site_getuid(0, 0, 0) != 0) bad++;
}

static void storm(void)
{
    pid_t parent = getpid(), child;
    struct stat st;
    int status;
    signal(SIGUSR1, on_signal);
    child = fork();
    if (child == 0) {
        while (getppid() == parent) kill(parent, SIGUSR1);
        _exit(0);
    }
    while (signals < 200) {
        memset(&st, 0xff, sizeof st);
        if (site_stat((long)"/w/f", (long)&st, 0) != 0 || st.st_uid != 0 || st.st_mode != (S_IFREG | 0644)) printf("BAD stat\n"), bad++;
        memset(&st, 0xff, sizeof st);
        if (site_fstat(0, (long)&st, 0) != 0) printf("BAD fstat\n"), bad++;
        expect("storm", 0, 0, 0);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    signal(SIGUSR1, SIG_DFL);
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1]) {
        expect("program", 500, 500, 500);
        return bad != 0;
    }
    expect("first", 0, 0, 0);
    expect("first", 0, 0, 0);
    in_child("child", drops);
    in_child("threads", threads);
    vforks();
    in_child("storm", storm);
    expect("parent", 0, 0, 0);
    fflush(stdout);
    if (fork() == 0) {
        if (setresgid(500, 500, 500) || setresuid(500, 500, 500)) _exit(3);
        execl("/w/who", "who", "again", (char *)0);
        _exit(4);
    }
    int status;
    wait(&status);
    if (status) printf("BAD exec %x\n", status), bad++;
    printf("done %d\n", bad);
    return bad != 0;
}
