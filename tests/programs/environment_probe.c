/* Write the environment as it is, each entry with its NUL.
 *
 *   environment                          does that
 *   environment twice PROGRAM [WORD...]  executes a program with entries that no shell would make
 */
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    static char *odd[] = {"A=1", "A=2", "noequals", "=", "PATH=/usr/bin:/bin", NULL};

    if (argc > 2 && !strcmp(argv[1], "twice"))
        return execve(argv[2], argv + 2, odd);
    for (char **entry = environ; *entry; entry++)
        if (write(1, *entry, strlen(*entry) + 1) < 0)
            return 1;
    return 0;
}
