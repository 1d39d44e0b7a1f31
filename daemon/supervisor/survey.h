/*
 * Looks at the share roots of a configuration that is to come into force. A process does that
 * (keeper/survey.c): the supervisor asks no file system that may hang.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* Notes the device of each root, and adds to problems what is wrong with it, as a warning where it
 * does not answer within 2 s; then its device is that of the same root in the configuration in
 * force, in_force (NULL: there is none yet), and else not known. 0 or -errno. */
int survey_roots(struct supervisor *sup, const struct config *in_force, struct config *c,
		 struct config_problems *problems);
