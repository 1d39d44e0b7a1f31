/* A new configuration without a restart: parsed into a fresh snapshot, checked whole, new houses
 * started from it, then swapped; or the old one stays and the reason is told. See also
 * supervisor.h. */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* SIGHUP: the same, told to systemd and to the journal. */
void reload_by_signal(struct supervisor *sup);
void reload_stop(struct supervisor *sup);
