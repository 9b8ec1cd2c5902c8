/* Blocking calls that signals interrupt again and again while the handler makes path calls of its own.
 *
 * A restarted call has to find its own path, whatever the handler asked for in between, and give back the registers of the call
 * that was interrupted.  Modes: open openat openat2 creat connect sendto accept recvfrom, each restarted (SA_RESTART) until it succeeds; eintr
 * (without SA_RESTART); longjmp (the handler never returns to the call). */
#include "regs.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_IN_HANDLER 40 /* more than any small number of slots that a supervisor may keep */

static volatile int *handled; /* in memory that the interrupting process sees too */
static volatile int handler_failures;
static sigjmp_buf before_call;

static void ask(const char *path, const char *text)
{
    char got[16] = {0};
    int fd = open(path, O_RDONLY);
    if (fd < 0 || read(fd, got, sizeof got - 1) < 0 || strcmp(got, text))
        handler_failures++;
    close(fd);
}

static void on_signal(int number)
{
    struct stat st;
    int keep = errno;
    for (int i = 0; i < CALLS_IN_HANDLER; i += 4) {
        ask(number == SIGUSR1 ? "/w/lf" : "f", "w:f");
        ask("/b/f", "b:f");
        if (stat("/w/none", &st) == 0 || stat("/w/fifo", &st) || !S_ISFIFO(st.st_mode))
            handler_failures++;
    }
    __atomic_fetch_add(handled, 1, __ATOMIC_RELAXED); /* another handler may come in between */
    errno = keep;
}

static void on_alarm(int number)
{
    (void)number;
    ask("/w/abs", "w:d/f");
    __atomic_fetch_add(handled, 1, __ATOMIC_RELAXED); /* another handler may come in between */
    siglongjmp(before_call, 1);
}

static void install(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
}

static const struct sockaddr_un at_srv = {AF_UNIX, "/w/ld/../srv"}, at_dg = {AF_UNIX, "/w/ld/../dg"};
static const struct sockaddr_un at_peer = {AF_UNIX, "ld/../peer"};
static const struct open_how how = {O_RDONLY, 0, 0};
static int own_fd, peer_fd;
static struct sockaddr_un got_name;
static socklen_t got_length;

static int prepared(void) { return own_fd; }

static int full_listener(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), first = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (const void *)&at_srv, sizeof at_srv) || listen(fd, 0) || connect(first, (const void *)&at_srv, sizeof at_srv))
        exit(93);
    peer_fd = fd;
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int full_receiver(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (bind(fd, (const void *)&at_dg, sizeof at_dg))
        exit(92);
    while (sendto(sender, "full", 4, MSG_DONTWAIT, (const void *)&at_dg, sizeof at_dg) == 4)
        continue;
    peer_fd = fd;
    return socket(AF_UNIX, SOCK_DGRAM, 0);
}

static int bound_to(int type, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, type, 0);
    memset(&got_name, 0, sizeof got_name);
    got_length = sizeof got_name;
    if (bind(fd, (const void *)address, sizeof *address) || (address == &at_srv && listen(fd, 5)))
        exit(91);
    return fd;
}
static int idle_listener(void) { return bound_to(SOCK_STREAM, &at_srv); }
static int idle_receiver(void) { return bound_to(SOCK_DGRAM, &at_dg); }

static int directory(void) { return open("/w/d", O_PATH); }

/* What the other process does to let the call end. */
static void open_writer(void)
{
    int fd = open("/w/fifo", O_WRONLY);
    if (fd < 0 || write(fd, "sent", 4) != 4)
        _exit(1);
}
static void open_reader(void)
{
    char got[8];
    int fd = open("/w/fifo", O_RDONLY);
    if (fd < 0 || read(fd, got, sizeof got) < 0)
        _exit(1);
}
static void accept_all(void)
{
    close(accept(peer_fd, NULL, NULL));
    close(accept(peer_fd, NULL, NULL));
}
static void receive_one(void)
{
    char got[8];
    if (recv(peer_fd, got, sizeof got, 0) < 0)
        _exit(1);
}

static void connect_by_name(void)
{
    if (connect(bound_to(SOCK_STREAM, &at_peer), (const void *)&at_srv, sizeof at_srv))
        _exit(1);
}
static void send_by_name(void)
{
    if (sendto(bound_to(SOCK_DGRAM, &at_peer), "text", 4, 0, (const void *)&at_dg, sizeof at_dg) != 4)
        _exit(1);
}

static int got_sent(long fd)
{
    char got[8] = {0};
    ssize_t n = read(fd, got, sizeof got - 1);
    close(fd);
    return n != 4 || strcmp(got, "sent");
}
static int wrote(long fd)
{
    int failed = write(fd, "sent", 4) != 4;
    close(fd);
    return failed;
}
static int has_peer(long result)
{
    struct sockaddr_un name = {0};
    socklen_t length = sizeof name;
    return result || getpeername(own_fd, (void *)&name, &length) || strcmp(name.sun_path, at_srv.sun_path);
}
static int named_peer(long result)
{
    return result < 0 || strcmp(got_name.sun_path, at_peer.sun_path) || got_length != 2 + sizeof "ld/../peer";
}

#define P(text) {PATH, text, 0}
#define N(value) {NUMBER, 0, value}
#define NAME N((long)&got_name), N((long)&got_length)

