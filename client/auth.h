/*
 * The login: every connection to an address with a user in it begins with one. With what, is what
 * is said for this run, else what is kept for this server, else what is kept for any, else what
 * somebody types: --identity, --cert, --password-command, FT_PASSWORD_FILE, ~/.netrc,
 * ~/.config/ft/id_ed25519, the terminal. It is tried once; only where the key of the last but one
 * is not taken, somebody at a terminal may still type a password.
 */
#pragma once

#include <jansson.h>

#include "client/failure.h"
#include "client/options.h"
#include "client/report.h"
#include "client/secret.h"

#define AUTH_KEY_FILE "id_ed25519" /* in the directory of client/confdir.h */

struct session;

struct auth {
	const char *identity, *certificate, *command; /* borrowed; NULL: none */
	struct report *report;                        /* borrowed */
	struct secret password;    /* of the user and server at hand: asked for once */
	const char *password_from; /* where it is from; static */
	json_t *answer;            /* to the last login; NULL: there was none */
};

/* o and report stay in use. */
void auth_init(struct auth *a, const struct options *o, struct report *report);

/* Forgets what belongs to one user at one server: another one is next, or none. */
void auth_forget(struct auth *a);

/* Reads the password that is meant to be used, before there is a server that would have to wait for
 * it. 0, or negative with f. */
int auth_prepare(struct session *s, struct failure *f);

/* Logs in the user of the session's address over its new connection, if it has one. 0; 1: a
 * password was typed, and goes over the next connection; negative with f. */
int auth_log_in(struct session *s, struct failure *f);
