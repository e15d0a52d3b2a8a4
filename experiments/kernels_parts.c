/* What the parts of one Fastfood block cost, in a cache and on one thread: nanoseconds a vector of 16 rows.
 *
 *     gcc -O3 -std=gnu11 -ffp-contract=off -Wno-psabi -I intrinsic/kernels/csrc experiments/kernels_parts.c -lm -o parts
 *     ./parts
 *
 * -DSET='"avx2_loads.c"', or another file of intrinsic/kernels/csrc: another instruction set. Each time is the least of many. */

#ifndef SET
#define SET "avx512_loads.c"
#endif
#include SET

#include <stdio.h>

#define P 1024
#define BLOCKS 64
#define ROUNDS 500
#define ROWS_A_VECTOR 16

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `call` for each of the blocks j, again and again */
#define MEASURE(name, call)                                                                     \
    do {                                                                                        \
        double least = INFINITY;                                                                \
        for (int round = 0; round < ROUNDS; round++) {                                          \
            double from = now();                                                                \
            for (int64_t j = 0; j < BLOCKS; j++) {                                              \
                call;                                                                           \
                __asm__ volatile("" : : : "memory"); /* its results are wanted */               \
            }                                                                                   \
            double took = now() - from;                                                         \
            if (took < least) least = took;                                                     \
        }                                                                                       \
        printf("%-44s %6.2f\n", name, 1e9 * least / (BLOCKS * P / ROWS_A_VECTOR));              \
    } while (0)

#define ALIGNED __attribute__((aligned(64)))
static float theta[P] ALIGNED, gauss[1 << TABLE_BITS], lengths[1 << TABLE_BITS];
static float start[BLOCKS * P] ALIGNED, out[BLOCKS * P] ALIGNED;
static double total[P] ALIGNED;

int main(void) {
    for (int i = 0; i < P; i++) theta[i] = (float)i / P - 0.5f;
    for (int i = 0; i < 1 << TABLE_BITS; i++) gauss[i] = (float)(i - 2048) / 1024, lengths[i] = 1 + (float)i / 65536;
    for (int i = 0; i < BLOCKS * P; i++) start[i] = (float)(i % 1000) / 1000;
    struct task task = {.key = 7, .n = BLOCKS * P, .start = start, .out = out, .scale = 0.5f, .chunk_units = BLOCKS};
    struct job job = {.seed = 5, .dim = 1000, .theta = theta, .gauss = gauss, .spread = lengths, .stride = P};
    struct stream stream = stream_of(5, 7);
    float *memory = scratch(3 * P);
    if (!memory) return 1;
    struct block b = {.job = &job, .stream = &stream, .p = P, .first = -1};
    b.words = (uint32_t *)memory, b.u = memory + P, b.v = memory + 2 * P;
    volatile float scale;

    MEASURE("a block forward", forward_block(&b, &task, j));
    MEASURE("  words, permutation's words, B theta", open_block(&b, j, theta, start + j * P, out + j * P));
    MEASURE("  places of the permutation", places_of(&b, 0, (uint32_t *)b.v));
    MEASURE("  the same, and G, its norm, both looked up", places_of(&b, 0, (uint32_t *)b.v);
            scale = apply_gaussians(&b, b.u));
    for (int i = 0; i < P; i++) b.u[i] = b.v[i] = 0; /* so that they stay zeros */
    MEASURE("  a transform (two a block)", fwht_one(b.v, P));
    MEASURE("  S looked up, W_0 read, W written", spread(&b, scale, b.v, 0.5f, start + j * P, out + j * P));
    MEASURE("a block's adjoint", adjoint_block(&b, &task, j, total));
    MEASURE("  sums in double precision", add_signed(b.words, b.u, job.dim, total));
    free(memory);
    return 0;
}
