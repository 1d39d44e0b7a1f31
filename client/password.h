/*
 * Where a user's password comes from: a command, a file, ~/.netrc, or somebody at a terminal. Never
 * the command line or an address, which others can see.
 */
#pragma once

#include "client/failure.h"
#include "client/report.h"
#include "client/secret.h"
#include "client/url.h"

/* What a program says first, run by /bin/sh without input. 0, or negative with f. */
int password_from_command(const char *command, struct secret *ret, struct failure *f);

/* The first line of the file, which others cannot read where it is a regular one. 0, or negative
 * with f. */
int password_from_file(const char *path, struct secret *ret, struct failure *f);

/* What ~/.netrc has for the user of u at its host: 1; 0: nothing; negative with f. */
int password_from_netrc(const struct url *u, struct secret *ret, struct failure *f);

/* Asks at the terminal: 1; 0: there is none; negative with f. */
int password_from_terminal(const struct url *u, struct report *report, struct secret *ret,
			   struct failure *f);
