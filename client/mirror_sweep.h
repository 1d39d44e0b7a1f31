/*
 * What of a destination its source does not have. Removed one by one, those below before those
 * above, so that nothing goes that was not listed. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/catalog.h"
#include "lib/path.h"

struct mirror_stale {
	char *path; /* below the destination; owned */
	bool directory;
};

struct mirror_sweep {
	struct mirror_stale *stale;
	size_t n, room;
	struct catalog kept;                /* directories with something in them that stays */
	struct catalog whole;               /* those that stay with all that is in them */
	char kept_last[PATH_BYTES_MAX + 1]; /* the one above what was kept last */
};

void mirror_sweep_done(struct mirror_sweep *s);

/* path stays, though the source does not have it, and so does all above it. -ENOMEM, -E2BIG. */
int mirror_sweep_keep(struct mirror_sweep *s, const char *path);
/* path stays if the source has at its name what is of its kind. What is neither a file nor a
 * directory does not travel: then it stays, too, and all below it. src NULL: the source has nothing
 * there. As above. */
int mirror_sweep_judge(struct mirror_sweep *s, const char *path, bool directory,
		       const struct catalog_facts *src);
/* When all is known: stale is what can be removed, in that order. */
void mirror_sweep_sort(struct mirror_sweep *s);
