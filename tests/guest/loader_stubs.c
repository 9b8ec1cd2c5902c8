/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Call every return stub the way the supervisor makes a guest thread use it: all registers filled, one of them pointing
 * at a slot, the frame of the slot holding the guest's values. Prints what does not come back. Used by test_loader.py;
 * must run under the guest loader.
 */
#include "loader.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15, FLAGS, ZONE1, ZONE16, COUNT };

static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9",
                                    "r10", "r11", "r12", "r13", "r14", "r15", "flags", "red zone", "red zone end"};

uint64_t before[COUNT], after[COUNT], stub_address, own_stack;
extern char stub_back[];
void call_stub(void);

__asm__(".text\n"
        "call_stub:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, own_stack(%rip)\n"
        "    sub $1024, %rsp\n"
        "    mov %rsp, before+7*8(%rip)\n"
        "    pushq before+16*8(%rip)\n"
        "    popfq\n"
        "    mov before+17*8(%rip), %rax; mov %rax, -8(%rsp)\n"
        "    mov before+18*8(%rip), %rax; mov %rax, -128(%rsp)\n"
        "    mov before+0*8(%rip), %rax; mov before+1*8(%rip), %rbx; mov before+2*8(%rip), %rcx\n"
        "    mov before+3*8(%rip), %rdx; mov before+4*8(%rip), %rsi; mov before+5*8(%rip), %rdi\n"
        "    mov before+6*8(%rip), %rbp; mov before+8*8(%rip), %r8; mov before+9*8(%rip), %r9\n"
        "    mov before+10*8(%rip), %r10; mov before+11*8(%rip), %r11; mov before+12*8(%rip), %r12\n"
        "    mov before+13*8(%rip), %r13; mov before+14*8(%rip), %r14; mov before+15*8(%rip), %r15\n"
        "    jmp *stub_address(%rip)\n"
        "    .globl stub_back\n"
        "stub_back:\n"
        "    mov %rax, after+0*8(%rip); mov %rbx, after+1*8(%rip); mov %rcx, after+2*8(%rip)\n"
        "    mov %rdx, after+3*8(%rip); mov %rsi, after+4*8(%rip); mov %rdi, after+5*8(%rip)\n"
        "    mov %rbp, after+6*8(%rip); mov %rsp, after+7*8(%rip); mov %r8, after+8*8(%rip)\n"
        "    mov %r9, after+9*8(%rip); mov %r10, after+10*8(%rip); mov %r11, after+11*8(%rip)\n"
        "    mov %r12, after+12*8(%rip); mov %r13, after+13*8(%rip); mov %r14, after+14*8(%rip)\n"
        "    mov %r15, after+15*8(%rip)\n"
        "    mov -8(%rsp), %rax; mov %rax, after+17*8(%rip)\n"
        "    mov -128(%rsp), %rax; mov %rax, after+18*8(%rip)\n"
        "    pushfq\n"
        "    popq after+16*8(%rip)\n"
        "    cld\n"
        "    mov own_stack(%rip), %rsp\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static const struct {
    int pointer;
    uint64_t offset;
} stubs[] = {{RDI, LOADER_STUB_RDI}, {RSI, LOADER_STUB_RSI}, {RDX, LOADER_STUB_RDX},
             {R10, LOADER_STUB_R10}, {R8, LOADER_STUB_R8},   {R9, LOADER_STUB_R9},
             {RSI, LOADER_STUB_OPEN}};

static int try_stub(int pointer, uint64_t address, int resumed)
{
    static uint64_t slot[16];
    char *data = (char *)(slot + SLOT_FRAME / 8);
    static const struct { int index, offset; } frame[] = {{RDI, SLOT_RDI}, {RSI, SLOT_RSI}, {RDX, SLOT_RDX},
                                                          {R10, SLOT_R10}, {R8, SLOT_R8}, {R9, SLOT_R9}};
    uint64_t wanted[COUNT];
    int bad = 0;

    for (int i = 0; i < COUNT; i++)
        before[i] = 0x1111111111111111u * (unsigned)(i % 15 + 1) ^ (unsigned)i;
    before[RAX] = resumed ? 0x5555 : SYS_getppid;
    before[FLAGS] = 0xed7;                  /* every flag a program may set, direction included */
    memcpy(wanted, before, sizeof(wanted));
    for (int i = 0; i < 6; i++)             /* what the guest had; the call itself runs with other values */
        memcpy(data + frame[i].offset, &before[frame[i].index], 8);
    for (int i = 0; i < 6; i++)
        before[frame[i].index] = ~before[frame[i].index];
    before[pointer] = (uint64_t)data;
    memcpy(data + SLOT_NEXT, &(uint64_t){(uint64_t)stub_back}, 8);
    stub_address = address + (resumed ? LOADER_STUB_RESUME : 0);
    call_stub();
    wanted[RAX] = resumed ? 0x5555 : (uint64_t)getppid();
    wanted[RCX] = (uint64_t)stub_back;      /* as after a native system call: the next instruction and the flags */
    wanted[RSP] = before[RSP];
    if (!resumed)
        wanted[R11] = before[FLAGS];
    for (int i = 0; i < COUNT; i++) {
        uint64_t mask = i == FLAGS || (i == R11 && !resumed) ? 0xcd5 : ~0ull;

        if ((wanted[i] ^ after[i]) & mask) {
            printf("stub %s resumed %d: %s is %#llx, not %#llx\n", names[pointer], resumed, names[i],
                   (unsigned long long)after[i], (unsigned long long)wanted[i]);
            bad = 1;
        }
    }
    return bad;
}

int main(void)
{
    int bad = 0;

    for (unsigned i = 0; i < sizeof(stubs) / sizeof(*stubs); i++)
        for (int resumed = 0; resumed < 2; resumed++)
            bad |= try_stub(stubs[i].pointer, LOADER_STUBS + stubs[i].offset, resumed);
    if (!bad)
        puts("all registers restored");
    return bad;
}
