/* The interpreter as an i386 program: each call goes out in one of the forms that i386 has for it, by turns.
 *
 * Programs name calls as x86_64 does. Here are the numbers for them: new and old layouts of struct stat and statfs,
 * 16-bit and 32-bit owners, calls of their own and sub-calls of socketcall(2) (negative), by int 0x80 and through the
 * vdso. The turn is the operation's place in the program, so both sides of a comparison choose alike.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#if defined(__i386__)
#define _GNU_SOURCE
#include <sys/auxv.h>
#include <sys/stat.h>

#include "ops.h"

#define SOCKETCALL 102

unsigned call_turn;
enum layout stat_layout, statfs_layout;

struct forms {
    short number;
    short forms[4];
};

static const struct forms forms[] = {
    {0, {3}}, {1, {4}}, {2, {5}}, {3, {6}}, {4, {195, 106, 18}}, {5, {197, 108}}, {6, {196, 107, 84}}, {8, {19}},
    {12, {45}}, {21, {33}}, {32, {41}}, {33, {63}}, {38, {104}}, {39, {20}}, {41, {359, -1}}, {42, {362, -3}}, {43, {-5}},
    {44, {369, -11}}, {45, {371, -12}}, {46, {370, -16}}, {47, {372, -17}}, {49, {361, -2}}, {50, {363, -4}},
    {51, {367, -6}}, {52, {368, -7}}, {53, {360, -8}}, {59, {11}}, {60, {1}}, {61, {114}}, {62, {37}}, {72, {221, 55}},
    {76, {92, 193}}, {77, {93, 194}}, {79, {183}}, {80, {12}}, {81, {133}}, {82, {38}}, {83, {39}}, {84, {40}},
    {85, {8}}, {86, {9}}, {87, {10}}, {88, {83}}, {89, {85}}, {90, {15}}, {91, {94}}, {92, {212, 182}},
    {93, {207, 95}}, {94, {198, 16}}, {95, {60}}, {110, {64}}, {132, {30}}, {133, {14}}, {134, {86}}, {137, {268, 99}},
    {138, {269, 100}}, {155, {217}}, {157, {172}}, {161, {61}}, {163, {51}}, {165, {21}}, {166, {52, 22}}, {167, {87}},
    {168, {115}}, {179, {131}}, {186, {224}}, {202, {240}}, {217, {220}}, {231, {252}}, {235, {271}}, {254, {292}},
    {272, {310}}, {280, {412, 320}}, {288, {364, -18}}, {292, {330}}, {294, {332}}, {299, {337, 417, -19}}, {300, {338}},
    {301, {339}}, {303, {341}}, {304, {342}}, {307, {345, -20}}, {316, {353}}, {319, {356}}, {322, {358}},
    {332, {383}},
};

long i386_call(const void *entry, long number, const long *a, long *after);

/* i386_call(entry, number, arguments, after): all six registers in, all six out. Nothing here but %esp survives the
 * loads; the addresses lie on the stack. */
__asm__(".text\n"
        ".globl i386_call\n"
        "i386_call:\n"
        "push %ebx\n push %esi\n push %edi\n push %ebp\n"
        "mov 24(%esp), %eax\n"
        "mov 28(%esp), %esi\n"
        "pushl 20(%esp)\n"              /* the entry */
        "mov (%esi), %ebx\n mov 4(%esi), %ecx\n mov 8(%esi), %edx\n"
        "mov 16(%esi), %edi\n mov 20(%esi), %ebp\n mov 12(%esi), %esi\n"
        "call *(%esp)\n"
        "push %esi\n"
        "mov 40(%esp), %esi\n"
        "mov %ebx, (%esi)\n mov %ecx, 4(%esi)\n mov %edx, 8(%esi)\n"
        "mov %edi, 16(%esi)\n mov %ebp, 20(%esi)\n"
        "popl 12(%esi)\n"
        "add $4, %esp\n"
        "pop %ebp\n pop %edi\n pop %esi\n pop %ebx\n"
        "ret\n"
        ".globl i386_int80\n"
        "i386_int80: int $0x80\n ret\n");

extern const char i386_int80[];

static long checked_call(long number, const long *a)
{
    const void *vdso = (const void *)getauxval(AT_SYSINFO);
    long after[6], result;

    result = i386_call(vdso && call_turn / 2 % 2 ? vdso : i386_int80, number, a, after);
    for (int i = 0; i < 6; i++)
        if (after[i] != a[i])
            registers_changed = 1;
    return result;
}

static const struct forms *find(long number)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].number == number)
            return &forms[i];
    return NULL;
}

static long form_of(long number)
{
    const struct forms *found = find(number);
    unsigned count = 1;

    if (!found) /* a whole range is shifted, and newer calls have the same number everywhere */
        return number >= 424 ? number : number + 38;
    while (count < 4 && found->forms[count])
        count++;
    return found->forms[call_turn % count];
}

long raw(long number, const long *a)
{
    long form = form_of(number), b[6] = {a[0], a[1], a[2], a[3], a[4], a[5]};

    if (form < 0) {
        b[0] = -form;
        b[1] = (long)a;
        return checked_call(SOCKETCALL, b);
    }
    if (number == 4 || number == 5 || number == 6)
        stat_layout = form >= 195 ? NEWEST : form == 18 || form == 84 ? OLDEST : OLDER;
    if (number == 262)
        stat_layout = NEWEST;
    if (number == 137 || number == 138) {
        statfs_layout = form >= 268 ? NEWEST : OLDER;
        if (form >= 268) {
            b[1] = 84;
            b[2] = a[1];
        }
    }
    if (form == 193 || form == 194)
        b[2] = a[1] < 0 ? -1 : 0;
    if (number == 301) {
        b[3] = 0;
        b[4] = a[3];
        b[5] = a[4];
    }
    return checked_call(form, b);
}

/* Read what stat(2) or oldstat(2) of i386 wrote. */
void stat_from_layout(const unsigned char *memory, struct stat *st)
{
    const uint16_t *h = (const uint16_t *)memory;
    const uint32_t *w = (const uint32_t *)memory;

    __builtin_memset(st, 0, sizeof *st);
    if (stat_layout == OLDEST) {
        st->st_mode = h[2], st->st_nlink = h[3], st->st_uid = h[4], st->st_gid = h[5];
        st->st_size = w[4], st->st_mtime = (long)w[6];
    } else {
        st->st_mode = h[4], st->st_nlink = h[5], st->st_uid = h[6], st->st_gid = h[7];
        st->st_size = w[5], st->st_mtime = (long)w[10];
    }
}
#endif
