/* The arena below 4 GiB, of a 32-bit program, or of a 64-bit one that makes calls by int 0x80: it stays, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (1 << 20)
#define ALL (PROT_READ | PROT_WRITE | PROT_EXEC)

static char path[256];

static int open32(void)
{
    int result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(5), "b"(path), "c"(O_RDONLY), "d"(0) : "memory", "cc"
#if defined(__x86_64__)
                     , "r8", "r9", "r10", "r11"
#endif
    );
    return result;
}

static int try(char *at)
{
    int got = 0;

    got |= (munmap(at, SIZE) == 0) << 0;
    got |= (mmap(at, SIZE, ALL, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) << 1;
    got |= (mprotect(at, 4096, ALL) == 0) << 2;
    got |= (mremap(at, SIZE, 2 * SIZE, MREMAP_MAYMOVE) != MAP_FAILED) << 3;
    got |= (madvise(at, SIZE, MADV_DONTFORK) == 0) << 4;
    return got;
}

int main(int argc, char **argv)
{
    char *at;
    int found, i, status = 0;

    snprintf(path, sizeof path, "%s", argv[1]);
    found = open32();
#if defined(__x86_64__)
    at = (char *)0xffe00000;
#else
    at = (char *)0xf8000000;
#endif
    printf("open %d", found);
    printf(", taken %d", mmap(at, 4096, ALL, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0) == MAP_FAILED && errno == EEXIST);
    printf(", got %x", try(at));
    fflush(stdout);
    if (fork() == 0)
        _exit(try(at));
    wait(&status);
    printf(", child %x", WEXITSTATUS(status));
    for (i = 0; i < 20; i++)
        found |= open32();
    printf(", open %d\n", found);
    return 0;
}
