/* Orphans in staging: files that no living session holds locked. Beneath share roots only. */
#pragma once

#include <stddef.h>

/* Removes the orphans of one share. The descriptor of its root is borrowed. Adds to *removed.
 * 0, or the negative errno that ended the sweep; a share without staging has none (0). */
int sweep_share(int root, size_t *removed);
