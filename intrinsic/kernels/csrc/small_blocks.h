/* Fastfood with blocks of p <= 64 rows: the T = UNIT / p blocks of a unit at once, lane by lane. Element e of block t
 * stands at e T + t, so that a transform adds whole vectors, and what is drawn for a block is drawn for LANES of them. */

#define SMALL_ROUNDS 8 /* of a permutation: small ones mix slower */

struct small {
    uint32_t words[UNIT] __attribute__((aligned(64))), places[UNIT];
    float u[UNIT], v[UNIT], scale[UNIT]; /* of the scales T are used */
    const struct unit *unit;
    int64_t p, blocks; /* T */
    int log2_p, log2_blocks;
    uint64_t first; /* block */
};

static void open_small(struct small *b, const struct unit *unit) {
    b->unit = unit;
    b->p = 1;
    while (b->p < unit->job->dim) b->p *= 2;
    b->blocks = UNIT / b->p;
    b->log2_p = __builtin_ctzll((uint64_t)b->p);
    b->log2_blocks = __builtin_ctz(UNIT) - b->log2_p;
    b->first = (uint64_t)(unit->row >> b->log2_p);
}

/* Words of all blocks; forward (theta not NULL) also u = B theta. A unit's counters have one high word: their number is
 * a power of two, and the first a multiple of it. Meanwhile the floats at `soon` and `later` are fetched, as in
 * open_block. */
INLINE void small_words(struct small *b, const float *theta, const float *soon, float *later) {
    const struct stream s = *b->unit->stream;
    const int64_t q = b->p < 4 ? 1 : b->p / 4, held = b->p < 4 ? b->p : 4, row = q << b->log2_blocks;
    const uint64_t first = b->first * (uint64_t)q;
    const struct opening o = opening_of(first, VALUES, &s);
    for (int64_t at = 0; at < row; at += GROUPS * LANES) {
        vi low[GROUPS], w[GROUPS][4];
        UNROLL for (int g = 0; g < GROUPS; g++) {
            int64_t i = (at + g * LANES) >> b->log2_blocks, t = (at + g * LANES) & (b->blocks - 1);
            low[g] = counting_from((uint32_t)t) * (uint32_t)q + (uint32_t)(first + (uint64_t)i);
        }
        philox_at(GROUPS, low, &o, &s, w);
        for (int64_t l = 0; l < held; l++)
            UNROLL for (int g = 0; g < GROUPS; g++) {
                int64_t i = (at + g * LANES) >> b->log2_blocks, to = l * row + at + g * LANES;
                if (soon) __builtin_prefetch(soon + to, 0, 2);
                if (later) __builtin_prefetch(later + to, 1, 2);
                STORE_WORDS(b->words + to, w[g][l]);
                if (theta) STORE(b->u + to, (vf)((vi)each_float(theta[l * q + i]) ^ (w[g][l] & SIGN)));
            }
    }
}

INLINE vh both_halves(vi x) { return (vh)((x & 0xFFFF) | x << 16); }

/* Modulo 2^6: an odd number is its own inverse in 3 bits, and a step doubles them. */
INLINE vh small_inverse(vh odd) { return odd * (2 - odd * odd); }

/* Where the elements stand that pi, or its inverse, brings to each place. The low half of a lane follows element e, the
 * high half e + p / 2. */
INLINE void small_places(struct small *b, int undo) {
    const struct stream s = *b->unit->stream;
    const int shift = b->log2_p < 2 ? 1 : (b->log2_p + 1) / 2;
    const vh mask = both_halves(each((uint32_t)b->p - 1));
    const struct opening o = opening_of(4 * b->first, SECOND, &s);
    const int64_t half = b->p < 2 ? 1 : b->p / 2;
    for (int64_t t = 0; t < b->blocks; t += LANES) {
        vi w[4][4], lane = counting_from((uint32_t)t);
        vh factor[SMALL_ROUNDS], offset[SMALL_ROUNDS];
        UNROLL for (int i = 0; i < 4; i++) {
            vi low = lane * 4 + (uint32_t)(4 * b->first + (uint64_t)i);
            philox_at(1, &low, &o, &s, w + i);
        }
        UNROLL for (int r = 0; r < SMALL_ROUNDS; r++) {
            factor[r] = both_halves(w[r / 2][r % 2 * 2] | 1), offset[r] = both_halves(w[r / 2][r % 2 * 2 + 1]);
            if (undo) factor[r] = small_inverse(factor[r]), offset[r] = -offset[r] * factor[r];
        }
        for (int64_t e = 0; e < half; e++) {
            vh y = (vh)each((uint32_t)(e | (e + half) << 16));
            UNROLL for (int k = 0; k < SMALL_ROUNDS; k++) {
                int r = undo ? SMALL_ROUNDS - 1 - k : k;
                if (undo) y ^= shift_halves_right(y, shift);
                y = (y * factor[r] + offset[r]) & mask;
                if (!undo) y ^= shift_halves_right(y, shift);
            }
            STORE_WORDS(b->places + (e << b->log2_blocks) + t, (((vi)y & 0xFFFF) << b->log2_blocks) + lane);
            if (b->p > 1)
                STORE_WORDS(b->places + ((e + half) << b->log2_blocks) + t, ((vi)y >> 16 << b->log2_blocks) + lane);
        }
    }
}

