/*
 * What code that a stranger has put into a role could try: system calls from tables, and the few
 * things that take more than one. Linked into tests/hostile/taken only, which is the daemon with
 * its roles taken over; no program that is installed has any of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

/* What the role has, and what it is after. */
struct aim {
	int connection, privilege;  /* its own sockets */
	int inside;                 /* a directory of its own, with a file "mine" in it; -1: none */
	void *report;               /* its page; NULL: none */
	const void *orders, *shown; /* pages that it may only read; NULL: not there */
	const char *path;           /* a file, a directory or a socket that is not its own */
	int pid;                    /* a process that is not its own */
	int port;                   /* where somebody else listens, on loopback */
};

/* One try. The call's arguments may be AIM_*; run, where it is set, tries instead of the call. */
struct attempt {
	const char *name;
	long call;
	long args[6];
	int (*run)(const struct aim *a); /* positive or 0: it worked; negative errno: refused */
	bool fatal;                      /* the role is to end by it: only when it is asked for */
};

/* Stand for what is known later only. */
enum aim_argument {
	AIM_PATH = 0x61696d00,
	AIM_PID,
	AIM_INSIDE,
	AIM_CONNECTION,
	AIM_REPORT,
	AIM_ORDERS,
	AIM_SHOWN,
	AIM_LOG,      /* the socket that all roles log through */
	AIM_INTERNET, /* struct sockaddr_in of the port */
	AIM_UNIX,     /* struct sockaddr_un of the path */
	AIM_HOW_READ,
	AIM_HOW_WRITE,
	AIM_HOW_CREATE,
	AIM_HOW_NAMELESS,
	AIM_HOW_EMPTY,
	AIM_SCRATCH, /* a page of zeros */
	AIM_END,
};

struct attempts {
	const char *name;
	const struct attempt *list;
	size_t n;
};
extern const struct attempts attack_paths, attack_emptying, attack_looks, attack_processes,
    attack_memory, attack_sockets, attack_kernel;

/* Does what the request asks ("attack", with "only", "path", "pid", "port" and others) and says
 * what came of it: a new reference. */
json_t *attack_run(json_t *request, struct aim *a);

/* attack_more.c: what is no single call; from attack_run() */
json_t *attack_packet(json_t *request, const struct aim *a);
json_t *attack_log(json_t *request, const struct aim *a);
json_t *attack_report(json_t *request, const struct aim *a);
json_t *attack_descriptors(json_t *request, const struct aim *a);
json_t *attack_hoard(json_t *request, const struct aim *a);
json_t *attack_crowd(json_t *request, const struct aim *a);
json_t *attack_hold(json_t *request, const struct aim *a);
