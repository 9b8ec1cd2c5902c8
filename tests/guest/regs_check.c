/* One probed call: build its arguments, fill registers and stack with patterns, make it, compare. */
#include "regs.h"
#include <asm/prctl.h>
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "regs_offsets.h"

#define CHECK_OFFSET(member, offset) _Static_assert(offsetof(struct area, member) == (offset), #member)
CHECK_OFFSET(in, IN);
CHECK_OFFSET(out, OUT);
CHECK_OFFSET(in.flags, FLAGS);
CHECK_OFFSET(in.r15, R15);
CHECK_OFFSET(in.rsp, RSP);
CHECK_OFFSET(own_rsp, OWN_RSP);
CHECK_OFFSET(has_avx, HAS_AVX);
CHECK_OFFSET(x87_control, X87_CONTROL);
CHECK_OFFSET(sse_control, SSE_CONTROL);
CHECK_OFFSET(sse_default, SSE_DEFAULT);
CHECK_OFFSET(vectors, VECTORS);
CHECK_OFFSET(before, STATE_BEFORE);
CHECK_OFFSET(after, STATE_AFTER);

#define FLAG_MASK 0xcd5u /* carry, parity, adjust, zero, sign, direction, overflow; not trap and interrupt */
#define FLAG_PATTERN 0xcd5u
#define REDZONE 128

static __thread struct area *own_area;

struct area *area_of_thread(void) { return own_area; }

static int avx_usable(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE) && (c & bit_AVX);
}

/* Give the calling thread its area; patterns differ from thread to thread. */
void use_area(struct area *area, uint64_t number)
{
    memset(area, 0, sizeof *area);
    area->number = number;
    area->has_avx = avx_usable();
    area->x87_control = 0x0f7f; /* all masked, 64 bits, round to zero */
    area->sse_control = 0x7fa0; /* all masked, round to zero, sticky precision flag set */
    area->sse_default = 0x1f80;
    for (size_t i = 0; i < sizeof area->vectors; i++)
        ((uint8_t *)area->vectors)[i] = (uint8_t)(0x51 + i * 7 + number * 13);
    syscall(SYS_arch_prctl, ARCH_SET_GS, area);
    own_area = area;
}

int complain(const char *what, const char *name, const char *place, const char *detail)
{
    char line[512];
    int n = snprintf(line, sizeof line, "BAD %s %s: %s %s\n", name, place, what, detail);
    if (write(1, line, n) < 0)
        _exit(99);
    return 1;
}

/* A stack and argument memory of our own: guard, stack pages, guard; argument pages, guard. */
void make_place(struct place *place, const char *name)
{
    memset(place, 0, sizeof *place);
    place->name = name;
    uint8_t *at = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        exit(98);
    place->stack = at + PAGE;
    place->stack_end = at + 9 * PAGE;
    place->rsp = (uint64_t)(at + 5 * PAGE);
    place->whole = 1;
    place->memory = at + 12 * PAGE;
    mprotect(place->stack, 8 * PAGE, PROT_READ | PROT_WRITE);
    mprotect(place->memory, 2 * PAGE, PROT_READ | PROT_WRITE);
}

struct build { /* argument memory is filled from its end downwards, so that a string ends where the memory ends */
    uint8_t *next;
    uint8_t *buffer;
};

static void *put(struct build *build, const void *data, size_t n, size_t align)
{
    uint64_t at = ((uint64_t)build->next - n) & ~(uint64_t)(align - 1);
    build->next = (uint8_t *)at;
    return memcpy(build->next, data, n);
}

static void *put_message(struct build *build, const struct arg *arg, int vector)
{
    struct mmsghdr message[2] = {0};
    void *name = arg->data ? put(build, arg->data, arg->n, 2) : NULL;
    void *text = put(build, "text", 4, 1);
    struct iovec *io = put(build, &(struct iovec){text, 4}, sizeof(struct iovec), 8);
    for (int i = 0; i < 2; i++) {
        message[i].msg_hdr.msg_name = name;
        message[i].msg_hdr.msg_namelen = arg->n;
        message[i].msg_hdr.msg_iov = io;
        message[i].msg_hdr.msg_iovlen = 1;
    }
    return put(build, message, vector ? sizeof message : sizeof message[0].msg_hdr, 8);
}

static uint64_t make_argument(struct build *build, const struct arg *arg, int position, int prepared, struct area *area)
{
    switch (arg->kind) {
    case NUMBER:
        return arg->n;
    case PATH:
        return (uint64_t)put(build, arg->data, strlen(arg->data) + 1, 1);
    case BYTES:
        return (uint64_t)put(build, arg->data, arg->n, 8);
    case MESSAGE:
        return (uint64_t)put_message(build, arg, 0);
    case MESSAGES:
        return (uint64_t)put_message(build, arg, 1);
    case BUFFER:
        return (uint64_t)build->buffer + arg->n;
    case LENGTH: /* a value-result length, in writable memory */
        *(uint32_t *)(build->buffer + 2048) = arg->n;
        return (uint64_t)build->buffer + 2048;
    case PREPARED:
        return prepared;
    case BAD_POINTER:
        return 0x1000;
    case JUNK:
        break;
    }
    return 0xabcdef0011220000ull + position * 0x1111 + area->number;
}

