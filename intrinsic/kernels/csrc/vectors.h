/* Vector types of LANES elements, in the syntax that GCC and clang share. */

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

typedef float vf __attribute__((vector_size(4 * LANES), may_alias));
typedef uint32_t vi __attribute__((vector_size(4 * LANES), may_alias));
typedef uint64_t vq __attribute__((vector_size(4 * LANES), may_alias));
typedef float half_vf __attribute__((vector_size(2 * LANES), may_alias));
typedef uint32_t half_vi __attribute__((vector_size(2 * LANES), may_alias));
typedef double half_vd __attribute__((vector_size(4 * LANES), may_alias));
typedef uint16_t vh __attribute__((vector_size(4 * LANES), may_alias));
typedef float loose_vf __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define SIGN 0x80000000u

#define LOAD(p) (*(const vf *)(p))
#define STORE(p, x) (*(vf *)(p) = (x))
#define LOAD_LOOSE(p) ((vf) * (const loose_vf *)(p))
#define STORE_LOOSE(p, x) (*(loose_vf *)(p) = (loose_vf)(x))
#define LOAD_WORDS(p) (*(const vi *)(p))
#define STORE_WORDS(p, x) (*(vi *)(p) = (x))

/* Bits shift ... shift + bits - 1 of LANES words: where `found` looks in a table of 2^bits numbers. 32 bits: the words
 * themselves. */
INLINE vi places(const uint32_t *words, int shift, int bits) {
    return LOAD_WORDS(words) >> shift & (uint32_t)(((uint64_t)1 << bits) - 1);
}

INLINE vi each(uint32_t x) { return x - (vi){0}; }

INLINE vf each_float(float x) { return x - (vf){0}; }

INLINE half_vf to_floats(half_vd x) { return __builtin_convertvector(x, half_vf); }

INLINE vi counting_from(uint32_t x) {
    vi lane;
    for (int i = 0; i < LANES; i++) lane[i] = (uint32_t)i;
    return lane + x;
}

/* 0 ... LANES - 1 in the low halves of words, LANES ... 2 LANES - 1 in the high ones */
INLINE vh counting_apart(void) {
    vh lane;
    for (int i = 0; i < 2 * LANES; i++) lane[i] = (uint16_t)(i / 2 + i % 2 * LANES);
    return lane;
}
