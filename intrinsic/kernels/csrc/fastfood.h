/* Fastfood, block by block: S H G Pi H B theta, specified in intrinsic/projections/fastfood.py. p >= 128. */

#define TABLE_MASK 0xFFFu
#define SPREAD_SHIFT 12
#define SIGN 0x80000000u
#define PERMUTATION_ROUNDS 4
#define FIXED_POINT 65536.0
#define EXACT (1 << 17) /* gaussians whose squares sum to less than 2^21 */
#define IN_CACHE (1 << 15) /* floats of one block's vector that stay in the second-level cache */
#define NARROW (1 << 16) /* the largest p whose positions fit 16 bits */

/* Round r of pi: x <- x factor[r] + offset[r] mod p, x <- x xor x >> shift. `undo` are the affine maps backwards. */
struct permutation {
    uint32_t factor[PERMUTATION_ROUNDS], offset[PERMUTATION_ROUNDS];
    uint32_t undo_factor[PERMUTATION_ROUNDS], undo_offset[PERMUTATION_ROUNDS];
    uint32_t mask, shift;
};

struct block {
    const struct job *job;
    const struct stream *stream;
    int64_t p;
    float *words_, *gauss, *u, *v; /* [p] each; words_ holds uint32 */
    struct permutation pi;
    float scale; /* of the block, 1 / (||g|| sqrt(d)) */
};

static uint32_t inverse_mod_2_32(uint32_t odd) {
    uint32_t x = odd; /* right in its last 3 bits; each step doubles them */
    for (int i = 0; i < 4; i++) x *= 2 - odd * x;
    return x;
}

static struct permutation permutation_of(int64_t j, int64_t p, const struct stream *s) {
    uint32_t w[4 * LANES] __attribute__((aligned(64)));
    struct permutation pi = {.mask = (uint32_t)(p - 1), .shift = (uint32_t)(__builtin_ctzll((uint64_t)p) + 1) / 2};
    stream_words(w, 4 * (uint64_t)j, LANES, SECOND, s);
    for (int r = 0; r < PERMUTATION_ROUNDS; r++) {
        pi.factor[r] = w[2 * r] | 1;
        pi.offset[r] = w[2 * r + 1];
        pi.undo_factor[r] = inverse_mod_2_32(pi.factor[r]);
        pi.undo_offset[r] = -pi.offset[r] * pi.undo_factor[r];
    }
    return pi;
}

/* The rounds of pi, or of its inverse, on a vector of positions. 2 shift >= log2 p, so x xor x >> shift is its own
 * inverse. */
#define ROUNDS(x, number, pi, undo)                                                                    \
    UNROLL for (int r = 0; r < PERMUTATION_ROUNDS; r++) {                                              \
        int s = PERMUTATION_ROUNDS - 1 - r;                                                            \
        if (undo) x ^= x >> (number)(pi)->shift;                                                       \
        x = x * (number)(undo ? (pi)->undo_factor[s] : (pi)->factor[r]);                               \
        x = (x + (number)(undo ? (pi)->undo_offset[s] : (pi)->offset[r])) & (number)(pi)->mask;        \
        if (!undo) x ^= x >> (number)(pi)->shift;                                                      \
    }

/* at[0], at[1] = pi, or its inverse, of i, ..., i + 2 LANES - 1. For p <= 2^16 in 16-bit arithmetic, of which
 * a vector holds twice as many. */
INLINE void permuted(const struct permutation *pi, int64_t i, int undo, int narrow, vi at[2]) {
    if (narrow) {
        vh x = counting_halves() + (uint16_t)i;
        ROUNDS(x, uint16_t, pi, undo)
        widen(x, at);
        return;
    }
    for (int k = 0; k < 2; k++) {
        vi x = counting_from((uint32_t)(i + k * LANES));
        ROUNDS(x, uint32_t, pi, undo)
        at[k] = x;
    }
}

/* v = G Pi u, or u = Pi^T v. The loops below work on copies of what they only read: the compiler would otherwise
 * read it again after every store. */
INLINE void permute(const struct block *b, int undo, int narrow) {
    const struct permutation pi = b->pi;
    const float *g = b->gauss, *from = undo ? b->v : b->u;
    float *to = undo ? b->u : b->v;
    for (int64_t i = 0, p = b->p; i < p; i += 2 * LANES) {
        vi at[2];
        permuted(&pi, i, undo, narrow, at);
        for (int k = 0; k < 2; k++) {
            int64_t j = i + k * LANES;
            vf x = gather(from, at[k]);
            if (!undo) x *= LOAD(g + j);
            STORE(to + j, x);
        }
    }
}

/* Sum of squares of n gaussians in units of 2^-32; n <= EXACT, so that doubles hold it exactly. */
INLINE uint64_t squares(const float *gauss, int64_t n) {
    half_vd total[4] = {{0}};
    for (int64_t i = 0; i < n; i += 2 * LANES)
        UNROLL for (int k = 0; k < 4; k++) {
            half_vd x = doubles(gauss + i + k * LANES / 2);
            total[k] += x * x;
        }
    double sum = 0;
    for (int l = 0; l < LANES / 2; l++) sum += total[0][l] + total[1][l] + total[2][l] + total[3][l];
    return (uint64_t)(sum * FIXED_POINT * FIXED_POINT);
}

/* The block's words, gaussians, scale and permutation; forward (theta not NULL) also u = B theta. Meanwhile the p
 * floats at `soon` are fetched. */
