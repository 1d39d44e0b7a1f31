/* One line of the users file, read and written. Only lib/users.c calls it. Pure. */
#pragma once

#include <stddef.h>

struct user;

/* Reads a line (without its end) into u, which is all zeros. 0; -EINVAL: why (USERS_WHY_MAX) says
 * what is wrong, and u is of no use. */
int users_line_parse(const char *text, size_t len, struct user *u, char *why);
