/* Execute argv[1] by int 0x80 from 64-bit code: every pointer is one of 32 bits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char *low = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    uint32_t *words = (uint32_t *)(low + 2048);
    long result;

    if (argc < 2 || low == MAP_FAILED)
        return 2;
    strcpy(low, argv[1]);
    strcpy(low + 1024, "first");
    strcpy(low + 1030, "second");
    strcpy(low + 1040, "A=b");
    words[0] = (uint32_t)(uintptr_t)low + 1024;
    words[1] = (uint32_t)(uintptr_t)low + 1030;
    words[2] = 0;
    words[4] = (uint32_t)(uintptr_t)low + 1040;
    words[5] = 0;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(11), "b"(low), "c"(words), "d"(words + 4) : "memory");
    return (int)-result;
}
