/* What takes a file's capabilities away, and what a trusted attribute is like. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static const unsigned char caps[20] = {1, 0, 0, 2, 0, 4};

static void tell(const char *what)
{
    char value[64];
    ssize_t n = getxattr("f", "security.capability", value, sizeof value);
    printf("%s %d\n", what, n < 0 ? -errno : (int)n);
}

static void lists(void)
{
    static const unsigned char named[44] = {2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 5, 0, 5, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
                                            16, 0, 5, 0, 255, 255, 255, 255, 32, 0, 1, 0, 255, 255, 255, 255};
    char value[64];
    int kept, given;
    mkdir("d", 0755);
    setxattr("d", "system.posix_acl_default", named, sizeof named, 0);
    kept = (int)getxattr("d", "system.posix_acl_default", value, sizeof value);
    close(open("d/f", O_CREAT | O_RDWR, 0644));
    given = (int)getxattr("d/f", "system.posix_acl_access", value, sizeof value);
    printf("default %d %d\n", kept, given);
}

int main(void)
{
    char list[256];
    ssize_t n;
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    close(fd);
    setxattr("f", "security.capability", caps, sizeof caps, 0);
    tell("set");
    fd = open("f", O_RDONLY);
    close(fd);
    tell("read");
    fd = open("f", O_WRONLY);
    close(fd);
    tell("opened");
    setxattr("f", "security.capability", caps, sizeof caps, 0);
    tell("set");
    if (chown("f", -1, -1) < 0) puts("chown failed");
    tell("owner");
    n = setxattr("f", "trusted.t", "x", 1, 0) < 0 ? -1 : getxattr("f", "trusted.t", list, sizeof list);
    printf("trusted %d", (int)n);
    n = listxattr("f", list, sizeof list);
    puts(n > 0 && memmem(list, (size_t)n, "trusted.t", 10) ? " listed" : " not listed");
    lists();
    return 0;
}
