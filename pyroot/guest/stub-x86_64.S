/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The pages that stay in the guest (see loader.h): one return stub for each register that can carry a path, and the
 * trampoline by which the loader leaves; then the loader's own entry point.
 */
#include "loader.h"
#include "numbers.h"

    .section .stubs, "ax", @progbits

    /* The pointer register itself is restored last, when nothing more is read through it. */
    .macro stub pointer, offset
    .org \offset, 0xcc
    syscall
    back \pointer
    .endm

    .macro back pointer
    mov SLOT_NEXT(%\pointer), %rcx
    restore \pointer, rdi, SLOT_RDI
    restore \pointer, rsi, SLOT_RSI
    restore \pointer, rdx, SLOT_RDX
    restore \pointer, r10, SLOT_R10
    restore \pointer, r8, SLOT_R8
    restore \pointer, r9, SLOT_R9
    self \pointer, rdi, SLOT_RDI
    self \pointer, rsi, SLOT_RSI
    self \pointer, rdx, SLOT_RDX
    self \pointer, r10, SLOT_R10
    self \pointer, r8, SLOT_R8
    self \pointer, r9, SLOT_R9
    jmp *%rcx
    .endm

    .macro restore pointer, register, offset
    .ifnc \pointer, \register
    mov \offset(%\pointer), %\register
    .endif
    .endm

    .macro self pointer, register, offset
    .ifc \pointer, \register
    mov \offset(%\pointer), %\register
    .endif
    .endm

    stub rdi, LOADER_STUB_RDI
    stub rsi, LOADER_STUB_RSI
    stub rdx, LOADER_STUB_RDX
    stub r10, LOADER_STUB_R10
    stub r8, LOADER_STUB_R8
    stub r9, LOADER_STUB_R9

    /* An openat2: where it met a link it stops once more, and the supervisor sees that it comes from here. The comparison
     * with -ELOOP leaves the flags alone. */
    .org LOADER_STUB_OPEN, 0xcc
again:
    syscall
    lea ELOOP(%rax), %rcx
    jrcxz 1f
    back rsi
    .org LOADER_STUB_OPEN_AGAIN, 0xcc
1:
    mov $SYS_openat2, %eax
    jmp again

    /* loader_leave(rdi: guest stack pointer, rsi: entry address, edx: the file with the code that stays, or -1). Unmaps the loader and
     * enters the program with the registers execve(2) gives: all zero, flags 0x202 (mov, unlike xor, leaves them alone).
     *
     * Calls from the gate and from the loader's text pass the filter. So the guest must not have those pages: a shared mapping of a
     * file that it may only read takes their place, with the same stubs and, instead of the text, nothing that makes a call. No write
     * through /proc/PID/mem or ptrace(2) goes to such pages, and mseal(2) keeps them where they are. Where there is no file the text
     * becomes pages without any rights, and loader_main has looked after the others. */
    .org LOADER_TRAMPOLINE, 0xcc
    .globl loader_leave
    .type loader_leave, @function
loader_leave:
    mov %rdi, %rsp
    mov %rsi, %rbx
    mov %edx, %r12d
    movabs $LOADER_STUBS, %r13
    movabs $LOADER_INFO, %r14
    mov %r13, %rdi
    mov $LOADER_KEPT, %esi
    mov $5, %edx                            /* PROT_READ | PROT_EXEC */
    mov $0x11, %r10d                        /* MAP_SHARED | MAP_FIXED */
    mov %r12d, %r8d
    mov LI_OFF_CODE(%r14), %r9d
    mov $SYS_mmap, %eax
    syscall
    test %rax, %rax
    jns 2f
    mov %rax, %rdi
    call loader_refused
    lea (LOADER_TEXT - LOADER_STUBS)(%r13), %rdi
    mov $LOADER_TEXT_SIZE, %esi
    mov $0, %edx
    mov $0x4032, %r10d                      /* MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE */
    mov $-1, %r8d
    mov $0, %r9d
    mov $SYS_mmap, %eax
    syscall
2:  mov %r13, %rdi
    mov $LOADER_KEPT, %esi
    mov $16, %edx                           /* MADV_DONTDUMP */
    mov $SYS_madvise, %eax
    syscall
    mov %r13, %rdi
    mov $0, %edx
    mov $SYS_mseal, %eax                    /* before Linux 6.10 the supervisor looks after them */
    syscall
    mov %r12d, %edi
    mov $SYS_close, %eax
    syscall
    pushq $0x202
    popfq
    mov %rbx, -8(%rsp)
    mov %r14, %rdi
    mov $(LOADER_END - LOADER_INFO), %esi
    mov $SYS_munmap, %eax
    jmp 3f
    .org LOADER_LAST - 2, 0xcc
3:  syscall
    .org LOADER_LAST, 0xcc
    .irp register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    mov $0, %\register
    .endr
    jmp *-8(%rsp)
    .org LOADER_STUBS_SIZE, 0xcc

    .text
    .globl _start
    .type _start, @function
_start:
    mov %rsp, %rdi
    movabs $LOADER_STACK_TOP, %rsp
    xor %ebp, %ebp
    call loader_main
    ud2

    .section .note.GNU-stack, "", @progbits
