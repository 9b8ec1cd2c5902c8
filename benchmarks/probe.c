/* The guest side of the benchmarks: makes the same calls on every side and prints how long they took.
 *
 * probe calls PREFIX BATCHES TIMES    prints `NAME NANOSECONDS` for each call: the 10th percentile of BATCHES batches of
 *                                     TIMES calls, per call, so that a batch in which another process ran does not count
 * probe exec PREFIX TIMES             prints the median of TIMES cycles of fork, execve, exit, wait: static and dynamic
 * probe nothing                       exits at once
 * probe filtered ...                  the same under a seccomp filter that allows everything: what any filter costs
 *
 * PREFIX goes in front of the paths: empty in a chroot, else the root's own path, so that all sides name the same files. The system
 * calls are made without the C library, so that only the kernel and what stands between are measured. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_BATCHES 1000

static char file[4096], link_to_file[4096], programs[2][4096];
static int zero_fd;

static long call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

static long do_stat(void)
{
    static struct stat found;
    return call(SYS_newfstatat, AT_FDCWD, (long)file, (long)&found, 0);
}

static long do_open(void)
{
    long fd = call(SYS_openat, AT_FDCWD, (long)file, O_RDONLY | O_CLOEXEC, 0);
    return fd < 0 ? fd : call(SYS_close, fd, 0, 0, 0);
}

static long do_access(void) { return call(SYS_faccessat, AT_FDCWD, (long)file, R_OK, 0); }

static long do_readlink(void)
{
    static char text[256];
    return call(SYS_readlinkat, AT_FDCWD, (long)link_to_file, (long)text, sizeof text);
}

static long do_getppid(void) { return call(SYS_getppid, 0, 0, 0, 0); }

static long do_read(void)
{
    static char byte;
    return call(SYS_read, zero_fd, (long)&byte, 1, 0);
}

static const struct {
    const char *name;
    long (*make)(void);
} calls[] = {{"stat", do_stat},         {"open+close", do_open},     {"access", do_access},
             {"readlink", do_readlink}, {"getppid", do_getppid}, {"read", do_read}};

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int smaller(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double part(double *values, int n, double fraction)
{
    qsort(values, n, sizeof *values, smaller);
    return values[(int)((n - 1) * fraction)];
}

static void measure_calls(int batches, int times)
{
    static double took[MOST_BATCHES];
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        for (int batch = -1; batch < batches; batch++) { /* the first one only warms up */
            int64_t start = now();
            for (int k = 0; k < times; k++)
                if (calls[i].make() < 0) {
                    fprintf(stderr, "probe: %s failed on %s\n", calls[i].name, file);
                    exit(3);
                }
            if (batch >= 0)
                took[batch] = (double)(now() - start) / times;
        }
        printf("%s %.1f\n", calls[i].name, part(took, batches, 0.1));
    }
}

static void measure_exec(int times)
{
    static const char *const names[2] = {"exec-static", "exec-dynamic"};
    static double took[MOST_BATCHES];
    for (int kind = 0; kind < 2; kind++) {
        char *words[] = {programs[kind], "nothing", NULL}, *environment[] = {NULL};
        for (int i = -2; i < times; i++) {
            int status;
            int64_t start = now();
            pid_t child = fork();
            if (child == 0) {
                execve(programs[kind], words, environment);
                _exit(127);
            }
            if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
                fprintf(stderr, "probe: cannot run %s\n", programs[kind]);
                exit(3);
            }
            if (i >= 0)
                took[i] = (double)(now() - start);
        }
        printf("%s %.1f\n", names[kind], part(took, times, 0.5));
    }
}

/* The least filter that a supervisor can have: it looks at the architecture and at the number. */
static void install_filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffff, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        fprintf(stderr, "probe: no seccomp filter\n");
        exit(3);
    }
}

static int number(const char *text)
{
    int n = atoi(text);
    return n < 1 ? 1 : n > MOST_BATCHES ? MOST_BATCHES : n;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "filtered")) {
        install_filter();
        argc--;
        argv++;
    }
    if (argc > 1 && !strcmp(argv[1], "nothing"))
        return 0;
    if (argc < 4)
        return 2;
    snprintf(file, sizeof file, "%s/one/two/three/four/five/file", argv[2]);
    snprintf(link_to_file, sizeof link_to_file, "%s/one/two/three/four/five/link", argv[2]);
    snprintf(programs[0], sizeof programs[0], "%s/bin/probe", argv[2]);
    snprintf(programs[1], sizeof programs[1], "%s/bin/probe-dynamic", argv[2]);
    zero_fd = open(file, O_RDONLY); /* read to its end once, then each read is the shortest that there is */
    if (!strcmp(argv[1], "calls") && argc > 4)
        measure_calls(number(argv[3]), atoi(argv[4]));
    else if (!strcmp(argv[1], "exec"))
        measure_exec(number(argv[3]));
    else
        return 2;
    return 0;
}
