/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A program without libc that shows the state at its very first instruction: one line of registers in hexadecimal,
 * stack alignment and flags included. Used by test_loader.py to compare with a native execve(2).
 */
unsigned long at_entry[18];
void report(void) __attribute__((noreturn, used));

__asm__(".text\n"
        ".globl _start\n"
        "_start:\n"
        "    mov %rax, at_entry+0*8(%rip); mov %rbx, at_entry+1*8(%rip); mov %rcx, at_entry+2*8(%rip)\n"
        "    mov %rdx, at_entry+3*8(%rip); mov %rsi, at_entry+4*8(%rip); mov %rdi, at_entry+5*8(%rip)\n"
        "    mov %rbp, at_entry+6*8(%rip); mov %r8, at_entry+7*8(%rip); mov %r9, at_entry+8*8(%rip)\n"
        "    mov %r10, at_entry+9*8(%rip); mov %r11, at_entry+10*8(%rip); mov %r12, at_entry+11*8(%rip)\n"
        "    mov %r13, at_entry+12*8(%rip); mov %r14, at_entry+13*8(%rip); mov %r15, at_entry+14*8(%rip)\n"
        "    mov %rsp, at_entry+15*8(%rip)\n"
        "    pushfq; popq at_entry+16*8(%rip)\n"
        "    stmxcsr at_entry+17*8(%rip); fnstcw at_entry+17*8+4(%rip)\n"
        "    and $-16, %rsp\n"
        "    call report\n");

static long call3(long number, long a, long b, long c)
{
    long result;

    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

void report(void)
{
    char line[18 * 17];

    at_entry[15] &= 15;
    for (int i = 0; i < 18; i++) {
        for (int digit = 0; digit < 16; digit++)
            line[i * 17 + digit] = "0123456789abcdef"[at_entry[i] >> (60 - 4 * digit) & 15];
        line[i * 17 + 16] = i == 17 ? '\n' : ' ';
    }
    call3(1, 1, (long)line, sizeof(line));
    call3(231, 0, 0, 0);
    __builtin_unreachable();
}
