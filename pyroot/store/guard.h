/* A file that somebody cuts off while we have it mapped: the next look at it is SIGBUS.  What is left of it would show files with wrong
 * owners, so the run ends, with one line that says why.
 *
 * Decides: what becomes of a session whose store has been cut off.
 */
#ifndef PYROOT_STORE_GUARD_H
#define PYROOT_STORE_GUARD_H

#include "files.h"

#include <signal.h>

#define STORE_GUARDED 8

static const store *store_guarded[STORE_GUARDED];
static struct sigaction store_before; /* what SIGBUS did before */

static int store_has_address(const store *s, const char *at)
{
    return (s->map && at >= s->map && at < s->map + s->size) || (s->piece && at >= s->piece && at < s->piece + STORE_PIECE)
        || (s->index && at >= (const char *)s->index && at < (const char *)(s->index + 1));
}

static void store_cut_off(int sig, siginfo_t *info, void *context)
{
    static const char line[] = "pyroot: the owners remembered for this root have been cut off while in use: `pyroot owners check` tells what "
                               "is left of them\n";
    int i;
    (void)context;
    for (i = 0; i < STORE_GUARDED; i++)
        if (store_guarded[i] && info->si_code == BUS_ADRERR && store_has_address(store_guarded[i], info->si_addr)) {
            (void)!write(2, line, sizeof line - 1);
            _exit(125);
        }
    /* (it comes again) */
    sigaction(sig, &store_before, NULL);
}

/* Watch over what a store has mapped, from now on or (`on` 0) no longer. */
static void store_guard(const store *s, int on)
{
    struct sigaction ours;
    int i, used = 0, place = -1;
    for (i = STORE_GUARDED - 1; i >= 0; i--) {
        if (store_guarded[i] == s) store_guarded[i] = NULL, used++;
        else if (store_guarded[i]) used += 2;
        if (!store_guarded[i]) place = i;
    }
    if (on && place >= 0) store_guarded[place] = s;
    if (on && !used) {
        memset(&ours, 0, sizeof ours);
        ours.sa_sigaction = store_cut_off;
        ours.sa_flags = SA_SIGINFO;
        sigaction(SIGBUS, NULL, &store_before);
        /* (guests get what is ignored from us) */
        if (store_before.sa_handler != SIG_IGN) sigaction(SIGBUS, &ours, NULL);
    } else if (!on && used == 1) {
        sigaction(SIGBUS, &store_before, NULL);
    }
}

#endif
