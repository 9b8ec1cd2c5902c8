/* Tell each signal that arrives: "SIGNAL code CODE pid PID value VALUE", one line each.
 *
 *   signal            takes all signals
 *   signal blocked    blocks all until it can read a line, then takes what waits
 *   signal threads    has three threads more, and the first one blocks all
 *   signal calls      makes calls with paths all the time
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void tell(int sig, siginfo_t *info, void *context)
{
    char line[100];
    int size = snprintf(line, sizeof line, "%d code %d pid %d value %d\n", sig, info->si_code, info->si_pid,
                        info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);

    (void)context;
    if (write(1, line, (size_t)size) != size)
        _exit(3);
}

static void *wait_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t all;
    pthread_t thread;
    char line[80];

    sigfillset(&action.sa_mask);
    sigfillset(&all);
    for (int sig = 1; sig < NSIG; sig++)
        if (sig != SIGCHLD)
            sigaction(sig, &action, NULL);
    for (int i = 0; i < 3 && argc > 1 && !strcmp(argv[1], "threads"); i++)
        if (pthread_create(&thread, NULL, wait_for_ever, NULL))
            return 3;
    if (argc > 1 && strcmp(argv[1], "calls"))
        pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (write(1, "up\n", 3) != 3)
        return 3;
    if (argc > 1 && !strcmp(argv[1], "blocked")) {
        if (read(0, line, sizeof line) <= 0)
            return 3;
        pthread_sigmask(SIG_UNBLOCK, &all, NULL);
    }
    while (argc > 1 && !strcmp(argv[1], "calls"))
        unlink("/none/there");
    wait_for_ever(NULL);
}
