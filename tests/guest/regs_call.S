/* long probe_call(void): make one system call with every register chosen beforehand and read every register afterwards.
 *
 * The registers to load are in the area that %gs points to (struct area of regs.h), and what they hold afterwards is
 * stored there: %gs-relative stores need no register and no stack, so even a useless rsp can be probed, in any thread. */

#include "regs_offsets.h"

        .text
        .globl  probe_call, probe_after
        .type   probe_call, @function
probe_call:
        push    %rbx
        push    %rbp
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        pushfq
        mov     %rsp, %gs:OWN_RSP

        /* x87, SSE, AVX: known contents, unusual rounding */
        fninit
        fldpi
        fldl2e
        fld1
        fldcw   %gs:X87_CONTROL
        ldmxcsr %gs:SSE_CONTROL
        cmpq    $0, %gs:HAS_AVX
        je      1f
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqu %gs:VECTORS + 32 * \n, %ymm\n
        .endr
        mov     $7, %eax
        xor     %edx, %edx
        xsave64 %gs:STATE_BEFORE
        jmp     2f
1:
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movdqu  %gs:VECTORS + 32 * \n, %xmm\n
        .endr
        fxsave64 %gs:STATE_BEFORE
2:
        pushq   %gs:IN + FLAGS
        popfq
        mov     %gs:IN + RAX, %rax
        mov     %gs:IN + RBX, %rbx
        mov     %gs:IN + RCX, %rcx
        mov     %gs:IN + RDX, %rdx
        mov     %gs:IN + RSI, %rsi
        mov     %gs:IN + RDI, %rdi
        mov     %gs:IN + RBP, %rbp
        mov     %gs:IN + R8, %r8
        mov     %gs:IN + R9, %r9
        mov     %gs:IN + R10, %r10
        mov     %gs:IN + R11, %r11
        mov     %gs:IN + R12, %r12
        mov     %gs:IN + R13, %r13
        mov     %gs:IN + R14, %r14
        mov     %gs:IN + R15, %r15
        mov     %gs:IN + RSP, %rsp
        syscall
probe_after:
        mov     %rax, %gs:OUT + RAX
        mov     %rbx, %gs:OUT + RBX
        mov     %rcx, %gs:OUT + RCX
        mov     %rdx, %gs:OUT + RDX
        mov     %rsi, %gs:OUT + RSI
        mov     %rdi, %gs:OUT + RDI
        mov     %rbp, %gs:OUT + RBP
        mov     %r8, %gs:OUT + R8
        mov     %r9, %gs:OUT + R9
        mov     %r10, %gs:OUT + R10
        mov     %r11, %gs:OUT + R11
        mov     %r12, %gs:OUT + R12
        mov     %r13, %gs:OUT + R13
        mov     %r14, %gs:OUT + R14
        mov     %r15, %gs:OUT + R15
        mov     %rsp, %gs:OUT + RSP
        mov     %gs:OWN_RSP, %rsp
        pushfq
        popq    %gs:OUT + FLAGS
        cld

        cmpq    $0, %gs:HAS_AVX
        je      3f
        mov     $7, %eax
        xor     %edx, %edx
        xsave64 %gs:STATE_AFTER
        vzeroupper
        jmp     4f
3:
        fxsave64 %gs:STATE_AFTER
4:
        fninit
        ldmxcsr %gs:SSE_DEFAULT
        mov     %gs:OUT + RAX, %rax
        popfq
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbp
        pop     %rbx
        ret
        .size   probe_call, . - probe_call

        .section .note.GNU-stack, "", @progbits
