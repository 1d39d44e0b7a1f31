/* What sessions say of themselves: every byte is the session's word, believed within bounds.
 * Reading it is sessions_refresh(), all together supervisor_totals(): supervisor.h. */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* The counters of a session that is gone. */
void reports_add(struct totals *t, const struct board_report *r);
