/*
 * The content of a local file, or a part of it, as runs of data and of holes, read once from front
 * to back. Also reads what has no size (a pipe).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/digest.h"

#define CONTENT_UNKNOWN UINT64_MAX

struct content {
	int fd; /* borrowed */
	uint64_t size, at;
	uint64_t data_end; /* up to here there is no hole */
	bool sparse;
	bool part; /* size is not where the file ends */
};

struct content_run {
	uint64_t len;
	bool hole; /* else len bytes are in the buffer */
};

/* size CONTENT_UNKNOWN: a pipe, read to its end. sparse: holes are worth looking for. */
void content_init(struct content *c, int fd, uint64_t size, bool sparse);

/* From first up to end only, of a file that goes on behind it. */
void content_init_part(struct content *c, int fd, uint64_t first, uint64_t end, bool sparse);

/* 1: *ret is the next run, at most max bytes if data; 0: the end is where it was expected;
 * -FTD_E_changed: it is not; -errno. */
int content_next(struct content *c, void *buf, size_t max, struct content_run *ret);

/* The digest of all of a file of that size. -FTD_E_changed, -EINTR (interrupted), -errno. */
int content_digest(int fd, uint64_t size, bool sparse, enum digest_algorithm a,
		   struct digest_value *ret);

/* The xxh3 of the n bytes from at on, read into buf. -FTD_E_changed: there are fewer; -errno. */
int content_block(int fd, uint64_t at, size_t n, uint8_t *buf, uint8_t ret[16]);
