/*
 * Short names of servers, from ~/.config/ft/config:
 *	[nas]
 *	url = ft://nas.example.org:8001/home
 *	plain = yes
 * '#' begins a comment. The file is the user's own; what it does not understand is an error.
 */
#pragma once

#include "client/url.h"

/* Finds name in text (NUL-terminated, is written to). 0; -ENOENT; -EINVAL: *ret_line tells where.
 */
int hosts_find(char *text, const char *name, struct url *ret, unsigned *ret_line);

/* Reads an ft:// address, or name:path by way of the configuration file; a path that begins with
 * '/' starts at the root, any other at the path of the section's address. -EINVAL: *ret_why says
 * what is wrong. */
int hosts_resolve(const char *text, struct url *ret, const char **ret_why);
