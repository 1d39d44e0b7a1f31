/* A gate in a child process behind its sandbox; what a client and a supervisor say to it and hear.
 * Each of them fails the test that is not so. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>
#include <openssl/ssl.h>

#include "daemon/common/packet.h"
#include "daemon/config/config.h"

enum { GATE_PATIENCE_MS = 5000, LOGIN_MS = 1500 /* until the deadline */ };

struct peer {
	pid_t pid;
	int client;     /* the stranger's end */
	int connection; /* the supervisor's own copy */
	int privilege;
	int session; /* the session's end of the stream */
	SSL *ssl;    /* of the stranger; NULL: plain text */
};

struct gate_start {
	uint32_t flags;   /* BIRTH_* */
	const char *from; /* the stranger's address; NULL: loopback */
	bool tls;         /* no handshake is made yet */
	bool narrow;      /* small buffers, so that a client that does not read is one soon */
};

extern struct config config; /* of the gates that are started */

/* A pair of keys and both contexts, for config as it is; before any test is behind a sandbox. 0 or
 * -1. */
int gate_prepare_tls(void);

void gate_start_with(struct peer *p, const struct gate_start *how);
/* From loopback, plain. */
void gate_start(struct peer *p);
/* Closes all ends; its exit status, or -1. */
int gate_end(struct peer *p);

void send_bytes(const struct peer *p, const void *bytes, size_t n);
void send_frame(const struct peer *p, const char *json);
/* A frame and what comes behind it in one breath; 8,192 bytes at most. */
void send_frame_and(const struct peer *p, const char *json, const char *behind);
void get_bytes(const struct peer *p, void *dst, size_t n);
/* The caller owns it. */
json_t *get_frame(const struct peer *p);
void expect_refusal(struct peer *p, const char *code);

/* What the gate asks the supervisor; -1 when it asks nothing and ends. */
int asked(const struct peer *p, struct packet_gate *ret);
void say_verdict(const struct peer *p, const char *code);
/* After a yes everything that was not answered lies in the socket still, to the byte. */
void expect_left_over(struct peer *p, const void *bytes, size_t n);
