/* What only all options together can tell. For daemon/config only; adds problems, never logs. */
#pragma once

#include "daemon/config/config.h"

void check_whole(const struct config *c, struct config_problems *problems);
