/* Calls of one width from a program of the other.  Usage: mixed code | threads | tracer | nomm PROGRAM | escape HOSTPATH
 *
 * code: an i386 program makes `syscall` from 64-bit code, an x86_64 one int 0x80 from 32-bit code (both by a far jump).
 * threads (x86_64): eight threads make their first int 0x80 at the same time, while a timer interrupts them all.
 * tracer: what ptrace(2) says to somebody who wants to be a tracer, and to a child that wants to be traced.
 * escape: a signal handler gives the interrupted open another path, where the call is about to be made again.
 * nomm: execute PROGRAM where prctl(PR_SET_MM) is refused, so that its heap stays where the loader's was. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 200

/* far_open(path, flags): open(2) from code of the other width. far[] is an offset and a selector for an indirect far jump. */
long far_open(const char *path, long flags);
struct { uint32_t offset; uint16_t selector; } far, back;
unsigned long own_sp;

#if defined(__x86_64__)
#define SELECTOR 0x23
#define OWN_SELECTOR 0x33
__asm__(".text\n .globl far_open\n far_open:\n push %rbx\n"
        "mov $5, %eax\n mov %rdi, %rbx\n mov %rsi, %rcx\n xor %edx, %edx\n"
        "mov %rsp, own_sp\n"             /* 32-bit code loses its upper half */
        "ljmpl *far\n"
        ".globl far_code\n far_code:\n .code32\n int $0x80\n ljmp $0x33, $far_back\n .code64\n"
        ".globl far_back\n far_back: mov own_sp, %rsp\n cltq\n pop %rbx\n ret\n");
#else
#define SELECTOR 0x33
#define OWN_SELECTOR 0x23
__asm__(".text\n .globl far_open\n far_open:\n push %edi\n push %esi\n"
        "mov 12(%esp), %edi\n mov 16(%esp), %esi\n mov $2, %eax\n xor %edx, %edx\n"
        "ljmp $0x33, $far_code\n"
        ".globl far_code\n far_code:\n .code64\n syscall\n .byte 0xff, 0x2c, 0x25\n .long back\n .code32\n" /* ljmpl *back */
        ".globl far_back\n far_back: pop %esi\n pop %edi\n ret\n");
#endif
extern const char far_code[], far_back[];

static int show(const char *path, long fd)
{
    char got[32] = {0};

    if (fd < 0)
        return printf("%s %ld\n", path, fd), 1;
    printf("%s %zd %s\n", path, read((int)fd, got, sizeof got - 1), got);
    close((int)fd);
    return 0;
}

static int code(void)
{
    static const char *const paths[] = {"/b/f", "/file", "/w/../b/f", "/nowhere", "/b/../b/f"};

    far.offset = (uint32_t)(uintptr_t)far_code;
    far.selector = SELECTOR;
    back.offset = (uint32_t)(uintptr_t)far_back;
    back.selector = OWN_SELECTOR;
    for (int i = 0; i < 5; i++)
        show(paths[i], far_open(paths[i], O_RDONLY));
    return 0;
}

#if defined(__x86_64__)
static volatile int failed, handled;

static void on_timer(int number)
{
    int fd = open("/b/f", O_RDONLY), keep = errno;

    (void)number;
    failed += fd < 0;
    close(fd);
    handled++;
    errno = keep;
}

static void *thread(void *unused)
{
    static const char path[] = "/b/f";
    for (int i = 0; i < ROUNDS; i++) {
        long fd;
        char got[8] = {0};
        __asm__ volatile("int $0x80" : "=a"(fd) : "a"(5), "b"(path), "c"(0), "d"(0) : "memory");
        if ((int)fd < 0 || read((int)fd, got, 4) != 3 || strcmp(got, "b:f"))
            failed++;
        close((int)fd);
    }
    return unused;
}

static int threads(void)
{
    struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    pthread_t ids[THREADS];

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&ids[i], NULL, thread, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
    setitimer(ITIMER_REAL, &never, NULL);
    printf("failed %d handled %d\n", failed, handled > 0);
    return failed != 0;
}
#endif

static int tracer(void)
{
    int status = 0, pid = fork();

    if (pid == 0) {
        printf("me %d\n", ptrace(PTRACE_TRACEME, 0, 0, 0) ? errno : 0);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    printf("seize %d\n", ptrace(PTRACE_SEIZE, pid, 0, 0) ? errno : 0);
    kill(pid, SIGKILL);
    waitpid(pid, &status, __WALL);
    return 0;
}

#if defined(__x86_64__)
#define FIRST REG_RDI
#define OPEN 2
#else
#define FIRST REG_EBX
#define OPEN 5
#endif
static char *outside;

static void other_path(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;

    (void)number, (void)info;
    user->uc_mcontext.gregs[FIRST] = (long)outside;
}

static int escape(char *path)
{
    struct sigaction action = {.sa_sigaction = other_path, .sa_flags = SA_RESTART | SA_SIGINFO};
    struct itimerval soon = {{0, 0}, {0, 100000}};

    outside = path;
    mkfifo("/w/fifo", 0600);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    errno = 0;
    printf("open %d\n", syscall(OPEN, "/b/../w/fifo", O_RDONLY) < 0 ? errno : 0);
    return 0;
}

static int nomm(char **argv)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_MM, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 172, 1, 0), /* prctl of i386 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 157, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    /* the first jump skips to the last line */
    struct sock_fprog filter = {sizeof program / sizeof *program, program};

    program[1].jf = 4;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0))
        return 90;
    execv(argv[2], argv + 2);
    return errno;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 2)
        return strcmp(argv[1], "escape") ? nomm(argv) : escape(argv[2]);
#if defined(__x86_64__)
    if (argc > 1 && !strcmp(argv[1], "threads"))
        return threads();
#endif
    return argc > 1 && !strcmp(argv[1], "tracer") ? tracer() : code();
}
