/* Changes of mode and owner without an end; each says its number when it is over.  toggle FIRST */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned modes[] = {04755, 02711, 0, 0644, 06555, 0400, 01777};

int main(int argc, char **argv)
{
    char line[32];
    if (argc < 2) return 2;
    for (unsigned n = (unsigned)atoi(argv[1]); ; n++) {
        if ((n % 2 ? chown("f", n / 2 % 60000, 7) : chmod("f", modes[n / 2 % 7])) < 0) return 1;
        snprintf(line, sizeof line, "%u\n", n);
        if (write(1, line, strlen(line)) < 0) return 1;
    }
}
