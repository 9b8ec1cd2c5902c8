/* The guest side of the benchmarks: makes the same calls on every side and prints how long they took, `NAME NANOSECONDS` a line.
 *
 * probe calls PREFIX BATCHES TIMES [NAME...]  the named calls, or all: the 10th percentile of BATCHES batches of TIMES calls, per
 *                                             call, so that a batch in which another process ran does not count
 * probe exec PREFIX TIMES [NAME...]           the median of TIMES cycles of starting a process and waiting for its end
 * probe scale PREFIX TIMES KIND N             N threads or processes make TIMES stats each at once; time of one, over all of them
 * What fails (not every peer translates every call) is printed as nan.
 *
 * probe nothing                               exits at once
 * probe filtered ...                          the same under a seccomp filter that allows everything: what any filter costs
 *
 * PREFIX goes in front of the paths: empty in a chroot, else the root's own path, so that all sides name the same files. The system
 * calls are made without the C library, so that only the kernel and what stands between are measured. root.py makes the files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <pthread.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_BATCHES 1000
#define DEEP "/one/two/three/four/five"

static const char *prefix;
static char one[4096], three[4096], file[4096], ten[4096], through_link[4096], missing[4096], link_to_file[4096], directory[4096];
static char made[4096], moved[4096], program_static[4096], program_dynamic[4096], script[4096];
static int read_fd, directory_fd, datagram_fd, bound_fd;
static struct sockaddr_un address;

static long by_register(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}

/* A call as the wrappers of C libraries make it: its number is part of the code. */
#define call5(number, a, b, c, d, e) ({ \
    register long r10_ __asm__("r10") = (long)(d), r8_ __asm__("r8") = (long)(e); \
    long result_; \
    __asm__ volatile("mov %[nr], %%eax\n\tsyscall" \
                     : "=&a"(result_) \
                     : [nr] "i"(number), "D"(a), "S"(b), "d"(c), "r"(r10_), "r"(r8_) \
                     : "rcx", "r11", "memory"); \
    result_; })

#define call(number, a, b, c, d) call5(number, a, b, c, d, 0)

static long stat_at(long fd, const char *path, long flags)
{
    struct stat found;
    return call(SYS_newfstatat, fd, (long)path, (long)&found, flags);
}

static long expect(long result, long error) { return result == -error ? 0 : -1; }

static long do_stat_1(void) { return stat_at(AT_FDCWD, one, 0); }
static long do_stat_3(void) { return stat_at(AT_FDCWD, three, 0); }
static long do_stat(void) { return stat_at(AT_FDCWD, file, 0); }

static long do_stat_stop(void)
{
    struct stat found;
    return by_register(SYS_newfstatat, AT_FDCWD, (long)file, (long)&found, 0);
}

static long do_stat_10(void) { return stat_at(AT_FDCWD, ten, 0); }
static long do_stat_link(void) { return stat_at(AT_FDCWD, through_link, 0); }
static long do_stat_missing(void) { return expect(stat_at(AT_FDCWD, missing, 0), ENOENT); }
static long do_stat_relative(void) { return stat_at(AT_FDCWD, "file", 0); }
static long do_stat_way(void) { return stat_at(AT_FDCWD, "six/seven/eight/nine/file", 0); }
static long do_stat_dirfd(void) { return stat_at(directory_fd, "file", 0); }
static long do_lstat(void) { return stat_at(AT_FDCWD, link_to_file, AT_SYMLINK_NOFOLLOW); }
static long do_fstat(void) { return stat_at(read_fd, "", AT_EMPTY_PATH); }

static long do_statx(void)
{
    struct statx found;
    return call5(SYS_statx, AT_FDCWD, (long)file, 0, STATX_BASIC_STATS, (long)&found);
}

static long open_and_close(const char *path)
{
    long fd = call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    return fd < 0 ? fd : call(SYS_close, fd, 0, 0, 0);
}

static long do_open(void) { return open_and_close(file); }
static long do_open_relative(void) { return open_and_close("file"); }

static long do_access(void) { return call(SYS_faccessat, AT_FDCWD, (long)file, R_OK, 0); }

static long readlink_of(const char *path)
{
    char text[256];
    return call(SYS_readlinkat, AT_FDCWD, (long)path, (long)text, sizeof text);
}

