/* Vectors of 8 floats: AVX2. Included by avx2.c. */

#define LANES 8
#define RADIX 8
#define GROUPS 1

#include "vectors.h"

#ifdef LOADS
#include "lanes_loads.h"
#else
INLINE vf found(const float *table, const uint32_t *words, int shift, int bits) {
    return _mm256_i32gather_ps(table, (__m256i)places(words, shift, bits), 4);
}
#endif

INLINE vi shift_right(vi x, int k) { return x >> k; }

INLINE vh shift_halves_right(vh x, int k) { return x >> k; }

INLINE half_vd low_doubles(vf x) { return (half_vd)_mm256_cvtps_pd(_mm256_castps256_ps128(x)); }

INLINE half_vd high_doubles(vf x) { return (half_vd)_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }

INLINE half_vd plus_square(half_vd sum, half_vd x) { return sum + x * x; }

INLINE half_vd roots(half_vd x) { return (half_vd)_mm256_sqrt_pd((__m256d)x); }

INLINE vq mul_even(vi a, vi b) { return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

INLINE vi odd_to_even(vi a) { return (vi)_mm256_srli_epi64((__m256i)a, 32); }

INLINE vi high_halves(vq even, vq odd) {
    return (vi)_mm256_blend_epi32(_mm256_srli_epi64((__m256i)even, 32), (__m256i)odd, 0xAA);
}

INLINE vi low_halves(vq even, vq odd) {
    return (vi)_mm256_blend_epi32((__m256i)even, _mm256_slli_epi64((__m256i)odd, 32), 0xAA);
}

INLINE vq xor3(vq a, vq b, vq c) { return a ^ b ^ c; }

/* a - b, by other units than those that add, on processors that have others. 1 b is exact: the same bits. */
INLINE vf minus(vf a, vf b) { return _mm256_fnmadd_ps(b, _mm256_set1_ps(1), a); }

/* partner + sign x, rounded once: partner + x where sign is 1, partner - x where it is -1 */
INLINE vf butterfly(vf x, vf partner, vf sign) { return _mm256_fmadd_ps(x, sign, partner); }

#define SIGNS(bit) (__m256)(each(0x3F800000u) | (((counting_from(0) & (bit)) != 0) & SIGN))

/* Stages h = 1, 2, ... of the transform among the lanes of one vector. */
INLINE vf lane_stages(vf x, int stages) {
    if (stages > 0) x = butterfly(x, _mm256_permute_ps(x, 0xB1), SIGNS(1));
    if (stages > 1) x = butterfly(x, _mm256_permute_ps(x, 0x4E), SIGNS(2));
    if (stages > 2) x = butterfly(x, _mm256_permute2f128_ps(x, x, 0x01), SIGNS(4));
    return x;
}

/* The vector at x after all its lanes' stages. */
INLINE vf load_transformed(const float *x) { return lane_stages(LOAD_LOOSE(x), 3); }

/* Rows l = 0..3 hold lane l of 8 counters; written out counter by counter. */
INLINE void store_counters(uint32_t *out, const vi lane[4]) {
    __m256i low01 = _mm256_unpacklo_epi32((__m256i)lane[0], (__m256i)lane[1]);
    __m256i high01 = _mm256_unpackhi_epi32((__m256i)lane[0], (__m256i)lane[1]);
    __m256i low23 = _mm256_unpacklo_epi32((__m256i)lane[2], (__m256i)lane[3]);
    __m256i high23 = _mm256_unpackhi_epi32((__m256i)lane[2], (__m256i)lane[3]);
    /* a: counters 0 4; b: 1 5; c: 2 6; d: 3 7 */
    __m256i a = _mm256_unpacklo_epi64(low01, low23), b = _mm256_unpackhi_epi64(low01, low23);
    __m256i c = _mm256_unpacklo_epi64(high01, high23), d = _mm256_unpackhi_epi64(high01, high23);
    _mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_storeu_si256((__m256i *)(out + 8), _mm256_permute2x128_si256(c, d, 0x20));
    _mm256_storeu_si256((__m256i *)(out + 16), _mm256_permute2x128_si256(a, b, 0x31));
    _mm256_storeu_si256((__m256i *)(out + 24), _mm256_permute2x128_si256(c, d, 0x31));
}
