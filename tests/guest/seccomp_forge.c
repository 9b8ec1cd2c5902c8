/* What a program gets that jumps into pyroot's own pages to have calls made from there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "seccomp.h"
#include <sys/mman.h>

#include "loader.h"

const char known_path[] = "";

/* Enter the first return stub with this call; its frame leads back here. */
long enter_stub(long number, void *data, long second);
__asm__("enter_stub: mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; xor %edx, %edx; xor %r10d, %r10d\n"
        "lea 1f(%rip), %rcx; mov %rcx, -8(%rdi); movabs $0x567000100000, %r11; jmp *%r11\n"
        "1: ret\n");

static char slot[4096] __attribute__((aligned(64)));

static long by_stub(long number, const char *path)
{
    memset(slot, 0, sizeof slot);
    strcpy(slot + 64, path);
    return enter_stub(number, slot + 64, 0);
}

/* Call from the place where the loader has been. */
static long by_loader_page(long number)
{
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x0f, 0x05, 0xc3};    /* mov %rdi, %rax; syscall; ret */
    void *page = mmap((void *)LOADER_TEXT, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (page == MAP_FAILED)
        return -1000;
    memcpy(page, code, sizeof code);
    return ((long (*)(long))page)(number);
}

int main(int argc, char **argv)
{
    struct sock_filter program[] = {{LD, 0, 0, 0}, {JEQ, 0, 1, SYS_getppid}, {RET, 0, 0, ERRNO(44)}, {RET, 0, 0, ALLOW}};

    say("host file by a stub %ld", by_stub(SYS_open, argc > 1 ? argv[1] : "/"));

    say("filter %ld", INSTALL(program));
    say("getppid %ld, by a stub %ld, by the loader's page %ld", call(SYS_getppid, 0, 0, 0), by_stub(SYS_getppid, ""),
        by_loader_page(SYS_getppid));
    return 0;
}
