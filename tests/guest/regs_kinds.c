/* The calls that are probed: one row each, with the result of a real chroot.
 *
 * The tree: /regs is this program, /w a directory of ours, /b a bound directory, /file a file with a file bound over it, /proc bound.
 * Every file holds its own name, so that a call which opened another one is found out. */
#include "regs.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static void make_file(const char *path, const char *text, int mode)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        exit(97);
    close(fd);
}

/* Make /w as every probe expects it, and make it the working directory. */
void reset_tree(void)
{
    static const char *const made[] = {"x", "y", "z", "srv", "dg", "peer", "x/y", "d/x", "up", "lf", "ld", "abs", "dang", "loop", "fifo", 0};
    if (chdir("/w"))
        exit(96);
    for (const char *const *name = made; *name; name++)
        if (unlink(*name) && rmdir(*name))
            continue;
    mkdir("d", 0755);
    make_file("f", "w:f", 0644);
    make_file("d/f", "w:d/f", 0644);
    make_file("bad", "w:bad", 0755);
    make_file("script", "#!/nowhere/at/all\n", 0755);
    setxattr("f", "user.k", "v", 1, 0);
    if (symlink("f", "lf") || symlink("d", "ld") || symlink("/w/d/f", "abs") || symlink("../w/f", "up") ||
        symlink("missing", "dang") || symlink("loop", "loop") || mkfifo("fifo", 0600))
        exit(95);
}

void close_all(void) { syscall(SYS_close_range, 3, ~0u, 0); }

static int holds(int fd, const char *text)
{
    char got[32] = {0};
    ssize_t n = pread(fd, got, sizeof got - 1, 0);
    close(fd);
    return n < 0 || strcmp(got, text);
}

static int opened_wf(long fd) { return holds(fd, "w:f"); }
static int opened_wdf(long fd) { return holds(fd, "w:d/f"); }
static int opened_bf(long fd) { return holds(fd, "b:f"); }
static int opened_file(long fd) { return holds(fd, "b:file"); }
static int opened_x(long fd) { return close(fd) || access("/w/x", F_OK); }
static int closed(long fd) { return close(fd); }
static int made_x(long r) { return r || access("/w/x", F_OK); }
static int moved_x(long r) { return holds(open("/w/x", O_RDONLY), "w:f") || r || access("/w/f", F_OK) == 0; }
static int linked_x(long r) { return r || holds(open("/w/x", O_RDONLY), "w:f"); }
static int gone_f(long r) { return r || access("/w/f", F_OK) == 0; }
static int gone_lf(long r) { return r || readlink("/w/lf", (char[8]){0}, 8) >= 0 || access("/w/f", F_OK); }
static int cut_f(long r)
{
    struct stat st;
    return r || stat("/w/f", &st) || st.st_size != 1;
}
static int went_to_d(long r) { return r || holds(open("f", O_RDONLY), "w:d/f"); }
static int link_says(long r)
{
    char text[16] = {0};
    return r || readlink("/w/x", text, sizeof text) != 6 || strcmp(text, "/w/d/f");
}
static int bound_x(long r)
{
    struct stat st;
    return r || lstat("/w/x", &st) || !S_ISSOCK(st.st_mode);
}

static const struct sockaddr_un at_x = {AF_UNIX, "/w/x"}, at_srv = {AF_UNIX, "/w/srv"}, at_dg = {AF_UNIX, "/w/dg"},
                                at_peer = {AF_UNIX, "peer"}, at_none = {AF_UNIX, "/w/ld/../none"}, at_rel = {AF_UNIX, "ld/../srv"};
#define ADDRESS(a, type, text) {type, &a, 2 + sizeof text}

