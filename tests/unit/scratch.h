/* A directory of its own for a test, under /tmp. */
#pragma once

/* Makes it; a descriptor of it, the caller closes. The path is kept until scratch_remove(). */
int scratch_make(void);

/* Its path. */
const char *scratch_path(void);

/* Removes it with all that is in it. */
void scratch_remove(void);
