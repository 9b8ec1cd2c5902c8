/* Changes of owner and mode: those that leave no record are made in the gate, the others are not; what is seen afterwards is the same. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SITE(name, number) \
    long site_##name(long, long, long, long, long); \
    __asm__(".text; .p2align 5; .skip 8, 0x90; site_" #name ": mov %rcx, %r10; mov $" #number ", %eax; syscall; ret");

SITE(fchmod, 91)
SITE(fchown, 93)
SITE(lchown, 94)
SITE(fchownat, 260)

static int bad;

static void expect(const char *what, long result, long wanted, const char *name, unsigned uid, unsigned gid, unsigned mode)
{
    struct stat st = {0};
    if (lstat(name, &st) < 0) perror(name);
    if (result == wanted && st.st_uid == uid && st.st_gid == gid && (st.st_mode & 07777) == mode) return;
    printf("BAD %s: %ld, %u:%u %o\n", what, result, st.st_uid, st.st_gid, st.st_mode);
    bad++;
}

int main(void)
{
    static const unsigned modes[] = {0640, 0600, 0755, 01700, 0711, 0666};
    unsigned mode = 0644;
    long result;
    int fd = open("k", O_RDWR | O_CREAT, 0644), dir, path = open("k", O_PATH);
    if (mkdir("kd", 0755) < 0 || symlink("k", "kl") < 0 || (dir = open("kd", O_RDONLY)) < 0) return 2;
    fchmod(fd, 0644);
    for (int i = 0; i < 300; i++) {
        result = site_fchownat(AT_FDCWD, (long)"k", i % 3 ? 0 : -1, i % 2 ? 0 : -1, AT_SYMLINK_NOFOLLOW);
        expect("fchownat", result, 0, "k", 0, 0, mode);
        expect("lchown", site_lchown((long)"kl", 0, 0, 0, 0), 0, "kl", 0, 0, 0777);
        expect("fchown", site_fchown(fd, 0, -1, 0, 0), 0, "k", 0, 0, mode);
        mode = modes[i % 6];
        expect("fchmod", site_fchmod(fd, mode, 0, 0, 0), 0, "k", 0, 0, mode);
        expect("of a directory", site_fchmod(dir, i % 2 ? 0700 : 0755, 0, 0, 0), 0, "kd", 0, 0, i % 2 ? 0700 : 0755);
    }
    puts("plain");
    expect("missing", site_fchownat(AT_FDCWD, (long)"none", 0, 0, AT_SYMLINK_NOFOLLOW), -ENOENT, "k", 0, 0, mode);
    expect("O_PATH", site_fchown(path, 0, 0, 0, 0), -EBADF, "k", 0, 0, mode);
    expect("O_PATH", site_fchmod(path, 0600, 0, 0, 0), -EBADF, "k", 0, 0, mode);
    expect("closed", site_fchown(99, 0, 0, 0, 0), -EBADF, "k", 0, 0, mode);
    expect("none", site_fchmod(-100, 0, 0, 0, 0), -EBADF, "k", 0, 0, mode);
    expect("group", site_fchmod(dir, 02755, 0, 0, 0), 0, "kd", 0, 0, 02755);
    expect("closed", site_fchmod(dir, 0, 0, 0, 0), 0, "kd", 0, 0, 0);
    expect("its owner", site_fchown(dir, 0, 0, 0, 0), 0, "kd", 0, 0, 0);
    expect("set-id", site_fchmod(fd, 06755, 0, 0, 0), 0, "k", 0, 0, 06755);
    expect("same owner", site_fchown(fd, 0, 0, 0, 0), 0, "k", 0, 0, 0755);
    expect("another", site_fchown(fd, 5, 6, 0, 0), 0, "k", 5, 6, 0755);
    expect("as it is", site_fchown(fd, -1, -1, 0, 0), 0, "k", 5, 6, 0755);
    expect("mode", site_fchmod(fd, 0640, 0, 0, 0), 0, "k", 5, 6, 0640);
    expect("group alone", site_fchownat(AT_FDCWD, (long)"k", -1, 0, AT_SYMLINK_NOFOLLOW), 0, "k", 5, 0, 0640);
    expect("back", site_fchownat(AT_FDCWD, (long)"k", 0, -1, AT_SYMLINK_NOFOLLOW), 0, "k", 0, 0, 0640);
    expect("000", site_fchmod(fd, 0, 0, 0, 0), 0, "k", 0, 0, 0);
    expect("again", site_fchmod(fd, 0644, 0, 0, 0), 0, "k", 0, 0, 0644);
    if (seteuid(500)) return 3;
    expect("no owner", site_fchown(fd, 0, 0, 0, 0), -EPERM, "k", 0, 0, 0644);
    expect("nor mode", site_fchmod(fd, 0600, 0, 0, 0), -EPERM, "k", 0, 0, 0644);
    expect("by name", site_fchownat(AT_FDCWD, (long)"k", 0, 0, AT_SYMLINK_NOFOLLOW), -EPERM, "k", 0, 0, 0644);
    printf("done %d\n", bad);
    return bad != 0;
}
