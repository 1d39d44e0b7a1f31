/* What the supervisor does four times a second: reports, limits, the public page, systemd's status
 * line. */
#pragma once

#include "daemon/supervisor/supervisor.h"

int tick_start(struct supervisor *sup);
