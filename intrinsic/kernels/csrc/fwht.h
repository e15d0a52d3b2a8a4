/* Walsh-Hadamard transform, entries +-1, natural order, in place. Every path runs the stages h = 1, 2, 4, ... in
 * this order with a + b, a - b, as the reference does, so that all of them agree to the last bit. */

#ifndef LEAF_LOG2
#define LEAF_LOG2 13 /* transforms of 2^13 floats (32 KiB) stay in the first-level cache */
#endif
#ifndef TILE
#define TILE 32 /* columns a tile of column_stages: 256 rows of it (32 KiB) stay there too */
#endif
#define CACHE_LINE 16 /* floats */

/* The stages h = first, 2 first, ... among n vectors, both constant powers of two. */
INLINE void vector_stages(vf *r, int first, int n) {
    UNROLL for (int h = first; h < n; h *= 2) {
        UNROLL for (int i = 0; i < n; i++) {
            if (!(i & h)) {
                vf a = r[i], b = r[i + h];
                r[i] = a + b;
                r[i + h] = a - b;
            }
        }
    }
}

/* Stages h, 2h, ..., (n/2) h on n h floats from x: rows of h floats, `from` apart, into `to` (may be x). */
INLINE void radix_n(int n, const float *from, float *to, int64_t h, int64_t from_stride, int64_t to_stride) {
    for (int64_t c = 0; c < h; c += LANES) {
        vf r[16];
        UNROLL for (int i = 0; i < n; i++) r[i] = LOAD_LOOSE(from + i * from_stride + c);
        vector_stages(r, 1, n);
        UNROLL for (int i = 0; i < n; i++) STORE_LOOSE(to + i * to_stride + c, r[i]);
    }
}

INLINE void radix(int n, const float *from, float *to, int64_t h, int64_t from_stride, int64_t to_stride) {
    switch (n) {
        case 2: radix_n(2, from, to, h, from_stride, to_stride); break;
        case 4: radix_n(4, from, to, h, from_stride, to_stride); break;
        case 8: radix_n(8, from, to, h, from_stride, to_stride); break;
#if RADIX >= 16
        case 16: radix_n(16, from, to, h, from_stride, to_stride); break;
#endif
    }
}

/* Stages h = start, ..., p/2 of each p floats in a row of p, in a cache. */
static void later_stages(float *x, int64_t p, int64_t start) {
    for (int64_t h = start; h < p;) {
        int64_t n = p / h < RADIX ? p / h : RADIX;
        for (int64_t b = 0; b < p; b += n * h) radix((int)n, x + b, x + b, h, h, h);
        h *= n;
    }
}

/* Vectors that the first pass holds at once, for p >= LANES. */
INLINE int64_t first_radix(int64_t p) { return p / LANES < RADIX ? p / LANES : RADIX; }

INLINE void first_pass_n(int n, float *x, int64_t p, int ahead) {
    for (int64_t b = 0; b < p; b += n * LANES) {
        vf r[16];
        UNROLL for (int i = 0; i < n; i++) {
            r[i] = load_transformed(x + b + i * LANES);
            if (ahead) __builtin_prefetch(x + b + i * LANES + p, 1, 2);
        }
        vector_stages(r, 1, n);
        UNROLL for (int i = 0; i < n; i++) STORE_LOOSE(x + b + i * LANES, r[i]);
    }
}

INLINE void first_pass(float *x, int64_t p, int ahead) {
    switch (first_radix(p)) {
        case 1: first_pass_n(1, x, p, ahead); break;
        case 2: first_pass_n(2, x, p, ahead); break;
        case 4: first_pass_n(4, x, p, ahead); break;
        case 8: first_pass_n(8, x, p, ahead); break;
#if RADIX >= 16
        case 16: first_pass_n(16, x, p, ahead); break;
#endif
    }
}

/* One transform of p >= LANES floats that fit the first-level cache. `ahead`: fetch the p floats behind them, which
 * the next call will want, while these are worked on. */
INLINE void fwht_leaf(float *x, int64_t p, int ahead) {
    first_pass(x, p, ahead);
    later_stages(x, p, first_radix(p) * LANES);
}

static void fwht_in_cache(float *x, int64_t p) { fwht_leaf(x, p, 0); }
static void fwht_from_memory(float *x, int64_t p) { fwht_leaf(x, p, 1); }

/* RADIX rows of a tile are on their way while those before them are worked on: rows a power of two apart are beyond
 * what processors fetch ahead by themselves. */
INLINE void fetch_rows(const float *x, int64_t stride) {
    for (int i = 0; i < RADIX; i++)
        for (int c = 0; c < TILE; c += CACHE_LINE) __builtin_prefetch(x + i * stride + c, 1, 3);
}

/* The stages across `rows` <= RADIX^2 rows of `stride` floats, for the columns first ... last - 1. Two passes:
 * the first leaves its result in a tile, the second writes it back, so that x is read once and written once. */
static void column_stages(float *x, int64_t rows, int64_t stride, int64_t first, int64_t last) {
    if (rows <= RADIX) {
        radix((int)rows, x + first, x + first, last - first, stride, stride);
        return;
    }
    float tile[RADIX * RADIX * TILE] __attribute__((aligned(64)));
    int64_t outer = rows / RADIX;
    for (int64_t c = first; c < last; c += TILE) {
        for (int64_t g = 0; g < rows; g += RADIX) {
            fetch_rows(g + RADIX < rows ? x + (g + RADIX) * stride + c : x + c + TILE, stride);
            radix(RADIX, x + g * stride + c, tile + g * TILE, TILE, stride, TILE);
        }
        for (int64_t g = 0; g < RADIX; g++)
            radix((int)outer, tile + g * TILE, x + g * stride + c, TILE, RADIX * TILE, RADIX * stride);
    }
}

/* Rows that the outermost column_stages of a transform of p floats takes; 1 if it fits a leaf. */
static int64_t column_rows(int64_t p) {
    int64_t rows = p >> LEAF_LOG2;
    return rows <= 1 ? 1 : rows < RADIX * RADIX ? rows : RADIX * RADIX;
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
