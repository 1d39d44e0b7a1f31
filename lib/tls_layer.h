/*
 * TLS as a layer of lib/wire.h, once both ends have shaken hands (lib/tls_client.h). What is
 * written gathers in a ring, so that the socket sees few, large calls; a record is only made when
 * there is room for all of it, and so never has to be repeated. No logging.
 */
#pragma once

#include <stdbool.h>

#include <openssl/ssl.h>

#include "lib/wire.h"

struct tls_layer {
	SSL *ssl;
	BIO *ring; /* our end of what OpenSSL writes into */
	int fd;
	bool broken; /* nothing more can be sent */
	int failure; /* of receiving; 0: none so far */
};

extern const struct wire_layer tls_layer;

/* Gives the socket what the ring holds. Bytes, -EAGAIN (0 where it holds nothing), -errno. */
ssize_t tls_layer_push(struct tls_layer *t);

/* Whether the ring holds bytes that can still be sent. */
bool tls_layer_holds(const void *state);

/* What a call of OpenSSL that gave r means: 0 at a clean end, -EAGAIN, -ENOBUFS (the ring is full),
 * -EPIPE (cut off), -EACCES (the server does not take this client), -EPROTO, -errno. */
int tls_layer_failure(struct tls_layer *t, int r);

/* Frees t; clean: says first that this is the end. */
void tls_layer_close(void *state, bool clean);
