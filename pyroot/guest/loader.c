/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest loader: the one program the kernel really executes for a guest. It does in user space what fs/binfmt_elf.c
 * does in the kernel, but takes program and ELF interpreter from the host paths the supervisor resolved, so that the
 * interpreter comes from the guest's root. What to load is decided by the supervisor and told in struct loader_info
 * (loader.h); here is only how. After the point where it runs there is no errno to give back: what the kernel gives up there
 * ends by SIGSEGV, and so it does here.
 *
 * Sources: fs/binfmt_elf.c, fs/exec.c, kernel/sys.c (PR_SET_MM_MAP), execve(2), prctl(2), elf(5).
 * Freestanding: no libc, no relocations, no writable data; buffers lie at fixed addresses (loader.h).
 */
#include "parts.h"
#include "gate.h"

/* struct prctl_mm_map */
struct mm_map {
    u64 start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
    u64 arg_start, arg_end, env_start, env_end, auxv;
    u32 auxv_size, exe_fd;
};

void loader_main(word *sp) __attribute__((noreturn));

/* `only`: at that address or not at all; `keep`: the arena's file stays open, in *keep. */
static word map_arena_at(word address, int only, int *keep)
{
    word size = INFO->arena_size;
    int prot = PROT_READ | ARCH_ARENA_PROT, flags = MAP_SHARED, fd = -1;
    long got;

    if (INFO->flags & LI_SHARED_ARENA) {
        fd = open_file(info_text(INFO->off_arena), LOADER_FAIL_ARENA);
    } else {
        prot |= PROT_WRITE;
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    }
    got = only ? map_free(address, size, prot, flags, fd, 0) : map(address, size, prot, flags, fd, 0);
    if (keep && fd >= 0)
        *keep = fd;
    else if (fd >= 0)
        sys3(SYS_close, fd, 0, 0);
    if (is_error(got))
        fail(LOADER_FAIL_ARENA, got);
    sys3(SYS_madvise, got, size, MADV_DONTDUMP);
    return (word)got;
}

/* The guest must not put its own memory in the arena's place: what the kernel reads there has been judged. Linux before 6.10
 * cannot do this. */
static void seal(word address, word size)
{
    sys3(SYS_mseal, address, size, 0);
}

#if defined(__i386__)
/* Map the arena where the kernel wants it, after program and interpreter, so that it takes nobody's place. In the old
 * layout, where mappings grow upwards from below the heap of a position-independent program, it goes out of the way.
 * The supervisor's preference counts if that place is free: seccomp filters of guests know it. It lies in the gap below the stack,
 * where the kernel maps nothing, so that the guest's own room stays in one piece; a stack that may become large needs the
 * gap, and then the arena lies aside, which filters know, too. */
static word map_arena(void)
{
    static const u8 leave[] = {LOADER32_LEAVE};
    u64 limit[2] = {~0ull, 0};
    word got, aside;

    sys6(SYS_prlimit64, 0, RLIMIT_STACK, 0, (long)limit, 0, 0);
    got = map_arena_at(limit[0] <= ARCH_ARENA_STACK ? INFO->arena_addr : LOADER32_ARENA_ASIDE, 0, 0);

    if (got < ARCH_ARENA_LOW) {
        aside = map_arena_at(LOADER32_ARENA_ASIDE, 0, 0);
        sys3(SYS_munmap, got, INFO->arena_size, 0);
        got = aside;
    }
    if (!(INFO->flags & LI_SHARED_ARENA))
        arch_copy((void *)got, leave, sizeof(leave));
    return got;
}
#else
/* The arena's file stays open, in *file, where anything else of it is wanted. A guest that has become another user cannot open it, and
 * has an arena of private memory. */
static void map_arena(int *file)
{
    word address = INFO->arena_addr;
    int wanted = INFO->flags & LI_DETOURS || INFO->off_code;

    if (INFO->arena_size)
        map_arena_at(address, 1, wanted ? file : 0);
    if (wanted && !(INFO->flags & LI_SHARED_ARENA) && INFO->off_arena)
        *file = (int)sys6(SYS_openat, AT_FDCWD, (long)info_text(INFO->off_arena), O_CLOEXEC, 0, 0, 0);
}

/* The segment that holds a site in code that may be read and executed, and nothing else; 0 if none does. */
static const struct segment *site_segment(const struct image *image, word site)
{
    for (u16 i = 0; i < image->phnum; i++) {
        const struct segment *segment = &image->segments[i];
        word start = image->bias + segment->vaddr;

        if (segment->type == PT_LOAD && start <= site && site + DETOUR_BETWEEN + 8 <= start + segment->filesz)
            return segment->flags == (PF_R | PF_X) ? segment : 0;
    }
    return 0;
}

