/* Lookups without the gather instruction: a load a number, put together. A place is cut out of its word in an ordinary
 * register, so the words should lie in memory for a while: a load that follows a wide store at once waits for it. */

typedef uint64_t __attribute__((may_alias)) pair; /* of words */

INLINE uint64_t lower(pair words, int shift, int bits) {
    return words >> shift & (((uint64_t)1 << bits) - 1);
}

INLINE uint64_t upper(pair words, int shift, int bits) {
    return lower(words >> 32, shift, bits);
}

/* Each number fills all lanes as it is loaded, which costs nothing, and is blended into its own: no shuffles. */
INLINE __m256 found_eight(const float *table, const pair *words, int shift, int bits) {
    pair a = words[0], b = words[1], c = words[2], d = words[3];
    __m256 x = _mm256_broadcast_ss(table + lower(a, shift, bits));
    x = _mm256_blend_ps(x, _mm256_broadcast_ss(table + upper(a, shift, bits)), 1 << 1);
    x = _mm256_blend_ps(x, _mm256_broadcast_ss(table + lower(b, shift, bits)), 1 << 2);
    x = _mm256_blend_ps(x, _mm256_broadcast_ss(table + upper(b, shift, bits)), 1 << 3);
    x = _mm256_blend_ps(x, _mm256_broadcast_ss(table + lower(c, shift, bits)), 1 << 4);
    x = _mm256_blend_ps(x, _mm256_broadcast_ss(table + upper(c, shift, bits)), 1 << 5);
    x = _mm256_blend_ps(x, _mm256_broadcast_ss(table + lower(d, shift, bits)), 1 << 6);
    return _mm256_blend_ps(x, _mm256_broadcast_ss(table + upper(d, shift, bits)), 1 << 7);
}

INLINE vf found(const float *table, const uint32_t *words, int shift, int bits) {
    const pair *pairs = (const pair *)words;
    __m256 low = found_eight(table, pairs, shift, bits);
#if LANES == 8
    return (vf)low;
#else
    return (vf)_mm512_insertf32x8(_mm512_castps256_ps512(low), found_eight(table, pairs + 4, shift, bits), 1);
#endif
}
