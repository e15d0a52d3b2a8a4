/* The kernels for AVX512, with loads instead of gathers. */

#define LOADS
#include "avx512.c"