/* Lead the sites that were found in this file before through the gate; the detours are writable. One segment is
 * made writable for as long as that takes; where the system does not let changed code be executed it is mapped anew. */
static void lead_sites(const struct image *image, const char *path, word base, word page)
{
    const u32 *sites = (const u32 *)((const u8 *)INFO + INFO->off_sites);
    const struct segment *segment = 0;
    word detours = base - DETOURS_SIZE, at = detours + DETOUR_FIRST, start = 0, size = 0;

    for (u32 i = 0; i < INFO->nsites; i++) {
        const struct segment *holds = site_segment(image, base + sites[i]);

        if (!holds || (segment && holds != segment) || gate_form((const u8 *)base + sites[i]) < 0)
            continue;
        segment = holds;
        gate_lead((u8 *)at + i * DETOUR_SIZE, at + i * DETOUR_SIZE, detours, (const u8 *)base + sites[i], base + sites[i]);
    }
    if (is_error(sys3(SYS_mprotect, detours, DETOURS_SIZE, PROT_READ | PROT_EXEC))) {
        sys3(SYS_munmap, detours, DETOURS_SIZE, 0);
        return;
    }
    if (!segment)
        return;
    start = (image->bias + segment->vaddr) & -page;
    size = image->bias + segment->vaddr + segment->filesz - start;
    if (is_error(sys3(SYS_mprotect, start, size, PROT_READ | PROT_WRITE)))
        return;
    for (u32 i = 0; i < INFO->nsites; i++, at += DETOUR_SIZE)
        if (*(const u8 *)(at + DETOUR_PLAIN) == 0xb8 && site_segment(image, base + sites[i]) == segment)
            gate_jump((u8 *)base + sites[i], base + sites[i], at);
    if (is_error(sys3(SYS_mprotect, start, size, PROT_READ | PROT_EXEC))) {
        int fd = open_file(path, LOADER_FAIL_OPEN);
        long got = map(start, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, segment->offset & -page);

        if (is_error(got))
            fail(LOADER_FAIL_MAP, got);
        sys3(SYS_close, fd, 0, 0);
    }
}

/* What the gate reads, where the arena is private memory: in its place in that. */
static void map_view(int file)
{
    word view = INFO->arena_addr + INFO->arena_size - GATE_VIEW_SIZE;

    map(view, GATE_VIEW_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, file, INFO->off_detours - GATE_DETOURS);
}

