/*
 * From libconfig's tree to struct config, by the tables of option.h. For daemon/config only. Never
 * logs; everything that is wrong becomes a problem.
 */
#pragma once

#include <libconfig.h>

#include "daemon/config/config.h"

/* Fills *c (zeroed) with the defaults and then with what the tree says. */
void tree_read(const config_setting_t *root, struct config *c, struct config_problems *problems);
