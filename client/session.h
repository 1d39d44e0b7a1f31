/*
 * One connection to one server: requests out, answers in, failures told apart. A session outlives
 * its connection: session_again() makes a new one, for as long as the user wants to try. Requests
 * that are handed over are freed here, also on failure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "client/answer.h"
#include "client/auth.h"
#include "client/failure.h"
#include "client/identity.h"
#include "client/report.h"
#include "client/retry.h"
#include "client/url.h"
#include "lib/wire.h"

struct session {
	struct wire wire;
	bool open;
	uint64_t connection; /* counts those made so far */
	struct url url;      /* of the server; the path does not matter */
	bool plain;          /* the user trusts the network */
	bool tls;            /* the user wants TLS, even to this machine */
	struct identity identity;
	struct auth auth;
	uint64_t timeout_usec;
	uint64_t last_id; /* of the request sent last */
	struct retry retry;
	struct report *report; /* borrowed: notices and phases go there */
};

enum { SESSION_TIMEOUT_S = 60 };

/* Nothing is connected yet. */
void session_init(struct session *s, const struct options *o, struct report *report);
void session_done(struct session *s);

/* A connection to the server of url, kept if there is one already; tries again as session_again().
 */
int session_open(struct session *s, const struct url *url, struct failure *f);

/* The connection has failed as f says: waits and connects anew. 0, or negative with f telling why
 * not (what it told already, when the time is used up). */
int session_again(struct session *s, struct failure *f);

/* Lets go of a connection whose further answers nobody wants. */
void session_close(struct session *s);

/* Sends with an id of its own (session's last_id). Takes request over; NULL is "no memory". */
int session_send(struct session *s, json_t *request, struct failure *f);
/* The same for one that holds a secret, which is borrowed: the caller wipes it. */
int session_send_secret(struct session *s, json_t *request, struct failure *f);
/* The bytes that the request announced. */
int session_send_body(struct session *s, const void *body, size_t len, struct failure *f);
/* A frame that continues an upload, and its bytes: no id. Takes frame over. */
int session_send_piece(struct session *s, json_t *frame, const void *body, size_t len,
		       struct failure *f);
/* Ends the pieces so that nothing comes of them. */
int session_send_void(struct session *s, struct failure *f);

/* The next frame that is neither "working" nor "notice". The caller answer_done()s it. */
int session_receive(struct session *s, struct answer *ret, struct failure *f);
/* The same for the answer to request id; "error" is a failure (f), *ret is then empty. */
int session_receive_for(struct session *s, uint64_t id, struct answer *ret, struct failure *f);

/* What session_receive_for() looks at: id and status. */
int session_check(const struct answer *a, uint64_t id, struct failure *f);
/* The same without waiting: 1, or 0: none has come so far. For requests written ahead. */
int session_poll_for(struct session *s, uint64_t id, struct answer *ret, struct failure *f);

/* session_send() and session_receive_for(). */
int session_ask(struct session *s, json_t *request, struct answer *ret, struct failure *f);
/* For requests that may be carried out twice: also repeats over a new connection. Borrows request.
 */
int session_query(struct session *s, json_t *request, struct answer *ret, struct failure *f);

/* Exactly n bytes of the body that follows. */
int session_body(struct session *s, void *dst, size_t n, struct failure *f);
/* Drops n bytes of it. */
int session_skip(struct session *s, uint64_t n, struct failure *f);

/* {"opt":opt,"filename":path of u}; NULL without memory. */
json_t *session_request(const char *opt, const struct url *u);
