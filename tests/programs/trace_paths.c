/* Calls that take a path and few programs make: what `pyroot trace` writes of them is compared, with strace ("known") or a text ("newer"). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH "plain"

static void known(void) {
    struct { unsigned size; int type; unsigned char data[128]; } handle = {128, 0, {0}};
    int mount = 0;
    unsigned long long limits[9] = {1, 2, 3, 4, 5, 6, 7, 8, 1}, info[3] = {9, 10, 1};
    unsigned on = 3, whose = 4;
    unsigned char xfs[112] = {1, 2, 4};
    close(open(PATH, O_CREAT | O_WRONLY, 0666));
    syscall(SYS_name_to_handle_at, AT_FDCWD, PATH, &handle, &mount, 0);
    syscall(SYS_name_to_handle_at, AT_FDCWD, "none", &handle, &mount, AT_SYMLINK_FOLLOW);
    handle.size = 1;
    syscall(SYS_name_to_handle_at, AT_FDCWD, PATH, &handle, &mount, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH);
    syscall(SYS_name_to_handle_at, AT_FDCWD, PATH, NULL, &mount, 0);
    close(syscall(SYS_open_tree, AT_FDCWD, PATH, O_CLOEXEC));
    syscall(SYS_open_tree, AT_FDCWD, PATH, 1 | AT_RECURSIVE);
    syscall(SYS_open_tree, AT_FDCWD, "none", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH);
#ifdef __i386__
    char old[32];
    syscall(SYS_fanotify_mark, -1, 0x85, 0x48000020, 1, AT_FDCWD, PATH);
    syscall(SYS_fanotify_mark, -1, 0x11, 0x20, 0, -1, PATH);
    syscall(SYS_oldstat, PATH, old), syscall(SYS_oldlstat, "none", old), syscall(SYS_oldfstat, -1, old);
    syscall(SYS_umount, "none");
#else
    syscall(SYS_fanotify_mark, -1, 0x85, 0x148000020, AT_FDCWD, PATH);
    syscall(SYS_fanotify_mark, -1, 0x11, 0x20, -1, PATH);
#endif
    syscall(SYS_quotactl, 0x80000100, "/dev/none", 0, NULL);         /* Q_SYNC, USRQUOTA */
    syscall(SYS_quotactl, 0x80000201, "/dev/none", 2, PATH);         /* Q_QUOTAON, GRPQUOTA */
    syscall(SYS_quotactl, 0x80000302, "/dev/none", 2, PATH);         /* Q_QUOTAOFF, PRJQUOTA */
    syscall(SYS_quotactl, 0x80000400, NULL, 1, limits);              /* Q_GETFMT */
    syscall(SYS_quotactl, 0x80000600, "/dev/none", 1, info);         /* Q_SETINFO */
    syscall(SYS_quotactl, 0x80000700, "/dev/none", 1000, limits);    /* Q_GETQUOTA */
    syscall(SYS_quotactl, 0x80000800, "/dev/none", -1, limits);      /* Q_SETQUOTA */
    syscall(SYS_quotactl, 0x580100, "/dev/none", 0, &on);            /* Q_XQUOTAON */
    syscall(SYS_quotactl, 0x580400, "/dev/none", 7, xfs);            /* Q_XSETQLIM */
    syscall(SYS_quotactl, 0x580600, "/dev/none", 0, &whose);         /* Q_XQUOTARM */
    syscall(SYS_quotactl, 0x12345677, "/dev/none", 5, limits);
    syscall(SYS_swapon, "none", 0x18005), syscall(SYS_swapon, "none", 0), syscall(SYS_swapoff, "none");
}

static void newer(void) {
    struct { unsigned long long value; unsigned size, flags; } value = {0, 0, 0};
    struct { unsigned long long flags; unsigned extent, extents, project, cow; } attributes = {0};
    unsigned long long mount[5] = {0x11, 0x10, 0x40000, 0, 1};
    char list[64];
    close(open(PATH, O_CREAT | O_WRONLY, 0666));
    symlink(PATH, "link");
    syscall(452, AT_FDCWD, PATH, 0600, 0);                                     /* fchmodat2 */
    syscall(452, AT_FDCWD, "link", 0640, AT_SYMLINK_NOFOLLOW);
    value.value = (unsigned long)"some text", value.size = 9, value.flags = 1;
    syscall(463, AT_FDCWD, PATH, 0, "user.a", &value, sizeof value);           /* setxattrat */
    value.value = (unsigned long)list, value.size = sizeof list, value.flags = 0;
    syscall(464, AT_FDCWD, PATH, 0, "user.a", &value, sizeof value);           /* getxattrat */
    syscall(464, AT_FDCWD, "none", AT_SYMLINK_NOFOLLOW, "user.a", NULL, 0L);
    syscall(465, AT_FDCWD, PATH, AT_SYMLINK_NOFOLLOW, list, sizeof list);      /* listxattrat */
    syscall(466, AT_FDCWD, PATH, 0, "user.a");                                 /* removexattrat */
    syscall(467, AT_FDCWD, PATH, 1, mount, 32L);                               /* open_tree_attr */
    syscall(467, AT_FDCWD, PATH, 1, mount, 40L);
    syscall(468, AT_FDCWD, PATH, &attributes, 24L, 0);                         /* file_getattr */
    attributes.flags = 0x80, attributes.project = 0x10;
    syscall(469, AT_FDCWD, "none", &attributes, 24L, AT_SYMLINK_NOFOLLOW);     /* file_setattr */
    syscall(469, AT_FDCWD, "none", &attributes, 8L, 0);
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) strcmp(words[i], "known") == 0 ? known() : newer();
    return 0;
}
