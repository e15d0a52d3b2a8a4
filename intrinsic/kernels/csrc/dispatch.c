/* What Python calls: the kernels that this processor can run, and threads to run them on. */

#include "native.h"

#include <pthread.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_THREADS 256

/* Of all that passes between Python and C. library.py holds them against its own, in this order. */
EXPORT const uint64_t intrinsic_sizes[] = {sizeof(struct task), sizeof(struct job), sizeof(struct fill),
                                           sizeof(struct transform), sizeof(struct kernels)};

/* The kernels called `name` (avx512, avx2, either with -loads, or plain); NULL where the processor, or this build, has
 * none. */
EXPORT const struct kernels *intrinsic_kernels(const char *name) {
#if defined(__x86_64__)
    int wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    int narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(name, "avx512")) return wide ? &intrinsic_avx512 : NULL;
    if (!strcmp(name, "avx512-loads")) return wide ? &intrinsic_avx512_loads : NULL;
    if (!strcmp(name, "avx2")) return narrow ? &intrinsic_avx2 : NULL;
    if (!strcmp(name, "avx2-loads")) return narrow ? &intrinsic_avx2_loads : NULL;
#endif
    return strcmp(name, "plain") ? NULL : &intrinsic_plain;
}

typedef void parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);

static parallel *torchs; /* GOMP_parallel of the OpenMP runtime that torch uses, if there is one */

static void no_threads_of_torch(void) { torchs = NULL; }

/* From now on kernels run on torch's own threads. They are awake after an operation of torch's and keep their
 * processors for a while: threads beside them would have to wait for those. A forked child has none of them left. */
EXPORT void intrinsic_use_threads(parallel *of_torch) {
    static int watched;
    if (!watched && pthread_atfork(NULL, NULL, no_threads_of_torch)) return;
    watched = 1;
    torchs = of_torch;
}

struct call {
    int (*kernel)(void *);
    void *job;
    int failed;
};

static void run_one(void *given) {
    struct call *call = given;
    if (call->kernel(call->job)) __atomic_store_n(&call->failed, 1, __ATOMIC_RELAXED);
}

static void *run_on_thread(void *given) {
    run_one(given);
    return NULL;
}

/* kernel(job) on `threads` threads at once, the caller's among them; 0 if all went well. Without torch's, threads
 * live for one call: making one takes some 20 microseconds, and none is left behind for a fork to lose. */
EXPORT int intrinsic_run(int (*kernel)(void *), void *job, int threads) {
    struct call call = {kernel, job, 0};
    if (threads > 1 && torchs) {
        torchs(run_one, &call, (unsigned)threads, 0);
        return call.failed;
    }
    pthread_t thread[MOST_THREADS];
    int made = 0;
    for (; made < threads - 1 && made < MOST_THREADS; made++)
        if (pthread_create(&thread[made], NULL, run_on_thread, &call)) break; /* then fewer do the work */
    run_one(&call);
    for (int i = 0; i < made; i++) pthread_join(thread[i], NULL);
    return call.failed;
}
