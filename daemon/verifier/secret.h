/*
 * Is it them? One login against the text of the users file. What it costs does not tell whether the
 * user is there, disabled, or has a password at all: a password is hashed once, a signature
 * verified once, and the whole file is read in any case. No logging; the text is sound
 * (users_check()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/common/packet.h"
#include "lib/users.h"

/* *ret_why ("" before; USERS_WHY_MAX) is written where there is something to tell the
 * administrator. On YES and DISABLED *ret_user is who it is; on NO its name alone is
 * who it is not, where the file has such a user. */
enum verified_result secret_check(const struct packet_login *login, const char *users, size_t len,
				  struct user *ret_user, char *ret_why);

/* The hash among those of the file whose method and cost most of them have; what is hashed for
 * users who have none. buf: USER_HASH_MAX + 1. */
void secret_decoy(const char *users, size_t len, char *buf);

/* Whether PAM is asked about this login. */
bool secret_asks_pam(const struct packet_login *login, const char *users, size_t len);
