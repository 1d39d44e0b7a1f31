/*
 * Where a file cannot keep a note itself, because its file system has no extended attributes of
 * users or the daemon may not write to it, the share keeps it in the table .ftd/digests. A file has
 * one place in it, by device, inode and time of birth, which other files may take: it never grows,
 * needs no cleaning, and says nothing of a file that has the name or the inode later. No logging.
 */
#pragma once

#include "daemon/session/atrest_record.h"
#include "daemon/session/session.h"

/* 0, or negative: nothing is noted there. */
int atrest_table_load(struct session *s, unsigned share, const struct entry_stat *st,
		      struct atrest_record *ret);
/* 0 or -errno. */
int atrest_table_store(struct session *s, unsigned share, const struct entry_stat *st,
		       const struct atrest_record *r);
