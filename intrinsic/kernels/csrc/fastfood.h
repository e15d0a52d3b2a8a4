/* Fastfood, block by block: S H G Pi H B theta, specified in intrinsic/projections/fastfood.py. p >= 128. */

#define TABLE_MASK 0xFFFu
#define SPREAD_SHIFT 12
#define PERMUTATION_ROUNDS 4
#define FIXED_POINT 65536.0
#define EXACT (1 << 17) /* gaussians whose squares sum to less than 2^21 */
#define IN_CACHE (1 << 15) /* floats of one block's vector that stay in the second-level cache */
#define NARROW (1 << 16) /* the largest p whose positions fit 16 bits */

/* pi, round by round x <- x factor + offset mod p, x <- x xor floor(x / 2^shift), or its inverse. 2 shift >= log2 p, so the
 * xor is its own inverse, and both directions are: `before`, then four times the xor and one of `after`. */
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
    float *words_, *gauss, *u, *v; /* [p] each; words_ holds uint32 */
    struct permutation pi;
    float scale; /* of the block, 1 / (||g|| sqrt(d)) */
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

static struct permutation permutation_of(int64_t j, int64_t p, int undo, const struct stream *s) {
    const struct affine same = {1, 0};
    uint32_t w[4 * LANES] __attribute__((aligned(64)));
    int log2 = __builtin_ctzll((uint64_t)p);
    struct permutation pi = {.before = same, .log2 = log2, .shift = (log2 + 1) / 2};
    stream_words(w, 4 * (uint64_t)j, LANES, SECOND, s);
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

/* What pi, or its inverse, brings to the places i ... i + LANES - 1; gauss may be NULL: ones. */
INLINE void bring(const float *from, vi at, const float *gauss, float *to, int64_t i) {
    if (gauss)
        STORE(to + i, gather(from, at) * LOAD(gauss + i));
    else
        look_up(from, at, to + i);
}

/* v = G Pi u, or u = Pi^T v, for p <= 2^16: positions in lanes of 16 bits, the low half of a word one of the first LANES,
 * the high half one of the next. They stand in the top bits of their lanes, where products and sums are modulo p by
 * themselves; the shift leaves bits below, which `top` takes off. The loop works on copies of what it only reads: the
 * compiler would otherwise read it again after every store. */
INLINE void permute_narrow(const struct block *b, int undo) {
    const struct permutation pi = b->pi;
    const float *gauss = undo ? NULL : b->gauss, *from = undo ? b->v : b->u;
    float *to = undo ? b->u : b->v;
    const int low = 16 - pi.log2;
    const uint16_t top = (uint16_t)(0xFFFFu << low), step = (uint16_t)(2 * LANES * pi.before.factor << low);
    vh x = counting_apart() * (uint16_t)(pi.before.factor << low) + (uint16_t)(pi.before.offset << low);
    for (int64_t i = 0, p = b->p; i < p; i += 2 * LANES, x += step) {
        vh y = x;
        UNROLL for (int r = 0; r < PERMUTATION_ROUNDS; r++) {
            y ^= shift_halves_right(y, pi.shift) & top;
            if (undo || r + 1 < PERMUTATION_ROUNDS)
                y = y * (uint16_t)pi.after[r].factor + (uint16_t)(pi.after[r].offset << low);
        }
        bring(from, shift_right((vi)y & 0xFFFF, low), gauss, to, i);
        bring(from, shift_right((vi)y, 16 + low), gauss, to, i + LANES);
    }
}

/* The same for any p, positions in lanes of 32 bits */
INLINE void permute_wide(const struct block *b, int undo) {
    const struct permutation pi = b->pi;
    const float *gauss = undo ? NULL : b->gauss, *from = undo ? b->v : b->u;
    float *to = undo ? b->u : b->v;
    const uint32_t mask = (uint32_t)(b->p - 1);
    for (int64_t i = 0, p = b->p; i < p; i += LANES) {
        vi y = (counting_from((uint32_t)i) * pi.before.factor + pi.before.offset) & mask;
        UNROLL for (int r = 0; r < PERMUTATION_ROUNDS; r++) {
            y ^= shift_right(y, pi.shift);
            y = (y * pi.after[r].factor + pi.after[r].offset) & mask;
        }
        bring(from, y, gauss, to, i);
    }
}

INLINE void permute(const struct block *b, int undo) {
    if (b->p <= NARROW)
        permute_narrow(b, undo);
    else
        permute_wide(b, undo);
}

/* Sum of squares of n gaussians in units of 2^-32; n <= EXACT, so that doubles hold it exactly. */
INLINE uint64_t squares(const float *gauss, int64_t n) {
    half_vd total[4] = {{0}};
    for (int64_t i = 0; i < n; i += 2 * LANES)
        UNROLL for (int k = 0; k < 4; k++) {
            half_vd x = doubles(gauss + i + k * LANES / 2);
            total[k] = plus_square(total[k], x);
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
    const struct opening values = opening_of((uint64_t)(j * q), VALUES, &s);
    b->pi = permutation_of(j, p, !theta, b->stream); /* a long chain of its own: first, so that the loop hides it */
    for (int64_t i = 0; i < q; i += LANES) {
        vi w[4];
        philox_run((uint64_t)(j * q + i), &values, &s, w);
        UNROLL for (int l = 0; l < 4; l++) {
            int64_t at = l * q + i;
            if (soon) __builtin_prefetch(soon + at, 0, 2);
            STORE_WORDS(words + at, w[l]);
            if (theta) STORE(u + at, (vf)((vi)LOAD(theta + at) ^ (w[l] & SIGN)));
        }
    }
    for (int64_t i = 0; i < p; i += LANES) look_up(table, LOAD_WORDS(words + i) & TABLE_MASK, gauss + i);
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
    permute(b, 0);
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
    permute(b, 1);
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
