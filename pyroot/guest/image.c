/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Map an ELF file as the kernel would: the counterpart of load_elf_binary() and load_elf_interp() in fs/binfmt_elf.c,
 * whose rules are kept even where they are odd (what lies after a segment's file part is always writable).
 */
#include "parts.h"

#define HEADER_READ 0x1000                  /* one pread: the ELF header and, nearly always, the program headers */
#define PHDRS_MAX 0x10000                   /* the kernel's own limit */
#define PLACE_TRIES 32

/* Map where nothing is yet, at this address and no other. Before Linux 4.17 MAP_FIXED_NOREPLACE is only a hint, and where it is
 * refused one has to do. */
long map_free(word address, word size, int prot, int flags, int fd, word offset)
{
    long got = map(address, size, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);

    if (got == -EPERM || got == -ENOSYS)
        got = map(address, size, prot, flags, fd, offset);
    if (is_error(got) || (word)got == address)
        return got;
    sys3(SYS_munmap, got, size, 0);
    return -EEXIST;
}

/* Open for reading. A guest that has used up its descriptors can still execute: lift the soft limit meanwhile. */
int open_file(const char *path, int why)
{
    u64 limit[2], lifted[2];
    long fd = sys6(SYS_openat, AT_FDCWD, (long)path, O_CLOEXEC | ARCH_OPEN_FLAGS, 0, 0, 0);

    if (fd == -EMFILE && sys6(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)limit, 0, 0) == 0) {
        lifted[0] = lifted[1] = limit[1];
        sys6(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)lifted, 0, 0, 0);
        fd = sys6(SYS_openat, AT_FDCWD, (long)path, O_CLOEXEC | ARCH_OPEN_FLAGS, 0, 0, 0);
        sys6(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)limit, 0, 0, 0);
    }
    if (fd < 0)
        fail(why, fd);
    return (int)fd;
}

/* Take over a file that the supervisor has open: so an execve opens it once, for those who watch. Where that is not allowed, open it. */
static int take_file(unsigned int theirs, const char *path)
{
#if !defined(__i386__)
    long process = theirs ? sys3(SYS_pidfd_open, INFO->supervisor, 0, 0) : -1, fd = -1;

    if (process >= 0) {
        fd = sys3(SYS_pidfd_getfd, process, theirs, 0);
        sys3(SYS_close, process, 0, 0);
    }
    if (fd >= 0)
        return (int)fd;
#else
    (void)theirs;
#endif
    return open_file(path, LOADER_FAIL_OPEN);
}

/* Read and check header and program headers. */
static void read_headers(struct image *image)
{
    u8 *buffer = (u8 *)ARCH_FIXED(LOADER_HEADERS);
    const struct elf_header *header = (const struct elf_header *)buffer;
    long got = arch_pread(image->fd, buffer, HEADER_READ, 0);
    word size;

    if (got < (long)sizeof(*header))
        fail(LOADER_FAIL_HEADER, got < 0 ? got : -ENOEXEC);
    size = (word)header->phnum * sizeof(struct segment);
    if (*(const u32 *)header->ident != 0x464c457f || !ARCH_ELF_MACHINE(header->machine) ||
        (header->type != ET_EXEC && header->type != ET_DYN) ||
        header->phentsize != sizeof(struct segment) || size == 0 || size > PHDRS_MAX)
        fail(LOADER_FAIL_HEADER, -ENOEXEC);
    if (header->phoff <= (word)got && size <= (word)got - header->phoff) {
        image->segments = (const struct segment *)(buffer + header->phoff);
    } else {
        image->segments = (const struct segment *)(buffer + HEADER_READ);
        got = arch_pread(image->fd, buffer + HEADER_READ, size, header->phoff);
        if (got != (long)size)
            fail(LOADER_FAIL_HEADER, got < 0 ? got : -ENOEXEC);
    }
    image->header = header;
    image->type = header->type;
    image->phnum = header->phnum;
}

