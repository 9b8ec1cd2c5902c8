/* Two sessions on one root: one changes owners, the other looks at the same files, with its calls in the gate where there is one.
 *
 * race change FIRST COUNT: chown of f.FIRST, f.FIRST+1, ... to 5:5; "done" in the shared file says how many have returned.
 * race look COUNT: look until all have; whatever was done before a look began must be seen by it.
 */
#define _GNU_SOURCE
#include "../programs/gate_sites.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile unsigned *shared;

static unsigned owner_of(unsigned number, int way)
{
    char name[32];
    struct stat st;
    struct statx x;
    memset(&st, 0xff, sizeof st);
    memset(&x, 0xff, sizeof x);
    snprintf(name, sizeof name, "%s%u", way & 1 ? "/w/f." : "f.", number);
    if (way & 2) {
        if (site_statx(AT_FDCWD, (long)name, way & 4 ? AT_SYMLINK_NOFOLLOW : 0, STATX_BASIC_STATS, (long)&x) != 0) return 999999;
        return x.stx_uid;
    }
    if (site_fstatat(AT_FDCWD, (long)name, (long)&st, way & 4 ? AT_SYMLINK_NOFOLLOW : 0, 0) != 0) return 999999;
    return st.st_uid;
}

static int look(unsigned count)
{
    unsigned looks = 0, seen = 0, bad = 0;
    for (int i = 0; i < 8; i++)
        for (int way = 0; way < 8; way++) owner_of(count - 1, way);
    puts("ready");
    fflush(stdout);
    for (;;) {
        unsigned done = __atomic_load_n(shared, __ATOMIC_SEQ_CST);
        if (done >= count) break;
        for (unsigned number = done > 2 ? done - 2 : 0; number < done + 3 && number < count; number++) {
            unsigned before = __atomic_load_n(shared, __ATOMIC_SEQ_CST), uid = owner_of(number, (int)(looks++ % 8));
            unsigned begun = __atomic_load_n(shared + 1, __ATOMIC_SEQ_CST);
            if (uid == 5) seen++;
            if ((uid != 0 && uid != 5) || (uid == 0 && number < before) || (uid == 5 && number >= begun)) {
                if (bad++ < 5) printf("BAD %u: uid %u, done %u, begun %u\n", number, uid, before, begun);
            }
        }
    }
    printf("looked %d seen %d bad %u\n", looks > 100, seen > 0, bad);
    return bad != 0;
}

int main(int argc, char **argv)
{
    int fd = open("shared", O_RDWR);
    unsigned first, count;
    char name[32];
    if (argc < 3 || fd < 0) return 2;
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if ((void *)shared == MAP_FAILED) return 2;
    if (strcmp(argv[1], "look") == 0) return look((unsigned)atoi(argv[2]));
    first = (unsigned)atoi(argv[2]);
    count = (unsigned)atoi(argv[3]);
    for (unsigned number = first; number < count; number++) {
        snprintf(name, sizeof name, "f.%u", number);
        __atomic_store_n(shared + 1, number + 1, __ATOMIC_SEQ_CST);
        if (chown(name, 5, 5) < 0) return 3;
        __atomic_store_n(shared, number + 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}
