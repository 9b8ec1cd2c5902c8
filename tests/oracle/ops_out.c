/* Print results in a form that two runs over identical trees share.
 *
 * (device, inode) pairs become i1, i2 ... in order of first appearance; the process's own pids become <pid>; numbers
 * in brackets or after # (`pipe:[123]`, `/tmp/#123 (deleted)`) become <n>; clock times of now are left out, old ones (set by the program) are shown.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "ops.h"

#define OLD_TIME 1500000000L

static char line[1 << 17];
static size_t line_used;
static uint64_t identities[4096][2];
static int identity_count;
const char *hidden_names[16];
int show_directory_numbers = 1;
int show_directory_links = 0;
int show_identity = 1;
static int by_name;             /* the call at hand looks a name up */
static uint64_t proc_device = UINT64_MAX;

/* Inodes of /proc come and go with the kernel's caches: their numbers mean nothing. */
void find_proc(void)
{
    struct stat st;

    if (raw_call(4, (long)"/proc/self", (long)&st, 0, 0, 0, 0) == 0)
        proc_device = st.st_dev;
}

void emit(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    line_used += (size_t)vsnprintf(line + line_used, sizeof line - line_used, format, list);
    va_end(list);
    if (line_used > sizeof line - 16384)
        emit_flush();
}

