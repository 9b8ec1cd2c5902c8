/* Lists directories in every way that programs do, and tries what mount points forbid. Lines are for a comparison. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 4096

static char buffer[100000];

static void result(const char *what, const char *path, long value)
{
    printf("%s %s: %s\n", what, path, value < 0 ? strerrorname_np(errno) : "ok");
}

static long read_some(int fd, int size, int old)
{
    return syscall(old ? SYS_getdents : SYS_getdents64, fd, buffer, size);
}

static int print_entries(long n, int old)
{
    int count = 0;

    for (long at = 0; at < n; count++) {
        unsigned short size;

        memcpy(&size, buffer + at + (old ? 2 * sizeof(long) : 16), 2);
        printf("%s %d\n", buffer + at + (old ? 2 * sizeof(long) + 2 : 19), buffer[at + (old ? size - 1 : 18)]);
        at += size;
    }
    return count;
}

/* list DIR SIZE [old]: raw calls with a buffer of that size */
static int list(const char *path, int size, int old)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    long n;

    while ((n = read_some(fd, size, old)) > 0)
        print_entries(n, old);
    result("end", path, n);
    return 0;
}

/* numbers DIR: the inode number of each name in the listing and in lstat */
static int numbers(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    struct stat st;

    while ((e = readdir(d)))
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            printf("%s %s %s\n", e->d_name, e->d_ino == st.st_ino ? "same" : "other", e->d_type == st.st_mode >> 12 ? "type" : "kind");
        else
            printf("%s %s\n", e->d_name, strerrorname_np(errno));
    return 0;
}

static int count_names(DIR *d)
{
    int n = 0;

    while (readdir(d))
        n++;
    return n;
}

/* seek DIR: every position that telldir gave leads back to the name behind it */
static int seek(const char *path)
{
    static long place[MOST];
    static char name[MOST][256];
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0, wrong = 0;

    for (place[0] = telldir(d); n < MOST - 1 && (e = readdir(d)); place[++n] = telldir(d))
        strcpy(name[n], e->d_name);
    for (int i = n - 1; i >= 0; i--) {
        seekdir(d, place[i]);
        e = readdir(d);
        wrong += !e || strcmp(e->d_name, name[i]);
    }
    seekdir(d, place[n]);
    printf("names %d wrong %d at the end %s\n", n, wrong, readdir(d) ? "more" : "none");
    rewinddir(d);
    printf("again %d\n", count_names(d));
    lseek(dirfd(d), 0, SEEK_SET);
    printf("position at the start %ld\n", (long)lseek(dirfd(d), 0, SEEK_CUR));
    return 0;
}

/* share DIR: duplicates and children go on where another stopped; two descriptors do not */
static int share(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY), copy = dup(fd), other = open(path, O_RDONLY | O_DIRECTORY), turn = 0;
    long n = 1;

    while (n > 0 && turn < MOST) {
        if (turn++ % 3 == 2) {
            fflush(stdout);
            if (fork() == 0) {
                n = read_some(fd, 80, 0);
                print_entries(n, 0);
                fflush(stdout);
                _exit(n > 0);
            }
            int status;
            wait(&status);
            n = WEXITSTATUS(status);
        } else {
            n = read_some(turn % 2 ? fd : copy, 80, 0);
            print_entries(n, 0);
        }
    }
    puts("other");
    while ((n = read_some(other, sizeof(buffer), 0)) > 0)
        print_entries(n, 0);
    return 0;
}

/* faults DIR: what is no buffer or no directory, and a buffer that ends in a hole */
static int faults(const char *path)
{
    int fd = open(path, O_RDONLY), bare = open(path, O_PATH), file = open("/listing", O_RDONLY), copy = dup(0);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long n, all = 0;

    munmap(pages + 4096, 4096);
    close(copy);
    result("null", path, syscall(SYS_getdents64, fd, NULL, 4096));
    result("hole", path, syscall(SYS_getdents64, fd, pages + 4096, 4096));
    result("near a hole", path, syscall(SYS_getdents64, fd, pages + 4090, 4096));
    result("none", path, syscall(SYS_getdents64, fd, buffer, 0));
    result("bare", path, syscall(SYS_getdents64, bare, buffer, 4096));
    result("file", path, syscall(SYS_getdents64, file, buffer, 4096));
    result("closed", path, syscall(SYS_getdents64, copy, buffer, 4096));
    result("cwd", path, syscall(SYS_getdents64, AT_FDCWD, buffer, 4096));
    while ((n = syscall(SYS_getdents64, fd, pages + 4096 - 300, 8192)) > 0)
        for (long at = 0; at < n; all++)
            at += *(unsigned short *)(pages + 4096 - 300 + at + 16);
    printf("names %ld\n", all);
    result("end", path, n);
    lseek(fd, 0, SEEK_SET);
    n = read_some(fd, -1, 0);
    result("most", path, n);
    print_entries(n, 0);
    print_entries(read_some(fd, -1, 0), 0);
    return 0;
}

