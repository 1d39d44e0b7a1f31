/*
 * Whether the other end is the server that is meant: a pin given for this run, else the fingerprint
 * that is known from before (client/known.h), else an authority that vouches for the host name,
 * else the user, who is asked once. Nothing turns this off.
 */
#pragma once

#include "client/failure.h"
#include "client/options.h"
#include "client/report.h"
#include "client/url.h"
#include "lib/tls_client.h"

struct identity {
	const char *pin, *ca_file, *certificate_file, *key_file; /* borrowed; NULL: none */
	struct report *report;                                   /* borrowed */
};

/* o and report stay in use. */
void identity_init(struct identity *id, const struct options *o, struct report *report);

/* Makes a connected w speak TLS with the server of u. 0; 1: the certificate has just become a known
 * one, and another connection will do; negative with f. */
int
identity_secure(const struct identity *id, const struct url *u, struct wire *w, struct failure *f);

/* A handshake that failed as r says, for another reason than the certificate. */
int
identity_no_tls(struct wire *w, int r, const struct tls_client_result *result, struct failure *f);

/* Writes a fingerprint down as that of a server (NULL: forgets it). 0, or negative with f. */
int identity_remember(const char *server, const char *fingerprint, struct failure *f);

/* What is known of a server: 0, -ENOENT: nothing, or negative with f. */
int identity_look_up(const char *server, char ret[FINGERPRINT_MAX], struct failure *f);
