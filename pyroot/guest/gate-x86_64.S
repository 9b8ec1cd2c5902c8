/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way into the gate and out of it (gate.h has the places). Where a signal or a tracer finds a guest in here the supervisor
 * undoes what has been done so far, or does the rest itself (gate.pxi): the places tell it which.
 */
#include "gate.h"

    .section .gate, "ax", @progbits

    .org GATE_ENTER, 0xcc
    lea -(RED_ZONE + GATE_FRAME)(%rsp), %rsp
    .org GATE_MOVED, 0x90
    mov %rdi, GF_REGS(%rsp)
    mov %rsi, GF_REGS + 8(%rsp)
    mov %rdx, GF_REGS + 16(%rsp)
    mov %r10, GF_REGS + 24(%rsp)
    mov %r8, GF_REGS + 32(%rsp)
    mov %r9, GF_REGS + 40(%rsp)
    mov %rbx, GF_KEPT(%rsp)
    mov %rbp, GF_KEPT + 8(%rsp)
    mov %r12, GF_KEPT + 16(%rsp)
    mov %r13, GF_KEPT + 24(%rsp)
    mov %r14, GF_KEPT + 32(%rsp)
    mov %r15, GF_KEPT + 40(%rsp)
    mov %rcx, GF_DETOUR(%rsp)
    .org GATE_PUSHED - 1, 0x90
    pushfq
    .org GATE_PUSHED, 0xcc
    popq GF_FLAGS(%rsp)
    movabs $GATE_FRAME_MAGIC, %rax
    mov %rax, GF_MAGIC(%rsp)
    mov %rsp, GF_SELF(%rsp)
    .org GATE_SAVED, 0x90
    cld
    mov %rsp, %rdi
    call gate_plan
6:  cmp $GATE_MAKE, %eax
    jne 1f
    mov GF_CALL + 8(%rsp), %rdi
    mov GF_CALL + 16(%rsp), %rsi
    mov GF_CALL + 24(%rsp), %rdx
    mov GF_CALL + 32(%rsp), %r10
    mov GF_CALL + 40(%rsp), %r8
    mov GF_CALL + 48(%rsp), %r9
    mov GF_CALL(%rsp), %rax
    jmp 2f
    .org GATE_CALLED - 2, 0x90
2:  syscall
    .org GATE_CALLED, 0xcc
    /* to change rax here would lose the result */
    cmpq $0, GF_CHECK(%rsp)
    jne 7f
    test %rax, %rax
    js 5f
3:  mov GF_DETOUR(%rsp), %rcx
    movslq DETOUR_BACK(%rcx), %rdx
    lea DETOUR_BACK + 4 + 2(%rcx, %rdx), %rdx
    mov %rdx, GF_TARGET(%rsp)
    .org GATE_TAIL, 0x90
    mov GF_REGS(%rsp), %rdi
    mov GF_REGS + 8(%rsp), %rsi
    mov GF_REGS + 16(%rsp), %rdx
    mov GF_REGS + 24(%rsp), %r10
    mov GF_REGS + 32(%rsp), %r8
    mov GF_REGS + 40(%rsp), %r9
    mov GF_FLAGS(%rsp), %r11
    mov GF_TARGET(%rsp), %rcx
    push %r11
    popfq
    .org GATE_CLEARED - 8, 0x90
    movq $0, GF_MAGIC(%rsp)                 /* (eight bytes: nothing may lie between this and the next place) */
    .org GATE_CLEARED, 0xcc
    lea RED_ZONE + GATE_FRAME(%rsp), %rsp
    .org GATE_LAST, 0x90
    jmp *%rcx

    /* Detours lead here once the address space has left the gate alone: no flag, and no register but rcx. */
    .org GATE_PASS, 0xcc
    lea DETOUR_PLAIN(%rcx), %rcx
    jmp *%rcx

    .org GATE_TEXT, 0xcc
5:  cmp $-ELOOP, %rax
    jne 8f
    testb $GATE_LINKS_MET, GF_RETRY(%rsp)
    je 3b
    mov %rsp, %rdi
    call gate_again
    jmp 6b
    /* what is closed on the disk alone is opened by the supervisor */
8:  testb $GATE_CLOSED, GF_RETRY(%rsp)
    je 3b
    cmp $-EACCES, %rax
    je 4f
    cmp $-EPERM, %rax
    je 4f
    cmp $-ENXIO, %rax
    je 4f
    jmp 3b
    /* a call that only looked is made once more, where the supervisor sees it, if names have moved since its proof */
7:  movabs $GATE_MOVES, %rcx
    mov (%rcx), %ecx
    cmp %ecx, GF_CHECK(%rsp)
    je 3b
    jmp 4f
1:  cmp $GATE_ANSWER, %eax
    mov GF_CALL(%rsp), %rax
    je 3b
4:  mov GF_DETOUR(%rsp), %rcx
    mov DETOUR_NUMBER(%rcx), %eax
    movslq DETOUR_BACK(%rcx), %rdx
    lea DETOUR_BACK + 4(%rcx, %rdx), %rdx
    mov %rdx, GF_TARGET(%rsp)
    jmp GATE_TAIL + .gate

    .section .note.GNU-stack, "", @progbits
