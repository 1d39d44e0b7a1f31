/*
 * What a gate reads and writes through: the connection as it is, or TLS over it. Of plain text
 * nothing is taken that is not answered (MSG_PEEK); of TLS the rest lies in its buffer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gate/tls.h"

struct line {
	int fd, privilege;      /* borrowed */
	uint64_t deadline_usec; /* of everything but line_linger() */
	bool secure;            /* the handshake is done */
	struct tls tls;         /* ssl is NULL: plain text */
};

/* Until fd has one of the events. 0 (also for nothing), -ETIMEDOUT, -ECANCELED: the supervisor is
 * gone, -errno. */
int line_wait(const struct line *l, int fd, short events, uint64_t deadline_usec);

/* Until the supervisor has answered, or is gone. 0; -ETIMEDOUT; -ENODATA: the client is gone, and
 * has not only ended its sending side, behind which it still wants its answers; -errno. */
int line_await(const struct line *l);

/* From plain text to TLS, whose first bytes lie in the connection. 0, -ETIMEDOUT, -EPROTO, … */
int line_secure(struct line *l, SSL_CTX *ctx);

/* Waits until n bytes are there and copies them without taking them. -ENODATA: they will never be.
 */
int line_look(struct line *l, void *dst, size_t n);
/* Takes n bytes, which need not be there yet. */
int line_take(struct line *l, uint64_t n);
/* Overwrites what was taken, as far as it lies here. */
void line_forget(struct line *l);
/* Sends it at once or fails: answers before login are small and few, so what does not fit would be
 * for a client that never reads. */
int line_send(struct line *l, const void *data, size_t len);
/* Ends our side, and reads what still comes for a moment: closing on unread bytes would take the
 * last answer back. */
void line_linger(struct line *l);