static long do_readlink(void) { return readlink_of(link_to_file); }
static long do_readlink_file(void) { return expect(readlink_of(file), EINVAL); }

static long do_readlink_directory(void) { return expect(readlink_of(directory), EINVAL); }

static long do_getcwd(void)
{
    char text[4096];
    return call(SYS_getcwd, (long)text, sizeof text, 0, 0);
}

static long do_chdir(void) { return call(SYS_chdir, (long)directory, 0, 0, 0); }

static long do_mkdir(void)
{
    long result = call(SYS_mkdirat, AT_FDCWD, (long)made, 0755, 0);
    return result < 0 ? result : call(SYS_unlinkat, AT_FDCWD, (long)made, AT_REMOVEDIR, 0);
}

static long do_rename(void)
{
    long result = call(SYS_renameat2, AT_FDCWD, (long)made, AT_FDCWD, (long)moved);
    return result < 0 ? result : call(SYS_renameat2, AT_FDCWD, (long)moved, AT_FDCWD, (long)made);
}

static void before_rename(void) { close(open(made, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)); }
static void after_rename(void) { unlink(made); }

static long do_symlink(void)
{
    long result = call(SYS_symlinkat, (long)"file", AT_FDCWD, (long)made, 0);
    return result < 0 ? result : call(SYS_unlinkat, AT_FDCWD, (long)made, 0, 0);
}

static long do_connect(void) { return call(SYS_connect, datagram_fd, (long)&address, sizeof address, 0); }

static void before_connect(void)
{
    char name[32];
    /* a name of 107 bytes holds no path below a long root: by way of the working directory */
    snprintf(name, sizeof name, "socket-%d", (int)getpid());
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, name, strlen(name) + 1);
    bound_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    datagram_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(bound_fd, (struct sockaddr *)&address, sizeof address))
        perror("bind");
}

static void after_connect(void)
{
    close(bound_fd);
    close(datagram_fd);
    unlink(address.sun_path);
}

static long do_getppid(void) { return call(SYS_getppid, 0, 0, 0, 0); }

static long do_read(void)
{
    char byte;
    return call(SYS_read, read_fd, (long)&byte, 1, 0);
}

static const struct {
    const char *name;
    long (*make)(void);
    void (*before)(void), (*after)(void);
} calls[] = {
    {"stat", do_stat}, {"open+close", do_open}, {"access", do_access}, {"readlink", do_readlink}, {"getppid", do_getppid},
    {"read", do_read}, {"stat-1", do_stat_1}, {"stat-3", do_stat_3}, {"stat-10", do_stat_10}, {"stat-link", do_stat_link},
    {"stat-stop", do_stat_stop}, {"stat-missing", do_stat_missing}, {"stat-relative", do_stat_relative}, {"stat-way", do_stat_way},
    {"open-relative", do_open_relative}, {"stat-dirfd", do_stat_dirfd}, {"lstat", do_lstat},
    {"statx", do_statx}, {"fstat-empty-path", do_fstat}, {"readlink-file", do_readlink_file},
    {"readlink-directory", do_readlink_directory}, {"getcwd", do_getcwd},
    {"chdir", do_chdir}, {"mkdir+rmdir", do_mkdir}, {"rename", do_rename, before_rename, after_rename},
    {"symlink+unlink", do_symlink}, {"connect", do_connect, before_connect, after_connect},
};

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

static int wanted(const char *name, char **names)
{
    if (!*names)
        return 1;
    for (; *names; names++)
        if (!strcmp(*names, name))
            return 1;
    return 0;
}

static void measure_calls(int batches, int times, char **names)
{
    static double took[MOST_BATCHES];
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (!wanted(calls[i].name, names))
            continue;
        long result = 0;
        if (calls[i].before)
            calls[i].before();
        for (int batch = -1; batch < batches && result >= 0; batch++) { /* the first one only warms up */
            int64_t start = now();
            for (int k = 0; k < times && result >= 0; k++)
                result = calls[i].make();
            if (batch >= 0)
                took[batch] = (double)(now() - start) / times;
        }
        if (calls[i].after)
            calls[i].after();
        printf("%s %.1f\n", calls[i].name, result < 0 ? NAN : part(took, batches, 0.1));
    }
}

/* How a process is started: a program or none, by which call. */
enum how { FORK, VFORK, SPAWN };

