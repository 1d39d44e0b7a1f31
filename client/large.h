/*
 * A large file on its way to the server, as an upload that survives lost connections, ends of this
 * program and ends of the server: what is held there is compared block by block, what differs is
 * sent, over one connection or several, and the whole is verified. The server finds the upload of
 * an earlier run by itself, by name, size and time. large.c decides what is next, large_plan.c
 * finds out what is missing, large_part.c sends it.
 */
#pragma once

#include <stdatomic.h>
#include <sys/stat.h>

#include "client/blocks.h"
#include "client/lanes.h"
#include "client/upload.h"

struct large {
	struct client *client;
	const char *name;          /* here, for people */
	struct upload_facts facts; /* size and st are those of the state that is sent */
	int fd;
	bool maybe_there; /* an earlier try may have been the one that counted */

	/* results */
	char digest[DIGEST_TEXT_MAX];
	uint64_t held; /* bytes that were there when this began */

	/* state; what several threads touch is atomic */
	char upload[ANSWER_UPLOAD_MAX + 1]; /* newest id; "": none */
	struct stat st;
	struct blocks blocks;
	uint8_t *block;    /* DIGEST_BLOCK bytes */
	uint64_t left;     /* bytes that were missing at the last try */
	bool begun;        /* held is known */
	unsigned unheard;  /* begins of ours that may have made an id which we were not told */
	bool ending;       /* all was sent: only the end has no answer */
	bool base;         /* the target's blocks may serve */
	unsigned restarts; /* of a kind that has no end by itself */
	struct lanes lanes;
	atomic_bool changed; /* the file here was found shorter */
	atomic_ullong moved; /* bytes over the wire */
};

/* What a step may say besides 0 and a failure. */
enum {
	LARGE_AGAIN = 1, /* all steps have to be gone again, at once */
	LARGE_CHANGED,   /* the file here is another one now */
	LARGE_THERE,     /* an earlier try did it */
};

/* Sends all of x->fd. 0, *ret is the receipt and x->facts what it is about; negative (f). The
 * caller sets the first part of x, the rest is zero. */
int large_put(struct large *x, struct answer *ret, struct failure *f);

/* ---- client/large_plan.c ---- */

/* Claims the upload, or begins it, and finds out what is to be sent. 0, LARGE_CHANGED, negative
 * (f).
 */
int large_plan(struct large *x, struct failure *f);
/* The digests of blocks that nobody needed so far. As above. */
int large_digests(struct large *x, struct failure *f);
/* Looks at the file. As above. */
int large_check_source(struct large *x, struct failure *f);

/* ---- client/large_part.c ---- */

/* Sends what is planned. As above. */
int large_send(struct large *x, struct failure *f);
