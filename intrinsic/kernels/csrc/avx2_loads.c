/* The kernels for AVX2, with loads instead of gathers. */

#define LOADS
#include "avx2.c"
