/* At the very end: no child may stay behind. */
#pragma once

#include <stdbool.h>

#include "daemon/supervisor/supervisor.h"

/* Waits for all children, kills those that are still there after two seconds, and reaps them; not
 * those that a tracer keeps. */
void orphans_reap(void);

/* Whether all children that are left are sessions and pumps; where kill, all others are killed. */
bool orphans_none_but_kin(const struct supervisor *sup, bool kill);
