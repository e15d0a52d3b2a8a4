/* The kernels for AVX2 and FMA, compiled for them whatever the compiler's own target is; dispatch.c asks the processor.
 * Products and sums must not be fused where they are not written so (-ffp-contract=off): all paths give the same bits. */

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#include "native.h"
#include <immintrin.h>
#include "lanes_avx2.h"
#include "body.h"

#ifdef LOADS
TABLE(intrinsic_avx2_loads)
#else
TABLE(intrinsic_avx2)
#endif

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int no_avx2; /* C wants something in every file */
#endif
