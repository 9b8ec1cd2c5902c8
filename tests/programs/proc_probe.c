/* Reads files of /proc in every way that programs do. Lines are for a comparison: no addresses, no numbers of processes. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[1 << 20], other[1 << 20];

static void result(const char *what, const char *path, long value)
{
    printf("%s %s: %s\n", what, path, value < 0 ? strerrorname_np(errno) : "ok");
}

static long read_all(int fd, char *to)
{
    long n, all = 0;

    while ((n = read(fd, to + all, (1 << 20) - 1 - all)) > 0)
        all += n;
    to[all] = 0;
    return n < 0 ? n : all;
}

static long slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    long n = fd < 0 ? -1 : read_all(fd, text);

    if (fd < 0)
        result("open", path, -1);
    close(fd);
    return n;
}

/* Print the mappings of files without addresses, devices and inodes. */
static void print_files(const char *path)
{
    char perms[8], name[4096], *line, *rest;
    unsigned long offset;

    if (slurp(path) < 0)
        return;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (sscanf(line, "%*x-%*x %7s %lx %*s %*s %4095[^\n]", perms, &offset, name) == 3)
            printf("map %s %lx %s\n", perms, offset, name);
        else if (strstr(line, " file="))
            printf("numa %.*s\n", (int)strcspn(strstr(line, " file=") + 6, " "), strstr(line, " file=") + 6);
}

static void map_file(const char *path, int gone)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);

    if (ftruncate(fd, 8192) < 0 || mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
        result("map", path, -1);
    close(fd);
    if (gone)
        unlink(path);
}

static void *sleeper(void *fd)
{
    char byte;

    return read(*(int *)fd, &byte, 1) < 0 ? fd : NULL;
}

/* maps DIR: files with odd names in maps, smaps, numa_maps, of this process, its child and a thread */
static int maps(const char *dir)
{
    static const char *const names[] = {"plain", "two words", "line\nbreak", "back\\012slash", "gone (deleted)"};
    char path[300];
    int pipes[2];
    pthread_t thread;
    pid_t child;

    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        map_file(path, 0);
    }
    snprintf(path, sizeof(path), "%s/removed", dir);
    map_file(path, 1);
    if (pipe(pipes) < 0 || pthread_create(&thread, NULL, sleeper, &pipes[0]))
        return 1;
    print_files("/proc/self/maps");
    print_files("/proc/self/smaps");
    print_files("/proc/self/numa_maps");
    print_files("/proc/thread-self/maps");
    snprintf(path, sizeof(path), "/proc/self/task/%d/smaps", (int)gettid());
    print_files(path);
    fflush(stdout);
    if ((child = fork()) == 0) {
        snprintf(path, sizeof(path), "/proc/%d/maps", (int)getppid());
        print_files(path);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    slurp("/proc/self/smaps_rollup");
    printf("rollup %s\n", strstr(text, "[rollup]") ? "ok" : text);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    return 0;
}

/* layout: every mapping has a name that this program could have made, and none lies where pyroot's do */
static int layout(void)
{
    unsigned long long start, end;
    unsigned long smaps = 0, maps = 0;
    char *line, *rest;

    slurp("/proc/self/smaps");
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        smaps += strncmp(line, "Size:", 5) == 0;
    slurp("/proc/self/maps");
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), maps++)
        if (sscanf(line, "%llx-%llx", &start, &end) != 2 || start >> 24 == 0x567000 || start >> 24 == 0x567001 ||
            strstr(line, "memfd"))
            printf("odd %s\n", line);
    printf("mappings %s, descriptions %s\n", maps > 5 ? "some" : "few", smaps >= maps ? "all" : "few");
    return 0;
}

