/* All kernels for one instruction set. The file that includes this one has chosen `lanes_*.h` and the name. */

#include "jobs.h"
#include "philox.h"
#include "fwht.h"
#include "fastfood.h"
#include "rows.h"
#include "small_blocks.h"

#define TABLE(name) \
    const struct kernels name = {fastfood_forward, fastfood_adjoint, small_forward, small_adjoint, hashed_forward, \
                                 hashed_adjoint, sparse_forward, sparse_adjoint, gaussians, fwht, fwht_parts, \
                                 column_rows, lookup_seconds};
