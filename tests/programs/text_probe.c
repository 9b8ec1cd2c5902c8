/* Compares what is told of each argument, a file in the process's directory of /proc, by its name and by descriptors of it, in every way that programs get and ask one.
 *
 * Raw system calls: libraries choose among them. Prints one line an argument: all the ways that agree, or how one does not. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROC_MAGIC 0x9fa0

#ifdef __i386__
#define NAMED SYS_stat64
#define OPENED SYS_fstat64
#define AT SYS_fstatat64
#define STATFS(fd, buffer) syscall(SYS_fstatfs64, fd, sizeof(struct statfs64), buffer)
typedef struct statfs64 statfs_type;
#else
#define NAMED SYS_stat
#define OPENED SYS_fstat
#define AT SYS_newfstatat
#define STATFS(fd, buffer) syscall(SYS_fstatfs, fd, buffer)
typedef struct statfs statfs_type;
#endif

static const char *path;

static int same(const char *how, long result, const struct stat *st)
{
    struct stat named;
    /* (each look-up of a name there makes its inode anew, and that is its time: proc_net_dentry_ops) */
    int timed = !strstr(path, "/net/");

    if (result < 0 || syscall(NAMED, path, &named) < 0) {
        printf(" %s %s", how, strerror(errno));
        return 0;
    }
    if (st->st_dev != named.st_dev || st->st_ino != named.st_ino || st->st_mode != named.st_mode || st->st_size != named.st_size ||
        st->st_nlink != named.st_nlink || st->st_uid != named.st_uid || st->st_gid != named.st_gid || st->st_blocks != named.st_blocks ||
        (timed && (st->st_mtime != named.st_mtime || st->st_ctime != named.st_ctime))) {
        printf(" %s differs: %s %s", how, st->st_dev == named.st_dev ? "inode" : "device", st->st_size ? "size" : "");
        return 0;
    }
    printf(" %s", how);
    return 1;
}

static void ask(const char *how, int fd)
{
    struct stat st;

    for (int i = 0; i < 3; i++) /* a site is led elsewhere at its second stop */
        if (!same(how, syscall(OPENED, fd, &st), &st))
            return;
}

static void ask_at(int fd)
{
    struct statx st;
    struct stat plain, named;

    for (int i = 0; i < 3; i++)
        if (!same("at", syscall(AT, fd, "", &plain, AT_EMPTY_PATH), &plain))
            return;
    syscall(NAMED, path, &named);
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &st) < 0 || st.stx_ino != named.st_ino || st.stx_size)
        printf(" statx differs");
    else
        printf(" statx");
}

static void ask_link(int fd)
{
    char link[64];
    struct stat st;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    same("link", syscall(NAMED, link, &st), &st);
}

static void ask_more(int fd)
{
    statfs_type fs;
    char byte;

    printf(" %s", STATFS(fd, &fs) == 0 && fs.f_type == PROC_MAGIC ? "proc" : "elsewhere");
    printf(" end %s", lseek(fd, 0, SEEK_END) < 0 ? strerror(errno) : "known");
    printf(" chmod %s", fchmod(fd, 0400) < 0 ? strerror(errno) : "done");
    printf(" truncate %s", ftruncate(fd, 0) < 0 ? strerror(errno) : "done");
    printf(" write %s", write(fd, "x", 1) < 0 ? strerror(errno) : "done");
    printf(" %s", lseek(fd, 1, SEEK_SET) == 1 && read(fd, &byte, 1) == 1 ? "text" : "nothing");
}

/* A thread that was there before the file was opened. */
static void *ask_in_thread(void *from)
{
    int fd;

    if (read(*(int *)from, &fd, sizeof(fd)) == sizeof(fd))
        ask("thread", fd);
    return NULL;
}

static void ask_in_child(int fd)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        ask("child", fd);
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
}

/* A process that was there before the file was opened gets the descriptor in a message. */
static pid_t receiver(int *to)
{
    int pair[2], fd;
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    pid_t child;

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    fflush(stdout);
    if ((child = fork()) == 0) {
        if (read(pair[1], &byte, 1) != 1 || recvmsg(pair[1], &message, 0) != 1)
            _exit(1);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
        ask("sent", fd);
        fflush(stdout);
        _exit(0);
    }
    *to = pair[0];
    close(pair[1]);
    return child;
}

static void send_to(int to, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {"x", 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    if (write(to, "x", 1) != 1 || sendmsg(to, &message, 0) != 1)
        printf(" not sent");
    close(to);
}

static void ask_all(char **argv)
{
    int fd, copy, to, pipes[2];
    pid_t child = receiver(&to);
    pthread_t thread;
    struct stat st;
    char number[16];

    if (pipe(pipes) < 0 || pthread_create(&thread, NULL, ask_in_thread, &pipes[0]))
        return;
    printf("%s:", strrchr(path, '/'));
    if ((fd = open(path, O_RDONLY)) < 0) {
        printf(" %s\n", strerror(errno));
        return;
    }
    ask("opened", fd);
    copy = dup(fd);
    ask("copied", copy);
    dup2(fd, 0);
    ask("moved", 0);
    ask_at(fd);
    ask_link(fd);
    ask_more(fd);
    if (write(pipes[1], &copy, sizeof(copy)) != sizeof(copy))
        printf(" no thread");
    pthread_join(thread, NULL);
    fflush(stdout);
    ask_in_child(fd);
    send_to(to, fd);
    waitpid(child, NULL, 0);
    /* of another kind: nothing is said of it that is not so */
    printf(" %s", syscall(OPENED, pipes[0], &st) == 0 && S_ISFIFO(st.st_mode) ? "pipe" : "no pipe");
    fflush(stdout);
    if ((child = fork()) == 0) {
        snprintf(number, sizeof(number), "%d", fd);
        execl(argv[0], argv[0], "-d", number, path, NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    printf("\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "-d") == 0) {
        path = argv[3];
        ask("exec", atoi(argv[2]));
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        static char own[256];

        /* ("self" would be another one in a child) */
        snprintf(own, sizeof(own), "/proc/%d/%s", (int)getpid(), argv[i]);
        path = own;
        ask_all(argv);
    }
    return 0;
}
