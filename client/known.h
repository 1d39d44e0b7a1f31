/*
 * The servers whose certificates are known by their fingerprints: ~/.config/ft/known_servers, a
 * server a line,
 *	nas.example.org:8001 sha256:8f43… 2026-11-23T10:15:00Z
 * the last word being when it was written. '#' begins a comment. A file with anything else in it is
 * used for nothing, nor is a server that is there twice. No logging; fuzz/fuzz_known_servers.c.
 */
#pragma once

#include <stddef.h>

#include "client/url.h"
#include "lib/fingerprint.h"

enum { KNOWN_SERVER_MAX = URL_HOST_MAX + 16, KNOWN_FILE_MAX = 1 << 20 };

/* The server of u as the file has it: "host:port" in lower case. Returns dst. */
char *known_server(const struct url *u, char dst[KNOWN_SERVER_MAX]);

/* Finds a server in the text of the file. 0; -ENOENT; -EINVAL: *ret_line tells where. */
int known_find(const char *text, size_t len, const char *server, char ret[FINGERPRINT_MAX],
	       unsigned *ret_line);

/* The text with the server's line replaced, or added at its end; fingerprint NULL: without it.
 * The other lines stay as they are. The caller frees *ret. -EINVAL as above, -EFBIG, -ENOMEM. */
int known_change(const char *text, size_t len, const char *server, const char *fingerprint,
		 const char *when, char **ret, unsigned *ret_line);

/* The same two for the user's file; what is written is there whole or not at all. */
int known_look_up(const char *server, char ret[FINGERPRINT_MAX], unsigned *ret_line);
int known_remember(const char *server, const char *fingerprint, unsigned *ret_line);
