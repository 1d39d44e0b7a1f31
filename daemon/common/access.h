/*
 * Who may do what: the one authorisation function, with which sessions enforce and the supervisor
 * explains. Pure; no logging.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config/config.h"
#include "lib/users.h"

struct access_subject {
	char user[USER_NAME_MAX + 1]; /* "": nobody has logged in */
	bool loopback;                /* the peer's address is this machine's */
};

struct access_verdict {
	bool allowed;
	const char *code; /* of the refusal: "permission", "auth_required", … */
	const char *why;  /* of the refusal, in words; may stay NULL */
	int line;         /* of the configuration that decides; 0: a default does */
};

/* Is told every step on the way to a verdict; line as above. */
struct access_trace {
	void (*step)(void *userdata, int line, const char *text);
	void *userdata;
};

/* ---- who may come in ---- */

/* Is the address served at all? access.deny wins over access.allow; nothing matched is denied. */
struct access_verdict access_address(const struct config *c, const union addr *peer);

/* May it say for whom it connects? (trusted_proxies) */
bool access_proxy(const struct config *c, const union addr *peer);

/* May plain text be spoken from there? ("tls_required") */
struct access_verdict access_plaintext(const struct config *c, const union addr *peer);

/* Is there any share for this subject? ("auth_required") */
struct access_verdict access_anonymous(const struct config *c, const struct access_subject *who);

/* Roles on the control socket; each may do what those before it may. */
enum control_role { CONTROL_NOBODY, CONTROL_VIEWER, CONTROL_OPERATOR, CONTROL_ADMIN };
/* May the role use a command that needs this one? */
bool access_command(enum control_role role, enum control_role needed);

/* ---- rights ---- */

/* The rights (RIGHT_*) of the subject at a path inside a share, "" is its root. */
unsigned access_rights(const struct config *c, const struct config_share *share,
		       const struct access_subject *who, const char *rest);

/* All rights that the subject has somewhere in the share; 0: it is not there for them. */
unsigned access_union(const struct config *c, const struct config_share *share,
		      const struct access_subject *who);

/* ---- what the operations of the wire ask ---- */

/* What a row of lib/operations.def asks of a name, beside rights (RIGHT_*). */
enum access_need {
	ACCESS_UNNAMED = 1 << 8,  /* the request has no such name */
	ACCESS_ANY = 1 << 9,      /* the share is there for the subject; without a name it is "/" */
	ACCESS_WHOLE = 1 << 10,   /* it is no share and holds none */
	ACCESS_FILE = 1 << 11,    /* the same, but such a name is "not_a_file" */
	ACCESS_BENEATH = 1 << 12, /* the rights hold for all that is beneath it, too */
	ACCESS_BENEATH_RECURSIVE = 1 << 13, /* … if the request says recursive */
	ACCESS_MAKES_PARENTS = 1 << 14,     /* makes what leads there, with RIGHT_MKDIR */
	ACCESS_INSIDE = 1 << 15,            /* it is no share */
	ACCESS_UPLOAD = 1 << 16, /* it may be that of an unfinished upload, named by its id */
	ACCESS_BASE = 1 << 17,   /* its key is "base", and it may be missing */
};

enum operation_flags { OP_GATE = 1 << 0, OP_WRITES = 1 << 1, OP_GROUP = 1 << 2, OP_BODY = 1 << 3 };

struct access_operation {
	const char *opt;
	unsigned need, need_to; /* on "filename", and on "to" or "base": RIGHT_* and ACCESS_* */
	unsigned flags;
};

/* In the order of lib/operations.def. */
enum {
#define OPERATION(opt, stem, need, need_to, flags) ACCESS_OPERATION_##stem,
#include "lib/operations.def"
#undef OPERATION
	ACCESS_OPERATIONS,
};
extern const struct access_operation access_operations[ACCESS_OPERATIONS];
/* NULL: there is none. */
const struct access_operation *access_operation(const char *opt);

/* ---- the decision ---- */

/* What one subject sees of a configuration, both borrowed: made once, asked often. */
struct access_view {
	const struct config *config;
	const struct access_subject *who;
	unsigned shares[CONFIG_SHARES_MAX]; /* access_union() of each */
};
void
access_view_init(struct access_view *v, const struct config *c, const struct access_subject *who);

/* Where a name is, and what the subject may do there. */
struct access_place {
	unsigned share;   /* of config->shares; ACCESS_VIRTUAL: only a directory above shares */
	unsigned rights;  /* RIGHT_* */
	const char *rest; /* what is left of the name inside the share */
};
enum { ACCESS_VIRTUAL = UINT32_MAX };

/* Finds the place of a name (as path_from_wire() makes it). Shares that are hidden from the subject
 * are not there: "not_found", or "permission" where that would tell. */
struct access_verdict access_locate(const struct access_view *v, const char *name,
				    struct access_place *ret, const struct access_trace *trace);

struct access_ask {
	const struct access_operation *operation;
	const char *source, *target; /* as path_from_wire() makes them; NULL where unnamed, or
					missing */
	bool recursive;
};

/* May the subject do this? The places are set as far as the names could be found, share to
 * ACCESS_VIRTUAL and rights to 0 else. trace may be NULL. */
struct access_verdict
access_decide(const struct access_view *v, const struct access_ask *ask,
	      struct access_place *ret_source, struct access_place *ret_target,
	      const struct access_trace *trace);