/* end DIR: the position behind the last name */
static int end(const char *path)
{
    DIR *d = opendir(path);

    count_names(d);
    printf("%llx\n", (long long)lseek(dirfd(d), 0, SEEK_CUR));
    return 0;
}

static void *thread_main(void *path)
{
    long least = MOST, most = 0;

    for (int i = 0; i < 20; i++) {
        DIR *d = opendir(path);
        int n = count_names(d);

        least = n < least ? n : least;
        most = n > most ? n : most;
        closedir(d);
    }
    return (void *)(least == most ? least : -1);
}

/* threads DIR: four threads list at the same time */
static int threads(char *path)
{
    pthread_t t[4];
    void *found;

    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, thread_main, path);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &found);
        printf("thread %ld\n", (long)found);
    }
    return 0;
}

/* look PATH...: all ways to look agree */
static int look(char **path)
{
    for (; *path; path++) {
        struct stat st;
        int fd;

        result("stat", *path, stat(*path, &st));
        printf("kind %o\n", st.st_mode & S_IFMT);
        result("access", *path, access(*path, R_OK));
        result("open", *path, fd = open(*path, O_RDONLY));
        if (fd < 0 || !S_ISDIR(st.st_mode))
            continue;
        result("chdir", *path, chdir(*path));
        printf("cwd %s\n", getcwd(buffer, sizeof(buffer)));
        result("chdir", "..", chdir(".."));
        printf("cwd %s\n", getcwd(buffer, sizeof(buffer)));
        close(fd);
    }
    return 0;
}

static void open_within(const char *path, unsigned long long resolve)
{
    struct open_how how = {.flags = O_PATH, .resolve = resolve};
    int root = open("/", O_PATH);

    result("openat2", path, syscall(SYS_openat2, root, path + 1, &how, sizeof(how)));
    close(root);
}

/* borders DIR FILE: a mounted directory and a mounted file, and what may not be done to them */
static int borders(const char *dir, const char *file)
{
    char inner[512], beside[512];
    struct stat a, b;
    struct statfs f;

    snprintf(inner, sizeof(inner), "%s/inner", dir);
    snprintf(beside, sizeof(beside), "%s-beside", dir);
    close(open("/tmp/outer", O_CREAT | O_WRONLY, 0644));
    close(open(inner, O_CREAT | O_WRONLY, 0644));
    result("rename in", inner, rename("/tmp/outer", inner));
    result("rename out", inner, rename(inner, "/tmp/outer"));
    result("link in", inner, link("/tmp/outer", inner));
    result("link out", inner, link(inner, "/tmp/link"));
    result("rename", dir, rename(dir, beside));
    result("rename", file, rename(file, beside));
    result("rename over", file, rename("/tmp/outer", file));
    result("exchange", file, renameat2(AT_FDCWD, "/tmp/outer", AT_FDCWD, file, RENAME_EXCHANGE));
    result("rmdir", dir, rmdir(dir));
    result("unlink", dir, unlink(dir));
    result("unlink", file, unlink(file));
    result("mkdir", dir, mkdir(dir, 0755));
    result("symlink", file, symlink("x", file));
    result("stat", dir, stat(dir, &a));
    result("stat", "/", stat("/", &b));
    printf("device %s\n", a.st_dev == b.st_dev ? "same" : "other");
    result("statfs", dir, statfs(dir, &f));
    printf("type %lx\n", (long)f.f_type);
    open_within(dir, RESOLVE_NO_XDEV);
    open_within(file, RESOLVE_NO_XDEV);
    open_within(inner, RESOLVE_NO_XDEV);
    open_within(inner, RESOLVE_BENEATH);
    result("unlink", inner, unlink(inner));
    result("unlink", "/tmp/outer", unlink("/tmp/outer"));
    return 0;
}

/* watch DIR: a watch on a mounted directory sees what happens in it */
static int watch(const char *dir)
{
    int fd = inotify_init1(IN_NONBLOCK);
    char inner[512];
    const struct inotify_event *event = (const void *)buffer;

    result("watch", dir, inotify_add_watch(fd, dir, IN_CREATE));
    snprintf(inner, sizeof(inner), "%s/made", dir);
    close(open(inner, O_CREAT | O_WRONLY, 0644));
    result("read", dir, read(fd, buffer, sizeof(buffer)));
    printf("made %s\n", event->name);
    unlink(inner);
    return 0;
}

int main(int count, char **words)
{
    const char *what = count > 2 ? words[1] : "";

    if (!strcmp(what, "list"))
        return list(words[2], atoi(words[3]), count > 4);
    if (!strcmp(what, "numbers"))
        return numbers(words[2]);
    if (!strcmp(what, "seek"))
        return seek(words[2]);
    if (!strcmp(what, "faults"))
        return faults(words[2]);
    if (!strcmp(what, "end"))
        return end(words[2]);
    if (!strcmp(what, "share"))
        return share(words[2]);
    if (!strcmp(what, "threads"))
        return threads(words[2]);
    if (!strcmp(what, "look"))
        return look(words + 2);
    if (!strcmp(what, "borders"))
        return borders(words[2], words[3]);
    return strcmp(what, "watch") ? 2 : watch(words[2]);
}
