/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A program without libc whose segments (loader_segments.lds) are everything compilers rarely make: gaps, a memory-only
 * segment between others, two writable segments with cleared tails, addresses far from page boundaries. It exits with
 * the number of the first check that fails, 0 when all hold.
 */
#define PART(name) __attribute__((section(name), used)) volatile

const PART(".constant") char constant[777] = "constant";
PART(".first") char first[3000] = "first";
PART(".first_clear") char first_clear[20000];
PART(".hole") char hole[70000];
PART(".second") char second[5001] = "second";
PART(".second_clear") char second_clear[123];

void check(void) __attribute__((noreturn, used));

__asm__(".text\n.globl _start\n_start: and $-16, %rsp\n call check\n");

static int is_zero(volatile const char *from, volatile const char *to)
{
    while (from < to)
        if (*from++)
            return 0;
    return 1;
}

static volatile char *page_end(volatile char *at)
{
    return (volatile char *)(((unsigned long)at + 4095) & -4096ul);
}

static long mincore(unsigned long address)
{
    unsigned char state;
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(27), "D"(address), "S"(4096), "d"(&state) : "rcx", "r11", "memory");
    return result;
}

static int failed(void)
{
    if (constant[0] != 'c' || first[0] != 'f' || second[0] != 's')
        return 1;
    if (!is_zero(first_clear, page_end(first_clear + sizeof(first_clear))))
        return 2;
    if (!is_zero(hole, page_end(hole + sizeof(hole))))
        return 3;
    if (!is_zero(second_clear, page_end(second_clear + sizeof(second_clear))))
        return 4;
    first_clear[19999] = hole[0] = hole[69999] = second_clear[122] = second[5000] = 1;
    if (mincore(((unsigned long)hole & -4096ul) - 8192) != -12)     /* ENOMEM: a gap is not mapped */
        return 5;
    if (mincore((unsigned long)page_end(hole + sizeof(hole)) + 4096) != -12)
        return 6;
    return 0;
}

void check(void)
{
    __asm__ volatile("syscall" : : "a"(231), "D"(failed()) : "rcx", "r11", "memory");
    __builtin_unreachable();
}
