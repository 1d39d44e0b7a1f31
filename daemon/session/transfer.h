/*
 * The way of content from the socket into a staging file: whole or in pieces, with its digest, its
 * limits and its progress. For upload.c and bare.c.
 */
#pragma once

#include "daemon/session/refuse.h"
#include "daemon/session/session.h"

/* Who has a say in a transfer that others may end or go on with. */
struct transfer_watch {
	/* Asked between chunks, and at least every second or so: 0, or the refusal that ends it. */
	int (*look)(void *userdata);
	/* Told of content that is in the file at this place; data is NULL of zeros that were not
	 * sent. 0, or the refusal that ends it. */
	int (*stored)(void *userdata, uint64_t at, const uint8_t *data, uint64_t n);
	void *userdata;
};

struct transfer {
	const struct transfer_watch *watch; /* borrowed; NULL: nobody */
	uint64_t base;                      /* where in the file it begins */
	struct staging *staging;            /* borrowed */
	int fd;                             /* the same file */
	unsigned share;
	uint64_t expected;          /* bytes; UINT64_MAX: unknown */
	uint64_t max;               /* what the file may have, limits.file_size */
	bool write_behind;          /* large files go to disk as they arrive */
	struct digest_value digest; /* algorithm; the value that is expected, then what it is */
	bool has_digest;            /* a value is expected */
	bool unhashed;              /* nobody will ask: digest stays as it is */

	uint64_t size;           /* so far */
	uint64_t received;       /* of it over the wire: holes are not sent */
	struct refuse_rest rest; /* of the request: what is still to be read */
	uint64_t heard_usec;     /* when bytes came last */

	int error;           /* of a refusal: negative */
	bool voided;         /* the client says that what came is not to count */
	bool close;          /* the next frame cannot be found */
	const char *message; /* NULL: the usual */
};

/* Receives all of it into the file. 0: complete and verified, digest says what came; 1: refused,
 * see error, close and rest; negative: conn_*. */
int transfer_receive(struct session *s, const struct request *rq, struct transfer *t);

/* Zeros from first to before end of a file, whatever was there. 0 or -errno. */
int transfer_make_hole(int fd, uint64_t first, uint64_t end);
