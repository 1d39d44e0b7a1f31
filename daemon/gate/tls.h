/*
 * TLS over a connection, without ever waiting: what a gate and its pump speak. Records are gathered
 * on both ways: as many as fit a buffer are read and sent with one call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "daemon/config/config.h"
#include "lib/buf.h"

enum {
	TLS_OUT_SPARE = 32 << 10,
	TLS_BUFFER = 256 << 10,  /* bytes of content held a direction */
	TLS_OUT_MAX = 320 << 10, /* the same as records, and what the protocol itself says */
	TLS_WHY_MAX = 256,
};

/* For all connections of a house: versions, ciphers, ALPN "ftd/1", tickets whose keys every gate
 * has. No certificate yet. NULL and *ret_why. */
SSL_CTX *tls_context(const struct config *c, char *ret_why);

struct tls {
	SSL *ssl;
	int fd;         /* borrowed */
	struct buf in;  /* content that came */
	struct buf out; /* records that are to go */
	bool end;       /* the connection has ended */
	bool closed;    /* the peer has said that it would (close_notify) */
	bool broken;    /* no record can be read any more */
	bool dead;      /* the peer takes nothing any more: what is to go is dropped */
};

/* Nothing is read yet. 0 or -ENOMEM. */
int tls_start(struct tls *t, SSL_CTX *ctx, int fd);
void tls_done(struct tls *t);

/* 1: done; 0: wait for the peer; -EPROTO: it failed, and what tells the peer is in t->out. */
int tls_handshake(struct tls *t);
/* 12 or 13. */
uint32_t tls_version(const struct tls *t);

/* Whether nothing more will come. */
static inline bool
tls_ended(const struct tls *t)
{
	return t->end || t->closed || t->broken;
}

/* Whether there is room for what the protocol may have to say to whatever comes next. Without it
 * reading would get no further: the peer makes us answer and does not read. */
static inline bool
tls_may_read(const struct tls *t)
{
	return !tls_ended(t) && buf_len(&t->out) < TLS_OUT_MAX - TLS_OUT_SPARE;
}

/* Reads what has come into t->in, as much as has room. Bytes, or -ENOMEM. */
ssize_t tls_fill(struct tls *t);
/* Makes records of all of it behind those that are to go: at most TLS_BUFFER while there are none.
 * 0 or negative. */
int tls_write(struct tls *t, const void *data, size_t len);
/* Says that nothing more will come from here. */
void tls_close(struct tls *t);
/* Sends what the connection takes now. Whether that was anything. */
bool tls_push(struct tls *t);
/* No secret comes any more: OpenSSL need not overwrite what was read. */
void tls_secrets_over(struct tls *t);
/* Gives memory back that nothing is in. */
void tls_trim(struct tls *t);
