/* What Python calls: the kernels that this processor can run, and threads to run them on. */

#include "native.h"

#include <pthread.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_THREADS 256

/* The kernels called `name` (avx512, avx2, plain); NULL where the processor, or this build, has none. */
EXPORT const struct kernels *intrinsic_kernels(const char *name) {
#if defined(__x86_64__)
    if (!strcmp(name, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &intrinsic_avx512;
    if (!strcmp(name, "avx2") && __builtin_cpu_supports("avx2")) return &intrinsic_avx2;
#endif
    return strcmp(name, "plain") ? NULL : &intrinsic_plain;
}

struct call {
    int (*kernel)(void *);
    void *job;
    int failed;
};

static void *run_one(void *given) {
    struct call *call = given;
    call->failed = call->kernel(call->job);
    return NULL;
}

/* kernel(job) on `threads` threads at once, the caller's among them; 0 if all went well. The threads live for one
 * call: making one takes some 20 microseconds, and none is left behind for a fork to lose. */
EXPORT int intrinsic_run(int (*kernel)(void *), void *job, int threads) {
    pthread_t thread[MOST_THREADS];
    struct call call[MOST_THREADS];
    int made = 0, failed = 0;
    for (; made < threads - 1 && made < MOST_THREADS; made++) {
        call[made] = (struct call){kernel, job, 0};
        if (pthread_create(&thread[made], NULL, run_one, &call[made])) break; /* then fewer do the work */
    }
    failed = kernel(job);
    for (int i = 0; i < made; i++) {
        pthread_join(thread[i], NULL);
        failed |= call[i].failed;
    }
    return failed;
}