static const struct {
    const char *name, *program;
    enum how how;
} starts[] = {
    {"exec-static", program_static, FORK}, {"exec-dynamic", program_dynamic, FORK}, {"exec-script", script, FORK},
    {"vfork-static", program_static, VFORK}, {"vfork-dynamic", program_dynamic, VFORK}, {"spawn-dynamic", program_dynamic, SPAWN},
    {"fork", NULL, FORK},
};

static pid_t start_process(const char *program, enum how how)
{
    char *words[] = {(char *)program, "nothing", NULL}, *environment[] = {NULL};
    pid_t child;
    if (how == SPAWN)
        return posix_spawn(&child, program, NULL, NULL, words, environment) ? -1 : child;
    child = how == VFORK ? vfork() : fork();
    if (child == 0) {
        if (!program)
            _exit(0);
        execve(program, words, environment);
        _exit(127);
    }
    return child;
}

static void measure_exec(int times, char **names)
{
    static double took[MOST_BATCHES];
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (!wanted(starts[i].name, names))
            continue;
        int failed = 0;
        for (int k = -2; k < times && !failed; k++) {
            int status;
            int64_t start = now();
            pid_t child = start_process(starts[i].program, starts[i].how);
            failed = child < 0 || waitpid(child, &status, 0) != child || status != 0;
            if (k >= 0)
                took[k] = (double)(now() - start);
        }
        printf("%s %.1f\n", starts[i].name, failed ? NAN : part(took, times, 0.5));
    }
}

static void *many_stats(void *times)
{
    for (int k = *(int *)times; k > 0; k--)
        if (do_stat() < 0)
            exit(3);
    return NULL;
}

/* Threads or processes at once.  The start of each is part of it: TIMES has to be large. */
static void measure_scale(int times, const char *kind, int n)
{
    pthread_t threads[64];
    int64_t start = now();
    for (int i = 0; i < n; i++) {
        if (!strcmp(kind, "threads")) {
            if (pthread_create(&threads[i], NULL, many_stats, &times))
                exit(3);
        } else if (fork() == 0) {
            many_stats(&times);
            _exit(0);
        }
    }
    for (int i = 0; i < n; i++) {
        int status = 0;
        if (!strcmp(kind, "threads") ? pthread_join(threads[i], NULL) : (wait(&status) < 0 || status))
            exit(3);
    }
    printf("%s-%d %.1f\n", kind, n, (double)(now() - start) / times / n);
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

static int number(const char *text, int most)
{
    int n = atoi(text);
    return n < 1 ? 1 : n > most ? most : n;
}

static void name_files(void)
{
    struct {
        char *to;
        const char *rest;
    } names[] = {
        {one, "/file"}, {three, "/one/two/file"}, {file, DEEP "/file"}, {ten, DEEP "/six/seven/eight/nine/file"},
        {through_link, "/one/two/link/four/five/file"}, {missing, DEEP "/none"}, {link_to_file, DEEP "/link"}, {directory, DEEP},
        {program_static, "/probe/probe"}, {program_dynamic, "/probe/probe-dynamic"}, {script, "/probe/probe-script"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        snprintf(names[i].to, 4096, "%s%s", prefix, names[i].rest);
    snprintf(made, sizeof made, "%s" DEEP "/made-%d", prefix, (int)getpid());
    snprintf(moved, sizeof moved, "%s" DEEP "/moved-%d", prefix, (int)getpid());
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
    prefix = argv[2];
    name_files();
    read_fd = open(file, O_RDONLY); /* it is empty: each read is the shortest that there is */
    directory_fd = open(directory, O_RDONLY | O_DIRECTORY);
    if (read_fd < 0 || directory_fd < 0 || chdir(directory)) {
        fprintf(stderr, "probe: %s: %s\n", directory, strerror(errno));
        return 3;
    }
    if (!strcmp(argv[1], "calls") && argc > 4)
        measure_calls(number(argv[3], MOST_BATCHES), atoi(argv[4]), argv + 5);
    else if (!strcmp(argv[1], "exec"))
        measure_exec(number(argv[3], MOST_BATCHES), argv + 4);
    else if (!strcmp(argv[1], "scale") && argc > 5)
        measure_scale(number(argv[3], 1000000), argv[4], number(argv[5], 64));
    else
        return 2;
    return 0;
}
