/* Fastfood, block by block: S H G Pi H B theta, specified in intrinsic/projections/fastfood.py. p >= 128. */

#define TABLE_BITS 12 /* of a word: the first for G, the next for S */
#define PERMUTATION_ROUNDS 4
#define WORDS_A_BLOCK 16 /* of a permutation */
#define BLOCKS_A_RUN (4 * LANES / WORDS_A_BLOCK)
#define AHEAD 1024 /* rows: memory answers later than a shorter block takes, so what is fetched lies further ahead */
#define FIXED_POINT 65536.0
#define EXACT (1 << 17) /* gaussians whose squares sum to less than 2^21 */
#define NARROW (1 << 16) /* the largest p whose positions fit 16 bits */

/* pi, round by round x <- x factor + offset mod p, x <- x xor floor(x / 2^shift), or its inverse. 2 shift >= log2 p, so
 * the xor is its own inverse, and both directions are: `before`, then four times the xor and one of `after`. */
struct affine {
    uint32_t factor, offset;
};
struct permutation {
    struct affine before, after[PERMUTATION_ROUNDS];
    int log2, shift; /* of p */
};

struct block {
    const struct job *job;
    const struct stream *stream;
    int64_t p;
    uint32_t *words; /* [p] */
    float *u, *v;    /* [p] each */
    struct permutation pi;
    int64_t first; /* block whose permutation's words stand first in pi_words */
    uint32_t pi_words[4 * LANES] __attribute__((aligned(64)));
};

static uint32_t inverse_mod_2_32(uint32_t odd) {
    uint32_t x = odd; /* right in its last 3 bits; each step doubles them */
    for (int i = 0; i < 4; i++) x *= 2 - odd * x;
    return x;
}

static struct affine undone(struct affine a) {
    uint32_t back = inverse_mod_2_32(a.factor);
    return (struct affine){back, -a.offset * back};
}

/* Of block j, or its inverse. One run of LANES counters has the words of several blocks: it is kept for the next. */
static struct permutation permutation_of(struct block *b, int64_t j, int undo) {
    const struct affine same = {1, 0};
    const int64_t offset = j % BLOCKS_A_RUN;
    int log2 = __builtin_ctzll((uint64_t)b->p);
    struct permutation pi = {.before = same, .log2 = log2, .shift = (log2 + 1) / 2};
    if (b->first != j - offset) stream_words(b->pi_words, 4 * (uint64_t)(j - offset), LANES, SECOND, b->stream);
    b->first = j - offset;
    const uint32_t *w = b->pi_words + offset * WORDS_A_BLOCK;
    for (int r = 0; r < PERMUTATION_ROUNDS; r++) {
        struct affine of_round = {w[2 * r] | 1, w[2 * r + 1]};
        if (undo)
            pi.after[PERMUTATION_ROUNDS - 1 - r] = undone(of_round);
        else
            *(r ? &pi.after[r - 1] : &pi.before) = of_round;
    }
    if (!undo) pi.after[PERMUTATION_ROUNDS - 1] = same;
    return pi;
}

/* The places that pi, or its inverse, brings to 0 ... p - 1, for p <= 2^16: positions in lanes of 16 bits, the low half
 * of a word one of the first LANES, the high half one of the next. They stand in the top bits of their lanes, where
 * products and sums are modulo p by themselves; the shift leaves bits below, which `top` takes off. The loop works on a
 * copy of what it only reads: the compiler would otherwise read it again after every store. */
INLINE void places_narrow(const struct permutation *given, int undo, int64_t p, uint32_t *at) {
    const struct permutation pi = *given;
    const int low = 16 - pi.log2;
    const uint16_t top = (uint16_t)(0xFFFFu << low), step = (uint16_t)(2 * LANES * pi.before.factor << low);
    vh x = counting_apart() * (uint16_t)(pi.before.factor << low) + (uint16_t)(pi.before.offset << low);
    for (int64_t i = 0; i < p; i += 2 * LANES, x += step) {
        vh y = x;
        UNROLL for (int r = 0; r < PERMUTATION_ROUNDS; r++) {
            y ^= shift_halves_right(y, pi.shift) & top;
            if (undo || r + 1 < PERMUTATION_ROUNDS)
                y = y * (uint16_t)pi.after[r].factor + (uint16_t)(pi.after[r].offset << low);
        }
        STORE_WORDS(at + i, shift_right((vi)y & 0xFFFF, low));
        STORE_WORDS(at + i + LANES, shift_right((vi)y, 16 + low));
    }
}

