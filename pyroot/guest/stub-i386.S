/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The i386 loader's entry point, its system calls and its way out. Return stubs are made by the supervisor, in the slots
 * of the arena (see places-i386.h).
 */
#include "loader.h"
#include "numbers.h"

    .text
    .globl _start
    .type _start, @function
_start:
    mov %esp, %eax
    mov $LOADER_STACK_TOP, %esp
    sub $12, %esp
    xor %ebp, %ebp
    push %eax
    call loader_main
    ud2

    /* sys6(number, a, b, c, d, e, f) */
    .globl sys6
    .hidden sys6
    .type sys6, @function
sys6:
    push %ebx
    push %esi
    push %edi
    push %ebp
    mov 20(%esp), %eax
    mov 24(%esp), %ebx
    mov 28(%esp), %ecx
    mov 32(%esp), %edx
    mov 36(%esp), %esi
    mov 40(%esp), %edi
    mov 44(%esp), %ebp
    int $0x80
    pop %ebp
    pop %edi
    pop %esi
    pop %ebx
    ret

    /* loader_leave(guest stack pointer, entry address, arena): report the arena, then jump to the code at its start. */
    .globl loader_leave
    .hidden loader_leave
    .type loader_leave, @function
loader_leave:
    mov 4(%esp), %esi
    mov 8(%esp), %edi
    mov 12(%esp), %ebx
    mov %ebx, %ebp
    mov $LOADER32_REPORT, %eax
    xor %ecx, %ecx                          /* no path */
    int $0x80
    test %eax, %eax
    jnz loader_unheard
    mov %esi, %esp
    pushl $0x202
    popfl
    mov %edi, -4(%esp)
    mov $SYS_munmap, %eax
    mov $LOADER_TEXT, %ebx
    mov $(LOADER_END - LOADER_TEXT), %ecx
    jmp *%ebp

    .section .note.GNU-stack, "", @progbits