static int open_with(int dir, const char *path, unsigned long long flags, unsigned long long resolve)
{
    struct open_how how = {.flags = flags, .resolve = resolve};

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static void first(const char *what, int fd)
{
    struct stat st;
    struct iovec parts[2] = {{other, 7}, {other + 7, 100}};
    ssize_t n = fd < 0 ? -1 : readv(fd, parts, 2);

    if (fd < 0 || n < 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return;
    }
    fstat(fd, &st);
    /* maps begins with an address, status with a name */
    printf("%s: %s mode %o owner %s\n", what, n > 20 && (isxdigit(other[0]) || !strncmp(other, "Name:", 5)) ? "text" : "none",
           st.st_mode, st.st_uid == getuid() ? "mine" : "other");
    close(fd);
}

/* ways FILE: all ways to open /proc/self/FILE */
static int ways(const char *file)
{
    char path[300], link[64];
    int self = open("/proc/self", O_PATH | O_DIRECTORY), fd, tasks = open("/proc/self/task", O_RDONLY);

    snprintf(path, sizeof(path), "/proc/self/%s", file);
    first("open", open(path, O_RDONLY));
    first("open nofollow", open(path, O_RDONLY | O_NOFOLLOW));
    first("open cloexec nonblock", open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    first("open write", open(path, O_WRONLY));
    first("open both", open(path, O_RDWR));
    first("open create", open(path, O_RDONLY | O_CREAT, 0644));
    first("open create write", open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    first("open exclusive", open(path, O_RDONLY | O_CREAT | O_EXCL, 0644));
    first("open directory", open(path, O_RDONLY | O_DIRECTORY));
    first("creat", creat(path, 0644));
    first("openat", openat(self, file, O_RDONLY));
    first("openat up", openat(tasks, "../", O_RDONLY | O_WRONLY));
    first("openat2", open_with(self, file, O_RDONLY, 0));
    first("openat2 beneath", open_with(self, file, O_RDONLY | O_NOFOLLOW, RESOLVE_BENEATH));
    first("openat2 in root", open_with(self, file, O_RDONLY, RESOLVE_IN_ROOT));
    first("openat2 no links", open_with(AT_FDCWD, path, O_RDONLY, RESOLVE_NO_SYMLINKS));
    first("openat2 no magic", open_with(AT_FDCWD, path, O_RDONLY, RESOLVE_NO_MAGICLINKS));
    fd = open(path, O_PATH);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    first("path only", dup(fd));
    first("reopened", open(link, O_RDONLY));
    first("reopened nofollow", open(link, O_RDONLY | O_NOFOLLOW));
    fd = open(path, O_RDONLY);
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    first("again", open(link, O_RDONLY));
    snprintf(link, sizeof(link), "/dev/fd/%d", fd);
    first("dev fd", open(link, O_RDONLY));
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    memset(other, 0, 300);
    readlink(link, other, 299);
    snprintf(text, sizeof(text), "/proc/%d/%s", (int)getpid(), file);
    printf("link %s\n", strcmp(text, other) == 0 ? "ok" : other);
    first("slash", open(strcat(path, "/"), O_RDONLY));
    return 0;
}

/* reads PATH: whichever way it is read, the text is the same */
static int reads(const char *path)
{
    int fd = open(path, O_RDONLY);
    long n = read_all(fd, text), k = 0;
    char byte;

    printf("text %s\n", n > 10 ? "ok" : "none");
    lseek(fd, 0, SEEK_SET);
    while (read(fd, &byte, 1) == 1)
        k += byte == text[k];
    printf("bytes %s\n", k == n ? "same" : "differ");
    lseek(fd, 5, SEEK_SET);
    k = read(fd, other, 20);
    printf("from 5 %ld %s\n", k, memcmp(other, text + 5, 20) ? "differ" : "same");
    k = pread(fd, other, 30, 3);
    printf("pread %ld %s at %ld\n", k, memcmp(other, text + 3, 30) ? "differ" : "same", (long)lseek(fd, 0, SEEK_CUR));
    result("write", path, write(fd, "x", 1));
    result("truncate", path, ftruncate(fd, 0));
    result("negative", path, lseek(fd, -1, SEEK_SET));
    return 0;
}

/* transfers PATH: sendfile and splice, which not all files of /proc allow */
static int transfers(const char *path)
{
    int fd = open(path, O_RDONLY), pipes[2];
    long k = read_all(fd, text);
    off_t at = 0;

    if (pipe(pipes) < 0)
        return 1;
    k = sendfile(pipes[1], fd, &at, 40);
    printf("sendfile %ld %s\n", k, read(pipes[0], other, k) == k && !memcmp(other, text, k) ? "same" : "differ");
    lseek(fd, 0, SEEK_SET);
    k = splice(fd, NULL, pipes[1], NULL, 40, 0);
    printf("splice %s\n", k > 0 && read(pipes[0], other, k) == k && !memcmp(other, text, k) ? "same" : "differ");
    return 0;
}

static void print_lines(const char *const *names)
{
    char *line, *rest;

    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        for (int i = 0; names[i]; i++)
            if (strncmp(line, names[i], strlen(names[i])) == 0)
                puts(line);
}

/* states: what status, stat and wchan say of oneself and of a stopped child */
static int states(void)
{
    static const char *const names[] = {"Name", "State", "TracerPid", "Seccomp", "Threads", "Cpus_allowed", NULL};
    char path[100];
    pid_t child = fork();
    int status;

    if (child == 0) {
        raise(SIGSTOP);
        pause();
        _exit(0);
    }
    waitpid(child, &status, WUNTRACED);
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            kill(child, SIGCONT), waitpid(child, &status, WCONTINUED);
        if (i == 2)
            kill(child, SIGSTOP), waitpid(child, &status, WUNTRACED);
        if (i == 1)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/status", child);
        slurp(path);
        print_lines(names);
        snprintf(path, sizeof(path), "/proc/%d/stat", child);
        slurp(path);
        printf("stat %c\n", strrchr(text, ')')[2]);
        snprintf(path, sizeof(path), "/proc/%d/wchan", child);
        slurp(path);
        printf("wchan %s\n", text);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    slurp("/proc/self/status");
    print_lines(names);
    slurp("/proc/self/stat");
    printf("stat %c\n", strrchr(text, ')')[2]);
    slurp("/proc/self/wchan");
    printf("wchan %s\n", text);
    return 0;
}

static void bound(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(address.sun_path, name, sizeof(address.sun_path) - 1);
    unlink(name);
    result("bind", name, bind(fd, (void *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0 ? -1 : 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* sockets DIR MARK: what net/unix calls bound sockets whose names hold MARK; it lists them in no order */
static int sockets(const char *dir, const char *mark)
{
    char paths[3][300], *line, *rest, *name, *names[100];
    int n = 0;

    snprintf(paths[0], sizeof(paths[0]), "%s/%s-absolute", dir, mark);
    snprintf(paths[1], sizeof(paths[1]), "%s-relative", mark);
    snprintf(paths[2], sizeof(paths[2]), "./%s with blanks", mark);
    if (chdir(dir) < 0)
        return 1;
    for (int i = 0; i < 3; i++)
        bound(paths[i]);
    slurp("/proc/net/unix");
    for (line = strtok_r(text, "\n", &rest); line && n < 100; line = strtok_r(NULL, "\n", &rest))
        if ((name = strstr(line, mark))) {
            while (name > line && name[-1] != ' ')
                name--;
            names[n++] = name;
        }
    qsort(names, (size_t)n, sizeof(*names), by_text);
    for (int i = 0; i < n; i++)
        printf("listed %s\n", names[i]);
    for (int i = 0; i < 3; i++)
        unlink(paths[i]);
    return 0;
}

static void print_words(const char *path)
{
    long n = slurp(path);

    printf("%s:", path);
    for (long at = 0; at < n; at += (long)strlen(text + at) + 1)
        printf(" [%s]", text + at);
    puts("");
}

/* self: the links and words of this process; the root has no way out */
static int self(void)
{
    static const char *const paths[] = {"exe", "cwd", "root", "root/..", "root/../proc/self/root", "task/../exe"};
    static const char *const files[] = {"marker", "root/marker", "root/../marker", "cwd/../marker", "root/../../../../marker",
                                        "root/proc/self/root/../marker", "../../marker", "fd/../root/marker"};
    char path[300];

    for (int i = 0; i < 6; i++) {
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/%s", paths[i]);
        n = readlink(path, other, sizeof(other) - 1);
        other[n < 0 ? 0 : n] = 0;
        printf("link %s %s\n", path, n < 0 ? strerrorname_np(errno) : other);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof(path), "/proc/self/%s", files[i]);
        result("open", path, open(path, O_RDONLY));
    }
    print_words("/proc/self/cmdline");
    print_words("/proc/self/environ");
    print_words("/proc/self/comm");
    slurp("/proc/self/auxv");
    for (unsigned long *pair = (void *)text; pair[0]; pair += 2)
        if (pair[0] == 31)
            printf("execfn %s\n", (char *)pair[1]);
        else
            printf("auxv %lu\n", pair[0]);
    return 0;
}

/* polls: mount tables can be waited for */
static int polls(void)
{
    struct pollfd p = {.fd = open("/proc/self/mountinfo", O_RDONLY), .events = POLLPRI | POLLERR};

    printf("poll %d\n", poll(&p, 1, 10));
    p.events = POLLIN;
    printf("readable %d %d\n", poll(&p, 1, 0), p.revents & POLLIN);
    return 0;
}

/* table: mountinfo with numbers by order, so that the tree shows; then the other two */
static int table(void)
{
    int numbers[4096], n = 0, id, parent, at;
    char *line, *rest;

    slurp("/proc/self/mountinfo");
    for (line = strtok_r(text, "\n", &rest); line && n < 4096; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%d %d %n", &id, &parent, &at) != 2)
            return 1;
        numbers[n++] = id;
        for (id = 0; id < n - 1 && numbers[id] != parent; id++)
            ;
        printf("on %d: %.*s", id < n - 1 ? id : -1, (int)strcspn(line + at, "\n"), line + at);
        puts(n > 1 && numbers[n - 1] <= numbers[n - 2] ? " unordered" : "");
    }
    slurp("/proc/self/mounts");
    fputs(text, stdout);
    slurp("/proc/self/mountstats");
    fputs(text, stdout);
    return 0;
}

/* What a file of numbers says behind a name; -1 if it is not there. */
static long number_in(const char *path, const char *name)
{
    char *at = slurp(path) < 0 ? NULL : strstr(text, name);

    return at ? strtol(at + strlen(name) + strspn(at + strlen(name), " :\t"), NULL, 10) : -1;
}

static void few(const char *what, long before, long after)
{
    printf("%s %s\n", what, before < 0 ? "-" : after >= before && after - before < 200 ? "few" : "many");
}

/* switches: calls that do not wait are no context switches, nor is reading that */
static int switches(void)
{
    long status[2], thread[2], sched[2], runs[2];
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)gettid());
    for (int i = 0; i < 2; i++) {
        status[i] = number_in("/proc/self/status", "\nvoluntary_ctxt_switches");
        thread[i] = number_in(path, "\nvoluntary_ctxt_switches");
        sched[i] = number_in("/proc/self/sched", "\nnr_voluntary_switches");
        runs[i] = slurp("/proc/self/schedstat") > 0 && strrchr(text, ' ') ? strtol(strrchr(text, ' '), NULL, 10) : -1;
        for (int k = 0; i == 0 && k < 2000; k++)
            unlink("/missing/name");
    }
    few("status", status[0], status[1]);
    few("thread", thread[0], thread[1]);
    few("sched", sched[0], sched[1]);
    few("schedstat", runs[0], runs[1]);
    return 0;
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "", *argument = count > 2 ? words[2] : "";

    if (!strcmp(what, "maps"))
        return maps(argument);
    if (!strcmp(what, "layout"))
        return layout();
    if (!strcmp(what, "ways"))
        return ways(argument);
    if (!strcmp(what, "reads"))
        return reads(argument);
    if (!strcmp(what, "transfers"))
        return transfers(argument);
    if (!strcmp(what, "states"))
        return states();
    if (!strcmp(what, "sockets"))
        return sockets(argument, words[3]);
    if (!strcmp(what, "self"))
        return self();
    if (!strcmp(what, "table"))
        return table();
    if (!strcmp(what, "switches"))
        return switches();
    return strcmp(what, "polls") ? 2 : polls();
}
