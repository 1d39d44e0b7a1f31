/*
 * Fixed-size packets between the supervisor and its roles, over SOCK_SEQPACKET and SOCK_DGRAM
 * pairs. A packet of another size than its type's is a broken peer. Only supervisor → house packets
 * carry descriptors.
 */
#pragma once

#include <limits.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/addr.h"

/* Descriptors that an exec'd role finds open. */
enum {
	ROLE_FD_HOUSE = 3,   /* packets to and from the supervisor */
	ROLE_FD_LOG = 4,     /* SOCK_DGRAM to the supervisor's journal */
	ROLE_FD_CONFIG = 5,  /* sealed struct config */
	ROLE_FD_PUBLIC = 6,  /* public page, read-only */
	ROLE_FD_ORDERS = 7,  /* sessionhouse: orders, read-only */
	ROLE_FD_REPORTS = 8, /* sessionhouse: reports, read-write */
	ROLE_FD_EXTRA = 9,   /* beacon: UDP socket; verifier: privilege socket of a gate */
};

/* The id of a request that somebody else than its reader answers. */
enum packet_id_kind { PACKET_ID_NONE, PACKET_ID_INTEGER, PACKET_ID_TEXT };
struct packet_id {
	uint32_t kind; /* enum packet_id_kind */
	uint32_t len;  /* bytes of text, without an end */
	int64_t number;
	char text[64];
};
/* id is NULL or anything: what is no id becomes none. */
void packet_id_read(struct packet_id *p, const json_t *id);
/* A new reference; NULL: none, or nothing that could be one. */
json_t *packet_id_json(const struct packet_id *p);

/* supervisor → house: with descriptors { connection, privilege socket } and, to the gatehouse, the
 * end of the stream that the gate pumps to and from where the connection is TLS */
enum { BIRTH_CONNECTION, BIRTH_PRIVILEGE, BIRTH_STREAM, BIRTH_FDS };
enum { BIRTH_STREAM_BUFFER = 1 << 20 /* bytes that each end of it may have sent ahead */ };
struct packet_birth {
	uint32_t slot; /* sessions; gates: 0 */
	uint32_t flags;
	uint64_t connection; /* its number: the "s412" it is or will be */
	uint64_t generation;
	uint64_t deadline_usec; /* gates: when login must be done, CLOCK_MONOTONIC */
	union addr peer;
	uint64_t user_sessions; /* BIRTH_LOGIN: of this user, this one included */
	struct packet_id id;    /* BIRTH_LOGIN: of the login, which the session answers */
	char account[64]; /* sessions: the system account that they become; "": they stay as they
			     are */
};
enum {
	BIRTH_HELLO = 1 << 0, /* the client has said hello */
	BIRTH_LOOPBACK = 1 << 1,
	BIRTH_LOGIN = 1 << 2, /* the user is in the orders */
	BIRTH_PROXY = 1 << 3, /* gates: a trusted proxy, which may name another peer */
};

/* house → supervisor */
enum house_type { HOUSE_READY, HOUSE_BORN, HOUSE_FAILED, HOUSE_CERTIFICATE };
struct packet_house {
	uint32_t type;
	int32_t pid;   /* HOUSE_BORN */
	int32_t error; /* HOUSE_FAILED: negative errno */
	uint32_t pad;
	uint64_t connection;
};

/* gatehouse → supervisor, once, before HOUSE_READY: what it shows to clients, or why it cannot
 * start. No text in it is to be trusted to end. */
struct packet_certificate {
	uint32_t type;
	uint32_t pad;
	uint8_t fingerprint[32];       /* SHA-256 of the certificate */
	int64_t not_before, not_after; /* seconds since 1970 */
	char subject[256];
	char why[256]; /* not "": there is no certificate, and the house ends */
};

/* gate → supervisor, each at most once: the peer, if a trusted proxy is to name it, then one of the
 * others. Each type has its own size and begins with this. */
enum gate_type { GATE_ANONYMOUS = 1, GATE_LOGIN = 2, GATE_PEER = 3 };
struct packet_gate {
	uint32_t type;
	uint32_t said_hello;
	uint32_t tls; /* 0: plain text; 12 or 13: the version, and the gate becomes a pump on yes */
	uint32_t pad;
};

/* GATE_PEER: whom the proxy speaks for; AF_UNSPEC: nobody but itself */
struct packet_peer {
	struct packet_gate head;
	union addr peer;
};

