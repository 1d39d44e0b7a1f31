/*
 * Uploads and what goes with them (directories, times, what is removed), written ahead over one
 * connection: up to UPLOAD_AHEAD requests wait for their answers. After a lost connection
 * everything without an answer is repeated carefully: with its digest, asking first. Used by
 * client/put.c, put_tree.c and mirror_put.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "client/command.h"
#include "lib/digest.h"

enum {
	UPLOAD_AHEAD = 1000,
	UPLOAD_SMALL = 1 << 20,   /* up to here a file is one frame */
	UPLOAD_PIECE = 256 << 10, /* above, pieces of this size */
	UPLOAD_LARGE = 64 << 20,  /* from here on client/large.h */
	UPLOAD_PATH_MAX = PATH_BYTES_MAX + 2,
};

/* What one operand of the command line names. */
struct upload_source {
	const char *name; /* as written; "-" is the standard input */
	int dir;          /* of a tree; -1: a file */
	char *remote;     /* its name there, as in struct url; owned by put.c */
};

enum upload_kind { UPLOAD_FILE, UPLOAD_MKDIR, UPLOAD_SET, UPLOAD_REMOVE };

/* One request without an answer. */
struct upload_item {
	struct upload_item *next;
	uint64_t id;
	enum upload_kind kind;
	const struct upload_source *source;
	char *path; /* below the source, "" the source itself; owned */
	struct stat st;
	uint64_t began_usec, size;
	uint64_t held, moved; /* of a large one: what was there before; bytes that were sent */
	char digest[DIGEST_TEXT_MAX];
	bool voided;        /* ended by us, and told */
	struct failure why; /* why.again: the server wants to be asked later */
};

struct upload_queue {
	struct upload_item *first, **last;
	size_t n;
};

struct upload {
	struct client *client;
	struct upload_queue sent; /* in the order of their answers */
	struct upload_queue redo; /* to be repeated */
	bool queued;              /* the item that is sent now is, or was, in sent */
	bool parents;             /* uploads make the directories they need */
	bool whole_only;          /* the server does not resume */
	uint64_t sending_id;      /* of the upload whose pieces are on the way; 0: none */
	uint64_t refused_id;      /* of the upload that was refused last */
	uint64_t times_refused;   /* directories whose times could not be set */
	uint8_t *buffer;          /* UPLOAD_SMALL + 1 bytes */
	struct digest *digest;
};

int upload_init(struct upload *u, struct client *c);
void upload_done(struct upload *u);

/* Sends one; path is copied, source must stay until upload_settle(). What goes wrong with it alone
 * is told and counted. 0, or negative when all is over, which is told too. */
int upload_put(struct upload *u, enum upload_kind kind, const struct upload_source *source,
	       const char *path, const struct stat *st);

/* Waits for all answers. 0 or negative as above. */
int upload_settle(struct upload *u);

/* "name" or "name/path", for people. dst holds UPLOAD_NAME_MAX. Returns dst. */
enum { UPLOAD_NAME_MAX = 2 * PATH_BYTES_MAX + 2 };
char *upload_name(char *dst, const struct upload_source *source, const char *path);

/* ---- client/upload_request.c: what stands in front of a content ---- */

/* What the server is told of a file. */
struct upload_facts {
	const char *filename;  /* there, with the slash in front */
	uint64_t size;         /* CONTENT_UNKNOWN: a pipe */
	const struct stat *st; /* here */
	bool parents;
};

/* "upload" or "upload-begin" without what they say of the content; NULL without memory. */
json_t *upload_request(const char *opt, const struct options *o, const struct upload_facts *facts);
/* The request for what has no content; NULL without memory. */
json_t *upload_name_request(const struct upload_item *item);
/* The wire name of the item. -FTD_E_bad_name: it is too long. */
int upload_remote_name(const struct upload_item *item, char dst[UPLOAD_PATH_MAX]);
int64_t upload_mtime_ns(const struct stat *st);

/* ---- client/upload_send.c: one request to the wire ---- */

/* Sends item and appends it to u->sent. careful: asks first, with the digest.
 * 0; negative (f) with scope ITEM when only this one cannot be sent: it is still the caller's;
 * negative with any other scope: the connection failed, and item is in u->sent or was answered
 * already. */
int upload_send(struct upload *u, struct upload_item *item, bool careful, struct failure *f);

/* What is sent of one file. */
struct upload_sending {
	struct upload *u;
	struct upload_item *item;
	int fd;
	uint64_t size; /* CONTENT_UNKNOWN: a pipe */
	bool sparse;
	char path[UPLOAD_PATH_MAX]; /* there */
	struct upload_facts facts;
};

/* From here on the server may hear of the item, so an answer to it may come. */
void upload_queue(struct upload *u, struct upload_item *item);
/* n bytes were sent: waits as --limit wants it. */
int upload_moved(struct upload *u, uint64_t n, struct failure *f);
/* r is why a file here cannot be read. */
int upload_local_failure(int r, struct failure *f);

/* ---- client/upload_pieces.c ---- */

/* As upload_send(), in pieces. */
int upload_pieces(struct upload_sending *s, bool careful, struct failure *f);

/* ---- client/upload_answer.c: what comes back ---- */

/* Takes in the answers that have come. 0 or negative (f): the connection failed. */
int upload_poll(struct upload *u, struct failure *f);
/* Waits for the answer to the oldest request and takes it in. 0 or negative (f): the connection
 * failed. */
int upload_answer(struct upload *u, struct failure *f);

/* The answer to the oldest request is a (NULL: the failure f). 0 or negative (f): the connection
 * failed. */
int upload_taken(struct upload *u, const struct answer *a, struct failure *f);

/* Whether the receipt is about what was sent. 0 or negative (f). */
int upload_check_receipt(const struct upload_item *item, const struct answer *a, struct failure *f);

/* Tells how an item has ended. */
void upload_accepted(struct upload *u, const struct upload_item *item, const struct answer *a);
void upload_refused(struct upload *u, struct upload_item *item, const struct failure *f);

void upload_append(struct upload_queue *q, struct upload_item *item);
struct upload_item *upload_take(struct upload_queue *q);
struct upload_item *upload_item_free(struct upload_item *item);
