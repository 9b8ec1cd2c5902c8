/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The initial stack: read what the kernel built for the loader and turn it into what it would have built for the guest
 * program. Strings of arguments and environment stay where they are; only argv[0] can be replaced. Source: fs/exec.c,
 * create_elf_tables() in fs/binfmt_elf.c.
 */
#include "parts.h"

static word *find_aux(const struct stack *stack, word type)
{
    for (word *entry = stack->auxv; entry[0] != AT_NULL; entry += 2)
        if (entry[0] == type)
            return entry + 1;
    return 0;
}

word get_aux(const struct stack *stack, word type)
{
    const word *value = find_aux(stack, type);

    return value ? *value : 0;
}

void set_aux(const struct stack *stack, word type, word value)
{
    word *place = find_aux(stack, type);

    if (place)
        *place = value;
}

static void read_stack(struct stack *stack, word *sp)
{
    word *at = sp + 1;

    stack->sp = sp;
    stack->argc = sp[0];
    stack->argv = at;
    at += stack->argc + 1;
    stack->envp = at;
    while (*at++)
        ;
    stack->auxv = at;
    while (*at != AT_NULL)
        at += 2;
    stack->end = at + 2;
}

/* Read the stack as the kernel has made it. */
void read_first_stack(struct stack *stack, word *sp)
{
    word page, end;

    read_stack(stack, sp);
    page = get_aux(stack, AT_PAGESZ);
    stack->execfn = (char *)get_aux(stack, AT_EXECFN);
    if (!page || !stack->execfn)
        fail(LOADER_FAIL_INFO, -ENOEXEC);
    end = (word)stack->execfn + size_with_nul(stack->execfn);
    stack->top = (end + page - 1) & -page;
    stack->env_end = (word)stack->execfn;
    stack->arg_end = *stack->envp ? *stack->envp : stack->env_end;
    stack->arg_start = stack->argc ? stack->argv[0] : stack->arg_end;
}

/* Things of the kernel's that lie where a longer argv[0] may have to go. */
struct kept {
    word type, size;
    u8 bytes[64];
};

static word keep_aux(const struct stack *stack, struct kept kept[3])
{
    static const u8 types[3] = {AT_RANDOM, AT_PLATFORM, AT_BASE_PLATFORM};
    word total = 0;

    for (int i = 0; i < 3; i++) {
        const char *from = (const char *)get_aux(stack, types[i]);

        kept[i].type = types[i];
        kept[i].size = 0;
        if (!from)
            continue;
        kept[i].size = types[i] == AT_RANDOM ? 16 : size_with_nul(from);
        if (kept[i].size > sizeof(kept[i].bytes))
            kept[i].size = sizeof(kept[i].bytes);
        arch_copy(kept[i].bytes, from, kept[i].size);
        total += kept[i].size;
    }
    return total;
}

/* Lay the table out anew with `nprefix` strings in the place of argv[0], and `execfn` (0: is placed already) above it.
 * From high to low: environment, arguments (both stay), the new strings directly below argv[1], kept things, table. */
static void move_stack(struct stack *stack, word nprefix, const char *prefix, const char *execfn)
{
    struct kept kept[3];
    word prefix_size = 0, execfn_size = execfn ? size_with_nul(execfn) : 0, kept_size = keep_aux(stack, kept);
    word replaced = nprefix && stack->argc, argc = stack->argc + nprefix - replaced;
    word *tail = stack->argv + replaced, tail_count = (word)(stack->end - tail), top;
    word *sp;
    char *at;

    for (word i = 0; i < nprefix; i++)
        prefix_size += size_with_nul(prefix + prefix_size);
    if (nprefix)
        stack->arg_start = (stack->argc > 1 ? stack->argv[1] : stack->arg_end) - prefix_size;
    top = stack->arg_start - kept_size - execfn_size;
    if (top > (word)stack->end)
        top = (word)stack->end;
    sp = (word *)((top - sizeof(word) * (1 + nprefix + tail_count)) & -16ul);

    arch_copy(sp + 1 + nprefix, tail, sizeof(word) * tail_count);
    at = (char *)(sp + 1 + nprefix + tail_count);
    sp[0] = argc;
    arch_copy((char *)stack->arg_start, prefix, prefix_size);
    prefix = (const char *)stack->arg_start;
    for (word i = 0; i < nprefix; i++) {
        sp[1 + i] = (word)prefix;
        prefix += size_with_nul(prefix);
    }
    read_stack(stack, sp);
    for (int i = 0; i < 3; i++) {
        if (kept[i].size)
            set_aux(stack, kept[i].type, (word)at);
        arch_copy(at, kept[i].bytes, kept[i].size);
        at += kept[i].size;
    }
    if (execfn) {
        arch_copy(at, execfn, execfn_size);
        set_aux(stack, AT_EXECFN, (word)at);
    }
}

/* Give the guest its own AT_EXECFN and arguments; the loader's path disappears from the stack. */
void rebuild_stack(struct stack *stack)
{
    const char *execfn = info_text(INFO->off_execfn);
    word room = size_with_nul(stack->execfn), size = size_with_nul(execfn);
    int fits = size <= room;

    arch_zero(stack->execfn, room);
    if (fits)
        arch_copy(stack->execfn, execfn, size);
    if (!fits || INFO->nprefix)
        move_stack(stack, INFO->nprefix, info_text(INFO->off_prefix), fits ? 0 : execfn);
}
