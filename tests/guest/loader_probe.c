/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Print what execve(2) left for a program: arguments, environment, auxiliary vector, and the kernel's own picture in
 * /proc/self; then use heap and stack. One "key value" pair a line. Used by test_loader.py, which compares a run under
 * the guest loader with a native one.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef BSS_SIZE
#define BSS_SIZE 100000
#endif
#ifndef DATA_ALIGN
#define DATA_ALIGN 64
#endif

extern char **environ;
extern char __executable_start;

static char huge[BSS_SIZE];
static char initialized[5] __attribute__((aligned(DATA_ALIGN))) = "data";
static const char constant[5] __attribute__((aligned(DATA_ALIGN))) = "text";

static size_t slurp(const char *path, unsigned char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY);
    size_t used = 0;
    ssize_t got;

    while (fd >= 0 && (got = read(fd, buffer + used, size - used)) > 0)
        used += (size_t)got;
    if (fd >= 0)
        close(fd);
    return used;
}

static void print_hash(const char *key, const unsigned char *bytes, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    printf("%s %zu:%016llx\n", key, size, (unsigned long long)hash);
}

static void print_address(const char *key, uint64_t address)
{
    printf("%s %#llx\n", key, (unsigned long long)address);
}

static void print_auxv(const uint64_t *aux)
{
    static unsigned char saved[4096];
    const uint64_t *end = aux;
    size_t size = slurp("/proc/self/auxv", saved, sizeof(saved));

    while (end[0] != AT_NULL)
        end += 2;
    printf("auxv_saved_is_real %d\n",
           size >= (size_t)((char *)(end + 2) - (char *)aux) && !memcmp(saved, aux, (char *)end - (char *)aux));
    for (; aux[0] != AT_NULL; aux += 2) {
        if (aux[0] == AT_EXECFN || aux[0] == AT_PLATFORM || aux[0] == AT_BASE_PLATFORM)
            printf("aux_%d %s\n", (int)aux[0], (char *)aux[1]);
        else if (aux[0] == AT_RANDOM)
            printf("aux_random %d\n", ((uint64_t *)aux[1])[0] != 0 && ((uint64_t *)aux[1])[1] != 0);
        else
            printf("aux_%d %#llx\n", (int)aux[0], (unsigned long long)aux[1]);
    }
}

static void print_stat(char **argv)
{
    static char text[4096];
    char *at, *save = 0;
    int field = 3;
    uint64_t value[64] = {0};

    text[slurp("/proc/self/stat", (unsigned char *)text, sizeof(text) - 1)] = 0;
    at = strrchr(text, ')') + 2;
    for (at = strtok_r(at, " ", &save); at && field < 64; at = strtok_r(0, " ", &save))
        value[field++] = strtoull(at, 0, 10);
    print_address("stat_start_code", value[26]);
    print_address("stat_end_code", value[27]);
    print_address("stat_start_data", value[45]);
    print_address("stat_end_data", value[46]);
    print_address("stat_start_brk", value[47]);
    printf("stat_stack_is_argc %d\n", value[28] == (uint64_t)(argv - 1));
    printf("stat_arg_start_is_argv0 %d\n", value[48] == (uint64_t)argv[0]);
    printf("stat_arg_end_is_env_start %d\n", value[49] == value[50]);
    printf("stat_env_size %llu\n", (unsigned long long)(value[51] - value[50]));
    for (at = argv[0]; at && *argv; argv++)
        at = *argv == at ? at + strlen(at) + 1 : 0;
    printf("stat_args_contiguous %d\n", (uint64_t)at == value[49]);
}

static void print_heap(void)
{
    char *start = sbrk(0), *grown = sbrk(64 << 20);
    static char line[512];
    FILE *maps;
    int named = 0;

    printf("sbrk_grows %d\n", grown == start);
    if (grown == start) {
        memset(grown, 1, 64 << 20);
        printf("sbrk_shrinks %d\n", sbrk(-(64 << 20)) != (void *)-1);
    }
    maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof(line), maps)) {
        named |= strstr(line, "[heap]") != 0;
        if (strtoull(line, 0, 16) < 0x567000000000)
            printf("map %s", line);
        else if (strtoull(line, 0, 16) < 0x567100000000)
            printf("loader_map %s", line);
        if (strstr(line, "[stack]"))
            printf("stack_prot %.4s\n", strchr(line, ' ') + 1);
    }
    if (maps)
        fclose(maps);
    printf("heap_named %d\n", named);
}

static int bss_is_zero(void)
{
    for (size_t i = 0; i < sizeof(huge); i += i < 65536 || i > sizeof(huge) - 65536 ? 1 : 4096)
        if (huge[i])
            return 0;
    huge[0] = 1;
    huge[sizeof(huge) - 1] = 1;
    return 1;
}

int main(int argc, char **argv)
{
    static unsigned char text[8 << 20];
    char name[16] = "", **end = environ;

    printf("bss_zero %d\n", bss_is_zero());
    printf("argc %d\n", argc);
    for (int i = 0; i < argc && i < 20; i++)
        printf("argv_%d %s\n", i, argv[i]);
    printf("argv_null %d\n", argv[argc] == 0);
    printf("argv_end_is_environ %d\n", argv + argc + 1 == environ);
    while (*end)
        printf("env %s\n", strlen(*end) < 200 ? *end : "(long)"), end++;
    print_auxv((const uint64_t *)(end + 1));
    print_stat(argv);
    print_hash("cmdline", text, slurp("/proc/self/cmdline", text, sizeof(text)));
    print_hash("environ", text, slurp("/proc/self/environ", text, sizeof(text)));
    prctl(PR_GET_NAME, name);
    printf("comm %s\n", name);
    printf("main_minus_entry %lld\n", (long long)((char *)main - (char *)getauxval(AT_ENTRY)));
    printf("phdr_is_first %d\n", getauxval(AT_PHDR) == (unsigned long)&__executable_start + sizeof(Elf64_Ehdr));
    printf("data %s %s aligned %d\n", initialized, constant,
           (uintptr_t)initialized % DATA_ALIGN == 0 && (uintptr_t)constant % DATA_ALIGN == 0);
    print_heap();
    return 42;
}