/* The same for any p, positions in lanes of 32 bits */
INLINE void places_wide(const struct permutation *given, int64_t p, uint32_t *at) {
    const struct permutation pi = *given;
    const uint32_t mask = (uint32_t)(p - 1);
    for (int64_t i = 0; i < p; i += LANES) {
        vi y = (counting_from((uint32_t)i) * pi.before.factor + pi.before.offset) & mask;
        UNROLL for (int r = 0; r < PERMUTATION_ROUNDS; r++) {
            y ^= shift_right(y, pi.shift);
            y = (y * pi.after[r].factor + pi.after[r].offset) & mask;
        }
        STORE_WORDS(at + i, y);
    }
}

/* The places that pi, or its inverse, brings to 0 ... p - 1 */
INLINE void places_of(const struct block *b, int undo, uint32_t *at) {
    if (b->p <= NARROW)
        places_narrow(&b->pi, undo, b->p, at);
    else
        places_wide(&b->pi, b->p, at);
}

/* The gaussians of LANES words; their squares are added to total. */
INLINE vf gaussians_of(const float *table, const uint32_t *words, half_vd total[2]) {
    vf g = found(table, words, 0, TABLE_BITS);
    total[0] = plus_square(total[0], low_doubles(g));
    total[1] = plus_square(total[1], high_doubles(g));
    return g;
}

/* v = G x for n <= EXACT numbers x: those of `from` at the places that stand in v, or, without `from`, v's
 * own. Returns the sum of squares of G in units of 2^-32, which doubles hold exactly. */
INLINE uint64_t times_gaussians(const struct block *b, const float *from, int64_t first, int64_t n) {
    const float *table = b->job->gauss;
    const uint32_t *words = b->words + first;
    float *v = b->v + first;
    half_vd total[4] = {{0}};
    for (int64_t i = 0; i < n; i += 2 * LANES)
        UNROLL for (int k = 0; k < 2; k++) {
            float *at = v + i + k * LANES;
            vf x = from ? found(from, (const uint32_t *)at, 0, 32) : LOAD(at);
            STORE(at, x * gaussians_of(table, words + i + k * LANES, total + 2 * k));
        }
    double sum = 0;
    for (int l = 0; l < LANES / 2; l++) sum += total[0][l] + total[1][l] + total[2][l] + total[3][l];
    return (uint64_t)(sum * FIXED_POINT * FIXED_POINT);
}

/* The same for the whole block; returns its scale, 1 / (||g|| sqrt(d)). */
INLINE float apply_gaussians(const struct block *b, const float *from) {
    uint64_t sum = 0;
    for (int64_t i = 0, p = b->p; i < p; i += EXACT) sum += times_gaussians(b, from, i, p - i < EXACT ? p - i : EXACT);
    return (float)(1.0 / (sqrt((double)sum) / FIXED_POINT * sqrt((double)b->job->dim)));
}

/* The block's words and permutation; forward (theta not NULL) also u = B theta. Meanwhile the p floats at `soon` are
 * fetched, to read, and those at `later`, to write: NULL for none. */
INLINE void open_block(struct block *b, int64_t j, const float *theta, const float *soon, float *later) {
    const struct stream s = *b->stream;
    uint32_t *words = b->words;
    float *u = b->u;
    const int64_t q = b->p / 4;
    const struct opening values = opening_of((uint64_t)(j * q), VALUES, &s);
    b->pi = permutation_of(b, j, !theta); /* a long chain of its own: first, so that the loop hides it */
    for (int64_t i = 0; i < q; i += GROUPS * LANES) {
        vi w[GROUPS][4];
        philox_run(GROUPS, (uint64_t)(j * q + i), &values, &s, w);
        UNROLL for (int k = 0; k < 4 * GROUPS; k++) {
            vi word = w[k % GROUPS][k / GROUPS];
            int64_t at = k / GROUPS * q + i + k % GROUPS * LANES;
            if (soon) __builtin_prefetch(soon + at, 0, 2);
            if (later) __builtin_prefetch(later + at, 1, 2);
            STORE_WORDS(words + at, word);
            if (theta) STORE(u + at, (vf)((vi)LOAD(theta + at) ^ (word & SIGN)));
        }
    }
}

