/* The TCP listeners: bound, or handed over by systemd; accept, and pause where descriptors run out.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

struct listeners;

/* Binds what the configuration lists, taking over descriptors of former (may be NULL, stays usable)
 * where the address is the same. Trouble is added to problems with its line. 0 or -EINVAL. */
int listeners_open(struct supervisor *sup, const struct config *c, struct listeners *former,
		   struct config_problems *problems, struct listeners **ret);
/* Takes over n listening sockets from systemd instead. 0 or -errno. */
int listeners_adopt(struct supervisor *sup, const int *fds, size_t n, struct listeners **ret);
/* Begins (again) to accept. 0 or -errno. */
int listeners_watch(struct listeners *l);
void listeners_stop_accepting(struct listeners *l);
struct listeners *listeners_free(struct listeners *l);
/* Did they come from systemd (then the configuration's list is not used)? */
bool listeners_are_handed(const struct listeners *l);

/* The UDP socket of the status port; -1 and 0 where it is off. 0 or -EINVAL with a problem. */
int listeners_open_udp(const struct config *c, struct config_problems *problems, int *ret_fd);

/* Takes no connections until listeners_watch(): they wait in the kernel. */
void listeners_rest(struct listeners *l);
/* Their descriptors (borrowed), CONFIG_LISTENERS_MAX at most. Returns how many. */
size_t listeners_descriptors(const struct listeners *l, int *ret);
/* What another binary had open (taken over), as `former` of listeners_open() or, handed, as it is.
 * 0 or -ENOMEM. */
int listeners_carry(struct supervisor *sup, const int *fds, size_t n, bool handed,
		    struct listeners **ret);
