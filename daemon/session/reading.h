/*
 * The digest of a content that is read. Of the whole of a published file it need not be, where it
 * is noted (atrest.h); where it is read all the same, or another digest is noted, it is checked
 * against that, so that what was damaged is not told as right; and it is noted for the next time.
 * Logs what is damaged.
 */
#pragma once

#include <stdbool.h>

#include "daemon/session/session.h"

struct reading {
	/* of the caller, before reading_begin() */
	struct session *s;
	unsigned share;
	int fd;                      /* borrowed */
	const struct entry_stat *st; /* borrowed: what the file is; it must be that afterwards */
	const char *name;            /* borrowed: for the log */
	enum digest_algorithm algorithm;
	bool whole; /* all of the file will be read */
	bool fresh; /* although its digest is noted */

	bool known;                /* set: the digest is noted, nothing need be read or hashed */
	bool noted;                /* set: some digest is */
	bool notable;              /* set: what is read may be noted */
	struct digest_value value; /* what is noted */
	struct digest *other;      /* owned: of that algorithm, where it is not the one */
};

/* Begins the digest in s->digest. 0 or -ENOMEM. reading_done() in any case. */
int reading_begin(struct reading *r);
/* The next n bytes; NULL: so many zeros. */
void reading_update(struct reading *r, const void *data, uint64_t n);
/* After the last of them, when the file is still what it was. 0, or -FTD_E_digest_mismatch: it is
 * not the content that its digest was noted of. */
int reading_end(struct reading *r, struct digest_value *ret);
void reading_done(struct reading *r);
