/* Gathers without the instruction: four loads a time, put together. On a Xeon of 2019 (family 6,
 * model 85), whose microcode presumably makes gathers safe, one of sixteen numbers takes 35 cycles, and this half of
 * them. */

/* The numbers at four places */
INLINE __m128 four(const float *table, const uint64_t *pairs) {
    uint64_t a = pairs[0], b = pairs[1];
    __m128 x = _mm_load_ss(table + (uint32_t)a);
    x = _mm_insert_ps(x, _mm_load_ss(table + (a >> 32)), 0x10);
    x = _mm_insert_ps(x, _mm_load_ss(table + (uint32_t)b), 0x20);
    return _mm_insert_ps(x, _mm_load_ss(table + (b >> 32)), 0x30);
}

INLINE void look_up(const float *table, vi index, float *out) {
    uint64_t at[LANES / 2] __attribute__((aligned(64)));
    STORE_WORDS(at, index);
    UNROLL for (int k = 0; k < LANES / 4; k++) _mm_store_ps(out + 4 * k, four(table, at + 2 * k));
}

/* In registers: a vector read from where its quarters have just been written waits for them. */
INLINE vf gather(const float *table, vi index) {
    uint64_t at[LANES / 2] __attribute__((aligned(64)));
    STORE_WORDS(at, index);
    __m256 low = _mm256_set_m128(four(table, at + 2), four(table, at));
#if LANES == 8
    return (vf)low;
#else
    __m256 high = _mm256_set_m128(four(table, at + 6), four(table, at + 4));
    return (vf)_mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
#endif
}
