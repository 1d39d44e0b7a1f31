/*
 * Births that a house is yet to be told of. A house that has no processor for a moment is behind by
 * hundreds when hundreds come at once, and its socket is full: then they wait here, in order, and
 * are sent as it takes them. Who has waited for too long has failed.
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/common/packet.h"

enum { BIRTHS_MAX = 4096 }; /* that wait, of one house */

struct births;
/* Called for one that has failed. */
typedef void births_failed(void *userdata, uint64_t connection);

/* sock is the house's, borrowed; n_fds of BIRTH_* go with each. NULL without memory. */
struct births *
births_new(sd_event *event, int sock, size_t n_fds, births_failed *failed, void *userdata);
/* Those that wait are forgotten. Takes NULL and returns NULL. */
struct births *births_free(struct births *b);

/* Sends the birth, or lets it wait; fds are borrowed. 0; -EAGAIN: too many wait; -errno. */
int births_send(struct births *b, const struct packet_birth *birth, const int *fds);
/* Ends the sending side of the socket when none waits any more. */
void births_finish(struct births *b);
