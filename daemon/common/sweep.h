/* Orphans in staging: files that no living session holds locked. Beneath share roots only. */
#pragma once

#include <stddef.h>

#include "daemon/common/staged.h"

/* Called for an orphan before it goes. 0; negative: it stays. */
typedef int (*sweep_release)(int root, const struct staged_id *id);

/* Removes the orphans of one share. The descriptor of its root is borrowed. release may be NULL.
 * Adds to *removed.
 * 0, or the negative errno that ended the sweep; a share without staging has none (0). */
int sweep_share(int root, sweep_release release, size_t *removed);