/* Account for one PT_LOAD, with the kernel's rules for code, data and the end of the program. */
static void measure_segment(struct image *image, const struct segment *segment, word page)
{
    word start = segment->vaddr, file_end = start + segment->filesz, end = start + segment->memsz;
    word phoff = image->header->phoff;

    if (start >= ARCH_TASK_SIZE || segment->filesz > segment->memsz || segment->memsz > ARCH_TASK_SIZE - start)
        fail(LOADER_FAIL_HEADER, -ENOEXEC);
    if (segment->offset <= phoff && phoff < segment->offset + segment->filesz)
        image->phdr = phoff - segment->offset + start;
    if (start < image->low)
        image->low = start & -page;
    if ((segment->flags & PF_X) && start < image->start_code)
        image->start_code = start;
    if (start > image->start_data)
        image->start_data = start;
    if ((segment->flags & PF_X) && file_end > image->end_code)
        image->end_code = file_end;
    if (file_end > image->end_data)
        image->end_data = file_end;
    if (end > image->end)
        image->end = end;
    if (!(segment->align & (segment->align - 1)) && segment->align > image->align)
        image->align = segment->align;
    image->high = (image->end + page - 1) & -page;
}

static void measure_image(struct image *image, word page)
{
    image->phdr = image->end_code = image->start_data = image->end_data = image->end = 0;
    image->has_interp = image->exec_stack = image->says_stack = 0;
    image->start_code = image->low = ~0ul;
    image->high = 0;
    image->align = page;
    for (u16 i = 0; i < image->phnum; i++) {
        const struct segment *segment = &image->segments[i];

        if (segment->type == PT_LOAD)
            measure_segment(image, segment, page);
        else if (segment->type == PT_INTERP)
            image->has_interp = 1;
        else if (segment->type == PT_GNU_STACK) {
            image->exec_stack = (segment->flags & PF_X) != 0;
            image->says_stack = 1;
        }
    }
    if (image->high <= image->low)
        fail(LOADER_FAIL_HEADER, -ENOEXEC);
    if (image->start_code >= image->end_code) {
        image->start_code = image->low;     /* nothing executable: PR_SET_MM_MAP still wants a range */
        image->end_code = image->high;
    }
}

/* Whether the kernel randomises this address space: switched off neither by personality(2), as far as one may ask, nor by sysctl. */
static int is_randomized(const struct stack *stack)
{
    long personality = sys3(SYS_personality, 0xffffffff, 0, 0);

    return stack->top != ARCH_STACK_TOP && (is_error(personality) || !(personality & ADDR_NO_RANDOMIZE));
}

static u64 random_bits(const struct stack *stack)
{
    u64 value = 0;

    if (sys3(SYS_getrandom, &value, sizeof(value), GRND_NONBLOCK) != sizeof(value)) {
        const word *seed = (const word *)get_aux(stack, AT_RANDOM);

        value = (seed ? seed[0] ^ seed[1] : 0) + (word)stack->sp;
        value = (value ^ value >> 29) * 0xbf58476d1ce4e5b9ull;
        value ^= value >> 32;
    }
    return value;
}

/* Find free room of `size` bytes, at `address` exactly (0: anywhere), and leave it unmapped; 0 when it is taken. */
static word find_room(word address, word size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    long got = address ? map_free(address, size, PROT_NONE, flags, -1, 0) : map(0, size, PROT_NONE, flags, -1, 0);

    if (is_error(got))
        return 0;
    sys3(SYS_munmap, got, size, 0);
    return (word)got;
}

/* Whether each segment of a program with fixed addresses has room, though something lies between them: this loader, where
 * it loads that of a pyroot inside a pyroot. */
static word find_gaps(const struct image *image, word page)
{
    for (u16 i = 0; i < image->phnum; i++) {
        const struct segment *segment = &image->segments[i];
        word start = segment->vaddr & -page, end = (segment->vaddr + segment->memsz + page - 1) & -page;

        if (segment->type == PT_LOAD && segment->memsz && !find_room(start, end - start))
            return 0;
    }
    return image->low;
}

