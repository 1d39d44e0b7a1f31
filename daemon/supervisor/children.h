/*
 * Ends of children. A child that is traced ends for its tracer first, and for us when that has been
 * told; sd_event_add_child() looks once, finds nothing yet, and never looks again. Here the end is
 * told as soon as it is ours, and where a tracer keeps it, without how it came.
 */
#pragma once

#include <sys/types.h>

#include <systemd/sd-event.h>

/* Calls ended once, with userdata, before the child is reaped; then the source is of no more use.
 * pidfd is borrowed for as long as the source lives, -1: none. 0 or -errno. */
int children_add(sd_event *event, sd_event_source **ret, pid_t pid, int pidfd,
		 sd_event_child_handler_t ended, void *userdata);
/* Sends a signal to a child that may have ended. */
void children_signal(sd_event_source *source, int signal);
