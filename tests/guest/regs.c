/* Registers, stack and arguments before and after system calls.  Usage: regs real|guest MODE [ROUNDS]
 *
 * Modes: every place of `places` below (all calls, one after the other), threads (safe calls in eight threads at the same time),
 * vfork (safe calls in a child that shares our memory), signal-... (see regs_signals.c).  Prints `NAME PLACE RESULT` for each call, `BAD ...`
 * for each difference and `done N` at the end; exits 1 if something was BAD. */
#include "regs.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

int is_guest;
static struct area main_area, other_areas[THREADS];
static int complaints;

static void place_readonly(struct place *place) { place->read_only = 1; }
static void place_bottom(struct place *place) /* the red zone itself lies in the guard page */
{
    place->rsp = (uint64_t)place->stack + 64;
}
static void place_small(struct place *place) /* the red zone just fits */
{
    place->rsp = (uint64_t)place->stack + 128;
}
static void place_top(struct place *place) { place->rsp = (uint64_t)place->stack_end; }
static void place_odd(struct place *place) { place->rsp += 3; }
static void place_nowhere(struct place *place)
{
    place->stack = place->stack_end = NULL;
    place->rsp = 0x10;
}
static void place_guard(struct place *place)
{
    place->rsp = (uint64_t)place->stack_end + 64;
    place->whole = 1;
}
static void place_constant(struct place *place) /* a stack that cannot be written */
{
    mprotect(place->stack, place->stack_end - place->stack, PROT_READ);
    place->stack = place->stack_end = NULL;
}

static const struct {
    const char *name;
    void (*change)(struct place *);
} places[] = {
    {"plain", NULL},         {"readonly", place_readonly}, {"bottom", place_bottom}, {"small", place_small},
    {"top", place_top},      {"odd", place_odd},           {"nowhere", place_nowhere}, {"guard", place_guard},
    {"constant", place_constant},
};

static void probe_all(struct place *place)
{
    for (size_t i = 0; i < kind_count; i++) {
        long result;
        reset_tree();
        complaints += probe(&kinds[i], place, &result);
        printf("%s %s %ld\n", kinds[i].name, place->name, result >= 0 && kinds[i].expected == SUCCESS ? 0 : result);
        close_all();
    }
}

static void at_own_stack(struct place *place) /* rsp where the caller's frames end */
{
    place->whole = 0;
    place->rsp = ((uint64_t)__builtin_frame_address(0) - 12 * PAGE) & ~15ul;
    place->stack = (uint8_t *)place->rsp - 2 * PAGE;
}

static int in_signal_handler;

static void probe_on_sigaltstack(int number)
{
    struct place place;
    (void)number;
    make_place(&place, "sigaltstack");
    at_own_stack(&place);
    in_signal_handler = 1;
    probe_all(&place);
}

static int on_sigaltstack(void)
{
    stack_t stack = {.ss_sp = mmap(NULL, 24 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 24 * PAGE};
    struct sigaction action = {.sa_handler = probe_on_sigaltstack, .sa_flags = SA_ONSTACK};
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    return !in_signal_handler;
}

static int probe_safe(struct place *place, int rounds)
{
    int bad = 0;
    long result;
    for (int round = 0; round < rounds && !bad; round++)
        for (size_t i = 0; i < kind_count; i++)
            if (kinds[i].safe && !kinds[i].prepare)
                bad += probe(&kinds[i], place, &result);
    return bad;
}

static int rounds = 1;

static void *thread(void *number)
{
    struct place place;
    long n = (long)number;
    make_place(&place, "threads");
    if (n % 2)
        place_bottom(&place);
    use_area(&other_areas[n], n + 1);
    return (void *)(long)probe_safe(&place, rounds);
}

static int in_threads(void)
{
    pthread_t ids[THREADS];
    void *bad;
    reset_tree();
    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&ids[i], NULL, thread, (void *)i))
            return 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(ids[i], &bad);
        complaints += (long)bad;
    }
    return 0;
}

static int in_vfork_child(void *unused)
{
    struct place place;
    (void)unused;
    make_place(&place, "vfork");
    use_area(&other_areas[0], 5);
    _exit(probe_safe(&place, 1) != 0);
}

static int in_vfork(void)
{
    static uint8_t stack[64 * PAGE] __attribute__((aligned(64)));
    struct place place;
    int status = 0;
    reset_tree();
    make_place(&place, "after-vfork");
    for (int i = 0; i < rounds; i++) {
        int pid = clone(in_vfork_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
            return complain("status", "vfork", "child", "is not 0");
        use_area(&main_area, 0);
        complaints += probe_safe(&place, 1);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[2] : "";
    struct place place;
    int failed = 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    is_guest = argc > 1 && !strcmp(argv[1], "guest");
    rounds = argc > 3 ? atoi(argv[3]) : 1;
    use_area(&main_area, 0);
    make_place(&place, mode);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(places[i].name, mode))
            continue;
        if (places[i].change)
            places[i].change(&place);
        probe_all(&place);
        failed = 0;
    }
    if (!strcmp(mode, "sigaltstack"))
        failed = on_sigaltstack();
    if (!strcmp(mode, "threads"))
        failed = in_threads();
    if (!strcmp(mode, "vfork"))
        failed = in_vfork();
    if (!strncmp(mode, "signal-", 7))
        failed = run_signal_mode(mode + 7, rounds);
    printf("done %d\n", complaints);
    return failed || complaints;
}
