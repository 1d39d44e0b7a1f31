/*
 * Sessions that a former supervisor left: they finish what they serve, and end. Those that live are
 * found through the boards, watched by their pidfd, and until they end treated as all others are:
 * told, counted, ordered about. Of those that have ended the page tells the last word.
 */
#pragma once

#include <stdint.h>

#include "daemon/supervisor/supervisor.h"

/* Looks through the boards, before any session is born. Children that another binary in this
 * process had (carried; NULL: there was none) simply go on. */
struct carried;
void adoption_start(struct supervisor *sup, const struct carried *carried);
/* Four times a second: those of which it was not certain yet, and what the log has missed. */
void adoption_tick(struct supervisor *sup);
/* All were killed: waits a moment for those that are no children of ours. */
void adoption_stop(struct supervisor *sup);
