/* Registers before and after calls by the numbers of i386.  Usage: regs32 int80|vdso all|signal-open|signal-connect [ROUNDS]
 *
 * Built twice: as an i386 program, and as an x86_64 one (int80 only), where the upper halves of all registers hold something too.
 * int 0x80 gives back every register but eax, and so does __kernel_vsyscall. Prints `NAME RESULT` for each call, `BAD ...` for each
 * difference and `done N` at the end. The tree: /w is ours, /b a bound directory, /file a bound file, /proc. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANY 0x7ffffff0
#define SUCCESS 0x7ffffff1

/* ax bx cx dx si di bp sp flags, and r8 to r15 */
enum { AX, BX, CX, DX, SI, DI, BP, SP, FLAGS, R8, COUNT = R8 + 8 };
unsigned long in[COUNT], out[COUNT], own_sp, entry;
static int complaints, use_vdso;

/* Absolute addresses need no register, so all of them can hold something. */
#if defined(__x86_64__)
#define WIDTH "8"
#define A "%r"
#define ALSO(code) code
#define EACH "8, 9, 10, 11, 12, 13, 14, 15"
#else
#define WIDTH "4"
#define A "%e"
#define ALSO(code)
#endif
#define LOAD(name, index) "mov in+" WIDTH "*" #index ", " A name "\n"
#define STORE(name, index) "mov " A name ", out+" WIDTH "*" #index "\n"

void probe_call(void);
__asm__(".text\n .globl probe_call\n probe_call:\n"
        "push " A "bx\n push " A "si\n push " A "di\n push " A "bp\n"
        ALSO("push %r12\n push %r13\n push %r14\n push %r15\n")
        "mov " A "sp, own_sp\n"
        "push in+" WIDTH "*8\n popf\n"
        LOAD("ax", 0) LOAD("bx", 1) LOAD("cx", 2) LOAD("dx", 3) LOAD("si", 4) LOAD("di", 5) LOAD("bp", 6)
        ALSO(".irp n, " EACH "\n mov in+8*(\\n+1), %r\\n\n .endr\n")
#if defined(__i386__)
        "cmpl $0, use_entry\n"
        "jne 1f\n"
        "push in+32\n popf\n"
#endif
        LOAD("sp", 7)
        "int $0x80\n"
        "jmp 2f\n"
        "1:\n"
#if defined(__i386__)
        "push in+32\n popf\n"
        "call *entry\n"
#endif
        "2:\n"
        STORE("ax", 0) STORE("bx", 1) STORE("cx", 2) STORE("dx", 3) STORE("si", 4) STORE("di", 5) STORE("bp", 6) STORE("sp", 7)
        ALSO(".irp n, " EACH "\n mov %r\\n, out+8*(\\n+1)\n .endr\n")
        "mov own_sp, " A "sp\n"
        "pushf\n pop out+" WIDTH "*8\n cld\n"
        ALSO("pop %r15\n pop %r14\n pop %r13\n pop %r12\n")
        "pop " A "bp\n pop " A "di\n pop " A "si\n pop " A "bx\n ret\n");
int use_entry;

static int complain(const char *name, const char *what, unsigned long was, unsigned long is)
{
    printf("BAD %s: %s was %#lx is %#lx\n", name, what, was, is);
    return 1;
}

/* Make a call with these arguments; every other register, and in 64-bit code the upper halves, hold patterns. */
static long probe(const char *name, long number, const uint32_t *args)
{
    static const char *const names[COUNT] = {"ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "flags", "r8", "r9", "r10", "r11", "r12",
                                             "r13", "r14", "r15"};
    static const int place[6] = {BX, CX, DX, SI, DI, BP};

    for (int i = 0; i < COUNT; i++)
        in[i] = (unsigned long)0x1234567801010101ull * (unsigned long)(i + 1);
    for (int i = 0; i < 6; i++)
        in[place[i]] = args[i];
#if defined(__x86_64__)
    for (int i = 0; i < 6 && i < 4; i++) /* no register of these is more than 32 bits to the call */
        in[place[i]] |= 0xdead000000000000ul;
    in[DI] |= 0x700000000ul;
#endif
    in[AX] = (unsigned long)number;
    in[FLAGS] = 0x202 | 0xcd5;
    in[SP] = 0x10;
    use_entry = use_vdso;
    probe_call();
    for (int i = 1; i < COUNT; i++) {
        /* (whether sysenter, in the kernel's own vdso, keeps the arithmetic flags depends on the processor) */
        unsigned long mask = i != FLAGS ? ~0ul : use_vdso ? 0x400 : 0xcd5;
        if (i == SP && use_vdso)
            continue;
        if ((in[i] ^ out[i]) & mask)
            complaints += complain(name, names[i], in[i], out[i]);
#if defined(__i386__)
        if (i == FLAGS)
            break;
#endif
    }
    return (int)out[AX];
}

