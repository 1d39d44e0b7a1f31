/*
 * A login as the client sends it: from its request to the packet that a verifier reads. Here only
 * the form is judged, and whether such a secret may go over this line at all. No logging;
 * fuzz/fuzz_login.c.
 */
#pragma once

#include <stdbool.h>

#include "daemon/common/packet.h"
#include "daemon/gate/tls.h"
#include "lib/request.h"

/* How the client speaks. */
struct login_line {
	const struct tls *tls; /* NULL: plain text */
	bool loopback;
};

/* Fills *ret but for its head; it may hold a secret then, and so the caller wipes it. 0, or the
 * refusal with *ret_why in words (REQUEST_WHY_MAX; "": as the code): -FTD_E_bad_request,
 * _unsupported, _tls_required, _auth_failed. */
int login_read(const struct request *rq, const struct login_line *line, struct packet_login *ret,
	       char *ret_why);
