/* Who may use a socket in a directory.  socket PATH OWNER USER...: OWNER binds it and closes it to others; the users connect. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void become(const char *id)
{
    if (setgid((gid_t)atoi(id)) || setuid((uid_t)atoi(id))) exit(2);
}

int main(int argc, char **argv)
{
    int listening = socket(AF_UNIX, SOCK_STREAM, 0), i, done;
    struct stat st;
    if (argc < 3) return 2;
    strcpy(address.sun_path, argv[1]);
    if (fork() == 0) {
        become(argv[2]);
        done = bind(listening, (struct sockaddr *)&address, sizeof address) ? errno : 0;
        if (stat(argv[1], &st) || chmod(argv[1], 0600) || listen(listening, 9)) return 3;
        printf("bound %d %u:%u %o\n", done, st.st_uid, st.st_gid, st.st_mode & 07777);
        return 0;
    }
    wait(NULL);
    for (i = 3; i < argc; i++) {
        if (fork() == 0) {
            become(argv[i]);
            done = connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address) ? errno : 0;
            printf("user %s: %d\n", argv[i], done);
            return 0;
        }
        wait(NULL);
    }
    return 0;
}