static long call(const char *name, long number, long a, long b, long c, long d, long e, long f)
{
    const uint32_t args[6] = {(uint32_t)a, (uint32_t)b, (uint32_t)c, (uint32_t)d, (uint32_t)e, (uint32_t)f};
    return probe(name, number, args);
}
#define P(text) (long)low(text)

/* Strings and buffers where 32 bits reach them. */
static char *memory, *next;
static char *low(const char *text)
{
    char *at = next;
    next += strlen(text) + 1;
    return strcpy(at, text);
}
static void *room(size_t size)
{
    next = (char *)(((uintptr_t)next + 15) & ~(uintptr_t)15);
    void *at = next;
    next += size;
    return memset(at, 0, size);
}

static void expect(const char *name, long result, long expected)
{
    printf("%s %ld\n", name, expected == SUCCESS && result >= 0 ? 0 : result);
    if (expected != ANY && (expected == SUCCESS ? result < 0 : result != expected))
        complaints += complain(name, "result", (unsigned long)expected, (unsigned long)result);
}

static void expect_content(const char *name, long fd, const char *text)
{
    char got[32] = {0};
    expect(name, fd, SUCCESS);
    if (fd >= 0 && (read((int)fd, got, sizeof got - 1) < 0 || strcmp(got, text)))
        printf("BAD %s: read %s\n", name, got), complaints++;
    close((int)fd);
}

static void make_file(const char *path, const char *text, int mode)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        exit(97);
    close(fd);
}

static void make_tree(void)
{
    static const char *const made[] = {"x", "y", "srv", "dg", "lf", "ld", "fifo", "q", "q2", 0};
    next = memory;
    if (chdir("/w"))
        exit(96);
    for (const char *const *name = made; *name; name++)
        if (unlink(*name))
            rmdir(*name);
    mkdir("d", 0755);
    make_file("f", "w:f", 0644);
    make_file("d/f", "w:d/f", 0644);
    make_file("bad", "w:bad", 0755);
    if (symlink("f", "lf") || symlink("d", "ld") || mkfifo("fifo", 0600))
        exit(95);
}

static uint32_t *block(int a, long b, long c, long d, long e, long f)
{
    uint32_t *at = room(24);
    at[0] = (uint32_t)a, at[1] = (uint32_t)b, at[2] = (uint32_t)c, at[3] = (uint32_t)d, at[4] = (uint32_t)e, at[5] = (uint32_t)f;
    return at;
}

static long address(const char *path)
{
    struct sockaddr_un *name = room(sizeof *name);
    name->sun_family = AF_UNIX;
    strcpy(name->sun_path, path);
    return (long)name;
}
#define LENGTH(path) (long)(2 + sizeof path)