static int open_d(void) { return open("/w/d", O_PATH | O_DIRECTORY); }
static int open_f(void) { return open("/w/f", O_RDWR); }
static int open_b(void) { return open("/b/d", O_RDONLY | O_DIRECTORY); }
static int open_nine(void) { return dup2(open("/w/ld/f", O_RDONLY), 9); }
static int stream(void) { return socket(AF_UNIX, SOCK_STREAM, 0); }
static int datagram(void) { return socket(AF_UNIX, SOCK_DGRAM, 0); }
static int notifier(void) { return inotify_init1(0); }
static int fanotifier(void) { return fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, 0); }
static int bound_to(int fd, const struct sockaddr_un *address)
{
    if (bind(fd, (const void *)address, 3 + strlen(address->sun_path)))
        exit(94);
    return fd;
}
static int listener(void)
{
    int fd = bound_to(stream(), &at_srv);
    listen(fd, 5);
    return fd;
}
static int with_listener(void) { return listener(), stream(); }
static int with_receiver(void) { return bound_to(datagram(), &at_dg), datagram(); }
static int bound_socket(void) { return bound_to(datagram(), &at_peer); }
static int with_caller(void)
{
    int server = listener(), client = bound_to(stream(), &at_peer);
    connect(client, (const void *)&at_srv, sizeof at_srv);
    return server;
}
static int with_mail(void)
{
    int receiver = bound_to(datagram(), &at_dg), sender = bound_socket();
    sendto(sender, "text", 4, 0, (const void *)&at_dg, sizeof at_dg);
    return receiver;
}
static int connected(void)
{
    int client = with_listener();
    connect(client, (const void *)&at_srv, sizeof at_srv);
    return client;
}

static char *const words[] = {"word", NULL};
static const struct open_how how_plain = {O_RDONLY, 0, 0}, how_root = {O_RDONLY, 0, RESOLVE_IN_ROOT},
                             how_beneath = {O_RDONLY, 0, RESOLVE_BENEATH}, how_nolinks = {O_RDONLY, 0, RESOLVE_NO_SYMLINKS},
                             how_create = {O_RDWR | O_CREAT, 0600, 0}, how_wrong = {O_RDONLY, 0, 1ull << 40};
static const uint32_t handle[4] = {8, 1, 2, 0}; /* 8 bytes, type 1: inode 2 of the file system */
static char long_path[4096], overlong_path[4097];

__attribute__((constructor)) static void fill_long_paths(void)
{
    for (int i = 0; i < 4090; i += 2)
        memcpy(long_path + i, "./", 2);
    strcpy(long_path + 4090, "lf");
    memset(overlong_path, '/', 4096);
}

#define P(text) {PATH, text, 0}
#define N(value) {NUMBER, 0, value}
#define CWD N(AT_FDCWD)
#define FD {PREPARED, 0, 0}
#define OUTPUT {BUFFER, 0, 0}
#define DATA(object) {BYTES, &object, sizeof object}
#define WORDS {BYTES, words, sizeof words}