/* Map the index of owners; 0 where that is not possible: then those who would ask it stop. */
static u32 map_index(void)
{
    word address = ARCH_FIXED(LOADER_INDEX);
    long fd, got;

    if (!INFO->off_index)
        return 0;
    fd = sys6(SYS_openat, AT_FDCWD, (long)info_text(INFO->off_index), O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return 0;
    got = map_free(address, GATE_INDEX_SIZE, PROT_READ, MAP_SHARED, (int)fd, 0);
    sys3(SYS_close, fd, 0, 0);
    if (is_error(got))
        return 0;
    sys3(SYS_madvise, address, GATE_INDEX_SIZE, MADV_DONTDUMP);
    seal(address, GATE_INDEX_SIZE);
    return WHO_INDEX;
}

/* Make room for detours near the code that makes calls; the supervisor looks for it there. Without it nothing is lost. */
static void map_detours(int file, const struct image *image, word base, word page)
{
    const char *path = info_text(INFO->off_interp ? INFO->off_interp : INFO->off_prog);
    int prot = INFO->nsites || INFO->who ? PROT_READ | PROT_WRITE : PROT_READ | PROT_EXEC;
    long got;

    if (!(INFO->flags & LI_DETOURS) || file < 0)
        return;
    if (!(INFO->flags & LI_SHARED_ARENA))
        map_view(file);
    got = map_free(base - DETOURS_SIZE, DETOURS_SIZE, prot, MAP_PRIVATE, file, INFO->off_detours);
    if (!is_error(got) && INFO->who)
        *(u32 *)(got + DETOUR_WHO) = INFO->who | map_index();
    if (!is_error(got) && (INFO->nsites || INFO->who))
        lead_sites(image, path, base, page);
}
#endif

/* Make the kernel's picture of this process the guest program's: heap, /proc/PID/{cmdline,environ,auxv,stat}. The heap
 * gets the random distance the kernel gave to the loader's. Where this is refused the heap stays at LOADER_BRK. */
static void set_kernel_view(const struct stack *stack, const struct image *program)
{
    word distance = (word)sys3(SYS_brk, 0, 0, 0) - (word)ARCH_FIXED(LOADER_BRK);
    struct mm_map view;

    view.start_code = program->start_code;
    view.end_code = program->end_code;
    view.start_data = program->start_data;
    view.end_data = program->end_data;
    view.brk = program->end;
    if (program->type == ET_DYN && !program->has_interp)
        view.brk = ARCH_BRK_BASE;           /* mapped among the mmaps: no room to grow there */
    if (distance < LOADER_ARENA_MAX)
        view.brk += distance;
    view.start_brk = view.brk;
    view.start_stack = (word)stack->sp;
    view.arg_start = stack->arg_start;
    view.arg_end = view.env_start = stack->arg_end;
    view.env_end = stack->env_end;
    view.auxv = (word)stack->auxv;
    view.auxv_size = (u32)((word)stack->end - (word)stack->auxv);
    view.exe_fd = ~0u;
    if (sys6(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&view, sizeof(view), 0, 0) == 0)
        return;
    /* Linux before 5.15 wants the heap after the data. */
    view.start_data = view.end_data = view.start_brk - 1;
    sys6(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&view, sizeof(view), 0, 0);
}

#if !defined(__i386__)
/* Map stubs and gate anew from the loader's own file, shared, where the arena's is not available: no write goes there any more. */
static void share_code(void)
{
    int fd = (int)sys6(SYS_openat, AT_FDCWD, (long)"/proc/self/exe", O_CLOEXEC, 0, 0, 0);

    if (fd < 0)
        return;
    map(ARCH_FIXED(LOADER_STUBS), LOADER_TEXT - LOADER_STUBS, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, LOADER_FILE_CODE);
    sys3(SYS_close, fd, 0, 0);
}
#endif

static void set_name(void)
{
    const char *name = info_text(INFO->off_execfn);
    int fd;

    for (const char *at = name; *at; at++)
        if (*at == '/')
            name = at + 1;
    if (INFO->off_comm)
        name = info_text(INFO->off_comm);
    if (is_error(sys3(SYS_prctl, PR_SET_NAME, name, 0)) &&
        (fd = (int)sys6(SYS_openat, AT_FDCWD, (long)"/proc/self/comm", O_WRONLY | O_CLOEXEC, 0, 0, 0)) >= 0) {
        sys3(SYS_write, fd, name, size_with_nul(name) - 1);
        sys3(SYS_close, fd, 0, 0);
    }
}

#if defined(__i386__)
/* Nobody has heard where the arena is. */
void loader_unheard(void) __attribute__((noreturn, used));
void loader_unheard(void)
{
    fail(LOADER_FAIL_CODE, -ENOSYS);
}
#else
/* The stub that leaves cannot map the code that stays. Where that is refused, and nothing else is wrong, it is the end: the guest could
 * change what passes the filter. */
void loader_refused(long error) __attribute__((used));
void loader_refused(long error)
{
    if (error == -EPERM || error == -ENOSYS)
        fail(LOADER_FAIL_CODE, error);
}
#endif

void loader_main(word *sp)
{
    struct stack stack;
    struct image program, interp;
    word entry, page;
#if defined(__i386__)
    word arena;
#else
    int file = -1;
#endif

    if (INFO->magic != LOADER_MAGIC || !INFO->off_prog || !INFO->off_execfn)
        fail(LOADER_FAIL_INFO, -ENOEXEC);
    read_first_stack(&stack, sp);
    page = get_aux(&stack, AT_PAGESZ);
#if !defined(__i386__)
    map_arena(&file);
#endif
    map_image(&program, info_text(INFO->off_prog), 1, &stack);
    rebuild_stack(&stack);
    set_aux(&stack, AT_PHDR, program.phdr);
    set_aux(&stack, AT_PHENT, sizeof(struct segment));
    set_aux(&stack, AT_PHNUM, program.phnum);
    set_aux(&stack, AT_ENTRY, program.entry);
    set_aux(&stack, AT_BASE, 0);
    if (INFO->flags & LI_IDS) {
        for (int i = 0; i < 4; i++)
            set_aux(&stack, AT_UID + i, INFO->ids[i]);
        set_aux(&stack, AT_SECURE, INFO->secure);
    }
    entry = program.entry;
    if (program.has_interp) {
        map_image(&interp, info_text(INFO->off_interp), 0, &stack);
        set_aux(&stack, AT_BASE, interp.bias);
        entry = interp.entry;
    }
#if defined(__i386__)
    arena = map_arena();
#else
    map_detours(file, program.has_interp ? &interp : &program, program.has_interp ? interp.bias : program.phdr & -page, page);
#endif
    if (program.exec_stack) {
        word low = (word)stack.sp & -page;

        sys3(SYS_mprotect, low, stack.top - low, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
    }
    set_kernel_view(&stack, &program);
    set_name();
#if defined(__i386__)
    seal(arena, INFO->arena_size);
    loader_leave(stack.sp, entry, arena);
#else
    if (file < 0)
        share_code();
    seal(INFO->arena_addr, INFO->arena_size);
    loader_leave(stack.sp, entry, (word)file);
#endif
}
