/*
 * The houses: started from a configuration, taken into force when all are ready, replaced when they
 * crash; packets to them, which clone gates and sessions.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "daemon/common/certificate.h"
#include "daemon/common/packet.h"
#include "daemon/supervisor/supervisor.h"

enum { HOUSES_WHY_MAX = 256 };

/* Starts both houses from the configuration. They become current when both are ready:
 * decided() is called once from the loop, with 0 or a negative error; the caller then keeps
 * (houses_adopt) or drops (houses_drop) them. */
struct house_pair;
typedef void houses_decided(struct supervisor *sup, struct house_pair *pair, int error);
int houses_start(struct supervisor *sup, const struct config *c, houses_decided *decided,
		 struct house_pair **ret);
/* The same for a gatehouse alone, from the configuration in force. */
int houses_start_gate(struct supervisor *sup, houses_decided *decided, struct house_pair **ret);
/* Why they did not start, for people. */
const char *houses_why(const struct house_pair *pair);
/* Makes the pair current; the former houses end when they have nothing left to do. */
void houses_adopt(struct supervisor *sup, struct house_pair *pair);
void houses_drop(struct house_pair *pair);
/* Ends the current houses. */
void houses_stop(struct supervisor *sup);

/* Whether both can take births just now. */
bool houses_ready(const struct supervisor *sup);

/* What the gatehouse in force shows to clients; NULL: it has not told. */
struct house_certificate {
	bool known;
	uint8_t fingerprint[CERTIFICATE_FINGERPRINT];
	int64_t not_before, not_after; /* seconds since 1970 */
	char subject[CERTIFICATE_SUBJECT_MAX];
};
const struct house_certificate *houses_certificate(const struct supervisor *sup);

/* Asks the current house for a gate or session; the descriptors (BIRTH_*, a session has no
 * BIRTH_STREAM) are borrowed. The answer comes to gates_born() or sessions_born(). 0; -EAGAIN: the
 * house is too far behind; -ENOTCONN: there will be none; -errno. */
int houses_birth(struct supervisor *sup, enum house_kind kind, const struct packet_birth *birth,
		 const int *fds);

/* Takes what the houses have said already: a role's own words may be read before its birth is. */
void houses_listen(struct supervisor *sup);

/* A role of the house crashed: replace it, at most once in 5 s. */
void houses_crashed(struct supervisor *sup, enum house_kind kind);
