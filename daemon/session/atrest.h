/*
 * Digests of published files at rest: noted when a content has passed through as a whole, and
 * believed as long as size and mtime are what they were then (doc/ARCHITECTURE.md, "Digests at
 * rest"). In the attribute user.ftd.xxh3 of the file, else in the share's table. Only of files that
 * are dear to read again. Nothing here fails: what cannot be noted is not known. No logging.
 */
#pragma once

#include <stdbool.h>

#include "daemon/session/session.h"

enum { ATREST_MIN = 256 << 10 }; /* what is smaller is hashed again in no more time */

/* The digest of the open file fd of the share, which is st. Where only one of another algorithm is
 * known, it is that: ret->algorithm tells. */
bool atrest_get(struct session *s, unsigned share, int fd, const struct entry_stat *st,
		enum digest_algorithm a, struct digest_value *ret);

/* Of a file that nobody else has yet: whatever was noted before is forgotten. */
void atrest_put(struct session *s, unsigned share, int fd, const struct entry_stat *st,
		const struct digest_value *v);

/* Of a published file that was read, and was st before and after; beside what is noted already. */
void atrest_add(struct session *s, unsigned share, int fd, const struct entry_stat *st,
		const struct digest_value *v);

/* Whether what is read of the file from now on may be noted. A file that was written a moment ago
 * could be written again without another time to show for it. */
bool atrest_is_settled(const struct entry_stat *st);

/* Of the file to, which is now_st and has the content of from, which was from_st: as is noted of
 * that. They may be the same file. */
void atrest_carry(struct session *s, unsigned share, int from, const struct entry_stat *from_st,
		  unsigned to_share, int to, const struct entry_stat *to_st);

/* Adds the key digest to an entry object of leaf in the directory, which is st, if it is known. 0
 * or -ENOMEM. */
int atrest_tell(struct session *s, unsigned share, int dir, const char *leaf,
		const struct entry_stat *st, enum digest_algorithm a, json_t *entry);
