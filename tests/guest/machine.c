/* What uname(2) says by default and under PER_LINUX32; or the maps, and whether the heap grows. */
#include <stdio.h>
#include <sys/personality.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct utsname name;
    char line[4096];
    FILE *maps;

    if (argc > 1 && strcmp(argv[1], "room") == 0) {
        /* what lies between the heap and the mappings, nearly, in one piece */
        void *piece = mmap(NULL, 0xe0000000u, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        printf("room %d\n", piece != MAP_FAILED);
        return 0;
    }
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
