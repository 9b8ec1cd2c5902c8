/* Which mount each argument lies on, asked in every way: statx(2) by path and by descriptor, name_to_handle_at(2).
 *
 * Prints for each the mount point that /proc/self/mountinfo has for the number ("-": none), and whether it is the top of a mount. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MNT_ID 0x1000
#define MNT_ID_UNIQUE 0x4000
#define MOUNT_ROOT 0x2000

static const char *mounted(long number)
{
    static char line[4096], point[4096];
    FILE *file = fopen("/proc/self/mountinfo", "r");
    long id;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%ld %*d %*s %*s %4095s", &id, point) == 2 && id == number) {
            fclose(file);
            return point;
        }
    if (file)
        fclose(file);
    return "-";
}

static void ask_statx(const char *how, int fd, const char *path, int flags, unsigned mask)
{
    unsigned char st[256] = {0};
    uint64_t attributes, number;
    uint32_t told;

    if (syscall(SYS_statx, fd, path, flags, mask, st) < 0) {
        printf(" %s %s", how, strerror(errno));
        return;
    }
    memcpy(&told, st, 4);
    memcpy(&attributes, st + 8, 8);
    memcpy(&number, st + 144, 8);
    printf(" %s %s", how, attributes & MOUNT_ROOT ? "top" : "in");
    if (mask & MNT_ID_UNIQUE)
        printf(" %s %d", told & MNT_ID_UNIQUE ? "unique" : "plain", number > 1u << 31);
    else if (mask & MNT_ID)
        printf(" %s", mounted((long)number));
}

static void ask_handle(int fd, const char *path, int flags, unsigned room)
{
    unsigned char memory[256] = {0};
    struct file_handle *handle = (struct file_handle *)memory;
    int number = -1;
    int result;

    handle->handle_bytes = room;
    result = name_to_handle_at(fd, path, handle, &number, flags);
    printf(" handle %s %s", result ? strerror(errno) : "made", number < 0 ? "none" : mounted(number));
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int fd = open(argv[i], O_PATH | O_NOFOLLOW);

        printf("%s:", argv[i]);
        ask_statx("path", AT_FDCWD, argv[i], 0, 0x7ff);
        ask_statx("link", AT_FDCWD, argv[i], AT_SYMLINK_NOFOLLOW, 0x7ff | MNT_ID);
        ask_statx("number", AT_FDCWD, argv[i], 0, MNT_ID);
        ask_statx("unique", AT_FDCWD, argv[i], 0, MNT_ID_UNIQUE);
        ask_statx("fd", fd, "", AT_EMPTY_PATH, MNT_ID);
        ask_statx("bare", fd, "", AT_EMPTY_PATH, 0);
        ask_statx("fd-unique", fd, "", AT_EMPTY_PATH, MNT_ID_UNIQUE);
        ask_handle(AT_FDCWD, argv[i], 0, 128);
        ask_handle(AT_FDCWD, argv[i], 0, 0);
        ask_handle(fd, "", AT_EMPTY_PATH, 128);
        putchar('\n');
        close(fd);
        if (chdir(argv[i]) == 0) {
            ask_statx(".", AT_FDCWD, ".", 0, MNT_ID);
            ask_statx("name", AT_FDCWD, "name", 0, MNT_ID);
            ask_statx("..", AT_FDCWD, "..", 0, MNT_ID);
            putchar('\n');
        }
    }
    return 0;
}