void emit_flush(void)
{
    size_t done = 0;

    while (done < line_used) {
        long n = raw_call(1, 1, (long)(line + done), (long)(line_used - done), 0, 0, 0);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    line_used = 0;
}

void emit_escaped(const unsigned char *text, size_t length)
{
    size_t shown = length > 5000 ? 5000 : length;

    for (size_t i = 0; i < shown; i++) {
        if (text[i] < 32 || text[i] > 126 || text[i] == '\\' || text[i] == '"')
            emit("\\x%02x", text[i]);
        else
            emit("%c", text[i]);
    }
}

static int own_number(unsigned long value)
{
    return value > 1 && (value == (unsigned long)raw_call(39, 0, 0, 0, 0, 0, 0)
                         || value == (unsigned long)raw_call(110, 0, 0, 0, 0, 0, 0)
                         || value == (unsigned long)raw_call(186, 0, 0, 0, 0, 0, 0));
}

/* Small numbers stand for much else, too: in a PID name space of its own a parent may well be number 3. */
static int where_pids_are(const unsigned char *text, size_t at, unsigned long value)
{
    if (value >= 1000 || at == 0)
        return 1;
    if (text[at - 1] == '/')
        return at >= 5 && (!memcmp(text + at - 5, "proc/", 5) || !memcmp(text + at - 5, "task/", 5));
    return strchr(" \t\n(:", text[at - 1]) != NULL;
}

/* Text that may name a pid or an anonymous inode. */
void emit_text(const unsigned char *text, size_t length)
{
    emit("\"");
    for (size_t i = 0; i < length;) {
        size_t n = 0;
        unsigned long value = 0;
        while (i + n < length && isdigit(text[i + n]) && n < 12)
            value = value * 10 + (unsigned long)(text[i + n++] - '0');
        if (n && i && (text[i - 1] == '[' || text[i - 1] == '#'))
            emit("<n>");
        else if (n && own_number(value) && where_pids_are(text, i, value))
            emit("<pid>");
        else
            emit_escaped(text + i, n = n ? n : 1);
        i += n;
    }
    emit("\"");
}

static void emit_identity(uint64_t device, uint64_t inode)
{
    int i = 0;

    if (!show_identity || device == proc_device)
        return;
    while (i < identity_count && (identities[i][0] != device || identities[i][1] != inode))
        i++;
    if (i == identity_count && identity_count < 4095) {
        identities[i][0] = device;
        identities[i][1] = inode;
        identity_count++;
    }
    emit(" i%d", i + 1);
}

static void emit_inode(unsigned mode, uint64_t links, uint64_t owner, uint64_t group, uint64_t size, long mtime)
{
    emit(" mode=%o uid=%lu gid=%lu", mode, (unsigned long)owner, (unsigned long)group);
    if (!S_ISDIR(mode) || (show_directory_numbers && size > 0)) /* size 0: /proc, whose link count changes by itself */
        emit(" nlink=%lu size=%lu", (unsigned long)links, (unsigned long)size);
    else if (show_directory_links && size > 0 && by_name)
        emit(" nlink=%lu", (unsigned long)links);
    if (mtime < OLD_TIME && !S_ISSOCK(mode)) /* the kernel leaves old bytes in the times of unbound sockets */
        emit(" mtime=%ld", mtime);
}

static void emit_stat(const unsigned char *memory)
{
    struct stat st;

    memcpy(&st, memory, sizeof st);
#if defined(__i386__)
    if (stat_layout != NEWEST)
        stat_from_layout(memory, &st);
#endif
    emit_inode(st.st_mode, st.st_nlink, st.st_uid, st.st_gid, (uint64_t)st.st_size, (long)st.st_mtime);
    if (st.st_ino)
        emit_identity(st.st_dev, st.st_ino);
}

static void emit_statx(const unsigned char *memory)
{
    const uint32_t *w = (const uint32_t *)memory;
    uint64_t inode = *(const uint64_t *)(memory + 32), size = *(const uint64_t *)(memory + 40);
    long mtime = (long)*(const int64_t *)(memory + 64 + 48);

    emit(" mask=%x", w[0] & 0x7ff);
    emit_inode(*(const uint16_t *)(memory + 28), w[4], w[5], w[6], size, mtime);
    if (w[2] & 0x2000)          /* STATX_ATTR_MOUNT_ROOT */
        emit(" mount");
    emit_identity(makedev(w[34], w[35]), inode);
}

int names_hidden(const char *name)
{
    for (int i = 0; hidden_names[i]; i++)
        if (!strcmp(hidden_names[i], name))
            return 1;
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names that start with a digit are left out: pids in /proc, descriptors in /proc/self/fd. */
static void emit_dents(const unsigned char *memory, long length)
{
    char *entries[2048];
    int count = 0;

    for (long at = 0; at < length && count < 2048;) {
        const unsigned char *entry = memory + at;
        const char *name = (const char *)entry + 19;
        if (!names_hidden(name) && !isdigit(*name) && asprintf(&entries[count], "%s:%d", name, entry[18]) > 0)
            count++;
        at += *(const uint16_t *)(entry + 16);
    }
    qsort(entries, (size_t)count, sizeof *entries, by_text);
    for (int i = 0; i < count; i++) {
        emit(" ");
        emit_text((unsigned char *)entries[i], strlen(entries[i]));
        free(entries[i]);
    }
}

static void emit_names(unsigned char *memory, long length)
{
    char *names[256];
    int count = 0;

    /* with a size of 0 the kernel says how long the names are and writes none: what lies there has no end of its own */
    memory[length] = 0;
    for (long at = 0; at < length && count < 256; at += (long)strlen((char *)memory + at) + 1)
        names[count++] = (char *)memory + at;
    qsort(names, (size_t)count, sizeof *names, by_text);
    for (int i = 0; i < count; i++)
        emit(" %s", names[i]);
}

static void emit_events(const unsigned char *memory, long length)
{
    for (long at = 0; at + 16 <= length;) {
        const struct inotify_event *event = (const void *)(memory + at);
        emit(" wd%d:%x:%s", event->wd, event->mask, event->len ? event->name : "");
        at += 16 + event->len;
    }
}

static void emit_address(const unsigned char *memory, size_t capacity, size_t length)
{
    size_t shown = length < capacity ? length : capacity;

    emit(" addrlen=%zu", length);
    if (shown < 2) {
        emit(shown ? " cut" : " none");
    } else if (memory[2] == 0 && length == 8) {
        emit(" family=%d <autobound>", memory[0]);
    } else {
        emit(" family=%d ", memory[0]);
        emit_text(memory + 2, shown - 2);
    }
    for (size_t i = shown; i < capacity; i++)
        if (memory[i] != FILL) {
            emit(" dirty@%zu", i);
            break;
        }
}

/* The bytes of a buffer that the kernel had no reason to write must still hold what was there. */
static void emit_dirty(const struct arg *arg, long used)
{
    for (size_t i = used > 0 ? (size_t)used : 0; i < arg->capacity + 256; i++)
        if (arg->memory[i] != FILL) {
            emit(" dirty@%zu", i);
            return;
        }
}

static void emit_success(const struct op *op, int index, long result)
{
    const struct arg *arg = &op->args[index];
    const struct msghdr *header = (const void *)arg->memory;

    by_name = op->name && strcmp(op->name, "fstat") != 0;
    switch (arg->kind) {
    case OUT_STAT: emit_stat(arg->memory); break;
    case OUT_STATX: emit_statx(arg->memory); break;
    case OUT_STATFS: {
        const struct statfs *fs = (const void *)arg->memory;
        long namelen = (long)fs->f_namelen;
#if defined(__i386__)
        if (statfs_layout != NEWEST)
            namelen = (long)((const uint32_t *)arg->memory)[9];
#endif
        emit(" type=%lx namelen=%ld", (unsigned long)fs->f_type, namelen);
        break;
    }
    case OUT_TEXT: case OUT_DATA:
        emit(" ");
        emit_text(arg->memory, (size_t)result > arg->capacity ? arg->capacity : (size_t)result);
        emit_dirty(arg, result);
        break;
    case OUT_NAMES: emit_names(arg->memory, result < (long)arg->capacity ? result : 0); break;
    case OUT_DENTS: emit_dents(arg->memory, result); break;
    case OUT_EVENTS: emit_events(arg->memory, result); break;
    case OUT_SOCKADDR:
        emit_address(arg->memory, arg->capacity,
                     index + 1 < op->count && op->args[index + 1].kind == OUT_LEN
                         ? *(uint32_t *)op->args[index + 1].memory : 0);
        break;
    case OUT_MESSAGE:
        emit(" flags=%x", (unsigned)header->msg_flags);
        emit_address(header->msg_name, arg->capacity, header->msg_namelen);
        break;
    case OUT_HANDLE: emit(" bytes=%u", *(uint32_t *)arg->memory); break;
    case OUT_ATTR: emit(" xflags=%lx", (unsigned long)*(uint64_t *)arg->memory); break;
    default: break;
    }
}

void emit_outputs(const struct op *op, long result)
{
    for (int i = 0; i < op->count; i++) {
        const struct arg *arg = &op->args[i];
        if (arg->kind != IN_ONLY && result >= 0)
            emit_success(op, i, result);
        else if (arg->kind != IN_ONLY && arg->kind != OUT_LEN && arg->kind != OUT_HANDLE && arg->kind != OUT_MESSAGE)
            emit_dirty(arg, 0);
        if (arg->original && memcmp(arg->memory, arg->original, arg->capacity))
            emit(" ARGUMENT-MEMORY-CHANGED");
    }
    if (registers_changed)
        emit(" REGISTERS-CHANGED");
    registers_changed = 0;
}
