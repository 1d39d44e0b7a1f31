/*
 * The certificate in force, and a new one: when the files change, a gatehouse is started that reads
 * them; it takes over when it could, else the old one stays and a warning says why. The supervisor
 * looks at the files' times only, never into them.
 */
#pragma once

#include "daemon/supervisor/houses.h"

/* Four times a second; looks at the files every 10 s. */
void renewal_tick(struct supervisor *sup);
/* Houses of the configuration are about to be started, or it stays after others did not start: its
 * files count as seen, and a trial under way would be of another one. */
void renewal_before_houses(struct supervisor *sup, const struct config *c);
/* They have taken over. */
void renewal_done(struct supervisor *sup);
void renewal_stop(struct supervisor *sup);

/* Why the files as they are now are not in force; NULL: they are. */
const char *renewal_problem(void);
/* "has expired", "is not valid yet"; NULL: its days are now. */
const char *renewal_untimely(const struct house_certificate *c);
/* Days until the certificate ends, 0 when it has. */
int64_t renewal_days_left(const struct house_certificate *c);
