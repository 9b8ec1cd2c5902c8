/* Parse one operation line into register values and the memory behind them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   12, 0x10, -100          a number            %3           the fd in slot 3
 *   "text"                  a string (escapes \\ \" \n \xHH, \I own pid, \P parent's)
 *   R"text"      in a read-only page
 *   E"text"                 its NUL is the last byte before a hole
 *   C"text"                 no NUL: runs into a PROT_NONE page        U"text"  runs into unmapped memory
 *   S"text"                 lies across a page boundary
 *   NULL ONE HOLE UNMAPPED KERNEL ROBUF   pointers that must fail   CUT:8   8 bytes before a hole
 *   longs:1:2:3             an array of 64-bit numbers (struct open_how, timespecs, utimbuf)
 *   un:"path"               a struct sockaddr_un
 *   msg:16:"path"           a struct msghdr with that name and "hi" as data; mmsg:16:"p":"q" a vector of two
 *   xargs:"value"           a struct xattr_args
 *   ["a" "b"]               a vector of strings, NULL-terminated
 *   >stat >text:100 ...     an output buffer, printed after the call
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ops.h"

#if defined(__x86_64__)
#define UNMAPPED 0x200000000000L
#define KERNEL 0xffff800000000000UL
#else
#define UNMAPPED 0x40000000L
#define KERNEL 0xfffff000UL
#endif

static unsigned char arena[1 << 20];
static size_t arena_used;
static unsigned char *edge;     /* two writable pages, then a PROT_NONE one */
static unsigned char *lonely;   /* one writable page, then nothing mapped */
static unsigned char *readonly; /* two pages */

static void *allocate(size_t size)
{
    void *memory = arena + arena_used;

    arena_used += (size + 31) & ~(size_t)15;
    if (arena_used > sizeof arena)
        _Exit(99);
    return memory;
}

