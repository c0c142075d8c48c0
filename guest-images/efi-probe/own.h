/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What a kernel does with unaccepted memory after ExitBootServices: rightly, or wrongly in one way. */
#ifndef OWN_H
#define OWN_H

#include "map.h"
#include "options.h"

struct own {
    u64 start, size; /* what the probe says that it accepted; bytes */
};

/* Accept the first `own` pages of the first unaccepted range of `map`, and do what `wrong` says besides. */
struct own accept_own(const struct map *map, const struct options *options);

#endif
