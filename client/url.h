/*
 * Addresses as people write them: ft://[user@]host[:port]/path, or name:/path where name is a
 * section of the user's configuration (client/hosts.h). Pure; fuzzed by its unit test's table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/path.h"
#include "lib/users.h"

enum { URL_HOST_MAX = 255, URL_PORT = 8001, URL_TEXT_MAX = 4 * PATH_BYTES_MAX };

struct url {
	char user[USER_NAME_MAX + 1]; /* "": nobody logs in */
	char host[URL_HOST_MAX + 1];
	uint16_t port;
	bool plain;     /* the configuration says that the network is trusted */
	bool directory; /* written with a slash at the end, or the root */
	char path[PATH_BYTES_MAX +
		  1]; /* components joined by '/', none at either end; "" is the root */
};

/* Reads "ft://…". Its path may have %XX for any byte but NUL. -EINVAL: *ret_why says what is wrong.
 */
int url_parse(const char *text, struct url *ret, const char **ret_why);

/* Whether text begins with "ft://". */
bool url_is(const char *text);

/* Whether there may be a password in text, so that it must not be shown to others. */
bool url_has_password(const char *text);

/* Reads "host", "user@host", "host:port", "[::1]:port" or any ft:// address (its path is ignored).
 * -EINVAL. */
int url_parse_host(const char *text, struct url *ret, const char **ret_why);

/* Sets the path from the len bytes of name as they are (no %XX). -FTD_E_bad_name. */
int url_set_path(struct url *u, const char *name);

/* Sets *ret to the path of name below u. -FTD_E_bad_name: it gets too long. */
int url_join(const struct url *u, const char *name, struct url *ret);

/* The path with the slash in front that it has for people and on the wire. Returns dst. */
enum { URL_PATH_TEXT_MAX = PATH_BYTES_MAX + 2 };
char *url_path(const struct url *u, char dst[URL_PATH_TEXT_MAX]);

/* Last component of the path; "" for the root. */
const char *url_leaf(const struct url *u);

/* Whether one connection does for both: the same server, and the same user. */
bool url_same_server(const struct url *a, const struct url *b);

/* Whether the host is this machine, told by its name alone. */
bool url_is_loopback(const struct url *u);