void prepare_pages(void)
{
    edge = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(edge + 2 * PAGE, PAGE, PROT_NONE);
    lonely = mmap((void *)(UNMAPPED - 2 * PAGE), 2 * PAGE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    readonly = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int hex(int c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* Decode the quoted text at *cursor into the arena; leave the cursor behind the closing quote. */
static unsigned char *quoted(char **cursor, size_t *length)
{
    unsigned char *text = allocate(strlen(*cursor) + 64);
    char *p = *cursor + 1;
    size_t n = 0;

    while (*p && *p != '"') {
        if (*p != '\\') {
            text[n++] = (unsigned char)*p++;
        } else if (p[1] == 'x') {
            text[n++] = (unsigned char)(hex(p[2]) * 16 + hex(p[3]));
            p += 4;
        } else if (p[1] == 'I' || p[1] == 'P') {
            n += (size_t)sprintf((char *)text + n, "%ld", raw_call(p[1] == 'I' ? 39 : 110, 0, 0, 0, 0, 0, 0));
            p += 2;
        } else {
            text[n++] = (unsigned char)(p[1] == 'n' ? '\n' : p[1] == 'r' ? '\r' : p[1]);
            p += 2;
        }
    }
    text[n] = 0;
    *cursor = *p ? p + 1 : p;
    *length = n;
    return text;
}

static void place(struct arg *arg, char where, const unsigned char *text, size_t length)
{
    unsigned char *at;

    arg->original = text;
    arg->capacity = length + 1;
    if (where == 'E')
        at = edge + 2 * PAGE - length - 1;
    else if (where == 'C')
        at = edge + 2 * PAGE - length;
    else if (where == 'U')
        at = lonely + 2 * PAGE - length;
    else if (where == 'S')
        at = edge + PAGE - (length + 1) / 2;
    else
        at = readonly + 64;
    if (where == 'C' || where == 'U')
        arg->capacity = length;
    if (where == 'R')
        mprotect(readonly, 2 * PAGE, PROT_READ | PROT_WRITE);
    memcpy(at, text, arg->capacity);
    if (where == 'R')
        mprotect(readonly, 2 * PAGE, PROT_READ);
    arg->memory = at;
    arg->value = (long)at;
}

static void plain_string(struct arg *arg, char **cursor)
{
    size_t length;
    unsigned char *text = quoted(cursor, &length), *copy = allocate(length + 1);

    memcpy(copy, text, length + 1);
    arg->original = copy;
    arg->memory = text;
    arg->capacity = length + 1;
    arg->value = (long)text;
}

static unsigned char *socket_address(char **cursor, size_t *length)
{
    size_t n;
    unsigned char *text = quoted(cursor, &n), *address = allocate(n + 2 + 128);

    memset(address, 0, n + 2 + 128);
    address[0] = AF_UNIX;
    memcpy(address + 2, text, n);
    *length = n + 2;
    return address;
}

static void fill_header(struct msghdr *header, long name_length, unsigned char *name)
{
    struct iovec *vector = allocate(sizeof *vector);

    memset(header, 0, sizeof *header);
    vector->iov_base = memcpy(allocate(2), "hi", 2);
    vector->iov_len = 2;
    header->msg_name = name;
    header->msg_namelen = (socklen_t)name_length;
    header->msg_iov = vector;
    header->msg_iovlen = 1;
}

static void message(struct arg *arg, char **cursor, int many)
{
    struct mmsghdr *headers = allocate(4 * sizeof *headers);
    size_t length, count = 0;
    long name_length = strtol(*cursor, cursor, 10);

    memset(headers, 0, 4 * sizeof *headers);
    while (**cursor == ':' && count < 4) {
        ++*cursor;
        fill_header(&headers[count++].msg_hdr, name_length, socket_address(cursor, &length));
    }
    (void)many;                 /* a msghdr is the first member of a mmsghdr: the layouts agree */
    arg->value = (long)headers;
}

static void output(struct arg *arg, char *token)
{
    static const struct { const char *name; enum out_kind kind; size_t size; } kinds[] = {
        {"statx", OUT_STATX, 256}, {"statfs", OUT_STATFS, 120}, {"stat", OUT_STAT, 144}, {"text", OUT_TEXT, 0},
        {"data", OUT_DATA, 0}, {"names", OUT_NAMES, 0}, {"dents", OUT_DENTS, 0}, {"sa", OUT_SOCKADDR, 0},
        {"len", OUT_LEN, 0}, {"handle", OUT_HANDLE, 160}, {"int", OUT_INT, 4}, {"attr", OUT_ATTR, 64},
        {"msg", OUT_MESSAGE, 0}, {"events", OUT_EVENTS, 0},
    };
    char *colon = strchr(token, ':');
    size_t asked = colon ? strtoul(colon + 1, NULL, 0) : 0, n = colon ? (size_t)(colon - token) : strlen(token);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strlen(kinds[i].name) != n || memcmp(kinds[i].name, token, n))
            continue;
        arg->kind = kinds[i].kind;
        arg->capacity = kinds[i].size ? kinds[i].size : asked;
        arg->memory = allocate(arg->capacity + 512);
        memset(arg->memory, FILL, arg->capacity + 512);
        arg->value = (long)arg->memory;
        if (arg->kind == OUT_LEN || arg->kind == OUT_HANDLE)
            *(uint32_t *)arg->memory = arg->kind == OUT_LEN ? (uint32_t)asked : 128;
        if (arg->kind == OUT_MESSAGE) {
            fill_header((struct msghdr *)arg->memory, (long)asked, allocate(256));
            memset(((struct msghdr *)arg->memory)->msg_name, FILL, 200);
        }
        return;
    }
    _Exit(98);
}

static int word(struct arg *arg, char *token)
{
    if (!strcmp(token, "NULL"))
        arg->value = 0;
    else if (!strcmp(token, "ONE"))
        arg->value = 1;
    else if (!strcmp(token, "HOLE"))
        arg->value = (long)(edge + 2 * PAGE);
    else if (!strcmp(token, "UNMAPPED"))
        arg->value = UNMAPPED;
    else if (!strcmp(token, "KERNEL"))
        arg->value = (long)KERNEL;
    else if (!strcmp(token, "ROBUF"))
        arg->value = (long)readonly;
    else if (!strncmp(token, "CUT:", 4))
        arg->value = (long)(edge + 2 * PAGE - strtol(token + 4, NULL, 0));
    else
        return 0;
    return 1;
}

static void longs(struct arg *arg, char *token)
{
    uint64_t *values = allocate(16 * sizeof *values);
    int n = 0;

    memset(values, 0, 16 * sizeof *values);
    while (*token && n < 16) {
        values[n++] = strtoull(token, &token, 0);
        if (*token == ':')
            token++;
    }
    arg->value = (long)values;
}

static void vector(struct arg *arg, char **cursor)
{
    char **values = allocate(64 * sizeof(char *));
    size_t n = 0, length;

    ++*cursor;
    while (**cursor && **cursor != ']') {
        if (**cursor == '"' && n < 62)
            values[n++] = (char *)quoted(cursor, &length);
        else
            ++*cursor;
    }
    values[n] = NULL;
    if (**cursor)
        ++*cursor;
    arg->value = (long)values;
}

static void structured(struct arg *arg, char **cursor)
{
    size_t length;

    if (!strncmp(*cursor, "un:", 3)) {
        *cursor += 3;
        arg->value = (long)socket_address(cursor, &length);
    } else if (!strncmp(*cursor, "xargs:", 6)) {
        uint64_t *value = allocate(16);
        *cursor += 6;
        value[0] = (uint64_t)(uintptr_t)quoted(cursor, &length);
        value[1] = length;
        arg->value = (long)value;
    } else {
        int many = **cursor == 'm' && (*cursor)[1] == 'm';
        *cursor += many ? 5 : 4;
        message(arg, cursor, many);
    }
}

static void one_argument(struct arg *arg, char **cursor)
{
    size_t length;
    char *start = *cursor;

    memset(arg, 0, sizeof *arg);
    if (*start == '"') {
        plain_string(arg, cursor);
    } else if (start[1] == '"' && strchr("ECUSR", *start)) {
        ++*cursor;
        unsigned char *text = quoted(cursor, &length);
        place(arg, *start, text, length);
    } else if (*start == '[') {
        vector(arg, cursor);
    } else if (!strncmp(start, "un:", 3) || !strncmp(start, "msg:", 4) || !strncmp(start, "mmsg:", 5)
               || !strncmp(start, "xargs:", 6)) {
        structured(arg, cursor);
    } else {
        char *end = start + strcspn(start, " ");
        *cursor = *end ? end + 1 : end;
        *end = 0;
        if (*start == '%')
            arg->value = slots[atoi(start + 1) % MAX_SLOTS];
        else if (*start == '>')
            output(arg, start + 1);
        else if (!strncmp(start, "longs:", 6))
            longs(arg, start + 6);
        else if (!word(arg, start))
            arg->value = (long)strtoull(start, NULL, 0);
    }
}

int parse_op(char *line, struct op *op)
{
    char *cursor = line;

    arena_used = 0;
    memset(op, 0, sizeof *op);
    op->slot = -1;
    if (*cursor == '=') {
        op->slot = (int)strtol(cursor + 1, &cursor, 10) % MAX_SLOTS;
        cursor += strspn(cursor, " ");
    }
    op->name = cursor;
    cursor += strcspn(cursor, " ");
    if (*cursor)
        *cursor++ = 0;
    while (*(cursor += strspn(cursor, " ")) && op->count < MAX_ARGS)
        one_argument(&op->args[op->count++], &cursor);
    return *op->name != 0;
}
