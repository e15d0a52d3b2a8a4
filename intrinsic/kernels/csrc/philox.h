/* Philox4x32-10 over LANES counters at once; the streams are those of intrinsic/seeds.py. */

/* LANES counters under way. Even and odd counters are computed apart, each in the low halves of 64-bit lanes; the high
 * halves hold garbage that no product reads. */
struct state {
    vi even[4], odd[4];
};

/* high and low word of the product by one of Philox's multipliers, for the next state */
INLINE void one_round(vi c[4], vq k0, vq k1) {
    vq p0 = mul_even(c[0], each(PHILOX_M0)), p1 = mul_even(c[2], each(PHILOX_M1));
    c[0] = (vi)xor3((vq)odd_to_even((vi)p1), (vq)c[1], k0);
    c[1] = (vi)p1;
    c[2] = (vi)xor3((vq)odd_to_even((vi)p0), (vq)c[3], k1);
    c[3] = (vi)p0;
}

INLINE void last_round(const vi even[4], const vi odd[4], const struct stream *s, vi out[4]) {
    vq k0 = (vq)each(s->round_key[2 * PHILOX_ROUNDS - 2]), k1 = (vq)each(s->round_key[2 * PHILOX_ROUNDS - 1]);
    vq even0 = mul_even(even[0], each(PHILOX_M0)), odd0 = mul_even(odd[0], each(PHILOX_M0));
    vq even1 = mul_even(even[2], each(PHILOX_M1)), odd1 = mul_even(odd[2], each(PHILOX_M1));
    out[0] = (vi)xor3((vq)high_halves(even1, odd1), (vq)low_halves((vq)even[1], (vq)odd[1]), k0);
    out[1] = low_halves(even1, odd1);
    out[2] = (vi)xor3((vq)high_halves(even0, odd0), (vq)low_halves((vq)even[3], (vq)odd[3]), k1);
    out[3] = low_halves(even0, odd0);
}

/* The rounds from `first` on. out[g][l] = lane l of the counters' blocks, even and odd ones joined in the last round.
 * Groups of LANES counters go through each round together: while one's products are under way, the other's begin. */
INLINE void rounds_from(int first, int groups, struct state *x, const struct stream *s, vi (*out)[4]) {
    UNROLL for (int r = first; r < PHILOX_ROUNDS - 1; r++) {
        vq k0 = (vq)each(s->round_key[2 * r]), k1 = (vq)each(s->round_key[2 * r + 1]);
        UNROLL for (int g = 0; g < groups; g++) {
            one_round(x[g].even, k0, k1);
            one_round(x[g].odd, k0, k1);
        }
    }
    UNROLL for (int g = 0; g < groups; g++) last_round(x[g].even, x[g].odd, s, out[g]);
}

/* out[l] = lane l of the blocks of any LANES counters (low, high; key0, key1). */
INLINE void philox(vi low, vi high, const struct stream *s, vi out[4]) {
    const vi key0 = each(s->key0), key1 = each(s->key1);
    struct state x = {{low, high, key0, key1}, {odd_to_even(low), odd_to_even(high), key0, key1}};
    rounds_from(0, 1, &x, s, (vi(*)[4])out);
}

/* What the first two rounds hold that is the same for all counters with one high word: half of their products. */
struct opening {
    vi to2, to0, then2, then3;
};

INLINE struct opening opening_of(uint64_t first, uint32_t stream, const struct stream *s) {
    uint64_t p1 = (uint64_t)s->key0 * PHILOX_M1;
    uint32_t c0 = (uint32_t)(p1 >> 32) ^ ((uint32_t)(first >> 32) | stream << 16) ^ s->round_key[0];
    uint64_t p0 = (uint64_t)c0 * PHILOX_M0;
    return (struct opening){each(s->key1 ^ s->round_key[1]), each((uint32_t)p1 ^ s->round_key[2]),
                            each((uint32_t)(p0 >> 32) ^ s->round_key[3]), each((uint32_t)p0)};
}

INLINE void two_rounds(vi low, const struct opening *o, vi c[4]) {
    vi p0 = (vi)mul_even(low, each(PHILOX_M0));
    vi p1 = (vi)mul_even(odd_to_even(p0) ^ o->to2, each(PHILOX_M1));
    c[0] = odd_to_even(p1) ^ o->to0;
    c[1] = p1;
    c[2] = p0 ^ o->then2;
    c[3] = o->then3;
}

/* Any counters of the stream that `o` opens, by their low words; groups * LANES of them. */
INLINE void philox_at(int groups, const vi *low, const struct opening *o, const struct stream *s, vi (*out)[4]) {
    struct state x[GROUPS];
    UNROLL for (int g = 0; g < groups; g++) {
        two_rounds(low[g], o, x[g].even);
        two_rounds(odd_to_even(low[g]), o, x[g].odd);
    }
    rounds_from(2, groups, x, s, out);
}

/* Counters first, first + 1, ..., whose high word is the same. */
INLINE void philox_run(int groups, uint64_t first, const struct opening *o, const struct stream *s, vi (*out)[4]) {
    vi low[GROUPS];
    UNROLL for (int g = 0; g < groups; g++) low[g] = counting_from((uint32_t)first + (uint32_t)(g * LANES));
    philox_at(groups, low, o, s, out);
}

/* Words 4 first, ..., 4 (first + counters) - 1 of a stream, in order; counters is a multiple of LANES, and LANES counters
 * take their high word from the first of them. */
static void stream_words(uint32_t *out, uint64_t first, int64_t counters, uint32_t stream, const struct stream *s) {
    struct opening o = opening_of(first, stream, s);
    for (int64_t i = 0; i < counters; i += LANES) {
        uint64_t at = first + (uint64_t)i;
        vi lane[1][4];
        if (!(uint32_t)at) o = opening_of(at, stream, s); /* the high word has moved */
        philox_run(1, at, &o, s, lane);
        store_counters(out + 4 * i, lane[0]);
    }
}

/* floor(x y / 2^32) */
INLINE vi high_product(vi x, vi y) { return high_halves(mul_even(x, y), mul_even(odd_to_even(x), odd_to_even(y))); }
