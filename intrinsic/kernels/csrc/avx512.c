/* The kernels for AVX512, compiled for it whatever the compiler's own target is; dispatch.c asks the processor. */

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2")
#endif

#include "native.h"
#include <immintrin.h>
#include "lanes_avx512.h"
#include "body.h"

#ifdef LOADS
TABLE(intrinsic_avx512_loads)
#else
TABLE(intrinsic_avx512)
#endif

#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int no_avx512; /* C wants something in every file */
#endif
