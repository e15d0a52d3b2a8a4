/* Vectors of 16 floats: AVX-512 (F, BW, DQ, VL). Included by avx512.c. */

#define LANES 16
#define RADIX 16
#define GROUPS 2 /* 32 registers hold the states of two */

#include "vectors.h"

#ifdef LOADS
#include "lanes_loads.h"
#else
INLINE vf found(const float *table, const uint32_t *words, int shift, int bits) {
    return _mm512_i32gather_ps((__m512i)places(words, shift, bits), table, 4);
}
#endif

/* Shifts by a count known at run time only; with a count a lane they are one instruction, with one count two. */
INLINE vi shift_right(vi x, int k) { return (vi)_mm512_srlv_epi32((__m512i)x, _mm512_set1_epi32(k)); }

INLINE vh shift_halves_right(vh x, int k) { return (vh)_mm512_srlv_epi16((__m512i)x, _mm512_set1_epi16((short)k)); }

INLINE half_vd low_doubles(vf x) { return (half_vd)_mm512_cvtps_pd(_mm512_castps512_ps256(x)); }

INLINE half_vd high_doubles(vf x) { return (half_vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }

INLINE half_vd plus_square(half_vd sum, half_vd x) {
    return (half_vd)_mm512_fmadd_pd((__m512d)x, (__m512d)x, (__m512d)sum);
}

INLINE half_vd roots(half_vd x) { return (half_vd)_mm512_sqrt_pd((__m512d)x); }

INLINE vq mul_even(vi a, vi b) { return (vq)_mm512_mul_epu32((__m512i)a, (__m512i)b); }

INLINE vi odd_to_even(vi a) { return (vi)_mm512_shuffle_epi32((__m512i)a, _MM_PERM_DDBB); }

/* even's upper halves and odd's upper halves, interleaved: 16 high words of 16 products */
INLINE vi high_halves(vq even, vq odd) {
    return (vi)_mm512_mask_shuffle_epi32((__m512i)odd, 0x5555, (__m512i)even, _MM_PERM_DDBB);
}

INLINE vi low_halves(vq even, vq odd) {
    return (vi)_mm512_mask_shuffle_epi32((__m512i)even, 0xAAAA, (__m512i)odd, _MM_PERM_CCAA);
}

INLINE vq xor3(vq a, vq b, vq c) {
    return (vq)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
}

/* a - b, by other units than those that add, on processors that have others. 1 b is exact: the same bits. */
INLINE vf minus(vf a, vf b) { return _mm512_fnmadd_ps(b, _mm512_set1_ps(1), a); }

/* partner + sign x, rounded once: partner + x where sign is 1, partner - x where it is -1 */
INLINE vf butterfly(vf x, vf partner, vf sign) { return _mm512_fmadd_ps(x, sign, partner); }

#define SIGNS(bit) (__m512)(each(0x3F800000u) | (((counting_from(0) & (bit)) != 0) & SIGN))

/* Stages h = 2, 4, 8 of the transform among the lanes of one vector, as many as are asked for. */
INLINE vf further_lane_stages(vf x, int stages) {
    if (stages > 1) x = butterfly(x, _mm512_permute_ps(x, 0x4E), SIGNS(2));
    if (stages > 2) x = butterfly(x, _mm512_shuffle_f32x4(x, x, 0xB1), SIGNS(4));
    if (stages > 3) x = butterfly(x, _mm512_shuffle_f32x4(x, x, 0x4E), SIGNS(8));
    return x;
}

/* Stages h = 1, 2, ... of the transform among the lanes of one vector. */
INLINE vf lane_stages(vf x, int stages) {
    if (stages > 0) x = butterfly(x, _mm512_permute_ps(x, 0xB1), SIGNS(1));
    return further_lane_stages(x, stages);
}

/* The vector at x after stages 1 ... 8: what the first one moves between lanes, the load does on its way. */
INLINE vf load_transformed(const float *x) {
    vf even = _mm512_moveldup_ps(_mm512_loadu_ps(x)), odd = _mm512_movehdup_ps(_mm512_loadu_ps(x));
    return further_lane_stages(butterfly(odd, even, SIGNS(1)), 4);
}

/* Rows l = 0..3 hold lane l of 16 counters; written out counter by counter. */
INLINE void store_counters(uint32_t *out, const vi lane[4]) {
    __m512i low01 = _mm512_unpacklo_epi32((__m512i)lane[0], (__m512i)lane[1]);
    __m512i high01 = _mm512_unpackhi_epi32((__m512i)lane[0], (__m512i)lane[1]);
    __m512i low23 = _mm512_unpacklo_epi32((__m512i)lane[2], (__m512i)lane[3]);
    __m512i high23 = _mm512_unpackhi_epi32((__m512i)lane[2], (__m512i)lane[3]);
    /* a: counters 0 4 8 12; b: 1 5 9 13; c: 2 6 10 14; d: 3 7 11 15 */
    __m512i a = _mm512_unpacklo_epi64(low01, low23), b = _mm512_unpackhi_epi64(low01, low23);
    __m512i c = _mm512_unpacklo_epi64(high01, high23), d = _mm512_unpackhi_epi64(high01, high23);
    __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44), ab_high = _mm512_shuffle_i32x4(a, b, 0xEE);
    __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44), cd_high = _mm512_shuffle_i32x4(c, d, 0xEE);
    _mm512_storeu_si512(out, _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
    _mm512_storeu_si512(out + 16, _mm512_shuffle_i32x4(ab_low, cd_low, 0xDD));
    _mm512_storeu_si512(out + 32, _mm512_shuffle_i32x4(ab_high, cd_high, 0x88));
    _mm512_storeu_si512(out + 48, _mm512_shuffle_i32x4(ab_high, cd_high, 0xDD));
}
