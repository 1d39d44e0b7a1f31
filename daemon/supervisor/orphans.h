/* At the very end: no child may stay behind. */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/supervisor.h"

/* Waits for all children, kills those that are still there after two seconds, and reaps them. What
 * has not ended two seconds later, as in a file system that hangs, is told and left behind. */
void orphans_reap(void);

/* Whether all children that are left are sessions and pumps; where kill, all others are killed. */
bool orphans_none_but_kin(const struct supervisor *sup, bool kill);