INLINE void open_block(struct block *b, int64_t j, const float *theta, const float *soon) {
    const struct stream s = *b->stream;
    const float *table = b->job->gauss;
    float *words = b->words_, *gauss = b->gauss, *u = b->u;
    const int64_t p = b->p, q = p / 4;
    b->pi = permutation_of(j, p, b->stream); /* a long chain of its own: first, so that the loop hides it */
    for (int64_t i = 0; i < q; i += LANES) {
        vi w[4];
        philox_run((uint64_t)(j * q + i), VALUES, &s, w);
        UNROLL for (int l = 0; l < 4; l++) {
            int64_t at = l * q + i;
            if (soon) __builtin_prefetch(soon + at, 0, 2);
            STORE_WORDS(words + at, w[l]);
            STORE(gauss + at, gather(table, w[l] & TABLE_MASK));
            if (theta) STORE(u + at, (vf)((vi)LOAD(theta + at) ^ (w[l] & SIGN)));
        }
    }
    uint64_t sum = 0;
    for (int64_t i = 0; i < p; i += EXACT) sum += squares(gauss + i, p - i < EXACT ? p - i : EXACT);
    b->scale = (float)(1.0 / (sqrt((double)sum) / FIXED_POINT * sqrt((double)b->job->dim)));
}

/* Rows of out = start + scale S x, S with the block's scale inside; start may be NULL */
INLINE void spread(const struct block *b, const float *x, float scale, const float *start, float *out) {
    const float *table = b->job->spread, *words = b->words_;
    const vf block_scale = each_float(b->scale), outer = each_float(scale);
    for (int64_t i = 0, p = b->p; i < p; i += LANES) {
        vf s = gather(table, LOAD_WORDS(words + i) >> SPREAD_SHIFT & TABLE_MASK) * block_scale;
        vf shift = s * LOAD_LOOSE(x + i) * outer;
        if (start) shift = LOAD_LOOSE(start + i) + shift;
        STORE_LOOSE(out + i, shift);
    }
}

static void transform(float *x, int64_t p) {
    if (p <= IN_CACHE)
        fwht_in_cache(x, p);
    else
        fwht_one(x, p);
}

static void forward_block(struct block *b, const struct task *t, int64_t j) {
    int64_t row = j * b->p, rows = t->n - row < b->p ? t->n - row : b->p;
    const float *start = t->start ? t->start + row : NULL;
    float *out = t->out + row;
    open_block(b, j, b->job->theta, start);
    transform(b->u, b->p);
    b->v = b->gauss; /* read and written at the same place */
    if (b->p <= NARROW)
        permute(b, 0, 1);
    else
        permute(b, 0, 0);
    transform(b->v, b->p);
    if (rows < b->p) { /* the last block is cut: by way of u, which is free by now */
        if (start) start = memcpy(b->u, start, sizeof(float) * (size_t)rows);
        out = b->u;
    }
    if (start)
        spread(b, b->v, t->scale, start, out);
    else
        spread(b, b->v, t->scale, NULL, out);
    if (rows < b->p) memcpy(t->out + row, b->u, sizeof(float) * (size_t)rows);
}

/* total += B u in double precision, for the first d entries rounded up to half a vector */
INLINE void close_adjoint(const struct block *b, double *total) {
    const float *words = b->words_, *from = b->u;
    for (int64_t i = 0, d = b->job->dim; i < d; i += LANES / 2) {
        half_vi sign = *(const half_vi *)(words + i) & SIGN;
        half_vf u = (half_vf)(*(const half_vi *)(from + i) ^ sign);
        *(half_vd *)(total + i) += __builtin_convertvector(u, half_vd);
    }
}

static void adjoint_block(struct block *b, const struct task *t, int64_t j, double *total) {
    int64_t row = j * b->p, rows = t->n - row < b->p ? t->n - row : b->p;
    const float *grad = t->start + row;
    if (all_zero(grad, rows)) return; /* rows of an embedding that no token has touched */
    open_block(b, j, NULL, grad + b->p);
    if (rows < b->p) {
        memcpy(b->u, grad, sizeof(float) * (size_t)rows);
        memset(b->u + rows, 0, sizeof(float) * (size_t)(b->p - rows));
        grad = b->u;
    }
    spread(b, grad, 1, NULL, b->v);
    transform(b->v, b->p);
    for (int64_t i = 0; i < b->p; i += LANES) STORE(b->v + i, LOAD(b->gauss + i) * LOAD(b->v + i));
    if (b->p <= NARROW)
        permute(b, 1, 1);
    else
        permute(b, 1, 0);
    transform(b->u, b->p);
    close_adjoint(b, total);
}

static int fastfood(struct job *job, int adjoint) {
    int64_t p = job->stride, chunk;
    float *memory = scratch(4 * p);
    if (!memory) return -1;
    while (take(&job->next, job->chunk_count, &chunk)) {
        const struct task *t = task_of(job, chunk);
        struct stream s = stream_of(job->seed, t->key);
        struct block b = {.job = job, .stream = &s, .p = p};
        int64_t first = (chunk - t->first_chunk) * t->chunk_units, blocks = (t->n + p - 1) / p;
        int64_t last = first + t->chunk_units < blocks ? first + t->chunk_units : blocks;
        b.words_ = memory, b.u = memory + p;
        for (int64_t j = first; j < last; j++) {
            b.gauss = memory + 2 * p, b.v = memory + 3 * p;
            if (adjoint)
                adjoint_block(&b, t, j, job->totals + chunk * job->stride);
            else
                forward_block(&b, t, j);
        }
    }
    free(memory);
    return 0;
}

static int fastfood_forward(struct job *job) { return fastfood(job, 0); }
static int fastfood_adjoint(struct job *job) { return fastfood(job, 1); }
