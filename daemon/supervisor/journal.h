/*
 * The socket on which the roles' records come in; what becomes of them: log.h. Only the supervisor
 * writes.
 */
#pragma once

#include <stdint.h>

#include "daemon/supervisor/log.h"
#include "daemon/supervisor/supervisor.h"

struct carried_sockets;

/* The roles' socket: the pair that another binary had (taken over), or a new one. 0 or -errno. */
int journal_start(struct supervisor *sup, const struct carried_sockets *carried);
/* Both ends (borrowed). */
void journal_descriptors(const struct journal *j, int64_t *ret_ours, int64_t *ret_roles);
void journal_stop(struct supervisor *sup);
/* Takes some of what the roles have said: while it is still known whose it is. */
void journal_listen(struct supervisor *sup);
/* Writes the record of the session's last transfer from its report, if none has come for it, and
 * tells how many others were lost: nobody listened while there was no supervisor. */
void journal_catch_up(struct session *s);
/* What roles get as ROLE_FD_LOG (borrowed). */
int journal_role_fd(const struct journal *j);
