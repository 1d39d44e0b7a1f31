/* Orders to one session: on its page, then a poke. See also supervisor.h. */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* Ends its wait, so that it looks at its orders. */
void orders_poke(const struct session *s);
