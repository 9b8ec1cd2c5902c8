/* Gets a descriptor in a message by its standard input, reads from it, and opens it anew by its name in /proc. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    char byte, space[CMSG_SPACE(sizeof(int))], name[40];
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int fd;

    if (recvmsg(0, &message, 0) < 0 || CMSG_FIRSTHDR(&message) == NULL)
        return 1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    printf("read: %s\n", read(fd, &byte, 1) == 1 ? "works" : strerror(errno));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    printf("open: %s\n", open(name, O_RDONLY) < 0 ? strerror(errno) : "works");
    return 0;
}
