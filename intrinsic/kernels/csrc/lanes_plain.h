/* Vectors of 4 floats in the compilers' portable vector syntax: SSE2, NEON or whatever the target has. */

#define LANES 4
#define RADIX 8
#define GROUPS 1

#include "vectors.h"

INLINE vf found(const float *table, const uint32_t *words, int shift, int bits) {
    vi at = places(words, shift, bits);
    return (vf){table[at[0]], table[at[1]], table[at[2]], table[at[3]]};
}

INLINE vi shift_right(vi x, int k) { return x >> k; }

INLINE vh shift_halves_right(vh x, int k) { return x >> k; }

INLINE half_vd low_doubles(vf x) { return (half_vd){x[0], x[1]}; }

INLINE half_vd high_doubles(vf x) { return (half_vd){x[2], x[3]}; }

INLINE half_vd plus_square(half_vd sum, half_vd x) { return sum + x * x; }

INLINE half_vd roots(half_vd x) { return (half_vd){sqrt(x[0]), sqrt(x[1])}; }

INLINE vq mul_even(vi a, vi b) { return (vq){(uint64_t)a[0] * b[0], (uint64_t)a[2] * b[2]}; }

INLINE vi odd_to_even(vi a) { return (vi)((vq)a >> 32); }

INLINE vi high_halves(vq even, vq odd) {
    return (vi){even[0] >> 32, odd[0] >> 32, even[1] >> 32, odd[1] >> 32};
}

INLINE vi low_halves(vq even, vq odd) {
    return (vi){(uint32_t)even[0], (uint32_t)odd[0], (uint32_t)even[1], (uint32_t)odd[1]};
}

INLINE vq xor3(vq a, vq b, vq c) { return a ^ b ^ c; }

INLINE vf minus(vf a, vf b) { return a - b; }

/* Stages h = 1, 2, ... of the transform among the lanes of one vector. */
INLINE vf lane_stages(vf x, int stages) {
    if (stages > 0) x = (vf){x[0] + x[1], x[0] - x[1], x[2] + x[3], x[2] - x[3]};
    if (stages > 1) x = (vf){x[0] + x[2], x[1] + x[3], x[0] - x[2], x[1] - x[3]};
    return x;
}

/* The vector at x after all its lanes' stages. */
INLINE vf load_transformed(const float *x) { return lane_stages(LOAD_LOOSE(x), 2); }

/* Rows l = 0..3 hold lane l of 4 counters; written out counter by counter. */
INLINE void store_counters(uint32_t *out, const vi lane[4]) {
    for (int c = 0; c < 4; c++)
        for (int l = 0; l < 4; l++) out[4 * c + l] = lane[l][c];
}