/* GATE_LOGIN: the supervisor looks at the head; only a verifier reads the rest. */
enum login_method { LOGIN_PASSWORD = 1, LOGIN_KEY, LOGIN_CERTIFICATE };
struct packet_login {
	struct packet_gate head;
	uint32_t method; /* enum login_method */
	uint32_t password_len;
	struct packet_id id;
	char user[64];
	char password[1024]; /* without an end */
	uint8_t key[32], signature[64], exporter[32];
};

/* verifier → supervisor, once */
enum verified_result { VERIFIED_BROKEN, VERIFIED_NO, VERIFIED_YES, VERIFIED_DISABLED };
struct packet_verified {
	uint32_t result; /* enum verified_result */
	uint32_t pad;
	struct packet_id id;
	char user[64];    /* YES, DISABLED: who it is; NO: who it is not, "": there is none such */
	char account[64]; /* YES: the system account of the user's, "": none */
};

/* supervisor → gate: the answer. code "" is yes: the connection has another owner, exit. */
struct packet_verdict {
	char code[32];
	char message[192];
	uint64_t retry_after_ms; /* 0: none */
	uint64_t limit, current; /* UINT64_MAX: not said */
};

/* supervisor → keeper: first whose it is; then to sweep, which is not answered either, or a
 * question about the disk, or about uploads that have not ended (partial.h) */
enum keeper_type {
	KEEPER_SHARE = 1,
	KEEPER_SWEEP,
	KEEPER_DISK,
	KEEPER_LIST,
	KEEPER_SHOW,
	KEEPER_DISCARD
};
enum { KEEPER_PAGE = 256 }; /* so many are told to one KEEPER_LIST */
struct packet_keeper {
	uint32_t type;          /* enum keeper_type */
	uint32_t share;         /* its index in the configuration: whose keeper it is */
	uint64_t serial;        /* of the question; the answers repeat it */
	uint64_t deadline_usec; /* CLOCK_MONOTONIC; later it is void: END, -ETIMEDOUT */
	uint64_t id[2];         /* LIST: from this one on; SHOW, DISCARD: of this one */
};

/* keeper → supervisor: any number of KEPT_UPLOAD in the order of their ids, or one KEPT_DISK, then
 * KEPT_END */
enum kept_type { KEPT_UPLOAD = 1, KEPT_DISK, KEPT_END };
enum kept_flags {
	KEPT_WRITING = 1 << 0, /* somebody does just now */
	KEPT_DAMAGED = 1 << 1, /* the record cannot be read: only id and last_ns are known */
	KEPT_MORE = 1 << 2,    /* END of LIST: there are more behind the last one */
	KEPT_PRIVATE = 1 << 3, /* the record is open to its uid only: as DAMAGED, and owner */

	KEPT_FULL_OF_FILES = 1 << 4, /* DISK: it takes no more of them, however small */
	KEPT_READ_ONLY = 1 << 5,
	KEPT_ELSEWHERE = 1 << 6, /* another one than when the configuration was loaded */
};
struct packet_kept {
	uint32_t type;
	uint32_t flags; /* enum kept_flags */
	uint64_t serial;
	uint64_t id[2]; /* END of LIST: of the last one that was looked at */
	/* END, DISK: 0 or negative errno; END of SHOW, DISCARD: -ENOENT: there is none; of DISCARD:
	 * -EPERM: it is PRIVATE */
	int32_t error;
	uint32_t owner;  /* PRIVATE: the uid */
	uint64_t size;   /* UINT64_MAX: unknown; DISK: of all of it */
	uint64_t held;   /* DISK: how much of it is free */
	int64_t last_ns; /* when something was written to it last */
	uint32_t ranges; /* in how many pieces it is held */
	uint32_t name_len;
	char user[64];   /* "": nobody had logged in */
	char name[4096]; /* of the target, without an end */
};

/* supervisor → surveyor: at which roots to look, once */
struct packet_survey {
	uint64_t shares; /* 1 << their index */
};

/* surveyor → supervisor: of each share any number of problems, then its end */
struct packet_surveyed {
	uint32_t share;
	uint32_t end;   /* 1: there are no more, and device is told */
	uint32_t fatal; /* the problem is */
	uint32_t pad;
	uint64_t device; /* of the root; 0: not known */
	char text[3 * PATH_MAX + 512];
};
