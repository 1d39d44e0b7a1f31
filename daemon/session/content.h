/*
 * The content of one open file on its way to the client (doc/PROTOCOL.md, "Bodies"): a small one in
 * one frame, else in pieces of about a second, ended by a trailer with the digest of what was sent
 * or with the reason why it is void. No logging.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/session/reading.h"
#include "daemon/session/session.h"
#include "daemon/session/stop.h"

enum { CONTENT_SMALL = 64 << 10, CONTENT_PIECE_FIRST = 1 << 20 };

struct content {
	int fd;
	unsigned share;   /* that it is in */
	const char *name; /* borrowed: for the log */
	struct entry_stat
	    st;        /* as the client is told; a file that differs afterwards is "changed" */
	json_t *entry; /* owned: keys of the first frame */
	uint64_t offset, end; /* what to send */
	enum digest_algorithm algorithm;
	bool holes;     /* may be told instead of sent */
	bool more;      /* other frames follow for the same request */
	uint64_t piece; /* bytes of the next one; begins as CONTENT_PIECE_FIRST */
	uint64_t sent;  /* content bytes sent for the request, reported as progress */
	struct stop *stop;
	bool sparse;            /* set where it is sent in pieces: there may be any to tell */
	struct reading reading; /* its digest */
	bool unread;            /* set: it goes without being read here */
	int error;              /* set: 0, or what the client was told */
};

/* 0: the client has it, or was told c->error; a conn_* failure. */
int content_send(struct session *s, const struct request *rq, struct content *c);

/* What the key digest asks for, xxh3 without it. 0, -FTD_E_unsupported, -FTD_E_bad_request. */
int content_algorithm(const struct message_str *digest, enum digest_algorithm *ret);

/* Reads exactly n bytes. 0, -EIO, or -FTD_E_changed where the file ends before. */
int content_read(int fd, void *dst, size_t n, uint64_t at);

/* Where data or a hole (whence) begins at or behind at; limit where that is not before it. A file
 * system that cannot tell has data everywhere. */
uint64_t content_seek(int fd, uint64_t at, int whence, uint64_t limit);

/* Begins a digest in s->digest. 0 or -ENOMEM. */
int content_digest(struct session *s, enum digest_algorithm algorithm);

/* Ends the report of a transfer that ended with a conn_* failure (r negative), or as error says. */
void content_report_end(struct session *s, int r, int error, const char *reason);

/* 0 if the file still is what st says; -FTD_E_changed; -errno: it cannot be asked. */
int content_unchanged(int fd, const struct entry_stat *st);
