/*
 * Who may do what: the one authorisation function, with which sessions enforce and the supervisor
 * explains. Pure; no logging.
 */
#pragma once

#include <stdbool.h>

#include "daemon/config/config.h"
#include "lib/users.h"

struct access_subject {
	char user[USER_NAME_MAX + 1]; /* "": nobody has logged in */
	bool loopback;                /* the peer's address is this machine's */
};

struct access_verdict {
	bool allowed;
	const char *code; /* of the refusal: "permission", "auth_required", … */
	int line;         /* of the configuration that decides */
};

/* Is the address served at all? access.deny wins over access.allow; nothing matched is denied. */
struct access_verdict access_address(const struct config *c, const union addr *peer);

/* May it say for whom it connects? (trusted_proxies) */
bool access_proxy(const struct config *c, const union addr *peer);

/* May plain text be spoken from there? ("tls_required") */
struct access_verdict access_plaintext(const struct config *c, const union addr *peer);

/* Is there any share for this subject? ("auth_required") */
struct access_verdict access_anonymous(const struct config *c, const struct access_subject *who);

/* The rights (RIGHT_*) of the subject at a path inside a share, "" is its root. */
unsigned access_rights(const struct config *c, const struct config_share *share,
		       const struct access_subject *who, const char *rest);

/* All rights that the subject has somewhere in the share; 0: it is not there for them. */
unsigned access_union(const struct config *c, const struct config_share *share,
		      const struct access_subject *who);

/* Are all of need (RIGHT_*) granted? */
struct access_verdict access_share(const struct config *c, const struct config_share *share,
				   const struct access_subject *who, unsigned need);