static void files(void)
{
    char *buffer = room(512);
    expect_content("open", call("open", 5, P("/w/f"), 0, 0, 0, 0, 0), "w:f");
    expect_content("open-link", call("open-link", 5, P("ld/f"), 0, 0, 0, 0, 0), "w:d/f");
    expect_content("open-binding", call("open-binding", 5, P("/b/f"), 0, 0, 0, 0, 0), "b:f");
    expect_content("open-file", call("open-file", 5, P("/file"), 0100000, 0, 0, 0, 0), "b:file");
    expect_content("openat", call("openat", 295, AT_FDCWD, P("/b/../w/lf"), 0, 0, 0, 0), "w:f");
    expect("stat64", call("stat64", 195, P("/w/ld/../f"), (long)buffer, 0, 0, 0, 0), 0);
    expect("stat", call("stat", 106, P("/w/f"), (long)buffer, 0, 0, 0, 0), ANY);
    expect("oldstat", call("oldstat", 18, P("/w/f"), (long)buffer, 0, 0, 0, 0), ANY);
    expect("oldlstat", call("oldlstat", 84, P("/w/lf"), (long)buffer, 0, 0, 0, 0), ANY);
    expect("stat64-missing", call("stat64-missing", 195, P("/w/none"), (long)buffer, 0, 0, 0, 0), -ENOENT);
    expect("fstatat64", call("fstatat64", 300, AT_FDCWD, P("lf"), (long)buffer, AT_SYMLINK_NOFOLLOW, 0, 0), 0);
    expect("statx", call("statx", 383, AT_FDCWD, P("/w/lf"), 0, 0x7ff, (long)buffer, 0), 0);
    expect("statfs64", call("statfs64", 268, P("/w"), 84, (long)buffer, 0, 0, 0), 0);
    expect("statfs64-size", call("statfs64-size", 268, P("/w"), 80, (long)buffer, 0, 0, 0), -EINVAL);
    expect("truncate64", call("truncate64", 193, P("/w/lf"), 3, 0, 0, 0, 0), 0);
    expect("truncate64-high", call("truncate64-high", 193, P("/w/lf"), 0, -1, 0, 0, 0), -EINVAL);
    expect("chown", call("chown", 182, P("/w/lf"), 0xffff, 0xffff, 0, 0, 0), 0);
    expect("lchown", call("lchown", 16, P("/w/lf"), 0xffff, 0xffff, 0, 0, 0), 0);
    expect("chown32", call("chown32", 212, P("/w/lf"), -1, -1, 0, 0, 0), 0);
    expect("lchown32", call("lchown32", 198, P("/w/lf"), -1, -1, 0, 0, 0), 0);
    expect("utimensat", call("utimensat", 320, AT_FDCWD, P("/w/lf"), 0, 0, 0, 0), 0);
    expect("utimensat_time64", call("utimensat_time64", 412, AT_FDCWD, P("/w/lf"), 0, 0, 0, 0), 0);
    expect("fanotify_mark", call("fanotify_mark", 339, -1, 1, 0x20, 0, AT_FDCWD, P("/w/lf")), -EBADF);
    expect("umount", call("umount", 22, P("/w/d"), 0, 0, 0, 0, 0), -EPERM);
    expect("uselib", call("uselib", 86, P("/w/f"), 0, 0, 0, 0, 0), -ENOSYS);
    expect("rename", call("rename", 38, P("/w/f"), P("/w/ld/../q"), 0, 0, 0, 0), 0);
    expect("renameat2", call("renameat2", 353, AT_FDCWD, P("q"), AT_FDCWD, P("/w/ld/../f"), 1, 0), 0);
    expect("linkat", call("linkat", 303, AT_FDCWD, P("/w/f"), AT_FDCWD, P("/w/q2"), 0, 0), 0);
    expect("rename-exdev", call("rename-exdev", 38, P("/w/f"), P("/b/x"), 0, 0, 0, 0), -EXDEV);
    expect("getcwd", call("getcwd", 183, (long)buffer, 512, 0, 0, 0, 0), 3);
    expect("readlink-exe", call("readlink-exe", 85, P("/proc/self/exe"), (long)buffer, 512, 0, 0, 0), ANY);
    expect("execve-bad", call("execve-bad", 11, P("/w/bad"), (long)block(0, 0, 0, 0, 0, 0), 0, 0, 0, 0), -ENOEXEC);
    expect("execve-vector", call("execve-vector", 11, P("/w/bad"), 0x1000, 0, 0, 0, 0), -EFAULT);
    expect("bad-pointer", call("bad-pointer", 5, 0x1000, 0, 0, 0, 0, 0), -EFAULT);
    expect("unknown", call("unknown", 1000, P("/w/f"), 0, 0, 0, 0, 0), -ENOSYS);
    expect("unused", call("unused", 17, P("/w/f"), 0, 0, 0, 0, 0), -ENOSYS);
}

