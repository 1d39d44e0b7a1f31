/*
 * What went wrong, as a user needs to know it: exit status, stable code, one sentence, and how far
 * it makes one fall. The layer that meets a failure fills it in, once; the command that gives up
 * tells it.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

struct answer;

enum failure_scope {
	FAILURE_ITEM,       /* this file; the next one may do */
	FAILURE_CONNECTION, /* this connection; another one may do */
	FAILURE_STOP,       /* nothing more is tried */
};

/* Exit statuses of ft that no wire code stands for (err_exit_status() knows the others). */
enum {
	STATUS_OTHER = 1,
	STATUS_USAGE = 2,
	STATUS_CONNECT = 3,
	STATUS_IDENTITY = 4,
	STATUS_INTERRUPTED = 10,
	STATUS_PROTOCOL = 12,
	STATUS_LOCAL = 13,
	STATUS_BUSY = 14,
	STATUS_SOME_FAILED = 15,
	STATUS_NOTHING_BEGUN = 130,
};

enum { FAILURE_CODE_MAX = 32, FAILURE_TEXT_MAX = 640 };

struct failure {
	enum failure_scope scope;
	int status;
	char code[FAILURE_CODE_MAX]; /* wire name; "local", "connect", "lost",
					"tls" and "identity" are ours */
	char text[FAILURE_TEXT_MAX]; /* escaped, for people */
	bool again;                  /* the server invites another try, */
	uint64_t after_usec;         /* after so long */
};

/* All return a negative value, so that a function can end with "return failure_…(…)". The
 * failure_set functions take the sentence as for printf; what comes from outside must be escaped
 * already. */
int failure_set(struct failure *f, enum failure_scope scope, int status, const char *code,
		const char *format, ...) __attribute__((format(printf, 5, 6)));

/* A file of this machine: "what: reason of r". Exit status 13. */
int failure_local(struct failure *f, int r, const char *what);

/* What the server named cannot be had here: r is a bad name, which is its fault, or this machine's
 * reason. */
int failure_named(struct failure *f, int r);

/* The server's refusal of one request. a has status "error". */
int failure_server(struct failure *f, const struct answer *a);

/* A connection that ended or broke: r from lib/wire.h. Frames that are none stop everything. */
int failure_connection(struct failure *f, int r);

/* The server said what the protocol does not allow. */
int failure_protocol(struct failure *f, const char *what);

/* The user has pressed Ctrl-C. */
int failure_interrupted(struct failure *f);
