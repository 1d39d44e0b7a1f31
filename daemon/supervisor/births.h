/*
 * Births that a house has not answered yet. A house that has no processor for a moment is behind by
 * hundreds when hundreds come at once, and its socket is full; or it has died, and the next one is
 * not ready: then they wait here, in order, and are sent as it takes them. Who has waited for too
 * long has failed. What a house had not begun when it died is its successor's.
 */
#pragma once

#include <systemd/sd-event.h>

#include "daemon/common/packet.h"

enum { BIRTHS_MAX = 4096 }; /* that wait, of one house */

struct births;
/* Called for one that has failed. */
typedef void births_failed(void *userdata, uint64_t connection);

/* n_fds of BIRTH_* go with each; all wait until births_open(). NULL without memory. */
struct births *births_new(sd_event *event, size_t n_fds, births_failed *failed, void *userdata);
/* Those that are not answered have failed. Takes NULL and returns NULL. */
struct births *births_free(struct births *b);

/* The house is ready, and takes them from sock, which is borrowed until births_close(). */
void births_open(struct births *b, int sock);
/* Nothing is sent any more. */
void births_close(struct births *b);
/* Ends the sending side of the socket when none waits any more. */
void births_finish(struct births *b);

/* Sends the birth, or lets it wait; fds are borrowed. 0; -EAGAIN: too many wait; -errno. */
int births_send(struct births *b, const struct packet_birth *birth, const int *fds);
/* The house has said what became of it. */
void births_answered(struct births *b, uint64_t connection);

/* The house has died, and somebody may have begun what was sent: it has failed. */
void births_forfeit(struct births *b);
/* The house has died, and nobody has begun what it did not answer: b has it, before its own. */
void births_inherit(struct births *b, struct births *former);
