/*
 * One upload from its request to the file that is ready to be published: upload.c, prepare.c,
 * expect.c; and bare.c, whose client speaks without frames.
 */
#pragma once

#include "daemon/session/session.h"
#include "daemon/session/transfer.h"

enum { UPLOAD_MODE = 0777 }; /* the bits of mode that a client may set */

struct upload_args {
	uint64_t filesize;
	int64_t mtime_ns;
	uint64_t mode;
	bool parents, expect, keep;
	struct message_str digest, if_exists, if_match, upload;
};

struct upload {
	const struct request *rq;
	struct upload_args args;
	bool has_mtime, has_mode;
	const struct place *place; /* where it goes; borrowed of the request */
	bool begun;                /* it goes on: its room was looked at before */
	struct refuse_rest body;   /* what follows, at once or after continue */
	struct transfer transfer;  /* its rest: what is on its way now */
	struct publish publish;    /* what group_add() or publish_all() gets */

	/* of a refusal; extra also: the receipt of what is unchanged */
	char message[BOARD_TEXT_MAX]; /* "": the usual */
	json_t *extra;                /* owned */
};

/* ---- upload.c */

/* Reads the request; *u is initialised and to be freed with upload_done() in any case. 0, or a
 * refusal, with transfer.close set where nobody knows how long the body is. */
int upload_read(struct upload *u, const struct request *rq);
/* The same of a request without a body, which begins a resumable upload. */
int upload_read_begin(struct upload *u, const struct request *rq);
/* What is to be read after a request that content follows. 0, or -FTD_E_bad_request where nobody
 * knows. */
int upload_rest(const struct request *rq, struct refuse_rest *ret);
/* The last touch before the sync: what the file, complete, is to look like, and publish. 0 or
 * -errno. */
int upload_finish(struct session *s, struct upload *u);
/* For the dispatcher: answers that the upload is refused with r (message "": what the code says),
 * and drops the body. name is where it was meant to go, "" where that is not known. As a handler.
 */
int upload_refuse(struct session *s, const struct request *rq, const char *name, int r,
		  const char *message);
/* Takes the content. 0: publish is ready; 1: refused, see transfer.error; negative: conn_*. */
int upload_take(struct session *s, struct upload *u);
/* Ends the transfer in the report after a conn_* failure r; returns r. */
int upload_lost(struct session *s, int r);
/* Gives a key to the answer of the refusal r; the value is stolen. Returns r. */
int upload_refusal(struct upload *u, int r, const char *key, json_t *value);
void upload_done(struct session *s, struct upload *u);

/* ---- prepare.c */

/* Checks all that can be told before the body, opens the directory and makes the staging file. Once
 * the name is known it is a transfer, to be ended with report_transfer_end() or
 * report_upload_end(). 0; 1: unchanged (see below); or a refusal, after which it may be called
 * again. */
int prepare_upload(struct session *s, struct upload *u);

/* The same without a staging file: opens the directory and looks at what has the name. 0; 1:
 * unchanged; or a refusal. */
int prepare_target(struct session *s, struct upload *u);

/* ---- expect.c */

/* Whether the target has the content that the request's digest announces, and may be read. 1: yes,
 * extra is the receipt; 0; or a refusal. */
int expect_unchanged(struct session *s, struct upload *u);
