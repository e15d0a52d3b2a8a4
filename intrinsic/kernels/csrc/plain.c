/* The kernels for any other processor. */

#include "native.h"
#include "lanes_plain.h"
#include "body.h"

TABLE(intrinsic_plain)
