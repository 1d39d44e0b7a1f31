/* At the very end: no child may stay behind. */
#pragma once

/* Waits for all children, kills those that are still there after two seconds, and reaps them; not
 * those that a tracer keeps. */
void orphans_reap(void);
