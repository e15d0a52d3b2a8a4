/* Vectors of 8 floats: AVX2. Included by avx2.c. */

#define LANES 8
#define RADIX 8

#include "vectors.h"

#ifdef LOADS
#include "lanes_loads.h"
#else
INLINE vf gather(const float *table, vi index) { return _mm256_i32gather_ps(table, (__m256i)index, 4); }
#endif

INLINE vi shift_right(vi x, int k) { return x >> k; }

INLINE vh shift_halves_right(vh x, int k) { return x >> k; }

INLINE half_vd doubles(const float *x) { return (half_vd)_mm256_cvtps_pd(_mm_load_ps(x)); }

INLINE half_vd plus_square(half_vd sum, half_vd x) { return sum + x * x; }

INLINE vq mul_even(vi a, vi b) { return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

INLINE vi odd_to_even(vi a) { return (vi)_mm256_srli_epi64((__m256i)a, 32); }

INLINE vi high_halves(vq even, vq odd) {
    return (vi)_mm256_blend_epi32(_mm256_srli_epi64((__m256i)even, 32), (__m256i)odd, 0xAA);
}

INLINE vi low_halves(vq even, vq odd) {
    return (vi)_mm256_blend_epi32((__m256i)even, _mm256_slli_epi64((__m256i)odd, 32), 0xAA);
}

INLINE vq xor3(vq a, vq b, vq c) { return a ^ b ^ c; }

/* Stages h = 1, 2, ... of the transform among the lanes of one vector. */
INLINE vf lane_stages(vf x, int stages) {
    if (stages > 0) {
        __m256 y = _mm256_permute_ps(x, 0xB1);
        x = _mm256_blend_ps(_mm256_add_ps(y, x), _mm256_sub_ps(y, x), 0xAA);
    }
    if (stages > 1) {
        __m256 y = _mm256_permute_ps(x, 0x4E);
        x = _mm256_blend_ps(_mm256_add_ps(y, x), _mm256_sub_ps(y, x), 0xCC);
    }
    if (stages > 2) {
        __m256 y = _mm256_permute2f128_ps(x, x, 0x01);
        x = _mm256_blend_ps(_mm256_add_ps(y, x), _mm256_sub_ps(y, x), 0xF0);
    }
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
