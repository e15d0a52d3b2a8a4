/* Philox4x32-10 over LANES counters at once; the streams are those of intrinsic/seeds.py. */

/* high and low word of the product by one of Philox's multipliers, for the next state */
#define ROUND(c0, c1, c2, c3, k0, k1)                         \
    do {                                                      \
        vq p0 = mul_even(c0, each(PHILOX_M0));                \
        vq p1 = mul_even(c2, each(PHILOX_M1));                \
        c0 = (vi)xor3((vq)odd_to_even((vi)p1), (vq)(c1), k0); \
        c1 = (vi)p1;                                          \
        c2 = (vi)xor3((vq)odd_to_even((vi)p0), (vq)(c3), k1); \
        c3 = (vi)p0;                                          \
    } while (0)

/* out[l] = lane l of the blocks of LANES counters (low, high; key0, key1). Even and odd counters are
 * computed apart, each in the low halves of 64-bit lanes; the high halves hold garbage that no product reads. */
INLINE void philox(vi low, vi high, const struct stream *s, vi out[4]) {
    vi a0 = low, a1 = high, a2 = each(s->key0), a3 = each(s->key1);
    vi b0 = odd_to_even(low), b1 = odd_to_even(high), b2 = a2, b3 = a3;
    UNROLL for (int r = 0; r < PHILOX_ROUNDS; r++) {
        vq k0 = (vq)each(s->round_key[2 * r]), k1 = (vq)each(s->round_key[2 * r + 1]);
        ROUND(a0, a1, a2, a3, k0, k1);
        ROUND(b0, b1, b2, b3, k0, k1);
    }
    out[0] = low_halves((vq)a0, (vq)b0);
    out[1] = low_halves((vq)a1, (vq)b1);
    out[2] = low_halves((vq)a2, (vq)b2);
    out[3] = low_halves((vq)a3, (vq)b3);
}

/* Counters first, first + 1, ... of one stream; the run must not cross a multiple of 2^32. */
INLINE void philox_run(uint64_t first, uint32_t stream, const struct stream *s, vi out[4]) {
    philox(counting_from((uint32_t)first), each((uint32_t)(first >> 32) | stream << 16), s, out);
}

/* Words 4 first, ..., 4 (first + counters) - 1 of a stream, in order; counters is a multiple of LANES. */
static void stream_words(uint32_t *out, uint64_t first, int64_t counters, uint32_t stream, const struct stream *s) {
    for (int64_t i = 0; i < counters; i += LANES) {
        vi lane[4];
        philox_run(first + (uint64_t)i, stream, s, lane);
        store_counters(out + 4 * i, lane);
    }
}

/* floor(x y / 2^32) */
INLINE vi high_product(vi x, vi y) { return high_halves(mul_even(x, y), mul_even(odd_to_even(x), odd_to_even(y))); }
