/* What the installed systemd unit lets the daemon write. For daemon/config and its tests only. */
#pragma once

#include "daemon/config/config.h"

/* config_check_unit() with the files of a machine that lies below prefix ("" is this one). */
void unit_check(const struct config *c, const char *prefix, struct config_problems *problems);
