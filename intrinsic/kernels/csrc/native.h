/* What Python hands to the kernels, and the table of them that each instruction set fills. library.py mirrors the
 * structures; every kernel runs on any number of threads at once, each call taking chunks from the shared counter
 * until none is left. */

#ifndef INTRINSIC_NATIVE_H
#define INTRINSIC_NATIVE_H

#include <math.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels read words as pairs of halves, low half first: little endian only"
#endif

#define PHILOX_ROUNDS 10
#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

enum { VALUES = 0, SECOND = 1 }; /* streams of a projection */

/* One tensor of n entries. Forward: out = start + scale * P theta (start may be NULL: zeros). Adjoint: start is
 * the gradient, and chunk c of the tensor adds to row first_chunk + c of the totals. */
struct task {
    uint64_t key;
    int64_t n;
    const float *start;
    float *out;
    int64_t chunk_units; /* units (blocks of p rows, or groups of rows) in a chunk */
    int64_t first_chunk;
    float scale;
};

struct job {
    uint64_t seed;
    int64_t dim; /* d */
    const float *theta; /* p floats, zeros after the first d; forward only */
    double *totals;     /* [chunks, stride], adjoint only */
    int64_t stride;     /* of totals; of theta too in fastfood_forward: p */
    const float *gauss;  /* fastfood: 4096 quantiles; dense: 65536 entries */
    const float *spread; /* fastfood: 4096 quantiles of chi(p) */
    const uint32_t *thresholds; /* sparse */
    int64_t threshold_count;
    float magnitude; /* sparse: of an entry */
    const struct task *tasks;
    int64_t task_count;
    int64_t chunk_count;
    int64_t next; /* the shared counter */
};

struct fill {
    uint64_t seed, key;
    uint32_t stream;
    uint64_t first; /* entry */
    int64_t count;
    const float *table; /* 65536 quantiles */
    float *out;
    int64_t chunk_count;
    int64_t next;
};

struct transform {
    float *x;
    int64_t rows;   /* transforms of p floats each, one after the other; or parts of one transform */
    int64_t p;
    int64_t chunk;  /* rows a chunk; or columns */
    int64_t chunk_count;
    int64_t next;   /* of one transform's parts: the number of threads that have begun */
    int64_t threads;
    int64_t done;   /* parts that are */
    uint8_t *taken; /* [chunk_count], zeros: which parts and groups of columns are, of one transform */
};

struct kernels {
    int (*fastfood_forward)(struct job *);
    int (*fastfood_adjoint)(struct job *);
    int (*small_forward)(struct job *); /* of Fastfood, p < 128 */
    int (*small_adjoint)(struct job *);
    int (*hashed_forward)(struct job *);
    int (*hashed_adjoint)(struct job *);
    int (*sparse_forward)(struct job *);
    int (*sparse_adjoint)(struct job *);
    int (*gaussians)(struct fill *);
    int (*fwht)(struct transform *);
    int (*fwht_parts)(struct transform *);
    int64_t (*column_rows)(int64_t p);
    double (*lookup_seconds)(void);
};

extern const struct kernels intrinsic_avx512, intrinsic_avx512_loads, intrinsic_avx2, intrinsic_avx2_loads;
extern const struct kernels intrinsic_plain;

#endif
