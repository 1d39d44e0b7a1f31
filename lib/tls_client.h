/*
 * The client's end of TLS 1.3 with ALPN "ftd/1", as a layer of lib/wire.h. Whom one trusts is said
 * before the handshake and judged within it, so that a stranger learns nothing: either the chain of
 * authorities vouches for the host name, or the certificate is one that is known already. There is
 * no way to take any. No logging.
 */
#pragma once

#include <stdbool.h>

#include "lib/fingerprint.h"
#include "lib/wire.h"

#define TLS_CLIENT_ALPN "ftd/1"

struct tls_client_options {
	const char *host;    /* name or address literal: asked for, and to be vouched for */
	const char *ca_file; /* authorities; NULL: those of the system */
	const char *pin;     /* fingerprint that alone is accepted, "" for none at all; NULL: the
				chain decides */
	const char *certificate_file, *key_file; /* of the client; NULL: none */
};

/* What came of it; written in any case. */
struct tls_client_result {
	char fingerprint[FINGERPRINT_MAX]; /* of the server's certificate; "": none was shown */
	bool vouched;                      /* the chain verifies, for the host */
	const char *chain;                 /* why it does not; static, or NULL */
	const char *reason;                /* what failed in the handshake; static, or NULL */
};

/* Shakes hands over a connected, plain w, which then speaks through TLS. 0, or
 * -EKEYREJECTED: another certificate than is accepted (nothing was told to the server),
 * -EINVAL: a file of the options cannot be used (reason: which),
 * -EPROTONOSUPPORT: the server answers without TLS; what it says can be read from w as it is,
 * -ENOPROTOOPT: it does not agree to speak ftd/1,
 * -EACCES: it does not take this client (which may also be told later, by any receiving call),
 * -EPROTO: the handshake failed (reason), -EPIPE, -ETIMEDOUT, -EINTR, -errno. */
int
tls_client_start(struct wire *w, const struct tls_client_options *o, struct tls_client_result *ret);

/* Bytes that both ends of w's TLS know, and nobody else, and that no other connection has: what a
 * login signs (RFC 9266, tls-exporter). -EOPNOTSUPP: w does not speak TLS 1.3, -EIO. */
enum { TLS_CLIENT_BINDING = 32 };
int tls_client_binding(const struct wire *w, uint8_t ret[TLS_CLIENT_BINDING]);
