/*
 * The way of content from the socket into a staging file: whole or in pieces, with its digest, its
 * limits and its progress. For upload.c and bare.c.
 */
#pragma once

#include "daemon/session/refuse.h"
#include "daemon/session/session.h"

struct transfer {
	struct staging *staging; /* borrowed */
	int fd;                  /* the same file */
	unsigned share;
	uint64_t expected;          /* bytes; UINT64_MAX: unknown */
	uint64_t max;               /* limits.file_size */
	bool write_behind;          /* large files go to disk as they arrive */
	struct digest_value digest; /* algorithm; the value that is expected, then what it is */
	bool has_digest;            /* a value is expected */

	uint64_t size;           /* so far */
	uint64_t received;       /* of it over the wire: holes are not sent */
	struct refuse_rest rest; /* of the request: what is still to be read */

	int error;           /* of a refusal: negative */
	bool close;          /* the next frame cannot be found */
	const char *message; /* NULL: the usual */
};

/* Receives all of it into the file. 0: complete and verified, digest says what came; 1: refused,
 * see error, close and rest; negative: conn_*. */
int transfer_receive(struct session *s, const struct request *rq, struct transfer *t);
