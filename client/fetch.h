/*
 * The content of one file on its way in: frames with bytes and holes to a descriptor, hashed while
 * they are written and held against the sizes and digests that the server promised.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "client/command.h"

struct digest;

struct fetch {
	struct client *client;
	struct session *session;         /* it comes over; borrowed */
	int fd;                          /* -1: what comes is dropped */
	bool seekable;                   /* holes are left out, not written */
	uint64_t at;                     /* position in the file */
	uint64_t end;                    /* of what was asked for, as the entry of the file says */
	uint64_t moved;                  /* bytes that came over the wire */
	enum digest_algorithm algorithm; /* of the trailer */
	struct digest *digest;
	uint8_t *buffer; /* FETCH_BUFFER bytes */
};

enum { FETCH_BUFFER = 256 << 10 };

int fetch_init(struct fetch *x, struct client *c, struct session *s);
void fetch_done(struct fetch *x);

/* The next file, or the next piece of one: into fd (borrowed, -1: nowhere) from at up to end.
 * -ENOMEM. */
int fetch_begin(struct fetch *x, int fd, bool seekable, uint64_t at, uint64_t end);

/* The first frame of a file that was asked for with the digest that is known says which that is. 0
 * or negative (f). */
int fetch_announced(struct fetch *x, const struct answer *a, struct failure *f);

/* Takes in what the frame brings. Negative (f): scope ITEM is this machine's failure to write; the
 * rest of the body is then still to come. */
int fetch_frame(struct fetch *x, const struct answer *a, struct failure *f);

/* The trailer came: is all there, and is it what was sent? f: size_mismatch, digest_mismatch. The
 * file may still be short of a hole at its end. */
int fetch_end(struct fetch *x, const struct answer *trailer, struct failure *f);

/* Drops a frame's body. */
int fetch_drop(struct fetch *x, const struct answer *a, struct failure *f);
