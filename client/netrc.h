/*
 * Passwords that the user keeps for many programs, from ~/.netrc:
 *	machine nas.example.org login alice password "of alice"
 * in words divided by white space; "default" is for all other machines, '#' begins a comment, and
 * "macdef" is skipped to the next empty line. Pure; fuzz/fuzz_netrc.c.
 */
#pragma once

#include <stddef.h>

#include "client/secret.h"

/* The password of user at host: the first one that is for both, an entry without "login" being for
 * everybody. 0; -ENOENT: there is none; -EINVAL: *ret_line tells what is not understood (nothing of
 * the text is used then); -ENOMEM. */
int netrc_find(const char *text, size_t len, const char *host, const char *user, struct secret *ret,
	       unsigned *ret_line);
