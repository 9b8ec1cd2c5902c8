/* What uname(2) says by default and under PER_LINUX32; or the maps, and whether the heap grows. */
#include <stdio.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct utsname name;
    char line[4096];
    FILE *maps;

    (void)argv;
    if (argc > 1) {
        char *now = sbrk(0);
        printf("sbrk grows %d\n", sbrk(8192) == now && (now[8191] = 1));
        for (maps = fopen("/proc/self/maps", "r"); maps && fgets(line, sizeof line, maps);)
            fputs(line, stdout);
        return !maps;
    }
    printf("%s\n", uname(&name) ? "error" : name.machine);
    personality(PER_LINUX32);
    printf("%s\n", uname(&name) ? "error" : name.machine);
    return 0;
}