/* Choose the difference between linked and mapped addresses. */
static void place_image(struct image *image, const struct stack *stack, word page)
{
    word size = image->high - image->low, align = image->align, room = 0;

    image->bias = 0;
    if (image->type == ET_EXEC) {
        room = find_room(image->low, size);
        if (!room)
            room = find_gaps(image, page);
    } else if (image->has_interp) {
        int randomized = is_randomized(stack);

        for (int i = 0; i < PLACE_TRIES && !room; i++) {
            word base = ARCH_PIE_BASE;

            if (randomized)
                base += (word)(random_bits(stack) & ((1ull << ARCH_PIE_RANDOM) - 1)) * page;
            image->bias = (base - image->low) & -align;
            room = find_room(image->bias + image->low, size);
        }
    } else {
        room = find_room(0, size + align - page);
        image->bias = (room - image->low + align - 1) & -align;
    }
    if (!room)
        fail(LOADER_FAIL_PLACE, -EEXIST);
}

/* Map one PT_LOAD. Like the kernel: the rest of the last file page is cleared if the segment is writable, and what
 * lies beyond it is always readable and writable memory. */
static void map_segment(const struct image *image, const struct segment *segment, word page)
{
    word start = image->bias + segment->vaddr, skew = start & (page - 1);
    word file_end = start + segment->filesz, zero_from = start - skew;
    word zero_to = (start + segment->memsz + page - 1) & -page;
    int prot = (segment->flags & PF_R ? PROT_READ : 0) | (segment->flags & PF_W ? PROT_WRITE : 0) |
               (segment->flags & PF_X ? PROT_EXEC : 0);
    long got;

    if (segment->filesz) {
        got = map(start - skew, segment->filesz + skew, prot, MAP_PRIVATE | MAP_FIXED, image->fd,
                  segment->offset - skew);
        if (is_error(got))
            fail(LOADER_FAIL_MAP, got);
        zero_from = (file_end + page - 1) & -page;
        if (segment->memsz > segment->filesz && (prot & PROT_WRITE) && zero_from > file_end) {
            /* a page that the file does not reach: let the kernel say so, our own SIGBUS would be another end */
            got = sys3(SYS_getrandom, file_end, 1, GRND_NONBLOCK);
            if (got == -EFAULT)
                fail(LOADER_FAIL_MAP, got);
            arch_zero((void *)file_end, zero_from - file_end);
        }
    }
    if (segment->memsz > segment->filesz && zero_to > zero_from) {
        got = map(zero_from, zero_to - zero_from, PROT_READ | PROT_WRITE | (prot & PROT_EXEC),
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (is_error(got))
            fail(LOADER_FAIL_MAP, got);
    }
}

/* A program from before PT_GNU_STACK: it may execute its stack and all that it may read (elf_read_implies_exec). */
static void allow_execution(struct image *image)
{
    long now = sys3(SYS_personality, 0xffffffff, 0, 0);

    image->exec_stack = 1;
    if (!is_error(now))
        sys3(SYS_personality, now | READ_IMPLIES_EXEC, 0, 0);
}

/* Load an ELF file; afterwards the addresses in `image` are those in memory and header/segments are invalid. */
void map_image(struct image *image, const char *path, int is_program, const struct stack *stack)
{
    word page = get_aux(stack, AT_PAGESZ);

    image->fd = take_file(is_program ? INFO->prog_file : INFO->interp_file, path);
    read_headers(image);
    measure_image(image, page);
    if (is_program && image->has_interp != (INFO->off_interp != 0))
        fail(LOADER_FAIL_HEADER, -ENOEXEC);
    if (!is_program)
        image->has_interp = 0;
    else if (ARCH_OLD_PROGRAMS && !image->says_stack)
        allow_execution(image);
    place_image(image, stack, page);
    for (u16 i = 0; i < image->phnum; i++)
        if (image->segments[i].type == PT_LOAD)
            map_segment(image, &image->segments[i], page);
    sys3(SYS_close, image->fd, 0, 0);
    image->entry = image->header->entry + image->bias;
    image->phdr += image->bias;
    image->start_code += image->bias;
    image->end_code += image->bias;
    image->start_data += image->bias;
    image->end_data += image->bias;
    image->end = image->high + image->bias;
}