static uint8_t pattern_at(const uint8_t *at) { return (uint8_t)(((uint64_t)at >> 3) * 31 + ((uint64_t)at & 7) * 5 + 0x3c); }

static void fill(uint8_t *from, const uint8_t *to)
{
    for (; from < to; from++)
        *from = pattern_at(from);
}

static const uint8_t *first_change(const uint8_t *from, const uint8_t *to)
{
    for (; from < to; from++)
        if (*from != pattern_at(from))
            return from;
    return NULL;
}

static int compare_registers(struct area *area, const struct kind *kind, const struct place *place)
{
    static const char names[17][4] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8",
                                      "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "efl"};
    const uint64_t *in = &area->in.rax, *out = &area->out.rax;
    int bad = 0;
    for (int i = 0; i < 17; i++) {
        uint64_t mask = i == 16 ? FLAG_MASK : ~0ull;
        if (i == 0 || i == 2 || i == 11 || !((in[i] ^ out[i]) & mask))
            continue;
        char detail[80];
        snprintf(detail, sizeof detail, "%s was %#lx is %#lx", names[i], in[i], out[i]);
        bad += complain("register", kind->name, place->name, detail);
    }
    return bad;
}

/* Compare control words, x87 registers, MXCSR, xmm and ymm; the x87 instruction pointers are the machine's own business. */
static int compare_state(struct area *area, const struct kind *kind, const struct place *place)
{
    static const struct {
        int from, to, only_avx;
        const char *name;
    } parts[] = {{0, 5, 0, "x87 control"}, {24, 28, 0, "mxcsr"}, {32, 160, 0, "x87"}, {160, 416, 0, "xmm"}, {576, 832, 1, "ymm"}};
    int bad = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].only_avx && !area->has_avx)
            continue;
        if (memcmp(area->before + parts[i].from, area->after + parts[i].from, parts[i].to - parts[i].from))
            bad += complain("state", kind->name, place->name, parts[i].name);
    }
    return bad;
}

static int compare_stack(const struct kind *kind, const struct place *place, const uint8_t *from, const uint8_t *to)
{
    const uint8_t *changed = from < to ? first_change(from, to) : NULL;
    char detail[80];
    if (!changed)
        return 0;
    snprintf(detail, sizeof detail, "at rsp%+ld", (long)((uint64_t)changed - place->rsp));
    return complain("stack", kind->name, place->name, detail);
}

static int judge(const struct kind *kind, const struct place *place, long result)
{
    long expected = is_guest && kind->expected_guest ? kind->expected_guest : kind->expected;
    char detail[80];
    if (expected == ANY || result == expected || (expected == SUCCESS && result >= 0))
        return kind->verify && kind->verify(result) ? complain("effect", kind->name, place->name, "of the call is wrong") : 0;
    snprintf(detail, sizeof detail, "is %ld, expected %ld", result, expected);
    return complain("result", kind->name, place->name, detail);
}

/* Make the call of `kind` at `place` and compare; return the number of complaints. */
int probe(const struct kind *kind, struct place *place, long *result)
{
    uint8_t copy[2 * PAGE], buffer[PAGE] __attribute__((aligned(64)));
    struct area *area = own_area;
    struct build build = {place->memory + 2 * PAGE, buffer};
    int prepared = kind->prepare ? kind->prepare() : -1, bad = 0;
    uint8_t *from = place->stack, *to = place->whole ? place->stack_end : (uint8_t *)place->rsp;

    memset(buffer, 0xa5, sizeof buffer);
    memset(&area->in, 0, sizeof area->in);
    memset(place->memory, 0x5a, 2 * PAGE);
    uint64_t *slot[6] = {&area->in.rdi, &area->in.rsi, &area->in.rdx, &area->in.r10, &area->in.r8, &area->in.r9};
    uint64_t *other[8] = {&area->in.rbx, &area->in.rcx, &area->in.rbp, &area->in.r11,
                          &area->in.r12, &area->in.r13, &area->in.r14, &area->in.r15};
    for (int i = 0; i < 6; i++)
        *slot[i] = make_argument(&build, &kind->args[i], i, prepared, area);
    for (int i = 0; i < 8; i++)
        *other[i] = 0x1234567800000000ull + 0x01010101ull * (i + 1) + area->number;
    area->in.rax = kind->number;
    area->in.flags = 0x202 | FLAG_PATTERN;
    area->in.rsp = place->rsp;
    memcpy(copy, place->memory, sizeof copy);
    if (from < to)
        fill(from, to);
    if (place->read_only)
        mprotect(place->memory, 2 * PAGE, PROT_READ);

    *result = probe_call();

    bad += compare_registers(area, kind, place) + compare_state(area, kind, place);
    if (place->only_redzone) {
        bad += compare_stack(kind, place, (uint8_t *)place->rsp - REDZONE, to);
    } else {
        bad += compare_stack(kind, place, from, to);
    }
    if (memcmp(copy, place->memory, sizeof copy))
        bad += complain("arguments", kind->name, place->name, "were written to");
    if (place->read_only)
        mprotect(place->memory, 2 * PAGE, PROT_READ | PROT_WRITE);
    return bad + judge(kind, place, *result);
}
