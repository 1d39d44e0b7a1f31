/* A session in a child process, and the client's and the supervisor's ends of it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/common/board.h"
#include "lib/wire.h"

struct host {
	pid_t pid;
	int privilege;    /* the supervisor's end */
	struct wire wire; /* the client's end: TCP over loopback */
	struct board_orders *orders;
	struct board_report *report;
	struct config *config;
};

enum host_flags {
	HOST_HELLO = 1 << 0,   /* the gate has answered a hello */
	HOST_SANDBOX = 1 << 1, /* as the daemon runs it */
	HOST_SMALL_BUFFERS = 1 << 2,
};

/* Serves the scratch directory. shares: the inner part of one share's group ("rights = …;"),
 * settings: other lines of ftd.conf. */
void host_start(struct host *h, unsigned flags, const char *share, const char *settings);
/* The same with a user who has logged in. */
void host_start_as(struct host *h, unsigned flags, const char *user, const char *share,
		   const char *settings);

/* Writes an order and pokes. */
void host_quit(struct host *h, enum board_quit quit, const char *reason);
void host_cancel(struct host *h, uint64_t transfer);
void host_pause(struct host *h, uint64_t transfer); /* UINT64_MAX: all; 0: goes on */

/* Waits for the end of the session (10 s): its exit status, or -1. */
int host_wait(struct host *h);
/* Closes what is open and waits. */
void host_end(struct host *h);