static void sockets(void)
{
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    int box = socket(AF_UNIX, SOCK_DGRAM, 0), pen = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un *name = room(sizeof *name);
    socklen_t *length = room(4);
    uint32_t *message = room(64), *vector = room(8);

    *length = sizeof *name;
    expect("sc-bind", call("sc-bind", 102, 2, (long)block(server, address("/w/ld/../srv"), LENGTH("/w/ld/../srv"), 0, 0, 0), 0, 0, 0, 0), 0);
    listen(server, 5);
    expect("sc-connect", call("sc-connect", 102, 3, (long)block(client, address("ld/../srv"), LENGTH("ld/../srv"), 0, 0, 0), 0, 0, 0, 0), 0);
    expect("sc-accept", call("sc-accept", 102, 5, (long)block(server, (long)name, (long)length, 0, 0, 0), 0, 0, 0, 0), SUCCESS);
    *length = sizeof *name;
    expect("sc-getsockname", call("sc-getsockname", 102, 6, (long)block(server, (long)name, (long)length, 0, 0, 0), 0, 0, 0, 0), 0);
    printf("name %s %u\n", name->sun_path, (unsigned)*length);
    *length = sizeof *name;
    expect("sc-getpeername", call("sc-getpeername", 102, 7, (long)block(client, (long)name, (long)length, 0, 0, 0), 0, 0, 0, 0), 0);
    printf("name %s %u\n", name->sun_path, (unsigned)*length);
    expect("bind", call("bind", 361, box, address("dg"), LENGTH("dg"), 0, 0, 0), 0);
    expect("sc-sendto", call("sc-sendto", 102, 11, (long)block(pen, P("text"), 4, 0, address("/w/ld/../dg"), LENGTH("/w/ld/../dg")), 0, 0, 0, 0), 4);
    vector[0] = (uint32_t)P("more"), vector[1] = 4;
    message[0] = (uint32_t)address("/w/ld/../dg"), message[1] = LENGTH("/w/ld/../dg"), message[2] = (uint32_t)(long)vector, message[3] = 1;
    expect("sc-sendmsg", call("sc-sendmsg", 102, 16, (long)block(pen, (long)message, 0, 0, 0, 0), 0, 0, 0, 0), 4);
    expect("sendmsg", call("sendmsg", 370, pen, (long)message, 0, 0, 0, 0), 4);
    memcpy(message + 8, message, 28);
    expect("sc-sendmmsg", call("sc-sendmmsg", 102, 20, (long)block(pen, (long)message, 2, 0, 0, 0), 0, 0, 0, 0), 2);
    printf("lengths %u %u\n", message[7], message[15]);
    expect("sendmmsg", call("sendmmsg", 345, pen, (long)message, 2, MSG_DONTWAIT, 0, 0), 2);
    *length = sizeof *name;
    expect("sc-recvfrom", call("sc-recvfrom", 102, 12, (long)block(box, (long)room(16), 16, 0, (long)name, (long)length), 0, 0, 0, 0), 4);
    expect("sc-wrong", call("sc-wrong", 102, 77, (long)block(0, 0, 0, 0, 0, 0), 0, 0, 0, 0), -EINVAL);
    expect("sc-bad-pointer", call("sc-bad-pointer", 102, 2, 0x1000, 0, 0, 0, 0), -EFAULT);
    for (int fd = 3; fd < 20; fd++)
        close(fd);
}

/* -- calls that signals interrupt ----------------------------------------------------------------------------------------- */

static volatile int *handled;
static volatile int failures;

static void on_signal(int number)
{
    char got[16] = {0};
    int keep = errno;
    for (int i = 0; i < 10; i++) {
        int fd = open(i % 2 ? "/w/ld/f" : "/b/f", O_RDONLY);
        if (fd < 0 || read(fd, got, 8) < 0 || strcmp(got, i % 2 ? "w:d/f" : "b:f"))
            failures++;
        memset(got, 0, sizeof got);
        close(fd);
    }
    (void)number;
    ++*handled;
    errno = keep;
}

static int interrupter(int rounds, int peer)
{
    int parent = getpid(), pid = fork();
    if (pid)
        return pid;
    for (int i = 0; i < rounds; i++) {
        usleep(i % 5 * 100 + 200);
        kill(parent, SIGUSR1);
        while (*handled <= i)
            usleep(50);
    }
    usleep(500);
    if (peer < 0)
        peer = open("/w/fifo", O_WRONLY);
    else
        for (int i = 0; i < 2; i++)
            accept(peer, NULL, NULL);
    _exit(write(peer, "sent", 4) < 0 && errno != ENOTCONN && errno != EPIPE);
}

static void interrupted(const char *name, int rounds)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    stack_t stack = {.ss_sp = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 1 << 17};
    int status = 0, pid, server = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM, 0);

    handled = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    if (!strcmp(name, "signal-open")) {
        pid = interrupter(rounds, -1);
        expect_content(name, call(name, 5, P("/w/ld/../fifo"), 0, 0, 0, 0, 0), "sent");
    } else {
        struct sockaddr_un *srv = (void *)address("/w/srv");
        if (bind(server, (void *)srv, LENGTH("/w/srv")) || listen(server, 0) || connect(first, (void *)srv, LENGTH("/w/srv")))
            exit(94);
        pid = interrupter(rounds, server);
        expect(name, call(name, 102, 3, (long)block(socket(AF_UNIX, SOCK_STREAM, 0), address("ld/../srv"), LENGTH("ld/../srv"), 0, 0, 0),
                          0, 0, 0, 0), 0);
    }
    waitpid(pid, &status, 0);
    printf("handled %d failures %d child %d\n", *handled, failures, status);
    complaints += *handled != rounds || failures || status;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "all";
    setvbuf(stdout, NULL, _IOLBF, 0);
    use_vdso = argc > 1 && !strcmp(argv[1], "vdso");
    entry = getauxval(AT_SYSINFO);
    if (use_vdso && !entry)
        return 90;
    memory = mmap((void *)0x20000000, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    make_tree();
    if (!strncmp(mode, "signal-", 7)) {
        interrupted(mode, argc > 3 ? atoi(argv[3]) : 30);
    } else {
        files();
        sockets();
    }
    printf("done %d\n", complaints);
    return complaints != 0;
}
