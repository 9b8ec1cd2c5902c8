/* COUNT SIZE: so many threads, each of which removes a name of that length that is not there, and then waits for all others. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[4096];
static atomic_int wrong;
static pthread_barrier_t barrier;

static void *work(void *nothing)
{
    if (unlink(path) == 0 || errno != ENOENT)
        wrong++;
    pthread_barrier_wait(&barrier);
    return nothing;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1, size = argc > 2 ? atoi(argv[2]) : 100;
    pthread_t *threads = calloc((size_t)count, sizeof(*threads));
    pthread_attr_t small;

    for (int i = 0; i < size && i < 4000; i++)
        path[i] = i % 100 == 0 ? '/' : 'x';
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_barrier_init(&barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], &small, work, NULL) != 0)
            return 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("wrong %d\n", wrong);
    return 0;
}