/* Rows of out = start + scale S x, S times block_scale; start may be NULL */
INLINE void spread(const struct block *b, float block_scale, const float *x, float scale, const float *start,
                   float *out) {
    const float *table = b->job->spread;
    const uint32_t *words = b->words;
    const vf inner = each_float(block_scale), outer = each_float(scale);
    for (int64_t i = 0, p = b->p; i < p; i += LANES) {
        vf shift = found(table, words + i, TABLE_BITS, TABLE_BITS) * inner * LOAD_LOOSE(x + i) * outer;
        if (start) shift = LOAD_LOOSE(start + i) + shift;
        STORE_LOOSE(out + i, shift);
    }
}

static void forward_block(struct block *b, const struct task *t, int64_t j) {
    int64_t row = j * b->p, rows = t->n - row < b->p ? t->n - row : b->p;
    const float *start = t->start ? t->start + row : NULL;
    float *out = t->out + row;
    int64_t ahead = b->p < AHEAD ? AHEAD : 0;
    open_block(b, j, b->job->theta, start ? start + ahead : NULL, out + ahead);
    fwht_one(b->u, b->p);
    places_of(b, 0, (uint32_t *)b->v);
    float block_scale = apply_gaussians(b, b->u);
    fwht_one(b->v, b->p);
    if (rows < b->p) { /* the last block is cut: by way of u, which is free by now */
        if (start) start = memcpy(b->u, start, sizeof(float) * (size_t)rows);
        out = b->u;
    }
    if (start)
        spread(b, block_scale, b->v, t->scale, start, out);
    else
        spread(b, block_scale, b->v, t->scale, NULL, out);
    if (rows < b->p) memcpy(t->out + row, b->u, sizeof(float) * (size_t)rows);
}

/* total += B u in double precision, n numbers rounded up to half a vector */
INLINE void add_signed(const uint32_t *words, const float *from, int64_t n, double *total) {
    for (int64_t i = 0; i < n; i += LANES / 2) {
        half_vi sign = *(const half_vi *)(words + i) & SIGN;
        half_vf u = (half_vf)(*(const half_vi *)(from + i) ^ sign);
        *(half_vd *)(total + i) += __builtin_convertvector(u, half_vd);
    }
}

static void adjoint_block(struct block *b, const struct task *t, int64_t j, double *total) {
    int64_t row = j * b->p, rows = t->n - row < b->p ? t->n - row : b->p;
    const float *grad = t->start + row;
    if (all_zero(grad, rows)) return; /* rows of an embedding that no token has touched */
    open_block(b, j, NULL, grad + (b->p < AHEAD ? AHEAD : b->p), NULL);
    if (rows < b->p) {
        memcpy(b->u, grad, sizeof(float) * (size_t)rows);
        memset(b->u + rows, 0, sizeof(float) * (size_t)(b->p - rows));
        grad = b->u;
    }
    spread(b, 1, grad, 1, NULL, b->v);
    fwht_one(b->v, b->p);
    const vf block_scale = each_float(apply_gaussians(b, NULL));
    places_of(b, 1, (uint32_t *)b->u);
    for (int64_t i = 0; i < b->p; i += LANES)
        STORE(b->u + i, found(b->v, (const uint32_t *)b->u + i, 0, 32) * block_scale);
    fwht_one(b->u, b->p);
    add_signed(b->words, b->u, b->job->dim, total);
}

static int fastfood(struct job *job, int adjoint) {
    int64_t p = job->stride, chunk;
    float *memory = scratch(3 * p);
    if (!memory) return -1;
    while (take(&job->next, job->chunk_count, &chunk)) {
        const struct task *t = task_of(job, chunk);
        struct stream s = stream_of(job->seed, t->key);
        struct block b = {.job = job, .stream = &s, .p = p, .first = -1};
        int64_t first = (chunk - t->first_chunk) * t->chunk_units, blocks = (t->n + p - 1) / p;
        int64_t last = first + t->chunk_units < blocks ? first + t->chunk_units : blocks;
        b.words = (uint32_t *)memory, b.u = memory + p, b.v = memory + 2 * p;
        for (int64_t j = first; j < last; j++) {
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