INLINE void small_transforms(const struct small *b, float *x) { later_stages(x, UNIT, b->blocks, x, 0); }

/* v = G x: of u at the places, or of v's own; and each block's scale, 1 / (||g|| sqrt(d)). */
INLINE void small_gaussians(struct small *b, int forward) {
    const double root = sqrt((double)b->unit->job->dim);
    for (int64_t t = 0; t < b->blocks; t += LANES) {
        half_vd total[2] = {{0}}; /* exact: squares are multiples of 2^-32 */
        for (int64_t i = t; i < UNIT; i += b->blocks) {
            vf x = forward ? found(b->u, b->places + i, 0, 32) : LOAD(b->v + i);
            STORE(b->v + i, x * gaussians_of(b->unit->job->gauss, b->words + i, total));
        }
        UNROLL for (int k = 0; k < 2; k++)
            *(half_vf *)(b->scale + t + k * LANES / 2) = to_floats(1.0 / (roots(total[k]) * root));
    }
}

/* Where row i of the unit stands (rows 1), or which row stands at i. */
INLINE void small_order(struct small *b, int rows) {
    const int64_t inner = rows ? b->p : b->blocks;
    const int low = rows ? b->log2_p : b->log2_blocks, high = rows ? b->log2_blocks : b->log2_p;
    for (int64_t i = 0; i < UNIT; i += LANES) {
        vi at = counting_from((uint32_t)i);
        STORE_WORDS(b->places + i, ((at & (uint32_t)(inner - 1)) << high) + (at >> low));
    }
}

static void small_unit_forward(const struct unit *unit) {
    struct small b;
    const struct task *t = unit->task;
    const float *start = t->start ? t->start + unit->row : NULL;
    float *out = t->out + unit->row;
    const vf outer = each_float(t->scale);
    open_small(&b, unit);
    small_words(&b, unit->job->theta, start, out);
    small_places(&b, 0);
    small_transforms(&b, b.u);
    small_gaussians(&b, 1);
    small_transforms(&b, b.v);
    small_order(&b, 1);
    for (int64_t i = 0; i < UNIT; i += LANES) {
        vf s = found(unit->job->spread, b.words + i, TABLE_BITS, TABLE_BITS);
        STORE(b.u + i, s * LOAD(b.scale + (i & (b.blocks - 1))) * LOAD(b.v + i) * outer);
    }
    if (unit->rows < UNIT) { /* the last unit is cut: by way of v */
        if (start) start = memcpy(b.v, start, sizeof(float) * (size_t)unit->rows);
        out = b.v;
    }
    for (int64_t i = 0; i < UNIT; i += LANES) {
        vf shift = found(b.u, b.places + i, 0, 32);
        if (start) shift = LOAD_LOOSE(start + i) + shift;
        STORE_LOOSE(out + i, shift);
    }
    if (unit->rows < UNIT) memcpy(t->out + unit->row, b.v, sizeof(float) * (size_t)unit->rows);
}

/* Totals stand like the elements, a sum for each of the T blocks: Python adds the T. */
static void small_unit_adjoint(const struct unit *unit) {
    struct small b;
    const float *grad = unit->task->start + unit->row;
    if (all_zero(grad, unit->rows)) return;
    open_small(&b, unit);
    small_words(&b, NULL, grad + UNIT, NULL);
    small_order(&b, 0);
    if (unit->rows < UNIT) {
        memset(b.u, 0, sizeof b.u);
        grad = memcpy(b.u, grad, sizeof(float) * (size_t)unit->rows);
    }
    for (int64_t i = 0; i < UNIT; i += LANES) {
        vf s = found(unit->job->spread, b.words + i, TABLE_BITS, TABLE_BITS);
        STORE(b.v + i, s * found(grad, b.places + i, 0, 32));
    }
    small_places(&b, 1);
    small_transforms(&b, b.v);
    small_gaussians(&b, 0);
    for (int64_t i = 0; i < UNIT; i += LANES)
        STORE(b.u + i, found(b.v, b.places + i, 0, 32) * LOAD(b.scale + (i & (b.blocks - 1))));
    small_transforms(&b, b.u);
    add_signed(b.words, b.u, UNIT, unit->total);
}

static int small_forward(struct job *job) { return each_unit(job, small_unit_forward); }
static int small_adjoint(struct job *job) { return each_unit(job, small_unit_adjoint); }