static const struct {
    struct kind kind;
    int (*setup)(void);
    void (*release)(void);
} blocking[] = {
    {{"open", SYS_open, {P("/w/ld/../fifo"), N(O_RDONLY)}, SUCCESS, 0, 0, got_sent, 0}, 0, open_writer},
    {{"openat", SYS_openat, {{PREPARED, 0, 0}, P("../fifo"), N(O_RDONLY)}, SUCCESS, 0, prepared, got_sent, 0}, directory, open_writer},
    {{"openat2", SYS_openat2, {N(AT_FDCWD), P("fifo"), {BYTES, &how, sizeof how}, N(sizeof how)}, SUCCESS, 0, 0, got_sent, 0}, 0, open_writer},
    {{"creat", SYS_creat, {P("/b/../w/fifo"), N(0600)}, SUCCESS, 0, 0, wrote, 0}, 0, open_reader},
    {{"connect", SYS_connect, {{PREPARED, 0, 0}, {BYTES, &at_srv, sizeof at_srv}, N(sizeof at_srv)}, 0, 0, prepared, has_peer, 0}, full_listener, accept_all},
    {{"sendto", SYS_sendto, {{PREPARED, 0, 0}, {BYTES, "text", 4}, N(4), N(0), {BYTES, &at_dg, sizeof at_dg}, N(sizeof at_dg)}, 4, 0, prepared, 0, 0}, full_receiver, receive_one},
    {{"accept", SYS_accept, {{PREPARED, 0, 0}, NAME}, SUCCESS, 0, prepared, named_peer, 0}, idle_listener, connect_by_name},
    {{"recvfrom", SYS_recvfrom, {{PREPARED, 0, 0}, {BUFFER, 0, 0}, N(100), N(0), NAME}, 4, 0, prepared, named_peer, 0}, idle_receiver, send_by_name},
};

/* Interrupt the parent `count` times, then let its call end.  Every third time a second signal hits the first one's handler.
 * Returns the child's pid. */
static int start_interrupter(int count, void (*release)(void))
{
    int parent = getpid(), pid = fork(), sent = 0;
    if (pid)
        return pid;
    usleep(20000);
    while (sent < count) {
        int both = sent % 3 == 2 && sent + 1 < count;
        kill(parent, SIGUSR1);
        sent++;
        if (both) {
            usleep(100);
            kill(parent, SIGUSR2);
            sent++;
        }
        for (int i = 0; *handled < sent && i < 50000; i++)
            usleep(100);
        usleep(sent % 7 * 40); /* sometimes before, sometimes after the call was restarted */
    }
    if (release)
        release();
    _exit(0);
}

static int run_blocking(const struct kind *kind, struct place *place, int count, void (*release)(void))
{
    long result;
    int status = 0, pid, bad;
    char detail[80];
    *handled = handler_failures = 0;
    pid = start_interrupter(count, release);
    bad = probe(kind, place, &result);
    waitpid(pid, &status, 0);
    printf("%s %s %d %ld\n", kind->name, place->name, *handled, result < 0 ? result : 0);
    if (handler_failures || status || *handled != count) {
        snprintf(detail, sizeof detail, "handled %d, wrong calls in them %d, child status %d", *handled, handler_failures, status);
        bad += complain("signals", kind->name, place->name, detail);
    }
    return bad;
}

static int run_longjmp(struct place *place, int count)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART | SA_ONSTACK};
    struct itimerval soon = {.it_value = {0, 1500}};
    long result;
    volatile int i, bad = 0;
    sigaction(SIGALRM, &action, NULL);
    for (i = 0; i < count; i++) {
        if (sigsetjmp(before_call, 1) == 0) {
            setitimer(ITIMER_REAL, &soon, NULL);
            close(open("/w/ld/../fifo", O_RDONLY));
        }
    }
    signal(SIGALRM, SIG_IGN);
    printf("longjmp %s %d\n", place->name, *handled == count && !handler_failures);
    if (*handled != count || handler_failures)
        bad = complain("signals", "longjmp", place->name, "handler failed");
    for (size_t k = 0; k < kind_count; k++)
        if (kinds[k].safe && !kinds[k].prepare)
            bad += probe(&kinds[k], place, &result);
    return bad;
}

/* Run one mode; on the probe's own stack, and with a useless rsp and the handler on a stack of its own. */
int run_signal_mode(const char *mode, int rounds)
{
    stack_t stack = {.ss_sp = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 32 * PAGE};
    struct place own, useless;
    int bad = 0, known = 0;
    handled = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    make_place(&own, "own-stack");
    own.only_redzone = 1;
    make_place(&useless, "useless-stack");
    useless.stack = useless.stack_end = NULL;
    useless.rsp = 0x10;
    sigaltstack(&stack, NULL);
    reset_tree();
    if (!strcmp(mode, "longjmp"))
        return run_longjmp(&own, rounds);
    if (!strcmp(mode, "eintr")) {
        struct kind kind = blocking[0].kind;
        kind.expected = -EINTR;
        kind.verify = NULL;
        install(0);
        for (int i = 0; i < rounds; i++)
            bad += run_blocking(&kind, &own, 1, NULL);
        return bad;
    }
    for (size_t i = 0; i < sizeof blocking / sizeof *blocking; i++) {
        if (strcmp(blocking[i].kind.name, mode))
            continue;
        known = 1;
        for (int turn = 0; turn < 2; turn++) {
            reset_tree();
            own_fd = blocking[i].setup ? blocking[i].setup() : -1;
            install(SA_RESTART | (turn ? SA_ONSTACK : 0));
            bad += run_blocking(&blocking[i].kind, turn ? &useless : &own, rounds, blocking[i].release);
            close_all();
        }
    }
    return bad || !known;
}
