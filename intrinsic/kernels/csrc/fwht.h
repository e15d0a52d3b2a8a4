/* Walsh-Hadamard transform, entries +-1, natural order, in place. Every path runs the stages h = 1, 2, 4, ... in
 * this order with a + b, a - b, as the reference does, so that all of them agree to the last bit. */

#define LEAF_LOG2 12 /* transforms of 2^12 floats (16 KiB) stay in a first-level cache of 32 KiB */
#define LEVEL 8      /* transforms that one level above a leaf puts together; see column_rows */
#define TOP_LOG2 18  /* from where one pass over memory does two levels */
#define TILE 2048    /* columns whose rows stay in a cache between those two; fwht_ in native.py cuts columns so */
#define CACHE_LINE 16 /* floats */

/* Lines that will be wanted are on their way while others are worked on. */
INLINE void fetch(const float *x, int64_t floats) {
    for (int64_t i = 0; i < floats; i += CACHE_LINE) __builtin_prefetch(x + i, 1, 2);
}

/* The stages h = first, 2 first, ... among n vectors, both constant powers of two. */
INLINE void vector_stages(vf *r, int first, int n) {
    UNROLL for (int h = first; h < n; h *= 2) {
        UNROLL for (int i = 0; i < n; i++) {
            if (!(i & h)) {
                vf a = r[i], b = r[i + h];
                r[i] = a + b;
                r[i + h] = minus(a, b);
            }
        }
    }
}

/* Stages h, 2h, ..., (n/2) h on n rows of h floats, `stride` apart; meanwhile `ahead` floats behind `next` are fetched.
 * Stored from the last row to the first: rows a power of two apart meet in few lines of a cache, and those loaded
 * last are still there. */
INLINE void radix_n(int n, float *x, int64_t h, int64_t stride, const float *next, int64_t ahead) {
    int64_t share = ahead * LANES / h;
    for (int64_t c = 0; c < h; c += LANES) {
        vf r[16];
        UNROLL for (int i = 0; i < n; i++) r[i] = LOAD_LOOSE(x + i * stride + c);
        if (share) fetch(next + c / LANES * share, share);
        vector_stages(r, 1, n);
        UNROLL for (int i = n - 1; i >= 0; i--) STORE_LOOSE(x + i * stride + c, r[i]);
    }
}

INLINE void radix(int n, float *x, int64_t h, int64_t stride, const float *next, int64_t ahead) {
    switch (n) {
        case 2: radix_n(2, x, h, stride, next, ahead); break;
        case 4: radix_n(4, x, h, stride, next, ahead); break;
        case 8: radix_n(8, x, h, stride, next, ahead); break;
#if RADIX >= 16
        case 16: radix_n(16, x, h, stride, next, ahead); break;
#endif
    }
}

/* Stages h = start, ..., p/2 of p floats in a cache; the last of the passes fetches `ahead` floats behind `next`. */
INLINE void later_stages(float *x, int64_t p, int64_t start, const float *next, int64_t ahead) {
    for (int64_t h = start; h < p;) {
        int64_t n = p / h < RADIX ? p / h : RADIX;
        for (int64_t b = 0; b < p; b += n * h) radix((int)n, x + b, h, h, next, n * h == p ? ahead : 0);
        h *= n;
    }
}

/* Vectors that the first pass holds at once, for p >= LANES. */
INLINE int64_t first_radix(int64_t p) { return p / LANES < RADIX ? p / LANES : RADIX; }

INLINE void first_pass_n(int n, float *x, int64_t p, const float *next, int64_t ahead) {
    int64_t share = ahead * n * LANES / p;
    for (int64_t b = 0; b < p; b += n * LANES) {
        vf r[16];
        UNROLL for (int i = 0; i < n; i++) r[i] = load_transformed(x + b + i * LANES);
        if (share) fetch(next + b / (n * LANES) * share, share);
        vector_stages(r, 1, n);
        UNROLL for (int i = 0; i < n; i++) STORE_LOOSE(x + b + i * LANES, r[i]);
    }
}

INLINE void first_pass(float *x, int64_t p, const float *next, int64_t ahead) {
    switch (first_radix(p)) {
        case 1: first_pass_n(1, x, p, next, ahead); break;
        case 2: first_pass_n(2, x, p, next, ahead); break;
        case 4: first_pass_n(4, x, p, next, ahead); break;
        case 8: first_pass_n(8, x, p, next, ahead); break;
#if RADIX >= 16
        case 16: first_pass_n(16, x, p, next, ahead); break;
#endif
    }
}

/* One transform of p >= LANES floats that fit the first-level cache and lie anywhere. The p behind them, which the next
 * call will want, are fetched meanwhile: as evenly as may be, since a burst of fetches waits for memory. */
static void fwht_from_memory(float *x, int64_t p) {
    int64_t done = first_radix(p) * LANES, early = done < p ? p / 2 : p;
    first_pass(x, p, x + p, early);
    later_stages(x, p, done, x + p + early, p - early);
}

/* The stages across `rows` <= LEVEL^2 rows of `stride` floats, for the columns first ... last - 1. */
static void column_stages(float *x, int64_t rows, int64_t stride, int64_t first, int64_t last) {
    int64_t inner = rows < LEVEL ? rows : LEVEL, outer = rows / inner;
    for (int64_t c = first; c < last; c += TILE) {
        int64_t width = last - c < TILE ? last - c : TILE;
        for (int64_t g = 0; g < outer; g++) radix((int)inner, x + g * inner * stride + c, width, stride, x, 0);
        if (outer > 1)
            for (int64_t g = 0; g < inner; g++)
                radix((int)outer, x + g * stride + c, width, inner * stride, x, 0);
    }
}

/* Parts of a transform of p floats that its outermost column_stages puts together; 1 if it is a leaf. A part
 * is done before the next is begun, so a level's floats mostly lie in the cache that holds them all. */
static int64_t column_rows(int64_t p) {
    int64_t part = (int64_t)1 << LEAF_LOG2;
    if (p <= part) return 1;
    while (part < ((int64_t)1 << TOP_LOG2) && part * LEVEL < p) part *= LEVEL;
    return p / part < LEVEL * LEVEL ? p / part : LEVEL * LEVEL;
}

/* One transform of p floats, p >= LANES, wherever they are. */
static void fwht_one(float *x, int64_t p) {
    int64_t rows = column_rows(p), part = p / rows;
    if (rows == 1) {
        fwht_from_memory(x, p);
        return;
    }
    for (int64_t r = 0; r < rows; r++) fwht_one(x + r * part, part);
    column_stages(x, rows, part, 0, part);
}

/* p < LANES: several transforms a vector. */
static void fwht_short(float *x, int64_t rows, int64_t p) {
    int stages = p < 2 ? 0 : p < 4 ? 1 : p < 8 ? 2 : 3;
    int64_t total = rows * p, i = 0;
    for (; i + LANES <= total; i += LANES) STORE_LOOSE(x + i, lane_stages(LOAD_LOOSE(x + i), stages));
    if (i < total) {
        float rest[LANES] __attribute__((aligned(64))) = {0};
        memcpy(rest, x + i, sizeof(float) * (size_t)(total - i));
        STORE(rest, lane_stages(LOAD(rest), stages));
        memcpy(x + i, rest, sizeof(float) * (size_t)(total - i));
    }
}

static void fwht_rows(float *x, int64_t rows, int64_t p) {
    if (p < LANES) {
        fwht_short(x, rows, p);
        return;
    }
    for (int64_t r = 0; r < rows; r++) fwht_one(x + r * p, p);
}
