/*
 * Fixed-size packets between the supervisor and its roles, over SOCK_SEQPACKET and SOCK_DGRAM pairs.
 * A packet of another size than its type's is a broken peer. Only supervisor → house packets carry
 * descriptors.
 */
#pragma once

#include <stdint.h>

#include "lib/addr.h"

/* Descriptors that an exec'd role finds open. */
enum {
	ROLE_FD_HOUSE = 3,  /* packets to and from the supervisor */
	ROLE_FD_LOG = 4,    /* SOCK_DGRAM to the supervisor's journal */
	ROLE_FD_CONFIG = 5, /* sealed struct config */
	ROLE_FD_PUBLIC = 6, /* public page, read-only */
	ROLE_FD_ORDERS = 7, /* sessionhouse: orders, read-only */
	ROLE_FD_REPORTS = 8, /* sessionhouse: reports, read-write */
	ROLE_FD_EXTRA = 9,  /* beacon: UDP socket; */
};

/* supervisor → house: with descriptors { connection, privilege socket } */
struct packet_birth {
	uint32_t slot; /* sessions; gates: 0 */
	uint32_t flags;
	uint64_t connection; /* its number: the "s412" it is or will be */
	uint64_t generation;
	uint64_t deadline_usec; /* gates: when login must be done, CLOCK_MONOTONIC */
	union addr peer;
};
enum { BIRTH_HELLO = 1 << 0 /* the client has said hello */, BIRTH_LOOPBACK = 1 << 1 };

/* house → supervisor */
enum house_type { HOUSE_READY, HOUSE_BORN, HOUSE_FAILED };
struct packet_house {
	uint32_t type;
	int32_t pid;  /* HOUSE_BORN */
	int32_t error; /* HOUSE_FAILED: negative errno */
	uint32_t pad;
	uint64_t connection;
};

/* gate → supervisor, each at most once */
enum gate_type { GATE_ANONYMOUS = 1 };
struct packet_gate {
	uint32_t type;
	uint32_t said_hello;
};

/* supervisor → gate: the answer. code "" is yes: the connection has another owner, exit. */
struct packet_verdict {
	char code[32];
	char message[192];
	uint64_t retry_after_ms; /* 0: none */
	uint64_t limit, current; /* UINT64_MAX: not said */
};

/* supervisor → keeper */
enum keeper_type { KEEPER_SWEEP = 1 };
struct packet_keeper {
	uint32_t type;
	uint32_t pad;
};