const struct kind kinds[] = {
    /* name, number, arguments, result, result under pyroot, prepare, verify, safe in many threads */
    {"stat", SYS_stat, {P("/w/f"), OUTPUT}, 0, 0, 0, 0, 1},
    {"stat-link", SYS_stat, {P("/w/ld/../abs"), OUTPUT}, 0, 0, 0, 0, 1},
    {"stat-relative", SYS_stat, {P("d/../lf"), OUTPUT}, 0, 0, 0, 0, 1},
    {"stat-binding", SYS_stat, {P("/b/d/../../w/f"), OUTPUT}, 0, 0, 0, 0, 1},
    {"stat-missing", SYS_stat, {P("/w/none"), OUTPUT}, -ENOENT, 0, 0, 0, 1},
    {"stat-loop", SYS_stat, {P("/w/loop"), OUTPUT}, -ELOOP, 0, 0, 0, 1},
    {"stat-not-a-directory", SYS_stat, {P("/w/f/"), OUTPUT}, -ENOTDIR, 0, 0, 0, 1},
    {"stat-bad-pointer", SYS_stat, {{BAD_POINTER, 0, 0}, OUTPUT}, -EFAULT, 0, 0, 0, 1},
    {"stat-bad-result-pointer", SYS_stat, {P("/w/f"), {BAD_POINTER, 0, 0}}, -EFAULT, 0, 0, 0, 1},
    {"stat-long", SYS_stat, {P(long_path), OUTPUT}, 0, 0, 0, 0, 1},
    {"stat-overlong", SYS_stat, {P(overlong_path), OUTPUT}, -ENAMETOOLONG, 0, 0, 0, 1},
    {"stat-empty", SYS_stat, {P(""), OUTPUT}, -ENOENT, 0, 0, 0, 1},
    {"lstat", SYS_lstat, {P("/w/lf"), OUTPUT}, 0, 0, 0, 0, 1},
    {"open", SYS_open, {P("/w/f"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wf, 1},
    {"open-link", SYS_open, {P("abs"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wdf, 1},
    {"open-bound-directory", SYS_open, {P("/b/lf"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_bf, 1},
    {"open-out-of-binding", SYS_open, {P("/b/out"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wf, 1},
    {"open-bound-file", SYS_open, {P("/file"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_file, 1},
    {"open-create", SYS_open, {P("/w/x"), N(O_CREAT | O_WRONLY), N(0600)}, SUCCESS, 0, 0, opened_x, 0},
    {"open-nofollow", SYS_open, {P("/w/lf"), N(O_RDONLY | O_NOFOLLOW)}, -ELOOP, 0, 0, 0, 1},
    {"creat", SYS_creat, {P("x"), N(0600)}, SUCCESS, 0, 0, opened_x, 0},
    {"access", SYS_access, {P("/w/ld/f"), N(R_OK)}, 0, 0, 0, 0, 1},
    {"truncate", SYS_truncate, {P("/w/lf"), N(1)}, 0, 0, 0, cut_f, 0},
    {"chmod", SYS_chmod, {P("/w/lf"), N(0640)}, 0, 0, 0, 0, 0},
    {"chown", SYS_chown, {P("/w/lf"), N(-1), N(-1)}, 0, 0, 0, 0, 0},
    {"lchown", SYS_lchown, {P("/w/lf"), N(-1), N(-1)}, 0, 0, 0, 0, 0},
    {"utime", SYS_utime, {P("/w/f"), N(0)}, 0, 0, 0, 0, 0},
    {"utimes", SYS_utimes, {P("/w/f"), N(0)}, 0, 0, 0, 0, 0},
    {"statfs", SYS_statfs, {P("/w/f"), OUTPUT}, 0, 0, 0, 0, 1},
    {"mknod", SYS_mknod, {P("/w/x"), N(S_IFIFO | 0600), N(0)}, 0, 0, 0, made_x, 0},
    {"mkdir", SYS_mkdir, {P("/w/x/"), N(0700)}, 0, 0, 0, made_x, 0},
    {"rmdir", SYS_rmdir, {P("/w/d"), }, -ENOTEMPTY, 0, 0, 0, 0},
    {"unlink", SYS_unlink, {P("/w/f")}, 0, 0, 0, gone_f, 0},
    {"unlink-link", SYS_unlink, {P("ld/../lf")}, 0, 0, 0, gone_lf, 0},
    {"readlink", SYS_readlink, {P("/w/abs"), OUTPUT, N(100)}, 6, 0, 0, 0, 1},
    {"symlink", SYS_symlink, {P("/w/d/f"), P("/w/x")}, 0, 0, 0, link_says, 0},
    {"link", SYS_link, {P("/w/f"), P("d/../x")}, 0, 0, 0, linked_x, 0},
    {"rename", SYS_rename, {P("/w/f"), P("/w/ld/../x")}, 0, 0, 0, moved_x, 0},
    {"rename-across-binding", SYS_rename, {P("/w/f"), P("/b/x")}, -EXDEV, 0, 0, 0, 0},
    {"rename-missing", SYS_rename, {P("/w/none"), P("/w/x")}, -ENOENT, 0, 0, 0, 1},
    {"inotify_add_watch", SYS_inotify_add_watch, {FD, P("/w/lf"), N(IN_OPEN)}, 1, 0, notifier, 0, 0},
    {"chroot", SYS_chroot, {P("/w/d")}, -EPERM, 0, 0, 0, 0},
    {"mount", SYS_mount, {P("/w"), P("/w/d"), P("ext4"), N(MS_BIND), N(0)}, -EPERM, 0, 0, 0, 0},
    {"umount2", SYS_umount2, {P("/w/d"), N(0)}, -EPERM, 0, 0, 0, 0},
    {"pivot_root", SYS_pivot_root, {P("/w"), P("/w/d")}, -EPERM, 0, 0, 0, 0},
    {"swapon", SYS_swapon, {P("/w/f"), N(0)}, -EPERM, 0, 0, 0, 0},
    {"acct", SYS_acct, {P("/w/f")}, -EPERM, 0, 0, 0, 0},

    /* relative to a directory fd */
    {"openat-cwd", SYS_openat, {CWD, P("lf"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wf, 1},
    {"openat", SYS_openat, {FD, P("../ld/f"), N(O_RDONLY)}, SUCCESS, 0, open_d, opened_wdf, 1},
    {"openat-absolute", SYS_openat, {N(-77), P("/w/f"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wf, 1},
    {"openat-bad-fd", SYS_openat, {N(-77), P("f"), N(O_RDONLY)}, -EBADF, 0, 0, 0, 1},
    {"openat-out-of-binding", SYS_openat, {FD, P("../../w/f"), N(O_RDONLY)}, SUCCESS, 0, open_b, opened_wf, 1},
    {"newfstatat", SYS_newfstatat, {FD, P("../lf"), OUTPUT, N(0)}, 0, 0, open_d, 0, 1},
    {"newfstatat-empty", SYS_newfstatat, {FD, P(""), OUTPUT, N(AT_EMPTY_PATH)}, 0, 0, open_d, 0, 1},
    {"statx", SYS_statx, {FD, P("../lf"), N(0), N(0x7ff), OUTPUT}, 0, 0, open_d, 0, 1},
    {"faccessat", SYS_faccessat, {FD, P("f"), N(R_OK)}, 0, 0, open_d, 0, 1},
    {"faccessat2", SYS_faccessat2, {FD, P("../up"), N(R_OK), N(AT_EACCESS)}, 0, 0, open_d, 0, 1},
    {"fchmodat", SYS_fchmodat, {FD, P("../f"), N(0640)}, 0, 0, open_d, 0, 0},
    {"fchmodat2", 452, {FD, P("../f"), N(0640), N(0)}, ANY, 0, open_d, 0, 0},
    {"fchownat", SYS_fchownat, {FD, P("../f"), N(-1), N(-1), N(AT_SYMLINK_NOFOLLOW)}, 0, 0, open_d, 0, 0},
    {"utimensat", SYS_utimensat, {FD, P("../f"), N(0), N(0)}, 0, 0, open_d, 0, 0},
    {"futimesat", SYS_futimesat, {FD, P("../f"), N(0)}, 0, 0, open_d, 0, 0},
    {"mkdirat", SYS_mkdirat, {FD, P("../x"), N(0700)}, 0, 0, open_d, made_x, 0},
    {"mknodat", SYS_mknodat, {FD, P("../x"), N(S_IFIFO | 0600), N(0)}, 0, 0, open_d, made_x, 0},
    {"unlinkat", SYS_unlinkat, {FD, P("../f"), N(0)}, 0, 0, open_d, gone_f, 0},
    {"readlinkat", SYS_readlinkat, {FD, P("../abs"), OUTPUT, N(3)}, 3, 0, open_d, 0, 1},
    {"symlinkat", SYS_symlinkat, {P("/w/d/f"), FD, P("../x")}, 0, 0, open_d, link_says, 0},
    {"linkat", SYS_linkat, {FD, P("../lf"), CWD, P("x"), N(AT_SYMLINK_FOLLOW)}, 0, 0, open_d, linked_x, 0},
    {"renameat", SYS_renameat, {CWD, P("f"), FD, P("../x")}, 0, 0, open_d, moved_x, 0},
    {"renameat2", SYS_renameat2, {FD, P("../f"), CWD, P("/w/x"), N(1)}, 0, 0, open_d, moved_x, 0},
    {"renameat2-noreplace", SYS_renameat2, {FD, P("../f"), CWD, P("/w/lf"), N(1)}, -EEXIST, 0, open_d, 0, 0},
    {"name_to_handle_at", SYS_name_to_handle_at, {CWD, P("/w/f"), OUTPUT, {BUFFER, 0, 512}, N(0)}, ANY, 0, 0, 0, 0},
    {"fanotify_mark", SYS_fanotify_mark, {FD, N(FAN_MARK_ADD), N(FAN_OPEN), CWD, P("/w/lf")}, ANY, 0, fanotifier, 0, 0},
    {"open_tree", 428, {CWD, P("/w/f"), N(0)}, ANY, 0, 0, 0, 0},

    /* struct open_how */
    {"openat2", SYS_openat2, {CWD, P("/w/ld/f"), DATA(how_plain), N(24)}, SUCCESS, 0, 0, opened_wdf, 1},
    {"openat2-create", SYS_openat2, {CWD, P("/w/x"), DATA(how_create), N(24)}, SUCCESS, 0, 0, opened_x, 0},
    {"openat2-in-root", SYS_openat2, {FD, P("/../f"), DATA(how_root), N(24)}, SUCCESS, 0, open_d, opened_wdf, 1},
    {"openat2-beneath", SYS_openat2, {FD, P("./f"), DATA(how_beneath), N(24)}, SUCCESS, 0, open_d, opened_wdf, 1},
    {"openat2-beneath-refused", SYS_openat2, {FD, P("../f"), DATA(how_beneath), N(24)}, -EXDEV, 0, open_d, 0, 1},
    {"openat2-no-links", SYS_openat2, {CWD, P("/w/ld/f"), DATA(how_nolinks), N(24)}, -ELOOP, 0, 0, 0, 1},
    {"openat2-wrong", SYS_openat2, {CWD, P("/w/f"), DATA(how_wrong), N(24)}, -EINVAL, 0, 0, 0, 1},

    /* sockaddr and msghdr */
    {"bind", SYS_bind, {FD, ADDRESS(at_x, BYTES, "/w/x"), N(7)}, 0, 0, stream, bound_x, 0},
    {"connect", SYS_connect, {FD, ADDRESS(at_srv, BYTES, "/w/srv"), N(9)}, 0, 0, with_listener, 0, 0},
    {"connect-relative", SYS_connect, {FD, ADDRESS(at_rel, BYTES, "ld/../srv"), N(12)}, 0, 0, with_listener, 0, 0},
    {"connect-missing", SYS_connect, {FD, ADDRESS(at_none, BYTES, "/w/ld/../none"), N(16)}, -ENOENT, 0, stream, 0, 0},
    {"sendto", SYS_sendto, {FD, {BYTES, "text", 4}, N(4), N(0), ADDRESS(at_dg, BYTES, "/w/dg"), N(8)}, 4, 0, with_receiver, 0, 0},
    {"sendmsg", SYS_sendmsg, {FD, ADDRESS(at_dg, MESSAGE, "/w/dg"), N(0)}, 4, 0, with_receiver, 0, 0},
    {"sendmsg-missing", SYS_sendmsg, {FD, ADDRESS(at_none, MESSAGE, "/w/ld/../none"), N(0)}, -ENOENT, 0, datagram, 0, 0},
    {"getsockname", SYS_getsockname, {FD, OUTPUT, {LENGTH, 0, 110}}, 0, 0, bound_socket, 0, 0},
    {"getpeername", SYS_getpeername, {FD, OUTPUT, {LENGTH, 0, 5}}, 0, 0, connected, 0, 0},
    {"accept", SYS_accept, {FD, OUTPUT, {LENGTH, 0, 110}}, SUCCESS, 0, with_caller, closed, 0},
    {"accept4", SYS_accept4, {FD, OUTPUT, {LENGTH, 0, 3}, N(SOCK_CLOEXEC)}, SUCCESS, 0, with_caller, closed, 0},
    {"recvfrom", SYS_recvfrom, {FD, OUTPUT, N(100), N(0), {BUFFER, 0, 1024}, {LENGTH, 0, 110}}, 4, 0, with_mail, 0, 0},

    /* answered by the supervisor, or refused by it */
    {"getcwd", SYS_getcwd, {OUTPUT, N(4096)}, 3, 0, 0, 0, 1},
    {"getcwd-short", SYS_getcwd, {OUTPUT, N(2)}, -ERANGE, 0, 0, 0, 1},
    {"chdir", SYS_chdir, {P("/b/../w/ld")}, 0, 0, 0, went_to_d, 0},
    {"chdir-not-a-directory", SYS_chdir, {P("/w/f")}, -ENOTDIR, 0, 0, 0, 1},
    {"fchdir", SYS_fchdir, {FD}, 0, 0, open_d, went_to_d, 0},
    {"readlink-exe", SYS_readlink, {P("/proc/self/exe"), OUTPUT, N(100)}, 5, 0, 0, 0, 1},
    {"readlink-cwd", SYS_readlink, {P("/proc/self/cwd"), OUTPUT, N(100)}, 2, 0, 0, 0, 1},
    {"readlink-root", SYS_readlink, {P("/proc/self/root"), OUTPUT, N(100)}, 1, 0, 0, 0, 1},
    {"readlink-fd", SYS_readlink, {P("/proc/self/fd/9"), OUTPUT, N(100)}, 6, 0, open_nine, 0, 0},
    {"open-through-cwd", SYS_open, {P("/proc/self/cwd/lf"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wf, 1},
    {"open-through-root", SYS_open, {P("/proc/self/root/w/abs"), N(O_RDONLY)}, SUCCESS, 0, 0, opened_wdf, 1},
    {"open-through-fd", SYS_open, {P("/proc/self/fd/9"), N(O_RDONLY)}, SUCCESS, 0, open_nine, opened_wdf, 0},
    {"io_uring_setup", 425, {N(1), N(0)}, ANY, -ENOSYS, 0, 0, 1},
    {"open_by_handle_at", SYS_open_by_handle_at, {CWD, DATA(handle), N(0)}, ANY, -EPERM, 0, 0, 1},
    {"statmount", 457, {N(0), OUTPUT, N(100), N(0)}, ANY, -ENOSYS, 0, 0, 1},
    {"unknown-call", 1000, {N(0)}, -ENOSYS, 0, 0, 0, 1},
    {"x32-stat", 0x40000000 + SYS_stat, {P("/w/f"), OUTPUT}, -ENOSYS, 0, 0, 0, 1},

    /* execve that fails */
    {"execve-missing", SYS_execve, {P("/w/none"), WORDS, N(0)}, -ENOENT, 0, 0, 0, 1},
    {"execve-no-permission", SYS_execve, {P("/w/lf"), WORDS, N(0)}, -EACCES, 0, 0, 0, 1},
    {"execve-format", SYS_execve, {P("/w/bad"), WORDS, N(0)}, -ENOEXEC, 0, 0, 0, 1},
    {"execve-interpreter", SYS_execve, {P("/w/script"), WORDS, N(0)}, -ENOENT, 0, 0, 0, 1},
    {"execve-not-a-directory", SYS_execve, {P("f/x"), WORDS, N(0)}, -ENOTDIR, 0, 0, 0, 1},
    {"execve-bad-words", SYS_execve, {P("/regs"), {BAD_POINTER, 0, 0}, N(0)}, -EFAULT, 0, 0, 0, 1},
    {"execveat", SYS_execveat, {FD, P("../f"), WORDS, N(0), N(0)}, -EACCES, 0, open_d, 0, 0},
    {"execveat-nofollow", SYS_execveat, {CWD, P("/w/lf"), WORDS, N(0), N(AT_SYMLINK_NOFOLLOW)}, -ELOOP, 0, 0, 0, 1},
    {"execveat-fd", SYS_execveat, {FD, P(""), WORDS, N(0), N(AT_EMPTY_PATH)}, -EACCES, 0, open_f, 0, 0},

    /* extended attributes; not every file system has them */
    {"setxattr", SYS_setxattr, {P("/w/lf"), {BYTES, "user.n", 7}, {BYTES, "v", 2}, N(1), N(0)}, ANY, 0, 0, 0, 0},
    {"getxattr", SYS_getxattr, {P("/w/lf"), {BYTES, "user.k", 7}, OUTPUT, N(100)}, ANY, 0, 0, 0, 1},
    {"listxattr", SYS_listxattr, {P("/w/f"), OUTPUT, N(100)}, ANY, 0, 0, 0, 1},
    {"removexattr", SYS_removexattr, {P("/w/f"), {BYTES, "user.k", 7}}, ANY, 0, 0, 0, 0},
    {"lgetxattr", SYS_lgetxattr, {P("/w/lf"), {BYTES, "user.k", 7}, OUTPUT, N(100)}, ANY, 0, 0, 0, 1},
    {"listxattrat", 465, {CWD, P("/w/f"), N(0), OUTPUT, N(100)}, ANY, 0, 0, 0, 1},
    {"file_getattr", 468, {CWD, P("/w/f"), OUTPUT, N(24), N(0)}, ANY, 0, 0, 0, 1},
};
const size_t kind_count = sizeof kinds / sizeof *kinds;
